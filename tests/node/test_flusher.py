"""Where a sync runs: inline while the disk is quick, in a worker while it is not, and never two at once."""

import pytest
import trio
import trio.testing

from yakt.errors import StorageError
from yakt.node import flusher
from yakt.node.flusher import REMEMBERED, SLOW_MAX, Flusher


class Clock:
    """Time that only passes when a flush says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Sync:
    """A flush that takes so long."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.clock = clock
        self.seconds = seconds

    def run(self) -> None:
        self.clock.now += self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(flusher, "time", made)
    return made


async def test_quick_syncs_move_inline_and_slow_ones_move_out_again(clock: Clock, nursery: trio.Nursery) -> None:
    done = trio.Event()

    def finished(_flush: object) -> None:
        done.set()

    subject = Flusher(finished)
    nursery.start_soon(subject.run)

    async def flush(seconds: float) -> bool:
        nonlocal done
        done = trio.Event()
        inline = subject.start(Sync(clock, seconds))
        if not inline:
            await done.wait()
        return inline

    first = [await flush(0.0002) for _ in range(REMEMBERED + 1)]
    assert not first[0], "a new node has yet to see a quick one"
    assert first[-1]
    assert [await flush(0.01) for _ in range(SLOW_MAX + 1)] == [True] * (SLOW_MAX + 1), "a hiccup is none"
    assert not await flush(0.01), "several are a slow disk"
    while not await flush(0.0002):
        pass
    assert await flush(1.0), "who could have known"
    assert not await flush(0.0002), "after a stall the next go to a worker"


async def test_a_sync_that_fails_in_a_worker_ends_whoever_runs_it(nursery: trio.Nursery) -> None:
    class Broken:
        def run(self) -> None:
            raise StorageError("the disk is gone")

    subject = Flusher(lambda _flush: None)
    assert not subject.start(Broken())
    with pytest.raises(StorageError, match="gone"):
        await subject.run()


async def test_a_stop_leaves_no_sync_out(clock: Clock) -> None:
    """A node that was stopped while a sync had been asked for, and not begun, ended with `a flush is out`."""
    done: list[object] = []

    def finished(flush: object) -> None:
        done.append(flush)
        if len(done) == 1:
            assert subject.start(Sync(clock, 0.01)), "nothing is put off any more"

    subject = Flusher(finished)
    first = Sync(clock, 0.01)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(subject.run)
        await trio.testing.wait_all_tasks_blocked()
        assert not subject.start(first)
        nursery.cancel_scope.cancel()
    assert done == [first]
    assert subject.start(Sync(clock, 0.01))
