"""A simulated node: the product's own core, and around it what the node's driver does, on a simulated disk and clock.

A turn here is one event. The node can die anywhere: between two events, between two effects of one step, and at the
places where it hurts most. What it knew dies with it, but for its Store.
"""

from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

import attrs

from yakt.batch import LeaderChange, RecordBatch
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.raft import invariants
from yakt.raft.core import RaftCore
from yakt.raft.effects import (
    Append,
    ChangeLeader,
    Commit,
    ConfirmReads,
    Effect,
    InstallSnapshot,
    RememberVoter,
    SaveElection,
    Send,
    Truncate,
    WriteSnapshot,
)
from yakt.raft.events import (
    Event,
    Flushed,
    LinkLost,
    LinkOpened,
    LogTrimmed,
    PeerMet,
    Proposed,
    ReadAsked,
    Received,
    ShutdownAsked,
    SnapshotTaken,
    Source,
    TimerFired,
    TransferAsked,
    Visitor,
)
from yakt.raft.log import LogState
from yakt.raft.messages import (
    FetchRequest,
    FetchResponse,
    FetchSnapshotResponse,
    LogRange,
    Message,
    SnapshotRange,
    VoteRequest,
)
from yakt.raft.quorum import Election as FoundElection
from yakt.raft.quorum import RaftConfig
from yakt.sim import machine
from yakt.sim.checker import Checker
from yakt.sim.history import History
from yakt.sim.machine import Machine, Request
from yakt.sim.network import Network
from yakt.sim.parameters import Parameters
from yakt.sim.store import Election, Snapshot, Store
from yakt.sim.world import World

CLUSTER_ID = "c2ltdWxhdGVkLWNsdXN0ZQ"
NEVER = float("inf")
INBOX_MAX = 2000
BATCH_MAX = 100
"""Requests in one batch."""

Reply: TypeAlias = Callable[["Answer"], None]


@attrs.frozen
class Answer:
    """What a client hears: its write lies at `offset` or its read saw all below `end_offset`; else whom to ask."""

    done: bool
    offset: Offset = Offset(-1)
    leader_id: NodeId | None = None


@attrs.frozen
class Write:
    """A request that waits; `begun` is the largest offset acknowledged when its client first made it."""

    request: Request
    begun: Offset
    reply: Reply


@attrs.frozen
class Read:
    """A read that waits for its ticket to be confirmed."""

    ticket: int
    begun: Offset
    reply: Reply


@attrs.define
class Dangers:
    """When this node is to die next: each counts down, so that a step needs no chance of its own."""

    handling: int = -1
    between: int = -1


