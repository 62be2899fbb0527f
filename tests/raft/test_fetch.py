"""Fetch: what a follower takes from an answer, and what a leader keeps of a request."""

import pytest

from tests.raft.replica import Replica, key
from yakt.batch import RecordBatch
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch
from yakt.raft.core import Election, LogState
from yakt.raft.effects import Append, Commit, Send, Truncate
from yakt.raft.events import Flushed, LinkLost, Proposed, ReadAsked, Visitor
from yakt.raft.messages import (
    Error,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    LogRange,
    ReadIndexRequest,
    ReadIndexResponse,
)
from yakt.raft.roles import Follower

LEADER = NodeId(3)
LOG = LogState(end_offset=Offset(5), epochs=(OffsetAndEpoch(Epoch(1), Offset(0)), OffsetAndEpoch(Epoch(3), Offset(2))))


def following() -> Replica:
    return Replica.make(log=LOG, election=Election(Epoch(4), LEADER, None))


def batch(offset: int, epoch: int = 4, count: int = 1) -> RecordBatch:
    return RecordBatch(Offset(offset), Epoch(epoch), count, 0, b"")


def respond(replica: Replica, **fields: object) -> None:
    response = FetchResponse(**{"leader_id": LEADER, "epoch": Epoch(4), **fields})  # type: ignore[arg-type]
    replica.receive(LEADER, response, replica.correlation(FetchRequest, 3))


@pytest.mark.parametrize(
    ("batches", "fitting"),
    [
        ((batch(5), batch(6)), 2),
        ((batch(5), batch(7)), 1),
        ((batch(6),), 0),
        ((batch(4),), 0),
        ((batch(5, epoch=2),), 0),
        ((batch(5, epoch=5),), 0),
        ((batch(5, epoch=3), batch(6, epoch=4), batch(7, epoch=3)), 2),
        ((batch(5, count=0),), 0),
    ],
)
def test_only_what_fits_is_appended(batches: tuple[RecordBatch, ...], fitting: int) -> None:
    replica = following()
    respond(replica, records=batches)
    appended = [found for effect in replica.appended() for found in effect.batches]
    assert appended == list(batches[:fitting])
    if fitting == len(batches):
        replica.flush()
        assert replica.sent(FetchRequest).fetch_offset == batches[-1].end_offset
    else:
        assert not any(isinstance(effect, Send) for effect in replica.effects), "asked again after a pause"
        assert replica.core.deadline == pytest.approx(0.02)


def test_the_next_fetch_waits_until_all_is_durable() -> None:
    replica = following()
    respond(replica, records=(batch(5), batch(6)))
    assert not any(isinstance(effect, Send) for effect in replica.effects)
    assert replica.step(Flushed(Offset(6))) == []
    assert not any(isinstance(effect, Send) for effect in replica.wait(0.2))
    replica.step(Flushed(Offset(7)))
    request = replica.sent(FetchRequest)
    assert (request.fetch_offset, request.last_fetched_epoch) == (7, 4)


def test_a_disk_that_stalls_is_no_voter_that_is_gone() -> None:
    """While the flush is out, what is durable is acknowledged by timer, and the leader is heard by the answers."""
    replica = following()
    respond(replica, records=(batch(5), batch(6)), high_watermark=Offset(5))
    replica.step(Flushed(Offset(6)))
    for _ in range(10):
        replica.wait(0.3)
        request = replica.sent(FetchRequest)
        assert (request.fetch_offset, request.last_fetched_epoch) == (6, 4)
        respond(replica, records=(batch(6), batch(7)), high_watermark=Offset(7))
        assert replica.effects == []
    assert replica.core.role_name == "follower"
    replica.step(Flushed(Offset(7)))
    assert replica.sent(FetchRequest).fetch_offset == 7


def test_high_watermark_is_no_further_than_the_log() -> None:
    replica = following()
    respond(replica, records=(batch(5),), high_watermark=Offset(9))
    assert [effect for effect in replica.effects if isinstance(effect, Commit)] == [Commit(Offset(6))]


