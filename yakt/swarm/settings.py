"""What a swarm is asked to be, and the words its parts share. Pure."""

from collections.abc import Callable
from math import inf
from typing import Literal, TypeAlias

import attrs

from yakt.ids import Instant
from yakt.metadata.answers import Pairs, Result

NEVER = Instant(inf)
Chance: TypeAlias = Callable[[], float]
"""A number from 0, inclusive, to 1, exclusive."""
ChanceOf: TypeAlias = Callable[[str], Chance]
"""A stream of chance of its own for each name, so that what one broker draws moves no other."""


@attrs.frozen(kw_only=True)
class Settings:
    """One swarm: ids are `base_id` and up, hosts end in `.NAME.swarm`, topics are called `NAME-1` and up."""

    name: str
    brokers: int
    base_id: int
    racks: int
    topics: int
    partitions: int
    """Of each topic."""
    replication: int
    session_ms: int
    heartbeat_ms: int
    chaos_s: float | None
    """Mean time between mishaps that nobody ordered, s; None: there are none."""

    @property
    def ids(self) -> range:
        """Of the brokers."""
        return range(self.base_id, self.base_id + self.brokers)

    @property
    def host_suffix(self) -> str:
        """By which the swarm knows its own brokers again."""
        return f".{self.name}.swarm"

    def topic(self, number: int) -> str:
        """The name of a topic, numbered from 1."""
        return f"{self.name}-{number}"


@attrs.frozen
class OfBroker:
    """Asked by a broker; `turn` tells answers to what it was before from those to what it is."""

    id: int
    turn: int


@attrs.frozen
class OfPartition:
    """Asked by a partition's leader."""

    topic: str
    partition: int


@attrs.frozen
class OfPartitions:
    """Asked which partitions there are, by the options of PARTITION LIST, `broker=1003`."""

    which: str


@attrs.frozen
class OfTopic:
    """Asked while the topics are made or taken away: so many partitions are done with it."""

    partitions: int
    is_removal: bool = False


Asker: TypeAlias = OfBroker | OfPartition | OfPartitions | OfTopic


@attrs.frozen
class Ask:
    """A line for the cluster. Heartbeats never queue behind bulky work: each lane has a connection of its own."""

    line: str
    of: Asker
    lane: Literal["beats", "work"] = "work"


@attrs.frozen
class Tell:
    """Something that happened, for people and programs: `pairs` hold what `text` says."""

    kind: str
    text: str
    pairs: Pairs = attrs.Factory(dict)


@attrs.frozen
class Answered:
    """`result` None: the connection was lost, and nobody knows whether it was done."""

    ask: Ask
    result: Result | None
