"""Where a new topic's replicas go: Kafka's striped, rack-aware placement (StripedReplicaPlacer). Knows no image."""

from collections.abc import Callable, Iterable, MutableSequence
from typing import TypeVar

import attrs

from yakt.metadata import refusals

T = TypeVar("T")
Random = Callable[[], float]
"""A number in [0, 1)."""


@attrs.frozen
class UsableBroker:
    """A registered broker that is not shutting down. `rack` None: it said none; those are one rack."""

    id: int
    rack: str | None
    fenced: bool


class _Ring:
    """Brokers in turn, from a start that moves on by one each partition; none twice in a partition."""

    def __init__(self, ids: list[int], random: Random) -> None:
        self.ids = ids
        self.start = int(random() * len(ids)) if ids else 0
        self.taken = 0

    def next(self) -> int | None:
        if self.taken >= len(self.ids):
            return None
        broker_id = self.ids[(self.start + self.taken) % len(self.ids)]
        self.taken += 1
        return broker_id

    def turn(self) -> None:
        self.taken = 0
        if self.ids:
            self.start = (self.start + 1) % len(self.ids)


class _Rack:
    def __init__(self, unfenced: list[int], fenced: list[int], random: Random) -> None:
        self.unfenced = _Ring(unfenced, random)
        self.fenced = _Ring(fenced, random)

    def next(self) -> int | None:
        broker_id = self.unfenced.next()
        return broker_id if broker_id is not None else self.fenced.next()


def _shuffle(values: MutableSequence[T], random: Random) -> None:
    for last in range(len(values) - 1, 0, -1):
        other = int(random() * (last + 1))
        values[last], values[other] = values[other], values[last]


def place(brokers: Iterable[UsableBroker], partitions: int, replication: int, random: Random) -> list[tuple[int, ...]]:
    """Replicas of `partitions` new partitions, `replication` each; the first of each is unfenced.

    Raises RefusedError (INVALID_REPLICATION_FACTOR) where there are too few brokers, or none unfenced.
    """
    all_brokers = sorted(brokers, key=lambda broker: broker.id)
    if replication < 1:
        raise refusals.replication_factor(f"replication {replication} is below 1", asked=replication)
    if replication > len(all_brokers):
        raise refusals.too_few_brokers(replication, len(all_brokers))
    unfenced_count = sum(not broker.fenced for broker in all_brokers)
    if unfenced_count == 0:
        raise refusals.none_unfenced(replication, [broker.id for broker in all_brokers])

    by_rack: dict[str | None, list[UsableBroker]] = {}
    for broker in all_brokers:
        by_rack.setdefault(broker.rack, []).append(broker)
    names = sorted(by_rack, key=lambda name: (name is not None, name or ""))
    racks = [
        _Rack(
            [broker.id for broker in by_rack[name] if not broker.fenced],
            [broker.id for broker in by_rack[name] if broker.fenced],
            random,
        )
        for name in names
    ]
    start = int(random() * len(racks))
    placed: list[tuple[int, ...]] = []
    for number in range(partitions):
        if number and unfenced_count > 1 and number % unfenced_count == 0:
            _shuffle(racks, random)
            for rack in racks:
                _shuffle(rack.unfenced.ids, random)
                _shuffle(rack.fenced.ids, random)
        placed.append(_place_one(racks, start, replication))
        start = (start + 1) % len(racks)
        for rack in racks:
            rack.unfenced.turn()
            rack.fenced.turn()
    return placed


def _place_one(racks: list[_Rack], start: int, replication: int) -> tuple[int, ...]:
    """One partition: an unfenced first replica, then one of each rack in turn, the first one's passed over once."""
    replicas: list[int] = []
    first_rack = start
    for step in range(len(racks)):
        index = (start + step) % len(racks)
        broker_id = racks[index].unfenced.next()
        if broker_id is not None:
            replicas.append(broker_id)
            first_rack = index
            break
    index, passed_over = start, len(racks) == 1
    while len(replicas) < replication:
        if index == first_rack and not passed_over:
            passed_over = True
        else:
            broker_id = racks[index].next()
            if broker_id is not None:
                replicas.append(broker_id)
        index = (index + 1) % len(racks)
    return tuple(replicas)
