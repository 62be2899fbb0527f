"""One connection: what it hands over, what it refuses, and when it gives up."""

import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import pytest
import trio
import trio.testing

from yakt.errors import RemoteProtocolError, StorageError
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, Uuid
from yakt.peer import codec
from yakt.peer.codec import Api
from yakt.peer.connection import PATIENCE, Connection, Patience, receive_hello, receive_welcome, send_hello
from yakt.peer.messages import Identity, PeerMessage, Ping, Pong, Welcome
from yakt.raft.messages import (
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    ReadIndexRequest,
    ReadIndexResponse,
)
from yakt.wire.frame import FrameDecoder

PEER = Identity(protocol_min=1, protocol_max=1, cluster_id="c", node_id=NodeId(2), directory_id=Uuid(b"2" * 16))
ASK = ReadIndexRequest(epoch=Epoch(3))
ANSWER = ReadIndexResponse(leader_id=NodeId(1), epoch=Epoch(3), offset=Offset(7))
FETCH = FetchRequest(
    replica=None, epoch=Epoch(1), fetch_offset=Offset(0), last_fetched_epoch=Epoch(0), max_wait_ms=0, max_bytes=1
)
FETCHED = FetchResponse(leader_id=NodeId(1), epoch=Epoch(1))
SNAPSHOT = OffsetAndEpoch(Epoch(1), Offset(5))
CHUNK_ASKED = FetchSnapshotRequest(replica=None, epoch=Epoch(1), snapshot_id=SNAPSHOT, position=0, max_bytes=1)
CHUNK = FetchSnapshotResponse(
    leader_id=NodeId(1), epoch=Epoch(1), snapshot_id=SNAPSHOT, size=10**6, data=bytes(200_000)
)
Work: TypeAlias = Callable[[], Awaitable[None]]


@attrs.define
class Side:
    """A connection, and what it handed over: messages, and None at the end of each turn."""

    connection: Connection
    heard: list[tuple[PeerMessage, int] | None]

    @property
    def messages(self) -> list[tuple[PeerMessage, int]]:
        return [one for one in self.heard if one is not None]


def side(stream: trio.abc.Stream, *, dialled: bool, patience: Patience = PATIENCE) -> Side:
    heard: list[tuple[PeerMessage, int] | None] = []
    connection = Connection(
        stream,
        PEER,
        1,
        dialled=dialled,
        counts_peer=True,
        patience=patience,
        receive=lambda _connection, message, correlation: heard.append((message, correlation)),
        turn_ended=lambda: heard.append(None),
    )
    return Side(connection, heard)


def frame(api: Api, message: PeerMessage, correlation: int = 1) -> bytes:
    return b"".join(codec.encode(api, message, correlation, 1))


async def test_a_question_and_its_answer(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    asker, answerer = side(here, dialled=True), side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker.connection.run)
        nursery.start_soon(answerer.connection.run)
        assert asker.connection.ask(ASK, 5)
        await trio.testing.wait_all_tasks_blocked()
        assert answerer.heard == [(ASK, 5), None]
        assert answerer.connection.answer(ANSWER, 5)
        await trio.testing.wait_all_tasks_blocked()
        assert asker.heard == [(ANSWER, 5), None]
        nursery.cancel_scope.cancel()


async def test_an_answer_needs_a_question_on_this_very_connection(autojump_clock: trio.testing.MockClock) -> None:
    """A new process of a peer may count its correlations anew: what the old one asked must not be answered to it."""
    here, there = trio.testing.memory_stream_pair()
    answerer = side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answerer.connection.run)
        assert not answerer.connection.answer(ANSWER, 5)
        await here.send_all(frame(Api.READ_INDEX, ASK, 5))
        await trio.testing.wait_all_tasks_blocked()
        assert not answerer.connection.answer(ANSWER, 4)
        assert answerer.connection.answer(ANSWER, 5)
        assert not answerer.connection.answer(ANSWER, 5), "once"
        nursery.cancel_scope.cancel()


async def test_what_is_owed_is_bounded(autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.peer.connection.OWED_MAX", 256)
    here, there = trio.testing.memory_stream_pair()
    answerer = side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answerer.connection.run)
        for number in range(1000):
            await here.send_all(frame(Api.READ_INDEX, ASK, number))
        await trio.testing.wait_all_tasks_blocked()
        assert sum(answerer.connection.answer(ANSWER, number) for number in range(1000)) == 256
        nursery.cancel_scope.cancel()


async def test_one_turn_for_all_that_one_read_brings(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    answerer = side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answerer.connection.run)
        await here.send_all(frame(Api.READ_INDEX, ASK, 1) + frame(Api.FETCH, FETCH, 2))
        await trio.testing.wait_all_tasks_blocked()
        assert answerer.heard == [(ASK, 1), (FETCH, 2), None]
        nursery.cancel_scope.cancel()


