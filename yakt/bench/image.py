"""The image and the controller at scale, in one process without kernel and disk: bytes a partition, and how long what
touches many partitions takes, and how much of that in one piece.

A leader's image and a follower's, the real controller, seal, decode and replay. The longest piece is what every other
client waits for: nothing else runs meanwhile. Times are of the CPU: a busy machine makes them little worse.
"""

import argparse
import gc
import io
import json
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from yakt.batch import RecordBatch
from yakt.bench.loop import COLLECTOR
from yakt.errors import ConfigError
from yakt.ids import Epoch, Instant, Offset, Uuid
from yakt.metadata import commands as c
from yakt.metadata import queries, questions, snapshot
from yakt.metadata.active import ActiveController
from yakt.metadata.answers import Answer
from yakt.metadata.asked import Asked
from yakt.metadata.codec import decode_batch
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.image import MetadataImage
from yakt.metadata.rows import BrokerRow
from yakt.node.loader import Loader
from yakt.wire.batch import read_batches, seal
from yakt.wire.snapshot import SnapshotEncoder

CLUSTER_ID = "YmVuY2gtaW1hZ2UtY2x1c3Rlcg"[:22]
START_MS = 1_700_000_000_000
FOREVER_MS = 7 * 24 * 3600 * 1000
SESSION_MS = 9000
BUSY = 0
"""The broker that leads many."""
EPOCH = 1
FOUND_TROUBLE = 5
SMALL = 5
"""Partitions of a small topic."""
BYTES_MAX = 500.0
FENCE_S_MAX = 1.0
PIECE_MS_MAX = 100.0
"""What `--check` holds it to."""


@attrs.frozen(kw_only=True)
class Scale:
    """How much of everything: `led` partitions have the same first replica."""

    topics: int = 2000
    partitions: int = 50
    brokers: int = 200
    replication: int = 3
    led: int = 10_000
    racks: int = 3

    @property
    def all_partitions(self) -> int:
        """In the cluster."""
        return self.topics * self.partitions


@attrs.define
class Took:
    """Seconds of work, and the longest piece of it between two looks at other clients."""

    seconds: float = 0.0
    longest_s: float = 0.0
    pieces: int = 0

    def add(self, seconds: float) -> None:
        """One more piece."""
        self.seconds += seconds
        self.longest_s = max(self.longest_s, seconds)
        self.pieces += 1

    def add_all(self, other: "Took") -> None:
        """The pieces of another."""
        self.seconds += other.seconds
        self.longest_s = max(self.longest_s, other.longest_s)
        self.pieces += other.pieces


class Log:
    """What is sealed: the batches, for the leader's replay and the follower's."""

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []
        self.end_offset = 0

    def append(self, values: list[bytes], now_ms: int) -> None:
        """Seal a turn's records."""
        crc, body = seal(values, now_ms)
        self.batches.append(RecordBatch(Offset(self.end_offset), Epoch(EPOCH), len(values), crc, body))
        self.end_offset += len(values)

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> list[RecordBatch]:
        """Those not replayed; all are at the end."""
        found: list[RecordBatch] = []
        for batch in reversed(self.batches):
            if batch.base_offset < start_offset:
                break
            found.append(batch)
        return found[::-1][:1]


