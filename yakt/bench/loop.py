"""Three nodes in one process, without kernel and disk: what the Python of a commit costs, leader and follower apart.

The real grammar, controller, seal, core, peer frames and replay; messages go from hand to hand, and a flush is done at
once. Machines differ from hour to hour: of many cycles the fast decile is shown, and the budget is a gate for that
(hot-path.md §6).
"""

import gc
import json
import random
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import cast

import attrs

from yakt.batch import ControlRecord, RecordBatch
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.line import grammar
from yakt.metadata.active import ActiveController
from yakt.metadata.answers import Result
from yakt.metadata.asked import Asked
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.image import MetadataImage
from yakt.node.driver import Driver
from yakt.node.loader import Loader
from yakt.node.runs import Writes
from yakt.node.surroundings import Flush
from yakt.peer import codec
from yakt.raft import events
from yakt.raft.core import Election, LogState, RaftConfig, RaftCore
from yakt.raft.messages import Message
from yakt.wire.batch import seal_control

CLUSTER_ID = "YmVuY2gtbG9vcC1jbHVzdGVy"[:22]
PROTOCOL = codec.PROTOCOL_MAX
SHAPES = ((1, 1), (16, 1), (128, 1), (8, 16), (10, 100))
SECONDS = 2.0
KEPT_BATCHES = 256
NODES = 3
FOUND_TROUBLE = 5
COLLECTOR = (50_000, 20, 100)
"""As a node sets it after its start."""
BUDGET_US = {
    "128x1 leader": 7.0,
    "128x1 follower": 2.4,
    "10x100 leader": 5.5,
    "10x100 follower": 2.4,
    "1x1 in all": 48.0,
}
"""Of hot-path.md §6: a command at the leader, at a follower; a lone commit over all nodes."""


class _Done:
    """A flush of memory."""

    def run(self) -> None:
        """Nothing to wait for."""


class MemoryDisk:
    """The last batches of a log, and no durability at all."""

    def __init__(self) -> None:
        self._batches: list[RecordBatch] = []
        self._ends: list[int] = []
        self._offered: RecordBatch | None = None
        self._dirty = False

    @property
    def end_offset(self) -> Offset:
        """One past the last record."""
        return Offset(self._ends[-1] if self._ends else 0)

    def offer(self, batch: RecordBatch) -> None:
        self._offered = batch

    def append(self, batches: Sequence[RecordBatch]) -> None:
        for batch in batches:
            self._batches.append(batch)
            self._ends.append(batch.end_offset)
        if len(self._batches) > 2 * KEPT_BATCHES:
            del self._batches[:KEPT_BATCHES], self._ends[:KEPT_BATCHES]
        self._offered = None
        self._dirty = True

    def begin_flush(self) -> Flush | None:
        was_dirty, self._dirty = self._dirty, False
        return _Done() if was_dirty else None

    def finish_flush(self, flush: Flush) -> Offset:
        return self.end_offset

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> Sequence[RecordBatch]:
        first = bisect_right(self._ends, start_offset)
        found = self._batches[first : bisect_right(self._ends, end_offset)]
        offered = self._offered
        if offered is not None and offered.end_offset <= end_offset:
            found.append(offered)
        return found

    def truncate(self, end_offset: Offset) -> None:
        raise AssertionError("nothing diverges here")

    def save_election(self, epoch: Epoch, leader_id: NodeId | None, voted: ReplicaKey | None) -> None:
        pass

    def remember_voter(self, voter: ReplicaKey) -> None:
        pass

    def write_snapshot_part(self, snapshot_id: OffsetAndEpoch, position: int, data: bytes) -> None:
        raise AssertionError("no snapshots here")

    def install_snapshot(self, snapshot_id: OffsetAndEpoch) -> None:
        raise AssertionError("no snapshots here")

    def read_snapshot(self, snapshot_id: OffsetAndEpoch, position: int, max_bytes: int) -> bytes:
        raise AssertionError("no snapshots here")

    def snapshot_control(self, snapshot_id: OffsetAndEpoch) -> tuple[ControlRecord, ...]:
        return ()


