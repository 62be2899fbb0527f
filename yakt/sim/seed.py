"""One seed: a time of trouble, a time of healing, and what came out of it."""

import traceback
from collections.abc import Callable

import attrs

from yakt.errors import ViolationError
from yakt.sim import liveness
from yakt.sim.parameters import Parameters, draw
from yakt.sim.simulation import Outcome, Simulation

EVENTS = 3000
"""How long the time of trouble lasts, if nobody says."""
CRASH = "crash"
"""The "check" of a failure that no check named: an assertion of the product, or any other exception."""


def simulate(
    seed: int,
    *,
    nodes: int | None = None,
    events: int = EVENTS,
    parameters: Parameters | None = None,
    tell: Callable[[float, str, str], None] | None = None,
    mode: str = "fast",
) -> Outcome:
    """Run one seed: `events` events of trouble, then healing. Never raises for what the product does wrong."""
    drawn = parameters or draw(seed, nodes)
    simulation = Simulation(seed, drawn, tell, mode)
    check, message = None, ""
    try:
        simulation.start()
        simulation.world.run(events=events)
        liveness.heal_and_wait(simulation)
    except ViolationError as failure:
        check, message = failure.check, str(failure)
    except Exception as failure:
        where = traceback.extract_tb(failure.__traceback__)[-1]
        check = CRASH
        message = (
            f"{type(failure).__name__}: {failure} at {where.filename.rpartition('/')[2]}:{where.lineno} ({where.line})"
        )
        if tell:
            tell(simulation.world.now, "!", traceback.format_exc())
    if tell and message:
        tell(simulation.world.now, "!", message)
    return attrs.evolve(simulation.outcome(check, message), parameters=drawn)
