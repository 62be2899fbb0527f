"""The links of whole nodes: who is reached, who is refused, what is said about it, and what survives a loss."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import pytest
import structlog
import trio
import trio.testing

from yakt.errors import StorageError
from yakt.ids import Epoch, NodeId, Offset, Uuid
from yakt.peer import codec
from yakt.peer.codec import Api
from yakt.peer.connection import receive_welcome, send_hello
from yakt.peer.links import (
    BACK_OFF_MAX_S,
    BACK_OFF_MIN_S,
    HANDSHAKES_MAX,
    HANDSHAKES_PER_HOST_MAX,
    Dial,
    Links,
    back_off,
    dial_tcp,
)
from yakt.peer.messages import Addresses, ForwardRequest, ForwardResponse, ForwardResult, Identity, Refusal
from yakt.raft.messages import Message, ReadIndexRequest, ReadIndexResponse

ASK = ReadIndexRequest(epoch=Epoch(3))
ANSWER = ReadIndexResponse(leader_id=NodeId(1), epoch=Epoch(3), offset=Offset(7))


def identity(node: int, **changes: Any) -> Identity:
    known = Identity(
        protocol_min=1,
        protocol_max=1,
        cluster_id="c",
        node_id=NodeId(node),
        directory_id=Uuid(bytes([node]) * 16),
        line=f"127.0.0.1:{7200 + node}",
    )
    return attrs.evolve(known, **changes)


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Accepts what dials it over memory."""

    def __init__(self) -> None:
        self.dialled, self._accepted = trio.open_memory_channel[trio.abc.Stream](math.inf)

    async def accept(self) -> trio.abc.Stream:
        return await self._accepted.receive()

    async def aclose(self) -> None:
        self._accepted.close()
        await trio.lowlevel.checkpoint()


