"""kraft.version 1 on whole nodes: control batches between the controller's, voters in the log and in snapshots."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from tests.kafka.controller import SETTINGS
from tests.node.cluster import Cluster, Node
from yakt.batch import Endpoint, KRaftVersion, Voters
from yakt.ids import NodeId, Offset
from yakt.metadata import records as r
from yakt.node.snapshots import Snapshots
from yakt.raft import events
from yakt.raft.core import KRAFT_VERSIONS
from yakt.wire.batch import timestamp_ms

SET = "CONFIG SET client-metrics/a metrics={}"


def levels(cluster: Cluster) -> set[tuple[int, int]]:
    """What each node's core and image say; one for all."""
    return {(node.driver.core.voters.kraft_version, node.driver.loader.image.kraft_version) for node in cluster.up()}


def ports(node: Node) -> list[int]:
    record = node.driver.core.voters.record
    assert record is not None
    return [point.port for voter in record.voters for point in voter.endpoints]


def control_of(node: Node) -> list[tuple[int, object]]:
    """Control records of its log but LeaderChange, by offset."""
    batches = node.store.read(Offset(0), node.store.end_offset, 1 << 20)
    return [
        (batch.base_offset + index, record)
        for batch in batches
        for index, record in enumerate(batch.control)
        if isinstance(record, KRaftVersion | Voters)
    ]


def test_a_new_cluster_goes_up_by_itself_once_all_have_met() -> None:
    cluster = Cluster(kraft_version=1)
    leader = cluster.elect()
    assert levels(cluster) == {(1, 1)}
    [(at, level), (_, voters)] = control_of(leader)
    assert level == KRaftVersion(1)
    assert isinstance(voters, Voters)
    assert [voter.directory_id for voter in voters.voters] == [
        node.driver.core.me.directory_id for node in cluster.nodes.values()
    ]
    assert ports(leader) == [7401, 7402, 7403]
    # Data before and behind it is where its answers say.
    asking = leader.write(SET.format(1))
    cluster.settle()
    offset = asking.answer.pairs["offset"]
    assert isinstance(offset, int)
    assert offset > at + 1
    cluster.run(0.05)
    assert all(node.driver.loader.image.configs.changed_offset((16, "a")) == offset for node in cluster.up())


def test_until_a_node_was_up_once_the_others_serve_at_0() -> None:
    cluster = Cluster(kraft_version=1)
    absent = cluster.nodes[NodeId(3)]
    for node in cluster.others(absent):
        node.driver.core.quorum.facts.pop(NodeId(3))
    cluster.kill(absent)
    leader = cluster.elect()
    assert levels(cluster) == {(0, 0)}
    asking = leader.write(SET.format(1))
    refused = leader.write("FEATURE SET kraft.version=1")
    cluster.settle()
    assert asking.text.startswith("OK offset=")
    assert leader.driver.core.statistics(leader.now()).waits_for == (3,)
    assert "INVALID_UPDATE_VERSION" in refused.text
    assert "Of voter 3" in refused.text
    absent.boot()
    cluster.run(0.5)
    assert levels(cluster) == {(1, 1)}
    assert leader.driver.core.statistics(leader.now()).waits_for == ()


def test_a_running_cluster_is_brought_there_by_a_command_at_any_node() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.others(leader)[0]
    both = follower.write("FEATURE SET kraft.version=1 group.version=1")
    cluster.settle()
    assert both.text.startswith("ERR INVALID_UPDATE_VERSION")
    assert "ask for it by itself" in both.text
    assert levels(cluster) == {(0, 0)}
    follower.write("FEATURE SET group.version=1")
    asking = follower.write("FEATURE SET kraft.version=1")
    cluster.settle()
    cluster.run(0.1)
    end = leader.driver.loader.image.end_offset
    assert asking.text == f"OK offset={end - 1}\n"
    assert levels(cluster) == {(1, 1)}
    read = follower.read("FEATURE LIST")
    cluster.settle()
    assert "- feature name=kraft.version level=1 min=0 max=1\n" in read.text
    assert "- feature name=group.version level=1 min=0 max=1\n" in read.text
    again = follower.write("FEATURE SET kraft.version=1")
    down = follower.write("FEATURE SET kraft.version=0 downgrade=unsafe")
    cluster.settle()
    cluster.run(0.1)
    assert again.text == f"OK offset={end - 1}\n"
    assert "There is no way back" in down.text


def test_a_configuration_of_0_does_not_take_it_down_again() -> None:
    cluster = Cluster(kraft_version=1)
    cluster.elect()
    for node in cluster.up():
        cluster.kill(node)
    cluster.kraft_version = 0
    for node in cluster.nodes.values():
        node.boot()
    leader = cluster.elect()
    assert levels(cluster) == {(1, 1)}
    assert len(control_of(leader)) == 2, "and nothing is written again"


