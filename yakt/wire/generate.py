"""Compiles a declaration to straight-line Python, a few times as fast as walking it (hot-path.md §3).

The text does the common ways only. Whatever trips, a long length as much as a wrong type, hands the same input over to
the table (`yakt.wire.table`), which either manages or says what is wrong; so nothing here words an error. One thing
makes that sound when reading: no step moves backwards, so a read past `end` shows in the final position.
"""

import struct
from collections.abc import Callable, Sequence
from enum import EnumMeta
from functools import lru_cache
from typing import Any, TypeVar

from yakt.batch import Tags
from yakt.wire import table
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
from yakt.wire.varint import encode_uvarint, read_uvarint, uvarint_table

T = TypeVar("T")

_FEW = 16
"""Arrays of numbers shorter than this have a packer made before: replicas, ISRs."""
_TRIPS = "(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct_error)"


def encoder(declared: Struct[T], version: int, flexible: bool, prefix: bytes) -> Callable[[T], bytes]:
    """The compiled `value -> bytes`. It raises CodecError."""
    text = _Encoding(version, flexible, prefix)
    text.struct(declared, "value")
    function: Callable[[T], bytes] = text.compile(
        f"encode_{declared.cls.__name__}",
        "value",
        "return join([{parts}])",
        fallback="return by_table(value)",
        by_table=lambda value: prefix + table.encode(declared, value, version, flexible),
    )
    return function


def reader(declared: Struct[T], version: int, flexible: bool) -> Callable[[bytes, int, int], tuple[T, int]]:
    """The compiled `(data, position, end) -> (value, position after it)`. It raises CodecError."""
    text = _Decoding(version, flexible)
    text.line(f"value = {text.struct(declared, ends=True)}")
    text.line("if p > end: raise ValueError")
    function: Callable[[bytes, int, int], tuple[T, int]] = text.compile(
        f"read_{declared.cls.__name__}",
        "data, p, end",
        "return value, p",
        fallback="return by_table(data, start, end)",
        by_table=lambda data, position, end: table.read(declared, data, position, end, version, flexible),
    )
    return function


class _Text:
    """Lines of one function, and the objects that they name."""

    def __init__(self, version: int, flexible: bool) -> None:
        self.version, self.flexible = version, flexible
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "struct_error": struct.error,
            "join": b"".join,
            "empty": b"",
            "zero": b"\0",
            "pack": struct.pack,
            "unpack_from": struct.unpack_from,
            "lengths": uvarint_table(STRING_SIZE_MAX + 2) if flexible else (),
            "uvarint": encode_uvarint,
            "read_uvarint": read_uvarint,
            "encode_tags": _encode_tags,
            "read_tags": _read_tags,
            "known_tags": _SECTIONS.get,
            "read_last_tags": _read_last_tags,
        }
        self.indent = 0

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def name(self, stem: str, value: Any = None) -> str:
        """A name of its own in this function; bound to `value`, unless the function binds it."""
        name = f"{stem}{len(self.names)}"
        self.names[name] = value
        return name

    def compile(self, name: str, arguments: str, result: str, *, fallback: str, by_table: Callable[..., Any]) -> Any:
        body = "".join(f"        {line}\n" for line in [*self.lines, result])
        start = "    start = p\n" if "start" in fallback else ""
        # CodecError is none of the trips: a mapped value's own complaint passes.
        source = f"def {name}({arguments}):\n{start}    try:\n{body}    except {_TRIPS}:\n        {fallback}\n"
        self.names["by_table"] = by_table
        exec(compile(source, f"<generated {name} v{self.version}>", "exec"), self.names)
        return self.names[name]


