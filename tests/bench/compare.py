"""YAKt beside etcd and ZooKeeper: three nodes each on this disk, one load at a time, in alternating rounds.

    .venv/bin/python tests/bench/compare.py [--rounds 3] [--seconds 3] [--in-flight 1,16,128,1000] [--json FILE]

Only ratios of one run mean anything; where others use the machine too, which is measured and said, the CPU that the
servers took for an operation means more than the rate. One Go program loads all three. What is not installed is left
out, and said so: etcd (Debian etcd-server), ZooKeeper (Debian zookeeper, with Java), Go. Not part of the product.
"""

import argparse
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from yakt.bench.cluster import find_leader, own_cluster, sync_ms  # noqa: E402

HERE = Path(__file__).resolve().parent
ZK_JARS = (
    *("zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "log4j-1.2", "netty", "netty-all", "metrics-core"),
    *("snappy-java", "commons-cli", "commons-io", "commons-logging", "jackson-core", "jackson-databind"),
    *("jackson-annotations", "audience-annotations"),
)
DISTURBED = 0.15
"""Of a core: a run in which others took more does not count (performance.md §5)."""
DEPTHS = {16: 8, 128: 16, 1000: 100}
"""Lines in flight on each connection, where they are pipelined."""
Run = Callable[[int], dict[str, Any]]
"""Operations in flight -> what was measured."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--in-flight", default="1,16,128,1000")
    parser.add_argument("--reads", action="store_true", help="linearizable reads too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    in_flight = [int(text) for text in arguments.in_flight.split(",")]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yakt-compare-", dir=ROOT.parent)))
        load = build_load(scratch)
        if load is None:
            print("all left out: the load is a Go program, and could not be built here")
            return 0
        runs: dict[str, Run] = {}
        seconds = arguments.seconds
        nodes = stack.enter_context(own_cluster(3, scratch))

        def yakt_leader() -> str:
            host, port = find_leader(nodes.addresses)
            return f"{host}:{port}"

        ours = list(nodes.processes.values())
        runs["yakt"] = load_of(load, "yakt-set", yakt_leader, ours, seconds)
        runs["yakt pipelined"] = load_of(load, "yakt-set", yakt_leader, ours, seconds, pipelined=True)
        if arguments.reads:
            runs["yakt get"] = load_of(load, "yakt-get", yakt_leader, ours, seconds)
            runs["yakt get pipelined"] = load_of(load, "yakt-get", yakt_leader, ours, seconds, pipelined=True)
        if shutil.which("etcd"):
            leader, theirs = stack.enter_context(etcd(scratch))
            runs["etcd put"] = load_of(load, "etcd-put", leader, theirs, seconds)
            if arguments.reads:
                runs["etcd get"] = load_of(load, "etcd-get", leader, theirs, seconds)
        else:
            print("etcd: left out, it is not here (apt-get install etcd-server)")
        if shutil.which("java") and Path("/usr/share/java/zookeeper.jar").exists():
            leader, theirs = stack.enter_context(zookeeper(scratch))
            runs["zk create"] = load_of(load, "zk-create", leader, theirs, seconds)
            runs["zk set"] = load_of(load, "zk-set", leader, theirs, seconds)
            if arguments.reads:
                runs["zk sync+get"] = load_of(load, "zk-sync-get", leader, theirs, seconds)
        else:
            print("ZooKeeper: left out, no Java or no ZooKeeper here (apt-get install zookeeper)")
        measured: dict[str, dict[int, list[dict[str, Any]]]] = {
            name: {count: [] for count in in_flight} for name in runs
        }
        disk: list[float] = []
        signal.signal(
            signal.SIGTERM, lambda *_: sys.exit(143)
        )  # so that servers are ended and what is measured is told
        try:
            for turn in range(arguments.rounds):
                disk.append(sync_ms(scratch))
                for count in in_flight:
                    for name, run in runs.items():
                        print(f"round {turn + 1}: {name}, {count} in flight …", file=sys.stderr, flush=True)
                        measured[name][count].append(run(count))
        finally:
            whole = [count for count in in_flight if all(cells[count] for cells in measured.values())]
            if whole:
                report(measured, whole, disk)
            if arguments.json:
                arguments.json.write_text(json.dumps({"disk_ms": disk, "measured": measured}), encoding="utf-8")
    return 0


def report(measured: dict[str, dict[int, list[dict[str, Any]]]], in_flight: list[int], disk: list[float]) -> None:
    """Medians, and YAKt's ratio to each other within each round."""
    print(f"fdatasync of 256 bytes, p50 a round: {', '.join(f'{each:.3f}' for each in disk)} ms")
    print(f"{'op/s (p50 / p99 ms)':22}" + "".join(f"{count:>26}" for count in in_flight))
    for name, cells in measured.items():
        row = []
        for count in in_flight:
            middle = sorted(cells[count], key=lambda run: run["per_second"])[len(cells[count]) // 2]
            row.append(f"{middle['per_second']:,.0f} ({middle['p50_ms']:.1f} / {middle['p99_ms']:.1f})")
        print(f"{name:22}" + "".join(f"{cell:>26}" for cell in row))
    print("servers' CPU, µs an operation (all three nodes)")
    for name, cells in measured.items():
        row = [f"{statistics.median(map(cpu_us, cells[count])):.1f}" for count in in_flight]
        print(f"{name:22}" + "".join(f"{cell:>26}" for cell in row))
    print("ratios within a round, median (lowest-highest): of the rates; and theirs to ours of CPU an operation")
    for mine, theirs in (
        ("yakt", "etcd put"),
        ("yakt pipelined", "etcd put"),
        ("yakt", "zk create"),
        ("yakt pipelined", "zk create"),
        ("yakt", "zk set"),
        ("yakt pipelined", "zk set"),
        ("yakt get", "etcd get"),
        ("yakt get pipelined", "etcd get"),
        ("yakt get", "zk sync+get"),
    ):
        if mine in measured and theirs in measured:
            row = []
            for count in in_flight:
                # the last round may be cut short
                pairs = list(zip(measured[mine][count], measured[theirs][count], strict=False))
                ratios = [a["per_second"] / b["per_second"] for a, b in pairs if b["per_second"]]
                low, high = min(ratios, default=0), max(ratios, default=0)
                cpu = statistics.median([cpu_us(b) / cpu_us(a) for a, b in pairs if cpu_us(a)] or [0])
                row.append(f"{statistics.median(ratios or [0]):.2f} ({low:.2f}-{high:.2f}) {cpu:.1f}")
            print(f"{mine + ' / ' + theirs:30}"[:30] + "".join(f"{cell:>24}" for cell in row))
    every = [run for cells in measured.values() for found in cells.values() for run in found]
    others = [run["others_cpu"] for run in every]
    print(
        f"others' CPU: median {statistics.median(others):.2f}, at most {max(others):.2f} of a core; "
        f"{sum(each > DISTURBED for each in others)} of {len(others)} runs had more than {DISTURBED:g} and do not count"
    )
    print(f"the load's own CPU: at most {max(run['cpu'] for run in every):.2f} of a core")
    errors = {name: sum(run["errors"] for runs in cells.values() for run in runs) for name, cells in measured.items()}
    print("errors: " + ", ".join(f"{name} {count}" for name, count in errors.items()))


def cpu_us(run: dict[str, Any]) -> float:
    """What the servers took for an operation."""
    return float(run["servers_cpu"]) / float(run["per_second"]) * 1e6 if run["per_second"] else 0.0


def build_load(scratch: Path) -> Path | None:
    """The Go program, built; None without Go, or without the modules it needs."""
    if shutil.which("go") is None:
        return None
    target = scratch / "load"
    built = subprocess.run(["go", "build", "-o", target, "."], cwd=HERE / "load", check=False)
    return target if built.returncode == 0 else None


def load_of(
    load: Path,
    kind: str,
    leader: Callable[[], str],
    servers: Sequence["subprocess.Popen[bytes]"],
    seconds: float,
    *,
    pipelined: bool = False,
) -> Run:
    """One kind of load at whoever leads at that moment. YAKt: a connection for each line in flight, or pipelined."""

    def run(in_flight: int) -> dict[str, Any]:
        depth = DEPTHS.get(in_flight, 1) if pipelined else 1
        connections = in_flight // depth if kind.startswith("yakt") else 16
        options = {"kind": kind, "servers": leader(), "in-flight": in_flight, "conns": connections, "depth": depth}
        options |= {"seconds": seconds, "pids": ",".join(str(server.pid) for server in servers)}
        command = [str(load), *(f"-{name}={value}" for name, value in options.items())]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{kind}, {in_flight} in flight: {done.stderr.strip()}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


@contextmanager
def running(commands: list[list[str]], directory: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Processes, ended at the end; their words in files."""
    processes = []
    try:
        for number, command in enumerate(commands):
            with (directory / f"{number}.log").open("ab") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def etcd(scratch: Path) -> Iterator[tuple[Callable[[], str], list["subprocess.Popen[bytes]"]]]:
    """Three members with default durability: how to find the leader's client address, and the processes."""
    directory = scratch / "etcd"
    directory.mkdir()
    ports = free_ports(6)
    peers = ",".join(f"e{n}=http://127.0.0.1:{ports[n + 3]}" for n in range(3))
    commands = []
    for n in range(3):
        client, peer = f"http://127.0.0.1:{ports[n]}", f"http://127.0.0.1:{ports[n + 3]}"
        commands.append(
            f"etcd --name e{n} --data-dir {directory}/e{n} "
            f"--listen-client-urls {client} --advertise-client-urls {client} "
            f"--listen-peer-urls {peer} --initial-advertise-peer-urls {peer} --initial-cluster {peers} "
            "--initial-cluster-state new --quota-backend-bytes 8000000000 --log-level error".split()
        )
    with running(commands, directory) as processes:
        find = partial(wait_for, lambda: etcd_leader(ports[:3]), "etcd")
        find()
        yield find, processes


def etcd_leader(ports: list[int]) -> str | None:
    for port in ports:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=1) as answer:
                if b"\netcd_server_is_leader 1\n" in answer.read():
                    return f"127.0.0.1:{port}"
        except OSError:
            continue
    return None


@contextmanager
def zookeeper(scratch: Path) -> Iterator[tuple[Callable[[], str], list["subprocess.Popen[bytes]"]]]:
    """Three servers with forced syncs (the default): how to find the leader's client address, and the processes."""
    directory = scratch / "zk"
    ports = free_ports(9)
    servers = "\n".join(f"server.{n + 1}=127.0.0.1:{ports[n + 3]}:{ports[n + 6]}" for n in range(3))
    classpath = ":".join(f"/usr/share/java/{jar}.jar" for jar in ZK_JARS if Path(f"/usr/share/java/{jar}.jar").exists())
    commands = []
    for n in range(3):
        data = directory / f"z{n}"
        data.mkdir(parents=True)
        (data / "myid").write_text(f"{n + 1}\n")
        config = directory / f"z{n}.cfg"
        config.write_text(
            f"tickTime=2000\ninitLimit=10\nsyncLimit=5\nmaxClientCnxns=0\nadmin.enableServer=false\n"
            f"4lw.commands.whitelist=srvr\ndataDir={data}\nclientPort={ports[n]}\n{servers}\n"
        )
        commands.append(
            ["java", "-Xmx1g", "-cp", classpath, "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(config)]
        )
    with running(commands, directory) as processes:
        find = partial(wait_for, lambda: zookeeper_leader(ports[:3]), "ZooKeeper")
        find()
        yield find, processes


def zookeeper_leader(ports: list[int]) -> str | None:
    for port in ports:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
                sock.sendall(b"srvr")
                reply = b""
                while piece := sock.recv(4096):
                    reply += piece
        except OSError:
            continue
        if b"Mode: leader" in reply:
            return f"127.0.0.1:{port}"
    return None


def wait_for(find: Callable[[], str | None], name: str, seconds: float = 30.0) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = find()
        if found is not None:
            return found
        time.sleep(0.1)
    raise SystemExit(f"{name} has no leader after {seconds:g} s")


if __name__ == "__main__":
    sys.exit(main())
