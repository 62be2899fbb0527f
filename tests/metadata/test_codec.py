"""Metadata records' bytes: Kafka's vectors, logs and dumps, an independent codec, and every way to be wrong."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.record_values import records_of, versioned_records, written_records
from yakt.errors import CodecError
from yakt.ids import Uuid
from yakt.metadata import records as r
from yakt.metadata.codec import (
    TYPES,
    RecordType,
    decode,
    decode_batch,
    decode_versioned,
    encode,
    kind_of,
    plain_record,
    record_type,
)
from yakt.metadata.records import Record
from yakt.wire import batch, table
from yakt.wire.control import kind_of_control, plain_control

GOLDEN = Path(__file__).parents[1] / "golden" / "kafka"
TOPIC_ID = Uuid(bytes.fromhex("99999999888847778666555544443333"))
INCARNATION = Uuid(bytes.fromhex("11111111222243338444555555555555"))
DIRECTORIES = tuple(Uuid(bytes.fromhex(f"5f0c1d2e3a4b4c5d8e6f0000000000b{digit}")) for digit in (1, 2, 3))
VERSIONS = [(one, version) for one in TYPES for version in range(one.version_max + 1)]
VERSION_IDS = [f"{one.declared.cls.__name__}-{version}" for one, version in VERSIONS]


def golden(name: str) -> bytes:
    return bytes.fromhex((GOLDEN / f"{name}.hex").read_text())


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("05-record-feature-level", r.FeatureLevelRecord("metadata.version", 21)),
        ("07-record-no-op", r.NoOpRecord()),
        (
            "08-record-register-broker",
            r.RegisterBrokerRecord(
                broker_id=1,
                incarnation_id=INCARNATION,
                broker_epoch=5,
                end_points=(r.BrokerEndpoint("PLAINTEXT", "127.0.0.1", 9092, 0),),
                features=(r.BrokerFeature("metadata.version", 7, 27), r.BrokerFeature("kraft.version", 0, 1)),
                rack=None,
                log_dirs=DIRECTORIES[:1],
            ),
        ),
        ("09-record-registration-change-unfence", r.BrokerRegistrationChangeRecord(1, 5, fenced=-1)),
        ("10-record-registration-change-shutdown", r.BrokerRegistrationChangeRecord(1, 5, in_controlled_shutdown=1)),
        ("11-record-topic", r.TopicRecord("demo", TOPIC_ID)),
        (
            "12-record-partition",
            r.PartitionRecord(0, TOPIC_ID, (1, 2, 3), (1, 2, 3), (), (), 1, 0, 0, directories=DIRECTORIES),
        ),
        ("13-record-partition-change", r.PartitionChangeRecord(0, TOPIC_ID, isr=(2, 3), leader=2)),
        ("14-record-config", r.ConfigRecord(2, "demo", "retention.ms", "1000")),
        ("15-record-producer-ids", r.ProducerIdsRecord(1, 5, 1000)),
        ("16-record-remove-topic", r.RemoveTopicRecord(TOPIC_ID)),
        (
            "17-record-register-controller",
            r.RegisterControllerRecord(
                3000,
                INCARNATION,
                False,
                (r.ControllerEndpoint("CONTROLLER", "127.0.0.1", 19093, 0),),
                (r.ControllerFeature("metadata.version", 7, 21), r.ControllerFeature("kraft.version", 0, 1)),
            ),
        ),
    ],
)
def test_bytes_are_kafkas(name: str, record: Record) -> None:
    assert encode(record) == golden(name)
    assert decode(golden(name)) == record


def test_every_captured_record_comes_out_again(kafka_logs: Path) -> None:
    """Its own bytes again, and the values that an independent codec and Kafka's own tool show."""
    seen = 0
    for path in sorted([*kafka_logs.glob("*/__cluster_metadata-0/*.log"), *kafka_logs.glob("*/*-0/*.checkpoint")]):
        dump = path.parents[1] / "dump"
        lines = [json.loads(line) for line in (dump / f"{path.name}.jsonl").read_text().splitlines()]
        shown = iter(re.findall(r"payload: (\{.*)", (dump / f"{path.name}.txt").read_text()))
        for found, line in zip(batch.split(path.read_bytes()), lines, strict=True):
            if found.control:
                assert [(kind_of_control(one), _capitalized(plain_control(one))) for one in found.control] == [
                    (one["control"], one["value"]) for one in line["records"]
                ]
                continue
            values = batch.values(found.body)
            for value, record, expected in zip(values, decode_batch(found.body), line["records"], strict=True):
                again, version = decode_versioned(value)
                assert again == record == decode(value)
                assert encode(record, version) == value
                assert (kind_of(record), version) == (expected["type"], expected["version"])
                assert _capitalized(plain_record(record, version)) == expected["value"]
                assert _as_kafka_dumps(record, version) == json.loads(next(shown))
                if record_type(record).written is not None:
                    assert encode(record) == value
                seen += 1
        assert next(shown, None) is None
    assert seen == 1542


