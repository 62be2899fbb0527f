"""MetadataImage: the whole committed state at one offset, replayed in place a batch at a time.

Inside `replay` (and `apply`, for what the leader has worked out already) nothing awaits, so nobody sees half a batch.
Who must keep a version over an await pins it: while pinned, each old row is saved before its first change.
"""

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from yakt.batch import ControlRecord, KRaftVersion, Tags, Voters
from yakt.errors import CodecError, ReplayError
from yakt.metadata import records as r
from yakt.metadata.indexes import ClosedTable, RequestTable
from yakt.metadata.journal import Journal
from yakt.metadata.partition_table import PartitionTable, PinnedPartitions
from yakt.metadata.records import Record
from yakt.metadata.replay import REPLAY
from yakt.metadata.row_records import (
    HASH_FORM,
    hash_broker,
    hash_config,
    hash_feature,
    hash_kept,
    hash_next_producer_id,
    hash_partition,
    hash_topic,
)
from yakt.metadata.state import NOTHING_GROWS, State
from yakt.metadata.tables import HASH_MASK, Change, CopiedRows, PinnedRows, RowHash, Table
from yakt.metadata.tags import image_hash_of, origin_of, remembered_of
from yakt.wire.table import encode_tags

PLAIN_TAGS_MAX = 1024


class MetadataImage(State):
    """The committed state below `end_offset`; `timestamp_ms` is the largest of any batch in it."""

    def __init__(self) -> None:
        self.end_offset = 0
        self.epoch = 0
        """Of the last record; 0 before the first."""
        self.exact_from = 0
        """When a row changed is known from here on; what came out of a snapshot counts as changed at its end."""
        self.timestamp_ms = 0
        self.kraft_version = 0
        self.voters = None
        self._changed: list[Change] = []
        """What the batch being applied has changed in watched tables."""
        self.hash = 0
        """Of Kafka's rows (records.md §8)."""
        self.hash_agreed_offset = 0
        self.hash_agreed = 0
        """The leader's hash below that offset, found equal here: the last one told."""
        self.journal = Journal()
        self.interned, self.directory_ids = {}, {}
        self.transaction: list[tuple[int, Record]] | None = None
        self._plain_tags: dict[Tags, int] = {}
        """Origins alone, without a request: they ask for nothing, and the same few come again and again. With the size
        of the tagged section that each makes."""
        self._pins: list[PinnedImage] = []
        self.tables: list[Table[Any, Any]] = []

        def table(noun: str, hash_of: RowHash | None = None, *, watched: bool = False) -> Table[Any, Any]:
            made: Table[Any, Any] = Table(noun, self.apply, hash_of=hash_of, watched=watched)
            self.tables.append(made)
            return made

        self.features = table("feature", hash_feature, watched=True)
        brokers = table("broker", hash_broker, watched=True)
        self.brokers = brokers
        self.controllers = table("controller", hash_kept)
        self.topics = table("topic", hash_topic, watched=True)
        self.topic_names = table("topic id")
        self.folded_topics = table("folded topic")
        self.directories = table("directory")
        self.partitions = self.partition_table = PartitionTable(self.apply, hash_partition, brokers)
        self.configs = table("config", hash_config, watched=True)
        self.quotas = table("quota", hash_kept, watched=True)
        self.next_producer_id = table("producer ids", hash_next_producer_id)
        self.acls = table("acl", hash_kept, watched=True)
        self.acl_ids = table("acl id")
        self.scram = table("scram", hash_kept, watched=True)
        self.tokens = table("token", hash_kept, watched=True)
        self.producers = table("producer", watched=True)
        self.closed = self.closed_table = ClosedTable(self.apply)
        self.requests = self.request_table = RequestTable(self.apply)
        self.tables += [self.partition_table, self.closed_table, self.request_table]

    # --- changing it

    def replay(
        self,
        base_offset: int,
        leader_epoch: int,
        timestamp_ms: int,
        records: Sequence[Record],
        values: Sequence[bytes] = (),
        *,
        goes_on: bool = False,
    ) -> Sequence[Change]:
        """Take in the records of one committed data batch, appended at `timestamp_ms`; return what it changed.

        `values`: the bytes of each record, where they are at hand; they save encoding it again for its hash.
        `goes_on`: the records before these, of the same batch, were taken in by the last call.
        Raises ReplayError naming the offset and why; then the image is worth nothing any more: the node stops.
        """
        if base_offset < self.end_offset:
            raise ReplayError(f"a batch from offset {base_offset}, on an image that ends at {self.end_offset}")
        self.begin_batch(timestamp_ms)
        if not goes_on:
            self.growing = NOTHING_GROWS
        offset = base_offset
        try:
            for offset, record in enumerate(records, base_offset):
                if self.transaction is None:
                    self._replay_one(offset, record, values[offset - base_offset] if values else None)
                else:
                    self._replay_in_transaction(self.transaction, offset, record)
        except (ReplayError, CodecError) as exc:
            raise ReplayError(f"offset {offset}, {type(records[offset - base_offset]).__name__}: {exc}") from exc
        return self.end_batch(base_offset + len(records), leader_epoch)

    def skip(self, end_offset: int, leader_epoch: int, control: Iterable[ControlRecord] = ()) -> None:
        """A control batch passed: its offsets count, and what its records say of the quorum is kept."""
        self.end_offset, self.epoch = end_offset, leader_epoch
        self.take_control(control)

    def take_control(self, control: Iterable[ControlRecord]) -> None:
        """What the log's or a snapshot's control records say of the quorum."""
        for record in control:
            match record:
                case KRaftVersion():
                    self.kraft_version = record.level
                case Voters():
                    self.voters = record

    def begin_batch(self, timestamp_ms: int) -> None:
        """What expires, expires by the times of batches: tell the time of the one that is applied next."""
        if timestamp_ms > self.timestamp_ms:
            self.timestamp_ms = timestamp_ms
            self.request_table.timestamp_ms = self.closed_table.timestamp_ms = timestamp_ms
            self.request_table.expire()

    def end_batch(self, end_offset: int, leader_epoch: int) -> Sequence[Change]:
        """All below `end_offset` is in; return the changes since the last batch, those that go unsaid too, in order."""
        self.end_offset, self.epoch = end_offset, leader_epoch
        self.plain_value = None
        changed, self._changed = self._changed, []
        self.journal.extend(changed)
        return changed

    def apply(self, change: Change) -> None:
        """Carry out one change, worked out by a table of this image or an overlay of one."""
        table = change.table
        if self._pins:
            for pinned in self._pins:
                pinned.save(change)
        table.apply(change)
        if change.hashed:
            self.hash = self.hash + change.hashed & HASH_MASK
        if table.watched:
            self._changed.append(change)

    def _replay_one(self, offset: int, record: Record, value: bytes | None) -> None:
        tags = record.tags
        if tags:
            self.growing = NOTHING_GROWS  # an operation begins
            size = self._plain_tags.get(tags)
            if size is None:
                self._take_tags(offset, record)
                value = None
            elif value is not None:
                value = value[:-size] + b"\0"
        self.plain_value = value
        replay = REPLAY.get(record.__class__)
        if replay is not None:
            replay(self, record, offset)
        elif type(record) is r.BeginTransactionRecord:
            self.transaction = []
        else:
            raise ReplayError("no transaction is open")

    def _replay_in_transaction(self, held: list[tuple[int, Record]], offset: int, record: Record) -> None:
        match record:
            case r.BeginTransactionRecord():
                raise ReplayError("a transaction within another")
            case r.AbortTransactionRecord():
                self.transaction = None
            case r.EndTransactionRecord():
                self.transaction = None
                # They take effect here: a reader who had the state at an offset in between must be told of them.
                for _, one in held:
                    self._replay_one(offset, one, None)
            case _:
                held.append((offset, record))

    def _take_tags(self, offset: int, record: Record) -> None:
        if type(record) is r.NoOpRecord:
            told = image_hash_of(record)
            if told is not None:
                self.compare_hash(told.form, told.end_offset, told.hash)
        origin = origin_of(record)
        if origin is None:
            return
        if origin.request:
            remembered = remembered_of(origin, offset)
            self.requests.put((remembered.client, remembered.id), remembered, remembered.offset)
        elif len(record.tags) == 1:
            if len(self._plain_tags) >= PLAIN_TAGS_MAX:
                self._plain_tags.clear()
            self._plain_tags[record.tags] = len(encode_tags(record.tags))

    def compare_hash(self, form: int, offset: int, told: int) -> None:
        """The leader's hash of the image below `offset`, which must be here. Raises ReplayError where they differ."""
        if form != HASH_FORM:
            return  # another release's: nothing is known, no alarm
        if told != self.hash:
            raise ReplayError(
                f"this image is not the leader's: its hash below offset {offset} is {self.hash:#018x}, the leader's "
                f"{told:#018x}; they last agreed at {self.hash_agreed_offset}, so they part in "
                f"[{self.hash_agreed_offset}, {offset})"
            )
        self.hash_agreed_offset, self.hash_agreed = offset, told

    # --- keeping it

    def pin(self) -> "PinnedImage":
        """This version, to be used over awaits; a context manager, cheap while little changes. To be closed."""
        pinned = PinnedImage(self, self._pins.remove)
        self._pins.append(pinned)
        return pinned