class _Encoding(_Text):
    """The text of an encoder: lines that compute what the joined tuple of `parts` needs."""

    def __init__(self, version: int, flexible: bool, prefix: bytes = b"") -> None:
        super().__init__(version, flexible)
        self.parts: list[str] = []
        self.constant = prefix
        self.packed: list[tuple[str, str]] = []

    def compile(self, name: str, arguments: str, result: str, *, fallback: str, by_table: Callable[..., Any]) -> Any:
        self.flush()
        if len(self.parts) == 1:
            result = f"return {self.parts[0]}"
        return super().compile(
            name, arguments, result.format(parts=", ".join(self.parts)), fallback=fallback, by_table=by_table
        )

    def struct(self, declared: Struct[Any], value: str) -> None:
        tagged = []
        for one in declared.fields:
            access = f"{value}.{one.name}"
            if not one.is_in(self.version):
                self.line(f"if {access} != {self.name('default', one.default)}: raise ValueError")
            elif one.tag is not None:
                tagged.append((one.tag, one, access))
            else:
                self.value(one.type, access)
        tags = f"{value}.tags" if declared.keeps_tags else None
        if not self.flexible:
            for _, one, access in tagged:
                self.line(f"if {access} != {self.name('default', one.default)}: raise ValueError")
            if tags:
                self.line(f"if {tags}: raise ValueError")
        elif tagged:
            self._tagged(tagged, tags)
        elif tags:
            self.part(f"encode_tags({tags}) if {tags} else zero")
        else:
            self.part("zero")

    def _tagged(self, tagged: list[tuple[int, Field, str]], tags: str | None) -> None:
        found = self.name("tagged")
        self.line(f"{found} = []")
        for tag, one, access in sorted(tagged, key=lambda entry: entry[0]):
            encode = self.name("encode", _encoder_of(one.type, self.version, self.flexible))
            self.line(f"if {access} != {self.name('default', one.default)}:")
            self.line(f"    {found}.append(({tag}, {encode}({access})))")
        if tags:
            self.line(f"if {tags}:")
            self.line(f"    {found} += {tags}")
            self.line(f"    {found}.sort()")
        self.part(f"encode_tags({found}) if {found} else zero")

    def value(self, kind: Type, access: str) -> None:
        match kind:
            case Fixed():
                if kind is UUID:
                    self.line(f"if len({access}) != 16: raise ValueError")
                self.packed.append((kind.code, access))
            case String() | Bytes():
                self._sized(kind, access)
            case Array():
                self._array(kind, access)
            case Nullable():
                encode = self.name("encode", _encoder_of(kind.of, self.version, self.flexible))
                self.part(f"b'\\xff' if {access} is None else b'\\1' + {encode}({access})")
            case Mapped():
                local = self.name("mapped")
                if kind.none is not None:
                    self.line(f"{local} = {access}")
                    self.line(f"if {local} is None: {local} = {kind.none}")
                else:
                    self.line(f"{local} = {self.name('to_wire', kind.to_wire)}({access})")
                self.value(kind.of, local)
            case Struct():
                self.struct(kind, access)

    def _sized(self, kind: String | Bytes, access: str) -> None:
        data, size = self.name("data"), self.name("size")
        text = isinstance(kind, String)
        content = f"{access}.encode()" if text else access
        if self.flexible:
            null = "zero"
            # The table of lengths ends where strings must: an IndexError for one that is too long.
            length = f"lengths[len({data}) + 1]" if text else f"uvarint(len({data}) + 1)"
        else:
            code = "h" if text else "i"
            null, length = repr(struct.pack(">" + code, -1)), f"pack('>{code}', len({data}))"
        if kind.nullable:
            self.line(f"if {access} is None:")
            self.line(f"    {data} = empty; {size} = {null}")
            self.line("else:")
            self.line(f"    {data} = {content}; {size} = {length}")
        else:
            self.line(f"{data} = {content}")
            self.line(f"{size} = {length}")
        if not text:
            self.line(f"if {data}.__class__ is not bytes: raise TypeError")
        self.part(size)
        self.part(data)

    def _array(self, kind: Array, access: str) -> None:
        found, count, data = self.name("array"), self.name("count"), self.name("data")
        self.line(f"{found} = {access}")
        if kind.nullable:
            self.line(f"if {found} is None: {data} = {'zero' if self.flexible else repr(struct.pack('>i', -1))}")
            self.line("else:")
            self.indent += 1
        self.line(f"{count} = len({found})")
        if self.flexible:
            size = f"(lengths[{count} + 1] if {count} <= {STRING_SIZE_MAX} else uvarint({count} + 1))"
        else:
            size = f"pack('>i', {count})"
        if kind.of is UUID:
            self.line(f"if [one for one in {found} if len(one) != 16]: raise ValueError")
            self.line(f"{data} = {size} + join({found})")
        elif isinstance(kind.of, Fixed):
            code, plus = ("B", 1) if self.flexible else ("i", 0)
            few = self.name("pack", [struct.Struct(f">{code}{few}{kind.of.code}").pack for few in range(_FEW)])
            many = f"{size} + pack('>%d{kind.of.code}' % {count}, *{found})"
            self.line(f"{data} = {few}[{count}]({count} + {plus}, *{found}) if {count} < {_FEW} else {many}")
        else:
            encode = self.name("encode", _encoder_of(kind.of, self.version, self.flexible))
            self.line(f"{data} = {size} + join([{encode}(one) for one in {found}])")
        self.indent -= kind.nullable
        self.part(data)

    def part(self, text: str) -> None:
        self.flush()
        self.parts.append(text)

    def flush(self) -> None:
        """Turn the fixed fields gathered so far, and the prefix before the first, into one part."""
        if self.packed:
            codes = ">" + f"{len(self.constant)}s" * bool(self.constant) + "".join(code for code, _ in self.packed)
            values = [self.name("constant", self.constant)] * bool(self.constant)
            values += [access for _, access in self.packed]
            self.parts.append(f"{self.name('pack', struct.Struct(codes).pack)}({', '.join(values)})")
        elif self.constant:
            self.parts.append(self.name("constant", self.constant))
        self.constant, self.packed = b"", []


