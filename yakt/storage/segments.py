"""The log as files: append, roll, flush, truncate, read. Is built whole by recovery; knows no election, no snapshot.

Theory of operation. Segments are Kafka's `.log` files; the last one is written. `append` only writes; a Flush syncs,
in whatever thread, and tells how far. Before an epoch's first batch is written, all before it is synced and
`leader-epoch-checkpoint` names the epoch, so that after any crash the checkpoint is ahead of the log by at most that
one entry, which begins exactly at the log's end. Truncation and restart first state their intent in the recovery
point, so a crash half-way is finished at the next start.
"""

from array import array
from bisect import bisect_right
from collections.abc import Sequence

import attrs

from yakt.batch import LeaderChange, RecordBatch
from yakt.errors import CodecError, StorageError
from yakt.ids import Offset, OffsetAndEpoch
from yakt.storage import format as fmt
from yakt.storage.disk import Disk, File
from yakt.storage.recovery_point import RecoveryPointFile
from yakt.storage.scan import Damage, Head, heads
from yakt.storage.tail import Tail
from yakt.wire import batch as wire

INDEX_STEP = 64 * 1024
"""How many bytes of log a reader may have to hop over: one entry of the position index each."""
READERS_MAX = 4
"""Old segments kept open for reading."""


@attrs.define(eq=False)
class Segment:
    """One `.log` file, and where in it some offsets are. Opened when it is needed."""

    base_offset: Offset
    size: int = 0
    file: File | None = None
    _offsets: "array[int]" = attrs.field(factory=lambda: array("q"))
    _positions: "array[int]" = attrs.field(factory=lambda: array("q"))

    @property
    def name(self) -> str:
        """Relative to the data directory."""
        return fmt.segment_name(self.base_offset)

    def note(self, base_offset: Offset, position: int) -> None:
        """A batch begins here: kept if the last one noted is far enough back."""
        if not self._positions or position - self._positions[-1] >= INDEX_STEP:
            self._offsets.append(base_offset)
            self._positions.append(position)

    def position_before(self, offset: Offset) -> int:
        """Where some batch begins that is at most INDEX_STEP (and a batch) before the one with `offset`."""
        index = bisect_right(self._offsets, offset) - 1
        return self._positions[index] if index >= 0 else 0

    def cut_index(self, position: int) -> None:
        """Forget what lies at or past `position`."""
        while self._positions and self._positions[-1] >= position:
            self._positions.pop()
            self._offsets.pop()


@attrs.define(eq=False)
class Flush:
    """A sync that is due: `run` it in any thread, then hand it to `finish_flush`. Raises StorageError."""

    end_offset: Offset
    _file: File

    def run(self) -> None:
        """Sync, and nothing else."""
        self._file.sync()


