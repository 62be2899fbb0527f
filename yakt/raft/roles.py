"""The six roles of a replica as data: what each holds and what it may answer. No moves: `transitions` makes those."""

from math import inf
from typing import ClassVar, TypeAlias

import attrs

from yakt.ids import Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey
from yakt.raft.events import Source
from yakt.raft.messages import FetchRequest, FetchSnapshotRequest

NEVER = Instant(inf)


@attrs.frozen
class Asked:
    """The one fetch that waits for its answer: only what answers exactly this is heard."""

    to: NodeId
    correlation: int
    request: FetchRequest | FetchSnapshotRequest


@attrs.define
class Unattached:
    """Knows an epoch and perhaps a vote, but no leader to fetch from; asks around for one."""

    name: ClassVar[str] = "unattached"
    deadline: Instant
    """When to stand for election; NEVER for an observer."""
    ask_at: Instant
    """When to ask another voter who leads."""
    asked: Asked | None = None


@attrs.define
class Prospective:
    """Asks whether an election could be won, before it raises the epoch (KIP-996)."""

    name: ClassVar[str] = "prospective"
    pre_vote: ClassVar[bool] = True
    deadline: Instant
    ask_at: Instant
    granted: set[NodeId]
    rejected: set[NodeId] = attrs.Factory(set)
    asked: dict[NodeId, int] = attrs.Factory(dict)
    """Correlations of this round's requests: an answer to any other round's counts for nothing."""


@attrs.define
class Candidate:
    """Voted for itself in a new epoch and asks for the others' votes."""

    name: ClassVar[str] = "candidate"
    pre_vote: ClassVar[bool] = False
    deadline: Instant
    ask_at: Instant
    granted: set[NodeId]
    rejected: set[NodeId] = attrs.Factory(set)
    asked: dict[NodeId, int] = attrs.Factory(dict)


@attrs.define
class Download:
    """A snapshot being fetched: `position` bytes of it have been written."""

    snapshot_id: OffsetAndEpoch
    position: int = 0


@attrs.define
class Follower:
    """Fetches from the epoch's leader."""

    name: ClassVar[str] = "follower"
    leader_id: NodeId
    deadline: Instant
    """The fetch timer: past it the leader counts as gone."""
    ask_at: Instant
    """When to fetch if no answer has come, or none is awaited, flushed or not."""
    asked: Asked | None = None
    download: Download | None = None
    hears_leader: bool = False
    """A fetch has succeeded and nothing since says the leader is gone: pre-votes are refused (KIP-996)."""
    matches_leader: bool = False
    """The leader has found our log to be a prefix of its own: what it calls committed is so here too."""
    is_astray: bool = False
    """An observer whose leader is silent: it asks any voter who leads now."""
    read_round: int = 0
    """The last read round heard, echoed in the next Fetch."""
    read_asked: tuple[int, int] | None = None
    """Correlation and ticket of the ReadIndex that waits for its answer."""
    read_ask_at: Instant = NEVER


@attrs.define
class Progress:
    """What a leader knows of another voter, by its fetches in this epoch."""

    end_offset: Offset = Offset(-1)
    """All below is durable there; -1 unknown. Never falls: a durable record is not taken back within an epoch."""
    last_fetch: Instant = Instant(-inf)
    last_caught_up: Instant = Instant(-inf)
    log_end_at_last_fetch: Offset = Offset(-1)
    read_round: int = 0
    begin_asked: int | None = None
    """Correlation of the BeginQuorumEpoch that waits for its answer."""
    fell_back: bool = False
    """Fetches below what it had confirmed: its disk was set back, or an old message came late."""


@attrs.define
class Parked:
    """A fetch that waits for something to tell."""

    correlation: int
    request: FetchRequest
    deadline: Instant


@attrs.define
class Transfer:
    """Leadership is to go to `to` as soon as it has caught up, or not at all after `deadline`."""

    to: NodeId
    deadline: Instant
    patience: Instant
    """Until then the target should have all of the log, from then on (NEVER: now) all that is committed."""


@attrs.define
class Leader:
    """Appends, serves fetches, and knows how far each voter has come."""

    name: ClassVar[str] = "leader"
    epoch_start_offset: Offset
    followers: dict[NodeId, Progress]
    check_quorum_deadline: Instant
    begin_at: Instant
    """When to look for voters that do not fetch."""
    heard: set[NodeId] = attrs.Factory(set)
    """Voters that fetched since check-quorum was last satisfied."""
    observers: dict[ReplicaKey, Progress] = attrs.Factory(dict)
    parked: dict[Source, Parked] = attrs.Factory(dict)
    release_at: Instant = NEVER
    """No parked fetch expires before this."""
    high_watermark_due: Instant = NEVER
    """When parked voters are told of a high watermark that no data carried to them."""
    read_round: int = 0
    """Number of the last round of read confirmation; 0: none yet in this epoch."""
    round_ticket: int | None = None
    """Reads up to this ticket are confirmed by the round that is out; None: none is out."""
    round_readers: dict[NodeId, int] = attrs.Factory(dict)
    """ReadIndex requests (correlations) that the round which is out will answer."""
    next_readers: dict[NodeId, int] = attrs.Factory(dict)
    """Those that came later and wait for the next."""
    transfer: Transfer | None = None
    may_owe_records: bool = True
    """The voters' records may have to be written: to be looked at when the last ones are committed."""


@attrs.define
class Resigned:
    """Led this epoch and will not again: no appends, no vote in it; tells the voters until they have heard."""

    name: ClassVar[str] = "resigned"
    deadline: Instant
    ask_at: Instant
    preferred_successors: tuple[NodeId, ...]
    asked: dict[NodeId, int] = attrs.Factory(dict)
    acknowledged: set[NodeId] = attrs.Factory(set)


Role: TypeAlias = Follower | Leader | Unattached | Prospective | Candidate | Resigned


def can_grant_pre_vote(role: Role) -> bool:
    """Whether a pre-vote may go to a log as far on as ours (raft.md §4, table)."""
    match role:
        case Leader():
            return False
        case Follower(hears_leader=hears_leader):
            return not hears_leader
        case _:
            return True


def can_grant_vote(role: Role, voted: ReplicaKey | None, leader_id: NodeId | None) -> bool:
    """Whether a real vote may go to a log as far on as ours, none having been cast (raft.md §4, table)."""
    return isinstance(role, Unattached | Prospective) and voted is None and leader_id is None
