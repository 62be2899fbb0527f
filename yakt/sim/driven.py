"""A simulated node of the full mode: the product's own driver, loader, controller and image, on a simulated disk.

What the Trio shell of a real node gives its driver, the world gives here. The driver's effects are carried out one by
one, so that the checker sees each, and the node can die between two of them.
"""

from collections.abc import Callable, Sequence
from io import BytesIO

import attrs

from yakt.batch import ControlRecord, Endpoint, RecordBatch
from yakt.errors import RefusedError
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.metadata import snapshot
from yakt.metadata.active import ActiveController
from yakt.metadata.answers import Answer as Done
from yakt.metadata.answers import Result
from yakt.metadata.asked import Asked, Origin
from yakt.metadata.codec import decode_batch
from yakt.metadata.commands import SetConfigs
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.entities import Entity
from yakt.metadata.image import MetadataImage
from yakt.metadata.questions import ShowStatus
from yakt.metadata.records import ControllerEndpoint, RegisterControllerRecord
from yakt.metadata.tags import origin_of
from yakt.node.driver import Driver
from yakt.node.loader import Loader
from yakt.node.runs import Reads, Writes
from yakt.node.surroundings import Flush
from yakt.raft import effects as do
from yakt.raft import invariants
from yakt.raft.core import RaftCore
from yakt.raft.events import Event, LinkLost, LogTrimmed, SnapshotTaken, Source, Visitor
from yakt.raft.messages import Message
from yakt.sim.host import CLUSTER_ID, Answer, Host, Reply, Write
from yakt.sim.machine import Request
from yakt.sim.network import Network
from yakt.sim.store import Election, Snapshot
from yakt.wire.batch import read_batches, seal_control
from yakt.wire.snapshot import SnapshotEncoder

EPOCH_MS = 1_700_000_000_000
"""Wall time at the start of a run."""
NOTHING = Asked(command=ShowStatus())
"""What a read asks for here: only where it is answered from matters."""


class KilledError(Exception):
    """The node dies here, in the midst of a step."""


@attrs.frozen
class Forward:
    """Commands on their way to the leader."""

    asked: tuple[Asked, ...]


@attrs.frozen
class Forwarded:
    """What the leader decided about them."""

    results: tuple[Result, ...]
    ends: tuple[int, ...]
    epoch: Epoch


def requests_of(batch: RecordBatch) -> Sequence[Request | None]:
    """For each record of the batch, the client's request that wrote it, if one did."""
    if batch.control:
        return (None,) * batch.count
    found: list[Request | None] = []
    for record in decode_batch(batch.body):
        origin = origin_of(record)
        known = origin is not None and origin.client.startswith("c")
        found.append((int(origin.client[1:]), int(origin.request)) if origin is not None and known else None)
    return found


class WatchedDriver(Driver):
    """The driver, each of whose effects the checker sees."""

    host: "DrivenNode"

    def _carry_out(self, effects: Sequence[do.Effect]) -> None:
        host = self.host
        host.steps += 1
        host.before_first_effect()
        cut = host.dies_between(len(effects))
        for index, effect in enumerate(effects):
            if index == cut:
                raise KilledError("between two effects")
            if host.world.tell:
                host.say(f"   {effect}")
            host.about_to(effect)
            super()._carry_out((effect,))
            host.did(effect)
        host.checker.stepped(host)
        host.checker.bounded(host.id, {**host.core_queues(), **self.queues()})
        invariants.check(self.core.quorum)


@attrs.define(eq=False)
class _Flush:
    """A sync under way: the world says when it is done."""

    def run(self) -> None:
        raise AssertionError("time does this here")


