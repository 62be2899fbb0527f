"""Commands on their way through a node: a submission, cut into runs that are dealt with one after the other.

A run is what can be answered together: consecutive writes, consecutive reads of one kind, or one ask of the node.
Later runs of a submission start when the earlier are answered, so a connection always reads its own writes.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from yakt.errors import RefusedError
from yakt.ids import Epoch, Instant
from yakt.metadata import commands, questions
from yakt.metadata.answers import Result
from yakt.metadata.asked import Asked, Options

RUN_SIZE_MAX = 512 * 1024
"""Bytes of the lines of one run: what a forwarded request may hold, with room to spare."""

WRITES: frozenset[type] = frozenset(commands.Command.__args__)
"""Types decided by the leader alone."""
QUERIES: frozenset[type] = frozenset(questions.Query.__args__)
"""Types answered from an image."""
COSTLY: frozenset[type] = frozenset((commands.SetScramCredential,))
"""Writes whose decision takes milliseconds: each a run of its own, so that others are let in between."""


@attrs.define(eq=False)
class Writes:
    """A run of commands. The same at the leader and at a node that forwards.

    `ends[i]` is one past the last record that command i wrote (0: it wrote none), known once it is decided in `epoch`.
    It stands if, when everything below `wait_end` is applied, the record before `ends[i]` is of that epoch.
    """

    asked: Sequence[Asked]
    deadline: Instant
    deliver: Callable[[Sequence[Result]], None]
    """Takes the results, once."""
    on_decided: "Callable[[Writes], None] | None" = None
    """A forwarded run: whoever forwarded waits for the commit; told as soon as all is decided (and confirmed)."""
    results: list[Result] = attrs.Factory(list)
    ends: list[int] = attrs.Factory(list)
    epoch: Epoch = Epoch(-1)
    wait_end: int = 0
    ticket: int = 0
    """Not 0: some command wrote nothing; its answer waits until this read ticket is confirmed."""
    open: bool = False
    """Decided or on its way to the leader: it may be applied."""
    lost: bool = False
    """A leader that had it is gone: it may be applied, though it waits to be asked again."""
    answered: bool = False

    def finish(self, results: Sequence[Result]) -> None:
        """Deliver, unless it was done before (a timeout)."""
        if not self.answered:
            self.answered = True
            self.deliver(results)


@attrs.define(eq=False)
class Reads:
    """A run of queries with the same options. Served once confirmed (unless `local`) and `wait_end` is applied."""

    asked: Sequence[Asked]
    deadline: Instant
    serve: "Callable[[Reads], None]"
    """Answers from the image as it is now."""
    deliver: Callable[[Sequence[Result]], None]
    ticket: int = 0
    wait_end: int = 0
    answered: bool = False

    def finish(self, results: Sequence[Result]) -> None:
        """Deliver, unless it was done before (a timeout)."""
        if not self.answered:
            self.answered = True
            self.deliver(results)


Run: TypeAlias = Writes | Reads


def kind_of(asked: Asked) -> str:
    """ "write", "query" or "node"."""
    kind = type(asked.command)
    return "write" if kind in WRITES else "query" if kind in QUERIES else "node"


def cut(asked: Sequence[Asked], start: int, oldest: int = 0) -> tuple[str, int]:
    """The run that begins at `start`: its kind and its exclusive end. An ask of the node is a run of its own; queries
    of one moment of the past are one run, as the way there is what they cost. `oldest` as of `is_slow`."""
    first = asked[start]
    kind = kind_of(first)
    end = start + 1
    is_past = first.options.at_offset is not None
    if kind == "node" or waits(first, oldest) or type(first.command) in COSTLY:
        return kind, end
    options: Options = first.options
    size = len(first.line)
    for other in asked[end:]:
        size += len(other.line)
        if size > RUN_SIZE_MAX:
            break
        if other.options is not options and other.options != options:
            break
        if kind_of(other) != kind or type(other.command) in COSTLY:
            break
        if kind == "query" and (waits(other, oldest) or is_slow(other, oldest) != is_past):
            break
        end += 1
    return kind, end


def is_slow(asked: Asked, oldest: int = 0) -> bool:
    """May wait for something other than the log: a run with a task.

    Changes from below offset `oldest` are not in memory any more.
    """
    return asked.options.at_offset is not None or waits(asked, oldest)


def waits(asked: Asked, oldest: int) -> bool:
    """FETCH that waits for a change, that is a heartbeat too, or that has to look at the log: a run of its own."""
    command = asked.command
    return type(command) is questions.FetchChanges and (
        command.wait_ms > 0
        or command.broker is not None
        or asked.options.at_offset is not None
        or (command.since is not None and command.since < oldest)
    )


def timed_out(maybe: bool, message: str) -> RefusedError:
    """The answer when `timeout=` is over; `maybe`: it may have been applied all the same."""
    return RefusedError(
        "TIMEOUT",
        message,
        retry=True,
        maybe=maybe,
        hint="repeat with the same request=" if maybe else "STATUS",
    )


def no_leader() -> RefusedError:
    """The answer when `timeout=` is over and nobody leads."""
    return RefusedError("NO_LEADER", "no leader is known to this node", retry=True, hint="QUORUM SHOW")


def changed_before_confirmed() -> RefusedError:
    """The answer to a command with a request id that a deposed leader had found done, or refused: the next leader's
    log may hold what that request wrote."""
    return timed_out(maybe=True, message="the leader changed before this was confirmed")


def not_leader_any_more(leader: int | None) -> RefusedError:
    """The answer to what a deposed leader had decided and the log does not hold."""
    return RefusedError(
        "NOT_LEADER",
        "the leader changed before this was committed; it was not applied",
        retry=True,
        details={"leader": leader},
    )
