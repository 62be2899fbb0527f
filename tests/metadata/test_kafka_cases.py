"""The cases of Kafka's own controller unit tests, at metadata.version 21 and without ELR, in our words.

What is not here is elsewhere, or left out:

| Kafka's test | where, or why not |
| --- | --- |
| ReplicationControlManager: create, delete and grow topics, names, collisions, configs, validate only | test_topic_control, test_active (`check=`), tests/kafka |
| …: AlterPartition's errors; elections asked for; directories | test_kafka_control |
| …: reassignment made, gone on with, cancelled | test_assignment_control |
| …: balancing, unclean elections in rounds, expired sessions | test_chores |
| …: quotas on mutations, creation policies, cluster describer, older levels, EligibleLeaderReplicas_* | there is no such thing here |
| BrokerHeartbeatManager: sessions, next check, next state | test_sessions, test_broker_control |
| …: comparator, linked lists, usable brokers' iterator | how Kafka keeps them; usable_brokers is tested through placement |
| ClusterControlManager: registration and its refusals, unregistering, replay, records of registrations | test_broker_control, test_image |
| …: ZooKeeper, records of levels below 21, controllers' registrations | no such thing; controllers are in test_features and tests/node |
| ConfigurationControlManager | test_config_control, test_kafka_control; alter policies: no such thing |
| ProducerIdControlManager | test_producer_control, and the largest id below |
| PartitionChangeBuilder, PartitionReassignmentReplicas, StripedReplicaPlacer | below, and test_partition_change, test_placement |
"""  # noqa: E501

import random
from collections import Counter
from typing import Any

import pytest

from tests.metadata.cluster import Cluster, code_of
from yakt.errors import RefusedError
from yakt.ids import Uuid
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.entities import Entity
from yakt.metadata.image import MetadataImage
from yakt.metadata.partition_change import Election, Target, build
from yakt.metadata.placement import UsableBroker, place
from yakt.metadata.rows import LOST, MIGRATING, UNASSIGNED, PartitionRow
from yakt.metadata.topic_control import usable_brokers

FOREVER_MS = 7 * 24 * 3600 * 1000
TOPIC = Uuid(b"t" * 16)
ONLINE, UNCLEAN, PREFERRED = Election.ONLINE, Election.UNCLEAN, Election.PREFERRED


# --- PartitionChangeBuilderTest, PartitionReassignmentReplicasTest


def image(*, fenced: tuple[int, ...] = (3,)) -> MetadataImage:
    """Brokers 1 to 6, of several directories each, some of them fenced: so that they may not lead."""
    made = MetadataImage()
    brokers: list[r.Record] = [
        r.RegisterBrokerRecord(n, Uuid(bytes([n]) * 16), n, (), (), None, fenced=n in fenced, log_dirs=dirs(n))
        for n in range(1, 7)
    ]
    made.replay(0, 1, 0, [*brokers, r.TopicRecord("t", TOPIC)])
    return made


def dirs(broker_id: int) -> tuple[Uuid, ...]:
    return Uuid(bytes([broker_id]) * 16), Uuid(bytes([0x40 + broker_id]) * 16)


def row(replicas: tuple[int, ...], isr: tuple[int, ...], leader: int, **other: Any) -> PartitionRow:
    values: dict[str, Any] = {"removing": (), "adding": (), "recovery": 0, "directories": (UNASSIGNED,) * len(replicas)}
    return PartitionRow("t", TOPIC, 0, replicas, isr, leader=leader, leader_epoch=100, partition_epoch=200, offset=0, **(values | other))  # fmt: skip # noqa: E501


FOO = row((2, 1, 3), (2, 1, 3), 1)
BAR = row((1, 2, 3, 4), (1, 2, 3), 1, removing=(1,), adding=(4,))
BAZ = row((2, 1, 3), (1, 3), 3)
OFFLINE = row((2, 1, 3), (3,), -1)
ALL = {"fenced": ()}


