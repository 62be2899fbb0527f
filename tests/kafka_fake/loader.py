"""What a broker makes of the committed log, as its MetadataLoader does (traps 11, 32, 37). Pure.

It knows no more of the records than which of them refer to what, so that it agrees with YAKt's own image by nothing
but the log. A record that does not fit is a fault: a running broker logs it, drops it and goes on; one that is still
starting never finishes after some of them.
"""

import attrs

from tests.kafka_fake.verdicts import Diary, DiedError
from yakt.batch import RecordBatch
from yakt.errors import CodecError
from yakt.metadata import records as r
from yakt.metadata.codec import decode_batch
from yakt.metadata.records import Record

LEVELS = range(1, 22)
"""metadata.version of a 3.9 broker."""


class _FaultError(Exception):
    """A record that does not fit. `fatal_at_start`: a broker that starts over it never finishes."""

    def __init__(self, text: str, *, fatal_at_start: bool = False) -> None:
        super().__init__(text)
        self.fatal_at_start = fatal_at_start


@attrs.frozen
class Partition:
    """What a broker knows of one partition; the epochs it counts by itself (trap 17)."""

    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int


@attrs.define(eq=False)
class Loader:
    """One broker's image, as far as it is judged. `end_offset`: one past the last record applied."""

    broker_id: int
    diary: Diary
    end_offset: int = 0
    is_running: bool = False
    never_starts: str | None = None
    has_data: bool = False
    level: int | None = None
    brokers: dict[int, int] = attrs.Factory(dict)
    """Broker epochs."""
    own_record_offset: int = -1
    topics: dict[bytes, str] = attrs.Factory(dict)
    partitions: dict[tuple[bytes, int], Partition] = attrs.Factory(dict)
    unfenced: set[int] = attrs.Factory(set)
    held: list[Record] | None = None
    """Of an open transaction."""

    @property
    def is_fenced(self) -> bool:
        """Whether the log says so of this broker."""
        return self.broker_id not in self.unfenced

    @property
    def is_published(self) -> bool:
        """Whether the first image is out (controller-contract.md §2, step 5)."""
        return self.has_data and self.level is not None and self.never_starts is None

    def reset(self) -> None:
        """A snapshot comes: nothing of before holds."""
        self.level, self.held = None, None
        self.brokers.clear()
        self.unfenced.clear()
        self.topics.clear()
        self.partitions.clear()

    def load(self, batch: RecordBatch) -> None:
        """Take in a committed batch. Raises DiedError for a record that cannot be read."""
        if not batch.control:
            try:
                records = decode_batch(batch.body)
            except CodecError as exc:
                raise DiedError(f"SerializationException: {exc}") from None
            for delta, record in enumerate(records):
                self._take(record, batch.base_offset + delta)
        self.end_offset = batch.end_offset

    def _take(self, record: Record, offset: int) -> None:
        try:
            self._take_strictly(record, offset)
        except _FaultError as fault:
            text = f"metadata loading fault at {offset}, {type(record).__name__}: {fault}"
            self.diary.logged.append(text)
            if fault.fatal_at_start and not self.is_running:
                self.never_starts = text

    def _take_strictly(self, record: Record, offset: int) -> None:
        match record:
            case r.BeginTransactionRecord():
                if self.held is not None:
                    raise _FaultError("a transaction within another", fatal_at_start=True)
                self.held = []
            case r.EndTransactionRecord() | r.AbortTransactionRecord():
                held, self.held = self.held, None
                if held is None:
                    raise _FaultError("no transaction is open", fatal_at_start=True)
                if isinstance(record, r.EndTransactionRecord):
                    for one in held:
                        self._apply(one, offset)
            case _ if self.held is not None:
                self.held.append(record)
            case _:
                self._apply(record, offset)
                self.has_data = True

    def _apply(self, record: Record, offset: int) -> None:
        match record:
            case r.FeatureLevelRecord(name="metadata.version", feature_level=level):
                if level not in LEVELS:
                    raise _FaultError(f"metadata.version {level} is not known")
                self.level = level
            case r.RegisterBrokerRecord(broker_id=broker_id, broker_epoch=epoch, fenced=fenced):
                self.brokers[broker_id] = epoch
                self._fence(broker_id, fenced)
                if broker_id == self.broker_id:
                    self.own_record_offset = offset
            case r.UnregisterBrokerRecord(broker_id=broker_id, broker_epoch=epoch):
                self._check_broker(broker_id, epoch)
                del self.brokers[broker_id]
                self.unfenced.discard(broker_id)
            case r.BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=epoch, fenced=fenced):
                self._check_broker(broker_id, epoch)
                if fenced:
                    self._fence(broker_id, fenced > 0)
            case r.TopicRecord(name=name, topic_id=topic_id):
                self.topics[topic_id] = name
            case r.PartitionRecord(topic_id=topic_id, partition_id=number):
                self._check_topic(topic_id)
                self.partitions[topic_id, number] = Partition(
                    record.replicas, record.isr, record.leader, record.leader_epoch, record.partition_epoch
                )
            case r.PartitionChangeRecord(topic_id=topic_id, partition_id=number):
                self._check_topic(topic_id)
                if (topic_id, number) not in self.partitions:
                    raise _FaultError(f"a change of partition {number}, which is not known", fatal_at_start=True)
                row = self.partitions[topic_id, number]
                moved = record.leader != r.NO_LEADER_CHANGE
                self.partitions[topic_id, number] = Partition(
                    row.replicas if record.replicas is None else record.replicas,
                    row.isr if record.isr is None else record.isr,
                    record.leader if moved else row.leader,
                    row.leader_epoch + moved,
                    row.partition_epoch + 1,
                )
            case r.RemoveTopicRecord(topic_id=topic_id):
                self._check_topic(topic_id)
                del self.topics[topic_id]
                for key in [key for key in self.partitions if key[0] == topic_id]:
                    del self.partitions[key]

    def _fence(self, broker_id: int, fenced: bool) -> None:
        if fenced:
            self.unfenced.discard(broker_id)
        else:
            self.unfenced.add(broker_id)

    def _check_broker(self, broker_id: int, epoch: int) -> None:
        if broker_id not in self.brokers:
            raise _FaultError(f"broker {broker_id} is not known")
        if self.brokers[broker_id] != epoch:
            raise _FaultError(f"broker {broker_id} is of epoch {self.brokers[broker_id]}, not {epoch}")

    def _check_topic(self, topic_id: bytes) -> None:
        if topic_id not in self.topics:
            raise _FaultError(f"topic {topic_id.hex()} is not known", fatal_at_start=True)