class Network:
    """Whoever listens can be dialled; `dials` says when somebody tried."""

    def __init__(self) -> None:
        self.listeners: dict[int, Listener] = {}
        self.dials: list[tuple[int, float]] = []
        self.streams: list[trio.abc.Stream] = []

    def listen(self, node: int) -> Listener:
        self.listeners[node] = Listener()
        return self.listeners[node]

    async def connect(self, node: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dials.append((node, trio.current_time()))
        if node not in self.listeners:
            raise OSError(f"node {node}: connection refused")
        here, there = trio.testing.memory_stream_pair()
        self.streams += (here, there)
        self.listeners[node].dialled.send_nowait(there)
        return here

    def dial(self, node: int) -> Dial:
        return lambda: self.connect(node)

    def cut(self) -> None:
        """Break every stream there is."""
        for stream in self.streams:
            assert isinstance(stream, trio.StapledStream)
            stream.send_stream.close()
        self.streams.clear()


class Node:
    """One node's links, and what they told it. It counts as voters the replicas of `identity(n)`."""

    def __init__(self, me: Identity, dials: dict[int, Dial]) -> None:
        self.me = me
        self.told: list[tuple[Any, ...]] = []
        self.turns = 0
        self.replies: list[Callable[[ForwardResponse], None]] = []
        self.links = Links(me, {NodeId(node): dial for node, dial in dials.items()}, self, random=lambda: 0.5)

    def met(self, peer: Identity) -> bool:
        counts = peer.key == identity(peer.node_id).key
        self.told.append(("met", peer.node_id, counts))
        return counts

    def link_opened(self, peer: NodeId, counts_us: bool) -> None:
        self.told.append(("link opened", peer, counts_us))

    def link_lost(self, peer: NodeId) -> None:
        self.told.append(("link lost", peer))

    def received(self, source: NodeId, message: Message, correlation: int) -> None:
        self.told.append(("received", source, message, correlation))

    def forwarded(self, source: NodeId, request: ForwardRequest, reply: Callable[[ForwardResponse], None]) -> None:
        self.told.append(("forwarded", source, request))
        self.replies.append(reply)

    def forward_answered(self, source: NodeId, response: ForwardResponse, correlation: int) -> None:
        self.told.append(("answered", source, response, correlation))

    def turn_ended(self) -> None:
        self.turns += 1


@contextmanager
def captured_lines() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def pair(network: Network, one: Identity, other: Identity) -> tuple[Node, Node]:
    """Two nodes that dial each other."""
    return (
        Node(one, {other.node_id: network.dial(other.node_id)}),
        Node(other, {one.node_id: network.dial(one.node_id)}),
    )


def start(nursery: trio.Nursery, network: Network, *nodes: Node) -> None:
    for node in nodes:
        nursery.start_soon(node.links.run, [network.listen(node.me.node_id)])


async def quiet() -> None:
    """Until everybody waits for somebody."""
    await trio.testing.wait_all_tasks_blocked()


async def test_two_nodes_meet_and_speak(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await quiet()
        assert sorted(one.told) == [("link opened", 2, True), ("met", 2, True), ("met", 2, True)]
        assert one.links.addresses(NodeId(2)) == Addresses(line="127.0.0.1:7202")
        assert one.links.addresses(NodeId(1)) == Addresses(line="127.0.0.1:7201")
        assert one.links.addresses(NodeId(3)) is None
        [statistics] = one.links.statistics()
        assert (statistics.dialled, statistics.accepted, statistics.protocol, statistics.trouble) == (
            True,
            True,
            1,
            None,
        )

        assert one.links.send(NodeId(2), ASK, 11)
        await quiet()
        assert two.told[-1] == ("received", 1, ASK, 11)
        assert two.links.send(NodeId(1), ANSWER, 11)
        await quiet()
        assert one.told[-1] == ("received", 2, ANSWER, 11)
        assert not two.links.send(NodeId(1), ANSWER, 11), "nobody waits for it any more"
        assert not one.links.send(NodeId(3), ASK, 1), "no such member"
        nursery.cancel_scope.cancel()


async def test_commands_are_forwarded_and_answered_once_decided(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    request = ForwardRequest(client="shell", address="a", timeout_ms=5000, lines=(b"SET a b", b"PID ALLOC 1"))
    response = ForwardResponse((ForwardResult(b"OK", Offset(4), Epoch(1)), ForwardResult(b"ERR NOT_FOUND")))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await quiet()
        assert one.links.forward(NodeId(2), request, 1)
        await quiet()
        assert two.told[-1] == ("forwarded", 1, request)
        [reply] = two.replies
        reply(response)
        await quiet()
        assert one.told[-1] == ("answered", 2, response, 1)

        assert one.links.forward(NodeId(2), request, 2)
        await quiet()
        network.cut()
        await quiet()
        assert one.told.count(("link lost", 2)) == 1
        two.replies[1](response)  # too late: it goes nowhere, and harms nobody
        await trio.sleep(2)
        assert ("answered", 2, response, 2) not in one.told
        nursery.cancel_scope.cancel()


async def test_an_answer_that_finds_no_room_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    request = ForwardRequest(client="shell", address="a", timeout_ms=5000, lines=(b"SET a b",))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await quiet()
        for correlation in range(3):
            assert one.links.forward(NodeId(2), request, correlation)
        await quiet()
        for reply in two.replies:  # one after the other, and nobody gets to send: more than the outbox holds
            reply(ForwardResponse((ForwardResult(bytes(8 * 1024 * 1024 + 1)),)))
        await quiet()
        assert one.told[-1] == ("link lost", 2)
        nursery.cancel_scope.cancel()


async def test_as_many_results_as_lines(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    request = ForwardRequest(client="shell", address="a", timeout_ms=5000, lines=(b"SET a b", b"PID ALLOC 1"))
    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            start(nursery, network, one, two)
            await quiet()
            assert one.links.forward(NodeId(2), request, 1)
            await quiet()
            two.replies[0](ForwardResponse((ForwardResult(b"OK"),)))
            await quiet()
            assert one.told[-1] == ("link lost", 2)
            assert "1 results for 2 forwarded lines" in lines[-2]["reason"]
            nursery.cancel_scope.cancel()


def test_what_one_request_may_forward() -> None:
    node = Node(identity(1), {})
    with pytest.raises(ValueError, match="16385 lines"):
        node.links.forward(NodeId(2), ForwardRequest(client="", address="", timeout_ms=1, lines=(b"x",) * 16385), 1)
    with pytest.raises(ValueError, match="bytes in one request"):
        node.links.forward(NodeId(2), ForwardRequest(client="", address="", timeout_ms=1, lines=(bytes(2**20),)), 1)
    largest = ForwardRequest(client="c" * 1000, address="a" * 1000, timeout_ms=1, lines=(bytes(1040000),))
    assert not node.links.forward(NodeId(2), largest, 1), "nobody there"
    assert sum(map(len, codec.encode(Api.FORWARD, largest, 1, 1))) <= codec.REQUEST_SIZE_MAX


async def test_a_lost_link_is_told_and_mended(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await trio.sleep(5)
        one.told.clear()
        network.cut()
        await quiet()
        assert one.told == [("link lost", 2)]
        assert not one.links.send(NodeId(2), ASK, 1)
        await trio.sleep(BACK_OFF_MIN_S * 2)
        assert ("link opened", 2, True) in one.told
        nursery.cancel_scope.cancel()


async def test_back_off_doubles_to_a_limit_and_says_it_once(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            start(nursery, network, node)
            await trio.sleep(60)
            nursery.cancel_scope.cancel()
    gaps = [after - before for (_, before), (_, after) in zip(network.dials, network.dials[1:], strict=False)]
    assert gaps[:5] == pytest.approx([BACK_OFF_MIN_S * 2**n * 0.75 for n in range(1, 6)])
    assert gaps[-1] == pytest.approx(BACK_OFF_MAX_S * 0.75)
    assert len(gaps) < 60 / (BACK_OFF_MAX_S * 0.75) + 10
    assert [line["event"] for line in lines] == ["peer cannot be reached"]
    assert "connection refused" in lines[0]["reason"]
    assert node.told == [], "no link, no loss"


@pytest.mark.parametrize("failures", [1, 2, 5, 6, 100, 10**6])
def test_back_off_is_half_chance(failures: int) -> None:
    longest = min(BACK_OFF_MAX_S, BACK_OFF_MIN_S * 2 ** min(failures, 20))
    assert back_off(failures, 0.0) == pytest.approx(longest / 2)
    assert back_off(failures, 0.999999) == pytest.approx(longest, rel=0.001)


async def test_whoever_dials_us_is_up_and_is_dialled_at_once(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one)
        await trio.sleep(10.1)
        began = trio.current_time()
        start(nursery, network, two)
        await quiet()
        assert trio.current_time() == began
        assert ("link opened", 2, True) in one.told
        nursery.cancel_scope.cancel()


async def test_a_link_that_breaks_as_soon_as_it_stands_is_no_success(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    listener = network.listen(2)

    async def greet_and_go(stream: trio.abc.Stream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(codec.encode_welcome(codec.Welcome(protocol=1, identity=identity(2))))

    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.links.run, [network.listen(1)])
            nursery.start_soon(trio.serve_listeners, greet_and_go, [listener])
            await trio.sleep(60)
            nursery.cancel_scope.cancel()
    assert len(network.dials) < 100
    assert len(lines) < 20, "and a flapping peer costs a line in ten seconds, each way"


async def dial_as(network: Network, hello: Identity, node: int = 1) -> tuple[trio.abc.Stream, codec.Welcome]:
    stream = await network.connect(node)
    await send_hello(stream, hello)
    return stream, await receive_welcome(stream)


@pytest.mark.parametrize(
    ("hello", "refusal"),
    [
        (identity(2, cluster_id="other"), Refusal.CLUSTER),
        (identity(2, protocol_min=2, protocol_max=9), Refusal.PROTOCOL),
        (identity(1), Refusal.OWN_ID),
        (identity(7), Refusal.NOT_A_MEMBER),
    ],
)
async def test_a_stranger_is_told_why_and_costs_one_line(
    hello: Identity, refusal: Refusal, autojump_clock: trio.testing.MockClock
) -> None:
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            start(nursery, network, node)
            await quiet()
            lines.clear()
            for _ in range(5):
                stream, welcome = await dial_as(network, hello)
                assert welcome.refusal is refusal
                assert welcome.identity == node.me
                assert await stream.receive_some() == b""
            nursery.cancel_scope.cancel()
    assert [(line["event"], line["reason"]) for line in lines] == [("peer connection refused", welcome.message)]
    assert node.told == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "a first frame of 1195725856 bytes; a hello has at most 4096"),
        (b"\x7f\xff\xff\xff", "a first frame of 2147483647 bytes"),
        (b"\0\0\0\x08" + bytes(8), "no peer of a YAKt quorum"),
        (b"", "no hello within 5 s"),
        (b"\0\0", "no hello within 5 s"),
        (codec.encode_hello(identity(2))[:-1], "no hello within 5 s"),
    ],
)
async def test_what_is_no_hello_costs_one_line(data: bytes, why: str, autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            start(nursery, network, node)
            await quiet()
            lines.clear()
            began = trio.current_time()
            stream = await network.connect(1)
            await stream.send_all(data)
            assert await stream.receive_some() == b"", "no answer to what is no peer"
            assert trio.current_time() - began <= 5.001
            nursery.cancel_scope.cancel()
    refused = [line for line in lines if line["event"] == "peer connection refused"]
    assert len(refused) == len(lines) == 1
    assert why in refused[0]["reason"]


async def test_garbage_after_the_hello_ends_that_connection_alone(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    three = identity(3)
    one.links = Links(one.me, {NodeId(2): network.dial(2), NodeId(3): network.dial(3)}, one, random=lambda: 0.5)
    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            start(nursery, network, one, two)
            await trio.sleep(1)
            lines.clear()
            stream, welcome = await dial_as(network, three)
            assert welcome.refusal is Refusal.NONE
            await stream.send_all(b"\x7f\xff\xff\xff")
            assert await stream.receive_some() == b""
            await quiet()
            assert [(line["event"], line["peer"]) for line in lines] == [("peer left", 3)]
            assert "a frame of 2147483647 bytes" in lines[0]["reason"]
            assert one.links.send(NodeId(2), ASK, 1), "the others never notice"
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("in_all", "per_host"), [(HANDSHAKES_MAX, HANDSHAKES_PER_HOST_MAX), (4, 100)])
async def test_connections_that_never_say_hello_are_bounded(
    in_all: int, per_host: int, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("yakt.peer.links.HANDSHAKES_MAX", in_all)
    monkeypatch.setattr("yakt.peer.links.HANDSHAKES_PER_HOST_MAX", per_host)
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    async with trio.open_nursery() as nursery:
        start(nursery, network, node)
        held = [await network.connect(1) for _ in range(min(in_all, per_host))]
        await quiet()
        one_more = await network.connect(1)
        began = trio.current_time()
        assert await one_more.receive_some() == b""
        assert trio.current_time() == began, "at once"
        for stream in held:
            assert await stream.receive_some() == b"", "and each of the others in time"
        _, welcome = await dial_as(network, identity(2))
        assert welcome.refusal is Refusal.NONE
        nursery.cancel_scope.cancel()


async def test_another_disk_is_an_observer_and_told_so(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2, directory_id=Uuid(b"new disk" * 2)))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await quiet()
        assert ("met", 2, False) in one.told
        assert ("link opened", 1, False) in two.told
        assert ("link opened", 2, True) in one.told
        nursery.cancel_scope.cancel()


async def test_an_impostor_is_refused_while_the_replica_is_connected(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await quiet()
        one.told.clear()
        _, welcome = await dial_as(network, identity(2, directory_id=Uuid(b"impostor" * 2)))
        assert welcome.refusal is Refusal.IMPOSTOR
        assert one.told == [], "the core never hears of it"
        assert one.links.send(NodeId(2), ASK, 1)
        nursery.cancel_scope.cancel()


async def test_the_replica_known_here_takes_the_place_of_another(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    async with trio.open_nursery() as nursery:
        start(nursery, network, node)
        other, welcome = await dial_as(network, identity(2, directory_id=Uuid(b"new disk" * 2)))
        assert (welcome.refusal, welcome.counts_you) == (Refusal.NONE, False)
        _, welcome = await dial_as(network, identity(2))
        assert (welcome.refusal, welcome.counts_you) == (Refusal.NONE, True)
        assert await other.receive_some() == b""
        nursery.cancel_scope.cancel()


async def test_a_new_connection_takes_the_place_of_the_old_and_hears_no_answer_of_its(
    autojump_clock: trio.testing.MockClock,
) -> None:
    network = Network()
    node = Node(identity(1), {2: network.dial(2)})
    async with trio.open_nursery() as nursery:
        start(nursery, network, node)
        old, _ = await dial_as(network, identity(2))
        await old.send_all(b"".join(codec.encode(Api.READ_INDEX, ASK, 1, 1)))
        await quiet()
        assert node.told[-1] == ("received", 2, ASK, 1)
        new, _ = await dial_as(network, identity(2))
        assert await old.receive_some() == b""
        assert not node.links.send(NodeId(2), ANSWER, 1), "the answer to the old one's question"
        await new.send_all(b"".join(codec.encode(Api.READ_INDEX, ASK, 1, 1)))
        await quiet()
        assert node.links.send(NodeId(2), ANSWER, 1)
        assert await new.receive_some() == b"".join(codec.encode(Api.READ_INDEX, ANSWER, 1, 1))
        [statistics] = node.links.statistics()
        assert statistics.accepted
        nursery.cancel_scope.cancel()


async def test_versions_1_to_2_and_2_to_3_speak_2(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1, protocol_max=2), identity(2, protocol_min=2, protocol_max=3))
    async with trio.open_nursery() as nursery:
        start(nursery, network, one, two)
        await quiet()
        assert [statistics.protocol for statistics in one.links.statistics()] == [2]
        assert one.links.send(NodeId(2), ASK, 1)
        await quiet()
        assert two.told[-1] == ("received", 1, ASK, 1)
        nursery.cancel_scope.cancel()


async def test_the_wrong_node_at_an_address(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one = Node(identity(1), {2: network.dial(3)})
    three = Node(identity(3), {1: network.dial(1)})
    with captured_lines() as lines:
        async with trio.open_nursery() as nursery:
            start(nursery, network, one, three)
            await trio.sleep(30)
            nursery.cancel_scope.cancel()
    mistaken = [line for line in lines if line["event"] == "peer cannot be reached" and line["peer"] == 2]
    assert [line["reason"] for line in mistaken] == ["it is node 3, not 2: see the addresses of the voters"]
    assert one.told == []


async def test_a_failed_disk_stops_the_links(autojump_clock: trio.testing.MockClock) -> None:
    network = Network()
    one, two = pair(network, identity(1), identity(2))

    def met(_peer: Identity) -> bool:
        raise StorageError("voter-directories: fsync: EIO")

    one.met = met  # type: ignore[method-assign]
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            start(nursery, network, one, two)
    assert caught.group_contains(StorageError)


async def test_three_nodes_on_real_sockets() -> None:
    listeners = {node: (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0] for node in (1, 2, 3)}
    dials = {node: dial_tcp("127.0.0.1", listener.socket.getsockname()[1]) for node, listener in listeners.items()}
    nodes = {
        node: Node(identity(node), {other: dial for other, dial in dials.items() if other != node}) for node in dials
    }
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for node, listener in listeners.items():
                nursery.start_soon(nodes[node].links.run, [listener])
            while not all(
                link.dialled and link.accepted for node in nodes.values() for link in node.links.statistics()
            ):
                await trio.testing.wait_all_tasks_blocked(0.001)
            for to in (2, 3):
                assert nodes[1].links.send(NodeId(to), ASK, to)
                while nodes[to].told[-1] != ("received", 1, ASK, to):
                    await trio.testing.wait_all_tasks_blocked(0.001)
                assert nodes[to].links.send(NodeId(1), ANSWER, to)
                while nodes[1].told[-1] != ("received", to, ANSWER, to):
                    await trio.testing.wait_all_tasks_blocked(0.001)
            nursery.cancel_scope.cancel()


async def test_nobody_at_a_real_address_is_one_clear_line() -> None:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    node = Node(identity(1), {2: dial_tcp("127.0.0.1", port)})
    with captured_lines() as lines, trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(node.links.run, [Network().listen(1)])
            while not lines:
                await trio.testing.wait_all_tasks_blocked(0.001)
            nursery.cancel_scope.cancel()
    assert lines[0]["event"] == "peer cannot be reached"
    assert f"127.0.0.1:{port}" in lines[0]["reason"]
    assert "\n" not in lines[0]["reason"]