@pytest.mark.parametrize(
    ("before", "brokers", "target", "election", "changes"),
    [
        # who is elected
        (FOO, {}, Target(), PREFERRED, {"leader": 2}),
        (FOO, {}, Target(), ONLINE, None),
        (FOO, {}, Target(), UNCLEAN, None),
        (FOO, {}, Target(isr=(1, 3)), ONLINE, {"isr": (1, 3)}),
        (FOO, {}, Target(isr=(1, 3)), UNCLEAN, {"isr": (1, 3)}),
        (FOO, {}, Target(isr=(3,)), ONLINE, {"isr": (3,), "leader": -1}),
        (FOO, {}, Target(isr=(3,)), UNCLEAN, {"isr": (2,), "leader": 2, "leader_recovery_state": 1}),
        (BAZ, ALL, Target(), PREFERRED, None),
        (BAZ, ALL, Target(), ONLINE, None),
        (BAZ, ALL, Target(), UNCLEAN, None),
        # the leader epoch stays when the ISR shrinks or grows, goes up when a replica leaves
        (FOO, {}, Target(isr=(2, 1)), ONLINE, {"isr": (2, 1)}),
        (BAZ, ALL, Target(isr=(1, 3, 2)), ONLINE, {"isr": (1, 3, 2)}),
        (FOO, {}, Target(replicas=(2, 1, 4)), ONLINE, {"replicas": (2, 1, 4), "leader": 1}),
        (FOO, {}, Target(isr=()), ONLINE, {"leader": -1}),  # and the ISR stays
        (FOO, {}, Target(isr=(2, 3)), ONLINE, {"isr": (2, 3), "leader": 2}),
        # reassignments
        (FOO, {}, Target(replicas=(3, 2, 1)), ONLINE, {"replicas": (3, 2, 1)}),
        (
            BAR,
            {},
            Target(isr=(1, 2, 3, 4)),
            ONLINE,
            {"replicas": (2, 3, 4), "isr": (2, 3, 4), "leader": 2, "removing_replicas": (), "adding_replicas": ()},
        ),
        (BAR, {}, Target(isr=(1, 2, 4)), ONLINE, {"isr": (1, 2, 4)}),  # 3 is to stay, and is not in sync
        (
            BAR,
            {},
            Target(isr=(1, 2, 3), replicas=(1, 2, 3), removing=(), adding=()),
            ONLINE,
            {"replicas": (1, 2, 3), "leader": 1, "removing_replicas": (), "adding_replicas": ()},
        ),
        (FOO, {}, Target(replicas=(1, 2, 3), removing=(3,)), ONLINE, {"replicas": (1, 2), "isr": (2, 1), "leader": 1}),
        (
            FOO,
            {},
            Target(replicas=(1, 2, 3, 4), adding=(4,)),
            ONLINE,
            {"replicas": (1, 2, 3, 4), "adding_replicas": (4,)},
        ),
        # a leader that is removed leads no more, though nobody can follow it
        (
            row((1, 2, 3), (1, 2, 3), 1, removing=(1,)),
            {"fenced": (1, 2, 3)},
            Target(),
            ONLINE,
            {"replicas": (2, 3), "isr": (2, 3), "leader": -1, "removing_replicas": ()},
        ),
        # unclean elections, and what becomes of the recovery
        (OFFLINE, {"fenced": (2, 3)}, Target(), UNCLEAN, {"isr": (1,), "leader": 1, "leader_recovery_state": 1}),
        (OFFLINE, {"fenced": (2, 3)}, Target(), ONLINE, None),
        (OFFLINE, {"fenced": (1, 2)}, Target(), ONLINE, {"leader": 3}),
        (row((1, 2, 3), (1, 2), 1, recovery=1), {"fenced": (1,)}, Target(isr=(2,)), ONLINE, {"isr": (2,), "leader": 2}),
        (row((1, 2, 3), (1,), 1, recovery=1), {"fenced": (1,)}, Target(), UNCLEAN, {"isr": (2,), "leader": 2}),
    ],
)
def test_a_partitions_change(
    before: PartitionRow, brokers: dict[str, Any], target: Target, election: Election, changes: dict[str, Any] | None
) -> None:
    record = build(image(**brokers), before, target, election)
    if changes is None:
        assert record is None
        return
    assert record is not None
    if "replicas" in changes and len(changes["replicas"]) != len(before.replicas):
        changes = {"directories": (UNASSIGNED,) * len(changes["replicas"]), **changes}
    if "replicas" in changes:
        changes = {"directories": record.directories, **changes}
    assert record == r.PartitionChangeRecord(0, TOPIC, **changes)


def test_replicas_keep_their_directories_when_they_are_reordered_and_joined() -> None:
    before = row((2, 1, 3), (2, 1, 3), 2, directories=(dirs(2)[1], dirs(1)[0], LOST))
    record = build(image(), before, Target(replicas=(1, 3, 4, 2), adding=(4,)), ONLINE)
    assert record is not None
    assert record.directories == (dirs(1)[0], LOST, UNASSIGNED, dirs(2)[1])