class PinnedImage(State):
    """An image as it was when it was pinned. Rows may be asked for until it is closed."""

    def __init__(self, image: MetadataImage, forget: "Callable[[PinnedImage], None]") -> None:
        self.image = image
        self.end_offset = image.end_offset
        self.epoch = image.epoch
        self.timestamp_ms = image.timestamp_ms
        self.hash = image.hash
        self.kraft_version = image.kraft_version
        self.voters = image.voters
        self.transaction = None if image.transaction is None else list(image.transaction)
        self._forget = forget
        self._open = True
        self._saved: dict[int, dict[Any, Any]] = {}
        for name, rows in list(vars(image).items()):
            if name.endswith("_table"):
                continue  # the same by its own type: a pinned version has rows alone
            if isinstance(rows, RequestTable | ClosedTable):
                setattr(self, name, CopiedRows(rows))
            elif isinstance(rows, Table):
                pinned = PinnedPartitions(rows) if isinstance(rows, PartitionTable) else PinnedRows(rows)
                setattr(self, name, pinned)
                self._saved[id(rows)] = pinned.saved

    def save(self, change: Change) -> None:
        """Keep the row that is about to change, unless an older one is kept already."""
        saved = self._saved.get(id(change.table))
        if saved is not None:
            saved.setdefault(change.key, change.old)

    def close(self) -> None:
        """From now on nothing is saved for it."""
        if self._open:
            self._open = False
            self._forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
