"""The bytes of a RecordBatch, Kafka's record batch v2: the same in the log, in snapshots and between nodes.

What the CRC covers begins at byte 21 (`HEAD_SIZE`), after base offset, length and leader epoch. So the leader seals the
records' values into a body once (`seal`), before the log gives them a place, and only the 21 bytes before it (`head`)
are made when the place is known. Source: storage.md §1.
"""

import struct
from collections.abc import Callable, Iterator, Sequence

import google_crc32c

from yakt.batch import BATCH_SIZE_MAX, HEAD_SIZE, ControlRecord, RecordBatch
from yakt.errors import CodecError
from yakt.ids import Epoch, Offset
from yakt.wire.control import decode_control, encode_control
from yakt.wire.varint import encode_varint, read_varint, read_varlong, varint_table

LENGTH_END = 12
"""Where a batch's length field ends: what it counts begins here."""
READ_SIZE_MAX = 2 * BATCH_SIZE_MAX
"""The largest batch that is read, head included; what we write keeps to Kafka's limit for its writers."""
RECORDS_START = 40
"""Where the records begin in a body."""

_MAGIC = 2
_READ_SIZE = 1 << 20
_CONTROL = 0x20
_HEAD = struct.Struct(">qiibI")
_BODY = struct.Struct(">hiqqqhii")
_SIZE_MIN = HEAD_SIZE + RECORDS_START
_ATTRIBUTES = {0: False, _CONTROL: True}
_COMPRESSIONS = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

_VARINTS = varint_table(2048)
# What lies between a record's length and its value's length: attributes, timestamp delta, offset delta, no key.
_PREFIXES: list[bytes] = []


def seal(values: Sequence[bytes], now_ms: int) -> tuple[int, bytes]:
    """The CRC and the body of a data batch with these record values, appended at `now_ms` (wall time).

    Raises CodecError for no record, an empty value (Kafka's readers stop at one), or more than a batch may hold.
    """
    count = len(values)
    if len(_PREFIXES) < count:
        _grow_prefixes(count)
    parts = [_BODY.pack(0, count - 1, now_ms, now_ms, -1, -1, -1, count)]
    for prefix, value in zip(_PREFIXES, values, strict=False):
        size = len(value)
        try:
            length = _VARINTS[size]
            # `prefix` and the value's length between them, and no headers.
            parts += (_VARINTS[len(prefix) + len(length) + size + 1], prefix, length, value, b"\0")
        except IndexError:
            length = encode_varint(size)
            parts += (encode_varint(len(prefix) + len(length) + size + 1), prefix, length, value, b"\0")
        if not size:
            raise CodecError("a data record without a value")
    return _finish(parts, count)


def seal_control(records: Sequence[ControlRecord], now_ms: int) -> tuple[int, bytes]:
    """The CRC and the body of a control batch with these records. Raises CodecError as `seal` does."""
    count = len(records)
    parts = [_BODY.pack(_CONTROL, count - 1, now_ms, now_ms, -1, -1, -1, count)]
    for delta, record in enumerate(records):
        key, value = encode_control(record)
        content = b"".join(
            (b"\0\0", encode_varint(delta), encode_varint(len(key)), key, encode_varint(len(value)), value, b"\0")
        )
        parts += (encode_varint(len(content)), content)
    return _finish(parts, count)


def head(batch: RecordBatch) -> bytes:
    """The `HEAD_SIZE` bytes before the body."""
    length = HEAD_SIZE - LENGTH_END + len(batch.body)
    return _HEAD.pack(batch.base_offset, length, batch.leader_epoch, _MAGIC, batch.crc)


def encode(batch: RecordBatch) -> bytes:
    """The whole batch in one piece; hot paths hand `head(batch)` and `batch.body` on as they are."""
    return head(batch) + batch.body


def split(data: bytes, position: int = 0) -> list[RecordBatch]:
    """The batches that these bytes are from `position` to the last one: checked, still opaque, control decoded.

    Raises CodecError whose position is where the batch begins that is cut short, of another format, or damaged.
    """
    batches = []
    while position < len(data):
        found = read_batch(data, position)
        if found is None:
            raise CodecError(f"a batch is cut short: {len(data) - position} bytes of it are there", position)
        batches.append(found)
        position += found.size
    return batches


