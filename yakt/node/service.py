"""MetadataService: all that adapters see of a node."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from yakt.ids import Offset
from yakt.metadata.commands import Asked, Pairs, Result


class Submission(Protocol):
    """What one connection has sent so far, in order. A connection has at most one submission under way."""

    @property
    def asked(self) -> Sequence[Asked]:
        """One turn's commands; at least one."""
        ...

    def answer(self, results: Sequence[Result]) -> None:
        """Called once, with a result for each of `asked`, inside a turn: format, join, one send that does not wait."""
        ...


class WatchEvent(msgspec.Struct, frozen=True, gc=False):
    """One entity after one record: `* kind offset= …`, or with `deleted=true` its key. `say`: the same in words."""

    kind: str
    offset: int
    pairs: Pairs
    say: str


class MetadataService(Protocol):
    """Commands and queries in, answers out; the one door of every adapter."""

    def submit_nowait(self, submission: Submission) -> None:
        """Take in a submission; it is answered later, or at once. Never raises for what a client did."""
        ...

    def end_turn(self) -> None:
        """All that one readiness pass brought has been submitted: decide, propose, flush, answer."""
        ...

    def watch(self, since: int | None, kind: str | None, match: str | None) -> AsyncIterator[WatchEvent]:
        """Events in commit order from offset `since` on (None: from now). Iterating raises RefusedError:
        OFFSET_COMPACTED below what is kept, and `LOST` (details: since) for a watcher that fell too far behind."""
        ...

    @property
    def applied_end_offset(self) -> Offset:
        """Everything below is in the image."""
        ...
