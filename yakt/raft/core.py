"""RaftCore: one replica of the quorum as a function of what happens to it; knows no bytes, sockets, files or clocks.

How it is driven. `start(now)` once, then `step(now, event)` for each event, in order; `now` never falls. Carry out the
effects in order before the next step. When `deadline` has passed, step with `TimerFired`; it may come late, and one too
early does nothing. The inputs decide everything: the same ones give the same effects.

    core = RaftCore(me=…, voters=…, config=RaftConfig(), election=Election(), log=LogState(), directories={},
                    random=…, seal_control=…, cluster_id=…)
    effects = core.start(now)
    effects = core.step(now, event)
    core.deadline, core.counts(replica), core.statistics(now)
    core.is_leader, core.epoch, core.leader_id, core.role_name, core.high_watermark, core.log_end_offset, …

Where to read on: events, effects and messages say what goes in and out; `roles` what a replica can be and
`transitions` how it changes; then one module an exchange: `vote`, `quorum_epoch`, `fetch` (with `parked`),
`fetch_snapshot`, `reads`, `transfer`. All work on one `Quorum`.
"""

from collections.abc import Callable, Mapping
from typing import assert_never

from yakt.batch import Endpoint, RecordBatch
from yakt.ids import Epoch, Instant, NodeId, Offset, ReplicaKey, Uuid
from yakt.raft import (
    fetch,
    fetch_snapshot,
    parked,
    quorum_epoch,
    reads,
    statistics,
    transfer,
    transitions,
    vote,
    voter_records,
)
from yakt.raft.effects import Append, Commit, Effect, Effects
from yakt.raft.events import (
    Event,
    Flushed,
    LinkLost,
    LinkOpened,
    LogTrimmed,
    PeerMet,
    Proposed,
    QuorumRecordsAsked,
    ReadAsked,
    Received,
    ShutdownAsked,
    SnapshotLoaded,
    SnapshotTaken,
    Source,
    TimerFired,
    TransferAsked,
)
from yakt.raft.log import Log, LogState
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
from yakt.raft.quorum import Election, Quorum, RaftConfig, SealControl, VoterFacts
from yakt.raft.roles import NEVER, Candidate, Follower, Leader, Prospective, Resigned, Role, Unattached
from yakt.raft.voters import VoterSet

KRAFT_VERSIONS = (0, 1)
"""Levels of kraft.version that this code can read, both ends included."""

__all__ = ["KRAFT_VERSIONS", "Election", "LogState", "RaftConfig", "RaftCore"]