def test_a_directory_is_told_of_one_replica_alone() -> None:
    before = row((2, 1, 3), (2, 1, 3), 2, directories=(MIGRATING, UNASSIGNED, dirs(3)[0]))
    record = build(image(fenced=()), before, Target(directories={1: dirs(1)[1]}), ONLINE)
    assert record == r.PartitionChangeRecord(0, TOPIC, directories=(MIGRATING, dirs(1)[1], dirs(3)[0]))


@pytest.mark.parametrize(
    ("target", "replicas", "adding", "removing"),
    [
        ((0, 1, 2), (0, 1, 2), [], []),
        ((0, 1, 2, 3), (0, 1, 2, 3), [3], []),
        ((0, 4, 1, 3, 2), (0, 4, 1, 3, 2), [3, 4], []),
        ((2, 0), (2, 0), [], []),  # done at once
        ((3, 4, 5), (3, 4, 5, 0, 1, 2), [3, 4, 5], [0, 1, 2]),
        ((5, 1), (5, 1, 0, 2), [5], [0, 2]),
        ((2, 1, 0), (2, 1, 0), [], []),
    ],
)
def test_a_reassignments_replicas(
    target: tuple[int, ...], replicas: tuple[int, ...], adding: list[int], removing: list[int]
) -> None:
    cluster = made_of(6)
    cluster.topic("t", (0, 1, 2))
    answer = cluster.do(c.ReassignPartition("t", 0, target))
    assert (answer["adding"], answer["removing"], answer["done"]) == (adding, removing, not adding and not removing)
    assert found(cluster).replicas == replicas


# --- ReplicationControlManagerTest


def made_of(brokers: int) -> Cluster:
    """Brokers from 0, all alive for good."""
    cluster = Cluster()
    for broker_id in range(brokers):
        cluster.broker(broker_id, session_ms=FOREVER_MS)
    return cluster


def found(cluster: Cluster, name: str = "t", number: int = 0) -> PartitionRow:
    topic = cluster.image.topics.get(name)
    assert topic is not None
    partition = cluster.image.partitions.get((topic.id, number))
    assert partition is not None
    return partition


def shut_down(cluster: Cluster, broker_id: int) -> None:
    """Into controlled shutdown: it must lead something for that."""
    name = f"led-by-{broker_id}"
    cluster.topic(name, (broker_id, (broker_id + 1) % 3))
    assert not cluster.do(c.HeartbeatBroker(broker_id, shutdown=True))["shutdown"]


def epoch_of(cluster: Cluster, broker_id: int) -> int:
    broker = cluster.image.brokers.get(broker_id)
    assert broker is not None
    return broker.epoch


def test_only_active_replicas_begin_in_sync() -> None:
    cluster = made_of(3)
    shut_down(cluster, 1)
    cluster.do(c.FenceBroker(2))
    cluster.do(c.CreateTopic("t", assignment=((1, 0, 2),)))
    assert (found(cluster).replicas, found(cluster).isr, found(cluster).leader) == ((1, 0, 2), (0,), 0)
    cluster.do(c.AddPartitions("t", 2, ((2, 1, 0),)))
    assert (found(cluster, number=1).isr, found(cluster, number=1).leader) == ((0,), 0)


@pytest.mark.parametrize(
    ("assignment", "code"), [(None, "INVALID_REPLICATION_FACTOR"), (((1, 0),), "INVALID_REPLICA_ASSIGNMENT")]
)
def test_nothing_is_placed_on_brokers_that_are_all_fenced_or_shutting_down(
    assignment: tuple[tuple[int, ...], ...] | None, code: str
) -> None:
    cluster = made_of(2)
    cluster.topic("t", (0, 1))
    cluster.topic("u", (1, 0))
    cluster.do(c.HeartbeatBroker(1, shutdown=True))
    cluster.do(c.FenceBroker(0))
    assert [broker.id for broker in usable_brokers(cluster.image)] == [0]
    replication = 1 if assignment is None else None
    command = c.CreateTopic("v", replication=replication, assignment=assignment)
    assert code_of(cluster.submit(command)) == code
    assert code_of(cluster.submit(c.AddPartitions("t", 2, assignment))) == code


