"""How a request becomes commands, and their results a response: what the pure half of this adapter hands out.

A request that only the active controller may decide is asked of this node alone and never forwarded: Kafka's clients
look for the controller themselves, and take error 41 anywhere in a response for "elsewhere" (contract, §4).
"""

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from yakt.errors import RefusedError
from yakt.kafka.codes import Code, code_of
from yakt.metadata.commands import Asked, Command, Options, Origin, Result

LIFECYCLE_TIMEOUT_MS = 2000
"""Of a broker's registration and heartbeats: its channel gives up after half its session (controller-contract.md §2).
Until then a leader that has not claimed yet is waited for."""
TIMEOUT_MAX_MS = 30_000
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


@attrs.frozen
class Plan:
    """What to ask, each answer's place in order, and how the answers make the response."""

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
