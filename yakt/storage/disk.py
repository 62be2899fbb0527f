"""A data directory as storage sees it: named files, and failures that stick. Does not know the operating system.

`FileSystem` is the one seam to it: `storage/files.py` is the real one, `sim/disk.py` forgets what was not synced.
Names are relative to the data directory, with `/`. Every OSError becomes a StorageError that names file, operation
and reason; after one that may have lost data, nothing is done on this disk any more: a second fsync would say "fine".
"""

import contextlib
import errno as errno_codes
from collections.abc import Sequence
from typing import Protocol

import attrs

from yakt.errors import StorageError
from yakt.storage import format as fmt


class FileSystem(Protocol):
    """Plain file operations. Each may raise OSError; none retries. `sync` may be called from another thread."""

    def path(self, name: str) -> str:
        """What people are told the file is called."""

    def lock(self, name: str) -> str | None:
        """Take the directory for this process until `unlock`; None, or who else has it."""

    def unlock(self) -> None: ...

    def list(self, directory: str) -> Sequence[str]:
        """Names in a directory; nothing if it is not there."""

    def make_directory(self, name: str) -> None:
        """Make it if it is missing, 0700 either way."""

    def sync_directory(self, name: str) -> None: ...

    def open(self, name: str, create: bool) -> int:
        """For reading and writing; `create`: 0600, and empty if it existed."""

    def close(self, handle: int) -> None: ...

    def size(self, handle: int) -> int: ...

    def read(self, handle: int, position: int, count: int) -> bytes:
        """Fewer than `count` bytes only at the end of the file."""

    def write(self, handle: int, position: int, pieces: Sequence[bytes]) -> int:
        """How many bytes were taken: maybe not all."""

    def sync(self, handle: int) -> None: ...

    def truncate(self, handle: int, size: int) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def unlink(self, name: str) -> None: ...

    def restrict(self, name: str, mode: int) -> None: ...


_CLOSED = -1
"""Closed twice, a handle could by then be another file's."""


@attrs.define(eq=False)
class File:
    """An open file; `size` is where the next append goes."""

    disk: "Disk"
    name: str
    handle: int
    size: int

    @property
    def path(self) -> str:
        """For messages."""
        return self.disk.path(self.name)

    def append(self, pieces: Sequence[bytes]) -> None:
        """Write all pieces at the end, or raise; what a failed write left behind, recovery cuts off."""
        self.size += self.write(self.size, pieces)

    def write(self, position: int, pieces: Sequence[bytes]) -> int:
        """Write all pieces at `position`; the number of bytes written."""
        disk = self.disk
        disk.check()
        total = sum(map(len, pieces))
        try:
            written = disk.files.write(self.handle, position, pieces)
            while written < total:
                rest = b"".join(pieces)[written:]
                more = disk.files.write(self.handle, position + written, (rest,))
                if more <= 0:
                    raise OSError(errno_codes.EIO, "the file takes no more bytes")
                written += more
        except OSError as exc:
            raise disk.failed("write", self.name, exc) from exc
        return total

    def read(self, position: int, count: int) -> bytes:
        """Bytes `[position, position + count)`, fewer at the end of the file."""
        self.disk.check()
        try:
            return self.disk.files.read(self.handle, position, count)
        except OSError as exc:
            raise self.disk.failed("read", self.name, exc) from exc

    def sync(self) -> None:
        """Return when all that was written is durable. Thread-safe; the directory entry is not meant by it."""
        self.disk.check()
        try:
            self.disk.files.sync(self.handle)
        except OSError as exc:
            raise self.disk.failed("fdatasync", self.name, exc) from exc

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, durably."""
        self.disk.check()
        try:
            self.disk.files.truncate(self.handle, size)
        except OSError as exc:
            raise self.disk.failed("truncate", self.name, exc) from exc
        self.size = size
        self.sync()

    def close(self) -> None:
        """Give the handle back, once; an error here means nothing, what matters was synced."""
        handle, self.handle = self.handle, _CLOSED
        if handle != _CLOSED:
            with contextlib.suppress(OSError):
                self.disk.files.close(handle)


class Disk:
    """One data directory. The first failure is kept and raised again by everything that follows."""

    def __init__(self, files: FileSystem) -> None:
        self.files = files
        self.failure: StorageError | None = None

    def check(self) -> None:
        """Raise the failure this disk has had, if any."""
        if self.failure is not None:
            raise StorageError(f"not tried after an earlier failure: {self.failure}")

    def failed(self, operation: str, name: str, error: OSError) -> StorageError:
        """Keep the failure; give it back to be raised."""
        code = errno_codes.errorcode.get(error.errno or 0, str(error.errno))
        failure = StorageError(f"{self.path(name)}: {operation} failed: {error.strerror or error} ({code})")
        self.failure = self.failure or failure
        return failure

    def path(self, name: str) -> str:
        """For messages."""
        return self.files.path(name)

    def lock(self, name: str) -> str | None:
        """Take the directory for this process; None, or who else has it."""
        try:
            return self.files.lock(name)
        except OSError as exc:
            raise self.failed("lock", name, exc) from exc

    def unlock(self) -> None:
        """Let others have it."""
        self.files.unlock()

    def list(self, directory: str) -> Sequence[str]:
        """Names in `directory` ("" for the data directory itself), sorted; none if it does not exist."""
        try:
            return sorted(self.files.list(directory))
        except OSError as exc:
            raise self.failed("list", directory, exc) from exc

    def make_directory(self, name: str) -> None:
        """Make it if missing, readable by its owner only."""
        self.check()
        try:
            self.files.make_directory(name)
        except OSError as exc:
            raise self.failed("mkdir", name, exc) from exc

    def open(self, name: str, create: bool = False) -> File:
        """Open for reading and writing; `create` begins an empty file (its entry is not durable before a sync)."""
        self.check()
        try:
            handle = self.files.open(name, create)
            return File(self, name, handle, self.files.size(handle))
        except OSError as exc:
            raise self.failed("open", name, exc) from exc

    def load(self, name: str) -> bytes | None:
        """A small file, whole; None if it is not there."""
        directory, _, last = name.rpartition("/")
        if last not in self.list(directory):
            return None
        file = self.open(name)
        try:
            return file.read(0, file.size)
        finally:
            file.close()

    def replace(self, name: str, data: bytes) -> None:
        """Give a file new contents at one stroke: a crash leaves the old or the new, durable on return."""
        temporary = name + fmt.TEMPORARY
        file = self.open(temporary, create=True)
        try:
            file.append((data,))
            file.sync()
        finally:
            file.close()
        self.rename(temporary, name)
        self.sync_directory(name.rpartition("/")[0])

    def rename(self, old: str, new: str) -> None:
        """Move a file over another; durable after `sync_directory`."""
        self.check()
        try:
            self.files.rename(old, new)
        except OSError as exc:
            raise self.failed(f"rename to {new}", old, exc) from exc

    def unlink(self, name: str) -> None:
        """Remove a file; durable after `sync_directory`."""
        self.check()
        try:
            self.files.unlink(name)
        except OSError as exc:
            raise self.failed("unlink", name, exc) from exc

    def restrict(self, name: str, mode: int) -> None:
        """Set who may do what with a file."""
        self.check()
        try:
            self.files.restrict(name, mode)
        except OSError as exc:
            raise self.failed("chmod", name, exc) from exc

    def sync_directory(self, name: str) -> None:
        """Return when the entries of a directory are durable."""
        self.check()
        try:
            self.files.sync_directory(name)
        except OSError as exc:
            raise self.failed("fsync of the directory", name, exc) from exc
