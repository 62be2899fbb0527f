"""The Python client: asks whichever node leads, repeats under the same request id, and watches across failovers.

    async with open_client("127.0.0.1:7201,127.0.0.1:7202") as client:
        await client.ask("TOPIC CREATE", "orders", partitions=6)
        async for event in client.watch(kind="topic"):
            print(event.offset, event.pairs["name"])

Theory of operation. One connection carries what all tasks ask, in order; a task of the client's nursery reads the
replies. A write gets a request id of ours if it has none, and `forward=false`: a node that does not lead says who
does, and there we go. Whatever is lost is asked again, elsewhere if need be, until its time is up; the id makes that
safe. Each watch has a connection of its own, and resumes after the last offset that it saw.
"""

import math
import secrets
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from yakt.address import Address
from yakt.errors import NotLeaderError, NotReachedError, RefusedError, RemoteProtocolError
from yakt.line.declarations import COMMANDS
from yakt.line.registry import CommandSpec
from yakt.line.replies import ReplyLine, parse_reply_line, result_of
from yakt.line.requests import Argument, format_argument
from yakt.line.words import REPLY_LINE_SIZE_MAX
from yakt.metadata.answers import Answer, Pairs, Result

CONNECT_TIMEOUT = 2.0
PAUSE_MIN, PAUSE_MAX = 0.05, 1.0
"""Between two rounds over all servers, seconds."""
DEFAULT_TIMEOUT = 10.0
"""Seconds that an ask may take with all its repeats."""
TRY_MARGIN_S = 1.0
TRY_S = 5.0 + TRY_MARGIN_S
"""A node answers within the command's `timeout=`, five seconds where none is given: one that is silent for longer
hangs, and another is asked, which a request id makes safe."""


class _LostError(Exception):
    """The connection ended; what was asked over it may be done or not."""


@attrs.frozen
class Event:
    """One change: what it is of, the record's offset, and the entity as it then is, or its key with `deleted` true."""

    kind: str
    offset: int
    pairs: Pairs


def request_line(spec: CommandSpec, words: Sequence[Argument], keys: dict[str, Argument]) -> str:
    """The line for a call. In keys `_` stands for `-` (and `from_` for `from`); None is left out.

    `config={…}` stands for TOPIC CREATE's `config.KEY=`, `values={…}` for the pairs of CONFIG SET.
    """
    parts = [spec.name, *(format_argument(word) for word in words)]
    for key, value in keys.items():
        name = key.rstrip("_").replace("_", "-")
        if isinstance(value, dict) and spec.free is not None and name == (spec.free.prefix.rstrip(".") or "values"):
            parts += [f"{spec.free.prefix}{inner}={format_argument(item)}" for inner, item in value.items()]
        elif value is not None:
            parts.append(f"{name}={format_argument(value)}")
    return " ".join(parts)


@asynccontextmanager
async def open_client(
    servers: str | Sequence[Address], *, name: str = "", timeout: float = DEFAULT_TIMEOUT
) -> AsyncIterator["Client"]:
    """A client of the cluster that has these servers. `name`: whose request ids these are, kept with what is written.

    Nothing is connected until something is asked. Raises ValueError for what is no address.
    """
    addresses = (
        tuple(Address.parse(part.strip()) for part in servers.split(",") if part.strip())
        if isinstance(servers, str)
        else tuple(servers)
    )
    if not addresses:
        raise ValueError("no server's address")
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Client(addresses, name, timeout, nursery)
        except Exception as exc:  # raised below, where no nursery makes a group of it
            failure = exc
        finally:
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


