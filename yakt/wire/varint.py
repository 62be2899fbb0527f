"""Kafka's variable-length integers: base 128, least significant group first; zigzag where they may be negative."""

from functools import cache

from yakt.errors import CodecError

_UVARINT_BYTES_MAX = 5
_VARLONG_BYTES_MAX = 10


def encode_uvarint(number: int) -> bytes:
    """An unsigned varint. Raises CodecError for what does not fit 32 bits."""
    if not 0 <= number < 1 << 32:
        raise CodecError(f"{number} is no unsigned 32-bit number")
    return _groups(number)


def encode_varint(number: int) -> bytes:
    """A zigzag varint, of a varlong's range: -2^63 to 2^63 - 1. Raises CodecError beyond."""
    if not -(1 << 63) <= number < 1 << 63:
        raise CodecError(f"{number} is no signed 64-bit number")
    return _groups((number << 1) ^ (number >> 63))


def read_uvarint(data: bytes, position: int) -> tuple[int, int]:
    """The unsigned varint at `position`, and where it ends. Raises CodecError, also when `data` ends inside it."""
    number, after = _read_groups(data, position, _UVARINT_BYTES_MAX)
    if number >= 1 << 32:
        raise CodecError("a varint over 32 bits", position)
    return number, after


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The zigzag varint at `position` (up to 32 bits), and where it ends. Raises CodecError."""
    number, after = _read_groups(data, position, _UVARINT_BYTES_MAX)
    if number >= 1 << 32:
        raise CodecError("a varint over 32 bits", position)
    return (number >> 1) ^ -(number & 1), after


def read_varlong(data: bytes, position: int) -> tuple[int, int]:
    """The zigzag varlong at `position` (up to 64 bits), and where it ends. Raises CodecError."""
    number, after = _read_groups(data, position, _VARLONG_BYTES_MAX)
    if number >= 1 << 64:
        raise CodecError("a varlong over 64 bits", position)
    return (number >> 1) ^ -(number & 1), after


@cache
def uvarint_table(size: int) -> tuple[bytes, ...]:
    """`encode_uvarint` of 0 up to `size`, exclusive: what the hot paths index instead of computing."""
    return tuple(_groups(number) for number in range(size))


@cache
def varint_table(size: int) -> tuple[bytes, ...]:
    """`encode_varint` of 0 up to `size`, exclusive."""
    return tuple(_groups(number << 1) for number in range(size))


def _groups(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_groups(data: bytes, position: int, size_max: int) -> tuple[int, int]:
    number = 0
    for index in range(size_max):
        if position + index >= len(data):
            raise CodecError("cut short inside a varint", position)
        group = data[position + index]
        number |= (group & 0x7F) << 7 * index
        if group < 0x80:
            return number, position + index + 1
    raise CodecError(f"a varint of more than {size_max} bytes", position)
