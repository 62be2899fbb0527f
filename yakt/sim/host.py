"""What every simulated node is, whichever code runs on it: a process that lives, pauses and dies, a clock and a disk.

A turn is one event. The node can die anywhere: between two events, between two effects of one step, and at the places
where it hurts most. What it knew dies with it, but for its Store.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

import attrs

from yakt.batch import Endpoint
from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.raft.core import KRAFT_VERSIONS, RaftCore
from yakt.raft.events import Event, LinkLost, LinkOpened, PeerMet, Received, ShutdownAsked, Source, TransferAsked
from yakt.raft.log import LogState
from yakt.raft.messages import FetchRequest, Message, VoteRequest
from yakt.raft.quorum import Election as FoundElection
from yakt.raft.quorum import RaftConfig, SealControl
from yakt.raft.roles import Leader
from yakt.sim.checker import Checker
from yakt.sim.history import History
from yakt.sim.machine import Request
from yakt.sim.network import Network
from yakt.sim.parameters import Parameters
from yakt.sim.store import Store
from yakt.sim.world import World

CLUSTER_ID = "c2ltdWxhdGVkLWNsdXN0ZQ"
NEVER = float("inf")
INBOX_MAX = 2000

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


@attrs.define
class Dangers:
    """When this node is to die next: each counts down, so that a step needs no chance of its own."""

    handling: int = -1
    between: int = -1


class Host(ABC):
    """One voter, alive or dead. `store` outlives its lives; everything else is begun anew by `start`."""

    def __init__(
        self,
        node_id: NodeId,
        world: World,
        parameters: Parameters,
        voters: tuple[NodeId, ...],
        died: Callable[["Host"], None],
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
        self.high_watermark = Offset(0)

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

    @property
    @abstractmethod
    def applied(self) -> Offset:
        """One past the last record that its state machine has taken in."""

    # What runs on it

    @abstractmethod
    def boot(self) -> None:
        """Begin anew with what the disk holds: make `core`, tell the checker, and carry out its first effects."""

    @abstractmethod
    def take(self, event: Event) -> None:
        """One event, its effects in order, and the end of the turn."""

    @abstractmethod
    def submit(self, write: Write) -> None:
        """A client's write."""

    @abstractmethod
    def ask(self, begun: Offset, reply: Reply) -> None:
        """A client's linearizable read."""

    @abstractmethod
    def deadline(self) -> Instant:
        """When `ring` has something to do, by this node's clock."""

    @abstractmethod
    def ring(self, now: Instant) -> None:
        """The deadline has passed."""

    # Life and death

    def start(self) -> None:
        """Come up with what the disk holds."""
        assert self.core is None
        self.life += 1
        self.paused = self.stopping = False
        self.votes_asked: dict[tuple[Source, int], VoteRequest] = {}
        self._inbox: list[tuple[Callable[..., None], tuple[object, ...]]] = []
        self._timer = NEVER
        self.boot()
        if self.is_up:
            self.network.came(self.id)

    def make_core(self, core_class: type[RaftCore], seal_control: SealControl) -> RaftCore:
        """A core begun from the disk."""
        store, parameters = self.store, self.parameters
        election = store.election
        return core_class(
            me=self.key,
            voters=self.voters,
            config=RaftConfig(
                election_timeout=parameters.election_timeout,
                fetch_timeout=parameters.fetch_timeout,
                snapshot_chunk_bytes=parameters.chunk,
                kraft_version=parameters.kraft_version,
            ),
            election=FoundElection(election.epoch, election.leader_id, election.voted),
            log=LogState(
                store.start_offset,
                store.end_offset,
                tuple(OffsetAndEpoch(*start) for start in store.epoch_starts),
                tuple((snapshot_id, len(snapshot.data)) for snapshot_id, snapshot in sorted(store.snapshots.items())),
                store.control,
            ),
            directories=dict(store.directories),
            random=self.world.random.random,
            seal_control=seal_control,
            cluster_id=CLUSTER_ID,
            endpoints=self.endpoints,
        )

    def crash(self, why: str) -> None:
        """Die on the spot."""
        if self.core is None:
            return
        self.core = None
        lost = self.store.crash(self.world.random, lose_unsynced=self.parameters.lose_unsynced)
        self.say(f"crashes {why}; {lost} batches were not flushed and are lost")
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
            self.set_timer()

    def now(self) -> Instant:
        """What this node's own monotonic clock shows."""
        return Instant(self.clock_start + self.rate * self.world.now)

    def say(self, what: str) -> None:
        """Put it on the time line, if there is one."""
        if self.world.tell:
            self.world.tell(self.world.now, str(self.id), what)

    # What reaches it

    def awake(self, action: Callable[..., None], *arguments: object) -> bool:
        """Whether to go on now; if paused, `action` is put off."""
        if self.paused and len(self._inbox) < INBOX_MAX:
            self._inbox.append((action, arguments))
        return self.core is not None and not self.paused

    def hear(self, source: NodeId, message: Message, correlation: int) -> None:
        """A message has arrived from a peer."""
        if not self.awake(self.hear, source, message, correlation):
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

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where brokers reach it: another port in every third life."""
        return (Endpoint("CONTROLLER", "127.0.0.1", 7400 + self.id + 10 * (self.life // 3)),)

    def meet(self, peer: ReplicaKey, endpoints: tuple[Endpoint, ...]) -> bool:
        self.take(PeerMet(peer, endpoints, KRAFT_VERSIONS))
        return self.core is not None and self.core.counts(peer)

    def link_opened(self, peer: NodeId, counts_us: bool) -> None:
        if self.awake(self.link_opened, peer, counts_us):
            self.take(LinkOpened(peer, counts_us))

    def link_lost(self, peer: NodeId) -> None:
        if self.awake(self.link_lost, peer):
            self.take(LinkLost(peer))

    def shut_down(self) -> None:
        """Begin an ordered stop."""
        if self.awake(self.shut_down):
            self.stopping = True
            self.take(ShutdownAsked())

    def transfer(self, to: NodeId | None) -> None:
        """Ask it to hand over the leadership."""
        if self.awake(self.transfer, to):
            self.take(TransferAsked(to))

    # Its queues, its disk and its clock

    def core_queues(self) -> dict[str, tuple[int, int]]:
        """What waits in its core: size and bound."""
        assert self.core is not None
        quorum = self.core.quorum
        if not isinstance(quorum.role, Leader):
            return {}
        role, config = quorum.role, quorum.config
        return {
            "parked fetches": (len(role.parked), config.visitors_max + len(role.followers)),
            "observers": (len(role.observers), config.observers_max),
            "readers": (len(role.round_readers) + len(role.next_readers), 2 * len(role.followers)),
        }

    def flush_duration(self) -> float:
        """How long the next flush takes; 0: inline."""
        parameters, random = self.parameters, self.world.random
        if self.slow_disk or (parameters.slow_flush and random.random() < parameters.slow_flush):
            return random.random() * parameters.slow_flush_max
        return parameters.flush * (0.5 + random.random())

    def dies_between(self, effects: int) -> int:
        """Before which of a step's effects to die; -1: it does not."""
        dangers = self.dangers
        if dangers.between >= 0 and effects > 1:
            dangers.between -= 1
            if dangers.between < 0:
                return int(self.world.random.random() * effects)
        return -1

    def set_timer(self) -> None:
        """Ring when the deadline has passed by this node's clock."""
        when = (self.deadline() - self.clock_start) / self.rate
        if when < self._timer:
            self._timer = when
            if when != NEVER:
                self.world.at(when, self._timer_due, self.life, when)

    def _timer_due(self, life: int, when: float) -> None:
        if life != self.life or when != self._timer or self.core is None or self.paused:
            return
        self._timer = NEVER
        # The clock may show a hair less than what it was asked to wait for: rounding, not time.
        deadline = self.deadline()
        if deadline <= self.now() + 1e-9:
            self.ring(Instant(max(self.now(), deadline)))
        else:
            self.set_timer()
