"""Sums over the quorum: majorities and the high watermark (raft.md §5.2)."""

import pytest

from tests.raft.replica import Replica, key
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch
from yakt.raft.core import Election, LogState
from yakt.raft.effects import Commit
from yakt.raft.events import Proposed
from yakt.raft.messages import FetchRequest
from yakt.raft.roles import Leader

OLD = LogState(end_offset=Offset(5), epochs=(OffsetAndEpoch(Epoch(1), Offset(0)),))
"""Five records of an older epoch, none known to be committed."""


def leading(size: int, *, appended: int = 9) -> Replica:
    replica = Replica.make(size, log=OLD, election=Election(Epoch(1)))
    replica.lead()
    replica.step(Proposed(Offset(6), appended, 0, b""))
    return replica


@pytest.mark.parametrize(
    ("size", "fetches", "is_flushed", "expected"),
    [
        (3, {2: 10}, True, 10),
        (3, {2: 10}, False, 0),
        (3, {2: 10, 3: 8}, False, 8),
        (3, {2: 10, 3: 12}, True, 12),
        (3, {}, True, 0),
        (5, {2: 10}, True, 0),
        (5, {2: 10, 3: 7}, True, 7),
        (5, {2: 10, 3: 7, 4: 9}, True, 9),
        (5, {2: 10, 3: 7, 4: 9, 5: 9}, False, 9),
        (2, {2: 7}, True, 7),
        (2, {2: 7}, False, 0),
        (1, {}, True, 15),
        (1, {}, False, 0),
        # Figure 8: a majority has records of the old epoch, or just all of them: nothing is committed by counting.
        (3, {2: 4}, True, 0),
        (3, {2: 5}, True, 0),
        (3, {2: 6}, True, 6),
    ],
)
def test_high_watermark(size: int, fetches: dict[int, int], expected: int, *, is_flushed: bool) -> None:
    replica = leading(size) if size > 1 else Replica.make(1, log=OLD, election=Election(Epoch(1)))
    if size == 1:
        replica.step(Proposed(Offset(6), 9, 0, b""))
    if is_flushed:
        replica.flush()
    for node, offset in fetches.items():
        replica.fetched_by(node, offset)
    assert replica.core.high_watermark == expected
    assert replica.core.can_activate is (expected > 5)


def test_it_never_falls() -> None:
    replica = leading(3)
    replica.flush()
    replica.fetched_by(2, 12)
    replica.fetched_by(2, 7)
    assert replica.core.high_watermark == 12
    assert not any(isinstance(effect, Commit) for effect in replica.effects)
    assert replica.core.statistics(replica.now).voters[1].fell_back
    replica.fetched_by(2, 13)
    assert not replica.core.statistics(replica.now).voters[1].fell_back


def test_what_an_earlier_epoch_fetched_counts_no_more() -> None:
    """A new leadership starts from nothing known."""
    replica = leading(3)
    assert isinstance(replica.core.quorum.role, Leader)
    assert replica.core.quorum.majority_end_offset(replica.core.quorum.role) == -1
    replica.flush()
    assert replica.core.high_watermark == 0


def test_statistics_of_a_leader() -> None:
    replica = leading(3)
    replica.flush()
    replica.fetched_by(2, 6)
    replica.now += 0.1
    replica.fetched_by(2, 15)
    statistics = replica.core.statistics(replica.now)
    assert statistics.role == "leader"
    assert [(voter.id, voter.end_offset) for voter in statistics.voters] == [(1, 15), (2, 15), (3, None)]
    assert statistics.voters[1].last_fetch == statistics.voters[1].last_caught_up == replica.now
    assert statistics.voters[2].last_fetch is None
    assert statistics.parked_fetches == 1
    assert statistics.is_high_watermark_current


def test_caught_up_is_when_it_last_had_all_there_was_at_its_fetch() -> None:
    replica = leading(3)
    replica.flush()
    first = replica.now
    replica.fetched_by(2, 6)
    replica.step(Proposed(Offset(15), 5, 0, b""))
    replica.now += 0.1
    replica.fetched_by(2, 15)
    assert replica.core.statistics(replica.now).voters[1].last_caught_up == first


def test_an_observer_is_listed_and_does_not_count() -> None:
    replica = leading(3)
    replica.flush()
    request = FetchRequest(
        replica=key(2, "z"),
        epoch=replica.core.epoch,
        fetch_offset=Offset(15),
        last_fetched_epoch=replica.core.epoch,
        max_wait_ms=0,
        max_bytes=0,
    )
    replica.receive(NodeId(2), request)
    assert replica.core.high_watermark == 0
    statistics = replica.core.statistics(replica.now)
    assert [(observer.id, observer.end_offset) for observer in statistics.observers] == [(2, 15)]
    replica.now += 301
    assert replica.core.statistics(replica.now).observers == ()
