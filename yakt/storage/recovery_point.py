"""How far the log was known to be on the disk, and changes of the log that a crash must not leave half done.

The file has two slots that take turns, each with a CRC: rewriting it once a second needs neither a rename nor a sync,
and a torn write leaves the slot before. An intent (truncate, restart) is synced before the log is touched and taken
back after; recovery carries out what it finds, so both are as good as atomic.
"""

from yakt.errors import StorageError
from yakt.ids import Offset, OffsetAndEpoch
from yakt.storage import format as fmt
from yakt.storage.disk import Disk, File
from yakt.storage.format import RecoveryPoint


class RecoveryPointFile:
    """The open file and what is in force."""

    def __init__(self, file: File, point: RecoveryPoint) -> None:
        self._file = file
        self.point = point

    @classmethod
    def open(cls, disk: Disk) -> "RecoveryPointFile | None":
        """The file as it was left; None in a directory that YAKt has not written yet. Raises StorageError."""
        if fmt.RECOVERY_POINT not in disk.list(""):
            return None
        file = disk.open(fmt.RECOVERY_POINT)
        point = fmt.parse_recovery_point(file.read(0, 2 * fmt.SLOT_SIZE))
        if point is None:
            # Whole before it had its name, and only one slot is ever being written.
            raise StorageError(f"{file.path}: neither slot can be read: the file was changed. {fmt.WHAT_TO_DO}")
        return cls(file, point)

    @classmethod
    def create(cls, disk: Disk, flushed: Offset) -> "RecoveryPointFile":
        """Make the file, durably."""
        point = RecoveryPoint(0, flushed)
        temporary = fmt.RECOVERY_POINT + fmt.TEMPORARY
        file = disk.open(temporary, create=True)
        file.append((fmt.format_recovery_point(point), b" " * (fmt.SLOT_SIZE - 1) + b"\n"))
        file.sync()
        disk.rename(temporary, fmt.RECOVERY_POINT)
        disk.sync_directory("")
        file.name = fmt.RECOVERY_POINT
        return cls(file, point)

    @property
    def path(self) -> str:
        """For messages."""
        return self._file.path

    @property
    def flushed(self) -> Offset:
        """Everything below is on the disk, or was before an unfinished intent."""
        return self.point.flushed

    def save(self, flushed: Offset, *, durable: bool) -> None:
        """All below `flushed` is on the disk; no intent is open. Without `durable` a power cut may forget it."""
        if durable or flushed != self.point.flushed:
            self._write(RecoveryPoint(self.point.sequence + 1, flushed), durable=durable)

    def intend_truncate(self, end_offset: Offset) -> None:
        """From here on the log ends at `end_offset` at the latest, whatever its files say."""
        flushed = min(self.point.flushed, end_offset)
        self._write(RecoveryPoint(self.point.sequence + 1, flushed, truncate=end_offset), durable=True)

    def intend_restart(self, snapshot_id: OffsetAndEpoch) -> None:
        """From here on the log is empty and begins at the snapshot's end, whatever its files say."""
        self._write(RecoveryPoint(self.point.sequence + 1, snapshot_id.offset, restart=snapshot_id), durable=True)

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    def _write(self, point: RecoveryPoint, *, durable: bool) -> None:
        self._file.write(point.position, (fmt.format_recovery_point(point),))
        if durable:
            self._file.sync()
        self.point = point
