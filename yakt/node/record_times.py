"""When records were appended: their batches' times, read from the kept log; a time's offset by bisection."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

import trio

from yakt.batch import RecordBatch
from yakt.ids import Offset
from yakt.metadata.image import MetadataImage
from yakt.wire.batch import timestamp_ms

KNOWN_MAX = 20_000
"""Times kept: rows are asked for again and again, and the log never changes below the high watermark."""
A_STEP = 32
"""Looked up in the log before others get their turn."""


class LogPart(Protocol):
    """The part of storage that this needs."""

    @property
    def start_offset(self) -> Offset:
        """The first that is kept."""
        ...

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> Sequence[RecordBatch]:
        """Whole batches from the one that holds `start_offset`, at least one."""
        ...


class RecordTimes:
    """Times of committed records, in ms of the wall clock of who led then."""

    def __init__(self, store: LogPart) -> None:
        self._store = store
        self._known: OrderedDict[int, int] = OrderedDict()
        self._batch = (0, 0, 0)
        """The one that was read last: its offsets, half-open, and its time. Neighbours are asked for together."""

    async def of(self, offsets: Sequence[int], image: MetadataImage) -> list[int]:
        """Of each of these, all below the image's end; for what is no longer kept, that of the first that is."""
        found: list[int] = []
        for position, offset in enumerate(offsets, 1):
            known = self._known.get(offset)
            if known is None:
                known = self._look_up(offset, image)
                if position % A_STEP == 0:
                    await trio.lowlevel.checkpoint()
            found.append(known)
        return found

    def _look_up(self, offset: int, image: MetadataImage) -> int:
        kept = max(offset, self._store.start_offset)
        if kept >= image.end_offset:
            return image.timestamp_ms
        start, end, time_ms = self._batch
        if not start <= kept < end:
            batch = self._store.read(Offset(kept), Offset(kept + 1), 1)[0]
            time_ms = timestamp_ms(batch.body)
            self._batch = (batch.base_offset, batch.end_offset, time_ms)
        if kept == offset:
            self._known[offset] = time_ms
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return time_ms

    async def first_at(self, time_ms: int, end_offset: int) -> int:
        """The first offset below `end_offset` appended at or after that time, or `end_offset`.

        By bisection: where a new leader's clock was behind the old one's, one of the places that fit.
        """
        low, high = int(self._store.start_offset), end_offset
        while low < high:
            middle = (low + high) // 2
            batch = self._store.read(Offset(middle), Offset(middle + 1), 1)[0]
            if timestamp_ms(batch.body) >= time_ms:
                high = max(low, int(batch.base_offset))
            else:
                low = int(batch.end_offset)
            await trio.lowlevel.checkpoint()
            low = max(low, min(high, int(self._store.start_offset)))
        return min(low, end_offset)
