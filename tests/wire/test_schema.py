"""Declared types: known bytes of each, round trips, both coders alike, every fault named with its field and place."""

from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yakt.errors import CodecError
from yakt.wire import generate, table
from yakt.wire.plain import plain
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    BYTES,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    MAPPED,
    NULLABLE,
    NULLABLE_ARRAY,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    OPTIONAL,
    STRING,
    UINT16,
    UINT32,
    UINT64,
    UUID,
    Type,
    field,
    struct_of,
)


class Inner(msgspec.Struct, frozen=True):
    name: str
    port: int
    tags: tuple[tuple[int, bytes], ...] = ()


@attrs.frozen(kw_only=True)
class Outer:
    small: int
    flag: bool
    ratio: float
    id: bytes
    text: str
    maybe: str | None
    data: bytes
    maybe_data: bytes | None
    numbers: tuple[int, ...]
    maybe_ids: tuple[bytes, ...] | None
    inners: tuple[Inner, ...]
    maybe_inner: Inner | None
    inner: Inner
    leader: int | None
    hexed: str
    words: tuple[str, ...] = ()
    later: int = 7
    tagged: tuple[int, ...] | None = None
    tagged_inner: Inner | None = None
    tags: tuple[tuple[int, bytes], ...] = ()


INNER = struct_of(Inner, name=STRING, port=UINT16)
OUTER = struct_of(
    Outer,
    small=INT8,
    flag=BOOL,
    ratio=FLOAT64,
    id=UUID,
    text=STRING,
    maybe=NULLABLE_STRING,
    data=BYTES,
    maybe_data=NULLABLE_BYTES,
    numbers=ARRAY(INT64),
    maybe_ids=NULLABLE_ARRAY(UUID),
    inners=ARRAY(INNER),
    maybe_inner=NULLABLE(INNER),
    inner=INNER,
    leader=OPTIONAL(INT32),
    hexed=MAPPED(BYTES, bytes.fromhex, bytes.hex),
    words=ARRAY(STRING),
    later=field(INT16, since=1),
    tagged=field(NULLABLE_ARRAY(INT32), since=1, tag=3),
    tagged_inner=field(INNER, since=1, tag=9),
)

UUIDS = st.binary(min_size=16, max_size=16)
TEXT = st.text(max_size=20) | st.integers(100, 300).map(lambda size: "é" * size)
UNKNOWN_TAGS = st.dictionaries(st.integers(100, (1 << 32) - 1), st.binary(max_size=9), max_size=3).map(
    lambda found: tuple(sorted(found.items()))
)


def int_of(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)


def inners(flexible: bool) -> st.SearchStrategy[Inner]:
    return st.builds(Inner, TEXT, st.integers(0, 65535), UNKNOWN_TAGS if flexible else st.just(()))


def outers(version: int, flexible: bool) -> st.SearchStrategy[Outer]:
    inner = inners(flexible)
    tagged = {} if version == 0 else {"later": int_of(16)}
    if version and flexible:
        tagged |= {
            "tagged": st.none() | st.lists(int_of(32), max_size=20).map(tuple),
            "tagged_inner": st.none() | inner,
        }
    return st.builds(
        Outer,
        small=int_of(8),
        flag=st.booleans(),
        ratio=st.floats(allow_nan=False),
        id=UUIDS,
        text=TEXT,
        maybe=st.none() | TEXT,
        data=st.binary(max_size=300),
        maybe_data=st.none() | st.binary(max_size=9),
        numbers=st.lists(int_of(64), max_size=20).map(tuple),
        maybe_ids=st.none() | st.lists(UUIDS, max_size=3).map(tuple),
        inners=st.lists(inner, max_size=3).map(tuple),
        maybe_inner=st.none() | inner,
        inner=inner,
        leader=st.none() | st.integers(0, 9),
        hexed=st.binary(max_size=4).map(bytes.hex),
        words=st.lists(TEXT, max_size=3).map(tuple),
        tags=UNKNOWN_TAGS if flexible else st.just(()),
        **tagged,
    )


FORMS = [(0, True), (1, True), (0, False), (1, False)]


