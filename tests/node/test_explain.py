"""EXPLAIN at one node: would a write commit; and what the log tells of when something changed, and by whom."""

import re

import pytest

from tests.node.cluster import Cluster, Node
from yakt.errors import RefusedError
from yakt.ids import NodeId
from yakt.metadata.entities import Entity, TopicPartition


def write(node: Node) -> list[str]:
    return node.explainer.explain(None)


HEALTH = [
    "HEALTH makes sure: it asks the leader and a majority, and waits a second for them at most.",
    "Type: HEALTH",
]


def test_a_write_at_the_leader_would_commit() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    lines = write(leader)
    assert lines[0] == "A write sent here now would commit."
    assert lines[1] == f"Node {leader.id}, this one, leads epoch 1. A write commits once 2 of 3 voters have it on disk."
    for other, line in zip(cluster.others(leader), lines[2:4], strict=True):
        assert re.fullmatch(rf"Node {other.id} fetched 0\.\d s ago: has everything\.", line)
    assert lines[4:] == ["Type: QUORUM SHOW", *HEALTH]


def test_a_leader_without_its_majority_says_whom_it_misses() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    one, other = cluster.others(leader)
    cluster.kill(one)
    cluster.kill(other)
    cluster.troubles[one.id] = "connection refused"
    cluster.run(0.7)
    leader.write("CONFIG SET client-metrics/a metrics=1")
    assert leader.driver.core.is_leader
    lines = write(leader)
    assert lines[0] == (
        "A write sent here now would not commit: it needs 2 of 3 voters to have it on disk, and of the others none has "
        "fetched within the last 0.6 s."
    )
    assert any(
        re.fullmatch(
            rf"Node {one.id} fetched 0\.\d s ago: 1 record behind; no connection to it: connection refused\.", line
        )
        for line in lines
    )
    assert "1 record of the log is not committed yet." in lines


def test_a_follower_sends_it_on_and_says_where() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.others(leader)[0]
    lines = write(follower)
    assert lines[0] == "A write sent here now would go on to the leader, and would commit if a majority is with it."
    assert lines[1].startswith(f"Node {leader.id} (127.0.0.1:{7200 + leader.id}) leads epoch 1;")
    assert lines[2] == f"This node, {follower.id}, has applied all that it knows to be committed: all below 2."
    cluster.troubles[leader.id] = "no route to host"
    lines = write(follower)
    assert lines[0].startswith("A write sent here now would have to wait: there is no connection to the leader")
    assert f"Node {leader.id} cannot be reached from here: no route to host." in lines


def test_without_a_leader_it_says_how_many_are_needed_and_who_is_missing() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    one, other = cluster.others(leader)
    cluster.kill(leader)
    cluster.kill(other)
    cluster.troubles |= {leader.id: "connection refused", other.id: "timed out"}
    cluster.run(5)
    lines = write(one)
    assert lines[0] == "A write sent here now would not commit: no leader is known to this node."
    assert f"Node {other.id} (127.0.0.1:{7100 + other.id}) cannot be reached: timed out." in lines
    missing = " or ".join(str(node) for node in sorted((leader.id, other.id)))
    assert f"A leader is elected by 2 of 3 voters, and only 1 of them is here: start node {missing}." in lines
    assert "Type: STATUS" in lines


def test_the_only_voter() -> None:
    cluster = Cluster(size=1)
    lines = write(cluster.elect())
    assert lines == [
        "A write sent here now would commit.",
        "Node 1, this one, leads epoch 1. A write commits once 1 of 1 voter has it on disk.",
        *HEALTH,
    ]


def test_a_change_is_told_with_its_time_and_who_made_it() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    leader.write("BROKER REGISTER 1 host=h port=1 session=600000", "BROKER HEARTBEAT 1", "TOPIC CREATE t")
    cluster.run(1)
    leader.write('BROKER FENCE 1 by=ann reason="new disk"')
    cluster.run(65)
    [told] = [line for line in leader.explainer.explain(Entity("broker", "1")) if "was fenced" in line]
    assert re.fullmatch(r"It was fenced at offset \d+, 65 s ago, by ann \(new disk\)\.", told)
    for node in cluster.up():
        lines = node.explainer.explain(TopicPartition("t", 0))
        assert lines[0] == "t:0 has no leader: nobody can write to it or read from it."
        assert re.fullmatch(r"It last changed at offset \d+, 65 s ago, by ann \(new disk\)\.", lines[-2])
    [where] = [
        line for line in cluster.others(leader)[0].explainer.explain(Entity("broker", "1")) if "leader alone" in line
    ]
    assert where.endswith(f"node {leader.id} (127.0.0.1:{7200 + leader.id}).")


def test_a_session_that_ended_is_the_reason() -> None:
    cluster = Cluster(size=1)
    leader = cluster.elect()
    leader.write("BROKER REGISTER 1 host=h port=1 session=1000", "BROKER HEARTBEAT 1")
    cluster.run(2)
    lines = leader.explainer.explain(Entity("broker", "1"))
    assert re.fullmatch(r"It was fenced at offset \d+, 1\.\d s ago \(the session of broker 1 ended\)\.", lines[1])


def test_what_is_not_there_is_refused() -> None:
    node = Cluster(size=1).nodes[NodeId(1)]
    with pytest.raises(RefusedError, match="no topic t"):
        node.explainer.explain(TopicPartition("t", 0))
