"""The Kafka listener: one task a connection, which answers a request before it reads on, as Kafka's own servers do."""

from collections.abc import Sequence

import attrs
import structlog
import trio

from yakt.address import Address
from yakt.errors import CodecError, RefusedError, RemoteProtocolError
from yakt.kafka import codec, versions
from yakt.kafka.apis import API_VERSIONS
from yakt.kafka.desk import About, Desk
from yakt.node.service import ControllerService, Traffic
from yakt.wire.frame import FrameDecoder, encode_frame

logger = structlog.get_logger()

RECEIVE_SIZE = 64 * 1024


@attrs.frozen(kw_only=True)
class Limits:
    """What clients may cost. Sizes in bytes, times in seconds."""

    connections: int = 1000
    frame_size: int = 4 * 1024 * 1024
    """Of a request: a thousand topics with their configs have a tenth of it."""
    idle: float = 600.0
    """Kafka's connections.max.idle.ms."""
    stall: float = 30.0
    """For the rest of a request that has begun, and for the client to take an answer."""


async def serve(
    service: ControllerService,
    listeners: Sequence[trio.SocketListener],
    about: About,
    limits: Limits | None = None,
    traffic: Traffic | None = None,
) -> None:
    """Serve all clients that come to these listeners until cancelled; `traffic` is counted up."""
    server = _Server(service, about, limits or Limits(), traffic or Traffic())
    await trio.serve_listeners(server.serve, list(listeners))


class _Server:
    def __init__(self, service: ControllerService, about: About, limits: Limits, traffic: Traffic) -> None:
        self._service = service
        self._about = about
        self._limits = limits
        self._traffic = traffic

    async def serve(self, stream: trio.SocketStream) -> None:
        if self._traffic.connections >= self._limits.connections:
            logger.warning("a Kafka client was turned away: too many connections", limit=self._limits.connections)
            await trio.aclose_forcefully(stream)
            return
        self._traffic.connections += 1
        try:
            await serve_client(
                stream, self._service, self._about, self._limits, address_of(stream), traffic=self._traffic
            )
        finally:
            self._traffic.connections -= 1


def address_of(stream: trio.SocketStream) -> str:
    """Who is at the other end, `host:port`; "?" once it has gone."""
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:
        return "?"
    return str(Address(host, port))


async def serve_client(
    stream: trio.abc.Stream,
    service: ControllerService,
    about: About,
    limits: Limits,
    address: str,
    *,
    traffic: Traffic | None = None,
) -> None:
    """Answer one client until it hangs up, is silent for too long, or sends what is no request."""
    desk = Desk(service, about, address)
    conversation = _Conversation(stream, desk, limits, traffic or Traffic())
    try:
        await conversation.run()
    except (trio.BrokenResourceError, trio.TooSlowError):
        pass  # it has gone
    except (CodecError, RemoteProtocolError, RefusedError) as exc:
        logger.warning("a Kafka client's connection is closed", client=address, reason=str(exc))
    finally:
        desk.close()
        with trio.move_on_after(1) as scope:
            scope.shield = True
            await stream.aclose()


class _Conversation:
    def __init__(self, stream: trio.abc.Stream, desk: Desk, limits: Limits, traffic: Traffic) -> None:
        self._stream = stream
        self._traffic = traffic
        self._desk = desk
        self._limits = limits
        self._frames = FrameDecoder(limits.frame_size)

    async def run(self) -> None:
        while True:
            patience = self._limits.stall if self._frames.pending else self._limits.idle
            with trio.fail_after(patience):
                data = await self._stream.receive_some(RECEIVE_SIZE)
            if not data:
                return
            for frame in self._frames.feed(bytes(data)):
                answer = await self._answer(frame)
                with trio.fail_after(self._limits.stall):
                    await self._stream.send_all(b"".join(encode_frame((answer,))))

    async def _answer(self, frame: bytes) -> bytes:
        """Raises CodecError, or RefusedError where there is no way to say no but to hang up."""
        try:
            header = codec.decode_header(frame)
        except CodecError as exc:
            raise CodecError(f"not a request: {exc}") from None
        if not header.is_served:
            if header.api is API_VERSIONS:
                return codec.encode_unsupported(header, versions.refuse_version())
            raise CodecError(f"{header.api.name} version {header.version} is not served here")
        body = codec.decode_body(header, frame)
        self._traffic.requests[header.api.name, "OK"] += 1  # what Kafka's errors are is inside the answers
        return codec.encode_response(header, await self._desk.answer(header, body))