@pytest.mark.parametrize(("version", "flexible"), FORMS)
@settings(max_examples=25)
@given(data=st.data())
def test_round_trip_and_both_coders_alike(version: int, flexible: bool, data: st.DataObject) -> None:
    value = data.draw(outers(version, flexible))
    codec = OUTER.codec(version, flexible=flexible)
    encoded = codec.encode(value)
    assert encoded == table.encode(OUTER, value, version, flexible)
    assert codec.decode(encoded) == value
    assert table.read(OUTER, encoded, 0, len(encoded), version, flexible) == (value, len(encoded))
    # In the midst of other bytes, as records lie in a batch.
    assert codec.read(b"ab" + encoded + b"\xff" * 20, 2, 2 + len(encoded)) == (value, 2 + len(encoded))


@pytest.mark.parametrize(("version", "flexible"), FORMS)
@settings(max_examples=25)
@given(data=st.data())
def test_the_generated_coder_needs_no_help(version: int, flexible: bool, data: st.DataObject) -> None:
    value = data.draw(outers(version, flexible))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "encode", None)
        patch.setattr(table, "read", None)
        encoded = _ENCODERS[version, flexible](value)
        assert _READERS[version, flexible](encoded, 0, len(encoded))[0] == value


_ENCODERS = {(version, flexible): generate.encoder(OUTER, version, flexible, b"") for version, flexible in FORMS}
_READERS = {(version, flexible): generate.reader(OUTER, version, flexible) for version, flexible in FORMS}


@pytest.mark.parametrize(("version", "flexible"), FORMS)
@settings(max_examples=6)
@given(data=st.data())
def test_cut_short_anywhere(version: int, flexible: bool, data: st.DataObject) -> None:
    codec = OUTER.codec(version, flexible=flexible)
    encoded = codec.encode(data.draw(outers(version, flexible)))
    for size in range(len(encoded)):
        with pytest.raises(CodecError) as caught:
            codec.decode(encoded[:size])
        assert caught.value.position is not None
        # What follows does not belong to it.
        with pytest.raises(CodecError):
            codec.read(encoded, 0, size)


