"""`yakt log --verify`: whether a log fits together, with its snapshots and with what its leaders said of it.

1. Each batch by itself, and after the one before it: checksum, offset, leader epoch; the small files beside it.
2. The image is made anew, from offset 0 or the oldest snapshot that the log goes on from. On the way every hash that
   a leader told (records.md §8) is compared, and at each snapshot's end the image with what the snapshot holds.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
from msgspec.structs import replace

from yakt.batch import RecordBatch
from yakt.errors import CodecError, ReplayError
from yakt.ids import Offset, OffsetAndEpoch
from yakt.line.replies import format_value
from yakt.metadata import snapshot
from yakt.metadata.codec import decode, decode_values, encode, kind_of, shown_record
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import NoOpRecord, Record
from yakt.metadata.state import State
from yakt.offline.files import LogFiles
from yakt.offline.reading import LogReading, TroubleError
from yakt.offline.snapshot_file import YAKT_TAGS, Loaded, load_snapshot
from yakt.storage import format as fmt
from yakt.wire.batch import timestamp_ms

DIFFERENCES_SHOWN = 3
SHOWN_MAX = 240


@attrs.frozen
class Finding:
    """One thing found out: in words, and as a kind and pairs for programs. Trouble has the kind `trouble`."""

    kind: str
    text: str
    pairs: Mapping[str, object] = attrs.field(factory=dict)


def _trouble(text: str) -> Finding:
    return Finding("trouble", text, {"reason": text})


def _note(text: str) -> Finding:
    return Finding("note", text, {"text": text})


def verify(files: LogFiles) -> Iterator[Finding]:
    """All that is found out about one log, as it is found. Raises UnreadableError."""
    loaded: dict[OffsetAndEpoch, Loaded] = {}
    for snapshot_id, path in files.snapshots:
        try:
            one = load_snapshot(path, snapshot_id)
        except FileNotFoundError:
            yield _note(f"{path}: removed while the log was read")
            continue
        except TroubleError as trouble:
            yield _trouble(str(trouble))
            continue
        pairs = {"file": str(path), "offset": snapshot_id.offset, "epoch": snapshot_id.epoch, "records": one.count}
        if snapshot_id == fmt.BOOTSTRAP_SNAPSHOT_ID:
            yield Finding("snapshot", f"{path}: whole, {one.count} records; a node's own, from before its log", pairs)
            continue
        loaded[snapshot_id] = one
        hashed = f"{one.image.hash:#018x}"
        yield Finding(
            "snapshot", f"{path}: whole, {one.count} records, image hash {hashed}", {**pairs, "image_hash": hashed}
        )
    if files.segments:
        yield from _Rebuilding(files, loaded).run()


@attrs.define
class _Rebuilding:
    """The image made anew from a log. `loaded`: what its snapshots hold, by id."""

    files: LogFiles
    loaded: dict[OffsetAndEpoch, Loaded]
    image: MetadataImage | None = None
    hashes: int = 0
    failed: bool = False

    def run(self) -> Iterator[Finding]:
        reading = LogReading(self.files)
        began: int | None = None
        try:
            for path, batch in reading.batches():
                if reading.batches_seen == 1:
                    began = self._choose_base(batch.base_offset)
                if self.image is not None and batch.end_offset > self.image.end_offset:
                    yield from self._replay(path, batch, self.image)
        except TroubleError as trouble:
            self.failed = True
            yield _trouble(str(trouble))
        yield self._describe(reading)
        if reading.unfinished is not None:
            yield _note(f"{reading.unfinished}: not counted")
        yield from self._beside(reading)
        if self.failed:
            return
        if self.image is None:
            if reading.batches_seen:
                yield _note(
                    f"{self.files.name}: the log begins at {reading.start_offset}, and no snapshot goes before it: "
                    "the image was not made"
                )
            return
        for snapshot_id in self.loaded:
            yield _note(f"{self.files.name}: snapshot {_name(snapshot_id)} lies outside the log: not compared")
        pairs = {"from": began, "to": self.image.end_offset, "hashes": self.hashes}
        hashed = f"{self.image.hash:#018x}"
        yield Finding(
            "image",
            f"{self.files.name}: image made from offsets [{began}, {self.image.end_offset}), hash {hashed}; "
            f"{_plural(self.hashes, 'hash', 'hashes')} told by leaders on the way, all the same",
            {**pairs, "image_hash": hashed},
        )

    def _choose_base(self, start_offset: int) -> int | None:
        """Begin with nothing, or with the oldest snapshot that the log goes on from; where that is, if anywhere."""
        if start_offset == 0:
            self.image = MetadataImage()
        elif usable := [one for one in self.loaded if one.offset >= start_offset]:
            self.image = self.loaded.pop(min(usable, key=lambda one: one.offset)).image
        return None if self.image is None else self.image.end_offset

    def _replay(self, path: str, batch: RecordBatch, image: MetadataImage) -> Iterator[Finding]:
        """One batch, halting where snapshots end."""
        borders = sorted(one for one in self.loaded if image.end_offset < one.offset <= batch.end_offset)
        agreed = image.hash_agreed_offset
        try:
            for snapshot_id in borders:
                _fold(image, batch, snapshot_id.offset)
                yield from self._compare(snapshot_id, batch, image)
            _fold(image, batch, batch.end_offset)
        except (CodecError, ReplayError) as exc:
            self.failed = True
            self.image = None
            yield _trouble(f"{path}: the batch at offset {batch.base_offset} does not fit what came before: {exc}")
            return
        self.hashes += image.hash_agreed_offset != agreed

    def _compare(self, snapshot_id: OffsetAndEpoch, batch: RecordBatch, image: MetadataImage) -> Iterator[Finding]:
        kept = self.loaded.pop(snapshot_id)  # compared once, and not needed any more
        name = f"{self.files.name}: snapshot {_name(snapshot_id)}"
        differences = list(_differences(kept, image))
        if snapshot_id.epoch != batch.leader_epoch:
            differences.insert(0, f"its epoch, where the log has {batch.leader_epoch}")
        if not differences:
            yield Finding(
                "compared",
                f"{name} holds what the log below {snapshot_id.offset} makes",
                {"offset": snapshot_id.offset, "epoch": snapshot_id.epoch, "same": True},
            )
            return
        shown = "; ".join(differences[:DIFFERENCES_SHOWN])
        more = f"; and {len(differences) - DIFFERENCES_SHOWN} more" if len(differences) > DIFFERENCES_SHOWN else ""
        yield _trouble(f"{name} is not what the log below {snapshot_id.offset} makes: {shown}{more}")

    def _describe(self, reading: LogReading) -> Finding:
        start, end = reading.start_offset, reading.end_offset
        if start is None:
            return Finding("log", f"{self.files.name}: a log without a batch", {"batches": 0})
        first, last = reading.epochs[0].epoch, reading.epochs[-1].epoch
        which = f"epoch {first}" if first == last else f"epochs {first} to {last}"
        text = (
            f"{self.files.name}: {_plural(reading.batches_seen, 'batch', 'batches')} in "
            f"{_plural(len(self.files.segments), 'file', 'files')}, offsets [{start}, {end}), {which}: checksums, "
            f"offsets and epochs fit{' so far' if self.failed else ''}"
        )
        pairs = {"start": start, "end": end, "batches": reading.batches_seen, "first_epoch": first, "last_epoch": last}
        return Finding("log", text, pairs)

    def _beside(self, reading: LogReading) -> Iterator[Finding]:
        """What the small files say of the log."""
        for name, check in ((fmt.EPOCH_CHECKPOINT, _check_epochs), (fmt.QUORUM_STATE, _check_quorum_state)):
            data = self.files.load(name)
            if data is None:
                continue
            assert self.files.directory is not None
            path = self.files.directory / Path(name).name
            try:
                complaint = check(data, reading)
            except CodecError as exc:
                complaint = str(exc)
            if complaint:
                yield _trouble(f"{path}: {complaint}")


def _fold(image: MetadataImage, batch: RecordBatch, end_offset: int) -> None:
    """The records of a batch from the image's end up to `end_offset`."""
    if end_offset <= image.end_offset:
        return
    if batch.control:
        image.skip(end_offset, batch.leader_epoch, batch.control)
        return
    records, values = decode_values(batch.body)
    start = max(image.end_offset, batch.base_offset)
    part = slice(start - batch.base_offset, end_offset - batch.base_offset)
    image.replay(start, batch.leader_epoch, timestamp_ms(batch.body), records[part], values[part])


