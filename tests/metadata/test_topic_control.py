"""Topics and partitions: names, counts, assignments, what is written (controller.md §7)."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.ids import ZERO_UUID, Uuid, format_uuid
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.decision import fresh_uuid
from yakt.metadata.rows import UNASSIGNED


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    for broker_id in (1, 2, 3):
        made.broker(broker_id)
    return made


def test_creation_writes_the_topic_then_its_configs_then_its_partitions(cluster: Cluster) -> None:
    command = c.CreateTopic("t", 2, 2, configs=(("retention.ms", "5"), ("cleanup.policy", "compact")))
    records = cluster.records_of(command)
    assert [type(record) for record in records] == [r.TopicRecord, *[r.ConfigRecord] * 2, *[r.PartitionRecord] * 2]
    for record in records[3:]:
        assert isinstance(record, r.PartitionRecord)
        assert (record.leader, record.leader_epoch, record.partition_epoch) == (record.isr[0], 0, 0)
        assert record.isr == record.replicas
        brokers = [cluster.image.brokers.get(broker_id) for broker_id in record.replicas]
        assert record.directories == tuple(broker.directories[0] for broker in brokers if broker)


def test_the_answer(cluster: Cluster) -> None:
    answer = cluster.do(c.CreateTopic("t", 2, 3))
    topic = cluster.image.topics.get("t")
    assert topic is not None
    assert answer == {
        "offset": cluster.active.end_offset - 1,
        "id": format_uuid(topic.id),
        "partitions": 2,
        "replication": 3,
    }
    assert list(answer) == ["offset", "id", "partitions", "replication"]


@pytest.mark.parametrize(
    ("command", "code", "kafka"),
    [
        (c.CreateTopic(""), "INVALID_TOPIC", 17),
        (c.CreateTopic("."), "INVALID_TOPIC", 17),
        (c.CreateTopic(".."), "INVALID_TOPIC", 17),
        (c.CreateTopic("x" * 250), "INVALID_TOPIC", 17),
        (c.CreateTopic("with blank"), "INVALID_TOPIC", 17),
        (c.CreateTopic("ümlaut"), "INVALID_TOPIC", 17),
        (c.CreateTopic("line\n"), "INVALID_TOPIC", 17),
        (c.CreateTopic("old"), "TOPIC_EXISTS", 36),
        (c.CreateTopic("a_b"), "INVALID_TOPIC", 17),
        (c.CreateTopic("__cluster_metadata"), "INVALID_REQUEST", 42),
        (c.CreateTopic("t", -2), "INVALID_PARTITIONS", 37),
        (c.CreateTopic("t", 10_001), "POLICY_VIOLATION", 44),
        (c.CreateTopic("t", 10_000), "POLICY_VIOLATION", 44),  # its own record makes it 10,001
        (c.CreateTopic("t", 1, 0), "INVALID_REPLICATION_FACTOR", 38),
        (c.CreateTopic("t", 1, -2), "INVALID_REPLICATION_FACTOR", 38),
        (c.CreateTopic("t", 1, 4), "INVALID_REPLICATION_FACTOR", 38),
        (c.CreateTopic("t", configs=(("nope", "1"),)), "INVALID_CONFIG", 40),
        (c.CreateTopic("t", configs=(("retention.ms", "x"),)), "INVALID_CONFIG", 40),
        (c.CreateTopic("t", assignment=()), "INVALID_REPLICA_ASSIGNMENT", 39),
        (c.CreateTopic("t", assignment=((),)), "INVALID_REPLICA_ASSIGNMENT", 39),
        (c.CreateTopic("t", assignment=((1, 1),)), "INVALID_REPLICA_ASSIGNMENT", 39),
        (c.CreateTopic("t", assignment=((1, 2), (1,))), "INVALID_REPLICA_ASSIGNMENT", 39),
        (c.CreateTopic("t", assignment=((1, 9),)), "INVALID_REPLICA_ASSIGNMENT", 39),
        (c.CreateTopic("t", 1, assignment=((1,),)), "INVALID_REQUEST", 42),
        (c.DeleteTopic("nope"), "UNKNOWN_TOPIC", 3),
        (c.AddPartitions("nope", 2), "UNKNOWN_TOPIC", 3),
        (c.AddPartitions("old", 1), "INVALID_PARTITIONS", 37),
        (c.AddPartitions("old", 0), "INVALID_PARTITIONS", 37),
        (c.AddPartitions("old", 20_000), "POLICY_VIOLATION", 44),
    ],
)
def test_refusals(cluster: Cluster, command: c.Command, code: str, kafka: int) -> None:
    cluster.do(c.CreateTopic("old"))
    cluster.do(c.CreateTopic("a.b"))
    end = cluster.active.end_offset
    with pytest.raises(RefusedError) as refused:
        cluster.do(command)
    assert (refused.value.code, refused.value.kafka) == (code, kafka)
    assert cluster.active.end_offset == end


def test_too_few_brokers_says_what_is_there() -> None:
    cluster = Cluster()
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.CreateTopic("orders", 3, 3))
    assert refused.value.message == "replication 3 needs 3 brokers, 2 are registered"
    assert dict(refused.value.details) == {"asked": 3, "registered": 2}
    assert (refused.value.hint, refused.value.retry) == ("BROKER LIST", True)


def test_with_none_unfenced_the_hint_is_the_heartbeat_to_type() -> None:
    cluster = Cluster()
    cluster.broker(4, alive=False)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.CreateTopic("t"))
    assert (refused.value.kafka, refused.value.hint) == (38, "BROKER HEARTBEAT 4")


def test_a_near_name_is_told(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("orders"))
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.DeleteTopic("ordrs"))
    assert refused.value.details == {"topic": "ordrs", "near": ["orders"]}
    assert refused.value.message == f"no topic ordrs at offset {cluster.active.end_offset}"


def test_fenced_brokers_may_have_replicas_but_are_not_in_sync(cluster: Cluster) -> None:
    cluster.do(c.FenceBroker(3))
    topic_id = cluster.topic("t", [3, 1, 2])
    row = cluster.image.partitions.get((Uuid(topic_id), 0))
    assert row is not None
    assert (row.isr, row.leader) == ((1, 2), 1)
    cluster.do(c.CreateTopic("u", 1, 3))


def test_an_assignment_without_an_active_broker_is_refused(cluster: Cluster) -> None:
    cluster.do(c.FenceBroker(3))
    with pytest.raises(RefusedError, match="none of the brokers of partition 1 is active"):
        cluster.do(c.CreateTopic("t", assignment=((1,), (3,))))


def test_brokers_that_shut_down_are_given_nothing(cluster: Cluster) -> None:
    cluster.topic("keep", [1, 2])
    cluster.do(c.HeartbeatBroker(1, shutdown=True))
    row = cluster.image.brokers.get(1)
    assert row is not None
    assert row.shutting_down
    with pytest.raises(RefusedError, match="3 brokers, 2 are registered"):
        cluster.do(c.CreateTopic("t", 1, 3))


def test_a_topic_without_partitions_needs_no_broker_and_gets_them_later() -> None:
    cluster = Cluster()
    assert cluster.do(c.CreateTopic("t", 0, 3)) | {"id": ""} == {
        "offset": cluster.active.end_offset - 1,
        "id": "",
        "partitions": 0,
        "replication": 0,
    }
    cluster.broker(1)
    cluster.do(c.AddPartitions("t", 2))
    row = cluster.image.topics.get("t")
    assert row is not None
    assert (row.partitions, row.replication) == (2, 1)


def test_added_partitions_go_on_from_the_last(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 2, 2))
    records = cluster.records_of(c.AddPartitions("t", 5))
    assert [record.partition_id for record in records if isinstance(record, r.PartitionRecord)] == [2, 3, 4]
    assert all(len(record.replicas) == 2 for record in records if isinstance(record, r.PartitionRecord))


def test_a_large_topic_is_one_operation(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 9_999, 3))
    batches = {offset for offset, record in cluster.committed if record.tags}
    assert cluster.active.end_offset - 10_000 in batches


def test_deletion_is_one_record(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 3, 2, configs=(("retention.ms", "5"),)))
    topic = cluster.image.topics.get("t")
    assert topic is not None
    assert len(cluster.records_of(c.DeleteTopic("t"))) == 1
    assert not list(cluster.image.partitions.of_broker(1))
    assert cluster.image.configs.get((2, "t")) is None


@pytest.mark.parametrize(
    "first", [ZERO_UUID, UNASSIGNED, bytes(15) + b"\x63", b"\xf8" + bytes(15), b"\xfb" + b"1" * 15]
)
def test_ids_are_never_reserved_nor_begin_with_a_dash(first: bytes) -> None:
    made: list[Any] = [first, b"\x01" * 16]
    found = fresh_uuid(lambda: made.pop(0))
    assert found == b"\x01" * 16
