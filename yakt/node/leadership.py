"""Who leads, for those who must wait for it or ask it: asks of a node that only the leader can answer."""

from collections.abc import Sequence

import attrs
import trio

from yakt.errors import NotLeaderError
from yakt.ids import Instant, NodeId
from yakt.metadata.answers import Result
from yakt.metadata.asked import Asked, Options
from yakt.node.driver import Driver
from yakt.node.runs import Reads, Writes

RETRY_S = 0.02
"""Before a node that should lead and does not yet is asked again."""


@attrs.define(eq=False)
class _Question:
    """What was asked of a leader, and its answer once it is there."""

    leader: NodeId
    answered: trio.Event = attrs.Factory(trio.Event)
    result: Result | None = None

    def take(self, result: Result) -> None:
        self.result = result
        self.answered.set()


class Leadership:
    """The leader as this node knows it. One for each driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._questions: dict[int, _Question] = {}
        """By correlation."""
        self._changed = trio.Event()
        driver.on_leader = self._on_leader

    @property
    def is_ours(self) -> bool:
        """Whether this node is the active controller."""
        return self._driver.loader.active is not None

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads, as far as is known."""
        return self._driver.leader_id

    def _on_leader(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait_change(self) -> None:
        """Wait until who leads is another matter than now."""
        await self._changed.wait()

    async def wait_for_another(self) -> NodeId:
        """Wait until another node than this one is known to lead."""
        while True:
            leader, changed = self.leader_id, self._changed
            if leader is not None and leader != self._driver.core.me.id:
                return leader
            await changed.wait()

    async def ask(self, asked: Asked) -> Result | None:
        """The leader's answer to an ask of a node; None if we are the leader and must answer. The caller bounds the
        wait. Raises NotLeaderError if it must not be forwarded."""
        while True:
            leader, changed = self.leader_id, self._changed
            if self.is_ours:
                return None
            if not asked.options.forward:
                address = None if leader is None else self._driver.around.line_address(leader)
                raise NotLeaderError(leader, address)
            if leader is not None and leader != self._driver.core.me.id:
                result = await self._ask(leader, asked)
                if not isinstance(result, NotLeaderError):
                    return result
            # No leader, or one that does not lead yet (or not any more): ask again when that changes, or soon.
            with trio.move_on_after(RETRY_S):
                await changed.wait()

    async def _ask(self, leader: NodeId, asked: Asked) -> Result:
        deadline = Instant(self._driver.around.now() + asked.options.timeout_ms / 1000)
        correlation = self._driver.next_serial()
        question = self._questions[correlation] = _Question(leader)
        try:
            if not self._driver.around.forward(leader, correlation, Writes((asked,), deadline, lambda _: None)):
                return NotLeaderError(None)
            await question.answered.wait()
        finally:
            del self._questions[correlation]
        assert question.result is not None
        return question.result

    def answered(self, correlation: int, results: Sequence[Result]) -> bool:
        """Whether the leader's answer was to a question asked here, and is now delivered."""
        question = self._questions.get(correlation)
        if question is not None:
            question.take(results[0])
        return question is not None

    def link_lost(self, peer: NodeId) -> None:
        """Questions to that node get no answer any more; asking again is harmless."""
        for question in self._questions.values():
            if question.leader == peer:
                question.take(NotLeaderError(None))

    async def confirm(self, options: Options) -> None:
        """Wait until a read with these options may be answered from the image. Raises RefusedError."""
        done = trio.Event()
        refusals: list[Result] = []

        def take(results: Sequence[Result]) -> None:
            refusals.extend(results)
            done.set()

        def serve(reads: Reads) -> None:
            reads.finish(())

        deadline = Instant(self._driver.around.now() + options.timeout_ms / 1000)
        reads = Reads((_NOTHING,), deadline, serve, take)
        if options.min_offset is not None:
            reads.wait_end = options.min_offset + 1
        self._driver.submit_reads(reads, confirm=options.read == "fresh" and options.min_offset is None)
        self._driver.end_turn()
        await done.wait()
        if refusals:
            refusal = refusals[0]
            assert isinstance(refusal, Exception)
            raise refusal


_NOTHING = Asked(command=None)  # type: ignore[arg-type]  # a read of nothing: only its confirmation is wanted
