"""Lines to one node and what it says to them, over TCP. Reads no more meaning into them than where a reply ends."""

from typing import Self

import trio

from yakt.address import Address
from yakt.errors import RemoteProtocolError
from yakt.line.replies import ReplyLine, parse_reply_line

CONNECT_S = 2.0
_LINE_SIZE_MAX = 1 << 20
"""A reply line has at most 1 MiB (line-protocol.md, section 2)."""
_RECEIVE_SIZE = 1 << 16


class Conversation:
    """One connection to a node, a request at a time; an async context manager.

    Everything here may raise OSError (no connection) or trio.BrokenResourceError (a lost one); `DISCONNECTED` is both.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines: list[bytes] = []
        self._rest = bytearray()

    @classmethod
    async def open(cls, address: Address) -> "Conversation":
        """Connect, within CONNECT_S."""
        with trio.move_on_after(CONNECT_S):
            return cls(await trio.open_tcp_stream(address.host, address.port))
        raise OSError(f"{address} does not take connections")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stream.aclose()

    async def say(self, line: str) -> None:
        """Send a line."""
        await self._stream.send_all(line.encode() + b"\n")

    async def hang_up(self) -> None:
        """No more lines from us; the node still answers those it has, then hangs up too."""
        await self._stream.send_eof()

    async def hear(self) -> bytes | None:
        """The next line that the node says, without its end; None when it has hung up. Raises RemoteProtocolError."""
        while not self._lines:
            chunk = await self._stream.receive_some(_RECEIVE_SIZE)
            if not chunk:
                return None
            self._rest += chunk
            *lines, self._rest = self._rest.split(b"\n")
            self._lines = [bytes(line) for line in reversed(lines)]
            if len(self._rest) > _LINE_SIZE_MAX:
                raise RemoteProtocolError("a reply line of more than 1 MiB")
        return self._lines.pop()

    async def ask(self, line: str) -> ReplyLine:
        """Say a line; the last line of its reply. Raises RemoteProtocolError when there is none."""
        await self.say(line)
        while (answer := await self.hear()) is not None:
            parsed = parse_reply_line(answer)
            if parsed.is_end:
                return parsed
        raise RemoteProtocolError("the node hung up")


DISCONNECTED = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError)
"""What a connection to a node that comes and goes may raise at any time."""