def batch_size(data: bytes, position: int = 0, *, begun: int = 0) -> int | None:
    """Bytes of the batch that begins at `position`, head included; None while its length field is not whole.

    Raises CodecError for a length that no batch has, before anything is read by it.
    """
    if len(data) - position < LENGTH_END:
        return None
    size = LENGTH_END + int.from_bytes(data[position + 8 : position + LENGTH_END], "big", signed=True)
    if not _SIZE_MIN <= size <= READ_SIZE_MAX:
        raise CodecError(f"a batch of {size} bytes: it has {_SIZE_MIN} to {READ_SIZE_MAX}", begun + position)
    return size


def read_batch(data: bytes, position: int = 0, *, begun: int = 0) -> RecordBatch | None:
    """The batch that begins at `position`, checked; None when its bytes are not all there yet.

    Raises CodecError, naming base offset and reason, for anything that is no batch or a damaged one. `begun` is where
    `data` itself begins in what it is a part of, for the error's position.
    """
    size = batch_size(data, position, begun=begun)
    if size is None or len(data) - position < size:
        return None
    base_offset, _, leader_epoch, magic, crc = _HEAD.unpack_from(data, position)
    body = data[position + HEAD_SIZE : position + size]
    try:
        if magic != _MAGIC:
            raise CodecError(f"magic {magic}, not {_MAGIC}")
        found_crc = google_crc32c.value(body)
        if found_crc != crc:
            raise CodecError(f"the CRC of its bytes is {found_crc:08x}, not {crc:08x} as noted")
        if base_offset < 0 or leader_epoch < 0:
            raise CodecError(f"negative base offset, or leader epoch {leader_epoch}")
        return RecordBatch(Offset(base_offset), Epoch(leader_epoch), count_of(body), crc, body, _control_records(body))
    except CodecError as exc:
        raise CodecError(f"batch at offset {base_offset}: {exc}", begun + position) from None


def read_batches(read: Callable[[int], bytes]) -> Iterator[tuple[int, RecordBatch]]:
    """Each batch of a file with the position where it begins; the file need not fit into memory.

    `read(size)` gives the file's next bytes, at most `size`, and none at its end. Raises CodecError as `split` does,
    with the position in the file.
    """
    data = b""
    begun = position = 0
    while True:
        if found := read_batch(data, position, begun=begun):
            yield begun + position, found
            position += found.size
            continue
        left = len(data) - position
        piece = read(max((batch_size(data, position) or 0) - left, _READ_SIZE))
        if not piece:
            if left:
                raise CodecError(f"a batch is cut short: {left} bytes of it are there", begun + position)
            return
        data = data[position:] + piece
        begun += position
        position = 0


def count_of(body: bytes) -> int:
    """How many records the body says it has. Raises CodecError for a header that no batch of ours or Kafka's has."""
    if len(body) < RECORDS_START:
        raise CodecError(f"a body of {len(body)} bytes, its header alone has {RECORDS_START}")
    attributes, last_offset_delta, _, _, _, _, _, count = _BODY.unpack_from(body)
    if attributes not in _ATTRIBUTES:
        if compression := attributes & 7:
            raise CodecError(f"compressed ({_COMPRESSIONS.get(compression, compression)}): not supported")
        raise CodecError(f"attributes {attributes:#06x}: 0 and {_CONTROL:#x} are known")
    if count != last_offset_delta + 1 or count < 1:
        raise CodecError(f"{count} records, but a last offset delta of {last_offset_delta}")
    # The least record has 7 bytes: so no count is believed that the body has no room for.
    if count > (len(body) - RECORDS_START) // 7:
        raise CodecError(f"{count} records in {len(body) - RECORDS_START} bytes")
    return int(count)


def is_control(body: bytes) -> bool:
    """Whether the body is a control batch's: such offsets pass without data."""
    return bool(body[1] & _CONTROL)


