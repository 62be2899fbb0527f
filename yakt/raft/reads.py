"""The read barrier: reads wait until a majority has confirmed, after they were asked for, that we lead (no leases).

A round is a number that goes out with every fetch response; a voter echoes it in its next Fetch, which it could not
have sent before hearing it. A majority of echoes, ours included, confirms every read asked for before the round went
out; later ones wait for the next. A follower asks its leader for the offset of such a confirmation (ReadIndex).
"""

from yakt.ids import Instant
from yakt.raft import parked, transitions
from yakt.raft.effects import ConfirmReads, Effects, Send
from yakt.raft.events import Source
from yakt.raft.messages import Error, ReadIndexRequest, ReadIndexResponse
from yakt.raft.quorum import Quorum
from yakt.raft.roles import NEVER, Follower, Leader


def ask(quorum: Quorum, effects: Effects, ticket: int) -> None:
    """Reads up to `ticket` want a confirmation: begin one, or wait for the one that is out."""
    assert ticket > quorum.reads.asked, f"ticket {ticket} after {quorum.reads.asked}"
    quorum.reads.asked = ticket
    match quorum.role:
        case Leader() as leader:
            start_round(quorum, effects, leader)
        case Follower(read_asked=None) as follower:
            ask_leader(quorum, effects, follower)
        case _:
            pass  # whoever turns up as leader will be asked, ourselves included


def start_round(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Begin a round if any read waits, none is out, and a record of our own epoch is committed."""
    if leader.round_ticket is not None or not (quorum.reads.is_waiting or leader.next_readers):
        return
    if quorum.high_watermark <= leader.epoch_start_offset:
        return  # until then we may not know all that is committed
    leader.read_round += 1
    leader.round_ticket = quorum.reads.asked
    leader.round_readers, leader.next_readers = leader.next_readers, {}
    waiting: list[Source] = [source for source in leader.parked if source in leader.followers]
    parked.release(quorum, effects, leader, waiting)
    confirm(quorum, effects, leader)


def confirm(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """End the round that is out, if a majority has echoed it, and begin the next."""
    ticket = leader.round_ticket
    if ticket is None:
        return
    echoed = {voter for voter, progress in leader.followers.items() if progress.read_round >= leader.read_round}
    if not quorum.has_majority({*echoed, quorum.me.id}):
        return
    leader.round_ticket = None
    if ticket > quorum.reads.confirmed:
        quorum.reads.confirmed = ticket
        effects.add(ConfirmReads(ticket, quorum.high_watermark))
    readers, leader.round_readers = leader.round_readers, {}
    for reader, correlation in readers.items():
        response = ReadIndexResponse(leader_id=quorum.me.id, epoch=quorum.epoch, offset=quorum.high_watermark)
        effects.add(Send(reader, response, correlation))
    start_round(quorum, effects, leader)


def on_request(quorum: Quorum, effects: Effects, source: Source, request: ReadIndexRequest, correlation: int) -> None:
    """A peer's reads wait for our confirmation."""
    leader = quorum.role
    error = Error.NONE
    if not isinstance(source, int) or source == quorum.me.id or request.epoch < 0:
        error = Error.INVALID_REQUEST
    elif request.epoch != quorum.epoch:
        error = Error.FENCED_LEADER_EPOCH if request.epoch < quorum.epoch else Error.UNKNOWN_LEADER_EPOCH
    elif not isinstance(leader, Leader):
        error = Error.NOT_LEADER_OR_FOLLOWER
    if error is not Error.NONE:
        response = ReadIndexResponse(error=error, leader_id=quorum.leader_id, epoch=quorum.epoch)
        effects.add(Send(source, response, correlation))
        return
    assert isinstance(leader, Leader)
    assert isinstance(source, int)
    leader.next_readers[source] = correlation  # one a peer: it asks again only when it has given up the last
    start_round(quorum, effects, leader)


def ask_leader(quorum: Quorum, effects: Effects, role: Follower) -> None:
    """Ask the leader to confirm all tickets that wait; again by timer."""
    if not quorum.reads.is_waiting:
        role.read_ask_at = NEVER
        return
    if role.read_asked is None:
        role.read_asked = (quorum.next_correlation(), quorum.reads.asked)
    correlation, _ = role.read_asked
    role.read_ask_at = Instant(effects.now + quorum.config.request_timeout)
    effects.add(Send(role.leader_id, ReadIndexRequest(epoch=quorum.epoch), correlation))


def on_response(
    quorum: Quorum, effects: Effects, source: Source, response: ReadIndexResponse, correlation: int
) -> None:
    """The leader has confirmed what we asked for, or cannot."""
    role = quorum.role
    if not isinstance(role, Follower) or role.read_asked is None or source != role.leader_id:
        return
    asked, ticket = role.read_asked
    if asked != correlation:
        return
    role.read_asked = None
    if transitions.adopt(quorum, effects, response.epoch, response.leader_id):
        return
    if response.error is not Error.NONE or response.epoch != quorum.epoch:
        role.read_ask_at = Instant(effects.now + quorum.config.retry_backoff)
        return
    if role.matches_leader:
        quorum.learn_high_watermark(effects, response.offset)
    quorum.reads.confirmed = ticket
    effects.add(ConfirmReads(ticket, response.offset))
    ask_leader(quorum, effects, role)


def dismiss(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """We lead no more: our own tickets wait for the next leader, the peers' are sent on to it."""
    response = ReadIndexResponse(error=Error.NOT_LEADER_OR_FOLLOWER, leader_id=quorum.leader_id, epoch=quorum.epoch)
    for readers in (leader.round_readers, leader.next_readers):
        for reader, correlation in readers.items():
            effects.add(Send(reader, response, correlation))
        readers.clear()