@pytest.mark.parametrize(
    ("make_ineligible", "epoch"),
    [(lambda cluster: cluster.do(c.FenceBroker(2)), -1), (lambda _: None, 10**6), (lambda c_: shut_down(c_, 2), -1)],
)
def test_who_may_not_join_an_isr(make_ineligible: Any, epoch: int) -> None:
    cluster = made_of(3)
    cluster.topic("t", (0, 1, 2))
    make_ineligible(cluster)
    now = found(cluster)
    isr = ((0, epoch_of(cluster, 0)), (1, -1), (2, epoch))
    change = c.IsrChange(now.topic_id, 0, now.leader_epoch, now.partition_epoch, isr)
    assert cluster.do(c.AlterPartitions(0, epoch_of(cluster, 0), (change,)))["partitions"] == [{"error": 107}]
    assert found(cluster) == now


def test_a_leadership_that_an_isr_change_ends_is_told_as_that() -> None:
    cluster = made_of(6)
    cluster.topic("t", (0, 1))
    cluster.do(c.ReassignPartition("t", 0, (2, 3)))
    alter(cluster, 0, 1, 2)
    assert cluster.do(c.ElectLeader("t", 0))["leader"] == 2  # first in the list, though it is still being added
    cluster.do(c.ReassignPartition("t", 0, (4, 5)))
    now = found(cluster)
    assert (now.replicas, now.adding, now.removing, now.leader) == ((4, 5, 0, 1, 2, 3), (4, 5), (0, 1, 2, 3), 2)
    assert alter(cluster, 0, 1, 2, 3, 4, 5) == {"error": 108}
    now = found(cluster)
    assert (now.replicas, now.isr, now.leader, now.adding, now.removing) == ((4, 5), (4, 5), 4, (), ())


def alter(cluster: Cluster, *isr: int) -> dict[str, Any]:
    now = found(cluster)
    change = c.IsrChange(now.topic_id, 0, now.leader_epoch, now.partition_epoch, tuple((one, -1) for one in isr))
    [told] = cluster.do(c.AlterPartitions(now.leader, epoch_of(cluster, now.leader), (change,)))["partitions"]
    return dict(told)


def test_a_cancelled_reassignment_may_need_an_unclean_election() -> None:
    cluster = made_of(4)
    cluster.topic("t", (0, 1))
    cluster.do(c.ReassignPartition("t", 0, (2, 3)))
    alter(cluster, 0, 1, 2)
    assert cluster.do(c.ElectLeader("t", 0))["leader"] == 2
    alter(cluster, 2)  # the old ones have fallen behind
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.CancelReassignment("t", 0))
    assert refused.value.kafka == 39
    cluster.do(c.SetConfigs(Entity("topic", "t"), (("unclean.leader.election.enable", "true"),)))
    assert cluster.do(c.CancelReassignment("t", 0))["done"] is True
    now = found(cluster)
    assert (now.replicas, now.isr, now.leader) == ((0, 1), (0,), 0)


def test_a_preferred_election_is_never_unclean() -> None:
    cluster = made_of(4)
    cluster.topic("t", (1, 2, 3))
    for broker_id in (2, 3, 1):
        cluster.do(c.FenceBroker(broker_id))
    cluster.do(c.SetConfigs(Entity("topic", "t"), (("unclean.leader.election.enable", "false"),)))
    cluster.do(c.HeartbeatBroker(2))
    cluster.do(c.SetConfigs(Entity("topic", "t"), (("unclean.leader.election.enable", "true"),)))
    assert (found(cluster).leader, found(cluster).isr) == (-1, (1,))
    end = cluster.image.end_offset
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.ElectLeader("t", 0))
    assert (refused.value.kafka, cluster.image.end_offset) == (80, end)


def test_the_last_of_an_isr_keeps_it_while_all_brokers_go_and_come() -> None:
    cluster = made_of(4)
    cluster.topic("t", (1, 2, 3))
    for broker_id, isr, leader in ((2, (1, 3), 1), (1, (3,), 3), (3, (3,), -1)):
        cluster.do(c.FenceBroker(broker_id))
        assert (found(cluster).isr, found(cluster).leader) == (isr, leader)
    for broker_id, leader in ((2, -1), (1, -1), (3, 3)):
        cluster.do(c.HeartbeatBroker(broker_id))
        assert (found(cluster).isr, found(cluster).leader) == ((3,), leader)


def test_the_shutdown_offset_is_set_once() -> None:
    cluster = made_of(3)
    cluster.topic("t", (0, 1))
    cluster.do(c.HeartbeatBroker(1, at=0))
    cluster.do(c.HeartbeatBroker(0, shutdown=True))
    session = cluster.active.sessions.get(0, epoch_of(cluster, 0))
    assert session is not None
    first = session.shutdown_offset
    assert first == cluster.image.end_offset - 1
    cluster.do(c.SetConfigs(Entity("client-metrics", "x"), (("metrics", "m"),)))
    assert not cluster.do(c.HeartbeatBroker(0, shutdown=True))["shutdown"]
    assert session.shutdown_offset == first


