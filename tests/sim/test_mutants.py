"""The check of the checks (verification.md, section 6): bugs that somebody shipped, each applied to a copy of the tree.

The simulator must turn red by the check that is named here, not by a crash, within the first `seeds` seeds, and be
green on the unchanged tree with the very same runs. A patch must fit in exactly one place: code that moves on takes
its mutant along, or the test says so.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

ROOT = Path(__file__).parents[2]
TIMEOUT = 120

HUNT = """
import json, sys
root, first, count, shape, check, mode = json.loads(sys.argv[1])
sys.path.insert(0, root)
import attrs, yakt
from yakt.sim.parameters import draw
from yakt.sim.seed import simulate
assert yakt.__file__.startswith(root), yakt.__file__
seen = []
for seed in range(first, first + count):
    outcome = simulate(seed, parameters=attrs.evolve(draw(seed), **shape), mode=mode)
    if outcome.check is not None:
        seen.append([seed, outcome.check, outcome.message])
        if check is None or outcome.check.split()[0] in check:
            break
print(json.dumps(seen))
"""
"""Runs seeds on the tree at `root` until one fails by a check that is asked for; prints all that failed."""

Edit = tuple[str, str, str]
"""File, the text that is there once, and what takes its place."""


@attrs.frozen(kw_only=True)
class Mutant:
    """`checks`: which of them may see it, by id. `shape`: the trouble it needs, over what the seed draws."""

    name: str
    edits: tuple[Edit, ...]
    checks: frozenset[str]
    seeds: int = 40
    shape: Mapping[str, Any] = attrs.Factory(dict)
    mode: str = "fast"


CRASHY: Mapping[str, Any] = {
    "nodes": 3,
    "crash_every": 0.4,
    "crash_leader": 0.5,
    "restart_max": 0.3,
    "lose_unsynced": True,
}
"""Nodes die often, leaders oftener, and lose what was not flushed."""
SCATTERED: Mapping[str, Any] = {"nodes": 3, "partition_every": 0.3, "fetch_batches": 1, "restart_max": 0.3}
"""Logs part ways all the time, and come together a record at a time."""

MUTANTS = (
    Mutant(
        name="M01-vote-before-quorum-state",
        edits=(
            (
                "yakt/raft/vote.py",
                "    effects.add(\n        Send(\n            source,\n            VoteResponse(",
                "    effects.in_order.insert(\n        0,\n        Send(\n            source,\n"
                "            VoteResponse(",
            ),
        ),
        checks=frozenset({"S3", "S4"}),
    ),
    Mutant(
        name="M04-vote-without-comparing-logs",
        edits=(
            (
                "yakt/raft/vote.py",
                "OffsetAndEpoch(request.last_epoch, request.log_end_offset) >= quorum.log.end\n",
                "OffsetAndEpoch(request.last_epoch, request.log_end_offset) is not None\n",
            ),
        ),
        checks=frozenset({"S6"}),
        shape=SCATTERED,
    ),
    Mutant(
        name="M05-logs-compared-by-length-only",
        edits=(
            (
                "yakt/raft/vote.py",
                "OffsetAndEpoch(request.last_epoch, request.log_end_offset) >= quorum.log.end\n",
                "request.log_end_offset >= quorum.log.end_offset\n",
            ),
        ),
        checks=frozenset({"S6"}),
        seeds=150,
        shape=SCATTERED,
    ),
    Mutant(
        name="M06-stale-vote-response-counts",
        edits=(
            ("yakt/raft/vote.py", "    if role.asked.get(source) != correlation:\n        return\n", ""),
            (
                "yakt/raft/vote.py",
                " and response.granted and response.epoch == quorum.epoch:",
                " and response.granted:",
            ),
        ),
        checks=frozenset({"S1"}),
        seeds=150,
        shape={
            "nodes": 5,
            "tcp": False,
            "duplication": 0.5,
            "spike": 0.05,
            "election_timeout": 0.05,
            "fetch_timeout": 0.1,
        },
    ),
    Mutant(
        name="M07-fetch-before-fsync",
        edits=(
            ("yakt/raft/fetch.py", "    if log.flushed_end < log.end_offset:\n", "    if log.flushed_end < 0:\n"),
            ("yakt/raft/fetch.py", "    end = log.durable_end\n", "    end = log.end\n"),
        ),
        checks=frozenset({"S4"}),
    ),
    Mutant(
        name="M08-leader-counts-what-it-has-not-flushed",
        edits=(
            (
                "yakt/raft/quorum.py",
                "self.log.flushed_end if voter == self.me.id",
                "self.log.end_offset if voter == self.me.id",
            ),
        ),
        checks=frozenset({"S9"}),
    ),
    Mutant(
        name="M10-older-epochs-committed-by-counting",
        edits=(("yakt/raft/fetch.py", " or offset <= leader.epoch_start_offset:", ":"),),
        checks=frozenset({"S11"}),
    ),
    Mutant(
        name="M11-epoch-start-off-by-one",
        edits=(
            (
                "yakt/raft/fetch.py",
                " or offset <= leader.epoch_start_offset:",
                " or offset < leader.epoch_start_offset:",
            ),
        ),
        checks=frozenset({"S11"}),
    ),
    Mutant(
        name="M12-restarted-leader-goes-on",
        edits=(
            (
                "yakt/raft/transitions.py",
                "        _enter(quorum, effects, _resigned(quorum, effects, ()), found)\n",
                "        leader = Leader(\n"
                "            epoch_start_offset=quorum.log.end_offset,\n"
                "            followers={voter: Progress() for voter in quorum.voters.others},\n"
                "            check_quorum_deadline=Instant(effects.now + 1.0),\n"
                "            begin_at=effects.now,\n"
                "        )\n"
                "        _enter(quorum, effects, leader, found)\n",
            ),
        ),
        checks=frozenset({"S5", "S19"}),
        shape=CRASHY,
    ),
    Mutant(
        name="M13-leader-does-not-validate-the-fetch",
        edits=(
            (
                "yakt/raft/fetch.py",
                "    mismatch = quorum.log.find_mismatch(request.fetch_offset, request.last_fetched_epoch)\n",
                "    mismatch = None\n"
                "    if request.fetch_offset > quorum.log.end_offset:\n"
                "        mismatch = quorum.log.find_mismatch(request.fetch_offset, request.last_fetched_epoch)\n",
            ),
        ),
        checks=frozenset({"S5", "S7", "S9"}),
        shape={**SCATTERED, "snapshot_every": None},
    ),
    Mutant(
        name="M15-stale-diverging-response-truncates",
        edits=(
            (
                "yakt/raft/fetch.py",
                "    if asked is None or asked.to != source or asked.correlation != correlation:\n",
                "    if asked is None or asked.to != source:\n",
            ),
            (
                "yakt/raft/fetch.py",
                "    if not _is_of_this_log(quorum, request):\n",
                "    if response.diverging is None and not _is_of_this_log(quorum, request):\n",
            ),
        ),
        checks=frozenset({"S10"}),
        seeds=150,
        shape={**SCATTERED, "tcp": False, "duplication": 0.5, "spike": 0.05, "crash_every": 0.5},
    ),
    Mutant(
        name="M22-no-check-quorum",
        edits=(
            (
                "yakt/raft/quorum.py",
                "        return self.fetch_timeout * 1.5\n",
                '        return float("inf")\n',
            ),
        ),
        checks=frozenset({"L1", "L2"}),
        seeds=150,
        shape={
            "nodes": 5,
            "tcp": False,
            "core_only": True,
            "restart_max": 0.05,
            "crash_every": None,
            "crash_all_every": None,
        },
    ),
    Mutant(
        name="M27-write-acknowledged-after-the-local-append",
        edits=(("yakt/node/driver.py", "elif writes.wait_end > self.loader.end_offset:", "elif False:"),),
        checks=frozenset({"S16"}),
        mode="full",
    ),
    Mutant(
        name="M28-read-without-a-round",
        edits=(
            (
                "yakt/raft/reads.py",
                "        case Leader() as leader:\n"
                "            start_round(quorum, effects, leader)\n"
                "        case Follower(",
                "        case Leader() as leader if quorum.high_watermark > leader.epoch_start_offset:\n"
                "            quorum.reads.confirmed = ticket\n"
                "            effects.add(ConfirmReads(ticket, quorum.high_watermark))\n"
                "        case Follower(",
            ),
        ),
        checks=frozenset({"S17"}),
        seeds=100,
        shape={**SCATTERED, "readers": 3},
    ),
    Mutant(
        name="M29-read-before-the-own-epoch-commits",
        edits=(
            (
                "yakt/raft/reads.py",
                "    if quorum.high_watermark <= leader.epoch_start_offset:\n"
                "        return  # until then we may not know all that is committed\n",
                "",
            ),
        ),
        checks=frozenset({"S17"}),
        seeds=150,
        shape={**SCATTERED, "readers": 3, "crash_leader": 0.3, "crash_every": 0.5},
    ),
    Mutant(
        name="M30-voters-written-before-the-own-epoch-commits",
        edits=(
            ("yakt/raft/voter_records.py", "        and quorum.known_high_watermark(leader) is not None\n", ""),
            # The real driver asks an active controller only; the fast mode's node waits for its LeaderChange.
            (
                "yakt/sim/nodes.py",
                " or self.machine.applied <= self._leading_from:\n            return",
                ":\n            return",
            ),
        ),
        checks=frozenset({"S15"}),
        shape={**CRASHY, "kraft_version": 1},
    ),
    Mutant(
        name="M31-a-second-voter-set-before-the-first-is-committed",
        edits=(
            (
                "yakt/raft/voter_records.py",
                "        and quorum.voters.record_offset < quorum.high_watermark\n",
                "",
            ),
        ),
        checks=frozenset({"S15"}),
        shape={**CRASHY, "kraft_version": 1},
        seeds=100,
    ),
    Mutant(
        name="M32-a-snapshot-without-the-voters",
        edits=(("yakt/sim/driven.py", "encoder.header(*control)", "encoder.header()"),),
        checks=frozenset({"L8", "S15"}),
        shape={"nodes": 3, "kraft_version": 1, "snapshot_every": 3, "snapshot_keep": 1, "crash_every": 0.5},
        mode="full",
    ),
)


def hunt(root: Path, mutant: Mutant, seeds: int, checks: frozenset[str] | None) -> list[list[Any]]:
    """What fails on the tree at `root`, seed by seed, up to the first that `checks` name (None: up to the first)."""
    asked = json.dumps(
        [str(root), 0, seeds, dict(mutant.shape), sorted(checks) if checks is not None else None, mutant.mode]
    )
    done = subprocess.run(
        [sys.executable, "-c", HUNT, asked], cwd=root, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    seen: list[list[Any]] = json.loads(done.stdout)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_seen_by_its_check(mutant: Mutant, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "yakt", tmp_path / "yakt", ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in mutant.edits:
        path = tmp_path / name
        text = path.read_text()
        assert text.count(old) == 1, f"{mutant.name} fits {name} in {text.count(old)} places:\n{old}"
        path.write_text(text.replace(old, new))
    seen = hunt(tmp_path, mutant, mutant.seeds, mutant.checks)
    assert seen, f"{mutant.name}: {mutant.seeds} seeds, all green"
    seed, check, message = seen[-1]
    assert check.split()[0] in mutant.checks, f"{mutant.name}: seen only otherwise: {seen}"
    clean = hunt(ROOT, mutant, seed + 1, None)
    assert not clean, f"the unchanged tree fails too: {clean}"
    print(f"{mutant.name}: seed {seed}: {message}; {len(seen) - 1} seeds failed otherwise before")
