"""The files that the arguments of `yakt log` mean, opened only to be read; knows names, not what is in the files."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from yakt.errors import YaktError
from yakt.ids import Offset, OffsetAndEpoch
from yakt.storage import format as fmt


class UnreadableError(YaktError):
    """Nothing was found out: there is no such file, it may not be read, or it is none of a log's."""


@attrs.frozen
class OpenFile:
    """A file as long as it was when it was opened: what a running node appends meanwhile is not looked at."""

    path: str
    size: int
    handle: int

    def read(self, position: int, count: int) -> bytes:
        """Bytes `[position, position + count)`, fewer at the end of the file. Raises UnreadableError."""
        pieces: list[bytes] = []
        while count > 0:
            try:
                piece = os.pread(self.handle, count, position)
            except OSError as exc:
                raise UnreadableError(f"{self.path}: read failed: {exc.strerror}") from exc
            if not piece:
                break
            pieces.append(piece)
            position, count = position + len(piece), count - len(piece)
        return b"".join(pieces)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[OpenFile]:
    """The file, open for reading. Raises FileNotFoundError if it is not there, UnreadableError for all else."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise UnreadableError(f"{path}: {exc.strerror}") from exc
    try:
        yield OpenFile(str(path), os.fstat(handle).st_size, handle)
    finally:
        os.close(handle)


@attrs.frozen
class LogFiles:
    """The files of one log, in the order of their offsets. `directory` has the small files too; None if it was not
    named itself, only files in it."""

    name: str
    directory: Path | None
    segments: tuple[tuple[Offset, Path], ...]
    snapshots: tuple[tuple[OffsetAndEpoch, Path], ...]

    def load(self, name: str) -> bytes | None:
        """A small file, by its path in the data directory; None if it is not there. Raises UnreadableError."""
        if self.directory is None:
            return None
        path = self.directory / Path(name).name
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise UnreadableError(f"{path}: {exc.strerror}") from exc


def find_logs(paths: Sequence[Path]) -> list[LogFiles]:
    """The logs meant: one for each directory, and one for all files named in the same directory, in their order.

    Raises UnreadableError for what is neither a log's directory nor one of its files.
    """
    found: list[LogFiles] = []
    alone: dict[Path, list[Path]] = {}
    for path in paths:
        if path.is_dir():
            found.append(_of_directory(path))
            continue
        if not path.exists():
            raise UnreadableError(f"{path}: there is no such file or directory")
        if path.parent not in alone:
            found.append(LogFiles(str(path), None, (), ()))  # its place; filled below
        alone.setdefault(path.parent, []).append(path)
    named = iter(alone.values())
    return [log if log.directory else _of_files(next(named)) for log in found]


def _of_directory(path: Path) -> LogFiles:
    inner = path / fmt.LOG_DIRECTORY
    directory = inner if inner.is_dir() else path
    try:
        files = sorted(directory.iterdir())
    except OSError as exc:
        raise UnreadableError(f"{directory}: {exc.strerror}") from exc
    segments, snapshots = _sort(files)
    if not segments and not snapshots:
        raise UnreadableError(
            f"{path}: neither a data directory, which has {fmt.LOG_DIRECTORY} in it, nor a directory of .log and "
            ".checkpoint files"
        )
    return LogFiles(str(path), directory, segments, snapshots)


def _of_files(files: Sequence[Path]) -> LogFiles:
    segments, snapshots = _sort(files)
    if len(segments) + len(snapshots) < len(files):
        known = {path for _, path in (*segments, *snapshots)}
        other = next(path for path in files if path not in known)
        raise UnreadableError(
            f"{other}: a log's file is named by its offset, as {fmt.segment_name(Offset(0)).rpartition('/')[2]} or "
            f"{fmt.snapshot_name(fmt.BOOTSTRAP_SNAPSHOT_ID).rpartition('/')[2]}"
        )
    name = str(files[0]) if len(files) == 1 else str(files[0].parent)
    return LogFiles(name, None, segments, snapshots)


def _sort(
    files: Sequence[Path],
) -> tuple[tuple[tuple[Offset, Path], ...], tuple[tuple[OffsetAndEpoch, Path], ...]]:
    segments, snapshots = [], []
    for path in files:
        base_offset = fmt.parse_segment_name(path.name)
        if base_offset is not None:
            segments.append((base_offset, path))
        elif snapshot_id := fmt.parse_snapshot_name(path.name):
            snapshots.append((snapshot_id, path))
    return tuple(sorted(segments)), tuple(sorted(snapshots, key=lambda one: (one[0].offset, one[0].epoch)))
