"""What only brokers and Kafka's tools ask: their registrations, ISRs, elections, directories, quotas."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.ids import Instant, Uuid
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.entities import Entity
from yakt.metadata.rows import PartitionRow

A, B, D = Uuid(b"a" * 16), Uuid(b"b" * 16), Uuid(b"d" * 16)
FOREVER_MS = 7 * 24 * 3600 * 1000


def register(cluster: Cluster, broker_id: int, directories: tuple[Uuid, ...]) -> int:
    """As a broker of Kafka's does, and a first heartbeat; its epoch."""
    answer = cluster.do(
        c.RegisterKafkaBroker(
            id=broker_id,
            cluster_id=cluster.settings.cluster_id,
            incarnation=Uuid(bytes([broker_id]) * 16),
            end_points=(r.BrokerEndpoint("PLAINTEXT", "h", 9092, 0), r.BrokerEndpoint("TLS", "h", 9093, 1)),
            features=(r.BrokerFeature("metadata.version", 1, 25),),
            rack="r",
            log_dirs=directories,
        )
    )
    cluster.do(c.HeartbeatBroker(broker_id))
    return int(answer["epoch"])


def partition(cluster: Cluster, topic: str = "t", number: int = 0) -> PartitionRow:
    of = cluster.image.topics.get(topic)
    assert of is not None
    row = cluster.image.partitions.get((of.id, number))
    assert row is not None
    return row


def three(cluster: Cluster) -> None:
    for broker_id in (1, 2, 3):
        cluster.broker(broker_id, session_ms=FOREVER_MS)
    cluster.topic("t", (1, 2, 3))


def isr_change(row: PartitionRow, *isr: int, **other: Any) -> c.IsrChange:
    fields: dict[str, Any] = {
        "topic_id": row.topic_id,
        "partition": row.partition,
        "leader_epoch": row.leader_epoch,
        "partition_epoch": row.partition_epoch,
        "isr": tuple((member, -1) for member in isr),
    }
    return c.IsrChange(**fields | other)


def test_a_registration_with_all_that_kafka_sends() -> None:
    cluster = Cluster()
    epoch = register(cluster, 7, (A, B))
    row = cluster.image.brokers.get(7)
    assert row is not None
    assert (row.epoch, row.directories, row.fenced, row.rack) == (epoch, (A, B), False, "r")
    assert [point.name for point in row.end_points] == ["PLAINTEXT", "TLS"]
    with pytest.raises(RefusedError, match="has the log directory"):
        register(cluster, 8, (B,))


def test_a_leader_shrinks_and_expands_its_isr() -> None:
    cluster = Cluster()
    three(cluster)
    broker = cluster.image.brokers.get(1)
    assert broker is not None
    for isr in ((1, 2), (1, 2, 3)):
        [told] = cluster.do(c.AlterPartitions(1, broker.epoch, (isr_change(partition(cluster), *isr),)))["partitions"]
        row = partition(cluster)
        assert row.isr == isr
        assert told == {
            "error": 0,
            "leader": 1,
            "leader_epoch": row.leader_epoch,
            "isr": list(isr),
            "recovery": 0,
            "partition_epoch": row.partition_epoch,
        }
    before = cluster.image.end_offset
    [told] = cluster.do(c.AlterPartitions(1, broker.epoch, (isr_change(partition(cluster), 1, 2, 3),)))["partitions"]
    assert (told["error"], cluster.image.end_offset) == (0, before)  # as it is: nothing is written


@pytest.mark.parametrize(
    ("isr", "other", "error"),
    [
        ((1, 2), {"topic_id": D}, 100),
        ((1, 2), {"partition": 9}, 3),
        ((1, 2), {"leader_epoch": 5}, 41),
        ((1, 2), {"partition_epoch": 5}, 41),
        ((), {}, 42),
        ((1, 1), {}, 42),
        ((1, 9), {}, 42),
        ((2, 3), {}, 42),
        ((1, 2), {"recovery": 1}, 42),
        ((1, 2), {"isr": ((1, -1), (2, 10**6))}, 107),
    ],
)
def test_an_isr_that_is_refused(isr: tuple[int, ...], other: dict[str, Any], error: int) -> None:
    cluster = Cluster()
    three(cluster)
    broker = cluster.image.brokers.get(1)
    assert broker is not None
    change = isr_change(partition(cluster), *isr, **other)
    assert cluster.do(c.AlterPartitions(1, broker.epoch, (change,)))["partitions"] == [{"error": error}]
    assert partition(cluster).isr == (1, 2, 3)


