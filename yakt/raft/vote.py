"""Vote and pre-vote, both ends: when to stand, whom to ask, whom to vote for (KIP-595, Vote; KIP-996; raft.md §4)."""

from yakt.ids import Instant, NodeId, OffsetAndEpoch
from yakt.raft import transitions
from yakt.raft.effects import Effects, Send
from yakt.raft.events import Source
from yakt.raft.messages import Error, VoteRequest, VoteResponse
from yakt.raft.quorum import EPOCH_MAX, Quorum
from yakt.raft.roles import Candidate, Prospective, can_grant_pre_vote, can_grant_vote


def stand(quorum: Quorum, effects: Effects) -> None:
    """Begin to stand for election; a single voter leads within the same step."""
    transitions.become_prospective(quorum, effects)
    if not quorum.voters.others:
        _count(quorum, effects)


def ask(quorum: Quorum, effects: Effects, role: Prospective | Candidate) -> None:
    """Ask every voter that has not answered in this round; again by timer until it ends."""
    for voter in quorum.voters.others:
        if voter not in role.granted and voter not in role.rejected:
            _ask_one(quorum, effects, role, voter)
    role.ask_at = Instant(effects.now + quorum.config.vote_retry)


def ask_on_link(quorum: Quorum, effects: Effects, role: Prospective | Candidate, voter: NodeId) -> None:
    """A link has opened: ask at once who could not be asked before."""
    if voter in quorum.voters.others and voter not in role.granted and voter not in role.rejected:
        _ask_one(quorum, effects, role, voter)


def _ask_one(quorum: Quorum, effects: Effects, role: Prospective | Candidate, voter: NodeId) -> None:
    key = quorum.voters.key(voter)
    if key is None:
        return  # never met: it could not be told from one that lost its disk, so its vote would not count
    correlation = role.asked.get(voter)
    if correlation is None:  # the same question keeps its number, so that a slow answer to the first try counts
        correlation = role.asked[voter] = quorum.next_correlation()
    # A vote is given for a log that will not shrink: after a crash the same vote would be given again, unlooked at.
    end = quorum.log.durable_end
    effects.add(
        Send(
            voter,
            VoteRequest(
                epoch=quorum.epoch,
                candidate=quorum.me,
                voter=key,
                last_epoch=end.epoch,
                log_end_offset=end.offset,
                pre_vote=role.pre_vote,
                cluster_id=quorum.cluster_id,
            ),
            correlation,
        )
    )


def on_request(quorum: Quorum, effects: Effects, source: Source, request: VoteRequest, correlation: int) -> None:
    """Grant one vote an epoch, and only to a log as far on as ours; the vote is durable before the answer."""
    error, granted = _decide(quorum, effects, source, request)
    effects.add(
        Send(
            source,
            VoteResponse(error=error, leader_id=quorum.leader_id, epoch=quorum.epoch, granted=granted),
            correlation,
        )
    )


def _decide(quorum: Quorum, effects: Effects, source: Source, request: VoteRequest) -> tuple[Error, bool]:
    """raft.md §4, in its order."""
    candidate = request.candidate
    if request.cluster_id is not None and request.cluster_id != quorum.cluster_id:
        return Error.INCONSISTENT_CLUSTER_ID, False
    if request.log_end_offset < 0 or request.last_epoch < 0 or not 0 <= request.epoch <= EPOCH_MAX:
        return Error.INVALID_REQUEST, False
    if request.last_epoch > request.epoch or (request.last_epoch == request.epoch and not request.pre_vote):
        return Error.INVALID_REQUEST, False
    if request.epoch < quorum.epoch:
        return Error.FENCED_LEADER_EPOCH, False
    if source != candidate.id or candidate.id == quorum.me.id:
        return Error.INVALID_REQUEST, False  # negative ids, too: a peer has none
    if not quorum.voters.by_record and not quorum.admit(effects, candidate):
        return Error.NONE, False  # another disk than the voter's we know: an observer, whatever it has heard
    if request.epoch > quorum.epoch:
        transitions.become_unattached(quorum, effects, request.epoch)
    if request.voter is not None and request.voter != quorum.me:
        return Error.INVALID_VOTER_KEY, False
    if quorum.is_disowned:
        return Error.NONE, False
    is_up_to_date = OffsetAndEpoch(request.last_epoch, request.log_end_offset) >= quorum.log.end
    if request.pre_vote:
        return Error.NONE, is_up_to_date and can_grant_pre_vote(quorum.role)
    if quorum.election.voted is not None:
        return Error.NONE, quorum.election.voted == candidate
    granted = is_up_to_date and can_grant_vote(quorum.role, quorum.election.voted, quorum.election.leader_id)
    if granted:
        transitions.cast_vote(quorum, effects, candidate)
    return Error.NONE, granted


def on_response(quorum: Quorum, effects: Effects, source: Source, response: VoteResponse, correlation: int) -> None:
    """Count an answer to the present round's question; any other counts for nothing."""
    role = quorum.role
    if not isinstance(role, Prospective | Candidate) or not isinstance(source, int):
        return
    if role.asked.get(source) != correlation:
        return
    if transitions.adopt(quorum, effects, response.epoch, response.leader_id):
        return
    if response.error is Error.NONE and response.granted and response.epoch == quorum.epoch:
        role.granted.add(source)
        role.rejected.discard(source)
    elif source in role.granted:
        return  # a question asked twice may be answered twice: what was granted stands
    elif response.error in (Error.NONE, Error.INVALID_VOTER_KEY):
        role.rejected.add(source)
    else:
        return  # asked again by timer
    _count(quorum, effects)


def _count(quorum: Quorum, effects: Effects) -> None:
    """Move on once the round is decided. Both steps may follow at once: a single voter is its own majority."""
    role = quorum.role
    if isinstance(role, Prospective):
        if quorum.has_majority(role.granted):
            transitions.become_candidate(quorum, effects)
        elif _is_lost(quorum, role):
            transitions.end_prospect(quorum, effects)
    role = quorum.role
    if isinstance(role, Candidate):
        if quorum.has_majority(role.granted):
            transitions.become_leader(quorum, effects)
        elif _is_lost(quorum, role):
            quorum.hurry += 1
            role.deadline = min(role.deadline, quorum.hasty_deadline(effects.now))


def _is_lost(quorum: Quorum, role: Prospective | Candidate) -> bool:
    """Not even all who can still be reached would make a majority."""
    out = role.rejected | (quorum.unreachable - role.granted)
    return len(quorum.voters.ids) - len(out.intersection(quorum.voters.ids)) < quorum.voters.majority


def on_timer(quorum: Quorum, effects: Effects, role: Prospective | Candidate) -> None:
    """The round's time is over, or some have not answered yet."""
    if effects.now >= role.deadline:
        if isinstance(role, Prospective):
            transitions.end_prospect(quorum, effects)
        else:
            stand(quorum, effects)
    elif effects.now >= role.ask_at:
        ask(quorum, effects, role)
