"""One line of the line protocol from the command line: `yakt topic create orders partitions=6 --server 127.0.0.1:7201`.

Knows no command: the server does. Only when none can be reached, or an outcome is unknown, is the grammar asked what
the line would have been, so that the usual case starts in tens of milliseconds.
"""

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence

import attrs

from yakt.address import Address
from yakt.line.requests import line_of_arguments

DONE, REFUSED, USAGE, NOT_REACHED, UNKNOWN, TROUBLE = range(6)
"""Exit statuses, as the protocol has them."""

DEFAULT_SERVERS = "127.0.0.1:7201,127.0.0.1:7202,127.0.0.1:7203"
CONNECT_TIMEOUT = 2.0
SECRET = "password="
"""Where nothing follows, it is asked for."""
PAUSE = 0.1
"""Before a server is asked again that said to retry, seconds."""
PATIENCE = 5.0
"""How long that goes on, seconds: as long as a server itself waits for a leader."""


class UsageError(Exception):
    """The arguments make no line, or name no server."""


class _LostError(Exception):
    """The connection ended before the reply did. `printed`: some of it stands on standard output."""

    printed = False


@attrs.frozen
class _Asked:
    line: str
    servers: tuple[Address, ...]
    as_json: bool


@attrs.frozen
class _End:
    """The last line of a reply: `OK` or `ERR`, and what of it decides how we exit."""

    ok: bool
    code: str
    text: str
    maybe: bool
    retry: bool
    ready: bool


def run(words: Sequence[str]) -> int:
    """Send the line these words make to the first server that answers; print the reply; the exit status."""
    if words[0].lower() == "help" or not {"-h", "--help"}.isdisjoint(words):
        return _help([word for word in words if not word.startswith("-") and word.lower() != "help"])
    try:
        asked = _parse(words)
    except UsageError as exc:
        print(f"yakt: {exc}", file=sys.stderr)
        return USAGE
    return _ask(asked)


def _parse(words: Sequence[str]) -> _Asked:
    items: list[str] = []
    servers = ""
    as_json = False
    rest = iter(words)
    for word in rest:
        if word == "--json":
            as_json = True
        elif word == "--server" or word.startswith("--server="):
            servers = word[9:] if word[8:9] == "=" else next(rest, "")
            if not servers:
                raise UsageError("--server: an address is needed, HOST:PORT")
        elif word == "--":
            items += rest
        elif word.startswith("-"):
            raise UsageError(f"no option {word}; there are --server HOST:PORT[,HOST:PORT…] and --json")
        else:
            items.append(word)
    if not items:
        raise UsageError("which command?")
    items = [f"{SECRET}{json.dumps(_read_secret())}" if item == SECRET else item for item in items]
    return _Asked(line_of_arguments(items), parse_servers(servers), as_json)


