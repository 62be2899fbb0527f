"""Replies and events as text, both ways: what a server says and what a client reads; in `kv` or `json` form."""

import functools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from yakt.errors import NotLeaderError, RefusedError, RemoteProtocolError
from yakt.ids import NodeId
from yakt.line.words import KEY, REPLY_DIGITS_MAX, REPLY_LINE_SIZE_MAX, TAG, decode, json_value
from yakt.metadata.answers import Answer, Pairs, Result, Row, Value

Form: TypeAlias = Literal["kv", "json"]
LineKind: TypeAlias = Literal["ok", "err", "data", "event", "text"]

_BARE = re.compile(r'[^\s"{}\[\],\x00-\x20\x7f-\xa0]+')
_PLAIN = re.compile(r"[!#-+\--Z\\^-z|~]+")
"""The ASCII part of `_BARE`: most values, found out in a quarter of the time."""
# Whatever a lenient reader might take for a number, true, false or null: a string of that look is quoted.
_NUMBERLIKE = re.compile(
    r"[+-]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:e[+-]?[0-9]+)?|0x[0-9a-f]+|[+-](?:nan|inf|infinity)",
    re.IGNORECASE,
)
_LITERALS = frozenset({"true", "false", "null", "none", "nan", "inf", "infinity"})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SEPARATORS = (",", ":")
NAME_SIZE_MAX = 64


def _format_text(value: str) -> str:
    if len(value) > 8 and value.isalnum() and value[0].isalpha():
        return value  # as many are; this is quicker than what follows
    if _PLAIN.fullmatch(value) or (_BARE.fullmatch(value) and value.isprintable()):
        if value[0] in "+-.0123456789":
            if not _NUMBERLIKE.fullmatch(value):
                return value
        elif len(value) > 8 or value.lower() not in _LITERALS:
            return value
    return json.dumps(value, ensure_ascii=not value.replace("\n", "").isprintable())


_format_name = functools.lru_cache(4096)(_format_text)
"""For the short ones, which come again."""


def format_value(value: Value) -> str:
    """One value of a reply: bare where that cannot be misread, else JSON."""
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        return _format_name(value) if len(value) <= NAME_SIZE_MAX else _format_text(value)
    if value is True:
        return "true"
    if value is False:
        return "false"
    if value is None:
        return "null"
    if isinstance(value, int):
        return str(value)
    return _json(value)


def _json(value: object) -> str:
    """JSON on one line, which no terminal and no splitter of lines can misread."""
    text = msgspec.json.encode(value).decode()
    return text if text.isprintable() else json.dumps(value, separators=_SEPARATORS)


def _words(pairs: Pairs) -> str:
    text = ""
    for key, value in pairs.items():
        text += f" {key}={value}" if type(value) is int else f" {key}={format_value(value)}"
    return text


def error_pairs(error: RefusedError) -> Pairs:
    """The pairs of an `ERR` line, in order: `kafka=`, the details, `msg=`, `hint=`, `near=`, `retry=`, `applied=`."""
    pairs: Pairs = {}
    if error.kafka is not None:
        pairs["kafka"] = error.kafka
    details = dict(error.details)
    near = details.pop("near", None)
    pairs.update(details)  # type: ignore[arg-type]  # details are Values by their construction
    pairs["msg"] = error.message
    if error.hint is not None:
        pairs["hint"] = error.hint
    if near:
        pairs["near"] = near  # type: ignore[assignment]
    pairs["retry"] = error.retry
    pairs["applied"] = "maybe" if error.maybe else "no"
    return pairs


def format_row(row: Row, tag: str = "", form: Form = "kv") -> str:
    """One data or text line of a reply, with its LF. Values that make it too long are left out; `cut=` names them."""
    tagged = f"@{tag} " if tag else ""
    if form == "json":
        line = _json_line(row.kind, row.pairs, tag)
    elif row.kind == "text":
        return f"{tagged}  {row.pairs['text']}\n"
    else:
        line = f"{tagged}- {row.kind}{_words(row.pairs)}\n"
    if len(line) > REPLY_LINE_SIZE_MAX // 4 and len(line.encode()) > REPLY_LINE_SIZE_MAX:
        cut = [key for key, value in row.pairs.items() if len(_json(value)) > 1024] or list(row.pairs)
        short: Pairs = {key: value for key, value in row.pairs.items() if key not in cut}
        return format_row(Row(row.kind, {**short, "cut": cut}), tag, form)
    return line


