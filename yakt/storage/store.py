"""All that one node keeps on disk: `open_store` checks and mends the directory, `Store` carries out the disk effects.

Theory of operation. Everything here is called from one thread, but for `Flush.run` and a SnapshotWriter's `write` and
`sync`, which may run in a worker. What must be durable on return is (save_election, remember_voter, truncate,
install_snapshot, SnapshotWriter.finish); append is not: what it wrote is durable below what `finish_flush` returns.
After the first StorageError of a write or sync everything refuses: the node must end and recover.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from yakt.batch import ControlRecord, KRaftVersion, RecordBatch
from yakt.errors import CodecError, StorageError
from yakt.ids import ZERO_UUID, Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid, format_uuid
from yakt.storage import format as fmt
from yakt.storage.disk import Disk, FileSystem
from yakt.storage.files import OsFiles
from yakt.storage.format import MetaProperties, QuorumState
from yakt.storage.recovery import RecoveredLog, recover_log
from yakt.storage.segments import Flush, Log
from yakt.storage.snapshots import Snapshot, Snapshots, SnapshotWriter

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class LogLimits:
    """Sizes and ages, as `[log]` of the configuration has them; defaults are Kafka's."""

    segment_bytes: int = 1 << 30
    retention_bytes: int = 100 << 20
    """Of log and snapshots together; the newest snapshot and what follows it always stay."""
    retention_ms: int = 7 * 24 * 3600 * 1000
    tail_bytes: int = 16 << 20
    """How much of the log's end is kept in memory."""


@attrs.frozen(kw_only=True)
class Recovered:
    """What a start found. Offsets: the log is `[start_offset, end_offset)`, all of it durable."""

    directory_id: Uuid
    epoch: Epoch
    leader_id: NodeId | None
    voted: ReplicaKey | None
    start_offset: Offset
    end_offset: Offset
    epochs: tuple[OffsetAndEpoch, ...]
    """Each epoch in the log with its first offset (the log start for the first), ascending."""
    snapshots: tuple[tuple[OffsetAndEpoch, int], ...]
    """Ids with sizes, oldest first; the newest was read to its end and is whole."""
    directories: Mapping[NodeId, Uuid]
    """The directory each voter was first met with."""
    control: tuple[tuple[Offset, ControlRecord], ...]
    """KRaftVersion and Voters records, by offset. Those of the newest snapshot stand at its last offset, those of a
    0-0 snapshot (a directory formatted with voters, not yet in the log) at -1."""
    notes: tuple[str, ...]
    """Lines for the node's log: what was cut, finished or set aside."""


@attrs.frozen
class StoreStatistics:
    """Plain numbers for STATUS and metrics."""

    log_bytes: int
    segments: int
    snapshots: int
    snapshot_bytes: int
    flushes: int
    start_offset: Offset
    end_offset: Offset
    flushed_offset: Offset


def open_store(
    directory: Path | FileSystem,
    cluster_id: str,
    node_id: NodeId,
    random_uuid: Callable[[], Uuid],
    *,
    voters: Sequence[NodeId] = (),
    limits: LogLimits | None = None,
) -> "Store":
    """Open a data directory, making it on a first start. Raises StorageError: one line with file and what to do.

    `random_uuid` is asked once, for the directory id of a new directory (random version 4, none that Kafka reserves).
    `voters` are those of the configuration: quorum-state names them while kraft.version is 0. A FileSystem may stand
    in for real files.
    """
    disk = Disk(OsFiles(directory) if isinstance(directory, Path) else directory)
    limits = limits or LogLimits()
    disk.make_directory("")
    holder = disk.lock(fmt.LOCK)
    if holder is not None:
        raise StorageError(
            f"{disk.path(fmt.LOCK)}: {holder} has this data directory open; "
            "stop it, or give this node a directory of its own (node.data)"
        )
    try:
        return _open_locked(disk, cluster_id, node_id, random_uuid, tuple(voters), limits)
    except BaseException:
        disk.unlock()
        raise


