"""Whole nodes without a network, a kernel or a real disk: driver, core, store, controller and image, wired by hand.

Messages lie in one queue and go when a test says so; a node's flush is done at once, or when the test says so.
"""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

import attrs
import trio

from yakt.batch import Endpoint
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.line import grammar
from yakt.metadata import queries
from yakt.metadata.active import ActiveController
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.image import MetadataImage
from yakt.node.driver import Driver
from yakt.node.explain import Explainer
from yakt.node.loader import Loader
from yakt.node.runs import Reads, Writes
from yakt.node.snapshots import load_image
from yakt.node.surroundings import Flush
from yakt.node.visits import Visits
from yakt.raft import events
from yakt.raft.core import KRAFT_VERSIONS, Election, LogState, RaftConfig, RaftCore
from yakt.raft.messages import Message
from yakt.sim.disk import FakeFiles
from yakt.storage.store import LogLimits, Store, open_store
from yakt.wire.batch import seal_control

CLUSTER_ID = "dGVzdC1jbHVzdGVyLWlkLQ"


def parse(line: str) -> Asked:
    """What a client would have asked with this line."""
    request = grammar.parse(line.encode())
    assert request is not None
    assert isinstance(request.ask, Asked), request.ask
    return request.ask


@attrs.define(eq=False)
class Node:
    """One node, and what of the world its driver sees."""

    cluster: "Cluster"
    id: NodeId
    files: FakeFiles
    driver: Driver = attrs.field(init=False)
    store: Store = attrs.field(init=False)
    is_up: bool = True
    holds_flushes: bool = False
    held: list[Flush] = attrs.Factory(list)
    visits: Visits = attrs.Factory(Visits)
    kafka_port: int = attrs.field(init=False)

    @kafka_port.default
    def _kafka_port(self) -> int:
        return 7400 + self.id

    def boot(self) -> None:
        """Start from what is on the disk."""
        members = self.cluster.members
        store = open_store(
            self.files, CLUSTER_ID, self.id, self.cluster.new_uuid, voters=members, limits=self.cluster.limits
        )
        self.store = store
        found = store.recovered
        core = RaftCore(
            me=ReplicaKey(self.id, found.directory_id),
            voters=members,
            config=RaftConfig(kraft_version=self.cluster.kraft_version),
            election=Election(found.epoch, found.leader_id, found.voted),
            log=LogState(found.start_offset, found.end_offset, found.epochs, found.snapshots, found.control),
            directories=found.directories,
            random=self.cluster.random.random,
            seal_control=lambda records: seal_control(records, self.wall_ms()),
            cluster_id=CLUSTER_ID,
            endpoints=self.endpoints,
        )
        settings = self.settings

        def make_active(image: MetadataImage, epoch: Epoch, end: Offset, now: Instant, now_ms: int) -> ActiveController:
            return ActiveController(
                image,
                settings,
                epoch,
                end,
                now,
                now_ms,
                self.cluster.new_uuid,
                self.cluster.random.random,
                core.missing_for,
            )

        image = load_image(store, found.snapshots[-1][0]) if found.snapshots else MetadataImage()
        self.driver = Driver(core, store, Loader(image, store, make_active), self)
        self.is_up = True
        self.driver.start()
        for other in self.cluster.up():
            if other is not self:
                self.cluster.link(self, other)

    @property
    def settings(self) -> ControllerSettings:
        return ControllerSettings(node_id=self.id, cluster_id=CLUSTER_ID)

    @property
    def explainer(self) -> Explainer:
        return Explainer(
            driver=self.driver, store=self.store, settings=self.settings, link_trouble=self.cluster.troubles.get
        )

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where brokers reach it."""
        return (Endpoint("CONTROLLER", "127.0.0.1", self.kafka_port),)

    # Surroundings

    def now(self) -> Instant:
        return Instant(self.cluster.clock())

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(self.cluster.time * 1000)

    def send(self, to: events.Source, message: Message, correlation: int) -> None:
        if isinstance(to, events.Visitor):
            self.visits.deliver(to, message, correlation)
            return
        self.cluster.mail.append((self.id, to, lambda node: node.take(events.Received(self.id, message, correlation))))

    def forward(self, to: NodeId, correlation: int, writes: Writes) -> bool:
        if not self.cluster.nodes[to].is_up or (self.id, to) in self.cluster.cut:
            return False
        lines = [asked.line for asked in writes.asked]

        def arrive(driver: Driver) -> None:
            asked = [grammar.parse_forwarded(line, client="", address="") for line in lines]
            assert all(isinstance(one, Asked) for one in asked)

            def decided(run: Writes) -> None:
                results, ends, epoch = list(run.results), list(run.ends), run.epoch
                self.cluster.mail.append(
                    (to, self.id, lambda back: back.forward_answered(correlation, results, ends, epoch))
                )

            deadline = Instant(self.cluster.clock() + 5)
            driver.submit_writes(Writes(asked, deadline, lambda _: None, decided))  # type: ignore[arg-type]

        self.cluster.mail.append((self.id, to, arrive))
        return True

    def start_flush(self, flush: Flush) -> bool:
        if self.holds_flushes:
            self.held.append(flush)
            return False
        flush.run()
        return True

    def load_image(self, snapshot_id: OffsetAndEpoch) -> MetadataImage:
        return load_image(self.store, snapshot_id)

    def line_address(self, node: NodeId) -> str | None:
        return f"127.0.0.1:{7200 + node}"

    def peer_address(self, node: NodeId) -> str | None:
        return f"127.0.0.1:{7100 + node}"

    # What a client does

    def write(self, *lines: str, timeout: float = 5.0) -> "Asking":
        """Submit lines as one run of writes."""
        asking = Asking()
        self.driver.submit_writes(
            Writes([parse(line) for line in lines], Instant(self.cluster.clock() + timeout), asking.take)
        )
        self.driver.end_turn()
        return asking

    def read(self, *lines: str, timeout: float = 5.0, confirm: bool = True) -> "Asking":
        """Submit lines as one run of queries."""
        asking = Asking()

        def serve(reads: Reads) -> None:
            image = self.driver.loader.image
            reads.finish([queries.answer(image, asked.command) for asked in reads.asked])  # type: ignore[arg-type]

        reads = Reads([parse(line) for line in lines], Instant(self.cluster.clock() + timeout), serve, asking.take)
        self.driver.submit_reads(reads, confirm=confirm)
        self.driver.end_turn()
        return asking


@attrs.define(eq=False)
class Asking:
    """What a client waits for."""

    results: Sequence[Result] | None = None

    def take(self, results: Sequence[Result]) -> None:
        assert self.results is None, "answered twice"
        self.results = list(results)

    @property
    def text(self) -> str:
        """The answer's lines, as a client sees them; "…" while there is none."""
        if self.results is None:
            return "…"
        return "".join(grammar.format_result(result).decode() for result in self.results)

    @property
    def answer(self) -> Answer:
        """The only answer, an OK."""
        assert self.results is not None
        [result] = self.results
        assert isinstance(result, Answer), result
        return result


