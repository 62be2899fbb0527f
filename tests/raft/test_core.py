"""The core as a whole: its start, its timer, and that its inputs decide everything."""

import random

import pytest

from tests.raft.replica import Replica, key
from tests.raft.scripted import ScriptedCluster, directory
from yakt.batch import KRaftVersion, Voter, Voters
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch
from yakt.raft import invariants
from yakt.raft.core import Election, LogState
from yakt.raft.effects import ChangeLeader, SaveElection, Send
from yakt.raft.events import LogTrimmed, PeerMet, Proposed, SnapshotLoaded, SnapshotTaken, TimerFired
from yakt.raft.messages import BeginQuorumEpochRequest, FetchRequest
from yakt.raft.roles import Candidate, Follower, Leader, Unattached

LOG = LogState(end_offset=Offset(5), epochs=(OffsetAndEpoch(Epoch(3), Offset(0)),))


@pytest.mark.parametrize(
    ("election", "role", "epoch"),
    [
        (Election(), "unattached", 3),
        (Election(Epoch(2), NodeId(1), key(1)), "unattached", 3),
        (Election(Epoch(3), NodeId(1), key(1)), "resigned", 3),
        (Election(Epoch(4), None, key(1)), "candidate", 4),
        (Election(Epoch(4), NodeId(2), key(1)), "follower", 4),
        (Election(Epoch(4), NodeId(2), None), "follower", 4),
        (Election(Epoch(4), NodeId(9), None), "unattached", 4),
        (Election(Epoch(4), None, key(2)), "unattached", 4),
    ],
)
def test_start(election: Election, role: str, epoch: int) -> None:
    """raft.md §2, first match."""
    replica = Replica.make(log=LOG, election=election)
    assert (replica.core.role_name, replica.core.epoch) == (role, epoch)
    saved = [effect for effect in replica.effects if isinstance(effect, SaveElection)]
    assert bool(saved) is (epoch != election.epoch)


def test_a_timer_that_fires_too_early_does_nothing() -> None:
    replica = Replica.make()
    replica.now = type(replica.now)(replica.core.deadline - 0.001)
    assert replica.step(TimerFired()) == []


def test_the_deadline_moves_on_whenever_it_fires() -> None:
    """A driver that steps when the deadline has passed must not spin."""
    replica = Replica.make(random=lambda: 0.0)
    for _ in range(200):
        before = replica.core.deadline
        replica.now = max(replica.now, before)
        replica.step(TimerFired())
        assert replica.core.deadline > replica.now


def test_a_deposed_leader_hears_it_before_anything_else() -> None:
    replica = Replica.make()
    replica.lead()
    replica.receive(NodeId(3), BeginQuorumEpochRequest(epoch=Epoch(9), leader_id=NodeId(3)))
    assert replica.effects[0] == ChangeLeader(NodeId(3), Epoch(9))


def test_a_new_leader_is_durable_before_it_is_told() -> None:
    replica = Replica.make()
    replica.lead()
    kinds = [type(effect) for effect in replica.effects]
    assert kinds.index(SaveElection) < kinds.index(ChangeLeader) < kinds.index(Send)


def test_snapshots_move_the_start_of_the_log() -> None:
    replica = Replica.make(1)
    replica.flush()
    replica.step(Proposed(Offset(1), 4, 0, b""))
    replica.flush()
    snapshot_id = OffsetAndEpoch(Epoch(1), Offset(5))
    replica.step(SnapshotTaken(snapshot_id, 10))
    replica.step(LogTrimmed(snapshot_id))
    statistics = replica.core.statistics(replica.now)
    assert (statistics.log_start_offset, statistics.newest_snapshot) == (5, snapshot_id)
    with pytest.raises(AssertionError, match="not committed"):
        replica.step(SnapshotTaken(OffsetAndEpoch(Epoch(1), Offset(9)), 10))


def test_the_voters_of_an_installed_snapshot_count() -> None:
    replica = Replica.make(log=LOG, election=Election(Epoch(4), NodeId(3), None))
    voters = Voters(tuple(Voter(NodeId(node), directory(node), ()) for node in (2, 3, 4)))
    replica.step(SnapshotLoaded(OffsetAndEpoch(Epoch(4), Offset(9)), (KRaftVersion(1), voters)))
    assert replica.core.voter_ids == (2, 3, 4)
    assert not replica.core.is_voter
    replica.wait(3)
    assert replica.core.role_name == "follower"


