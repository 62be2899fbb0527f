"""EXPLAIN of partitions and brokers: what a person reads, and that what it says to type helps."""

import re

import pytest

from tests.metadata.cluster import Cluster
from tests.metadata.test_kafka_control import FOREVER_MS, A, isr_change, partition, register
from yakt.errors import RefusedError
from yakt.ids import Instant
from yakt.line import grammar
from yakt.metadata import commands as c
from yakt.metadata import explain
from yakt.metadata.asked import Asked
from yakt.metadata.entities import Entity
from yakt.metadata.explain import Known, duration


def known(cluster: Cluster, *, leads: bool = True) -> Known:
    return Known(
        settings=cluster.settings,
        sessions=cluster.active.sessions if leads else None,
        now=Instant(cluster.now),
        where="node 2 (h:7102)",
        told=lambda offset: "at some offset",
    )


def of_partition(cluster: Cluster, topic: str = "t", number: int = 0) -> list[str]:
    return explain.partition(cluster.image, known(cluster), topic, number)


def of_broker(cluster: Cluster, broker_id: int, *, leads: bool = True) -> list[str]:
    return explain.broker(cluster.image, known(cluster, leads=leads), broker_id)


def type_all(cluster: Cluster, lines: list[str]) -> None:
    """Do what the lines say to type, as far as it writes."""
    for line in lines:
        if line.startswith("Type: "):
            request = grammar.parse(line.removeprefix("Type: ").encode())
            assert request is not None
            assert isinstance(request.ask, Asked), request.ask
            if isinstance(request.ask.command, c.Command.__args__):
                cluster.do(request.ask.command)


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    for broker_id in (1, 2, 3):
        made.broker(broker_id, session_ms=FOREVER_MS)
    made.topic("t", (1, 2, 3))
    return made


def alter(cluster: Cluster, *isr: int) -> None:
    row = partition(cluster)
    leader = cluster.image.brokers.get(row.leader)
    assert leader is not None
    cluster.do(c.AlterPartitions(row.leader, leader.epoch, (isr_change(row, *isr),)))


def test_a_healthy_partition(cluster: Cluster) -> None:
    assert of_partition(cluster) == [
        "t:0 is led by broker 1, and all its 3 replicas are in sync.",
        "Broker 1 (leads, preferred): alive, in sync.",
        "Broker 2: alive, in sync.",
        "Broker 3: alive, in sync.",
        "If broker 1 stops, broker 2 leads.",
        "It last changed at some offset.",
        "Type: HISTORY t:0 say=true",
    ]


def test_a_fenced_replica_is_named_and_brought_back(cluster: Cluster) -> None:
    cluster.do(c.FenceBroker(3))
    lines = of_partition(cluster)
    assert lines[0] == "t:0 is led by broker 1; 1 of its 3 replicas is out of sync."
    assert "Broker 3: fenced, out of sync." in lines
    at = lines.index("Type: BROKER HEARTBEAT 3")
    assert lines[at - 1] == (
        "Broker 3 is fenced, and was registered by a line: a heartbeat unfences it; it is in sync again once it has "
        "caught up."
    )
    type_all(cluster, lines)
    lines = of_partition(cluster)
    assert (
        "Broker 3 is alive: the leader, broker 1, takes such a replica back into the ISR once it has caught up."
        in lines
    )
    type_all(cluster, lines)
    assert partition(cluster).isr == (1, 2, 3)


def test_who_gets_the_leadership_back_and_how(cluster: Cluster) -> None:
    cluster.do(c.FenceBroker(1))
    lines = of_partition(cluster)
    assert "Broker 1 is preferred, and gets the leadership back some minutes after it is in sync again." in lines
    cluster.do(c.HeartbeatBroker(1))
    alter(cluster, 1, 2, 3)
    lines = of_partition(cluster)
    assert lines[0] == "t:0 is led by broker 2, and all its 3 replicas are in sync."
    assert "Type: PARTITION LEADER t:0" in lines
    type_all(cluster, lines)
    assert partition(cluster).leader == 1


def test_a_partition_without_a_leader_waits_for_the_last_in_sync(cluster: Cluster) -> None:
    alter(cluster, 1)
    cluster.do(c.FenceBroker(1))
    assert of_partition(cluster) == [
        "t:0 has no leader: nobody can write to it or read from it.",
        "Broker 1 (preferred): fenced, in sync.",
        "Broker 2: alive, out of sync.",
        "Broker 3: alive, out of sync.",
        "Without loss only a replica that was in sync may lead: broker 1, and it is not there.",
        "Broker 1 is fenced, and was registered by a line: a heartbeat unfences it; broker 1 then leads t:0 at once.",
        "Type: BROKER HEARTBEAT 1",
        "Brokers 2 and 3 are alive, but out of sync: as the leader either would lose for ever what it has not copied. "
        "If that is better than to wait:",
        "Type: PARTITION LEADER t:0 to=2 unclean=true",
        "It last changed at some offset.",
        "Type: HISTORY t:0 say=true",
    ]
    cluster.do(c.HeartbeatBroker(1))
    assert partition(cluster).leader == 1


