"""Observers that fetch through an adapter: each a visitor to the core, one question at a time."""

from collections.abc import Callable
from typing import cast

import attrs
import trio

from yakt.errors import RefusedError
from yakt.node.driver import Driver
from yakt.raft.events import LinkLost, Received, Visitor
from yakt.raft.messages import (
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    Message,
)

VISITS_MAX = 1000
"""At once: as many as the core parks fetches for."""


class Visits:
    """All visitors of one node. The driver's `send` brings the core's answers here."""

    def __init__(self) -> None:
        self._deliver: dict[int, Callable[[Message, int], None]] = {}
        self._last = 0

    def deliver(self, visitor: Visitor, message: Message, correlation: int) -> None:
        """The core's answer to a visitor; nothing if it has gone."""
        deliver = self._deliver.get(visitor.number)
        if deliver is not None:
            deliver(message, correlation)

    def open(self, driver: Driver) -> "Visit":
        """A new visitor. Raises RefusedError (OVERLOADED) when there are too many."""
        if len(self._deliver) >= VISITS_MAX:
            raise RefusedError("OVERLOADED", f"{VISITS_MAX} observers fetch from this node already", retry=True)
        self._last += 1
        visit = Visit(self, driver, Visitor(self._last))
        self._deliver[self._last] = visit.take
        return visit

    def forget(self, visitor: Visitor) -> None:
        """It has gone."""
        self._deliver.pop(visitor.number, None)


@attrs.define(eq=False)
class _Question:
    correlation: int
    answered: trio.Event = attrs.Factory(trio.Event)
    answer: Message | None = None


class Visit:
    """One observer: its Fetch and FetchSnapshot, as a peer's would be served, but never counted as a voter's."""

    def __init__(self, visits: Visits, driver: Driver, visitor: Visitor) -> None:
        self._visits = visits
        self._driver = driver
        self._visitor = visitor
        self._correlation = 0
        self._question: _Question | None = None

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        """Records, or why there are none; held back as the request allows while there is nothing new."""
        active = self._driver.loader.active
        if active is not None:
            active.note_observer(self._driver.around.now())
        return cast(FetchResponse, await self._ask(request))

    async def fetch_snapshot(self, request: FetchSnapshotRequest) -> FetchSnapshotResponse:
        """A piece of a snapshot."""
        return cast(FetchSnapshotResponse, await self._ask(request))

    async def _ask(self, request: FetchRequest | FetchSnapshotRequest) -> Message:
        self._correlation += 1
        question = self._question = _Question(self._correlation)
        self._driver.take(Received(self._visitor, request, self._correlation))
        self._driver.end_turn()
        await question.answered.wait()
        assert question.answer is not None
        return question.answer

    def take(self, message: Message, correlation: int) -> None:
        """Called inside a turn."""
        question = self._question
        if question is not None and question.correlation == correlation:
            question.answer = message
            question.answered.set()

    def close(self) -> None:
        """It has gone: what is held back for it is dropped."""
        self._visits.forget(self._visitor)
        self._driver.take(LinkLost(self._visitor))
        self._driver.end_turn()
