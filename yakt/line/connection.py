"""One client of the line port as a value: its socket, what it asked, and what it has not taken yet."""

import socket
from collections.abc import Iterator

import trio

from yakt.line.batch import Batch
from yakt.line.conversation import Conversation
from yakt.line.replies import Form
from yakt.line.words import LINE_SIZE_MAX

NEVER = float("inf")


class Connection:
    """A client. Everything here is at once: nothing awaits, and a socket's error closes it."""

    __slots__ = (
        "armed", "batch", "closed", "closing", "conversation", "deadline", "drained", "fd", "form", "host", "mask",
        "outbox", "reply", "room", "socket", "starting", "watches",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, host: str, address: str) -> None:
        self.socket = sock
        self.fd = sock.fileno()
        self.host = host
        self.conversation = Conversation(address)
        self.form: Form = "kv"
        self.batch: Batch | None = None
        """Under way at the service."""
        self.starting = False
        """A watch is about to start: its `OK` or `ERR` is the next to be said."""
        self.reply: Iterator[bytes] | None = None
        """The rest of what was answered, not formatted yet."""
        self.outbox = bytearray()
        """Formatted, and not taken by the kernel yet."""
        self.room: trio.Event | None = None
        """Set when neither `reply` nor `outbox` holds anything: events go between replies."""
        self.watches: dict[int, tuple[str, trio.CancelScope]] = {}
        self.mask = 0
        """What epoll listens to for us."""
        self.deadline = NEVER
        self.armed = False
        """Whether the listener's heap of deadlines knows us."""
        self.closing = False
        """Nothing is said after what there is; then the socket is shut, and drained for a moment."""
        self.drained = -1
        """Bytes thrown away since it was shut; -1 before."""
        self.closed = False

    @property
    def is_busy(self) -> bool:
        """Whether something must be said before the next request is looked at."""
        return self.batch is not None or self.starting or self.reply is not None or bool(self.outbox)

    @property
    def is_idle(self) -> bool:
        """Whether events may be said now."""
        return self.reply is None and not self.outbox

    def receive(self) -> bytes | None:
        """What there is to read, at most a line's length; None if nothing. Raises OSError."""
        try:
            return self.socket.recv(LINE_SIZE_MAX)
        except (BlockingIOError, InterruptedError):
            return None

    def send(self, data: bytes) -> None:
        """Send what goes at once and keep the rest. Raises OSError."""
        if self.outbox:
            self.outbox += data
            return
        try:
            sent = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent < len(data):
            self.outbox += memoryview(data)[sent:]

    def flush(self) -> bool:
        """Send more of the rest; whether any of it went. Raises OSError."""
        try:
            sent = self.socket.send(self.outbox)
        except (BlockingIOError, InterruptedError):
            return False
        del self.outbox[:sent]
        return sent > 0

    def close(self) -> None:
        """Close it, and end its watches."""
        self.closed = True
        self.reply = None
        self.outbox = bytearray()
        for _, scope in self.watches.values():
            scope.cancel()
        if self.room is not None:
            self.room.set()
        self.socket.close()
