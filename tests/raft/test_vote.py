"""Vote and pre-vote: the receiver's table of raft.md §4 line by line, and what the sender counts."""

import pytest

from tests.raft.replica import Replica, key
from tests.raft.scripted import CLUSTER_ID, directory
from yakt.batch import Voter, Voters
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch
from yakt.raft import invariants
from yakt.raft.core import Election, LogState
from yakt.raft.effects import RememberVoter, SaveElection, Send
from yakt.raft.events import LinkLost, LinkOpened, ShutdownAsked
from yakt.raft.messages import (
    BeginQuorumEpochRequest,
    Error,
    FetchRequest,
    FetchResponse,
    VoteRequest,
    VoteResponse,
)

LOG = LogState(end_offset=Offset(5), epochs=(OffsetAndEpoch(Epoch(1), Offset(0)), OffsetAndEpoch(Epoch(3), Offset(2))))
"""Ends at 5, in epoch 3."""


def ask(replica: Replica, *, epoch: int, end: tuple[int, int] = (3, 5), pre_vote: bool, node: int = 2) -> VoteResponse:
    request = VoteRequest(
        epoch=Epoch(epoch),
        candidate=key(node),
        last_epoch=Epoch(end[0]),
        log_end_offset=Offset(end[1]),
        pre_vote=pre_vote,
    )
    replica.receive(NodeId(node), request)
    return replica.sent(VoteResponse)


def in_role(role: str) -> Replica:
    """Node 1 in epoch 4, with LOG."""
    match role:
        case "unattached":
            return Replica.make(log=LOG, election=Election(Epoch(4)))
        case "unattached, voted for 2":
            return Replica.make(log=LOG, election=Election(Epoch(4), None, key(2)))
        case "unattached, voted for 2's old disk":
            return Replica.make(log=LOG, election=Election(Epoch(4), None, key(2, "z")))
        case "unattached, knows a leader":
            # Not a voter, so nobody to follow.
            return Replica.make(log=LOG, election=Election(Epoch(4), NodeId(9), None))
        case "prospective":
            replica = Replica.make(log=LOG, election=Election(Epoch(4)))
            replica.wait(0.3)
        case "prospective, knows a leader":
            replica = Replica.make(log=LOG, election=Election(Epoch(4), NodeId(3), None))
            replica.wait(0.6)
        case "candidate":
            replica = Replica.make(log=LOG, election=Election(Epoch(4), None, key(1)))
        case "follower, never fetched":
            replica = Replica.make(log=LOG, election=Election(Epoch(4), NodeId(3), None))
        case "follower":
            replica = Replica.make(log=LOG, election=Election(Epoch(4), NodeId(3), None))
            response = FetchResponse(leader_id=NodeId(3), epoch=Epoch(4))
            replica.receive(NodeId(3), response, replica.correlation(FetchRequest, 3))
        case "follower, link lost":
            replica = in_role("follower")
            replica.step(LinkLost(NodeId(3)))
        case "leader":
            replica = Replica.make(log=LOG, election=Election(Epoch(3)))
            replica.lead()
        case "resigned":
            replica = Replica.make(log=LOG, election=Election(Epoch(4), NodeId(1), key(1)))
    assert replica.core.role_name == role.split(",")[0]
    assert replica.core.epoch == 4
    return replica


UP_TO_DATE = "if up to date"


@pytest.mark.parametrize(
    ("role", "pre_vote", "vote"),
    [
        ("unattached", UP_TO_DATE, UP_TO_DATE),
        ("unattached, voted for 2", UP_TO_DATE, True),
        ("unattached, voted for 2's old disk", UP_TO_DATE, False),
        ("unattached, knows a leader", UP_TO_DATE, False),
        ("prospective", UP_TO_DATE, UP_TO_DATE),
        ("prospective, knows a leader", UP_TO_DATE, False),
        ("follower, never fetched", UP_TO_DATE, False),
        ("follower", False, False),
        ("follower, link lost", UP_TO_DATE, False),
        ("candidate", UP_TO_DATE, False),
        ("resigned", UP_TO_DATE, False),
        ("leader", False, False),
    ],
)
@pytest.mark.parametrize("is_up_to_date", [True, False])
def test_table(role: str, pre_vote: bool | str, vote: bool | str, *, is_up_to_date: bool) -> None:
    """raft.md §4, step 7."""
    end = (3, 6) if is_up_to_date and role != "leader" else (3, 6) if is_up_to_date else (3, 4)
    for asks_pre_vote, expected in ((True, pre_vote), (False, vote)):
        response = ask(in_role(role), epoch=4, end=end, pre_vote=asks_pre_vote)
        assert response.granted == (is_up_to_date if expected == UP_TO_DATE else expected)
        assert response.error is Error.NONE
        assert response.epoch == 4


