"""Gives leaderships back to the preferred leaders, a little at a time; pure, time is passed in (controller.md §1).

A round begins every `INTERVAL_S` and looks at all partitions, `SLICE` of them a call, so that a large cluster's round
is many short pieces and not one long one. What a slice brings is an operation of its own.
"""

import math

from yakt.ids import Instant
from yakt.metadata.partition_change import Election, Target, build
from yakt.metadata.records import NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord
from yakt.metadata.state import State

INTERVAL_S = 300.0
"""Kafka's leader.imbalance.check.interval.seconds."""
SLICE = 1000
"""Partitions looked at in one call."""
PAUSE_S = 0.01
"""Between two slices of a round."""


class Balancing:
    """Where the present round is, and when it goes on."""

    def __init__(self, now: Instant) -> None:
        self._round_at = Instant(now + INTERVAL_S)
        self._topics: list[str] = []
        """Those of the round that are still to be looked at, last first."""
        self._partition = 0
        """The next one of the last of them."""
        self._slice_at = Instant(math.inf)

    @property
    def deadline(self) -> Instant:
        """When `advance` has something to do."""
        return min(self._round_at, self._slice_at)

    def advance(self, state: State, now: Instant) -> list[PartitionChangeRecord]:
        """The next slice, if one is due: elections of preferred leaders that may lead and do not."""
        if now >= self._round_at:
            self._round_at = Instant(now + INTERVAL_S)
            if not self._topics:
                self._topics, self._partition = list(reversed(state.topics.sorted_keys())), 0
        elif now < self._slice_at:
            return []
        changes = self._look(state)
        self._slice_at = Instant(now + PAUSE_S) if self._topics else Instant(math.inf)
        return changes

    def _look(self, state: State) -> list[PartitionChangeRecord]:
        changes: list[PartitionChangeRecord] = []
        left = SLICE
        while self._topics and left > 0:
            topic = state.topics.get(self._topics[-1])
            if topic is None or self._partition >= topic.partitions:
                self._topics.pop()
                self._partition = 0
                left -= 1
                continue
            row = state.partitions.get((topic.id, self._partition))
            self._partition += 1
            left -= 1
            if row is None or not row.replicas or row.leader in (NO_LEADER, row.replicas[0]):
                continue
            change = build(state, row, Target(), Election.PREFERRED)
            if change is not None and change.leader != NO_LEADER_CHANGE:
                changes.append(change)
        return changes
