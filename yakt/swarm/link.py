"""Connections to the cluster that are made again whenever they are lost: pipelined lines, and the log's changes.

A link sends whatever has queued in one piece and takes answers in order: two tasks a link, however many brokers ask.
It goes to the leader where it finds it, for that saves the others the forwarding; any node will do.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Sequence

import attrs
import trio

from yakt.address import Address
from yakt.errors import RemoteProtocolError
from yakt.line.replies import ReplyLine, parse_json_line, result_of
from yakt.metadata.answers import Row
from yakt.swarm.settings import Answered, Ask

CONNECT_S = 2.0
PAUSE_S = 0.2
"""Before the servers are tried again."""
WATCH_PING_S = 2.0
RECEIVE_SIZE = 1 << 18
LINE_SIZE_MAX = 1 << 20
LOST = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, RemoteProtocolError)


@attrs.define(eq=False)
class _Wire:
    """One connection, read line by line."""

    stream: trio.SocketStream
    address: Address
    rest: bytearray = attrs.Factory(bytearray)

    async def say(self, text: str) -> None:
        await self.stream.send_all(text.encode())

    async def hear(self) -> list[ReplyLine]:
        """At least one line. Raises what is in LOST."""
        while True:
            data = await self.stream.receive_some(RECEIVE_SIZE)
            if not data:
                raise RemoteProtocolError("the node hung up")
            self.rest += data
            *lines, self.rest = self.rest.split(b"\n")
            if len(self.rest) > LINE_SIZE_MAX:
                raise RemoteProtocolError("a line of more than 1 MiB")
            if lines:
                return [parse_json_line(bytes(line)) for line in lines]


async def _dial(servers: Sequence[Address], name: str) -> _Wire | None:
    """A connection to the leader if a server says it is that, else to the first that answers."""
    found: _Wire | None = None
    for address in servers:
        wire = None
        with contextlib.suppress(*LOST), trio.fail_after(CONNECT_S):
            wire = _Wire(await trio.open_tcp_stream(address.host, address.port), address)
            await wire.say(f"HELLO 1 client={name} format=json\n")
            (hello,) = await wire.hear()
            leads = hello.kind == "ok" and hello.pairs.get("leader") == hello.pairs.get("node")
            if leads or (found is None and hello.kind == "ok"):
                found, wire = wire, found
            if leads:
                servers = ()
        if wire is not None:
            await trio.aclose_forcefully(wire.stream)
        if not servers:
            break
    return found


class Link:
    """One lane. `take` gets answers in the order of the asks, as many at once as came at once."""

    def __init__(
        self, servers: Sequence[Address], name: str, silence_s: float, take: Callable[[list[Answered]], None]
    ) -> None:
        self._servers = servers
        self._name = name
        self._silence_s = silence_s
        """Whoever owes an answer and says nothing for so long hangs."""
        self._take = take
        self._queue: list[Ask] = []
        self._sent: deque[Ask] = deque()
        self._queued = trio.Event()
        self.address: Address | None = None
        """Of the node it is connected to."""

    def put(self, ask: Ask) -> None:
        """Send it with the next piece; while there is no connection, it waits."""
        self._queue.append(ask)
        self._queued.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wire = await _dial(self._servers, self._name)
            if wire is not None:
                self.address = wire.address
                with contextlib.suppress(*LOST):
                    await self._converse(wire)
                self.address = None
                lost, self._sent = [Answered(ask, None) for ask in self._sent], deque()
                self._take(lost)
            await trio.sleep(PAUSE_S)

    async def _converse(self, wire: _Wire) -> None:
        """Until it is lost; raises what is in LOST."""
        failure: Exception | None = None

        async def half(work: Callable[[_Wire], object]) -> None:
            nonlocal failure
            try:
                await work(wire)  # type: ignore[misc]
            except LOST as exc:
                failure = exc
                both.cancel_scope.cancel()

        async with wire.stream, trio.open_nursery() as both:
            both.start_soon(half, self._send)
            both.start_soon(half, self._receive)
        if failure is not None:
            raise failure

    async def _send(self, wire: _Wire) -> None:
        while True:
            await self._queued.wait()
            self._queued = trio.Event()
            asks, self._queue = self._queue, []
            self._sent += asks
            await wire.say("".join(f"{ask.line}\n" for ask in asks))

    async def _receive(self, wire: _Wire) -> None:
        lines: list[ReplyLine] = []
        while True:
            with trio.move_on_after(self._silence_s) as silence:
                heard = await wire.hear()
            if silence.cancelled_caught:
                if self._sent:
                    raise trio.TooSlowError
                continue
            answered = []
            for line in heard:
                lines.append(line)
                if line.is_end:
                    if not self._sent:
                        raise RemoteProtocolError("a reply to nothing")
                    answered.append(Answered(self._sent.popleft(), result_of(lines)))
                    lines = []
            self._take(answered)


class Watch:
    """The log's changes from now on. `take` gets rows in the order of the log, and the offset after the last.

    `resync` is called where some may have been missed: the log is no longer kept so far back.
    """

    def __init__(
        self,
        servers: Sequence[Address],
        name: str,
        take: Callable[[Sequence[Row], int], None],
        resync: Callable[[], None],
    ) -> None:
        self._servers = servers
        self._name = name
        self._take = take
        self._resync = resync
        self._since: int | None = None
        self.is_watching = trio.Event()
        """Set when the first watch has begun."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wire = await _dial(self._servers, self._name)
            if wire is not None:
                async with wire.stream:
                    with contextlib.suppress(*LOST):
                        await self._follow(wire)
            await trio.sleep(PAUSE_S)

    async def _follow(self, wire: _Wire) -> None:
        """Until it is lost, or the node tells no more; raises what is in LOST."""
        await wire.say(f"WATCH{f' since={self._since}' if self._since is not None else ''}\n")
        pinged_at = heard_at = trio.current_time()
        while True:
            with trio.move_on_at(max(pinged_at, heard_at) + WATCH_PING_S) as silence:
                heard = await wire.hear()
            now = trio.current_time()
            if silence.cancelled_caught:
                if pinged_at > heard_at:
                    raise trio.TooSlowError  # it said nothing to our ping: it hangs
                await wire.say("PING\n")
                pinged_at = now
                continue
            heard_at = now
            if not self._heard(heard):
                return

    def _heard(self, lines: Sequence[ReplyLine]) -> bool:
        """Take what the node said; whether it goes on telling."""
        rows: list[Row] = []
        goes_on = True
        for line in lines:
            offset = line.pairs.get("offset")
            if line.kind == "event" and line.name != "lost" and isinstance(offset, int):
                rows.append(Row(line.name, line.pairs))
                self._since = offset + 1
            elif line.kind == "ok" and (since := _number(line, "since")) is not None:
                self._since = since
                self.is_watching.set()
            elif line.kind == "err" and (oldest := _number(line, "oldest")) is not None:
                self._since = oldest
                self._resync()
                goes_on = False
            elif line.kind == "err" or line.name == "lost":
                goes_on = False
        if self._since is not None:
            self._take(rows, self._since)
        return goes_on


def _number(line: ReplyLine, key: str) -> int | None:
    value = line.pairs.get(key)
    return value if isinstance(value, int) else None