def _differences(kept: Loaded, made: MetadataImage) -> Iterator[str]:
    """What only one of two images has, as records of a snapshot; and their hashes, of Kafka's rows alone."""
    inside, outside = (_values(image, kept.has_tags) for image in (kept.image, made))
    for values, where in ((inside - outside, "snapshot"), (outside - inside, "log")):
        for value in sorted(values):
            record = decode(value)
            yield f"only the {where} has {kind_of(record)} {_identity(record)}"
    if kept.image.kraft_version != made.kraft_version:
        yield f"kraft.version {kept.image.kraft_version}, by the log {made.kraft_version}"
    if kept.image.voters != made.voters:
        yield "other voters than by the log"
    if kept.image.hash != made.hash:
        yield f"image hash {kept.image.hash:#018x}, by the log {made.hash:#018x}"


def _values(state: State, has_tags: bool) -> Counter[bytes]:
    """The records of its snapshot. Of one that a Kafka controller wrote, only what Kafka knows is asked."""
    values = (value for group in snapshot.values_of(state) for value in group)
    if has_tags:
        return Counter(values)
    records = (decode(value) for value in values)
    return Counter(
        encode(replace(record, tags=tuple(pair for pair in record.tags if pair[0] < YAKT_TAGS)))
        for record in records
        if not isinstance(record, NoOpRecord)
    )


def _identity(record: Record) -> str:
    shown = " ".join(f"{key}={format_value(value)}" for key, value in shown_record(record).items())  # type: ignore[arg-type]
    return shown if len(shown) <= SHOWN_MAX else f"{shown[:SHOWN_MAX]}…"


def _check_epochs(data: bytes, reading: LogReading) -> str | None:
    """Where leader epochs begin, by the checkpoint; a running node may be an epoch ahead of what was read."""
    for start in fmt.parse_epoch_checkpoint(data):
        known = reading.epoch_at(start.offset)
        if known is not None and known != start.epoch:
            return f"epoch {start.epoch} begins at offset {start.offset}, where the log has a record of epoch {known}"
    return None


def _check_quorum_state(data: bytes, reading: LogReading) -> str | None:
    known = fmt.parse_quorum_state(data).epoch
    if reading.epochs and reading.epochs[-1].epoch > known:
        return f"epoch {known} is the last it knows, but the log has one of {reading.epochs[-1].epoch}"
    return None


def _name(snapshot_id: OffsetAndEpoch) -> str:
    return fmt.snapshot_name(OffsetAndEpoch(snapshot_id.epoch, Offset(snapshot_id.offset))).rpartition("/")[2]


def _plural(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
