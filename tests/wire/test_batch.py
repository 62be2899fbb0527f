"""Record batches: Kafka's own bytes come out again; damage, cuts and oddities are refused with offset and reason."""

import contextlib
import io
import struct
from collections.abc import Callable
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yakt.batch import (
    BATCH_SIZE_MAX,
    HEAD_SIZE,
    Endpoint,
    KRaftVersion,
    LeaderChange,
    RecordBatch,
    SnapshotFooter,
    SnapshotHeader,
    Voter,
    Voters,
)
from yakt.errors import CodecError
from yakt.ids import Epoch, NodeId, Offset, Uuid
from yakt.wire import batch as wire
from yakt.wire.varint import encode_varint

GOLDEN = Path(__file__).parents[1] / "golden" / "kafka"
TIMESTAMP_MS = 1_700_000_000_000


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


LEADER_CHANGE = LeaderChange(NodeId(3000), (NodeId(3000), NodeId(3001), NodeId(3002)), (NodeId(3000), NodeId(3001)))
VOTERS = Voters(
    tuple(
        Voter(
            NodeId(3000 + index),
            Uuid(bytes.fromhex(f"a5e6f0aa1c7b4b6e9d0e00000000000{index + 1}")),
            (Endpoint("CONTROLLER", "127.0.0.1", 19093 + index),),
        )
        for index in range(3)
    )
)
FEATURE_LEVEL = golden("05-record-feature-level")


def sealed(values: list[bytes], base_offset: int = 0, epoch: int = 1) -> RecordBatch:
    crc, body = wire.seal(values, TIMESTAMP_MS)
    return RecordBatch(Offset(base_offset), Epoch(epoch), len(values), crc, body)


def resealed(body: bytes, base_offset: int = 7) -> bytes:
    """A batch of a body that nobody would seal, its CRC right."""
    return wire.encode(RecordBatch(Offset(base_offset), Epoch(1), 1, google_crc32c.value(body), body))


def with_records(records: bytes, count: int = 1, attributes: int = 0) -> bytes:
    return resealed(struct.pack(">hiqqqhii", attributes, count - 1, 5, 5, -1, -1, -1, count) + records)


def record(*parts: bytes) -> bytes:
    content = b"".join(parts)
    return encode_varint(len(content)) + content


def test_control_batch_is_kafkas() -> None:
    records = (LEADER_CHANGE, KRaftVersion(1), VOTERS)
    crc, body = wire.seal_control(records, TIMESTAMP_MS)
    batch = RecordBatch(Offset(0), Epoch(1), 3, crc, body, records)
    assert wire.encode(batch) == golden("04-batch-control")
    assert wire.split(golden("04-batch-control")) == [batch]


def test_data_batch_is_kafkas() -> None:
    batch = sealed([FEATURE_LEVEL], base_offset=3)
    assert wire.encode(batch) == golden("06-batch-data")
    assert wire.head(batch) + batch.body == golden("06-batch-data")
    assert wire.split(golden("06-batch-data")) == [batch]
    assert wire.values(batch.body) == [FEATURE_LEVEL]
    assert wire.timestamp_ms(batch.body) == TIMESTAMP_MS
    assert wire.count_of(batch.body) == 1
    assert not wire.is_control(batch.body)


def test_every_captured_file_comes_out_again(kafka_logs: Path) -> None:
    """Kafka's own logs and snapshots: read, sealed anew from their records, and written."""
    files = sorted([*kafka_logs.rglob("*.log"), *kafka_logs.rglob("*.checkpoint")])
    assert len(files) == 31
    for path in files:
        data = path.read_bytes()
        batches = wire.split(data)
        assert b"".join(map(wire.encode, batches)) == data
        for batch in batches:
            timestamp_ms = wire.timestamp_ms(batch.body)
            assert wire.is_control(batch.body) == bool(batch.control)
            if batch.control:
                assert wire.seal_control(batch.control, timestamp_ms) == (batch.crc, batch.body)
            else:
                assert wire.seal(wire.values(batch.body), timestamp_ms) == (batch.crc, batch.body)
        with path.open("rb") as file:
            assert [batch for _, batch in wire.read_batches(file.read)] == batches


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=200), st.integers(0, (1 << 63) - 1))
@settings(max_examples=50)
def test_values_round_trip(values: list[bytes], timestamp_ms: int) -> None:
    crc, body = wire.seal(values, timestamp_ms)
    [batch] = wire.split(wire.encode(RecordBatch(Offset(5), Epoch(2), len(values), crc, body)))
    assert wire.values(batch.body) == values
    assert wire.timestamp_ms(batch.body) == timestamp_ms