def test_the_unclean_way_out_works_and_is_told_of_afterwards(cluster: Cluster) -> None:
    alter(cluster, 1)
    cluster.do(c.UnregisterBroker(1))
    lines = of_partition(cluster)
    assert "Type: BROKER REGISTER 1 host=b1 port=9092" in lines
    cluster.do(c.ElectLeader("t", 0, unclean=True, to=3))
    assert partition(cluster).leader == 3
    lines = of_partition(cluster)
    assert lines[0] == "t:0 is led by broker 3; 2 of its 3 replicas are out of sync."
    assert any("records may be lost" in line for line in lines)


def test_a_move_that_is_not_done(cluster: Cluster) -> None:
    cluster.broker(4, session_ms=FOREVER_MS)
    cluster.do(c.ReassignPartition("t", 0, (2, 4)))
    lines = of_partition(cluster)
    assert "It moves to brokers 2 and 4: broker 4 must come in sync first." in lines
    assert "Broker 4 (being added): alive, out of sync." in lines
    assert "Type: PARTITION CANCEL t:0" in lines


def test_a_directory_that_has_failed() -> None:
    cluster = Cluster()
    register(cluster, 1, (A,))
    cluster.broker(2, session_ms=FOREVER_MS)
    cluster.topic("t", (1, 2))
    b = type(A)(b"b" * 16)
    cluster.do(c.RegisterKafkaBroker(
        id=1, cluster_id=cluster.settings.cluster_id, incarnation=type(A)(bytes([1]) * 16), end_points=(),
        features=cluster.image.brokers.get(1).features, rack=None, log_dirs=(b,),  # type: ignore[union-attr]
    ))  # fmt: skip
    lines = of_partition(cluster)
    assert "Broker 1 (leads, preferred): alive, but its log directory has failed, in sync." in lines
    assert "The leader, broker 1, is in trouble itself." in lines


def test_producers_that_are_refused(cluster: Cluster) -> None:
    cluster.do(c.SetConfigs(Entity("topic", "t"), (("min.insync.replicas", "2"),)))
    alter(cluster, 1)
    assert "Producers with acks=all are refused: min.insync.replicas is 2, in sync are 1." in of_partition(cluster)


def test_a_broker_alive_fenced_and_gone(cluster: Cluster) -> None:
    assert of_broker(cluster, 1) == [
        "Broker 1 (b1:9092) is alive: it may lead and be in sync.",
        "It last changed at some offset.",
        "Its session lasts 7 days from each heartbeat, and ends in 7 days if no other comes.",
        "It holds 1 replica, leads 1 and is in sync in 1.",
        "Type: PARTITION LIST broker=1",
        "Type: HISTORY broker/1 say=true",
    ]
    cluster.do(c.FenceBroker(1))
    lines = of_broker(cluster, 1)
    assert lines[:2] == [
        "Broker 1 (b1:9092) is fenced: it leads nothing and is in no ISR that could do without it.",
        "It was fenced at some offset.",
    ]
    assert "It has no session: no heartbeat came within the last 7 days." in lines
    assert "Out of sync with it: t:0." in lines
    assert lines[-2:] == ["Type: EXPLAIN t:0", "Type: HISTORY broker/1 say=true"]
    type_all(cluster, lines)
    row = cluster.image.brokers.get(1)
    assert row is not None
    assert not row.fenced
    cluster.do(c.UnregisterBroker(1))
    lines = of_broker(cluster, 1)
    assert lines[0] == "Broker 1 is not registered any more: it was unregistered at some offset."
    type_all(cluster, lines)
    assert of_broker(cluster, 1)[1] == "It registered at some offset, and no heartbeat has unfenced it since."
    with pytest.raises(RefusedError, match="no broker 9"):
        of_broker(cluster, 9)


def test_a_broker_that_has_not_caught_up(cluster: Cluster) -> None:
    cluster.do(c.RegisterBroker(5, "b5", 9092))
    cluster.do(c.HeartbeatBroker(5, at=1))
    [line] = [line for line in of_broker(cluster, 5) if "applied the log" in line]
    assert re.fullmatch(r"Broker 5 sends heartbeats, but has applied the log only up to offset 1: .*at \d+\.", line)


def test_only_the_leader_knows_of_sessions(cluster: Cluster) -> None:
    assert (
        "A session of its lasts 7 days from each heartbeat; until when, the leader alone knows: node 2 (h:7102)."
        in of_broker(cluster, 1, leads=False)
    )


def test_a_broker_with_many_replicas_names_a_few(cluster: Cluster) -> None:
    cluster.topic("many", *[(3,)] * 8)
    cluster.do(c.FenceBroker(3))
    lines = of_broker(cluster, 3)
    assert "It holds 9 replicas, leads 0 and is in sync in 8." in lines
    assert "Without a leader, and able to have it: many:0, many:1, many:2, many:3, many:4 and 3 more." in lines


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0.0 s"), (0.42, "0.4 s"), (12.9, "12 s"), (180, "3 min"), (7200, "2 h"), (400_000, "4 days")],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
