"""A simulated node of the fast mode: the product's own core, and around it what the node's driver does, kept small.

The driver itself, with controller and image, is what the full mode runs (`yakt.sim.driven`).
"""

from collections.abc import Callable

import attrs
from msgspec.structs import replace

from yakt.batch import LeaderChange, RecordBatch
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch
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
    LogTrimmed,
    Proposed,
    QuorumRecordsAsked,
    ReadAsked,
    SnapshotLoaded,
    SnapshotTaken,
    TimerFired,
    Visitor,
)
from yakt.raft.messages import FetchResponse, FetchSnapshotResponse, LogRange, SnapshotRange
from yakt.sim import machine
from yakt.sim.host import Answer, Host, Reply, Write
from yakt.sim.machine import Machine, Request
from yakt.sim.parameters import Parameters
from yakt.sim.store import Election, Snapshot
from yakt.sim.world import World

BATCH_MAX = 100
"""Requests in one batch."""


@attrs.frozen
class Read:
    """A read that waits for its ticket to be confirmed."""

    ticket: int
    begun: Offset
    reply: Reply


class Node(Host):
    """A voter with a state machine that is small enough to be obviously right."""

    def __init__(
        self,
        node_id: NodeId,
        world: World,
        parameters: Parameters,
        voters: tuple[NodeId, ...],
        died: Callable[[Host], None],
    ) -> None:
        super().__init__(node_id, world, parameters, voters, died)
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

    @property
    def applied(self) -> Offset:
        return self.machine.applied

    def boot(self) -> None:
        self._queue: list[Write] = []
        self._pending: list[tuple[Offset, Epoch, Write]] = []
        self._open: dict[int, int] = {}
        """As leader: the last request of each client that is appended and not applied."""
        self._leading_from = Offset(-1)
        """As leader: the offset of our LeaderChange; we decide once that is applied."""
        self._reads: list[Read] = []
        self._confirmed: list[tuple[int, Offset]] = []
        self._ticket = 0
        self._loaded: SnapshotLoaded | None = None
        store = self.store
        newest = max(store.snapshots, default=None, key=lambda each: each.offset)
        self.machine = Machine(store.snapshots[newest].data if newest is not None else None)
        self._snapshot_end = self.high_watermark = self.machine.applied
        self.checker.log_started(self)
        self.core = self.make_core(RaftCore, machine.seal_control)
        effects = self.core.start(self.now())
        self.checker.started(self)
        self._turn(effects)

    def deadline(self) -> Instant:
        assert self.core is not None
        return self.core.deadline

    def ring(self, now: Instant) -> None:
        assert self.core is not None
        self.say("<- TimerFired()")
        self._turn(self.core.step(now, TimerFired()))

    def submit(self, write: Write) -> None:
        """A client's write."""
        if self.core is None:
            return
        if not self.awake(self.submit, write):
            return
        if self.core.role_name != "leader":
            write.reply(Answer(False, leader_id=self.core.leader_id))
            return
        self._queue.append(write)
        self._settle()

    def ask(self, begun: Offset, reply: Reply) -> None:
        """A client's linearizable read."""
        if self.awake(self.ask, begun, reply):
            self._ticket += 1
            self._reads.append(Read(self._ticket, begun, reply))
            self.take(ReadAsked(self._ticket))

    # A turn

    def take(self, event: Event) -> None:
        """One event, its effects in order, and the end of the turn."""
        if self.core is None:
            return
        if self.world.tell:
            self.say(f"<- {event}")
        self._turn(self.core.step(self.now(), event))

    def _turn(self, effects: list[Effect]) -> None:
        self._carry_out(effects)
        if self.core is not None:
            self._settle()

    def _carry_out(self, effects: list[Effect]) -> None:
        core = self.core
        assert core is not None
        self.steps += 1
        cut = self.dies_between(len(effects))
        for index, effect in enumerate(effects):
            if index == cut:
                self.crash("between two effects")
            if self.core is not core:
                return
            if self.world.tell:
                self.world.tell(self.world.now, str(self.id), f"   {effect}")
            self._do[type(effect)](effect)
        if self.core is not core:
            return
        self.checker.stepped(self)
        self.checker.bounded(self.id, self.core_queues())
        invariants.check(core.quorum)
        if self._loaded is not None:
            loaded, self._loaded = self._loaded, None
            self._carry_out(core.step(self.now(), loaded))

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
        self.set_timer()

    def _propose(self) -> None:
        core = self.core
        if core is None or core.role_name != "leader" or self.machine.applied <= self._leading_from:
            return
        if self.parameters.group_commit and self.store.flushing is not None:
            return
        if core.owes_records:
            self._carry_out(core.step(self.now(), QuorumRecordsAsked()))
            if self.core is not core:
                return
        if not self._queue:
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
        duration = self.flush_duration()
        if duration == 0.0:
            return True
        self.world.after(duration, self._flushed, self.life)
        return False

    def _flushed(self, life: int) -> None:
        if life == self.life and self.awake(self._flushed, life):
            self.take(Flushed(self.store.finish_flush()))

    # Effects

    def _send(self, effect: Send) -> None:
        message = effect.message
        self.checker.sent(self, effect.to, message, effect.correlation)
        if type(message) is FetchResponse:
            records = message.records
            if type(records) is LogRange:
                message = replace(message, records=self._read(records))
        elif type(message) is FetchSnapshotResponse:
            data = message.data
            if type(data) is SnapshotRange:
                snapshot = self.store.snapshots[data.snapshot_id].data
                message = attrs.evolve(message, data=snapshot[data.position : data.position + data.max_bytes])
        assert not isinstance(effect.to, Visitor)
        self.network.send(self.id, effect.to, message, effect.correlation)

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
        control = self.checker.quorum_records[snapshot_id]
        snapshot = self.store.install(snapshot_id, held[1] if held is not None else 0, control)
        loaded = Machine(snapshot.data)
        self.checker.snapshot_installed(self, snapshot_id, loaded.digest)
        if control:
            self._loaded = SnapshotLoaded(snapshot_id, control)
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
            self.say(f"acknowledges {write.request} at {offset}")
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
        control = store.control_below(end)
        store.snapshots[snapshot_id] = Snapshot(data, prefix, control)
        self._snapshot_end = end
        self.checker.snapshot_taken(self, snapshot_id, control)
        self._carry_out(core.step(self.now(), SnapshotTaken(snapshot_id, len(data))))
        if self.core is not core:
            return
        oldest = store.trim(self.parameters.snapshot_keep)
        if oldest is not None:
            self.checker.log_started(self)
            self._carry_out(core.step(self.now(), LogTrimmed(oldest)))
