"""What a client asks of its connection rather than of the cluster."""

from typing import TypeAlias

import msgspec


class Hello(msgspec.Struct, frozen=True, gc=False):
    """HELLO. None leaves the connection's client name or reply form as it is."""

    client: str | None = None
    format: str | None = None


class Ping(msgspec.Struct, frozen=True, gc=False):
    """PING."""


class Help(msgspec.Struct, frozen=True, gc=False):
    """HELP; `topic` are the words after it, upper case."""

    topic: tuple[str, ...] = ()


class Quit(msgspec.Struct, frozen=True, gc=False):
    """QUIT."""


class Watch(msgspec.Struct, frozen=True, gc=False):
    """WATCH. `since` None: from now."""

    since: int | None = None
    kind: str | None = None
    match: str | None = None
    say: bool = False


class Unwatch(msgspec.Struct, frozen=True, gc=False):
    """UNWATCH. None: all of the connection's watches."""

    tag: str | None = None


class ZooKeeperWord(msgspec.Struct, frozen=True, gc=False):
    """`ruok`, `srvr` or `mntr`."""

    word: str


ConnectionAsk: TypeAlias = Hello | Ping | Help | Quit | Watch | Unwatch | ZooKeeperWord