def test_directories_that_fail_as_the_broker_comes_back_lead_nothing() -> None:
    cluster = Cluster()
    a, b = dirs(1)
    command = c.RegisterKafkaBroker(
        id=1, cluster_id=cluster.settings.cluster_id, incarnation=TOPIC, end_points=(),
        features=(r.BrokerFeature("metadata.version", 1, 25),), rack=None, log_dirs=(a, b),
    )  # fmt: skip
    epoch = int(cluster.do(command)["epoch"])
    cluster.do(c.HeartbeatBroker(1))
    topic_id = Uuid(cluster.topic("t", (1,), (1,)))
    cluster.do(c.AssignDirectories(1, epoch, ((a, topic_id, 0), (b, topic_id, 1))))
    cluster.do(c.FenceBroker(1))
    records = cluster.records_of(c.HeartbeatBroker(1, epoch=epoch, offline=(a,)))
    assert [found(cluster, number=number).leader for number in (0, 1)] == [-1, 1]
    broker = cluster.image.brokers.get(1)
    assert broker is not None
    assert (broker.fenced, broker.directories) == (False, (b,))
    assert [type(record).__name__ for record in records] == [
        "BrokerRegistrationChangeRecord", "PartitionChangeRecord", "BrokerRegistrationChangeRecord",
    ]  # fmt: skip


# --- ProducerIdControlManagerTest


def test_the_last_block_of_producer_ids() -> None:
    cluster = made_of(1)
    top = 2**63 - 1
    for one in (cluster.image, cluster.follower):
        one.replay(one.end_offset, 1, 0, [r.ProducerIdsRecord(0, 0, top - 1000)])
    cluster.lead()
    assert cluster.do(c.AllocateProducerIds(0, epoch_of(cluster, 0)))["first"] == top - 1000
    assert code_of(cluster.submit(c.AllocateProducerIds(0, epoch_of(cluster, 0)))) == "POLICY_VIOLATION"


# --- StripedReplicaPlacerTest


def brokers_of(*racks: tuple[int, str | None, bool]) -> list[UsableBroker]:
    return [UsableBroker(*one) for one in racks]


def test_a_single_unfenced_broker_is_first_in_every_partition() -> None:
    brokers = brokers_of((0, None, False), (1, None, True), (2, None, True))
    placed = place(brokers, 5, 2, random.Random(1).random)
    assert {replicas[0] for replicas in placed} == {0}
    assert {replicas[1] for replicas in placed} == {1, 2}  # the fenced ones in turn


def test_the_fenced_are_avoided_where_there_are_others() -> None:
    brokers = brokers_of((3, "1", False), (1, "1", True), (2, "1", False), (4, "1", False), (0, "1", False))
    for replicas in place(brokers, 12, 4, random.Random(3).random):
        assert 1 not in replicas


def test_racks_alternate_and_one_without_unfenced_brokers_never_leads() -> None:
    brokers = brokers_of(
        (10, "1", False), (11, "1", False), (20, "2", False), (21, "2", True), (30, "3", True), (31, "3", True),
    )  # fmt: skip
    for seed in range(20):
        for replicas in place(brokers, 6, 3, random.Random(seed).random):
            assert replicas[0] in (10, 11, 20)
            assert len({broker_id // 10 for broker_id in replicas}) == 3


def test_placements_are_spread_evenly() -> None:
    """Of six brokers in one rack, 600 partitions of three: each leads a sixth, and all orders come up."""
    brokers = brokers_of(*((number, None, False) for number in range(6)))
    placed = place(brokers, 600, 3, random.Random(0).random)
    assert Counter(replicas[0] for replicas in placed) == dict.fromkeys(range(6), 100)
    every = Counter(broker_id for replicas in placed for broker_id in replicas)
    assert min(every.values()) > 270
    assert max(every.values()) < 330
    assert len(Counter(placed)) > 60  # of 120


@pytest.mark.parametrize("replication", [0, -1])
def test_a_replication_that_is_none(replication: int) -> None:
    with pytest.raises(RefusedError) as refused:
        place(brokers_of((1, None, False)), 1, replication, random.Random(0).random)
    assert refused.value.kafka == 38
