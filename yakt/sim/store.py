"""A node's simulated disk at the height of log, quorum-state and snapshots: what is durable, and what a crash takes.

What storage promises the node holds here too: SaveElection, RememberVoter, Truncate and InstallSnapshot are durable
when they return, Append is not until a flush; a flush that crosses a truncation covers only what is left.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from random import Random

import attrs

from yakt.batch import ControlRecord, KRaftVersion, RecordBatch, Voters
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid

PREFIX_SEED = 0
"""The chained hash of the empty log."""


def chain(prefix: int, batch: RecordBatch) -> int:
    """The hash of a log up to the end of `batch`, given that of what lies before it. Equal logs, equal hashes."""
    return hash((prefix, batch.base_offset, batch.leader_epoch, batch.count, batch.crc))


@attrs.frozen
class Election:
    """What quorum-state holds."""

    epoch: Epoch
    leader_id: NodeId | None
    voted: ReplicaKey | None


@attrs.frozen
class Snapshot:
    """A snapshot's bytes, and the hash of the log below its end (told by the checker's books, not by the bytes)."""

    data: bytes
    prefix: int
    control: tuple[ControlRecord, ...] = ()
    """What its header batch says of the quorum."""


class Store:
    """One directory. The log holds `[start_offset, end_offset)`; all below `durable_end` survives a crash."""

    def __init__(self) -> None:
        self.election = Election(Epoch(0), None, None)
        self.directories: dict[NodeId, Uuid] = {}
        self.batches: list[RecordBatch] = []
        self.prefixes: list[int] = []
        """Chained hash up to the end of each batch."""
        self.ends: list[int] = []
        self.start_offset = Offset(0)
        self.start_prefix = PREFIX_SEED
        self.start_epoch = Epoch(0)
        """Epoch of the record before `start_offset`."""
        self.durable_end = Offset(0)
        self.snapshots: dict[OffsetAndEpoch, Snapshot] = {}
        self.parts: dict[OffsetAndEpoch, bytearray] = {}
        """Downloads; a crash loses them."""
        self.flushing: Offset | None = None
        """How far the flush that is out reaches; a truncation pulls it back."""

    @property
    def end_offset(self) -> Offset:
        return Offset(self.ends[-1]) if self.ends else self.start_offset

    @property
    def safe_end(self) -> Offset:
        """One past what would be there after a crash: a snapshot counts, even where the log below it is not flushed."""
        return max(self.durable_end, max((each.offset for each in self.snapshots), default=Offset(0)))

    @property
    def last_epoch(self) -> Epoch:
        return self.batches[-1].leader_epoch if self.batches else self.start_epoch

    @property
    def epoch_starts(self) -> tuple[tuple[Epoch, Offset], ...]:
        """Where each epoch of the kept log begins: the leader-epoch checkpoint."""
        starts: list[tuple[Epoch, Offset]] = []
        for batch in self.batches:
            if not starts or starts[-1][0] != batch.leader_epoch:
                starts.append((batch.leader_epoch, batch.base_offset))
        return tuple(starts)

    @property
    def control(self) -> tuple[tuple[Offset, ControlRecord], ...]:
        """The log's control records by offset, and before them those of the newest snapshot; as a start finds them."""
        found = [
            (Offset(batch.base_offset + index), record)
            for batch in self.batches
            for index, record in enumerate(batch.control)
        ]
        newest = max(self.snapshots, default=None, key=lambda each: each.offset)
        if newest is not None:
            found += [(Offset(newest.offset - 1), record) for record in self.snapshots[newest].control]
        return tuple(sorted(found, key=lambda entry: entry[0]))

    def control_below(self, end_offset: int) -> tuple[ControlRecord, ...]:
        """The last KRaftVersion and Voters below an offset: what a snapshot that ends there repeats."""
        last = {type(record): record for at, record in self.control if at < end_offset}
        return tuple(last[kind] for kind in (KRaftVersion, Voters) if kind in last)

    def prefix_at(self, end_offset: int) -> int | None:
        """Hash of the log below `end_offset`; None where that is no batch boundary, or not known here any more."""
        if end_offset == self.start_offset:
            return self.start_prefix
        index = bisect_left(self.ends, end_offset)
        if index < len(self.ends) and self.ends[index] == end_offset:
            return self.prefixes[index]
        return None

    def epoch_at(self, end_offset: int) -> Epoch:
        """Epoch of the record just below `end_offset`."""
        if end_offset == self.start_offset:
            return self.start_epoch
        return self.batches[bisect_left(self.ends, end_offset)].leader_epoch

    def epoch_of(self, offset: int) -> Epoch:
        """Epoch of the record at `offset`, which the log still holds."""
        return self.batches[bisect_right(self.ends, offset)].leader_epoch

    def append(self, batches: Sequence[RecordBatch]) -> None:
        for batch in batches:
            assert batch.base_offset == self.end_offset, "an append leaves no gap"
            self.prefixes.append(chain(self.prefixes[-1] if self.prefixes else self.start_prefix, batch))
            self.batches.append(batch)
            self.ends.append(batch.end_offset)

    def between(self, start_offset: int, end_offset: int) -> list[RecordBatch]:
        """The whole batches in `[start_offset, end_offset)`, both of them batch boundaries."""
        return self.batches[bisect_right(self.ends, start_offset) : bisect_right(self.ends, end_offset)]

    def read(self, start_offset: int, end_offset: int, batches_max: int) -> list[RecordBatch]:
        """At most `batches_max` whole batches from the one that holds `start_offset`, none at or past `end_offset`."""
        first = bisect_right(self.ends, start_offset)
        last = min(bisect_right(self.ends, end_offset), first + batches_max)
        return self.batches[first:last]

    def begin_flush(self) -> bool:
        """Begin to make durable all that is appended; False if nothing has to be, or a flush is out already."""
        if self.flushing is not None or self.durable_end == self.end_offset:
            return False
        self.flushing = self.end_offset
        return True

    def finish_flush(self) -> Offset:
        """The flush is done; one past what is durable now."""
        assert self.flushing is not None, "a flush ends once"
        self.durable_end = max(self.durable_end, self.flushing)
        self.flushing = None
        return self.durable_end

    def truncate(self, end_offset: int) -> None:
        assert end_offset >= self.start_offset, "a truncation stays within the log"
        keep = bisect_right(self.ends, end_offset)
        del self.batches[keep:], self.prefixes[keep:], self.ends[keep:]
        assert self.end_offset == end_offset, "logs are cut at batch boundaries"
        # What stays of an unflushed tail is not made durable by a truncation.
        self.durable_end = min(self.durable_end, Offset(end_offset))
        if self.flushing is not None:
            self.flushing = min(self.flushing, Offset(end_offset))

    def write_part(self, snapshot_id: OffsetAndEpoch, position: int, data: bytes) -> None:
        if position == 0:
            self.parts = {snapshot_id: bytearray()}
        part = self.parts[snapshot_id]
        assert position == len(part), "a download has no holes"
        part += data

    def install(self, snapshot_id: OffsetAndEpoch, prefix: int, control: tuple[ControlRecord, ...]) -> Snapshot:
        """Make the download a snapshot, and let the log start, empty, at its end."""
        snapshot = Snapshot(bytes(self.parts.pop(snapshot_id)), prefix, control)
        self.snapshots[snapshot_id] = snapshot
        self._clear(snapshot_id, prefix)
        return snapshot

    def trim(self, keep: int) -> OffsetAndEpoch | None:
        """Keep the newest `keep` snapshots; the log then starts at the oldest kept. None if nothing was dropped."""
        ordered = sorted(self.snapshots, key=lambda each: each.offset)
        oldest = ordered[-keep] if len(ordered) > keep else None
        if oldest is None:
            return None
        for older in ordered[:-keep]:
            del self.snapshots[older]
        prefix = self.prefix_at(oldest.offset)
        assert prefix is not None, "snapshots end at batch boundaries"
        drop = bisect_right(self.ends, oldest.offset)
        del self.batches[:drop], self.prefixes[:drop], self.ends[:drop]
        self._start_at(oldest, prefix)
        return oldest

    def _clear(self, snapshot_id: OffsetAndEpoch, prefix: int) -> None:
        self.batches.clear()
        self.prefixes.clear()
        self.ends.clear()
        self._start_at(snapshot_id, prefix)
        self.durable_end = snapshot_id.offset
        if self.flushing is not None:
            self.flushing = min(self.flushing, self.durable_end)
        for older in [other for other in self.snapshots if other.offset < snapshot_id.offset]:
            del self.snapshots[older]

    def _start_at(self, snapshot_id: OffsetAndEpoch, prefix: int) -> None:
        self.start_offset = snapshot_id.offset
        self.start_epoch = snapshot_id.epoch
        self.start_prefix = prefix

    def crash(self, random: Random, *, lose_unsynced: bool) -> int:
        """Of what was not flushed only a random part survives, a torn batch being cut; how many batches were lost."""
        self.parts.clear()
        lost = 0
        if lose_unsynced:
            durable = bisect_right(self.ends, self.durable_end)
            unsynced = len(self.ends) - durable
            if unsynced:
                lost = unsynced if random.random() < 0.5 else random.randint(0, unsynced)
                keep = len(self.ends) - lost
                del self.batches[keep:], self.prefixes[keep:], self.ends[keep:]
        newest = max(self.snapshots, default=None, key=lambda each: each.offset)
        if newest is not None and newest.offset > self.end_offset:
            # A follower may take a snapshot of committed records that are durable elsewhere only (raft.md, section 7).
            self._clear(newest, self.snapshots[newest].prefix)
        # Recovery syncs what it found before anything rests on it.
        self.durable_end = self.end_offset
        self.flushing = None
        return lost
