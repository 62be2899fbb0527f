"""Snapshot files: written, downloaded, checked, read, and removed a while after. Knows no log.

A snapshot is written to a `.part` file, synced, made read-only, renamed, and the directory synced: one that has its
name is whole, so one that does not check was changed afterwards. A removed one keeps being served under `.deleted`
until nobody has asked for it for a minute.
"""

from collections.abc import Callable, Iterator

import attrs

from yakt.batch import ControlRecord, KRaftVersion, RecordBatch, SnapshotHeader, Voters
from yakt.errors import CodecError, StorageError
from yakt.ids import OffsetAndEpoch
from yakt.storage import format as fmt
from yakt.storage.disk import Disk, File
from yakt.storage.scan import Damage, Readable, walk
from yakt.wire.snapshot import check_snapshot

DELETE_DELAY_MS = 60_000
SERVED_MAX = 4
"""Snapshots kept open for those who download them."""
_READ_ONLY = 0o400


@attrs.frozen
class Snapshot:
    """A whole snapshot file. `timestamp_ms`: when the last record it covers was appended."""

    id: OffsetAndEpoch
    size: int
    timestamp_ms: int
    control: tuple[ControlRecord, ...] = ()
    """The quorum's own level and voters, if its first batch names them."""


@attrs.define
class _Deleted:
    size: int
    due_ms: int
    was_read: bool = False


class SnapshotWriter:
    """A snapshot being made. `write` and `sync` may run in a worker thread, one at a time; `finish` may not."""

    def __init__(self, snapshots: "Snapshots", snapshot_id: OffsetAndEpoch, file: File) -> None:
        self.id = snapshot_id
        self._snapshots = snapshots
        self._file = file
        self._synced = -1

    def write(self, data: bytes) -> None:
        """Add a piece: whole batches, or any part of them."""
        self._file.append((data,))

    def sync(self) -> None:
        """Make durable what is written and read it back, so that `finish` need not; StorageError if it is not whole."""
        self._file.sync()
        check_whole(self._file, self.id)
        self._synced = self._file.size

    def finish(self) -> Snapshot:
        """Give the file its name, durably. Raises StorageError if it is no whole snapshot; then `abort` it."""
        if self._synced != self._file.size:
            self.sync()
        return self._snapshots.adopt(self.id, self._file)

    def abort(self) -> None:
        """Drop it."""
        self._file.close()
        self._snapshots.disk.unlink(self._file.name)


