"""A swarm's brokers on the real controller: started, killed, lagging, flapping, reassigned, and gone again."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.cluster import Cluster
from tests.swarm.fake import World
from yakt.metadata import commands as c
from yakt.metadata.records import NoOpRecord
from yakt.swarm.machine import LeaveOrdered, Stage


def ready(**changes: object) -> World:
    world = World(**changes)  # type: ignore[arg-type]
    world.until(Stage.READY)
    return world


def test_all_comes_up_and_goes_again() -> None:
    world = ready()
    image = world.cluster.image
    assert world.fenced() == set()
    assert sorted(row.id for row in image.brokers.rows()) == list(range(1001, 1007))
    assert sorted((row.topic, row.partition) for row in world.partitions()) == [
        (topic, partition) for topic in ("t-1", "t-2") for partition in range(4)
    ]
    for row in world.partitions():
        racks = [image.brokers.get(replica).rack for replica in row.replicas]  # type: ignore[union-attr]
        assert sorted(racks) == ["r1", "r2", "r3"]
        assert row.isr == row.replicas
    world.step(LeaveOrdered())
    world.until(Stage.GONE)
    assert world.told[-1].text == "all have left"
    assert list(image.brokers.rows()) == []
    assert world.partitions() == []


def test_heartbeats_keep_all_alive_and_write_nothing() -> None:
    world = ready()
    written, since = len(world.cluster.committed), world.cluster.now
    world.run(60)
    assert {type(record) for _, record in world.cluster.committed[written:]} <= {NoOpRecord}  # an image's hash
    assert 6 * 29 <= world.said("BROKER HEARTBEAT", since) <= 6 * 31


def test_who_is_killed_is_fenced_and_who_is_started_again_catches_up() -> None:
    world = ready()
    world.order("kill 3 1005")
    world.run(8)
    assert world.fenced() == set()  # their sessions are not over
    world.run(4)
    assert world.fenced() == {1003, 1005}
    assert world.shrunk()
    epoch = world.swarm.brokers[1004].epoch
    world.order("start 3 5")
    world.run(10)
    assert world.fenced() == set()
    assert world.shrunk() == []
    assert world.swarm.brokers[1003].epoch > epoch  # another incarnation
    assert world.swarm.brokers[1004].epoch == epoch


def test_started_at_once_it_waits_for_the_session_before() -> None:
    world = ready()
    world.order("kill 3")
    world.order("start 3")
    world.run(1)
    assert world.swarm.brokers[1003].state == "registering"
    assert "DUPLICATE_BROKER" in world.swarm.brokers[1003].said
    world.run(10)
    assert world.swarm.brokers[1003].state == "running"


def test_who_lags_leaves_the_isrs_and_keeps_its_leaderships() -> None:
    world = ready()
    led = [row for row in world.partitions() if row.leader == 1002]
    assert led
    world.order("lag 2")
    world.run(5)
    assert world.fenced() == set()
    for row in world.partitions():
        assert (1002 in row.isr) is (row.leader == 1002), row
    assert [row.key for row in world.partitions() if row.leader == 1002] == [row.key for row in led]
    world.order("start 2")
    world.run(5)
    assert world.shrunk() == []


def test_an_order_for_a_while_ends_by_itself() -> None:
    world = ready()
    world.order("lag 2 for=6")
    world.run(5)
    assert world.swarm.brokers[1002].state == "lagging"
    world.order("kill 4 for=20")
    world.run(19)
    assert world.fenced() == {1004}
    world.run(10)
    assert world.fenced() == set()
    assert world.shrunk() == []


def test_who_flaps_is_fenced_and_unfenced_again_and_again() -> None:
    world = ready()
    epoch = world.swarm.brokers[1001].epoch
    world.order("flap 1")
    world.run(120)
    told = [tell.kind for tell in world.told if tell.pairs.get("ids") == [1001]]
    assert told[:4] == ["fenced", "unfenced", "fenced", "unfenced"]
    assert world.swarm.brokers[1001].epoch == epoch  # the same process all the time
    world.order("start 1")
    world.run(10)
    assert world.fenced() == set()
    assert world.shrunk() == []


def test_who_is_stopped_gives_its_leaderships_away_first() -> None:
    world = ready()
    world.order("stop 2")
    world.run(2)
    assert world.swarm.brokers[1002].state == "down"
    assert world.fenced() == {1002}
    assert not [row for row in world.partitions() if row.leader in (1002, -1)]
    world.order("start 2")  # nobody waits for the session of one that went in order
    world.run(5)
    assert world.shrunk() == []


def test_new_replicas_of_a_reassignment_catch_up() -> None:
    world = ready(replication=2, racks=1)
    (row, *_) = world.partitions()
    others = [number for number in world.settings.ids if number not in row.replicas][:2]
    world.cluster.do(c.ReassignPartition(row.topic, row.partition, tuple(others)))
    world.run(8)
    now = next(found for found in world.partitions() if found.key == row.key)
    assert sorted(now.isr) == sorted(now.replicas) == others
    assert (now.adding, now.removing) == ((), ())


def test_one_that_somebody_unregisters_is_down_and_says_why() -> None:
    world = ready()
    world.cluster.do(c.UnregisterBroker(1004))
    world.run(3)
    broker = world.swarm.brokers[1004]
    assert broker.state == "down"
    assert "UNKNOWN_BROKER" in broker.said
    world.order("start 4")
    world.run(3)
    assert broker.state == "running"


def test_one_whose_id_another_takes_is_down_and_leaves_it_alone() -> None:
    world = ready()
    world.order("flap 4")
    while not world.swarm.brokers[1004].is_silent:
        world.run(0.5)
    world.cluster.wait(9.5)
    world.cluster.broker(1004, incarnation=bytes(range(16)), session_ms=3_600_000)
    world.run(20)
    assert "STALE_BROKER_EPOCH" in world.swarm.brokers[1004].said
    assert world.fenced() == set()


def test_topics_of_an_earlier_swarm_are_taken_over() -> None:
    first = ready()
    first.cluster.wait(30)  # it was killed; all its brokers are fenced
    second = World(cluster=first.cluster)
    second.until(Stage.READY)
    second.run(10)
    assert second.fenced() == set()
    assert second.shrunk() == []
    assert second.swarm.topics.failure == ""


def test_a_topic_with_more_partitions_than_one_line_holds() -> None:
    world = ready(topics=1, partitions=1030)
    assert [row.partition for row in world.partitions()] == list(range(1030))
    assert world.said("PARTITION CREATE") == 30


def test_the_same_seed_does_the_same() -> None:
    def lines(seed: str) -> list[tuple[float, str]]:
        world = World(seed, chaos_s=2.0)
        world.until(Stage.READY)
        world.run(60)
        return world.lines

    assert lines("7") == lines("7")
    assert lines("7") != lines("8")


def test_chaos_leaves_two_thirds_alone() -> None:
    world = ready(brokers=9, chaos_s=1.0)
    kinds = set()
    for _ in range(300):
        world.run(1)
        assert sum(broker.is_in_sync for broker in world.swarm.brokers.values()) >= 3
        kinds |= {str(tell.pairs["deed"]) for tell in world.told if tell.kind == "chaos"}
    assert kinds == {"kill", "lag", "flap"}


@settings(max_examples=30)
@given(
    seed=st.integers(0, 999),
    loss=st.sampled_from((0.0, 0.2)),
    orders=st.lists(
        st.tuples(
            st.sampled_from(("kill", "start", "stop", "lag", "flap")),
            st.sampled_from(("1", "2-4", "any=2", "rack=r2", "all")),
            st.sampled_from(("", " for=4", " for=15")),
            st.sampled_from((0.0, 0.7, 3.0, 14.0)),
        ),
        max_size=8,
    ),
)
def test_whatever_is_ordered_and_lost_all_comes_back_and_all_can_leave(
    seed: int, loss: float, orders: list[tuple[str, str, str, float]]
) -> None:
    chance = random.Random(seed)
    world = World(str(seed), loses=lambda _: chance.random() < loss)
    for deed, who, for_s, pause in orders:
        world.order(f"{deed} {who}{for_s}")
        world.run(pause)
    world.order("start all")
    world.until(Stage.READY, 120)
    world.order("start all")
    world.run(60)
    assert world.fenced() == set()
    assert {broker.state for broker in world.swarm.brokers.values()} == {"running"}
    assert world.shrunk() == []
    assert len(world.partitions()) == 8
    world.step(LeaveOrdered())
    world.until(Stage.GONE)
    assert list(world.cluster.image.brokers.rows()) == []
    assert world.partitions() == []


@pytest.mark.parametrize("who", ["all", "1-2"])
def test_dead_brokers_leave_too(who: str) -> None:
    world = ready()
    world.order(f"kill {who}")
    world.step(LeaveOrdered())
    world.until(Stage.GONE)
    assert list(world.cluster.image.brokers.rows()) == []


def test_a_cluster_that_answers_nothing_is_left_after_a_while() -> None:
    world = ready()
    world.loses = lambda _: True
    world.cluster = Cluster()  # nothing reaches the first one any more
    world.step(LeaveOrdered())
    world.run(16)
    assert world.swarm.stage is Stage.GONE
    assert world.told[-1].kind == "gone"
    assert world.told[-1].pairs["ids"]
