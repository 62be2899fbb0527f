"""Sessions: a heap with lazy deletion says what a plain table of deadlines says; a leader that slept fences nobody."""

import math

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from yakt.ids import Instant
from yakt.metadata.sessions import LOOK_S_MAX, LOOK_S_MIN, Sessions

BROKERS = st.integers(0, 4)
LENGTHS_MS = st.sampled_from([1, 10, 1000, 9000])


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sessions = Sessions(Instant(0.0))
        self.ends: dict[int, tuple[int, float, float]] = {}
        """By broker: epoch, when it is over, its length."""

    @rule(broker_id=BROKERS, epoch=st.integers(0, 1), length_ms=LENGTHS_MS)
    def touch(self, broker_id: int, epoch: int, length_ms: int) -> None:
        self.sessions.touch(broker_id, epoch, Instant(self.now), length_ms)
        self.ends[broker_id] = (epoch, self.now + length_ms / 1000, length_ms / 1000)

    @rule(broker_id=BROKERS, epoch=st.sampled_from([0, 1, None]))
    def contact(self, broker_id: int, epoch: int | None) -> None:
        self.sessions.contact(broker_id, epoch, Instant(self.now))
        if broker_id in self.ends and epoch in (None, self.ends[broker_id][0]):
            of, _, length_s = self.ends[broker_id]
            self.ends[broker_id] = (of, self.now + length_s, length_s)

    @rule(broker_id=BROKERS)
    def end(self, broker_id: int) -> None:
        self.sessions.end(broker_id)
        self.ends.pop(broker_id, None)

    @rule(seconds=st.sampled_from([0.001, 0.5, 5.0]))
    def wait(self, seconds: float) -> None:
        """As the leader does: it looks whenever it is told to."""
        end = self.now + seconds
        over: list[int] = []
        while True:
            self.now = min(end, max(self.now, float(self.sessions.deadline)))
            while (session := self.sessions.expire(Instant(self.now))) is not None:
                over.append(session.broker_id)
            if self.now == end:
                break
        assert sorted(over) == sorted(broker_id for broker_id, (_, at, _) in self.ends.items() if at <= self.now)
        for broker_id in over:
            del self.ends[broker_id]

    @rule(seconds=st.sampled_from([3.0, 1000.0]))
    def stand_still(self, seconds: float) -> None:
        """Nothing runs, and then it looks again: of that time, two looks' worth counts."""
        counts = 2 * self.sessions.look_s if self.ends else seconds
        looked_at = self.sessions._looked_at
        self.now += seconds
        missed_s = self.sessions.look(Instant(self.now))
        assert missed_s == pytest.approx(max(0.0, self.now - looked_at - counts) if self.ends else 0.0)
        self.ends = {
            broker_id: (epoch, at + missed_s, length_s) for broker_id, (epoch, at, length_s) in self.ends.items()
        }
        self.wait(0.0)

    @invariant()
    def it_looks_often_enough(self) -> None:
        assert len(self.sessions) == len(self.ends)
        shortest_s = min((length_s for _, _, length_s in self.ends.values()), default=math.inf)
        assert self.sessions.look_s == max(LOOK_S_MIN, min(LOOK_S_MAX, shortest_s / 8))
        if not self.ends:
            assert self.sessions.deadline == math.inf
        else:
            assert self.sessions.deadline <= min(at for _, at, _ in self.ends.values()) + 1e-6
            assert self.sessions.deadline <= self.now + self.sessions.look_s + 1e-6
        for broker_id in range(5):
            epoch, at, _ = self.ends.get(broker_id, (None, 0.0, 0.0))
            for asked in (0, 1):
                left_s = max(0.0, at - self.now) if asked == epoch else 0.0
                assert self.sessions.left_s(broker_id, asked, Instant(self.now)) == pytest.approx(left_s, abs=1e-6)


TestMachine = Machine.TestCase


def test_a_leader_that_stood_still_extends_every_session_by_that() -> None:
    sessions = Sessions(Instant(0.0))
    for broker_id in range(3):
        sessions.touch(broker_id, 0, Instant(0.0), 9000)
    assert sessions.expire(Instant(3600.0)) is None  # it slept for an hour: what was sent lies unread
    sessions.touch(1, 0, Instant(3600.1), 9000)  # now it is read
    assert sessions.left_s(1, 0, Instant(3600.1)) == pytest.approx(9.0)
    at = 3600.1
    over = []
    while at < 3620:
        at = float(sessions.deadline) if sessions.deadline < math.inf else 3620.0
        while (session := sessions.expire(Instant(at))) is not None:
            over.append((session.broker_id, round(at - 3600.1, 3)))
    assert over == [(0, 6.9), (2, 6.9), (1, 9.0)]  # of the hour two seconds counted