@attrs.define(eq=False)
class Log:
    """The log from `start_offset` to `end_offset`, exclusive; `epochs` holds each epoch's first offset, ascending.

    The first epoch is said to begin at `start_offset`, as Kafka has it, even while no batch of it is there.
    """

    disk: Disk
    segment_bytes: int
    point: RecoveryPointFile
    tail: Tail
    segments: list[Segment]
    start_offset: Offset
    end_offset: Offset
    epochs: list[OffsetAndEpoch]
    flushed_offset: Offset = Offset(0)
    appended_bytes: int = 0
    """Bytes written since the log was opened; only grows."""
    _flush: Flush | None = None
    _to_close: list[File] = attrs.field(factory=list)
    _readers: list[Segment] = attrs.field(factory=list)

    @property
    def size(self) -> int:
        """Bytes in all segments."""
        return sum(segment.size for segment in self.segments)

    # --- writing ---

    def append(self, batches: Sequence[RecordBatch]) -> None:
        """Write consecutive batches at the end; nothing is durable yet but the names of new epochs."""
        active = self.segments[-1]
        pieces: list[bytes] = []
        pending = 0
        for batch in batches:
            assert batch.base_offset == self.end_offset, f"{batch} does not begin at the log's end, {self.end_offset}"
            if not self.epochs or batch.leader_epoch != self.epochs[-1].epoch:
                self._write(active, pieces)
                pending = 0
                self._begin_epoch(batch)
            if active.size + pending + batch.size > self.segment_bytes and active.size + pending > 0:
                self._write(active, pieces)
                pending = 0
                active = self._roll()
            active.note(batch.base_offset, active.size + pending)
            pieces += (wire.head(batch), batch.body)
            pending += batch.size
            self.end_offset = batch.end_offset
            self.tail.add(batch)
        self._write(active, pieces)

    def _write(self, segment: Segment, pieces: list[bytes]) -> None:
        if pieces:
            file = self._opened(segment)
            file.append(pieces)
            self.appended_bytes += file.size - segment.size
            segment.size = file.size
            pieces.clear()

    def _begin_epoch(self, batch: RecordBatch) -> None:
        while self.epochs and self.epochs[-1].offset >= batch.base_offset:
            self.epochs.pop()  # an epoch that left no batch
        assert not self.epochs or batch.leader_epoch > self.epochs[-1].epoch, f"{batch} is of an epoch that is over"
        opens = bool(batch.control) and isinstance(batch.control[0], LeaderChange)
        assert opens or (batch.base_offset == self.start_offset > 0), f"{batch} does not open its epoch"
        self._opened(self.segments[-1]).sync()
        self.epochs.append(OffsetAndEpoch(batch.leader_epoch, batch.base_offset))
        self.save_epochs()

    def save_epochs(self) -> None:
        """Rewrite `leader-epoch-checkpoint`, durably."""
        self.disk.replace(fmt.EPOCH_CHECKPOINT, fmt.format_epoch_checkpoint(self.epochs))

    def _roll(self) -> Segment:
        """Begin a segment at the end. The old one is whole on the disk before the new one is in the directory."""
        old = self.segments[-1]
        self._opened(old).sync()
        self.flushed_offset = self.end_offset
        segment = self._create(self.end_offset)
        self.point.save(self.flushed_offset, durable=True)
        self._close(old)
        return segment

    def _create(self, base_offset: Offset) -> Segment:
        segment = Segment(base_offset)
        segment.file = self.disk.open(segment.name, create=True)
        self.disk.sync_directory(fmt.LOG_DIRECTORY)
        self.segments.append(segment)
        return segment

    # --- flushing ---

    def begin_flush(self) -> Flush | None:
        """What to sync so that all written until now is durable; None if it is. One at a time."""
        assert self._flush is None, "a flush is out already"
        if self.flushed_offset == self.end_offset:
            return None
        self._flush = Flush(self.end_offset, self._opened(self.segments[-1]))
        return self._flush

    def finish_flush(self, flush: Flush) -> Offset:
        """`flush.run` has returned: everything below the result is durable (and was not truncated meanwhile)."""
        assert flush is self._flush, "not the flush that is out"
        self._flush = None
        while self._to_close:
            self._to_close.pop().close()
        self.flushed_offset = max(self.flushed_offset, flush.end_offset)
        return self.flushed_offset

    def save_recovery_point(self) -> None:
        """Note how far the log is durable: about once a second; costs a small write and no sync."""
        self.point.save(self.flushed_offset, durable=False)

    # --- cutting ---

    def truncate(self, end_offset: Offset) -> None:
        """Drop all at or past `end_offset`, where a batch must begin; durable on return."""
        assert end_offset >= self.start_offset, f"truncation to {end_offset}, the log begins at {self.start_offset}"
        if end_offset >= self.end_offset:
            return
        self._position_of(self._segment_of(end_offset), end_offset)  # refuse before anything is changed
        self.tail.drop_from(end_offset)
        if self._flush is not None:
            self._flush.end_offset = min(self._flush.end_offset, end_offset)
        # What stays must not be torn while what goes is still there: recovery would find damage before valid data.
        self._opened(self.segments[-1]).sync()
        self.flushed_offset = end_offset
        self.point.intend_truncate(end_offset)
        self.cut_files(end_offset)
        self.end_offset = end_offset
        self.epochs = [entry for entry in self.epochs if entry.offset < end_offset]
        self.save_epochs()
        self.point.save(self.flushed_offset, durable=True)

    def cut_files(self, end_offset: Offset) -> None:
        """The files' part of `truncate`; also what recovery repeats. Raises StorageError inside a batch."""
        while len(self.segments) > 1 and self.segments[-1].base_offset >= end_offset:
            self._drop(self.segments.pop())
        last = self.segments[-1]
        position = self._position_of(last, end_offset) if end_offset > last.base_offset else 0
        if position < last.size:
            self._opened(last).truncate(position)
            last.size = position
            last.cut_index(position)
        self.disk.sync_directory(fmt.LOG_DIRECTORY)

    def restart(self, snapshot_id: OffsetAndEpoch) -> None:
        """Drop everything; the log is empty and begins where a snapshot (durable) ends; durable on return."""
        self.tail.clear()
        if self._flush is not None:
            self._flush.end_offset = Offset(0)
        self.point.intend_restart(snapshot_id)
        self.restart_files(snapshot_id.offset)
        self.start_offset = self.end_offset = self.flushed_offset = snapshot_id.offset
        self.epochs = [snapshot_id]
        self.save_epochs()
        self.point.save(self.flushed_offset, durable=True)

    def restart_files(self, offset: Offset) -> None:
        """The files' part of `restart`; also what recovery repeats."""
        while self.segments:
            self._drop(self.segments.pop())
        self._create(offset)

    def trim(self, start_offset: Offset) -> None:
        """The log begins at `start_offset` (a snapshot's end, durable); segments wholly below it go."""
        assert self.start_offset <= start_offset <= self.end_offset, f"trim to {start_offset}"
        if start_offset == self.start_offset:
            return
        self.start_offset = start_offset
        self.raise_first_epoch()
        self.save_epochs()
        while len(self.segments) > 1 and self.segments[1].base_offset <= start_offset:
            self._drop(self.segments.pop(0))
        self.disk.sync_directory(fmt.LOG_DIRECTORY)

    def raise_first_epoch(self) -> None:
        """Epochs that ended below the start go; the one that holds the start begins there, as Kafka has it."""
        while len(self.epochs) > 1 and self.epochs[1].offset <= self.start_offset:
            self.epochs.pop(0)
        if self.epochs and self.epochs[0].offset < self.start_offset:
            self.epochs[0] = OffsetAndEpoch(self.epochs[0].epoch, self.start_offset)

    def _drop(self, segment: Segment) -> None:
        self._close(segment)
        self.disk.unlink(segment.name)

    # --- reading ---

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> list[RecordBatch]:
        """Whole batches from the one that holds `start_offset`, none that begins at or past `end_offset`.

        At most `max_bytes` of them, but at least one; fewer where a segment ends. Nothing at or past the log's end
        (and what is offered to the tail). Raises StorageError for an offset below the log's files, or a damaged file.
        """
        kept = self.tail.start_offset
        if kept is not None and start_offset >= kept:
            return self.tail.read(start_offset, end_offset, max_bytes)
        end_offset = min(end_offset, self.end_offset)
        if start_offset >= end_offset:
            return []
        segment = self._segment_of(start_offset)
        position = segment.position_before(start_offset)
        file = self._opened(segment)
        data = file.read(position, min(max_bytes + INDEX_STEP, segment.size - position))
        try:
            first, last = _range(data, position, start_offset, end_offset, max_bytes)
            if first is None:  # a batch before it is larger than what was read
                return self._read_slowly(segment, start_offset, end_offset, max_bytes)
            return wire.split(data[first.position - position : last - position])
        except (Damage, CodecError) as exc:
            raise StorageError(f"{file.path}: damaged since it was checked, read at byte {position}: {exc}") from exc

    def _read_slowly(
        self, segment: Segment, start_offset: Offset, end_offset: Offset, max_bytes: int
    ) -> list[RecordBatch]:
        file = self._opened(segment)
        head = self._head_of(segment, start_offset)
        size = max(head.size, min(max_bytes, segment.size - head.position))
        data = file.read(head.position, size)
        _, last = _range(data, head.position, start_offset, end_offset, max_bytes)
        return wire.split(data[: last - head.position])

    def bytes_from(self, offset: Offset) -> int:
        """How many bytes of log lie from the batch on that holds `offset`."""
        if offset >= self.end_offset:
            return 0
        segment = self._segment_of(offset)
        later = sum(other.size for other in self.segments if other.base_offset > segment.base_offset)
        return later + segment.size - self._head_of(segment, offset).position

    def _segment_of(self, offset: Offset) -> Segment:
        index = bisect_right(self.segments, offset, key=lambda segment: segment.base_offset) - 1
        if index < 0:
            first = self.segments[0]
            raise StorageError(f"{self.disk.path(first.name)}: offset {offset} lies before the first segment")
        return self.segments[index]

    def _position_of(self, segment: Segment, offset: Offset) -> int:
        """Where the batch begins whose first record is `offset`, or the segment's size if it would come next."""
        head = self._head_of(segment, offset, missing_ok=True)
        if head.base_offset != offset:
            path = self.disk.path(segment.name)
            raise StorageError(f"{path}: offset {offset} is inside the batch at byte {head.position}, not at its start")
        return head.position

    def _head_of(self, segment: Segment, offset: Offset, *, missing_ok: bool = False) -> Head:
        """The header of the batch that holds `offset`; past the last one (`missing_ok`), an empty one."""
        file = self._opened(segment)
        position = segment.position_before(offset)
        end: int = segment.base_offset
        try:
            while position < segment.size:
                before = position
                for head in heads(file.read(position, INDEX_STEP), 0, position):
                    if head.end_offset > offset:
                        return head
                    position, end = head.position + head.size, head.end_offset
                if position == before:
                    raise Damage(position, "less than a batch's header")
        except Damage as exc:
            raise StorageError(f"{file.path}: {exc}") from exc
        assert missing_ok, f"{file.path}: offset {offset} is past the end, {end}"
        return Head(position, max(end, offset), max(end, offset), 0)

    # --- handles ---

    def _opened(self, segment: Segment) -> File:
        file = segment.file
        if file is None:
            file = segment.file = self.disk.open(segment.name)
            if segment is not self.segments[-1]:
                self._readers.append(segment)
                if len(self._readers) > READERS_MAX:
                    self._close(self._readers[0])
        return file

    def _close(self, segment: Segment) -> None:
        if segment in self._readers:
            self._readers.remove(segment)
        if segment.file is not None:
            # A flush may be syncing it in another thread: its handle must not be given to another file meanwhile.
            (self._to_close.append if self._flush is not None else File.close)(segment.file)
            segment.file = None

    def finish(self) -> None:
        """Sync, and note that all is on the disk; no flush may be out."""
        self.disk.check()
        assert self._flush is None, "a flush is out"
        self._opened(self.segments[-1]).sync()
        self.flushed_offset = self.end_offset
        self.point.save(self.flushed_offset, durable=True)

    def abandon(self) -> None:
        """Give all handles back as they are."""
        for segment in self.segments:
            if segment.file is not None:
                segment.file.close()
                segment.file = None
        self._readers.clear()
        self.point.close()


def _range(
    data: bytes, position: int, start_offset: Offset, end_offset: Offset, max_bytes: int
) -> tuple[Head | None, int]:
    """The first batch in `data` that holds `start_offset`, if it is all there, and where the last wanted one ends."""
    first: Head | None = None
    last = position
    for head in heads(data, 0, position):
        end = head.position + head.size
        if head.end_offset <= start_offset:
            continue
        if end - position > len(data) or head.base_offset >= end_offset:
            break
        if first is None:
            first = head
        elif end - first.position > max_bytes:
            break
        last = end
    return first, last
