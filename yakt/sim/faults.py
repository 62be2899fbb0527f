"""What goes wrong, and when: each class of fault of a seed's parameters as a process of its own on the world's heap."""

from collections.abc import Callable, Iterable

from yakt.ids import NodeId
from yakt.sim.host import Host
from yakt.sim.network import Network, Way
from yakt.sim.parameters import Parameters
from yakt.sim.world import World


class Faults:
    """Runs until `stop`; what is dead, paused or cut then stays so until someone mends it."""

    def __init__(self, world: World, parameters: Parameters, nodes: dict[NodeId, Host], network: Network) -> None:
        self.world = world
        self.parameters = parameters
        self.nodes = nodes
        self.network = network
        self.stopped = False

    def start(self) -> None:
        """Begin with every class that the parameters ask for."""
        parameters = self.parameters
        self._again(parameters.cut_every, self._cut)
        self._again(parameters.partition_every, self._part)
        self._again(parameters.crash_every, self._crash)
        self._again(parameters.crash_all_every, self._crash_all)
        self._again(parameters.pause_every, self._pause)
        self._again(parameters.stop_every, self._stop_or_transfer)
        for node in self.nodes.values():
            self.endanger(node)

    def stop(self) -> None:
        """No fault begins from now on."""
        self.stopped = True
        for node in self.nodes.values():
            node.dangers.handling = node.dangers.between = -1
            node.dies_leading = 0.0

    def died(self, node: Host) -> None:
        """A node is dead, for whatever reason: its links end, and it comes back in a while."""
        random = self.world.random
        # Mostly the kernel closes its connections at once; a machine that lost power closes nothing.
        sudden = random.random() < 0.3
        self.network.gone(node.id, random.uniform(0.2, 2.0) if sudden else 0.0005)
        self.world.after(random.uniform(0.005, self.parameters.restart_max), self._restart, node)

    def _restart(self, node: Host) -> None:
        if not node.is_up and not self.stopped:
            self.revive(node)

    def revive(self, node: Host) -> None:
        """Start a dead node."""
        if self.world.tell:
            self.world.tell(self.world.now, str(node.id), "starts")
        node.start()
        if not self.stopped:
            self.endanger(node)

    def endanger(self, node: Host) -> None:
        """Decide when the node dies next at a place that hurts."""
        parameters, random = self.parameters, self.world.random
        if parameters.crash_handling:
            node.dangers.handling = int(random.expovariate(parameters.crash_handling))
        if parameters.crash_between:
            node.dangers.between = int(random.expovariate(parameters.crash_between))
        node.dies_leading = parameters.crash_leader

    def _again(self, every: float | None, fault: Callable[[], None]) -> None:
        if every is not None:
            self.world.after(self.world.random.expovariate(1 / every), self._strike, every, fault)

    def _strike(self, every: float, fault: Callable[[], None]) -> None:
        if not self.stopped:
            fault()
            self._again(every, fault)

    def _someone(self) -> Host | None:
        up = [node for node in self.nodes.values() if node.is_up]
        return self.world.random.choice(up) if up else None

    def _crash(self) -> None:
        node = self._someone()
        if node is not None:
            node.crash("by chance")

    def _crash_all(self) -> None:
        for node in self.nodes.values():
            node.crash("with all others")

    def _pause(self) -> None:
        node = self._someone()
        if node is not None and not node.paused:
            node.pause()
            duration = self.world.random.random() * self.parameters.pause_max
            if self.world.tell:
                self.world.tell(self.world.now, str(node.id), f"is paused for {duration:.3f} s")
            self.world.after(duration, self._resume, node, node.life)

    def _resume(self, node: Host, life: int) -> None:
        if node.life == life and node.is_up and not self.stopped:
            node.resume()

    def _stop_or_transfer(self) -> None:
        node = self._someone()
        if node is None:
            return
        random = self.world.random
        if random.random() < 0.5:
            node.transfer(random.choice([None, *self.nodes]))
        else:
            node.shut_down()
            self.world.after(random.random(), self._stopped, node, node.life)

    def _stopped(self, node: Host, life: int) -> None:
        if node.life == life and not self.stopped:
            node.crash("at the end of an ordered stop")

    def _cut(self) -> None:
        links = list(self.network.links.values())
        link = self.world.random.choice(links) if links else None
        if link is not None:
            if self.world.tell and link.is_open:
                self.world.tell(self.world.now, "net", f"cuts the link {link.dialler} dialled to {link.acceptor}")
            self.network.cut(link.dialler, link.acceptor, self.world.random.random() * 0.01)

    def _part(self) -> None:
        random = self.world.random
        ways = frozenset(shape(self.world, sorted(self.nodes))) if random.random() < 0.75 else frozenset()
        self._block(ways)
        if self.parameters.flap and ways:
            period = self.parameters.election_timeout * random.uniform(0.5, 2.0)
            for turn in range(1, random.randint(2, 12)):
                self.world.after(turn * period, self._flap, ways if turn % 2 == 0 else frozenset())

    def _flap(self, ways: frozenset[Way]) -> None:
        if not self.stopped:
            self._block(ways)

    def _block(self, ways: frozenset[Way]) -> None:
        if self.world.tell:
            said = ", ".join(f"{source} -> {target}" for source, target in sorted(ways)) or "nothing"
            self.world.tell(self.world.now, "net", f"blocks {said}")
        self.network.block(ways)


def shape(world: World, nodes: list[NodeId]) -> set[Way]:
    """A partition of a random shape: the directions that it blocks."""
    random = world.random
    everything = {(a, b) for a in nodes for b in nodes if a != b}
    shuffled = random.sample(nodes, len(nodes))
    first, rest = shuffled[0], shuffled[1:]
    kind = random.randrange(7)
    if kind == 0 and rest:  # one node alone
        return both((first, other) for other in rest)
    if kind == 1:  # two halves
        half = random.randint(1, max(1, len(nodes) // 2))
        return both((a, b) for a in shuffled[:half] for b in shuffled[half:])
    if kind == 2 and rest:  # one way of one pair
        return {(first, rest[0])}
    if kind == 3 and rest:  # one pair
        return both([(first, rest[0])])
    if kind == 4:  # a bridge: two halves that share one node
        half = 1 + len(rest) // 2
        return both((a, b) for a in shuffled[1:half] for b in shuffled[half:])
    if kind == 5:  # a ring: each reaches its neighbours only
        count = len(nodes)
        near = both((shuffled[i], shuffled[(i + 1) % count]) for i in range(count))
        return everything - near if count > 3 else both([(first, other) for other in rest[:1]])
    # one way in, or out, of one node
    if random.random() < 0.5:
        return {(first, other) for other in rest}
    return {(other, first) for other in rest}


def both(pairs: Iterable[Way]) -> set[Way]:
    """The pairs, and the ways back."""
    return {way for a, b in pairs for way in ((a, b), (b, a))}
