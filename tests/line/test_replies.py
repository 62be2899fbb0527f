"""Replies there and back: golden lines, round trips, what a lenient client could misread."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import NotLeaderError, RefusedError, RemoteProtocolError
from yakt.ids import NodeId
from yakt.line.grammar import format_result, parse_result
from yakt.line.replies import (
    Form,
    ReplyLine,
    format_event,
    format_reply,
    format_row,
    format_value,
    parse_json_line,
    parse_reply_line,
    result_of,
)
from yakt.metadata.answers import Answer, Result, Row

STALE = RefusedError(
    "STALE_BROKER_EPOCH", "another process registered this id", kafka=77, details={"sent": 99, "current": 7}
)
UNKNOWN = RefusedError(
    "UNKNOWN_TOPIC", "no topic ordrs at offset 17", kafka=3, details={"topic": "ordrs", "near": ["orders"]}
)
FEW = RefusedError(
    "INVALID_REPLICATION_FACTOR",
    "replication 3 needs 3 brokers, 2 are registered",
    kafka=38,
    hint="BROKER LIST",
    retry=True,
    details={"asked": 3, "registered": 2},
)


@pytest.mark.parametrize(
    ("result", "tag", "text"),
    [
        (Answer({"offset": 5}), "", "OK offset=5\n"),
        (Answer({}), "t", "@t OK\n"),
        (
            Answer({"offset": 5, "epoch": 5, "uuid": "0b6X-_", "fenced": True}),
            "",
            "OK offset=5 epoch=5 uuid=0b6X-_ fenced=true\n",
        ),
        (
            Answer({"count": 1}, [Row("topic", {"name": "a b", "x": None}), Row("text", {"text": "hello  you"})]),
            "t",
            '@t - topic name="a b" x=null\n@t   hello  you\n@t OK count=1\n',
        ),
        (
            STALE,
            "",
            'ERR STALE_BROKER_EPOCH kafka=77 sent=99 current=7 msg="another process registered this id"'
            " retry=false applied=no\n",
        ),
        (
            FEW,
            "",
            "ERR INVALID_REPLICATION_FACTOR kafka=38 asked=3 registered=2"
            ' msg="replication 3 needs 3 brokers, 2 are registered" hint="BROKER LIST" retry=true applied=no\n',
        ),
        (
            UNKNOWN,
            "b",
            '@b ERR UNKNOWN_TOPIC kafka=3 topic=ordrs msg="no topic ordrs at offset 17" near=["orders"]'
            " retry=false applied=no\n",
        ),
        (
            NotLeaderError(NodeId(2), "127.0.0.1:7202"),
            "",
            'ERR NOT_LEADER leader=2 address=127.0.0.1:7202 msg="node 2 leads" retry=true applied=no\n',
        ),
        (
            RefusedError("TIMEOUT", "no answer", retry=True, maybe=True),
            "",
            'ERR TIMEOUT msg="no answer" retry=true applied=maybe\n',
        ),
    ],
)  # fmt: skip
def test_golden_replies(result: Result, tag: str, text: str) -> None:
    assert format_reply(result, tag) == text


@pytest.mark.parametrize("form", ["kv", "json"])
def test_a_line_never_passes_the_limit(form: Form) -> None:
    row = Row("record", {"offset": 1, "kind": "x", "fields": {"a": "\n" * 600_000}})
    line = format_row(row, "t", form)
    assert len(line) < 200
    assert "fields" in line
    assert "offset" in line
    assert "cut" in line


def test_unsigned_numbers_of_64_bits_are_read() -> None:
    pairs = {"hash": 2**64 - 1, "fields": {"hash": 2**64 - 1}}
    assert parse_result(format_result(Answer(pairs, []))) == Answer(pairs, [])  # type: ignore[arg-type]


def test_golden_event() -> None:
    assert format_event("topic", {"offset": 8, "name": "x", "say": "topic x is gone"}, "w") == (
        '@w * topic offset=8 name=x say="topic x is gone"\n'
    )


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        (Answer({"offset": 5}), [{"_": "ok", "tag": "t", "offset": 5}]),
        (
            Answer({"count": 1}, [Row("topic", {"name": "a"}), Row("text", {"text": "two words"})]),
            [
                {"_": "topic", "tag": "t", "name": "a"},
                {"_": "text", "tag": "t", "text": "two words"},
                {"_": "ok", "tag": "t", "count": 1},
            ],
        ),
        (
            UNKNOWN,
            [
                {
                    "_": "err", "tag": "t", "code": "UNKNOWN_TOPIC", "kafka": 3, "topic": "ordrs",
                    "msg": "no topic ordrs at offset 17", "near": ["orders"], "retry": False, "applied": "no",
                }
            ],
        ),
    ],
)  # fmt: skip
def test_json_replies(result: Result, lines: list[object]) -> None:
    text = format_reply(result, "t", "json")
    assert [json.loads(line) for line in text.splitlines()] == lines
    assert format_reply(result_of([parse_json_line(line.encode()) for line in text.splitlines()])) == format_reply(
        result
    )


def test_json_event() -> None:
    assert json.loads(format_event("topic", {"offset": 8}, "w", "json")) == {
        "_": "topic", "tag": "w", "event": True, "offset": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "1",
            "-1",
            "1.5",
            "1e5",
            "007",
            "true",
            "false",
            "null",
            "TRUE",
            "None",
            "nan",
            "-Infinity",
            "0x1f",
            "1_000",
        ),
        *(".5", "a b", "a,b", 'a"b', "a\tb", "a\nb", "\x00", "\x7f", "\x85", "\u2028", "\u00a0", "[1]", "{}"),
    ],
)
def test_what_could_be_misread_is_quoted(text: str) -> None:
    shown = format_value(text)
    assert shown.startswith('"')
    assert json.loads(shown) == text
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    "text", ["a", "127.0.0.1:7201", "0b6X", "orders-1", "é", "a=b", "-", "1-2", "x'y", "a\\b", "@a"]
)
def test_what_cannot_be_misread_is_bare(text: str) -> None:
    assert format_value(text) == text


_KEYS = st.from_regex(r"[a-z][a-z0-9._-]{0,8}", fullmatch=True)
_TEXTS = st.text(alphabet=st.characters(codec="utf-8")) | st.from_regex(r"[0-9a-fx.+_eE-]{1,8}", fullmatch=True)
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXTS
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3), max_leaves=8
)
_PAIRS = st.dictionaries(_KEYS, _VALUES, max_size=5)
_ROWS = st.lists(st.builds(Row, _KEYS.filter(lambda kind: kind != "text"), _PAIRS), max_size=3)
_DETAILS = st.dictionaries(
    _KEYS.filter(lambda key: key not in ("kafka", "msg", "hint", "near", "retry", "applied", "code")),
    _VALUES,
    max_size=3,
)


@given(_PAIRS, _ROWS)
def test_answers_go_there_and_back(pairs: dict[str, object], rows: list[Row]) -> None:
    answer = Answer(pairs, rows)  # type: ignore[arg-type]
    assert parse_result(format_result(answer)) == answer


@given(
    st.from_regex(r"[A-Z_]{1,12}", fullmatch=True),
    _TEXTS,
    st.none() | st.integers(-1, 200),
    st.none() | _TEXTS,
    st.booleans(),
    st.booleans(),
    _DETAILS,
)
def test_refusals_go_there_and_back(
    code: str, message: str, kafka: int | None, hint: str | None, retry: bool, maybe: bool, details: dict[str, object]
) -> None:
    error = RefusedError(code, message, kafka=kafka, hint=hint, retry=retry, maybe=maybe, details=details)
    back = parse_result(format_result(error))
    assert isinstance(back, RefusedError)
    for name in ("code", "message", "kafka", "hint", "retry", "maybe", "details"):
        assert getattr(back, name) == getattr(error, name)


def test_not_leader_comes_back_as_its_own_class() -> None:
    back = parse_result(format_result(NotLeaderError(NodeId(2), "h:1")))
    assert isinstance(back, NotLeaderError)
    assert (back.leader, back.address) == (2, "h:1")


@given(_KEYS, _PAIRS, st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True))
def test_events_go_there_and_back(kind: str, pairs: dict[str, object], tag: str) -> None:
    assert parse_reply_line(format_event(kind, pairs, tag).encode()) == ReplyLine("event", kind, pairs, tag)  # type: ignore[arg-type]


@given(st.binary() | st.text(alphabet='OKER-* @a="[]{}\\1,').map(str.encode))
def test_any_line_is_a_reply_or_an_error(line: bytes) -> None:
    for read in (parse_reply_line, parse_json_line):
        with contextlib.suppress(RemoteProtocolError):
            read(line)


@pytest.mark.parametrize("text", [b"", b"- a\n", b"OK\nOK\n x", b"hello\n"])
def test_what_is_no_reply_is_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_result(text)
