"""Watches: what each record changed, in commit order, none missed and none doubled, to whoever listens.

A watcher is an offset. It reads on from there in the image's journal whenever replay has moved; where the journal does
not reach back far enough, it hears the kept log, replayed in slices on a scratch image. Nothing is queued for it: one
that lags behind the kept log is told so, and let go.
"""

import fnmatch
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import trio

from yakt.errors import RefusedError
from yakt.metadata.answers import Row
from yakt.metadata.describe import describe_change
from yakt.metadata.say import say
from yakt.metadata.tables import Change
from yakt.node.history import History
from yakt.node.service import WatchEvent

SLICE_CHANGES = 500


class WatchHub:
    """All watchers of one node."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._moved = trio.Event()

    def wake(self) -> None:
        """Replay has moved."""
        self._moved.set()
        self._moved = trio.Event()

    async def moved(self) -> None:
        """Wait until replay moves."""
        await self._moved.wait()

    async def watch(self, since: int | None, kind: str | None, match: str | None) -> AsyncIterator[WatchEvent]:
        """See `MetadataService.watch`."""
        if since is not None:
            self._history.check(since, "since")
        async with aclosing(self._changes(self._history.end_offset if since is None else since)) as changes:
            async for some in changes:
                for change in some:
                    event = _event(change, kind, match)
                    if event is not None:
                        yield event

    async def _changes(self, at: int) -> AsyncGenerator[Sequence[Change], None]:
        """Everything from offset `at` on, for ever: from memory, or for one who is further behind from the log."""
        history = self._history
        while True:
            moved, journal = self._moved, history.present.journal
            if at < journal.start_offset:
                try:
                    async with aclosing(history.chunks(at, history.end_offset)) as chunks:
                        async for some, end_offset in chunks:
                            at = end_offset
                            yield some
                except RefusedError as refusal:
                    raise RefusedError("LOST", "this watch fell too far behind", details={"since": at}) from refusal
                continue
            some = journal.since(at, SLICE_CHANGES)
            if not some:
                await moved.wait()
                continue
            at = some[-1].offset + 1
            yield some


def _name(row: Row) -> str:
    """What `match=` is held against: the name of a topic or entity, a partition's topic, an ACL's resource, a user (or
    client id or address), else the id."""
    pairs = row.pairs
    keys = ("name", "topic", "entity", "resource", "user", "client_id", "ip", "id", "producer")
    return str(next((found for key in keys if (found := pairs.get(key)) is not None), ""))


def _event(change: Change, kind: str | None, match: str | None) -> WatchEvent | None:
    """The entity as it then is, or its key with `deleted=true`; None if this watch is not about it."""
    if change.quiet:
        return None
    row = describe_change(change)
    if kind is not None and row.kind != kind:
        return None
    if match is not None and not fnmatch.fnmatchcase(_name(row), match):
        return None
    return WatchEvent(kind=row.kind, offset=change.offset, pairs=row.pairs, say=say(change))
