"""What one client asked, as far as it is answered together; and the replies to it, in pieces that are sent together."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeAlias, TypeVar

from yakt.errors import RefusedError
from yakt.line.asks import ConnectionAsk, Help, Ping
from yakt.line.grammar import Request
from yakt.line.help import answer_help
from yakt.line.replies import Form, format_end, format_reply, format_row
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import DEFAULT_OPTIONS, Asked
from yakt.metadata.commands import SetConfigs
from yakt.metadata.questions import Explain, FetchChanges, GetConfigs, ListSnapshots, NodeAsk, ShowStatus

ROWS_MAX = 20_000
"""Rows that the asks of one batch may ask for together: what a client can make the service hold for it at once."""
BRIEF_MAX = 16
"""Replies, or rows of a reply, that are formatted at once whatever their size."""
PIECE_SIZE = 64 * 1024
"""Characters of reply formatted at once."""

Owner = TypeVar("Owner")
"""Whose requests they are: a connection, known to its own module alone."""

_AT_ONCE: frozenset[type] = frozenset({Explain, ListSnapshots, ShowStatus})
_SLOW_ASKS: frozenset[type] = frozenset(NodeAsk.__args__) - _AT_ONCE

Reply: TypeAlias = "Result | str"
"""A result, or a text that is sent as it is."""


class Batch(Generic[Owner]):
    """Requests of one client, in order, that are answered together: a `Submission` for those the service answers.

    `tags` has one for each request; `local` holds what was answered here, by place. `shape` words a lone ask's result
    another way. `closes`: nothing is said after it. `form`: how replies look from this one on.
    """

    __slots__ = ("_done", "asked", "closes", "form", "local", "owner", "shape", "tags")

    def __init__(self, owner: Owner, done: "Callable[[Batch[Owner], Sequence[Reply]], None]") -> None:
        self._done = done
        self.owner = owner
        self.asked: list[Asked] = []
        self.tags: list[str] = []
        self.local: dict[int, Result] | None = None
        self.shape: Callable[[Result], Reply] | None = None
        self.closes = False
        self.form: Form | None = None

    def answer_here(self, place: int, result: Result) -> None:
        """Put in what needs no service."""
        if self.local is None:
            self.local = {}
        self.local[place] = result

    def answer(self, results: Sequence[Result]) -> None:
        """Called once by the service, inside a turn."""
        assert len(results) == len(self.asked)
        replies: Sequence[Reply] = results
        if self.shape is not None:
            replies = [self.shape(result) for result in results]
        elif self.local is not None:
            others, local = iter(results), self.local
            replies = [local[place] if place in local else next(others) for place in range(len(self.tags))]
        self._done(self, replies)


def fill(batch: Batch[Owner], requests: deque[Request]) -> ConnectionAsk | None:
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
            batch.answer_here(len(batch.tags), ask)
        elif isinstance(ask, Ping):
            batch.answer_here(len(batch.tags), Answer({}))
        elif isinstance(ask, Help):
            batch.answer_here(len(batch.tags), answer_help(ask.topic))
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


def brief(tags: Sequence[str], replies: Sequence[Reply], form: Form) -> bytes | None:
    """The whole text of a few short replies, as most are; None if there may be more than one piece of it."""
    if len(replies) > BRIEF_MAX:
        return None
    parts: list[str] = []
    for tag, reply in zip(tags, replies, strict=True):
        if isinstance(reply, str):
            parts.append(reply)
            continue
        if isinstance(reply, Answer) and len(reply.rows) > BRIEF_MAX:
            return None
        parts.append(format_reply(reply, tag, form))
    return parts[0].encode() if len(parts) == 1 else "".join(parts).encode()


def pieces(tags: Sequence[str], replies: Sequence[Reply], form: Form) -> Iterator[bytes]:
    """The text of all these replies, in pieces of about `PIECE_SIZE`, each made when it is asked for."""
    parts: list[str] = []
    size = 0
    for tag, reply in zip(tags, replies, strict=True):
        if isinstance(reply, str):
            parts.append(reply)
            continue
        if isinstance(reply, Answer) and len(reply.rows) > BRIEF_MAX:
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