class Image:
    """A leader and a follower of one log, and time that passes only when it is told to."""

    def __init__(self, scale: Scale) -> None:
        self.scale = scale
        self.random = random.Random(1)
        self.now = 100.0
        self.log = Log()
        self.leader = Loader(MetadataImage(), self.log, self._make_active)
        self.follower = Loader(MetadataImage(), self.log, self._make_active)
        self.active = self.leader.activate(Epoch(EPOCH), Offset(0), Instant(self.now), self.now_ms)
        self.commit()

    @property
    def now_ms(self) -> int:
        """Wall time, as far from the start as `now`."""
        return START_MS + int(self.now * 1000)

    def _make_active(
        self, image: MetadataImage, epoch: Epoch, end: Offset, now: Instant, now_ms: int
    ) -> ActiveController:
        settings = ControllerSettings(
            node_id=3000, cluster_id=CLUSTER_ID, broker_session_timeout_ms=SESSION_MS, default_replication=3
        )
        return ActiveController(
            image, settings, epoch, end, now, now_ms, lambda: Uuid(b"\x11" + self.random.randbytes(15)),
            self.random.random,
        )  # fmt: skip

    def decide(self, command: c.Command) -> None:
        """Decide; raises what it was refused with."""
        result = self.active.submit(Asked(command), Instant(self.now), self.now_ms).result
        if not isinstance(result, Answer):
            raise result

    def seal(self) -> None:
        """What was decided goes into the log."""
        for values in self.active.take_batches():
            assert isinstance(values, list)  # voters are nobody's business here
            self.log.append(values, self.now_ms)

    def commit(self) -> tuple[Took, Took]:
        """Replay what is decided; how long the leader took, and the follower, in the loader's own pieces."""
        self.seal()
        return self._replay(self.leader), self._replay(self.follower)

    def _replay(self, loader: Loader) -> Took:
        took = Took()
        is_behind = True
        while is_behind:
            began = time.process_time()
            is_behind = loader.advance(Offset(self.log.end_offset))
            took.add(time.process_time() - began)
        return took

    # --- filling it

    def register(self, *, busy_session_ms: int = FOREVER_MS) -> None:
        """All brokers, alive."""
        for number in range(self.scale.brokers):
            session_ms = busy_session_ms if number == BUSY else FOREVER_MS
            rack = f"rack{number % self.scale.racks}"
            self.decide(c.RegisterBroker(number, f"broker{number}", 9092, rack=rack, session_ms=session_ms, alive=True))
        self.commit()

    def fill(self) -> Took:
        """All topics, one command each, committed one by one."""
        scale, took = self.scale, Took()
        for number in range(scale.topics):
            is_led = number * scale.partitions < scale.led
            command = (
                c.CreateTopic(f"topic-{number:05}", assignment=tuple(self._led(number)))
                if is_led
                else c.CreateTopic(f"topic-{number:05}", scale.partitions, scale.replication)
            )
            began = time.process_time()
            self.decide(command)
            self.seal()
            leader = self._replay(self.leader)
            took.add(time.process_time() - began)
            assert leader.pieces
            self._replay(self.follower)
            self.log.batches.clear()
        return took

    def _led(self, topic: int) -> Iterator[tuple[int, ...]]:
        """Partitions that the busy broker leads, the others spread."""
        scale = self.scale
        for number in range(scale.partitions):
            start = topic * scale.partitions + number
            others = (1 + (start * 7 + step) % (scale.brokers - 1) for step in range(scale.replication - 1))
            yield (BUSY, *others)

    # --- what is measured

    def work_off(self, is_done: Callable[[], bool]) -> dict[str, Any]:
        """What the controller does of itself, as a node's turns do it, time passing from one to the next."""
        decide, leader, follower = Took(), Took(), Took()
        start, turns = self.log.end_offset, 0
        while not is_done():
            self.now = max(self.now, float(self.active.deadline))
            before = self.log.end_offset
            began = time.process_time()
            self.active.on_deadline(Instant(self.now), self.now_ms)
            self.seal()
            took_s = time.process_time() - began
            if self.log.end_offset == before:
                continue  # it only looked
            decide.add(took_s)
            leader.add_all(self._replay(self.leader))
            follower.add_all(self._replay(self.follower))
            self.log.batches.clear()
            turns += 1
        return {
            "records": self.log.end_offset - start,
            "turns": turns,
            "leader_s": decide.seconds + leader.seconds,
            "decide_s": decide.seconds,
            "replay_s": leader.seconds,
            "follower_s": follower.seconds,
            "longest_ms": 1000 * max(decide.longest_s, leader.longest_s, follower.longest_s),
        }

    def fence(self) -> dict[str, Any]:
        """The busy broker falls silent until its session ends."""
        return self.work_off(lambda: bool(self._busy().fenced))

    def _busy(self) -> BrokerRow:
        row = self.leader.image.brokers.get(BUSY)
        assert row is not None
        return row

    def balance(self) -> dict[str, Any]:
        """The busy broker comes back and into every ISR; then the next round gives it its leaderships."""
        back = c.RegisterBroker(BUSY, "broker0", 9092, rack="rack0", session_ms=FOREVER_MS, alive=True)
        self.decide(back)
        self.commit()
        image = self.leader.image
        lacking = [row for row in image.partitions.of_broker(BUSY) if BUSY not in row.isr]
        by_leader: dict[int, list[c.IsrChange]] = {}
        for row in lacking:
            isr = tuple((member, -1) for member in (*row.isr, BUSY))
            change = c.IsrChange(row.topic_id, row.partition, row.leader_epoch, row.partition_epoch, isr)
            by_leader.setdefault(row.leader, []).append(change)
        for leader_id, changes in by_leader.items():
            broker = image.brokers.get(leader_id)
            assert broker is not None
            self.decide(c.AlterPartitions(leader_id, broker.epoch, tuple(changes)))
        self.commit()
        led = self.leader.image.partition_table.counts.led
        return self.work_off(lambda: led[BUSY] >= self.scale.led)

    def snapshot(self) -> tuple[dict[str, Any], bytes]:
        """One as a node writes it, in slices."""
        image, took = self.leader.image, Took()
        encoder = SnapshotEncoder(Epoch(EPOCH), image.timestamp_ms)
        pieces = [encoder.header()]
        groups = snapshot.values_of(image)
        while True:
            began = time.process_time()
            group = next(groups, None)
            if group is None:
                break
            pieces.append(encoder.data(group))
            took.add(time.process_time() - began)
        pieces.append(encoder.footer())
        data = b"".join(pieces)
        return {"seconds": took.seconds, "longest_ms": took.longest_s * 1000, "bytes": len(data)}, data

    def queries(self) -> dict[str, float]:
        """Milliseconds to answer each, while the busy broker's partitions are under-replicated."""
        asked: dict[str, questions.Query] = {
            "first page of partitions": questions.ListPartitions(),
            "leaderless": questions.ListPartitions(leaderless=True),
            "under-replicated, first page": questions.ListPartitions(under_replicated=True),
            "of one broker, first page": questions.ListPartitions(broker=self.scale.brokers - 1),
            "topics, first page": questions.ListTopics(),
            "one topic": questions.ShowTopic("topic-00001"),
        }
        found = {}
        for name, query in asked.items():
            began = time.process_time()
            queries.answer(self.leader.image, query)
            found[name] = (time.process_time() - began) * 1000
        return found


