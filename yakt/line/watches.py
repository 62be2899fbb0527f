"""WATCH and UNWATCH: a task a watch, whose events go between the replies of its connection."""

from collections.abc import AsyncIterator, Awaitable, Callable

import attrs
import trio

from yakt.errors import RefusedError
from yakt.line.asks import Unwatch, Watch
from yakt.line.connection import Connection
from yakt.line.replies import format_event
from yakt.metadata.answers import Answer, Pairs, Result
from yakt.node.service import MetadataService, WatchEvent

WATCHES_MAX = 8
"""A connection."""
EVENTS_A_STEP = 64
"""After so many a watch lets others go on, however many more there are."""


@attrs.define(eq=False)
class _Start:
    """How far a watch has come. `refusal`: why it ended, before it was answered or after."""

    live: trio.Event = attrs.Factory(trio.Event)
    refusal: RefusedError | None = None


class Watches:
    """All watches of one listener. `tell` sends a connection bytes as soon as they fall between two replies."""

    def __init__(
        self, service: MetadataService, nursery: trio.Nursery, tell: Callable[[Connection, str], Awaitable[None]]
    ) -> None:
        self._service = service
        self._nursery = nursery
        self._tell = tell
        self._serial = 0

    def start(self, connection: Connection, tag: str, ask: Watch, answer: Callable[[Result], None]) -> None:
        """Start a watch; `answer` is called once, now or soon, before its first event."""
        if len(connection.watches) >= WATCHES_MAX:
            message = f"a connection has at most {WATCHES_MAX} watches"
            answer(RefusedError("OVERLOADED", message, hint="UNWATCH", details={"watches": WATCHES_MAX}))
            return
        if tag and any(tag == other for other, _ in connection.watches.values()):
            answer(RefusedError("CONFLICT", f"a watch @{tag} runs already", hint=f"UNWATCH {tag}"))
            return
        self._serial += 1
        scope = trio.CancelScope()
        connection.watches[self._serial] = (tag, scope)
        self._nursery.start_soon(self._run, connection, self._serial, tag, scope, ask, answer)

    def stop(self, connection: Connection, ask: Unwatch) -> Result:
        """End one watch or all; nothing more is heard of them."""
        tag = None if ask.tag is None else ask.tag.removeprefix("@")
        found = [number for number, (other, _) in connection.watches.items() if tag is None or other == tag]
        if tag is not None and not found:
            running = [other for other, _ in connection.watches.values() if other]
            return RefusedError("BAD_ARGUMENT", f"no watch @{tag} runs here", details={"key": "tag", "near": running})
        for number in found:
            connection.watches.pop(number)[1].cancel()
        return Answer({"count": len(found)})

    async def _run(
        self,
        connection: Connection,
        number: int,
        tag: str,
        scope: trio.CancelScope,
        ask: Watch,
        answer: Callable[[Result], None],
    ) -> None:
        since = ask.since if ask.since is not None else self._service.applied_end_offset
        start = _Start()
        try:
            with scope:
                if since > self._service.applied_end_offset:
                    await self._catch_up(start)
                if start.refusal is None:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._hear, connection, tag, scope, ask, since, start)
                        # What the service refuses, it refuses in its first step, and that is done after two of ours.
                        await trio.lowlevel.checkpoint()
                        await trio.lowlevel.checkpoint()
                        if start.refusal is None:
                            answer(Answer({"watching": True, "since": since}))
                            start.live.set()
        finally:
            connection.watches.pop(number, None)
        if connection.closed or scope.cancelled_caught:
            if not start.live.is_set() and not connection.closed:
                answer(RefusedError("CONFLICT", "the watch ended before it began"))
            return
        if start.refusal is not None and not start.live.is_set():
            answer(_worded(start.refusal, since))

    async def _catch_up(self, start: _Start) -> None:
        """Whoever resumes here after an event of another node may know more than this one has applied yet."""
        try:
            await self._service.read_barrier()
        except RefusedError as exc:
            start.refusal = exc

    async def _hear(
        self, connection: Connection, tag: str, scope: trio.CancelScope, ask: Watch, since: int, start: _Start
    ) -> None:
        next_offset = since
        told = 0
        try:
            events = self._service.watch(since, ask.kind, ask.match)
            try:
                async for event in events:
                    await start.live.wait()
                    text = format_event(event.kind, _pairs(event, say=ask.say), tag, connection.form)
                    await self._tell_live(connection, scope, text)
                    next_offset = event.offset
                    told += 1
                    if told % EVENTS_A_STEP == 0:
                        await trio.lowlevel.checkpoint()
            finally:
                await _close(events)
        except RefusedError as exc:
            start.refusal = exc
            if start.live.is_set():
                lost: Pairs = {"since": next_offset, "reason": exc.message}
                lost_at = exc.details.get("since")
                if isinstance(lost_at, int):
                    lost["since"] = lost_at
                await self._tell_live(connection, scope, format_event("lost", lost, tag, connection.form))

    async def _tell_live(self, connection: Connection, scope: trio.CancelScope, text: str) -> None:
        """Say an event, unless the watch was ended while it came."""
        if scope.cancel_called:
            await trio.lowlevel.checkpoint()  # raises Cancelled
        await self._tell(connection, text)


def _pairs(event: WatchEvent, *, say: bool) -> Pairs:
    pairs: Pairs = {"offset": event.offset, **event.pairs}
    if say:
        pairs["say"] = event.say
    return pairs


async def _close(events: AsyncIterator[WatchEvent]) -> None:
    """Let a generator clean up now, and not whenever it is collected."""
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


def _worded(refusal: RefusedError, since: int) -> RefusedError:
    """What is refused at once is an `ERR`, whatever the service calls it to a watcher that it loses later."""
    if refusal.code != "LOST":
        return refusal
    return RefusedError("OFFSET_COMPACTED", refusal.message, hint=f"FETCH since={since}", details=refusal.details)
