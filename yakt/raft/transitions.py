"""The allowed changes of role; the only module that assigns `quorum.role` and `quorum.election`.

    Unattached  -> Prospective                          election timer (voters)
    Prospective -> Candidate                            a majority would vote for us
    Prospective -> Follower, Unattached                 refused, or timer; a leader is known, or not
    Candidate   -> Leader                               a majority did
    Candidate   -> Prospective                          timer, or no longer winnable
    Leader      -> Resigned                             shutdown, transfer, check-quorum, no voter any more
    Resigned    -> Unattached (epoch + 1)               election timer
    Resigned    -> Prospective                          at start: a single voter that had led
    Candidate, Prospective -> Unattached                it turns out to be no voter (`step_aside`)
    Follower    -> Prospective                          fetch timer, link lost, told by EndQuorumEpoch (voters)
    any         -> Follower, Unattached                 a higher epoch, its leader named or not
    Unattached, Prospective, Candidate -> Follower      the leader of this epoch is heard of

(raft.md §3.) A new role comes with `ask_at` at once where it has something to ask: the core sees to that at the end
of the step, so that nothing here needs to know a message.
"""

from yakt.batch import ControlRecord, KRaftVersion, LeaderChange, RecordBatch
from yakt.ids import Epoch, Instant, NodeId, ReplicaKey
from yakt.raft.effects import Append, ChangeLeader, Effects, SaveElection
from yakt.raft.quorum import Election, Quorum
from yakt.raft.roles import (
    NEVER,
    Candidate,
    Follower,
    Leader,
    Progress,
    Prospective,
    Resigned,
    Role,
    Unattached,
)
from yakt.raft.voters import BOOTSTRAP_OFFSET


def _enter(quorum: Quorum, effects: Effects, role: Role, election: Election) -> None:
    """Change role and election together; what must be durable is so before anything else is said.

    A deposed leader is told first: its controller must not decide anything more.
    """
    before = quorum.election
    assert election.epoch >= before.epoch, f"epoch falls from {before.epoch} to {election.epoch}"
    if election.epoch == before.epoch:
        assert before.leader_id in (None, election.leader_id), (
            f"epoch {before.epoch} was led by {before.leader_id}, not by {election.leader_id}"
        )
        assert before.voted in (None, election.voted), f"a second vote in epoch {before.epoch}"
    was_leader = isinstance(quorum.role, Leader)
    told = (quorum.leader_id, quorum.epoch)
    quorum.role = role
    quorum.election = election
    tell = (quorum.leader_id, quorum.epoch)
    if was_leader:
        effects.add(ChangeLeader(*tell))
    if election != before:
        _save(effects, election)
    if not was_leader and tell != told:
        effects.add(ChangeLeader(*tell))


def _save(effects: Effects, election: Election) -> None:
    """Make the election durable: with one write a step, unless something left the node since the last."""
    save = SaveElection(election.epoch, election.leader_id, election.voted)
    for index in range(len(effects.in_order) - 1, -1, -1):
        match effects.in_order[index]:
            case SaveElection():
                effects.in_order[index] = save
                return
            case ChangeLeader():
                pass
            case _:
                break
    effects.add(save)


def begin(quorum: Quorum, effects: Effects) -> None:
    """Take up the role that what was found on disk allows (raft.md §2, first match)."""
    found = quorum.election
    if found.epoch < quorum.log.last_epoch:
        become_unattached(quorum, effects, quorum.log.last_epoch)
    elif found.leader_id == quorum.me.id:
        # What we appended since may be lost: (epoch, offset) must never mean two records, so no more in this epoch.
        _enter(quorum, effects, _resigned(quorum, effects, ()), found)
    elif found.voted == quorum.me and found.leader_id is None and quorum.is_voter:
        _enter(quorum, effects, _candidate(quorum, effects), found)
    elif found.leader_id is not None and found.leader_id in quorum.voters.reachable:
        _enter(quorum, effects, _follower(quorum, effects, found.leader_id), found)
    else:
        _enter(quorum, effects, _unattached(quorum, effects), found)


