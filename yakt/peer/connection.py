"""One peer over one stream: the exchange of hellos, then a reading half, a writing half and a watch in one nursery.

Knows bytes, time and silence; what the messages mean is for whoever is given them.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import attrs
import trio

from yakt.errors import CodecError, RemoteProtocolError
from yakt.ids import NodeId
from yakt.peer import codec
from yakt.peer.direct import direct_write, receiver
from yakt.peer.messages import Identity, PeerMessage, PeerRequest, PeerResponse, Ping, Pong, Welcome
from yakt.peer.outbox import Outbox
from yakt.wire.frame import FrameDecoder

T = TypeVar("T")

OWED_MAX = 65536
"""Requests of one peer that may wait for their answers; beyond, the oldest gets none."""


@attrs.frozen(kw_only=True)
class Patience:
    """How long a connection waits for what, in seconds, and how much it holds, in bytes."""

    hello_s: float = 5.0
    """For the whole exchange of hellos."""
    ping_after_s: float = 5.0
    """A connection on which nothing was heard for so long is pinged …"""
    silence_s: float = 10.0
    """… and given up after so long: half open, hung or cut off."""
    progress_s: float = 30.0
    """For the other side to take one chunk (about 64 KiB)."""
    outbox_bytes: int = 16 * 1024 * 1024


PATIENCE = Patience()


class Connection:
    """A stream whose two ends have agreed to speak. Ends by itself, never to be used again; `close` ends it sooner.

    `dialled`: we sent the hello, so requests leave here and responses come back; else the reverse. Pings go both ways.
    `receive` is called with each message and its correlation, `turn_ended` after all that one read has brought.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        peer: Identity,
        protocol: int,
        *,
        dialled: bool,
        counts_peer: bool,
        patience: Patience,
        receive: Callable[["Connection", PeerMessage, int], None],
        turn_ended: Callable[[], None],
    ) -> None:
        self.peer = peer
        self.dialled = dialled
        self.counts_peer = counts_peer
        self.reason: str | None = None
        """Why it ended; None while it lives."""
        self._stream = stream
        self.protocol = protocol
        self._patience = patience
        self._receive = receive
        self._turn_ended = turn_ended
        self._outbox = Outbox(patience.outbox_bytes, direct_write(stream))
        self._outbox_filled = trio.Event()
        self._scope = trio.CancelScope()
        self._heard = trio.current_time()
        # Requests heard here and not answered yet: an answer meant for an earlier connection of this peer, whose
        # correlations may have begun anew with a new process, must not pass for one of this connection.
        self._owed: dict[int, codec.Api] = {}

    @property
    def node(self) -> NodeId:
        """Whom we speak with."""
        return self.peer.node_id

    @property
    def dropped(self) -> int:
        """Messages that the outbox had no room for."""
        return self._outbox.dropped

    def ask(self, request: PeerRequest, correlation: int) -> bool:
        """Send a request without waiting. False: dropped, for want of room or because the connection has ended."""
        return self._put(codec.api_of(request), request, correlation)

    def answer(self, response: PeerResponse, correlation: int) -> bool:
        """Send a response without waiting. False: dropped, as `ask` does, or because no request here waits for it."""
        api = self._owed.pop(correlation, None)
        return api is not None and self._put(api, response, correlation)

    def _put(self, api: codec.Api, message: PeerMessage, correlation: int) -> bool:
        if self.reason is not None:
            return False
        pieces = codec.encode(api, message, correlation, self.protocol)
        try:
            sent = self._outbox.put(pieces, bulk=api is codec.Api.FETCH_SNAPSHOT, join=api is codec.Api.FORWARD)
        except OSError as exc:
            self.close(f"cannot send: {exc}")
            return False
        if not self._outbox.is_idle:
            self._outbox_filled.set()
        return sent

    def close(self, reason: str) -> None:
        """End the connection, from anywhere; `run` returns soon after. The first reason stands."""
        if self.reason is None:
            self.reason = reason
        self._scope.cancel()

    async def run(self) -> str:
        """Speak with the peer until it hangs up, misbehaves or falls silent, or `close` is called; return why."""
        with self._scope:
            async with trio.open_nursery() as connection:
                connection.start_soon(self._half, self._read)
                connection.start_soon(self._half, self._write)
                connection.start_soon(self._half, self._watch)
        if self.reason is None:  # we were cancelled from outside
            self.reason = "stopped"
        return self.reason

    async def _half(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except RemoteProtocolError as exc:
            self.close(f"it broke the protocol: {exc}")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as exc:
            self.close(f"connection lost: {exc.__cause__ or str(exc) or 'closed'}")

    async def _read(self) -> None:
        # Only answers may carry log bytes, so only a dialled connection reads frames of that size.
        decoder = FrameDecoder(codec.RESPONSE_SIZE_MAX if self.dialled else codec.REQUEST_SIZE_MAX)
        receive = receiver(self._stream)
        while data := await receive():
            self._heard = trio.current_time()
            try:
                for payload in decoder.feed(bytes(data)):
                    self._take(payload)
            except RemoteProtocolError:
                self._turn_ended()  # what came before the fault was handed over; any other error stops the node
                raise
            self._turn_ended()
        self.close("it hung up inside a frame" if decoder.pending else "it hung up")

    def _take(self, payload: bytes) -> None:
        frame = _decode(partial(codec.decode, protocol=self.protocol), payload)
        match frame.message:
            case Ping():
                self._put(codec.Api.PING, Pong(), frame.correlation)
            case Pong():
                pass  # to have been heard is all that it was for
            case message if codec.is_request(message) is self.dialled:
                raise RemoteProtocolError(f"{type(message).__name__} in the wrong direction")
            case message:
                if not self.dialled:
                    self._owe(frame)
                self._receive(self, message, frame.correlation)

    def _owe(self, frame: codec.Frame) -> None:
        self._owed[frame.correlation] = frame.api
        if len(self._owed) > OWED_MAX:
            del self._owed[next(iter(self._owed))]

    async def _write(self) -> None:
        while True:
            chunk = self._outbox.take()
            if chunk:
                with trio.move_on_after(self._patience.progress_s) as in_time:
                    await self._stream.send_all(chunk)
                if in_time.cancelled_caught:
                    self.close(f"it took nothing for {self._patience.progress_s:g} s")
                    return
            else:
                self._outbox_filled = trio.Event()
                await self._outbox_filled.wait()

    async def _watch(self) -> None:
        while True:
            await trio.sleep_until(self._heard + self._patience.ping_after_s)
            if trio.current_time() - self._heard < self._patience.ping_after_s:
                continue
            self.ask(Ping(), 0)
            # Counted from the ping: if it was us who stood still, an answer may be waiting to be read.
            pinged, until_then = trio.current_time(), self._heard
            await trio.sleep_until(pinged + self._patience.silence_s - self._patience.ping_after_s)
            if self._heard == until_then:
                self.close(f"nothing was heard from it for {self._patience.silence_s:g} s")


async def send_hello(stream: trio.abc.Stream, hello: Identity | Welcome) -> None:
    """Send a hello or its answer."""
    await stream.send_all(codec.encode_hello(hello) if isinstance(hello, Identity) else codec.encode_welcome(hello))


async def receive_hello(stream: trio.abc.Stream) -> Identity:
    """Read a dialler's hello. Raises RemoteProtocolError for anything else, trio's errors for a lost stream."""
    return _decode(codec.decode_hello, await _receive_first_frame(stream))


async def receive_welcome(stream: trio.abc.Stream) -> Welcome:
    """Read the answer to our hello; raises as `receive_hello` does."""
    return _decode(codec.decode_welcome, await _receive_first_frame(stream))


async def _receive_first_frame(stream: trio.abc.Stream) -> bytes:
    """Read just the first frame: what follows it belongs to whoever reads on."""
    size = int.from_bytes(await _receive_exactly(stream, 4), "big", signed=True)
    if not 0 < size <= codec.HELLO_SIZE_MAX:
        raise RemoteProtocolError(f"a first frame of {size} bytes; a hello has at most {codec.HELLO_SIZE_MAX}")
    return await _receive_exactly(stream, size)


async def _receive_exactly(stream: trio.abc.Stream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = await stream.receive_some(size - len(received))
        if not data:
            raise RemoteProtocolError("it hung up before its hello was whole" if received else "it hung up at once")
        received += data
    return bytes(received)


def _decode(decode: Callable[[bytes], T], data: bytes) -> T:
    """What cannot be decoded is the peer's fault, never to be mistaken for ours further up."""
    try:
        return decode(data)
    except CodecError as exc:
        raise RemoteProtocolError(str(exc)) from exc