class _Decoding(_Text):
    """The text of a reader: `data`, `p` (the position, which only grows) and `end` are its locals."""

    def __init__(self, version: int, flexible: bool) -> None:
        super().__init__(version, flexible)
        self.packed: list[tuple[Fixed, str]] = []
        self.mapped: list[str] = []
        """Lines that turn fixed fields, once unpacked, into what they are here."""

    def struct(self, declared: Struct[Any], *, ends: bool = False) -> str:
        """Read all fields into locals; returns the expression that makes the value of them. `ends`: up to `end`."""
        values: dict[str, str] = {}
        tagged: list[tuple[int, Field, str]] = []
        for one in declared.fields:
            if not one.is_in(self.version):
                values[one.name] = self.name("default", one.default)
            elif one.tag is None:
                values[one.name] = self.value(one.type)
            else:
                values[one.name] = self.name("tagged")
                tagged.append((one.tag, one, values[one.name]))
        self.flush()
        if declared.keeps_tags:
            values["tags"] = self.name("tags")
            self.line(f"{values['tags']} = ()")
        for _, one, local in tagged:
            self.line(f"{local} = {self.name('default', one.default)}")
        if self.flexible:
            self._tagged(tagged, values.get("tags"), ends=ends)
        make = self.name("cls", declared.cls)
        order = getattr(declared.cls, "__match_args__", ())
        if set(order) == values.keys():
            return f"{make}({', '.join(values[name] for name in order)})"
        return f"{make}({', '.join(f'{name}={local}' for name, local in values.items())})"

    def _tagged(self, tagged: list[tuple[int, Field, str]], tags: str | None, *, ends: bool) -> None:
        self.line("p += 1")
        self.line("if data[p - 1]:")
        self.indent += 1
        if ends and tags and not tagged:
            self.line(f"{tags} = known_tags(data[p - 1:end])")
            self.line(f"if {tags} is None: {tags}, p = read_last_tags(data, p - 1, end)")
            self.line("else: p = end")
            self.indent -= 1
            return
        found = self.name("found")
        self.line(f"{found}, p = read_tags(data, p - 1, end)")
        if tags and not tagged:
            self.line(f"{tags} = tuple([(tag, data[at:stop]) for tag, at, stop in {found}])")
            self.indent -= 1
            return
        if not tagged:
            self.indent -= 1
            return
        if tags:
            self.line(f"{tags} = []")
        self.line(f"for tag, at, stop in {found}:")
        self.indent += 1
        word = "if"
        for tag, one, local in tagged:
            read = self.name("read", _reader_of(one.type, self.version, self.flexible))
            self.line(f"{word} tag == {tag}:")
            self.line(f"    {local}, at = {read}(data, at, stop)")
            self.line("    if at != stop: raise ValueError")
            word = "elif"
        if tags:
            self.line("else:")
            self.line(f"    {tags}.append((tag, data[at:stop]))")
        self.indent -= 1
        if tags:
            self.line(f"{tags} = tuple({tags})")
        self.indent -= 1

    def value(self, kind: Type) -> str:
        """Read one value; returns the local that will hold it once pending fixed fields are flushed."""
        local = self.name("field")
        if isinstance(kind, Fixed):
            self.packed.append((kind, local))
            return local
        if isinstance(kind, Mapped):
            on_wire = self.value(kind.of)
            self.mapped.append(self._mapping(kind, on_wire, local))
            if not isinstance(kind.of, Fixed):
                self.flush()
            return local
        self.flush()
        match kind:
            case String() | Bytes():
                self._sized(kind, local)
            case Array():
                self._array(kind, local)
            case Nullable():
                self.line("p += 1")
                self.line(f"if data[p - 1] > 127: {local} = None")
                self.line("else:")
                self.indent += 1
                self.line(f"{local} = {self.struct(kind.of)}")
                self.indent -= 1
            case Struct():
                self.line(f"{local} = {self.struct(kind)}")
        return local

    def _mapping(self, kind: Mapped, on_wire: str, local: str) -> str:
        if kind.none is not None:
            return f"{local} = None if {on_wire} == {kind.none} else {on_wire}"
        if isinstance(kind.from_wire, EnumMeta):  # a KeyError trips, and the table words it
            members: dict[Any, Any] = {member.value: member for member in list[Any](kind.from_wire)}
            return f"{local} = {self.name('members', members)}[{on_wire}]"
        return f"{local} = {self.name('from_wire', kind.from_wire)}({on_wire})"

    def _size(self, local: str, code: str) -> None:
        """Read a length or count, plus one, into `local`; 0 is null.

        How much is left needs no look: slices never run past the data, and the final position tells.
        """
        if self.flexible:
            self.line(f"{local} = data[p]; p += 1")
            self.line(f"if {local} > 127:")
            self.line("    high = data[p]; p += 1")
            self.line(f"    if high < 128: {local} = high << 7 | {local} & 127")
            self.line(f"    else: {local}, p = read_uvarint(data, p - 2)")
            if code == "h":
                self.line(f"    if {local} > {STRING_SIZE_MAX + 1}: raise ValueError")
        else:
            self.line(f"{local} = unpack_from('>{code}', data, p)[0] + 1; p += {struct.calcsize('>' + code)}")
            self.line(f"if {local} < 0: raise ValueError")

    def _null(self, kind: String | Bytes | Array, size: str, local: str) -> None:
        """Part null from what is there, which follows."""
        if kind.nullable:
            self.line(f"if not {size}: {local} = None")
            self.line("else:")
            self.indent += 1
        else:
            self.line(f"if not {size}: raise ValueError")

    def _sized(self, kind: String | Bytes, local: str) -> None:
        size = self.name("size")
        text = isinstance(kind, String)
        self._size(size, "h" if text else "i")
        self._null(kind, size, local)
        self.line(f"{local} = data[p:(p := p + {size} - 1)]" + ".decode()" * text)
        self.indent -= kind.nullable

    def _array(self, kind: Array, local: str) -> None:
        size = self.name("size")
        self._size(size, "i")
        self._null(kind, size, local)
        self.line(f"{size} -= 1")
        if kind.of is UUID:
            stop = self.name("stop")
            self.line(f"{stop} = p + {size} * 16")
            self.line(f"if {stop} > end: raise ValueError")
            self.line(f"{local} = tuple([data[at:at + 16] for at in range(p, {stop}, 16)])")
            self.line(f"p = {stop}")
        elif isinstance(kind.of, Fixed):
            few = self.name("unpack", [struct.Struct(f">{count}{kind.of.code}").unpack_from for count in range(_FEW)])
            many = f"unpack_from('>%d{kind.of.code}' % {size}, data, p)"
            self.line(f"{local} = {few}[{size}](data, p) if {size} < {_FEW} else {many}")
            self.line(f"p += {size} * {kind.of.size}")
        else:
            read = self.name("read", _reader_of(kind.of, self.version, self.flexible))
            self.line(f"{local} = []")
            self.line(f"for _ in range({size}):")
            self.line(f"    element, p = {read}(data, p, end)")
            self.line(f"    {local}.append(element)")
            self.line(f"{local} = tuple({local})")
        self.indent -= kind.nullable

    def flush(self) -> None:
        """Unpack the fixed fields gathered so far with one call."""
        if [kind.code for kind, _ in self.packed] == ["b"]:
            local = self.packed.pop()[1]
            self.line(f"{local} = data[p]; p += 1")
            self.line(f"if {local} > 127: {local} -= 256")
        elif self.packed:
            layout = struct.Struct(">" + "".join(kind.code for kind, _ in self.packed))
            locals_ = ", ".join(local for _, local in self.packed)
            self.line(f"{locals_}, = {self.name('unpack', layout.unpack_from)}(data, p)")
            self.line(f"p += {layout.size}")
            self.packed = []
        for line in self.mapped:
            self.line(line)
        self.mapped = []


