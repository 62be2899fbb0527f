"""GET /v1/watch: each change as a server-sent event, its id the offset, so that a browser resumes where it was."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import msgspec
import trio

from yakt.errors import RefusedError
from yakt.http.asking import Asking
from yakt.http.problems import bad_field, problem_of
from yakt.line.declarations import COMMANDS
from yakt.metadata import refusals
from yakt.metadata.questions import ShowStatus
from yakt.node.service import ControllerService, WatchEvent

Send = Callable[[Any], Awaitable[None]]
Receive = Callable[[], Awaitable[Any]]

WATCHERS_MAX = 200
KEEP_ALIVE_S = 15.0
"""A comment so often tells a client that we are there, and us that it is."""
RETRY_MS = 1000
EVENTS_A_STEP = 64


@attrs.frozen
class WatchAsked:
    """What to tell of. `since` None: from now."""

    since: int | None
    kind: str | None = None
    match: str | None = None


async def ask_of(ask: Asking, last_event_id: str | None) -> WatchAsked:
    """From the parameters and the `Last-Event-ID` header. Raises RefusedError: OFFSET_COMPACTED too."""
    since_text, kind, match = ask.take("since"), ask.take("kind"), ask.take("match")
    known_kinds = COMMANDS.get("WATCH").option("kind")
    assert known_kinds is not None
    if kind is not None and kind not in known_kinds.type.choices:
        raise bad_field("kind", f"is one of {', '.join(known_kinds.type.choices)}")
    since: int | None = None
    if last_event_id:
        since = _offset(last_event_id, "Last-Event-ID") + 1
    elif since_text is not None:
        since = _offset(since_text, "since")
    known = ("timeout", "client")
    strange = next((key for key in ask.options if key not in known), None)
    if strange is not None:
        raise bad_field(strange, "is no parameter of /v1/watch")
    if since is not None:
        await ask.settle()
        oldest = (await ask.ask_node(ShowStatus())).pairs["log_start"]
        assert isinstance(oldest, int)
        if since < oldest:
            raise refusals.offset_compacted(oldest)
        if since > ask.service.applied_end_offset:
            raise bad_field("since", f"is past the end, {ask.service.applied_end_offset}")
    return WatchAsked(since, kind, match)


def _offset(text: str, name: str) -> int:
    if not text.isascii() or not text.lstrip("-").isdigit() or len(text) > 19:
        raise bad_field(name, "is an offset")
    return max(int(text), -1)


class EventStream:
    """One client's stream, until it goes, falls too far behind, or the node stops."""

    def __init__(self, service: ControllerService, asked: WatchAsked, stopping: trio.Event) -> None:
        self._service = service
        self._asked = asked
        self._stopping = stopping
        self._turn = trio.Lock()
        """A send at a time."""

    async def run(self, receive: Receive, send: Send) -> None:
        """Speak ASGI."""
        since = self._asked.since if self._asked.since is not None else self._service.applied_end_offset
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        # An id without data: whoever loses the connection before the first event knows where it was.
        await self._say(send, f"retry: {RETRY_MS}\nid: {since - 1}\n\n")
        async with trio.open_nursery() as nursery:
            for part in (self._tell, self._keep_alive):
                nursery.start_soon(part, send, nursery.cancel_scope)
            nursery.start_soon(self._wait_gone, receive, nursery.cancel_scope)
            await self._stopping.wait()
            nursery.cancel_scope.cancel()
        with trio.move_on_after(1) as scope:
            scope.shield = True
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _say(self, send: Send, text: str) -> None:
        async with self._turn:
            await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

    async def _tell(self, send: Send, scope: trio.CancelScope) -> None:
        asked = self._asked
        told = 0
        events = self._service.watch(asked.since, asked.kind, asked.match)
        try:
            async for event in events:
                await self._say(send, format_event(event))
                told += 1
                if told % EVENTS_A_STEP == 0:
                    await trio.lowlevel.checkpoint()
        except RefusedError as refusal:
            data = msgspec.json.encode(problem_of(refusal)).decode()
            await self._say(send, f"event: lost\ndata: {data}\n\n")
        finally:
            close = getattr(events, "aclose", None)  # a generator cleans up now, and not whenever it is collected
            if close is not None:
                await close()
        scope.cancel()

    async def _keep_alive(self, send: Send, scope: trio.CancelScope) -> None:
        while True:
            await trio.sleep(KEEP_ALIVE_S)
            await self._say(send, ":\n\n")

    @staticmethod
    async def _wait_gone(receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()


def format_event(event: WatchEvent) -> str:
    """One event: its kind, and as data the line protocol's pairs as JSON, in plain words too."""
    pairs = {"_": event.kind, "offset": event.offset, **event.pairs, "say": event.say}
    return f"id: {event.offset}\nevent: {event.kind}\ndata: {msgspec.json.encode(pairs).decode()}\n\n"
