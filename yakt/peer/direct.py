"""The short way to a plain socket's bytes: writes within a turn, and reads with one system call less than Trio's.

For any other stream (memory in tests, TLS) there is the ordinary way. A connection does not know which it has.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import trio

from yakt.address import Address
from yakt.peer.outbox import Piece, Write

RECEIVE_SIZE = 64 * 1024

Receive: TypeAlias = Callable[[], Awaitable[bytes | bytearray]]
"""The next bytes, up to RECEIVE_SIZE; none at the end. Raises as `trio.abc.ReceiveStream.receive_some` does."""


def keep_alive(stream: trio.abc.Stream) -> None:
    """Have the kernel probe a silent socket too, hellos included; Trio has turned Nagle's delay off already."""
    if isinstance(stream, trio.SocketStream):
        with suppress(OSError):  # it may have gone already, which the next read will tell
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE, 1)


def direct_write(stream: trio.abc.Stream) -> Write | None:
    """A way to write without waiting, if the stream has one (hot-path.md §4.4)."""
    if not isinstance(stream, trio.SocketStream):
        return None
    socket = stream.socket

    def write(pieces: Sequence[Piece]) -> int:
        try:
            return os.writev(socket.fileno(), pieces)
        except BlockingIOError:
            return 0

    return write


def receiver(stream: trio.abc.Stream) -> Receive:
    """The quickest way to read the stream.

    Trio's own asks the kernel first and waits when there was nothing, which between turns is the rule: here it is
    waited for first.
    """
    if not isinstance(stream, trio.SocketStream):
        return partial(stream.receive_some, RECEIVE_SIZE)
    socket = stream.socket

    async def receive() -> bytes:
        while True:
            await trio.lowlevel.wait_readable(socket)
            try:
                return os.read(socket.fileno(), RECEIVE_SIZE)
            except BlockingIOError:
                continue
            except OSError as exc:
                raise trio.BrokenResourceError(str(exc)) from exc

    return receive


def remote_address(stream: trio.abc.Stream) -> tuple[str, str]:
    """The host and the whole address of the other side, for people."""
    if not isinstance(stream, trio.SocketStream):
        return "memory", "memory"
    try:
        host, port = stream.socket.getpeername()[:2]
    except OSError:  # it has gone already
        return "unknown", "unknown"
    return host, str(Address(host, port))
