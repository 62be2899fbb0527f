"""The driver: owns one replica's core, carries out its effects in order, and answers what was asked.

Theory of operation. An event is one turn's work: adapters hand in what a readiness pass brought (`take`, `submit`),
then call `end_turn` once, which decides what queued (group commit: nothing while a flush is out), flushes, replays up
to the high watermark and answers. Nothing here awaits; there is no Trio, clock, socket or file in it: the simulator
drives the same object. Who flushes, who sends and what time it is are given at birth.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import assert_never

import attrs
from msgspec.structs import replace

from yakt.errors import NotLeaderError, RefusedError
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch
from yakt.metadata.answers import Result
from yakt.metadata.records import RegisterControllerRecord
from yakt.node.loader import Loader
from yakt.node.proposals import Proposals
from yakt.node.runs import Reads, Run, Writes, changed_before_confirmed, no_leader, not_leader_any_more, timed_out
from yakt.node.surroundings import Disk, Flush, Surroundings
from yakt.node.waiting import Waiting
from yakt.raft import effects as do
from yakt.raft import events
from yakt.raft.core import RaftCore
from yakt.raft.messages import FetchResponse, FetchSnapshotResponse, LogRange, Message, SnapshotRange

QUEUE_MAX = 20_000
"""Commands waiting to be decided; more are refused as OVERLOADED."""
RETRY_S = 0.02
"""Before a run is forwarded again to a node that said it does not lead."""
NEVER = Instant(float("inf"))


class Driver:
    """See the module's words."""

    def __init__(self, core: RaftCore, disk: Disk, loader: Loader, around: Surroundings) -> None:
        self.core = core
        self.disk = disk
        self.loader = loader
        self.around = around
        self.high_watermark = loader.end_offset
        self._leader_id: NodeId | None = None
        self._leader_epoch = Epoch(0)
        self.on_leader: Callable[[], None] = lambda: None
        """Told whenever who leads has changed."""
        self.on_turn: Callable[[], None] = lambda: None
        """Told after every turn: `deadline` may have come nearer."""
        self.elections = 0
        """Times the leader changed, as seen here."""
        self.proposals = Proposals(core, disk, self.take, around.now)
        self._controllers: dict[int, RegisterControllerRecord] = {}
        """By node id, as each last said of itself."""
        self._queue: deque[Writes] = deque()
        self._queued = 0
        self._fresh = False
        """Something was queued since the queue was last looked at."""
        self._flushing: Flush | None = None
        self._dirty = False
        self._behind = False
        self._waiting = Waiting()
        self._forwarded: dict[int, tuple[NodeId, Writes]] = {}
        self._retry_at = Instant(0.0)
        self._next_timeout = NEVER
        """No later than the first deadline of a live run; found anew whenever it passes."""
        self._epoch_swept = loader.epoch
        self._serial = 0

    # --- what adapters and shells call --------------------------------------------------------------------------

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads, as far as is known; None too while this node asks whether the last one still does."""
        return None if self.core.role_name == "prospective" else self._leader_id

    def start(self) -> None:
        """Begin: the core's first effects."""
        self._carry_out(self.core.start(self.around.now()))
        # A leader known from quorum-state is no change: nobody tells of it.
        self._leader_id, self._leader_epoch = self.core.leader_id, self.core.epoch
        self.end_turn()

    def take(self, event: events.Event) -> None:
        """Step the core and do what it says, in order. Never awaits; raises only what must end the process."""
        self._carry_out(self.core.step(self.around.now(), event))

    def introduce(self, controller: RegisterControllerRecord) -> None:
        """A node of the quorum, this one too, said what it is: the active controller registers it."""
        self._controllers[controller.controller_id] = controller
        if self.loader.active is not None:
            self.loader.active.register_controllers((controller,), self.around.now(), self.around.wall_ms())

    def submit_writes(self, writes: Writes) -> None:
        """Queue a run of commands; decided at the end of the turn, or forwarded, or kept until there is a leader."""
        if self._flushing is not None and self.loader.active is not None:
            # Nothing is decided until the disk is done, and perhaps not even queued: heartbeats count all the same.
            self.loader.active.note_contacts(writes.asked, self.around.now())
        if self._queued + len(writes.asked) > QUEUE_MAX:
            writes.finish([_overloaded()] * len(writes.asked))
            return
        self._queued += len(writes.asked)
        self._queue.append(writes)
        self._fresh = True
        self._watch_deadline(writes)

    def submit_reads(self, reads: Reads, *, confirm: bool) -> None:
        """Queue a run of queries. `confirm`: linearizable; else only `reads.wait_end` must be applied."""
        if len(self._waiting) > QUEUE_MAX:
            reads.finish([_overloaded()] * len(reads.asked))
            return
        if confirm:
            reads.ticket = self._waiting.next_ticket()
            self._waiting.until_confirmed(reads)
            self._watch_deadline(reads)
        elif reads.wait_end > self.loader.end_offset:
            self._waiting.until(reads.wait_end, reads)
            self._watch_deadline(reads)
        else:
            reads.serve(reads)

    def forward_answered(self, correlation: int, results: Sequence[Result], ends: Sequence[int], epoch: Epoch) -> None:
        """The leader decided what we had forwarded; it stands once our own committed log says so."""
        _, writes = self._forwarded.pop(correlation, (None, None))
        if writes is None or writes.answered:
            return
        if any(isinstance(result, NotLeaderError) for result in results) and not any(ends):
            self._retry_at = Instant(self.around.now() + RETRY_S)
            self._requeue(writes)
            return
        if writes.lost:
            # What this leader could not do, another one may have done.
            results = [
                _maybe(result) if not end and isinstance(result, RefusedError) and result.retry else result
                for result, end in zip(results, ends, strict=True)
            ]
        writes.results, writes.ends, writes.epoch = list(results), list(ends), epoch
        writes.wait_end = max(ends, default=0)
        self._await_commit(writes)

    def link_lost(self, source: events.Source) -> None:
        """Our link to a peer ended: what was forwarded over it and not answered has an unknown outcome."""
        self.take(events.LinkLost(source))
        self._give_up_forwarded(lambda to: to == source)

    def flushed(self, flush: Flush) -> None:
        """A flush begun by `start_flush` is done."""
        assert flush is self._flushing
        self._flushing = None
        self.take(events.Flushed(self.disk.finish_flush(flush)))
        self.end_turn()

    def on_time(self) -> None:
        """`deadline` has passed: whatever is due."""
        now = self.around.now()
        if now >= self.core.deadline:
            self.take(events.TimerFired())
        active = self.loader.active
        if active is not None and self._flushing is None and now >= active.deadline:
            active.on_deadline(now, self.around.wall_ms())
        if now >= self._next_timeout:
            self._time_out(now)
        self.end_turn()

    @property
    def deadline(self) -> Instant:
        """When `on_time` must be called next, events or not."""
        if self._behind:
            return Instant(0.0)
        deadline = min(self.core.deadline, self._next_timeout)
        if self.loader.active is not None and self._flushing is None:
            deadline = min(deadline, self.loader.active.deadline)
        if self._queue and self.loader.active is None and self._retry_at > self.around.now():
            deadline = min(deadline, self._retry_at)
        return deadline

    def end_turn(self) -> None:
        """The turn's work is in: decide, ship, flush, replay, answer."""
        while True:
            self._propose()
            self._flush()
            self._ask_for_reads()
            self._advance()
            if not self._can_go_on():
                break
        self.on_turn()

    def next_serial(self) -> int:
        """A number no other forwarded request of this node has."""
        self._serial += 1
        return self._serial

    def queues(self) -> dict[str, tuple[int, int]]:
        """What waits here: its size, and the bound it is held to."""
        return {
            "commands to decide": (self._queued, QUEUE_MAX),
            "reads to confirm": (self._waiting.reads_to_confirm, QUEUE_MAX),
            "forwarded runs": (len(self._forwarded), QUEUE_MAX),
        }

    # --- effects ------------------------------------------------------------------------------------------------

    def _carry_out(self, effects: Sequence[do.Effect]) -> None:
        installed: OffsetAndEpoch | None = None
        for effect in effects:
            match effect:
                case do.Send(to=to, message=message, correlation=correlation):
                    self.around.send(to, self._fill(message), correlation)
                case do.Append(batches=batches):
                    self.disk.append(batches)
                    self._dirty = True
                case do.Commit(high_watermark=high_watermark):
                    self.high_watermark = high_watermark
                    self.proposals.committed(high_watermark)
                case do.ConfirmReads(ticket=ticket, high_watermark=high_watermark):
                    self._waiting.confirm(ticket, high_watermark)
                case do.SaveElection(epoch=epoch, leader_id=leader_id, voted=voted):
                    self.disk.save_election(epoch, leader_id, voted)
                case do.ChangeLeader(leader_id=leader_id, epoch=epoch):
                    self._change_leader(leader_id, epoch)
                case do.Truncate(end_offset=end_offset):
                    self.disk.truncate(end_offset)
                case do.RememberVoter(voter=voter):
                    self.disk.remember_voter(voter)
                case do.WriteSnapshot(snapshot_id=snapshot_id, position=position, data=data):
                    self.disk.write_snapshot_part(snapshot_id, position, data)
                case do.InstallSnapshot(snapshot_id=snapshot_id):
                    installed = snapshot_id
                    self.disk.install_snapshot(snapshot_id)
                    self.loader.replace_image(self.around.load_image(snapshot_id))
                    self.high_watermark = max(self.high_watermark, self.loader.end_offset)
                case _:
                    assert_never(effect)
        if installed is not None and (control := self.disk.snapshot_control(installed)):
            self.take(events.SnapshotLoaded(installed, control))

    def _fill(self, message: Message) -> Message:
        """The core names ranges; the bytes go in as the message leaves."""
        if type(message) is FetchResponse and isinstance(message.records, LogRange):
            span = message.records
            batches = self.disk.read(span.start_offset, span.end_offset, span.max_bytes)
            return replace(message, records=batches)
        if type(message) is FetchSnapshotResponse and isinstance(message.data, SnapshotRange):
            piece = message.data
            return attrs.evolve(
                message, data=self.disk.read_snapshot(piece.snapshot_id, piece.position, piece.max_bytes)
            )
        return message

    def _change_leader(self, leader_id: NodeId | None, epoch: Epoch) -> None:
        if leader_id is not None and (leader_id, epoch) != (self._leader_id, self._leader_epoch):
            self.elections += 1
        self._leader_id, self._leader_epoch = leader_id, epoch
        self._retry_at = Instant(0.0)
        self._fresh = bool(self._queue)
        if self.loader.active is not None:
            self.loader.deactivate()
            self.proposals.forget()
            self._forget_unsure()
        if leader_id is not None:
            # A leader that hangs keeps its links open; what it was asked it can only answer as a deposed one.
            self._give_up_forwarded(lambda to: to != leader_id)
        self.on_leader()

    def _forget_unsure(self) -> None:
        """What wrote nothing looked at a state that may never be committed: only what the log holds can stand now."""
        for writes in self._waiting.take_unsure():
            writes.ticket = 0
            for i, end in enumerate(writes.ends):
                if not end:
                    request = writes.asked[i].origin.request
                    writes.results[i] = changed_before_confirmed() if request else not_leader_any_more(self.leader_id)
            writes.wait_end = max(writes.ends)
            self._await_commit(writes)

    # --- the parts of a turn ------------------------------------------------------------------------------------

    def _can_go_on(self) -> bool:
        if self._behind or self._flushing is not None:
            return False
        if self._dirty or self._waiting.has_ticket_to_ask:
            return True
        if self._fresh and (self.loader.active is not None or self.leader_id is not None):
            return True
        return self.core.owes_records and self.loader.active is not None

    def _propose(self) -> None:
        self._fresh = False
        active = self.loader.active
        if active is None:
            if self._queue:
                self._forward_queue()
            return
        if self._flushing is not None:
            return  # group commit: what comes in during a sync is the next batch
        now, now_ms = self.around.now(), self.around.wall_ms()
        decided: list[Writes] = []
        while self._queue:
            writes = self._queue.popleft()
            self._queued -= len(writes.asked)
            if writes.answered:
                continue
            writes.open = True
            ends, results = writes.ends, writes.results
            unsure = 0
            for asked in writes.asked:
                decision = active.submit(asked, now, now_ms)
                results.append(decision.result)
                if decision.wrote:
                    ends.append(decision.end_offset)
                    writes.wait_end = decision.end_offset
                else:
                    ends.append(0)
                    unsure = decision.end_offset
            writes.epoch = self.core.epoch
            if unsure or not writes.wait_end:
                writes.wait_end = max(writes.wait_end, unsure)
                writes.ticket = self._waiting.next_ticket()
            decided.append(writes)
        self.proposals.append_turn(active, now_ms)
        for writes in decided:
            self._await_commit(writes)

    def _await_commit(self, writes: Writes) -> None:
        if writes.on_decided is not None and not writes.ticket:
            self._tell_forwarder(writes)
        elif writes.wait_end > self.loader.end_offset:
            self._waiting.until(writes.wait_end, writes)
        elif writes.ticket:
            self._waiting.until_confirmed(writes)
        else:
            self._conclude(writes)

    @staticmethod
    def _tell_forwarder(writes: Writes) -> None:
        if not writes.answered and writes.on_decided is not None:
            writes.answered = True
            writes.on_decided(writes)

    def _flush(self) -> None:
        if self._flushing is not None or not self._dirty:
            return
        flush = self.disk.begin_flush()
        self._dirty = False
        if flush is None:
            return
        if self.around.start_flush(flush):
            self.take(events.Flushed(self.disk.finish_flush(flush)))
        else:
            self._flushing = flush

    def _ask_for_reads(self) -> None:
        if self._waiting.has_ticket_to_ask:
            self.take(events.ReadAsked(self._waiting.take_ticket_to_ask()))

    def _advance(self) -> None:
        """Replay what is committed, become active if that was what we waited for, answer whoever waited."""
        loader = self.loader
        if loader.end_offset < self.high_watermark:
            self._behind = loader.advance(self.high_watermark)
        if loader.active is None and self.core.can_activate and loader.end_offset == self.core.log_end_offset:
            now_ms = self.around.wall_ms()
            active = loader.activate(self.core.epoch, self.core.log_end_offset, self.around.now(), now_ms)
            active.register_controllers(self._controllers.values(), self.around.now(), now_ms)
            self.proposals.append_turn(active, now_ms)
        if loader.epoch != self._epoch_swept:
            self._epoch_swept = loader.epoch
            self._sweep_lost()
        for writes in self._waiting.confirmed():
            self._await_commit(writes)
        for run in self._waiting.applied(loader.end_offset):
            if isinstance(run, Reads):
                run.serve(run)
            else:
                self._await_commit(run)

    def _sweep_lost(self) -> None:
        """A later epoch is applied: what an earlier one wrote past here can never be committed any more."""
        for writes in self._waiting.take_lost(self.loader.end_offset, self.loader.epoch):
            self._conclude(writes)

    def _conclude(self, writes: Writes) -> None:
        """The epoch of the log where the run wrote tells whether it stands."""
        if writes.answered:
            return
        if writes.epoch == self.loader.epoch:
            # It wrote past the start of its epoch, and that is still the last one here: no other can lie between.
            writes.finish(writes.results)
            return
        applied = self.loader.end_offset
        for i, end in enumerate(writes.ends):
            if not end:
                continue
            epoch = self.core.epoch_at(Offset(end - 1)) if end <= applied else self.loader.epoch
            if epoch is None:
                message = "the log before this node's snapshot is gone; the outcome is unknown"
                writes.results[i] = timed_out(maybe=True, message=message)
            elif epoch != writes.epoch:
                writes.results[i] = not_leader_any_more(self.leader_id)
        writes.finish(writes.results)

    # --- forwarding and time ------------------------------------------------------------------------------------

    def _forward_queue(self) -> None:
        """Not the active controller: send what queued to who leads, refuse what must not travel, keep the rest."""
        leader = self.leader_id
        if leader == self.core.me.id or self.around.now() < self._retry_at:
            return
        kept: deque[Writes] = deque()
        while self._queue:
            writes = self._queue.popleft()
            self._queued -= len(writes.asked)
            if writes.answered:
                continue
            if writes.on_decided is not None or not writes.asked[0].options.forward:
                # A forwarded run never travels twice: the node it came from asks the next leader itself.
                address = None if leader is None else self.around.line_address(leader)
                writes.results = [NotLeaderError(leader, address)] * len(writes.asked)
                writes.ends = [0] * len(writes.asked)
                if writes.on_decided is not None:
                    self._tell_forwarder(writes)
                else:
                    writes.finish(writes.results)
                continue
            self._serial += 1
            if leader is not None and self.around.forward(leader, self._serial, writes):
                writes.open = True
                self._forwarded[self._serial] = (leader, writes)
                continue
            kept.append(writes)
            self._queued += len(writes.asked)
        self._queue = kept

    def _give_up_forwarded(self, is_lost: Callable[[NodeId], bool]) -> None:
        for correlation, (to, writes) in list(self._forwarded.items()):
            if is_lost(to):
                del self._forwarded[correlation]
                self._outcome_unknown(writes)

    def _requeue(self, writes: Writes) -> None:
        """Nothing came of it, or asking twice is safe: it waits for the next leader."""
        writes.open = False
        self._queued += len(writes.asked)
        self._queue.append(writes)

    def _outcome_unknown(self, writes: Writes) -> None:
        """The leader went away with our question. With a request id asking again is safe; else nobody can tell."""
        if all(asked.origin.request for asked in writes.asked):
            writes.lost = True
            self._requeue(writes)
        else:
            refusal = timed_out(maybe=True, message="the leader was lost before it answered")
            writes.finish([refusal] * len(writes.asked))

    def _watch_deadline(self, run: Run) -> None:
        if run.deadline < self._next_timeout:
            self._next_timeout = run.deadline

    def _time_out(self, now: Instant) -> None:
        """Answer what is overdue, and find the next deadline among what is left."""
        self._next_timeout = NEVER
        live: list[Run] = [*self._waiting, *self._queue]
        live += [writes for _, writes in self._forwarded.values()]
        for run in live:
            if run.answered:
                continue
            if run.deadline > now:
                self._watch_deadline(run)
                continue
            if type(run) is Writes and (run.open or run.lost):
                refusal = timed_out(maybe=True, message="not committed in time")
            elif self.leader_id is None:
                refusal = no_leader()
            else:
                refusal = timed_out(maybe=False, message="not confirmed in time; nothing was applied")
            run.finish([refusal] * len(run.asked))
        self._forwarded = {n: entry for n, entry in self._forwarded.items() if not entry[1].answered}
        self._waiting.clear_answered()


def _maybe(refusal: RefusedError) -> RefusedError:
    return timed_out(maybe=True, message=f"a leader was lost before it answered, and the next said {refusal.code}")


def _overloaded() -> RefusedError:
    return RefusedError("OVERLOADED", "too many commands wait at this node", retry=True)
