"""Which requests go together, and replies in pieces that add up to the whole."""

from collections import deque

import pytest

from yakt.errors import RefusedError
from yakt.line import asks
from yakt.line.batch import PIECE_SIZE, ROWS_MAX, Batch, Reply, brief, fill, pieces
from yakt.line.grammar import Request, parse
from yakt.line.replies import format_reply
from yakt.metadata.answers import Answer, Result, Row


def requests(*lines: str) -> deque[Request]:
    found = [parse(line.encode()) for line in lines]
    assert None not in found
    return deque(found)  # type: ignore[arg-type]


def filled(waiting: deque[Request]) -> tuple[Batch, object]:
    batch = Batch(None, lambda batch, replies: None)  # type: ignore[arg-type]
    return batch, fill(batch, waiting)


@pytest.mark.parametrize(
    ("lines", "sizes"),
    [
        (["CONFIG SET topic/x a=1", "PING", "NOPE", "@t TOPIC LIST", "HELP"], [5]),
        (["PING", "FETCH since=1 wait=5", "PING"], [1, 1, 1]),
        (["PING", "HEALTH", "STATUS", "LOG from=0"], [1, 1, 1, 1]),
        (["TOPIC LIST at=1", "TOPIC LIST min=1", "TOPIC LIST", "TOPIC LIST"], [1, 1, 2]),
        (["FETCH since=1", "FETCH since=1 broker=1"], [1, 1]),
        (["PING", "HELLO", "PING", "@w WATCH", "UNWATCH", "QUIT"], [1, 1, 1, 1, 1, 1]),
        (["TOPIC LIST limit=10000"] * 5, [2, 2, 1]),
        (["TOPIC LIST"] * 25, [ROWS_MAX // 1000, 5]),
    ],
)
def test_what_goes_together(lines: list[str], sizes: list[int]) -> None:
    waiting = requests(*lines)
    found = []
    while waiting:
        batch, special = filled(waiting)
        found.append(len(batch.tags))
        assert special is None or (len(batch.tags) == 1 and not batch.asked)
    assert found == sizes


def test_local_replies_keep_their_places() -> None:
    replies: list[Reply] = []
    batch = Batch(None, lambda batch, found: replies.extend(found))  # type: ignore[arg-type]
    assert fill(batch, requests("PING", "TOPIC DELETE a", "NOPE", "TOPIC DELETE b", "PING")) is None
    batch.answer([Answer({"offset": 1}), Answer({"offset": 2})])
    assert [reply.code if isinstance(reply, RefusedError) else reply for reply in replies] == [
        Answer({}), Answer({"offset": 1}), "UNKNOWN_COMMAND", Answer({"offset": 2}), Answer({}),
    ]  # fmt: skip


def test_what_the_connection_deals_with_comes_alone() -> None:
    waiting = requests("PING", "@t QUIT")
    filled(waiting)
    batch, special = filled(waiting)
    assert (special, batch.tags) == (asks.Quit(), ["t"])


LONG: Result = Answer({"count": 5000}, [Row("topic", {"name": "x" * 50, "n": n}) for n in range(5000)])
SHORT: Result = Answer({"count": 1}, [Row("text", {"text": "hello"})])
REFUSED: Result = RefusedError("CONFLICT", "no")


@pytest.mark.parametrize("form", ["kv", "json"])
@pytest.mark.parametrize("replies", [[SHORT] * 3, [LONG], [SHORT, LONG, REFUSED, LONG], [SHORT] * 9000, []])
def test_pieces_add_up(replies: list[Result], form: str) -> None:
    tags = ["t" if number % 2 else "" for number in range(len(replies))]
    whole = "".join(format_reply(reply, tag, form) for reply, tag in zip(replies, tags, strict=True)).encode()  # type: ignore[arg-type]
    parts = list(pieces(tags, replies, form))  # type: ignore[arg-type]
    assert b"".join(parts) == whole
    assert all(len(part) < PIECE_SIZE + 1024 for part in parts)
    assert brief(tags, replies, form) in (whole, None)  # type: ignore[arg-type]