def _open_locked(
    disk: Disk,
    cluster_id: str,
    node_id: NodeId,
    random_uuid: Callable[[], Uuid],
    voters: tuple[NodeId, ...],
    limits: LogLimits,
) -> "Store":
    directory_id = _open_directory(disk, cluster_id, node_id, random_uuid)
    notes = _tidy(disk)
    directories = _parsed(disk, fmt.VOTER_DIRECTORIES, fmt.parse_voter_directories) or {}
    election = _parsed(disk, fmt.QUORUM_STATE, fmt.parse_quorum_state)
    snapshots = Snapshots(disk)
    if election is None:
        if snapshots.ids or _has_records(disk):
            raise StorageError(
                f"{disk.path(fmt.QUORUM_STATE)}: is missing beside a log, and with it whom this node voted for. "
                f"{fmt.WHAT_TO_DO}"
            )
        election = QuorumState(Epoch(0), None, None, None, data_version=0, voters=voters)
    newest = snapshots.newest_valid(notes)
    recovered = recover_log(
        disk,
        segment_bytes=limits.segment_bytes,
        tail_bytes=limits.tail_bytes,
        epoch_max=election.epoch,
        snapshots=snapshots.ids,
    )
    snapshots.set_aside(notes)
    return Store(disk, limits, directory_id, voters, election, directories, snapshots, newest, recovered, notes)