def test_who_may_not_alter_an_isr() -> None:
    cluster = Cluster()
    three(cluster)
    change = isr_change(partition(cluster), 1, 2)
    for broker_id, epoch in ((1, 10**6), (9, 1)):
        with pytest.raises(RefusedError) as refused:
            cluster.do(c.AlterPartitions(broker_id, epoch, (change,)))
        assert refused.value.kafka == 77
    other = cluster.image.brokers.get(2)
    assert other is not None
    assert cluster.do(c.AlterPartitions(2, other.epoch, (change,)))["partitions"] == [{"error": 42}]
    cluster.do(c.FenceBroker(3))
    first = cluster.image.brokers.get(1)
    assert first is not None
    change = isr_change(partition(cluster), 1, 2, 3)
    assert cluster.do(c.AlterPartitions(1, first.epoch, (change,)))["partitions"] == [{"error": 107}]


def test_the_preferred_leader_is_elected_when_it_may_lead() -> None:
    cluster = Cluster()
    three(cluster)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.ElectLeader("t", 0))
    assert refused.value.kafka == 84
    cluster.do(c.FenceBroker(1))
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.ElectLeader("t", 0))
    assert refused.value.kafka == 80
    come_back(cluster, 1)
    epoch = partition(cluster).leader_epoch
    assert cluster.do(c.ElectLeader("t", 0))["leader"] == 1
    assert (partition(cluster).leader, partition(cluster).leader_epoch) == (1, epoch + 1)


def come_back(cluster: Cluster, broker_id: int) -> None:
    """Unfenced, and taken into the ISR by whoever leads."""
    cluster.do(c.HeartbeatBroker(broker_id))
    row = partition(cluster)
    leader = cluster.image.brokers.get(row.leader)
    assert leader is not None
    members = tuple(sorted({*row.isr, broker_id}))
    [told] = cluster.do(c.AlterPartitions(leader.id, leader.epoch, (isr_change(row, *members),)))["partitions"]
    assert told["error"] == 0


def test_an_unclean_election_is_for_who_has_no_leader() -> None:
    cluster = Cluster()
    three(cluster)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.ElectLeader("t", 0, unclean=True))
    assert refused.value.kafka == 84
    for broker_id in (2, 3, 1):
        cluster.do(c.FenceBroker(broker_id))
    assert (partition(cluster).leader, partition(cluster).isr) == (-1, (1,))
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.ElectLeader("t", 0, unclean=True))
    assert refused.value.kafka == 83
    cluster.do(c.HeartbeatBroker(2))
    assert partition(cluster).leader == -1
    assert cluster.do(c.ElectLeader("t", 0, unclean=True))["leader"] == 2
    assert (partition(cluster).isr, partition(cluster).recovery) == ((2,), 1)


