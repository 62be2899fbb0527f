"""Queries: rows with the keys and in the order of line-protocol.md §4, pages, what is unknown."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import questions as q
from yakt.metadata.entities import Entity
from yakt.metadata.image import MetadataImage
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
        (
            q.ListFeatures(),
            ["name", "level", "min", "max"],
            ["group.version", "kraft.version", "metadata.version", "transaction.version"],
        ),
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


def test_a_summary_counts_what_is_there_and_what_is_wrong(cluster: Cluster) -> None:
    pairs, rows = ask(cluster, q.ShowSummary())
    assert rows == []
    assert pairs == {
        "brokers": 3,
        "fenced": 1,
        "shutting_down": 0,
        "topics": 3,
        "partitions": 3,
        "leaderless": 1,
        "under_replicated": 2,
        "reassigning": 0,
        "offset": cluster.image.end_offset,
        "epoch": cluster.epoch,
        "time": cluster.image.timestamp_ms,
    }
    assert answer(MetadataImage(), q.ShowSummary()).pairs["time"] is None


def test_topics_with_problems(cluster: Cluster) -> None:
    def found(**fields: Any) -> list[tuple[Any, ...]]:
        _, rows = ask(cluster, q.ListTopics(counts=True, **fields))
        return [(row["name"], row["leaderless"], row["under_replicated"]) for row in rows]

    assert found() == [("a", 1, 0), ("empty", 0, 0), ("orders", 0, 2)]
    assert found(problems=True) == [("a", 1, 0), ("orders", 0, 2)]
    assert found(problems=True, match="o*") == [("orders", 0, 2)]
    assert found(problems=True, match="empty") == []
    assert found(problems=True, after="a", limit=1) == [("orders", 0, 2)]
    assert ask(cluster, q.ListTopics(problems=True, limit=1))[0]["next"] == "a"


def test_partitions_with_problems_among_many_without() -> None:
    """Few with a problem are looked up by it, many by a walk in order: the pages are the same."""
    cluster = Cluster()
    for broker_id in (1, 2, 3):
        cluster.broker(broker_id)
    for number in range(12):
        cluster.topic(f"t{number:02}", *([[1], [2]] if number % 3 else [[1], [3]]))
        cluster.topic(f"u{number:02}", *([[1, 2], [2, 1]] if number % 3 else [[1, 3], [1, 2]]))
    cluster.do(c.FenceBroker(3))

    def keys(**fields: Any) -> list[str]:
        _, rows = ask(cluster, q.ListPartitions(**fields))
        return [f"{row['topic']}:{row['partition']}" for row in rows]

    assert keys(leaderless=True) == ["t00:1", "t03:1", "t06:1", "t09:1"]
    assert keys(under_replicated=True, after="u03:0") == ["u06:0", "u09:0"]
    assert keys(under_replicated=True, leaderless=True) == []
    assert keys(leader=2, limit=2) == ["t01:1", "t02:1"]
    for number in range(12):
        if number % 3:
            cluster.do(c.DeleteTopic(f"t{number:02}"))
            cluster.do(c.DeleteTopic(f"u{number:02}"))
    assert keys(leaderless=True) == ["t00:1", "t03:1", "t06:1", "t09:1"]
    assert keys(leaderless=True, after="t03:1", limit=1) == ["t06:1"]
    assert keys(leaderless=True, after="t09:1") == []


def test_brokers_with_counts_and_by_a_glob(cluster: Cluster) -> None:
    def found(**fields: Any) -> list[tuple[Any, ...]]:
        _, rows = ask(cluster, q.ListBrokers(counts=True, **fields))
        return [(row["id"], row["leads"], row["replicas"], row["out_of_sync"]) for row in rows]

    assert found() == [(1, 1, 2, 0), (2, 0, 3, 2), (11, 1, 2, 0)]
    assert found(match="r1*") == [(1, 1, 2, 0), (11, 1, 2, 0)]
    assert found(match="2") == [(2, 0, 3, 2)]
    assert ask(cluster, q.ShowBroker(2, counts=True))[1][0]["out_of_sync"] == 2
