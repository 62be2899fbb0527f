"""How something is asked: who asks and why, what all commands share, and the line it came as."""

import msgspec

from yakt.metadata.commands import Command
from yakt.metadata.questions import NodeAsk, Query


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Who asks, and why: kept with the records (records.md §8). "" where nothing was said."""

    client: str = ""
    address: str = ""
    request: str = ""
    by: str = ""
    reason: str = ""


NO_ORIGIN = Origin()


class Options(msgspec.Struct, frozen=True, gc=False):
    """What all commands share (line-protocol.md §3).

    `read` is "fresh" (linearizable), "local"; `min_offset` is a write's `offset=` (an inclusive offset that must be
    applied), `at_offset` an exclusive end in the past. `if_offset`: refuse if the entity changed at or after it.
    """

    timeout_ms: int = 5000
    forward: bool = True
    check: bool = False
    if_offset: int | None = None
    read: str = "fresh"
    min_offset: int | None = None
    at_offset: int | None = None


DEFAULT_OPTIONS = Options()


class Asked(msgspec.Struct, frozen=True, gc=False):
    """One command as one client asked it. `line` is its text without tag, for forwarding: opaque here."""

    command: Command | Query | NodeAsk
    line: bytes = b""
    origin: Origin = NO_ORIGIN
    options: Options = DEFAULT_OPTIONS
