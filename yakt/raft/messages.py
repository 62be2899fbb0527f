"""Requests and responses of the quorum RPCs as plain values: Kafka's, field for field (KIP-595, 630, 853, 996).

No bytes here: `yakt.peer.codec` and, for brokers, the Kafka listener give them some. `ReadIndex` and the `read_round`
of Fetch are YAKt's own: the linearizable read barrier (product.md §2.7).
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeAlias

import attrs
import msgspec

from yakt.batch import RecordBatch
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey


class Error(IntEnum):
    """Kafka's error codes that the quorum RPCs may carry."""

    NONE = 0
    NOT_LEADER_OR_FOLLOWER = 6
    BROKER_NOT_AVAILABLE = 8
    INVALID_REQUEST = 42
    FENCED_LEADER_EPOCH = 74
    UNKNOWN_LEADER_EPOCH = 75
    SNAPSHOT_NOT_FOUND = 98
    POSITION_OUT_OF_RANGE = 99
    INCONSISTENT_CLUSTER_ID = 104
    INVALID_VOTER_KEY = 125


@attrs.frozen(kw_only=True)
class VoteRequest:
    """Ask for a vote (KIP-595, Vote; KIP-996 for `pre_vote`).

    `epoch` is the one stood for; with `pre_vote` the sender's present one, which it does not raise. The log ends at
    `log_end_offset`, exclusive, in `last_epoch`; 0 and 0 if empty. `voter` is whom the sender believes it asks.
    """

    epoch: Epoch
    candidate: ReplicaKey
    voter: ReplicaKey | None = None
    last_epoch: Epoch
    log_end_offset: Offset
    pre_vote: bool
    cluster_id: str | None = None


@attrs.frozen(kw_only=True)
class VoteResponse:
    """`leader_id` and `epoch` are what the answering node knows, granted or not."""

    error: Error = Error.NONE
    leader_id: NodeId | None
    epoch: Epoch
    granted: bool


@attrs.frozen(kw_only=True)
class BeginQuorumEpochRequest:
    """The leader of `epoch` makes itself known to a voter that does not fetch (KIP-595, BeginQuorumEpoch)."""

    epoch: Epoch
    leader_id: NodeId
    voter: ReplicaKey | None = None
    cluster_id: str | None = None


@attrs.frozen(kw_only=True)
class EndQuorumEpochRequest:
    """The leader of `epoch` resigns; `preferred_successors` best first (KIP-595, EndQuorumEpoch)."""

    epoch: Epoch
    leader_id: NodeId
    preferred_successors: tuple[NodeId, ...]
    cluster_id: str | None = None


@attrs.frozen(kw_only=True)
class QuorumEpochResponse:
    """Answers both BeginQuorumEpoch and EndQuorumEpoch."""

    error: Error = Error.NONE
    leader_id: NodeId | None
    epoch: Epoch


class FetchRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Ask for records from `fetch_offset` on; to the leader it also says that all below is durable here (KIP-595).

    `replica` None is an anonymous reader, never a voter. `epoch` is the sender's (CurrentLeaderEpoch),
    `last_fetched_epoch` that of the record before `fetch_offset` (0 if none). The answer may be held back for
    `max_wait_ms` until there is something new, a high watermark above `high_watermark` included (KIP-1166; None:
    Kafka below v18, which cannot say). `read_round` echoes the last one heard (0: none).
    """

    replica: ReplicaKey | None
    epoch: Epoch
    fetch_offset: Offset
    last_fetched_epoch: Epoch
    max_wait_ms: int
    max_bytes: int
    high_watermark: Offset | None = None
    read_round: int = 0
    cluster_id: str | None = None


class LogRange(msgspec.Struct, frozen=True, gc=False):
    """Whole batches from the one that starts at or contains `start_offset`, at most `max_bytes` of them (but at
    least one), none at or past `end_offset`. Named by the core; the shell puts the bytes in as the message leaves."""

    start_offset: Offset
    end_offset: Offset
    max_bytes: int


class FetchResponse(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Records, or why there are none: an `error`, the follower's log diverges, or it must load a snapshot first.

    `high_watermark` None: not known yet (always so before the leader's first commit in its epoch).
    `diverging`: the largest epoch the leader knows at or below the asked one, and its exclusive end.
    `records` is a LogRange on its way out of the core, batches on its way in.
    """

    error: Error = Error.NONE
    leader_id: NodeId | None
    epoch: Epoch
    high_watermark: Offset | None = None
    log_start_offset: Offset = Offset(0)
    diverging: OffsetAndEpoch | None = None
    snapshot_id: OffsetAndEpoch | None = None
    records: LogRange | Sequence[RecordBatch] = ()
    read_round: int = 0


@attrs.frozen(kw_only=True)
class FetchSnapshotRequest:
    """Ask for the bytes of a snapshot file from `position` on (KIP-630, FetchSnapshot)."""

    replica: ReplicaKey | None
    epoch: Epoch
    snapshot_id: OffsetAndEpoch
    position: int
    max_bytes: int
    cluster_id: str | None = None


@attrs.frozen
class SnapshotRange:
    """At most `max_bytes` bytes of a snapshot file from `position` on; the shell puts them in."""

    snapshot_id: OffsetAndEpoch
    position: int
    max_bytes: int


@attrs.frozen(kw_only=True)
class FetchSnapshotResponse:
    """`size` is the whole file's, in bytes; `data` a SnapshotRange on its way out of the core, bytes on its way in."""

    error: Error = Error.NONE
    leader_id: NodeId | None
    epoch: Epoch
    snapshot_id: OffsetAndEpoch | None = None
    size: int = 0
    position: int = 0
    data: SnapshotRange | bytes = b""


@attrs.frozen(kw_only=True)
class ReadIndexRequest:
    """A follower asks the leader to confirm, with a majority, that it still leads (YAKt's own)."""

    epoch: Epoch


@attrs.frozen(kw_only=True)
class ReadIndexResponse:
    """With error NONE: once `offset` is applied, all reads asked for before the request may be served."""

    error: Error = Error.NONE
    leader_id: NodeId | None
    epoch: Epoch
    offset: Offset = Offset(0)


Request: TypeAlias = (
    FetchRequest
    | FetchSnapshotRequest
    | VoteRequest
    | BeginQuorumEpochRequest
    | EndQuorumEpochRequest
    | ReadIndexRequest
)
Response: TypeAlias = FetchResponse | FetchSnapshotResponse | VoteResponse | QuorumEpochResponse | ReadIndexResponse
Message: TypeAlias = Request | Response
