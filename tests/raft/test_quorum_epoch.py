"""BeginQuorumEpoch and EndQuorumEpoch."""

import pytest

from tests.raft.replica import Replica
from yakt.ids import Epoch, NodeId
from yakt.raft.core import Election
from yakt.raft.effects import Send
from yakt.raft.events import LinkOpened, ShutdownAsked
from yakt.raft.messages import (
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    Error,
    QuorumEpochResponse,
    VoteRequest,
)
from yakt.raft.quorum_epoch import successor_backoff


@pytest.mark.parametrize(
    ("successors", "me", "expected"),
    [
        ((1, 2), 1, 0.0),
        ((2, 1), 1, 0.5),
        ((2, 3, 1), 1, 0.5),
        ((2, 1, 3), 1, 0.25),
        ((2, 3, 4, 1), 1, 0.5),
        ((2, 1, 3, 4), 1, 0.125),
        ((2, 3, 1, 4), 1, 0.25),
        ((2, 3), 1, 1.0),
        ((), 1, 1.0),
    ],
)
def test_backoff_by_place(successors: tuple[int, ...], me: int, expected: float) -> None:
    """raft.md §5.6, with a longest back-off of 1000 ms."""
    assert successor_backoff(1.0, tuple(map(NodeId, successors)), NodeId(me)) == expected


def begins(replica: Replica) -> list[int]:
    return [
        effect.to
        for effect in replica.effects
        if isinstance(effect, Send) and isinstance(effect.message, BeginQuorumEpochRequest)
    ]


def test_a_leader_makes_itself_known_to_who_does_not_fetch() -> None:
    replica = Replica.make()
    replica.lead()
    assert begins(replica) == [2, 3]
    replica.flush()
    replica.wait(0.1)
    replica.fetched_by(2, 1)
    replica.wait(0.2)
    assert begins(replica) == [3]


def test_a_voter_whose_link_opens_hears_at_once() -> None:
    replica = Replica.make()
    replica.lead()
    replica.step(LinkOpened(NodeId(3), counts_us=True))
    assert begins(replica) == [3]
    replica.flush()
    replica.fetched_by(3, 1)
    replica.step(LinkOpened(NodeId(3), counts_us=True))
    assert begins(replica) == []


def test_a_higher_epoch_in_the_answer_deposes() -> None:
    replica = Replica.make()
    replica.lead()
    correlation = replica.correlation(BeginQuorumEpochRequest, 2)
    response = QuorumEpochResponse(
        error=Error.FENCED_LEADER_EPOCH, leader_id=NodeId(3), epoch=Epoch(replica.core.epoch + 1)
    )
    replica.receive(NodeId(2), response, correlation + 1000)
    assert replica.core.is_leader, "an answer to nothing"
    replica.receive(NodeId(2), response, correlation)
    assert (replica.core.role_name, replica.core.leader_id) == ("follower", 3)


def test_two_leaders_of_one_epoch_stop_the_node() -> None:
    replica = Replica.make(election=Election(Epoch(4), NodeId(3), None))
    with pytest.raises(AssertionError, match="epoch 4 is led by 3, yet 2"):
        replica.receive(NodeId(2), BeginQuorumEpochRequest(epoch=Epoch(4), leader_id=NodeId(2)))


def test_the_first_successor_stands_at_once_and_the_others_in_turn() -> None:
    for successors, wait in (((1, 2), 0.0), ((2, 1), 0.15)):
        replica = Replica.make(election=Election(Epoch(4), NodeId(3), None))
        request = EndQuorumEpochRequest(
            epoch=Epoch(4), leader_id=NodeId(3), preferred_successors=tuple(map(NodeId, successors))
        )
        replica.receive(NodeId(3), request)
        assert replica.sent(QuorumEpochResponse).error is Error.NONE
        assert replica.core.deadline == wait
        replica.wait(wait)
        assert replica.sent(VoteRequest).pre_vote


def test_end_of_a_later_epoch_is_adopted_first() -> None:
    replica = Replica.make(election=Election(Epoch(4), NodeId(3), None))
    request = EndQuorumEpochRequest(epoch=Epoch(6), leader_id=NodeId(2), preferred_successors=(NodeId(3), NodeId(1)))
    replica.receive(NodeId(2), request)
    assert (replica.core.role_name, replica.core.epoch) == ("follower", 6)


def test_leave_is_taken_until_everybody_has_heard() -> None:
    replica = Replica.make()
    replica.lead()
    replica.step(ShutdownAsked())
    assert replica.core.statistics(replica.now).is_handing_over
    for node in (2, 3):
        correlation = replica.core.quorum.role.asked[NodeId(node)]  # type: ignore[union-attr, index]
        response = QuorumEpochResponse(leader_id=NodeId(1), epoch=replica.core.epoch)
        replica.receive(NodeId(node), response, correlation)
    assert not replica.core.statistics(replica.now).is_handing_over
    assert replica.wait(0.2) == []


def test_a_resigned_leader_stands_in_a_later_epoch_only() -> None:
    replica = Replica.make(election=Election(Epoch(4), NodeId(1), None))
    assert replica.core.leader_id is None
    replica.wait(0.3)
    assert (replica.core.role_name, replica.core.epoch) == ("unattached", 5)
