"""The second phase of a run: the faults stop, and what must happen has to happen soon (L1, L2, L3, L6, L7, L8).

Safety is what never happens; a cluster that does nothing is safe. Here either everything is mended (L1), or only a
random connected majority, while the other links stay cut or half cut (L2): the latter is where check-quorum and
pre-vote are needed both (verification.md, section 1).
"""

import math
from collections.abc import Callable

import attrs

from yakt.errors import ViolationError
from yakt.ids import NodeId
from yakt.sim.host import Host
from yakt.sim.network import Way
from yakt.sim.simulation import Simulation

LEADER_WITHIN = 10
"""Election timeouts."""
COMMITS_WITHIN = 60
COMMITS = 5
STABLE_FOR = 20
EVENTS_MAX = 100_000
"""At one instant, or in a hundredth of a wait: more is a loop without end (L7)."""
STEPS_MAX = 2000
"""Steps of one idle node in one simulated second: more is a busy loop (L7)."""


def heal_and_wait(simulation: Simulation) -> None:
    """Mend, wait, and check. Raises ViolationError."""
    world, random = simulation.world, simulation.world.random
    parameters = simulation.parameters
    core = sorted(simulation.nodes)
    cut: frozenset[Way] = frozenset()
    if parameters.core_only and parameters.nodes > 2:
        core, cut = _choose_core(simulation)
    simulation.faults.stop()
    timeout = parameters.election_timeout
    simulation.set_parameters(
        attrs.evolve(
            parameters,
            delay=min(parameters.delay, timeout / 50),
            spike=0.0,
            loss=0.0,
            duplication=0.0,
            replay=0.0,
            flush=min(parameters.flush, timeout / 50),
            slow_flush=0.0,
            patience=timeout,
        )
    )
    if world.tell:
        said = ", ".join(f"{source} -> {target}" for source, target in sorted(cut)) or "nothing"
        world.tell(world.now, "net", f"heals: {core} reach each other; {said} stays blocked")
    simulation.network.block(cut)
    outsiders = [node for node in simulation.nodes.values() if node.id not in core]
    for node in simulation.nodes.values():
        if node in outsiders and random.random() < 0.3:
            continue  # stays as it is, dead or paused
        node.resume()  # what waited for it may be that it shall stop
        if node.stopping:
            node.crash("at the end of an ordered stop")
        if not node.is_up:
            simulation.faults.revive(node)
    # The slowest clock measures the timeout, and what was under way before the healing may still have to land.
    unit = timeout / (1 - parameters.clock_skew)
    members = [simulation.nodes[each] for each in core]
    # What the old conditions put on its way may still come, up to ten timeouts late, or a flush end.
    late = 10 * timeout if parameters.spike else 0.0
    if parameters.slow_flush:
        late = max(late, parameters.slow_flush_max)
    check = "L2 CoreMajorityProgress" if outsiders else "L1 Progress"

    _wait(simulation, late + 2 * LEADER_WITHIN * unit, lambda: _led(simulation, members), check, "no leader")
    goal = simulation.history.acknowledged + COMMITS
    if simulation.parameters.writers:
        _wait(
            simulation,
            late + COMMITS_WITHIN * unit,
            lambda: simulation.history.acknowledged >= goal,
            check,
            f"not {COMMITS} commits",
        )
    if outsiders:
        return
    for client in simulation.clients:
        client.resting = True
    _wait(simulation, late + COMMITS_WITHIN * unit, lambda: _level(simulation), "L6 LaggardCatchesUp", "logs not level")
    if parameters.kraft_version:
        _wait(simulation, late + COMMITS_WITHIN * unit, lambda: _told(simulation), "L8 VotersTold", "an old voter set")
    epoch = max(node.epoch for node in members)
    steps = sum(node.steps for node in members)
    duration = STABLE_FOR * unit
    world.run(until=world.now + duration)
    if max(node.epoch for node in members) > epoch + 1:
        raise ViolationError(
            "L3 LeaderStability", f"from epoch {epoch} to {max(node.epoch for node in members)} in {duration:.1f} s"
        )
    rate = (sum(node.steps for node in members) - steps) / duration / len(members)
    if rate > STEPS_MAX:
        raise ViolationError("L7 NoBusyLoop", f"{rate:.0f} steps a second and node at rest")


def _choose_core(simulation: Simulation) -> tuple[list[NodeId], frozenset[Way]]:
    """A random majority, whole, and for each other pair of nodes whether it is cut, or reaches across."""
    random = simulation.world.random
    nodes = sorted(simulation.nodes)
    core = sorted(random.sample(nodes, len(nodes) // 2 + 1))
    cut: set[Way] = set()
    for index, a in enumerate(nodes):
        for b in nodes[index + 1 :]:
            if a in core and b in core:
                continue
            # Mostly cut: one member of the core that reaches an old leader outside is the case that hurts.
            if random.random() < 0.7:
                ways = {(a, b), (b, a)}
                if simulation.parameters.tcp and random.random() < 0.3:
                    ways.discard(random.choice([(a, b), (b, a)]))
                cut |= ways
    return core, frozenset(cut)


def _led(simulation: Simulation, members: list[Host]) -> bool:
    """Whether a majority of the voters follows one leader of the newest epoch among them."""
    epoch = max(node.epoch for node in members)
    leaders = [node.leader_id for node in members if node.epoch == epoch]
    return any(
        leader is not None and leaders.count(leader) >= simulation.checker.majority for leader in set(leaders)
    ) or any(node.role == "leader" and node.epoch == epoch for node in members)


def _level(simulation: Simulation) -> bool:
    nodes = simulation.nodes.values()
    end = max(node.store.end_offset for node in nodes)
    return all(node.is_up and node.applied == end == node.store.durable_end for node in nodes)


def _told(simulation: Simulation) -> bool:
    """Whether every node's log says which voters there are, and where each of them is now."""
    now = {node.id: node.endpoints for node in simulation.nodes.values()}
    return all(
        {voter: node.core.voters.endpoints(voter) for voter in now} == now
        and node.core.voters.kraft_version == simulation.parameters.kraft_version
        for node in simulation.nodes.values()
        if node.core is not None
    )


def _wait(simulation: Simulation, limit: float, done: Callable[[], bool], check: str, what: str) -> None:
    world = simulation.world
    end = world.now + limit
    step = max(limit / 100, 1e-3)
    while not done():
        if world.now >= end:
            state = "; ".join(
                f"{node.id} {node.role} in {node.epoch}" if node.is_up else f"{node.id} dead"
                for node in simulation.nodes.values()
            )
            raise ViolationError(check, f"{what} within {limit:.1f} s: {state}")
        before = world.now
        world.run(events=EVENTS_MAX, until=min(end, world.now + step))
        if world.now == before:
            raise ViolationError("L7 NoBusyLoop", f"{EVENTS_MAX} events at one instant, while there was {what}")
    assert math.isfinite(world.now)
