"""What one client asked, as far as it is answered together; and the replies to it, in pieces that are sent together."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import attrs

from yakt.errors import RefusedError
from yakt.line.asks import ConnectionAsk, Help, Ping
from yakt.line.grammar import Request
from yakt.line.help import answer_help
from yakt.line.replies import Form, format_end, format_reply, format_row
from yakt.metadata.commands import (
    DEFAULT_OPTIONS,
    Answer,
    Asked,
    FetchChanges,
    GetConfigs,
    ListSnapshots,
    NodeAsk,
    Result,
    SetConfigs,
    ShowStatus,
)

ROWS_MAX = 20_000
"""Rows that the asks of one batch may ask for together: what a client can make the service hold for it at once."""
PIECE_SIZE = 64 * 1024
"""Characters of reply formatted at once."""

_AT_ONCE: frozenset[type] = frozenset({ShowStatus, ListSnapshots})
_SLOW_ASKS: frozenset[type] = frozenset(NodeAsk.__args__) - _AT_ONCE

Reply: TypeAlias = "Result | str"
"""A result, or a text that is sent as it is."""


@attrs.define(eq=False)
class Batch:
    """Requests of one client, in order, that are answered together: a `Submission` for those the service answers.

    `tags` has one for each request; `local` holds what was answered here, by place. `shape` words a lone ask's result
    another way. `closes`: nothing is said after it. `form`: how replies look from this one on.
    """

    done: Callable[["Batch", Sequence[Reply]], None]
    asked: list[Asked] = attrs.Factory(list)
    tags: list[str] = attrs.Factory(list)
    local: dict[int, Result] = attrs.Factory(dict)
    shape: Callable[[Result], Reply] | None = None
    closes: bool = False
    form: Form | None = None

    def answer(self, results: Sequence[Result]) -> None:
        """Called once by the service, inside a turn."""
        assert len(results) == len(self.asked)
        replies: Sequence[Reply] = results
        if self.shape is not None:
            replies = [self.shape(result) for result in results]
        elif self.local:
            others = iter(results)
            replies = [self.local[place] if place in self.local else next(others) for place in range(len(self.tags))]
        self.done(self, replies)


def fill(batch: Batch, requests: deque[Request]) -> ConnectionAsk | None:
    """Move requests into an empty batch: all that can be answered together, or one that cannot.

    Returns the ask that the connection has to deal with itself, if one comes first; it is taken, its tag in the batch.
    """
    rows = 0
    while requests:
        request = requests[0]
        ask = request.ask
        if isinstance(ask, Asked):
            kind = type(ask.command)
            if (kind is SetConfigs or kind is GetConfigs) and ask.options is DEFAULT_OPTIONS:
                rows += 1
            elif _is_slow(ask):
                if batch.tags:
                    return None
                batch.asked.append(ask)
                batch.tags.append(request.tag)
                requests.popleft()
                return None
            else:
                rows += getattr(ask.command, "limit", 1)
            if rows > ROWS_MAX and batch.tags:
                return None
            batch.asked.append(ask)
        elif isinstance(ask, RefusedError):
            batch.local[len(batch.tags)] = ask
        elif isinstance(ask, Ping):
            batch.local[len(batch.tags)] = Answer({})
        elif isinstance(ask, Help):
            batch.local[len(batch.tags)] = answer_help(ask.topic)
        else:
            if batch.tags:
                return None
            batch.tags.append(request.tag)
            requests.popleft()
            return ask
        batch.tags.append(request.tag)
        requests.popleft()
    return None


def _is_slow(asked: Asked) -> bool:
    """May wait for something other than the log: replies before it must not wait with it."""
    command = asked.command
    return (
        type(command) in _SLOW_ASKS
        or asked.options.at_offset is not None
        or asked.options.min_offset is not None
        or (isinstance(command, FetchChanges) and (command.wait_ms > 0 or command.broker is not None))
    )


def pieces(tags: Sequence[str], replies: Sequence[Reply], form: Form) -> Iterator[bytes]:
    """The text of all these replies, in pieces of about `PIECE_SIZE`, each made when it is asked for."""
    parts: list[str] = []
    size = 0
    for tag, reply in zip(tags, replies, strict=True):
        if isinstance(reply, str):
            parts.append(reply)
            continue
        if isinstance(reply, Answer) and len(reply.rows) > 16:
            for row in reply.rows:
                part = format_row(row, tag, form)
                parts.append(part)
                size += len(part)
                if size >= PIECE_SIZE:
                    yield "".join(parts).encode()
                    parts, size = [], 0
            part = format_end(reply, tag, form)
        else:
            part = format_reply(reply, tag, form)
        parts.append(part)
        size += len(part)
        if size >= PIECE_SIZE:
            yield "".join(parts).encode()
            parts, size = [], 0
    if parts:
        yield "".join(parts).encode()
