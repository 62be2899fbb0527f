"""YAKt beside etcd and ZooKeeper: three nodes each on this disk, one load at a time, in alternating rounds.

    .venv/bin/python tests/bench/compare.py [--rounds 3] [--seconds 3] [--in-flight 1,16,128,1000] [--json FILE]

Only ratios of one run mean anything. What is not installed is left out, and said so: etcd (Debian etcd-server),
ZooKeeper (Debian zookeeper, with Java), and Go, which builds the load for both. Not part of the product.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from yakt.bench.cluster import Nodes, own_cluster, sync_ms  # noqa: E402

HERE = Path(__file__).resolve().parent
ZK_JARS = (
    *("zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "log4j-1.2", "netty", "netty-all", "metrics-core"),
    *("snappy-java", "commons-cli", "commons-io", "commons-logging", "jackson-core", "jackson-databind"),
    *("jackson-annotations", "audience-annotations"),
)
Run = Callable[[int, int], dict[str, Any]]
"""(lines or operations in flight, connections) -> what was measured."""


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
        runs: dict[str, Run] = {}
        nodes = stack.enter_context(own_cluster(3, scratch))
        runs.update(yakt_runs(nodes, arguments))
        if load is not None and shutil.which("etcd"):
            leader = stack.enter_context(etcd(scratch))
            runs["etcd put"] = foreign(load, "etcd-put", leader, arguments.seconds)
            if arguments.reads:
                runs["etcd get"] = foreign(load, "etcd-get", leader, arguments.seconds)
        else:
            print("etcd: left out, no etcd or no Go here (apt-get install etcd-server)")
        if load is not None and shutil.which("java") and Path("/usr/share/java/zookeeper.jar").exists():
            leader = stack.enter_context(zookeeper(scratch))
            runs["zk create"] = foreign(load, "zk-create", leader, arguments.seconds)
            runs["zk set"] = foreign(load, "zk-set", leader, arguments.seconds)
            if arguments.reads:
                runs["zk sync+get"] = foreign(load, "zk-sync-get", leader, arguments.seconds)
        else:
            print("ZooKeeper: left out, no Java, ZooKeeper or Go here (apt-get install zookeeper)")
        measured: dict[str, dict[int, list[dict[str, Any]]]] = {
            name: {count: [] for count in in_flight} for name in runs
        }
        disk = []
        for turn in range(arguments.rounds):
            disk.append(sync_ms(scratch))
            for count in in_flight:
                for name, run in runs.items():
                    print(f"round {turn + 1}: {name}, {count} in flight …", file=sys.stderr, flush=True)
                    measured[name][count].append(run(count, 16))
        report(measured, in_flight, disk)
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
    for mine, theirs in (
        ("yakt", "etcd put"),
        ("yakt pipelined", "etcd put"),
        ("yakt", "zk create"),
        ("yakt", "zk set"),
        ("yakt get", "etcd get"),
        ("yakt get", "zk sync+get"),
    ):
        if mine in measured and theirs in measured:
            row = []
            for count in in_flight:
                pairs = zip(measured[mine][count], measured[theirs][count], strict=True)
                ratios = [a["per_second"] / b["per_second"] for a, b in pairs if b["per_second"]]
                low, high = min(ratios, default=0), max(ratios, default=0)
                row.append(f"{statistics.median(ratios or [0]):.2f} ({low:.2f}-{high:.2f})")
            print(f"{mine + ' / ' + theirs:22}" + "".join(f"{cell:>26}" for cell in row))
    errors = {name: sum(run["errors"] for runs in cells.values() for run in runs) for name, cells in measured.items()}
    print("errors: " + ", ".join(f"{name} {count}" for name, count in errors.items()))


def build_load(scratch: Path) -> Path | None:
    """The Go program, built; None without Go."""
    if shutil.which("go") is None:
        return None
    target = scratch / "load"
    subprocess.run(["go", "build", "-o", target, "."], cwd=HERE / "load", check=True)
    return target


def foreign(load: Path, kind: str, leader: str, seconds: float) -> Run:
    def run(in_flight: int, connections: int) -> dict[str, Any]:
        command = [load, "-kind", kind, "-servers", leader, "-in-flight", str(in_flight), "-conns", str(connections)]
        done = subprocess.run([*command, "-seconds", str(seconds)], check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def yakt_runs(nodes: Nodes, arguments: argparse.Namespace) -> dict[str, Run]:
    server = ",".join(f"{host}:{port}" for host, port in nodes.addresses)

    def bench(only: str, shape: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "yakt", "bench", "--server", server, "--only", only, "--clients", shape]
        done = subprocess.run(
            [*command, "--seconds", str(arguments.seconds), "--json"],
            check=False,  # 5: some reply was an ERR, which the report shows
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        found: dict[str, Any] = json.loads(done.stdout)["runs"][0]
        return found

    def pipelined(in_flight: int, _: int) -> dict[str, Any]:
        shape = {1: "1", 16: "2x8", 128: "8x16", 1000: "10x100"}.get(in_flight, str(in_flight))
        return bench("writes", shape)

    runs: dict[str, Run] = {"yakt": lambda count, _: bench("writes", str(count)), "yakt pipelined": pipelined}
    if arguments.reads:
        runs["yakt get"] = lambda count, _: bench("reads", str(count))
    return runs


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


@contextmanager
def running(commands: list[list[str]], directory: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    """Processes, ended at the end; their words in files."""
    processes = []
    try:
        for number, command in enumerate(commands):
            with (directory / f"{number}.log").open("ab") as log:
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(env or {})}))
        yield
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
def etcd(scratch: Path) -> Iterator[str]:
    """Three members with default durability; the leader's client address."""
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
    with running(commands, directory):
        yield wait_for(lambda: etcd_leader(ports[:3]), "etcd")


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
def zookeeper(scratch: Path) -> Iterator[str]:
    """Three servers with forced syncs (the default); the leader's client address."""
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
    with running(commands, directory):
        yield wait_for(lambda: zookeeper_leader(ports[:3]), "ZooKeeper")


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
