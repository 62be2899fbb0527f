"""The network between simulated nodes: links that are dialled, cut and blocked, and messages that may be late or lost.

As in the product each node dials every other; requests go over the dialled link, their answers come back on it. With
`tcp` a link keeps its order and loses only what was under way when it was cut; without, each message is lost,
duplicated, delayed and replayed on its own, which is more than TCP can do to us and finds more.
"""

from typing import Protocol, TypeAlias

from yakt.batch import Endpoint
from yakt.ids import NodeId, ReplicaKey
from yakt.raft.messages import (
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    FetchRequest,
    FetchSnapshotRequest,
    Message,
    ReadIndexRequest,
    VoteRequest,
)
from yakt.sim.parameters import Parameters
from yakt.sim.world import World

Way: TypeAlias = tuple[NodeId, NodeId]
"""One direction: (from, to)."""

REQUESTS = frozenset(
    (FetchRequest, FetchSnapshotRequest, VoteRequest, BeginQuorumEpochRequest, EndQuorumEpochRequest, ReadIndexRequest)
)
RESET = 0.002
"""Until a node hears that the host it talks to has restarted."""
REPLAY_MAX = 60.0
KEEP_ALIVE = (0.5, 2.0)
"""A link that is blocked one way is given up after so long: TCP needs both ways, and the node's keep-alive sees it."""
BACK_OFF = (0.005, 0.2)
HELD_MAX = 1000


class Station(Protocol):
    """What the network asks of a node."""

    @property
    def key(self) -> ReplicaKey: ...

    @property
    def can_talk(self) -> bool:
        """Whether its process runs, and is not paused."""

    @property
    def is_up(self) -> bool: ...

    def hear(self, source: NodeId, message: Message, correlation: int) -> None: ...

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """What its hello says of where brokers reach it."""

    def meet(self, peer: ReplicaKey, endpoints: tuple[Endpoint, ...]) -> bool:
        """Take in a peer's hello; whether it is heard as a voter."""

    def link_opened(self, peer: NodeId, counts_us: bool) -> None: ...

    def link_lost(self, peer: NodeId) -> None: ...


class Link:
    """The connection that `dialler` keeps up to `acceptor`."""

    __slots__ = ("acceptor", "dialler", "generation", "held", "is_dialling", "is_open", "latest", "told_open")

    def __init__(self, dialler: NodeId, acceptor: NodeId) -> None:
        self.dialler = dialler
        self.acceptor = acceptor
        self.generation = 0
        self.is_open = False
        self.is_dialling = False
        self.told_open = False
        """The dialler has heard LinkOpened and no LinkLost since."""
        self.latest: dict[NodeId, float] = {dialler: 0.0, acceptor: 0.0}
        """When the last message of each sender is due: the next comes after it."""
        self.held: list[tuple[NodeId, Message, int]] = []
        """What waits, in order, for its direction to be unblocked (sender, message, correlation)."""