def timestamp_ms(body: bytes) -> int:
    """When the batch was appended, in ms of wall time: its largest timestamp."""
    return int.from_bytes(body[14:22], "big", signed=True)


def values(body: bytes) -> list[bytes]:
    """The values of a data batch's records, in order.

    Raises CodecError for what Kafka's own reader of the metadata log does not take: a key, no value, headers,
    a timestamp of its own (records.md §1); the position is in the body.
    """
    found = []
    position = RECORDS_START
    for delta in range(count_of(body)):
        start, end, position = value_range(body, position, delta)
        found.append(body[start:end])
    if position != len(body):
        raise CodecError(f"{len(body) - position} bytes left over after the last record", position)
    return found


def value_range(body: bytes, position: int, delta: int) -> tuple[int, int, int]:
    """Where the value of the data record at `position` begins and ends, and where the next record begins.

    `delta` is its place in the batch, from 0. Raises CodecError as `values` does.
    """
    (key, value), after = _record(body, position, delta)
    if key is not None:
        raise CodecError("a data record with a key", position)
    if value is None or value[0] == value[1]:
        raise CodecError("a data record without a value", position)
    return *value, after


def prefixes(count: int) -> Sequence[bytes]:
    """For each place in a batch up to `count` at least, what lies between a data record's length and its value's."""
    if len(_PREFIXES) < count:
        _grow_prefixes(count)
    return _PREFIXES


def _finish(parts: list[bytes], count: int) -> tuple[int, bytes]:
    if not count:
        raise CodecError("a batch without a record")
    body = b"".join(parts)
    if HEAD_SIZE + len(body) > BATCH_SIZE_MAX:
        raise CodecError(f"a batch of {HEAD_SIZE + len(body)} bytes, it has at most {BATCH_SIZE_MAX}")
    return google_crc32c.value(body), body


def _grow_prefixes(count: int) -> None:
    _PREFIXES.extend(b"\0\0" + encode_varint(delta) + b"\1" for delta in range(len(_PREFIXES), count))


def _control_records(body: bytes) -> tuple[ControlRecord, ...]:
    if not is_control(body):
        return ()
    records = []
    position = RECORDS_START
    for delta in range(count_of(body)):
        at = position
        (key, value), position = _record(body, position, delta)
        if key is None or value is None:
            raise CodecError("a control record without key or value", at)
        records.append(decode_control(body[slice(*key)], body[slice(*value)]))
    if position != len(body):
        raise CodecError(f"{len(body) - position} bytes left over after the last record", position)
    return tuple(records)


_Range = tuple[int, int]


def _record(body: bytes, position: int, delta: int) -> tuple[tuple[_Range | None, _Range | None], int]:
    """Where key and value of the record at `position` lie (None for null), and where the next one begins."""
    length, start = read_varint(body, position)
    end = start + length
    if length < 0 or end > len(body):
        raise CodecError(f"record {delta}: {length} bytes announced, {len(body) - start} are left", position)
    timestamp_delta, after = read_varlong(body, start + 1)  # after its attributes, which nobody looks at
    offset_delta, after = read_varint(body, after)
    if timestamp_delta:
        raise CodecError(f"record {delta}: a timestamp delta of {timestamp_delta}", position)
    if offset_delta != delta:
        raise CodecError(f"record {delta}: an offset delta of {offset_delta}", position)
    key, after = _ranged(body, after, end, delta)
    value, after = _ranged(body, after, end, delta)
    headers, after = read_varint(body, after)
    if headers:
        raise CodecError(f"record {delta}: {headers} headers", position)
    if after != end:
        raise CodecError(f"record {delta}: its parts end {abs(end - after)} bytes from where it does", position)
    return (key, value), end


def _ranged(body: bytes, position: int, end: int, delta: int) -> tuple[_Range | None, int]:
    size, start = read_varint(body, position)
    if size < 0:
        return None, start
    if start + size > end:
        raise CodecError(f"record {delta}: {size} bytes announced, {end - start} are left", position)
    return (start, start + size), start + size
