"""Partitions, and indexes of them: by broker, and of those that want attention, so that nobody has to look at all.

An index of a broker is a list of keys, eight bytes each, from which nothing is taken: what is there no more is passed
over when it is read, and cleared away when that is half of it. (A set of each broker's keys was a third of the image.)
Everything comes in the order in which it was put in: the same log is the same order on every node and in every run.
"""

from collections.abc import Callable, Iterable

from yakt.metadata.partition_counts import PartitionCounts
from yakt.metadata.records import NO_LEADER
from yakt.metadata.rows import BrokerRow, PartitionKey, PartitionRow
from yakt.metadata.tables import Change, Overlay, PinnedRows, RowHash, Rows, Table

LEADERLESS = 1
NOT_PREFERRED = 2
"""Led, but not by its first replica."""
MOVING = 4
"""Being reassigned."""
MARKS = (LEADERLESS, NOT_PREFERRED, MOVING)
"""What partitions are looked for by when something is decided; what is only shown is in PartitionCounts."""
STALE_MIN = 64
"""Keys that are worth clearing away."""


def marks_of(row: PartitionRow) -> int:
    """The sum of its marks."""
    replicas, leader = row.replicas, row.leader
    if not replicas:
        return 0
    marks = 0 if leader == replicas[0] else LEADERLESS if leader == NO_LEADER else NOT_PREFERRED
    return marks + MOVING if row.adding or row.removing else marks


class Partitions(Rows[PartitionKey, PartitionRow]):
    """Partitions; those of one broker, or with one mark, in time proportional to their number."""

    __slots__ = ()

    def of_broker(self, broker_id: int) -> Iterable[PartitionRow]:
        """Those with a replica on it; a list of the moment."""
        raise NotImplementedError

    def marked(self, mark: int) -> Iterable[PartitionRow]:
        """Those with that mark; a list of the moment."""
        raise NotImplementedError


class PartitionTable(Table[PartitionKey, PartitionRow], Partitions):
    __slots__ = ("_by_broker", "_marked", "_stale", "brokers", "counts")

    def __init__(self, on_change: Callable[[Change], None], hash_of: RowHash, brokers: Table[int, BrokerRow]) -> None:
        super().__init__("partition", on_change, hash_of=hash_of, watched=True)
        self._by_broker: dict[int, list[PartitionKey]] = {}
        self._stale: dict[int, int] = {}
        """Of a broker's keys, how many are there no more, or twice."""
        self._marked: dict[int, dict[PartitionKey, None]] = {mark: {} for mark in MARKS}
        self.counts = PartitionCounts()
        self.brokers = brokers
        """Of the same image: why a leader changed is told by what became of the old one."""

    def apply(self, change: Change) -> None:
        super().apply(change)
        key: PartitionKey = change.key
        old: PartitionRow | None = change.old
        row: PartitionRow | None = change.row
        before = after = 0
        if old is not None:
            self.counts.take_away(old)
            before = marks_of(old)
        if row is not None:
            self.counts.add(row)
            after = marks_of(row)
        if before != after:
            for mark, keys in self._marked.items():
                if after & mark:
                    keys[key] = None
                elif before & mark:
                    del keys[key]
        had: tuple[int, ...] = old.replicas if old is not None else ()
        has: tuple[int, ...] = row.replicas if row is not None else ()
        if had == has:
            return
        for broker_id in has:
            if broker_id not in had:
                self._by_broker.setdefault(broker_id, []).append(key)
        for broker_id in had:
            if broker_id not in has:
                self._drop(broker_id)

    def _drop(self, broker_id: int) -> None:
        """One key of the broker's has become stale."""
        stale = self._stale.get(broker_id, 0) + 1
        self._stale[broker_id] = stale
        if stale > STALE_MIN and stale * 2 > len(self._by_broker[broker_id]):
            kept = [row.key for row in self.of_broker(broker_id)]
            del self._stale[broker_id]
            if kept:
                self._by_broker[broker_id] = kept
            else:
                del self._by_broker[broker_id]

    def keys_of(self, broker_id: int) -> Iterable[PartitionKey]:
        """Those of `of_broker`, and some that were."""
        keys = self._by_broker.get(broker_id, ())
        return dict.fromkeys(keys) if broker_id in self._stale else keys

    def count_of(self, broker_id: int) -> int:
        """How many `of_broker` finds."""
        return len(self._by_broker.get(broker_id, ())) - self._stale.get(broker_id, 0)

    def of_broker(self, broker_id: int) -> list[PartitionRow]:
        get = self.items.get
        return [row for key in self.keys_of(broker_id) if (row := get(key)) is not None and broker_id in row.replicas]

    def keys_marked(self, mark: int) -> dict[PartitionKey, None]:
        """The index itself: not to be changed, nor held over a change."""
        return self._marked[mark]

    def marked(self, mark: int) -> list[PartitionRow]:
        return [self.items[key] for key in self._marked[mark]]


def _of_broker(
    base: PartitionTable, get: Callable[[PartitionKey], PartitionRow | None], differing: Iterable[PartitionKey],
    broker_id: int,
) -> list[PartitionRow]:  # fmt: skip
    keys = dict.fromkeys(base.keys_of(broker_id))
    keys.update(dict.fromkeys(differing))
    return [row for key in keys if (row := get(key)) is not None and broker_id in row.replicas]


def _marked(
    base: PartitionTable, get: Callable[[PartitionKey], PartitionRow | None], differing: Iterable[PartitionKey],
    mark: int,
) -> list[PartitionRow]:  # fmt: skip
    keys = dict(base.keys_marked(mark))
    keys.update(dict.fromkeys(differing))
    return [row for key in keys if (row := get(key)) is not None and marks_of(row) & mark]


class PartitionOverlay(Overlay[PartitionKey, PartitionRow], Partitions):
    __slots__ = ()

    base: PartitionTable

    def of_broker(self, broker_id: int) -> list[PartitionRow]:
        return _of_broker(self.base, self.get, self.over, broker_id) if self.over else self.base.of_broker(broker_id)

    def marked(self, mark: int) -> list[PartitionRow]:
        return _marked(self.base, self.get, self.over, mark) if self.over else self.base.marked(mark)


class PinnedPartitions(PinnedRows[PartitionKey, PartitionRow], Partitions):
    __slots__ = ()

    base: PartitionTable

    def of_broker(self, broker_id: int) -> list[PartitionRow]:
        return _of_broker(self.base, self.get, self.saved, broker_id)

    def marked(self, mark: int) -> list[PartitionRow]:
        return _marked(self.base, self.get, self.saved, mark)