def test_questions() -> None:
    replica = Replica.make()
    core = replica.core
    assert (core.is_leader, core.can_activate, core.epoch_start_offset, core.leader_id) == (False, False, None, None)
    replica.lead()
    assert (core.is_leader, core.can_activate, core.epoch_start_offset, core.leader_id) == (True, False, 0, 1)
    replica.flush()
    replica.fetched_by(2, 1)
    assert core.can_activate
    assert core.voter_ids == (1, 2, 3)
    assert core.epoch_at(Offset(0)) == 1
    assert core.epoch_at(Offset(1)) is None
    assert core.epoch_at(Offset(-1)) is None
    assert core.is_voter


def test_who_claims_our_id_is_not_met() -> None:
    replica = Replica.make()
    assert replica.step(PeerMet(key(1, "b"))) == []
    assert replica.core.counts(key(1))
    assert not replica.core.counts(key(1, "b"))


def test_an_observer_whose_leader_is_silent_asks_around() -> None:
    replica = Replica.make(election=Election(Epoch(4), NodeId(3), None))
    replica.core.quorum.is_disowned = True
    replica.wait(1.3)
    asked = {effect.to for effect in replica.effects if isinstance(effect, Send)}
    assert asked == {2, 3}
    assert isinstance(replica.core.quorum.role, Follower)
    assert replica.sent(FetchRequest, to=2).max_wait_ms == 0


def test_the_same_inputs_give_the_same_effects() -> None:
    script = (
        "cluster 5\nstart\nrun 500ms\npropose 1 3\nrun 20ms\ncrash 1\nrun 500ms\nrestart 1\nrun 1s\nread 1\nrun 50ms"
    )
    outputs = set()
    for _ in range(2):
        cluster = ScriptedCluster()
        chance = random.Random(7)
        outputs.add(cluster.run(script) + repr(chance.random()))
    assert len(outputs) == 1


class TestInvariants:
    """`check` trips on what it promises to."""

    def test_high_watermark_outside_the_log(self) -> None:
        replica = Replica.make()
        replica.core.quorum.high_watermark = Offset(1)
        with pytest.raises(AssertionError, match="high watermark outside"):
            invariants.check(replica.core.quorum)

    def test_more_committed_than_a_majority_holds(self) -> None:
        replica = Replica.make()
        replica.lead()
        replica.core.quorum.high_watermark = Offset(1)
        with pytest.raises(AssertionError, match="more is called committed"):
            invariants.check(replica.core.quorum)

    def test_a_fetch_out_past_what_is_durable(self) -> None:
        replica = Replica.make(log=LOG, election=Election(Epoch(4), NodeId(3), None))
        replica.core.quorum.log.flushed_end = Offset(4)
        with pytest.raises(AssertionError, match="past what is durable"):
            invariants.check(replica.core.quorum)

    def test_an_observer_stands(self) -> None:
        replica = Replica.make(election=Election(Epoch(4), None, key(1)))
        assert isinstance(replica.core.quorum.role, Candidate)
        replica.core.quorum.is_disowned = True
        with pytest.raises(AssertionError, match="an observer stands"):
            invariants.check(replica.core.quorum)

    def test_an_observer_with_an_election_timer(self) -> None:
        replica = Replica.make()
        assert isinstance(replica.core.quorum.role, Unattached)
        replica.core.quorum.is_disowned = True
        with pytest.raises(AssertionError, match="election timer"):
            invariants.check(replica.core.quorum)

    def test_a_log_in_a_later_epoch_than_ours(self) -> None:
        replica = Replica.make()
        replica.core.quorum.log.append(Offset(0), Epoch(9), 1)
        with pytest.raises(AssertionError, match="the log is in epoch 9"):
            invariants.check(replica.core.quorum)

    def test_reads_wait_and_no_round_is_out(self) -> None:
        replica = Replica.make()
        replica.lead()
        replica.flush()
        replica.fetched_by(2, 1)
        assert isinstance(replica.core.quorum.role, Leader)
        replica.core.quorum.reads.asked = 1
        with pytest.raises(AssertionError, match="no round is out"):
            invariants.check(replica.core.quorum)

    def test_a_fetch_parked_for_what_is_there(self) -> None:
        replica = Replica.make()
        replica.lead()
        replica.flush()
        replica.fetched_by(2, 1)
        replica.core.quorum.log.append(Offset(1), Epoch(1), 1)
        with pytest.raises(AssertionError, match="waits for what is there"):
            invariants.check(replica.core.quorum)