class Store:
    """An open data directory; `recovered` is what it held when it was opened."""

    def __init__(
        self,
        disk: Disk,
        limits: LogLimits,
        directory_id: Uuid,
        voters: tuple[NodeId, ...],
        election: QuorumState,
        directories: dict[NodeId, Uuid],
        snapshots: Snapshots,
        newest: Snapshot | None,
        recovered_log: RecoveredLog,
        notes: list[str],
    ) -> None:
        self.directory_id = directory_id
        self._disk = disk
        self._limits = limits
        self._voters = voters
        self._election = election
        self._directories = directories
        self._snapshots = snapshots
        self._newest = newest
        self._log: Log = recovered_log.log
        self._flushes = 0
        self._mark_snapshot()
        snapshots.on_adopted = self._on_snapshot
        control = _control(snapshots, newest, recovered_log)
        levels = [record.level for _, record in control if isinstance(record, KRaftVersion)]
        self._kraft_version = max(levels, default=0)
        voted: ReplicaKey | None = None
        if election.voted_id is not None:
            directory = election.voted_directory_id or directories.get(election.voted_id, ZERO_UUID)
            voted = ReplicaKey(election.voted_id, directory)
        log = self._log
        self.recovered = Recovered(
            directory_id=directory_id,
            epoch=election.epoch,
            leader_id=election.leader_id,
            voted=voted,
            start_offset=log.start_offset,
            end_offset=log.end_offset,
            epochs=tuple(entry for entry in log.epochs if entry.offset < log.end_offset),
            snapshots=snapshots.sizes,
            directories=dict(directories),
            control=control,
            notes=(*notes, *recovered_log.notes),
        )

    # --- the log ---

    @property
    def start_offset(self) -> Offset:
        """Where the log begins."""
        return self._log.start_offset

    @property
    def end_offset(self) -> Offset:
        """One past the last record written."""
        return self._log.end_offset

    def offer(self, batch: RecordBatch) -> None:
        """`batch` is about to be appended: it can be read from now on, so that replicas get it before it is synced."""
        self._log.tail.add(batch)

    def append(self, batches: Sequence[RecordBatch]) -> None:
        """Write consecutive batches at the log's end; not durable yet, but for the name of a new epoch."""
        for batch in batches:
            for record in batch.control:
                if isinstance(record, KRaftVersion):
                    self._kraft_version = record.level
        self._log.append(batches)

    def begin_flush(self) -> Flush | None:
        """What to sync, in any thread (`run`), for all that was appended to be durable; None if it is already."""
        return self._log.begin_flush()

    def finish_flush(self, flush: Flush) -> Offset:
        """After `flush.run()`: all below the result is durable, and nothing of it was truncated meanwhile."""
        self._disk.check()
        self._flushes += 1
        return self._log.finish_flush(flush)

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> list[RecordBatch]:
        """Whole batches from the one that holds `start_offset`, none that begins at or past `end_offset`.

        At most `max_bytes`, but at least one batch; fewer where a segment ends. Raises StorageError if damaged.
        """
        return self._log.read(start_offset, end_offset, max_bytes)

    def truncate(self, end_offset: Offset) -> None:
        """Drop all at or past `end_offset`, where a batch must begin; durable on return."""
        self._log.truncate(end_offset)
        self._mark_snapshot()

    def save_recovery_point(self) -> None:
        """Note how far the log is durable, without a sync of its own: to be called about once a second."""
        self._log.save_recovery_point()

    # --- elections ---

    def save_election(self, epoch: Epoch, leader_id: NodeId | None, voted: ReplicaKey | None) -> None:
        """Replace quorum-state; durable on return. An epoch never falls."""
        assert epoch >= self._election.epoch, f"epoch {epoch} after {self._election.epoch}"
        version = 1 if self._kraft_version >= 1 or self._election.data_version == 1 else 0
        state = QuorumState(
            epoch=epoch,
            leader_id=leader_id,
            voted_id=voted.id if voted else None,
            voted_directory_id=voted.directory_id if voted else None,
            data_version=version,
            voters=self._voters,
        )
        self._disk.replace(fmt.QUORUM_STATE, fmt.format_quorum_state(state))
        self._election = state

    def remember_voter(self, voter: ReplicaKey) -> None:
        """Note the directory a voter was first met with; durable on return."""
        directories = {**self._directories, voter.id: voter.directory_id}
        self._disk.replace(fmt.VOTER_DIRECTORIES, fmt.format_voter_directories(directories))
        self._directories = directories

    # --- snapshots ---

    @property
    def snapshots(self) -> tuple[tuple[OffsetAndEpoch, int], ...]:
        """Ids with sizes in bytes, oldest first."""
        return self._snapshots.sizes

    @property
    def newest_snapshot(self) -> Snapshot | None:
        """The newest one, with the time of the last record it covers."""
        return self._newest

    @property
    def bytes_since_snapshot(self) -> int:
        """Bytes of log past the newest snapshot's end (all of it while there is none)."""
        return self._since_snapshot + self._log.appended_bytes - self._appended_then

    def begin_snapshot(self, snapshot_id: OffsetAndEpoch) -> SnapshotWriter:
        """Start a snapshot of our own: write its bytes, sync (in a worker), finish."""
        return self._snapshots.begin(snapshot_id)

    def snapshot_batches(self, snapshot_id: OffsetAndEpoch) -> Iterator[RecordBatch]:
        """Every batch of a snapshot for loading, header's and footer's too. Raises StorageError where it is damaged."""
        return self._snapshots.batches(snapshot_id)

    def snapshot_control(self, snapshot_id: OffsetAndEpoch) -> tuple[ControlRecord, ...]:
        """KRaftVersion and Voters in the first batch of a snapshot; none at kraft.version 0."""
        return self._snapshots.find(snapshot_id).control

    def read_snapshot(self, snapshot_id: OffsetAndEpoch, position: int, max_bytes: int) -> bytes:
        """Bytes of a snapshot file for FetchSnapshot; also of one removed within the last minute. LookupError: none."""
        return self._snapshots.read(snapshot_id, position, max_bytes)

    def write_snapshot_part(self, snapshot_id: OffsetAndEpoch, position: int, data: bytes) -> None:
        """Put the next piece of a download; position 0 begins it anew and drops any other."""
        self._snapshots.write_part(snapshot_id, position, data)

    def install_snapshot(self, snapshot_id: OffsetAndEpoch) -> None:
        """The download is whole: it becomes a snapshot, the log is cleared and begins at its end; durable on return.

        Raises StorageError if what was downloaded is no whole snapshot: nothing has changed then, and it may
        be downloaded anew.
        """
        self._snapshots.install(snapshot_id)
        self._log.restart(snapshot_id)
        self._mark_snapshot()

    def clean(self, now_ms: int) -> OffsetAndEpoch | None:
        """Keep to the retention limits (storage.md §3); the oldest snapshot that is left, if any was removed.

        While too much is kept, or the oldest snapshot is too old, and there are two: the oldest goes, the log begins
        at the next one's end, and segments below that go. To be called about once a minute.
        """
        self._snapshots.sweep(now_ms)
        oldest: OffsetAndEpoch | None = None
        ids = list(self._snapshots.ids)
        while len(ids) >= 2 and self._is_too_much(ids[0], now_ms):
            self._snapshots.retire(ids.pop(0), now_ms)
            oldest = ids[0]
            self._log.trim(max(self._log.start_offset, oldest.offset))
        return oldest

    def _is_too_much(self, oldest: OffsetAndEpoch, now_ms: int) -> bool:
        total = self._log.size + sum(size for _, size in self._snapshots.sizes)
        if total > self._limits.retention_bytes:
            return True
        return now_ms - self._snapshots.find(oldest).timestamp_ms > self._limits.retention_ms

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        if self._newest is None or snapshot.id > self._newest.id:
            self._newest = snapshot
        if self._newest is snapshot and snapshot.id.offset <= self._log.end_offset:
            self._mark_snapshot()
            self._log.save_recovery_point()

    def _mark_snapshot(self) -> None:
        """Begin to count anew how much log there is past the newest snapshot."""
        offset = self._newest.id.offset if self._newest else Offset(0)
        self._since_snapshot = self._log.bytes_from(max(offset, self._log.start_offset))
        self._appended_then = self._log.appended_bytes

    # --- the end ---

    def statistics(self) -> StoreStatistics:
        """Plain numbers, as they are now."""
        log = self._log
        return StoreStatistics(
            log_bytes=log.size,
            segments=len(log.segments),
            snapshots=len(self.snapshots),
            snapshot_bytes=sum(size for _, size in self.snapshots),
            flushes=self._flushes,
            start_offset=log.start_offset,
            end_offset=log.end_offset,
            flushed_offset=log.flushed_offset,
        )

    def close(self, *, clean: bool = True) -> None:
        """Give everything back; `clean`: sync the log and note so. No flush may be out then."""
        try:
            if clean:
                self._log.finish()
        finally:
            self._log.abandon()
            self._snapshots.close()
            self._disk.unlock()


