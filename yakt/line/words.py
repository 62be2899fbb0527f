"""One line of text as words and `key=value` pairs; knows the shape of a line and nothing of what any word means."""

import json
import re
from typing import NoReturn

import msgspec

from yakt.errors import RefusedError
from yakt.metadata.answers import Value

LINE_SIZE_MAX = 64 * 1024
"""Bytes of a request line, its LF not counted."""
REPLY_LINE_SIZE_MAX = 1024 * 1024
JSON_DEPTH_MAX = 32
INTEGER_DIGITS_MAX = 19
REPLY_DIGITS_MAX = 40
"""Digits of an integer that a client takes from a server: unsigned numbers of 64 bits have 20."""

TAG = re.compile(r"[A-Za-z0-9_-]{1,32}")
KEY = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_KEYED = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=")
# C1 controls (80 to 9f) are controls too: terminals obey them.
_BARE = re.compile(r'[^\x00-\x20"{}\[\]\x7f-\x9f]+')
_BLANKS = re.compile(r"[ \t]*")
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]')


class Words(msgspec.Struct, gc=False):
    """One line, taken apart. `columns` are those of `words`, `key_columns` those of `pairs`: characters, from 1.

    A bare word or JSON string is a str, a JSON array or object a list or dict; `key=` alone is "".
    """

    tag: str
    words: list[Value]
    columns: list[int]
    pairs: dict[str, Value]
    key_columns: dict[str, int]


def syntax_error(column: int, message: str, hint: str | None = None) -> RefusedError:
    """BAD_SYNTAX, as the protocol words it. `column` counts characters from 1."""
    return RefusedError("BAD_SYNTAX", message, hint=hint, details={"col": column})


class TaggedError(Exception):
    """A line that cannot be taken apart, and the tag that its error must carry."""

    def __init__(self, tag: str, refused: RefusedError) -> None:
        super().__init__(str(refused))
        self.tag = tag
        self.refused = refused


def decode(line: bytes) -> str:
    """UTF-8 without its line end. Raises RefusedError BAD_SYNTAX at the first character that is none."""
    if line.endswith(b"\r"):
        line = line[:-1]
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as exc:
        good = line[: exc.start].decode("utf-8")
        raise syntax_error(len(good) + 1, f"byte {line[exc.start]:#04x} is not UTF-8 here") from None


def split(text: str) -> Words:
    """Take one line apart, in linear time. Raises TaggedError, which carries a BAD_SYNTAX with `col=`."""
    tag = ""
    position = _end_of_blanks(text, 0)
    if text.startswith("@", position):
        found = TAG.match(text, position + 1)
        end = found.end() if found else position + 1
        if found is None or (end < len(text) and text[end] not in " \t"):
            message = "a tag is 1 to 32 letters, digits, _ or -"
            raise TaggedError("", syntax_error(end + 1, message))
        tag = found.group()
        position = _end_of_blanks(text, end)
    try:
        return _split_items(text, position, tag)
    except RefusedError as exc:
        raise TaggedError(tag, exc) from None


def _split_items(text: str, position: int, tag: str) -> Words:
    found = Words(tag, [], [], {}, {})
    end = len(text)
    while position < end:
        start = position
        keyed = _KEYED.match(text, position)
        if keyed:
            position = keyed.end()
        value: Value = ""
        if position < end and text[position] not in " \t":
            value, position = _value(text, position)
        if keyed is None:
            found.words.append(value)
            found.columns.append(start + 1)
        else:
            key = keyed.group(1)
            if key in found.pairs:
                raise syntax_error(start + 1, f"{key[:64]} is given twice")
            found.pairs[key] = value
            found.key_columns[key] = start + 1
        if position < end and text[position] not in " \t":
            raise _stray(text, position)
        position = _end_of_blanks(text, position)
    return found