@pytest.mark.parametrize("told", [None, 0, 3])
def test_a_lower_or_unknown_high_watermark_is_passed_over(told: int | None) -> None:
    replica = following()
    respond(replica, high_watermark=Offset(4))
    respond(replica, high_watermark=told)
    assert replica.core.high_watermark == 4


def test_truncation_below_the_high_watermark_stops_the_node() -> None:
    replica = following()
    respond(replica, high_watermark=Offset(4))
    with pytest.raises(AssertionError, match="committed to 4"):
        respond(replica, diverging=OffsetAndEpoch(Epoch(1), Offset(2)))


@pytest.mark.parametrize("change", ["correlation", "source", "epoch below"])
def test_an_answer_to_nothing_is_dropped(change: str) -> None:
    replica = following()
    correlation = replica.correlation(FetchRequest, 3)
    response = FetchResponse(
        leader_id=LEADER,
        epoch=Epoch(3 if change == "epoch below" else 4),
        diverging=OffsetAndEpoch(Epoch(1), Offset(2)),
    )
    source = NodeId(2) if change == "source" else LEADER
    replica.receive(source, response, correlation + (change == "correlation"))
    assert not any(isinstance(effect, Truncate) for effect in replica.effects)
    assert replica.core.log_end_offset == 5


def test_the_same_answer_twice_is_heard_once() -> None:
    replica = following()
    correlation = replica.correlation(FetchRequest, 3)
    response = FetchResponse(leader_id=LEADER, epoch=Epoch(4), diverging=OffsetAndEpoch(Epoch(3), Offset(4)))
    replica.receive(LEADER, response, correlation)
    assert replica.core.log_end_offset == 4
    assert replica.receive(LEADER, response, correlation) == []


@pytest.mark.parametrize("error", [Error.NOT_LEADER_OR_FOLLOWER, Error.BROKER_NOT_AVAILABLE, Error.INVALID_REQUEST])
def test_an_error_is_no_sign_of_life(error: Error) -> None:
    replica = following()
    for _ in range(31):
        replica.wait(0.02)
        role = replica.core.quorum.role
        if isinstance(role, Follower) and role.asked is not None:
            response = FetchResponse(error=error, leader_id=LEADER, epoch=Epoch(4))
            replica.receive(LEADER, response, role.asked.correlation)
    assert replica.core.role_name == "prospective"


def test_a_lost_answer_is_asked_for_again_and_a_slow_one_still_heard() -> None:
    replica = following()
    first = replica.correlation(FetchRequest, 3)
    replica.wait(0.3)
    assert replica.correlation(FetchRequest, 3) == first
    respond(replica, records=(batch(5),))
    assert replica.core.log_end_offset == 6


def test_a_leader_of_a_later_epoch_in_an_answer_is_followed() -> None:
    replica = following()
    respond(replica, error=Error.FENCED_LEADER_EPOCH, epoch=Epoch(6), leader_id=NodeId(2))
    assert (replica.core.epoch, replica.core.leader_id) == (6, 2)
    assert replica.sent(FetchRequest, to=2).epoch == 6


def test_a_snapshot_that_would_take_us_back_is_refused() -> None:
    replica = following()
    respond(replica, high_watermark=Offset(4))
    respond(replica, snapshot_id=OffsetAndEpoch(Epoch(1), Offset(4)))
    assert not any(isinstance(effect, Send) for effect in replica.effects)


@pytest.mark.parametrize(
    "wrong",
    [
        {"snapshot_id": OffsetAndEpoch(Epoch(4), Offset(8))},
        {"position": 1},
        {"data": b""},
        {"size": 2},
        {"error": Error.SNAPSHOT_NOT_FOUND},
    ],
)
def test_a_wrong_piece_of_a_snapshot_ends_the_download(wrong: dict[str, object]) -> None:
    replica = following()
    snapshot_id = OffsetAndEpoch(Epoch(4), Offset(9))
    respond(replica, snapshot_id=snapshot_id)
    piece = {"leader_id": LEADER, "epoch": Epoch(4), "snapshot_id": snapshot_id, "size": 6, "data": b"abc", **wrong}
    correlation = replica.correlation(FetchSnapshotRequest, 3)
    replica.receive(LEADER, FetchSnapshotResponse(**piece), correlation)  # type: ignore[arg-type]
    assert replica.effects == []
    replica.wait(0.02)
    assert replica.sent(FetchRequest).fetch_offset == 5


