"""Image to snapshot records and back, in slices (records.md §6, §8). Knows no file, no header and no footer."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from yakt.batch import ControlRecord
from yakt.errors import CodecError, ReplayError
from yakt.metadata import codec
from yakt.metadata import row_records as rr
from yakt.metadata.features import METADATA_VERSION
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import Record
from yakt.metadata.replay import REPLAY
from yakt.metadata.rows import ClosedBroker, RememberedRequest
from yakt.metadata.state import State
from yakt.metadata.tags import ProducerState, Registration, StateRows, state_record, with_registration

RECORDS_OF_BATCH = 1024
BATCH_SIZE = 1 << 20
"""About the bytes of a batch: a slice of the work between two looks at the clock."""
STATE_ROWS_SIZE = 512 << 10
"""About the bytes of rows in one NoOpRecord; well under the 1 MiB that it may have."""


def records(state: State) -> Iterator[Record]:
    """The data records of a snapshot of `state`, which must not change meanwhile: pinned, if this is done in slices.

    Topics and configs come as they lie in the image: to sort a million of them would hold everything up.
    """
    yield from map(rr.feature_record, sorted(state.features.rows(), key=lambda row: row.name != METADATA_VERSION))
    for broker in state.brokers.rows():
        yield with_registration(
            rr.broker_record(broker), Registration(broker.changes, broker.session_ms, broker.protocol)
        )
    for row in state.controllers.rows():
        yield row.record
    for name in state.topics.all_keys():
        topic = state.topics.get(name)
        assert topic is not None
        yield rr.topic_record(topic)
        yield from map(rr.partition_record, state.partitions_of(topic))
    for key in state.configs.all_keys():
        yield from rr.config_records(key, state.configs.get(key) or ())
    for row in state.quotas.rows():
        yield row.record
    yield from map(rr.next_producer_id_record, state.next_producer_id.rows())
    for row in chain(state.acls.rows(), state.scram.rows(), state.tokens.rows()):
        yield row.record
    yield from _state_records(state)


def _state_records(state: State) -> Iterator[Record]:
    """What Kafka has no record for, in NoOpRecords: producers, closed brokers and requests, the oldest first."""
    producers: list[ProducerState] = []
    for row in state.producers.rows():
        producers.append(ProducerState(row.id, row.broker, row.broker_epoch))
        if len(producers) * 32 >= STATE_ROWS_SIZE:
            yield state_record(StateRows(producers=tuple(producers)))
            producers.clear()
    if producers:
        yield state_record(StateRows(producers=tuple(producers)))
    closed: list[ClosedBroker] = []
    size = 0
    for broker_id in state.closed.all_keys():
        one = state.closed.get(broker_id)
        assert one is not None
        closed.append(one)
        size += 128 + len(one.host) * 3 + len(one.rack or "") * 3
        if size >= STATE_ROWS_SIZE:
            yield state_record(StateRows(closed_brokers=tuple(closed)))
            closed, size = [], 0
    if closed:
        yield state_record(StateRows(closed_brokers=tuple(closed)))
    requests: list[RememberedRequest] = []
    size = 0
    for key in state.requests.all_keys():
        request = state.requests.get(key)
        assert request is not None
        requests.append(request)
        size += 64 + 3 * (len(request.client) + len(request.id)) + 64 * len(request.answer)
        if size >= STATE_ROWS_SIZE:
            yield state_record(StateRows(requests=tuple(requests)))
            requests, size = [], 0
    if requests:
        yield state_record(StateRows(requests=tuple(requests)))


def values_of(state: State) -> Iterator[list[bytes]]:
    """The record values of a snapshot, as many at a time as one batch shall hold."""
    values: list[bytes] = []
    size = 0
    for record in records(state):
        value = codec.encode(record)
        values.append(value)
        size += len(value)
        if len(values) >= RECORDS_OF_BATCH or size >= BATCH_SIZE:
            yield values
            values, size = [], 0
    if values:
        yield values


class SnapshotLoader:
    """Makes an image of a snapshot's data records, batch by batch.

    `end_offset` and `epoch` are the snapshot's id, `timestamp_ms` its header's (0: not known), `control` the records
    of its first batch. All rows count as changed by the last record that the snapshot covers.
    """

    def __init__(
        self, end_offset: int, epoch: int, timestamp_ms: int = 0, control: Iterable[ControlRecord] = ()
    ) -> None:
        self._image = MetadataImage()
        self._image.take_control(control)
        self._image.journal.recording = False
        self._image.begin_batch(timestamp_ms)
        self._offset = end_offset - 1
        self._epoch = epoch
        self._count = 0

    def add(self, loaded: Sequence[Record]) -> None:
        """The records of the next batch. Raises ReplayError for one that does not fit those before it."""
        for record in loaded:
            replay = REPLAY.get(type(record))
            try:
                if replay is None:
                    raise ReplayError("it has no place in a snapshot")
                replay(self._image, record, self._offset)
            except (ReplayError, CodecError) as exc:
                raise ReplayError(f"record {self._count} of the snapshot, {type(record).__name__}: {exc}") from exc
            self._count += 1

    def finish(self) -> MetadataImage:
        """The image, ready to go on from the snapshot's end."""
        image = self._image
        image.end_batch(self._offset + 1, self._epoch)
        image.exact_from = self._offset + 1
        image.journal.recording = True
        image.journal.begin_at(self._offset + 1)
        return image


def load(
    loaded: Iterable[Sequence[Record]],
    end_offset: int,
    epoch: int,
    timestamp_ms: int = 0,
    control: Iterable[ControlRecord] = (),
) -> MetadataImage:
    """The image of a whole snapshot's data records, batch by batch; as SnapshotLoader."""
    loader = SnapshotLoader(end_offset, epoch, timestamp_ms, control)
    for batch in loaded:
        loader.add(batch)
    return loader.finish()
