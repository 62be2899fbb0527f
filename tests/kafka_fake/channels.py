"""A broker's connections to its controllers: each its own, one request in flight, ApiVersions first (contract §2)."""

from collections.abc import Callable
from typing import Any

import attrs
import msgspec
import trio

from tests.kafka_fake.verdicts import BrokenChannelError
from yakt.address import Address
from yakt.errors import CodecError
from yakt.kafka import apis, codec
from yakt.kafka.apis import Api
from yakt.kafka.messages import connections
from yakt.wire.frame import FrameDecoder, encode_frame

NOT_CONTROLLER = 41
PAUSE_S = 0.05
LOST = (OSError, EOFError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError)


@attrs.define(eq=False)
class Connection:
    """One TCP connection to one node, whose answers must be what was asked for."""

    address: Address
    client_id: str
    stream: trio.SocketStream
    offered: dict[int, tuple[int, int]] = attrs.Factory(dict)
    frames: FrameDecoder = attrs.Factory(lambda: FrameDecoder(100 << 20))
    waiting: list[bytes] = attrs.Factory(list)
    correlation: int = 0

    @classmethod
    async def open(cls, address: Address, client_id: str) -> "Connection":
        """Connect, and ask what is offered. Raises what LOST names."""
        stream = await trio.open_tcp_stream(address.host, address.port)
        one = cls(address, client_id, stream)
        try:
            answer = await one.ask(apis.API_VERSIONS, 4, connections.ApiVersionsRequest("apache-kafka-java", "4.1.1"))
        except BaseException:
            one.close()
            raise
        one.offered = {api.api_key: (api.min_version, api.max_version) for api in answer.api_keys}
        return one

    async def ask(self, api: Api, version: int, body: Any) -> Any:
        """A request, and its answer. Raises BrokenChannelError, and what LOST names."""
        self.correlation += 1
        frame = codec.encode_request(api, version, self.correlation, self.client_id, body)
        await self.stream.send_all(b"".join(encode_frame((frame,))))
        while not self.waiting:
            data = await self.stream.receive_some(65536)
            if not data:
                raise EOFError
            self.waiting += self.frames.feed(bytes(data))
        try:
            correlation, answer = codec.decode_response(api, version, self.waiting.pop(0))
        except CodecError as exc:
            raise BrokenChannelError(f"{api.name}: {exc}") from None
        if correlation != self.correlation:
            raise BrokenChannelError(f"{api.name}: correlation id {correlation}, not {self.correlation}")
        return answer

    def close(self) -> None:
        """Hang up, at once."""
        self.stream.socket.close()


@attrs.define(eq=False)
class Channel:
    """Requests for whoever is the controller, one after another, sent anew until one answers (contract §4).

    `find`: where the controller is just now. `timeout_s`: for one answer, `total_s` for all tries together.
    """

    client_id: str
    find: Callable[[], Address | None]
    timeout_s: float
    total_s: float
    retried: int = 0
    _connection: Connection | None = None
    _turn: trio.Lock = attrs.Factory(trio.Lock)

    async def ask(self, api: Api, version: int, body: Any) -> Any:
        """The answer. Raises BrokenChannelError, and trio.TooSlowError when the time is up."""
        async with self._turn:
            with trio.fail_after(self.total_s):
                while True:
                    try:
                        answer = await self._try(api, version, body)
                    except LOST:
                        answer = None
                    if answer is not None and not says_not_controller(answer):
                        return answer
                    self.retried += 1
                    self.close()
                    await trio.sleep(PAUSE_S)

    async def _try(self, api: Api, version: int, body: Any) -> Any | None:
        address = self.find()
        if address is None:
            return None
        if self._connection is not None and self._connection.address != address:
            self.close()
        with trio.fail_after(self.timeout_s):
            if self._connection is None:
                self._connection = await Connection.open(address, self.client_id)
            least, most = self._connection.offered[api.key]
            assert least <= version <= most, f"{api.name} {version} is not offered"
            return await self._connection.ask(api, version, body)

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def says_not_controller(value: Any) -> bool:
    """Whether error 41 is anywhere in an answer."""
    if isinstance(value, tuple):
        return any(map(says_not_controller, value))
    if not isinstance(value, msgspec.Struct):
        return False
    names = value.__struct_fields__
    return any(name == "error_code" and getattr(value, name) == NOT_CONTROLLER for name in names) or any(
        says_not_controller(getattr(value, name)) for name in names
    )