class SimulatedDisk:
    """The driver's disk, on a Store. Everything but Append is durable on return."""

    def __init__(self, host: "DrivenNode") -> None:
        self._host = host
        self._store = host.store
        self._offered: RecordBatch | None = None

    def offer(self, batch: RecordBatch) -> None:
        self._offered = batch

    def append(self, batches: Sequence[RecordBatch]) -> None:
        self._store.append(batches)
        self._offered = None

    def begin_flush(self) -> Flush | None:
        return _Flush() if self._store.begin_flush() else None

    def finish_flush(self, flush: Flush) -> Offset:
        return self._store.finish_flush()

    def truncate(self, end_offset: Offset) -> None:
        self._store.truncate(end_offset)

    def save_election(self, epoch: Epoch, leader_id: NodeId | None, voted: ReplicaKey | None) -> None:
        self._store.election = Election(epoch, leader_id, voted)

    def remember_voter(self, voter: ReplicaKey) -> None:
        self._store.directories[voter.id] = voter.directory_id

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> Sequence[RecordBatch]:
        batches_max = self._host.parameters.fetch_batches
        batches = self._store.read(start_offset, end_offset, batches_max)
        offered = self._offered
        if offered is not None and len(batches) < batches_max and offered.end_offset <= end_offset:
            batches.append(offered)
        return batches

    def write_snapshot_part(self, snapshot_id: OffsetAndEpoch, position: int, data: bytes) -> None:
        self._store.write_part(snapshot_id, position, data)

    def install_snapshot(self, snapshot_id: OffsetAndEpoch) -> None:
        held = self._host.checker.committed.get(snapshot_id.offset)
        header = next(read_batches(BytesIO(bytes(self._store.parts[snapshot_id])).read))[1]
        self._store.install(snapshot_id, held[1] if held is not None else 0, header.control[1:])

    def read_snapshot(self, snapshot_id: OffsetAndEpoch, position: int, max_bytes: int) -> bytes:
        return self._store.snapshots[snapshot_id].data[position : position + max_bytes]

    def snapshot_control(self, snapshot_id: OffsetAndEpoch) -> tuple[ControlRecord, ...]:
        return self._store.snapshots[snapshot_id].control


