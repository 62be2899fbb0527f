"""The log as the core knows it: where it starts and ends, what is durable, which epoch begins where. No bytes.

Epoch boundaries answer the one question Raft asks of a log: where does yours part from mine (storage.md §3)?
"""

from bisect import bisect_right
from typing import TypeAlias

import attrs

from yakt.batch import ControlRecord
from yakt.ids import Epoch, Offset, OffsetAndEpoch


@attrs.frozen
class LogState:
    """What was found on disk at start, all of it durable.

    `epochs`: (epoch, offset of its first record), ascending in both. `snapshots`: (id, bytes), ascending. `control`:
    KRaftVersion and Voters records by offset, ascending: -1 for the 0-0 checkpoint's, a snapshot's end offset - 1 for
    those of the snapshot the log starts at; further kinds of record are allowed and ignored.
    An empty log that follows a snapshot starts and ends at the snapshot's end offset.
    """

    start_offset: Offset = Offset(0)
    end_offset: Offset = Offset(0)
    epochs: tuple[OffsetAndEpoch, ...] = ()
    snapshots: tuple[tuple[OffsetAndEpoch, int], ...] = ()
    control: tuple[tuple[Offset, ControlRecord], ...] = ()


@attrs.frozen
class Diverges:
    """The fetcher's log is not a prefix of ours: `point` is our largest epoch at or below its own, and its end."""

    point: OffsetAndEpoch


@attrs.frozen
class NeedsSnapshot:
    """What the fetcher lacks is no longer in the log: it must load this one."""

    snapshot_id: OffsetAndEpoch


Mismatch: TypeAlias = Diverges | NeedsSnapshot


