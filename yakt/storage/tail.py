"""The newest batches, kept in memory so that replicas' fetches rarely reach the file. Knows no file."""

from bisect import bisect_right

from yakt.batch import RecordBatch
from yakt.ids import Offset

_COMPACT_AT = 1024
"""Dropped batches are only skipped, and swept away this many at a time."""


class Tail:
    """Consecutive batches up to the log end, and maybe one past it that is offered but not yet appended."""

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self.size = 0
        self._bases: list[Offset] = []
        self._batches: list[RecordBatch] = []
        self._first = 0

    def __len__(self) -> int:
        return len(self._batches) - self._first

    @property
    def start_offset(self) -> Offset | None:
        """Where the kept batches begin; None while there are none."""
        return self._bases[self._first] if len(self) else None

    def add(self, batch: RecordBatch) -> None:
        """Keep `batch`, in place of whatever was kept at or past its base offset; the oldest make room."""
        batches = self._batches
        if len(self):
            last = batches[-1]
            if (last.base_offset, last.leader_epoch, last.crc) == (batch.base_offset, batch.leader_epoch, batch.crc):
                return  # offered before, appended now
            if last.end_offset != batch.base_offset:
                self.drop_from(batch.base_offset)
                if len(self) and batches[-1].end_offset != batch.base_offset:
                    self.clear()
        self._bases.append(batch.base_offset)
        batches.append(batch)
        self.size += batch.size
        while self.size > self.size_max and len(self) > 1:
            self.size -= batches[self._first].size
            self._first += 1
        if self._first >= _COMPACT_AT:
            del batches[: self._first], self._bases[: self._first]
            self._first = 0

    def drop_from(self, end_offset: Offset) -> None:
        """Forget every batch that holds a record at or past `end_offset`."""
        while len(self) and self._batches[-1].end_offset > end_offset:
            self.size -= self._batches.pop().size
            self._bases.pop()

    def clear(self) -> None:
        """Forget everything."""
        self._bases.clear()
        self._batches.clear()
        self._first = self.size = 0

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> list[RecordBatch]:
        """Whole batches from the one that holds `start_offset`, which must be kept; see `Log.read`."""
        found: list[RecordBatch] = []
        index = bisect_right(self._bases, start_offset, self._first) - 1
        if index < self._first:
            return found
        for batch in self._batches[index:]:
            max_bytes -= batch.size
            if batch.base_offset >= end_offset or (found and max_bytes < 0):
                break
            if batch.end_offset > start_offset:
                found.append(batch)
        return found
