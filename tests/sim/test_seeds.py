"""Seeds, as many as the time allows: a few in a plain run, some thousand in CI, more by hand (`yakt sim --seeds 0`)."""

import os

import pytest

from yakt.sim.seed import simulate

SEEDS = int(os.environ.get("YAKT_SIM_SEEDS", "2000" if os.environ.get("CI") else "60"))
"""Of the fast mode; a quarter as many of the full one."""
CHUNK = 60


def check(first: int, count: int, mode: str) -> None:
    failed = [outcome for seed in range(first, first + count) if (outcome := simulate(seed, mode=mode)).check]
    assert not failed, "\n".join(outcome.line(3000, mode) for outcome in failed)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_check_fails_on_the_core(first: int) -> None:
    check(first, min(CHUNK, SEEDS - first), "fast")


@pytest.mark.parametrize("first", range(0, SEEDS // 4, CHUNK // 3))
def test_no_check_fails_on_whole_nodes(first: int) -> None:
    check(first, min(CHUNK // 3, SEEDS // 4 - first), "full")


@pytest.mark.parametrize("mode", ["fast", "full"])
def test_a_seed_is_replayed_bit_for_bit(mode: str) -> None:
    said: list[tuple[float, str, str]] = []
    quiet = simulate(11, mode=mode)
    loud = simulate(11, mode=mode, tell=lambda now, who, what: said.append((now, who, what)))
    again: list[tuple[float, str, str]] = []
    assert quiet == loud == simulate(11, mode=mode, tell=lambda now, who, what: again.append((now, who, what)))
    assert said == again
    assert quiet.committed > 0


def test_another_seed_is_another_run() -> None:
    assert simulate(1).fingerprint != simulate(2).fingerprint
