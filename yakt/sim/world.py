"""One heap of what is going to happen, one clock, one source of chance. Knows neither nodes nor networks.

A run is a function of its seed: nothing here reads a real clock, and two things due at the same moment happen in the
order in which they were asked for.
"""

import math
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any


class World:
    """Simulated time, in seconds from 0. Everything in a simulation happens as a call out of `run`."""

    __slots__ = ("_asked", "_heap", "events", "now", "random", "tell")

    def __init__(self, seed: int, tell: Callable[[float, str, str], None] | None = None) -> None:
        """`tell(now, who, what)` receives the time line, if someone wants one."""
        self.random = Random(seed)
        self.now = 0.0
        self.events = 0
        self.tell = tell
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._asked = 0

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action(*arguments)` at `when`; the past counts as now."""
        self._asked += 1
        heappush(self._heap, (when, self._asked, action, arguments))

    def after(self, delay: float, action: Callable[..., None], *arguments: Any) -> None:
        """Call `action(*arguments)` in `delay` seconds."""
        self._asked += 1
        heappush(self._heap, (self.now + delay, self._asked, action, arguments))

    def run(self, *, events: int | None = None, until: float = math.inf) -> None:
        """Let up to `events` more things happen, none of them at or past `until`; then `now` is `until`, if finite."""
        heap = self._heap
        last = self.events + events if events is not None else -1
        while self.events != last:
            if not heap or heap[0][0] >= until:
                if until != math.inf:
                    self.now = max(self.now, until)
                return
            when, _, action, arguments = heappop(heap)
            if when > self.now:
                self.now = when
            self.events += 1
            action(*arguments)
