"""Three nodes and three stock brokers of three releases that many tests share, run by a thread of their own.

Tests are plain functions: each call here is carried out in that thread's Trio run. `wait` is told what it waits for by
the nodes themselves.
"""

import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path
from typing import TypeVar

import attrs
import trio

from tests.kafka_lab.tools import Tools, running_tools
from yakt.client import Client, open_client
from yakt.dev.brokers import Broker
from yakt.dev.cluster import Cluster, open_cluster
from yakt.dev.configs import dev_configs
from yakt.dev.releases import Release
from yakt.metadata.answers import Answer, Pairs

_T = TypeVar("_T")
WAIT_S = 60.0
SESSION_MS = 5000
LOG_DIRS = {13: 2}
MORE = {
    "replica.high.watermark.checkpoint.interval.ms": "500",  # a directory that fails is noticed by this
    "controlled.shutdown.retry.backoff.ms": "500",
    "replica.lag.time.max.ms": "4000",
    "request.timeout.ms": "5000",
}


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@attrs.define(eq=False)
class Stage:
    """The cluster as tests see it. Brokers are 11, 12 and 13; 13 has two log directories."""

    cluster: Cluster
    client: Client
    releases: Sequence[Release]
    _token: trio.lowlevel.TrioToken
    _stack: ExitStack
    _tools: dict[str, Tools] = attrs.field(factory=dict)

    def call(self, work: Callable[..., Awaitable[_T]], *arguments: object) -> _T:
        """Have this done in the stage's own run."""
        return trio.from_thread.run(work, *arguments, trio_token=self._token)

    def ask(self, line: str) -> Answer:
        """What a node answers to a line; refusals are raised."""

        async def ask() -> Answer:
            return await self.client.ask_line(line, timeout=20)

        return self.call(ask)

    def wait(self, line: str, holds: Callable[[list[Pairs]], object]) -> list[Pairs]:
        """Until the rows that answer this line are so; asked anew after each change of the metadata."""

        async def wait() -> list[Pairs]:
            rows: list[Pairs] = []
            with trio.move_on_after(WAIT_S):
                answer = await self._read(line)
                rows = [row.pairs for row in answer.rows]
                if holds(rows):
                    return rows
                async with aclosing(self.client.watch(since=int(str(answer.pairs["offset"])))) as events:
                    async for _ in events:
                        answer = await self._read(line)
                        rows = [row.pairs for row in answer.rows]
                        if holds(rows):
                            return rows
            raise AssertionError(f"{line}: after {WAIT_S:g} s still {rows}")

        return self.call(wait)

    async def _read(self, line: str) -> Answer:
        """A read may be asked twice: of another node, where one hangs."""
        noun, verb, *words = line.split()
        keys = dict(word.split("=", 1) for word in words if "=" in word)
        return await self.client.ask(f"{noun} {verb}", *(one for one in words if "=" not in one), timeout=20, **keys)

    def leader(self) -> int:
        """The node that leads; waits for an election that is under way."""
        while (leader := self.call(self._read, "QUORUM SHOW").pairs["leader"]) is None:
            self.call(self._read, "TOPIC LIST")  # answered once somebody leads
        return int(str(leader))

    # --- processes

    @property
    def bootstrap(self) -> str:
        """Where clients find the brokers."""
        return ",".join(broker.address for broker in self.cluster.brokers.values())

    def broker(self, broker_id: int) -> Broker:
        """A broker's place."""
        return self.cluster.brokers[broker_id]

    def kill(self, process_id: int) -> None:
        """SIGKILL."""
        self.call(self.cluster.kill, process_id)

    def pause(self, process_id: int) -> None:
        """SIGSTOP."""
        trio.from_thread.run_sync(self.cluster.pause, process_id, trio_token=self._token)

    def start(self, *process_ids: int) -> None:
        """Start these, or let them go on; until they serve, and brokers are unfenced."""
        for process_id in process_ids:
            trio.from_thread.run_sync(self.cluster.start, process_id, trio_token=self._token)
        self.call(self.cluster.wait_serving, *process_ids)
        for broker_id in set(process_ids) & set(self.cluster.brokers):
            self.wait(f"BROKER SHOW {broker_id}", lambda rows: rows[0]["fenced"] is False)

    def terminate(self, process_id: int) -> int:
        """SIGTERM; the exit status."""
        trio.from_thread.run_sync(self.cluster.terminate, process_id, trio_token=self._token)
        process = self.cluster.process(process_id)
        self.call(process.wait_until, "down")
        assert process.process is not None
        assert process.process.returncode is not None
        return process.process.returncode

    def restore(self) -> None:
        """All that a test has left down or paused is up again."""
        everything = (*self.cluster.nodes.values(), *self.cluster.brokers.values())
        self.start(*(process.id for process in everything if process.state in ("down", "paused")))
        for broker_id in self.cluster.brokers:
            self.wait(f"BROKER SHOW {broker_id}", lambda rows: rows and rows[0]["fenced"] is False)

    # --- Kafka's tools

    def tools(self, version: str) -> Tools:
        """The tools of a release."""
        if version not in self._tools:
            [release] = [release for release in self.releases if release.version == version]
            self._tools[version] = self._stack.enter_context(running_tools(release))
        return self._tools[version]

    def tool(self, tool: str, *arguments: str, version: str = "4.3.1", stdin: str = "") -> str:
        """What a tool printed that speaks with the brokers."""
        return self.tools(version)(tool, "--bootstrap-server", self.bootstrap, *arguments, stdin=stdin)

    def tool_until(self, words: str, tool: str, *arguments: str, version: str = "4.3.1") -> str:
        """The same, asked until it says these words: a broker may not have applied yet what another one was told."""
        end = time.monotonic() + WAIT_S
        while True:
            said = self.tools(version).run(tool, "--bootstrap-server", self.bootstrap, *arguments)
            if said.status == 0 and words in said.out:
                return said.out
            assert time.monotonic() < end, f"{tool} {arguments} does not say {words!r}: {said.out}\n{said.err[-3000:]}"


