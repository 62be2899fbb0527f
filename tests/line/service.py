"""A service of the tests: answers what it is told to, at once or when it is let go; and a client that types at it."""

import fnmatch
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from yakt.errors import RefusedError
from yakt.ids import Offset
from yakt.line.gate import Limits
from yakt.line.listener import NodeInfo, serve
from yakt.metadata import questions as q
from yakt.metadata.answers import Answer, Pairs, Result, Row
from yakt.metadata.asked import Asked
from yakt.node.service import Submission, WatchEvent


@attrs.define(eq=False)
class FakeService:
    """Answers in `end_turn`, or with `held` only when `release` is called; each write gets the next offset."""

    held: bool = False
    reply: Callable[[Asked], Result] | None = None
    offset: int = 0
    waiting: list[Submission] = attrs.Factory(list)
    seen: list[list[Asked]] = attrs.Factory(list)
    turns: int = 0
    events: list[WatchEvent] = attrs.Factory(list)
    oldest: int = 0
    lost_at: int | None = None
    behind: bool = False
    catches_up_to: int | None = 0
    """What is committed elsewhere; None: nobody leads."""
    watching: int = 0
    news: trio.Event = attrs.Factory(trio.Event)
    asked_for: trio.Event = attrs.Factory(trio.Event)

    def submit_nowait(self, submission: Submission) -> None:
        assert submission.asked
        self.seen.append(list(submission.asked))
        self.waiting.append(submission)
        self.asked_for.set()
        self.asked_for = trio.Event()

    def end_turn(self) -> None:
        self.turns += 1
        if not self.held:
            self.release()

    def release(self) -> None:
        waiting, self.waiting = self.waiting, []
        for submission in waiting:
            submission.answer([self.answer(asked) for asked in submission.asked])

    def answer(self, asked: Asked) -> Result:
        if self.reply is not None:
            return self.reply(asked)
        match asked.command:
            case q.ShowStatus():
                pairs: Pairs = {"node": 1, "role": "leader", "leader": 1, "epoch": 3, "high_watermark": 7}
                return Answer(pairs)
            case q.ShowHealth():
                return Answer({"ready": True, "reasons": []})
            case q.GetConfigs(entity=entity):
                return Answer(
                    {"count": 1, "offset": self.offset},
                    [Row("config", {"entity": f"{entity.kind}/{entity.name}", "key": "a", "value": "1"})],
                )
            case q.ListTopics(limit=limit):
                rows = [Row("topic", {"name": f"t-{number}", "id": "x" * 22}) for number in range(limit)]
                return Answer({"count": limit, "offset": self.offset}, rows)
            case q.ShowTopic(name=name):
                return RefusedError("UNKNOWN_TOPIC", f"no topic {name}", kafka=3, details={"topic": name})
        self.offset += 1
        return Answer({"offset": self.offset})

    async def read_barrier(self) -> None:
        if self.catches_up_to is None:
            raise RefusedError("NO_LEADER", "no leader is known", retry=True)
        self.offset = max(self.offset, self.catches_up_to)

    def tell(self, kind: str, name: str) -> None:
        self.offset += 1
        self.events.append(WatchEvent(kind, self.offset, {"name": name}, f"{kind} {name} changed"))
        self.news.set()
        self.news = trio.Event()

    def lose(self, offset: int) -> None:
        self.lost_at = offset
        self.news.set()
        self.news = trio.Event()

    async def watch(self, since: int | None, kind: str | None, match: str | None) -> AsyncIterator[WatchEvent]:
        if since is not None and since < self.oldest:
            raise RefusedError("OFFSET_COMPACTED", f"offset {since} is gone", details={"oldest": self.oldest})
        if self.behind or (since or 0) > self.applied_end_offset:
            raise RefusedError("BAD_ARGUMENT", f"offset {since} is past the end", details={"key": "since"})
        self.watching += 1
        try:
            place = next((place for place, event in enumerate(self.events) if event.offset >= (since or 0)), None)
            place = len(self.events) if place is None else place
            while True:
                if self.lost_at is not None:
                    raise RefusedError("LOST", "too far behind", details={"since": self.lost_at})
                while place < len(self.events):
                    event = self.events[place]
                    place += 1
                    if kind in (None, event.kind) and fnmatch.fnmatchcase(str(event.pairs["name"]), match or "*"):
                        yield event
                await self.news.wait()
        finally:
            self.watching -= 1

    @property
    def applied_end_offset(self) -> Offset:
        return Offset(self.offset + 1)


class Server:
    """A listener on loopback, and the clients of one test."""

    def __init__(self, service: FakeService, address: tuple[str, int]) -> None:
        self.service = service
        self.address = address
        self.typists: list[Typist] = []
        self._scope = trio.CancelScope()

    async def run(self, listening: socket.socket, limits: Limits | None) -> None:
        with self._scope:
            await serve(self.service, [listening], NodeInfo(node=1, cluster="test", server="yakt/0"), limits)

    def stop(self) -> None:
        """End the listener and all its connections, as a node that dies does."""
        self._scope.cancel()

    async def connect(self, receive_buffer: int | None = None) -> "Typist":
        sock = trio.socket.socket()
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(self.address)
        self.typists.append(Typist(trio.SocketStream(sock)))
        return self.typists[-1]

    async def say(self, text: str | bytes) -> str:
        """All that comes back when this is sent and the sending side is closed, as `nc -N` does."""
        typist = await self.connect()
        await typist.type(text)
        await typist.stream.send_eof()
        text = await typist.rest()
        await typist.stream.aclose()
        return text


@asynccontextmanager
async def serving(service: FakeService | None = None, limits: Limits | None = None) -> AsyncIterator[Server]:
    """A listener in front of the service, for at most ten seconds; its clients are closed after all."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = Server(service or FakeService(), listening.getsockname())
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.run, listening, limits)
            try:
                yield server
            finally:
                for typist in server.typists:
                    typist.stream.socket.close()
                nursery.cancel_scope.cancel()


class Typist:
    """A client, as a person at netcat is one."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._buffer = bytearray()

    async def type(self, text: str | bytes) -> None:
        await self.stream.send_all(text.encode() if isinstance(text, str) else text)

    async def type_until_refused(self, text: bytes) -> None:
        """Type on and on. Raises BrokenResourceError once the other side has gone."""
        while True:
            await self.type(text)
            await trio.sleep(0.001)

    async def line(self) -> str:
        with trio.fail_after(5):
            while (end := self._buffer.find(b"\n")) < 0:
                data = await self.stream.receive_some()
                assert data, f"closed after {self._buffer!r}"
                self._buffer += data
        line = self._buffer[:end].decode()
        del self._buffer[: end + 1]
        return line

    async def lines(self, count: int) -> list[str]:
        return [await self.line() for _ in range(count)]

    async def rest(self) -> str:
        with trio.fail_after(5):
            while data := await self.stream.receive_some():
                self._buffer += data
        text = self._buffer.decode()
        self._buffer.clear()
        return text

    async def ask(self, text: str) -> list[str]:
        """Type a line and read its reply."""
        await self.type(text + "\n")
        lines = []
        while True:
            lines.append(await self.line())
            word = lines[-1].split(" ")
            if (word[1] if word[0].startswith("@") else word[0]) in ("OK", "ERR"):
                return lines


def commands_of(asked: Sequence[Sequence[Asked]]) -> list[list[object]]:
    return [[one.command for one in turn] for turn in asked]