class Node:
    """One node, and what its driver sees of the world. `spent` is the time its code has taken, in seconds."""

    def __init__(self, loop: "Loop", number: int) -> None:
        self.id = NodeId(number)
        self.loop = loop
        self.spent = 0.0
        self.mail: list[bytes] = []
        """Frames for this node, each with its sender's number before it."""
        self._apis: dict[tuple[NodeId, int], codec.Api] = {}
        core = RaftCore(
            me=ReplicaKey(self.id, Uuid(bytes([number]) * 16)),
            voters=tuple(NodeId(each) for each in range(1, NODES + 1)),
            config=RaftConfig(),
            election=Election(),
            log=LogState(),
            directories={},
            random=loop.random.random,
            seal_control=lambda records: seal_control(records, self.wall_ms()),
            cluster_id=CLUSTER_ID,
        )
        disk = MemoryDisk()
        self.driver = Driver(core, disk, Loader(MetadataImage(), disk, self._make_active), self)

    def _make_active(
        self, image: MetadataImage, epoch: Epoch, end: Offset, now: Instant, now_ms: int
    ) -> ActiveController:
        def new_uuid() -> Uuid:
            return Uuid(b"\x11" + self.loop.random.randbytes(15))

        settings = ControllerSettings(node_id=self.id, cluster_id=CLUSTER_ID)
        return ActiveController(image, settings, epoch, end, now, now_ms, new_uuid, self.loop.random.random)

    def timed(self, action: Callable[[], None]) -> None:
        """Run this node's code, on its account."""
        began = time.perf_counter()
        action()
        self.spent += time.perf_counter() - began

    def hear(self) -> None:
        """Take in the frames that lie there, as one turn."""
        mail, self.mail = self.mail, []
        driver = self.driver
        for frame in mail:
            sender = NodeId(frame[0])
            heard = codec.decode(frame[5:], PROTOCOL)
            message = heard.message
            if codec.is_request(message):
                self._apis[sender, heard.correlation] = heard.api
            driver.take(events.Received(sender, cast(Message, message), heard.correlation))
        driver.end_turn()

    # Surroundings

    def now(self) -> Instant:
        return Instant(self.loop.now)

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def send(self, to: events.Source, message: Message, correlation: int) -> None:
        assert not isinstance(to, events.Visitor)
        if codec.is_request(message):
            api = codec.api_of(message)
        else:
            api = self._apis.pop((to, correlation))
        frame = b"".join([bytes([self.id]), *codec.encode(api, message, correlation, PROTOCOL)])
        self.loop.nodes[to].mail.append(frame)

    def forward(self, to: NodeId, correlation: int, writes: Writes) -> bool:
        return False

    def start_flush(self, flush: Flush) -> bool:
        return True

    def load_image(self, snapshot_id: OffsetAndEpoch) -> MetadataImage:
        raise AssertionError("no snapshots here")

    def line_address(self, node: NodeId) -> str | None:
        return None

    def peer_address(self, node: NodeId) -> str | None:
        return None


@attrs.frozen(kw_only=True)
class Cost:
    """µs of Python a command: the fast decile of all cycles."""

    shape: str
    cycles: int
    leader_us: float
    follower_us: float

    @property
    def all_us(self) -> float:
        """Over all nodes."""
        return self.leader_us + (NODES - 1) * self.follower_us


