"""Takes orders for a swarm that runs: the other end of `control`."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from yakt.errors import ConfigError
from yakt.metadata.answers import Pairs
from yakt.swarm.control import is_served, socket_path

ORDER_BYTES = 65_536
ORDER_S = 10.0
"""Whoever connects and says nothing for so long is hung up on."""


@asynccontextmanager
async def open_control(name: str, obey: Callable[[str], Awaitable[Pairs]]) -> AsyncIterator[None]:
    """Take orders meanwhile. Raises ConfigError if a swarm of that name runs."""
    path = socket_path(name)
    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as sock:
        if is_served(path):
            raise ConfigError([f"yakt swarm: a swarm called {name} runs already; call this one otherwise: --name NAME"])
        path.unlink(missing_ok=True)
        try:
            await sock.bind(str(path))
        except OSError as exc:
            raise ConfigError([f"yakt swarm: {path}: {exc.strerror}; set XDG_RUNTIME_DIR"]) from None
        sock.listen(16)

        async def serve(stream: trio.SocketStream) -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                line = await _receive_line(stream)
                if line is not None:
                    await stream.send_all(json.dumps(await obey(line)).encode() + b"\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(sock)])
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
                nursery.cancel_scope.cancel()


async def _receive_line(stream: trio.SocketStream) -> str | None:
    """The order; None if it does not come whole."""
    line = b""
    with trio.move_on_after(ORDER_S):
        while not line.endswith(b"\n") and len(line) < ORDER_BYTES:
            piece = await stream.receive_some(4096)
            if not piece:
                return None
            line += piece
        return line.decode("utf-8", "replace")
    return None
