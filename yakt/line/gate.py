"""Who may come in: listening sockets, how many clients in all and from one address, and what each may cost."""

import contextlib
import errno
import os
import select
import socket
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import attrs
import structlog
import trio

from yakt.address import Address
from yakt.errors import RefusedError
from yakt.line.connection import NEVER
from yakt.line.replies import format_end

logger = structlog.get_logger()

ACCEPTED_AT_ONCE = 64
SHUT_S = 1.0
"""How long nobody is let in, at most, when there was no file descriptor for the last who came."""


class ListeningSocket(Protocol):
    """A bound, listening socket, the standard library's or Trio's."""

    def fileno(self) -> int: ...
    def close(self) -> None: ...


@attrs.frozen(kw_only=True)
class Limits:
    """What clients may cost. Sizes in bytes, times in seconds."""

    connections: int = 12_000
    connections_an_address: int = 11_000
    stall: float = 30.0
    """A client that takes nothing of its replies for so long is closed."""
    linger: float = 2.0
    linger_size: int = 1024 * 1024
    """How long and how much is still read and thrown away after the last reply, so that it arrives before a reset."""
    pass_size: int = 1024 * 1024
    """Read in one pass; then peers get their turn."""
    pass_events: int = 512
    reply_size: int = 512 * 1024
    """Formatted for one client in one pass."""
    send_buffer: int | None = None
    """The kernel's buffer for each client; None leaves it to the kernel."""


class Gate:
    """Accepts clients on any number of sockets, which one epoll watches; `welcome(socket, host, address)` gets each.

    Out of file descriptors, it lets nobody in until somebody has left, or `reopen_at` has come: others may have
    given some back.
    """

    def __init__(self, epoll: select.epoll, limits: Limits, welcome: Callable[[socket.socket, str, str], None]) -> None:
        self._epoll = epoll
        self._limits = limits
        self._welcome = welcome
        self._listening: dict[int, socket.socket] = {}
        self._count = 0
        self._by_host: Counter[str] = Counter()
        self.reopen_at = NEVER

    def open(self, sock: ListeningSocket) -> None:
        """Let clients in from this socket; it is taken over."""
        own = socket.socket(fileno=os.dup(sock.fileno()))
        sock.close()
        own.setblocking(False)
        self._listening[own.fileno()] = own
        self._epoll.register(own.fileno(), select.EPOLLIN)

    def close(self) -> None:
        """Close the sockets."""
        for sock in self._listening.values():
            sock.close()

    def let_in(self, fd: int) -> None:
        """Take some of those who wait at that socket; the rest is reported again."""
        listening = self._listening.get(fd)
        if listening is None:
            return
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, name = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                if exc.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                logger.warning("no more clients are accepted for now", reason=str(exc), clients=self._count)
                self._listen_for(0, until=trio.current_time() + SHUT_S)
                return
            host = str(name[0])
            if self._count >= self._limits.connections:
                _turn_away(sock, "this node has as many connections as it takes")
            elif self._by_host[host] >= self._limits.connections_an_address:
                _turn_away(sock, "this node takes no more connections from your address")
            else:
                self._set_up(sock)
                self._count += 1
                self._by_host[host] += 1
                self._welcome(sock, host, str(Address(host, int(name[1]))))

    def let_out(self, host: str) -> None:
        """One from there has left."""
        self._count -= 1
        self._by_host[host] -= 1
        if not self._by_host[host]:
            del self._by_host[host]
        self.reopen()

    def reopen(self) -> None:
        """Try again, if it was shut."""
        if self.reopen_at < NEVER:
            self._listen_for(select.EPOLLIN, until=NEVER)

    def _listen_for(self, mask: int, *, until: float) -> None:
        self.reopen_at = until
        for fd in self._listening:
            self._epoll.modify(fd, mask)

    def _set_up(self, sock: socket.socket) -> None:
        """Answers at once; the dead are found out; nothing blocks."""
        sock.setblocking(False)
        for level, option, value in (
            (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
        ):
            sock.setsockopt(level, option, value)
        if self._limits.send_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._limits.send_buffer)


def _turn_away(sock: socket.socket, message: str) -> None:
    refusal = RefusedError("OVERLOADED", message, hint="another node takes any command too", retry=True)
    with sock, contextlib.suppress(OSError):  # it may have gone already
        sock.setblocking(False)
        sock.send(format_end(refusal).encode())
        sock.shutdown(socket.SHUT_WR)
