"""What the leader alone decides: the commands, which may write.

Plain values, no behaviour: `controller.decide` turns a command into records. How they are typed is
`yakt.line.registry`'s business.
"""

from typing import TypeAlias

import msgspec

from yakt.ids import Uuid
from yakt.metadata.acls import Acl, AclFilter
from yakt.metadata.entities import Entity
from yakt.metadata.records import BrokerEndpoint, BrokerFeature


class RegisterBroker(msgspec.Struct, frozen=True, gc=False):
    """BROKER REGISTER. `incarnation` None: a new one is made. `session_ms` None: the configuration's.

    `alive`: it counts as the first contact too, so the broker is unfenced in the same batch (seed-api.md).
    """

    id: int
    host: str
    port: int
    rack: str | None = None
    protocol: str = "PLAINTEXT"
    incarnation: Uuid | None = None
    session_ms: int | None = None
    alive: bool = False


class RegisterKafkaBroker(msgspec.Struct, frozen=True, gc=False):
    """A broker's own registration (KIP-631, BrokerRegistration): all that it says of itself.

    `log_dirs` are the ids of its directories; `previous_epoch` that of its last clean shutdown, -1 if unknown.
    """

    id: int
    cluster_id: str
    incarnation: Uuid
    end_points: tuple[BrokerEndpoint, ...]
    features: tuple[BrokerFeature, ...]
    rack: str | None
    log_dirs: tuple[Uuid, ...]
    previous_epoch: int = -1
    is_migrating_zk_broker: bool = False


class HeartbeatBroker(msgspec.Struct, frozen=True, gc=False):
    """BROKER HEARTBEAT. `at`: last offset applied there, inclusive; None: caught up. `epoch` None: the registered."""

    id: int
    epoch: int | None = None
    at: int | None = None
    fence: bool = False
    shutdown: bool = False
    offline: tuple[Uuid, ...] = ()
    """Log directories that have failed; what is not the broker's is left alone."""


class ChangeBroker(msgspec.Struct, frozen=True, gc=False):
    """BROKER CHANGE: None leaves it as it is. `rack` "" takes the rack away."""

    id: int
    host: str | None = None
    port: int | None = None
    protocol: str | None = None
    rack: str | None = None


class UnregisterBroker(msgspec.Struct, frozen=True, gc=False):
    id: int


class FenceBroker(msgspec.Struct, frozen=True, gc=False):
    id: int


class CreateTopic(msgspec.Struct, frozen=True, gc=False):
    """TOPIC CREATE. None: the configuration's default; `partitions` 0 makes a topic without any (seed-api.md).

    `assignment`: replicas by partition; then `partitions` and `replication` are None.
    """

    name: str
    partitions: int | None = None
    replication: int | None = None
    assignment: tuple[tuple[int, ...], ...] | None = None
    configs: tuple[tuple[str, str], ...] = ()


class DeleteTopic(msgspec.Struct, frozen=True, gc=False):
    name: str


class AddPartitions(msgspec.Struct, frozen=True, gc=False):
    """PARTITION ADD: `count` is the new total. `assignment`: replicas of each partition that is added."""

    topic: str
    count: int
    assignment: tuple[tuple[int, ...], ...] | None = None


class CreatePartition(msgspec.Struct, frozen=True, gc=False):
    """PARTITION CREATE: one, by hand. `partition` None: the next number. `replicas` None: placed as PARTITION ADD does.

    `isr` None: all live replicas; `leader` None: the first of the ISR.
    """

    topic: str
    partition: int | None = None
    replicas: tuple[int, ...] | None = None
    isr: tuple[int, ...] | None = None
    leader: int | None = None


class DeletePartition(msgspec.Struct, frozen=True, gc=False):
    """PARTITION DELETE: it is left without replicas and leader, and in no list, until it is made again."""

    topic: str
    partition: int


class ReassignPartition(msgspec.Struct, frozen=True, gc=False):
    """PARTITION REASSIGN: `replicas` are those it shall have, the preferred leader first."""

    topic: str
    partition: int
    replicas: tuple[int, ...]


class CancelReassignment(msgspec.Struct, frozen=True, gc=False):
    """PARTITION CANCEL."""

    topic: str
    partition: int


class ElectLeader(msgspec.Struct, frozen=True, gc=False):
    """PARTITION LEADER: the first replica shall lead (KIP-460); `unclean`: any that is there, where none in sync is.

    `to` names who shall lead instead: in sync, or with `unclean` not.
    """

    topic: str
    partition: int
    unclean: bool = False
    to: int | None = None


class AssignDirectories(msgspec.Struct, frozen=True, gc=False):
    """A broker's AssignReplicasToDirs (KIP-858): directory, topic id and partition of each replica that has moved.

    Answered with Kafka's error of each, 0 for none, in `errors`, in order.
    """

    broker: int
    epoch: int
    assigned: tuple[tuple[Uuid, Uuid, int], ...]


class IsrChange(msgspec.Struct, frozen=True, gc=False):
    """What a leader wants of one of its partitions. `isr`: broker ids and their epochs, -1 where one is not checked."""

    topic_id: Uuid
    partition: int
    leader_epoch: int
    partition_epoch: int
    isr: tuple[tuple[int, int], ...]
    recovery: int = 0


class AlterIsr(msgspec.Struct, frozen=True, gc=False):
    """PARTITION ISR: AlterPartition of one partition, by its topic's name. `partition_epoch` None: whatever it is."""

    topic: str
    partition: int
    broker: int
    epoch: int
    leader_epoch: int
    isr: tuple[int, ...]
    partition_epoch: int | None = None


