"""Queries: rows with the keys and in the order of line-protocol.md §4, pages, what is unknown."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import questions as q
from yakt.metadata.entities import Entity
from yakt.metadata.queries import answer
from yakt.metadata.questions import Query


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
    pairs, rows = ask(cluster, q.ShowTopic("orders"))
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
        (q.ListTopics(), ["name", "id", "partitions", "replication"], ["a", "empty", "orders"]),
        (q.ListBrokers(), "id epoch host port rack fenced uuid status".split(), [1, 2, 11]),  # noqa: SIM905
        (q.ListFeatures(), ["name", "level", "min", "max"], ["metadata.version"]),
        (q.ListProducers(), ["producer", "broker", "broker_epoch"], [7, 30, 200]),
        (q.GetConfigs(Entity("topic", "orders")), ["entity", "key", "value"], ["topic/orders"] * 2),
    ]:
        pairs, rows = ask(cluster, query)  # type: ignore[arg-type]
        assert pairs["count"] == len(rows)
        assert pairs["offset"] == cluster.image.end_offset
        assert list(rows[0])[: len(keys)] == keys
        assert [next(iter(row.values())) for row in rows] == values


def test_statuses(cluster: Cluster) -> None:
    _, rows = ask(cluster, q.ListBrokers())
    assert [(row["id"], row["status"], row["fenced"]) for row in rows] == [
        (1, "ALIVE", False),
        (2, "FENCED", True),
        (11, "ALIVE", False),
    ]
    assert ask(cluster, q.ListBrokers(fenced=True))[1][0]["id"] == 2
    _, rows = ask(cluster, q.ShowBroker(5))
    assert (rows[0]["status"], rows[0]["fenced"]) == ("CLOSED", True)


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        (q.ListPartitions(), ["a:0", "orders:0", "orders:1"]),
        (q.ListPartitions(topic="orders"), ["orders:0", "orders:1"]),
        (q.ListPartitions(broker=11), ["orders:0", "orders:1"]),
        (q.ListPartitions(broker=11, topic="a"), []),
        (q.ListPartitions(leaderless=True), ["a:0"]),
        (q.ListPartitions(under_replicated=True), ["orders:0", "orders:1"]),
        (q.ListPartitions(broker=2, under_replicated=True), ["orders:0", "orders:1"]),
        (q.ListPartitions(after="a:0"), ["orders:0", "orders:1"]),
        (q.ListPartitions(after="orders:0"), ["orders:1"]),
        (q.ListPartitions(after="b:7"), ["orders:0", "orders:1"]),
        (q.ListPartitions(after="orders:0", broker=1), ["orders:1"]),
        (q.ListPartitions(after="orders:0", topic="orders"), ["orders:1"]),
        (q.ListPartitions(after="z:0"), []),
    ],
)
def test_partition_list(cluster: Cluster, query: q.ListPartitions, keys: list[str]) -> None:
    _, rows = ask(cluster, query)
    assert [f"{row['topic']}:{row['partition']}" for row in rows] == keys


@pytest.mark.parametrize(
    "make",
    [
        lambda limit, after: q.ListTopics(limit=limit, after=after),
        lambda limit, after: q.ListBrokers(limit=limit, after=after),
        lambda limit, after: q.ListPartitions(limit=limit, after=after),
        lambda limit, after: q.ListProducers(limit=limit, after=after),
        lambda limit, after: q.ShowTopic("orders", limit=limit, after=after),
        lambda limit, after: q.ListPartitions(broker=1, limit=limit, after=after),
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
        assert [row["name"] for row in ask(cluster, q.ListTopics(match=match))[1]] == names


@pytest.mark.parametrize(
    ("query", "code", "details"),
    [
        (q.ShowTopic("ordrs"), "UNKNOWN_TOPIC", {"topic": "ordrs", "near": ["orders"]}),
        (q.ListPartitions(topic="nope"), "UNKNOWN_TOPIC", {"topic": "nope"}),
        (q.ShowBroker(9), "UNKNOWN_BROKER", {"broker": 9, "registered": [1, 2, 11]}),
        (q.ShowProducer(9), "UNKNOWN_PRODUCER_ID", {"producer": 9}),
        (q.GetConfigs(Entity("topic", "nope")), "UNKNOWN_TOPIC", {"topic": "nope"}),
        (q.GetConfigs(Entity("broker", "x")), "INVALID_REQUEST", {"key": "entity"}),
        (q.GetConfigs(Entity("user", "x")), "INVALID_REQUEST", {"key": "entity"}),
        (q.ListBrokers(after="x"), "BAD_ARGUMENT", {"key": "after"}),
        (q.ListPartitions(after="x"), "BAD_ARGUMENT", {"key": "after"}),
        (q.ShowTopic("orders", after="x"), "BAD_ARGUMENT", {"key": "after"}),
    ],
)
def test_refusals(cluster: Cluster, query: Query, code: str, details: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as refused:
        ask(cluster, query)
    assert (refused.value.code, dict(refused.value.details)) == (code, details)


def test_nothing_set_is_an_empty_answer(cluster: Cluster) -> None:
    for entity in (Entity("topic", "a"), Entity("broker", ""), Entity("group", "g")):
        assert ask(cluster, q.GetConfigs(entity))[0]["count"] == 0
