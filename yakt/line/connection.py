"""One client of the line port as a value: its socket, what it asked, and what it has not taken yet."""

import socket
from collections.abc import Iterator

import trio

from yakt.line.batch import Batch
from yakt.line.conversation import Conversation
from yakt.line.replies import Form
from yakt.line.words import LINE_SIZE_MAX

NEVER = float("inf")
EVENTS_SIZE_MAX = 64 * 1024


class Connection:
    """A client. Everything here is at once: nothing awaits, and a socket's error closes it."""

    __slots__ = (
        "armed", "batch", "closed", "closing", "conversation", "deadline", "drained", "events", "events_size", "fd",
        "form", "host", "mask", "outbox", "reply", "room", "socket", "starting", "watches",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, host: str, address: str) -> None:
        self.socket = sock
        self.fd = sock.fileno()
        self.host = host
        self.conversation = Conversation(address)
        self.form: Form = "kv"
        self.batch: Batch[Connection] | None = None
        """Under way at the service."""
        self.starting = False
        """A watch is about to start: its `OK` or `ERR` is the next to be said."""
        self.reply: Iterator[bytes] | None = None
        """The rest of what was answered, not formatted yet."""
        self.outbox = bytearray()
        """Formatted, and not taken by the kernel yet."""
        self.events: list[bytes] = []
        """To be said together in the next pass, or before the next reply."""
        self.events_size = 0
        self.room: trio.Event | None = None
        """Set when there may be room for another event."""
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
    def has_room(self) -> bool:
        """Whether another event may be said: they go between replies, and not faster than they are taken."""
        return self.reply is None and not self.outbox and self.events_size < EVENTS_SIZE_MAX

    def say(self, event: bytes) -> None:
        """Say an event soon; only while there is room."""
        self.events.append(event)
        self.events_size += len(event)

    def take_events(self) -> bytes:
        """What is to be said of events now."""
        text = b"".join(self.events)
        self.events.clear()
        self.events_size = 0
        return text

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
