"""The live feed: every change in the cluster, in plain words, and who leads. Follows the nodes as they come and go."""

from collections.abc import Awaitable, Callable

import attrs
import trio

from yakt.dev.ask import DISCONNECTED, Conversation
from yakt.dev.cluster import Cluster, Node
from yakt.dev.elections import Elections, Standing
from yakt.dev.processes import Tell
from yakt.ids import Epoch, Instant, NodeId
from yakt.line.replies import ReplyLine, parse_reply_line

POLL_S = 0.1
"""STATUS is the only place to read a node's role, so it is asked for this often."""
ANSWER_S = 1.0
RETRY_S = 0.1


@attrs.define(eq=False)
class Feed:
    """What `yakt dev` shows while nobody types. `run` until cancelled."""

    cluster: Cluster
    tell: Tell
    elections: Elections = attrs.field(factory=Elections)
    standings: dict[NodeId, Standing] = attrs.field(factory=dict)
    """Of the nodes that answer."""
    _next_offset: int = 0

    async def run(self) -> None:
        """Watch all nodes' roles, and the changes through one of them."""
        async with trio.open_nursery() as nursery:
            for node in self.cluster.nodes.values():
                nursery.start_soon(self._watch_role, node)
            nursery.start_soon(self._watch_changes)

    def best_node(self) -> Node | None:
        """The node to ask: the leader if it answers, else any that does, else one that should."""
        leader = self.elections.leader
        if leader in self.standings:
            return self.cluster.nodes[leader]
        serving = [node for node in self.cluster.nodes.values() if node.state == "serving"]
        return next((node for node in serving if node.id in self.standings), next(iter(serving), None))

    # --- roles

    async def _watch_role(self, node: Node) -> None:
        while True:
            await node.wait_until("serving")
            await _while_serving(node, self._ask_role)
            self._forget(node.id)
            await trio.sleep(RETRY_S)

    async def _ask_role(self, node: Node) -> None:
        try:
            async with await Conversation.open(node.line_address) as conversation:
                while True:
                    with trio.fail_after(ANSWER_S):
                        self._note(node.id, await conversation.ask("STATUS"))
                    await trio.sleep(POLL_S)
        except (*DISCONNECTED, trio.TooSlowError):
            return

    def _note(self, node: NodeId, status: ReplyLine) -> None:
        role, leader, epoch = (status.pairs.get(key) for key in ("role", "leader", "epoch"))
        if isinstance(role, str) and isinstance(epoch, int):
            known = NodeId(leader) if isinstance(leader, int) else None
            self.standings[node] = Standing(role, known, Epoch(epoch))
            for line in self.elections.observe(self.standings, Instant(trio.current_time())):
                self.tell(line)

    def _forget(self, node: NodeId) -> None:
        if self.standings.pop(node, None) is not None:
            self.elections.lost(node, Instant(trio.current_time()))

    # --- changes

    async def _watch_changes(self) -> None:
        while True:
            node = self.best_node()
            if node is not None:
                await _while_serving(node, self._follow)
            await trio.sleep(RETRY_S)

    async def _follow(self, node: Node) -> None:
        """Tell what changes as this node applies it, from where the last one left off, until it is gone."""
        try:
            async with await Conversation.open(node.line_address) as conversation:
                await conversation.say(f"WATCH since={self._next_offset} say=true")
                while (line := await conversation.hear()) is not None:
                    heard = parse_reply_line(line)
                    if heard.kind == "event":
                        self._show(heard)
                    if heard.kind == "err" or heard.name == "lost":
                        self._skip(heard)
                        return
        except DISCONNECTED:
            return

    def _show(self, event: ReplyLine) -> None:
        offset = event.pairs.get("offset")
        if isinstance(offset, int):
            self._next_offset = max(self._next_offset, offset + 1)
            say = event.pairs.get("say")
            self.tell(f"offset {offset}: {say if isinstance(say, str) else event.name}")

    def _skip(self, heard: ReplyLine) -> None:
        """Some of what we ask for is gone from the log, or not there yet."""
        oldest = heard.pairs.get("oldest")
        if heard.name == "OFFSET_COMPACTED" and isinstance(oldest, int) and oldest > self._next_offset:
            self.tell(f"changes below offset {oldest} are no longer in the log")
            self._next_offset = oldest


async def _while_serving(node: Node, work: Callable[[Node], Awaitable[None]]) -> None:
    """Until it is done, or the node is killed, paused or ends: a paused one would never hang up."""

    async def watch() -> None:
        await node.wait_while("serving")
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await work(node)
        nursery.cancel_scope.cancel()