def _open_directory(disk: Disk, cluster_id: str, node_id: NodeId, random_uuid: Callable[[], Uuid]) -> Uuid:
    """Whose directory is it? Makes what a first start needs; `meta.properties` last, so that it means all is there."""
    path = disk.path(fmt.META_PROPERTIES)
    properties = _parsed(disk, fmt.META_PROPERTIES, fmt.parse_meta_properties)
    own = "give this node a directory of its own (node.data)"
    if properties is not None:
        if properties.cluster_id != cluster_id:
            raise StorageError(
                f"{path}: cluster.id is {properties.cluster_id}, the configuration says {cluster_id}: "
                f"this directory is of another cluster; {own}, or correct cluster.id"
            )
        if properties.node_id != node_id:
            raise StorageError(
                f"{path}: node.id is {properties.node_id}, the configuration says {node_id}: "
                f"this directory is another node's; {own}, or correct node.id"
            )
    elif fmt.QUORUM_STATE.rpartition("/")[2] in disk.list(fmt.LOG_DIRECTORY) or _has_records(disk):
        raise StorageError(f"{path}: is missing, but there is a log beside it. {fmt.WHAT_TO_DO}")
    disk.make_directory(fmt.LOG_DIRECTORY)
    if disk.load(fmt.PARTITION_METADATA) is None:
        disk.replace(fmt.PARTITION_METADATA, fmt.format_partition_metadata())
    if properties is not None and properties.directory_id is not None:
        if _is_reserved(properties.directory_id):
            raise StorageError(f"{path}: directory.id {format_uuid(properties.directory_id)} is one Kafka reserves")
        return properties.directory_id
    directory_id = random_uuid()
    while _is_reserved(directory_id) or format_uuid(directory_id).startswith("-"):
        directory_id = random_uuid()
    disk.replace(fmt.META_PROPERTIES, fmt.format_meta_properties(MetaProperties(cluster_id, node_id, directory_id)))
    return directory_id


def _is_reserved(uuid: Uuid) -> bool:
    return uuid[:8] == bytes(8) and int.from_bytes(uuid[8:], "big", signed=True) < 100


def _tidy(disk: Disk) -> list[str]:
    """Only the owner may read the files; leftovers and what Kafka would take for true although we write on, go."""
    indexes = 0
    for directory in ("", fmt.LOG_DIRECTORY):
        for name in disk.list(directory):
            path = f"{directory}/{name}" if directory else name
            if name.endswith(fmt.TEMPORARY):
                disk.unlink(path)
            elif name.endswith(fmt.INDEXES) or path == fmt.CLEAN_SHUTDOWN:
                disk.unlink(path)
                indexes += 1
            elif path != fmt.LOG_DIRECTORY and not name.endswith(".checkpoint"):
                disk.restrict(path, 0o600)
    note = f"{disk.path('')}: removed {indexes} index files; Kafka makes them again when it needs them"
    return [note] if indexes else []


def _has_records(disk: Disk) -> bool:
    for name in disk.list(fmt.LOG_DIRECTORY):
        if fmt.parse_segment_name(name) is not None:
            file = disk.open(f"{fmt.LOG_DIRECTORY}/{name}")
            file.close()
            if file.size > 0:
                return True
    return False


def _parsed(disk: Disk, name: str, parse: Callable[[bytes], _T]) -> _T | None:
    data = disk.load(name)
    if data is None:
        return None
    try:
        return parse(data)
    except CodecError as exc:
        raise StorageError(f"{disk.path(name)}: {exc}. {fmt.WHAT_TO_DO}") from None


def _control(
    snapshots: Snapshots, newest: Snapshot | None, recovered_log: RecoveredLog
) -> tuple[tuple[Offset, ControlRecord], ...]:
    entries = list(recovered_log.control)
    if newest is not None:
        entries += [(Offset(newest.id.offset - 1), record) for record in newest.control]
    if not entries:
        entries = [(Offset(-1), record) for record in snapshots.bootstrap_control()]
    return tuple(sorted(entries, key=lambda entry: entry[0]))
