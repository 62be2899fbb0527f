"""Elections in rounds that nobody asked for: preferred ones, and unclean ones where nobody leads (controller.md §1).

A round begins every so often and goes over the partitions that want it when it begins, `SLICE` of them a call, so that
a large one is many short pieces and not one long one. What a slice brings is an operation of its own.
"""

import math
from collections.abc import Callable

from yakt.ids import Instant
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.partition_change import Election, Target, build, is_unclean_allowed
from yakt.metadata.partition_table import LEADERLESS, NOT_PREFERRED
from yakt.metadata.records import NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord
from yakt.metadata.rows import PartitionKey, PartitionRow
from yakt.metadata.state import State

SLICE = 1000
"""Partitions looked at in one call: Kafka's limit of elections."""
PAUSE_S = 0.01
"""Between two slices of a round."""

Elect = Callable[[State, ControllerSettings, PartitionRow], PartitionChangeRecord | None]


class Rounds:
    """Where the present round is, and when it goes on. `interval_s` infinite: there is none."""

    def __init__(self, now: Instant, interval_s: float, mark: int, elect: Elect, reason: str) -> None:
        self.reason = reason
        """What the records say it was for."""
        self._interval_s = interval_s
        self._mark = mark
        self._elect = elect
        self._round_at = Instant(now + interval_s)
        self._keys: list[PartitionKey] = []
        """Those of the round that are still to be looked at, last first."""
        self._slice_at = Instant(math.inf)

    @property
    def deadline(self) -> Instant:
        """When `advance` has something to do."""
        return min(self._round_at, self._slice_at)

    def advance(self, state: State, settings: ControllerSettings, now: Instant) -> list[PartitionChangeRecord]:
        """The next slice, if one is due."""
        if now >= self._round_at:
            self._round_at = Instant(now + self._interval_s)
            if not self._keys:
                self._keys = [row.key for row in state.partitions.marked(self._mark)][::-1]
        elif now < self._slice_at:
            return []
        changes: list[PartitionChangeRecord] = []
        for _ in range(min(SLICE, len(self._keys))):
            row = state.partitions.get(self._keys.pop())
            change = self._elect(state, settings, row) if row is not None and row.replicas else None
            if change is not None:
                changes.append(change)
        self._slice_at = Instant(now + PAUSE_S) if self._keys else Instant(math.inf)
        return changes


def preferred(now: Instant, settings: ControllerSettings) -> Rounds:
    """Leaderships given back to the first replicas, where they may lead."""
    return Rounds(
        now, settings.preferred_election_interval_s, NOT_PREFERRED, _elect_preferred, "preferred leaders lead again"
    )


def _elect_preferred(state: State, settings: ControllerSettings, row: PartitionRow) -> PartitionChangeRecord | None:
    if row.leader in (NO_LEADER, row.replicas[0]):
        return None
    change = build(state, row, Target(), Election.PREFERRED)
    return change if change is not None and change.leader != NO_LEADER_CHANGE else None


def unclean(now: Instant, settings: ControllerSettings) -> Rounds:
    """Any replica that is there leads what has no leader, where the topic's config would rather lose records than wait.

    It may say so only since the last member of the ISR went: then nothing else brings this about.
    """
    return Rounds(now, settings.unclean_election_interval_s, LEADERLESS, _elect_unclean, "unclean election: nobody led")


def _elect_unclean(state: State, settings: ControllerSettings, row: PartitionRow) -> PartitionChangeRecord | None:
    if row.leader != NO_LEADER or not is_unclean_allowed(state, settings, row.topic):
        return None
    change = build(state, row, Target(), Election.UNCLEAN)
    return change if change is not None and change.leader not in (NO_LEADER, NO_LEADER_CHANGE) else None
