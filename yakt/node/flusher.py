"""Where a sync runs: inline while the disk has been quick, else in a worker thread, off the event loop.

A sync of some 150 us costs twice that in a thread (two wake-ups across cores), and far more while this thread is busy;
a disk that stalls would stall the whole node. So the last syncs decide (performance.md §3.5): a slow one now and then
is a hiccup, several are a slow disk.
"""

import time
from collections import deque
from collections.abc import Callable

import trio

from yakt.node.histogram import Histogram
from yakt.node.surroundings import Flush

SLOW_S = 0.004
REMEMBERED = 16
SLOW_MAX = 3
"""Of the last `REMEMBERED` syncs; with more the next goes to a thread."""
STALL_S = 0.05
"""A single sync that took so long counts for all that are remembered."""


class Flusher:
    """Carries out one flush at a time."""

    def __init__(self, on_done: Callable[[Flush], None], *, inline: bool = True) -> None:
        self._on_done = on_done
        self._inline = inline
        self._recent: deque[bool] = deque([True] * REMEMBERED, maxlen=REMEMBERED)
        """Which of the last syncs were slow; a new node has yet to see a quick one."""
        self._slow = REMEMBERED
        self._next: Flush | None = None
        """Put off, or with a worker."""
        self._stopping = False
        self._wanted = trio.Event()
        self.seconds = Histogram()
        """Of all syncs."""

    def start(self, flush: Flush) -> bool:
        """True if it is done on return; else `on_done` is called from `run`. Raises StorageError."""
        if self._stopping or (self._inline and self._slow <= SLOW_MAX):
            self._timed(flush)
            return True
        assert self._next is None
        self._next = flush
        self._wanted.set()
        return False

    async def run(self) -> None:
        """Carry out what `start` put off, until cancelled; from then on nothing is put off, and nothing left out."""
        try:
            while True:
                await self._wanted.wait()
                self._wanted = trio.Event()
                assert self._next is not None
                await trio.to_thread.run_sync(self._timed, self._next)
                self._finish()
        except trio.Cancelled:
            self._stopping = True
            if self._next is not None:  # no worker has begun it
                self._timed(self._next)
                self._finish()
            raise

    def _finish(self) -> None:
        flush, self._next = self._next, None
        assert flush is not None
        self._on_done(flush)

    def _timed(self, flush: Flush) -> None:
        start = time.perf_counter()
        flush.run()
        took = time.perf_counter() - start
        self.seconds.observe(took)
        if took >= STALL_S:
            self._recent.extend([True] * REMEMBERED)
            self._slow = REMEMBERED
            return
        slow = took >= SLOW_S
        self._slow += slow - self._recent[0]
        self._recent.append(slow)
