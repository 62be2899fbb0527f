"""Lines as a client writes them; nothing but the standard library, so that a one-shot client starts at once."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Argument: TypeAlias = "str | int | float | bool | Sequence[Argument] | Mapping[str, Argument] | None"

_KEYED = re.compile(r"[A-Za-z][A-Za-z0-9._-]*=")
_BARE = re.compile(r'[^\s\x00-\x20"{}\[\]\x7f-\x9f@#][^\s\x00-\x20"{}\[\]\x7f-\x9f]*')


def format_argument(value: Argument) -> str:
    """A value as a request takes it: text bare where it can be, `none` nothing, lists and objects as JSON."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            return value if _BARE.fullmatch(value) else json.dumps(value, ensure_ascii=not value.isprintable())
        case None:
            return ""
        case _:
            return json.dumps(value, separators=(",", ":"))


def line_of_arguments(arguments: Sequence[str]) -> str:
    """The line that a shell's arguments stand for: each is one word or `key=value`, quoted where it must be.

    What is JSON already (`assignment=[[1,2]]`) stays as it is, so a line may be given as its own words.
    """
    return " ".join(_item(argument) for argument in arguments)


def _item(argument: str) -> str:
    keyed = _KEYED.match(argument)
    key = keyed.group() if keyed else ""
    value = argument[len(key) :]
    if keyed and not value:
        return key
    if value[:1] in ('"', "[", "{") and _is_json(value):
        return argument
    if not keyed and _KEYED.match(value):
        return json.dumps(value)
    return key + format_argument(value)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return "\n" not in text
