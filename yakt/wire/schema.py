"""Declares how a value's fields lie in bytes, once for both directions; knows Kafka's types, and no message.

A message is a class with plain fields and one declaration beside it:

    VOTE_REQUEST = struct_of(VoteRequest, epoch=INT32, candidate_id=INT32, last_epoch=INT32, log_end_offset=INT64)
    codec = VOTE_REQUEST.codec(version=0)
    codec.decode(codec.encode(request)) == request

Types follow Kafka's protocol guide (big-endian). Whether strings, bytes and arrays have compact lengths, and whether a
struct ends with a section of tagged fields, is no property of a type but of the codec asked for: `flexible`, as it
differs from version to version of one message. Two coders work from the declaration: a table-driven one
(`yakt.wire.table`), which says exactly what is wrong and where, and straight-line Python text compiled on first use
(`yakt.wire.generate`), which is what runs and hands over to the first whenever it trips.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Generic, TypeAlias, TypeVar

import attrs
import msgspec

from yakt.errors import CodecError

T = TypeVar("T")

STRING_SIZE_MAX = 32_767
"""Bytes of UTF-8. Kafka's readers throw at a longer string, in flexible encoding too (records.md §1)."""


@attrs.frozen
class Fixed:
    """A type of fixed width; `code` as the struct module has it."""

    name: str
    code: str
    size: int


@attrs.frozen
class String:
    """UTF-8 of at most `STRING_SIZE_MAX` bytes; a `str` here, or None where nullable."""

    nullable: bool = False


@attrs.frozen
class Bytes:
    """Any bytes; None where nullable."""

    nullable: bool = False


@attrs.frozen
class Array:
    """Elements of one type; a tuple when decoded, any sequence when encoded, None where nullable."""

    of: "Type"
    nullable: bool = False


@attrs.frozen
class Nullable:
    """A struct that may be null: a byte, 1 or -1, before it."""

    of: "Struct[Any]"


@attrs.frozen
class Mapped:
    """A type whose values look different here: `to_wire` and `from_wire` turn one into the other.

    Either may raise ValueError, which becomes a CodecError with the field's name, or a CodecError of its own.
    """

    of: "Type"
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]
    none: int | None = None
    """What stands for None, where that is all there is to it."""


INT8 = Fixed("int8", "b", 1)
INT16 = Fixed("int16", "h", 2)
INT32 = Fixed("int32", "i", 4)
INT64 = Fixed("int64", "q", 8)
UINT16 = Fixed("uint16", "H", 2)
UINT32 = Fixed("uint32", "I", 4)
UINT64 = Fixed("uint64", "Q", 8)
FLOAT64 = Fixed("float64", "d", 8)
BOOL = Fixed("bool", "?", 1)
UUID = Fixed("uuid", "16s", 16)
STRING = String()
NULLABLE_STRING = String(nullable=True)
BYTES = Bytes()
NULLABLE_BYTES = Bytes(nullable=True)


def ARRAY(of: "Type") -> Array:  # noqa: N802
    """An array that is never null."""
    return Array(of)


def NULLABLE_ARRAY(of: "Type") -> Array:  # noqa: N802
    """An array, or None."""
    return Array(of, nullable=True)


def NULLABLE(of: "Struct[Any]") -> Nullable:  # noqa: N802
    """A struct, or None."""
    return Nullable(of)


def MAPPED(of: "Type", to_wire: Callable[[Any], Any], from_wire: Callable[[Any], Any]) -> Mapped:  # noqa: N802
    """`of` on the wire; here what `from_wire` makes of it, such as an enum's member."""
    return Mapped(of, to_wire, from_wire)


def OPTIONAL(of: Fixed, none: int = -1) -> Mapped:  # noqa: N802
    """A number in which `none` stands for None, as Kafka says -1 where there is no leader."""
    return Mapped(
        of, lambda value: none if value is None else value, lambda value: None if value == none else value, none
    )


class Missing:
    """The type of `MISSING`."""


MISSING = Missing()
"""The default of a field that has none in its class: it must be in every version, and in place."""


@attrs.frozen
class Field:
    """One field of a struct, there in versions `since` to `until`, both inclusive.

    With a `tag` it lies in the struct's tagged section, and is left out when it equals its default. The default, also
    what the field has when read in a version without it, is that of its class: see `struct_of`.
    """

    name: str
    type: "Type"
    since: int = 0
    until: int | None = None
    tag: int | None = None
    default: object = MISSING

    @property
    def kafka_name(self) -> str:
        """`broker_id` -> `BrokerId`, as Kafka's schemas have it."""
        return "".join(word[:1].upper() + word[1:] for word in self.name.split("_"))

    def is_in(self, version: int) -> bool:
        """Whether messages of `version` have it."""
        return self.since <= version and (self.until is None or version <= self.until)


@attrs.frozen
class FieldDeclaration:
    """What `field` notes for `struct_of`."""

    type: "Type"
    since: int
    until: int | None
    tag: int | None


