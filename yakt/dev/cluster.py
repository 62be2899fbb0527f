"""The processes of one cluster: its nodes, and the Kafka brokers that live on it. Knows no line protocol."""

import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from yakt.address import Address
from yakt.config import Config
from yakt.dev import processes
from yakt.dev.brokers import Broker
from yakt.dev.configs import format_config
from yakt.dev.processes import Process, ProcessError, Tell
from yakt.dev.releases import Release
from yakt.ids import NodeId

START_S = 20.0
STOP_S = 6.0
"""Nodes that have not stopped by then are killed."""
BROKER_START_S = 120.0
"""A JVM takes three seconds on a quiet machine, and much longer on a busy one."""
BROKER_STOP_S = 20.0


def serve_command(config_path: Path) -> list[str]:
    """What runs one node."""
    return [sys.executable, "-m", "yakt", "serve", str(config_path)]


@attrs.define(eq=False, kw_only=True)
class Node(Process):
    """One node: its configuration, and its process while it has one."""

    id: NodeId
    noun: str = "node"
    config: Config
    config_path: Path
    line_address: Address
    """Where it takes lines; port 0 of the configuration becomes the one it got when it serves."""
    _command: Callable[[Path], list[str]]

    def command(self) -> Sequence[str]:
        """`yakt serve` with its configuration, unless told otherwise."""
        return self._command(self.config_path)

    def notice(self, line: str) -> bool:
        """Its first line names its addresses."""
        if not line.startswith(f"yakt node {self.id} serving: "):
            return False
        if bound := re.search(r" line (\S+)", line):
            self.line_address = Address.parse(bound[1])
        return True


@attrs.define(eq=False)
class Cluster:
    """All nodes of one cluster, by id, and its brokers, whose ids are others. Made by `open_cluster`."""

    nodes: Mapping[NodeId, Node]
    tell: Tell
    _nursery: trio.Nursery
    _directory: Path
    brokers: dict[int, Broker] = attrs.field(factory=dict)

    def add_broker(
        self,
        broker_id: int,
        port: int,
        release: Release,
        *,
        replication: int = 1,
        log_dirs: int = 1,
        more: Mapping[str, str] | None = None,
    ) -> Broker:
        """A stock broker on these nodes, which all have a Kafka listener; not started yet. See `Broker`."""
        configs = [node.config for node in self.nodes.values()]
        broker = self.brokers[broker_id] = Broker(
            id=broker_id,
            port=port,
            voters=[f"{config.node.id}@{config.kafka.advertised}" for config in configs if config.kafka is not None],
            cluster_id=configs[0].cluster.id,
            directory=self._directory,
            log_path=self._directory / f"broker{broker_id}.log",
            tell=self.tell,
            release=release,
            replication=replication,
            log_dirs=log_dirs,
            more=more or {},
        )
        return broker

    def node(self, node_id: int) -> Node:
        """Raises ProcessError for an id that no node has."""
        node = self.nodes.get(NodeId(node_id))
        if node is None:
            raise ProcessError(f"there is no node {node_id}; the nodes are {', '.join(map(str, self.nodes))}")
        return node

    def process(self, process_id: int) -> Process:
        """The node or broker with this id. Raises ProcessError if there is none."""
        broker = self.brokers.get(process_id)
        if broker is not None:
            return broker
        if self.brokers and NodeId(process_id) not in self.nodes:
            nodes, brokers = (", ".join(map(str, ids)) for ids in (self.nodes, self.brokers))
            raise ProcessError(f"there is no {process_id}; the nodes are {nodes}, the brokers {brokers}")
        return self.node(process_id)

    def start(self, process_id: int) -> None:
        """Start it, or let it go on if it is paused. Raises ProcessError if it runs."""
        self.process(process_id).start(self._nursery)

    async def kill(self, process_id: int) -> None:
        """SIGKILL; returns when it is gone. Raises ProcessError if it does not run."""
        await self.process(process_id).kill()

    def terminate(self, process_id: int) -> None:
        """SIGTERM; a broker first hands over what it leads. Raises ProcessError if it does not run."""
        self.process(process_id).terminate()

    def pause(self, process_id: int) -> None:
        """SIGSTOP: it hangs, with all its connections open. Raises ProcessError if it does not run."""
        self.process(process_id).pause()

    def resume(self, process_id: int) -> None:
        """SIGCONT. Raises ProcessError if it is not paused."""
        self.process(process_id).resume()

    async def wait_serving(self, *process_ids: int) -> None:
        """Until these, or all nodes, serve. Raises ProcessError if one does not get there."""
        waited = [self.process(process_id) for process_id in process_ids] or list(self.nodes.values())
        limit_s = BROKER_START_S if any(isinstance(one, Broker) for one in waited) else START_S
        await processes.wait_serving(waited, limit_s)

    async def stop(self) -> None:
        """Stop all in order: the brokers first, whose partings need the nodes. Not to be cancelled."""
        await processes.stop(self.brokers.values(), BROKER_STOP_S, self.tell)
        await processes.stop(self.nodes.values(), STOP_S, self.tell)

    def kill_all(self) -> None:
        """SIGKILL to everything that still runs."""
        processes.kill_all([*self.brokers.values(), *self.nodes.values()])


@asynccontextmanager
async def open_cluster(
    configs: Sequence[Config],
    directory: Path,
    tell: Tell,
    *,
    command: Callable[[Path], list[str]] = serve_command,
) -> AsyncIterator[Cluster]:
    """A cluster of these nodes, none of them started yet; whatever runs at the end is stopped in order.

    Their configuration and log files go to `directory`.
    """
    nodes: dict[NodeId, Node] = {}
    for config in configs:
        path = directory / f"node{config.node.id}.toml"
        path.write_text(format_config(config), encoding="utf-8")
        nodes[config.node.id] = Node(
            id=config.node.id,
            log_path=path.with_suffix(".log"),
            tell=tell,
            config=config,
            config_path=path,
            line_address=config.line.advertised,
            command=command,
        )
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nodes, tell, nursery, directory)
        try:
            yield cluster
        finally:
            with trio.CancelScope(shield=True):
                await cluster.stop()
