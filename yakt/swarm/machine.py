"""A whole swarm as a state machine: `step` takes in what happened and gives back what to ask and what to tell. Pure.

Its life: brokers start, then the topics are made; it is ready, and stays so whatever becomes of single brokers, until
it is told to leave: then the topics are taken away, the brokers stop in order, and are unregistered.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import TypeAlias, assert_never

import attrs

from yakt.errors import RefusedError
from yakt.ids import Instant
from yakt.metadata.answers import Answer, Pairs, Row, Value
from yakt.swarm.broker import Broker, Phase
from yakt.swarm.orders import Order
from yakt.swarm.replicas import Replicas
from yakt.swarm.settings import (
    NEVER,
    Answered,
    Ask,
    ChanceOf,
    OfBroker,
    OfPartition,
    OfPartitions,
    OfTopic,
    Settings,
    Tell,
)
from yakt.swarm.topics import Topics, rack_of

LEAVING_S = 15.0
"""How long nothing may come of leaving; what is left then is told."""
NAMED_MAX = 8
"""Brokers that a line for people names; more are counted."""
MISHAPS = (("lag", 6.0, 20.0), ("flap", 15.0, 40.0), ("kill", 5.0, 25.0))
"""What chaos orders, and for how long, s: from, to."""


class Stage(Enum):
    """Where a swarm is in its life."""

    STARTING = "starting"
    FILLING = "filling"
    READY = "ready"
    LEAVING = "leaving"
    GONE = "gone"


@attrs.frozen
class TimerFired:
    """The deadline has come."""


@attrs.frozen
class Changed:
    """Rows of the log, in its order, and the offset up to which it is now read."""

    rows: Sequence[Row]
    end_offset: int


@attrs.frozen
class Resynced:
    """Part of the log could not be read any more: look at what is amiss anew."""


@attrs.frozen
class LeaveOrdered:
    """Leave the cluster as it was found."""


SwarmEvent: TypeAlias = TimerFired | Answered | Changed | Resynced | Order | LeaveOrdered
SwarmEffect: TypeAlias = Ask | Tell


class Swarm:
    """See the module's words. Nothing is asked before the first step."""

    def __init__(self, settings: Settings, chance_of: ChanceOf, now: Instant) -> None:
        self.settings = settings
        self.stage = Stage.STARTING
        self.seen_offset = -1
        """The last that was read of the log."""
        self.brokers = {
            number: Broker(number, rack_of(settings, number), settings, chance_of(f"broker {number}"))
            for number in settings.ids
        }
        self.replicas = Replicas(self.brokers, chance_of("replicas"))
        self.topics = Topics(settings, chance_of("topics"))
        self._chance = chance_of("chaos")
        self._wakes: list[tuple[Instant, int]] = []
        self._fenced_told: dict[int, bool] = {}
        self._awaited = set(self.brokers)
        """While it starts, who is not unfenced yet; while it leaves, who is not gone yet."""
        self._is_seen_off = False
        self._effects: list[SwarmEffect] = []
        self._next_mishap = NEVER
        self._gives_up_at = NEVER
        for broker in self.brokers.values():
            broker.start(now)
            self._noted(now, broker, was_in_sync=False)

    @property
    def deadline(self) -> Instant:
        """When TimerFired is due."""
        wakes = self._wakes[0][0] if self._wakes else NEVER
        topics = self.topics.wakes_at if self.stage in (Stage.FILLING, Stage.LEAVING) else NEVER
        return min(wakes, self.replicas.wakes_at, topics, self._next_mishap, self._gives_up_at)

    def step(self, now: Instant, event: SwarmEvent) -> list[SwarmEffect]:
        """Take in one event; what to ask and to tell, in order."""
        match event:
            case TimerFired():
                pass
            case Answered(ask=ask, result=result):
                self._answered(now, ask, result)
            case Changed(rows=rows, end_offset=end_offset):
                self.seen_offset = max(self.seen_offset, end_offset - 1)
                self._changed(now, rows)
            case Resynced():
                self._look("under-replicated=true")
            case Order():
                self._obey(now, event)
            case LeaveOrdered():
                self._leave(now)
            case _:
                assert_never(event)
        self._act(now)
        self._advance(now)
        effects, self._effects = self._effects, []
        return effects

    def status(self) -> Pairs:
        """What the swarm is and does, for people and programs."""
        states = Counter(broker.state for broker in self.brokers.values())
        unusual: list[Value] = [
            {
                "id": broker.id,
                "rack": broker.rack,
                "state": broker.state,
                **({"why": broker.said} if broker.said else {}),
            }
            for broker in self.brokers.values()
            if broker.state != "running"
        ]
        return {
            "name": self.settings.name,
            "stage": self.stage.value,
            "ready": self.stage is Stage.READY,
            "brokers": self.settings.brokers,
            "first": self.settings.ids[0],
            "last": self.settings.ids[-1],
            "states": dict(sorted(states.items())),
            "topics": self.settings.topics,
            "partitions": self.topics.made,
            "partitions_wanted": self.topics.wanted,
            "isr_changes_due": len(self.replicas),
            "unusual": unusual,
            "problem": self.topics.failure or self.replicas.complaint or None,
        }

    @property
    def arrived(self) -> int:
        """Brokers that have come up, or failed to; while it leaves, those that have left."""
        return len(self.brokers) - len(self._awaited)

    # --- what happened ------------------------------------------------------------------------------------------------

    def _answered(self, now: Instant, ask: Ask, result: Answer | RefusedError | None) -> None:
        match ask.of:
            case OfBroker(id=broker_id, turn=turn):
                broker = self.brokers[broker_id]
                if broker.turn == turn:
                    was_in_sync, was = broker.is_in_sync, broker.phase
                    broker.answered(now, result)
                    self._noted(now, broker, was_in_sync)
                    if broker.phase is Phase.DOWN and was is not Phase.STOPPING:
                        self._tell("down", f"broker {broker.id} is down: {broker.said}", id=broker.id, why=broker.said)
            case OfPartition():
                had = self.replicas.complaint
                self.replicas.answered(now, ask.of, result)
                if self.replicas.complaint != had:
                    self._tell("problem", self.replicas.complaint)
            case OfPartitions(which=which):
                if isinstance(result, Answer):
                    for row in result.rows:
                        self.replicas.changed(now, row.pairs)
                    following = result.pairs.get("next")
                    if following is not None:
                        self._look(which, str(following))
                elif result is None or result.retry:
                    self._look(which)
            case OfTopic():
                had = self.topics.failure
                self.topics.answered(now, ask, ask.of, result)
                if self.stage is Stage.LEAVING and isinstance(result, Answer):
                    self._gives_up_at = Instant(now + LEAVING_S)
                if self.topics.failure != had:
                    self._tell("problem", self.topics.failure)

    def _changed(self, now: Instant, rows: Sequence[Row]) -> None:
        turned: dict[bool, list[int]] = {True: [], False: []}
        for row in rows:
            pairs = row.pairs
            if row.kind == "partition":
                self.replicas.changed(now, pairs)
            elif row.kind == "topic" and pairs.get("deleted"):
                self.replicas.topic_gone(str(pairs.get("name")))
            elif row.kind == "broker":
                number, fenced = pairs.get("id"), pairs.get("fenced")
                if isinstance(number, int) and number in self.brokers and isinstance(fenced, bool):
                    if self._fenced_told.get(number, True) is not fenced:
                        turned[fenced].append(number)
                    self._fenced_told[number] = fenced
        if self.stage in (Stage.FILLING, Stage.READY):
            for fenced, ids in turned.items():
                if ids:
                    kind = "fenced" if fenced else "unfenced"
                    self._tell(kind, f"{kind}: {named(ids)}", ids=list(ids))

    def _obey(self, now: Instant, order: Order) -> None:
        if self.stage in (Stage.LEAVING, Stage.GONE):
            return
        for number in order.ids:
            broker = self.brokers[number]
            was_in_sync = broker.is_in_sync
            match order.deed:
                case "kill":
                    broker.kill()
                case "stop":
                    broker.stop(now)
                case "start":
                    broker.start(now)
                case "lag":
                    broker.lag(self.seen_offset)
                    self._look(f"broker={number}")
                case "flap":
                    broker.flap(now)
            if order.for_s is not None and order.deed != "start":
                broker.until = Instant(now + order.for_s)
            self._noted(now, broker, was_in_sync)

    def _leave(self, now: Instant) -> None:
        if self.stage in (Stage.LEAVING, Stage.GONE):
            return
        self.stage = Stage.LEAVING
        self._next_mishap = NEVER
        self._gives_up_at = Instant(now + LEAVING_S)
        self._awaited = set(self.brokers)
        self.topics.remove()
        for broker in self.brokers.values():
            if broker.phase is Phase.RUNNING:
                was_in_sync = broker.is_in_sync
                broker.start(now)  # no lagging one shall keep the others waiting
                self._noted(now, broker, was_in_sync)

    # --- what to do ---------------------------------------------------------------------------------------------------

    def _act(self, now: Instant) -> None:
        while self._wakes and self._wakes[0][0] <= now:
            due, number = heapq.heappop(self._wakes)
            broker = self.brokers[number]
            if broker.wakes_at != due:
                continue  # scheduled anew since
            was_in_sync = broker.is_in_sync
            ask = broker.act(now, self.seen_offset)
            if ask is not None:
                self._effects.append(ask)
            self._noted(now, broker, was_in_sync)
        self._effects += self.replicas.act(now)
        if now >= self._next_mishap:
            self._do_mishap(now)

    def _advance(self, now: Instant) -> None:
        """Go on to the next stage where this one is done."""
        if self.stage is Stage.STARTING and not self._awaited:
            self.stage = Stage.FILLING
            self._look("under-replicated=true")  # what an earlier swarm of this name may have left
        if self.stage is Stage.FILLING:
            self._effects += self.topics.act(now)
            if self.topics.is_made:
                self.stage = Stage.READY
                self._plan_mishap(now)
                self._tell("ready", self._ready_text())
        if self.stage is Stage.LEAVING:
            self._effects += self.topics.act(now)
            if self.topics.is_removed and not self._is_seen_off:
                self._see_off(now)
            if now >= self._gives_up_at or not self._awaited:
                self.stage = Stage.GONE
                self._gives_up_at = NEVER
                left = sorted(self._awaited)
                text = f"not unregistered in time: {named(left)}" if left else "all have left"
                self._tell("gone", text, ids=list(left))

    def _see_off(self, now: Instant) -> None:
        """Each broker stops, and is unregistered once it is down."""
        self._is_seen_off = True
        for broker in self.brokers.values():
            was_in_sync = broker.is_in_sync
            broker.stop(now)
            self._noted(now, broker, was_in_sync)

    def _noted(self, now: Instant, broker: Broker, was_in_sync: bool) -> None:
        """Something became of a broker: what follows from that, and when it is to act next."""
        if self._is_seen_off and broker.phase is Phase.DOWN:
            broker.leave(now)
        if self.stage is Stage.STARTING and (not broker.is_fenced or broker.phase is Phase.DOWN):
            self._awaited.discard(broker.id)
        if self.stage is Stage.LEAVING and broker.phase is Phase.GONE:
            self._awaited.discard(broker.id)
            self._gives_up_at = Instant(now + LEAVING_S)
        if broker.is_in_sync is not was_in_sync:
            self.replicas.broker_changed(now, broker.id)
        if broker.wakes_at < NEVER:
            heapq.heappush(self._wakes, (broker.wakes_at, broker.id))

    def _look(self, which: str, after: str = "") -> None:
        """Partitions that may not be as they should be; those that are as they should be are not kept here."""
        following = f" after={after}" if after else ""
        self._effects.append(Ask(f"PARTITION LIST {which}{following}", OfPartitions(which)))

    def _tell(self, kind: str, text: str, **pairs: Value) -> None:
        self._effects.append(Tell(kind, text, pairs))

    def _ready_text(self) -> str:
        down = sum(broker.phase is Phase.DOWN for broker in self.brokers.values())
        but = f", {down} of them down" if down else ""
        return (
            f"ready: {self.settings.brokers} brokers{but}, {self.settings.topics} topics, {self.topics.made} partitions"
        )

    # --- chaos --------------------------------------------------------------------------------------------------------

    def _plan_mishap(self, now: Instant) -> None:
        if self.settings.chaos_s is not None:
            self._next_mishap = Instant(now + self.settings.chaos_s * (0.5 + self._chance()))

    def _do_mishap(self, now: Instant) -> None:
        """One healthy broker has it; never so many that a third is unwell."""
        self._plan_mishap(now)
        healthy = [broker.id for broker in self.brokers.values() if broker.is_in_sync]
        number = healthy[int(self._chance() * len(healthy))] if healthy else None
        deed, low, high = MISHAPS[int(self._chance() * len(MISHAPS))]
        for_s = round(low + self._chance() * (high - low), 1)
        if number is None or len(healthy) * 3 <= len(self.brokers) * 2:
            return
        order = Order(deed, (number,), for_s)  # type: ignore[arg-type]  # the deeds of MISHAPS are deeds
        self._tell("chaos", f"chaos: {deed} {number} for={for_s:g}", id=number, deed=deed, seconds=for_s)
        self._obey(now, order)


def named(ids: Sequence[int]) -> str:
    """Brokers for people: a few by id, many by their number."""
    shown = ", ".join(str(number) for number in ids[:NAMED_MAX])
    more = len(ids) - NAMED_MAX
    return f"broker{'s' if len(ids) != 1 else ''} {shown}{f' and {more} more' if more > 0 else ''}"
