"""One client's bytes as requests, bounded at every step; knows no socket, and nothing of what the requests ask."""

import re
from collections import deque
from collections.abc import Iterator

import msgspec

from yakt.errors import RefusedError
from yakt.line.asks import Hello, Quit, ZooKeeperWord
from yakt.line.grammar import Request, is_plain, line_too_long, parse
from yakt.line.words import LINE_SIZE_MAX
from yakt.metadata.asked import Origin

REQUESTS_WAITING_MAX = 1024
RUNAWAY_SIZE_MAX = 1024 * 1024
"""Bytes without an LF that end the connection."""

_HTTP = re.compile(rb"[A-Za-z]{2,16} (?:/|\*|[A-Za-z]+://)")
_HTTP_VERSION = re.compile(rb" HTTP/[0-9.]+\r?$")
_ZOOKEEPER_WORDS = frozenset({b"ruok", b"srvr", b"mntr"})


class Conversation:
    """What one client has said and is not answered yet.

    `requests` are those understood (or refused), in order. Bytes come in by `feed`; more of them are wanted while
    `wants_input`. What cannot be a client of ours ends the conversation with one refusal, `is_over` then.
    """

    __slots__ = (
        "_first", "_lines", "_partial", "_plain", "_skipped", "has_ended", "is_over", "origin", "requests", "taken",
    )  # fmt: skip

    def __init__(self, address: str) -> None:
        self.origin = Origin(address=address)
        self.requests: deque[Request] = deque()
        self.taken = 0
        """Requests that were taken from `requests` and are not answered yet."""
        self.has_ended = False
        """The client sends no more."""
        self.is_over = False
        """Nothing that comes will be read: it quit, ended, or is none of ours."""
        self._partial = bytearray()
        self._skipped = 0
        """Bytes of an over-long line so far, or 0: the rest of it is skipped."""
        self._first = True
        """Until the first line is complete: it may show that this is no client of ours."""
        self._lines: Iterator[bytes] | None = None
        """Complete lines that were not looked at, because too many requests wait."""
        self._plain = False

    @property
    def wants_input(self) -> bool:
        """Whether to go on reading."""
        return not self.is_over and self._lines is None and len(self.requests) + self.taken < REQUESTS_WAITING_MAX

    @property
    def needs_attention(self) -> bool:
        """Whether there is something to do for it without another byte from the client."""
        return bool(self.requests) or self.is_over or self._lines is not None

    def feed(self, data: bytes) -> None:
        """Take in what was read, at most `LINE_SIZE_MAX` bytes at once."""
        assert len(data) <= LINE_SIZE_MAX
        if self.is_over:
            return
        if not (self._first or self._partial or self._skipped) and data.find(b"\n") == len(data) - 1:
            self._understand(data[:-1], plain=is_plain(data))  # one whole line, as from a client that waits for answers
            return
        if self._first and self._is_foreign(data):
            return
        end = data.rfind(b"\n")
        if end < 0:
            self._keep(data)
            return
        if self._skipped:
            start = data.index(b"\n") + 1
            self._skipped = 0
            if start > end:
                self._keep(data[start:])
                return
            lines = data[start:end]
        elif self._partial:
            lines = bytes(self._partial) + data[:end]
        else:
            lines = data[:end]
        self._partial.clear()
        self._first = False
        self._plain = is_plain(lines)
        self._lines = iter(lines.split(b"\n"))
        self.go_on()
        if end + 1 < len(data):
            self._keep(data[end + 1 :])

    def go_on(self) -> None:
        """Understand lines that were left because too many requests waited."""
        if self._lines is None:
            return
        room = REQUESTS_WAITING_MAX - len(self.requests) - self.taken
        while room > 0:
            line = next(self._lines, None)
            if line is None:
                self._lines = None
                break
            if self._understand(line, plain=self._plain):
                room -= 1
                if self.is_over:
                    return
        if self.has_ended:
            self.end()

    def _understand(self, line: bytes, *, plain: bool) -> bool:
        """Take in one line; whether it was a request."""
        request = parse(line, self.origin, plain=plain)
        if request is None:
            return False
        self.requests.append(request)
        ask = request.ask
        if type(ask) is Hello:
            if ask.client is not None:
                self.origin = msgspec.structs.replace(self.origin, client=ask.client)
        elif type(ask) is Quit or type(ask) is ZooKeeperWord:
            self._end()
        return True

    def end(self) -> None:
        """The client sends no more. A last line without its LF may be cut short, so it is refused."""
        self.has_ended = True
        if self.is_over or self._lines is not None:
            return
        if self._partial.strip(b" \t\r"):
            self._refuse_unended()
        self._end()

    def _end(self) -> None:
        self.is_over = True
        self._lines = None
        self._partial = bytearray()

    def _refuse_unended(self) -> None:
        refusal = RefusedError(
            "BAD_SYNTAX",
            "the last line does not end with LF, so it may be cut short: nothing of it was done",
            hint=r"end each line with LF: printf 'PING\n'",
            details={"col": len(bytes(self._partial).decode(errors="replace")) + 1},
        )
        self.requests.append(Request("", refusal))

    def _keep(self, data: bytes) -> None:
        """Take in the beginning of a line, or more of it."""
        if self.is_over:
            return
        if self._skipped:
            self._skipped += len(data)
        else:
            self._partial += data
            if len(self._partial) > LINE_SIZE_MAX + 1:  # a CR may still turn out to be the last
                self._skipped = len(self._partial)
                self._partial = bytearray()
                self._first = False
                self.requests.append(Request("", line_too_long()))
        if self._skipped > RUNAWAY_SIZE_MAX:
            self._end()

    def _is_foreign(self, data: bytes) -> bool:
        """Whether the first bytes are another protocol's; then one refusal says so, and the conversation is over.

        A ZooKeeper word needs no LF: those who send it do not end it with one.
        """
        head = bytes(self._partial[:256]) + data[:256]
        first_line = head.partition(b"\n")[0]
        if head[:1] == b"\x16":
            refusal = _foreign("TLS", "this port speaks plain lines, not TLS")
        elif head[:1] == b"\x00":
            refusal = _foreign("Kafka", "this is the line port, not a Kafka listener")
        elif _HTTP.match(first_line) or (b"\n" in head and _HTTP_VERSION.search(first_line)):
            refusal = _foreign("HTTP", "this port speaks lines, not HTTP")
        elif head in _ZOOKEEPER_WORDS:
            self.requests.append(Request("", ZooKeeperWord(head.decode())))
            self._end()
            return True
        else:
            return False
        self.requests.append(Request("", refusal))
        self._end()
        return True


def _foreign(protocol: str, message: str) -> RefusedError:
    return RefusedError(
        "BAD_SYNTAX", message, hint="nc HOST PORT, then type HELP", details={"col": 1, "protocol": protocol}
    )
