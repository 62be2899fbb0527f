"""The contract of the Store: the same on real files and on the simulator's disk."""

import os
import stat
from pathlib import Path

import pytest

from tests.storage.places import (
    CLUSTER,
    DIRECTORY_ID,
    NODE,
    NOW_MS,
    SEGMENT_0,
    FakePlace,
    Place,
    RealPlace,
    data,
    epoch_of,
    fill,
    flush,
    leader_change,
    read_all,
    replica,
    snapshot_bytes,
    take_snapshot,
)
from yakt.batch import RecordBatch
from yakt.errors import StorageError
from yakt.ids import Epoch, NodeId, Offset, ReplicaKey, Uuid
from yakt.storage import format as fmt
from yakt.storage.store import LogLimits, Store, open_store
from yakt.wire import batch as wire

OTHER_DIRECTORY = Uuid(bytes.fromhex("ffeeddccbbaa99887766554433221100"))
SMALL = LogLimits(segment_bytes=4096, tail_bytes=1000)


@pytest.fixture(params=["real", "fake"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place."""
    return RealPlace(tmp_path) if request.param == "real" else FakePlace()


def reopened(place: Place, store: Store, *, clean: bool = True, limits: LogLimits | None = None) -> Store:
    """The node stops (or is killed) and starts again."""
    if clean:
        store.close()
    else:
        place.kill(store)
    return place.open(limits=limits)


def test_first_start_makes_everything(place: Place) -> None:
    store = place.open()
    assert [name for name in place.names() if name != fmt.LOCK] == [
        "__cluster_metadata-0/00000000000000000000.log",
        "__cluster_metadata-0/leader-epoch-checkpoint",
        "__cluster_metadata-0/partition.metadata",
        "meta.properties",
        "yakt.recovery-point",
    ]
    found = store.recovered
    assert (found.directory_id, found.epoch, found.leader_id, found.voted) == (DIRECTORY_ID, 0, None, None)
    assert (found.start_offset, found.end_offset, found.epochs, found.snapshots) == (0, 0, (), ())
    assert found.notes == ()


def test_what_was_appended_is_there_after_a_stop_and_after_a_kill(place: Place) -> None:
    store = place.open()
    batches = epoch_of(0, 1, 3)
    fill(store, batches)
    assert place.content(SEGMENT_0) == b"".join(map(wire.encode, batches))
    for clean in (True, False):
        store = reopened(place, store, clean=clean)
        assert read_all(store) == batches
        assert store.recovered.epochs == (replica(1, 0),)
        assert store.recovered.end_offset == store.statistics().flushed_offset == 7
        assert store.recovered.notes == ()
    fill(store, epoch_of(7, 2, 1))
    store = reopened(place, store)
    assert store.recovered.epochs == (replica(1, 0), replica(2, 7))


def test_election_is_kept(place: Place) -> None:
    store = place.open()
    store.remember_voter(ReplicaKey(NodeId(2), OTHER_DIRECTORY))
    store.save_election(Epoch(4), None, ReplicaKey(NodeId(2), OTHER_DIRECTORY))
    store = reopened(place, store, clean=False)
    found = store.recovered
    assert (found.epoch, found.leader_id, found.voted) == (4, None, ReplicaKey(NodeId(2), OTHER_DIRECTORY))
    assert found.directories == {2: OTHER_DIRECTORY}
    store.save_election(Epoch(5), NodeId(3), None)
    found = reopened(place, store).recovered
    assert (found.epoch, found.leader_id, found.voted) == (5, 3, None)


def test_flush_tells_how_far_it_got(place: Place) -> None:
    store = place.open()
    store.save_election(Epoch(1), NODE, None)
    assert store.begin_flush() is None
    store.append(epoch_of(0, 1, 1))
    due = store.begin_flush()
    assert due is not None
    store.append([data(3, 1)])  # while the flush is out
    due.run()
    assert store.finish_flush(due) == 3
    assert flush(store) == 5
    assert store.begin_flush() is None


def test_a_flush_that_crossed_a_truncation_counts_only_what_stayed(place: Place) -> None:
    store = place.open()
    store.save_election(Epoch(1), NODE, None)
    store.append(epoch_of(0, 1, 3))
    due = store.begin_flush()
    assert due is not None
    store.truncate(Offset(3))
    store.append([data(3, 1, count=7)])
    due.run()
    assert store.finish_flush(due) == 3
    assert flush(store) == 10


def test_a_flush_outlives_its_segment(place: Place) -> None:
    store = place.open(limits=SMALL)
    store.save_election(Epoch(1), NODE, None)
    batches = epoch_of(0, 1, 6, size=200)
    store.append(batches)
    due = store.begin_flush()
    assert due is not None
    more = [data(13 + 2 * n, 1, size=200) for n in range(30)]
    store.append(more)  # rolls: the segment that is being synced is done with
    assert store.statistics().segments > 2
    due.run()
    rolled = store.statistics().flushed_offset
    assert store.finish_flush(due) == rolled > 13
    due = store.begin_flush()
    assert due is not None
    store.truncate(Offset(5))  # drops the segment that is being synced
    store.append([data(5, 1)])
    due.run()
    assert store.finish_flush(due) == 5
    assert flush(store) == 7
    assert read_all(reopened(place, store, limits=SMALL)) == [*epoch_of(0, 1, 2, size=200), data(5, 1)]


def test_a_flush_outlives_the_log_that_a_snapshot_replaces(place: Place) -> None:
    store = place.open()
    store.save_election(Epoch(1), NODE, None)
    store.append(epoch_of(0, 1, 30))
    due = store.begin_flush()
    assert due is not None
    store.save_election(Epoch(2), None, None)
    snapshot_id = replica(2, 50)  # of another history: below the end of what is being flushed
    store.write_snapshot_part(snapshot_id, 0, snapshot_bytes(snapshot_id))
    store.install_snapshot(snapshot_id)
    store.append([data(50, 2)])
    due.run()
    assert store.finish_flush(due) == 50
    assert flush(store) == 52


def test_segments_roll_at_batch_boundaries_and_reads_cross_them(place: Place) -> None:
    store = place.open(limits=SMALL)
    batches = epoch_of(0, 1, 40, size=200)
    fill(store, batches)
    segments = [name for name in place.names() if name.endswith(".log")]
    assert len(segments) == store.statistics().segments > 3
    assert all(len(place.content(name)) <= SMALL.segment_bytes for name in segments)
    assert b"".join(map(place.content, segments)) == b"".join(map(wire.encode, batches))
    for max_bytes in (1, 700, 3000, 1 << 20):
        assert read_all(store, max_bytes) == batches
    store = reopened(place, store, limits=SMALL)
    assert read_all(store, 700) == batches
    assert store.statistics().segments == len(segments)


def test_one_batch_larger_than_a_segment_has_one_of_its_own(place: Place) -> None:
    store = place.open(limits=SMALL)
    batches = [leader_change(0, 1), data(1, 1, size=9000), data(3, 1, size=150_000), data(5, 1)]
    for batch in batches:
        fill(store, [batch])
    assert store.statistics().segments == 4
    store = reopened(place, store)
    assert read_all(store, 100) == batches


@pytest.mark.parametrize("tail_bytes", [0, 1000, 1 << 20])
def test_read_from_anywhere(place: Place, tail_bytes: int) -> None:
    limits = LogLimits(segment_bytes=100_000, tail_bytes=tail_bytes)
    store = place.open(limits=limits)
    batches = epoch_of(0, 1, 300, size=500)  # more than one step of the position index
    fill(store, batches)
    for start in (0, 1, 2, 77, 250, 399, 598):
        expected = [batch for batch in batches if batch.end_offset > start]
        assert store.read(Offset(start), store.end_offset, 1) == expected[:1]
        first_two = sum(batch.size for batch in expected[:2])
        assert store.read(Offset(start), store.end_offset, first_two - 1) == expected[:1]
        assert store.read(Offset(start), store.end_offset, first_two) == expected[:2]
        assert store.read(Offset(start), expected[0].end_offset, 1 << 20) == expected[:1]
    assert store.read(store.end_offset, store.end_offset, 100) == []
    assert read_all(store, 5000) == batches


def test_an_offered_batch_can_be_read_before_it_is_appended(place: Place) -> None:
    store = place.open()
    fill(store, epoch_of(0, 1, 1))
    offered = data(3, 1)
    store.offer(offered)
    assert store.read(Offset(3), Offset(5), 100) == [offered]
    assert store.end_offset == 3
    other = data(3, 1, count=1)
    store.append([other])  # another batch came in its place
    assert store.read(Offset(3), Offset(9), 1000) == [other]
    assert read_all(store) == [*epoch_of(0, 1, 1), other]


def test_truncation(place: Place) -> None:
    store = place.open(limits=SMALL)
    batches = [*epoch_of(0, 1, 10, size=200), *epoch_of(21, 2, 10, size=200), *epoch_of(42, 4, 10, size=200)]
    fill(store, batches)
    assert store.statistics().segments > 2
    for end in (57, 42, 34, 21, 5):
        store.truncate(Offset(end))
        left = [batch for batch in batches if batch.end_offset <= end]
        assert read_all(store, 900) == left
        assert store.statistics().flushed_offset == end
        store = reopened(place, store, clean=False, limits=SMALL)
        assert read_all(store, 900) == left
        epochs = tuple(entry for entry in (replica(1, 0), replica(2, 21), replica(4, 42)) if entry.offset < end)
        assert store.recovered.epochs == epochs
        assert store.recovered.notes == ()
    fill(store, epoch_of(5, 7, 2))
    assert reopened(place, store).recovered.epochs == (replica(1, 0), replica(7, 5))


def test_truncation_inside_a_batch_is_refused_and_changes_nothing(place: Place) -> None:
    store = place.open()
    fill(store, epoch_of(0, 1, 2))
    with pytest.raises(StorageError, match="offset 2 is inside the batch"):
        store.truncate(Offset(2))
    assert read_all(store) == epoch_of(0, 1, 2)
    assert read_all(reopened(place, store)) == epoch_of(0, 1, 2)


def test_a_downloaded_snapshot_replaces_the_log(place: Place) -> None:
    store = place.open(limits=SMALL)
    fill(store, epoch_of(0, 1, 30, size=200))
    store.save_election(Epoch(3), NodeId(2), None)
    snapshot_id = replica(3, 500)
    content = snapshot_bytes(snapshot_id)
    store.write_snapshot_part(snapshot_id, 0, b"a first try, given up")
    store.write_snapshot_part(snapshot_id, 0, content[:50])
    store.write_snapshot_part(snapshot_id, 50, content[50:])
    store.install_snapshot(snapshot_id)
    assert (store.start_offset, store.end_offset) == (500, 500)
    assert store.snapshots == ((snapshot_id, len(content)),)
    assert store.newest_snapshot is not None
    assert store.newest_snapshot.timestamp_ms == NOW_MS
    assert [name for name in place.names() if ".part" in name] == []
    more = data(500, 3)  # an epoch that the snapshot's end is in the middle of
    store.append([more])
    flush(store)
    for clean in (False, True):
        store = reopened(place, store, clean=clean, limits=SMALL)
        assert (store.recovered.start_offset, store.recovered.end_offset) == (500, 502)
        assert store.recovered.epochs == (replica(3, 500),)
        assert read_all(store) == [more]
        assert store.recovered.notes == ()
    assert b"".join(wire.encode(batch) for batch in store.snapshot_batches(snapshot_id)) == content
    assert store.read_snapshot(snapshot_id, 10, 20) == content[10:30]


def test_an_empty_log_after_a_snapshot_is_found_again(place: Place) -> None:
    store = place.open()
    fill(store, epoch_of(0, 1, 2))
    store.save_election(Epoch(3), None, None)
    snapshot_id = replica(3, 50)
    store.write_snapshot_part(snapshot_id, 0, snapshot_bytes(snapshot_id))
    store.install_snapshot(snapshot_id)
    for _ in range(2):
        store = reopened(place, store, clean=False)
        assert (store.recovered.start_offset, store.recovered.end_offset, store.recovered.epochs) == (50, 50, ())
        assert store.recovered.notes == ()
    fill(store, epoch_of(50, 5, 1))
    assert reopened(place, store).recovered.epochs == (replica(5, 50),)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda content: content[:-10], "of which the file holds"),
        (lambda content: content[: len(content) // 2], "less than a batch's header"),
        (lambda content: content[:-1] + b"\x01", "CRC"),
        (lambda content: content[1:], "."),
        (lambda content: content[content.index(b"\x02", 21) - 16 :], "."),
        (lambda content: b"", "without a footer"),
    ],
)
def test_a_download_that_is_no_snapshot_is_refused(place: Place, spoil: object, reason: str) -> None:
    store = place.open()
    fill(store, epoch_of(0, 1, 1))
    snapshot_id = replica(1, 50)
    assert callable(spoil)
    store.write_snapshot_part(snapshot_id, 0, spoil(snapshot_bytes(snapshot_id)) or b"")
    with pytest.raises(StorageError, match=reason):
        store.install_snapshot(snapshot_id)
    assert (store.end_offset, store.snapshots) == (3, ())
    store.write_snapshot_part(snapshot_id, 0, snapshot_bytes(snapshot_id))
    store.install_snapshot(snapshot_id)
    assert store.end_offset == 50


def test_own_snapshots_and_what_came_since(place: Place) -> None:
    store = place.open()
    batches = epoch_of(0, 1, 10)
    fill(store, batches)
    assert store.bytes_since_snapshot == sum(batch.size for batch in batches)
    take_snapshot(store, 11, 1)
    past = sum(batch.size for batch in batches if batch.base_offset >= 11)
    assert store.bytes_since_snapshot == past
    fill(store, [data(21, 1)])
    assert store.bytes_since_snapshot == past + data(21, 1).size
    given_up = store.begin_snapshot(replica(1, 21))
    given_up.write(b"half")
    given_up.abort()
    store.begin_snapshot(replica(1, 23)).write(b"half")
    store = reopened(place, store, clean=False)
    assert [snapshot_id for snapshot_id, _ in store.recovered.snapshots] == [replica(1, 11)]
    assert store.bytes_since_snapshot == past + data(21, 1).size
    assert [name for name in place.names() if ".part" in name] == []


def test_cleaning_by_size_keeps_the_newest_snapshot_and_what_follows(place: Place) -> None:
    limits = LogLimits(segment_bytes=4096, retention_bytes=12_000, tail_bytes=0)
    store = place.open(limits=limits)
    batches: list[RecordBatch] = []
    for round_ in range(5):
        more = epoch_of(round_ * 41, round_ + 1, 20, size=200)
        fill(store, more)
        batches += more
        take_snapshot(store, store.end_offset, round_ + 1, size=300)
    first = store.snapshots[0][0]
    kept = store.clean(NOW_MS)
    assert kept is not None
    assert kept > first
    assert store.snapshots[0][0] == kept
    assert store.start_offset == kept.offset
    total = sum(len(place.content(name)) for name in place.names() if name.endswith((".log", ".checkpoint")))
    assert total <= limits.retention_bytes
    assert read_all(store) == [batch for batch in batches if batch.base_offset >= kept.offset]
    assert store.clean(NOW_MS) is None
    assert store.read_snapshot(first, 0, 10)  # someone is still downloading it
    assert any(name.endswith(".deleted") for name in place.names())
    store.clean(NOW_MS + 60_000)
    assert any(name.endswith(".deleted") for name in place.names())
    store.clean(NOW_MS + 180_000)
    assert not any(name.endswith(".deleted") for name in place.names())
    with pytest.raises(LookupError):
        store.read_snapshot(first, 0, 10)
    start = store.start_offset
    store = reopened(place, store, clean=False, limits=limits)
    assert store.recovered.start_offset == start
    assert store.recovered.notes == ()


def test_cleaning_by_age(place: Place) -> None:
    store = place.open(limits=LogLimits(retention_ms=1000))
    fill(store, epoch_of(0, 1, 5))
    for offset, now_ms in ((3, NOW_MS), (5, NOW_MS + 900), (7, NOW_MS + 1800)):
        take_snapshot(store, offset, 1, now_ms=now_ms)
    assert store.clean(NOW_MS + 1000) is None
    assert store.clean(NOW_MS + 1001) == replica(1, 5)
    assert store.start_offset == 5
    assert store.clean(NOW_MS + 10**9) == replica(1, 7)  # never the last one
    store = reopened(place, store, clean=False)
    assert (store.recovered.start_offset, store.recovered.epochs) == (7, (replica(1, 7),))
    fill(store, epoch_of(11, 2, 1))
    assert reopened(place, store).recovered.epochs == (replica(1, 7), replica(2, 11))


def test_trimmed_to_its_very_end(place: Place) -> None:
    store = place.open(limits=LogLimits(retention_bytes=1))
    fill(store, epoch_of(0, 1, 5))
    take_snapshot(store, 3, 1)
    take_snapshot(store, 11, 1)
    assert store.clean(NOW_MS) == replica(1, 11)
    for _ in range(2):
        store = reopened(place, store, clean=False)
        assert (store.recovered.start_offset, store.recovered.end_offset, store.recovered.epochs) == (11, 11, ())
    fill(store, [data(11, 1)])
    store = reopened(place, store, clean=False)
    assert store.recovered.epochs == (replica(1, 11),)
    assert store.recovered.notes == ()


def test_a_directory_is_open_once(tmp_path: Path) -> None:
    place = RealPlace(tmp_path)
    store = place.open()
    with pytest.raises(StorageError, match=f"yakt.lock: process {os.getpid()} has this data directory open"):
        place.open()
    store.close()
    place.open().close()


def test_only_the_owner_sees_the_files(tmp_path: Path) -> None:
    place = RealPlace(tmp_path)
    store = place.open()
    fill(store, epoch_of(0, 1, 1))
    take_snapshot(store, 3, 1)
    for path in (place.root, *place.root.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        expected = 0o700 if path.is_dir() else 0o400 if path.suffix == ".checkpoint" else 0o600
        assert (path.name, oct(mode)) == (path.name, oct(expected))
    store.close()


@pytest.mark.parametrize(
    ("cluster_id", "node_id", "reason"),
    [
        ("another", NODE, f"meta.properties: cluster.id is {CLUSTER}, the configuration says another"),
        (CLUSTER, NodeId(2), "meta.properties: node.id is 1, the configuration says 2"),
    ],
)
def test_a_directory_of_others_is_refused(place: Place, cluster_id: str, node_id: NodeId, reason: str) -> None:
    place.open().close()
    with pytest.raises(StorageError, match=reason) as caught:
        place.open(cluster_id=cluster_id, node_id=node_id)
    assert "node.data" in str(caught.value)
    place.open().close()  # the lock was given back


@pytest.mark.parametrize("name", ["meta.properties", "__cluster_metadata-0/quorum-state"])
def test_a_log_without_its_owner_or_votes_is_refused(place: Place, name: str) -> None:
    store = place.open()
    fill(store, epoch_of(0, 1, 1))
    store.close()
    place.remove(name)
    with pytest.raises(StorageError, match=f"{name}: is missing"):
        place.open()


@pytest.mark.parametrize("name", ["meta.properties", "__cluster_metadata-0/quorum-state", "yakt.voter-directories"])
def test_a_damaged_small_file_is_refused(place: Place, name: str) -> None:
    store = place.open()
    store.remember_voter(ReplicaKey(NodeId(2), OTHER_DIRECTORY))
    fill(store, epoch_of(0, 1, 1))
    store.close()
    place.put(name, place.content(name)[:-9])
    with pytest.raises(StorageError, match=f"{name}: "):
        place.open()


def test_a_reserved_directory_id_is_never_taken(tmp_path: Path) -> None:
    ids = iter([Uuid(bytes(16)), Uuid(bytes(15) + b"\x63"), Uuid(b"\xf8" + bytes(15)), DIRECTORY_ID])
    store = open_store(tmp_path, CLUSTER, NODE, lambda: next(ids))
    assert store.directory_id == DIRECTORY_ID
    store.close()