def test_an_existing_cluster_whose_configuration_says_1_goes_up() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    leader.write(SET.format(1))
    cluster.settle()
    for node in cluster.up():
        cluster.kill(node)
    cluster.kraft_version = 1
    for node in cluster.nodes.values():
        node.boot()
    cluster.elect()
    cluster.run(0.1)
    assert levels(cluster) == {(1, 1)}


@pytest.mark.parametrize("moves", ["leader", "follower"])
def test_a_node_that_comes_back_at_another_address_is_written_anew(moves: str) -> None:
    cluster = Cluster(kraft_version=1)
    leader = cluster.elect()
    node = leader if moves == "leader" else cluster.others(leader)[0]
    cluster.kill(node)
    node.kafka_port = 7900
    node.boot()
    cluster.elect()
    cluster.run(0.5)
    expected = [each.kafka_port for each in cluster.nodes.values()]
    assert 7900 in expected
    assert [ports(each) for each in cluster.up()] == [expected] * 3
    written = control_of(node)
    cluster.run(5)
    assert control_of(node) == written, "told once"


def test_what_is_decided_while_a_flush_is_out_keeps_its_offsets() -> None:
    """A voter moves, a node says who it is and a client writes, all during one flush: each lies where it was told."""
    cluster = Cluster(kraft_version=1)
    leader = cluster.elect()
    other = cluster.others(leader)[0]
    leader.holds_flushes = True
    leader.write(SET.format(0))
    moved = (Endpoint("CONTROLLER", "127.0.0.1", 7999),)
    leader.driver.take(events.PeerMet(other.driver.core.me, moved, KRAFT_VERSIONS))
    leader.driver.introduce(r.RegisterControllerRecord(other.id, other.driver.core.me.directory_id, False, (), ()))
    asking = leader.write(SET.format(1))
    for _ in range(20):
        while leader.held:
            flush = leader.held.pop()
            flush.run()
            leader.driver.flushed(flush)
        cluster.settle()
        cluster.run(0.02)
    assert 7999 in ports(leader)
    assert {tuple(ports(node)) for node in cluster.up()} == {tuple(ports(leader))}
    offset = asking.answer.pairs["offset"]
    for node in cluster.up():
        image = node.driver.loader.image
        assert image.configs.changed_offset((16, "a")) == offset
        assert image.controllers.get(other.id) is not None
    assert len({node.driver.loader.image.hash for node in cluster.up()}) == 1


async def test_snapshots_carry_level_and_voters(autojump_clock: trio.testing.MockClock) -> None:
    cluster = Cluster(kraft_version=1)
    leader = cluster.elect()
    await Snapshots(leader.store, leader.driver, SETTINGS).take()
    [(snapshot_id, _)] = leader.store.snapshots
    assert [type(record) for record in leader.store.snapshot_control(snapshot_id)] == [KRaftVersion, Voters]
    assert leader.load_image(snapshot_id).kraft_version == 1
    header = next(iter(leader.store.snapshot_batches(snapshot_id)))
    assert timestamp_ms(header.body) > 0
    # A node that lost its disk loads the snapshot: it learns the voters there, and that it is none of them.
    lost = cluster.others(leader)[0]
    cluster.kill(lost)
    lost.files = type(lost.files)()
    lost.boot()
    cluster.run(3)
    assert lost.driver.core.voters.kraft_version == 1
    assert ports(lost) == ports(leader)
    assert not lost.driver.core.is_voter
    assert lost.driver.loader.image.kraft_version == 1


async def at_once(work: Callable[[], None]) -> None:
    work()


async def test_a_snapshot_written_after_the_voters_moved_has_those_of_its_own_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    cluster = Cluster(kraft_version=1)
    leader = cluster.elect()
    before = ports(leader)
    snapshots = Snapshots(leader.store, leader.driver, SETTINGS, at_once)
    snapshots.request()
    moved = (Endpoint("CONTROLLER", "127.0.0.1", 7999),)
    leader.driver.take(events.PeerMet(cluster.others(leader)[0].driver.core.me, moved, KRAFT_VERSIONS))
    leader.driver.end_turn()
    cluster.run(0.5)
    assert 7999 in ports(leader)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(snapshots.run)
        await trio.testing.wait_all_tasks_blocked(0.5)
        nursery.cancel_scope.cancel()
    [(snapshot_id, _)] = leader.store.snapshots
    level, voters = leader.store.snapshot_control(snapshot_id)
    assert level == KRaftVersion(1)
    assert isinstance(voters, Voters)
    assert [point.port for voter in voters.voters for point in voter.endpoints] == before


@pytest.mark.parametrize("kraft_version", [0, 1])
def test_the_leader_of_one(kraft_version: int) -> None:
    cluster = Cluster(size=1, kraft_version=kraft_version)
    cluster.elect()
    assert levels(cluster) == {(kraft_version, kraft_version)}