class AlterPartitions(msgspec.Struct, frozen=True, gc=False):
    """A broker's AlterPartition (KIP-497). Answered with one mapping for each change in `partitions`, in order."""

    broker: int
    epoch: int
    changes: tuple[IsrChange, ...]


class SetConfigs(msgspec.Struct, frozen=True, gc=False):
    entity: Entity
    values: tuple[tuple[str, str], ...]


class DeleteConfigs(msgspec.Struct, frozen=True, gc=False):
    entity: Entity
    keys: tuple[str, ...]


class ConfigChange(msgspec.Struct, frozen=True, gc=False):
    """One key's. `operation`: set, delete, append or subtract; the last two for values that are lists."""

    key: str
    operation: str
    value: str = ""


class AlterConfigs(msgspec.Struct, frozen=True, gc=False):
    """Kafka's IncrementalAlterConfigs of one resource, all or nothing; `replace`: AlterConfigs, the whole set anew."""

    entity: Entity
    changes: tuple[ConfigChange, ...]
    replace: bool = False


class QuotaChange(msgspec.Struct, frozen=True, gc=False):
    """One quota's. `value` None: it is removed."""

    key: str
    value: float | None


class AlterQuota(msgspec.Struct, frozen=True, gc=False):
    """Kafka's AlterClientQuotas of one entity (KIP-546): types user, client-id, ip; a name None is the default's."""

    entity: tuple[tuple[str, str | None], ...]
    changes: tuple[QuotaChange, ...]


class DeleteQuotas(msgspec.Struct, frozen=True, gc=False):
    """QUOTA DELETE. No `keys`: all that the entity has."""

    entity: tuple[tuple[str, str | None], ...]
    keys: tuple[str, ...] = ()


class SetScramCredential(msgspec.Struct, frozen=True, gc=False):
    """SCRAM SET: the credential is made of the password where it is decided, and the password is kept nowhere."""

    user: str
    mechanism: int
    password: str
    iterations: int

    def __repr__(self) -> str:
        return f"SetScramCredential(user={self.user!r}, mechanism={self.mechanism}, iterations={self.iterations})"


class UpsertScramCredential(msgspec.Struct, frozen=True, gc=False):
    """Kafka's AlterUserScramCredentials, one upsertion (KIP-554): its tool has salted the password already."""

    user: str
    mechanism: int
    iterations: int
    salt: bytes
    salted_password: bytes

    def __repr__(self) -> str:
        return f"UpsertScramCredential(user={self.user!r}, mechanism={self.mechanism}, iterations={self.iterations})"


class DeleteScramCredentials(msgspec.Struct, frozen=True, gc=False):
    """SCRAM DELETE, and Kafka's deletions. `mechanism` None: of each the user has."""

    user: str
    mechanism: int | None = None


class AddAcls(msgspec.Struct, frozen=True, gc=False):
    """ACL ADD, and Kafka's CreateAcls: all or none; what is there already is skipped."""

    acls: tuple[Acl, ...]


class DeleteAcls(msgspec.Struct, frozen=True, gc=False):
    """ACL DELETE, and Kafka's DeleteAcls: whatever any of the filters means.

    Answered with a row for each filter and ACL; with more than one filter each has its number in `filter`, from 0.
    """

    filters: tuple[AclFilter, ...]


class DeleteToken(msgspec.Struct, frozen=True, gc=False):
    """TOKEN DELETE."""

    id: str


class FeatureChange(msgspec.Struct, frozen=True, gc=False):
    """One feature's new level. `downgrade`: "" for none, or "safe", "unsafe"; a lower level needs one of these."""

    name: str
    level: int
    downgrade: str = ""


class SetFeatures(msgspec.Struct, frozen=True, gc=False):
    """FEATURE SET, and Kafka's UpdateFeatures (KIP-584): all of them, or none."""

    changes: tuple[FeatureChange, ...]


class AllocateProducerIds(msgspec.Struct, frozen=True, gc=False):
    broker: int
    epoch: int


class RegisterProducer(msgspec.Struct, frozen=True, gc=False):
    """PRODUCER REGISTER (seed-api.md). `producer` None: the first id of a new block."""

    broker: int
    epoch: int
    producer: int | None = None


class DeleteProducer(msgspec.Struct, frozen=True, gc=False):
    id: int


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Commands that make one operation (controller.md §1): each decided on what those before it leave, all that are
    not refused written together. Answered with the result of each in `items`. Comes from adapters alone, without a
    request id.
    """

    commands: "tuple[Command, ...]"


Command: TypeAlias = (
    SetConfigs
    | DeleteConfigs
    | HeartbeatBroker
    | CreateTopic
    | DeleteTopic
    | AddPartitions
    | CreatePartition
    | DeletePartition
    | ReassignPartition
    | CancelReassignment
    | ElectLeader
    | AlterIsr
    | AlterPartitions
    | AssignDirectories
    | AlterConfigs
    | AlterQuota
    | DeleteQuotas
    | SetScramCredential
    | UpsertScramCredential
    | DeleteScramCredentials
    | AddAcls
    | DeleteAcls
    | DeleteToken
    | SetFeatures
    | RegisterBroker
    | RegisterKafkaBroker
    | ChangeBroker
    | UnregisterBroker
    | FenceBroker
    | AllocateProducerIds
    | RegisterProducer
    | DeleteProducer
    | Batch
)
