"""MetadataDelta: what is decided and not yet committed, laid over the image; `decide` looks through it.

It lives with one leadership. Its changes are kept in the order of their offsets: a commit applies its own to the image,
as they are, and takes them out of the overlay; what was changed again since stays.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from yakt.errors import ReplayError
from yakt.metadata.image import MetadataImage
from yakt.metadata.partition_table import PartitionOverlay, PartitionTable
from yakt.metadata.records import AbortTransactionRecord, Record
from yakt.metadata.replay import REPLAY
from yakt.metadata.state import NOTHING_GROWS, State
from yakt.metadata.tables import HASH_MASK, Change, Overlay, Table


class MetadataDelta(State):
    """The metadata as the leader has decided it, up to `end_offset`, over a committed image."""

    def __init__(self, image: MetadataImage) -> None:
        self.image = image
        self.end_offset = image.end_offset
        self.interned, self.directory_ids = image.interned, image.directory_ids
        self.kraft_version = image.kraft_version
        self.voters = image.voters
        self.transaction = None  # an open one is aborted before anything is decided on it
        self.hash = image.hash
        """Of Kafka's rows, what is not committed included."""
        self._pending: deque[Change] = deque()
        self._overlays: dict[int, Overlay[Any, Any]] = {}
        for name, table in list(vars(image).items()):
            if isinstance(table, Table) and id(table) not in self._overlays:
                made = PartitionOverlay if isinstance(table, PartitionTable) else Overlay
                overlay: Overlay[Any, Any] = made(table, self._keep)
                self._overlays[id(table)] = overlay
                setattr(self, name, overlay)

    def __len__(self) -> int:
        """How many changes are not committed."""
        return len(self._pending)

    def _keep(self, change: Change) -> None:
        self._pending.append(change)
        if change.hashed:
            self.hash = self.hash + change.hashed & HASH_MASK

    def replay(
        self,
        base_offset: int,
        records: Sequence[Record],
        first_value: bytes | None = None,
        *,
        is_continued: bool = False,
    ) -> None:
        """Lay the records of one decision over it, all or none. Raises ReplayError if one does not fit.

        `first_value`: the first one's bytes without tags, where they are at hand. `is_continued`: they belong to the
        operation of those before them.
        """
        mark = len(self._pending)
        if not is_continued:
            self.growing = NOTHING_GROWS
        self.plain_value = first_value
        try:
            for offset, record in enumerate(records, base_offset):
                replay = REPLAY.get(type(record))
                if replay is not None:
                    replay(self, record, offset)
                elif type(record) is not AbortTransactionRecord:  # what it ends is not in this state at all
                    raise ReplayError(f"{type(record).__name__} is never decided")
                self.plain_value = None
        except BaseException:
            self.take_back(mark)
            raise
        self.end_offset = base_offset + len(records)

    def skip(self, count: int, kraft_version: int) -> None:
        """So many control records are laid over it, after which kraft.version is at this level."""
        self.end_offset += count
        self.kraft_version = kraft_version

    def take_back(self, mark: int) -> None:
        """Forget all changes but the first `mark` of those not committed."""
        pending = self._pending
        if len(pending) == mark:
            return
        while len(pending) > mark:
            self.hash = self.hash - pending.pop().hashed & HASH_MASK
        for overlay in self._overlays.values():
            overlay.over.clear()
        for change in pending:
            self._overlays[id(change.table)].over[change.key] = change

    def commit(self, end_offset: int) -> None:
        """Move what lies below `end_offset` into the image, in order."""
        pending, apply, overlays = self._pending, self.image.apply, self._overlays
        while pending and pending[0].offset < end_offset:
            change = pending.popleft()
            over = overlays[id(change.table)].over
            if over.get(change.key) is change:
                del over[change.key]
            apply(change)

    def check(self) -> None:
        """What holds between turns; for tests and the simulator. Raises ReplayError."""
        hashed = (self.image.hash + sum(change.hashed for change in self._pending)) & HASH_MASK
        if hashed != self.hash:
            raise ReplayError("the hash of what is decided is not the image's and the changes'")
        for overlay in self._overlays.values():
            for key, change in overlay.over.items():
                if not any(change is one for one in self._pending):
                    raise ReplayError(f"{change.table.noun} {key!r} is laid over the image, but waits for no commit")