def test_replicas_are_put_into_directories_and_fail_with_them() -> None:
    cluster = Cluster()
    epoch = register(cluster, 7, (A, B))
    other = register(cluster, 8, (D,))
    topic_id = Uuid(cluster.topic("t", (7, 8), (7, 8)))
    assert partition(cluster).directories[0] not in (A, B)
    assigned = ((A, topic_id, 0), (B, topic_id, 1), (A, topic_id, 9), (A, D, 0))
    assert cluster.do(c.AssignDirectories(7, epoch, assigned))["errors"] == [0, 0, 3, 100]
    assert [partition(cluster, "t", number).directories for number in (0, 1)] == [(A, D), (B, D)]
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.AssignDirectories(7, epoch + 1, assigned))
    assert refused.value.kafka == 77
    cluster.topic("u", (8,))
    of = cluster.image.topics.get("u")
    assert of is not None
    assert cluster.do(c.AssignDirectories(7, epoch, ((A, of.id, 0),)))["errors"] == [6]

    cluster.do(c.HeartbeatBroker(7, epoch=epoch, offline=(A,)))
    row = cluster.image.brokers.get(7)
    assert row is not None
    assert (row.directories, row.fenced) == ((B,), False)
    assert (partition(cluster, "t", 0).isr, partition(cluster, "t", 0).leader) == ((8,), 8)
    assert (partition(cluster, "t", 1).isr, partition(cluster, "t", 1).leader) == ((7, 8), 7)
    before = cluster.image.end_offset
    cluster.do(c.HeartbeatBroker(7, epoch=epoch, offline=(A, D)))  # told again, and of another's
    assert cluster.image.end_offset == before
    assert other > 0


@pytest.mark.parametrize(
    ("entity", "change"),
    [
        ((), c.QuotaChange("producer_byte_rate", 1.0)),
        ((("planet", "x"),), c.QuotaChange("producer_byte_rate", 1.0)),
        ((("user", ""),), c.QuotaChange("producer_byte_rate", 1.0)),
        ((("user", "u"), ("user", "v")), c.QuotaChange("producer_byte_rate", 1.0)),
        ((("user", "u"), ("ip", "127.0.0.1")), c.QuotaChange("producer_byte_rate", 1.0)),
        ((("ip", "not an ip"),), c.QuotaChange("connection_creation_rate", 1.0)),
        ((("ip", "127.0.0.1"),), c.QuotaChange("producer_byte_rate", 1.0)),
        ((("user", "u"),), c.QuotaChange("connection_creation_rate", 1.0)),
        ((("user", "u"),), c.QuotaChange("producer_byte_rate", 0.0)),
        ((("user", "u"),), c.QuotaChange("producer_byte_rate", 1.5)),
        ((("user", "u"),), c.QuotaChange("request_percentage", float("nan"))),
    ],
)
def test_quotas_that_are_none(entity: tuple[tuple[str, str | None], ...], change: c.QuotaChange) -> None:
    cluster = Cluster()
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.AlterQuota(entity, (change,)))
    assert refused.value.kafka == 42


def test_quotas_are_set_and_removed() -> None:
    cluster = Cluster()
    entity = (("user", "u"), ("client-id", None))
    command = c.AlterQuota(
        entity, (c.QuotaChange("producer_byte_rate", 10.0), c.QuotaChange("request_percentage", 2.5))
    )
    assert len(cluster.records_of(command)) == 2
    assert cluster.records_of(command) == []
    assert len(cluster.image.quotas) == 2
    gone = c.AlterQuota(entity[::-1], (c.QuotaChange("producer_byte_rate", None),))
    assert len(cluster.records_of(gone)) == 1
    assert cluster.records_of(gone) == []
    assert len(cluster.image.quotas) == 1


@pytest.mark.parametrize(
    ("changes", "replace", "after"),
    [
        ([("retention.ms", "set", "5")], False, {"retention.ms": "5", "cleanup.policy": "compact"}),
        ([("cleanup.policy", "delete", "")], False, {"retention.ms": "1"}),
        ([("cleanup.policy", "append", "delete")], False, {"retention.ms": "1", "cleanup.policy": "compact,delete"}),
        ([("cleanup.policy", "append", "compact")], False, {"retention.ms": "1", "cleanup.policy": "compact"}),
        ([("cleanup.policy", "subtract", "compact")], False, {"retention.ms": "1", "cleanup.policy": ""}),
        ([("flush.ms", "set", "9")], True, {"flush.ms": "9"}),
        ([], True, {}),
    ],
)
def test_configs_as_kafka_alters_them(
    changes: list[tuple[str, str, str]], replace: bool, after: dict[str, str]
) -> None:
    cluster = Cluster()
    three(cluster)
    topic = Entity("topic", "t")
    cluster.do(c.SetConfigs(topic, (("retention.ms", "1"), ("cleanup.policy", "compact"))))
    cluster.do(c.AlterConfigs(topic, tuple(c.ConfigChange(*change) for change in changes), replace))
    assert cluster.image.configs_set(2, "t") == after


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("retention.ms", "append", "5"), 40),
        (("retention.ms", "set", "x"), 40),
        (("nonsense", "set", "x"), 40),
        (("cleanup.policy", "append", "shred"), 40),
    ],
)
def test_configs_that_are_refused(change: tuple[str, str, str], error: int) -> None:
    cluster = Cluster()
    three(cluster)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.AlterConfigs(Entity("topic", "t"), (c.ConfigChange(*change),)))
    assert refused.value.kafka == error
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.AlterConfigs(Entity("topic", "nosuch"), ()))
    assert refused.value.kafka == 3


