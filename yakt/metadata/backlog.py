"""What a broker's coming or going still has to move, as jobs; the leader's soft state. Knows neither image nor clock.

A broker may lead ten thousand partitions, and to move them all is a tenth of a second in which no other client would be
answered. So what is more than a slice waits here, and `chores` does it a slice at a time, between other commands, job
after job: each sees what the one before it left. (Kafka's controller splits the same operations into several batches.)
A leadership's end loses nothing: the next leader finds the broker silent still, or asked again to let it shut down, or
partitions without a leader, and begins anew.
"""

from collections import deque
from enum import Enum

import attrs

from yakt.metadata.rows import PartitionKey

SLICE = 1000
"""Partitions of one piece: some 10 ms."""
NOT_YET = 2**63
"""As a shutdown offset: leaderships are still being moved. Above every offset."""


class Work(Enum):
    """What a job is for; the words go with its records."""

    FENCE = "the session of broker {} ended"
    SHUT_DOWN = "broker {} shuts down"
    LEAD = "broker {} may lead again"
    LEAD_ALL = "the last leader left partitions leaderless that need not be"


@attrs.define(eq=False)
class Job:
    """One broker's. `epoch` is its registration's: under another one there is nothing to do."""

    work: Work
    broker_id: int = -1
    epoch: int = -1
    keys: list[PartitionKey] | None = None
    """Those still to be looked at, last first; None: not found yet."""
    is_again: bool = False
    """All were looked at once: what has come in meanwhile is looked for."""

    @property
    def reason(self) -> str:
        """Why its records are written."""
        return self.work.value.format(self.broker_id)


class Backlog:
    """Jobs in the order they came; the first is under way."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    @property
    def first(self) -> Job:
        """The one under way; there must be one."""
        return self._jobs[0]

    def add(self, work: Work, broker_id: int = -1, epoch: int = -1, keys: list[PartitionKey] | None = None) -> None:
        """Queue a job; `keys`, where they are known, in the order to go through them."""
        self._jobs.append(Job(work, broker_id, epoch, None if keys is None else keys[::-1]))

    def drop_first(self) -> None:
        """It is done, or there is nothing to do any more."""
        self._jobs.popleft()
