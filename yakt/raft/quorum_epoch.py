"""BeginQuorumEpoch and EndQuorumEpoch, both ends: a leader makes itself known, and takes its leave (KIP-595)."""

from collections.abc import Sequence

from yakt.ids import Instant, NodeId
from yakt.raft import transitions
from yakt.raft.effects import Effects, Send
from yakt.raft.events import Source
from yakt.raft.messages import BeginQuorumEpochRequest, EndQuorumEpochRequest, Error, QuorumEpochResponse
from yakt.raft.quorum import EPOCH_MAX, Quorum
from yakt.raft.roles import Follower, Leader, Prospective, Resigned, Unattached


def begin(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Make ourselves known to each voter that has not fetched lately; looked at again after half a fetch timeout."""
    interval = quorum.config.fetch_timeout / 2
    for voter, progress in leader.followers.items():
        if effects.now - progress.last_fetch >= interval:
            begin_one(quorum, effects, leader, voter)
    leader.begin_at = Instant(effects.now + interval)


def begin_one(quorum: Quorum, effects: Effects, leader: Leader, voter: NodeId) -> None:
    """Make ourselves known to one voter."""
    progress = leader.followers.get(voter)
    if progress is None:
        return
    progress.begin_asked = quorum.next_correlation()
    request = BeginQuorumEpochRequest(
        epoch=quorum.epoch, leader_id=quorum.me.id, voter=quorum.voters.key(voter), cluster_id=quorum.cluster_id
    )
    effects.add(Send(voter, request, progress.begin_asked))


def end(quorum: Quorum, effects: Effects, role: Resigned) -> None:
    """Tell every voter that has not acknowledged it yet; again by timer."""
    for voter in quorum.voters.others:
        if voter not in role.acknowledged:
            end_one(quorum, effects, role, voter)
    role.ask_at = Instant(effects.now + quorum.config.vote_retry)


def end_one(quorum: Quorum, effects: Effects, role: Resigned, voter: NodeId) -> None:
    """Take leave of one voter."""
    if voter not in quorum.voters.others or voter in role.acknowledged:
        return
    correlation = role.asked.get(voter)
    if correlation is None:
        correlation = role.asked[voter] = quorum.next_correlation()
    request = EndQuorumEpochRequest(
        epoch=quorum.epoch,
        leader_id=quorum.me.id,
        preferred_successors=role.preferred_successors,
        cluster_id=quorum.cluster_id,
    )
    effects.add(Send(voter, request, correlation))


def _check(quorum: Quorum, source: Source, request: BeginQuorumEpochRequest | EndQuorumEpochRequest) -> Error:
    if request.cluster_id is not None and request.cluster_id != quorum.cluster_id:
        return Error.INCONSISTENT_CLUSTER_ID
    if not 0 <= request.epoch <= EPOCH_MAX or source != request.leader_id or request.leader_id == quorum.me.id:
        return Error.INVALID_REQUEST
    if request.epoch < quorum.epoch:
        return Error.FENCED_LEADER_EPOCH
    if not quorum.voters.by_record and request.leader_id not in quorum.voters.ids:
        return Error.INVALID_REQUEST
    return Error.NONE


def _answer(quorum: Quorum, effects: Effects, source: Source, correlation: int, error: Error) -> None:
    response = QuorumEpochResponse(error=error, leader_id=quorum.leader_id, epoch=quorum.epoch)
    effects.add(Send(source, response, correlation))


def on_begin_request(
    quorum: Quorum, effects: Effects, source: Source, request: BeginQuorumEpochRequest, correlation: int
) -> None:
    """Follow who leads our epoch or a later one."""
    error = _check(quorum, source, request)
    if error is Error.NONE and request.voter is not None and request.voter != quorum.me:
        error = Error.INVALID_VOTER_KEY
    if error is Error.NONE:
        changed = transitions.adopt(quorum, effects, request.epoch, request.leader_id)
        if not changed and isinstance(quorum.role, Prospective | Unattached):
            # The leader we had given up is alive after all.
            transitions.become_follower(quorum, effects, request.epoch, request.leader_id)
    _answer(quorum, effects, source, correlation, error)


def on_end_request(
    quorum: Quorum, effects: Effects, source: Source, request: EndQuorumEpochRequest, correlation: int
) -> None:
    """The leader resigns: stand for election as soon as our place among its preferred successors allows.

    YAKt: from here on a pre-vote is granted as by one that never heard the leader.
    """
    error = _check(quorum, source, request)
    if error is Error.NONE:
        transitions.adopt(quorum, effects, request.epoch, request.leader_id)
    _answer(quorum, effects, source, correlation, error)
    role = quorum.role
    if error is not Error.NONE or not isinstance(role, Follower) or not quorum.is_voter:
        return
    role.hears_leader = False
    quorum.hurry = max(quorum.hurry, 1)
    wait = successor_backoff(quorum.config.election_timeout, request.preferred_successors, quorum.me.id)
    role.deadline = Instant(effects.now + wait)


def successor_backoff(longest: float, preferred_successors: Sequence[NodeId], me: NodeId) -> float:
    """Seconds to wait before standing: none for the first, then doubling up to `longest` for the last, and for
    who is not named (raft.md §5.6, with its whole milliseconds)."""
    if me not in preferred_successors:
        return longest
    place = preferred_successors.index(me)
    if place == 0:
        return 0.0
    longest_ms = int(longest * 1000)
    return min(longest_ms, (longest_ms >> (len(preferred_successors) - 1)) << (place - 1)) / 1000


def on_response(
    quorum: Quorum, effects: Effects, source: Source, response: QuorumEpochResponse, correlation: int
) -> None:
    """A voter has heard; or knows of a later epoch."""
    role = quorum.role
    if not isinstance(source, int):
        return
    if isinstance(role, Leader):
        progress = role.followers.get(source)
        if progress is None or progress.begin_asked != correlation:
            return
        progress.begin_asked = None
        transitions.adopt(quorum, effects, response.epoch, response.leader_id)
    elif isinstance(role, Resigned):
        if role.asked.get(source) != correlation:
            return
        if not transitions.adopt(quorum, effects, response.epoch, response.leader_id):
            role.acknowledged.add(source)
