"""A simulated cluster: its nodes, clients, troubles and checks on one world; and what a run of it came to."""

from collections.abc import Callable, Mapping

import attrs

from yakt.ids import NodeId
from yakt.sim import driven, machine
from yakt.sim.checker import Checker, RequestsOf
from yakt.sim.clients import Client, Reader, Writer
from yakt.sim.faults import Faults
from yakt.sim.history import History
from yakt.sim.host import Host
from yakt.sim.network import Network
from yakt.sim.nodes import Node
from yakt.sim.parameters import Parameters
from yakt.sim.world import World

MODES: Mapping[str, tuple[type[Host], RequestsOf]] = {
    "fast": (Node, machine.requests_of),
    "full": (driven.DrivenNode, driven.requests_of),
}
"""What runs on the nodes, and how requests are found in its batches. fast: the core, and a state machine of a few lines
around it. full: the driver, the controller and the image too, as in a real node."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What one seed came to. Two runs of one seed are equal in all of it."""

    seed: int
    parameters: Parameters
    events: int
    seconds: float
    """Simulated."""
    epochs: int
    committed: int
    acknowledged: int
    reads: int
    fingerprint: int
    """The next number that the run's source of chance would have given: runs that differ anywhere differ here."""
    check: str | None = None
    """The check that failed, CRASH, or None."""
    message: str = ""

    def line(self, events: int, mode: str) -> str:
        """Seed, parameters, and how to see it again."""
        how = f"yakt sim --mode {mode} --seed {self.seed} --nodes {self.parameters.nodes} --events {events} --trace"
        return f"seed {self.seed}: {self.message} | {self.parameters.line()} | replay: {how}"


class Simulation:
    """A cluster with its clients, its troubles and its checks."""

    def __init__(
        self,
        seed: int,
        parameters: Parameters,
        tell: Callable[[float, str, str], None] | None = None,
        mode: str = "fast",
    ) -> None:
        self.seed = seed
        self.parameters = parameters
        self.world = World(seed, tell)
        ids = tuple(NodeId(number) for number in range(1, parameters.nodes + 1))
        node_class, requests_of = MODES[mode]
        self.nodes: dict[NodeId, Host] = {
            each: node_class(each, self.world, parameters, ids, self._died) for each in ids
        }
        self.checker = Checker(dict(self.nodes), requests_of)
        self.history = History(self.checker)
        self.network = Network(self.world, parameters, dict(self.nodes))
        self.faults = Faults(self.world, parameters, self.nodes, self.network)
        nodes = list(self.nodes.values())
        self.clients: list[Client] = [
            *(Writer(number, self.world, parameters, nodes, self.history) for number in range(parameters.writers)),
            *(Reader(number, self.world, parameters, nodes, self.history) for number in range(parameters.readers)),
        ]
        for node in nodes:
            node.checker, node.history, node.network = self.checker, self.history, self.network
            node.rate = 1 + self.world.random.uniform(-parameters.clock_skew, parameters.clock_skew)
            node.clock_start = self.world.random.uniform(0, 1000)

    def _died(self, node: Host) -> None:
        self.faults.died(node)

    def start(self) -> None:
        """Start all nodes, clients and troubles."""
        for node in self.nodes.values():
            node.start()
        for client in self.clients:
            client.start()
        self.faults.start()

    def set_parameters(self, parameters: Parameters) -> None:
        """Go on under these; what was drawn before (clock rates, what is under way) stays."""
        self.parameters = parameters
        self.network.parameters = self.faults.parameters = parameters
        for node in self.nodes.values():
            node.parameters = parameters
        for client in self.clients:
            client.parameters = parameters

    def outcome(self, check: str | None = None, message: str = "") -> Outcome:
        """What it has come to so far. Draws a number: the run is over."""
        return Outcome(
            seed=self.seed,
            parameters=self.parameters,
            events=self.world.events,
            seconds=self.world.now,
            epochs=max(self.checker.leaders, default=0),
            committed=self.checker.committed_end,
            acknowledged=self.history.acknowledged,
            reads=self.history.read,
            fingerprint=self.world.random.getrandbits(64),
            check=check,
            message=message,
        )
