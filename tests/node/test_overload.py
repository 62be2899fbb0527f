"""Overload never fences live brokers: a slow disk, a queue that is full, a node that stood still."""

import pytest

from tests.node.cluster import Asking, Cluster, Node
from yakt.node import driver


def register(cluster: Cluster, leader: Node, *broker_ids: int) -> None:
    """Brokers with sessions of two seconds, alive."""
    for broker_id in broker_ids:
        leader.write(f"BROKER REGISTER {broker_id} host=h port=9092 session=2000")
        leader.write(f"BROKER HEARTBEAT {broker_id}")
    cluster.settle()
    assert fenced(leader) == dict.fromkeys(broker_ids, False)


def beat(leader: Node, broker_id: int) -> Asking:
    return leader.write(f"BROKER HEARTBEAT {broker_id}")


def fenced(node: Node) -> dict[int, bool]:
    assert node.driver.loader.active is not None
    return {row.id: row.fenced for row in node.driver.loader.active.delta.brokers.rows()}


def finish_flushes(leader: Node) -> None:
    leader.holds_flushes = False
    for flush in leader.held:
        flush.run()
        leader.driver.flushed(flush)
    leader.held.clear()


def test_a_slow_disk_fences_nobody_who_keeps_sending() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    register(cluster, leader, 1, 2)
    leader.holds_flushes = True
    leader.write("CONFIG SET client-metrics/a metrics=1")
    asked = []
    for _ in range(10):
        cluster.run(1)
        assert leader.held, "nothing is decided meanwhile"
        asked.append(beat(leader, 1))
    finish_flushes(leader)
    cluster.run(0.5)
    assert asked[-1].text.startswith("OK")  # the first of them have timed out by now
    assert not fenced(leader)[1]
    cluster.run(1)  # broker 2, which was silent for all that time, is found out now
    assert fenced(leader) == {1: False, 2: True}


def test_a_heartbeat_that_a_full_queue_refuses_counts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    leader = cluster.elect()
    register(cluster, leader, 1)
    leader.holds_flushes = True
    leader.write("CONFIG SET client-metrics/a metrics=1")
    monkeypatch.setattr(driver, "QUEUE_MAX", 3)
    for number in range(3):
        leader.write(f"CONFIG SET client-metrics/b{number} metrics=1")
    for _ in range(4):
        cluster.run(1)
        assert "OVERLOADED" in beat(leader, 1).text
    finish_flushes(leader)
    cluster.run(1.5)
    assert fenced(leader) == {1: False}
    cluster.run(1)
    assert fenced(leader) == {1: True}


@pytest.mark.parametrize("stood_still_s", [3.0, 60.0])
def test_a_node_that_stood_still_fences_nobody_before_it_has_read_what_came_in(stood_still_s: float) -> None:
    cluster = Cluster(size=1)
    leader = cluster.elect()
    register(cluster, leader, 1, 2)
    cluster.run(1.0)
    cluster.time += stood_still_s  # stopped, swapped out, or busy with one long turn
    leader.driver.on_time()  # its timer is the first to run
    assert fenced(leader) == {1: False, 2: False}
    beat(leader, 1)  # then the sockets are read
    cluster.run(1.5)
    assert fenced(leader) == {1: False, 2: True}
    cluster.run(1.0)
    assert fenced(leader) == {1: True, 2: True}