class Node:
    """One voter, alive or dead. `store` outlives its lives; everything else is begun anew by `start`."""

    def __init__(
        self,
        node_id: NodeId,
        world: World,
        parameters: Parameters,
        voters: tuple[NodeId, ...],
        died: Callable[["Node"], None],
    ) -> None:
        """`died(node)` is called when the node has crashed, wherever that was."""
        self.id = node_id
        self.world = world
        self.parameters = parameters
        self.voters = voters
        self.died = died
        self.key = ReplicaKey(node_id, Uuid(UUID(int=0x4000_8000 << 64 | node_id).bytes))
        self.store = Store()
        self.life = 0
        self.core: RaftCore | None = None
        self.dangers = Dangers()
        self.dies_leading = 0.0
        """How likely it dies on becoming leader."""
        self.checker: Checker
        self.history: History
        self.network: Network
        self.rate = 1.0
        self.clock_start = 0.0
        self.paused = False
        self.stopping = False
        """An ordered stop has begun: its core will not stand for election in this life."""
        self.slow_disk = False
        self.steps = 0
        self._do: dict[type[Effect], Callable[[Effect], None]] = {
            Send: self._send,  # type: ignore[dict-item]
            Append: self._append,  # type: ignore[dict-item]
            Commit: self._commit,  # type: ignore[dict-item]
            ConfirmReads: self._confirm_reads,  # type: ignore[dict-item]
            SaveElection: self._save_election,  # type: ignore[dict-item]
            Truncate: self._truncate,  # type: ignore[dict-item]
            ChangeLeader: self._change_leader,  # type: ignore[dict-item]
            RememberVoter: self._remember_voter,  # type: ignore[dict-item]
            WriteSnapshot: self._write_snapshot,  # type: ignore[dict-item]
            InstallSnapshot: self._install_snapshot,  # type: ignore[dict-item]
        }

    # What others see

    @property
    def is_up(self) -> bool:
        return self.core is not None

    @property
    def can_talk(self) -> bool:
        return self.core is not None and not self.paused

    @property
    def role(self) -> str:
        assert self.core is not None
        return self.core.role_name

    @property
    def epoch(self) -> Epoch:
        assert self.core is not None
        return self.core.epoch

    @property
    def leader_id(self) -> NodeId | None:
        assert self.core is not None
        return self.core.leader_id

    # Life and death

    def start(self) -> None:
        """Come up with what the disk holds."""
        assert self.core is None
        self.life += 1
        self.paused = self.stopping = False
        self.votes_asked: dict[tuple[Source, int], VoteRequest] = {}
        self._inbox: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._queue: list[Write] = []
        self._pending: list[tuple[Offset, Epoch, Write]] = []
        self._open: dict[int, int] = {}
        """As leader: the last request of each client that is appended and not applied."""
        self._leading_from = Offset(-1)
        """As leader: the offset of our LeaderChange; we decide once that is applied."""
        self._reads: list[Read] = []
        self._confirmed: list[tuple[int, Offset]] = []
        self._ticket = 0
        self._timer = NEVER
        self._installed: OffsetAndEpoch | None = None
        store = self.store
        newest = max(store.snapshots, default=None, key=lambda each: each.offset)
        self.machine = Machine(store.snapshots[newest].data if newest is not None else None)
        self._snapshot_end = self.high_watermark = self.machine.applied
        self.checker.log_started(self)
        election = store.election
        self.core = RaftCore(
            me=self.key,
            voters=self.voters,
            config=RaftConfig(
                election_timeout=self.parameters.election_timeout,
                fetch_timeout=self.parameters.fetch_timeout,
                snapshot_chunk_bytes=self.parameters.chunk,
            ),
            election=FoundElection(election.epoch, election.leader_id, election.voted),
            log=LogState(
                store.start_offset,
                store.end_offset,
                tuple(OffsetAndEpoch(*start) for start in store.epoch_starts),
                tuple((snapshot_id, len(snapshot.data)) for snapshot_id, snapshot in sorted(store.snapshots.items())),
            ),
            directories=dict(store.directories),
            random=self.world.random.random,
            seal_control=machine.seal_control,
            cluster_id=CLUSTER_ID,
        )
        effects = self.core.start(self.now())
        self.checker.started(self)
        self._turn(effects)
        if self.core is not None:
            self.network.came(self.id)

    def crash(self, why: str) -> None:
        """Die on the spot."""
        if self.core is None:
            return
        self.core = None
        lost = self.store.crash(self.world.random, lose_unsynced=self.parameters.lose_unsynced)
        if self.world.tell:
            self.world.tell(
                self.world.now, str(self.id), f"crashes {why}; {lost} batches were not flushed and are lost"
            )
        self.died(self)

    def pause(self) -> None:
        """Stop as by SIGSTOP: the clock goes on, and what comes in waits."""
        self.paused = self.core is not None

    def resume(self) -> None:
        """Go on, first with what came in meanwhile."""
        if not self.paused:
            return
        self.paused = False
        waiting, self._inbox = self._inbox, []
        life = self.life
        for action, arguments in waiting:
            if self.core is not None and self.life == life:
                action(*arguments)
        if self.core is not None and self.life == life:
            self._timer = NEVER
            self._set_timer()

    def now(self) -> Instant:
        """What this node's own monotonic clock shows."""
        return Instant(self.clock_start + self.rate * self.world.now)

    # What reaches it

    def _awake(self, action: Callable[..., None], *arguments: object) -> bool:
        """Whether to go on now; if paused, `action` is put off."""
        if self.paused and len(self._inbox) < INBOX_MAX:
            self._inbox.append((action, arguments))
        return self.core is not None and not self.paused

    def hear(self, source: NodeId, message: Message, correlation: int) -> None:
        """A message has arrived from a peer."""
        if not self._awake(self.hear, source, message, correlation):
            return
        if type(message) is VoteRequest:
            if len(self.votes_asked) > 100:
                self.votes_asked.clear()
            self.votes_asked[source, correlation] = message
        self.take(Received(source, message, correlation))
        if self.dangers.handling >= 0 and (type(message) is VoteRequest or type(message) is FetchRequest):
            self.dangers.handling -= 1
            if self.dangers.handling < 0:
                self.crash("having handled a message")

    def visit(self, visitor: Visitor, message: Message, correlation: int) -> None:
        """A visitor's message has arrived."""
        if self._awake(self.visit, visitor, message, correlation):
            self.take(Received(visitor, message, correlation))

    def meet(self, peer: ReplicaKey) -> bool:
        self.take(PeerMet(peer))
        return self.core is not None and self.core.counts(peer)

    def link_opened(self, peer: NodeId, counts_us: bool) -> None:
        if self._awake(self.link_opened, peer, counts_us):
            self.take(LinkOpened(peer, counts_us))

    def link_lost(self, peer: Source) -> None:
        if self._awake(self.link_lost, peer):
            self.take(LinkLost(peer))

    def shut_down(self) -> None:
        """Begin an ordered stop."""
        if self._awake(self.shut_down):
            self.stopping = True
            self.take(ShutdownAsked())

    def transfer(self, to: NodeId | None) -> None:
        """Ask it to hand over the leadership."""
        if self._awake(self.transfer, to):
            self.take(TransferAsked(to))

    def submit(self, write: Write) -> None:
        """A client's write."""
        if self.core is None:
            return
        if not self._awake(self.submit, write):
            return
        if self.core.role_name != "leader":
            write.reply(Answer(False, leader_id=self.core.leader_id))
            return
        self._queue.append(write)
        self._settle()

    def ask(self, begun: Offset, reply: Reply) -> None:
        """A client's linearizable read."""
        if self._awake(self.ask, begun, reply):
            self._ticket += 1
            self._reads.append(Read(self._ticket, begun, reply))
            self.take(ReadAsked(self._ticket))

    # A turn

    def take(self, event: Event) -> None:
        """One event, its effects in order, and the end of the turn."""
        if self.core is None:
            return
        if self.world.tell:
            self.world.tell(self.world.now, str(self.id), f"<- {event}")
        self._turn(self.core.step(self.now(), event))

    def _turn(self, effects: list[Effect]) -> None:
        self._carry_out(effects)
        if self.core is not None:
            self._settle()

    def _carry_out(self, effects: list[Effect]) -> None:
        core = self.core
        assert core is not None
        self.steps += 1
        dangers = self.dangers
        cut = -1
        if dangers.between >= 0 and len(effects) > 1:
            dangers.between -= 1
            if dangers.between < 0:
                cut = int(self.world.random.random() * len(effects))
        for index, effect in enumerate(effects):
            if index == cut:
                self.crash("between two effects")
            if self.core is not core:
                return
            if self.world.tell:
                self.world.tell(self.world.now, str(self.id), f"   {effect}")
            self._do[type(effect)](effect)
        if self.core is core:
            self.checker.stepped(self)
            invariants.check(core.quorum)

    def _settle(self) -> None:
        """The end of a turn: propose, flush, apply what is committed, answer, and wait for what comes."""
        while True:
            self._propose()
            core = self.core
            if core is None or not self._begin_flush():
                break
            self._carry_out(core.step(self.now(), Flushed(self.store.finish_flush())))
            if self.core is None:
                return
        if self.core is None:
            return
        if self.machine.applied < self.high_watermark:
            self._apply()
        if self._confirmed:
            self._answer_reads()
        self._set_timer()

    def _propose(self) -> None:
        core = self.core
        if not self._queue or core is None or self.machine.applied <= self._leading_from:
            return
        if core.role_name != "leader":
            return
        if self.parameters.group_commit and self.store.flushing is not None:
            return
        taken, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
        base = self.store.end_offset
        fresh: list[Request] = []
        for write in taken:
            client, number = write.request
            known = self.machine.last.get(client)
            if known is not None and number <= known[0]:
                if number == known[0]:
                    self._acknowledge(write, Offset(known[1]))
            elif number <= self._open.get(client, -1):
                # Appended and not committed yet: answered with the first of its kind.
                for offset, epoch, waiting in self._pending:
                    if waiting.request == write.request:
                        self._pending.append((offset, epoch, write))
                        break
            else:
                self._open[client] = number
                self._pending.append((Offset(base + len(fresh)), core.epoch, write))
                fresh.append(write.request)
        if fresh:
            crc, body = machine.seal(fresh)
            if self.world.tell:
                self.world.tell(self.world.now, str(self.id), f"proposes {fresh} at {base}")
            event = Proposed(base, len(fresh), crc, body)
            # Ship before sync: the answers to parked fetches come before the Append, yet name what it appends.
            self._offered = RecordBatch(base, core.epoch, len(fresh), crc, body)
            self._carry_out(core.step(self.now(), event))
            self._offered = None

    _offered: RecordBatch | None = None

    def _begin_flush(self) -> bool:
        """Begin the turn's flush; whether it is done already."""
        if not self.store.begin_flush():
            return False
        parameters, random = self.parameters, self.world.random
        duration = parameters.flush * (0.5 + random.random())
        if self.slow_disk or (parameters.slow_flush and random.random() < parameters.slow_flush):
            duration = random.random() * parameters.slow_flush_max
        if duration == 0.0:
            return True
        self.world.after(duration, self._flushed, self.life)
        return False

    def _flushed(self, life: int) -> None:
        if life == self.life and self._awake(self._flushed, life):
            self.take(Flushed(self.store.finish_flush()))

    def _set_timer(self) -> None:
        core = self.core
        assert core is not None
        due = core.deadline
        when = (due - self.clock_start) / self.rate
        if when < self._timer:
            self._timer = when
            if when != NEVER:
                self.world.at(when, self._timer_due, self.life, when)

    def _timer_due(self, life: int, when: float) -> None:
        if life != self.life or when != self._timer or self.core is None or self.paused:
            return
        self._timer = NEVER
        # The clock may show a hair less than what it was asked to wait for: rounding, not time.
        if self.core.deadline <= self.now() + 1e-9:
            now = Instant(max(self.now(), self.core.deadline))
            if self.world.tell:
                self.world.tell(self.world.now, str(self.id), "<- TimerFired()")
            self._turn(self.core.step(now, TimerFired()))
        else:
            self._set_timer()

    # Effects

    def _send(self, effect: Send) -> None:
        message = effect.message
        self.checker.sent(self, effect.to, message, effect.correlation)
        if type(message) is FetchResponse:
            records = message.records
            if type(records) is LogRange:
                message = attrs.evolve(message, records=self._read(records))
        elif type(message) is FetchSnapshotResponse:
            data = message.data
            if type(data) is SnapshotRange:
                snapshot = self.store.snapshots[data.snapshot_id].data
                message = attrs.evolve(message, data=snapshot[data.position : data.position + data.max_bytes])
        if isinstance(effect.to, Visitor):
            self.answer_visitor(effect.to, message, effect.correlation)
        else:
            self.network.send(self.id, effect.to, message, effect.correlation)

    def answer_visitor(self, visitor: Visitor, message: Message, correlation: int) -> None:
        """Replaced where there are visitors."""
        raise NotImplementedError

    def _read(self, wanted: LogRange) -> list[RecordBatch]:
        batches_max = self.parameters.fetch_batches
        batches = self.store.read(wanted.start_offset, wanted.end_offset, batches_max)
        offered = self._offered
        if offered is not None and len(batches) < batches_max and offered.end_offset <= wanted.end_offset:
            batches.append(offered)
        return batches

    def _append(self, effect: Append) -> None:
        self.store.append(effect.batches)
        self._offered = None
        self.checker.appended(self, effect.batches)
        first = effect.batches[0]
        if first.control and isinstance(first.control[0], LeaderChange) and first.control[0].leader_id == self.id:
            self._leading_from = first.base_offset

    def _truncate(self, effect: Truncate) -> None:
        self.checker.truncating(self, effect.end_offset)
        self.store.truncate(effect.end_offset)

    def _save_election(self, effect: SaveElection) -> None:
        self.checker.election_saved(self, effect.epoch)
        self.store.election = Election(effect.epoch, effect.leader_id, effect.voted)

    def _remember_voter(self, effect: RememberVoter) -> None:
        self.store.directories[effect.voter.id] = effect.voter.directory_id

    def _commit(self, effect: Commit) -> None:
        self.checker.committing(self, effect.high_watermark)
        self.high_watermark = effect.high_watermark

    def _confirm_reads(self, effect: ConfirmReads) -> None:
        self._confirmed.append((effect.ticket, effect.high_watermark))

    def _change_leader(self, effect: ChangeLeader) -> None:
        if effect.leader_id == self.id:
            self.checker.led(self)
            self._open.clear()
            if self.dies_leading and self.world.random.random() < self.dies_leading:
                self.crash("having become leader")
        else:
            self._leading_from = Offset(-1)
            queue, self._queue = self._queue, []
            for write in queue:
                write.reply(Answer(False, leader_id=effect.leader_id))

    def _write_snapshot(self, effect: WriteSnapshot) -> None:
        self.store.write_part(effect.snapshot_id, effect.position, effect.data)

    def _install_snapshot(self, effect: InstallSnapshot) -> None:
        snapshot_id = effect.snapshot_id
        held = self.checker.committed.get(snapshot_id.offset)
        snapshot = self.store.install(snapshot_id, held[1] if held is not None else 0)
        loaded = Machine(snapshot.data)
        self.checker.snapshot_installed(self, snapshot_id, loaded.digest)
        self.machine = loaded
        self.high_watermark = max(self.high_watermark, snapshot_id.offset)
        self._snapshot_end = snapshot_id.offset
        self.checker.log_started(self)
        # Whoever waits for an offset that was skipped cannot be answered any more.
        self._pending = [entry for entry in self._pending if entry[0] >= snapshot_id.offset]

    # What is committed

    def _apply(self) -> None:
        applied = self.machine
        for batch in self.store.between(applied.applied, self.high_watermark):
            applied.apply(batch)
            self.checker.applied(self, applied.applied, applied.digest)
        if self._pending:
            self._answer_writes()
        every = self.parameters.snapshot_every
        if every is not None and applied.applied - self._snapshot_end >= every:
            self._take_snapshot()

    def _answer_writes(self) -> None:
        applied = self.machine.applied
        waiting: list[tuple[Offset, Epoch, Write]] = []
        for entry in self._pending:
            offset, epoch, write = entry
            if offset >= applied:
                waiting.append(entry)
            elif self.store.epoch_of(offset) == epoch:
                self._acknowledge(write, offset)
            else:
                write.reply(Answer(False))
        self._pending = waiting

    def _acknowledge(self, write: Write, offset: Offset) -> None:
        if self.world.tell:
            self.world.tell(self.world.now, str(self.id), f"acknowledges {write.request} at {offset}")
        self.history.written(write.request, offset, write.begun)
        write.reply(Answer(True, offset))

    def _answer_reads(self) -> None:
        applied = self.machine.applied
        ready = 0
        while self._confirmed and self._confirmed[0][1] <= applied:
            ready = self._confirmed.pop(0)[0]
        if ready:
            answered = [read for read in self._reads if read.ticket <= ready]
            self._reads = self._reads[len(answered) :]
            for read in answered:
                if self.world.tell:
                    self.world.tell(self.world.now, str(self.id), f"answers read {read.ticket} from below {applied}")
                self.history.answered(self.id, applied, read.begun)
                read.reply(Answer(True, applied))

    def _take_snapshot(self) -> None:
        core = self.core
        assert core is not None
        store = self.store
        end = self.machine.applied
        snapshot_id = OffsetAndEpoch(store.epoch_at(end), end)
        prefix = store.prefix_at(end)
        assert prefix is not None
        data = self.machine.snapshot()
        store.snapshots[snapshot_id] = Snapshot(data, prefix)
        self._snapshot_end = end
        self.checker.snapshot_taken(self, snapshot_id)
        self._carry_out(core.step(self.now(), SnapshotTaken(snapshot_id, len(data))))
        if self.core is not core:
            return
        oldest = store.trim(self.parameters.snapshot_keep)
        if oldest is not None:
            self.checker.log_started(self)
            self._carry_out(core.step(self.now(), LogTrimmed(oldest)))
