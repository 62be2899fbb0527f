"""What can be asked of the metadata: commands (they may write), queries (they read an image), and their answers.

Plain values, no behaviour. `controller.decide` turns a command into records; `queries.answer` reads an image. How they
are typed is `yakt.line.registry`'s business; an adapter words an `Answer` or a `RefusedError` its own way.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from yakt.errors import RefusedError
from yakt.ids import Uuid
from yakt.metadata.records import BrokerEndpoint, BrokerFeature

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
Pairs: TypeAlias = dict[str, Value]
"""Keys and values of one reply line, in the order they are shown."""


class Entity(msgspec.Struct, frozen=True, gc=False):
    """What a config belongs to. `kind`: topic, broker, group, client-metrics; `name` "" is broker's cluster default."""

    kind: str
    name: str


# --- commands: decided by the leader alone ---------------------------------------------------------------------------


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
    """The first replica shall lead (KIP-460); `unclean`: any that is there, where none in sync is."""

    topic: str
    partition: int
    unclean: bool = False


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
    | AlterPartitions
    | AssignDirectories
    | AlterConfigs
    | AlterQuota
    | RegisterBroker
    | RegisterKafkaBroker
    | ChangeBroker
    | UnregisterBroker
    | FenceBroker
    | AllocateProducerIds
    | RegisterProducer
    | DeleteProducer
)


# --- queries: answered from an image ---------------------------------------------------------------------------------


class ListBrokers(msgspec.Struct, frozen=True, gc=False):
    """BROKER LIST; `after`: the key that ended the last page. `full`, here and below: each row with its `offset=`."""

    fenced: bool | None = None
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ShowBroker(msgspec.Struct, frozen=True, gc=False):
    id: int
    full: bool = False


class ListTopics(msgspec.Struct, frozen=True, gc=False):
    """TOPIC LIST; `match` is a glob (`fnmatch`, case-sensitive)."""

    match: str | None = None
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ShowTopic(msgspec.Struct, frozen=True, gc=False):
    """TOPIC SHOW: a topic's partitions, paged by partition number."""

    name: str
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ListPartitions(msgspec.Struct, frozen=True, gc=False):
    """PARTITION LIST; keys of pages are `topic:partition`."""

    topic: str | None = None
    broker: int | None = None
    leaderless: bool = False
    under_replicated: bool = False
    limit: int = 1000
    after: str | None = None
    full: bool = False


class GetConfigs(msgspec.Struct, frozen=True, gc=False):
    entity: Entity


class ListFeatures(msgspec.Struct, frozen=True, gc=False):
    pass


class ListProducers(msgspec.Struct, frozen=True, gc=False):
    limit: int = 1000
    after: str | None = None
    full: bool = False


class ShowProducer(msgspec.Struct, frozen=True, gc=False):
    id: int
    full: bool = False


class FetchChanges(msgspec.Struct, frozen=True, gc=False):
    """FETCH and VIEW. `since` is an exclusive end, as a read's `offset=`: what changed at or past it; None: everything.

    `view`: brokers, topics and partitions only. `wait_ms` and `broker` are the service's business, not the image's.
    """

    since: int | None
    limit: int = 1000
    wait_ms: int = 0
    broker: int | None = None
    epoch: int | None = None
    view: bool = False


Query: TypeAlias = (
    GetConfigs
    | ShowTopic
    | ListTopics
    | ListPartitions
    | ListBrokers
    | ShowBroker
    | ListFeatures
    | ListProducers
    | ShowProducer
    | FetchChanges
)


# --- asks of one node ------------------------------------------------------------------------------------------------


class ShowStatus(msgspec.Struct, frozen=True, gc=False):
    """STATUS: what this node knows of itself, at once."""


class ShowHealth(msgspec.Struct, frozen=True, gc=False):
    """HEALTH: would a write sent here now commit? Confirmed through the leader and a majority, within 1 s."""


class ShowQuorum(msgspec.Struct, frozen=True, gc=False):
    """QUORUM SHOW: the leader's view of voters and observers."""


class TransferLeadership(msgspec.Struct, frozen=True, gc=False):
    """QUORUM TRANSFER. `to` None: the voter furthest on."""

    to: int | None = None


class ReadLog(msgspec.Struct, frozen=True, gc=False):
    """LOG: committed records from `start` (an offset), at most `limit`."""

    start: int
    limit: int = 1000


class FindTimes(msgspec.Struct, frozen=True, gc=False):
    """When the records at these offsets were appended: `times`, in ms, in their order.

    For what is no longer kept, the time of the first record that is.
    """

    offsets: tuple[int, ...]


class FindOffset(msgspec.Struct, frozen=True, gc=False):
    """The first offset appended at or after `time_ms`; the end where there is none."""

    time_ms: int


class ReadBrokerHistory(msgspec.Struct, frozen=True, gc=False):
    """What the kept log says of one broker, oldest first: a row for each record that changed it."""

    id: int


class CreateSnapshot(msgspec.Struct, frozen=True, gc=False):
    wait: bool = False


class ListSnapshots(msgspec.Struct, frozen=True, gc=False):
    pass


class VerifySnapshot(msgspec.Struct, frozen=True, gc=False):
    """SNAPSHOT VERIFY: read it whole, fold it, compare with the state at its offset where that is known."""

    id: str


NodeAsk: TypeAlias = (
    ShowStatus
    | ShowHealth
    | ShowQuorum
    | TransferLeadership
    | ReadLog
    | FindTimes
    | FindOffset
    | ReadBrokerHistory
    | CreateSnapshot
    | ListSnapshots
    | VerifySnapshot
)


# --- how it is asked, and what comes back ----------------------------------------------------------------------------


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Who asks, and why: kept with the records (records.md §8). "" where nothing was said."""

    client: str = ""
    address: str = ""
    request: str = ""
    by: str = ""
    reason: str = ""


NO_ORIGIN = Origin()


class Options(msgspec.Struct, frozen=True, gc=False):
    """What all commands share (line-protocol.md §3).

    `read` is "fresh" (linearizable), "local"; `min_offset` is a write's `offset=` (an inclusive offset that must be
    applied), `at_offset` an exclusive end in the past. `if_offset`: refuse if the entity changed at or after it.
    """

    timeout_ms: int = 5000
    forward: bool = True
    check: bool = False
    if_offset: int | None = None
    read: str = "fresh"
    min_offset: int | None = None
    at_offset: int | None = None


DEFAULT_OPTIONS = Options()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One command as one client asked it. `line` is its text without tag, for forwarding: opaque here."""

    command: Command | Query | NodeAsk
    line: bytes = b""
    origin: Origin = NO_ORIGIN
    options: Options = DEFAULT_OPTIONS


class Row(msgspec.Struct, frozen=True, gc=False):
    """One data line: `- kind key=value …`. Kind "text" is a line for people, its words in `pairs["text"]`."""

    kind: str
    pairs: Pairs


class Answer(msgspec.Struct, gc=False):
    """An `OK`. `pairs` are those of its line in order, `offset=` included where there is one; `rows` come before it."""

    pairs: Pairs
    rows: Sequence[Row] = ()


Result: TypeAlias = Answer | RefusedError
