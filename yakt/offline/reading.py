"""The batches of a log's files, checked as they pass: bytes, and what the batches before say must come next.

What a node would cut away when it starts, an incomplete end of the last file, is told and ends the log; anything else
that does not fit is TroubleError.
"""

from collections.abc import Iterator

import attrs

from yakt.batch import LeaderChange, RecordBatch
from yakt.errors import YaktError
from yakt.ids import Epoch, Offset, OffsetAndEpoch
from yakt.offline.files import LogFiles, opened
from yakt.storage.scan import Damage, walk


class TroubleError(YaktError):
    """A file is damaged, or contradicts the others. Says which, where (`byte`, `offset`) and why."""


@attrs.define
class LogReading:
    """One pass over the segments of a log; afterwards, what was seen."""

    files: LogFiles
    start_offset: Offset | None = None
    """None if there is no batch."""
    end_offset: Offset = Offset(0)
    epochs: list[OffsetAndEpoch] = attrs.field(factory=list)
    """Where each leader epoch begins, as far as it is here."""
    batches_seen: int = 0
    unfinished: str | None = None
    """What a start would cut from the end, in words."""

    def batches(self, start_offset: int = 0) -> Iterator[tuple[str, RecordBatch]]:
        """Each batch, with the path of its file; without the segments that end at or before `start_offset`.

        Raises TroubleError, UnreadableError.
        """
        segments = list(self.files.segments)
        while len(segments) > 1 and segments[1][0] <= start_offset:
            del segments[0]
        for index, (base_offset, path) in enumerate(segments):
            try:
                with opened(path) as file:
                    self._begin(base_offset, file.path)
                    for position, batch in walk(file):
                        self._take(batch, position, file.path)
                        yield file.path, batch
            except FileNotFoundError:
                if self.start_offset is None and index + 1 < len(segments):
                    continue  # a running node has just trimmed its log
                raise TroubleError(f"{path}: the file was removed while the log was read") from None
            except Damage as damage:
                if damage.incomplete and index + 1 == len(segments):
                    self.unfinished = f"{path}: {damage}, as a crash or a write under way leaves it"
                    return
                raise TroubleError(f"{path}: byte {damage.position}, offset {self._next}: {damage.reason}") from None

    @property
    def _next(self) -> Offset:
        return self.end_offset

    def _begin(self, base_offset: Offset, path: str) -> None:
        if self.start_offset is not None and base_offset != self.end_offset:
            raise TroubleError(f"{path}: begins at offset {base_offset}, where {self.end_offset} comes next")
        self.end_offset = base_offset

    def _take(self, batch: RecordBatch, position: int, path: str) -> None:
        where = f"{path}: byte {position}, offset {batch.base_offset}"
        if batch.base_offset != self.end_offset:
            raise TroubleError(f"{where}: offset {self.end_offset} comes next")
        last = self.epochs[-1].epoch if self.epochs else None
        if last is not None and batch.leader_epoch < last:
            raise TroubleError(f"{where}: leader epoch {batch.leader_epoch} after {last}")
        if batch.leader_epoch != last:
            opens = bool(batch.control) and isinstance(batch.control[0], LeaderChange)
            if not opens and (last is not None or batch.base_offset == 0):
                raise TroubleError(f"{where}: leader epoch {batch.leader_epoch} does not begin with a LeaderChange")
            self.epochs.append(OffsetAndEpoch(batch.leader_epoch, batch.base_offset))
        if self.start_offset is None:
            self.start_offset = batch.base_offset
        self.end_offset = batch.end_offset
        self.batches_seen += 1

    def epoch_at(self, offset: int) -> Epoch | None:
        """The leader epoch of the record at `offset`; None if it is not in what was read."""
        if self.start_offset is None or not self.start_offset <= offset < self.end_offset:
            return None
        return max(start for start in self.epochs if start.offset <= offset).epoch