class Client:
    """See the module's words; made by `open_client`."""

    def __init__(self, servers: tuple[Address, ...], name: str, timeout: float, nursery: trio.Nursery) -> None:
        self._servers = servers
        self._place = 0
        self._leader: Address | None = None
        """Where a node said the leader is; asked before the others."""
        self._follows = True
        """Whether to go to the leader. Not if it cannot be reached from here: then the others forward."""
        self._name = name
        self._timeout = timeout
        self._nursery = nursery
        self._connection: _Connection | None = None
        self._connecting = trio.Lock()

    async def ask(self, command: str, *words: Argument, timeout: float | None = None, **keys: Argument) -> Answer:
        """Ask one command and wait for its answer, whatever happens to the node asked meanwhile.

        `timeout` is in seconds, for all repeats together. Raises RefusedError (its `maybe` says whether the outcome is
        unknown), and NotReachedError if no server took the command.
        """
        spec = COMMANDS.get(command.upper())
        if spec.kind == "write" and not keys.get("check"):
            keys.setdefault("request", secrets.token_hex(12))
        told = keys.get("timeout")
        try_s = told / 1000 + TRY_MARGIN_S if isinstance(told, int) else TRY_S
        return await self._ask(spec, request_line(spec, words, keys), timeout, try_s)

    async def ask_line(self, line: str, *, timeout: float | None = None) -> Answer:
        """Ask a line as a person types it; it gets neither a request id nor a second chance once it was sent.

        Raises as `ask` does, and ValueError for more than one line.
        """
        if "\n" in line:
            raise ValueError(f"more than one line: {line!r}")
        return await self._ask(None, line, timeout, math.inf)

    async def watch(
        self, *, since: int | None = None, kind: str | None = None, match: str | None = None, say: bool = False
    ) -> AsyncIterator[Event]:
        """Each change from offset `since` on (None: from now), in the order of commits, none missed, none twice.

        Ends only by being closed (`contextlib.aclosing`), or with RefusedError: OFFSET_COMPACTED where the log is no
        longer kept so far back.
        """
        pause = PAUSE_MIN
        while True:
            for server in self._in_turn():
                try:
                    async with _connected(server, self._name) as connection:
                        keys: dict[str, Argument] = {"since": since, "kind": kind, "match": match, "say": say or None}
                        answer = await connection.ask_alone(request_line(COMMANDS.get("WATCH"), (), keys))
                        if isinstance(answer, RefusedError):
                            if answer.details.get("key") == "since":
                                continue  # it has not come so far yet: the others may have, or soon it will
                            raise answer
                        told = answer.pairs.get("since")
                        since = told if isinstance(told, int) else since
                        while (event := await connection.next_event()).kind != "lost":
                            since = event.offset + 1
                            pause = PAUSE_MIN
                            yield event
                        # Too far behind: again from where we are, while the log goes back so far.
                except (OSError, _LostError):
                    continue
            await trio.sleep(pause)
            pause = min(pause * 2, PAUSE_MAX)

    # --- until it is answered -----------------------------------------------------------------------------------------

    async def _ask(self, spec: CommandSpec | None, line: str, timeout: float | None, try_s: float) -> Answer:
        """Repeat until there is an answer that stands, or the time is up. A node silent for `try_s` is given up."""
        last: RefusedError | None = None
        result: Result
        reasons: dict[str, str] = {}
        sent = False
        with trio.move_on_after(self._timeout if timeout is None else timeout):
            pause = PAUSE_MIN
            while True:
                try:
                    connection = await self._connect(reasons)
                    follows = self._follows and spec is not None and spec.kind == "write" and "forward=" not in line
                    sent = True
                    with trio.move_on_after(try_s) as attempt:
                        result = await connection.ask(f"{line} forward=false" if follows else line)
                    if attempt.cancelled_caught:
                        self._place += 1
                        self._let_go(connection)
                        continue
                except OSError:
                    await trio.sleep(pause)
                    pause = min(pause * 2, PAUSE_MAX)
                    continue
                except _LostError:
                    if spec is None:
                        break
                    continue
                if isinstance(result, Answer):
                    return result
                last = result
                if spec is None or not await self._may_repeat(result, connection, pause):
                    raise result
                pause = min(pause * 2, PAUSE_MAX)
        if last is not None:
            raise last
        if sent and (spec is None or spec.kind == "write"):
            raise RefusedError(
                "TIMEOUT",
                f"not answered in time; {_listed(reasons)}",
                retry=True,
                maybe=True,
                hint="repeat it with the same request=",
            )
        raise NotReachedError(f"no server answers; {_listed(reasons)}")

    async def _may_repeat(self, refused: RefusedError, connection: "_Connection", pause: float) -> bool:
        """Whether to ask again; if so, elsewhere where that helps, and not at once where it does not."""
        if isinstance(refused, NotLeaderError):
            address = _address(refused.address)
            if address is not None and address != connection.address:
                self._leader = address
                self._let_go(connection)
                return True
            self._follows = address is not None
        elif not refused.retry or refused.code not in ("NO_LEADER", "TIMEOUT", "OVERLOADED"):
            return False
        self._place += 1
        self._let_go(connection)
        await trio.sleep(pause)
        return True

    def _let_go(self, connection: "_Connection") -> None:
        """Ask no more over it; what waits for answers there still gets them."""
        if self._connection is connection:
            self._connection = None
            connection.finish()

    def _in_turn(self) -> list[Address]:
        """The servers, the one that is said to lead first."""
        place = self._place % len(self._servers)
        servers = [*self._servers[place:], *self._servers[:place]]
        leader, self._leader = self._leader, None
        return [leader, *servers] if leader is not None else servers

    async def _connect(self, reasons: dict[str, str]) -> "_Connection":
        """The connection to ask over. Raises OSError if no server takes one."""
        async with self._connecting:
            if self._connection is not None and not self._connection.is_lost:
                return self._connection
            for server in self._in_turn():
                try:
                    self._connection = await _open(server, self._name)
                except OSError as exc:
                    reasons[str(server)] = exc.strerror or str(exc)
                    self._follows = self._follows and server in self._servers
                    continue
                self._nursery.start_soon(self._connection.run)
                return self._connection
            raise OSError("no server takes a connection")


