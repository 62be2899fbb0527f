"""What holds of a replica between any two steps; run by every scenario and the simulator, after each event."""

from itertools import pairwise

from yakt.batch import Voters
from yakt.ids import Offset
from yakt.raft.messages import FetchRequest
from yakt.raft.quorum import Quorum
from yakt.raft.roles import NEVER, Candidate, Follower, Leader, Prospective, Resigned, Unattached


def check(quorum: Quorum) -> None:
    """Raises AssertionError, naming what does not hold."""
    _check_log(quorum)
    _check_role(quorum)
    assert quorum.reads.confirmed <= quorum.reads.asked, "a read confirmed before it was asked"
    assert 0 <= quorum.hurry < 1_000_000
    assert len(quorum.voters.ids) == len(set(quorum.voters.ids)) > 0


def _check_log(quorum: Quorum) -> None:
    log = quorum.log
    # `flushed_end` may lie below the start: a snapshot is durable before all of the log below it is.
    assert 0 <= log.start_offset <= log.end_offset, "log offsets out of order"
    assert log.flushed_end <= log.end_offset, "durable past the log end"
    assert log.start_offset <= quorum.high_watermark <= log.end_offset, "high watermark outside the log"
    assert log.last_epoch <= quorum.epoch, f"the log is in epoch {log.last_epoch}, we in {quorum.epoch}"
    epochs = log.epochs
    for earlier, later in pairwise(epochs):
        assert earlier.epoch < later.epoch, "epochs of the log fall"
        assert earlier.offset < later.offset, "an epoch of the log is empty"
    if epochs:
        assert log.start_offset <= epochs[0].offset, "an epoch begins before the log"
        assert epochs[-1].offset < log.end_offset, "an epoch begins at the log end"
        assert epochs[-1].epoch == log.last_epoch
    if log.start_offset > 0:
        assert any(snapshot.offset == log.start_offset for snapshot in log.snapshots), "no snapshot at the log start"
    for snapshot in log.snapshots:
        assert snapshot.offset <= quorum.high_watermark, "a snapshot of what is not committed"


def _check_role(quorum: Quorum) -> None:
    role, election = quorum.role, quorum.election
    match role:
        case Unattached():
            assert (role.deadline != NEVER) == quorum.is_voter, "an observer with an election timer, or a voter without"
        case Prospective():
            assert quorum.is_voter, "an observer stands"
            assert quorum.me.id in role.granted
            assert not role.granted & role.rejected
        case Candidate():
            assert quorum.is_voter, "an observer stands"
            assert election.voted == quorum.me, "a candidate that did not vote for itself"
            assert election.leader_id is None, "a candidate in an epoch that has a leader"
            assert not quorum.has_majority(role.granted), "elected and not leader"
        case Leader():
            _check_leader(quorum, role)
        case Follower():
            assert election.leader_id == role.leader_id != quorum.me.id
            if role.asked is not None and isinstance(role.asked.request, FetchRequest):
                end_offset = quorum.log.durable_end.offset
                assert role.asked.request.fetch_offset <= end_offset, "a fetch is out past what is durable"
        case Resigned():
            assert election.leader_id == quorum.me.id


def _check_leader(quorum: Quorum, leader: Leader) -> None:
    log, config = quorum.log, quorum.config
    assert quorum.election.leader_id == quorum.me.id
    assert leader.epoch_start_offset < log.end_offset, "a leader without its LeaderChange"
    assert log.last_epoch == quorum.epoch
    assert set(leader.followers) == set(quorum.voters.others)
    known = quorum.known_high_watermark(leader)
    if known is not None:
        assert known <= quorum.majority_end_offset(leader), "more is called committed than a majority holds"
        open_sets = [at for at, record in quorum.voters.history if isinstance(record, Voters) and at >= known]
        assert len(open_sets) <= 1, f"voter sets at {open_sets} are not committed"
    for source, fetch in leader.parked.items():
        assert fetch.request.fetch_offset == log.end_offset, f"{source} waits for what is there"
        assert fetch.deadline >= leader.release_at, f"{source} may wait for ever"
    for progress in leader.followers.values():
        assert Offset(-1) <= progress.end_offset <= log.end_offset, "a follower ahead of its leader"
        assert progress.read_round <= leader.read_round, "a read round echoed before it went out"
    assert len(leader.parked) <= config.visitors_max + 2 * len(leader.followers) + 1
    assert len(leader.observers) <= config.observers_max
    if leader.round_ticket is None:
        assert not leader.round_readers
    if quorum.reads.is_waiting and known is not None:
        assert leader.round_ticket is not None, "reads wait and no round is out"
