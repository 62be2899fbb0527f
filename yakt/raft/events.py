"""All that can happen to a replica: the one closed list that `RaftCore.step` takes in. Past tense, plain values.

What comes with every commit is a Struct: made in a fifth of the time of a frozen attrs class (hot-path.md §3).
"""

from typing import TypeAlias

import attrs
import msgspec

from yakt.batch import ControlRecord, Endpoint
from yakt.ids import NodeId, Offset, OffsetAndEpoch, ReplicaKey
from yakt.raft.messages import Message


@attrs.frozen
class Visitor:
    """Who fetches but is no peer: a broker, a test, a tool. `number` is the service's handle for one of them."""

    number: int


Source: TypeAlias = NodeId | Visitor
"""Where a message comes from or goes to."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """A whole message. `correlation` pairs a response with its request; the request's sender chose it."""

    source: Source
    message: Message
    correlation: int


@attrs.frozen
class PeerMet:
    """A peer's hello said who it is. `RaftCore.counts(peer)` tells afterwards whether it is heard as a voter.

    `endpoints`: where Kafka's brokers reach it; `kraft_versions`: levels of kraft.version that it can read, both ends
    included. A VotersRecord tells both.
    """

    peer: ReplicaKey
    endpoints: tuple[Endpoint, ...] = ()
    kraft_versions: tuple[int, int] = (0, 0)


@attrs.frozen
class LinkOpened:
    """Requests to `peer` can be sent. `counts_us`: it takes us for a voter (false: it remembers another disk)."""

    peer: NodeId
    counts_us: bool


@attrs.frozen
class LinkLost:
    """The link that carries our requests to `source` has ended; what was asked over it gets no answer."""

    source: Source


@attrs.frozen
class TimerFired:
    """`RaftCore.deadline` has passed."""


class Proposed(msgspec.Struct, frozen=True, gc=False):
    """One turn's records, sealed as one batch, to be appended by this leader at `base_offset`, its log end."""

    base_offset: Offset
    count: int
    crc: int
    body: bytes

    def __repr__(self) -> str:
        body = f"<{len(self.body)} bytes>"
        return f"Proposed(base_offset={self.base_offset}, count={self.count}, crc={self.crc}, body={body})"


@attrs.frozen
class QuorumRecordsAsked:
    """The leader may append what it owes the log about the quorum itself: no data waits that has offsets already.

    `kraft_version`: someone wants it at this level, and `voter_records.missing` had nobody to name; 0: nobody asks.
    """

    kraft_version: int = 0


class Flushed(msgspec.Struct, frozen=True, gc=False):
    """Everything below `end_offset` is on this disk: the only source of durability."""

    end_offset: Offset


class ReadAsked(msgspec.Struct, frozen=True, gc=False):
    """Reads up to `ticket` wait to be confirmed; tickets only grow."""

    ticket: int


@attrs.frozen
class SnapshotTaken:
    """A snapshot of this node's own making is durable; `size` in bytes. Its end is at or below the high watermark."""

    snapshot_id: OffsetAndEpoch
    size: int


@attrs.frozen
class LogTrimmed:
    """Storage dropped the snapshots before `oldest`; the log now starts at its end offset."""

    oldest: OffsetAndEpoch


@attrs.frozen
class SnapshotLoaded:
    """The snapshot of an InstallSnapshot was read: `control` are its KRaftVersion and Voters records, if it has any.

    Told before any other event; needed only where it has some (kraft.version 1).
    """

    snapshot_id: OffsetAndEpoch
    control: tuple[ControlRecord, ...]


@attrs.frozen
class TransferAsked:
    """Someone wants `to` (None: whoever is furthest) to lead instead of us."""

    to: NodeId | None


@attrs.frozen
class ShutdownAsked:
    """An ordered stop has begun: a leader resigns in favour of the most advanced voter."""


Event: TypeAlias = (
    Received
    | Proposed
    | QuorumRecordsAsked
    | Flushed
    | TimerFired
    | ReadAsked
    | LinkOpened
    | LinkLost
    | PeerMet
    | SnapshotTaken
    | LogTrimmed
    | SnapshotLoaded
    | TransferAsked
    | ShutdownAsked
)