@pytest.mark.parametrize(
    ("end", "granted"),
    [((3, 5), True), ((3, 4), False), ((3, 6), True), ((2, 99), False), ((4, 1), True), ((0, 0), False)],
)
def test_logs_are_compared_by_epoch_then_offset(end: tuple[int, int], *, granted: bool) -> None:
    assert ask(in_role("unattached"), epoch=5, end=end, pre_vote=False).granted is granted


def test_the_vote_is_durable_before_it_is_given() -> None:
    replica = in_role("unattached")
    ask(replica, epoch=7, pre_vote=False)
    kinds = [type(effect) for effect in replica.effects]
    assert kinds.index(SaveElection) < kinds.index(Send)
    assert [effect for effect in replica.effects if isinstance(effect, SaveElection)] == [
        SaveElection(Epoch(7), None, key(2))
    ], "one write, not two"


def test_one_vote_an_epoch() -> None:
    replica = in_role("unattached")
    assert ask(replica, epoch=7, pre_vote=False, node=2).granted
    assert not ask(replica, epoch=7, pre_vote=False, node=3).granted
    assert ask(replica, epoch=7, pre_vote=False, node=2).granted, "the same vote again: its answer was lost"
    assert ask(replica, epoch=8, pre_vote=False, node=3).granted


def test_a_pre_vote_of_a_later_epoch_raises_ours_and_grants_no_vote() -> None:
    replica = in_role("follower")
    assert ask(replica, epoch=6, pre_vote=True).granted
    assert (replica.core.role_name, replica.core.epoch) == ("unattached", 6)
    assert replica.core.quorum.election.voted is None


def test_granting_a_pre_vote_resets_no_timer() -> None:
    replica = in_role("unattached")
    before = replica.core.deadline
    replica.now += 0.1
    ask(replica, epoch=4, pre_vote=True)
    assert replica.core.quorum.role.deadline == 0.3 >= before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"cluster_id": "other"}, Error.INCONSISTENT_CLUSTER_ID),
        ({"cluster_id": CLUSTER_ID}, Error.NONE),
        ({"log_end_offset": -1}, Error.INVALID_REQUEST),
        ({"last_epoch": -1}, Error.INVALID_REQUEST),
        ({"last_epoch": 7}, Error.INVALID_REQUEST),
        ({"last_epoch": 7, "pre_vote": True}, Error.NONE),
        ({"last_epoch": 8, "pre_vote": True}, Error.INVALID_REQUEST),
        ({"epoch": 2**31}, Error.INVALID_REQUEST),
        ({"epoch": 3, "last_epoch": 2}, Error.FENCED_LEADER_EPOCH),
        ({"candidate": key(3)}, Error.INVALID_REQUEST),
        ({"candidate": key(1)}, Error.INVALID_REQUEST),
        ({"voter": key(1, "b")}, Error.INVALID_VOTER_KEY),
        ({"voter": key(3)}, Error.INVALID_VOTER_KEY),
        ({"voter": key(1)}, Error.NONE),
    ],
)
def test_request_check(changes: dict[str, object], error: Error) -> None:
    """raft.md §4, steps 1 to 5."""
    fields: dict[str, object] = {
        "epoch": 7,
        "candidate": key(2),
        "last_epoch": 3,
        "log_end_offset": 5,
        "pre_vote": False,
    }
    replica = in_role("unattached")
    replica.receive(NodeId(2), VoteRequest(**{**fields, **changes}))  # type: ignore[arg-type]
    response = replica.sent(VoteResponse)
    assert response.error is error
    assert response.granted is (error is Error.NONE)