@pytest.mark.parametrize("size", [1, 63, 64, 127, 8191, 8192, 70_000])
@pytest.mark.parametrize("count", [1, 65, 130])
def test_lengths_around_the_varints_steps(size: int, count: int) -> None:
    if size * count > BATCH_SIZE_MAX:
        return
    batch = sealed([b"v" * size] * count)
    assert wire.values(wire.split(wire.encode(batch))[0].body) == [b"v" * size] * count


def test_many_records_in_one_batch() -> None:
    values = [b"%d" % number for number in range(20_000)]
    assert wire.values(sealed(values).body) == values


@pytest.mark.parametrize(
    "values", [[], [b""], [b"a", b""], [b"x" * BATCH_SIZE_MAX]], ids=["none", "empty", "one empty", "huge"]
)
def test_what_cannot_be_sealed(values: list[bytes]) -> None:
    with pytest.raises(CodecError):
        wire.seal(values, 0)


def test_no_control_batch_without_a_record() -> None:
    with pytest.raises(CodecError):
        wire.seal_control((), 0)


def test_cut_short_anywhere() -> None:
    first, second = golden("04-batch-control"), golden("06-batch-data")
    whole = first + second
    for size in range(len(whole)):
        if size in (0, len(first)):
            continue
        with pytest.raises(CodecError, match="cut short") as caught:
            wire.split(whole[:size])
        assert caught.value.position == (0 if size < len(first) else len(first))
        assert wire.read_batch(whole[:size], len(first)) is None
        with pytest.raises(CodecError, match="cut short"):
            list(wire.read_batches(io.BytesIO(whole[:size]).read))


@pytest.mark.parametrize("name", ["04-batch-control", "06-batch-data"])
def test_every_flipped_bit_that_the_crc_covers_is_noticed(name: str) -> None:
    data = golden(name)
    for bit in range(17 * 8, len(data) * 8):  # from the CRC itself on
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodecError, match="CRC") as caught:
            wire.split(bytes(flipped))
        assert caught.value.position == 0


