"""The tour: a failover played and explained, each claim checked. Raises TourError at the first that does not hold."""

from collections.abc import Sequence

import attrs
import trio

from yakt.dev.ask import DISCONNECTED, Conversation
from yakt.dev.cluster import Cluster, Node
from yakt.dev.processes import Tell
from yakt.errors import YaktError
from yakt.line.replies import ReplyLine, parse_reply_line

ANSWER_S = 12.0
WAIT = "timeout=10000"
"""How long the cluster may let us wait, in ms: a write waits for a leader by itself."""
CREATE = "TOPIC CREATE orders partitions=3 request=tour-1"


class TourError(YaktError):
    """Something the tour claims did not come true."""


@attrs.frozen
class _Reply:
    lines: Sequence[str]
    rows: Sequence[ReplyLine]
    end: ReplyLine


async def play(cluster: Cluster, say: Tell) -> None:
    """Play it on a cluster that serves and is still empty."""
    guide = _Guide(cluster, say)
    anyone = next(iter(cluster.nodes.values()))

    guide.explain(
        f"{len(cluster.nodes)} nodes run, and one of them will lead. Any node takes any command: the others pass",
        "writes on to the leader. A broker comes first: it registers, and its first heartbeat lets it in.",
    )
    await guide.ask(anyone, f"BROKER REGISTER 11 host=localhost port=9092 session=3600000 {WAIT}")
    await guide.ask(anyone, "BROKER HEARTBEAT 11")

    guide.explain(
        "A topic. The request id makes it safe to ask twice; OK means that a majority has it on disk.",
    )
    created = await guide.ask(anyone, CREATE)

    leader = await guide.leader(anyone)
    survivors = [node for node in cluster.nodes.values() if node is not leader]
    guide.explain(
        f"Node {leader.id} leads. Now kill -9 it, and ask the next node for a write at once. The others notice that",
        "it is gone, one of them is elected by a majority, and the write, which waits that long, is committed.",
    )
    killed_at = trio.current_time()
    await cluster.kill(leader.id)
    written = await guide.ask(survivors[0], f"CONFIG SET topic/orders retention.ms=86400000 {WAIT}")
    guide.explain(f"{trio.current_time() - killed_at:.2f} s from the kill to the next commit.")

    guide.explain("Nothing that was answered OK is lost, whichever of the others is asked:")
    for node in survivors:
        shown = await guide.ask(node, "TOPIC SHOW orders")
        guide.check(len(shown.rows) == 3, f"node {node.id} knows {len(shown.rows)} partitions of orders, not 3")
        guide.check(
            all(row.pairs.get("leader") == 11 for row in shown.rows), f"node {node.id} lost who leads the partitions"
        )

    guide.explain(
        "Say the client never saw the answer to its TOPIC CREATE and asks again, with the same request id. The",
        "new leader remembers it: the same answer, and no second topic.",
    )
    again = await guide.ask(survivors[-1], CREATE)
    guide.check(again.end.pairs == created.end.pairs, "the answer is another than the first one")

    guide.explain(
        f"Node {leader.id} comes back and catches up with what it missed; then it tells it from its own memory:"
    )
    cluster.start(leader.id)
    await cluster.wait_serving(leader.id)
    offset = written.end.pairs["offset"]
    kept = await guide.ask(leader, f"CONFIG GET topic/orders read=local min={offset} {WAIT}")
    guide.check(
        [(row.pairs.get("key"), str(row.pairs.get("value"))) for row in kept.rows] == [("retention.ms", "86400000")],
        f"node {leader.id} does not have what was written while it was away",
    )
    guide.explain("That was the tour. `yakt dev` without --tour leaves the cluster to you.")


@attrs.frozen(eq=False)
class _Guide:
    """Says what is done, does it, and checks."""

    cluster: Cluster
    say: Tell

    def explain(self, *lines: str) -> None:
        """A few lines for people."""
        self.say("\n" + "\n".join(lines))

    def check(self, holds: bool, otherwise: str) -> None:
        """Raise TourError unless it holds."""
        if not holds:
            raise TourError(otherwise)

    async def ask(self, node: Node, line: str) -> _Reply:
        """Show and say a line to a node, show the reply. Raises TourError for anything but OK."""
        self.say(f"  to node {node.id}> {line}")
        reply = await _ask(node, line)
        for answer in reply.lines:
            self.say(f"  {answer}")
        self.check(reply.end.kind == "ok", f"node {node.id} refused that")
        return reply

    async def leader(self, node: Node) -> Node:
        """The leader, as this node has it: just after a commit it knows."""
        reply = await _ask(node, "STATUS")
        leader = reply.end.pairs.get("leader")
        self.check(isinstance(leader, int), f"node {node.id} knows no leader")
        assert isinstance(leader, int)
        return self.cluster.node(leader)


async def _ask(node: Node, line: str) -> _Reply:
    lines: list[str] = []
    rows: list[ReplyLine] = []
    try:
        with trio.fail_after(ANSWER_S):
            async with await Conversation.open(node.line_address) as conversation:
                await conversation.say(line)
                while (answer := await conversation.hear()) is not None:
                    lines.append(answer.decode("utf-8", "replace"))
                    parsed = parse_reply_line(answer)
                    if parsed.is_end:
                        return _Reply(lines, rows, parsed)
                    rows.append(parsed)
        raise TourError(f"node {node.id} hung up")
    except DISCONNECTED as exc:
        raise TourError(f"node {node.id} cannot be reached: {exc}") from None
    except trio.TooSlowError:
        raise TourError(f"node {node.id} did not answer in {ANSWER_S:g} s") from None
