"""What the active controller does of itself, piece by piece (controller.md §1). Decides; writes nothing.

It fences who is silent, moves what a broker's coming or going left to be moved, holds elections in rounds, and lets
delegation tokens expire.
"""

from collections.abc import Callable, Iterator

import attrs

from yakt.ids import Instant
from yakt.metadata import rounds
from yakt.metadata.backlog import SLICE, Job, Work
from yakt.metadata.broker_control import fence_record
from yakt.metadata.decision import Stamp
from yakt.metadata.partition_change import in_sync_on, lead_leaderless, remove_broker
from yakt.metadata.partition_table import LEADERLESS
from yakt.metadata.records import NO_LEADER, Record
from yakt.metadata.rows import BrokerRow, PartitionKey, PartitionRow
from yakt.metadata.state import State
from yakt.metadata.token_control import SWEEP_INTERVAL_S, expired

JOB_COST = 20
"""What a job costs beside its partitions, in partitions."""


@attrs.frozen
class Piece:
    """Records to write as one operation, why, and what is to be done with the offset of the last."""

    records: list[Record]
    reason: str
    then: Callable[[int], None] | None = None


class Chores:
    """Asked for one piece after another; each is decided on a state that has the one before it."""

    def __init__(self, state: State, stamp: Stamp) -> None:
        self._stamp = stamp
        self._rounds = (
            rounds.preferred(stamp.now, stamp.settings),
            rounds.unclean(stamp.now, stamp.settings),
        )
        self._tokens_due = Instant(stamp.now + SWEEP_INTERVAL_S)
        if state.partitions.marked(LEADERLESS):
            stamp.backlog.add(Work.LEAD_ALL)

    @property
    def deadline(self) -> Instant:
        """When `pieces` may have something to do."""
        stamp = self._stamp
        if stamp.backlog:
            return Instant(0.0)  # at once
        return min(stamp.sessions.deadline, *[each.deadline for each in self._rounds], self._tokens_due)

    def pieces(self, state: State) -> Iterator[Piece]:
        """What is due: what is small, and of the backlog a slice. To be written each before the next is asked for."""
        stamp = self._stamp
        backlog, sessions, now = stamp.backlog, stamp.sessions, stamp.now
        while (ended := sessions.expire(now)) is not None:
            backlog.add(Work.FENCE, ended.broker_id, ended.epoch)
        room = SLICE
        while backlog and room > 0:
            looked_at, piece = self._go_on(state, backlog.first)
            room -= looked_at
            if piece is not None:
                yield piece
        for each in self._rounds:
            elected = each.advance(state, stamp.settings, now)
            if elected:
                yield Piece([*elected], each.reason)
        if now >= self._tokens_due:
            self._tokens_due = Instant(now + SWEEP_INTERVAL_S)
            yield Piece([*expired(state, stamp.now_ms)], "the time of delegation tokens is over")

    def _go_on(self, state: State, job: Job) -> tuple[int, Piece | None]:
        """A slice of that job, which is dropped when it is done: how much was looked at, and what is to be written."""
        broker = state.brokers.get(job.broker_id)
        is_same = broker is not None and broker.epoch == job.epoch
        match job.work:
            case Work.FENCE if broker is not None and is_same and not broker.fenced:
                # A broker that is heard of again meanwhile stays; what it lost it gets back as any replica that lagged.
                if self._stamp.sessions.get(broker.id, broker.epoch) is None:
                    return self._fence(state, job, broker)
            case Work.SHUT_DOWN if broker is not None and is_same and broker.shutting_down and not broker.fenced:
                return self._shut_down(state, job, broker)
            case Work.LEAD if broker is not None and is_same and broker.active:
                return self._lead(state, job, lambda row: broker.id in row.replicas)
            case Work.LEAD_ALL:
                if job.keys is None:
                    job.keys = [row.key for row in state.partitions.marked(LEADERLESS)][::-1]
                return self._lead(state, job, lambda _row: True)
        self._stamp.backlog.drop_first()
        return JOB_COST, None

    def _fence(self, state: State, job: Job, broker: BrokerRow) -> tuple[int, Piece | None]:
        settings = self._stamp.settings
        if job.keys is None:
            rows = in_sync_on(state, broker.id)
            if job.is_again:
                rows = [row for row in rows if len(row.isr) > 1 or row.leader != NO_LEADER]
            if len(rows) <= SLICE:
                self._stamp.backlog.drop_first()
                records: list[Record] = [*remove_broker(state, settings, broker.id, rows), fence_record(broker)]
                return JOB_COST + len(rows), Piece(records, job.reason)
            job.keys = [row.key for row in reversed(rows)]
        rows = [row for row in _take(state, job.keys) if broker.id in row.isr]
        if not job.keys:
            job.keys, job.is_again = None, True
        moved: list[Record] = [*remove_broker(state, settings, broker.id, rows)]
        return SLICE, Piece(moved, job.reason)

    def _shut_down(self, state: State, job: Job, broker: BrokerRow) -> tuple[int, Piece | None]:
        assert job.keys is not None
        rows = [row for row in _take(state, job.keys) if broker.id in row.isr]
        moved: list[Record] = [*remove_broker(state, self._stamp.settings, broker.id, rows)]
        if job.keys:
            return SLICE, Piece(moved, job.reason)
        self._stamp.backlog.drop_first()

        def note(last_offset: int) -> None:
            session = self._stamp.sessions.get(broker.id, broker.epoch)
            if session is not None:
                session.shutdown_offset = last_offset

        return SLICE, Piece(moved, job.reason, note)

    def _lead(self, state: State, job: Job, may: Callable[[PartitionRow], bool]) -> tuple[int, Piece | None]:
        assert job.keys is not None
        rows = [row for row in _take(state, job.keys) if row.leader == NO_LEADER and may(row)]
        if not job.keys:
            self._stamp.backlog.drop_first()
        return SLICE, Piece([*lead_leaderless(state, self._stamp.settings, rows)], job.reason)


def _take(state: State, keys: list[PartitionKey]) -> list[PartitionRow]:
    """The next slice of a job's partitions, those that are still there."""
    taken = [keys.pop() for _ in range(min(SLICE, len(keys)))]
    return [row for row in map(state.partitions.get, taken) if row is not None]