def field(type: "Type", *, since: int = 0, until: int | None = None, tag: int | None = None) -> FieldDeclaration:
    """A field that is not in every version, or is tagged. Versions are inclusive."""
    return FieldDeclaration(type, since, until, tag)


@attrs.frozen(eq=False)
class Struct(Generic[T]):
    """Fields in wire order, and the class they make. `keeps_tags`: unknown tagged fields go into its field `tags`."""

    cls: type[T]
    fields: tuple[Field, ...]
    keeps_tags: bool

    def codec(self, version: int = 0, *, flexible: bool = True, prefix: bytes = b"") -> "Codec[T]":
        """Both directions for one version. `prefix` is written before each value, and not read."""
        return _codec(self, version, flexible, prefix)


Type: TypeAlias = Fixed | String | Bytes | Array | Nullable | Mapped | Struct[Any]


def struct_of(cls: type[T], /, **fields: Type | FieldDeclaration) -> Struct[T]:
    """Declare the wire form of `cls`, an attrs class or msgspec Struct: its fields in wire order.

    Every field of the class is named here but `tags`, which, where there is one, holds the unknown tagged fields as
    `yakt.batch.Tags`; a class without it skips them. Raises TypeError for a declaration that does not fit the class.
    """
    defaults = _defaults(cls)
    declared = []
    for name, given in fields.items():
        kind = given if isinstance(given, FieldDeclaration) else FieldDeclaration(given, 0, None, None)
        if name not in defaults:
            raise TypeError(f"{cls.__name__} has no field {name}")
        found = Field(name, kind.type, kind.since, kind.until, kind.tag, defaults[name])
        if found.default is MISSING and (found.tag is not None or found.since or found.until is not None):
            raise TypeError(f"{cls.__name__}.{name} is not always there, so it needs a default")
        declared.append(found)
    keeps_tags = "tags" in defaults and "tags" not in fields
    if forgotten := defaults.keys() - fields.keys() - ({"tags"} if keeps_tags else set()):
        raise TypeError(f"{cls.__name__}: undeclared fields {', '.join(sorted(forgotten))}")
    return Struct(cls, tuple(declared), keeps_tags)


class Codec(Generic[T]):
    """A struct's two directions at one version. All raise CodecError, with the position where decoding failed."""

    __slots__ = ("_flexible", "_prefix", "_struct", "_version", "decode", "encode", "read")

    encode: Callable[[T], bytes]
    """The prefix and the value."""
    decode: Callable[[bytes], T]
    """The value that the given bytes are, to the last one."""
    read: Callable[[bytes, int, int], tuple[T, int]]
    """`read(data, position, end)`: the value at `position`, and the position after it, at most `end`."""

    def __init__(self, struct: Struct[T], version: int, flexible: bool, prefix: bytes) -> None:
        self._struct, self._version, self._flexible, self._prefix = struct, version, flexible, prefix
        # Each direction compiles itself when first called (0.2 to 1 ms), and is then replaced by what came of it.
        self.encode = self._encode_first
        self.decode = self._decode_first
        self.read = self._read_first

    def _encode_first(self, value: T) -> bytes:
        from yakt.wire import generate

        self.encode = generate.encoder(self._struct, self._version, self._flexible, self._prefix)
        return self.encode(value)

    def _read_first(self, data: bytes, position: int, end: int) -> tuple[T, int]:
        from yakt.wire import generate

        self.read = generate.reader(self._struct, self._version, self._flexible)
        return self.read(data, position, end)

    def _decode_first(self, data: bytes) -> T:
        # `read` is looked up anew at each call: it may not have been compiled yet.
        def decode(data: bytes) -> T:
            value, after = self.read(data, 0, len(data))
            if after != len(data):
                raise CodecError(f"{len(data) - after} bytes left over after {self._struct.cls.__name__}", after)
            return value

        self.decode = decode
        return decode(data)


@cache
def _codec(struct: Struct[T], version: int, flexible: bool, prefix: bytes) -> Codec[T]:
    return Codec(struct, version, flexible, prefix)


def _defaults(cls: type[Any]) -> Mapping[str, object]:
    """The class's fields in its own order, each with its default or MISSING."""
    if attrs.has(cls):
        return {one.name: MISSING if one.default is attrs.NOTHING else one.default for one in attrs.fields(cls)}
    if issubclass(cls, msgspec.Struct):
        # Not `msgspec.structs.fields`, which evaluates the annotations: they may name what only their module knows.
        names, given = cls.__struct_fields__, cls.__struct_defaults__
        defaults = (msgspec.NODEFAULT,) * (len(names) - len(given)) + given
        return {name: MISSING if one is msgspec.NODEFAULT else one for name, one in zip(names, defaults, strict=True)}
    raise TypeError(f"{cls.__name__} is neither an attrs class nor a msgspec Struct")