def _capitalized(value: Any) -> Any:
    if isinstance(value, dict):
        return {key[:1].upper() + key[1:]: _capitalized(inner) for key, inner in value.items()}
    return [_capitalized(inner) for inner in value] if isinstance(value, list) else value


def _as_kafka_dumps(record: Record, version: int) -> object:
    """As kafka-dump-log prints it: bytes in base64 where we show hex."""
    fields = plain_record(record, version)
    if isinstance(record, r.UserScramCredentialRecord):
        for name in ("salt", "storedKey", "serverKey"):
            fields[name] = base64.b64encode(bytes.fromhex(str(fields[name]))).decode()
    kind = re.sub(r"(?<!^)([A-Z])", r"_\1", kind_of(record)).upper()
    return {"type": kind, "version": version, "data": fields}


@pytest.mark.parametrize(("declared", "version"), VERSIONS, ids=VERSION_IDS)
@settings(max_examples=20)
@given(data=st.data())
def test_round_trip_and_both_coders_alike(declared: RecordType, version: int, data: st.DataObject) -> None:
    record = data.draw(records_of(declared, version))
    encoded = encode(record, version)
    assert encoded[:3] == bytes([1, declared.key, version])
    assert encoded[3:] == table.encode(declared.declared, record, version, flexible=True)
    assert decode_versioned(encoded) == (record, version)
    assert table.read(declared.declared, encoded, 3, len(encoded), version, flexible=True) == (record, len(encoded))
    _, body = batch.seal([encoded] * 3, 0)
    assert decode_batch(body) == [record] * 3


@given(st.lists(written_records(), min_size=1, max_size=20))
@settings(max_examples=50)
def test_a_batch_of_any_records(records: list[Record]) -> None:
    _, body = batch.seal([encode(record) for record in records], 5)
    assert decode_batch(body) == records
    assert [decode(value) for value in batch.values(body)] == records


@pytest.mark.parametrize(("declared", "version"), VERSIONS, ids=VERSION_IDS)
@settings(max_examples=3)
@given(data=st.data())
def test_cut_short_or_with_more_behind(declared: RecordType, version: int, data: st.DataObject) -> None:
    encoded = encode(data.draw(records_of(declared, version)), version)
    for size in range(len(encoded)):
        with pytest.raises(CodecError):
            decode(encoded[:size])
    with pytest.raises(CodecError, match="1 bytes left over"):
        decode(encoded + b"\0")


UNKNOWN = ((500, b"\x01"), (10_000, b"abc"))


@pytest.mark.parametrize(("declared", "version"), VERSIONS, ids=VERSION_IDS)
@settings(max_examples=5)
@given(data=st.data())
def test_unknown_tags_survive(declared: RecordType, version: int, data: st.DataObject) -> None:
    record = msgspec.structs.replace(data.draw(records_of(declared, version)), tags=UNKNOWN)
    found, _ = decode_versioned(encode(record, version))
    assert found == record
    assert found.tags == UNKNOWN


def test_unknown_tags_of_inner_structs_survive() -> None:
    endpoint = r.ControllerEndpoint("A", "h", 1, 0, UNKNOWN)
    record = r.RegisterControllerRecord(1, INCARNATION, False, (endpoint,), (r.ControllerFeature("f", 0, 1, UNKNOWN),))
    assert decode(encode(record)) == record


@given(versioned_records(), st.data())
def test_damaged_records(pair: tuple[Record, int], data: st.DataObject) -> None:
    """A record, or a CodecError; and the one decoded in a batch is the one decoded alone."""
    encoded = bytearray(encode(*pair))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    _, body = batch.seal([bytes(encoded)], 0)
    try:
        found = decode(bytes(encoded))
    except CodecError:
        with pytest.raises(CodecError):
            decode_batch(body)
    else:
        assert repr(decode_batch(body)) == repr([found])  # repr: a NaN is not equal to itself


