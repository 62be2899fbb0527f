"""MetadataService: all that adapters see of a node."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from yakt.ids import NodeId, Offset
from yakt.metadata.answers import Pairs, Result
from yakt.metadata.asked import Asked
from yakt.metadata.image import MetadataImage
from yakt.raft.messages import FetchRequest, FetchResponse, FetchSnapshotRequest, FetchSnapshotResponse
from yakt.raft.statistics import Statistics


class Traffic:
    """What one listener has seen, for /metrics: plain numbers that it counts up itself."""

    def __init__(self) -> None:
        self.connections = 0
        """Open now."""
        self.requests: Counter[tuple[object, str]] = Counter()
        """Answered, by what was asked (a command's type, or a name) and what came of it: OK, or a refusal's code."""
        self.done: dict[object, int] = {}
        """Answered OK and not in `requests`, by what was asked: one key less to make, for those that come alone."""


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

    async def read_barrier(self) -> None:
        """Return when all that was committed before the call is applied here, as the leader and a majority confirm.
        Raises RefusedError."""
        ...

    @property
    def applied_end_offset(self) -> Offset:
        """Everything below is in the image."""
        ...


class Observer(Protocol):
    """One who follows the log without being a peer. Asks one thing at a time."""

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """Raw batches, or why there are none; held back as long as the request allows while there is nothing new."""
        ...

    async def fetch_snapshot(self, request: FetchSnapshotRequest) -> FetchSnapshotResponse:
        """A piece of a snapshot file."""
        ...

    def close(self) -> None:
        """It has gone."""
        ...


class ControllerService(MetadataService, Protocol):
    """What an adapter sees whose clients take this node for one of Kafka's controllers."""

    async def submit_all(self, asked: Sequence[Asked]) -> Sequence[Result]:
        """Ask, and wait for the answers: one for each."""
        ...

    def open_observer(self) -> Observer:
        """Raises RefusedError (OVERLOADED) when there are too many."""
        ...

    async def wait_leader_change(self) -> None:
        """Until who leads is another matter than now."""
        ...

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads, as far as is known."""
        ...

    @property
    def is_controller(self) -> bool:
        """Whether this node is the active controller."""
        ...

    @property
    def image(self) -> MetadataImage:
        """All that is committed and applied here; whoever holds on to it over an await pins it."""
        ...

    def statistics(self) -> Statistics:
        """The quorum as this node sees it."""
        ...
