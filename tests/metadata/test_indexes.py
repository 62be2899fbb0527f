"""Tables that forget by themselves: closed brokers and remembered requests."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.metadata import commands as c
from yakt.metadata import indexes
from yakt.metadata.entities import Entity


def command(number: int) -> c.SetConfigs:
    return c.SetConfigs(Entity("client-metrics", f"x{number}"), (("metrics", "m"),))


def test_the_newest_closed_brokers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "CLOSED_BROKERS_MAX", 3)
    cluster = Cluster()
    for broker_id in (1, 2, 3, 4, 2):
        cluster.broker(broker_id)
        cluster.do(c.UnregisterBroker(broker_id))
    assert list(cluster.image.closed.all_keys()) == [3, 4, 2]
    cluster.broker(4)
    assert list(cluster.image.closed.all_keys()) == [3, 2]


def test_requests_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "REQUESTS_MAX", 5)
    cluster = Cluster()
    for number in range(8):
        cluster.do(command(number), request="r", client=f"c{number}")
    assert [client for client, _ in cluster.image.requests.all_keys()] == [f"c{number}" for number in range(3, 8)]


def test_times_that_go_back_forget_nothing_early() -> None:
    cluster = Cluster()
    cluster.now += 10_000
    cluster.do(command(0), request="a")
    cluster.now -= 5_000
    cluster.do(command(1), request="b")
    times = [row_of(cluster, request).time_ms for request in ("a", "b")]
    assert times[0] == times[1] == cluster.image.timestamp_ms  # the largest so far


def row_of(cluster: Cluster, request: str) -> Any:
    return cluster.image.requests.get(("", request))


def test_a_request_that_was_forgotten_is_applied_anew_and_remembered_anew() -> None:
    cluster = Cluster()
    cluster.broker(1)
    first = cluster.do(c.CreateTopic("t", 0), request="r")
    cluster.do(c.DeleteTopic("t"))
    cluster.now += 700
    cluster.do(command(0))
    again = cluster.do(c.CreateTopic("t", 0), request="r")
    assert again["offset"] > first["offset"]
    assert row_of(cluster, "r").offset == again["offset"]