def test_flipped_bits_before_the_crc() -> None:
    """Base offset, length, leader epoch, magic: what is not refused changes that one number and no more."""
    data = golden("06-batch-data")
    [batch] = wire.split(data)
    for bit in range(17 * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            [found] = wire.split(bytes(flipped))
        except CodecError:
            continue
        assert found != batch
        assert found.body == batch.body
        assert bit // 8 < 8 or 12 <= bit // 8 < 16


@given(st.integers(1, 40))
def test_a_file_is_read_alike_in_pieces_of_any_size(size: int) -> None:
    data = golden("04-batch-control") + golden("06-batch-data")
    file = io.BytesIO(data)
    found = list(wire.read_batches(lambda _: file.read(size)))
    assert [batch for _, batch in found] == wire.split(data)
    assert [position for position, _ in found] == [0, len(golden("04-batch-control"))]


def test_the_position_of_damage_is_the_files() -> None:
    good = wire.encode(sealed([b"x" * 100_000] * 20))
    bad = bytearray(golden("06-batch-data"))
    bad[-1] ^= 1
    with pytest.raises(CodecError, match="batch at offset 3: the CRC") as caught:
        list(wire.read_batches(io.BytesIO(good + bytes(bad)).read))
    assert caught.value.position == len(good)


VALUE = encode_varint(1) + b"v"
NO_KEY = encode_varint(-1)
START = b"\0\0\0"  # attributes, timestamp delta, offset delta


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (with_records(record(START, NO_KEY, VALUE, b"\0"), attributes=1), "compressed .gzip"),
        (with_records(record(START, NO_KEY, VALUE, b"\0"), attributes=0x10), "attributes 0x0010"),
        (with_records(record(START, NO_KEY, VALUE, b"\0"), count=0), "0 records"),
        (with_records(record(START, NO_KEY, VALUE, b"\0"), count=1000), "1000 records in"),
        (resealed(struct.pack(">hiqqqhii", 0, 5, 5, 5, -1, -1, -1, 1) + bytes(9)), "a last offset delta of 5"),
        (b"\0" * 8 + struct.pack(">i", 8) + bytes(60), "a batch of 20 bytes"),
        (b"\0" * 8 + struct.pack(">i", -1) + bytes(60), "a batch of 11 bytes"),
        (b"\0" * 8 + struct.pack(">i", (1 << 31) - 1) + bytes(60), "a batch of 2147483659 bytes"),
        (golden("06-batch-data").replace(b"\0\0\0\x01\x02", b"\0\0\0\x01\x01", 1), "magic 1"),
        (with_records(record(START, encode_varint(4), b"\0\0\0\x09", VALUE, b"\0"), attributes=0x20), "type 9"),
        (
            with_records(record(START, encode_varint(4), b"\xff\xff\0\x02", VALUE, b"\0"), attributes=0x20),
            "key of version -1",
        ),
        (with_records(record(START, encode_varint(2), b"\0\0", VALUE, b"\0"), attributes=0x20), "key has 4 bytes"),
        (with_records(record(START, NO_KEY, VALUE, b"\0"), attributes=0x20), "without key or value"),
        (
            with_records(
                record(START, encode_varint(4), b"\0\0\0\x05", encode_varint(5), b"\0\0\0\1\0", b"\0") + b"\0",
                attributes=0x20,
            ),
            "left over",
        ),
    ],
    ids=range(14),
)
def test_batches_that_are_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint) as caught:
        wire.split(data)
    assert caught.value.position == 0


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        (record(START, encode_varint(1), b"k", VALUE, b"\0"), "with a key"),
        (record(START, NO_KEY, NO_KEY, b"\0"), "without a value"),
        (record(START, NO_KEY, b"\0", b"\0", b""), "without a value"),
        (record(b"\0\x02\0", NO_KEY, VALUE, b"\0"), "timestamp delta of 1"),
        (record(b"\0\0\x02", NO_KEY, VALUE, b"\0"), "offset delta of 1"),
        (record(START, NO_KEY, VALUE, b"\x02"), "1 headers"),
        (record(START, NO_KEY, VALUE, b"\0", b"?"), "its parts end 1 bytes"),
        (record(START, NO_KEY, encode_varint(9), b"v", b"\0"), "9 bytes announced"),
        (record(START, NO_KEY, VALUE, b"\0") + b"?", "1 bytes left over"),
        (encode_varint(100) + b"\0" * 10, "100 bytes announced"),
        (encode_varint(-3) + b"\0" * 10, "-3 bytes announced"),
    ],
    ids=range(11),
)
def test_data_records_that_kafkas_reader_refuses(records: bytes, complaint: str) -> None:
    [batch] = wire.split(with_records(records))
    with pytest.raises(CodecError, match=complaint):
        wire.values(batch.body)


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    with pytest.raises(CodecError):
        wire.split(b"\0" + data)


@given(st.data())
@settings(max_examples=50)
def test_damaged_bodies_with_a_right_crc(data: st.DataObject) -> None:
    """Whatever a body says, reading its records ends in a CodecError or in records, and takes no memory by its word."""
    body = bytearray(sealed([b"abc", b"d" * 100]).body)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    reads: list[Callable[[], object]] = [lambda: wire.split(resealed(bytes(body))), lambda: wire.values(bytes(body))]
    for read in reads:
        with contextlib.suppress(CodecError):
            read()


UNKNOWN = ((77, b"\x01"), (10_000, b"abc"))


@pytest.mark.parametrize(
    "record_",
    [
        LeaderChange(NodeId(1), (NodeId(1),), (), tags=UNKNOWN),
        KRaftVersion(1, tags=UNKNOWN),
        Voters((), tags=UNKNOWN),
        Voters((Voter(NodeId(1), Uuid(bytes(16)), (Endpoint("A", "h", 1, UNKNOWN),), 0, 1, UNKNOWN, UNKNOWN),)),
        SnapshotHeader(5, tags=UNKNOWN),
        SnapshotFooter(tags=UNKNOWN),
    ],
    ids=lambda record_: type(record_).__name__,
)
def test_unknown_tags_of_control_records_survive(record_: LeaderChange) -> None:
    crc, body = wire.seal_control((record_,), 0)
    [batch] = wire.split(wire.encode(RecordBatch(Offset(0), Epoch(0), 1, crc, body)))
    assert batch.control == (record_,)
    assert wire.seal_control(batch.control, 0) == (crc, body)


def test_head_size() -> None:
    batch = sealed([b"x"])
    assert len(wire.head(batch)) == HEAD_SIZE
    assert batch.size == len(wire.encode(batch))
