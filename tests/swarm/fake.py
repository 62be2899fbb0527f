"""A swarm on a real controller without sockets: lines parsed, decided and committed at once; time is made by hand."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.ids import Instant
from yakt.line.grammar import parse
from yakt.metadata import queries
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked
from yakt.metadata.describe import describe_change
from yakt.metadata.questions import ListPartitions
from yakt.metadata.rows import PartitionRow
from yakt.swarm.machine import Changed, Stage, Swarm, SwarmEvent, TimerFired
from yakt.swarm.orders import Order, read_order
from yakt.swarm.settings import Answered, Ask, Settings, Tell

SETTINGS: dict[str, Any] = {
    "name": "t", "brokers": 6, "base_id": 1001, "racks": 3, "topics": 2, "partitions": 4, "replication": 3,
    "session_ms": 9000, "heartbeat_ms": 2000, "chaos_s": None,
}  # fmt: skip


class World:
    """One swarm and its controller. `loses` says of each ask whether its answer is lost on the way."""

    def __init__(
        self,
        seed: str = "1",
        loses: Callable[[Ask], bool] = lambda _: False,
        cluster: Cluster | None = None,
        **changes: Any,
    ) -> None:
        self.settings = Settings(**{**SETTINGS, **changes})
        self.cluster = cluster or Cluster()
        self.loses = loses
        self.lines: list[tuple[float, str]] = []
        self.told: list[Tell] = []
        self.asks: list[Ask] = []
        self._shown = len(self.cluster.told)
        self._orders = random.Random(seed).random
        self.swarm = Swarm(self.settings, lambda name: random.Random(f"{seed}/{name}").random, self.now)

    @property
    def now(self) -> Instant:
        return Instant(self.cluster.now)

    def run(self, seconds: float) -> None:
        """So much time passes."""
        end = self.cluster.now + seconds
        while True:
            due = min(float(self.swarm.deadline), end)
            if due > self.cluster.now:
                self.cluster.wait(due - self.cluster.now)
                self._watch()
            if self.swarm.deadline > end:
                return
            self.step(TimerFired())

    def until(self, stage: Stage, seconds: float = 60) -> None:
        """Until the swarm is there."""
        end = self.cluster.now + seconds
        while self.swarm.stage is not stage:
            assert self.cluster.now < end, f"still {self.swarm.stage}: {self.swarm.status()}"
            self.run(0.1)

    def order(self, text: str) -> None:
        order = read_order(text, self.settings, self._orders)
        assert isinstance(order, Order)
        self.step(order)

    def step(self, event: SwarmEvent) -> None:
        """One event, and all that follows from it at this moment."""
        self._take(self.swarm.step(self.now, event))
        while self.asks:
            asks, self.asks = self.asks, []
            for ask in asks:
                self.lines.append((self.cluster.now, ask.line))
                result = self._answer(ask.line)
                self._watch()
                self._take(self.swarm.step(self.now, Answered(ask, None if self.loses(ask) else result)))

    def _take(self, effects: list[Ask | Tell]) -> None:
        self.asks += [effect for effect in effects if isinstance(effect, Ask)]
        self.told += [effect for effect in effects if isinstance(effect, Tell)]

    def _answer(self, line: str) -> Result:
        request = parse(line.encode())
        assert request is not None
        asked = request.ask
        assert isinstance(asked, Asked), f"{line}: {asked}"
        if isinstance(asked.command, ListPartitions):
            return queries.answer(self.cluster.image, asked.command)
        try:
            return Answer(self.cluster.do(asked.command))
        except RefusedError as refusal:
            return refusal

    def _watch(self) -> None:
        fresh = [change for change in self.cluster.told[self._shown :] if not change.quiet]
        if self._shown < len(self.cluster.told):
            self._shown = len(self.cluster.told)
            self._take(
                self.swarm.step(
                    self.now, Changed([describe_change(one) for one in fresh], self.cluster.image.end_offset)
                )
            )

    # --- what tests look at

    def fenced(self) -> set[int]:
        return {row.id for row in self.cluster.image.brokers.rows() if row.fenced}

    def partitions(self) -> list[PartitionRow]:
        return [row for row in self.cluster.image.partitions.rows() if row.replicas]

    def shrunk(self) -> list[PartitionRow]:
        return [row for row in self.partitions() if len(row.isr) < len(row.replicas)]

    def said(self, beginning: str, since: float = 0) -> int:
        """How many lines began so."""
        return Counter(at >= since and line.startswith(beginning) for at, line in self.lines)[True]
