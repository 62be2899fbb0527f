"""Delegation tokens, as a log of Kafka's has them: listed, ended, and swept once an hour."""

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import queries
from yakt.metadata import questions as q
from yakt.metadata.records import DelegationTokenRecord
from yakt.metadata.say import say


def token(cluster: Cluster, name: str, *, expires_s: float, most_s: float = 1e6, owner: str = "User:a") -> None:
    now_ms = cluster.now_ms
    cluster.write(
        DelegationTokenRecord(
            owner, "User:r", ("User:b",), now_ms, now_ms + int(most_s * 1000), now_ms + int(expires_s * 1000), name
        )
    )


def ids(cluster: Cluster, **parts: str) -> list[object]:
    return [row.pairs["id"] for row in queries.answer(cluster.image, q.ListTokens(**parts)).rows]


def test_listed_and_ended() -> None:
    cluster = Cluster()
    token(cluster, "one", expires_s=60)
    token(cluster, "two", expires_s=60, owner="User:b")
    assert ids(cluster) == ["one", "two"]
    assert ids(cluster, owner="User:b") == ["two"]
    [row] = queries.answer(cluster.image, q.ListTokens(owner="User:a")).rows
    assert row.pairs["owner"] == "User:a"
    assert row.pairs["renewers"] == ("User:b",)
    cluster.do(c.DeleteToken("one"))
    assert ids(cluster) == ["two"]
    with pytest.raises(RefusedError, match="no delegation token one"):
        cluster.do(c.DeleteToken("one"))
    assert say(cluster.told[-1]) == "delegation token one of User:a ended"


def test_what_is_over_goes_within_the_hour() -> None:
    cluster = Cluster()
    token(cluster, "short", expires_s=60)
    token(cluster, "capped", expires_s=1e6, most_s=90)
    token(cluster, "long", expires_s=5000)
    cluster.wait(3599)
    assert ids(cluster) == ["capped", "long", "short"]
    cluster.wait(1)
    assert ids(cluster) == ["long"]
    cluster.wait(3600)
    assert ids(cluster) == []