def load(data: bytes) -> MetadataImage:
    """The image of a snapshot's bytes."""
    source = io.BytesIO(data)
    loader = snapshot.SnapshotLoader(1, EPOCH, START_MS)
    for _, batch in read_batches(source.read):
        if not batch.control:
            loader.add(decode_batch(batch.body))
    return loader.finish()


def bytes_of(data: bytes, partitions: int) -> int:
    """What the image of that snapshot takes: rows and indexes, counted by the allocator itself."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    image = load(data)
    gc.collect()
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(image.partitions) == partitions
    return used


def measure(scale: Scale, note: Callable[[str], None]) -> dict[str, Any]:
    """All of it, one after the other; times are CPU seconds of this process, `longest_ms` one piece of work."""
    report: dict[str, Any] = {"scale": attrs.asdict(scale)}
    one = Image(scale)
    note(f"{scale.topics} topics of {scale.partitions} partitions on {scale.brokers} brokers …")
    one.register(busy_session_ms=SESSION_MS)
    report["create"] = _creation(one.fill(), scale)
    gc.collect()
    gc.freeze()
    note(f"a broker that leads {scale.led} partitions falls silent …")
    report["fence"] = one.fence()
    report["queries_ms"] = one.queries()
    note("it comes back, and leads again …")
    report["balance"] = one.balance()
    note("snapshot …")
    report["snapshot"], data = one.snapshot()
    del one
    gc.unfreeze()
    gc.collect()
    began = time.process_time()
    load(data)
    report["load"] = {"seconds": time.process_time() - began}
    note("memory …")
    used = bytes_of(data, scale.all_partitions)
    report["memory"] = {"bytes": used, "bytes_a_partition": used / scale.all_partitions}
    small = attrs.evolve(scale, partitions=SMALL, led=0)
    note(f"{small.topics} topics of {SMALL} partitions, one by one …")
    other = Image(small)
    other.register()
    report["small_topics"] = _creation(other.fill(), small)
    report["small_topics"]["bytes"] = bytes_of(other.snapshot()[1], small.all_partitions)
    return report


def _creation(took: Took, scale: Scale) -> dict[str, Any]:
    return {
        "topics": scale.topics,
        "partitions": scale.partitions,
        "seconds": took.seconds,
        "topics_a_second": scale.topics / took.seconds,
        "longest_ms": took.longest_s * 1000,
    }


def over_budget(report: dict[str, Any]) -> list[str]:
    """What is more than it may be, a line each."""
    found = {
        "bytes a partition": (report["memory"]["bytes_a_partition"], BYTES_MAX),
        "s to fence, at the leader": (report["fence"]["leader_s"], FENCE_S_MAX),
        "ms in one piece while fencing": (report["fence"]["longest_ms"], PIECE_MS_MAX),
    }
    return [f"{value:.0f} {what}, {allowed:g} allowed" for what, (value, allowed) in found.items() if value > allowed]


def run(arguments: argparse.Namespace) -> int:
    """Tell; with `check`, 5 if something is over the budget. Raises ConfigError for a scale that is none."""
    scale = Scale(
        topics=arguments.topics, partitions=arguments.partitions, brokers=arguments.brokers, led=arguments.led
    )
    problems = []
    if min(scale.topics, scale.partitions) < 1:
        problems.append("--topics and --partitions are 1 at least")
    if scale.brokers <= scale.replication:
        problems.append(
            f"--brokers {scale.brokers}: {scale.replication + 1} at least, for {scale.replication} replicas each"
        )
    if not 0 < scale.led <= scale.all_partitions:
        problems.append(f"--led {scale.led}: 1 to all {scale.all_partitions} partitions")
    if problems:
        raise ConfigError(problems)
    gc.set_threshold(*COLLECTOR)
    report = measure(scale, lambda text: print(text, file=sys.stderr, flush=True))
    over = report["over_budget"] = over_budget(report)
    if arguments.json:
        print(json.dumps(report))
    else:
        _print(report)
        for line in over:
            print(f"over the budget: {line}")
    return FOUND_TROUBLE if arguments.check and over else 0


def _print(report: dict[str, Any]) -> None:
    memory, snapshot_, fence, balance = report["memory"], report["snapshot"], report["fence"], report["balance"]
    print(f"memory      {memory['bytes_a_partition']:>8.0f} bytes a partition, {memory['bytes'] / 1e6:.0f} MB in all")
    for name, took in (("fence", fence), ("give back", balance)):
        print(
            f"{name:<12}{took['leader_s']:>8.2f} s at the leader, {took['follower_s']:.2f} s at a follower; "
            f"{took['records']} records in {took['turns']} turns, the longest piece {took['longest_ms']:.0f} ms"
        )
    print(
        f"snapshot    {snapshot_['seconds']:>8.2f} s, {snapshot_['bytes'] / 1e6:.1f} MB, "
        f"the longest piece {snapshot_['longest_ms']:.0f} ms; loaded in {report['load']['seconds']:.2f} s"
    )
    for name in ("create", "small_topics"):
        took = report[name]
        size = f"; {took['bytes'] / 1e6:.1f} MB" if "bytes" in took else ""
        print(
            f"create      {took['seconds']:>8.2f} s for {took['topics']} topics of {took['partitions']} partitions "
            f"({took['topics_a_second']:.0f} a second, without disk{size})"
        )
    for name, took_ms in report["queries_ms"].items():
        print(f"ask         {took_ms:>8.2f} ms {name}")
