"""The state machine of the fast mode: a log of requests, each applied once; small enough to be obviously right."""

import struct
from collections.abc import Iterable, Iterator
from typing import TypeAlias
from zlib import crc32

import msgspec

from yakt.batch import ControlRecord, RecordBatch
from yakt.ids import Offset

Request: TypeAlias = tuple[int, int]
"""(client, the client's own number for the request); a client numbers upwards and has one request open at a time."""

_REQUEST = struct.Struct(">II")


def seal(requests: Iterable[Request]) -> tuple[int, bytes]:
    """The crc and body of a batch of requests."""
    body = b"".join([_REQUEST.pack(*request) for request in requests])
    return crc32(body), body


def seal_control(records: tuple[ControlRecord, ...]) -> tuple[int, bytes]:
    """The crc and body of a control batch; whoever reads it looks at the records that travel decoded beside it."""
    body = repr(records).encode()
    return crc32(body), body


def requests_of(batch: RecordBatch) -> Iterator[Request]:
    """The requests in a batch, in offset order; none in a control batch."""
    if batch.control:
        return iter(())
    return _REQUEST.iter_unpack(batch.body)


class Machine:
    """Everything below `applied` folded: which request of each client came last, and a digest of all of them."""

    __slots__ = ("applied", "digest", "last")

    def __init__(self, data: bytes | None = None) -> None:
        """`data`: a snapshot to begin from."""
        self.applied = Offset(0)
        self.digest = 0
        self.last: dict[int, tuple[int, int]] = {}
        """By client: its last request, and the offset where that lies."""
        if data is not None:
            applied, self.digest, last = msgspec.msgpack.decode(data, type=_SNAPSHOT)
            self.applied = Offset(applied)
            self.last = dict(last)

    def apply(self, batch: RecordBatch) -> None:
        """Fold in the batch that starts at `applied`."""
        assert batch.base_offset == self.applied, "batches are applied in log order, each once"
        offset = batch.base_offset
        for client, number in requests_of(batch):
            self.last[client] = (number, offset)
            offset = Offset(offset + 1)
        self.digest = hash((self.digest, batch.base_offset, batch.crc))
        self.applied = batch.end_offset

    def snapshot(self) -> bytes:
        """All of this as bytes; equal states give equal bytes."""
        return msgspec.msgpack.encode((self.applied, self.digest, sorted(self.last.items())))


_SNAPSHOT = tuple[int, int, list[tuple[int, tuple[int, int]]]]
