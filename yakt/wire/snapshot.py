"""A snapshot file as a run of batches (KIP-630, storage.md §4): a header, data, a footer, offsets from 0 of its own."""

from collections.abc import Iterable, Iterator, Sequence

from yakt.batch import ControlRecord, KRaftVersion, RecordBatch, SnapshotFooter, SnapshotHeader, Voters
from yakt.errors import CodecError
from yakt.ids import Epoch, Offset
from yakt.wire.batch import encode, seal, seal_control


class SnapshotEncoder:
    """Makes a snapshot file's bytes, a batch at a time: `header` once, `data` any number of times, `footer` once.

    All batches have the leader epoch of the snapshot's id. `timestamp_ms` is when the last batch that the snapshot
    covers was appended, so the same state gives the same bytes on every node.
    """

    def __init__(self, epoch: Epoch, timestamp_ms: int) -> None:
        self._epoch = epoch
        self._timestamp_ms = timestamp_ms
        self._end_offset = 0

    @property
    def records(self) -> int:
        """How many records there are so far, control records included."""
        return self._end_offset

    def header(self, *quorum: KRaftVersion | Voters) -> bytes:
        """The first batch; `quorum` is what the log said last, at kraft.version 1."""
        header: tuple[ControlRecord, ...] = (SnapshotHeader(self._timestamp_ms), *quorum)
        return self._encode(len(header), *seal_control(header, self._timestamp_ms))

    def data(self, values: Sequence[bytes]) -> bytes:
        """One data batch of these record values; at least one, 8 MiB at most."""
        return self._encode(len(values), *seal(values, self._timestamp_ms))

    def footer(self) -> bytes:
        """The last batch: without it the file is incomplete."""
        return self._encode(1, *seal_control((SnapshotFooter(),), self._timestamp_ms))

    def _encode(self, count: int, crc: int, body: bytes) -> bytes:
        batch = RecordBatch(Offset(self._end_offset), self._epoch, count, crc, body)
        self._end_offset += count
        return encode(batch)


def check_snapshot(batches: Iterable[tuple[int, RecordBatch]], epoch: Epoch | None = None) -> Iterator[RecordBatch]:
    """The batches of a snapshot file, its header and footer among them, checked as they pass.

    Takes what `yakt.wire.batch.read_batches` gives. Raises CodecError, with the position of the batch, where the file
    does not begin with a header, has offsets that are not dense, another leader epoch than `epoch` (None: than its
    first batch's), control records in its midst, anything after its footer; and at the end without one.
    """
    expected = 0
    ended = False
    for position, batch in batches:
        at = f"snapshot batch at offset {batch.base_offset}"
        if ended:
            raise CodecError(f"{at}: it lies after the footer", position)
        if batch.base_offset != expected:
            raise CodecError(f"{at}: offset {expected} comes next", position)
        epoch = batch.leader_epoch if epoch is None else epoch
        if batch.leader_epoch != epoch:
            raise CodecError(f"{at}: leader epoch {batch.leader_epoch} in a snapshot of epoch {epoch}", position)
        match batch.control:
            case (SnapshotHeader(), *quorum) if not expected and all(
                isinstance(one, (KRaftVersion, Voters)) for one in quorum
            ):
                pass
            case (SnapshotFooter(),) if expected:
                ended = True
            case () if expected:
                pass
            case () | (SnapshotFooter(),):
                raise CodecError(f"{at}: a snapshot begins with a header", position)
            case _:
                raise CodecError(f"{at}: control records that have no place there", position)
        expected = batch.end_offset
        yield batch
    if not ended:
        raise CodecError("a snapshot without a footer: it is incomplete")
