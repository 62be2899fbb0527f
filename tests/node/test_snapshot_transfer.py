"""A follower that lacks what the others have trimmed loads their snapshot and goes on from its end."""

from tests.node.cluster import Cluster, Node
from yakt.ids import OffsetAndEpoch
from yakt.metadata import snapshot
from yakt.raft import events
from yakt.sim.disk import FakeFiles
from yakt.storage.store import LogLimits
from yakt.wire.snapshot import SnapshotEncoder


def take_snapshot(node: Node) -> OffsetAndEpoch:
    """As the node's own would be, and the log before it dropped."""
    image = node.driver.loader.image
    snapshot_id = OffsetAndEpoch(node.driver.loader.epoch, node.driver.loader.end_offset)
    writer = node.store.begin_snapshot(snapshot_id)
    encoder = SnapshotEncoder(snapshot_id.epoch, image.timestamp_ms)
    writer.write(encoder.header(*node.driver.loader.image.quorum_records))
    for group in snapshot.values_of(image):
        writer.write(encoder.data(group))
    writer.write(encoder.footer())
    writer.sync()
    taken = writer.finish()
    node.driver.take(events.SnapshotTaken(snapshot_id, taken.size))
    node.driver.end_turn()
    return snapshot_id


def test_a_follower_that_was_away_loads_the_snapshot_of_a_trimmed_log() -> None:
    cluster = Cluster(limits=LogLimits(segment_bytes=4096, retention_bytes=4096))
    leader = cluster.elect()
    away = cluster.others(leader)[0]
    cluster.kill(away)
    leader.write(*[f"CONFIG SET client-metrics/k{n} metrics={n}" for n in range(100)])
    cluster.run(0.2)
    take_snapshot(leader)
    leader.write(*[f"CONFIG SET client-metrics/m{n} metrics={n}" for n in range(100)])
    cluster.run(0.2)
    newest = take_snapshot(leader)
    oldest = leader.store.clean(leader.wall_ms())
    assert oldest == newest, "what is kept exceeds the limit: the older snapshot and the log below go"
    leader.driver.take(events.LogTrimmed(oldest))
    leader.write("CONFIG SET client-metrics/after metrics=1")
    cluster.run(0.2)
    away.boot()
    cluster.run(3)
    assert away.driver.core.log_end_offset == leader.driver.core.log_end_offset
    assert away.store.start_offset == newest.offset
    assert away.driver.loader.image.hash == leader.driver.loader.image.hash
    assert 'value="1"' in away.read("CONFIG GET client-metrics/after", confirm=False).text
    assert 'value="49"' in away.read("CONFIG GET client-metrics/k49", confirm=False).text


def test_a_node_that_lost_its_disk_follows_as_an_observer_and_does_not_count() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    lost, other = cluster.others(leader)
    leader.write("CONFIG SET client-metrics/a metrics=1")
    cluster.run(0.2)
    cluster.kill(lost)
    lost.files = FakeFiles()
    lost.boot()
    cluster.run(3)
    assert not lost.driver.core.is_voter
    assert 'value="1"' in lost.read("CONFIG GET client-metrics/a", confirm=False).text
    cluster.kill(other)
    alone = leader.write("CONFIG SET client-metrics/b metrics=1", timeout=2)
    cluster.run(3)
    assert "applied=maybe" in alone.text, "its disk is not the one that voted: it makes no majority"


def test_a_restarted_follower_knows_its_leader_and_forwards_at_once() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    follower = cluster.others(leader)[0]
    cluster.run(1)
    cluster.kill(follower)
    follower.boot()
    assert follower.driver.leader_id == leader.id
    cluster.run(0.2)
    write = follower.write("CONFIG SET client-metrics/a metrics=1")
    cluster.run(0.2)
    assert write.text.startswith("OK")


def test_a_restart_begins_with_the_newest_snapshot() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    leader.write("CONFIG SET client-metrics/a metrics=1 request=r1")
    cluster.run(3)
    follower = cluster.others(leader)[0]
    before = follower.driver.loader.image.hash
    snapshot_id = take_snapshot(follower)
    cluster.kill(follower)
    follower.boot()
    assert follower.driver.loader.end_offset >= snapshot_id.offset
    cluster.run(1)
    assert follower.driver.loader.image.hash == before
    again = follower.write("CONFIG SET client-metrics/a metrics=1 request=r1")
    cluster.run(0.2)
    assert again.text.startswith("OK offset="), "requests are remembered across snapshots"