def _end_of_blanks(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    assert found is not None  # it matches nothing as well
    return found.end()


def _stray(text: str, position: int) -> RefusedError:
    character = text[position]
    if character in '"{}[]':
        return syntax_error(position + 1, f"a bare word holds no {character}", hint="put the whole value in quotes")
    return syntax_error(
        position + 1, f"control character {ord(character):#04x}", hint=r"write \n and the like in quotes"
    )


def _value(text: str, position: int) -> tuple[Value, int]:
    """The value that starts here, and where it ends."""
    if text[position] in '"[{':
        return json_value(text, position)
    bare = _BARE.match(text, position)
    if bare is None:
        raise _stray(text, position)
    return bare.group(), bare.end()


def json_value(text: str, position: int, *, lenient: bool = False) -> tuple[Value, int]:
    """The JSON value that starts here, and where it ends. Raises RefusedError BAD_SYNTAX.

    `lenient`: integers may be longer than a request's, for who reads what a server says.
    """
    _check_depth(text, position)
    try:
        value, end = (_LENIENT_JSON if lenient else _JSON).raw_decode(text, position)
    except json.JSONDecodeError as exc:
        raise _json_error(exc, position) from None
    except _JsonLimitError as exc:
        raise syntax_error(position + 1, str(exc)) from None
    return value, end


def _json_error(exc: json.JSONDecodeError, position: int) -> RefusedError:
    if exc.msg.startswith("Unterminated string"):
        return syntax_error(exc.pos + 1, "unterminated string")
    if exc.pos >= len(exc.doc):
        return syntax_error(position + 1, "this JSON value is not closed")
    if exc.msg.startswith("Invalid control character"):
        return syntax_error(exc.pos + 1, "control character in a string", hint=r"write \n, \t or \u0000")
    return syntax_error(exc.pos + 1, f"bad JSON: {exc.msg[0].lower()}{exc.msg[1:]}")


def _check_depth(text: str, position: int) -> None:
    """Refuse what nests deeper than the limit before a recursive parser sees it."""
    if text[position] == '"':
        return
    depth = 0
    for found in _BRACKETS.finditer(text, position):
        token = found.group()
        if token in "[{":
            depth += 1
            if depth > JSON_DEPTH_MAX:
                raise syntax_error(found.start() + 1, f"JSON nests at most {JSON_DEPTH_MAX} deep")
        elif token in "]}":
            depth -= 1
            if depth <= 0:
                return


class _JsonLimitError(ValueError):
    """Good JSON that goes past a limit of ours."""


def _integer(digits: str, digits_max: int) -> int:
    if len(digits.lstrip("-")) > digits_max:
        raise _JsonLimitError(f"an integer has at most {digits_max} digits")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _JsonLimitError(f"{text[:32]} is out of range")
    return number


def _constant(name: str) -> NoReturn:
    raise _JsonLimitError(f"{name} is not JSON")


def _object(pairs: list[tuple[str, Value]]) -> dict[str, Value]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _JsonLimitError("a key is given twice in a JSON object")
    return value


class _Decoder(json.JSONDecoder):
    """JSON as the grammar has it: bounded numbers, no NaN, no key twice, no half of a surrogate pair."""

    def __init__(self, digits_max: int) -> None:
        super().__init__(
            parse_int=lambda digits: _integer(digits, digits_max),
            parse_float=_number,
            parse_constant=_constant,
            object_pairs_hook=_object,
            strict=True,
        )

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Value, int]:
        value, end = super().raw_decode(s, idx)
        # Only an escape can make a lone surrogate: what came as UTF-8 has none.
        if "\\u" in s[idx:end] and not _is_text(value):
            raise _JsonLimitError("half of a surrogate pair")
        return value, end


def _is_text(value: Value) -> bool:
    match value:
        case str():
            return not any("\ud800" <= character <= "\udfff" for character in value)
        case dict():
            return all(_is_text(key) and _is_text(item) for key, item in value.items())
        case list():
            return all(_is_text(item) for item in value)
        case _:
            return True


_JSON = _Decoder(INTEGER_DIGITS_MAX)
_LENIENT_JSON = _Decoder(REPLY_DIGITS_MAX)
