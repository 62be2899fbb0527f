"""Walks the batches of a file and says where and why it stops being one. Does not decide what to do about it."""

import struct
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import google_crc32c

from yakt.batch import HEAD_SIZE, RecordBatch
from yakt.errors import CodecError
from yakt.ids import Offset
from yakt.wire import batch as wire

_HEADER = struct.Struct(">qiiBIhi")
_COUNT = struct.Struct(">i")
_COUNT_AT = 57
HEADER_SIZE = 61
"""What Kafka's v2 has before the first record."""
WINDOW = 1 << 20
_SEARCH_WINDOW = 4 << 20
_NO_PRODUCER = b"\xff" * 14
"""producerId, producerEpoch and baseSequence of every batch in a metadata log, at byte 43 of it."""
_NO_PRODUCER_AT = 43


class Damage(Exception):  # noqa: N818 - it is found, then judged
    """From `position` on the file is not batches any more.

    `incomplete`: the last batch looks cut short (or never written, zeros) rather than changed.
    """

    def __init__(self, position: int, reason: str, *, incomplete: bool = False) -> None:
        super().__init__(f"byte {position}: {reason}")
        self.position = position
        self.reason = reason
        self.incomplete = incomplete


class Readable(Protocol):
    """A file of batches: an open `disk.File`, or one that is only looked at. `path` is for messages."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    def read(self, position: int, count: int) -> bytes:
        """Bytes `[position, position + count)`, fewer at the end of the file."""


class Head(NamedTuple):
    """Where a batch lies, from its header alone; nothing is checked but that its size can be."""

    position: int
    base_offset: int
    end_offset: int
    size: int


def heads(data: bytes, start: int, position: int) -> Iterator[Head]:
    """The headers in `data[start:]`, which lies at `position` of its file, until one is not wholly there."""
    while start + HEADER_SIZE <= len(data):
        base_offset, length, _, _, _, _, last_delta = _HEADER.unpack_from(data, start)
        size = length + wire.LENGTH_END
        if size < HEADER_SIZE or last_delta < 0:
            raise Damage(position, "no batch begins here")
        yield Head(position, base_offset, base_offset + last_delta + 1, size)
        start += size
        position += size


def walk(file: Readable, position: int = 0) -> Iterator[tuple[int, RecordBatch]]:
    """Each batch with its position, checked as far as one batch can be. Raises Damage.

    Base offset and leader epoch lie outside the CRC: they are the caller's to check, who knows what came before.
    """
    window, window_at = b"", position
    while position < file.size:
        at = position - window_at
        if len(window) - at < HEADER_SIZE:
            window, window_at, at = file.read(position, WINDOW), position, 0
        if len(window) < HEADER_SIZE:
            raise Damage(position, f"{len(window)} bytes, less than a batch's header", incomplete=True)
        size = wire.LENGTH_END + int.from_bytes(window[at + 8 : at + wire.LENGTH_END], "big", signed=True)
        if position + size > file.size:
            left = file.size - position
            raise Damage(position, f"a batch of {size} bytes, of which the file holds {left}", incomplete=True)
        if not HEADER_SIZE <= size <= wire.READ_SIZE_MAX:
            zeros = _only_zeros(file, position)
            raise Damage(position, "only zeros" if zeros else f"a batch cannot have {size} bytes", incomplete=zeros)
        if len(window) - at < size:
            window, window_at, at = file.read(position, max(size, WINDOW)), position, 0
        try:
            batch = wire.read_batch(window, at, begun=window_at)
        except CodecError as exc:
            raise Damage(position, str(exc).removesuffix(f" (byte {position})")) from None
        if batch is None:
            raise Damage(position, "the file is shorter than it was a moment ago", incomplete=True)
        yield position, batch
        position += size


def finds_valid_batch(file: Readable, position: int, above: Offset) -> bool:
    """Whether any whole batch with a good CRC and a base offset past `above` begins after `position`.

    Looks for the fourteen 0xff that every batch of a metadata log has in its header, so it is one pass.
    """
    at = position + 1
    while at < file.size:
        window = file.read(at, _SEARCH_WINDOW + HEADER_SIZE)
        found = window.find(_NO_PRODUCER)
        while found >= 0:
            start = at + found - _NO_PRODUCER_AT
            if start > position and _is_valid_at(file, start, above):
                return True
            found = window.find(_NO_PRODUCER, found + 1)
        at += _SEARCH_WINDOW
    return False


def _is_valid_at(file: Readable, position: int, above: Offset) -> bool:
    header = file.read(position, HEADER_SIZE)
    if len(header) < HEADER_SIZE:
        return False
    base_offset, length, _, magic, crc, _, last_delta = _HEADER.unpack_from(header)
    (count,) = _COUNT.unpack_from(header, _COUNT_AT)
    size = length + wire.LENGTH_END
    plausible = magic == 2 and HEADER_SIZE <= size <= wire.READ_SIZE_MAX and count == last_delta + 1 >= 1
    if not plausible or base_offset <= above or position + size > file.size:
        return False
    return bool(google_crc32c.value(file.read(position + HEAD_SIZE, size - HEAD_SIZE)) == crc)


def _only_zeros(file: Readable, position: int) -> bool:
    while position < file.size:
        window = file.read(position, WINDOW)
        if window.strip(b"\0"):
            return False
        position += len(window) or WINDOW
    return True
