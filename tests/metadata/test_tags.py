"""YAKt's tags: the bytes that TAGS.md quotes, round trips, what other releases add, what is refused."""

import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.record_values import written_records
from yakt.errors import CodecError
from yakt.ids import Uuid
from yakt.metadata import tags
from yakt.metadata.codec import decode, encode
from yakt.metadata.records import BrokerEndpoint, NoOpRecord, Record, RegisterBrokerRecord, TopicRecord
from yakt.metadata.rows import ClosedBroker, RememberedRequest
from yakt.metadata.tags import (
    ImageHash,
    Origin,
    ProducerState,
    Registration,
    StateRows,
    image_hash_of,
    image_hash_record,
    origin_of,
    plain_tags,
    registration_of,
    remembered_of,
    state_record,
    state_rows_of,
    with_origin,
    with_registration,
)

SPEC = Path(tags.__file__).with_name("TAGS.md").read_text()
QUOTED = [bytes.fromhex(block) for block in re.findall(r"```text\n([0-9a-f\n]+)```", SPEC)]

INCARNATION = Uuid(bytes.fromhex("11111111222243338444555555555555"))
TOPIC = TopicRecord("demo", Uuid(bytes.fromhex("99999999888847778666555544443333")))
REQUEST = Origin(
    4,
    client="shop",
    address="127.0.0.1:40112",
    request="r-17",
    by="ann",
    reason="new shop",
    crc=0x8A9136AA,
    answer={"id": "mZmZmYiIR3eGZlVVRENzMw", "partitions": 3},
)
BROKER = RegisterBrokerRecord(1, INCARNATION, 5, (BrokerEndpoint("PLAINTEXT", "h", 9092, 0),), (), None)
ROWS = StateRows(
    producers=(ProducerState(7000, 1, 5), ProducerState(7001, removed=True)),
    closed_brokers=(ClosedBroker(4, 9, INCARNATION, "b4.local", 9092, "PLAINTEXT", "r1", 2, 77, 1_700_000_000_000),),
    requests=(RememberedRequest("shop", "r-17", 0x8A9136AA, 80, {"id": "x"}, 1_700_000_000_000),),
)

EXAMPLES: list[Record] = [
    with_origin(TOPIC, Origin(4)),
    with_origin(TOPIC, REQUEST),
    with_registration(BROKER, Registration(3, 4000, "Telnet")),
    image_hash_record(ImageHash(1, 300, 0xFEDCBA9876543210)),
    state_record(ROWS),
]


@pytest.mark.parametrize(("record", "quoted"), list(zip(EXAMPLES, QUOTED, strict=True)), ids=range(len(EXAMPLES)))
def test_bytes_are_those_of_the_spec(record: Record, quoted: bytes) -> None:
    assert encode(record) == quoted
    assert decode(quoted) == record


def test_what_the_examples_say() -> None:
    topic, request, broker, hashed, state = map(decode, QUOTED)
    assert origin_of(topic) == Origin(4)
    assert origin_of(request) == REQUEST
    assert isinstance(broker, RegisterBrokerRecord)
    assert registration_of(broker) == Registration(3, 4000, "Telnet")
    assert isinstance(hashed, NoOpRecord)
    assert image_hash_of(hashed) == ImageHash(1, 300, 0xFEDCBA9876543210)
    assert isinstance(state, NoOpRecord)
    assert state_rows_of(state) == ROWS


def test_no_tag_means_nothing_is_known() -> None:
    assert origin_of(TOPIC) is None
    assert registration_of(BROKER) is None
    assert image_hash_of(NoOpRecord()) is None
    assert state_rows_of(NoOpRecord()) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ANSWERS = st.dictionaries(st.text(max_size=9), JSON, max_size=4)
TEXT = st.text(max_size=30)
ORIGINS = st.builds(
    Origin,
    st.integers(1, 10_000),
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    TEXT,
    st.integers(0, (1 << 32) - 1),
    st.none() | ANSWERS,
)


@given(written_records(), ORIGINS)
@settings(max_examples=50)
def test_origins_round_trip_on_any_record(record: Record, origin: Origin) -> None:
    marked = with_origin(record, origin)
    found = decode(encode(marked))
    assert origin_of(found) == origin
    # All else is as it was, other tags included.
    assert msgspec.structs.replace(found, tags=tuple(pair for pair in found.tags if pair[0] != tags.ORIGIN)) == record
    assert with_origin(marked, Origin(1)) == with_origin(record, Origin(1))


@given(ANSWERS)
@settings(max_examples=50)
def test_answers_keep_order_and_types(answer: dict[str, object]) -> None:
    found = origin_of(with_origin(TOPIC, Origin(2, client="c", request="r", crc=5, answer=answer)))
    assert found is not None
    assert found.answer == answer
    assert list(found.answer) == list(answer)
    assert remembered_of(found, 100) == RememberedRequest("c", "r", 5, 101, answer)


def test_fields_of_a_later_release_are_skipped() -> None:
    [(tag, data)] = with_origin(TOPIC, Origin(4, by="ann")).tags
    later = data[:-1] + b"\x01\x63\x02ab"
    assert origin_of(msgspec.structs.replace(TOPIC, tags=((tag, later),))) == Origin(4, by="ann")


@pytest.mark.parametrize("size", range(12))
def test_cut_short(size: int) -> None:
    [(tag, data)] = with_origin(TOPIC, Origin(4, by="ann")).tags
    with pytest.raises(CodecError, match="tag 10000, Origin: "):
        origin_of(msgspec.structs.replace(TOPIC, tags=((tag, data[:size]),)))


def test_an_answer_that_is_no_json_is_refused() -> None:
    [(tag, data)] = with_origin(TOPIC, Origin(1, request="r", answer={"n": 7})).tags
    with pytest.raises(CodecError, match=r"Origin\.answer"):
        origin_of(msgspec.structs.replace(TOPIC, tags=((tag, data.replace(b"\x027\0", b"\x02{\0")),)))


def test_a_reason_too_long_is_refused() -> None:
    with pytest.raises(CodecError, match=r"Origin\.reason: 32768 bytes"):
        with_origin(TOPIC, Origin(1, reason="x" * 32_768))


def test_shown_to_people() -> None:
    assert plain_tags(with_origin(TOPIC, Origin(4))) == {}
    assert plain_tags(msgspec.structs.replace(TOPIC, tags=((77, b"\xab"),))) == {"77": "ab"}
    assert plain_tags(EXAMPLES[2]) == {"registration": {"changes": 3, "sessionMs": 4000, "protocol": "Telnet"}}
    assert plain_tags(EXAMPLES[3]) == {"imageHash": {"form": 1, "endOffset": 300, "hash": "0xfedcba9876543210"}}