def become_unattached(quorum: Quorum, effects: Effects, epoch: Epoch) -> None:
    """A higher epoch whose leader is not known."""
    assert epoch > quorum.epoch
    _enter(quorum, effects, _unattached(quorum, effects), Election(epoch))


def cast_vote(quorum: Quorum, effects: Effects, candidate: ReplicaKey) -> None:
    """Give this epoch's one vote away; it waits a whole election timer for what comes of it."""
    assert isinstance(quorum.role, Unattached | Prospective)
    assert quorum.election.leader_id is None
    _enter(quorum, effects, _unattached(quorum, effects), Election(quorum.epoch, None, candidate))


def become_prospective(quorum: Quorum, effects: Effects) -> None:
    """See whether an election could be won. Nothing becomes durable: epoch, leader and vote stay."""
    assert isinstance(quorum.role, Unattached | Follower | Candidate | Resigned)
    assert quorum.is_voter, "an observer stands for election"
    now = effects.now
    _enter(
        quorum,
        effects,
        Prospective(deadline=quorum.election_deadline(now), ask_at=now, granted={quorum.me.id}),
        quorum.election,
    )


def end_prospect(quorum: Quorum, effects: Effects) -> None:
    """Refused, or nobody answered: back to the leader that is known, or to none.

    In a hurried election it asks again soon, with growing pauses; else after a whole timer.
    """
    assert isinstance(quorum.role, Prospective)
    leader_id = quorum.election.leader_id
    role: Follower | Unattached
    if leader_id is not None and leader_id in quorum.voters.reachable:
        role = _follower(quorum, effects, leader_id)
    else:
        role = _unattached(quorum, effects)
    if quorum.hurry:
        quorum.hurry += 1
        role.deadline = quorum.hasty_deadline(effects.now)
    _enter(quorum, effects, role, quorum.election)


def become_candidate(quorum: Quorum, effects: Effects) -> None:
    """Raise the epoch and vote for ourselves in it, durably before anybody is asked."""
    assert isinstance(quorum.role, Prospective)
    assert quorum.is_voter, "an observer stands for election"
    assert quorum.has_majority(quorum.role.granted), "an election without a majority of pre-votes"
    _enter(quorum, effects, _candidate(quorum, effects), Election(Epoch(quorum.epoch + 1), None, quorum.me))


def become_leader(quorum: Quorum, effects: Effects) -> None:
    """Lead the epoch, which begins with a LeaderChange record at the log end (raft.md §5.1)."""
    candidate = quorum.role
    assert isinstance(candidate, Candidate)
    assert quorum.has_majority(candidate.granted), "a leader without a majority of votes"
    assert quorum.election.voted == quorum.me
    assert quorum.log.last_epoch < quorum.epoch
    now = effects.now
    start = quorum.log.end_offset
    quorum.hurry = 0
    leader = Leader(
        epoch_start_offset=start,
        followers={voter: Progress() for voter in quorum.voters.others},
        check_quorum_deadline=Instant(now + quorum.config.check_quorum_timeout),
        begin_at=now,
    )
    _enter(quorum, effects, leader, Election(quorum.epoch, quorum.me.id, quorum.me))
    records: tuple[ControlRecord, ...] = (
        LeaderChange(quorum.me.id, quorum.voters.ids, tuple(sorted(candidate.granted))),
    )
    if quorum.voters.record is not None and quorum.voters.record_offset == BOOTSTRAP_OFFSET:
        # The voters stand only in this node's 0-0 checkpoint: the first leader copies them into the log.
        records += (KRaftVersion(quorum.voters.kraft_version), quorum.voters.record)
    crc, body = quorum.seal_control(records)
    batch = RecordBatch(start, quorum.epoch, len(records), crc, body, records)
    quorum.append(batch)
    effects.add(Append((batch,)))