def _encoder_of(kind: Type, version: int, flexible: bool) -> Callable[[Any], bytes]:
    """What encodes an element or a tagged field, whatever its type."""
    text = _Encoding(version, flexible)
    text.value(kind, "value")
    function: Callable[[Any], bytes] = text.compile(
        "encode_element", "value", "return join(({parts},))", fallback="return by_table(value)", by_table=_begin_again
    )
    return function


def _reader_of(kind: Type, version: int, flexible: bool) -> Callable[[bytes, int, int], tuple[Any, int]]:
    """What reads an element or a tagged field, whatever its type."""
    text = _Decoding(version, flexible)
    local = text.value(kind)
    text.flush()
    function: Callable[[bytes, int, int], tuple[Any, int]] = text.compile(
        "read_element",
        "data, p, end",
        f"return {local}, p",
        fallback="return by_table(data, start, end)",
        by_table=_begin_again,
    )
    return function


_uvarint_again = lru_cache(maxsize=256)(encode_uvarint)
"""Tags' numbers are few."""


def _encode_tags(tags: Sequence[tuple[int, bytes]]) -> bytes:
    """As the table does; one tag, such as a record's origin, without its checks, for which there is nothing to do."""
    if len(tags) == 1:
        [(tag, data)] = tags
        return b"".join((b"\1", _uvarint_again(tag), _uvarint_again(len(data)), data))
    return table.encode_tags(tags)


