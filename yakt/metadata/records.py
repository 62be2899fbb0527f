"""Kafka's metadata records as plain values, one class a type; `yakt.metadata.codec` gives them bytes.

Classes have Kafka's names. Fields in snake case are the schemas' (records.md §3), of all their versions: what a version
lacks has its default.
`tags` are the tagged fields that Kafka's schemas do not know, YAKt's own (`yakt.metadata.tags`) among them.
"""

from typing import TypeAlias

import msgspec

from yakt.batch import Tags
from yakt.ids import Uuid

NO_LEADER = -1
NO_LEADER_CHANGE = -2
"""PartitionChangeRecord's `leader` when it says nothing of it: any other, even the same, is a new leader epoch."""


class BrokerEndpoint(msgspec.Struct, frozen=True, gc=False):
    """Where a broker listens. `security_protocol`: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL."""

    name: str
    host: str
    port: int
    security_protocol: int
    tags: Tags = ()


class BrokerFeature(msgspec.Struct, frozen=True, gc=False):
    """The range of a feature's levels that a broker supports, both inclusive."""

    name: str
    min_supported_version: int
    max_supported_version: int
    tags: Tags = ()


class ControllerEndpoint(msgspec.Struct, frozen=True, gc=False):
    """Where a controller listens; as BrokerEndpoint."""

    name: str
    host: str
    port: int
    security_protocol: int
    tags: Tags = ()


class ControllerFeature(msgspec.Struct, frozen=True, gc=False):
    """The range of a feature's levels that a controller supports, both inclusive."""

    name: str
    min_supported_version: int
    max_supported_version: int
    tags: Tags = ()


class EntityData(msgspec.Struct, frozen=True, gc=False):
    """One part of whom a quota is for: `entity_type` user, client-id or ip; `entity_name` None: the default."""

    entity_type: str
    entity_name: str | None
    tags: Tags = ()


class RegisterBrokerRecord(msgspec.Struct, frozen=True, gc=False):
    """A registration, whole; replaces the one before (KIP-631). `log_dirs` are directory ids."""

    broker_id: int
    incarnation_id: Uuid
    broker_epoch: int
    end_points: tuple[BrokerEndpoint, ...]
    features: tuple[BrokerFeature, ...]
    rack: str | None
    fenced: bool = True
    in_controlled_shutdown: bool = False
    is_migrating_zk_broker: bool = False
    log_dirs: tuple[Uuid, ...] = ()
    cordoned_log_dirs: tuple[Uuid, ...] | None = None
    tags: Tags = ()


class UnregisterBrokerRecord(msgspec.Struct, frozen=True, gc=False):
    """Ends a registration; the epoch is the registered one."""

    broker_id: int
    broker_epoch: int
    tags: Tags = ()


class TopicRecord(msgspec.Struct, frozen=True, gc=False):
    """A topic's birth; its partitions follow."""

    name: str
    topic_id: Uuid
    tags: Tags = ()


class PartitionRecord(msgspec.Struct, frozen=True, gc=False):
    """The whole state of one partition; `directories` one for each of `replicas`, in their order (from version 1)."""

    partition_id: int
    topic_id: Uuid
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    removing_replicas: tuple[int, ...]
    adding_replicas: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int
    directories: tuple[Uuid, ...] = ()
    leader_recovery_state: int = 0
    eligible_leader_replicas: tuple[int, ...] | None = None
    last_known_elr: tuple[int, ...] | None = None
    tags: Tags = ()


class ConfigRecord(msgspec.Struct, frozen=True, gc=False):
    """Sets one config; `value` None deletes it. `resource_type`: 2 topic, 4 broker, 16 client metrics, 32 group."""

    resource_type: int
    resource_name: str
    name: str
    value: str | None
    tags: Tags = ()


class PartitionChangeRecord(msgspec.Struct, frozen=True, gc=False):
    """What changed of a partition: None, and for `leader` -2, leave it as it is (records.md §4)."""

    partition_id: int
    topic_id: Uuid
    isr: tuple[int, ...] | None = None
    leader: int = NO_LEADER_CHANGE
    replicas: tuple[int, ...] | None = None
    removing_replicas: tuple[int, ...] | None = None
    adding_replicas: tuple[int, ...] | None = None
    leader_recovery_state: int = -1
    directories: tuple[Uuid, ...] | None = None
    eligible_leader_replicas: tuple[int, ...] | None = None
    last_known_elr: tuple[int, ...] | None = None
    tags: Tags = ()


class FenceBrokerRecord(msgspec.Struct, frozen=True, gc=False):
    """Old form of BrokerRegistrationChangeRecord; read, never written."""

    id: int
    epoch: int
    tags: Tags = ()


class UnfenceBrokerRecord(msgspec.Struct, frozen=True, gc=False):
    """Old form of BrokerRegistrationChangeRecord; read, never written."""

    id: int
    epoch: int
    tags: Tags = ()


class RemoveTopicRecord(msgspec.Struct, frozen=True, gc=False):
    """Ends a topic, its partitions and its configs."""

    topic_id: Uuid
    tags: Tags = ()


class DelegationTokenRecord(msgspec.Struct, frozen=True, gc=False):
    """A delegation token. Times in ms."""

    owner: str
    requester: str
    renewers: tuple[str, ...]
    issue_timestamp: int
    max_timestamp: int
    expiration_timestamp: int
    token_id: str
    tags: Tags = ()


