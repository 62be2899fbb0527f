"""Text to command and back: what one line asks, what one result says; also the language of the shell and the CLI.

Pure. A line is read in two steps: `words` takes it apart, this module binds the parts to the command's declaration.
What most lines of a loaded server look like, `CONFIG SET` and `CONFIG GET` in plain ASCII, goes a short way past both
(hot-path.md §3); the tests hold the two ways to the same answers.
"""

import json
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from yakt.errors import RefusedError
from yakt.line.arguments import ENTITY_KINDS
from yakt.line.asks import ConnectionAsk
from yakt.line.declarations import COMMANDS
from yakt.line.registry import WORD_SIZE_MAX, Argument, CommandSpec, FreeOptions, Option, near
from yakt.line.replies import format_end, format_reply, parse_reply
from yakt.line.shared import ORIGIN_KEYS, SHARED_KEYS, keys_of, option_of
from yakt.line.words import KEY, LINE_SIZE_MAX, TAG, TaggedError, Words, decode, split
from yakt.metadata.answers import Result, Value
from yakt.metadata.asked import DEFAULT_OPTIONS, NO_ORIGIN, Asked, Options, Origin
from yakt.metadata.commands import SetConfigs
from yakt.metadata.entities import Entity
from yakt.metadata.questions import CreateSnapshot, GetConfigs, NodeAsk, TransferLeadership

Asks: TypeAlias = Asked | ConnectionAsk | RefusedError

RARE = bytes(byte for byte in range(256) if (byte < 0x20 and byte != 0x0A) or byte >= 0x7F) + b'"{}[]'
"""Bytes that want the general parser."""

_LOOKING: frozenset[type] = frozenset(NodeAsk.__args__) - {TransferLeadership, CreateSnapshot}
"""Asks of a node that change nothing."""


def is_plain(chunk: bytes) -> bool:
    """Whether all lines of these bytes may go the short way: printable ASCII, blanks, and nothing that quotes."""
    return len(chunk.translate(None, RARE)) == len(chunk)


class Request(msgspec.Struct, frozen=True, gc=False):
    """One line: its tag ("" if none), and what it asks, or why it cannot be understood."""

    tag: str
    ask: Asks


def parse(line: bytes, origin: Origin = NO_ORIGIN, *, plain: bool = False) -> Request | None:
    """Read one line without its LF. None for a blank line or comment; never raises.

    `plain`: the caller knows `is_plain` of it. `origin` is who sent it, as far as the connection knows.
    """
    if plain:
        tag = ""
        body = line
        if line.startswith(b"@"):
            word, _, body = line.partition(b" ")
            tag = word[1:].decode("ascii")
        if not tag or TAG.fullmatch(tag):
            asked = _short_way(body, origin)
            if asked is not None:
                return Request(tag, asked)
    try:
        if len(line) > LINE_SIZE_MAX + line.endswith(b"\r"):
            raise line_too_long()
        text = decode(line)
    except RefusedError as exc:
        return Request("", exc)
    stripped = text.lstrip(" \t")
    if not stripped or stripped[0] == "#":
        return None
    try:
        words = split(text)
    except TaggedError as exc:
        return Request(exc.tag, exc.refused)
    try:
        return Request(words.tag, _understand(words, _without_tag(stripped, words.tag), origin))
    except RefusedError as exc:
        return Request(words.tag, exc)


def parse_forwarded(line: bytes, *, client: str, address: str) -> Asked | RefusedError:
    """Read a command that another node took in from that client; a refusal for whatever is none of the service."""
    request = parse(line, Origin(client, address), plain=is_plain(line))
    if request is None or not isinstance(request.ask, Asked | RefusedError):
        return RefusedError("INVALID_REQUEST", f"not a command to forward: {line[:80]!r}", kafka=42)
    return request.ask


def format_result(result: Result) -> bytes:
    """A result as opaque bytes; `parse_result` makes an equal one of them."""
    return format_reply(result).encode()


def parse_result(text: bytes) -> Result:
    """The reverse of `format_result`. Raises RemoteProtocolError for anything else."""
    return parse_reply(text)


def line_too_long() -> RefusedError:
    """LINE_TOO_LONG, as the protocol words it."""
    return RefusedError(
        "LINE_TOO_LONG",
        f"a line has at most {LINE_SIZE_MAX} bytes",
        hint="nothing of it was done; the next line is read as usual",
    )


# --- the short way ----------------------------------------------------------------------------------------------------

