"""One snapshot file, read whole into the image that it holds."""

from pathlib import Path

import attrs

from yakt.batch import SnapshotHeader
from yakt.errors import CodecError, ReplayError, StorageError
from yakt.ids import OffsetAndEpoch
from yakt.metadata import snapshot
from yakt.metadata.codec import decode_values
from yakt.metadata.image import MetadataImage
from yakt.offline.files import opened
from yakt.offline.reading import TroubleError
from yakt.storage.snapshots import checked_batches

YAKT_TAGS = 10_000
"""The first of ours (records.md §8); Kafka's own count from 0."""


@attrs.frozen
class Loaded:
    """A snapshot: how many records it has, the image it holds, and whether that knows what YAKt's tags add."""

    count: int
    image: MetadataImage
    has_tags: bool


def load_snapshot(path: Path, snapshot_id: OffsetAndEpoch) -> Loaded:
    """What a snapshot file holds. Raises TroubleError, UnreadableError, FileNotFoundError."""
    loader: snapshot.SnapshotLoader | None = None
    has_tags = False
    count = 0
    try:
        with opened(path) as file:
            for batch in checked_batches(file, snapshot_id):
                if loader is None:
                    header = batch.control[0]
                    assert isinstance(header, SnapshotHeader)  # or the check would have said so
                    time_ms = header.last_contained_log_timestamp
                    loader = snapshot.SnapshotLoader(snapshot_id.offset, snapshot_id.epoch, time_ms, batch.control)
                if not batch.control:
                    records, _ = decode_values(batch.body)
                    has_tags = has_tags or any(tag >= YAKT_TAGS for record in records for tag, _ in record.tags)
                    loader.add(records)
                count += batch.count
    except StorageError as exc:
        raise TroubleError(str(exc)) from None
    except (CodecError, ReplayError) as exc:
        raise TroubleError(f"{path}: the batch at offset {count}: {exc}") from None
    assert loader is not None  # a snapshot without batches is none
    return Loaded(count, loader.finish(), has_tags)