@attrs.define(eq=False)
class Cluster:
    """Some nodes. Mail between two goes in order; `cut` holds the one-way links that lose it."""

    size: int = 3
    time: float = 100.0
    limits: LogLimits = attrs.Factory(LogLimits)
    kraft_version: int = 0
    trio_clock: bool = False
    """Whether Trio's clock is the nodes', instead of `time`."""
    clock: Callable[[], float] = attrs.field(init=False)
    random: Random = attrs.Factory(lambda: Random(7))
    mail: deque[tuple[NodeId, NodeId, Callable[[Driver], None]]] = attrs.Factory(deque)
    cut: set[tuple[int, int]] = attrs.Factory(set)
    nodes: dict[NodeId, Node] = attrs.Factory(dict)
    troubles: dict[NodeId, str] = attrs.Factory(dict)
    """Why a node cannot be reached, as the others' links would tell."""

    def __attrs_post_init__(self) -> None:
        if self.trio_clock:
            self.clock = trio.current_time
        else:
            self.clock = lambda: self.time
        for number in range(1, self.size + 1):
            self.nodes[NodeId(number)] = Node(self, NodeId(number), FakeFiles())
        for node in self.nodes.values():
            node.is_up = False
        for node in self.nodes.values():
            node.boot()

    @property
    def members(self) -> tuple[NodeId, ...]:
        return tuple(NodeId(number) for number in range(1, self.size + 1))

    def new_uuid(self) -> Uuid:
        return Uuid(bytes([0x11]) + self.random.randbytes(5) + bytes([0x40]) + self.random.randbytes(9))

    def up(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_up]

    def link(self, one: Node, other: Node) -> None:
        """Each has met the other, and can ask it."""
        for here, there in ((one, other), (other, one)):
            here.driver.take(events.PeerMet(there.driver.core.me, there.endpoints, KRAFT_VERSIONS))
        for here, there in ((one, other), (other, one)):
            here.driver.take(events.LinkOpened(there.id, there.driver.core.counts(here.driver.core.me)))
            here.driver.end_turn()

    def deliver(self, only: Callable[[int, int], bool] = lambda _from, _to: True) -> int:
        """Deliver what lies there now; how many."""
        count, waiting = 0, len(self.mail)
        for _ in range(waiting):
            sender, to, message = self.mail.popleft()
            if not only(sender, to):
                self.mail.append((sender, to, message))
                continue
            node = self.nodes[to]
            if node.is_up and (sender, to) not in self.cut:
                message(node.driver)
                node.driver.end_turn()
                count += 1
        return count

    def settle(self) -> None:
        """Deliver until nobody says anything more."""
        for _ in range(1000):
            if not self.deliver():
                return
        raise AssertionError("they never stop talking")

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass: messages go at once, timers ring when due."""
        end = self.time + seconds
        while True:
            self.settle()
            if until():
                return
            due = min(node.driver.deadline for node in self.up())
            if due > end:
                self.time = end
                return
            self.time = max(self.time, due)
            for node in self.up():
                if node.driver.deadline <= self.time:
                    node.driver.on_time()

    def elect(self) -> Node:
        """Wait for an active controller."""
        self.run(10, until=lambda: bool(self.leaders()))
        [leader] = self.leaders()
        self.run(0.05)
        return leader

    def leaders(self) -> list[Node]:
        return [node for node in self.up() if node.driver.loader.active is not None]

    def others(self, leader: Node) -> list[Node]:
        return [node for node in self.up() if node is not leader]

    def kill(self, node: Node) -> None:
        """Gone, with all that was not synced; its links end."""
        node.is_up = False
        node.files.crash(lambda _count: 0)
        self.mail = deque(entry for entry in self.mail if node.id not in entry[:2])
        for other in self.up():
            other.driver.link_lost(node.id)
            other.driver.end_turn()
