"""The past: the state below an offset, and the changes from one on, from the kept snapshots and log.

Works on a scratch image of its own, a few milliseconds at a time, at most one reader a node at once, and never holds up
commits (line-protocol.md §4). Where it got to it keeps for a while: the next question often goes on from there.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager

import attrs
import trio

from yakt.errors import CodecError, RefusedError, ReplayError, StorageError
from yakt.ids import Offset, OffsetAndEpoch
from yakt.metadata import refusals
from yakt.metadata.about import About
from yakt.metadata.codec import decode_pieces
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import NoOpRecord, Record
from yakt.metadata.tables import Change
from yakt.metadata.tags import Origin, Origins
from yakt.node.loader import Loader
from yakt.node.snapshots import begin_image, snapshot_name
from yakt.storage.store import Store
from yakt.wire.batch import timestamp_ms

READ_BYTES = 64 * 1024
PIECE_RECORDS = 100
"""Replayed before a look at the clock: about a millisecond."""
SLICE_S = 0.002
"""Of work before others get their turn."""
CHUNK_CHANGES = 20_000
"""Read for a watcher before the next reader gets its turn."""
IDLE_S = 30.0
"""How long the scratch image is kept for the next question."""
_NOTHING = NoOpRecord()


@attrs.frozen
class Step:
    """Some records of one batch, replayed: what they changed, when they were appended, and whose each was."""

    base_offset: int
    time_ms: int
    changes: Sequence[Change]
    origins: Sequence[Origin | None]
    ends_batch: bool

    def origin(self, offset: int) -> Origin | None:
        """Whose the record at `offset` was; None where that is not known."""
        place = offset - self.base_offset
        return self.origins[place] if 0 <= place < len(self.origins) else None


class History:
    """Answers about what was. Everything it reads is committed and applied."""

    def __init__(self, store: Store, loader: Loader) -> None:
        self._store = store
        self._loader = loader
        self._turn = trio.CapacityLimiter(1)
        self._kept: MetadataImage | None = None
        """The scratch image of the last reader, at the end of some batch."""
        self._used = trio.Event()
        self._slice_began = 0.0

    @property
    def end_offset(self) -> Offset:
        """Where the present begins."""
        return self._loader.end_offset

    @property
    def start_offset(self) -> Offset:
        """The first that is kept."""
        return self._store.start_offset

    @property
    def present(self) -> MetadataImage:
        """The image as it is now; not to be held over an await."""
        return self._loader.image

    async def run(self) -> None:
        """Let go of a scratch image that nobody asks for any more."""
        while True:
            await self._used.wait()
            self._used = trio.Event()
            with trio.move_on_after(IDLE_S):
                await self._used.wait()
                continue
            self._kept = None

    def check(self, offset: int, key: str) -> None:
        """Refuse what is not there: BAD_ARGUMENT past what is applied, OFFSET_COMPACTED below what is kept."""
        if offset > self.end_offset:
            raise RefusedError(
                "BAD_ARGUMENT",
                f"offset {offset} is past the end, {self.end_offset}",
                details={"key": key},
                hint="STATUS",
            )
        if offset < self.start_offset:
            raise self.compacted(key)

    def compacted(self, key: str) -> RefusedError:
        """Why an offset below what is kept cannot be had; `key` is what it was given as."""
        hint = f"FETCH since={self.start_offset}" if key == "since" else f"{key}={self.start_offset}"
        return refusals.offset_compacted(self.start_offset, hint)

    def spans(self) -> list[tuple[int, int]]:
        """The kept log cut at the kept snapshots, oldest first: what can be read without what lies before it."""
        starts = sorted({int(self.start_offset), *(int(one.offset) for one, _ in self._store.snapshots)})
        starts = [start for start in starts if self.start_offset <= start < self.end_offset]
        ends = [*starts, int(self.end_offset)][1:]
        return list(zip(starts, ends, strict=True))

    @asynccontextmanager
    async def state_at(self, end_offset: int) -> AsyncIterator[MetadataImage]:
        """The state made by everything below `end_offset`; not to be held over an await. Raises as `check`."""
        self.check(end_offset, "at")
        if end_offset == self.end_offset:
            yield self.present
            return
        async with self._turn:
            self.check(end_offset, "at")  # the log may have been trimmed while others had their turn
            image = await self._scratch(end_offset, None)
            is_whole = image.end_offset == end_offset
            async for _ in self._replay(image, end_offset, None):
                pass
            if is_whole:
                self._keep(image)
            yield image

    async def steps(self, since: int, end_offset: int, about: About | None = None) -> AsyncGenerator[Step, None]:
        """What the records in `[since, end_offset)` changed, all of it or what is about one thing; to be closed.

        Others wait meanwhile, so whoever iterates waits for nothing else. Raises RefusedError (OFFSET_COMPACTED).
        """
        async with self._turn:
            if since < self.start_offset:  # trimmed while others had their turn
                raise self.compacted("since")
            image = await self._scratch(since, about)
            is_whole = True
            async with aclosing(self._replay(image, end_offset, about)) as replayed:
                async for step in replayed:
                    is_whole = step.ends_batch
                    yield _since(step, since)
            if about is None and is_whole:
                self._keep(image)

    async def chunks(self, since: int, end_offset: int) -> AsyncGenerator[tuple[Sequence[Change], int], None]:
        """What the records in `[since, end_offset)` changed, for one who takes them slowly: nobody waits for that.

        With each part where the next begins. Raises RefusedError (OFFSET_COMPACTED), also when it is trimmed meanwhile.
        """
        at = since
        while at < end_offset:
            found: list[Change] = []
            async with self._turn:
                if at < self.start_offset:
                    raise self.compacted("since")
                image = await self._scratch(at, None)
                async with aclosing(self._replay(image, end_offset, None)) as replayed:
                    async for step in replayed:
                        found += _since(step, since).changes
                        if step.ends_batch and len(found) >= CHUNK_CHANGES:
                            break
                at = image.end_offset
                self._keep(image)
            yield found, at

    # --- the scratch image --------------------------------------------------------------------------------------------

    def _keep(self, image: MetadataImage) -> None:
        self._kept = image
        self._used.set()

    async def _scratch(self, at: int, about: About | None) -> MetadataImage:
        """An image that ends at `at`, or with the last batch that does not go beyond; it is the caller's own."""
        self._slice_began = time.perf_counter()
        base = self._base(at)
        kept, self._kept = self._kept, None
        lowest = max(self.start_offset, 0 if base is None else base.offset)
        if about is None and kept is not None and lowest <= kept.end_offset <= at:
            image = kept
        else:
            del kept
            image = MetadataImage() if base is None else await self._load(base, about)
            image.journal.recording = False
        async for _ in self._replay(image, at, about, whole=True):
            pass
        return image

    def _base(self, at: int) -> OffsetAndEpoch | None:
        """The newest kept snapshot at or below `at`."""
        ids = [snapshot_id for snapshot_id, _ in self._store.snapshots if snapshot_id.offset <= at]
        return max(ids, default=None, key=lambda snapshot_id: snapshot_id.offset)

    async def _load(self, snapshot_id: OffsetAndEpoch, about: About | None) -> MetadataImage:
        """Raises StorageError for a snapshot that is damaged or does not fit together."""
        loader = None
        try:
            for batch in self._store.snapshot_batches(snapshot_id):
                if loader is None:
                    loader = begin_image(snapshot_id, batch)
                if batch.control:
                    continue
                for records, _ in decode_pieces(batch.body, PIECE_RECORDS):
                    loader.add(records if about is None else [one for one in records if about.wants(one)])
                    await self.pause()
            assert loader is not None  # a snapshot without batches is none
            return loader.finish()
        except (CodecError, ReplayError) as exc:
            raise StorageError(f"snapshot {snapshot_name(snapshot_id)}: {exc}") from exc

    async def _replay(
        self, image: MetadataImage, end_offset: int, about: About | None, *, whole: bool = False
    ) -> AsyncGenerator[Step, None]:
        """Replay up to `end_offset`, the batch that holds it cut there, or with `whole` left out."""
        while image.end_offset < end_offset:
            if image.end_offset < self.start_offset:  # trimmed meanwhile
                raise self.compacted("since")
            for batch in self._store.read(Offset(image.end_offset), self.end_offset, READ_BYTES):
                if batch.base_offset >= end_offset or (whole and batch.end_offset > end_offset):
                    return
                if batch.control:
                    image.skip(batch.end_offset, batch.leader_epoch)
                    continue
                origins, at, time_ms = Origins(), int(batch.base_offset), timestamp_ms(batch.body)
                for records, values in decode_pieces(batch.body, PIECE_RECORDS):
                    if at >= end_offset:
                        return
                    whose = [origins.next(record) for record in records]
                    del records[max(0, end_offset - at) :]
                    wanted: Sequence[Record] = records
                    if about is not None:
                        wanted, values = [one if about.wants(one) else _NOTHING for one in records], []
                    changes = image.replay(
                        at, batch.leader_epoch, time_ms, wanted, values, goes_on=at != batch.base_offset
                    )
                    yield Step(at, time_ms, changes, whose, image.end_offset == batch.end_offset)
                    at += len(records)
                    await self.pause()

    async def pause(self) -> None:
        """Let others work if it is their turn."""
        if time.perf_counter() - self._slice_began >= SLICE_S:
            await trio.lowlevel.checkpoint()
            self._slice_began = time.perf_counter()


def _since(step: Step, since: int) -> Step:
    """Without what lies below `since`, in the batch that holds it."""
    if step.base_offset >= since:
        return step
    return attrs.evolve(step, changes=[change for change in step.changes if change.offset >= since])
