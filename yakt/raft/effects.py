"""What to do about an event, in the order to do it: the one closed list that `RaftCore.step` gives back. Imperative.

Whoever carries these out must be done with one before starting the next. SaveElection, RememberVoter, Truncate and
InstallSnapshot return only when they are durable; Append writes and does not flush: `Flushed` is told later, and only
that lets out what rests on it.
"""

from typing import TypeAlias

import attrs
import msgspec

from yakt.batch import RecordBatch
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey
from yakt.raft.events import Source
from yakt.raft.messages import Message


@attrs.frozen
class SaveElection:
    """Make quorum-state durable: the epoch, its leader if known, and the vote cast in it, if any."""

    epoch: Epoch
    leader_id: NodeId | None
    voted: ReplicaKey | None


@attrs.frozen
class RememberVoter:
    """Make durable that voter `voter.id` was first met with this directory (raft.md §2)."""

    voter: ReplicaKey


class Append(msgspec.Struct, frozen=True, gc=False):
    """Write batches at the log end. Consecutive, dense."""

    batches: tuple[RecordBatch, ...]


@attrs.frozen
class Truncate:
    """Drop every record at or past `end_offset`, never below the high watermark."""

    end_offset: Offset


class Send(msgspec.Struct, frozen=True, gc=False):
    """Hand a message to the link of `to`; it may be lost, the core will ask again.

    A request's answer must come back as `Received(…, correlation)`; a response carries its request's `correlation`.
    """

    to: Source
    message: Message
    correlation: int


class Commit(msgspec.Struct, frozen=True, gc=False):
    """Everything below `high_watermark` is committed: mark it; it only grows."""

    high_watermark: Offset


class ConfirmReads(msgspec.Struct, frozen=True, gc=False):
    """Reads up to `ticket` may be served from any state that has applied everything below `high_watermark`."""

    ticket: int
    high_watermark: Offset


@attrs.frozen
class ChangeLeader:
    """From here on `leader_id` (None: nobody known) leads `epoch`. A deposed leader hears it before anything else."""

    leader_id: NodeId | None
    epoch: Epoch


@attrs.frozen
class WriteSnapshot:
    """Put a piece of a snapshot being downloaded at `position` of its part file (0 starts it anew)."""

    snapshot_id: OffsetAndEpoch
    position: int
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")


@attrs.frozen
class InstallSnapshot:
    """The download is whole: make it a snapshot, clear the log to start at its end offset, reload the image."""

    snapshot_id: OffsetAndEpoch


Effect: TypeAlias = (
    Send
    | Append
    | Commit
    | ConfirmReads
    | SaveElection
    | Truncate
    | ChangeLeader
    | RememberVoter
    | WriteSnapshot
    | InstallSnapshot
)


class Effects:
    """What one step has to do so far, and the moment it happens in; handed down to whoever adds to it."""

    __slots__ = ("add", "in_order", "now")

    def __init__(self, now: Instant) -> None:
        self.now = now
        self.in_order: list[Effect] = []
        self.add = self.in_order.append
