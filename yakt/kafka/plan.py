"""How a request becomes commands, and their results a response: what the pure half of this adapter hands out.

A request that only the active controller may decide is asked of this node alone and never forwarded: Kafka's clients
look for the controller themselves, and take error 41 anywhere in a response for "elsewhere" (contract, §4).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import attrs

from yakt.address import Address
from yakt.errors import RefusedError
from yakt.ids import NodeId
from yakt.kafka.codes import Code, code_of
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked, Options, Origin
from yakt.metadata.commands import Batch, Command
from yakt.metadata.image import MetadataImage
from yakt.raft.statistics import Statistics

FindAddress: TypeAlias = Callable[[NodeId], Address | None]
"""A controller's Kafka address, as its hello told; None while that is not known."""

LIFECYCLE_TIMEOUT_MS = 2000
"""Of a broker's registration and heartbeats: its channel gives up after half its session (controller-contract.md §2).
Until then a leader that has not claimed yet is waited for."""
TIMEOUT_MAX_MS = 60_000
"""However long a request says it would wait: its broker does not (rpcs.md §6)."""
UNTIMED_MS = 30_000
"""Of requests that have no timeout of their own."""
CLIENT_SIZE_MAX = 256
"""Characters of a client id that are kept beside what it wrote."""


@attrs.frozen
class Caller:
    """Who asks: what the client calls itself, whence, and for whom (an Envelope's principal, "" outside)."""

    client_id: str
    address: str
    principal: str = ""

    @property
    def origin(self) -> Origin:
        """What is kept with the records."""
        return Origin(client=self.client_id[:CLIENT_SIZE_MAX], address=self.address, by=self.principal)


@attrs.frozen(kw_only=True)
class View:
    """What a request of `version` is read against: all that is applied at this node. Not to be held over an await."""

    version: int
    image: MetadataImage
    cluster_id: str
    node_id: NodeId
    leader_id: NodeId | None
    find_address: FindAddress
    statistics: Callable[[], Statistics]
    wall_ms: int


@attrs.frozen
class Plan:
    """What to ask, perhaps nothing, and how the answers, one for each in order, make the response."""

    asked: Sequence[Asked]
    respond: Callable[[Sequence[Result]], Any]


def ask(command: Command, caller: Caller, timeout_ms: int, *, check: bool = False) -> Asked:
    """One command of a caller, for this node only. `timeout_ms` at most TIMEOUT_MAX_MS; `check`: nothing is written."""
    return Asked(
        command=command,
        origin=caller.origin,
        options=Options(timeout_ms=min(max(timeout_ms, 1), TIMEOUT_MAX_MS), forward=False, check=check),
    )


def error_of(result: Result) -> int:
    """Kafka's error number of a result: 0 for an answer."""
    return code_of(result) if isinstance(result, RefusedError) else Code.NONE


def message_of(result: Result) -> str | None:
    """What went wrong, in words; None where nothing did."""
    return result.message if isinstance(result, RefusedError) else None


def refusal(code: Code, message: str) -> RefusedError:
    """What this adapter itself refuses, before anyone is asked."""
    return RefusedError(code.name, message, kafka=code)


class Slots:
    """A request's items in order: each is a command of one atomic operation, or refused here.

    `is_atomic` False: each command is an operation of its own (controller.md §1 says where that may be).
    """

    def __init__(self, caller: Caller, timeout_ms: int, *, check: bool = False, is_atomic: bool = True) -> None:
        self._caller = caller
        self._timeout_ms = timeout_ms
        self._check = check
        self._is_atomic = is_atomic
        self._commands: list[Command] = []
        self._items: list[RefusedError | None] = []
        """None: the next of the commands."""

    @property
    def asked(self) -> list[Asked]:
        """What to ask for all of them, perhaps nothing."""
        commands: list[Command] = self._commands
        if self._is_atomic and commands:
            commands = [Batch(tuple(commands))]
        return [ask(command, self._caller, self._timeout_ms, check=self._check) for command in commands]

    def add(self, command: Command) -> None:
        """The next item is this command."""
        self._items.append(None)
        self._commands.append(command)

    def refuse(self, code: Code, message: str) -> None:
        """The next item is refused."""
        self.refuse_with(refusal(code, message))

    def refuse_with(self, refused: RefusedError) -> None:
        """The next item is refused so."""
        self._items.append(refused)

    def add_or_refuse(self, make: Callable[[], Command]) -> None:
        """The next item is what `make` makes, or the RefusedError that it raises."""
        try:
            command = make()
        except RefusedError as exc:
            self._items.append(exc)
        else:
            self.add(command)

    def fill(self, results: Sequence[Result]) -> list[Result]:
        """One result for each item, from those of `asked`."""
        given: Iterator[Result]
        if self._is_atomic and results:
            [result] = results
            given = iter(result.items) if isinstance(result, Answer) else repeat(result)
        else:
            given = iter(results)
        return [next(given) if item is None else item for item in self._items]


@attrs.frozen
class Handling:
    """How an API is answered. `plan` makes commands; `read` answers from a view; `refuse` says one error everywhere.

    `anywhere`: any node may read; otherwise only the active controller answers, and others say 41.
    """

    refuse: Callable[[Any, int, str | None], Any]
    plan: Callable[[Any, Caller, View], Plan] | None = None
    read: Callable[[Any, View], Any] | None = None
    anywhere: bool = False
