"""What the shell offers next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.line.completion import complete


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("top", ["topic"]),
        ("TOP", ["TOPIC"]),
        ("topic ", ["CREATE", "DELETE", "LIST", "SHOW"]),
        ("@t topic s", ["show"]),
        ("help topic c", ["create"]),
        ("topic create x par", ["partitions="]),
        ("topic create x partitions=3 par", []),
        ("topic create x conf", ["config."]),
        ("topic list read=l", ["local"]),
        ("broker list fenced=", ["true", "false"]),
        ("config get to", ["topic/"]),
        ("config set topic/x reas", ["reason="]),
        ("hello 1 format=", ["kv", "json"]),
        ("status tim", ["timeout="]),
        ('topic delete x reason="top', []),
        ("# top", []),
        ("nope ", []),
    ],
)
def test_candidates(text: str, offered: list[str]) -> None:
    assert [candidate.text for candidate in complete(text)] == offered


def test_everything_is_offered_at_the_start() -> None:
    offered = [candidate.text for candidate in complete("")]
    assert {"TOPIC", "BROKER", "PING", "WATCH"} <= set(offered)
    assert len(offered) == len(set(offered))


@given(st.text(alphabet=' topicreatconfgsh=@"#/.x[]{}', max_size=30))
def test_any_text(text: str) -> None:
    for candidate in complete(text):
        assert candidate.replaces <= len(text)
