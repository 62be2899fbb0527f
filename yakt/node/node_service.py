"""The service of one running node: cuts submissions into runs, answers queries from the image, and asks the driver.

Knows no text, socket or frame: adapters bring `Asked` values and take `Result`s away.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

import attrs
import msgspec
import trio

from yakt.errors import NotLeaderError, RefusedError
from yakt.ids import Instant, NodeId, Offset
from yakt.metadata import commands, queries, questions
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked, Options
from yakt.metadata.image import MetadataImage
from yakt.node import asks, past
from yakt.node.asks import Here
from yakt.node.runs import Reads, Writes, cut, is_slow, kind_of, no_leader, timed_out
from yakt.node.service import Submission, WatchEvent
from yakt.node.visits import Visit, Visits
from yakt.node.watch import WatchHub
from yakt.raft.statistics import Statistics

SLOW_MAX = 1000
"""Asks under way that have a task of their own: waits, transfers, reads of the past."""


class NodeService:
    """See `yakt.node.service.MetadataService`."""

    def __init__(self, here: Here, nursery: trio.Nursery, visits: Visits | None = None) -> None:
        self.here = here
        self.driver = here.driver
        self._hub = WatchHub(here.history)
        self._nursery = nursery
        self._slow = 0
        self._visits = visits if visits is not None else Visits()
        here.driver.loader.on_applied = self._hub.wake

    # --- the door ------------------------------------------------------------------------------------------------

    def submit_nowait(self, submission: Submission) -> None:
        """Take in a submission; it is answered later, or at once."""
        Progress(self, submission).go_on()

    def end_turn(self) -> None:
        """All that one readiness pass brought has been submitted."""
        self.driver.end_turn()

    async def submit(self, asked: Asked) -> Result:
        """Ask one thing and wait for its answer."""
        return (await self.submit_all((asked,)))[0]

    async def submit_all(self, asked: Sequence[Asked]) -> Sequence[Result]:
        """Ask, and wait for the answers: one for each."""
        submission = _Awaited(asked)
        self.submit_nowait(submission)
        self.end_turn()
        await submission.done.wait()
        assert submission.results is not None
        return submission.results

    def watch(self, since: int | None, kind: str | None, match: str | None) -> AsyncIterator[WatchEvent]:
        """See `MetadataService.watch`."""
        return self._hub.watch(since, kind, match)

    async def read_barrier(self) -> None:
        """See `MetadataService.read_barrier`."""
        await self.here.leadership.confirm(Options())

    @property
    def applied_end_offset(self) -> Offset:
        """Everything below is in the image."""
        return self.driver.loader.end_offset

    # --- what Kafka's brokers need -------------------------------------------------------------------------------

    def open_observer(self) -> Visit:
        """See `ControllerService.open_observer`."""
        return self._visits.open(self.driver)

    async def wait_leader_change(self) -> None:
        """Until who leads is another matter than now."""
        await self.here.leadership.wait_change()

    @property
    def leader_id(self) -> NodeId | None:
        """Who leads, as far as is known."""
        return self.driver.leader_id

    @property
    def is_controller(self) -> bool:
        """Whether this node is the active controller."""
        return self.here.leadership.is_ours

    @property
    def image(self) -> MetadataImage:
        """All that is committed and applied here."""
        return self.driver.loader.image

    def statistics(self) -> Statistics:
        """The quorum as this node sees it."""
        return self.driver.core.statistics(self.driver.around.now())

    # --- what runs need ------------------------------------------------------------------------------------------

    def serve(self, reads: Reads) -> None:
        """Answer a run of queries from the image as it is now."""
        image = self.driver.loader.image
        reads.finish([_answer(image, asked) for asked in reads.asked])

    @property
    def oldest_in_memory(self) -> int:
        """Changes from here on need no look at the log."""
        return self.driver.loader.image.journal.start_offset

    def start_slow(self, run: Sequence[Asked], deliver: Callable[[Sequence[Result]], None]) -> None:
        """Give a run a task of its own, within bounds: one ask, or queries of one moment of the past."""
        if self._slow >= SLOW_MAX:
            deliver([RefusedError("OVERLOADED", "too many long asks wait at this node", retry=True)] * len(run))
            return
        self._slow += 1
        self._nursery.start_soon(self._run_slow, run, deliver)

    async def _run_slow(self, run: Sequence[Asked], deliver: Callable[[Sequence[Result]], None]) -> None:
        results: Sequence[Result]
        try:
            with trio.move_on_after(run[0].options.timeout_ms / 1000) as scope:
                try:
                    results = await self._slow_answers(run)
                except RefusedError as refusal:
                    results = [refusal] * len(run)
            if scope.cancelled_caught:
                late = no_leader() if self.driver.leader_id is None else timed_out(False, "not answered in time")
                results = [late] * len(run)
        finally:
            self._slow -= 1
        deliver(results)
        self.end_turn()

    async def _slow_answers(self, run: Sequence[Asked]) -> Sequence[Result]:
        first = run[0]
        command = first.command
        if asks.is_ask(command):
            return [await asks.answer(self.here, first)]
        assert not isinstance(command, commands.Command.__args__)
        at = first.options.at_offset
        if at is not None:
            await self.here.leadership.confirm(first.options)
            if isinstance(command, questions.FetchChanges):
                return [await past.fetch(self.here.history, command, at)]
            async with self.here.history.state_at(at) as image:
                return [_answer(image, asked) for asked in run]
        assert isinstance(command, questions.FetchChanges)
        return [await self._fetch(first, command)]

    async def _fetch(self, asked: Asked, fetch: questions.FetchChanges) -> Result:
        """FETCH that waits, or that is a heartbeat too."""
        if fetch.broker is not None:
            beat = commands.HeartbeatBroker(id=fetch.broker, epoch=fetch.epoch, at=_last(fetch.since))
            line = b"BROKER HEARTBEAT %d" % fetch.broker
            if fetch.epoch is not None:
                line += b" epoch=%d" % fetch.epoch
            if fetch.since is not None:
                line += b" at=%d" % (fetch.since - 1)
            result = await self.submit(Asked(command=beat, line=line, origin=asked.origin, options=asked.options))
            if not isinstance(result, Answer):
                return result
        await self.here.leadership.confirm(asked.options)
        if fetch.since is not None and fetch.since < self.oldest_in_memory:
            found = await past.fetch(self.here.history, fetch, self.driver.loader.end_offset)
            if found.rows or fetch.wait_ms == 0:
                return found
            fetch = msgspec.structs.replace(fetch, since=found.pairs["next"])
        with trio.move_on_after(fetch.wait_ms / 1000):
            while True:
                found = queries.answer(self.driver.loader.image, fetch)
                if found.rows or fetch.wait_ms == 0:
                    return found
                await self._hub.moved()
        return queries.answer(self.driver.loader.image, fetch)

    def submit_forwarded(
        self,
        asked: Sequence[Asked],
        timeout_ms: int,
        on_decided: Callable[[Writes], None],
        on_answer: Callable[[Sequence[Result]], None],
    ) -> None:
        """Commands that another node sent us as the leader: all writes, or one ask of a node."""
        deadline = Instant(trio.current_time() + timeout_ms / 1000)
        if all(kind_of(one) == "write" for one in asked):
            self.driver.submit_writes(Writes(asked, deadline, on_answer, on_decided))
        elif not self.here.leadership.is_ours:
            on_answer([NotLeaderError(self.driver.leader_id)] * len(asked))
        else:
            self.start_slow(asked[:1], on_answer)


def _answer(image: MetadataImage, asked: Asked) -> Result:
    try:
        return queries.answer(image, cast(questions.Query, asked.command))
    except RefusedError as refusal:
        return refusal


@attrs.define(eq=False)
class _Awaited:
    """A submission whose answers someone awaits."""

    asked: Sequence[Asked]
    done: trio.Event = attrs.Factory(trio.Event)
    results: Sequence[Result] | None = None

    def answer(self, results: Sequence[Result]) -> None:
        self.results = results
        self.done.set()


@attrs.define(eq=False)
class Progress:
    """A submission on its way: its runs, one after the other."""

    service: NodeService
    submission: Submission
    results: list[Result] = attrs.Factory(list)
    _ready: bool = True
    _going: bool = False

    def go_on(self) -> None:
        """Start runs as long as they are answered at once; a loop, as a thousand of them would be too deep a call."""
        if self._going:
            return
        self._going = True
        while self._ready:
            if len(self.results) == len(self.submission.asked):
                self.submission.answer(self.results)
                return
            self._ready = False
            self._start_run()
        self._going = False

    def take(self, results: Sequence[Result]) -> None:
        """A run is answered."""
        self.results.extend(results)
        self._ready = True
        self.go_on()

    def _start_run(self) -> None:
        asked = self.submission.asked
        start = len(self.results)
        oldest = self.service.oldest_in_memory
        kind, end = cut(asked, start, oldest)
        run = asked if end - start == len(asked) else asked[start:end]
        options = run[0].options
        service = self.service
        driver = service.driver
        deadline = Instant(driver.around.now() + options.timeout_ms / 1000)
        if kind == "write":
            driver.submit_writes(Writes(run, deadline, self.take))
        elif kind == "query" and not is_slow(run[0], oldest):
            reads = Reads(run, deadline, service.serve, self.take)
            if options.min_offset is not None:
                reads.wait_end = options.min_offset + 1
            driver.submit_reads(reads, confirm=options.read == "fresh" and options.min_offset is None)
        elif (result := asks.answer_at_once(service.here, run[0])) is not None:
            self.take([result])
        else:
            service.start_slow(run, self.take)


def _last(since: int | None) -> int | None:
    return None if since is None else since - 1
