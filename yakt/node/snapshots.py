"""A node's own snapshots: taken by size and time from a pinned image, in slices; the log is trimmed after them."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import attrs
import structlog
import trio

from yakt.batch import RecordBatch, SnapshotHeader
from yakt.errors import CodecError, RefusedError, ReplayError, StorageError
from yakt.ids import OffsetAndEpoch
from yakt.metadata import snapshot
from yakt.metadata.answers import Row
from yakt.metadata.codec import decode_batch
from yakt.metadata.image import MetadataImage, PinnedImage
from yakt.node.driver import Driver
from yakt.raft import events
from yakt.storage.store import Store
from yakt.wire.snapshot import SnapshotEncoder

logger = structlog.get_logger()

CHECK_S = 1.0
"""How often it is looked whether one is due; the recovery point is noted then too."""
CLEAN_S = 60.0
PACE = 4.0
"""After each slice commits have this many times as long for themselves."""
GROWTH = 2
"""The next snapshot comes when the log has grown by this many times the last one, and by `snapshot_bytes`."""


class SnapshotSettings(Protocol):
    """The part of `[log]` that says when."""

    @property
    def snapshot_bytes(self) -> int: ...
    @property
    def snapshot_interval_ms(self) -> int: ...


@attrs.define(eq=False)
class Snapshots:
    """Takes them, one at a time."""

    store: Store
    driver: Driver
    settings: SnapshotSettings
    in_thread: Callable[[Callable[[], None]], Awaitable[None]] = trio.to_thread.run_sync
    """Runs what waits for the disk off the event loop."""
    chance: Callable[[], float] = lambda: 0.0
    """Uniform in [0, 1): nodes that hold the same log shall not all take theirs at the same moment."""
    _started_ms: int = attrs.field(init=False)
    _stagger: float = attrs.field(init=False)
    _counts: dict[OffsetAndEpoch, int] = attrs.Factory(dict)
    _turn: trio.Lock = attrs.Factory(trio.Lock)
    _wanted: trio.Event = attrs.Factory(trio.Event)
    _requested: tuple[OffsetAndEpoch, PinnedImage] | None = None
    """What `request` promised and nobody has begun to write."""

    def __attrs_post_init__(self) -> None:
        self._started_ms = self.driver.around.wall_ms()
        self._stagger = 1 + self.chance() / 2

    def request(self) -> Row:
        """Have one taken soon, of what is applied now, unless one is about to be taken or is there; its row, in which
        what only the file will tell is null. Raises RefusedError."""
        if self._requested is None:
            snapshot_id = self._next_id()
            size = dict(self.store.snapshots).get(snapshot_id)
            if size is not None:
                return snapshot_row(snapshot_id, size, self._counts.get(snapshot_id))
            self._requested = snapshot_id, self.driver.loader.image.pin()
            self._wanted.set()
        return snapshot_row(self._requested[0], None, None)

    async def run(self) -> None:
        """Take one whenever it is due or asked for, trim the log, note the recovery point; until cancelled."""
        last_clean = trio.current_time()
        while True:
            with trio.move_on_after(CHECK_S):
                await self._wanted.wait()
            self.store.save_recovery_point()
            if self._requested is not None:
                self._wanted = trio.Event()
                await self._take_requested()
                last_clean = -CLEAN_S
            elif self._is_due():
                await self.take()
                last_clean = -CLEAN_S
            if trio.current_time() - last_clean >= CLEAN_S:
                last_clean = trio.current_time()
                self.trim()

    def _is_due(self) -> bool:
        newest = self.store.newest_snapshot
        end_offset = self.driver.loader.end_offset
        if end_offset == 0 or (newest is not None and newest.id.offset >= end_offset):
            return False
        # A large image is not written for ever: at the most half as much as is logged.
        least = max(self.settings.snapshot_bytes, GROWTH * newest.size if newest is not None else 0)
        if self.store.bytes_since_snapshot >= least * self._stagger:
            return True
        since_ms = newest.timestamp_ms if newest is not None else self._started_ms
        return self.driver.around.wall_ms() - since_ms >= self.settings.snapshot_interval_ms

    async def take(self) -> Row:
        """Take one of what is applied now, unless it is there already; the row SNAPSHOT LIST shows for it."""
        async with self._turn:
            snapshot_id = self._next_id()
            if snapshot_id not in dict(self.store.snapshots):
                with self.driver.loader.image.pin() as pinned:
                    await self._write(snapshot_id, pinned)
            size = dict(self.store.snapshots)[snapshot_id]
            return snapshot_row(snapshot_id, size, await self.count_records(snapshot_id))

    async def _take_requested(self) -> None:
        assert self._requested is not None
        (snapshot_id, pinned), self._requested = self._requested, None
        with pinned:
            async with self._turn:
                # Meanwhile the same may have been taken, or a later one installed that the log begins at.
                if snapshot_id not in dict(self.store.snapshots) and snapshot_id.offset >= self.store.start_offset:
                    await self._write(snapshot_id, pinned)

    def _next_id(self) -> OffsetAndEpoch:
        """Of what is applied now. Raises RefusedError before the first commit."""
        loader = self.driver.loader
        if loader.end_offset == 0:
            raise RefusedError("CONFLICT", "nothing is committed yet: there is nothing to keep", retry=True)
        return OffsetAndEpoch(loader.epoch, loader.end_offset)

    async def rows(self) -> list[Row]:
        """Those kept, oldest first."""
        return [
            snapshot_row(snapshot_id, size, await self.count_records(snapshot_id))
            for snapshot_id, size in self.store.snapshots
        ]

    async def count_records(self, snapshot_id: OffsetAndEpoch) -> int:
        """Records in the file, control records included; counted once, as a snapshot never changes."""
        if snapshot_id not in self._counts:
            kept = {kept for kept, _ in self.store.snapshots}
            self._counts = {known: count for known, count in self._counts.items() if known in kept}
            count = 0
            for batch in self.store.snapshot_batches(snapshot_id):
                count += batch.count
                await trio.lowlevel.checkpoint()
            self._counts[snapshot_id] = count
        return self._counts[snapshot_id]

    async def _write(self, snapshot_id: OffsetAndEpoch, pinned: PinnedImage) -> None:
        started = trio.current_time()
        writer = self.store.begin_snapshot(snapshot_id)
        try:
            encoder = SnapshotEncoder(snapshot_id.epoch, pinned.timestamp_ms)
            writer.write(encoder.header(*pinned.quorum_records))
            slice_began = trio.current_time()
            for group in snapshot.values_of(pinned):
                writer.write(encoder.data(group))
                took = trio.current_time() - slice_began
                await trio.sleep(took * PACE)
                slice_began = trio.current_time()
            writer.write(encoder.footer())
            await self.in_thread(writer.sync)
            taken = writer.finish()
        except BaseException:
            writer.abort()
            raise
        logger.info(
            "snapshot taken",
            offset=snapshot_id.offset,
            epoch=snapshot_id.epoch,
            bytes=taken.size,
            ms=int((trio.current_time() - started) * 1000),
        )
        self._stagger = 1 + self.chance() / 2
        self.driver.take(events.SnapshotTaken(snapshot_id, taken.size))
        self.driver.end_turn()

    def trim(self) -> None:
        """Keep to the retention limits; the core is told where the log now begins."""
        oldest = self.store.clean(self.driver.around.wall_ms())
        if oldest is not None:
            logger.info("log trimmed", start=self.store.start_offset, oldest_snapshot=oldest.offset)
            self.driver.take(events.LogTrimmed(oldest))
            self.driver.end_turn()


def load_image(store: Store, snapshot_id: OffsetAndEpoch) -> MetadataImage:
    """The image a snapshot holds. Raises StorageError if the file is damaged or does not fit together."""
    loader: snapshot.SnapshotLoader | None = None
    try:
        for batch in store.snapshot_batches(snapshot_id):
            if loader is None:
                loader = begin_image(snapshot_id, batch)
            if not batch.control:
                loader.add(decode_batch(batch.body))
        assert loader is not None  # a snapshot without batches is none
        return loader.finish()
    except (CodecError, ReplayError) as exc:
        raise StorageError(f"snapshot {snapshot_name(snapshot_id)}: {exc}") from exc


def begin_image(snapshot_id: OffsetAndEpoch, first: RecordBatch) -> snapshot.SnapshotLoader:
    """Ready for the batches after the first, whose header says when the last record covered was appended."""
    header = first.control[0]
    timestamp_ms = header.last_contained_log_timestamp if isinstance(header, SnapshotHeader) else 0
    return snapshot.SnapshotLoader(snapshot_id.offset, snapshot_id.epoch, timestamp_ms, first.control)


def snapshot_name(snapshot_id: OffsetAndEpoch) -> str:
    """As its file is named, and as people ask for it."""
    return f"{snapshot_id.offset:020}-{snapshot_id.epoch:010}"


def find_snapshot(snapshots: Sequence[tuple[OffsetAndEpoch, int]], name: str) -> tuple[OffsetAndEpoch, int]:
    """The one meant by its name or its offset. Raises RefusedError."""
    for snapshot_id, size in snapshots:
        if name in (snapshot_name(snapshot_id), str(snapshot_id.offset)):
            return snapshot_id, size
    raise RefusedError("BAD_ARGUMENT", f"no snapshot {name} on this node", details={"key": "id"}, hint="SNAPSHOT LIST")


def snapshot_row(snapshot_id: OffsetAndEpoch, size: int | None, records: int | None) -> Row:
    """`- snapshot id= offset= bytes= records=`; None for what is not known yet."""
    return Row(
        kind="snapshot",
        pairs={
            "id": snapshot_name(snapshot_id),
            "offset": snapshot_id.offset,
            "bytes": size,
            "records": records,
        },
    )


async def verify_snapshot(store: Store, snapshot_id: OffsetAndEpoch) -> tuple[int, int]:
    """Read a snapshot whole, checksums and all, and fold it: its records and its image's hash.

    Raises RefusedError (CORRUPT_SNAPSHOT) naming what is wrong.
    """
    loader: snapshot.SnapshotLoader | None = None
    count = 0
    try:
        for batch in store.snapshot_batches(snapshot_id):
            if loader is None:
                loader = begin_image(snapshot_id, batch)
            count += batch.count
            if not batch.control:
                loader.add(decode_batch(batch.body))
            await trio.lowlevel.checkpoint()
        assert loader is not None  # a snapshot without batches is none
        return count, loader.finish().hash
    except (CodecError, ReplayError, StorageError) as exc:
        raise RefusedError("CORRUPT_SNAPSHOT", str(exc), hint="SNAPSHOT CREATE") from exc