class Snapshots:
    """The snapshots of one data directory, by id."""

    def __init__(self, disk: Disk) -> None:
        """List what is there; part files and removed snapshots of the last run go."""
        self.disk = disk
        self.on_adopted: Callable[[Snapshot], None] = lambda snapshot: None
        self._sizes: dict[OffsetAndEpoch, int] = {}
        self._known: dict[OffsetAndEpoch, Snapshot] = {}
        self._deleted: dict[OffsetAndEpoch, _Deleted] = {}
        self._served: dict[OffsetAndEpoch, File] = {}
        self._download: tuple[OffsetAndEpoch, File] | None = None
        for name in disk.list(fmt.LOG_DIRECTORY):
            path = f"{fmt.LOG_DIRECTORY}/{name}"
            if name.endswith((fmt.PART, fmt.DELETED, fmt.TEMPORARY)):
                disk.unlink(path)
            elif (snapshot_id := fmt.parse_snapshot_name(name)) and snapshot_id != fmt.BOOTSTRAP_SNAPSHOT_ID:
                file = disk.open(path)
                self._sizes[snapshot_id] = file.size
                file.close()

    @property
    def ids(self) -> tuple[OffsetAndEpoch, ...]:
        """All whole snapshots, oldest first."""
        return tuple(sorted(self._sizes))

    @property
    def sizes(self) -> tuple[tuple[OffsetAndEpoch, int], ...]:
        """Ids with sizes in bytes, oldest first."""
        return tuple(sorted(self._sizes.items()))

    def newest_valid(self, notes: list[str]) -> Snapshot | None:
        """Check snapshots from the newest on until one is whole; the damaged ones are no longer counted.

        They keep their names until `set_aside`, since without them the node may have to refuse to start.
        """
        for snapshot_id in reversed(self.ids):
            try:
                return self.check(snapshot_id)
            except StorageError as exc:
                notes.append(f"{exc}: not used")
                del self._sizes[snapshot_id]
        return None

    def set_aside(self, notes: list[str]) -> None:
        """The node can do without the damaged ones: rename them so that nobody takes them for snapshots."""
        for name in self.disk.list(fmt.LOG_DIRECTORY):
            snapshot_id = fmt.parse_snapshot_name(name)
            if snapshot_id and snapshot_id != fmt.BOOTSTRAP_SNAPSHOT_ID and snapshot_id not in self._sizes:
                path = f"{fmt.LOG_DIRECTORY}/{name}"
                self.disk.rename(path, f"{path}.damaged")
                self.disk.sync_directory(fmt.LOG_DIRECTORY)
                notes.append(f"{self.disk.path(path)}: renamed to {name}.damaged; the log holds what it held")

    def check(self, snapshot_id: OffsetAndEpoch) -> Snapshot:
        """Read it to its end. Raises StorageError, naming file, byte and reason, if it is not whole."""
        first: RecordBatch | None = None
        for batch in self.batches(snapshot_id):
            first = first or batch
        assert first is not None
        return self._describe(snapshot_id, first)

    def find(self, snapshot_id: OffsetAndEpoch) -> Snapshot:
        """What the first batch says of a snapshot in the list."""
        if snapshot_id not in self._known:
            self._describe(snapshot_id, next(self.batches(snapshot_id)))
        return self._known[snapshot_id]

    def _describe(self, snapshot_id: OffsetAndEpoch, first: RecordBatch) -> Snapshot:
        header = first.control[0]
        assert isinstance(header, SnapshotHeader)
        snapshot = Snapshot(
            snapshot_id, self._sizes[snapshot_id], header.last_contained_log_timestamp, first.control[1:]
        )
        self._known[snapshot_id] = snapshot
        return snapshot

    def batches(self, snapshot_id: OffsetAndEpoch) -> Iterator[RecordBatch]:
        """Every batch of a snapshot, header's and footer's too, checked as it goes; a piece of the file at a time."""
        file = self.disk.open(fmt.snapshot_name(snapshot_id))
        try:
            yield from checked_batches(file, snapshot_id)
        finally:
            file.close()

    def bootstrap_control(self) -> tuple[ControlRecord, ...]:
        """KRaftVersion and Voters of the local 0-0 snapshot that `kafka-storage format` makes; empty if none."""
        name = fmt.snapshot_name(fmt.BOOTSTRAP_SNAPSHOT_ID)
        if name.rpartition("/")[2] not in self.disk.list(fmt.LOG_DIRECTORY):
            return ()
        records = [record for batch in self.batches(fmt.BOOTSTRAP_SNAPSHOT_ID) for record in batch.control]
        return tuple(record for record in records if isinstance(record, KRaftVersion | Voters))

    # --- serving ---

    def read(self, snapshot_id: OffsetAndEpoch, position: int, max_bytes: int) -> bytes:
        """Bytes of the file as it is. Raises LookupError for one that is neither there nor lately removed."""
        file = self._served.pop(snapshot_id, None)
        if file is None:
            name = fmt.snapshot_name(snapshot_id)
            if snapshot_id in self._deleted:
                name += fmt.DELETED
            elif snapshot_id not in self._sizes:
                raise LookupError(f"no snapshot {snapshot_id}")
            file = self.disk.open(name)
        self._served[snapshot_id] = file
        while len(self._served) > SERVED_MAX:
            self._served.pop(next(iter(self._served))).close()
        if snapshot_id in self._deleted:
            self._deleted[snapshot_id].was_read = True
        return file.read(position, max_bytes)

    # --- making ---

    def begin(self, snapshot_id: OffsetAndEpoch) -> SnapshotWriter:
        """Start writing a snapshot of our own."""
        assert snapshot_id not in self._sizes, f"there is a snapshot {snapshot_id} already"
        return SnapshotWriter(self, snapshot_id, self.disk.open(fmt.part_name(snapshot_id, "own"), create=True))

    def write_part(self, snapshot_id: OffsetAndEpoch, position: int, data: bytes) -> None:
        """Put the next piece of a download; position 0 begins it, and drops whatever download there was."""
        if position == 0:
            self._drop_download()
            self._download = (snapshot_id, self.disk.open(fmt.part_name(snapshot_id, "download"), create=True))
        assert self._download is not None, f"the download of {snapshot_id} was not begun"
        assert self._download[0] == snapshot_id, f"{self._download[0]} is being downloaded, not {snapshot_id}"
        file = self._download[1]
        assert position == file.size, f"the next byte of {snapshot_id} is {file.size}, not {position}"
        file.append((data,))

    def install(self, snapshot_id: OffsetAndEpoch) -> Snapshot:
        """The download is whole: sync it, check it, give it its name. Raises StorageError if it is no snapshot."""
        assert self._download is not None, f"{snapshot_id} was not downloaded"
        assert self._download[0] == snapshot_id, f"{self._download[0]} was downloaded, not {snapshot_id}"
        file = self._download[1]
        file.sync()
        check_whole(file, snapshot_id)
        self._download = None
        return self.adopt(snapshot_id, file)

    def adopt(self, snapshot_id: OffsetAndEpoch, file: File) -> Snapshot:
        """Give a part file that is synced and whole its name, durably, and close it."""
        size = file.size
        file.close()
        name = fmt.snapshot_name(snapshot_id)
        self.disk.restrict(file.name, _READ_ONLY)
        self.disk.rename(file.name, name)
        self.disk.sync_directory(fmt.LOG_DIRECTORY)
        self._sizes[snapshot_id] = size
        self._known.pop(snapshot_id, None)
        stale = self._served.pop(snapshot_id, None)
        if stale is not None:
            stale.close()
        snapshot = self.find(snapshot_id)
        self.on_adopted(snapshot)
        return snapshot

    def _drop_download(self) -> None:
        if self._download is not None:
            _, file = self._download
            self._download = None
            file.close()
            self.disk.unlink(file.name)

    # --- removing ---

    def retire(self, snapshot_id: OffsetAndEpoch, now_ms: int) -> None:
        """No longer one of ours, durably; whoever downloads it may finish."""
        name = fmt.snapshot_name(snapshot_id)
        self.disk.rename(name, name + fmt.DELETED)
        self.disk.sync_directory(fmt.LOG_DIRECTORY)
        was_read = snapshot_id in self._served
        self._deleted[snapshot_id] = _Deleted(self._sizes.pop(snapshot_id), now_ms + DELETE_DELAY_MS, was_read)
        self._known.pop(snapshot_id, None)

    def sweep(self, now_ms: int) -> None:
        """Remove retired snapshots whose time is up; one that was read since the last sweep gets another minute."""
        for snapshot_id, deleted in list(self._deleted.items()):
            if deleted.was_read:
                deleted.was_read = False
                deleted.due_ms = now_ms + DELETE_DELAY_MS
            elif now_ms >= deleted.due_ms:
                del self._deleted[snapshot_id]
                file = self._served.pop(snapshot_id, None)
                if file is not None:
                    file.close()
                self.disk.unlink(fmt.snapshot_name(snapshot_id) + fmt.DELETED)

    def close(self) -> None:
        """Give all handles back."""
        for file in self._served.values():
            file.close()
        self._served.clear()
        if self._download is not None:
            self._download[1].close()
            self._download = None


def check_whole(file: Readable, snapshot_id: OffsetAndEpoch) -> None:
    """Read a snapshot file to its end; StorageError if it is not whole."""
    for _ in checked_batches(file, snapshot_id):
        pass


def checked_batches(file: Readable, snapshot_id: OffsetAndEpoch) -> Iterator[RecordBatch]:
    """The batches of a snapshot file, checked as they pass. StorageError, naming file and byte, where it is not one."""
    try:
        yield from check_snapshot(walk(file), snapshot_id.epoch)
    except Damage as damage:
        raise StorageError(f"{file.path}: {damage}; the snapshot is damaged") from None
    except CodecError as exc:
        position = file.size if exc.position is None else exc.position
        reason = str(exc).removesuffix(f" (byte {position})")
        raise StorageError(f"{file.path}: byte {position}: {reason}; the snapshot is damaged") from None
