"""A disk in memory that forgets what was not synced, for the real Store. Pure: no file, no clock, no chance of its own.

It stands in for `storage.files.OsFiles` (`open_store(FakeFiles(), …)`). Contents and directory entries are each kept
twice, as they are and as they are on the disk, with the operations between in order. `crash` keeps of every file's
and every directory's a prefix, maybe with the last write torn or only its length there: harsher than a journalling
file system, which keeps an order among files too.

Faults: `cut_after` loses power after so many operations (PowerCut; then `crash`), `fail` answers an operation with an
OSError, `room` is how many more bytes fit.
"""

import errno
from collections.abc import Callable, Sequence

import attrs


class PowerCut(Exception):  # noqa: N818 - an event
    """The operation did not happen, and no later one will."""


_Write = tuple[int, bytes]
"""Position and bytes; or position and no bytes: cut the file there."""


@attrs.define(eq=False)
class _Node:
    content: bytearray = attrs.field(factory=bytearray)
    durable: bytearray = attrs.field(factory=bytearray)
    pending: list[_Write] = attrs.field(factory=list)

    def sync(self) -> None:
        for position, data in self.pending:
            _apply(self.durable, position, data)
        self.pending.clear()


@attrs.define(eq=False)
class _Directory:
    names: dict[str, _Node] = attrs.field(factory=dict)
    durable: dict[str, _Node] = attrs.field(factory=dict)
    pending: list[Callable[[dict[str, _Node]], object]] = attrs.field(factory=list)

    def change(self, operation: Callable[[dict[str, _Node]], object]) -> None:
        operation(self.names)
        self.pending.append(operation)

    def sync(self) -> None:
        for operation in self.pending:
            operation(self.durable)
        self.pending.clear()


class FakeFiles:
    """The files of one data directory; survives `crash` as a disk does. Directories are durable when made."""

    def __init__(self) -> None:
        self._directories: dict[str, _Directory] = {}
        self._handles: dict[int, _Node] = {}
        self._names: dict[int, str] = {}
        self._next_handle = 3
        self._locked = False
        self.operations = 0
        """How many that change the disk have been done."""
        self.cut_after: int | None = None
        self.fail: Callable[[str, str], OSError | None] = lambda operation, name: None
        self.room: int | None = None

    # --- what the simulator does to it ---

    def crash(self, choose: Callable[[int], int]) -> None:
        """Power is lost and comes back: every file and directory keeps a prefix of what was not synced.

        `choose(n)` picks from 0 to n, both included; n keeps everything, 0 nothing (and for how a write is torn: 0
        cut short, 1 its length is there and the rest zeros).
        """
        for directory in self._directories.values():
            for operation in directory.pending[: choose(len(directory.pending))]:
                operation(directory.durable)
            directory.pending.clear()
            directory.names = dict(directory.durable)
            for node in dict.fromkeys(directory.names.values()):
                _lose(node, choose)
        self.end_process()

    def end_process(self) -> None:
        """kill -9: everything written stays, handles and lock go."""
        self._handles.clear()
        self._names.clear()
        self._locked = False
        self.cut_after = None

    def content(self, name: str) -> bytes:
        """A file as a reader sees it now."""
        directory, last = self._at(name)
        return bytes(directory.names[last].content)

    def flip(self, name: str, at: int) -> None:
        """Turn over the lowest bit of a byte, also for those who have the file open."""
        directory, last = self._at(name)
        node = directory.names[last]
        node.content[at] ^= 1
        if at < len(node.durable):
            node.durable[at] ^= 1

    def put(self, name: str, content: bytes) -> None:
        """Give a file durable contents, as if by another hand (a bit flip, a copied directory)."""
        directory, last = self._at(name)
        node = _Node(bytearray(content), bytearray(content))
        directory.names[last] = directory.durable[last] = node

    def names(self) -> list[str]:
        """All files, as paths."""
        return sorted(
            f"{path}/{name}" if path else name
            for path, directory in self._directories.items()
            for name in directory.names
        )

    # --- storage.disk.FileSystem ---

    def path(self, name: str) -> str:
        return f"/disk/{name}"

    def lock(self, name: str) -> str | None:
        if self._locked:
            return "process 1"
        self._locked = True
        return None

    def unlock(self) -> None:
        self._locked = False

    def list(self, directory: str) -> Sequence[str]:
        found = self._directories.get(directory)
        return list(found.names) if found else ()

    def make_directory(self, name: str) -> None:
        if name not in self._directories:
            self._count("mkdir", name)
            self._directories[name] = _Directory()

    def sync_directory(self, name: str) -> None:
        self._count("fsync directory", name)
        self._directories[name].sync()

    def open(self, name: str, create: bool) -> int:
        directory, last = self._at(name)
        if create:
            self._count("create", name)
            node = _Node()
            directory.change(lambda names: names.__setitem__(last, node))
        elif last not in directory.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self._next_handle += 1
        self._handles[self._next_handle] = directory.names[last]
        self._names[self._next_handle] = name
        return self._next_handle

    def close(self, handle: int) -> None:
        del self._handles[handle], self._names[handle]

    def size(self, handle: int) -> int:
        return len(self._handles[handle].content)

    def read(self, handle: int, position: int, count: int) -> bytes:
        if (error := self.fail("read", self._names[handle])) is not None:
            raise error
        return bytes(self._handles[handle].content[position : position + count])

    def write(self, handle: int, position: int, pieces: Sequence[bytes]) -> int:
        self._count("write", self._names[handle])
        data = b"".join(pieces)
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[: self.room]
            self.room -= len(data)
        node = self._handles[handle]
        _apply(node.content, position, data)
        node.pending.append((position, data))
        return len(data)

    def sync(self, handle: int) -> None:
        self._count("sync", self._names[handle])
        self._handles[handle].sync()

    def truncate(self, handle: int, size: int) -> None:
        self._count("truncate", self._names[handle])
        node = self._handles[handle]
        _apply(node.content, size, b"")
        node.pending.append((size, b""))

    def rename(self, old: str, new: str) -> None:
        self._count("rename", old)
        directory, last = self._at(old)
        target = self._at(new)[1]
        node = directory.names[last]

        def move(names: dict[str, _Node]) -> None:
            names.pop(last, None)
            names[target] = node

        directory.change(move)

    def unlink(self, name: str) -> None:
        self._count("unlink", name)
        directory, last = self._at(name)
        if last not in directory.names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        directory.change(lambda names: names.pop(last, None))

    def restrict(self, name: str, mode: int) -> None:
        pass

    def _at(self, name: str) -> tuple[_Directory, str]:
        directory, _, last = name.rpartition("/")
        return self._directories[directory], last

    def _count(self, operation: str, name: str) -> None:
        if self.cut_after is not None and self.operations >= self.cut_after:
            raise PowerCut
        if (error := self.fail(operation, name)) is not None:
            raise error
        self.operations += 1


def _apply(content: bytearray, position: int, data: bytes) -> None:
    if not data:
        del content[position:]
        return
    if position > len(content):
        content.extend(bytes(position - len(content)))
    content[position : position + len(data)] = data


def _lose(node: _Node, choose: Callable[[int], int]) -> None:
    kept = choose(len(node.pending))
    for position, data in node.pending[:kept]:
        _apply(node.durable, position, data)
    if kept < len(node.pending):
        position, data = node.pending[kept]
        part = choose(len(data))
        if 0 < part < len(data):
            torn = data[:part]
            if choose(1) and position + len(data) > len(node.durable):
                torn += bytes(len(data) - part)
            _apply(node.durable, position, torn)
    node.pending.clear()
    node.content = bytearray(node.durable)