def test_a_brokers_configs_are_written_even_if_they_stay() -> None:
    cluster = Cluster()
    three(cluster)
    command = c.AlterConfigs(Entity("broker", "1"), (c.ConfigChange("log.cleaner.threads", "set", "2"),))
    assert len(cluster.records_of(command)) == 1
    assert len(cluster.records_of(command)) == 1  # it reads its files anew


def test_an_observed_log_does_not_stand_still() -> None:
    cluster = Cluster()
    end = cluster.image.end_offset
    cluster.wait(60)
    assert cluster.image.end_offset == end + 1  # the image's hash, once
    cluster.active.note_observer(Instant(cluster.now))
    cluster.wait(60)
    assert 1 <= cluster.image.end_offset - end - 1 <= 3
    end = cluster.image.end_offset
    for _ in range(20):
        cluster.active.note_observer(Instant(cluster.now))
        cluster.wait(0.25)
    assert 9 <= cluster.image.end_offset - end <= 11  # one each half second, and one at once


# --- PARTITION LEADER and PARTITION ISR: the same decisions, by hand --------------------------------------------------


def alter_by_hand(cluster: Cluster, *isr: int, **other: Any) -> c.AlterIsr:
    row = partition(cluster)
    broker = cluster.image.brokers.get(row.leader)
    assert broker is not None
    fields: dict[str, Any] = {
        "topic": "t",
        "partition": 0,
        "broker": broker.id,
        "epoch": broker.epoch,
        "leader_epoch": row.leader_epoch,
        "isr": isr,
    }
    return c.AlterIsr(**fields | other)


def test_an_isr_by_hand_is_what_a_leader_asks_for() -> None:
    cluster = Cluster()
    three(cluster)
    assert cluster.do(alter_by_hand(cluster, 1, 3)) == {"offset": cluster.image.end_offset - 1, "partition_epoch": 1}
    assert partition(cluster).isr == (1, 3)
    end = cluster.image.end_offset
    assert cluster.do(alter_by_hand(cluster, 1, 3, partition_epoch=1)) == {"offset": end - 1, "partition_epoch": 1}
    assert cluster.image.end_offset == end


@pytest.mark.parametrize(
    ("isr", "other", "code", "number", "retry"),
    [
        ((1,), {"topic": "u"}, "UNKNOWN_TOPIC", 3, False),
        ((1,), {"partition": 7}, "UNKNOWN_TOPIC_OR_PARTITION", 3, False),
        ((1,), {"epoch": 1}, "STALE_BROKER_EPOCH", 77, False),
        ((1,), {"broker": 9}, "STALE_BROKER_EPOCH", 77, False),
        ((1,), {"leader_epoch": 1}, "NOT_CONTROLLER", 41, True),
        ((1,), {"partition_epoch": 2}, "NOT_CONTROLLER", 41, True),
        ((1,), {"partition_epoch": 0}, "INVALID_UPDATE_VERSION", 95, False),
        ((), {}, "INVALID_REQUEST", 42, False),
        ((1, 1), {}, "INVALID_REQUEST", 42, False),
        ((1, 4), {}, "INVALID_REQUEST", 42, False),
        ((2, 3), {}, "INVALID_REQUEST", 42, False),
    ],
)
def test_an_isr_by_hand_is_refused_as_a_brokers_is(
    isr: tuple[int, ...], other: dict[str, Any], code: str, number: int, retry: bool
) -> None:
    cluster = Cluster()
    three(cluster)
    cluster.do(alter_by_hand(cluster, 1, 2))
    with pytest.raises(RefusedError) as refused:
        cluster.do(alter_by_hand(cluster, *isr, **other))
    assert (refused.value.code, refused.value.kafka, refused.value.retry) == (code, number, retry)


