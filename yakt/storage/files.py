"""The operating system's files under one data directory, as `disk.FileSystem` wants them; interprets nothing."""

import contextlib
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

_PIECES_MAX = 1024
"""IOV_MAX on Linux: what one pwritev takes."""


class OsFiles:
    """Real files below `root`, which is made, 0700, with its parents."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock: int | None = None

    def path(self, name: str) -> str:
        return str(self.root / name)

    def lock(self, name: str) -> str | None:
        """An flock: the kernel drops it with the process, however that ends."""
        handle = os.open(self.root / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 64, 0).decode("ascii", "replace").strip()
            os.close(handle)
            return f"process {holder}" if holder else "another process"
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle
        return None

    def unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def list(self, directory: str) -> Sequence[str]:
        try:
            return os.listdir(self.root / directory)
        except FileNotFoundError:
            return ()

    def make_directory(self, name: str) -> None:
        path = self.root / name
        made: list[Path] = []
        missing = path
        while not missing.exists():
            made.append(missing)
            missing = missing.parent
        for directory in reversed(made):
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            _sync_path(directory.parent)
        os.chmod(path, 0o700)

    def sync_directory(self, name: str) -> None:
        _sync_path(self.root / name)

    def open(self, name: str, create: bool) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if create else 0)
        try:
            return os.open(self.root / name, flags, 0o600)
        except PermissionError:
            if create:
                raise
            return os.open(self.root / name, os.O_RDONLY | os.O_CLOEXEC)  # a whole snapshot is read-only

    def close(self, handle: int) -> None:
        os.close(handle)

    def size(self, handle: int) -> int:
        return os.fstat(handle).st_size

    def read(self, handle: int, position: int, count: int) -> bytes:
        data = os.pread(handle, count, position)
        if len(data) == count or not data:
            return data
        pieces = [data]
        left, position = count - len(data), position + len(data)
        while left > 0 and (data := os.pread(handle, left, position)):  # a read over 2 GiB, or a signal
            pieces.append(data)
            left, position = left - len(data), position + len(data)
        return b"".join(pieces)

    def write(self, handle: int, position: int, pieces: Sequence[bytes]) -> int:
        return os.pwritev(handle, pieces[:_PIECES_MAX], position)

    def sync(self, handle: int) -> None:
        os.fdatasync(handle)

    def truncate(self, handle: int, size: int) -> None:
        os.ftruncate(handle, size)
        os.fsync(handle)  # whether fdatasync covers a file that shrank is up to the file system

    def rename(self, old: str, new: str) -> None:
        os.rename(self.root / old, self.root / new)

    def unlink(self, name: str) -> None:
        os.unlink(self.root / name)

    def restrict(self, name: str, mode: int) -> None:
        os.chmod(self.root / name, mode)


def _sync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