class Loop:
    """Three nodes that have elected one of them."""

    def __init__(self) -> None:
        self.random = random.Random(1)
        self.now = 100.0
        self.nodes = {NodeId(number): Node(self, number) for number in range(1, NODES + 1)}
        self._serial = 0
        for node in self.nodes.values():
            node.driver.start()
        for node in self.nodes.values():
            for other in self.nodes.values():
                if other is not node:
                    node.driver.take(events.PeerMet(other.driver.core.me))
        for node in self.nodes.values():
            for other in self.nodes.values():
                if other is not node:
                    node.driver.take(events.LinkOpened(other.id, True))
                    node.driver.end_turn()
        while not any(node.driver.loader.active for node in self.nodes.values()):
            self._pass_on()
            self.now += 0.001
            self._ring()
        self._pass_on()
        [self.leader] = [node for node in self.nodes.values() if node.driver.loader.active]
        self.followers = [node for node in self.nodes.values() if node is not self.leader]

    def _ring(self) -> None:
        for node in self.nodes.values():
            if node.driver.deadline <= self.now:
                node.driver.on_time()

    def _pass_on(self) -> None:
        while True:
            waiting = [node for node in self.nodes.values() if node.mail]
            if not waiting:
                return
            for node in waiting:
                node.timed(node.hear)

    def measure(self, connections: int, depth: int, seconds: float = SECONDS) -> Cost:
        """Commit `connections` x `depth` commands at a time for so long."""
        leader_us: list[float] = []
        follower_us: list[float] = []
        count = connections * depth
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            chunks = [self._lines(depth) for _ in range(connections)]
            answered: list[bytes] = []
            for node in self.nodes.values():
                node.spent = 0.0
            self.leader.timed(lambda chunks=chunks, answered=answered: self._submit(chunks, answered))  # type: ignore[misc]
            patience = self.now + 1.0
            while len(answered) < connections:
                self._pass_on()
                if len(answered) < connections:
                    assert self.now < patience, "nothing is committed any more"
                    self.now += 0.001
                    self._ring()
            assert all(reply.startswith(b"OK") for reply in answered), answered[0]
            leader_us.append(self.leader.spent / count * 1e6)
            follower_us.append(sum(node.spent for node in self.followers) / len(self.followers) / count * 1e6)
        return Cost(
            shape=f"{connections}x{depth}",
            cycles=len(leader_us),
            leader_us=_fast_decile(leader_us),
            follower_us=_fast_decile(follower_us),
        )

    def _lines(self, depth: int) -> bytes:
        first = self._serial
        self._serial += depth
        value = b"x" * 256
        return b"".join([b"CONFIG SET client-metrics/%x metrics=%s\n" % (first + n, value) for n in range(depth)])

    def _submit(self, chunks: list[bytes], answered: list[bytes]) -> None:
        """One turn of the leader's: each chunk is what one connection has sent."""
        driver = self.leader.driver
        deadline = Instant(self.now + 5)

        def answer(results: Sequence[Result]) -> None:
            answered.append(b"".join([grammar.format_result(result) for result in results]))

        for chunk in chunks:
            plain = grammar.is_plain(chunk)
            asked: list[Asked] = []
            for line in chunk.split(b"\n"):
                request = grammar.parse(line, plain=plain) if line else None
                if request is not None:
                    assert isinstance(request.ask, Asked)
                    asked.append(request.ask)
            driver.submit_writes(Writes(asked, deadline, answer))
        driver.end_turn()


def _fast_decile(values: list[float]) -> float:
    return sorted(values)[len(values) // 10]


def run(*, check: bool, as_json: bool) -> int:
    """Measure all shapes; with `check`, 5 if one is over the budget."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR)
    costs = []
    for connections, depth in SHAPES:
        print(f"{connections}x{depth} …", file=sys.stderr, flush=True)
        costs.append(Loop().measure(connections, depth))
    over = _over_budget(costs)
    if as_json:
        rows = [{**attrs.asdict(cost), "all_us": cost.all_us} for cost in costs]
        print(json.dumps({"costs": rows, "over_budget": over}))
    else:
        print(f"{'clients':>9}{'leader µs':>11}{'follower µs':>13}{'all nodes':>11}{'cycles':>9}")
        for cost in costs:
            print(
                f"{cost.shape:>9}{cost.leader_us:>11.2f}{cost.follower_us:>13.2f}{cost.all_us:>11.2f}{cost.cycles:>9}"
            )
        for line in over:
            print(f"over the budget: {line}")
    return FOUND_TROUBLE if check and over else 0


def _over_budget(costs: Sequence[Cost]) -> list[str]:
    found = {}
    for cost in costs:
        found[f"{cost.shape} leader"] = cost.leader_us
        found[f"{cost.shape} follower"] = cost.follower_us
        found[f"{cost.shape} in all"] = cost.all_us
    return [
        f"{what}: {found[what]:.2f} µs a command, {budget:g} allowed"
        for what, budget in BUDGET_US.items()
        if what in found and found[what] > budget
    ]