def _listed(reasons: dict[str, str]) -> str:
    return "; ".join(f"{server}: {reason}" for server, reason in reasons.items()) or "connected, but without an answer"


def _address(text: str | None) -> Address | None:
    try:
        return None if text is None else Address.parse(text)
    except ValueError:
        return None


# --- one connection ---------------------------------------------------------------------------------------------------


class _Waiting:
    """One request without its answer."""

    def __init__(self) -> None:
        self.result: Result | None = None
        self.done = trio.Event()


class _Connection:
    """Requests out, replies in, matched by their order. Either `run` reads, or `ask_alone` and `next_event` do."""

    def __init__(self, stream: trio.SocketStream, address: Address) -> None:
        self.address = address
        self.is_lost = False
        self._stream = stream
        self._waiting: deque[_Waiting] = deque()
        self._sending = trio.Lock()
        self._is_finishing = False
        self._lines: list[ReplyLine] = []
        self._buffer = bytearray()
        self._events: deque[Event] = deque()

    async def ask(self, line: str) -> Result:
        """Send a line and wait for its reply. Raises _LostError."""
        waiting = _Waiting()
        async with self._sending:
            if self.is_lost:
                raise _LostError
            self._waiting.append(waiting)
            try:
                await self._stream.send_all(f"{line}\n".encode())
            except trio.BrokenResourceError:
                self._lose()
        await waiting.done.wait()
        if waiting.result is None:
            raise _LostError
        return waiting.result

    async def ask_alone(self, line: str) -> Result:
        """As `ask`, where nobody else reads. Raises _LostError."""
        waiting = _Waiting()
        self._waiting.append(waiting)
        try:
            await self._stream.send_all(f"{line}\n".encode())
        except trio.BrokenResourceError:
            raise _LostError from None
        while waiting.result is None:
            if not await self._read():
                raise _LostError
        return waiting.result

    async def run(self) -> None:
        """Read replies until the other side hangs up, or all is answered after `finish`."""
        async with self._stream:
            try:
                while await self._read():
                    if self._is_finishing and not self._waiting:
                        break
            finally:
                self._lose()

    def finish(self) -> None:
        """Nothing more is asked: close as soon as all is answered."""
        self._is_finishing = True
        if not self._waiting:
            self._lose()
            self._stream.socket.shutdown(trio.socket.SHUT_WR)

    async def next_event(self) -> Event:
        """The next event, when it comes. Raises _LostError when the other side hangs up."""
        while not self._events:
            if not await self._read():
                raise _LostError
        return self._events.popleft()

    async def _read(self) -> bool:
        """Take in one read's lines; False when there will be no more."""
        try:
            data = await self._stream.receive_some(65536)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        if not data:
            return False
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > REPLY_LINE_SIZE_MAX:
            return False
        self._buffer = rest
        try:
            for line in lines:
                self._take(parse_reply_line(bytes(line)))
        except RemoteProtocolError:
            return False
        return True

    def _take(self, line: ReplyLine) -> None:
        if line.kind == "event":
            offset = line.pairs.get("offset", line.pairs.get("since"))
            self._events.append(Event(line.name, offset if isinstance(offset, int) else -1, line.pairs))
            return
        self._lines.append(line)
        if line.is_end:
            lines, self._lines = self._lines, []
            if not self._waiting:
                raise RemoteProtocolError("a reply to nothing")
            waiting = self._waiting.popleft()
            waiting.result = result_of(lines)
            waiting.done.set()

    def _lose(self) -> None:
        self.is_lost = True
        waiting, self._waiting = self._waiting, deque()
        for one in waiting:
            one.done.set()


async def _open(address: Address, name: str) -> _Connection:
    """Connect, and say who we are. Raises OSError."""
    with trio.move_on_after(CONNECT_TIMEOUT):
        stream = await trio.open_tcp_stream(address.host, address.port)
        connection = _Connection(stream, address)
        if name:
            greeting = _Waiting()
            connection._waiting.append(greeting)
            try:
                await stream.send_all(f"HELLO 1 client={format_argument(name)}\n".encode())
            except trio.BrokenResourceError:
                await trio.aclose_forcefully(stream)
                raise OSError(f"{address} hung up") from None
        return connection
    raise OSError(f"{address} takes no connection in {CONNECT_TIMEOUT:g} s")


@asynccontextmanager
async def _connected(address: Address, name: str) -> AsyncIterator[_Connection]:
    """A connection that is read by whoever asks alone and takes its events. Raises OSError."""
    connection = await _open(address, name)
    async with connection._stream:
        yield connection
