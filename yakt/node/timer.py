"""Rings when the driver's deadline has passed; told after every turn that it may have moved nearer."""

import math

import trio

from yakt.node.driver import Driver


class Timer:
    """One alarm for all that is due by time: elections, sessions, timeouts, replay that is not finished."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._scope = trio.CancelScope()

    def adjust(self) -> None:
        """After a turn: ring earlier if something is due earlier. Later is found out when it rings in vain."""
        deadline = self._driver.deadline
        if deadline < self._scope.deadline:
            self._scope.deadline = deadline

    async def run(self) -> None:
        """Call `Driver.on_time` whenever it is due, until cancelled."""
        while True:
            self._scope = trio.CancelScope(deadline=max(self._driver.deadline, -math.inf))
            with self._scope:
                await trio.sleep_forever()
            if self._driver.deadline <= trio.current_time():
                self._driver.on_time()
            await trio.lowlevel.checkpoint()