def test_a_voter_met_for_the_first_time_is_remembered_before_its_vote() -> None:
    replica = Replica.make(directories={})
    assert ask(replica, epoch=1, end=(0, 0), pre_vote=False).granted
    assert replica.effects[0] == RememberVoter(key(2))
    assert replica.core.counts(key(2))
    assert not replica.core.counts(key(2, "b"))


def test_another_disk_than_the_remembered_gets_no_vote_and_raises_no_epoch() -> None:
    replica = in_role("unattached")
    request = VoteRequest(
        epoch=Epoch(9), candidate=key(2, "b"), last_epoch=Epoch(8), log_end_offset=Offset(99), pre_vote=False
    )
    replica.receive(NodeId(2), request)
    assert not replica.sent(VoteResponse).granted
    assert replica.core.epoch == 4


@pytest.mark.parametrize("role", ["unattached", "prospective", "candidate", "leader", "follower"])
def test_who_is_told_that_its_disk_was_another_neither_votes_nor_stands(role: str) -> None:
    replica = in_role(role)
    replica.step(LinkOpened(NodeId(2), counts_us=False))
    assert not replica.core.is_voter
    assert replica.core.role_name not in ("prospective", "candidate", "leader")
    assert not ask(replica, epoch=9, end=(8, 99), pre_vote=False).granted
    assert not ask(replica, epoch=9, end=(8, 99), pre_vote=True).granted
    replica.wait(5)
    assert replica.core.role_name in ("unattached", "follower")


def test_voters_never_met_are_not_asked() -> None:
    replica = Replica.make(directories={NodeId(2): directory(2)})
    replica.wait(0.3)
    asked = [
        effect.to for effect in replica.effects if isinstance(effect, Send) and isinstance(effect.message, VoteRequest)
    ]
    assert asked == [2]


def answer(
    replica: Replica, node: int, correlation: int, *, granted: bool, epoch: int, leader: int | None = None
) -> None:
    response = VoteResponse(leader_id=None if leader is None else NodeId(leader), epoch=Epoch(epoch), granted=granted)
    replica.receive(NodeId(node), response, correlation)


def test_the_same_vote_counts_once() -> None:
    replica = Replica.make(5)
    replica.wait(0.3)
    correlation = replica.correlation(VoteRequest, 2)
    answer(replica, 2, correlation, granted=True, epoch=0)
    answer(replica, 2, correlation, granted=True, epoch=0)
    assert replica.core.role_name == "prospective"


def test_an_answer_to_the_pre_vote_is_no_vote() -> None:
    replica = Replica.make()
    replica.wait(0.3)
    pre_votes = {node: replica.correlation(VoteRequest, node) for node in (2, 3)}
    answer(replica, 2, pre_votes[2], granted=True, epoch=0)
    assert replica.core.role_name == "candidate"
    answer(replica, 3, pre_votes[3], granted=True, epoch=0)
    answer(replica, 3, pre_votes[3], granted=True, epoch=1)
    assert replica.core.role_name == "candidate"


def test_an_answer_of_another_node_does_not_count() -> None:
    replica = Replica.make(5)
    replica.wait(0.3)
    correlation = replica.correlation(VoteRequest, 2)
    for node in (3, 4, 5):
        answer(replica, node, correlation, granted=True, epoch=0)
    assert replica.core.role_name == "prospective"


def test_a_retry_hears_the_answer_to_the_first_try() -> None:
    replica = Replica.make()
    replica.wait(0.3)
    first = replica.correlation(VoteRequest, 2)
    replica.wait(0.1)
    assert replica.correlation(VoteRequest, 2) == first
    answer(replica, 2, first, granted=True, epoch=0)
    assert replica.core.role_name == "candidate"


def test_prospective_refused_goes_back_to_its_leader() -> None:
    replica = in_role("prospective, knows a leader")
    asked = {node: replica.correlation(VoteRequest, node) for node in (2, 3)}
    answer(replica, 2, asked[2], granted=False, epoch=4, leader=3)
    replica.step(LinkLost(NodeId(3)))
    answer(replica, 2, asked[2], granted=False, epoch=4, leader=3)
    assert (replica.core.role_name, replica.core.leader_id) == ("follower", 3)
    assert replica.core.deadline >= replica.now