class DrivenNode(Host):
    """A voter that runs the product's driver; also what of the world that driver sees (`Surroundings`)."""

    driver: WatchedDriver
    network: Network

    @property
    def applied(self) -> Offset:
        return self.driver.loader.end_offset

    # Life

    def boot(self) -> None:
        store = self.store
        newest = max(store.snapshots, default=None, key=lambda each: each.offset)
        image = self.load_image(newest) if newest is not None else MetadataImage()
        self.high_watermark = self._snapshot_end = Offset(image.end_offset)
        self._floor = Instant(0.0)
        self._started = False
        self.checker.log_started(self)
        self.core = self.make_core(RaftCore, lambda records: seal_control(records, self.wall_ms()))
        disk = SimulatedDisk(self)
        loader = Loader(image, disk, self._make_active)
        self.driver = WatchedDriver(self.core, disk, loader, self)
        self.driver.host = self
        loader.on_applied = self._applied
        self._guarded(self.driver.start)
        if self.core is not None:
            self._guarded(self._introduce, self.key, self.endpoints)

    def _make_active(
        self, image: MetadataImage, epoch: Epoch, end: Offset, now: Instant, now_ms: int
    ) -> ActiveController:
        settings = ControllerSettings(node_id=self.id, cluster_id=CLUSTER_ID)
        random = self.world.random

        def new_uuid() -> Uuid:
            return Uuid(b"\x11" + random.randbytes(5) + b"\x40" + random.randbytes(9))

        assert self.core is not None
        missing = self.core.missing_for
        return ActiveController(image, settings, epoch, end, now, now_ms, new_uuid, random.random, missing)

    def meet(self, peer: ReplicaKey, endpoints: tuple[Endpoint, ...]) -> bool:
        counts = super().meet(peer, endpoints)
        if self.core is not None:
            self._guarded(self._introduce, peer, endpoints)
        return counts

    def _introduce(self, replica: ReplicaKey, endpoints: tuple[Endpoint, ...]) -> None:
        """What a node says of itself, as its hello would; another address stands for another start."""
        points = tuple(ControllerEndpoint(point.name, point.host, point.port, 0) for point in endpoints)
        record = RegisterControllerRecord(replica.id, replica.directory_id, False, points, ())
        self.driver.introduce(record)
        self.driver.end_turn()

    def _guarded(self, action: Callable[..., None], *arguments: object) -> None:
        """Run a part of a turn; the node may die in it, and afterwards waits for what comes."""
        life = self.life
        try:
            action(*arguments)
            self._take_snapshot_if_due()
        except KilledError as why:
            self.crash(str(why))
        if self.is_up and self.life == life:
            self.set_timer()

    def take(self, event: Event) -> None:
        if self.core is None:
            return
        self.say(f"<- {event}")
        self._guarded(self._take, event)

    def _take(self, event: Event) -> None:
        if isinstance(event, LinkLost):
            self.driver.link_lost(event.source)
        else:
            self.driver.take(event)
        self.driver.end_turn()

    def deadline(self) -> Instant:
        return self.driver.deadline

    def ring(self, now: Instant) -> None:
        self._floor = now
        self.say("<- its deadline")
        self._guarded(self.driver.on_time)

    def now(self) -> Instant:
        return max(super().now(), self._floor) if self.core is not None else super().now()

    # What clients ask, and what nodes forward

    def hear(self, source: NodeId, message: Message | Forward | Forwarded, correlation: int) -> None:
        if not isinstance(message, Forward | Forwarded):
            super().hear(source, message, correlation)
        elif self.awake(self.hear, source, message, correlation):
            self.say(f"<- {message} from {source}")
            take: Callable[..., None] = self._forwarded if isinstance(message, Forward) else self._answered
            self._guarded(take, source, message, correlation)

    def _forwarded(self, source: NodeId, message: Forward, correlation: int) -> None:
        life = self.life
        link = self.network.links[source, self.id]
        generation = link.generation

        def decided(writes: Writes) -> None:
            # As in a real node the answer belongs to the connection that asked: another life of the asker counts anew.
            if self.core is not None and self.life == life and link.generation == generation:
                answer = Forwarded(tuple(writes.results), tuple(writes.ends), writes.epoch)
                self.network.send(self.id, source, answer, correlation, asks=False)  # type: ignore[arg-type]

        self.driver.submit_writes(Writes(message.asked, self._patience(), lambda _: None, decided))
        self.driver.end_turn()

    def _answered(self, _source: NodeId, message: Forwarded, correlation: int) -> None:
        self.driver.forward_answered(correlation, message.results, message.ends, message.epoch)
        self.driver.end_turn()

    def _patience(self) -> Instant:
        return Instant(self.now() + self.parameters.patience)

    def submit(self, write: Write) -> None:
        if self.core is None or not self.awake(self.submit, write):
            return
        client, number = write.request
        asked = Asked(
            command=SetConfigs(Entity("client-metrics", f"c{client}"), (("metrics", str(number)),)),
            origin=Origin(client=f"c{client}", request=str(number)),
        )

        def take(results: Sequence[Result]) -> None:
            [result] = results
            if isinstance(result, Done):
                offset = Offset(result.pairs["offset"])  # type: ignore[arg-type]
                self.say(f"acknowledges {write.request} at {offset}")
                self.history.written(write.request, offset, write.begun)
                write.reply(Answer(True, offset))
            else:
                assert isinstance(result, RefusedError)
                assert result.code in ("NOT_LEADER", "NO_LEADER", "TIMEOUT", "OVERLOADED"), result
                write.reply(Answer(False, leader_id=self.driver.leader_id))

        self._guarded(self._submit, Writes((asked,), self._patience(), take))

    def _submit(self, writes: Writes) -> None:
        self.driver.submit_writes(writes)
        self.driver.end_turn()

    def ask(self, begun: Offset, reply: Reply) -> None:
        if not self.awake(self.ask, begun, reply):
            return

        def serve(reads: Reads) -> None:
            end = self.driver.loader.end_offset
            self.say(f"answers a read from below {end}")
            self.history.answered(self.id, end, begun)
            reads.finish((Done({}),))

        def take(results: Sequence[Result]) -> None:
            done = isinstance(results[0], Done)
            reply(Answer(done, self.driver.loader.end_offset, None if done else self.driver.leader_id))

        self._guarded(self._read, Reads((NOTHING,), self._patience(), serve, take))

    def _read(self, reads: Reads) -> None:
        self.driver.submit_reads(reads, confirm=True)
        self.driver.end_turn()

    # Surroundings

    def wall_ms(self) -> int:
        return EPOCH_MS + int(self.world.now * 1000)

    def send(self, to: Source, message: Message, correlation: int) -> None:
        assert not isinstance(to, Visitor)
        self.network.send(self.id, to, message, correlation)

    def forward(self, to: NodeId, correlation: int, writes: Writes) -> bool:
        if not self.network.links[self.id, to].is_open:
            return False
        message = Forward(tuple(writes.asked))
        self.network.send(self.id, to, message, correlation, asks=True)  # type: ignore[arg-type]
        return True

    def start_flush(self, flush: Flush) -> bool:
        duration = self.flush_duration()
        if duration == 0.0:
            return True
        self.world.after(duration, self._flushed, self.life, flush)
        return False

    def _flushed(self, life: int, flush: Flush) -> None:
        if life == self.life and self.awake(self._flushed, life, flush):
            self._guarded(self.driver.flushed, flush)

    def load_image(self, snapshot_id: OffsetAndEpoch) -> MetadataImage:
        batches = [batch for _, batch in read_batches(BytesIO(self.store.snapshots[snapshot_id].data).read)]
        records = [decode_batch(batch.body) for batch in batches if not batch.control]
        return snapshot.load(records, snapshot_id.offset, snapshot_id.epoch, control=batches[0].control)

    def line_address(self, node: NodeId) -> str | None:
        return None

    def peer_address(self, node: NodeId) -> str | None:
        return None

    # What the checker is told

    def before_first_effect(self) -> None:
        if not self._started:
            self._started = True
            self.checker.started(self)

    def about_to(self, effect: do.Effect) -> None:
        """Before an effect is carried out."""
        checker = self.checker
        match effect:
            case do.Send(to=to, message=message, correlation=correlation):
                checker.sent(self, to, message, correlation)
            case do.Truncate(end_offset=end_offset):
                checker.truncating(self, end_offset)
            case do.SaveElection(epoch=epoch):
                checker.election_saved(self, epoch)
            case do.Commit(high_watermark=high_watermark):
                checker.committing(self, high_watermark)
            case do.InstallSnapshot(snapshot_id=snapshot_id):
                # What a snapshot holds is committed, and is the state as soon as it is loaded.
                self.high_watermark = max(self.high_watermark, snapshot_id.offset)
            case _:
                pass

    def did(self, effect: do.Effect) -> None:
        """After it."""
        checker = self.checker
        match effect:
            case do.Append(batches=batches):
                checker.appended(self, batches)
            case do.Commit(high_watermark=high_watermark):
                self.high_watermark = high_watermark
            case do.InstallSnapshot(snapshot_id=snapshot_id):
                checker.snapshot_installed(self, snapshot_id, self.driver.loader.image.hash)
                self._snapshot_end = snapshot_id.offset
                checker.log_started(self)
            case do.ChangeLeader(leader_id=leader_id) if leader_id == self.id:
                checker.led(self)
                if self.dies_leading and self.world.random.random() < self.dies_leading:
                    raise KilledError("having become leader")
            case _:
                pass

    def _applied(self) -> None:
        self.checker.applied(self, self.driver.loader.end_offset, self.driver.loader.image.hash)

    # Its snapshots

    def _take_snapshot_if_due(self) -> None:
        every, loader, store = self.parameters.snapshot_every, self.driver.loader, self.store
        if every is None or loader.end_offset - self._snapshot_end < every:
            return
        snapshot_id = OffsetAndEpoch(loader.epoch, loader.end_offset)
        prefix = store.prefix_at(snapshot_id.offset)
        assert prefix is not None
        with loader.image.pin() as pinned:
            control = pinned.quorum_records
            encoder = SnapshotEncoder(snapshot_id.epoch, pinned.timestamp_ms)
            pieces = [encoder.header(*control), *map(encoder.data, snapshot.values_of(pinned)), encoder.footer()]
        data = b"".join(pieces)
        store.snapshots[snapshot_id] = Snapshot(data, prefix, control)
        self._snapshot_end = snapshot_id.offset
        self.checker.snapshot_taken(self, snapshot_id, control)
        self.driver.take(SnapshotTaken(snapshot_id, len(data)))
        oldest = store.trim(self.parameters.snapshot_keep)
        if oldest is not None:
            self.checker.log_started(self)
            self.driver.take(LogTrimmed(oldest))
        self.driver.end_turn()
