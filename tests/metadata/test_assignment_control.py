"""Who holds one partition: made by hand, removed and made again, reassigned, and taken back."""

import pytest

from tests.metadata.cluster import Cluster, assert_equal
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import queries
from yakt.metadata import questions as q
from yakt.metadata.rows import PartitionRow


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    for broker_id in (1, 2, 3, 4):
        made.broker(broker_id)
    return made


def partition(cluster: Cluster, topic: str = "t", number: int = 0) -> PartitionRow:
    of = cluster.image.topics.get(topic)
    assert of is not None
    row = cluster.image.partitions.get((of.id, number))
    assert row is not None
    return row


def listed(cluster: Cluster) -> list[int]:
    return [int(row.pairs["partition"]) for row in queries.answer(cluster.image, q.ListPartitions("t")).rows]  # type: ignore[arg-type]


# --- made and removed


def test_partitions_are_made_one_by_one(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 0))
    assert cluster.do(c.CreatePartition("t", replicas=(2, 1)))["partition"] == 0
    assert cluster.do(c.CreatePartition("t", partition=1))["partition"] == 1
    row = partition(cluster)
    assert (row.replicas, row.isr, row.leader, row.partition_epoch) == ((2, 1), (2, 1), 2, 0)
    assert len(partition(cluster, number=1).replicas) == 2  # as many as the topic has


def test_isr_and_leader_may_be_given(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 0))
    cluster.do(c.CreatePartition("t", replicas=(1, 2, 3), isr=(3, 2), leader=2))
    row = partition(cluster)
    assert (row.isr, row.leader) == ((3, 2), 2)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (c.CreatePartition("t", partition=0), "CONFLICT"),
        (c.CreatePartition("t", partition=2), "INVALID_PARTITIONS"),
        (c.CreatePartition("t", partition=-1), "INVALID_PARTITIONS"),
        (c.CreatePartition("u"), "UNKNOWN_TOPIC"),
        (c.CreatePartition("t", replicas=(9,)), "INVALID_REPLICA_ASSIGNMENT"),
        (c.CreatePartition("t", replicas=()), "INVALID_REPLICA_ASSIGNMENT"),
        (c.CreatePartition("t", replicas=(1, 1)), "INVALID_REPLICA_ASSIGNMENT"),
        (c.CreatePartition("t", replicas=(1, 2), isr=(3,)), "INVALID_REPLICA_ASSIGNMENT"),
        (c.CreatePartition("t", replicas=(1, 2), isr=()), "INVALID_REPLICA_ASSIGNMENT"),
        (c.CreatePartition("t", replicas=(1, 2), isr=(2,), leader=1), "INVALID_REPLICA_ASSIGNMENT"),
        (c.DeletePartition("t", 1), "UNKNOWN_TOPIC_OR_PARTITION"),
        (c.ReassignPartition("t", 0, (1, 9)), "INVALID_REPLICA_ASSIGNMENT"),
        (c.CancelReassignment("t", 0), "NO_REASSIGNMENT_IN_PROGRESS"),
    ],
)
def test_what_is_refused_writes_nothing(cluster: Cluster, command: c.Command, code: str) -> None:
    cluster.topic("t", (1, 2))
    end = cluster.active.end_offset
    with pytest.raises(RefusedError) as refused:
        cluster.do(command)
    assert refused.value.code == code
    assert cluster.active.end_offset == end


def test_an_isr_holds_live_replicas_only(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 0))
    cluster.do(c.FenceBroker(2))
    with pytest.raises(RefusedError, match="live replicas"):
        cluster.do(c.CreatePartition("t", replicas=(1, 2), isr=(1, 2)))
    cluster.do(c.CreatePartition("t", replicas=(2, 1)))
    assert (partition(cluster).isr, partition(cluster).leader) == ((1,), 1)


def test_a_removed_partition_is_in_no_list_until_it_is_made_again(cluster: Cluster) -> None:
    cluster.topic("t", (1, 2), (2, 3))
    cluster.do(c.DeletePartition("t", 0))
    assert listed(cluster) == [1]
    row = partition(cluster)
    assert (row.replicas, row.isr, row.leader, row.directories) == ((), (), -1, ())
    with pytest.raises(RefusedError):
        cluster.do(c.DeletePartition("t", 0))
    cluster.do(c.FenceBroker(2))
    cluster.do(c.HeartbeatBroker(2))  # gives no leader to what has no replicas
    assert partition(cluster).leader == -1
    assert_equal(cluster.reload(), cluster.image, offsets=False)
    cluster.do(c.CreatePartition("t", partition=0, replicas=(3, 4)))
    again = partition(cluster)
    assert (again.replicas, again.leader, again.partition_epoch) == ((3, 4), 3, row.partition_epoch + 1)
    assert listed(cluster) == [0, 1]