def format_end(result: Result, tag: str = "", form: Form = "kv") -> str:
    """The last line of a reply, `OK` or `ERR`, with its LF."""
    if isinstance(result, Answer):
        if form == "json":
            return _json_line("ok", result.pairs, tag)
        if not tag and len(result.pairs) == 1 and type(offset := result.pairs.get("offset")) is int:
            return f"OK offset={offset}\n"  # most writes, and they are the hot path
        return f"{f'@{tag} ' if tag else ''}OK{_words(result.pairs)}\n"
    pairs = error_pairs(result)
    if form == "json":
        return _json_line("err", {"code": result.code, **pairs}, tag)
    return f"{f'@{tag} ' if tag else ''}ERR {result.code}{_words(pairs)}\n"


def format_reply(result: Result, tag: str = "", form: Form = "kv") -> str:
    """A whole reply, each line with its LF."""
    if isinstance(result, Answer) and result.rows:
        lines = [format_row(row, tag, form) for row in result.rows]
        lines.append(format_end(result, tag, form))
        return "".join(lines)
    return format_end(result, tag, form)


def format_reply_slices(result: Answer, tag: str, form: Form, rows_a_slice: int) -> Iterator[str]:
    """A long reply piece by piece, so that no other client waits for the whole of it."""
    for start in range(0, len(result.rows), rows_a_slice):
        yield "".join([format_row(row, tag, form) for row in result.rows[start : start + rows_a_slice]])
    yield format_end(result, tag, form)


def format_event(kind: str, pairs: Pairs, tag: str = "", form: Form = "kv") -> str:
    """One event line, with its LF."""
    if form == "json":
        return _json_line(kind, {"event": True, **pairs}, tag)
    return f"{f'@{tag} ' if tag else ''}* {kind}{_words(pairs)}\n"


def _json_line(kind: str, pairs: Pairs, tag: str) -> str:
    line: Pairs = {"_": kind}
    if tag:
        line["tag"] = tag
    line.update(pairs)
    return _json(line) + "\n"


# --- reading them -----------------------------------------------------------------------------------------------------


class ReplyLine(msgspec.Struct, frozen=True, gc=False):
    """One line that a server said. `name` is the kind of a data or event line, the code of an `ERR`, else ""."""

    kind: LineKind
    name: str
    pairs: Pairs
    tag: str = ""

    @property
    def is_end(self) -> bool:
        """Whether a reply ends with it."""
        return self.kind in ("ok", "err")


def parse_reply_line(line: bytes) -> ReplyLine:
    """Read one line in `kv` form, with or without its LF. Raises RemoteProtocolError for anything else."""
    try:
        text = decode(line.removesuffix(b"\n"))
        return _parse_reply(text)
    except RefusedError as exc:
        raise RemoteProtocolError(f"not a reply: {line[:80]!r}: {exc.message}") from None


def _parse_reply(text: str) -> ReplyLine:
    tag = ""
    if text.startswith("@"):
        tag, blank, text = text[1:].partition(" ")
        if not blank or not TAG.fullmatch(tag):
            raise RefusedError("BAD_SYNTAX", "a tag is needed after @")
    if text.startswith("  "):
        return ReplyLine("text", "", {"text": text[2:]}, tag)
    first, _, rest = text.partition(" ")
    if first == "OK":
        return ReplyLine("ok", "", _parse_pairs(rest), tag)
    kinds: dict[str, LineKind] = {"ERR": "err", "-": "data", "*": "event"}
    if first not in kinds:
        raise RefusedError("BAD_SYNTAX", "a reply line starts with OK, ERR, -, * or two spaces")
    name, _, rest = rest.partition(" ")
    if not name or "=" in name:
        raise RefusedError("BAD_SYNTAX", f"a word is needed after {first}")
    return ReplyLine(kinds[first], name, _parse_pairs(rest), tag)


