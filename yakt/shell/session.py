"""One person's conversation with a cluster: a connection, a reply for each line, events in between."""

import os
from collections.abc import Callable, Sequence

import trio

from yakt.address import Address
from yakt.errors import NotReachedError, RemoteProtocolError, YaktError
from yakt.line.replies import ReplyLine, parse_json_line, parse_reply_line
from yakt.line.words import REPLY_LINE_SIZE_MAX

CONNECT_TIMEOUT = 2.0
CLIENT_NAME = "yakt-shell"


class LostError(YaktError):
    """The connection ended before the reply did: it may have been done or not."""


class Session:
    """Lines out, replies in. `run` reads; `ask` may be called while it runs, one at a time.

    `on_line` gets each line of a reply as it comes, `on_event` each event: the line as it was said, and what it says;
    `on_lost` is told when the other side hangs up. `server` and `node` are known once connected.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        *,
        as_json: bool,
        on_line: Callable[[str, ReplyLine], None],
        on_event: Callable[[str, ReplyLine], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._servers = servers
        self._as_json = as_json
        self._on_line = on_line
        self._on_event = on_event
        self._on_lost = on_lost
        self._stream: trio.SocketStream | None = None
        self._buffer = bytearray()
        self._ends, self._ended = trio.open_memory_channel[ReplyLine | None](64)
        self._place = 0
        self._is_quiet = False
        self.server: Address | None = None
        self.node: int | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as we know."""
        return self._stream is not None

    async def connect(self, nursery: trio.Nursery) -> None:
        """Connect with the first server that takes it, beginning after the last. Raises NotReachedError."""
        reasons = []
        for step in range(len(self._servers)):
            server = self._servers[(self._place + step) % len(self._servers)]
            try:
                with trio.fail_after(CONNECT_TIMEOUT):
                    self._stream = await trio.open_tcp_stream(server.host, server.port)
            except (OSError, trio.TooSlowError) as exc:
                reasons.append(f"{server}: {_reason(exc)}")
                continue
            self._place = (self._place + step + 1) % len(self._servers)
            self.server = server
            self._buffer.clear()
            self._ends, self._ended = trio.open_memory_channel[ReplyLine | None](64)
            nursery.start_soon(self._read, self._stream)
            self._is_quiet = True
            try:
                form = "json" if self._as_json else "kv"
                greeting = await self.ask(f"HELLO 1 client={CLIENT_NAME} format={form}")
            except LostError:
                reasons.append(f"{server}: hung up")
                continue
            finally:
                self._is_quiet = False
            node = greeting.pairs.get("node")
            self.node = node if isinstance(node, int) else None
            return
        raise NotReachedError(f"no server answers ({'; '.join(reasons)})")

    async def ask(self, line: str) -> ReplyLine:
        """Send a line that is neither blank nor a comment; the end of its reply. Raises LostError."""
        assert self._stream is not None
        try:
            await self._stream.send_all(f"{line}\n".encode())
            end = await self._ended.receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            end = None
        if end is None:
            await self.close()
            raise LostError("the connection was lost before the answer: it may have been done or not")
        return end

    async def close(self) -> None:
        """Hang up."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await trio.aclose_forcefully(stream)

    async def _read(self, stream: trio.SocketStream) -> None:
        """Hand out what comes over this connection until it ends."""
        ends = self._ends
        try:
            while data := await stream.receive_some(65536):
                self._buffer += data
                *lines, rest = self._buffer.split(b"\n")
                if len(rest) > REPLY_LINE_SIZE_MAX:
                    break
                self._buffer = rest
                for line in lines:
                    await self._take(bytes(line), ends)
        except (trio.BrokenResourceError, trio.ClosedResourceError, RemoteProtocolError):
            pass
        if self._stream is stream:
            self._stream = None
            self._on_lost()
        await ends.send(None)

    async def _take(self, line: bytes, ends: trio.MemorySendChannel[ReplyLine | None]) -> None:
        said = parse_json_line(line) if self._as_json else parse_reply_line(line)
        text = line.decode()
        if said.kind == "event":
            self._on_event(text, said)
            return
        if not self._is_quiet:
            self._on_line(text, said)
        if said.is_end:
            await ends.send(said)


def _reason(failure: OSError | trio.TooSlowError) -> str:
    """Why there is no connection. Trio tells what the kernel said of each address in a group behind its own error."""
    behind = failure.__cause__
    said = behind.exceptions[-1] if isinstance(behind, BaseExceptionGroup) else behind or failure
    return os.strerror(said.errno) if isinstance(said, OSError) and said.errno else "no answer"