def leading(**config: object) -> Replica:
    replica = Replica.make(**config)  # type: ignore[arg-type]
    replica.lead()
    replica.flush()
    replica.fetched_by(2, 1)
    replica.fetched_by(3, 1)
    return replica


def test_parked_fetches_are_shipped_before_the_leader_s_own_append() -> None:
    replica = leading()
    replica.step(Proposed(Offset(1), 2, 7, b"body"))
    assert [type(effect) for effect in replica.effects] == [Send, Send, Append]
    assert replica.sent(FetchResponse).records == LogRange(Offset(1), Offset(3), 8 * 1024 * 1024)


def test_a_proposal_must_fit() -> None:
    replica = leading()
    with pytest.raises(AssertionError, match="the log ends at 1"):
        replica.step(Proposed(Offset(2), 1, 0, b""))
    with pytest.raises(AssertionError, match="follower was asked to append"):
        following().step(Proposed(Offset(5), 1, 0, b""))


def test_a_visitor_that_hangs_up_is_forgotten() -> None:
    replica = leading()
    request = FetchRequest(
        replica=None, epoch=Epoch(1), fetch_offset=Offset(1), last_fetched_epoch=Epoch(1), max_wait_ms=500, max_bytes=0
    )
    replica.receive(Visitor(7), request)
    assert replica.core.statistics(replica.now).parked_fetches == 3
    replica.step(LinkLost(Visitor(7)))
    assert replica.core.statistics(replica.now).parked_fetches == 2


def test_visitors_do_not_keep_a_leader_in_office() -> None:
    """Check-quorum hears voters only."""
    replica = leading()
    for number in range(60):
        request = FetchRequest(
            replica=None,
            epoch=Epoch(1),
            fetch_offset=Offset(0),
            last_fetched_epoch=Epoch(0),
            max_wait_ms=0,
            max_bytes=0,
        )
        replica.receive(Visitor(number), request)
        replica.wait(0.02)
    assert replica.core.role_name != "leader"


def test_observers_are_bounded() -> None:
    replica = leading(observers_max=3)
    for number in range(10):
        replica.now += 0.001
        request = FetchRequest(
            replica=key(100 + number),
            epoch=Epoch(1),
            fetch_offset=Offset(0),
            last_fetched_epoch=Epoch(0),
            max_wait_ms=0,
            max_bytes=0,
        )
        replica.receive(Visitor(number), request)
    observers = replica.core.statistics(replica.now).observers
    assert [observer.id for observer in observers] == [107, 108, 109]


def test_max_bytes_is_bounded() -> None:
    replica = leading(response_bytes_max=1000)
    for asked, given in ((0, 1000), (500, 500), (5000, 1000)):
        replica.fetched_by(2, 0, 0, max_bytes=asked)
        records = replica.sent(FetchResponse).records
        assert isinstance(records, LogRange)
        assert records.max_bytes == given


def test_a_read_index_tells_a_follower_what_is_committed() -> None:
    """Its reads need not wait until a fetch brings the high watermark; but only once its log is known to match."""
    for has_fetched in (True, False):
        replica = following()
        if has_fetched:
            respond(replica)
        replica.step(ReadAsked(1))
        correlation = replica.correlation(ReadIndexRequest, 3)
        replica.receive(LEADER, ReadIndexResponse(leader_id=LEADER, epoch=Epoch(4), offset=Offset(5)), correlation)
        assert replica.core.high_watermark == (5 if has_fetched else 0)
