"""Queries: rows with the keys and in the order of line-protocol.md §4, pages, what is unknown."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata.commands import Entity, Query
from yakt.metadata.queries import answer


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    made = Cluster()
    for broker_id in (1, 2, 11):
        made.broker(broker_id, rack=f"r{broker_id}")
    made.topic("orders", [1, 2, 11], [2, 11, 1])
    made.topic("a", [2])
    made.do(c.CreateTopic("empty", 0))
    made.do(c.SetConfigs(Entity("topic", "orders"), (("segment.ms", "5"), ("retention.ms", "6"))))
    epoch = made.image.brokers.get(1).epoch  # type: ignore[union-attr]
    for producer in (7, 30, 200):
        made.do(c.RegisterProducer(1, epoch, producer))
    made.broker(5)
    made.do(c.UnregisterBroker(5))
    made.do(c.FenceBroker(2))
    return made


def ask(cluster: Cluster, query: Query) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found = answer(cluster.image, query)
    return dict(found.pairs), [dict(row.pairs) for row in found.rows]


def test_topic_show(cluster: Cluster) -> None:
    pairs, rows = ask(cluster, c.ShowTopic("orders"))
    assert pairs == {"count": 2, "offset": cluster.image.end_offset}
    assert list(rows[0]) == (
        "topic partition leader leader_epoch partition_epoch replicas isr adding removing".split()  # noqa: SIM905
    )
    assert rows[0] == {
        "topic": "orders",
        "partition": 0,
        "leader": 1,
        "leader_epoch": 0,
        "partition_epoch": 1,
        "replicas": (1, 2, 11),
        "isr": (1, 11),
        "adding": (),
        "removing": (),
    }


def test_lists_and_their_least_keys(cluster: Cluster) -> None:
    for query, keys, values in [
        (c.ListTopics(), ["name", "id", "partitions", "replication"], ["a", "empty", "orders"]),
        (c.ListBrokers(), "id epoch host port rack fenced uuid status".split(), [1, 2, 11]),  # noqa: SIM905
        (c.ListFeatures(), ["name", "level", "min", "max"], ["metadata.version"]),
        (c.ListProducers(), ["producer", "broker", "broker_epoch"], [7, 30, 200]),
        (c.GetConfigs(Entity("topic", "orders")), ["entity", "key", "value"], ["topic/orders"] * 2),
    ]:
        pairs, rows = ask(cluster, query)  # type: ignore[arg-type]
        assert pairs["count"] == len(rows)
        assert pairs["offset"] == cluster.image.end_offset
        assert list(rows[0])[: len(keys)] == keys
        assert [next(iter(row.values())) for row in rows] == values


def test_statuses(cluster: Cluster) -> None:
    _, rows = ask(cluster, c.ListBrokers())
    assert [(row["id"], row["status"], row["fenced"]) for row in rows] == [
        (1, "ALIVE", False),
        (2, "FENCED", True),
        (11, "ALIVE", False),
    ]
    assert ask(cluster, c.ListBrokers(fenced=True))[1][0]["id"] == 2
    _, rows = ask(cluster, c.ShowBroker(5))
    assert (rows[0]["status"], rows[0]["fenced"]) == ("CLOSED", True)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        (c.ListPartitions(), ["a:0", "orders:0", "orders:1"]),
        (c.ListPartitions(topic="orders"), ["orders:0", "orders:1"]),
        (c.ListPartitions(broker=11), ["orders:0", "orders:1"]),
        (c.ListPartitions(broker=11, topic="a"), []),
        (c.ListPartitions(leaderless=True), ["a:0"]),
        (c.ListPartitions(under_replicated=True), ["orders:0", "orders:1"]),
        (c.ListPartitions(broker=2, under_replicated=True), ["orders:0", "orders:1"]),
        (c.ListPartitions(after="a:0"), ["orders:0", "orders:1"]),
        (c.ListPartitions(after="orders:0"), ["orders:1"]),
        (c.ListPartitions(after="b:7"), ["orders:0", "orders:1"]),
        (c.ListPartitions(after="orders:0", broker=1), ["orders:1"]),
        (c.ListPartitions(after="orders:0", topic="orders"), ["orders:1"]),
        (c.ListPartitions(after="z:0"), []),
    ],
)
def test_partition_list(cluster: Cluster, query: c.ListPartitions, keys: list[str]) -> None:
    _, rows = ask(cluster, query)
    assert [f"{row['topic']}:{row['partition']}" for row in rows] == keys


@pytest.mark.parametrize(
    "make",
    [
        lambda limit, after: c.ListTopics(limit=limit, after=after),
        lambda limit, after: c.ListBrokers(limit=limit, after=after),
        lambda limit, after: c.ListPartitions(limit=limit, after=after),
        lambda limit, after: c.ListProducers(limit=limit, after=after),
        lambda limit, after: c.ShowTopic("orders", limit=limit, after=after),
        lambda limit, after: c.ListPartitions(broker=1, limit=limit, after=after),
    ],
)
@pytest.mark.parametrize("limit", [1, 2])
def test_pages(cluster: Cluster, make: Any, limit: int) -> None:
    _, whole = ask(cluster, make(1000, None))
    found: list[dict[str, Any]] = []
    after = None
    while True:
        pairs, rows = ask(cluster, make(limit, after))
        found += rows
        assert pairs["count"] == len(rows) <= limit
        after = pairs.get("next")
        if after is None:
            break
        assert len(rows) == limit
    assert found == whole


def test_globs(cluster: Cluster) -> None:
    for match, names in [("o*", ["orders"]), ("*e*", ["empty", "orders"]), ("O*", []), ("[ae]*", ["a", "empty"])]:
        assert [row["name"] for row in ask(cluster, c.ListTopics(match=match))[1]] == names


@pytest.mark.parametrize(
    ("query", "code", "details"),
    [
        (c.ShowTopic("ordrs"), "UNKNOWN_TOPIC", {"topic": "ordrs", "near": ["orders"]}),
        (c.ListPartitions(topic="nope"), "UNKNOWN_TOPIC", {"topic": "nope"}),
        (c.ShowBroker(9), "UNKNOWN_BROKER", {"broker": 9, "registered": [1, 2, 11]}),
        (c.ShowProducer(9), "UNKNOWN_PRODUCER_ID", {"producer": 9}),
        (c.GetConfigs(Entity("topic", "nope")), "UNKNOWN_TOPIC", {"topic": "nope"}),
        (c.GetConfigs(Entity("broker", "x")), "INVALID_REQUEST", {"key": "entity"}),
        (c.GetConfigs(Entity("user", "x")), "INVALID_REQUEST", {"key": "entity"}),
        (c.ListBrokers(after="x"), "BAD_ARGUMENT", {"key": "after"}),
        (c.ListPartitions(after="x"), "BAD_ARGUMENT", {"key": "after"}),
        (c.ShowTopic("orders", after="x"), "BAD_ARGUMENT", {"key": "after"}),
    ],
)
def test_refusals(cluster: Cluster, query: Query, code: str, details: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        ask(cluster, query)
    assert (refused.value.code, dict(refused.value.details)) == (code, details)


def test_nothing_set_is_an_empty_answer(cluster: Cluster) -> None:
    for entity in (Entity("topic", "a"), Entity("broker", ""), Entity("group", "g")):
        assert ask(cluster, c.GetConfigs(entity))[0]["count"] == 0
