"""The cluster a bench runs against: processes of our own, in temporary data, or one that is there already."""

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from yakt.config import Config
from yakt.dev.configs import dev_configs, format_config
from yakt.errors import YaktError

START_S = 20.0
POLL_S = 0.02
LAST_WORDS = 3
TICKS = os.sysconf("SC_CLK_TCK")


class BenchError(YaktError):
    """The cluster cannot be measured."""


def ask(address: tuple[str, int], line: str, timeout: float = 5.0) -> str:
    """The last line of the reply. Raises OSError."""
    with socket.create_connection(address, timeout=timeout) as sock:
        sock.sendall(line.encode() + b"\n")
        sock.shutdown(socket.SHUT_WR)
        reply = b""
        while piece := sock.recv(65536):
            reply += piece
    return reply.decode().rstrip("\n").rpartition("\n")[2]


def pairs_of(line: str) -> dict[str, str]:
    """`key=value` words of a reply line."""
    return dict(word.split("=", 1) for word in line.split() if "=" in word)


def find_leader(addresses: list[tuple[str, int]], timeout: float = START_S) -> tuple[str, int]:
    """The line address of the node that leads. Raises BenchError."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        for address in addresses:
            try:
                status = pairs_of(ask(address, "STATUS", timeout=1.0))
            except OSError:
                continue
            if status.get("role") == "leader":
                return address
        time.sleep(POLL_S)
    raise BenchError(f"no leader among {', '.join(f'{host}:{port}' for host, port in addresses)}: is it running?")


@attrs.define(eq=False)
class Nodes:
    """Nodes as processes of our own."""

    directory: Path
    configs: tuple[Config, ...]
    processes: dict[int, "subprocess.Popen[bytes]"] = attrs.Factory(dict)

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Their line addresses."""
        return [(config.line.listen.host, config.line.listen.port) for config in self.configs]

    def number_at(self, address: tuple[str, int]) -> int:
        """Which node listens there."""
        return self.addresses.index(address) + 1

    def start(self, number: int) -> None:
        """Start one; its words go to a file."""
        path = self.directory / f"node{number}.toml"
        path.write_text(format_config(self.configs[number - 1]), encoding="utf-8")
        with (self.directory / f"node{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(
                [sys.executable, "-m", "yakt", "serve", str(path), "--log-level", "warning"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def last_words(self, number: int) -> str:
        """The end of what one has logged, and whether it still runs."""
        text = (self.directory / f"node{number}.log").read_text(encoding="utf-8", errors="replace")
        status = self.processes[number].poll()
        state = "runs" if status is None else f"ended with status {status}"
        return f"node {number} {state}, its last words: " + " / ".join(text.splitlines()[-LAST_WORDS:])

    def signal(self, number: int, which: signal.Signals) -> None:
        """Send one a signal; SIGKILL waits until it is gone."""
        process = self.processes[number]
        process.send_signal(which)
        if which is signal.SIGKILL:
            process.wait()

    def cpu_seconds(self) -> float:
        """What all have used so far."""
        total = 0.0
        for process in self.processes.values():
            try:
                fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            except OSError:
                continue
            total += (int(fields[11]) + int(fields[12])) / TICKS
        return total

    def stop(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def own_cluster(count: int, data: Path | None, *, keep: bool = False) -> Iterator[Nodes]:
    """Run nodes on free ports, data below `data` or in the temporary directory; removed afterwards unless `keep`."""
    directory = Path(tempfile.mkdtemp(prefix="yakt-bench-", dir=data))
    nodes = Nodes(directory, dev_configs(directory, nodes=count, base_port=0))
    try:
        for number in range(1, count + 1):
            nodes.start(number)
        find_leader(nodes.addresses)
        yield nodes
    finally:
        nodes.stop()
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def sync_ms(directory: Path, count: int = 200) -> float:
    """Median time of an append of 256 bytes and fdatasync there, in ms."""
    path = directory / "sync.probe"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    times = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            os.write(descriptor, bytes(256))
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(times) * 1000