def test_an_old_leader_epoch_another_leader_and_a_fenced_member_are_refused() -> None:
    cluster = Cluster()
    three(cluster)
    cluster.do(c.FenceBroker(1))
    assert partition(cluster).leader_epoch == 1
    with pytest.raises(RefusedError) as refused:
        cluster.do(alter_by_hand(cluster, 2, leader_epoch=0))
    assert (refused.value.code, refused.value.kafka) == ("FENCED_LEADER_EPOCH", 74)
    three_ = cluster.image.brokers.get(3)
    assert three_ is not None
    with pytest.raises(RefusedError, match="broker 2 leads t:0"):
        cluster.do(alter_by_hand(cluster, 2, broker=3, epoch=three_.epoch))
    with pytest.raises(RefusedError) as refused:
        cluster.do(alter_by_hand(cluster, 1, 2))
    assert (refused.value.code, refused.value.kafka) == ("INELIGIBLE_REPLICA", 107)
    assert refused.value.hint == "EXPLAIN broker/1"


def test_an_isr_by_hand_that_ends_a_reassignment_is_ok_and_names_the_new_leader() -> None:
    cluster = Cluster()
    three(cluster)
    cluster.broker(4, session_ms=FOREVER_MS)
    cluster.do(c.ReassignPartition("t", 0, (4,)))
    answer = cluster.do(alter_by_hand(cluster, 1, 2, 3, 4))
    assert answer["leader"] == 4
    assert (partition(cluster).leader, partition(cluster).replicas) == (4, (4,))


def test_a_leader_named_by_hand() -> None:
    cluster = Cluster()
    three(cluster)
    assert cluster.do(c.ElectLeader("t", 0, to=2))["leader"] == 2
    row = partition(cluster)
    assert (row.leader, row.isr, row.leader_epoch, row.recovery) == (2, (1, 2, 3), 1, 0)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.ElectLeader("t", 0, to=2))
    assert (refused.value.code, refused.value.kafka) == ("ELECTION_NOT_NEEDED", 84)
    cluster.do(alter_by_hand(cluster, 2, 3))
    with pytest.raises(RefusedError, match="not in sync") as refused:
        cluster.do(c.ElectLeader("t", 0, to=1))
    assert (refused.value.code, refused.value.kafka) == ("ELIGIBLE_LEADERS_NOT_AVAILABLE", 83)
    assert refused.value.hint == "PARTITION LEADER t:0 to=1 unclean=true"
    assert cluster.do(c.ElectLeader("t", 0, to=1, unclean=True))["leader"] == 1
    row = partition(cluster)
    assert (row.isr, row.recovery) == ((1,), 1)


@pytest.mark.parametrize("unclean", [False, True])
def test_who_is_fenced_or_no_replica_is_not_made_the_leader(unclean: bool) -> None:
    cluster = Cluster()
    three(cluster)
    cluster.broker(4, session_ms=FOREVER_MS)
    cluster.do(c.FenceBroker(2))
    for broker_id, why in ((4, "is no replica"), (2, "is FENCED"), (9, "is no replica")):
        with pytest.raises(RefusedError, match=why) as refused:
            cluster.do(c.ElectLeader("t", 0, unclean=unclean, to=broker_id))
        assert (refused.value.code, refused.value.kafka) == ("ELIGIBLE_LEADERS_NOT_AVAILABLE", 83)
    assert partition(cluster).leader == 1
