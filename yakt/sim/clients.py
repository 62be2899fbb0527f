"""Clients of a simulated cluster: they write, read, lose patience, and ask again elsewhere, with the same request id.

What a node answers comes as a call from within its turn: a client only notes it, and acts in a turn of its own.
"""

from abc import ABC, abstractmethod
from functools import partial

from yakt.ids import NodeId, Offset
from yakt.sim.history import History
from yakt.sim.host import Answer, Host, Write
from yakt.sim.parameters import Parameters
from yakt.sim.world import World


class Client(ABC):
    """One operation at a time, for ever; `resting` ones begin none."""

    def __init__(self, number: int, world: World, parameters: Parameters, nodes: list[Host], history: History) -> None:
        self.number = number
        self.world = world
        self.parameters = parameters
        self.nodes = nodes
        self.history = history
        self.operation = 0
        self.begun = Offset(-1)
        self.is_open = False
        self.resting = False
        self.hint: NodeId | None = None
        self._attempt = 0

    def start(self) -> None:
        """Begin after a moment's thought."""
        self.world.after(self.parameters.think * (0.1 + self.world.random.random()), self._begin)

    def _begin(self) -> None:
        if self.resting:
            return
        self.operation += 1
        self.begun = self.history.begun()
        self.is_open = True
        self._try(self.operation)

    def _try(self, operation: int) -> None:
        if operation != self.operation or not self.is_open:
            return
        self._attempt += 1
        self._ask(self._choose())
        self.world.after(
            self.parameters.patience * (0.5 + self.world.random.random()), self._lose_patience, self._attempt
        )

    def _choose(self) -> Host:
        hint, self.hint = self.hint, None
        if hint is not None:
            for node in self.nodes:
                if node.id == hint:
                    return node
        return self.nodes[int(self.world.random.random() * len(self.nodes))]

    def _lose_patience(self, attempt: int) -> None:
        if attempt == self._attempt and self.is_open:
            self._try(self.operation)

    def _hear(self, operation: int, answer: Answer) -> None:
        if operation != self.operation or not self.is_open:
            return
        if answer.done:
            self.is_open = False
            self.start()
        else:
            self.hint = answer.leader_id
            self.world.after(self.parameters.delay * (1 + 20 * self.world.random.random()), self._try, operation)

    @abstractmethod
    def _ask(self, node: Host) -> None:
        """Ask the present operation of this node."""


class Writer(Client):
    """Makes requests numbered from 1; repeats each until it knows that it is done."""

    def _choose(self) -> Host:
        if self.hint is None and self.world.random.random() < 0.7:
            leading = [node for node in self.nodes if node.is_up and node.role == "leader"]
            if leading:
                return leading[int(self.world.random.random() * len(leading))]
        return super()._choose()

    def _ask(self, node: Host) -> None:
        node.submit(Write((self.number, self.operation), self.begun, partial(self._hear, self.operation)))


class Reader(Client):
    """Reads, linearizably, at any node. A read that was given up and asked anew is another read."""

    def _ask(self, node: Host) -> None:
        self.begun = self.history.begun()
        node.ask(self.begun, partial(self._hear, self.operation))