def _read_tags(data: bytes, position: int, end: int) -> tuple[Sequence[tuple[int, int, int]], int]:
    """As the table does; one tag, number and size below 16,384, at once, its end left to the final position."""
    if data[position] == 1:
        tag, size, start = data[position + 1], data[position + 2], position + 3
        if tag > 127:
            tag, size, start = size << 7 | tag & 127, data[start], start + 1
        if size > 127:
            high = data[start]
            size, start = (high << 7 | size & 127, start + 1) if high < 128 else (1 << 14, start)
        if tag < 1 << 14 and size < 1 << 14:
            return ((tag, start, start + size),), start + size
    return table.read_tags(data, position, end)


_SECTIONS: dict[bytes, Tags] = {}
"""Whole tagged sections that ended a value: a connection's records all end with the same one, their origin."""
_SECTIONS_MAX = 1024
_SECTION_SIZE_MAX = 512


def _read_last_tags(data: bytes, position: int, end: int) -> tuple[Tags, int]:
    """The tagged section that ends a value, remembered; one that ends elsewhere shows in the final position."""
    found, after = _read_tags(data, position, end)
    tags = tuple([(tag, data[at:stop]) for tag, at, stop in found])
    if after == end and end - position <= _SECTION_SIZE_MAX:
        if len(_SECTIONS) >= _SECTIONS_MAX:
            _SECTIONS.clear()
        _SECTIONS[data[position:end]] = tags
    return tags, after


def _begin_again(*_: object) -> Any:
    """An inner function tripped: the table takes over from the outermost value, and so can name the whole path."""
    raise ValueError
