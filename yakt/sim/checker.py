"""What must hold after every event, checked where messages leave and bytes land (verification.md, section 2).

The checker sees all nodes at once, which none of them can: it keeps one dictionary of what each (offset, epoch) must
hold, one list of what is committed, and one of who led and who was voted for. Each check costs O(what changed).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeAlias

from yakt.batch import ControlRecord, LeaderChange, RecordBatch, Voters
from yakt.errors import ViolationError
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.raft.events import Source
from yakt.raft.messages import (
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    Message,
    QuorumEpochResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    VoteRequest,
    VoteResponse,
)
from yakt.sim.machine import Request
from yakt.sim.store import Store

SAME_EPOCH = frozenset(
    {
        ("unattached", "prospective"),
        ("unattached", "follower"),
        ("prospective", "unattached"),
        ("prospective", "follower"),
        ("candidate", "prospective"),
        ("candidate", "leader"),
        ("candidate", "follower"),
        ("leader", "resigned"),
        ("follower", "prospective"),
    }
)
"""Changes of role that leave the epoch as it is (raft.md, section 3); whatever else changes raises it."""
HIGHER_EPOCH = frozenset({"unattached", "follower"})
"""Where a higher epoch leads from anywhere; a candidate raises it by one, on its own."""


RequestsOf: TypeAlias = Callable[[RecordBatch], Iterable[Request | None]]
"""For each record of a batch, the request that wrote it, if one did."""


class Subject(Protocol):
    """What the checker looks at of a node."""

    id: NodeId
    store: Store
    high_watermark: Offset
    """The last one it was told to commit in this life."""
    votes_asked: dict[tuple[Source, int], VoteRequest]

    @property
    def key(self) -> ReplicaKey: ...

    @property
    def role(self) -> str: ...

    @property
    def epoch(self) -> Epoch: ...

    @property
    def leader_id(self) -> NodeId | None: ...


class Checker:
    """The invariants S1 to S15 and S18 to S20. Each method raises ViolationError, named after the check."""

    def __init__(self, subjects: dict[NodeId, Subject], requests_of: RequestsOf) -> None:
        self.subjects = subjects
        self.majority = len(subjects) // 2 + 1
        self.leaders: dict[Epoch, NodeId] = {}
        self.votes: dict[tuple[Uuid, Epoch], ReplicaKey] = {}
        self.prefixes: dict[tuple[Offset, Epoch], int] = {}
        self.committed_end = Offset(0)
        self.committed: dict[Offset, tuple[Epoch, int]] = {Offset(0): (Epoch(0), 0)}
        """By end offset of each committed batch: its epoch, and the hash of the log up to there."""
        self.requests: dict[Request, Offset] = {}
        """Where each committed request lies."""
        self.states: dict[Offset, int] = {}
        self.quorum_records: dict[OffsetAndEpoch, tuple[ControlRecord, ...]] = {}
        """What each snapshot says of the quorum."""
        self._requests_of = requests_of
        self._epoch_starts: dict[Epoch, Offset] = {}
        self._committed_in: dict[Epoch, Offset] = {}
        """How far the leader of each epoch has committed."""
        self._seen: dict[NodeId, tuple[str, Epoch]] = {}
        self._ever: dict[NodeId, Epoch] = dict.fromkeys(subjects, Epoch(0))
        self._sends = {
            FetchRequest: self._fetch_sent,
            FetchResponse: self._answer_sent,
            VoteRequest: self._vote_asked,
            VoteResponse: self._vote_answered,
            BeginQuorumEpochRequest: self._begin_sent,
            EndQuorumEpochRequest: self._epoch_sent,
            QuorumEpochResponse: self._answer_sent,
            FetchSnapshotRequest: self._epoch_sent,
            FetchSnapshotResponse: self._answer_sent,
            ReadIndexRequest: self._epoch_sent,
            ReadIndexResponse: self._answer_sent,
        }

    # Roles and epochs

    def started(self, node: Subject) -> None:
        """A node has come up from its disk and said so by nothing yet."""
        if node.epoch < self._ever[node.id]:
            raise ViolationError(
                "S2 MonotonicEpoch", f"node {node.id} restarts in {node.epoch}, was in {self._ever[node.id]}"
            )
        if node.role == "leader" and len(self.subjects) > 1:
            raise ViolationError("S19 LegalTransition", f"node {node.id} starts as leader of {node.epoch}")
        self._seen[node.id] = (node.role, node.epoch)
        self._leader_known(node)

    def stepped(self, node: Subject) -> None:
        """A step and all its effects are done."""
        role, epoch = now = (node.role, node.epoch)
        before = self._seen[node.id]
        if now == before:
            return
        self._seen[node.id] = now
        if epoch < self._ever[node.id]:
            raise ViolationError("S2 MonotonicEpoch", f"node {node.id} went from epoch {before[1]} to {epoch}")
        self._ever[node.id] = epoch
        if epoch == before[1]:
            legal = role == before[0] or (before[0], role) in SAME_EPOCH
        else:
            legal = role in HIGHER_EPOCH or self._is_own_election(before, now)
        if not legal:
            raise ViolationError("S19 LegalTransition", f"node {node.id} went from {before} to {now}")
        self._leader_known(node)

    def _is_own_election(self, before: tuple[str, Epoch], now: tuple[str, Epoch]) -> bool:
        alone = len(self.subjects) == 1
        if alone:
            return now[0] in ("candidate", "leader")
        return now[0] == "candidate" and before[0] == "prospective" and now[1] == before[1] + 1

    def _leader_known(self, node: Subject) -> None:
        if node.leader_id is not None:
            if node.role == "unattached":
                raise ViolationError(
                    "S19 LegalTransition", f"node {node.id} is unattached but knows the leader {node.leader_id}"
                )
            self._named(node.epoch, node.leader_id)
        if node.role == "leader":
            self._named(node.epoch, node.id)

    def _named(self, epoch: Epoch, leader: NodeId) -> None:
        if self.leaders.setdefault(epoch, leader) != leader:
            raise ViolationError("S1 ElectionSafety", f"epoch {epoch} is led by {self.leaders[epoch]} and by {leader}")

    def led(self, node: Subject) -> None:
        """A node has become leader and appended nothing yet, or only its LeaderChange."""
        self._named(node.epoch, node.id)
        # A late winner may lack what a later epoch's leader has committed meanwhile; it can commit nothing itself.
        end = max((end for epoch, end in self._committed_in.items() if epoch < node.epoch), default=Offset(0))
        if node.store.prefix_at(end) != self.committed[end][1]:
            raise ViolationError(
                "S6 LeaderCompleteness", f"node {node.id} leads {node.epoch} without all committed below {end}"
            )

    def election_saved(self, node: Subject, epoch: Epoch) -> None:
        """quorum-state is about to be replaced by one of `epoch`."""
        if epoch < node.store.election.epoch:
            raise ViolationError("S2 MonotonicEpoch", f"node {node.id} saves {epoch} over {node.store.election.epoch}")

    # Messages

    def sent(self, node: Subject, to: Source, message: Message, correlation: int) -> None:
        """A message leaves: what it says must be on disk, and nobody may have been told otherwise before."""
        self._sends[type(message)](node, to, message, correlation)  # type: ignore[operator]

    def _epoch_sent(self, node: Subject, _to: Source, message: FetchRequest, _correlation: int) -> None:
        if message.epoch > node.store.election.epoch:
            raise ViolationError(
                "S4 DurableBeforeSend",
                f"node {node.id} says epoch {message.epoch}, its disk {node.store.election.epoch}: {message}",
            )

    def _answer_sent(self, node: Subject, to: Source, message: FetchResponse, correlation: int) -> None:
        self._epoch_sent(node, to, message, correlation)  # type: ignore[arg-type]
        if message.leader_id is not None:
            self._named(message.epoch, message.leader_id)

    def _fetch_sent(self, node: Subject, to: Source, message: FetchRequest, correlation: int) -> None:
        self._epoch_sent(node, to, message, correlation)
        if message.replica is not None and message.fetch_offset > node.store.durable_end:
            raise ViolationError(
                "S4 DurableBeforeSend",
                f"node {node.id} fetches from {message.fetch_offset}, durable only below {node.store.durable_end}",
            )

    def _vote_asked(self, node: Subject, to: Source, message: VoteRequest, correlation: int) -> None:
        self._epoch_sent(node, to, message, correlation)  # type: ignore[arg-type]
        if not message.pre_vote:
            self._voted(node, message.epoch, node.key)

    def _vote_answered(self, node: Subject, to: Source, message: VoteResponse, correlation: int) -> None:
        self._answer_sent(node, to, message, correlation)  # type: ignore[arg-type]
        if message.granted:
            request = node.votes_asked[to, correlation]
            if not request.pre_vote:
                self._voted(node, request.epoch, request.candidate)

    def _voted(self, node: Subject, epoch: Epoch, candidate: ReplicaKey) -> None:
        election = node.store.election
        if self.votes.setdefault((node.key.directory_id, epoch), candidate) != candidate:
            raise ViolationError("S3 VoteOnce", f"node {node.id} votes twice in {epoch}, now for {candidate.id}")
        if (election.epoch, election.voted) != (epoch, candidate):
            raise ViolationError(
                "S4 DurableBeforeSend", f"node {node.id} votes for {candidate.id} in {epoch}, its disk has {election}"
            )

    def _begin_sent(self, node: Subject, to: Source, message: BeginQuorumEpochRequest, correlation: int) -> None:
        self._epoch_sent(node, to, message, correlation)  # type: ignore[arg-type]
        self._named(message.epoch, message.leader_id)

    # The log

    def appended(self, node: Subject, batches: Iterable[RecordBatch]) -> None:
        """`batches` are in the node's log now."""
        store = node.store
        for batch in batches:
            key = (batch.end_offset, batch.leader_epoch)
            prefix = store.prefix_at(batch.end_offset)
            assert prefix is not None
            if self.prefixes.setdefault(key, prefix) != prefix:
                raise ViolationError(
                    "S5 LogMatching",
                    f"node {node.id} holds other records up to {key} than another node",
                )
            if batch.leader_epoch < store.epoch_at(batch.base_offset) or batch.leader_epoch > node.epoch:
                raise ViolationError(
                    "S12 EpochCacheConsistent",
                    f"node {node.id} in {node.epoch} appends a batch of {batch.leader_epoch}",
                )
            if batch.control and isinstance(batch.control[0], LeaderChange):
                self._epoch_starts[batch.leader_epoch] = batch.base_offset
            for record in batch.control:
                if isinstance(record, Voters):
                    self._voters_appended(node, batch, record)

    def _voters_appended(self, node: Subject, batch: RecordBatch, record: Voters) -> None:
        """One change at a time, of one voter at most, by a leader that has committed in its epoch (KIP-853)."""
        check = "S15 VoterSetSafety"
        now = _keys(record)
        if {key.id for key in now} != self.subjects.keys():
            raise ViolationError(check, f"node {node.id} holds voters {sorted(key.id for key in now)}")
        before = _last_voters(node.store, batch.base_offset)
        if before is not None:
            offset, old = before
            if len(_keys(old) - now) > 1 or len(now - _keys(old)) > 1:
                raise ViolationError(check, f"{batch} at node {node.id} changes more than one voter")
            if offset >= self.committed_end:
                raise ViolationError(check, f"{batch} at node {node.id}, and the voters at {offset} are not committed")
        if not isinstance(batch.control[0], LeaderChange) and batch.leader_epoch not in self._committed_in:
            raise ViolationError(check, f"{batch}, before a commit in its epoch")
        for other in self.subjects.values():
            found = _last_voters(other.store, other.store.end_offset)
            if found is not None:
                there = _keys(found[1])
                if len(there) // 2 + 1 + len(now) // 2 + 1 <= len(there | now):
                    raise ViolationError(check, f"majorities of nodes {node.id} and {other.id} need not meet")

    def truncating(self, node: Subject, end_offset: Offset) -> None:
        """The node is about to drop all from `end_offset` on."""
        store = node.store
        if end_offset < node.high_watermark:
            raise ViolationError(
                "S10 NoTruncateBelowHW", f"node {node.id} cuts at {end_offset}, committed below {node.high_watermark}"
            )
        for batch in store.between(end_offset, store.end_offset)[:1]:
            held = self.committed.get(batch.end_offset)
            if held is not None and held[1] == store.prefix_at(batch.end_offset):
                raise ViolationError(
                    "S10 NoTruncateBelowHW", f"node {node.id} cuts at {end_offset}, and drops what is committed there"
                )

    def epochs_known(self, node: Subject, starts: tuple[tuple[Epoch, Offset], ...]) -> None:
        """`starts` is where the node's core believes the epochs of its log begin."""
        if starts != node.store.epoch_starts:
            raise ViolationError(
                "S12 EpochCacheConsistent",
                f"node {node.id} believes in epochs {starts}, its log has {node.store.epoch_starts}",
            )

    # What is committed

    def committing(self, node: Subject, high_watermark: Offset) -> None:
        """The node is about to move its high watermark there."""
        store = node.store
        if high_watermark == node.high_watermark:
            return  # what its snapshot holds, told anew at its start
        if high_watermark < node.high_watermark or high_watermark > store.end_offset:
            raise ViolationError(
                "S8 HWBounds",
                f"node {node.id}: {node.high_watermark} -> {high_watermark}, the log ends at {store.end_offset}",
            )
        prefix = store.prefix_at(high_watermark)
        if prefix is None:
            if high_watermark < store.start_offset:
                return
            raise ViolationError("S8 HWBounds", f"node {node.id}: {high_watermark} lies within a batch")
        # What it was before this step: it may resign within it, after a last commit.
        role, epoch = self._seen[node.id]
        if role == "leader":
            self._leader_commits(node, epoch, high_watermark, prefix)
        if high_watermark > self.committed_end:
            raise ViolationError(
                "S9 MajorityReachedHW", f"node {node.id} commits {high_watermark}, which no leader has"
            )
        if self.committed[high_watermark][1] != prefix:
            raise ViolationError(
                "S7 StateMachineSafety", f"node {node.id} commits other records below {high_watermark} than another"
            )

    def _leader_commits(self, node: Subject, epoch: Epoch, high_watermark: Offset, prefix: int) -> None:
        start = self._epoch_starts.get(epoch)
        if start is None or high_watermark <= start:
            raise ViolationError(
                "S11 CommitOnlyOwnEpoch",
                f"leader {node.id} of {epoch}, begun at {start}, commits {high_watermark}",
            )
        self._committed_in[epoch] = high_watermark
        if high_watermark <= self.committed_end:
            if epoch == max(self.leaders) and high_watermark < self.committed_end:
                raise ViolationError(
                    "S8 HWBounds", f"the newest leader {node.id} commits {high_watermark}, below {self.committed_end}"
                )
            return
        holders = [each.id for each in self.subjects.values() if self._holds(each.store, high_watermark, prefix)]
        if len(holders) < self.majority:
            raise ViolationError(
                "S9 MajorityReachedHW", f"leader {node.id} commits {high_watermark}, durable only on {holders}"
            )
        if node.store.prefix_at(self.committed_end) != self.committed[self.committed_end][1]:
            raise ViolationError(
                "S7 StateMachineSafety", f"leader {node.id} commits past {self.committed_end} on another history"
            )
        for batch in node.store.between(self.committed_end, high_watermark):
            self._extend(node, batch)
        self.committed_end = high_watermark

    @staticmethod
    def _holds(store: Store, end_offset: Offset, prefix: int) -> bool:
        if store.safe_end < end_offset:
            return False
        return store.start_offset > end_offset or store.prefix_at(end_offset) == prefix

    def _extend(self, node: Subject, batch: RecordBatch) -> None:
        prefix = node.store.prefix_at(batch.end_offset)
        assert prefix is not None
        self.committed[batch.end_offset] = (batch.leader_epoch, prefix)
        offset = batch.base_offset
        for request in self._requests_of(batch):
            if request is None:
                pass
            elif request in self.requests:
                raise ViolationError(
                    "S16 ExactlyOnce", f"request {request} lies at {self.requests[request]} and at {offset}"
                )
            else:
                self.requests[request] = offset
            offset = Offset(offset + 1)

    def applied(self, node: Subject, offset: Offset, state: int) -> None:
        """Everything below `offset` is folded; `state` is the hash of what came out."""
        if offset > node.high_watermark:
            raise ViolationError("S7 StateMachineSafety", f"node {node.id} applies {offset}, not committed there")
        if self.states.setdefault(offset, state) != state:
            raise ViolationError("S18 StateEquality", f"node {node.id} has another state at {offset} than another node")

    def bounded(self, node: NodeId, queues: Mapping[str, tuple[int, int]]) -> None:
        """`queues`: what waits on the node, its size and the bound it is held to."""
        for name, (size, bound) in queues.items():
            if size > bound:
                raise ViolationError("S20 BoundedQueues", f"node {node}: {size} {name}, {bound} are allowed")

    # Snapshots

    def snapshot_taken(
        self, node: Subject, snapshot_id: OffsetAndEpoch, control: tuple[ControlRecord, ...] = ()
    ) -> None:
        """A snapshot of a node's own making is durable; `control` is what it says of the quorum."""
        if self.quorum_records.setdefault(snapshot_id, control) != control:
            raise ViolationError("S15 VoterSetSafety", f"node {node.id}: {snapshot_id} has other voters than elsewhere")
        self._snapshot_is_sound(node, snapshot_id)
        if snapshot_id.offset > node.high_watermark or snapshot_id.offset < node.store.start_offset:
            raise ViolationError(
                "S13 SnapshotAtLogStart",
                f"node {node.id} takes {snapshot_id}; its log starts at {node.store.start_offset}, "
                f"committed below {node.high_watermark}",
            )

    def snapshot_installed(self, node: Subject, snapshot_id: OffsetAndEpoch, state: int) -> None:
        """A download has become a snapshot, and `state` is the hash of what it holds."""
        self._snapshot_is_sound(node, snapshot_id)
        if node.role == "leader":
            raise ViolationError("S14 LeaderNeverLoadsSnapshot", f"leader {node.id} loads {snapshot_id}")
        if snapshot_id.offset < node.high_watermark:
            raise ViolationError("S8 HWBounds", f"node {node.id} goes back from {node.high_watermark} to {snapshot_id}")
        if self.states.get(snapshot_id.offset, state) != state:
            raise ViolationError("S18 StateEquality", f"{snapshot_id}, loaded by node {node.id}, is another state")

    def log_started(self, node: Subject) -> None:
        """The start of the node's log has moved, or it has come up."""
        start = node.store.start_offset
        if start > 0 and not any(each.offset == start for each in node.store.snapshots):
            raise ViolationError(
                "S13 SnapshotAtLogStart", f"node {node.id} starts at {start}, without a snapshot there"
            )

    def _snapshot_is_sound(self, node: Subject, snapshot_id: OffsetAndEpoch) -> None:
        held = self.committed.get(snapshot_id.offset)
        if held is None or held[0] != snapshot_id.epoch:
            raise ViolationError(
                "S13 SnapshotAtLogStart", f"node {node.id}: {snapshot_id} is no end of committed records ({held})"
            )


def _keys(record: Voters) -> set[ReplicaKey]:
    return {ReplicaKey(voter.id, voter.directory_id) for voter in record.voters}


def _last_voters(store: Store, end_offset: int) -> tuple[Offset, Voters] | None:
    """The last voter set that the log, or the snapshot it began from, has below an offset; and where."""
    found = [(at, record) for at, record in store.control if isinstance(record, Voters) and at < end_offset]
    return found[-1] if found else None
