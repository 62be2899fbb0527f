"""What partitions' leaders do: they take replicas that fell behind out of the ISR, and those that caught up in. Pure.

Only what is amiss is kept: a partition whose ISR is as it should be is forgotten, so a hundred thousand cost nothing.
What should be follows from the brokers: a leader of ours that may lead wants exactly those replicas that keep up.
Brokers that are not the swarm's are left where they are: their leaders, or they, would know.
"""

import heapq
from collections.abc import Iterator, Mapping

import attrs

from yakt.errors import RefusedError
from yakt.ids import Instant
from yakt.metadata.answers import Answer, Pairs, Result
from yakt.swarm.broker import Broker
from yakt.swarm.settings import NEVER, Ask, Chance, OfPartition

CATCH_UP_S = (0.5, 3.0)
"""How long a replica takes to catch up, and a leader to see that one no longer does."""
AGAIN_S = 1.0
"""Before what was refused is asked again."""
UNSEEN_S = 5.0
"""When what was answered OK and not seen in the log is looked at again."""
ASKED_MAX = 256
"""Changes under way at a time: what is ordered next is not long in waiting behind them."""


@attrs.define(eq=False)
class _Partition:
    topic: str
    partition: int
    leader: int
    leader_epoch: int
    partition_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    due: Instant = NEVER
    is_asked: bool = False


class Replicas:
    """The partitions that are not as they should be. `brokers` are the swarm's own."""

    def __init__(self, brokers: Mapping[int, Broker], chance: Chance) -> None:
        self._brokers = brokers
        self._chance = chance
        self._amiss: dict[tuple[str, int], _Partition] = {}
        self._heap: list[tuple[Instant, tuple[str, int]]] = []
        self._asked = 0
        self.complaint = ""
        """Why ISRs stand still, if the cluster cannot change them."""

    def __len__(self) -> int:
        return len(self._amiss)

    @property
    def wakes_at(self) -> Instant:
        """When `act` is next worth calling."""
        return self._heap[0][0] if self._heap and self._asked < ASKED_MAX else NEVER

    def changed(self, now: Instant, pairs: Pairs) -> None:
        """Take a row of a partition, or what tells that it is gone."""
        topic, number, leader = pairs.get("topic"), pairs.get("partition"), pairs.get("leader")
        if not isinstance(topic, str) or not isinstance(number, int):
            return
        key = (topic, number)
        self._amiss.pop(key, None)
        replicas, isr = _ids(pairs.get("replicas")), _ids(pairs.get("isr"))
        leader_epoch, epoch = pairs.get("leader_epoch"), pairs.get("partition_epoch")
        if not (isinstance(leader, int) and isinstance(leader_epoch, int) and isinstance(epoch, int)):
            return
        if leader not in self._brokers or self.complaint:
            return
        found = _Partition(topic, number, leader, leader_epoch, epoch, replicas, isr)
        if len(isr) < len(replicas) or self._wanted(found) != isr:
            self._amiss[key] = found
            self._wake(found, now)

    def topic_gone(self, topic: str) -> None:
        """Its partitions go with it, unsaid."""
        for key in [key for key in self._amiss if key[0] == topic]:
            del self._amiss[key]

    def broker_changed(self, now: Instant, broker_id: int) -> None:
        """It keeps up again, or no longer: whatever is known to be amiss with it is looked at."""
        for found in self._amiss.values():
            if broker_id in found.replicas and not found.is_asked:
                self._wake(found, now)

    def act(self, now: Instant) -> Iterator[Ask]:
        """What leaders ask now."""
        while self.wakes_at <= now:
            due, key = heapq.heappop(self._heap)
            found = self._amiss.get(key)
            if found is None or found.due != due:
                continue  # it is gone, or was woken for another time since
            found.due = NEVER
            wanted = self._wanted(found)
            if wanted != found.isr:
                found.is_asked = True
                self._asked += 1
                leader = self._brokers[found.leader]
                yield Ask(
                    f"PARTITION ISR {found.topic}:{found.partition} broker={leader.id} epoch={leader.epoch} "
                    f"leader-epoch={found.leader_epoch} partition-epoch={found.partition_epoch} "
                    f"isr=[{','.join(map(str, wanted))}]",
                    OfPartition(found.topic, found.partition),
                )
            elif len(found.isr) == len(found.replicas):
                del self._amiss[key]

    def answered(self, now: Instant, of: OfPartition, result: Result | None) -> None:
        """Take an answer. What was changed is seen in the log; what was not, is asked again."""
        self._asked -= 1
        if isinstance(result, RefusedError) and result.code == "UNKNOWN_COMMAND":
            self.complaint = "ISRs stand still: this cluster has no PARTITION ISR"
            self._amiss.clear()
            self._heap.clear()
            return
        found = self._amiss.get((of.topic, of.partition))
        if found is not None and found.is_asked:
            found.is_asked = False
            self._push(found, Instant(now + (UNSEEN_S if isinstance(result, Answer) else AGAIN_S)))

    def _wanted(self, found: _Partition) -> tuple[int, ...]:
        """The ISR as its leader would have it, in the order of the ISR, newcomers last; as it is if that cannot ask."""
        if not self._brokers[found.leader].can_lead:
            return found.isr
        stays = [
            replica
            for replica in found.isr
            if replica == found.leader or replica not in self._brokers or self._brokers[replica].is_in_sync
        ]
        joins = [
            replica
            for replica in found.replicas
            if replica not in found.isr and replica in self._brokers and self._brokers[replica].is_in_sync
        ]
        return (*stays, *joins)

    def _wake(self, found: _Partition, now: Instant) -> None:
        low, high = CATCH_UP_S
        self._push(found, Instant(now + low + self._chance() * (high - low)))

    def _push(self, found: _Partition, due: Instant) -> None:
        found.due = due
        heapq.heappush(self._heap, (due, (found.topic, found.partition)))


def _ids(value: object) -> tuple[int, ...]:
    return tuple(item for item in value if isinstance(item, int)) if isinstance(value, list | tuple) else ()
