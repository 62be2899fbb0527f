"""What a person types at `yakt dev`, read into what it means. Pure."""

from typing import Literal, TypeAlias

import attrs

from yakt.errors import YaktError

HELP = """\
kill N      kill -9 node or broker N: it has no time for last words
stop N      end it in order (SIGTERM): a broker first hands over what it leads
start N     start it again, or let it go on if it is paused
pause N     stop it in its tracks (SIGSTOP), its connections open; resume N lets it go on
leader N    hand the leadership to node N
status      what each node says of itself, and which brokers run
help        this
quit        stop everything (Ctrl-C too)
Any other line goes to the cluster as a line of its protocol, for instance

  broker register 11 host=localhost port=9092 session=3600000
  broker heartbeat 11
  topic create orders partitions=3
  ?           (its own help)"""


@attrs.frozen
class OnProcess:
    """Do something to one node, or, but for `leader`, one broker."""

    verb: Literal["kill", "stop", "start", "pause", "resume", "leader"]
    id: int


@attrs.frozen
class Ours:
    """Something that needs no node."""

    verb: Literal["status", "help", "quit"]


@attrs.frozen
class ForCluster:
    """A line of the protocol."""

    line: str


Typed: TypeAlias = OnProcess | Ours | ForCluster | None


class TypedError(YaktError):
    """One of our own commands, typed wrongly."""


def read_typed(text: str) -> Typed:
    """One line as it was typed; None if nothing was. Raises TypedError."""
    words = text.split()
    match [word.lower() for word in words]:
        case []:
            return None
        case [("kill" | "stop" | "start" | "pause" | "resume" | "leader") as verb, *rest]:
            if len(rest) != 1 or not rest[0].isascii() or not rest[0].isdigit() or len(rest[0]) > 9:
                raise TypedError(f"{verb} which one? For instance: {verb} 2")
            return OnProcess(verb, int(rest[0]))
        case [("status" | "help" | "quit") as verb]:
            return Ours(verb)
        case ["exit"]:
            return Ours("quit")
        case _:
            return ForCluster(text.strip())
