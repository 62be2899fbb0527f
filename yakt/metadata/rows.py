"""The rows of the metadata image: values, replaced and never edited, each with the offset of its last change.

`offset` is exact for what the kept log tells; what came out of a snapshot counts as changed at the snapshot's end.
"""

from typing import TypeAlias
from urllib.parse import quote, unquote

import msgspec

from yakt.ids import ZERO_UUID, Uuid
from yakt.metadata.answers import Pairs
from yakt.metadata.records import (
    AccessControlEntryRecord,
    BrokerEndpoint,
    BrokerFeature,
    ClientQuotaRecord,
    DelegationTokenRecord,
    RegisterControllerRecord,
    UserScramCredentialRecord,
)

MIGRATING = ZERO_UUID
"""Directory of a replica whose broker registered none."""
UNASSIGNED = Uuid(bytes(15) + b"\x01")
"""Directory of a replica whose broker has several and has not said which."""
LOST = Uuid(bytes(15) + b"\x02")

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
"""Kafka's security protocols, by number."""

RECOVERED = 0
RECOVERING = 1

SCRAM_MECHANISMS = {1: "SCRAM-SHA-256", 2: "SCRAM-SHA-512"}
"""By Kafka's number."""

TOPIC_CONFIG = 2
BROKER_CONFIG = 4
CLIENT_METRICS_CONFIG = 16
GROUP_CONFIG = 32


class BrokerRow(msgspec.Struct, frozen=True, gc=False):
    """A registration. `registered_offset`: of its last RegisterBrokerRecord, what "caught up" is measured by.

    `changes` is the `epoch` of seed-api.md; `session_ms` and `protocol` (a name Kafka does not know) are None where
    nothing was said. They ride in tag 10001.
    """

    id: int
    epoch: int
    incarnation: Uuid
    end_points: tuple[BrokerEndpoint, ...]
    features: tuple[BrokerFeature, ...]
    rack: str | None
    fenced: bool
    shutting_down: bool
    directories: tuple[Uuid, ...]
    offset: int
    registered_offset: int
    changes: int = 0
    session_ms: int | None = None
    protocol: str | None = None

    @property
    def active(self) -> bool:
        """Registered, not fenced, not in controlled shutdown: may join an ISR and lead."""
        return not (self.fenced or self.shutting_down)

    @property
    def protocol_name(self) -> str:
        """As it was given: a name Kafka does not know too."""
        if self.protocol is not None:
            return self.protocol
        number = self.end_points[0].security_protocol if self.end_points else 0
        return PROTOCOLS[number] if 0 <= number < len(PROTOCOLS) else str(number)

    @property
    def status(self) -> str:
        return "FENCED" if self.fenced else "SHUTTING_DOWN" if self.shutting_down else "ALIVE"


class ClosedBroker(msgspec.Struct, gc=False):
    """What is still known of an unregistered broker. `time_ms` is its batch's, filled in when it is committed."""

    id: int
    epoch: int
    incarnation: Uuid
    host: str
    port: int
    protocol: str
    rack: str | None
    changes: int
    offset: int
    time_ms: int = 0


class TopicRow(msgspec.Struct, frozen=True, gc=False):
    """`partitions`: how many it has, numbered from 0; `replication`: replicas of the first of them, 0 without any.

    `created_offset` is its TopicRecord's. The partitions that follow it there do not count as changes of the topic.
    """

    name: str
    id: Uuid
    partitions: int
    replication: int
    offset: int
    created_offset: int


PartitionKey: TypeAlias = tuple[Uuid, int]


class PartitionRow(msgspec.Struct, frozen=True, gc=False):
    """`directories` has one for each of `replicas`, in their order. `leader` -1: none."""

    topic: str
    topic_id: Uuid
    partition: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    removing: tuple[int, ...]
    adding: tuple[int, ...]
    leader: int
    recovery: int
    leader_epoch: int
    partition_epoch: int
    directories: tuple[Uuid, ...]
    offset: int

    @property
    def key(self) -> PartitionKey:
        return self.topic_id, self.partition


ConfigKey: TypeAlias = tuple[int, str]
"""Kafka's resource type, and the resource's name."""


ENTITY_KINDS = {
    TOPIC_CONFIG: "topic",
    BROKER_CONFIG: "broker",
    CLIENT_METRICS_CONFIG: "client-metrics",
    GROUP_CONFIG: "group",
}


def entity_name(key: ConfigKey) -> str:
    """As CONFIG commands name it: `topic/orders`; a type that has no name here by its number."""
    resource_type, name = key
    return f"{ENTITY_KINDS.get(resource_type, resource_type)}/{name}"


class ConfigValue(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str
    offset: int


ConfigsRow: TypeAlias = tuple[ConfigValue, ...]
"""All that is set for one resource, by key."""


class FeatureRow(msgspec.Struct, frozen=True, gc=False):
    name: str
    level: int
    offset: int


class NextProducerIdRow(msgspec.Struct, frozen=True, gc=False):
    """`next` is the first id of the next block. Who had the last one is in the log alone, not in Kafka's snapshots."""

    next: int
    offset: int


class ProducerRow(msgspec.Struct, frozen=True, gc=False):
    """A producer registered by PRODUCER REGISTER (tag 10003)."""

    id: int
    broker: int
    broker_epoch: int
    offset: int


class RememberedRequest(msgspec.Struct, gc=False):
    """A request id and what its first `OK` answered; `offset` is its last record's.

    `time_ms` is its batch's, filled in when it is committed: from then on the row does not change.
    """

    client: str
    id: str
    crc: int
    offset: int
    answer: Pairs
    time_ms: int = 0


KeptRecord: TypeAlias = (
    RegisterControllerRecord
    | ClientQuotaRecord
    | AccessControlEntryRecord
    | UserScramCredentialRecord
    | DelegationTokenRecord
)


class KeptRow(msgspec.Struct, frozen=True, gc=False):
    """What YAKt keeps for Kafka's brokers and does not look into: the record itself is the row."""

    record: KeptRecord
    offset: int


DEFAULT_ENTITY = "\0"
"""The default entity's name in a key."""
QuotaKey: TypeAlias = tuple[tuple[tuple[str, str], ...], str]
"""The entity's (type, name) pairs in order; and the quota's key."""


def quota_name(key: QuotaKey) -> str:
    """`user/alice,client-id/app:producer_byte_rate`, `user/:…` for the default; names are escaped as in a URL."""
    entity, quota = key
    parts = [f"{kind}/{'' if name == DEFAULT_ENTITY else quote(name, safe='@*')}" for kind, name in reversed(entity)]
    return f"{','.join(parts)}:{quota}"


def parse_quota_name(text: str) -> QuotaKey:
    """The reverse of `quota_name`. Raises ValueError for what has not its form."""
    entity, colon, quota = text.rpartition(":")
    parts = [part.partition("/") for part in entity.split(",")]
    if not colon or not all(slash for _, slash, _ in parts):
        raise ValueError("is KIND/NAME,…:KEY")
    return tuple(sorted((kind, unquote(name) or DEFAULT_ENTITY) for kind, _, name in parts)), quota