def test_prospective_learns_of_a_leader_in_an_answer() -> None:
    replica = in_role("prospective")
    answer(replica, 2, replica.correlation(VoteRequest, 2), granted=False, epoch=4, leader=3)
    assert (replica.core.role_name, replica.core.leader_id) == ("follower", 3)


def test_a_higher_epoch_in_an_answer_is_adopted() -> None:
    replica = in_role("candidate")
    answer(replica, 2, replica.correlation(VoteRequest, 2), granted=False, epoch=9, leader=3)
    assert (replica.core.role_name, replica.core.epoch, replica.core.leader_id) == ("follower", 9, 3)


def test_a_candidate_that_cannot_win_does_not_wait_for_its_timer() -> None:
    replica = Replica.make(random=lambda: 0.5, election=Election(Epoch(4), None, key(1)))
    asked = {node: replica.correlation(VoteRequest, node) for node in (2, 3)}
    answer(replica, 2, asked[2], granted=False, epoch=4)
    assert replica.core.quorum.role.deadline == pytest.approx(0.45)
    answer(replica, 3, asked[3], granted=False, epoch=4)
    assert replica.core.quorum.role.deadline == pytest.approx(0.005)
    replica.wait(0.01)
    assert replica.core.role_name == "prospective"


def test_a_voter_whose_link_is_lost_is_not_waited_for() -> None:
    """Two candidates of three, the third dead: each refused by the other, both know at once that nobody wins."""
    replica = Replica.make(random=lambda: 0.5, election=Election(Epoch(4), None, key(1)))
    correlation = replica.correlation(VoteRequest, 2)
    replica.step(LinkLost(NodeId(3)))
    answer(replica, 2, correlation, granted=False, epoch=4)
    replica.wait(0.01)
    assert replica.core.role_name == "prospective"


def test_hurried_rounds_wait_longer_and_longer_up_to_the_election_timeout() -> None:
    replica = in_role("follower, link lost")
    replica.core.quorum.random = lambda: 1.0
    replica.wait(0)
    waits = []
    for _ in range(8):
        assert replica.core.role_name == "prospective"
        answer(replica, 2, replica.correlation(VoteRequest, 2), granted=False, epoch=4, leader=3)
        start = replica.now
        while replica.core.role_name != "prospective":
            replica.wait(replica.core.deadline - replica.now)
        waits.append(round(replica.now - start, 3))
    assert waits == [0.02, 0.04, 0.08, 0.16, 0.3, 0.3, 0.3, 0.3]


def test_hearing_the_leader_ends_the_hurry() -> None:
    replica = in_role("follower, link lost")
    replica.wait(0)
    replica.receive(NodeId(3), BeginQuorumEpochRequest(epoch=Epoch(4), leader_id=NodeId(3)))
    assert replica.core.role_name == "follower"
    assert replica.core.quorum.hurry == 0


def test_a_node_that_shuts_down_does_not_stand() -> None:
    replica = in_role("follower")
    replica.step(ShutdownAsked())
    replica.wait(5)
    assert replica.core.role_name == "follower"


def test_a_newer_voter_set_than_ours_may_have_a_candidate_we_do_not_know() -> None:
    """KIP-853: the sender need not be in the receiver's voter set."""
    voters = Voters(tuple(Voter(NodeId(node), directory(node), ()) for node in (1, 2, 3)))
    replica = Replica.make(log=LogState(control=((Offset(-1), voters),)))
    assert ask(replica, epoch=1, end=(0, 0), pre_vote=False, node=4).granted


def test_a_vote_that_was_granted_and_then_refused_counts_once() -> None:
    """A question is asked again under the same number, and both answers may come; found by a simulated seed."""
    replica = Replica.make(5, log=LOG, election=Election(Epoch(4)))
    replica.wait(0.3)
    two, three = replica.correlation(VoteRequest, 2), replica.correlation(VoteRequest, 3)
    granted = VoteResponse(leader_id=None, epoch=Epoch(4), granted=True)
    replica.receive(NodeId(2), granted, two)
    replica.receive(NodeId(2), VoteResponse(leader_id=None, epoch=Epoch(4), granted=False), two)
    invariants.check(replica.core.quorum)
    replica.receive(NodeId(3), granted, three)
    assert replica.core.role_name == "candidate", "three of five, the own vote counted"
