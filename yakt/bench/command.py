"""`yakt bench`: committed writes, reads and failover, measured from outside; `loop`, `image`: from inside."""

import argparse
import itertools
import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import attrs

from yakt.address import Address
from yakt.bench import image, loop
from yakt.bench.cluster import POLL_S, BenchError, Nodes, ask, find_leader, own_cluster, sync_ms
from yakt.bench.load import Load, MakeRequests, Measured, Shape
from yakt.errors import ConfigError

SHAPES = "1,16,128,8x16,1000,10x100"
VALUE = b"x" * 256
KINDS = ("writes", "reads", "local")
FOUND_TROUBLE = 5
WHOLE_S = 60.0
"""A node that comes back may have a million records to replay."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may follow `yakt bench`."""
    parser.add_argument("what", nargs="?", choices=("cluster", "loop", "image"), default="cluster",
        help="a cluster of processes; the Python of a commit; or the controller at scale (default: cluster)",
    )  # fmt: skip
    parser.add_argument(
        "--server", help="lines of a running cluster, HOST:PORT[,…]; default: $YAKT_SERVER, or three nodes of its own"
    )
    parser.add_argument("--nodes", type=int, choices=(1, 3, 5), default=3, help="of its own cluster (default: 3)")
    parser.add_argument(
        "--data", type=Path, help="where its own cluster keeps its data (default: the temporary directory)"
    )
    parser.add_argument("--keep", action="store_true", help="leave data and logs of its own cluster where they are")
    parser.add_argument(
        "--clients", default=SHAPES, help=f"connections, or connections x lines in flight (default: {SHAPES})"
    )
    parser.add_argument("--only", default="writes,reads,local,failover", help="of writes, reads, local, failover")
    parser.add_argument("--seconds", type=float, default=3.0, help="each run's length (default: 3)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each; the median is shown (default: 1)")
    parser.add_argument("--trials", type=int, default=5, help="of failover (default: 5)")
    parser.add_argument(
        "--at",
        choices=("leader", "follower", "any"),
        default="leader",
        help="where clients go; any: spread over all nodes (default: leader)",
    )
    parser.add_argument("--check", action="store_true", help="loop, image: exit 5 when over the budget")
    parser.add_argument("--topics", type=int, default=2000, help="image: how many (default: 2000)")
    parser.add_argument("--partitions", type=int, default=50, help="image: of each topic (default: 50)")
    parser.add_argument("--brokers", type=int, default=200, help="image: how many (default: 200)")
    parser.add_argument(
        "--led", type=int, default=10_000, help="image: partitions that the broker to be fenced leads (default: 10000)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Measure. Raises ConfigError and BenchError."""
    if arguments.what == "loop":
        return loop.run(check=arguments.check, as_json=arguments.json)
    if arguments.what == "image":
        return image.run(arguments)
    only = [word.strip() for word in arguments.only.split(",") if word.strip()]
    unknown = [word for word in only if word not in (*KINDS, "failover")]
    if unknown:
        raise ConfigError([f"--only {unknown[0]}: of writes, reads, local, failover"])
    try:
        shapes = [Shape.parse(text.strip()) for text in arguments.clients.split(",")]
    except ValueError as exc:
        raise ConfigError([f"--clients: {exc}"]) from None
    server = arguments.server or os.environ.get("YAKT_SERVER")
    if server:
        try:
            addresses = [Address.parse(text.strip()) for text in server.split(",")]
        except ValueError as exc:
            raise ConfigError([f"--server: {exc}"]) from None
        return _measure(arguments, [(each.host, each.port) for each in addresses], None, shapes, only)
    _note(f"starting {arguments.nodes} nodes")
    with own_cluster(arguments.nodes, arguments.data, keep=arguments.keep) as nodes:
        if arguments.keep:
            _note(f"data and logs stay in {nodes.directory}")
        return _measure(arguments, nodes.addresses, nodes, shapes, only)


def _measure(
    arguments: argparse.Namespace,
    addresses: list[tuple[str, int]],
    nodes: Nodes | None,
    shapes: list[Shape],
    only: list[str],
) -> int:
    report: dict[str, Any] = {"nodes": len(addresses), "at": arguments.at, "runs": []}
    try:
        _fill(report, arguments, addresses, nodes, shapes, only)
    finally:  # what is measured is told, whatever fails afterwards
        if arguments.json:
            print(json.dumps(report))
        else:
            _print(report)
    return FOUND_TROUBLE if any(run["errors"] for run in report["runs"]) else 0


def _fill(
    report: dict[str, Any],
    arguments: argparse.Namespace,
    addresses: list[tuple[str, int]],
    nodes: Nodes | None,
    shapes: list[Shape],
    only: list[str],
) -> None:
    if nodes is not None:
        report["fdatasync_p50_ms"] = round(sync_ms(nodes.directory), 3)
    run_id = os.getpid() * 1000 + int(time.time()) % 1000
    for kind in (kind for kind in KINDS if kind in only):
        for shape in shapes:
            measured = []
            for _ in range(arguments.rounds):
                _note(f"{kind}, {shape} clients …")
                targets = _targets(addresses, arguments.at)
                cpu = nodes.cpu_seconds() if nodes else 0.0
                began = time.perf_counter()
                measured.append(_run(targets, shape, kind, arguments.seconds, run_id))
                if nodes:
                    measured[-1]["nodes_cpu"] = round((nodes.cpu_seconds() - cpu) / (time.perf_counter() - began), 2)
            report["runs"].append(_median(kind, measured))
    if "failover" in only and nodes is not None and len(addresses) > 1:
        for which in (signal.SIGKILL, signal.SIGSTOP):
            _note(f"failover by {which.name} …")
            gaps = [_fail_over(nodes, which) for _ in range(arguments.trials)]
            report[f"failover_{which.name.lower()}_ms"] = {
                "median": round(statistics.median(gaps), 1),
                "all": [round(gap, 1) for gap in sorted(gaps)],
            }


def _targets(addresses: list[tuple[str, int]], at: str) -> list[tuple[str, int]]:
    leader = find_leader(addresses)
    if at == "any":
        return addresses
    others = [address for address in addresses if address != leader]
    return others[:1] if at == "follower" and others else [leader]


_serial = itertools.count()


def _run(targets: list[tuple[str, int]], shape: Shape, kind: str, seconds: float, run_id: int) -> dict[str, Any]:
    if kind != "writes":
        reply = ask(targets[0], f"CONFIG SET client-metrics/bench metrics={VALUE.decode()}")
        if not reply.startswith("OK"):
            raise BenchError(f"the value to read could not be written: {reply}")
    load: Load | None = None
    try:
        load = Load(targets, shape, _maker(kind, run_id))
        measured: Measured = load.run(seconds, warm_up=min(1.0, seconds / 3))
    except OSError as exc:
        where = ", ".join(f"{host}:{port}" for host, port in targets)
        raise BenchError(f"{kind} with {shape} clients at {where}: {exc}") from exc
    finally:
        if load is not None:
            load.close()
    return attrs.asdict(measured)


def _maker(kind: str, run_id: int) -> MakeRequests:
    if kind == "writes":
        tail = b" metrics=" + VALUE + b"\n"
        head = b"CONFIG SET client-metrics/%x-" % run_id

        def writes(count: int) -> bytes:
            return b"".join([b"%s%x%s" % (head, next(_serial), tail) for _ in range(count)])

        return writes
    line = b"CONFIG GET client-metrics/bench" + (b" read=local\n" if kind == "local" else b"\n")
    return lambda count: line * count


def _median(kind: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The run in the middle by throughput, and all throughputs."""
    ordered = sorted(measured, key=lambda run: run["per_second"])
    middle = ordered[len(ordered) // 2]
    rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in middle.items()}
    rounded["errors"] = sum(run["errors"] for run in measured)
    return {"kind": kind, **rounded, "all_per_second": [round(run["per_second"]) for run in ordered]}


def _fail_over(nodes: Nodes, which: signal.Signals) -> float:
    """From the leader's end (or standstill) to the next committed write, in ms."""
    leader = find_leader(nodes.addresses)
    number = nodes.number_at(leader)
    others = [address for address in nodes.addresses if address != leader]
    for address in others:
        _wait_until_whole(nodes, address)
    began = time.perf_counter()
    nodes.signal(number, which)
    while True:
        reply = ask(others[0], f"CONFIG SET client-metrics/f metrics={time.time_ns()}", timeout=30)
        if reply.startswith("OK"):
            break
        if time.perf_counter() - began > 30:
            raise BenchError(f"no commit within 30 s after {which.name} of the leader: {reply}")
    gap = (time.perf_counter() - began) * 1000
    if which is signal.SIGKILL:
        nodes.start(number)
    else:
        nodes.signal(number, signal.SIGCONT)
    _wait_until_whole(nodes, leader)
    return gap


def _wait_until_whole(nodes: Nodes, address: tuple[str, int], seconds: float = WHOLE_S) -> None:
    """Until the node there commits writes. Raises BenchError: what it said instead, and the end of its log."""
    end = time.monotonic() + seconds
    while True:
        try:
            said = ask(address, "CONFIG SET client-metrics/f metrics=1")
        except OSError as exc:
            said = str(exc)
        if said.startswith("OK"):
            return
        if time.monotonic() > end:
            words = nodes.last_words(nodes.number_at(address))
            raise BenchError(f"after {seconds:g} s no write at {address[0]}:{address[1]} ({said}); {words}")
        time.sleep(POLL_S)


def _print(report: dict[str, Any]) -> None:
    if "fdatasync_p50_ms" in report:
        print(f"fdatasync of 256 bytes, p50: {report['fdatasync_p50_ms']} ms")
    heads = (
        f"{'clients':>9}{'per s':>11}{'p50 ms':>9}{'p99 ms':>9}{'p99.9':>9}{'nodes CPU':>11}{'own CPU':>9}{'ERR':>5}"
    )
    print(f"{'':8}{heads}")
    for run in report["runs"]:
        nodes_cpu = f"{run['nodes_cpu'] * 100:.0f} %" if "nodes_cpu" in run else "-"
        print(
            f"{run['kind']:8}{run['shape']:>9}{run['per_second']:>11,.0f}{run['p50_ms']:>9.2f}{run['p99_ms']:>9.2f}"
            f"{run['p999_ms']:>9.2f}{nodes_cpu:>11}{run['cpu'] * 100:>7.0f} %{run['errors']:>5}"
        )
        for line in run["first_errors"]:
            print(f"          {line}")
        if run["cpu"] >= 0.9:
            print("          the generator was the bottleneck here: the cluster can do more")
    for key in ("failover_sigkill_ms", "failover_sigstop_ms"):
        if key in report:
            found = report[key]
            name = key.split("_")[1].upper()
            print(f"{name} of the leader to the next commit: {found['median']} ms (all: {found['all']})")


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