class RaftCore:
    """One replica.

    `voters` are the configured ones, ascending or not, this node among them or not; a VotersRecord in the log overrides
    them. `election`, `log` and `directories` (of the voters met so far) are what was found on disk, all durable.
    `random` is uniform in [0, 1). `seal_control` gives control records their bytes: (crc, body). `endpoints`: where
    Kafka's brokers reach this node.
    """

    def __init__(
        self,
        *,
        me: ReplicaKey,
        voters: tuple[NodeId, ...],
        config: RaftConfig,
        election: Election,
        log: LogState,
        directories: Mapping[NodeId, Uuid],
        random: Callable[[], float],
        seal_control: SealControl,
        cluster_id: str,
        endpoints: tuple[Endpoint, ...] = (),
    ) -> None:
        voter_set = VoterSet(me, voters, directories)
        for offset, record in log.control:
            voter_set.read(offset, record)
        the_log = Log(log)
        newest = the_log.newest_snapshot
        self.quorum = Quorum(
            me=me,
            cluster_id=cluster_id,
            config=config,
            random=random,
            seal_control=seal_control,
            voters=voter_set,
            log=the_log,
            election=election,
            role=Unattached(NEVER, NEVER),
            # What a snapshot holds is committed; the rest of the log has yet to be heard of.
            high_watermark=the_log.start_offset if newest is None else newest.offset,
            correlation=int(random() * 2**30),
            facts={me.id: VoterFacts(endpoints, KRAFT_VERSIONS)},
        )

    def start(self, now: Instant) -> list[Effect]:
        """Take up the role that what was found on disk allows (raft.md §2)."""
        quorum = self.quorum
        effects = Effects(now)
        before = quorum.role
        transitions.begin(quorum, effects)
        if quorum.high_watermark > 0:
            effects.add(Commit(quorum.high_watermark))
        if quorum.is_voter and not quorum.voters.others:
            vote.stand(quorum, effects)
        self._take_up(effects, before)
        return effects.in_order

    def step(self, now: Instant, event: Event) -> list[Effect]:
        """Take in one event; return what to do about it, in the order to do it.

        Raises AssertionError for what cannot be unless this node's driver, or a voter, is broken: better to stop.
        """
        quorum = self.quorum
        effects = Effects(now)
        before = quorum.role
        match event:
            case Received(source=source, message=message, correlation=correlation):
                if quorum.unreachable and isinstance(source, int):
                    quorum.unreachable.discard(source)
                self._receive(effects, source, message, correlation)
            case Proposed():
                self._propose(effects, event)
            case Flushed(end_offset=end_offset):
                self._note_flush(effects, end_offset)
            case TimerFired():
                self._fire(effects)
            case ReadAsked(ticket=ticket):
                reads.ask(quorum, effects, ticket)
            case LinkOpened(peer=peer, counts_us=counts_us):
                self._open_link(effects, peer, counts_us=counts_us)
            case LinkLost(source=source):
                self._lose_link(effects, source)
            case PeerMet(peer=replica, endpoints=endpoints, kraft_versions=kraft_versions):
                if replica.id != quorum.me.id and quorum.admit(effects, replica):
                    voter_records.note(quorum, replica, VoterFacts(endpoints, kraft_versions))
            case QuorumRecordsAsked(kraft_version=kraft_version):
                if isinstance(quorum.role, Leader):
                    voter_records.append(quorum, effects, quorum.role, kraft_version)
            case SnapshotTaken(snapshot_id=snapshot_id, size=size):
                assert snapshot_id.offset <= quorum.high_watermark, "a snapshot of what is not committed"
                quorum.log.note_snapshot(snapshot_id, size)
            case LogTrimmed(oldest=oldest):
                quorum.log.trim(oldest)
            case SnapshotLoaded(snapshot_id=snapshot_id, control=control):
                quorum.voters.restart(snapshot_id.offset, control)
            case TransferAsked(to=to):
                if isinstance(quorum.role, Leader):
                    transfer.begin(quorum, effects, quorum.role, to)
            case ShutdownAsked():
                quorum.is_shutting_down = True
                if isinstance(quorum.role, Leader):
                    transitions.become_resigned(quorum, effects)
            case _:
                assert_never(event)
        if quorum.role is not before:
            self._take_up(effects, before)
        return effects.in_order

    def _receive(self, effects: Effects, source: Source, message: Message, correlation: int) -> None:
        quorum = self.quorum
        match message:
            case FetchRequest():
                fetch.on_request(quorum, effects, source, message, correlation)
                if isinstance(quorum.role, Leader) and quorum.role.transfer is not None:
                    transfer.advance(quorum, effects, quorum.role)
            case FetchResponse():
                fetch.on_response(quorum, effects, source, message, correlation)
                self._ask_if_due(effects)  # a download, perhaps
            case ReadIndexRequest():
                reads.on_request(quorum, effects, source, message, correlation)
            case ReadIndexResponse():
                reads.on_response(quorum, effects, source, message, correlation)
            case VoteRequest():
                vote.on_request(quorum, effects, source, message, correlation)
            case VoteResponse():
                vote.on_response(quorum, effects, source, message, correlation)
            case BeginQuorumEpochRequest():
                quorum_epoch.on_begin_request(quorum, effects, source, message, correlation)
            case EndQuorumEpochRequest():
                quorum_epoch.on_end_request(quorum, effects, source, message, correlation)
            case QuorumEpochResponse():
                quorum_epoch.on_response(quorum, effects, source, message, correlation)
            case FetchSnapshotRequest():
                fetch_snapshot.on_request(quorum, effects, source, message, correlation)
            case FetchSnapshotResponse():
                fetch_snapshot.on_response(quorum, effects, source, message, correlation)
            case _:
                assert_never(message)

    def _propose(self, effects: Effects, event: Proposed) -> None:
        """Ship before sync: parked fetches are answered from memory while the batch goes to disk (hot-path.md §2)."""
        quorum = self.quorum
        leader = quorum.role
        assert isinstance(leader, Leader), f"a {leader.name} was asked to append"
        batch = RecordBatch(event.base_offset, quorum.epoch, event.count, event.crc, event.body)
        quorum.append(batch)
        parked.release_all(quorum, effects, leader)
        effects.add(Append((batch,)))

    def _note_flush(self, effects: Effects, end_offset: Offset) -> None:
        """What waited for the disk: the leader's own place in the majority, a follower's next fetch."""
        quorum = self.quorum
        if not quorum.log.flush(end_offset):
            return
        match quorum.role:
            case Leader() as leader:
                fetch.advance_high_watermark(quorum, effects, leader)
            case Follower() as role if role.download is None and quorum.log.flushed_end == quorum.log.end_offset:
                role.asked = None  # whatever is out asks for less
                fetch.ask(quorum, effects, role)
            case _:
                pass

    def _fire(self, effects: Effects) -> None:
        """Do what is due by now, and nothing else."""
        quorum = self.quorum
        now = effects.now
        match quorum.role:
            case Leader() as leader:
                if now >= leader.check_quorum_deadline and quorum.voters.majority > 1:
                    transitions.become_resigned(quorum, effects)
                    return
                parked.on_timer(quorum, effects, leader)
                if now >= leader.begin_at:
                    quorum_epoch.begin(quorum, effects, leader)
                transfer.on_timer(quorum, effects, leader)
            case Follower() | Unattached() as role:
                if now >= role.deadline:
                    if quorum.is_voter and not quorum.is_shutting_down:
                        if isinstance(role, Follower):
                            quorum.unreachable.add(role.leader_id)
                        vote.stand(quorum, effects)
                        return
                    role.deadline = quorum.fetch_deadline(now)
                    if isinstance(role, Follower) and not quorum.is_voter:
                        role.is_astray, role.download, role.asked, role.ask_at = True, None, None, now
                if now >= role.ask_at:
                    self._ask(effects)
                if isinstance(role, Follower) and now >= role.read_ask_at:
                    reads.ask_leader(quorum, effects, role)
            case Prospective() | Candidate() as role:
                vote.on_timer(quorum, effects, role)
            case Resigned() as role:
                if now >= role.deadline:
                    transitions.end_resignation(quorum, effects)
                elif now >= role.ask_at:
                    quorum_epoch.end(quorum, effects, role)

    def _ask(self, effects: Effects) -> None:
        """Send what the present role has to ask of others."""
        quorum = self.quorum
        match quorum.role:
            case Follower() as follower:
                if follower.download is not None:
                    fetch_snapshot.ask(quorum, effects, follower)
                else:
                    fetch.ask(quorum, effects, follower)
            case Unattached() as unattached:
                fetch.ask(quorum, effects, unattached)
            case Prospective() | Candidate() as role:
                vote.ask(quorum, effects, role)
            case Leader() as leader:
                quorum_epoch.begin(quorum, effects, leader)
            case Resigned() as resigned:
                quorum_epoch.end(quorum, effects, resigned)

    def _take_up(self, effects: Effects, before: Role) -> None:
        """The role has changed: let go of what the old one held, and ask what the new one has to ask."""
        quorum = self.quorum
        if isinstance(before, Leader):
            parked.dismiss(quorum, effects, before)
            reads.dismiss(quorum, effects, before)
        self._ask(effects)
        if isinstance(quorum.role, Follower):
            reads.ask_leader(quorum, effects, quorum.role)

    def _ask_if_due(self, effects: Effects) -> None:
        role = self.quorum.role
        if isinstance(role, Follower) and effects.now >= role.ask_at:
            self._ask(effects)

    def _open_link(self, effects: Effects, peer: NodeId, *, counts_us: bool) -> None:
        """Ask at once what would else wait for its timer."""
        quorum = self.quorum
        quorum.unreachable.discard(peer)
        if not counts_us and not quorum.voters.by_record and not quorum.is_disowned:
            self._become_disowned(effects)
        match quorum.role:
            case Follower(leader_id=leader_id) as follower if leader_id == peer:
                self._ask(effects)
                if quorum.reads.is_waiting:
                    reads.ask_leader(quorum, effects, follower)
            case Unattached(asked=None):
                self._ask(effects)
            case Prospective() | Candidate() as role:
                vote.ask_on_link(quorum, effects, role, peer)
            case Leader() as leader:
                progress = leader.followers.get(peer)
                if progress is not None and effects.now - progress.last_fetch >= quorum.config.fetch_timeout / 2:
                    quorum_epoch.begin_one(quorum, effects, leader, peer)
            case Resigned() as resigned:
                quorum_epoch.end_one(quorum, effects, resigned, peer)
            case _:
                pass

    def _become_disowned(self, effects: Effects) -> None:
        """A voter remembers another disk under our id: ours was lost, with the votes and records it had given."""
        quorum = self.quorum
        quorum.is_disowned = True
        transitions.step_aside(quorum, effects)

    def _lose_link(self, effects: Effects, source: Source) -> None:
        """What was asked over the link gets no answer. With the leader's link, perhaps the leader is gone."""
        quorum = self.quorum
        role = quorum.role
        if not isinstance(source, int):
            if isinstance(role, Leader):
                role.parked.pop(source, None)
            return
        quorum.unreachable.add(source)
        match role:
            case Follower() | Unattached():
                if role.asked is not None and role.asked.to == source:
                    role.asked = None
                    role.ask_at = Instant(effects.now + quorum.config.retry_backoff)
                if isinstance(role, Follower) and role.leader_id == source:
                    role.hears_leader = False
                    if quorum.is_voter:
                        quorum.hurry = max(quorum.hurry, 1)
                        role.deadline = min(role.deadline, quorum.hasty_deadline(effects.now))
                    if role.read_asked is not None:
                        role.read_asked = None
                        role.read_ask_at = Instant(effects.now + quorum.config.retry_backoff)
            case _:
                pass  # asked again by timer, or when the link is back

    @property
    def deadline(self) -> Instant:
        """When to step with TimerFired, if nothing else changes it; NEVER (infinity) if nothing is due."""
        match self.quorum.role:
            case Leader() as leader:
                first = leader.begin_at if leader.followers else NEVER
                if self.quorum.voters.majority > 1:
                    first = min(first, leader.check_quorum_deadline)
                return min(first, leader.release_at, leader.high_watermark_due, transfer.next_deadline(leader))
            case Follower() as follower:
                return min(follower.deadline, follower.ask_at, follower.read_ask_at)
            case role:
                return min(role.deadline, role.ask_at)

    # Questions

    def counts(self, replica: ReplicaKey) -> bool:
        """Whether this disk is heard as a voter; what the answer to its hello says."""
        return self.quorum.counts(replica)

    @property
    def me(self) -> ReplicaKey:
        """Which replica this is."""
        return self.quorum.me

    @property
    def is_leader(self) -> bool:
        """Whether records may be proposed."""
        return isinstance(self.quorum.role, Leader)

    @property
    def epoch_start_offset(self) -> Offset | None:
        """Offset of our LeaderChange while we lead. The controller acts once its state is past it."""
        role = self.quorum.role
        return role.epoch_start_offset if isinstance(role, Leader) else None

    @property
    def epoch(self) -> Epoch:
        """The epoch we are in."""
        return self.quorum.epoch

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads it, if known."""
        return self.quorum.leader_id

    @property
    def role_name(self) -> str:
        """One of unattached, prospective, candidate, leader, follower, resigned."""
        return self.quorum.role.name

    @property
    def voter_ids(self) -> tuple[NodeId, ...]:
        """The voter set in force, ascending."""
        return self.quorum.voters.ids

    @property
    def can_activate(self) -> bool:
        """Whether we lead and our own LeaderChange is committed: then everything committed before us is known."""
        role = self.quorum.role
        return isinstance(role, Leader) and self.quorum.known_high_watermark(role) is not None

    def epoch_at(self, offset: Offset) -> Epoch | None:
        """The epoch of the record at `offset`; None below the log start, and at or past the log end."""
        return self.quorum.log.epoch_at(offset)

    @property
    def is_voter(self) -> bool:
        """Whether this node may vote and lead; else it is an observer."""
        return self.quorum.is_voter

    @property
    def owes_records(self) -> bool:
        """Whether QuorumRecordsAsked may have something to write now."""
        role = self.quorum.role
        return isinstance(role, Leader) and voter_records.are_due(self.quorum, role)

    def missing_for(self, kraft_version: int) -> tuple[NodeId, ...]:
        """The voters that keep kraft.version from this level, by what this node knows of them."""
        return voter_records.missing(self.quorum, kraft_version)

    @property
    def voters(self) -> VoterSet:
        """The voter set in force, and what its record says of each; only to be read."""
        return self.quorum.voters

    @property
    def high_watermark(self) -> Offset:
        """One past the last record known here to be committed."""
        return self.quorum.high_watermark

    @property
    def log_end_offset(self) -> Offset:
        """One past the last record of the log, durable or not: where the next Proposed must begin."""
        return self.quorum.log.end_offset

    def statistics(self, now: Instant) -> statistics.Statistics:
        """All there is to tell, for people."""
        return statistics.take(self.quorum, now)
