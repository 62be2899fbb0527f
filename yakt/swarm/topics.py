"""The swarm's topics: where their replicas are, and the lines that make them and take them away. Pure.

Replicas are placed here, on the swarm's own brokers alone: neither do its topics land on anybody else's brokers, nor
does the same seed ever place them otherwise.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain

from yakt.errors import RefusedError
from yakt.ids import Instant
from yakt.metadata.answers import Result
from yakt.swarm.settings import NEVER, Ask, Chance, OfTopic, Settings

CREATED_AT_ONCE = 1000
"""Partitions of one TOPIC CREATE, for a node does nothing else meanwhile; the rest is added singly."""
LINE_BYTES = 60_000
"""The longest `assignment=`; a line has at most 64 KiB."""
WINDOW = 2000
"""Partitions asked for and not answered, at most: what a node does in a fraction of a second."""
TIMEOUT_MS = 20_000
AGAIN_S = 0.5
WAITS = ("INVALID_REPLICA_ASSIGNMENT", "INVALID_PARTITIONS")
"""Refusals that end by themselves: a partition's brokers are all dead just now; the one before it is not there yet."""


def rack_of(settings: Settings, broker_id: int) -> str:
    """Racks take turns over the ids: r1, r2, r3, r1, …"""
    return f"r{(broker_id - settings.base_id) % settings.racks + 1}"


def place(settings: Settings, chance: Chance) -> Iterator[Sequence[int]]:
    """The replicas of one partition after the other, without end: leaders in turn, followers by chance, racks apart."""
    ids, replication = settings.ids, min(settings.replication, settings.brokers)
    racks = [ids[rack :: settings.racks] for rack in range(settings.racks)]
    first = int(chance() * len(ids))
    while True:
        replicas = [ids[first]]
        while len(replicas) < replication:
            rack = racks[(first + len(replicas)) % len(racks)]
            start = int(chance() * len(rack))
            in_turn = chain(rack[start:], rack[:start], ids)  # where a rack is used up, anywhere
            replicas.append(next(broker for broker in in_turn if broker not in replicas))
        yield replicas
        first = (first + 1) % len(ids)


class Topics:
    """Makes them, then, when the swarm leaves, takes them away; never more than WINDOW under way."""

    def __init__(self, settings: Settings, chance: Chance) -> None:
        self._settings = settings
        self._waiting: deque[Ask] = deque()
        self._lines = self._make(place(settings, chance))
        self._under_way = 0
        self._paused_until = Instant(-NEVER)
        self.made = 0
        """Partitions that are there."""
        self.failure = ""
        """Why the topics cannot be made."""
        self.is_removing = False

    @property
    def wanted(self) -> int:
        """Partitions in all."""
        return self._settings.topics * self._settings.partitions

    @property
    def is_made(self) -> bool:
        """All that were asked for; or none will be any more."""
        return self.made >= self.wanted or bool(self.failure) or self.is_removing

    @property
    def is_removed(self) -> bool:
        """All are taken away."""
        return self.is_removing and not self._under_way and not self._waiting

    @property
    def wakes_at(self) -> Instant:
        """When `act` is next worth calling: when what was refused for a while can be asked again."""
        return self._paused_until if self._waiting and self._paused_until > 0 else NEVER

    def remove(self) -> None:
        """From now on, take them away."""
        self.is_removing = True
        self._waiting = deque(
            Ask(
                f"TOPIC DELETE {self._settings.topic(number)} timeout={TIMEOUT_MS}",
                OfTopic(self._settings.partitions, True),
            )
            for number in range(1, self._settings.topics + 1)
        )
        self._lines = iter(())

    def act(self, now: Instant) -> Iterator[Ask]:
        """What to ask now."""
        if self.failure and not self.is_removing:
            return
        while now >= self._paused_until:
            ask = self._waiting.popleft() if self._waiting else next(self._lines, None)
            if ask is None:
                return
            assert isinstance(ask.of, OfTopic)
            if self._under_way and self._under_way + ask.of.partitions > WINDOW:
                self._waiting.appendleft(ask)
                return
            self._under_way += ask.of.partitions
            yield ask

    def answered(self, now: Instant, ask: Ask, of: OfTopic, result: Result | None) -> None:
        """Take an answer; what was there already is as good as made, and what is gone, as taken away."""
        self._under_way -= of.partitions
        if of.is_removal is not self.is_removing:
            return  # from before the swarm decided to leave
        if result is None or (isinstance(result, RefusedError) and (result.retry or result.code in WAITS)):
            self._waiting.append(ask)
            self._paused_until = Instant(now + AGAIN_S)
        elif isinstance(result, RefusedError) and not of.is_removal and not _is_there(result):
            self.failure = f"{ask.line[:60]}…: {result.code}: {result.message}"
        elif not of.is_removal:
            self.made += of.partitions

    def _make(self, placed: Iterator[Sequence[int]]) -> Iterator[Ask]:
        settings = self._settings
        for number in range(1, settings.topics + 1):
            name = settings.topic(number)
            replicas = [next(placed) for _ in range(settings.partitions)]
            texts = [f"[{','.join(map(str, ids))}]" for ids in replicas]
            together = min(CREATED_AT_ONCE, LINE_BYTES // (max(map(len, texts)) + 1))
            yield Ask(
                f"TOPIC CREATE {name} assignment=[{','.join(texts[:together])}] timeout={TIMEOUT_MS}",
                OfTopic(len(texts[:together])),
            )
            for partition, text in enumerate(texts[together:], together):
                yield Ask(
                    f"PARTITION CREATE {name} partition={partition} replicas={text} timeout={TIMEOUT_MS}", OfTopic(1)
                )


def _is_there(refused: RefusedError) -> bool:
    return refused.code == "TOPIC_EXISTS" or (
        refused.code == "CONFLICT" and refused.details.get("partition") is not None
    )