class Log:
    """Offsets `[start_offset, end_offset)`; everything below `flushed_end` is durable here."""

    def __init__(self, state: LogState) -> None:
        self.start_offset = state.start_offset
        self.end_offset = state.end_offset
        self.flushed_end = state.end_offset
        self.snapshots: dict[OffsetAndEpoch, int] = {}
        for snapshot_id, size in state.snapshots:
            self.note_snapshot(snapshot_id, size)
        self._epochs: list[Epoch] = [entry.epoch for entry in state.epochs]
        self._starts: list[Offset] = [entry.offset for entry in state.epochs]
        self.last_epoch = self._find_last_epoch()

    @property
    def end(self) -> OffsetAndEpoch:
        """Where the log ends: the epoch of its last record, and the offset past it. Vote compares these."""
        return OffsetAndEpoch(self.last_epoch, self.end_offset)

    @property
    def durable_end(self) -> OffsetAndEpoch:
        """Where the log would end after a crash: what may be claimed to others."""
        if self.flushed_end == self.end_offset:
            return self.end
        oldest = self.oldest_snapshot
        if oldest is not None and self.flushed_end <= self.start_offset == oldest.offset:
            return oldest  # and as long as there is one where the log starts, it starts there
        return OffsetAndEpoch(self.epoch_at(Offset(self.flushed_end - 1)) or Epoch(0), self.flushed_end)

    @property
    def epochs(self) -> tuple[OffsetAndEpoch, ...]:
        """(epoch, offset of its first record in the log), ascending."""
        return tuple(map(OffsetAndEpoch, self._epochs, self._starts))

    @property
    def oldest_snapshot(self) -> OffsetAndEpoch | None:
        """The snapshot kept with the smallest end; the 0-0 checkpoint is no snapshot of the log."""
        return min((snapshot for snapshot in self.snapshots if snapshot.offset > 0), default=None)

    @property
    def newest_snapshot(self) -> OffsetAndEpoch | None:
        """The one served to who lacks the start of the log."""
        return max((snapshot for snapshot in self.snapshots if snapshot.offset > 0), default=None)

    def append(self, base_offset: Offset, epoch: Epoch, count: int) -> None:
        """Add `count` records of `epoch`. Offsets are dense and epochs never fall."""
        assert base_offset == self.end_offset, f"append at {base_offset}, the log ends at {self.end_offset}"
        assert epoch >= self.last_epoch, f"append of epoch {epoch} after epoch {self.last_epoch}"
        assert count > 0, "append of nothing"
        if epoch > self.last_epoch or not self._epochs:
            self._epochs.append(epoch)
            self._starts.append(base_offset)
            self.last_epoch = epoch
        self.end_offset = Offset(base_offset + count)

    def flush(self, end_offset: Offset) -> bool:
        """Note that everything below `end_offset` is durable; whether that is news."""
        assert end_offset <= self.end_offset, f"flushed to {end_offset}, the log ends at {self.end_offset}"
        if end_offset <= self.flushed_end:
            return False
        self.flushed_end = end_offset
        return True

    def truncate(self, end_offset: Offset) -> None:
        """Forget everything at or past `end_offset`."""
        assert self.start_offset <= end_offset <= self.end_offset, f"truncation to {end_offset} outside the log"
        self.end_offset = end_offset
        self.flushed_end = min(self.flushed_end, end_offset)
        while self._starts and self._starts[-1] >= end_offset:
            self._starts.pop()
            self._epochs.pop()
        self.last_epoch = self._find_last_epoch()

    def note_snapshot(self, snapshot_id: OffsetAndEpoch, size: int) -> None:
        """Serve it from now on. One that ends below the start of the log is none of this log's: storage keeps those
        from before an installed one, and one may have been in the making meanwhile."""
        if snapshot_id.offset >= self.start_offset or snapshot_id.offset == 0:
            self.snapshots[snapshot_id] = size

    def restart_at(self, snapshot_id: OffsetAndEpoch, size: int) -> None:
        """A snapshot was installed: the log is empty and starts at its end."""
        self.snapshots = {snapshot_id: size}
        self._epochs.clear()
        self._starts.clear()
        self.start_offset = self.end_offset = self.flushed_end = snapshot_id.offset
        self.last_epoch = snapshot_id.epoch

    def trim(self, oldest: OffsetAndEpoch) -> None:
        """The log now starts at the end of `oldest`, the first snapshot kept, unless it starts past it already."""
        assert oldest.offset <= self.end_offset, f"trimmed to {oldest.offset} outside the log"
        if oldest.offset < self.start_offset:
            return
        self.snapshots = {
            snapshot: size for snapshot, size in self.snapshots.items() if snapshot.offset >= oldest.offset
        }
        self.start_offset = oldest.offset
        gone = max(bisect_right(self._starts, oldest.offset) - 1, 0)
        del self._starts[:gone], self._epochs[:gone]
        if self._starts and self._starts[0] < oldest.offset:
            if oldest.offset < self.end_offset:
                self._starts[0] = oldest.offset
            else:
                self._starts.clear()
                self._epochs.clear()

    def epoch_at(self, offset: Offset) -> Epoch | None:
        """The epoch of the record at `offset`; None below the log start, and at or past the log end."""
        if not self.start_offset <= offset < self.end_offset:
            return None
        return self._epochs[bisect_right(self._starts, offset) - 1]

    def end_of_epoch(self, epoch: Epoch) -> OffsetAndEpoch:
        """Our largest epoch at or below `epoch` and its exclusive end; below all known ones, `epoch` itself,
        ending where the first known one starts (storage.md §3, rule 3)."""
        index = bisect_right(self._epochs, epoch)
        if index == len(self._epochs):
            return self.end
        found = self._epochs[index - 1] if index else epoch
        end = OffsetAndEpoch(found, self._starts[index])
        oldest = self.oldest_snapshot
        if oldest is not None and end.offset == oldest.offset and end.epoch == epoch:
            return oldest
        return end

    def find_mismatch(self, fetch_offset: Offset, last_fetched_epoch: Epoch) -> Mismatch | None:
        """Why a log that ends so is not a prefix of ours, or None (storage.md §3, rules 0 to 4).

        Rule 0 is Kafka's: who has nothing is given the newest snapshot even where the log still starts at 0.
        """
        if last_fetched_epoch == self.last_epoch and self.start_offset < fetch_offset <= self.end_offset:
            return None  # what nearly every fetch is, and rules 1 to 4 agree
        newest = self.newest_snapshot
        if fetch_offset == 0:
            if newest is not None:
                return NeedsSnapshot(newest)
            if self.start_offset == 0:
                return None
        oldest = self.oldest_snapshot
        if (
            oldest is not None
            and newest is not None
            and (
                fetch_offset < self.start_offset
                or (fetch_offset == self.start_offset and last_fetched_epoch != oldest.epoch)
                or last_fetched_epoch < oldest.epoch
            )
        ):
            return NeedsSnapshot(newest)
        end = self.end_of_epoch(last_fetched_epoch)
        if end.epoch != last_fetched_epoch or end.offset < fetch_offset:
            return Diverges(end)
        return None

    def find_truncation(self, point: OffsetAndEpoch) -> Offset:
        """Where to cut a log that, by its leader, parts at `point` (raft.md §7)."""
        if point.epoch == 0:
            return min(point.offset, self.end_offset)
        own = self.end_of_epoch(point.epoch)
        return min(own.offset, point.offset) if own.epoch == point.epoch else own.offset

    def _find_last_epoch(self) -> Epoch:
        if self._epochs:
            return self._epochs[-1]
        for snapshot in self.snapshots:
            if snapshot.offset == self.end_offset:
                return snapshot.epoch
        return Epoch(0)