def _read_secret() -> str:
    """What stands neither in a shell's history nor in a list of processes: typed unseen, or a line of input."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("password: ")
    return sys.stdin.readline().rstrip("\n")


def parse_servers(text: str) -> tuple[Address, ...]:
    """Addresses, separated by commas; "" for those of `$YAKT_SERVER`, or the usual ones. Raises UsageError."""
    text = text or os.environ.get("YAKT_SERVER", "") or DEFAULT_SERVERS
    try:
        servers = tuple(Address.parse(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as exc:
        raise UsageError(f"--server, $YAKT_SERVER: {exc}") from None
    if not servers:
        raise UsageError("--server, $YAKT_SERVER: an address is needed, HOST:PORT")
    return servers


def _ask(asked: _Asked) -> int:
    """Try the servers in turn, and again while they say that it is worth it and that nothing was applied."""
    until = time.monotonic() + PATIENCE
    reasons: dict[Address, str] = {}
    end: _End | None = None
    while True:
        is_worth_it = False
        for server in asked.servers:
            try:
                end = _ask_one(asked, server)
            except OSError as exc:
                reasons[server] = exc.strerror or str(exc)
                continue
            except _LostError as exc:
                reasons[server] = "lost before it answered"
                if not _is_safe_to_repeat(asked.line):
                    print(f"yakt: {server} was {reasons[server]}; it may have been done", file=sys.stderr)
                    return UNKNOWN
                if exc.printed:
                    print(f"yakt: {server} was {reasons[server]} in full", file=sys.stderr)
                    return NOT_REACHED
            else:
                if end.code != "NOT_LEADER" or not end.retry or end.maybe or "forward=false" in asked.line:
                    return _tell(asked, end)
            is_worth_it = True
        if not is_worth_it or time.monotonic() > until:
            break
        time.sleep(PAUSE)
    if end is not None:
        return _tell(asked, end)
    usage = _usage_fault(asked.line)
    if usage is not None:
        print(usage, file=sys.stderr)
        return USAGE
    told = "; ".join(f"{server}: {reason}" for server, reason in reasons.items())
    print(f"yakt: no server answers ({told})", file=sys.stderr)
    return NOT_REACHED


def _ask_one(asked: _Asked, server: Address) -> _End:
    """The end of the reply; its other lines are printed as they come. Raises OSError if nothing was sent."""
    with socket.create_connection((server.host, server.port), timeout=CONNECT_TIMEOUT) as sock:
        sock.settimeout(None)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greeting = "HELLO 1 format=json\n" if asked.as_json else ""
        sock.sendall(f"{greeting}{asked.line}\n".encode())
        lines = _lines(sock)
        printed = False
        try:
            if greeting:
                next(lines)
            for line in lines:
                end = _end_of(line, as_json=asked.as_json)
                if end is not None and not (end.ok and asked.line.lower().startswith("watch")):
                    return end
                _print(line, as_json=asked.as_json)
                printed = True
        except _LostError as exc:
            exc.printed = printed
            raise
    raise AssertionError  # lines end only by an exception


def _lines(sock: socket.socket) -> Iterator[str]:
    """Lines as they come. Raises _LostError when the server hangs up."""
    try:
        with sock.makefile("rb") as stream:
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                yield line.decode()
    except OSError:
        pass
    raise _LostError


def _end_of(line: str, *, as_json: bool) -> _End | None:
    text = line.rstrip("\n")
    if as_json:
        pairs = json.loads(text)
        if pairs["_"] not in ("ok", "err"):
            return None
        return _End(
            pairs["_"] == "ok",
            str(pairs.get("code", "")),
            text,
            pairs.get("applied") == "maybe",
            pairs.get("retry") is True,
            pairs.get("ready") is not False,
        )
    word, _, rest = text.partition(" ")
    if word not in ("OK", "ERR"):
        return None
    words = rest.split(" ")
    return _End(
        word == "OK",
        words[0] if word == "ERR" else "",
        text,
        "applied=maybe" in words,
        "retry=true" in words,
        "ready=false" not in words,
    )


def _print(line: str, *, as_json: bool) -> None:
    """A line of a reply, as it is; text for people without the blanks that mark it."""
    sys.stdout.write(line[2:] if line.startswith("  ") and not as_json else line)
    sys.stdout.flush()


def _tell(asked: _Asked, end: _End) -> int:
    """Print the end of the reply; the exit status it stands for."""
    print(end.text, file=sys.stdout if end.ok or asked.as_json else sys.stderr)
    return exit_status(ok=end.ok, code=end.code, maybe=end.maybe, ready=end.ready)


def exit_status(*, ok: bool, code: str, maybe: bool, ready: bool) -> int:
    """What a reply's end stands for: `maybe` as `applied=` says, `ready` unless HEALTH says otherwise."""
    if ok:
        return DONE if ready else TROUBLE
    if maybe:
        return UNKNOWN
    return {"UNKNOWN_COMMAND": USAGE, "BAD_SYNTAX": USAGE, "NO_LEADER": NOT_REACHED}.get(code, REFUSED)


def _help(words: Sequence[str]) -> int:
    """What HELP says of a command in this release; no server is asked."""
    from yakt.line.help import help_lines  # as below

    lines = help_lines(words)
    if not lines:
        print(_usage_fault(" ".join(words)), file=sys.stderr)
        return USAGE
    print("\n".join(lines))
    return DONE


def _usage_fault(line: str) -> str | None:
    """What is wrong with the line, as far as this release knows."""
    from yakt.line.grammar import usage_fault  # a tenth of a second, so only when it is needed

    return usage_fault(line)


def _is_safe_to_repeat(line: str) -> bool:
    from yakt.line.grammar import is_safe_to_repeat  # as above

    return is_safe_to_repeat(line)