# --- reassigned


def alter(cluster: Cluster, *isr: int) -> None:
    row = partition(cluster)
    broker = cluster.image.brokers.get(row.leader)
    assert broker is not None
    change = c.IsrChange(row.topic_id, 0, row.leader_epoch, row.partition_epoch, tuple((one, -1) for one in isr))
    cluster.do(c.AlterPartitions(row.leader, broker.epoch, (change,)))


def test_a_new_replica_is_adding_until_it_is_in_sync(cluster: Cluster) -> None:
    cluster.topic("t", (1, 2))
    epoch = partition(cluster).partition_epoch
    answer = cluster.do(c.ReassignPartition("t", 0, (1, 2, 3)))
    assert (answer["adding"], answer["removing"], answer["done"]) == ([3], [], False)
    row = partition(cluster)
    assert (row.replicas, row.adding, row.isr, row.partition_epoch) == ((1, 2, 3), (3,), (1, 2), epoch + 1)
    alter(cluster, 1, 2, 3)
    row = partition(cluster)
    assert (row.replicas, row.adding, row.isr) == ((1, 2, 3), (), (1, 2, 3))


def test_a_removal_is_done_at_once_and_moves_the_leader(cluster: Cluster) -> None:
    cluster.topic("t", (1, 2))
    assert cluster.do(c.ReassignPartition("t", 0, (2,)))["done"] is True
    row = partition(cluster)
    assert (row.replicas, row.isr, row.leader, row.removing) == ((2,), (2,), 2, ())


def test_old_replicas_go_when_the_new_ones_are_in_sync(cluster: Cluster) -> None:
    cluster.topic("t", (1, 2))
    answer = cluster.do(c.ReassignPartition("t", 0, (3, 4)))
    assert (answer["adding"], answer["removing"], answer["done"]) == ([3, 4], [1, 2], False)
    assert partition(cluster).replicas == (3, 4, 1, 2)
    alter(cluster, 1, 2, 3)
    assert partition(cluster).removing == (1, 2)
    alter(cluster, 1, 2, 3, 4)
    row = partition(cluster)
    assert (row.replicas, row.isr, row.leader, row.adding, row.removing) == ((3, 4), (3, 4), 3, (), ())


def test_a_new_reassignment_goes_on_from_the_old_one(cluster: Cluster) -> None:
    cluster.topic("t", (1, 2))
    cluster.do(c.ReassignPartition("t", 0, (1, 2, 3)))
    answer = cluster.do(c.ReassignPartition("t", 0, (1, 2, 3, 4)))
    assert (answer["adding"], answer["removing"]) == ([3, 4], [])
    answer = cluster.do(c.ReassignPartition("t", 0, (1, 2)))
    assert (answer["adding"], answer["removing"], answer["done"]) == ([], [], True)
    assert partition(cluster).replicas == (1, 2)


def test_a_reassignment_is_taken_back(cluster: Cluster) -> None:
    cluster.topic("t", (1, 2))
    cluster.do(c.ReassignPartition("t", 0, (3, 4)))
    alter(cluster, 1, 2, 3)
    assert cluster.do(c.CancelReassignment("t", 0))["done"] is True
    row = partition(cluster)
    assert (row.replicas, row.isr, row.adding, row.removing) == ((1, 2), (1, 2), (), ())


# --- a registration that is the first contact too


def test_a_broker_registers_alive(cluster: Cluster) -> None:
    answer = cluster.do(c.RegisterBroker(5, "b5", 9092, alive=True))
    row = cluster.image.brokers.get(5)
    assert row is not None
    assert (answer["fenced"], row.fenced, answer["epoch"]) == (False, False, row.epoch)
    cluster.wait(8)
    assert cluster.image.brokers.get(5).fenced is False  # type: ignore[union-attr]
    cluster.wait(2)
    assert cluster.image.brokers.get(5).fenced is True  # type: ignore[union-attr]


def test_a_broker_that_comes_back_alive_leads_again(cluster: Cluster) -> None:
    cluster.topic("t", (1,))
    before = cluster.image.brokers.get(1)
    assert before is not None
    cluster.do(c.UnregisterBroker(1))
    assert partition(cluster).leader == -1
    cluster.do(c.RegisterBroker(1, "b1", 9092, alive=True))
    assert partition(cluster).leader == 1
    after = cluster.image.brokers.get(1)
    assert after is not None
    assert after.changes == before.changes + 1
    assert after.incarnation != before.incarnation
    with pytest.raises(RefusedError, match="in use"):
        cluster.do(c.RegisterBroker(1, "b1", 9092, alive=True))
