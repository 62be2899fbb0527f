"""The past: the state below an offset, and the changes since one, from the kept snapshots and log.

Works on scratch images, in slices, at most one at a time a node, and never holds up commits (line-protocol.md §4).
"""

from collections.abc import AsyncIterator, Callable, Sequence

import trio

from yakt.errors import RefusedError
from yakt.ids import Offset, OffsetAndEpoch
from yakt.metadata import refusals
from yakt.metadata.image import MetadataImage
from yakt.metadata.tables import Change
from yakt.node.loader import Loader, replay
from yakt.storage.store import Store

SLICE_BYTES = 256 * 1024


class History:
    """Answers about what was. Everything it reads is committed and applied."""

    def __init__(self, store: Store, loader: Loader, load_image: Callable[[OffsetAndEpoch], MetadataImage]) -> None:
        self._store = store
        self._loader = loader
        self._load_image = load_image
        self._turn = trio.CapacityLimiter(1)

    @property
    def end_offset(self) -> Offset:
        """Where the present begins."""
        return self._loader.end_offset

    @property
    def present(self) -> MetadataImage:
        """The image as it is now; not to be held over an await."""
        return self._loader.image

    async def image_at(self, end_offset: int) -> MetadataImage:
        """The state made by everything below `end_offset`. Raises RefusedError: BAD_ARGUMENT past what is applied,
        OFFSET_COMPACTED below what is kept."""
        self.check(end_offset, "at")
        async with self._turn:
            image = self._base(end_offset)
            image.journal.recording = False
            async for _ in self._replay(image, end_offset):
                pass
            return image

    async def changes(self, since: int, end_offset: int) -> AsyncIterator[Sequence[Change]]:
        """What the records in `[since, end_offset)` changed, a batch at a time. Raises RefusedError as `image_at`."""
        self.check(since, "since")
        image = self._base(since)
        async for batch_start in self._replay(image, end_offset):
            found = image.journal.since(max(batch_start, since))
            if found:
                yield found

    def check(self, offset: int, key: str) -> None:
        """Refuse an offset that is not there."""
        if offset > self.end_offset:
            raise RefusedError(
                "BAD_ARGUMENT",
                f"offset {offset} is past the end, {self.end_offset}",
                details={"key": key},
                hint="STATUS",
            )
        if offset < self._store.start_offset:
            raise refusals.offset_compacted(self._store.start_offset)

    def _base(self, end_offset: int) -> MetadataImage:
        """The newest kept snapshot at or below `end_offset`, else nothing."""
        best: OffsetAndEpoch | None = None
        for snapshot_id, _ in self._store.snapshots:
            if snapshot_id.offset <= end_offset and (best is None or snapshot_id.offset > best.offset):
                best = snapshot_id
        return self._load_image(best) if best is not None else MetadataImage()

    async def _replay(self, image: MetadataImage, end_offset: int) -> AsyncIterator[int]:
        """Replay batches up to `end_offset`, the one that holds it cut there; after each, its base offset."""
        while image.end_offset < end_offset:
            for batch in self._store.read(Offset(image.end_offset), self.end_offset, SLICE_BYTES):
                if image.end_offset >= end_offset:
                    break
                replay(image, batch, end_offset)
                yield batch.base_offset
            await trio.lowlevel.checkpoint()
