"""The table-driven coder: walks a declaration field by field, and says exactly what is wrong and where.

Slow on purpose. It is the oracle of the generated coder's tests, and what that one hands over to when it trips.
"""

import struct
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from yakt.batch import Tags
from yakt.errors import CodecError
from yakt.wire.schema import (
    STRING_SIZE_MAX,
    UUID,
    Array,
    Bytes,
    Field,
    Fixed,
    Mapped,
    Nullable,
    String,
    Struct,
    Type,
)
from yakt.wire.varint import encode_uvarint, read_uvarint

T = TypeVar("T")


def encode(declared: Struct[T], value: T, version: int, flexible: bool) -> bytes:
    """The bytes of `value`. Raises CodecError naming the field that cannot be written."""
    out: list[bytes] = []
    _encode_struct(declared, value, version, flexible, declared.cls.__name__, out)
    return b"".join(out)


def read(declared: Struct[T], data: bytes, position: int, end: int, version: int, flexible: bool) -> tuple[T, int]:
    """The value at `position`, and the position after it, at most `end`. Raises CodecError."""
    reading = _Reading(data, end, version, flexible)
    return reading.struct(declared, position, declared.cls.__name__)


def encode_type(kind: Type, value: Any, version: int, flexible: bool, path: str) -> bytes:
    """The bytes of a value of any type; `path` names it in errors."""
    out: list[bytes] = []
    _encode(kind, value, version, flexible, path, out)
    return b"".join(out)


def encode_tags(tags: Sequence[tuple[int, bytes]]) -> bytes:
    """A tagged section. Raises CodecError unless the numbers strictly ascend."""
    out = [encode_uvarint(len(tags))]
    last = -1
    for tag, data in tags:
        if tag <= last:
            raise CodecError(f"tag {tag} after tag {last}: they ascend")
        last = tag
        out += (encode_uvarint(tag), encode_uvarint(len(data)), data)
    return b"".join(out)


def read_tags(data: bytes, position: int, end: int) -> tuple[list[tuple[int, int, int]], int]:
    """A tagged section as (tag, start, end) of each field, and the position after it. Raises CodecError."""
    count, position = read_uvarint(data, position)
    if count > (end - position) // 2:
        raise CodecError(f"cut short: {count} tagged fields in {end - position} bytes", position)
    found = []
    last = -1
    for _ in range(count):
        at = position
        tag, position = read_uvarint(data, position)
        size, position = read_uvarint(data, position)
        if tag <= last:
            raise CodecError(f"tag {tag} after tag {last}: they ascend", at)
        if size > end - position:
            raise CodecError(f"cut short: tag {tag} has {size} bytes, {max(0, end - position)} are left", at)
        last = tag
        found.append((tag, position, position + size))
        position += size
    return found, position


def _encode_struct(
    declared: Struct[Any], value: Any, version: int, flexible: bool, path: str, out: list[bytes]
) -> None:
    tagged: list[tuple[int, bytes]] = []
    for one in declared.fields:
        its_path = f"{path}.{one.name}"
        try:
            its_value = getattr(value, one.name)
        except AttributeError:
            raise CodecError(f"{path}: {type(value).__name__} has no field {one.name}") from None
        if not one.is_in(version):
            if its_value != one.default:
                raise CodecError(f"{its_path}: version {version} does not have this field")
        elif one.tag is None:
            _encode(one.type, its_value, version, flexible, its_path, out)
        elif its_value != one.default:
            if not flexible:
                raise CodecError(f"{its_path}: a tagged field needs flexible encoding")
            tagged.append((one.tag, encode_type(one.type, its_value, version, flexible, its_path)))
    unknown: Tags = value.tags if declared.keeps_tags else ()
    if flexible:
        try:
            out.append(encode_tags(sorted((*tagged, *unknown), key=lambda pair: pair[0])))
        except CodecError as exc:
            raise CodecError(f"{path}: {exc}") from None
        except (TypeError, ValueError) as exc:
            raise CodecError(f"{path}.tags: {unknown!r} are not pairs of a number and bytes: {exc}") from None
    elif unknown:
        raise CodecError(f"{path}.tags: tagged fields need flexible encoding")


def _encode(kind: Type, value: Any, version: int, flexible: bool, path: str, out: list[bytes]) -> None:
    match kind:
        case Fixed():
            out.append(_encode_fixed(kind, value, path))
        case String():
            if value is None and kind.nullable:
                out.append(_length(None, flexible, "h"))
                return
            try:
                text = value.encode()
            except (AttributeError, UnicodeEncodeError) as exc:
                raise CodecError(f"{path}: {value!r} is not text: {exc}") from None
            if len(text) > STRING_SIZE_MAX:
                raise CodecError(f"{path}: {len(text)} bytes, a string has at most {STRING_SIZE_MAX}")
            out += (_length(len(text), flexible, "h"), text)
        case Bytes():
            if value is None and kind.nullable:
                out.append(_length(None, flexible, "i"))
                return
            if not isinstance(value, bytes):
                raise CodecError(f"{path}: {type(value).__name__} is not bytes")
            out += (_length(len(value), flexible, "i"), value)
        case Array():
            if value is None and kind.nullable:
                out.append(_length(None, flexible, "i"))
                return
            if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
                raise CodecError(f"{path}: {type(value).__name__} is not an array")
            out.append(_length(len(value), flexible, "i"))
            for index, element in enumerate(value):
                _encode(kind.of, element, version, flexible, f"{path}[{index}]", out)
        case Nullable():
            out.append(b"\xff" if value is None else b"\x01")
            if value is not None:
                _encode_struct(kind.of, value, version, flexible, path, out)
        case Mapped():
            try:
                on_wire = kind.to_wire(value)
            except (ValueError, TypeError, AttributeError) as exc:
                raise CodecError(f"{path}: {exc}") from None
            _encode(kind.of, on_wire, version, flexible, path, out)
        case Struct():
            _encode_struct(kind, value, version, flexible, path, out)


