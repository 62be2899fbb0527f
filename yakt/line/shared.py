"""The options that commands share, by kind (line-protocol.md §3): how they are read and what HELP says of them."""

from collections.abc import Mapping

from yakt.line.arguments import Boolean, Choice, Integer, Text
from yakt.line.registry import CommandSpec, Kind, Option

TIMEOUT_MS_MAX = 3_600_000
PAGE_LIMIT_MAX = 10_000

_TIMEOUT = Option(
    key="timeout", type=Integer(0, TIMEOUT_MS_MAX), text="how long to wait at most, ms; 5000", field="timeout_ms"
)
_FORWARD = Option(
    key="forward",
    type=Boolean(),
    text="false: a node that does not lead answers NOT_LEADER instead of asking the leader",
)
_REQUEST = Option(key="request", type=Text(128), text="an id of yours: a repeat is applied once and answered alike")
_CHECK = Option(key="check", type=Boolean(), text="true: show the records it would write, write nothing")
_IF_OFFSET = Option(
    key="if-offset", type=Integer(), text="a read's offset=: CONFLICT if changed at or after it", field="if_offset"
)
_BY = Option(key="by", type=Text(256), text="who wants it, kept with the records")
_REASON = Option(key="reason", type=Text(1024), text="why, kept with the records")
_READ = Option(key="read", type=Choice(("fresh", "local")), text="local: at once, from what this node has applied")
_MIN = Option(
    key="min", type=Integer(), text="a write's offset=: wait until this node has applied it", field="min_offset"
)
_AT = Option(key="at", type=Integer(), text="the past: everything below this offset", field="at_offset")

LIMIT = Option(key="limit", type=Integer(1, PAGE_LIMIT_MAX), text="lines a page; 1000")
AFTER = Option(key="after", type=Text(1024), text="the next= of the last page")
FULL = Option(key="full", type=Boolean(), text="true: with the offset= of each one's last change")
PAGING: Mapping[str, Option] = {option.key: option for option in (LIMIT, AFTER)}


def _by_key(*options: Option) -> Mapping[str, Option]:
    return {option.key: option for option in options}


SHARED: Mapping[Kind, Mapping[str, Option]] = {
    "write": _by_key(_REQUEST, _TIMEOUT, _CHECK, _IF_OFFSET, _FORWARD, _BY, _REASON),
    "read": _by_key(_READ, _MIN, _AT, _TIMEOUT, _FORWARD),
    "node": _by_key(_TIMEOUT, _FORWARD),
    "connection": {},
}
ORIGIN_KEYS = frozenset({"request", "by", "reason"})
"""Those that become part of an Origin; the others are fields of Options."""
SHARED_KEYS = frozenset(key for options in SHARED.values() for key in options)


def option_of(spec: CommandSpec, key: str) -> Option | None:
    """What `key=` means to this command: its own option, a page's, or a shared one."""
    own = spec.option(key)
    if own is not None:
        return own
    if spec.paged and key in PAGING:
        return PAGING[key]
    return SHARED[spec.kind].get(key)


def keys_of(spec: CommandSpec) -> list[str]:
    """All keys that this command takes, its own first."""
    keys = [option.key for option in spec.options]
    if spec.paged:
        keys += PAGING
    return keys + [key for key in SHARED[spec.kind] if key not in keys]
