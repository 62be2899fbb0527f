"""State: the tables by name (the image's own, the leader's overlay, a pinned version), and what is asked of them."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from yakt.batch import KRaftVersion, Voters
from yakt.ids import Uuid
from yakt.metadata.acls import Acl
from yakt.metadata.indexes import RequestKey
from yakt.metadata.partition_table import Partitions
from yakt.metadata.records import Record
from yakt.metadata.rows import (
    BrokerRow,
    ClosedBroker,
    ConfigKey,
    ConfigsRow,
    FeatureRow,
    KeptRow,
    NextProducerIdRow,
    PartitionRow,
    ProducerRow,
    QuotaKey,
    RememberedRequest,
    TopicRow,
)
from yakt.metadata.tables import Rows

Ids: TypeAlias = tuple[int | Uuid, ...]

NOTHING_GROWS = ("", -1)


class State:
    """One version of the metadata. All offsets are the log's; `end_offset` is exclusive: everything below it is in."""

    brokers: Rows[int, BrokerRow]
    closed: Rows[int, ClosedBroker]
    controllers: Rows[int, KeptRow]
    topics: Rows[str, TopicRow]
    topic_names: Rows[Uuid, str]
    folded_topics: Rows[str, str]
    """Topic names as metrics see them, `.` written `_`, to the topic that has it."""
    partitions: Partitions
    directories: Rows[Uuid, int]
    """Log directory to the broker that registered it."""
    configs: Rows[ConfigKey, ConfigsRow]
    features: Rows[str, FeatureRow]
    next_producer_id: Rows[int, NextProducerIdRow]
    """One row, of key 0; none before the first block."""
    producers: Rows[int, ProducerRow]
    quotas: Rows[QuotaKey, KeptRow]
    acls: Rows[Uuid, KeptRow]
    acl_ids: Rows[Acl, Uuid]
    """The id of each ACL: none is there twice, unless a log of Kafka's says so."""
    scram: Rows[tuple[str, int], KeptRow]
    tokens: Rows[str, KeptRow]
    requests: Rows[RequestKey, RememberedRequest]
    end_offset: int
    kraft_version: int
    """The quorum's own feature (KIP-853): in the log it is a control record, so no row says it."""
    voters: Voters | None
    """Who votes, by the log; None: as the configuration says."""
    growing: tuple[str, int] = NOTHING_GROWS
    """The topic that an operation is filling, and the offset of the next record of its that would go on with it."""
    plain_value: bytes | None = None
    """The bytes of the record being replayed, without tags, where they are at hand: what its row's hash is of."""
    interned: dict[Ids, Ids]
    """Replica lists and the like, each once: a few combinations make up all partitions."""
    directory_ids: dict[Uuid, Uuid]
    """Directories likewise: each broker has few, and thousands of replicas in each."""
    transaction: list[tuple[int, Record]] | None
    """Records of a transaction that is neither ended nor aborted, with their offsets; they have no effect yet."""

    @property
    def quorum_records(self) -> tuple[KRaftVersion | Voters, ...]:
        """What a snapshot's first batch repeats of the quorum (storage.md §4)."""
        level = (KRaftVersion(self.kraft_version),) if self.kraft_version else ()
        return level if self.voters is None else (*level, self.voters)

    def topic_by_id(self, topic_id: Uuid) -> TopicRow | None:
        name = self.topic_names.get(topic_id)
        return None if name is None else self.topics.get(name)

    def partitions_of(self, topic: TopicRow) -> Iterator[PartitionRow]:
        """By number."""
        for number in range(topic.partitions):
            row = self.partitions.get((topic.id, number))
            if row is not None:
                yield row

    def config(self, resource_type: int, name: str, key: str) -> str | None:
        """What is set, or None."""
        for value in self.configs.get((resource_type, name)) or ():
            if value.key == key:
                return value.value
        return None

    def configs_set(self, resource_type: int, name: str) -> dict[str, str]:
        return {value.key: value.value for value in self.configs.get((resource_type, name)) or ()}

    def topic_changed_offset(self, name: str) -> int | None:
        """Last change of a topic or of one of its partitions; None: nothing is known of it."""
        offsets = [self.topics.changed_offset(name)]
        topic = self.topics.get(name)
        if topic is not None:
            offsets += [row.offset for row in self.partitions_of(topic)]
        return max((offset for offset in offsets if offset is not None), default=None)

    def broker_ids(self) -> list[int]:
        return self.brokers.sorted_keys()


def fold_topic(name: str) -> str:
    """As a metric's name has it: two topics that fold alike may not both be created (controller.md §7)."""
    return name.replace(".", "_")


def has_leader_on(rows: Iterable[PartitionRow], broker_id: int) -> bool:
    return any(row.leader == broker_id for row in rows)
