"""One run of `yakt dev`: bring the nodes up, then feed and keyboard, or the tour, until told to stop."""

from collections.abc import Awaitable, Callable, Sequence

import attrs
import trio

from yakt.dev import tour
from yakt.dev.ask import DISCONNECTED, Conversation
from yakt.dev.brokers import Broker, describe_tools
from yakt.dev.cluster import Cluster, Node
from yakt.dev.feed import Feed
from yakt.dev.keyboard import Keyboard
from yakt.dev.processes import ProcessError, Tell
from yakt.dev.typed import HELP, ForCluster, OnProcess, Ours, TypedError, read_typed

REPLY_S = 15.0
STATUS_S = 1.0
STILL_S = 10.0
"""A broker that starts for so long deserves a word."""
TOUR_S = 60.0
"""A tour takes a few seconds; one that hangs must end."""


@attrs.define(eq=False)
class Session:
    """What one run shares. `say` prints a line as it is, `tell` one that happened just now."""

    cluster: Cluster
    say: Tell
    tell: Tell
    stop: trio.Event
    feed: Feed = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.feed = Feed(self.cluster, self.tell)

    async def run_live(self, keyboard: Keyboard) -> int:
        """Feed and keyboard until told to stop; the exit status."""
        return await self._until_stopped(lambda: self._live(keyboard))

    async def run_tour(self) -> int:
        """Play the tour, without feed and keyboard; the exit status."""
        return await self._until_stopped(self._tour)

    async def _until_stopped(self, work: Callable[[], Awaitable[int]]) -> int:
        status = 0

        async def cancel_on_stop() -> None:
            await self.stop.wait()
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel_on_stop)
            try:
                for node_id in self.cluster.nodes:
                    self.cluster.start(node_id)
                await self.cluster.wait_serving()
                status = await work()
            except ProcessError as exc:
                self.say(f"yakt dev: {exc}")
                status = 1
            nursery.cancel_scope.cancel()
        return status

    # --- live

    async def _live(self, keyboard: Keyboard) -> int:
        self.say(self._overview())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.feed.run)
            nursery.start_soon(self._listen, keyboard)
            for broker in self.cluster.brokers.values():
                nursery.start_soon(self._tell_starts, broker)
            if self.cluster.brokers:
                nursery.start_soon(self._bring_up_brokers)
        return 0

    async def _bring_up_brokers(self) -> None:
        brokers = list(self.cluster.brokers.values())
        for broker in brokers:
            self.cluster.start(broker.id)
        try:
            await self.cluster.wait_serving(*self.cluster.brokers)
        except ProcessError as exc:
            self.tell(str(exc))
            return
        self.say(_overview_of(brokers))
        self.say(describe_tools(brokers[0].release, brokers[0].directory / "bin", brokers[0]))

    async def _tell_starts(self, broker: Broker) -> None:
        """Say that it starts and when it is up, each time; a JVM keeps people waiting."""
        while True:
            await broker.wait_until("starting")
            began = trio.current_time()
            self.tell(f"broker {broker.id} starts (Kafka {broker.release.version})")
            while True:
                with trio.move_on_after(STILL_S) as limit:
                    await broker.wait_while("starting")
                took = trio.current_time() - began
                if not limit.cancelled_caught:
                    break
                self.tell(f"broker {broker.id} still starts, {took:.0f} s by now; its log: {broker.log_path}")
            if broker.state == "serving":
                self.tell(f"broker {broker.id} serves {broker.address}, {took:.1f} s after its start")

    def _overview(self) -> str:
        lines = [f"  {'node':6}{'lines':18}{'peers':18}{'process':9}log"]
        for node in self.cluster.nodes.values():
            process = node.process.pid if node.process else ""
            peers = node.config.peer.advertised
            lines.append(f"  {node.id:<6}{node.line_address!s:18}{peers!s:18}{process:<9}{node.log_path}")
        first = next(iter(self.cluster.nodes.values()))
        if first.config.http is not None:
            lines.append(f"In a browser: http://{first.config.http.advertised}/")
        at = first.line_address
        lines.append(f"From elsewhere: nc {at.host} {at.port}. Here: `help` tells what can be typed; Ctrl-C ends it.")
        return "\n".join(lines)

    async def _listen(self, keyboard: Keyboard) -> None:
        """Do what is typed. The end of input ends the session at a terminal only: CI has none to begin with."""
        while (text := await keyboard.read_line()) is not None:
            try:
                await self._do(text)
            except (ProcessError, TypedError) as exc:
                self.say(str(exc))
        if keyboard.is_terminal:
            self.stop.set()

    async def _do(self, text: str) -> None:
        match read_typed(text):
            case OnProcess(verb="kill", id=process_id):
                await self.cluster.kill(process_id)
            case OnProcess(verb="stop", id=process_id):
                self.cluster.terminate(process_id)
                self.tell(f"{self.cluster.process(process_id).name} stops (SIGTERM)")
            case OnProcess(verb="start", id=process_id):
                was = self.cluster.process(process_id).state
                self.cluster.start(process_id)
                if was == "down" and process_id in self.cluster.nodes:
                    self.tell(f"node {process_id} starts")
            case OnProcess(verb="pause", id=process_id):
                self.cluster.pause(process_id)
            case OnProcess(verb="resume", id=process_id):
                self.cluster.resume(process_id)
            case OnProcess(verb="leader", id=node_id):
                self.cluster.node(node_id)
                await self._ask_cluster(f"QUORUM TRANSFER to={node_id}")
            case Ours(verb="status"):
                for node in self.cluster.nodes.values():
                    self.say(await _describe(node))
                for broker in self.cluster.brokers.values():
                    self.say(f"broker {broker.id} is {broker.state}, at {broker.address}")
            case Ours(verb="help"):
                self.say(HELP)
            case Ours(verb="quit"):
                self.stop.set()
            case ForCluster(line=line):
                await self._ask_cluster(line)

    async def _ask_cluster(self, line: str) -> None:
        """Say a line to the best node, on a connection of its own; print what comes back as it is."""
        node = self.feed.best_node()
        if node is None:
            raise ProcessError("no node answers just now")
        ended = False
        with trio.move_on_after(REPLY_S):
            try:
                async with await Conversation.open(node.line_address) as conversation:
                    await conversation.say(line)
                    await conversation.hang_up()
                    while (answer := await conversation.hear()) is not None:
                        self.say(answer.decode("utf-8", "replace"))
                    ended = True
            except DISCONNECTED:
                pass
        if not ended:
            raise ProcessError(f"node {node.id} went away, or was too slow, with this: what it said so far is above")

    # --- tour

    async def _tour(self) -> int:
        with trio.move_on_after(TOUR_S):
            try:
                await tour.play(self.cluster, self.say)
                return 0
            except tour.TourError as exc:
                self.say(f"The tour ends here: {exc}")
                return 1
        self.say(f"The tour ends here: it took more than {TOUR_S:g} s")
        return 1


def _overview_of(brokers: Sequence[Broker]) -> str:
    lines = [f"  {'broker':8}{'clients':18}{'Kafka':9}{'process':9}log"]
    for broker in brokers:
        process = broker.process.pid if broker.process else ""
        lines.append(f"  {broker.id:<8}{broker.address:18}{broker.release.version:9}{process:<9}{broker.log_path}")
    return "\n".join(lines)


async def _describe(node: Node) -> str:
    """One node in one line: its process, and its own STATUS if it gives one."""
    if node.state != "serving":
        return f"node {node.id} is {node.state}"
    with trio.move_on_after(STATUS_S):
        try:
            async with await Conversation.open(node.line_address) as conversation:
                status = (await conversation.ask("STATUS")).pairs
            shown = " ".join(f"{key}={value}" for key, value in status.items() if key not in ("node", "cluster"))
            return f"node {node.id} {shown}"
        except DISCONNECTED:
            pass
    return f"node {node.id} runs and does not answer"
