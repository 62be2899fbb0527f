"""Makes a Log out of what a crash, a power cut or Kafka left in the directory, or refuses; verification.md §5.

1. An incomplete last batch with nothing valid after it is cut.
2. A whole one with a bad CRC, or a header that does not fit, is cut only if it lies past the recovery point.
3. Anything bad before valid data, or below the recovery point, is refused, with file, byte, offset and reason.
Kafka's CRC leaves the header's first fields out: they are checked against what else is known.
"""

from collections.abc import Sequence

import attrs

from yakt.batch import ControlRecord, KRaftVersion, LeaderChange, RecordBatch, Voters
from yakt.errors import CodecError, StorageError
from yakt.ids import Epoch, Offset, OffsetAndEpoch
from yakt.storage import format as fmt
from yakt.storage.disk import Disk
from yakt.storage.recovery_point import RecoveryPointFile
from yakt.storage.scan import Damage, finds_valid_batch, walk
from yakt.storage.segments import Log, Segment
from yakt.storage.tail import Tail


@attrs.define
class _Scan:
    """What has been read of the log so far."""

    next_offset: Offset
    last_epoch: Epoch | None = None
    epochs: list[OffsetAndEpoch] = attrs.field(factory=list)
    places: dict[Epoch, str] = attrs.field(factory=dict)
    """Where each epoch's first batch is, for messages."""
    control: list[tuple[Offset, ControlRecord]] = attrs.field(factory=list)

    def take(self, batch: RecordBatch, position: int, path: str, epoch_max: Epoch) -> None:
        """Check what the CRC does not cover against the batches before; raises Damage, or StorageError at once."""
        epoch = batch.leader_epoch
        if batch.base_offset != self.next_offset:
            raise Damage(position, f"base offset {batch.base_offset}, where {self.next_offset} comes next")
        if epoch > epoch_max:
            where = f"{path}: byte {position}, offset {batch.base_offset}"
            raise StorageError(
                f"{where}: leader epoch {epoch}, but quorum-state knows none past {epoch_max}. {fmt.WHAT_TO_DO}"
            )
        if epoch != self.last_epoch:
            if self.last_epoch is not None and epoch < self.last_epoch:
                raise Damage(position, f"leader epoch {epoch} after {self.last_epoch}")
            opens = bool(batch.control) and isinstance(batch.control[0], LeaderChange)
            if not opens and (self.last_epoch is not None or batch.base_offset == 0):
                raise Damage(position, f"leader epoch {epoch} does not begin with a LeaderChange")
            self.epochs.append(OffsetAndEpoch(epoch, batch.base_offset))
            self.places[epoch] = f"{path}: byte {position}"
            self.last_epoch = epoch
        for index, record in enumerate(batch.control):
            if isinstance(record, KRaftVersion | Voters):
                self.control.append((Offset(batch.base_offset + index), record))
        self.next_offset = batch.end_offset


@attrs.frozen
class RecoveredLog:
    """The log, ready to be written; the voter sets and levels in it; and lines for people about what was mended."""

    log: Log
    control: tuple[tuple[Offset, ControlRecord], ...]
    notes: tuple[str, ...]


