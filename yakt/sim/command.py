"""`yakt sim`: runs seeds, over several processes if asked, and says of each failure how to see it again."""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator
from functools import partial

import attrs

from yakt.sim.seed import EVENTS, simulate
from yakt.sim.simulation import MODES, Outcome

FAILED = 5
"""Exit status when a check found trouble."""
PROGRESS_EVERY = 2.0
FAILURES_MAX = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` reads."""
    parser.add_argument("--seed", type=_number, default=0, metavar="N", help="the first seed (default: 0)")
    parser.add_argument(
        "--seeds", type=_number, default=1, metavar="COUNT", help="how many seeds (default: 1; 0: no end)"
    )
    parser.add_argument("--nodes", type=int, choices=(1, 3, 5), help="voters (default: drawn from the seed)")
    parser.add_argument(
        "--events", type=_number, default=EVENTS, metavar="N", help=f"events before the healing (default: {EVENTS})"
    )
    parser.add_argument(
        "--mode",
        choices=sorted(MODES),
        default="fast",
        help="fast: the consensus core; full: driver, controller and image too (default: fast)",
    )
    parser.add_argument("--jobs", type=_number, default=1, metavar="N", help="processes (default: 1)")
    parser.add_argument("--trace", action="store_true", help="print the time line: when, who, what")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of text")


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Simulate; returns the exit status: 0, or 5 when a check found trouble."""
    began = last = time.monotonic()
    done = events = committed = reads = 0
    failures: list[Outcome] = []
    try:
        for outcome in _outcomes(arguments):
            done += 1
            events += outcome.events
            committed += outcome.committed
            reads += outcome.reads
            if outcome.check is not None:
                failures.append(outcome)
                _say_failure(arguments, outcome)
                if len(failures) >= FAILURES_MAX:
                    _note(f"stopping after {FAILURES_MAX} failures")
                    break
            now = time.monotonic()
            if now - last >= PROGRESS_EVERY and not arguments.trace:
                last = now
                _note(
                    f"{done} seeds, {events} events, {len(failures)} failures, {events / (now - began):,.0f} events/s"
                )
    except KeyboardInterrupt:
        _note("interrupted")
    seconds = time.monotonic() - began
    summary = {
        "seeds": done,
        "events": events,
        "failures": len(failures),
        "committed": committed,
        "reads": reads,
        "seconds": round(seconds, 2),
        "events_per_second": round(events / seconds) if seconds else 0,
    }
    if arguments.json:
        print(json.dumps({"summary": summary}), flush=True)
    else:
        print("  ".join(f"{key}={value}" for key, value in summary.items()), flush=True)
    return FAILED if failures else 0


def _outcomes(arguments: argparse.Namespace) -> Iterator[Outcome]:
    first, count = arguments.seed, arguments.seeds
    seeds = iter(range(first, first + count)) if count else _from(first)
    if arguments.jobs > 1 and not arguments.trace:
        work = partial(simulate, nodes=arguments.nodes, events=arguments.events, mode=arguments.mode)
        with multiprocessing.get_context("spawn").Pool(arguments.jobs) as pool:
            yield from pool.imap_unordered(work, seeds, chunksize=4)
        return
    tell = _print_line if arguments.trace else None
    for seed in seeds:
        yield simulate(seed, nodes=arguments.nodes, events=arguments.events, tell=tell, mode=arguments.mode)


def _from(seed: int) -> Iterator[int]:
    while True:
        yield seed
        seed += 1


def _print_line(now: float, who: str, what: str) -> None:
    print(f"{now:11.6f} {who:>3}  {what}")


def _say_failure(arguments: argparse.Namespace, outcome: Outcome) -> None:
    if arguments.json:
        value = attrs.asdict(outcome)
        print(json.dumps({"failure": value}), flush=True)
    else:
        print(f"FAILED {outcome.line(arguments.events, arguments.mode)}", flush=True)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
