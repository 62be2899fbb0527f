"""Leadership handed over on request: wait until the successor has caught up, holding nothing else up, then resign."""

from yakt.ids import Instant, NodeId
from yakt.raft import transitions
from yakt.raft.effects import Effects
from yakt.raft.quorum import Quorum
from yakt.raft.roles import NEVER, Leader, Transfer


def begin(quorum: Quorum, effects: Effects, leader: Leader, to: NodeId | None) -> None:
    """Take up the wish, in place of any earlier one. A node that is no other voter cannot be wished for."""
    followers = leader.followers
    if to is None:
        to = max(followers, key=lambda voter: (followers[voter].end_offset, -voter), default=None)
    if to is None or to not in followers:
        return
    timeout = quorum.config.fetch_timeout
    leader.transfer = Transfer(to, Instant(effects.now + timeout), Instant(effects.now + timeout / 2))
    advance(quorum, effects, leader)


def advance(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Resign if the successor is as far as it needs to be: under load the log end runs ahead, so in the end all that
    is committed is enough."""
    transfer = leader.transfer
    if transfer is None:
        return
    end_offset = leader.followers[transfer.to].end_offset
    is_patient = transfer.patience != NEVER
    enough = quorum.log.end_offset if is_patient else max(quorum.high_watermark, leader.epoch_start_offset + 1)
    if end_offset >= enough:
        transitions.become_resigned(quorum, effects, first=transfer.to)


def on_timer(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Patience ends, and in the end the wish too."""
    transfer = leader.transfer
    if transfer is None:
        return
    if effects.now >= transfer.deadline:
        leader.transfer = None
    elif effects.now >= transfer.patience:
        transfer.patience = NEVER
        advance(quorum, effects, leader)


def next_deadline(leader: Leader) -> Instant:
    """When `on_timer` is next due."""
    transfer = leader.transfer
    return NEVER if transfer is None else min(transfer.patience, transfer.deadline)
