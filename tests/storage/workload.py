"""A life of a node on the simulator's disk, and what a crash at any moment of it may leave."""

from collections.abc import Callable

import attrs

from tests.storage.places import (
    NODE,
    NOW_MS,
    FakePlace,
    data,
    epoch_of,
    flush,
    leader_change,
    read_all,
    replica,
    snapshot_bytes,
    take_snapshot,
)
from yakt.batch import RecordBatch
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.sim.disk import FakeFiles
from yakt.storage.store import LogLimits, Store

LIMITS = LogLimits(segment_bytes=700, retention_bytes=2500, tail_bytes=300)
VOTER = ReplicaKey(NodeId(2), Uuid(bytes(range(16))))


@attrs.frozen
class State:
    """What a start may find: at least `log` up to `durable`, at most all of `log`; one of `starts`."""

    log: tuple[RecordBatch, ...] = ()
    durable: int = 0
    starts: frozenset[int] = frozenset({0})
    election: tuple[int, int | None, int | None] = (0, None, None)
    directories: frozenset[int] = frozenset()
    snapshots: frozenset[OffsetAndEpoch] = frozenset()
    """Those that must be there."""

    def allows(self, store: Store) -> bool:
        """Whether this is what the store holds."""
        found = store.recovered
        voted = found.voted.id if found.voted else None
        # Below the start there may be more: the log files reach further back than the checkpoint of a trimmed log.
        log = [batch for batch in self.log if batch.base_offset >= found.start_offset]
        held = read_all(store, 200)
        return (
            held == log[: len(held)]
            and found.end_offset >= self.durable
            and found.start_offset in self.starts
            and (found.epoch, found.leader_id, voted) == self.election
            and frozenset(found.directories) == self.directories
            and self.snapshots <= {snapshot_id for snapshot_id, _ in found.snapshots}
        )


class Workload:
    """A life of a node. `allowed` are the states a crash at this moment may leave."""

    def __init__(self, place: FakePlace) -> None:
        self.place = place
        self.now = State()
        self.allowed = [self.now]

    def change(self, after: State, act: Callable[[], object]) -> None:
        """A step that a crash may leave done or not done."""
        self.allowed = [self.now, after]
        act()
        self.now = after
        self.allowed = [after]

    def append(self, store: Store, batches: list[RecordBatch]) -> None:
        self.change(attrs.evolve(self.now, log=(*self.now.log, *batches)), lambda: store.append(batches))

    def flush(self, store: Store) -> None:
        self.change(attrs.evolve(self.now, durable=int(store.end_offset)), lambda: flush(store))

    def elect(self, store: Store, epoch: int, leader: int | None, voted: ReplicaKey | None = None) -> None:
        after = attrs.evolve(self.now, election=(epoch, leader, voted.id if voted else None))
        leader_id = None if leader is None else NodeId(leader)
        self.change(after, lambda: store.save_election(Epoch(epoch), leader_id, voted))

    def truncate(self, store: Store, end: int) -> None:
        log = tuple(batch for batch in self.now.log if batch.end_offset <= end)
        # What is not flushed may be lost before the truncation is due: both ends are the end.
        before = attrs.evolve(self.now, durable=min(self.now.durable, end))
        self.now = before
        self.change(attrs.evolve(before, log=log, durable=end), lambda: store.truncate(Offset(end)))

    def snapshot(self, store: Store, offset: int, epoch: int) -> None:
        after = attrs.evolve(self.now, snapshots=self.now.snapshots | {replica(epoch, offset)})
        self.change(after, lambda: take_snapshot(store, offset, epoch, size=300))

    def clean(self, store: Store) -> None:
        kept = max(self.now.snapshots)
        self.now = attrs.evolve(
            self.now,
            starts=self.now.starts | {each.offset for each in self.now.snapshots},
            snapshots=frozenset({kept}),
        )
        self.allowed = [self.now]
        store.clean(NOW_MS)

    def install(self, store: Store, snapshot_id: OffsetAndEpoch) -> None:
        content = snapshot_bytes(snapshot_id)
        store.write_snapshot_part(snapshot_id, 0, content[:70])
        store.write_snapshot_part(snapshot_id, 70, content[70:])
        end = snapshot_id.offset
        after = attrs.evolve(self.now, log=(), durable=end, starts=frozenset({end}), snapshots=frozenset({snapshot_id}))
        self.change(after, lambda: store.install_snapshot(snapshot_id))

    def run(self) -> None:
        """Everything once or more."""
        store = self.place.open(limits=LIMITS)
        self.elect(store, 1, None, VOTER)
        self.change(attrs.evolve(self.now, directories=frozenset({2})), lambda: store.remember_voter(VOTER))
        self.elect(store, 1, 1)
        self.append(store, epoch_of(0, 1, 2))
        self.flush(store)
        self.append(store, [data(5, 1), data(7, 1)])
        store.save_recovery_point()
        self.snapshot(store, 7, 1)
        self.append(store, [data(9, 1)])  # not flushed when the next epoch begins
        self.elect(store, 2, 3)
        self.append(store, [leader_change(11, 2), *(data(12 + 2 * n, 2, size=100) for n in range(8))])
        self.flush(store)
        self.truncate(store, 20)
        self.append(store, [data(20, 2)])
        self.elect(store, 4, 3)
        self.truncate(store, 11)
        self.append(store, epoch_of(11, 4, 6, size=100))
        self.snapshot(store, 16, 4)
        self.flush(store)
        self.clean(store)
        store.clean(NOW_MS + 10**6)
        self.append(store, [data(24, 4)])
        store.close()
        self.now = attrs.evolve(self.now, durable=26)
        store = self.place.open(limits=LIMITS)
        self.append(store, [data(26, 4)])
        self.elect(store, 6, 2)
        self.install(store, replica(6, 100))
        self.append(store, [data(100, 6)])
        self.flush(store)
        self.elect(store, 7, 2)
        self.append(store, epoch_of(102, 7, 2))
        self.truncate(store, 102)
        self.install(store, replica(7, 101))
        self.append(store, [data(101, 7)])
        self.flush(store)
        store.close()


def check_start(files: FakeFiles, allowed: list[State], label: str) -> None:
    """A start must find one of these states, go on, and find that again after a power cut."""
    place = FakePlace(files)
    store = place.open(limits=LIMITS)
    assert any(state.allows(store) for state in allowed), f"{label}: {store.recovered}, none of {allowed}"
    end, epoch = store.end_offset, store.recovered.epoch + 1
    store.save_election(Epoch(epoch), NODE, None)
    store.append([leader_change(end, epoch), data(end + 1, epoch)])
    flush(store)
    files.crash(lambda n: 0)
    store = place.open(limits=LIMITS)
    assert store.end_offset == end + 3, label
    assert store.recovered.epochs[-1] == replica(epoch, end), label
