"""A controller to speak Kafka's protocol with: whole nodes without a network or a disk, and a client over a stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import attrs
import trio
import trio.testing

from tests.node.cluster import CLUSTER_ID, Cluster, Node
from yakt.address import Address
from yakt.ids import NodeId
from yakt.kafka import codec
from yakt.kafka.apis import Api
from yakt.kafka.authorization import Authorizer
from yakt.kafka.desk import About
from yakt.kafka.listener import Limits, serve_client
from yakt.node.asks import Here, NodeInfo
from yakt.node.history import History
from yakt.node.leadership import Leadership
from yakt.node.node_service import NodeService
from yakt.node.snapshots import Snapshots
from yakt.node.timer import Timer
from yakt.wire.frame import FrameDecoder, encode_frame

SETTINGS = SimpleNamespace(snapshot_bytes=1 << 30, snapshot_interval_ms=1 << 40)


def find_address(node: NodeId) -> Address | None:
    """The Kafka listener of each node."""
    return Address("127.0.0.1", 7400 + node)


@attrs.define(eq=False)
class Client:
    """One connection, and what has come in over it."""

    stream: trio.abc.Stream
    frames: FrameDecoder = attrs.Factory(lambda: FrameDecoder(100 << 20))
    waiting: list[bytes] = attrs.Factory(list)
    correlation: int = 100

    async def send(self, frame: bytes) -> None:
        """A request as it is."""
        await self.stream.send_all(b"".join(encode_frame((frame,))))

    async def receive(self) -> bytes:
        """The next response; EOFError if the other side has hung up."""
        while not self.waiting:
            data = await self.stream.receive_some(65536)
            if not data:
                raise EOFError
            self.waiting += self.frames.feed(bytes(data))
        return self.waiting.pop(0)

    async def exchange(self, frame: bytes) -> bytes:
        """A request, and its answer."""
        await self.send(frame)
        return await self.receive()

    async def ask(self, api: Api, version: int, body: Any, client_id: str = "11") -> Any:
        """A request, and its answer's body."""
        self.correlation += 1
        answer = await self.exchange(codec.encode_request(api, version, self.correlation, client_id, body))
        correlation, found = codec.decode_response(api, version, answer)
        assert correlation == self.correlation
        return found


@attrs.define(eq=False)
class Controller:
    """One node with its service; `connect` as often as wanted."""

    node: Node
    service: NodeService
    nursery: trio.Nursery
    limits: Limits = attrs.Factory(Limits)
    cluster_id: str = CLUSTER_ID
    authorizer: Authorizer | None = None

    async def connect(self) -> Client:
        ours, theirs = trio.testing.memory_stream_pair()
        about = About(
            node_id=self.node.id, cluster_id=self.cluster_id, find_address=find_address, authorizer=self.authorizer
        )
        self.nursery.start_soon(serve_client, theirs, self.service, about, self.limits, "127.0.0.1:5")
        return Client(ours)


def make_controller(cluster: Cluster, node: Node, nursery: trio.Nursery) -> Controller:
    """The service of a node, under Trio's clock."""
    driver = node.driver
    here = Here(
        info=NodeInfo(node.id, CLUSTER_ID, "0"),
        driver=driver,
        store=node.store,
        history=History(node.store, driver.loader),
        snapshots=Snapshots(node.store, driver, SETTINGS),
        leadership=Leadership(driver),
        explainer=node.explainer,
    )
    service = NodeService(here, nursery, node.visits)
    timer = Timer(driver)
    driver.on_turn = timer.adjust
    nursery.start_soon(timer.run)
    return Controller(node, service, nursery)


@asynccontextmanager
async def controller(kraft_version: int = 0) -> AsyncIterator[Controller]:
    """The only node of its cluster, which therefore leads."""
    async with trio.open_nursery() as nursery:
        cluster = Cluster(size=1, trio_clock=True, kraft_version=kraft_version)
        [node] = cluster.up()
        yield make_controller(cluster, node, nursery)
        nursery.cancel_scope.cancel()