_LOCAL = Options(read="local")
_settable_keys: set[str] = set()
_SETTABLE_KEYS_MAX = 4096


def _is_settable(key: str) -> bool:
    """Whether `key=` in CONFIG SET is a config and no option. Kept for the keys that come again, up to a bound."""
    if not KEY.fullmatch(key) or key in SHARED_KEYS:
        return False
    if len(_settable_keys) < _SETTABLE_KEYS_MAX and len(key) < 256:
        _settable_keys.add(key)
    return True


def _short_way(line: bytes, origin: Origin) -> Asked | None:
    """A plain CONFIG SET of one key, or a CONFIG GET, plain or local; None leaves the line to the general parser."""
    words = line.decode("ascii").split(" ", 3)
    if words[0] != "CONFIG" or len(words) < 3:
        return None
    kind, _, name = words[2].partition("/")
    if kind not in ENTITY_KINDS or kind == "broker" or not name or len(line) > LINE_SIZE_MAX:
        return None
    if len(words) == 3:
        return Asked(GetConfigs(Entity(kind, name)), line, origin) if words[1] == "GET" else None
    if words[1] == "GET":
        return Asked(GetConfigs(Entity(kind, name)), line, origin, _LOCAL) if words[3] == "read=local" else None
    key, equals, value = words[3].partition("=")
    if words[1] != "SET" or not equals or " " in value or not (key in _settable_keys or _is_settable(key)):
        return None
    return Asked(SetConfigs(Entity(kind, name), ((key, value),)), line, origin) if len(value) <= 32767 else None


# --- the general way --------------------------------------------------------------------------------------------------


def _without_tag(stripped: str, tag: str) -> bytes:
    """The line as another node shall read it."""
    return (stripped[len(tag) + 1 :].lstrip(" \t") if tag else stripped).encode()


def _understand(words: Words, line: bytes, origin: Origin) -> Asked | ConnectionAsk:
    spec, count = find_command(words.words)
    fields = _bind_arguments(spec, words, count)
    shared: dict[str, object] = {}
    told: dict[str, object] = {}
    free: list[tuple[str, str]] = []
    for key, value in words.pairs.items():
        option = option_of(spec, key)
        if option is None:
            if spec.free is None or not key.startswith(spec.free.prefix) or len(key) == len(spec.free.prefix):
                raise _unknown_option(spec, key)
            free.append((key[len(spec.free.prefix) :], str(_read(spec, key, spec.free, value))))
            continue
        read = _read(spec, key, option, value)
        if key in ORIGIN_KEYS and spec.kind == "write":
            told[key] = read
        elif key in SHARED_KEYS and spec.option(key) is None and not (spec.paged and key in ("limit", "after")):
            shared[option.field or key] = read
        else:
            fields[option.field or key] = read
            if option.waits and "timeout" not in words.pairs:
                assert isinstance(read, int)
                shared["timeout_ms"] = DEFAULT_OPTIONS.timeout_ms + read
    if spec.free is not None:
        if spec.free.required and not free:
            raise _bad_argument(spec, "KEY", f"{spec.name} needs at least one KEY=VALUE")
        fields[spec.free.field] = tuple(free)
    for required in spec.options:
        if required.required and required.key not in words.pairs:
            raise _bad_argument(spec, required.key, f"{spec.name} needs {required.key}=")
    if spec.refuse is not None:
        try:
            spec.refuse(fields)
        except ValueError as exc:
            raise _bad_argument(spec, str(exc).partition("=")[0], str(exc)) from None
    command = spec.make(**fields)
    if spec.kind == "connection":
        return command  # type: ignore[return-value]  # what such a declaration makes
    return Asked(
        command,  # type: ignore[arg-type]  # what any other declaration makes
        line,
        msgspec.structs.replace(origin, **told) if told else origin,
        Options(**shared) if shared else DEFAULT_OPTIONS,  # type: ignore[arg-type]  # read by their declarations
    )


def find_command(words: Sequence[Value]) -> tuple[CommandSpec, int]:
    """The command that a line's words begin with, and how many of them name it. Raises RefusedError UNKNOWN_COMMAND."""
    upper = tuple(word.upper() if isinstance(word, str) else "" for word in words[:2])
    if upper and upper[0] == "?":
        return COMMANDS.get("HELP"), 1
    spec = COMMANDS.find(upper) if upper else None
    if spec is None:
        raise unknown_command(upper)
    return spec, len(spec.words)


