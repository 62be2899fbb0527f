"""Partitions by broker: what is there no more is passed over, and cleared away when it is half of it."""

import pytest

from tests.metadata.cluster import Cluster
from yakt.metadata import commands as c
from yakt.metadata import partition_table
from yakt.metadata.partition_table import MOVING


def test_keys_of_deleted_topics_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_table, "STALE_MIN", 4)
    cluster = Cluster()
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    table = cluster.image.partition_table
    cluster.topic("kept", (1, 2), (1, 2))
    for number in range(20):
        cluster.topic(f"t{number}", (1, 2), (1, 2))
        assert table.count_of(1) == len(table.of_broker(1)) == 4
        assert table.count_of(2) == len(table.of_broker(2)) == 4
        cluster.do(c.DeleteTopic(f"t{number}"))
        assert len(table._by_broker[1]) <= 2 * (2 + 4)
    assert table.count_of(1) == len(table.of_broker(1)) == 2


def test_a_replica_that_goes_and_comes_back_is_there_once() -> None:
    cluster = Cluster()
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    cluster.topic("t", (1, 2))
    for _ in range(3):
        cluster.do(c.ReassignPartition("t", 0, (1,)))
        assert cluster.image.partition_table.count_of(2) == 0
        cluster.do(c.ReassignPartition("t", 0, (1, 2)))
        assert [row.replicas for row in cluster.image.partitions.of_broker(2)] == [(1, 2)]
        assert cluster.image.partition_table.count_of(2) == 1
        assert [row.adding for row in cluster.image.partitions.marked(MOVING)] == [(2,)]