def recover_log(
    disk: Disk, *, segment_bytes: int, tail_bytes: int, epoch_max: Epoch, snapshots: Sequence[OffsetAndEpoch]
) -> RecoveredLog:
    """Check everything, finish what was begun, cut what may be cut. Raises StorageError for all else.

    `snapshots`: the valid ones, ascending. `epoch_max`: quorum-state's epoch.
    """
    notes: list[str] = []
    segments = _list_segments(disk)
    point = RecoveryPointFile.open(disk)
    if point is not None:
        _finish_intent(disk, segments, point, notes)
    first_base = segments[0].base_offset if segments else Offset(0)
    scan = _Scan(next_offset=first_base)
    for index, segment in enumerate(segments):
        _scan_segment(disk, segment, scan, epoch_max, point, index == len(segments) - 1, notes)

    newest = snapshots[-1] if snapshots else None
    end_offset = scan.next_offset
    is_behind = newest is not None and _is_ahead(newest, scan)
    if point is not None and max(end_offset, newest.offset if newest and is_behind else 0) < point.flushed:
        raise StorageError(
            f"{disk.path(fmt.LOG_DIRECTORY)}: the log ends at offset {end_offset}, but was on the disk up to "
            f"{point.flushed} ({point.path}). {fmt.WHAT_TO_DO}"
        )
    if newest is not None and not is_behind and newest.offset > end_offset:
        raise StorageError(
            f"{disk.path(fmt.snapshot_name(newest))}: ends past the log ({end_offset}), though in an earlier epoch. "
            f"{fmt.WHAT_TO_DO}"
        )
    checkpoint = _load_checkpoint(disk, notes)
    if point is not None and point.point.restart is not None:
        checkpoint = None  # the crash may have left the one of the log that is gone
    elif point is not None and point.point.truncate is not None and checkpoint is not None:
        checkpoint = tuple(entry for entry in checkpoint if entry.offset <= end_offset)
    start_offset = end_offset if is_behind else _start(disk, first_base, scan, checkpoint, snapshots)
    # A killed process leaves its writes in the page cache: they count as durable only from here on.
    was_known = point is not None
    for segment in segments[-1:] if was_known else segments:
        file = disk.open(segment.name)
        file.sync()
        file.close()
    disk.sync_directory(fmt.LOG_DIRECTORY)
    point = point or RecoveryPointFile.create(disk, Offset(0))
    log = Log(disk, segment_bytes, point, Tail(tail_bytes), segments, start_offset, end_offset, scan.epochs)
    if is_behind:
        assert newest is not None
        if end_offset > 0:
            notes.append(f"the log ended at {end_offset}, before the snapshot: it begins anew at {newest.offset}")
        log.restart(newest)
        return RecoveredLog(log, (), tuple(notes))
    if not segments:
        log.restart_files(Offset(0))
    log.raise_first_epoch()
    if checkpoint is not None:
        _compare_epochs(disk, log, checkpoint, scan, was_known, notes)
    if not log.epochs and start_offset > 0:
        log.epochs = [next(each for each in snapshots if each.offset >= start_offset)]
    if checkpoint is None or tuple(log.epochs) != checkpoint:
        log.save_epochs()
    log.flushed_offset = end_offset
    point.save(end_offset, durable=True)
    control = tuple(entry for entry in scan.control if entry[0] >= start_offset)
    return RecoveredLog(log, control, tuple(notes))


def _list_segments(disk: Disk) -> list[Segment]:
    bases = [fmt.parse_segment_name(name) for name in disk.list(fmt.LOG_DIRECTORY)]
    return [Segment(base) for base in bases if base is not None]


def _finish_intent(disk: Disk, segments: list[Segment], point: RecoveryPointFile, notes: list[str]) -> None:
    """Repeat the files' part of a truncation or restart that a crash may have cut short; all of it is idempotent."""
    intent = point.point
    if intent.truncate is None and intent.restart is None:
        return
    for segment in segments:
        file = disk.open(segment.name)
        segment.size = file.size
        file.close()
    log = Log(disk, 0, point, Tail(0), segments, Offset(0), Offset(0), [])
    if intent.restart is not None:
        log.restart_files(intent.restart.offset)
        notes.append(f"finished restarting the log at the snapshot's end, {intent.restart.offset}")
    elif intent.truncate is not None and segments:
        log.cut_files(intent.truncate)
        notes.append(f"finished truncating the log to offset {intent.truncate}")


def _scan_segment(
    disk: Disk,
    segment: Segment,
    scan: _Scan,
    epoch_max: Epoch,
    point: RecoveryPointFile | None,
    is_last: bool,
    notes: list[str],
) -> None:
    file = segment.file or disk.open(segment.name)
    segment.size = file.size
    if segment.base_offset != scan.next_offset:
        raise StorageError(
            f"{file.path}: offset {scan.next_offset} comes next, but this segment begins at {segment.base_offset}. "
            f"{fmt.WHAT_TO_DO}"
        )
    try:
        for position, batch in walk(file):
            scan.take(batch, position, file.path, epoch_max)
            segment.note(batch.base_offset, position)
    except Damage as damage:
        where = f"{file.path}: byte {damage.position}, offset {scan.next_offset}: {damage.reason}"
        why = "a further segment follows" if not is_last else None
        if why is None and finds_valid_batch(file, damage.position, scan.next_offset):
            why = "valid batches follow"
        if why is None and point is not None and scan.next_offset < point.flushed:
            why = f"the log was on the disk up to offset {point.flushed}"
        if why is None and point is None and not damage.incomplete:
            why = "nothing tells whether it was on the disk"
        if why is not None:
            raise StorageError(f"{where}; {why}. {fmt.WHAT_TO_DO}") from None
        cut = file.size - damage.position
        file.truncate(damage.position)
        segment.size = file.size
        segment.cut_index(damage.position)
        notes.append(f"{where}: cut these last {cut} bytes, which never were on the disk as a whole")
    finally:
        if file is not segment.file:
            file.close()


