"""Quorum, the mutable heart of a replica: epoch, voters, role, log, and the sums over them; decides no moves itself."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs

from yakt.batch import ControlRecord, Endpoint, RecordBatch
from yakt.ids import Epoch, Instant, NodeId, Offset, ReplicaKey
from yakt.raft.effects import Commit, Effects, RememberVoter
from yakt.raft.log import Log
from yakt.raft.roles import Leader, Role
from yakt.raft.voters import VoterSet

SealControl: TypeAlias = Callable[[tuple[ControlRecord, ...]], tuple[int, bytes]]
"""Control records -> (crc, body) of the batch that holds them."""

EPOCH_MAX = 2**31 - 1
"""Epochs are INT32 on every wire."""
CORRELATION_MAX = 2**31 - 1


@attrs.frozen(kw_only=True)
class RaftConfig:
    """Times in seconds, sizes in bytes. The first two are `[quorum]` of the configuration (raft.md §1)."""

    election_timeout: float = 0.3
    """Election timers are drawn from [1, 2) times this."""
    fetch_timeout: float = 0.6
    fetch_bytes: int = 1024 * 1024
    """Asked for at a time; a larger batch comes whole."""
    snapshot_chunk_bytes: int = 1024 * 1024
    response_bytes_max: int = 8 * 1024 * 1024
    visitors_max: int = 1000
    """Visitors' fetches that may wait at once; further ones are refused."""
    observers_max: int = 1000
    """Observers listed in statistics."""
    high_watermark_delay: float = 0.005
    """How long a high watermark waits for data that would carry it to the voters."""
    haste: float = 0.01
    """First wait of the back-off between hurried elections."""
    retry_backoff: float = 0.02
    observer_session: float = 300.0
    kraft_version: int = 0
    """The level that this node, leading, brings the quorum to as soon as all voters are ready for it; never down."""

    fetch_max_wait_ms: int = attrs.field(init=False)
    request_timeout: float = attrs.field(init=False)
    check_quorum_timeout: float = attrs.field(init=False)
    vote_retry: float = attrs.field(init=False)

    @fetch_max_wait_ms.default
    def _fetch_max_wait_ms(self) -> int:
        return max(int(min(0.5, self.fetch_timeout / 4) * 1000), 1)

    @request_timeout.default
    def _request_timeout(self) -> float:
        """Unanswered, a fetch is asked again after this: twice before the fetch timer ends."""
        return self.fetch_timeout / 2

    @check_quorum_timeout.default
    def _check_quorum_timeout(self) -> float:
        return self.fetch_timeout * 1.5

    @vote_retry.default
    def _vote_retry(self) -> float:
        return self.election_timeout / 3


@attrs.frozen
class Election:
    """What quorum-state says: the epoch, who leads it if known, and the vote cast in it if any."""

    epoch: Epoch = Epoch(0)
    leader_id: NodeId | None = None
    voted: ReplicaKey | None = None


@attrs.frozen
class VoterFacts:
    """What a VotersRecord tells of a voter beside its key; `kraft_versions` both ends included."""

    endpoints: tuple[Endpoint, ...]
    kraft_versions: tuple[int, int]


