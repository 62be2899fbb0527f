"""Sessions: a heap with lazy deletion says what a plain table of deadlines says."""

import math

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from yakt.ids import Instant
from yakt.metadata.sessions import Sessions

BROKERS = st.integers(0, 4)


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sessions = Sessions()
        self.ends: dict[int, tuple[int, float]] = {}

    @rule(broker_id=BROKERS, epoch=st.integers(0, 1), length_ms=st.sampled_from([1, 10, 1000, 9000]))
    def touch(self, broker_id: int, epoch: int, length_ms: int) -> None:
        self.sessions.touch(broker_id, epoch, Instant(self.now), length_ms)
        self.ends[broker_id] = (epoch, self.now + length_ms / 1000)

    @rule(broker_id=BROKERS)
    def end(self, broker_id: int) -> None:
        self.sessions.end(broker_id)
        self.ends.pop(broker_id, None)

    @rule(seconds=st.sampled_from([0.001, 0.5, 5.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        over = set()
        while (session := self.sessions.expire(Instant(self.now))) is not None:
            over.add(session.broker_id)
        assert over == {broker_id for broker_id, (_, at) in self.ends.items() if at <= self.now}
        for broker_id in over:
            del self.ends[broker_id]

    @invariant()
    def the_deadline_is_the_first_to_end(self) -> None:
        assert self.sessions.deadline == min((at for _, at in self.ends.values()), default=math.inf)
        assert len(self.sessions) == len(self.ends)
        for broker_id in range(5):
            epoch, at = self.ends.get(broker_id, (None, 0.0))
            for asked in (0, 1):
                assert self.sessions.is_live(broker_id, asked, Instant(self.now)) is (asked == epoch and at > self.now)


TestMachine = Machine.TestCase