def _encode_fixed(kind: Fixed, value: Any, path: str) -> bytes:
    if kind is UUID and (not isinstance(value, bytes) or len(value) != UUID.size):
        raise CodecError(f"{path}: a uuid has 16 bytes, this is {value!r}")
    try:
        return struct.pack(">" + kind.code, value)
    except struct.error as exc:
        raise CodecError(f"{path}: {value!r} is no {kind.name}: {exc}") from None


def _length(size: int | None, flexible: bool, code: str) -> bytes:
    if flexible:
        return encode_uvarint(0 if size is None else size + 1)
    return struct.pack(">" + code, -1 if size is None else size)


class _Reading:
    """What stays the same while one value is read."""

    def __init__(self, data: bytes, end: int, version: int, flexible: bool) -> None:
        self.data, self.end, self.version, self.flexible = data, min(end, len(data)), version, flexible

    def struct(self, declared: Struct[T], position: int, path: str) -> tuple[T, int]:
        values: dict[str, Any] = {}
        tagged: dict[int, Field] = {}
        for one in declared.fields:
            if not one.is_in(self.version):
                values[one.name] = one.default
            elif one.tag is None:
                values[one.name], position = self.value(one.type, position, f"{path}.{one.name}")
            else:
                values[one.name] = one.default
                tagged[one.tag] = one
        unknown = []
        if self.flexible:
            found, position = read_tags(self.data, position, self.end)
            if position > self.end:
                self._cut_short(path, position)
            for tag, start, end in found:
                if known := tagged.get(tag):
                    inner = _Reading(self.data, end, self.version, self.flexible)
                    values[known.name], after = inner.value(known.type, start, f"{path}.{known.name}")
                    if after != end:
                        raise CodecError(f"{path}.{known.name}: {end - after} bytes left over in its tag", after)
                else:
                    unknown.append((tag, self.data[start:end]))
        if declared.keeps_tags:
            values["tags"] = tuple(unknown)
        return declared.cls(**values), position

    def value(self, kind: Type, position: int, path: str) -> tuple[Any, int]:
        match kind:
            case Fixed():
                after = position + kind.size
                if after > self.end:
                    self._cut_short(path, position)
                return struct.unpack(">" + kind.code, self.data[position:after])[0], after
            case String():
                size, start = self._size(position, "h", kind.nullable, path)
                if size is None:
                    return None, start
                if size > STRING_SIZE_MAX:
                    raise CodecError(f"{path}: {size} bytes, a string has at most {STRING_SIZE_MAX}", position)
                try:
                    return self.data[start : start + size].decode(), start + size
                except UnicodeDecodeError as exc:
                    raise CodecError(f"{path}: not UTF-8: {exc.reason}", start + exc.start) from None
            case Bytes():
                size, start = self._size(position, "i", kind.nullable, path)
                return (None, start) if size is None else (self.data[start : start + size], start + size)
            case Array():
                return self._array(kind, position, path)
            case Nullable():
                marker, position = self.value(Fixed("int8", "b", 1), position, path)
                return (None, position) if marker < 0 else self.struct(kind.of, position, path)
            case Mapped():
                on_wire, after = self.value(kind.of, position, path)
                try:
                    return kind.from_wire(on_wire), after
                except (ValueError, TypeError) as exc:
                    raise CodecError(f"{path}: {exc}", position) from None
            case Struct():
                return self.struct(kind, position, path)

    def _array(self, kind: Array, position: int, path: str) -> tuple[Any, int]:
        # No element is smaller than a byte, so `_size` has also bounded how many there can be.
        count, position = self._size(position, "i", kind.nullable, path)
        if count is None:
            return None, position
        elements = []
        for index in range(count):
            element, position = self.value(kind.of, position, f"{path}[{index}]")
            elements.append(element)
        return tuple(elements), position

    def _size(self, position: int, code: str, nullable: bool, path: str) -> tuple[int | None, int]:
        """A length or count, None for null; refused when more than what is left."""
        size: int
        if self.flexible:
            size, start = read_uvarint(self.data, position)
            size -= 1
        else:
            size, start = self.value(Fixed("length", code, struct.calcsize(">" + code)), position, path)
        if start > self.end:
            self._cut_short(path, position)
        if size == -1 and nullable:
            return None, start
        if size < 0:
            raise CodecError(f"{path}: null" if size == -1 else f"{path}: negative length {size}", position)
        if size > self.end - start:
            raise CodecError(f"{path}: cut short: {size} announced, {self.end - start} bytes left", position)
        return size, start

    def _cut_short(self, path: str, position: int) -> NoReturn:
        raise CodecError(f"{path}: cut short", min(position, self.end))