def _is_ahead(snapshot: OffsetAndEpoch, scan: _Scan) -> bool:
    """Whether the snapshot is past the log's end, by epoch, then offset (raft.md §7)."""
    if scan.last_epoch is None:
        return snapshot.offset > scan.next_offset
    return snapshot > OffsetAndEpoch(scan.last_epoch, scan.next_offset)


def _load_checkpoint(disk: Disk, notes: list[str]) -> tuple[OffsetAndEpoch, ...] | None:
    data = disk.load(fmt.EPOCH_CHECKPOINT)
    if data is None:
        return None
    try:
        return fmt.parse_epoch_checkpoint(data)
    except CodecError as exc:
        notes.append(f"{disk.path(fmt.EPOCH_CHECKPOINT)}: {exc}: written anew from the log")
        return None


def _start(
    disk: Disk,
    first_base: Offset,
    scan: _Scan,
    checkpoint: tuple[OffsetAndEpoch, ...] | None,
    snapshots: Sequence[OffsetAndEpoch],
) -> Offset:
    """The log start is stored nowhere but in the checkpoint's first entry; below it, segments may hold more."""
    if checkpoint:
        start = max(first_base, checkpoint[0].offset)
    else:
        start = first_base and next((each.offset for each in snapshots if each.offset >= first_base), first_base)
    if start > scan.next_offset:
        raise StorageError(
            f"{disk.path(fmt.EPOCH_CHECKPOINT)}: the log begins at {start}, but its files end at {scan.next_offset}. "
            f"{fmt.WHAT_TO_DO}"
        )
    if start > 0 and (not snapshots or snapshots[-1].offset < start):
        raise StorageError(
            f"{disk.path(fmt.LOG_DIRECTORY)}: the log begins at offset {start}, and no valid snapshot holds what was "
            f"before. {fmt.WHAT_TO_DO}"
        )
    return start


def _compare_epochs(
    disk: Disk,
    log: Log,
    checkpoint: tuple[OffsetAndEpoch, ...],
    scan: _Scan,
    was_known: bool,
    notes: list[str],
) -> None:
    """The checkpoint is ahead of the log by at most one entry, which begins at its end; else both are the same."""
    path = disk.path(fmt.EPOCH_CHECKPOINT)
    held = tuple(entry for entry in checkpoint if entry.offset < log.end_offset)
    ahead = checkpoint[len(held) :]
    found = tuple(entry for entry in log.epochs if entry.offset < log.end_offset)
    if held == found and all(entry.offset == log.end_offset for entry in ahead[:1]) and len(ahead) <= 1:
        if ahead and log.start_offset == log.end_offset:
            log.epochs = list(ahead)
        elif ahead:
            notes.append(f"{path}: epoch {ahead[0].epoch} left no batch at {ahead[0].offset}: entry removed")
        return
    if not was_known:
        notes.append(f"{path}: did not agree with the log: written anew from it")
        return
    for place in range(max(len(held), len(found)) + 1):
        named = checkpoint[place] if place < len(checkpoint) else None
        real = found[place] if place < len(found) else None
        if named != real:
            says = f"epoch {named.epoch} begins at {named.offset}" if named else "there is no further epoch"
            place_in_log = scan.places[real.epoch] if real else disk.path(fmt.LOG_DIRECTORY)
            has = f"offset {real.offset} begins epoch {real.epoch}" if real else "there is no such epoch"
            raise StorageError(f"{path}: {says}; but {place_in_log}: {has}. {fmt.WHAT_TO_DO}")