def become_follower(quorum: Quorum, effects: Effects, epoch: Epoch, leader_id: NodeId) -> None:
    """Follow the leader of our epoch or of a higher one; one whose address no voter set names is only noted."""
    assert leader_id != quorum.me.id, "told to follow ourselves"
    assert epoch > quorum.epoch or isinstance(quorum.role, Unattached | Prospective | Candidate)
    voted = quorum.election.voted if epoch == quorum.epoch else None
    quorum.hurry = 0
    role: Follower | Unattached
    if leader_id in quorum.voters.reachable:
        role = _follower(quorum, effects, leader_id)
    else:
        role = _unattached(quorum, effects)
    _enter(quorum, effects, role, Election(epoch, leader_id, voted))


def become_resigned(quorum: Quorum, effects: Effects, first: NodeId | None = None) -> None:
    """Stop leading. Successors are preferred by how far they are, `first` before all (raft.md §5.6)."""
    leader = quorum.role
    assert isinstance(leader, Leader)
    followers = leader.followers
    successors = sorted(followers, key=lambda voter: (voter != first, -followers[voter].end_offset, voter))
    _enter(quorum, effects, _resigned(quorum, effects, tuple(successors)), quorum.election)


def end_resignation(quorum: Quorum, effects: Effects) -> None:
    """Nobody has taken over for an election timer: stand in a later epoch (this one is spent, raft.md §3)."""
    assert isinstance(quorum.role, Resigned)
    become_unattached(quorum, effects, Epoch(quorum.epoch + 1))


def step_aside(quorum: Quorum, effects: Effects) -> None:
    """We have become an observer: a leader resigns, who stands stops, no election timer runs."""
    role: Role = quorum.role
    if isinstance(role, Leader):
        become_resigned(quorum, effects)
    elif isinstance(role, Prospective | Candidate):
        _enter(quorum, effects, _unattached(quorum, effects), quorum.election)
    elif isinstance(role, Unattached):
        role.deadline = NEVER
    elif isinstance(role, Follower):
        role.deadline = quorum.fetch_deadline(effects.now)


def adopt(quorum: Quorum, effects: Effects, epoch: Epoch, leader_id: NodeId | None) -> bool:
    """Learn from any answer or request which epoch there is and who leads it; whether that changed our role.

    Asserts that no epoch is led by two (Kafka: IllegalStateException).
    """
    if epoch > quorum.epoch:
        if leader_id is None or leader_id == quorum.me.id:
            become_unattached(quorum, effects, epoch)
        else:
            become_follower(quorum, effects, epoch, leader_id)
        return True
    if epoch == quorum.epoch and leader_id is not None:
        known = quorum.election.leader_id
        assert known in (None, leader_id), f"epoch {epoch} is led by {known}, yet {leader_id} is said to"
        if known is None and leader_id != quorum.me.id:
            become_follower(quorum, effects, epoch, leader_id)
            return True
    return False


def _unattached(quorum: Quorum, effects: Effects) -> Unattached:
    now = effects.now
    return Unattached(deadline=quorum.election_deadline(now) if quorum.is_voter else NEVER, ask_at=now)


def _follower(quorum: Quorum, effects: Effects, leader_id: NodeId) -> Follower:
    now = effects.now
    return Follower(leader_id, deadline=quorum.fetch_deadline(now), ask_at=now)


def _candidate(quorum: Quorum, effects: Effects) -> Candidate:
    now = effects.now
    return Candidate(deadline=quorum.election_deadline(now), ask_at=now, granted={quorum.me.id})


def _resigned(quorum: Quorum, effects: Effects, successors: tuple[NodeId, ...]) -> Resigned:
    now = effects.now
    return Resigned(deadline=quorum.election_deadline(now), ask_at=now, preferred_successors=successors)