class Network:
    """All links between `stations`. `blocked` holds the directions in which nothing gets through now."""

    def __init__(self, world: World, parameters: Parameters, stations: dict[NodeId, Station]) -> None:
        self.world = world
        self.parameters = parameters
        self.stations = stations
        self.blocked: frozenset[Way] = frozenset()
        self.sent = 0
        self.links = {(a, b): Link(a, b) for a in stations for b in stations if a != b}
        self._chance = world.random.random

    def send(
        self, source: NodeId, target: NodeId, message: Message, correlation: int, *, asks: bool | None = None
    ) -> None:
        """Put a message on its way; requests over our own link, answers over the one the peer dialled.

        `asks` says which it is where its type does not.
        """
        is_request = type(message) in REQUESTS if asks is None else asks
        link = self.links[(source, target) if is_request else (target, source)]
        if not link.is_open:
            return
        self.sent += 1
        world, parameters, chance = self.world, self.parameters, self._chance
        due = world.now + parameters.delay * (0.5 + chance())
        if parameters.spike and chance() < parameters.spike:
            due += chance() * 10 * parameters.election_timeout
        if parameters.tcp:
            due = max(due, link.latest[source])
            link.latest[source] = due
        else:
            if parameters.loss and chance() < parameters.loss:
                return
            if parameters.duplication and chance() < parameters.duplication:
                again = due + chance() * 5 * parameters.delay
                world.at(again, self._arrive, link, link.generation, source, message, correlation)
            if parameters.replay and chance() < parameters.replay:
                again = due + chance() * REPLAY_MAX * parameters.election_timeout
                world.at(again, self._arrive, link, link.generation, source, message, correlation)
        world.at(due, self._arrive, link, link.generation, source, message, correlation)

    def _arrive(self, link: Link, generation: int, source: NodeId, message: Message, correlation: int) -> None:
        target = link.acceptor if source == link.dialler else link.dialler
        # An answer dies with the link it belongs to. A request may have been read by the other side's kernel already,
        # and be taken in later, after the sender has come back with a new link.
        if generation != link.generation and (self.parameters.tcp or target == link.dialler):
            return
        if (source, target) in self.blocked:
            if self.parameters.tcp:
                if len(link.held) >= HELD_MAX:
                    self.cut(link.dialler, link.acceptor)
                else:
                    link.held.append((source, message, correlation))
            return
        station = self.stations[target]
        if station.is_up:
            station.hear(source, message, correlation)

    def block(self, ways: frozenset[Way]) -> None:
        """From now on exactly these directions are blocked."""
        freed = self.blocked - ways
        fresh = ways - self.blocked
        self.blocked = ways
        # Sorted: a set's order may differ from run to run, and chance is drawn here.
        for source, target in sorted(freed):
            for link in (self.links[source, target], self.links[target, source]):
                waiting, link.held = link.held, []
                for held in waiting:
                    if held[0] == source:
                        if self.stations[target].is_up:
                            self.stations[target].hear(*held)
                    else:
                        link.held.append(held)
        if self.parameters.tcp:
            for source, target in sorted(fresh):
                for link in (self.links[source, target], self.links[target, source]):
                    if link.is_open:
                        sudden = self._chance() < 0.3
                        patience = 0.001 if sudden else self.world.random.uniform(*KEEP_ALIVE)
                        self.world.after(patience, self._give_up, link, link.generation, sudden)

    def _give_up(self, link: Link, generation: int, sudden: bool) -> None:
        ways = ((link.dialler, link.acceptor), (link.acceptor, link.dialler))
        if link.generation == generation and (sudden or any(way in self.blocked for way in ways)):
            self.cut(link.dialler, link.acceptor)

    def cut(self, dialler: NodeId, acceptor: NodeId, notice: float = 0.0) -> None:
        """End a link; what was under way is lost. The dialler hears of it after `notice` seconds, and dials again."""
        link = self.links[dialler, acceptor]
        if not link.is_open:
            return
        link.is_open = False
        link.generation += 1
        link.held.clear()
        self.world.after(notice, self._lost, link, link.generation)

    def _lost(self, link: Link, generation: int) -> None:
        if link.generation == generation and not link.is_open:
            self._tell_lost(link)
            self._dial_later(link)

    def _tell_lost(self, link: Link) -> None:
        if link.told_open:
            link.told_open = False
            if self.stations[link.dialler].is_up:
                self.stations[link.dialler].link_lost(link.acceptor)

    def gone(self, node: NodeId, notice: float) -> None:
        """A process ended: its links end, and whoever dialled it hears so after `notice` seconds."""
        for peer in self.stations:
            if peer != node:
                self.cut(peer, node, notice)
                link = self.links[node, peer]
                link.told_open = False
                if link.is_open:
                    link.is_open = False
                    link.generation += 1
                    link.held.clear()

    def came(self, node: NodeId) -> None:
        """A process started: it dials everybody, and whoever still talks to its last life is reset."""
        for peer in self.stations:
            if peer != node:
                self._dial_later(self.links[node, peer])
                stale = self.links[peer, node]
                if stale.told_open and not stale.is_open:
                    self.world.after(RESET, self._lost, stale, stale.generation)

    def _is_up(self, node: NodeId) -> bool:
        return self.stations[node].is_up

    def _dial_later(self, link: Link) -> None:
        if not link.is_dialling:
            link.is_dialling = True
            self.world.after(self.world.random.uniform(*BACK_OFF), self._dial, link)

    def _dial(self, link: Link) -> None:
        link.is_dialling = False
        dialler, acceptor = self.stations[link.dialler], self.stations[link.acceptor]
        if link.is_open or not dialler.is_up:
            return
        there, back = (link.dialler, link.acceptor), (link.acceptor, link.dialler)
        if not (dialler.can_talk and acceptor.can_talk) or there in self.blocked or back in self.blocked:
            self._dial_later(link)
            return
        self._tell_lost(link)
        if not self._is_up(link.dialler):  # being told, it may die
            return
        link.is_open = True
        link.generation += 1
        link.latest = {link.dialler: self.world.now, link.acceptor: self.world.now}
        counts_us = acceptor.meet(dialler.key, dialler.endpoints)
        if self._is_up(link.acceptor) and self._is_up(link.dialler):
            dialler.meet(acceptor.key, acceptor.endpoints)
            if self._is_up(link.dialler) and link.is_open:
                link.told_open = True
                dialler.link_opened(link.acceptor, counts_us)