@contextmanager
def running_stage(releases: Sequence[Release], directory: Path) -> Iterator[Stage]:
    """The stage with everything up; all of it is stopped in order at the end."""
    opened: list[Stage | BaseException] = []
    is_open, may_close = threading.Event(), trio.Event()
    told: list[str] = []

    async def run() -> None:
        configs = dev_configs(directory, nodes=3, base_port=0)
        configs = tuple(
            attrs.evolve(
                config, controller=attrs.evolve(config.controller, broker_session_timeout_ms=SESSION_MS), http=None
            )
            for config in configs
        )
        async with open_cluster(configs, directory, told.append) as cluster:
            for broker_id, release in enumerate(releases, 11):
                cluster.add_broker(
                    broker_id, free_port(), release, replication=3, log_dirs=LOG_DIRS.get(broker_id, 1),
                    more={**MORE, "broker.session.timeout.ms": str(SESSION_MS)},
                )  # fmt: skip
            for process_id in (*cluster.nodes, *cluster.brokers):
                cluster.start(process_id)
            await cluster.wait_serving()
            await cluster.wait_serving(*cluster.brokers)
            servers = ",".join(str(node.line_address) for node in cluster.nodes.values())
            async with open_client(servers, name="stage") as client:
                with ExitStack() as stack:
                    opened.append(Stage(cluster, client, releases, trio.lowlevel.current_trio_token(), stack))
                    is_open.set()
                    await may_close.wait()

    def in_thread() -> None:
        try:
            trio.run(run)
        except BaseException as exc:
            opened.append(exc)
        finally:
            is_open.set()

    thread = threading.Thread(target=in_thread, name="stage")
    thread.start()
    is_open.wait()
    first = opened[0]
    if isinstance(first, BaseException):
        raise RuntimeError("\n".join(told)) from first
    try:
        yield first
    finally:
        trio.from_thread.run_sync(may_close.set, trio_token=first._token)
        thread.join()
    for node in first.cluster.nodes.values():
        assert "Traceback" not in node.log_path.read_text(), node.log_path
