"""Directories that Kafka's controllers left: they open, and what is written again is the same bytes."""

import json
import shutil
from pathlib import Path

import pytest

from tests.storage.places import epoch_of, fill, replica
from yakt.batch import KRaftVersion, RecordBatch, Voters
from yakt.errors import StorageError
from yakt.ids import Epoch, NodeId, Offset, ReplicaKey, Uuid, parse_uuid
from yakt.storage import format as fmt
from yakt.storage.store import LogLimits, Recovered, Store, open_store

DIRECTORIES = ["3.9.1-rich", "3.9.1-trimmed", "4.3.1-level21", "3.9.1-kraft1", "4.3.1-kraft1"]
NEW = Uuid(bytes(range(1, 17)))


@pytest.fixture
def copied(kafka_logs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the directory that the test names."""
    return Path(shutil.copytree(kafka_logs / request.param, tmp_path / "copy"))


def opened(directory: Path) -> Store:
    """Open it as the node that it belongs to."""
    owner = fmt.parse_meta_properties((directory / "meta.properties").read_bytes())
    return open_store(directory, owner.cluster_id, owner.node_id, lambda: NEW)


def dumped(directory: Path) -> list[dict[str, int]]:
    """What Kafka's dump tool and an independent decoder saw in the log, one row a batch."""
    rows = []
    for path in sorted((directory / "dump").glob("*.log.jsonl")):
        rows += [json.loads(line) for line in path.read_text().splitlines()]
    return rows


def everything(store: Store, start: int) -> list[RecordBatch]:
    """All batches from `start` on, read in small pieces."""
    found: list[RecordBatch] = []
    at = Offset(start)
    while at < store.end_offset:
        found += store.read(at, store.end_offset, 2000)
        at = found[-1].end_offset
    return found


@pytest.mark.parametrize(("copied", "name"), [(name, name) for name in DIRECTORIES], indirect=["copied"])
def test_it_opens_and_written_again_it_is_the_same(copied: Path, name: str, tmp_path: Path) -> None:
    log_directory = copied / fmt.LOG_DIRECTORY
    before = {path.name: path.read_bytes() for path in log_directory.iterdir()}
    store = opened(copied)
    rows = dumped(copied)
    segments = sorted(each for each in before if each.endswith(".log"))
    batches = everything(store, int(segments[0][:20]))
    assert [(batch.base_offset, batch.count, batch.leader_epoch) for batch in batches] == [
        (row["baseOffset"], row["lastOffsetDelta"] + 1, row["partitionLeaderEpoch"]) for row in rows
    ]
    assert store.end_offset == batches[-1].end_offset
    store.close()

    after = {path.name: path.read_bytes() for path in log_directory.iterdir()}
    gone = {each for each in before if each.endswith(fmt.INDEXES)}
    assert after == {each: content for each, content in before.items() if each not in gone}

    limits = LogLimits(segment_bytes=12288 if name == "3.9.1-rich" else 1 << 20)  # as its configuration had it
    again = open_store(tmp_path / "again", "again", NodeId(1), lambda: NEW, limits=limits)
    again.save_election(batches[-1].leader_epoch, None, None)
    if batches[0].base_offset == 0:
        again.append(batches)
        again.close()
        written = tmp_path / "again" / fmt.LOG_DIRECTORY
        assert sorted(path.name for path in written.glob("*.log")) == segments
        assert all((written / each).read_bytes() == before[each] for each in segments)
        assert (written / "leader-epoch-checkpoint").read_bytes() == before["leader-epoch-checkpoint"]


@pytest.mark.parametrize("copied", ["3.9.1-rich"], indirect=True)
def test_rich(copied: Path) -> None:
    found = opened(copied).recovered
    assert (found.epoch, found.leader_id, found.voted) == (2, 3000, None)
    assert (found.start_offset, found.end_offset) == (0, 555)
    assert found.epochs == (replica(1, 0), replica(2, 390))
    ids = [snapshot_id for snapshot_id, _ in found.snapshots]
    assert ids == [replica(1, 84), replica(1, 166), replica(1, 265), replica(1, 382), replica(2, 503)]
    assert found.directory_id == parse_uuid("9ScPK3n8GKY8MYdceOk23Q")


@pytest.mark.parametrize("copied", ["3.9.1-trimmed"], indirect=True)
def test_batches_below_the_log_start_are_allowed(copied: Path) -> None:
    store = opened(copied)
    found = store.recovered
    assert (found.start_offset, found.end_offset) == (652, 681)
    assert found.epochs == (replica(3, 652),)
    assert [snapshot_id for snapshot_id, _ in found.snapshots] == [replica(3, 652)]
    assert store.read(Offset(505), Offset(520), 1 << 20)[0].base_offset == 505


def levels_and_voters(found: Recovered) -> list[tuple[int, object]]:
    """Shortened for comparison."""
    rows: list[tuple[int, object]] = []
    for offset, record in found.control:
        if isinstance(record, KRaftVersion):
            rows.append((offset, record.level))
        elif isinstance(record, Voters):
            rows.append((offset, [voter.id for voter in record.voters]))
    return rows


@pytest.mark.parametrize(
    ("copied", "expected"),
    [
        (
            "3.9.1-kraft1",
            [
                (1, 1),
                (2, [3000]),
                (31, [3000, 3001]),
                (77, [3000, 3001, 3002]),
                (82, [3000, 3002]),
                (104, 1),
                (104, [3000, 3002]),
            ],
        ),
        ("formatted/4.3.1-standalone", [(-1, 1), (-1, [3000])]),
        ("formatted/3.9.1-standalone", [(-1, 1), (-1, [3000])]),
    ],
    indirect=["copied"],
)
def test_voters_in_log_and_snapshots(copied: Path, expected: list[tuple[int, object]]) -> None:
    assert levels_and_voters(opened(copied).recovered) == expected


@pytest.mark.parametrize("copied", ["4.3.1-kraft1"], indirect=True)
def test_quorum_state_stays_of_its_version(copied: Path) -> None:
    store = opened(copied)
    voted = ReplicaKey(NodeId(3002), parse_uuid("4fzYX3Wp7gk22rIOttvTpQ"))
    assert store.recovered.voted == voted
    path = copied / fmt.QUORUM_STATE
    before = path.read_bytes()
    store.save_election(Epoch(2), NodeId(3002), voted)
    assert path.read_bytes() == before


@pytest.mark.parametrize("copied", ["4.3.1-level21"], indirect=True)
def test_a_kafka_log_is_continued(copied: Path) -> None:
    store = opened(copied)
    fill(store, epoch_of(188, 5, 3))
    store.close()
    found = opened(copied).recovered
    assert found.end_offset == 195
    assert found.epochs[-1] == replica(5, 188)


@pytest.mark.parametrize("copied", ["4.3.1-level21"], indirect=True)
def test_a_torn_tail_of_kafka_s_is_cut_but_damage_is_not(copied: Path) -> None:
    log = copied / fmt.segment_name(Offset(0))
    content = log.read_bytes()
    log.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(StorageError, match="nothing tells whether it was on the disk"):
        opened(copied)
    log.write_bytes(content[:-1])
    store = opened(copied)
    assert store.end_offset < 188
    assert any("cut these last" in note for note in store.recovered.notes)


@pytest.mark.parametrize("copied", ["4.3.1-level21"], indirect=True)
def test_an_epoch_checkpoint_that_kafka_left_behind_is_written_anew(copied: Path) -> None:
    path = copied / fmt.EPOCH_CHECKPOINT
    good = path.read_bytes()
    path.write_bytes(b"0\n2\n1 0\n2 147\n")
    store = opened(copied)
    assert path.read_bytes() == good
    assert any("did not agree" in note for note in store.recovered.notes)
    store.close()


def test_a_missing_directory_id_is_made_as_kafka_does(kafka_logs: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(kafka_logs / "3.9.1-rich", tmp_path / "copy"))
    path = copy / "meta.properties"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("directory.id")]
    path.write_text("\n".join(lines))
    store = opened(copy)
    assert store.directory_id == NEW
    assert fmt.parse_meta_properties(path.read_bytes()).directory_id == NEW
    store.close()