def _parse_pairs(text: str) -> Pairs:
    pairs: Pairs = {}
    position = 0
    while position < len(text):
        if text[position] == " ":
            position += 1
            continue
        key = KEY.match(text, position)
        if key is None or not text.startswith("=", key.end()):
            raise RefusedError("BAD_SYNTAX", f"key= is needed at {text[position : position + 16]!r}")
        position = key.end() + 1
        if position < len(text) and text[position] in '"[{':
            value, position = json_value(text, position, lenient=True)
        else:
            bare = _BARE.match(text, position)
            word = bare.group() if bare else ""
            value, position = _literal(word), position + len(word)
        if position < len(text) and text[position] != " ":
            raise RefusedError("BAD_SYNTAX", f"a blank is needed at {text[position : position + 16]!r}")
        pairs[key.group()] = value
    return pairs


def _literal(word: str) -> Value:
    match word:
        case "true":
            return True
        case "false":
            return False
        case "null":
            return None
    if not _NUMBER.fullmatch(word):
        return word
    if len(word) > REPLY_DIGITS_MAX:
        raise RefusedError("BAD_SYNTAX", f"a number has at most {REPLY_DIGITS_MAX} characters")
    return int(word) if word.lstrip("-").isdigit() else float(word)


def error_of(code: str, pairs: Pairs) -> RefusedError:
    """The exception that an `ERR` line stands for."""
    rest = dict(pairs)
    message = str(rest.pop("msg", code))
    hint = rest.pop("hint", None)
    kafka = rest.pop("kafka", None)
    retry = rest.pop("retry", False) is True
    maybe = rest.pop("applied", "no") == "maybe"
    if code == "NOT_LEADER" and not maybe:
        leader, address = rest.get("leader"), rest.get("address")
        error = NotLeaderError(
            NodeId(leader) if isinstance(leader, int) else None, address if isinstance(address, str) else None, message
        )
        error.details = rest
        error.hint = hint if isinstance(hint, str) else None
        error.retry = retry
        return error
    return RefusedError(
        code,
        message,
        kafka=kafka if isinstance(kafka, int) else None,
        hint=hint if isinstance(hint, str) else None,
        retry=retry,
        maybe=maybe,
        details=rest,
    )


def result_of(lines: Sequence[ReplyLine]) -> Result:
    """The result that these lines of one reply tell. Raises RemoteProtocolError if the last one does not end it."""
    if not lines or not lines[-1].is_end:
        raise RemoteProtocolError("a reply without its OK or ERR")
    *rows, end = lines
    if end.kind == "err":
        return error_of(end.name, end.pairs)
    return Answer(end.pairs, [Row("text" if row.kind == "text" else row.name, row.pairs) for row in rows])


def parse_reply(text: bytes) -> Result:
    """One whole reply in `kv` form without tags, as `format_reply` makes it. Raises RemoteProtocolError."""
    return result_of([parse_reply_line(line) for line in text.split(b"\n") if line])


def parse_json_line(line: bytes) -> ReplyLine:
    """Read one line in `json` form. Raises RemoteProtocolError for anything else."""
    try:
        pairs = msgspec.json.decode(line, type=dict[str, object])
    except msgspec.DecodeError as exc:
        raise RemoteProtocolError(f"not a reply: {line[:80]!r}: {exc}") from None
    kind, tag = pairs.pop("_", None), pairs.pop("tag", "")
    if not isinstance(kind, str) or not isinstance(tag, str):
        raise RemoteProtocolError(f"not a reply: {line[:80]!r}: its kind is missing")
    values: Pairs = pairs  # type: ignore[assignment]  # what JSON holds are Values
    if kind == "err":
        return ReplyLine("err", str(values.pop("code", "")), values, tag)
    if kind in ("ok", "text"):
        return ReplyLine("ok" if kind == "ok" else "text", "", values, tag)
    if values.pop("event", False):
        return ReplyLine("event", kind, values, tag)
    return ReplyLine("data", kind, values, tag)
