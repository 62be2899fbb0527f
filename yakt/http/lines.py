"""POST /v1/lines: lines of the line protocol in, JSON lines out, in their order; a bounded number of each at a time."""

from collections.abc import AsyncIterator, Iterator, Sequence

from yakt.errors import RefusedError
from yakt.line.asks import Hello, Help, Ping
from yakt.line.grammar import Request, parse
from yakt.line.help import answer_help
from yakt.line.replies import format_end, format_row
from yakt.metadata.answers import Answer, Result
from yakt.metadata.asked import Asked, Origin
from yakt.node.service import ControllerService

MEDIA_TYPE = "application/x-ndjson"
LINES_MAX = 1024
"""A request; as many as a connection may have waiting."""
GROUP_MAX = 128
"""Asked together."""
ROWS_MAX = 20_000
"""That the asks of a group may ask for together."""
PIECE_ROWS = 500


def read(body: bytes, origin: Origin) -> list[Request]:
    """The requests, blank lines and comments left out. Raises RefusedError (TOO_LARGE) for too many."""
    requests = [request for line in body.split(b"\n") if (request := parse(line, origin)) is not None]
    if len(requests) > LINES_MAX:
        raise RefusedError("TOO_LARGE", f"{len(requests)} lines in one request, {LINES_MAX} are allowed")
    return requests


async def answer(service: ControllerService, requests: Sequence[Request]) -> AsyncIterator[bytes]:
    """The replies, in pieces."""
    for group in _groups(requests):
        asked = [request.ask for request in group if isinstance(request.ask, Asked)]
        results = iter(await service.submit_all(asked) if asked else ())
        for request in group:
            result = next(results) if isinstance(request.ask, Asked) else _answer_here(request)
            for piece in _pieces(result, request.tag):
                yield piece


def _groups(requests: Sequence[Request]) -> Iterator[list[Request]]:
    group: list[Request] = []
    rows = 0
    for request in requests:
        wanted = getattr(request.ask.command, "limit", 1) if isinstance(request.ask, Asked) else 1
        if group and (len(group) == GROUP_MAX or rows + wanted > ROWS_MAX):
            yield group
            group, rows = [], 0
        group.append(request)
        rows += wanted
    if group:
        yield group


def _answer_here(request: Request) -> Result:
    match request.ask:
        case RefusedError():
            return request.ask
        case Ping() | Hello():
            return Answer({})
        case Help(topic=topic):
            return answer_help(topic)
    return RefusedError("BAD_ARGUMENT", "that is for a connection of the line protocol", hint="GET /v1/watch")


def _pieces(result: Result, tag: str) -> Iterator[bytes]:
    rows = result.rows if isinstance(result, Answer) else ()
    for start in range(0, len(rows), PIECE_ROWS):
        yield "".join(format_row(row, tag, "json") for row in rows[start : start + PIECE_ROWS]).encode()
    yield format_end(result, tag, "json").encode()
