"""Variable-length integers: known bytes, round trips, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import CodecError
from yakt.wire.varint import (
    encode_uvarint,
    encode_varint,
    read_uvarint,
    read_varint,
    read_varlong,
    uvarint_table,
    varint_table,
)


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), ((1 << 32) - 1, "ffffffff0f")],
)
def test_unsigned_bytes(number: int, encoded: str) -> None:
    assert encode_uvarint(number).hex() == encoded
    assert read_uvarint(bytes.fromhex(encoded), 0) == (number, len(encoded) // 2)


@pytest.mark.parametrize(
    ("number", "encoded"), [(0, "00"), (-1, "01"), (1, "02"), (-2, "03"), (63, "7e"), (64, "8001"), (-65, "8101")]
)
def test_zigzag_bytes(number: int, encoded: str) -> None:
    assert encode_varint(number).hex() == encoded
    assert read_varint(bytes.fromhex(encoded), 0) == (number, len(encoded) // 2)


@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=3))
def test_unsigned_round_trip(number: int, before: bytes) -> None:
    encoded = before + encode_uvarint(number)
    assert read_uvarint(encoded, len(before)) == (number, len(encoded))


@given(st.integers(-(1 << 63), (1 << 63) - 1))
def test_varlong_round_trip(number: int) -> None:
    encoded = encode_varint(number)
    assert read_varlong(encoded, 0) == (number, len(encoded))


def test_tables_are_the_encodings() -> None:
    assert uvarint_table(1000) == tuple(encode_uvarint(number) for number in range(1000))
    assert varint_table(1000) == tuple(encode_varint(number) for number in range(1000))


@pytest.mark.parametrize("read", [read_uvarint, read_varint, read_varlong])
@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff\xff"])
def test_cut_short(read: object, data: bytes) -> None:
    with pytest.raises(CodecError, match="cut short") as caught:
        read(data, 0)  # type: ignore[operator]
    assert caught.value.position == 0


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (read_uvarint, b"\x80\x80\x80\x80\x10"),
        (read_uvarint, b"\x80" * 5 + b"\0"),
        (read_varint, b"\xff\xff\xff\xff\x7f"),
        (read_varlong, b"\xff" * 9 + b"\x02"),
        (read_varlong, b"\x80" * 11),
    ],
)
def test_too_large(read: object, data: bytes) -> None:
    with pytest.raises(CodecError):
        read(data, 0)  # type: ignore[operator]


@pytest.mark.parametrize("number", [-1, 1 << 32])
def test_unsigned_range(number: int) -> None:
    with pytest.raises(CodecError, match="32-bit"):
        encode_uvarint(number)


@pytest.mark.parametrize("number", [-(1 << 63) - 1, 1 << 63])
def test_signed_range(number: int) -> None:
    with pytest.raises(CodecError, match="64-bit"):
        encode_varint(number)
