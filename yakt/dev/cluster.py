"""The nodes as processes: started, killed, paused, stopped, and their deaths noticed. Knows no line protocol.

Each node runs in a session of its own, so that Ctrl-C at the terminal reaches `yakt dev` alone, which then stops them
in order; and on a leash, so that none is left over when `yakt dev` itself is killed. What a node writes comes through
a pipe and goes to its log file: the line that says it serves is the event to wait for.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import trio

from yakt.address import Address
from yakt.config import Config
from yakt.dev import leash
from yakt.dev.configs import format_config
from yakt.errors import YaktError
from yakt.ids import NodeId

START_S = 20.0
STOP_S = 6.0
"""Nodes that have not stopped by then are killed."""
_LAST_LINES = 12
_LINE_SIZE_MAX = 4096

State: TypeAlias = Literal["down", "starting", "serving", "paused", "dying"]
Tell: TypeAlias = Callable[[str], None]
"""Says a line to whoever watches."""


class NodeError(YaktError):
    """A node is not in the state that this asks for, or did not come up."""


def serve_command(config_path: Path) -> list[str]:
    """What runs one node."""
    return [sys.executable, "-m", "yakt", "serve", str(config_path)]


@attrs.define(eq=False)
class Node:
    """One node: its configuration, and its process while it has one."""

    config: Config
    config_path: Path
    log_path: Path
    state: State = "down"
    process: "subprocess.Popen[bytes] | None" = None
    line_address: Address = attrs.field(init=False)
    """Where it takes lines; port 0 of the configuration becomes the one it got when it serves."""
    last_lines: deque[str] = attrs.field(factory=lambda: deque(maxlen=_LAST_LINES))
    _end_is_ours: bool = False
    _has_served: bool = False
    _state_changed: trio.Event = attrs.field(factory=trio.Event)

    @property
    def id(self) -> NodeId:
        """As in its configuration."""
        return self.config.node.id

    def __attrs_post_init__(self) -> None:
        self.line_address = self.config.line.advertised

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; it may have ended just now."""
        if self.process is not None:
            self.process.send_signal(number)

    def become(self, state: State) -> None:
        """Change the state, and wake whoever waits for that."""
        self.state = state
        self._has_served = state == "serving" or (self._has_served and state != "starting")
        self._state_changed.set()
        self._state_changed = trio.Event()

    async def wait_until(self, *states: State) -> None:
        """Until it is in one of these states."""
        while self.state not in states:
            await self._state_changed.wait()

    async def wait_while(self, state: State) -> None:
        """Until it is in another state."""
        while self.state == state:
            await self._state_changed.wait()

    async def wait_ended(self) -> None:
        """Until its process is gone and reaped."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        handle = os.pidfd_open(process.pid)
        try:
            while process.poll() is None:
                await trio.lowlevel.wait_readable(handle)
        finally:
            os.close(handle)


@attrs.define(eq=False)
class Cluster:
    """All nodes of one cluster, by id. Made by `open_cluster`."""

    nodes: Mapping[NodeId, Node]
    tell: Tell
    _nursery: trio.Nursery
    _command: Callable[[Path], list[str]]

    def node(self, node_id: int) -> Node:
        """Raises NodeError for an id that no node has."""
        node = self.nodes.get(NodeId(node_id))
        if node is None:
            raise NodeError(f"there is no node {node_id}; the nodes are {', '.join(map(str, self.nodes))}")
        return node

    def start(self, node_id: int) -> Node:
        """Start a node, or let a paused one go on. Raises NodeError if it runs."""
        node = self.node(node_id)
        if node.state == "paused":
            self.resume(node_id)
            return node
        if node.state != "down":
            raise NodeError(f"node {node_id} runs")
        # From the main thread, for the leash: in a worker thread's place it would end the node with that thread.
        node.process = subprocess.Popen(
            [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self._command(node.config_path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
        node.last_lines.clear()
        node._end_is_ours = False
        node.become("starting")
        self._nursery.start_soon(self._attend, node, node.process)
        return node

    async def kill(self, node_id: int) -> None:
        """SIGKILL: no last words, as in a crash; returns when it is gone. Raises NodeError if it does not run."""
        node = self._running(node_id)
        node._end_is_ours = True
        node.signal(signal.SIGKILL)
        node.become("dying")
        await node.wait_until("down")

    def pause(self, node_id: int) -> None:
        """SIGSTOP: it hangs, with all its connections open. Raises NodeError if it does not run."""
        node = self._running(node_id)
        if node.state == "paused":
            raise NodeError(f"node {node_id} is paused already")
        node.signal(signal.SIGSTOP)
        node.become("paused")
        self.tell(f"node {node_id} is paused (SIGSTOP)")

    def resume(self, node_id: int) -> None:
        """SIGCONT. Raises NodeError if it is not paused."""
        node = self.node(node_id)
        if node.state != "paused":
            raise NodeError(f"node {node_id} is not paused")
        node.signal(signal.SIGCONT)
        node.become("serving" if node._has_served else "starting")
        self.tell(f"node {node_id} goes on (SIGCONT)")

    async def wait_serving(self, *node_ids: int) -> None:
        """Until these nodes, or all, serve. Raises NodeError if one does not get there."""
        waited = [self.node(node_id) for node_id in node_ids] or list(self.nodes.values())
        with trio.move_on_after(START_S) as limit:
            for node in waited:
                await node.wait_until("serving", "dying", "down")
        for node in waited:
            if limit.cancelled_caught and node.state == "starting":
                words = self.last_words(node)
                raise NodeError("\n".join([f"node {node.id} does not serve after {START_S:g} s; it said:", *words]))
            if node.state != "serving":
                raise NodeError(f"node {node.id} ended before it served")

    async def stop(self) -> None:
        """SIGTERM to all, and SIGKILL to those that have not stopped in time. Not to be cancelled."""
        alive = [node for node in self.nodes.values() if node.state != "down"]
        for node in alive:
            node._end_is_ours = True
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        with trio.move_on_after(STOP_S) as limit:
            for node in alive:
                await node.wait_ended()
        if limit.cancelled_caught:
            late = [node for node in alive if node.process is not None and node.process.poll() is None]
            self.tell(f"killed, for not stopping within {STOP_S:g} s: node {', '.join(str(node.id) for node in late)}")
            self.kill_all()
            for node in late:
                await node.wait_ended()

    def kill_all(self) -> None:
        """SIGKILL to every node that still runs."""
        for node in self.nodes.values():
            node._end_is_ours = True
            node.signal(signal.SIGKILL)

    def last_words(self, node: Node) -> list[str]:
        """The last lines of a node's log, for people."""
        return [f"    {line}" for line in node.last_lines] or ["    (it said nothing)"]

    def _running(self, node_id: int) -> Node:
        node = self.node(node_id)
        if node.state == "down":
            raise NodeError(f"node {node_id} is down; `start {node_id}` starts it")
        return node

    async def _attend(self, node: Node, process: "subprocess.Popen[bytes]") -> None:
        """Keep the log of one process, and say how it ended."""
        assert process.stdout is not None
        # The stream closes what it is given, and so would Popen.
        async with trio.lowlevel.FdStream(os.dup(process.stdout.fileno())) as stream:
            process.stdout.close()
            with node.log_path.open("ab") as log:
                await _keep_log(node, stream, log.write)
        await node.wait_ended()
        how = describe_end(process.returncode)
        if node._end_is_ours:
            self.tell(f"node {node.id} {how}")
        else:
            self.tell("\n".join([f"node {node.id} {how}, unasked; its last lines:", *self.last_words(node)]))
        node.become("down")


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
        nodes[config.node.id] = Node(config, path, path.with_suffix(".log"))
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nodes, tell, nursery, command)
        try:
            yield cluster
        finally:
            with trio.CancelScope(shield=True):
                await cluster.stop()


def describe_end(status: int) -> str:
    """What a process's exit status, as Popen has it, means in words."""
    if status == 0:
        return "stopped"
    if status > 0:
        return f"ended with exit status {status}"
    with contextlib.suppress(ValueError):
        return f"was killed ({signal.Signals(-status).name})"
    return f"was killed (signal {-status})"


async def _keep_log(node: Node, stream: trio.abc.ReceiveStream, write: Callable[[bytes], object]) -> None:
    """All that a node says, into its log and, the last lines, into `last_lines`, until it hangs up."""
    started = f"yakt node {node.id} serving: "
    rest = b""
    async for chunk in stream:
        data = bytes(chunk)
        write(data)
        *lines, rest = (rest + data).split(b"\n")
        rest = rest[-_LINE_SIZE_MAX:]
        for line in lines:
            text = line[:_LINE_SIZE_MAX].decode("utf-8", "replace").rstrip()
            node.last_lines.append(text)
            if node.state == "starting" and text.startswith(started):
                if bound := re.search(r" line (\S+)", text):
                    node.line_address = Address.parse(bound[1])
                node.become("serving")
    if rest:
        node.last_lines.append(rest.decode("utf-8", "replace"))
