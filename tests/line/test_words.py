"""Lines taken apart: golden cases, then whatever hypothesis thinks of."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import RefusedError
from yakt.line.words import JSON_DEPTH_MAX, TaggedError, decode, split


@pytest.mark.parametrize(
    ("text", "tag", "words", "pairs"),
    [
        ("PING", "", ["PING"], {}),
        ("  @a-1_Z\tTOPIC  SHOW orders ", "a-1_Z", ["TOPIC", "SHOW", "orders"], {}),
        ("A b=c=d", "", ["A"], {"b": "c=d"}),
        ("A topic/x=1 =y 1=2", "", ["A", "topic/x=1", "=y", "1=2"], {}),
        ("A k= l=1", "", ["A"], {"k": "", "l": "1"}),
        ("A cleanup.policy=compact,delete", "", ["A"], {"cleanup.policy": "compact,delete"}),
        ('A "two words" r="a\\n\\"b\\u00e9"', "", ["A", "two words"], {"r": 'a\n"bé'}),
        ('A x=[[1, 2],[2]] y={"k":[null,true,1.5]}', "", ["A"], {"x": [[1, 2], [2]], "y": {"k": [None, True, 1.5]}}),
        ("A ü=1 名前", "", ["A", "ü=1", "名前"], {}),
        ("A @b #c", "", ["A", "@b", "#c"], {}),
    ],
)
def test_split(text: str, tag: str, words: list[object], pairs: dict[str, object]) -> None:
    found = split(text)
    assert (found.tag, found.words, found.pairs) == (tag, words, pairs)


@pytest.mark.parametrize(
    ("text", "tag", "column", "message"),
    [
        ('TOPIC CREATE x reason="oops', "", 23, "unterminated string"),
        ('@t A reason="oops', "t", 13, "unterminated string"),
        ('A b"c', "", 4, 'a bare word holds no "'),
        ("A [1,2", "", 3, "not closed"),
        ("A x=[1,]", "", 8, "JSON"),
        ('A "a"b', "", 6, ""),
        ("A [1]]", "", 6, "a bare word holds no ]"),
        ("A x=1 x=2", "", 7, "x is given twice"),
        ("A \x00", "", 3, "control character 0x00"),
        ("A b\x7f", "", 4, "control character"),
        ('A "a\tb"', "", 5, "control character in a string"),
        ("@ A", "", 2, "a tag is"),
        ("@" + "a" * 33 + " A", "", 34, "a tag is"),
        ("@a! A", "", 3, "a tag is"),
        ("A x=[12345678901234567890]", "", 5, "at most 19 digits"),
        ("A x=[1e999]", "", 5, "out of range"),
        ("A x=[NaN]", "", 5, "not JSON"),
        ('A x={"a":1,"a":2}', "", 5, "given twice"),
        ('A x="\\ud800"', "", 5, "surrogate"),
        ("A x=" + "[" * 33 + "]" * 33, "", 37, "at most 32 deep"),
    ],
)
def test_bad_syntax_says_where(text: str, tag: str, column: int, message: str) -> None:
    with pytest.raises(TaggedError) as caught:
        split(text)
    refused = caught.value.refused
    assert (caught.value.tag, refused.code, refused.details["col"]) == (tag, "BAD_SYNTAX", column)
    assert message in refused.message


def test_json_may_nest_to_the_limit() -> None:
    text = "[" * JSON_DEPTH_MAX + "]" * JSON_DEPTH_MAX
    assert split(f"A x={text}").pairs["x"] == json.loads(text)


def test_not_utf8_says_where() -> None:
    with pytest.raises(RefusedError) as caught:
        decode(b"\xc3\xa9 \xff")
    assert (caught.value.code, caught.value.details["col"]) == ("BAD_SYNTAX", 3)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])) | st.text(alphabet='ab =@"\\[]{}:,\t1'))
def test_any_text_is_taken_apart_or_refused(text: str) -> None:
    found = refusal = None
    try:
        found = split(text)
    except TaggedError as exc:
        refusal = exc.refused
    if refusal is not None:
        column = refusal.details["col"]
        assert refusal.code == "BAD_SYNTAX"
        assert isinstance(column, int)
        assert 1 <= column <= len(text) + 1
    elif found is not None:
        assert len(found.words) == len(found.columns)
        assert found.pairs.keys() == found.key_columns.keys()


@given(st.binary())
def test_any_bytes_are_text_or_refused(line: bytes) -> None:
    with contextlib.suppress(RefusedError):
        assert decode(line).encode() in (line, line[:-1])


@pytest.mark.parametrize("piece", ["[", '"\\', "a=", "a ", '{"":', "\\", '"" ', "@"])
def test_a_long_line_costs_linear_time(piece: str) -> None:
    def cost(length: int) -> float:
        text = "A " + piece * (length // len(piece))
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            with contextlib.suppress(TaggedError):
                split(text)
            best = min(best, time.perf_counter() - start)
        return best

    assert cost(64_000) < 0.25