def unknown_command(words: tuple[str, ...]) -> RefusedError:
    """UNKNOWN_COMMAND, with what was probably meant. `words`: the first two of the line, upper case."""
    if not words or not words[0]:
        return RefusedError(
            "UNKNOWN_COMMAND", "a line begins with the words of a command", hint="HELP", details={"command": ""}
        )
    name = COMMANDS.asked_name(words)
    details: dict[str, object] = {"command": name}
    meant = COMMANDS.near(words)
    if meant is not None and meant != name:
        details["did-you-mean"] = meant
    known = [spec.name for spec in COMMANDS.starting_with(words[:1])]
    if len(words) < 2 and known:
        message = f"{name} what? {', '.join(known)}"
    else:
        message = f"there is no command {name}"
    return RefusedError(
        "UNKNOWN_COMMAND", message, hint="HELP" if meant or not known else f"HELP {words[0]}", details=details
    )


def _bind_arguments(spec: CommandSpec, words: Words, count: int) -> dict[str, object]:
    given = words.words[count:]
    fields: dict[str, object] = {}
    place = 0
    for argument in spec.arguments:
        field = argument.field or argument.name
        if argument.repeated:
            rest = tuple(_read(spec, argument.name, argument, value) for value in given[place:])
            if not rest and argument.required:
                raise _bad_argument(spec, argument.name, f"{spec.name} needs {argument.name}")
            fields[field] = rest
            return fields
        if place < len(given):
            fields[field] = _read(spec, argument.name, argument, given[place])
            place += 1
        elif argument.required:
            raise _bad_argument(spec, argument.name, f"{spec.name} needs {argument.name}")
    if place < len(given):
        extra = given[place]
        shown = extra[:WORD_SIZE_MAX] if isinstance(extra, str) else json.dumps(extra)[:WORD_SIZE_MAX]
        column = words.columns[count + place]
        option = near(shown, keys_of(spec))
        if any(one.secret for one in spec.options):
            shown = ""  # it may be a part of the secret
        raise RefusedError(
            "BAD_ARGUMENT",
            f"{spec.name} takes no further word {f'{shown!r} ' if shown else ''}(column {column}): usage {spec.usage}",
            hint=f"{option}=" if option else f"HELP {spec.name}",
            details={"key": shown},
        )
    return fields


def _read(spec: CommandSpec, key: str, declared: Argument | Option | FreeOptions, value: Value) -> object:
    try:
        return declared.type.read(value)
    except ValueError as exc:
        raise _bad_argument(spec, key, f"{key[:64]} {exc}") from None


def _bad_argument(spec: CommandSpec, key: str, message: str) -> RefusedError:
    return RefusedError("BAD_ARGUMENT", message, hint=f"HELP {spec.name}", details={"key": key[:64]})


def _unknown_option(spec: CommandSpec, key: str) -> RefusedError:
    details: dict[str, object] = {"key": key[:64]}
    keys = keys_of(spec)
    meant = near(key.lower(), keys)
    if meant is None and spec.free is not None and spec.free.prefix and "." in key:
        meant = f"{spec.free.prefix}{key}"[: WORD_SIZE_MAX * 4]
    if meant is not None:
        details["did-you-mean"] = meant
    return RefusedError(
        "BAD_ARGUMENT", f"{spec.name} has no option {key[:64]}=", hint=f"HELP {spec.name}", details=details
    )


def usage_fault(line: str) -> str | None:
    """The `ERR` line that any server of this release would answer to it, or None if it is a command."""
    request = parse(line.encode())
    if request is None:
        return format_end(unknown_command(())).rstrip("\n")
    return format_end(request.ask).rstrip("\n") if isinstance(request.ask, RefusedError) else None


_SECRET_KEYS = tuple(f"{one.key}=" for spec in COMMANDS for one in spec.options if one.secret)


def holds_secret(line: str) -> bool:
    """Whether it may hold what is to be kept nowhere: whatever its form, for a line may be mistyped."""
    folded = line.lower()
    return any(key in folded for key in _SECRET_KEYS)


def is_safe_to_repeat(line: str) -> bool:
    """Whether doing it twice is as good as once: it writes nothing, or has a request id."""
    request = parse(line.encode())
    if request is None or not isinstance(request.ask, Asked):
        return True
    spec = find_command(split(line).words)[0]
    return spec.kind == "read" or type(request.ask.command) in _LOOKING or request.ask.origin.request != ""