@pytest.mark.parametrize(("version", "flexible"), FORMS)
@settings(max_examples=25)
@given(data=st.data())
def test_damage_gives_an_error_or_a_value_and_both_coders_say_which(
    version: int, flexible: bool, data: st.DataObject
) -> None:
    codec = OUTER.codec(version, flexible=flexible)
    encoded = bytearray(codec.encode(data.draw(outers(version, flexible))))
    for _ in range(data.draw(st.integers(1, 3))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    outcomes = [_outcome(OUTER.codec(version, flexible=flexible).read, bytes(encoded))]
    outcomes.append(_outcome(lambda data, at, end: table.read(OUTER, data, at, end, version, flexible), bytes(encoded)))
    assert outcomes[0] == outcomes[1]


@given(st.binary(max_size=80), st.sampled_from(FORMS))
def test_garbage(data: bytes, form: tuple[int, bool]) -> None:
    version, flexible = form
    codec = OUTER.codec(version, flexible=flexible)
    assert _outcome(codec.read, data) == _outcome(
        lambda data, at, end: table.read(OUTER, data, at, end, version, flexible), data
    )


def _outcome(read: Any, data: bytes) -> object:
    try:
        return repr(read(data, 0, len(data)))  # repr: a NaN is not equal to itself
    except CodecError as exc:
        return "refused", str(exc)


@attrs.frozen
class One:
    value: Any
    tags: Any = ()


@pytest.mark.parametrize(
    ("kind", "value", "flexible", "classic"),
    [
        (INT8, -2, "fe", "fe"),
        (INT16, 258, "0102", "0102"),
        (INT32, -1, "ffffffff", "ffffffff"),
        (INT64, 1, "0000000000000001", "0000000000000001"),
        (UINT16, 65535, "ffff", "ffff"),
        (UINT32, 1 << 31, "80000000", "80000000"),
        (UINT64, 1 << 63, "8000000000000000", "8000000000000000"),
        (FLOAT64, 1.5, "3ff8000000000000", "3ff8000000000000"),
        (BOOL, True, "01", "01"),
        (UUID, bytes(range(16)), bytes(range(16)).hex(), bytes(range(16)).hex()),
        (STRING, "hé", "0468c3a9", "000368c3a9"),
        (STRING, "", "01", "0000"),
        (NULLABLE_STRING, None, "00", "ffff"),
        (STRING, "x" * 200, "c901" + "78" * 200, "00c8" + "78" * 200),
        (BYTES, b"ab", "036162", "000000026162"),
        (NULLABLE_BYTES, None, "00", "ffffffff"),
        (ARRAY(INT16), (1, 2), "0300010002", "0000000200010002"),
        (ARRAY(INT8), (1,) * 200, "c901" + "01" * 200, "000000c8" + "01" * 200),
        (NULLABLE_ARRAY(INT16), None, "00", "ffffffff"),
        (ARRAY(STRING), ("a",), "020261", "00000001000161"),
        (NULLABLE(INNER), None, "ff", "ff"),
        (NULLABLE(INNER), Inner("a", 1), "010261000100", "010001610001"),
        (OPTIONAL(INT32), None, "ffffffff", "ffffffff"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bytes_of_each_type(kind: Type, value: object, flexible: str, classic: str) -> None:
    one = struct_of(One, value=kind)
    assert one.codec().encode(One(value)).hex() == flexible + "00"
    assert one.codec(flexible=False).encode(One(value)).hex() == classic
    assert one.codec().decode(bytes.fromhex(flexible + "00")) == One(value)
    assert one.codec(flexible=False).decode(bytes.fromhex(classic)) == One(value)


@pytest.mark.parametrize(
    ("kind", "value", "complaint"),
    [
        (INT8, 128, r"One\.value: 128 is no int8"),
        (INT8, "x", "is no int8"),
        (INT32, None, "is no int32"),
        (UINT16, -1, "is no uint16"),
        (UUID, b"short", "a uuid has 16 bytes"),
        (UUID, "no bytes at all.", "a uuid has 16 bytes"),
        (STRING, None, "is not text"),
        (STRING, b"x", "is not text"),
        (STRING, "\ud800", "is not text"),
        (STRING, "x" * 32_768, r"One\.value: 32768 bytes, a string has at most 32767"),
        (STRING, "é" * 16_384, "32768 bytes"),
        (BYTES, "x", "is not bytes"),
        (BYTES, None, "is not bytes"),
        (ARRAY(INT32), None, "is not an array"),
        (ARRAY(INT32), 3, "is not an array"),
        (ARRAY(INT32), (1, "x"), r"One\.value\[1\]: 'x' is no int32"),
        (ARRAY(UUID), (bytes(16), bytes(15)), r"One\.value\[1\]: a uuid"),
        (ARRAY(INNER), (Inner("a", 1), Inner("b", -1)), r"One\.value\[1\]\.port: -1 is no uint16"),
        (ARRAY(INNER), (5,), r"One\.value\[0\]: int has no field name"),
        (MAPPED(BYTES, bytes.fromhex, bytes.hex), "xyz", r"One\.value: .*hex"),
    ],
    ids=lambda value: str(value)[:20],
)
@pytest.mark.parametrize("flexible", [True, False])
def test_what_cannot_be_written_is_named(kind: Type, value: object, complaint: str, flexible: bool) -> None:
    with pytest.raises(CodecError, match=complaint):
        struct_of(One, value=kind).codec(flexible=flexible).encode(One(value))


@pytest.mark.parametrize(
    ("kind", "data", "position", "complaint"),
    [
        (STRING, "00", 0, "null"),
        (STRING, "0261", 2, "cut short"),
        (STRING, "05616200", 0, "4 announced, 3 bytes left"),
        (STRING, "02ff00", 1, "not UTF-8"),
        (STRING, "818002" + "61" * 32_768 + "00", 0, "32768 bytes, a string has at most"),
        (BYTES, "ffffffff0f00", 0, "announced"),
        (BYTES, "ffffffff1f00", 0, "32 bits"),
        (ARRAY(INT32), "ffffffff0f00", 0, "announced"),
        (ARRAY(UUID), "0400", 0, "announced"),
        (ARRAY(INNER), "00", 0, "null"),
        (
            MAPPED(INT8, int, lambda number: (_ for _ in ()).throw(ValueError("no such number"))),
            "0500",
            0,
            "no such number",
        ),
        (INT8, "050100", 2, "cut short: 1 tagged fields"),
        (INT8, "0502050005000000", 4, "tag 5 after tag 5"),
        (INT8, "0502050004000000", 4, "tag 4 after tag 5"),
        (INT8, "05010509", 2, "tag 5 has 9 bytes, 0 are left"),
        (INT8, "050000", 2, "1 bytes left over"),
    ],
)
def test_what_cannot_be_read_is_named(kind: Type, data: str, position: int, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint) as caught:
        struct_of(One, value=kind).codec().decode(bytes.fromhex(data))
    assert caught.value.position == position


@pytest.mark.parametrize(
    ("data", "complaint"), [("8000", "negative length"), ("7fff61", "announced"), ("ffff", "null")]
)
def test_classic_lengths(data: str, complaint: str) -> None:
    with pytest.raises(CodecError, match=complaint):
        struct_of(One, value=STRING).codec(flexible=False).decode(bytes.fromhex(data))


class Versioned(msgspec.Struct, frozen=True):
    always: int
    old: int = 1
    new: int = 2
    tagged: int = 3


VERSIONED = struct_of(
    Versioned, always=INT8, old=field(INT8, until=1), new=field(INT8, since=1), tagged=field(INT8, since=1, tag=0)
)


@pytest.mark.parametrize(
    ("version", "value", "encoded"),
    [
        (0, Versioned(5, old=6), "050600"),
        (1, Versioned(5, old=6, new=7), "05060700"),
        (1, Versioned(5, old=6, new=7, tagged=8), "05060701000108"),
        (2, Versioned(5, new=7, tagged=3), "050700"),
    ],
)
def test_versions(version: int, value: Versioned, encoded: str) -> None:
    codec = VERSIONED.codec(version)
    assert codec.encode(value).hex() == encoded
    assert codec.decode(bytes.fromhex(encoded)) == value


@pytest.mark.parametrize(
    ("version", "value", "named"),
    [(0, Versioned(5, new=7), "new"), (0, Versioned(5, tagged=7), "tagged"), (2, Versioned(5, old=7), "old")],
)
def test_a_value_that_the_version_has_no_field_for(version: int, value: Versioned, named: str) -> None:
    with pytest.raises(CodecError, match=rf"Versioned\.{named}: version {version} does not have this field"):
        VERSIONED.codec(version).encode(value)


def test_tagged_fields_need_flexible_encoding() -> None:
    with pytest.raises(CodecError, match="needs flexible encoding"):
        VERSIONED.codec(1, flexible=False).encode(Versioned(5, tagged=7))
    with pytest.raises(CodecError, match="need flexible encoding"):
        INNER.codec(flexible=False).encode(Inner("a", 1, ((1, b""),)))


def test_unknown_tags_are_skipped_where_the_class_keeps_none() -> None:
    assert VERSIONED.codec(0).decode(bytes.fromhex("0506020701aac0843d00")) == Versioned(5, old=6)


def test_unknown_tags_lie_among_the_known_ones() -> None:
    class Kept(msgspec.Struct, frozen=True):
        known: int = 0
        tags: tuple[tuple[int, bytes], ...] = ()

    codec = struct_of(Kept, known=field(INT8, tag=5)).codec()
    value = Kept(1, ((2, b"a"), (9, b"")))
    assert codec.encode(value).hex() == "030201610501010900"
    assert codec.decode(codec.encode(value)) == value
    with pytest.raises(CodecError, match="tag 5 after tag 5"):
        codec.encode(Kept(1, ((5, b"a"),)))
    with pytest.raises(CodecError, match="bytes left over in its tag"):
        codec.decode(bytes.fromhex("0105020100"))


def test_declarations_must_fit_their_class() -> None:
    with pytest.raises(TypeError, match="no field port_"):
        struct_of(Inner, name=STRING, port_=INT8)
    with pytest.raises(TypeError, match="undeclared fields port"):
        struct_of(Inner, name=STRING)
    with pytest.raises(TypeError, match="needs a default"):
        struct_of(Inner, name=STRING, port=field(INT8, tag=1))
    with pytest.raises(TypeError, match="neither an attrs class"):
        struct_of(int)


def test_prefix_is_written_and_not_read() -> None:
    codec = INNER.codec(prefix=b"\x01\x02")
    assert codec.encode(Inner("a", 1)).hex() == "01020261000100"
    assert codec.decode(codec.encode(Inner("a", 1))[2:]) == Inner("a", 1)
    with pytest.raises(CodecError):
        codec.encode(Inner("a", -1))


def test_plain_values() -> None:
    value = Versioned(5, new=7)
    assert plain(VERSIONED, value, 1) == {"always": 5, "old": 1, "new": 7}
    outer = struct_of(One, value=ARRAY(NULLABLE(INNER)))
    assert plain(outer, One((None, Inner("a", 1)))) == {"value": [None, {"name": "a", "port": 1}]}
    assert plain(struct_of(One, value=UUID), One(bytes(16))) == {"value": "A" * 22}
    assert plain(struct_of(One, value=BYTES), One(b"\xab")) == {"value": "ab"}
    assert plain(struct_of(One, value=OPTIONAL(INT8)), One(None)) == {"value": None}
