"""A closed loop of clients on plain sockets: each connection keeps so many lines in flight. Knows only lines.

One process, one epoll, no task a client, no parsing of replies beyond their first word: the generator must take as
little of the machine as it can, and says how much it took.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence

import attrs

RECEIVE_BYTES = 256 * 1024
STALL_S = 10.0
ERRORS_KEPT = 5
LINE_BYTES = 1024 * 1024
"""The longest reply line of the protocol."""

MakeRequests = Callable[[int], bytes]
"""So many request lines, each with its LF."""


@attrs.frozen
class Shape:
    """So many connections, each with so many lines in flight."""

    connections: int
    depth: int

    def __str__(self) -> str:
        return str(self.connections) if self.depth == 1 else f"{self.connections}x{self.depth}"

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """`16` or `8x16`. Raises ValueError."""
        connections, _, depth = text.partition("x")
        shape = cls(int(connections), int(depth or 1))
        if not (1 <= shape.connections <= 10_000 and 1 <= shape.depth <= 1024):
            raise ValueError(f"{text}: 1 to 10000 connections, 1 to 1024 lines in flight on each")
        return shape


@attrs.frozen(kw_only=True)
class Measured:
    """One run: replies that were OK, and how long they took, in ms; `cpu` is this process's own share of one core."""

    shape: str
    replies: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    errors: int
    first_errors: tuple[str, ...]
    cpu: float


@attrs.define(eq=False)
class _Client:
    sock: socket.socket
    sent: deque[tuple[float, int]] = attrs.Factory(deque)
    """When lines were sent, and how many, oldest first."""
    rest: bytes = b""
    """An unfinished line."""
    waits: bool = False
    """For room to send the rest."""
    unsent: memoryview = attrs.Factory(lambda: memoryview(b""))


class Load:
    """Clients of one server, or spread over several. `make` makes the lines; OK or ERR starts a reply's last line.

    Raises OSError when a server cannot be reached.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]], shape: Shape, make: MakeRequests) -> None:
        self._shape = shape
        self._make = make
        self._epoll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._latencies: list[tuple[float, int]] = []
        self._errors: list[str] = []
        self._error_count = 0
        self._replies = 0
        try:
            for number in range(shape.connections):
                sock = socket.create_connection(addresses[number % len(addresses)], timeout=STALL_S)
                self._clients[sock.fileno()] = _Client(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setblocking(False)
                self._epoll.register(sock.fileno(), select.EPOLLIN)
        except OSError:
            self.close()
            raise

    def run(self, seconds: float, warm_up: float = 0.0) -> Measured:
        """Load for `warm_up` uncounted and `seconds` counted seconds. Raises OSError when the server goes away."""
        for client in self._clients.values():
            self._send(client, self._shape.depth)
        if warm_up:
            self._loop(time.perf_counter() + warm_up)
        self._latencies.clear()
        self._replies = 0
        started, cpu = time.perf_counter(), time.process_time()
        self._loop(started + seconds)
        took = time.perf_counter() - started
        own = (time.process_time() - cpu) / took
        p50, p99, p999 = percentiles(self._latencies, (0.5, 0.99, 0.999))
        return Measured(
            shape=str(self._shape),
            replies=self._replies,
            seconds=took,
            per_second=self._replies / took,
            p50_ms=p50 * 1000,
            p99_ms=p99 * 1000,
            p999_ms=p999 * 1000,
            errors=self._error_count,
            first_errors=tuple(self._errors),
            cpu=own,
        )

    def close(self) -> None:
        """Hang up."""
        for client in self._clients.values():
            client.sock.close()
        self._epoll.close()

    def _loop(self, end: float) -> None:
        last = time.perf_counter()
        while True:
            ready = self._epoll.poll(0.2)
            now = time.perf_counter()
            if now >= end:
                return
            if not ready:
                if now - last > STALL_S:
                    raise TimeoutError(f"no reply for {STALL_S:g} s")
                continue
            last = now
            for descriptor, event in ready:
                client = self._clients[descriptor]
                if event & select.EPOLLOUT:
                    self._flush(client)
                if event & ~select.EPOLLOUT:
                    self._receive(client)

    def _receive(self, client: _Client) -> None:
        data = client.sock.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("the server hung up")
        end = data.rfind(b"\n") + 1
        if not end:
            client.rest += data
            if len(client.rest) > LINE_BYTES:
                raise ConnectionError("the server sends no lines")
            return
        lines = b"\n" + client.rest + data[:end]
        client.rest = data[end:]
        done = lines.count(b"\nOK")
        failed = lines.count(b"\nERR")
        if failed:
            self._note_errors(lines, failed)
        self._replies += done
        done += failed
        if not done:
            return
        now = time.perf_counter()
        left = done
        while left:
            if not client.sent:
                raise ConnectionError("more replies than requests")
            at, count = client.sent.popleft()
            if count > left:
                client.sent.appendleft((at, count - left))
                count = left
            if not failed:  # what was refused was not done, quickly or not
                self._latencies.append((now - at, count))
            left -= count
        self._send(client, done)

    def _note_errors(self, lines: bytes, failed: int) -> None:
        self._error_count += failed
        if len(self._errors) < ERRORS_KEPT:
            found = [line for line in lines.split(b"\n") if line.startswith(b"ERR")]
            self._errors += [line.decode("utf-8", "replace") for line in found[: ERRORS_KEPT - len(self._errors)]]

    def _send(self, client: _Client, count: int) -> None:
        data = self._make(count)
        client.sent.append((time.perf_counter(), count))
        if client.unsent:
            client.unsent = memoryview(bytes(client.unsent) + data)
            return
        client.unsent = memoryview(data)
        self._flush(client)

    def _flush(self, client: _Client) -> None:
        try:
            sent = client.sock.send(client.unsent)
        except BlockingIOError:
            sent = 0
        client.unsent = client.unsent[sent:]
        if bool(client.unsent) != client.waits:
            client.waits = not client.waits
            wanted = select.EPOLLIN | (select.EPOLLOUT if client.waits else 0)
            self._epoll.modify(client.sock.fileno(), wanted)


def percentiles(latencies: Sequence[tuple[float, int]], wanted: Sequence[float]) -> list[float]:
    """Of values that each count so many times: the least that at least each wanted share does not exceed. NaN: none."""
    ordered = sorted(latencies)
    total = sum(count for _, count in ordered)
    found: list[float] = []
    for share in wanted:
        need, seen, reached = share * total, 0, float("nan")
        for value, count in ordered:
            reached = value
            seen += count
            if seen >= need:
                break
        found.append(reached)
    return found