@given(st.data())
@settings(max_examples=100)
def test_a_batchs_framing_is_checked_either_way(data: st.DataObject) -> None:
    """Whatever a body says, reading it whole and reading its values first come to the same."""
    records = data.draw(st.lists(written_records(), min_size=1, max_size=3))
    body = bytearray(batch.seal([encode(record) for record in records], 5)[1])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(batch.RECORDS_START, len(body) - 1))
        body[at] = data.draw(st.integers(0, 255))
    try:
        expected = [decode(value) for value in batch.values(bytes(body))]
    except CodecError:
        with pytest.raises(CodecError):
            decode_batch(bytes(body))
    else:
        assert repr(decode_batch(bytes(body))) == repr(expected)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("", "cut short"),
        ("00140000", "frame version 0"),
        ("02140000", "frame version 2"),
        ("01060000", "no record type has key 6"),
        ("011e0000", "no record type has key 30"),
        ("01140100", "NoOpRecord of version 1: 0 to 0 are known"),
        ("0103ff01", "PartitionRecord of version 255"),
    ],
)
def test_framing_that_is_refused(value: str, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint):
        decode(bytes.fromhex(value))


def test_framing_in_longer_varints_is_read() -> None:
    """Kafka's reader takes them; nobody writes them."""
    value = bytes.fromhex("81009400800000")
    assert decode(value) == r.NoOpRecord()
    assert decode_batch(batch.seal([value], 0)[1]) == [r.NoOpRecord()]


def test_positions_are_those_of_the_batch() -> None:
    _, body = batch.seal([encode(r.NoOpRecord()), b"\1\2\0\x05dem"], 0)
    with pytest.raises(CodecError) as caught:
        decode_batch(body)
    assert caught.value.position == body.index(b"\x05dem")


@pytest.mark.parametrize("length", [32_767, 32_768])
def test_longest_string(length: int) -> None:
    """Kafka's readers stop at a longer one (records.md §1), so it must never enter the log."""
    record = r.ConfigRecord(2, "demo", "key", "v" * length)
    if length > 32_767:
        with pytest.raises(CodecError, match=r"ConfigRecord\.value: 32768 bytes"):
            encode(record)
    else:
        assert decode(encode(record)) == record


@pytest.mark.parametrize(
    ("change", "version"),
    [
        ({"fenced": 1}, 0),
        ({"fenced": -1}, 0),
        ({"in_controlled_shutdown": 1}, 1),
        ({"fenced": 1, "log_dirs": DIRECTORIES}, 2),
    ],
)
def test_registration_changes_have_the_least_version(change: dict[str, Any], version: int) -> None:
    encoded = encode(r.BrokerRegistrationChangeRecord(1, 5, **change))
    assert encoded[2] == version
    assert decode(encoded) == r.BrokerRegistrationChangeRecord(1, 5, **change)


@pytest.mark.parametrize(
    "record",
    [
        r.FenceBrokerRecord(1, 2),
        r.UnfenceBrokerRecord(1, 2),
        r.ZkMigrationStateRecord(0),
        r.ClearElrRecord(""),
        r.UnregisterControllerRecord(1),
    ],
    ids=kind_of,
)
def test_types_that_are_not_written(record: Record) -> None:
    with pytest.raises(CodecError, match=r"not written at metadata\.version 21"):
        encode(record)
    assert decode(encode(record, 0)) == record


def test_what_level_21_has_no_field_for() -> None:
    record = r.PartitionRecord(0, TOPIC_ID, (1,), (1,), (), (), 1, 0, 0, DIRECTORIES[:1], last_known_elr=(1,))
    with pytest.raises(CodecError, match="last_known_elr: version 1 does not have this field"):
        encode(record)
    with pytest.raises(CodecError, match="0 to 2 are known"):
        encode(record, 3)


def test_each_type_is_declared_once() -> None:
    assert len({one.key for one in TYPES}) == len(TYPES) == len({one.declared.cls for one in TYPES})
    assert {one.declared.cls for one in TYPES} == set(Record.__args__)  # type: ignore[attr-defined]