class UserScramCredentialRecord(msgspec.Struct, frozen=True, gc=False):
    """A user's SCRAM credential for one mechanism."""

    name: str
    mechanism: int
    salt: bytes
    stored_key: bytes
    server_key: bytes
    iterations: int
    tags: Tags = ()


class FeatureLevelRecord(msgspec.Struct, frozen=True, gc=False):
    """Finalizes a feature at a level; 0 removes it."""

    name: str
    feature_level: int
    tags: Tags = ()


class ClientQuotaRecord(msgspec.Struct, frozen=True, gc=False):
    """Sets or removes one quota of one entity."""

    entity: tuple[EntityData, ...]
    key: str
    value: float
    remove: bool
    tags: Tags = ()


class ProducerIdsRecord(msgspec.Struct, frozen=True, gc=False):
    """A block of producer ids was handed out; `next_producer_id` is the first id of the next one."""

    broker_id: int
    broker_epoch: int
    next_producer_id: int
    tags: Tags = ()


class BrokerRegistrationChangeRecord(msgspec.Struct, frozen=True, gc=False):
    """What changed of a registration.

    `fenced`: 1 fence, -1 unfence, 0 leave it. `in_controlled_shutdown`: 1 enter, 0 leave it. `log_dirs`, unless
    empty, are the new list of online directories. The version written is the least that can say it.
    """

    broker_id: int
    broker_epoch: int
    fenced: int = 0
    in_controlled_shutdown: int = 0
    log_dirs: tuple[Uuid, ...] = ()
    cordoned_log_dirs: tuple[Uuid, ...] | None = None
    tags: Tags = ()


class AccessControlEntryRecord(msgspec.Struct, frozen=True, gc=False):
    """One ACL."""

    id: Uuid
    resource_type: int
    resource_name: str
    pattern_type: int
    principal: str
    host: str
    operation: int
    permission_type: int
    tags: Tags = ()


class RemoveAccessControlEntryRecord(msgspec.Struct, frozen=True, gc=False):
    """Ends an ACL."""

    id: Uuid
    tags: Tags = ()


class NoOpRecord(msgspec.Struct, frozen=True, gc=False):
    """No effect; carries YAKt's own state in tags (records.md §8)."""

    tags: Tags = ()


class ZkMigrationStateRecord(msgspec.Struct, frozen=True, gc=False):
    """Written by 3.9 controllers; of no meaning without ZooKeeper."""

    zk_migration_state: int
    tags: Tags = ()


class RemoveUserScramCredentialRecord(msgspec.Struct, frozen=True, gc=False):
    """Ends a SCRAM credential."""

    name: str
    mechanism: int
    tags: Tags = ()


class BeginTransactionRecord(msgspec.Struct, frozen=True, gc=False):
    """What follows takes effect together, at EndTransactionRecord (KIP-868)."""

    name: str | None = None
    tags: Tags = ()


class EndTransactionRecord(msgspec.Struct, frozen=True, gc=False):
    """What followed BeginTransactionRecord takes effect (KIP-868)."""

    tags: Tags = ()


class AbortTransactionRecord(msgspec.Struct, frozen=True, gc=False):
    """What followed BeginTransactionRecord never was (KIP-868)."""

    reason: str | None = None
    tags: Tags = ()


class RemoveDelegationTokenRecord(msgspec.Struct, frozen=True, gc=False):
    """Ends a delegation token."""

    token_id: str
    tags: Tags = ()


class RegisterControllerRecord(msgspec.Struct, frozen=True, gc=False):
    """A controller's registration, whole; replaces the one before."""

    controller_id: int
    incarnation_id: Uuid
    zk_migration_ready: bool
    end_points: tuple[ControllerEndpoint, ...]
    features: tuple[ControllerFeature, ...]
    tags: Tags = ()


class ClearElrRecord(msgspec.Struct, frozen=True, gc=False):
    """Clears the eligible leader replicas of a topic, or of all with an empty name (not at level 21)."""

    topic_name: str
    tags: Tags = ()


class UnregisterControllerRecord(msgspec.Struct, frozen=True, gc=False):
    """Ends a controller's registration (not at level 21)."""

    controller_id: int
    tags: Tags = ()


Record: TypeAlias = (
    RegisterBrokerRecord
    | UnregisterBrokerRecord
    | TopicRecord
    | PartitionRecord
    | ConfigRecord
    | PartitionChangeRecord
    | FenceBrokerRecord
    | UnfenceBrokerRecord
    | RemoveTopicRecord
    | DelegationTokenRecord
    | UserScramCredentialRecord
    | FeatureLevelRecord
    | ClientQuotaRecord
    | ProducerIdsRecord
    | BrokerRegistrationChangeRecord
    | AccessControlEntryRecord
    | RemoveAccessControlEntryRecord
    | NoOpRecord
    | ZkMigrationStateRecord
    | RemoveUserScramCredentialRecord
    | BeginTransactionRecord
    | EndTransactionRecord
    | AbortTransactionRecord
    | RemoveDelegationTokenRecord
    | RegisterControllerRecord
    | ClearElrRecord
    | UnregisterControllerRecord
)
