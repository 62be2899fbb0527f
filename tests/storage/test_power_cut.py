"""Power is lost at every single operation, with all, none or part of what was not synced; each start must be exact.

Exact: nothing that was said to be durable is missing, nothing is there that was not written, and the start never
refuses: a power cut alone is no damage. The workload goes through every kind of change the Store makes.
"""

import functools
import random
from collections.abc import Callable, Iterator

import pytest

from tests.storage.places import FakePlace
from tests.storage.workload import LIMITS, State, Workload, check_start
from yakt.errors import StorageError
from yakt.sim.disk import FakeFiles, PowerCut


def total_operations() -> int:
    """How many operations the workload has."""
    place = FakePlace()
    Workload(place).run()
    return place.files.operations


def choosers(seed: int) -> Iterator[tuple[str, Callable[[int], int]]]:
    """What is left of the unsynced: nothing, all, and some by chance."""
    yield "nothing", lambda n: 0
    yield "all", lambda n: n
    for number in range(3):
        chance = random.Random(f"{seed} {number}")
        yield f"some {seed} {number}", functools.partial(chance.randint, 0)


def crashed_at(cut_after: int, choose: Callable[[int], int]) -> tuple[FakeFiles, list[State]] | None:
    """The disk after a crash at that operation, and what it may hold; None if the workload had ended."""
    place = FakePlace()
    place.files.cut_after = cut_after
    work = Workload(place)
    try:
        work.run()
    except PowerCut:
        place.files.crash(choose)
        return place.files, work.allowed
    return None


def check(files: FakeFiles, allowed: list[State], label: str) -> None:
    """As `check_start`; a refusal is a failure that says when it came."""
    try:
        check_start(files, allowed, label)
    except StorageError as exc:
        pytest.fail(f"{label}: refused: {exc}")


@pytest.mark.parametrize("part", range(4))
def test_at_every_operation(part: int) -> None:
    total = total_operations()
    assert total > 100
    for cut_after in range(part, total, 4):
        for label, choose in choosers(cut_after):
            crashed = crashed_at(cut_after, choose)
            assert crashed is not None
            check(*crashed, f"cut after {cut_after}, {label}")


def test_again_while_recovering() -> None:
    total = total_operations()
    chance = random.Random(7)
    seconds = 0
    for _ in range(300):
        cut_after = chance.randrange(total)
        crashed = crashed_at(cut_after, lambda n: chance.randint(0, n))
        assert crashed is not None
        files, allowed = crashed
        label = f"cut after {cut_after}"
        while True:
            files.cut_after = files.operations + chance.randrange(12)
            try:
                FakePlace(files).open(limits=LIMITS)
            except PowerCut:
                label += f", then {files.cut_after}"
                files.crash(lambda n: chance.randint(0, n))
                seconds += 1
                continue
            except StorageError as exc:
                pytest.fail(f"{label}: refused: {exc}")
            files.end_process()
            break
        check(files, allowed, label)
    assert seconds > 100
