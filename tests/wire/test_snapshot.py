"""Snapshot files: Kafka's bytes, every file that Kafka wrote, and files that are none."""

import io
from pathlib import Path

import pytest

from tests.wire.test_batch import FEATURE_LEVEL, LEADER_CHANGE, TIMESTAMP_MS, VOTERS, golden
from yakt.batch import KRaftVersion, RecordBatch, SnapshotHeader
from yakt.errors import CodecError
from yakt.ids import Epoch, Offset
from yakt.wire.batch import encode, read_batches, seal, seal_control
from yakt.wire.snapshot import SnapshotEncoder, check_snapshot


def checked(data: bytes, epoch: int | None = 1) -> list[RecordBatch]:
    return list(check_snapshot(read_batches(io.BytesIO(data).read), None if epoch is None else Epoch(epoch)))


def control(offset: int, *records: SnapshotHeader) -> bytes:
    crc, body = seal_control(records, TIMESTAMP_MS)
    return encode(RecordBatch(Offset(offset), Epoch(1), len(records), crc, body))


def data(offset: int, epoch: int = 1) -> bytes:
    crc, body = seal([FEATURE_LEVEL], TIMESTAMP_MS)
    return encode(RecordBatch(Offset(offset), Epoch(epoch), 1, crc, body))


def test_bytes_are_kafkas() -> None:
    encoder = SnapshotEncoder(Epoch(1), TIMESTAMP_MS)
    written = encoder.header(KRaftVersion(1), VOTERS) + encoder.data([FEATURE_LEVEL]) + encoder.footer()
    assert written == golden("18-snapshot")
    assert encoder.records == 5
    assert [batch.count for batch in checked(written)] == [3, 1, 1]


def test_every_captured_snapshot_is_one(kafka_logs: Path) -> None:
    paths = sorted(kafka_logs.rglob("*.checkpoint"))
    assert paths
    for path in paths:
        with path.open("rb") as file:
            assert sum(1 for _ in check_snapshot(read_batches(file.read))) >= 2


HEADER = SnapshotEncoder(Epoch(1), TIMESTAMP_MS).header()


def footer(offset: int) -> bytes:
    encoder = SnapshotEncoder(Epoch(1), TIMESTAMP_MS)
    encoder._end_offset = offset
    return encoder.footer()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "without a footer"),
        (HEADER, "without a footer"),
        (HEADER + data(1), "without a footer"),
        (data(0) + footer(1), "begins with a header"),
        (footer(0), "begins with a header"),
        (HEADER + data(2) + footer(3), "offset 1 comes next"),
        (HEADER + data(1, epoch=2) + footer(2), "leader epoch 2 in a snapshot of epoch 1"),
        (HEADER + HEADER.replace(bytes(8), (1).to_bytes(8, "big"), 1) + footer(2), "no place there"),
        (HEADER + control(1, LEADER_CHANGE) + footer(2), "no place there"),
        (control(0, SnapshotHeader(0), LEADER_CHANGE) + footer(2), "no place there"),
        (HEADER + footer(1) + data(2), "after the footer"),
        (HEADER + footer(1)[:-1], "cut short"),
    ],
    ids=range(12),
)
def test_what_is_no_snapshot(content: bytes, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint):
        checked(content)


def test_an_empty_state_is_a_snapshot_too() -> None:
    assert len(checked(HEADER + footer(1), epoch=None)) == 2