async def test_byte_by_byte(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    answerer = side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answerer.connection.run)
        for byte in frame(Api.READ_INDEX, ASK, 1) + frame(Api.FETCH, FETCH, 2):
            await here.send_all(bytes([byte]))
            await trio.testing.wait_all_tasks_blocked()
        assert answerer.messages == [(ASK, 1), (FETCH, 2)]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it hung up"),
        (frame(Api.READ_INDEX, ASK)[:-1], "it hung up inside a frame"),
        (b"GET / HTTP/1.1\r\n\r\n", "a frame of 1195725856 bytes"),
        (b"\x7f\xff\xff\xff", "a frame of 2147483647 bytes"),
        (b"\xff\xff\xff\xff", "a frame of -1 bytes"),
        ((codec.REQUEST_SIZE_MAX + 1).to_bytes(4, "big"), "a frame of 1048577 bytes"),
        (b"\0\0\0\5abcde", "no whole header"),
        (frame(Api.READ_INDEX, ANSWER), "ReadIndexResponse in the wrong direction"),
    ],
)
async def test_the_good_part_is_heard_and_the_bad_part_ends_it(
    data: bytes, why: str, autojump_clock: trio.testing.MockClock
) -> None:
    here, there = trio.testing.memory_stream_pair()
    answerer = side(there, dialled=False)
    reasons: list[str] = []

    async def run() -> None:
        reasons.append(await answerer.connection.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await here.send_all(frame(Api.FETCH, FETCH))
        await trio.testing.wait_all_tasks_blocked()
        await here.send_all(data)
        if "hung up" in why:
            await here.aclose()
    assert why in reasons[0]
    assert answerer.messages == [(FETCH, 1)]
    assert answerer.heard[-1] is None, "what was heard is settled"
    assert not answerer.connection.answer(FETCHED, 1), "it has ended"


async def test_a_request_is_no_answer(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    asker = side(there, dialled=True)
    await here.send_all(frame(Api.FETCH, FETCH))
    assert "FetchRequest in the wrong direction" in await asker.connection.run()
    assert asker.messages == []


async def test_idle_is_not_dead(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    sides = side(here, dialled=True), side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        for one in sides:
            nursery.start_soon(one.connection.run)
        await trio.sleep(3600)
        assert [one.connection.reason for one in sides] == [None, None]
        assert [one.messages for one in sides] == [[], []], "pings are nobody else's business"
        nursery.cancel_scope.cancel()


async def test_half_open_is_pinged_and_given_up(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()
    began = trio.current_time()
    asker = side(there, dialled=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker.connection.run)
        await here.receive_some()
        assert trio.current_time() - began == pytest.approx(PATIENCE.ping_after_s)
        # A sign of life in time starts the wait anew …
        await here.send_all(frame(Api.PING, Pong(), 0))
        await trio.sleep(PATIENCE.silence_s - 0.1)
        assert asker.connection.reason is None
        # … and silence ends it.
    assert asker.connection.reason == "nothing was heard from it for 10 s"
    assert trio.current_time() - began == pytest.approx(PATIENCE.ping_after_s + PATIENCE.silence_s)


async def test_having_stood_still_ourselves_is_not_the_peers_silence(mock_clock: trio.testing.MockClock) -> None:
    """A stopped process that goes on finds all its deadlines passed at once; the peer must get its chance to answer."""
    here, there = trio.testing.memory_stream_pair()
    sides = side(here, dialled=True), side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        for one in sides:
            nursery.start_soon(one.connection.run)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(60)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1)
        await trio.testing.wait_all_tasks_blocked()
        assert [one.connection.reason for one in sides] == [None, None]
        nursery.cancel_scope.cancel()


async def test_one_that_talks_but_does_not_read_is_given_up_in_bounded_memory(
    autojump_clock: trio.testing.MockClock,
) -> None:
    here, there = trio.testing.lockstep_stream_pair()  # a send waits until the other side has read it
    patience = attrs.evolve(PATIENCE, outbox_bytes=500_000)
    answerer = side(there, dialled=False, patience=patience)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answerer.connection.run)
        for correlation in range(100):
            await here.send_all(frame(Api.FETCH_SNAPSHOT, CHUNK_ASKED, correlation))
            await trio.testing.wait_all_tasks_blocked()
        sent = [answerer.connection.answer(CHUNK, correlation) for correlation in range(100)]
        assert sent == [True] * 2 + [False] * 98
        assert answerer.connection.dropped == 98

        async def keep_talking() -> None:
            with trio.move_on_after(60):
                while answerer.connection.reason is None:
                    await here.send_all(frame(Api.PING, Ping(), 0))
                    await trio.sleep(1)

        await keep_talking()
        assert answerer.connection.reason == "it took nothing for 30 s"


async def test_a_snapshot_does_not_hold_up_a_fetch(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.lockstep_stream_pair()
    answerer = side(there, dialled=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answerer.connection.run)
        for correlation in range(4):
            await here.send_all(frame(Api.FETCH_SNAPSHOT, CHUNK_ASKED, correlation))
        await here.send_all(frame(Api.FETCH, FETCH, 9))
        await trio.testing.wait_all_tasks_blocked()
        for correlation in range(4):
            answerer.connection.answer(CHUNK, correlation)
        await trio.testing.wait_all_tasks_blocked()  # the first chunk is on its way
        answerer.connection.answer(FETCHED, 9)
        decoder, heard = FrameDecoder(codec.RESPONSE_SIZE_MAX), []
        while len(heard) < 5:
            heard += [codec.decode(payload, 1).correlation for payload in decoder.feed(await here.receive_some(65536))]
        assert heard == [0, 9, 1, 2, 3]
        nursery.cancel_scope.cancel()


async def test_an_error_of_our_own_is_not_the_peers() -> None:
    """A failed disk must stop the node at once: nothing is settled on top of it, nothing is called a lost link."""
    here, there = trio.testing.memory_stream_pair()
    turns: list[None] = []

    def receive(_connection: Connection, _message: PeerMessage, _correlation: int) -> None:
        raise StorageError("quorum-state: fdatasync: EIO")

    connection = Connection(
        there,
        PEER,
        1,
        dialled=False,
        counts_peer=True,
        patience=PATIENCE,
        receive=receive,
        turn_ended=lambda: turns.append(None),
    )
    await here.send_all(frame(Api.READ_INDEX, ASK))
    with pytest.raises(ExceptionGroup) as caught:
        await connection.run()
    assert caught.group_contains(StorageError)
    assert turns == []


# Hellos


async def test_hellos_are_read_to_their_last_byte_and_no_further() -> None:
    here, there = trio.testing.memory_stream_pair()
    await send_hello(here, PEER)
    await here.send_all(b"after")
    assert await receive_hello(there) == PEER
    assert await there.receive_some() == b"after"
    await send_hello(there, Welcome(protocol=1, identity=PEER))
    assert await receive_welcome(here) == Welcome(protocol=1, identity=PEER)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it hung up at once"),
        (codec.encode_hello(PEER)[:-1], "before its hello was whole"),
        (b"\x7f\xff\xff\xff", "a first frame of 2147483647 bytes"),
        (b"\xff\xff\xff\xff", "a first frame of -1 bytes"),
        (b"\0\0\0\0", "a first frame of 0 bytes"),
        (b"\0\0\x10\x01", "a first frame of 4097 bytes"),
        (b"GET / HTTP/1.1\r\n\r\n", "a first frame of 1195725856 bytes"),
        (b"\0\0\0\x04QUIC", "no peer of a YAKt quorum"),
        (b"\0\0\0\x05YAKt\0", "byte"),
    ],
)
async def test_what_is_no_hello(data: bytes, why: str) -> None:
    here, there = trio.testing.memory_stream_pair()
    await here.send_all(data)
    await here.aclose()
    with pytest.raises(RemoteProtocolError, match=why):
        await receive_hello(there)


# On real sockets, where sends go straight to the kernel


async def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listeners[0] as listener:
        here = await trio.open_tcp_stream("127.0.0.1", listener.socket.getsockname()[1])
        return here, await listener.accept()


async def test_an_idle_socket_is_written_to_within_the_turn() -> None:
    here, there = await socket_pair()
    async with here, there:
        asker = side(here, dialled=True)
        assert asker.connection.ask(ASK, 5)  # nothing runs: no task has been started
        with trio.fail_after(5):
            assert await there.receive_some() == frame(Api.READ_INDEX, ASK, 5)


async def test_what_a_full_socket_leaves_follows_whole_and_in_order() -> None:
    here, there = await socket_pair()
    async with here, there:
        answerer = side(there, dialled=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answerer.connection.run)
            for correlation in range(100):
                await here.send_all(frame(Api.FETCH_SNAPSHOT, CHUNK_ASKED, correlation))
            with trio.fail_after(5):
                while len(answerer.messages) < 100:
                    await trio.testing.wait_all_tasks_blocked(0.001)
            taken = [number for number in range(100) if answerer.connection.answer(CHUNK, number)]
            assert 16 < len(taken) < 100, "the kernel's buffers and our 16 MiB, and no more"
            decoder, heard = FrameDecoder(codec.RESPONSE_SIZE_MAX), []
            with trio.fail_after(10):
                while len(heard) < len(taken):
                    for payload in decoder.feed(await here.receive_some(1 << 20)):
                        found = codec.decode(payload, 1)
                        assert found.message == CHUNK
                        heard.append(found.correlation)
            assert heard == taken
            nursery.cancel_scope.cancel()


async def test_a_reset_ends_it_with_a_reason() -> None:
    here, there = await socket_pair()
    async with there:
        answerer = side(there, dialled=True)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await here.aclose()  # RST, not FIN
        with trio.fail_after(5):
            await trio.lowlevel.wait_readable(there.socket)
            assert not answerer.connection.ask(ASK, 1)
            assert "cannot send" in await answerer.connection.run()