@attrs.define
class Reads:
    """Tickets of this node's own reads: those in (confirmed, asked] wait."""

    asked: int = 0
    confirmed: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether any read waits for a confirmation."""
        return self.asked > self.confirmed


@attrs.define(kw_only=True)
class Quorum:
    """One replica's view of its quorum. Only `transitions` assigns `role` and `election`."""

    me: ReplicaKey
    cluster_id: str
    config: RaftConfig
    random: Callable[[], float]
    """Uniform in [0, 1)."""
    seal_control: SealControl
    voters: VoterSet
    log: Log
    election: Election
    role: Role
    high_watermark: Offset
    """One past the last record known here to be committed; never falls."""
    reads: Reads = attrs.Factory(Reads)
    facts: dict[NodeId, VoterFacts]
    """Of ourselves, and of each voter by its last hello in this life."""
    is_disowned: bool = False
    """Some voter remembers another disk under our id: until a restart we neither stand nor vote (raft.md §2)."""
    is_shutting_down: bool = False
    unreachable: set[NodeId] = attrs.Factory(set)
    """Voters not heard since their link has ended, or since a fetch to them timed out: no votes to wait for."""
    hurry: int = 0
    """Rounds of a hurried election since a leader was last heard; 0: no hurry."""
    correlation: int = 0

    @property
    def epoch(self) -> Epoch:
        """The epoch we are in."""
        return self.election.epoch

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads our epoch as far as we know; None if it was us, and is no more."""
        leader_id = self.election.leader_id
        return None if leader_id == self.me.id and not isinstance(self.role, Leader) else leader_id

    @property
    def is_voter(self) -> bool:
        """Whether we may stand and vote; else we are an observer."""
        return self.voters.includes_me and not self.is_disowned

    def next_correlation(self) -> int:
        """A number that no request of ours, of this life or the last, bears: they begin at a random place."""
        self.correlation = self.correlation % CORRELATION_MAX + 1
        return self.correlation

    def election_deadline(self, now: Instant) -> Instant:
        """A new election timer: drawn anew each time, so that ties break."""
        return Instant(now + self.config.election_timeout * (1 + self.random()))

    def hasty_deadline(self, now: Instant) -> Instant:
        """The wait of a hurried election, longer with each round (raft.md §3, YAKt)."""
        longest = min(self.config.election_timeout, self.config.haste * 2 ** min(self.hurry - 1, 20))
        return Instant(now + longest * self.random())

    def fetch_deadline(self, now: Instant) -> Instant:
        """A new fetch timer. A little chance in it: all followers heard the same last word of a leader that hangs."""
        return Instant(now + self.config.fetch_timeout + self.config.haste * self.random())

    def counts(self, replica: ReplicaKey) -> bool:
        """Whether this disk is heard as a voter."""
        return self.voters.includes(replica)

    def admit(self, effects: Effects, replica: ReplicaKey) -> bool:
        """Like `counts`, but a configured voter met for the first time is remembered, durably, and counts."""
        if self.voters.includes(replica):
            return True
        if not self.voters.is_unmet(replica.id):
            return False
        self.voters.remember(replica)
        effects.add(RememberVoter(replica))
        return True

    def append(self, batch: RecordBatch) -> None:
        """Take a batch into the log's numbers; the bytes go with an Append effect."""
        self.log.append(batch.base_offset, batch.leader_epoch, batch.count)
        for index, record in enumerate(batch.control):
            self.voters.read(Offset(batch.base_offset + index), record)

    def has_majority(self, nodes: Iterable[NodeId]) -> bool:
        """Whether these are more than half of the voters; others among them do not count."""
        return len(set(nodes).intersection(self.voters.ids)) >= self.voters.majority

    def majority_end_offset(self, leader: Leader) -> Offset:
        """What a majority of the voters holds durably, by their fetches and our own flushes; -1 unknown."""
        followers = leader.followers
        ends = [
            self.log.flushed_end if voter == self.me.id else followers[voter].end_offset for voter in self.voters.ids
        ]
        ends.sort(reverse=True)
        return ends[len(ends) // 2]

    def known_high_watermark(self, leader: Leader) -> Offset | None:
        """What a leader tells of its high watermark: nothing before its first commit in its own epoch."""
        return self.high_watermark if self.high_watermark > leader.epoch_start_offset else None

    def learn_high_watermark(self, effects: Effects, told: Offset) -> None:
        """What our leader calls committed is so here as far as our log goes, once that is known to be its prefix."""
        high_watermark = min(told, self.log.end_offset)
        if high_watermark > self.high_watermark:
            self.raise_high_watermark(effects, high_watermark)

    def raise_high_watermark(self, effects: Effects, offset: Offset) -> None:
        """Everything below `offset` is committed."""
        assert self.high_watermark < offset <= self.log.end_offset, f"high watermark {offset} outside the log"
        self.high_watermark = offset
        if len(self.voters.history) > 2:
            self.voters.forget_before(offset)
        effects.add(Commit(offset))
