"""Changes in plain English."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.describe import describe_change
from yakt.metadata.entities import Entity
from yakt.metadata.say import say


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    for broker_id in (1, 2, 3):
        made.broker(broker_id)
    made.topic("orders", [3, 1, 2])
    made.told.clear()
    return made


def said(cluster: Cluster, command: c.Command) -> list[str]:
    cluster.told.clear()
    cluster.do(command)
    return [say(change) for change in cluster.told]


TOPIC = Entity("topic", "orders")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (c.FenceBroker(3), ["orders:0 leader is now broker 1 (broker 3 fenced)", "broker 3 fenced"]),
        (c.FenceBroker(2), ["orders:0 in-sync replicas are now 3, 1", "broker 2 fenced"]),
        (
            c.HeartbeatBroker(3, shutdown=True),
            ["broker 3 is shutting down", "orders:0 leader is now broker 1 (broker 3 shutting down)"],
        ),
        (
            c.UnregisterBroker(3),
            ["orders:0 leader is now broker 1 (broker 3 unregistered)", "broker 3 unregistered"],
        ),
        (c.RegisterBroker(7, "h", 1), ["broker 7 registered at h:1, fenced until its first heartbeat"]),
        (c.ChangeBroker(1, host="x", rack="r"), ["broker 1 is now at x:9092, rack r"]),
        (c.DeleteTopic("orders"), ["topic orders deleted"]),
        (
            c.CreateTopic("t", assignment=((1, 2), (2, 3))),
            [
                "topic t created",
                "t:0 created on brokers 1, 2, led by broker 1",
                "t:1 created on brokers 2, 3, led by broker 2",
            ],
        ),
        (c.SetConfigs(TOPIC, (("retention.ms", "5"),)), ["topic/orders retention.ms is now 5"]),
        (c.SetConfigs(Entity("broker", ""), (("x", "5"),)), ["broker/ x is now 5"]),
    ],
)
def test_commands(cluster: Cluster, command: c.Command, words: list[str]) -> None:
    assert said(cluster, command) == words


def test_the_last_replica_gone_and_back(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.do(c.FenceBroker(broker_id))
    assert said(cluster, c.FenceBroker(3)) == ["orders:0 has no leader (broker 3 fenced)", "broker 3 fenced"]
    assert said(cluster, c.HeartbeatBroker(3)) == ["broker 3 is alive", "orders:0 leader is now broker 3"]


def test_configs_go_back_to_their_default(cluster: Cluster) -> None:
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "5"),)))
    assert said(cluster, c.DeleteConfigs(TOPIC, ("retention.ms",))) == [
        "topic/orders retention.ms is back to its default"
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"replicas": (1, 2, 7, 3), "removing_replicas": (3,), "adding_replicas": (7,)}, "moves to brokers 1, 2, 7"),
        ({"leader": 1}, "leader is now broker 1"),
        ({"leader": 3}, "leader epoch is now 1"),
        ({"isr": (2,), "leader": 2}, "leader is now broker 2"),
    ],
)
def test_partition_changes(cluster: Cluster, change: dict[str, Any], words: str) -> None:
    topic = cluster.image.topics.get("orders")
    assert topic is not None
    record = r.PartitionChangeRecord(0, topic.id, **change)
    changes = cluster.image.replay(cluster.image.end_offset, 1, 0, [record])
    (told,) = [change for change in changes if not change.quiet]
    assert say(told) == f"orders:0 {words}"


def test_rows_of_events(cluster: Cluster) -> None:
    cluster.do(c.FenceBroker(3))
    partition, broker = cluster.told
    assert describe_change(partition).pairs == {
        "topic": "orders",
        "partition": 0,
        "leader": 1,
        "leader_epoch": 1,
        "partition_epoch": 1,
        "replicas": (3, 1, 2),
        "isr": (1, 2),
        "adding": (),
        "removing": (),
    }
    assert (partition.name, broker.name) == ("orders:0", "3")
    cluster.told.clear()
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "5"),)))
    cluster.do(c.DeleteConfigs(TOPIC, ("retention.ms",)))
    cluster.do(c.DeleteTopic("orders"))
    assert [describe_change(change).pairs for change in cluster.told] == [
        {"entity": "topic/orders", "key": "retention.ms", "value": "5"},
        {"entity": "topic/orders", "key": "retention.ms", "deleted": True},
        {"name": "orders", "deleted": True},
    ]
    assert [change.name for change in cluster.told] == ["topic/orders", "topic/orders", "orders"]
