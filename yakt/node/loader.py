"""Committed batches into the image, a slice at a time; also where the leader's controller comes and goes.

Followers decode what they replay; the leader moves what it decided over, without decoding it again.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from yakt.batch import RecordBatch
from yakt.ids import Epoch, Instant, Offset
from yakt.metadata.active import ActiveController
from yakt.metadata.codec import decode_values
from yakt.metadata.image import MetadataImage
from yakt.wire.batch import timestamp_ms

SLICE_RECORDS = 2000
"""Records replayed before other events get their turn: some 10 ms."""
READ_BYTES = 1024 * 1024


class LogReader(Protocol):
    """The part of storage that replay needs."""

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> Sequence[RecordBatch]:
        """Whole batches from the one at `start_offset`, none at or past `end_offset`, at least one."""
        ...


class Loader:
    """Holds the image of this node and, while it leads, the controller over it."""

    def __init__(
        self,
        image: MetadataImage,
        log: LogReader,
        make_active: Callable[[MetadataImage, Epoch, Offset, Instant, int], ActiveController],
    ) -> None:
        self.image = image
        self.active: ActiveController | None = None
        self.on_applied: Callable[[], None] = lambda: None
        """Told after each batch of data."""
        self._log = log
        self._make_active = make_active

    @property
    def end_offset(self) -> Offset:
        """Everything below is applied."""
        return Offset(self.image.end_offset)

    @property
    def epoch(self) -> Epoch:
        """Of the last record applied."""
        return Epoch(self.image.epoch)

    def activate(self, epoch: Epoch, log_end_offset: Offset, now: Instant, now_ms: int) -> ActiveController:
        """We lead, and everything before our epoch is applied: start deciding (raft.md §5.5)."""
        assert self.active is None
        assert self.end_offset == log_end_offset
        self.active = self._make_active(self.image, epoch, log_end_offset, now, now_ms)
        return self.active

    def deactivate(self) -> None:
        """Leadership is gone: what is decided and not committed is now the log's business alone."""
        self.active = None

    def replace_image(self, image: MetadataImage) -> None:
        """A snapshot was installed over what we had."""
        assert self.active is None
        self.image = image
        self.on_applied()

    def advance(self, end_offset: Offset) -> bool:
        """Replay committed batches below `end_offset`, at most a slice of them. True if there is more to do.

        Raises ReplayError when a committed batch does not fit: the node must stop.
        """
        budget = SLICE_RECORDS
        while self.end_offset < end_offset and budget > 0:
            for batch in self._log.read(self.end_offset, end_offset, READ_BYTES):
                self._apply(batch)
                budget -= batch.count
        return self.end_offset < end_offset

    def _apply(self, batch: RecordBatch) -> None:
        if self.active is not None and not batch.control:
            self.active.commit(batch.end_offset, batch.leader_epoch, timestamp_ms(batch.body))
        else:
            replay(self.image, batch)
        if not batch.control:
            self.on_applied()


def replay(image: MetadataImage, batch: RecordBatch, end_offset: int | None = None) -> None:
    """Fold a batch into `image`; with `end_offset`, only what lies below. Raises ReplayError."""
    if batch.control:
        image.skip(batch.end_offset, batch.leader_epoch, batch.control)
        return
    records, values = decode_values(batch.body)
    if end_offset is not None and end_offset < batch.end_offset:
        records = records[: end_offset - batch.base_offset]
    image.replay(batch.base_offset, batch.leader_epoch, timestamp_ms(batch.body), records, values)
