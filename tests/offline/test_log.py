"""`yakt log`, offline: what it shows, that --verify sees each fault, and that it never writes."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.node.cluster import CLUSTER_ID, Cluster, Node
from yakt import cli
from yakt.batch import RecordBatch
from yakt.ids import NodeId, Offset, OffsetAndEpoch, Uuid
from yakt.metadata import snapshot
from yakt.metadata.codec import decode_values, encode
from yakt.metadata.tags import IMAGE_HASH, ImageHash, image_hash_of, image_hash_record
from yakt.storage import format as fmt
from yakt.storage.store import Store, open_store
from yakt.wire import batch as wire
from yakt.wire.snapshot import SnapshotEncoder

KAFKA = ["3.9.1-rich", "3.9.1-trimmed", "4.3.1-level21", "3.9.1-kraft1", "4.3.1-kraft1"]
WRITES = [
    "BROKER REGISTER 1 host=a.local port=9092 session=600000",
    "BROKER HEARTBEAT 1",
    "TOPIC CREATE orders partitions=3 by=ann reason=trial request=r1",
    "CONFIG SET topic/orders retention.ms=5",
    "PID ALLOC broker=1 epoch=1",
    "BROKER REGISTER 2 host=b.local port=9092",
    "BROKER UNREGISTER 2",
]


def write_log(directory: Path, *, after: Callable[[Node], None] = lambda leader: None) -> Store:
    """The log of a leader, a snapshot half-way, as a real directory; the open store."""
    cluster = Cluster()
    leader = cluster.elect()
    store = open_store(directory, CLUSTER_ID, NodeId(1), lambda: Uuid(bytes(range(1, 17))))
    for number, line in enumerate(WRITES):
        leader.write(
            line.replace("epoch=1", f"epoch={leader.driver.loader.image.brokers.get(1).epoch}" if number else "")
        )
        cluster.run(1.1)
        if number == 3:
            _copy(leader, store)
            _take_snapshot(leader, store)
    after(leader)
    cluster.run(1.1)
    _copy(leader, store)
    return store


def _copy(leader: Node, store: Store) -> None:
    store.save_election(leader.driver.core.epoch, leader.id, None)
    end = leader.driver.high_watermark
    while store.end_offset < end:
        store.append(leader.store.read(store.end_offset, end, 1 << 20))
    flush = store.begin_flush()
    if flush is not None:
        flush.run()
        store.finish_flush(flush)


def _take_snapshot(leader: Node, store: Store) -> None:
    image = leader.driver.loader.image
    writer = store.begin_snapshot(OffsetAndEpoch(leader.driver.loader.epoch, leader.driver.loader.end_offset))
    encoder = SnapshotEncoder(writer.id.epoch, image.timestamp_ms)
    for piece in (encoder.header(), *map(encoder.data, snapshot.values_of(image)), encoder.footer()):
        writer.write(piece)
    writer.finish()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A closed data directory, with one segment and one snapshot."""
    write_log(tmp_path / "node1").close()
    return tmp_path / "node1"


def segment(directory: Path) -> Path:
    return directory / fmt.segment_name(Offset(0))


def verified(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = cli.main(["log", str(path), "--verify"])
    return status, capsys.readouterr().out


def rewrite(path: Path, change: Callable[[list[RecordBatch]], list[RecordBatch]]) -> None:
    path.chmod(0o600)
    path.write_bytes(b"".join(map(wire.encode, change(wire.split(path.read_bytes())))))


def resealed(batch: RecordBatch, values: list[bytes]) -> RecordBatch:
    """The batch with other records, and a checksum that is right for them."""
    crc, body = wire.seal(values, wire.timestamp_ms(batch.body))
    return RecordBatch(batch.base_offset, batch.leader_epoch, len(values), crc, body)


def test_records_are_lines(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["log", str(directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
    assert " LeaderChangeMessage " in lines[0]
    [topic] = [line for line in lines if " TopicRecord " in line]
    assert " name=orders " in topic
    assert topic.endswith("| by=ann reason=trial request=r1")
    assert topic.split()[1] == "e1"


def test_a_range_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["log", str(directory), "--from", "3", "--to", "6", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["offset"] for row in rows] == [3, 4, 5]
    assert all(row["_"] == "record" and row["fields"] for row in rows)


def test_single_files(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [kept] = (directory / fmt.LOG_DIRECTORY).glob("*.checkpoint")
    assert cli.main(["log", str(kept)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].split()[3] == "SnapshotHeaderRecord"
    assert " name=orders " in shown
    assert cli.main(["log", str(segment(directory)), str(kept), "--verify"]) == 0
    assert "holds what the log below" in capsys.readouterr().out


def test_a_good_log(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}
    status, said = verified(directory, capsys)
    assert (status, said.splitlines()[-1]) == (0, "all fits")
    assert "holds what the log below" in said
    assert " hashes told by leaders on the way, all the same" in said
    assert " 0 hashes" not in said
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}
    assert after == before, "it only looks"


def test_findings_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["log", str(directory), "--verify", "--json"]) == 0
    kinds = [json.loads(line)["_"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["snapshot", "compared", "log", "image"]


@pytest.mark.parametrize("name", KAFKA)
def test_what_kafka_left(kafka_logs: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = verified(kafka_logs / name, capsys)
    assert (status, said.splitlines()[-1]) == (0, "all fits"), said
    assert cli.main(["log", str(kafka_logs / name / fmt.LOG_DIRECTORY), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    dump = sorted((kafka_logs / name / "dump").glob("*.log.jsonl"))
    batches = [json.loads(line) for path in dump for line in path.read_text().splitlines()]
    assert [row["offset"] for row in rows] == [
        batch["baseOffset"] + delta for batch in batches for delta in range(batch["lastOffsetDelta"] + 1)
    ]


def test_beside_a_running_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = write_log(tmp_path / "node1")
    status, said = verified(tmp_path / "node1", capsys)
    assert status == 0, said
    path = segment(tmp_path / "node1")
    with path.open("ab") as file:
        file.write(path.read_bytes()[:40])  # a write under way
    status, said = verified(tmp_path / "node1", capsys)
    assert status == 0
    assert "as a crash or a write under way leaves it: not counted" in said
    assert cli.main(["log", str(tmp_path / "node1")]) == 0
    assert "a write under way" in capsys.readouterr().err
    store.close()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)


def drop_a_batch(batches: list[RecordBatch]) -> list[RecordBatch]:
    return [*batches[:3], *batches[4:]]


def lower_an_epoch(batches: list[RecordBatch]) -> list[RecordBatch]:
    last = batches[-1]
    return [*batches[:-1], RecordBatch(last.base_offset, type(last.leader_epoch)(0), last.count, last.crc, last.body)]


def lie_about_the_hash(batches: list[RecordBatch]) -> list[RecordBatch]:
    """The last hash told is another, everything else as it was."""
    for index in reversed(range(len(batches))):
        if batches[index].control:
            continue
        records, values = decode_values(batches[index].body)
        for place, record in enumerate(records):
            if any(tag == IMAGE_HASH for tag, _ in record.tags):
                told = image_hash_of(record)  # type: ignore[arg-type]
                assert told is not None
                values[place] = encode(image_hash_record(ImageHash(told.form, told.end_offset, told.hash ^ 1)))
                return [*batches[:index], resealed(batches[index], values), *batches[index + 1 :]]
    raise AssertionError("no hash was told")


def repeat_a_batch(batches: list[RecordBatch]) -> list[RecordBatch]:
    """The first batch with a topic's removal or making once more at the end: dense, whole, and without sense."""
    last = batches[-1]
    topic = next(one for one in batches if not one.control and b"orders" in one.body and one.count > 2)
    return [*batches, RecordBatch(last.end_offset, last.leader_epoch, topic.count, topic.crc, topic.body)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (drop_a_batch, "comes next"),
        (lower_an_epoch, "leader epoch 0 after 1"),
        (lie_about_the_hash, "this image is not the leader's"),
        (repeat_a_batch, "does not fit what came before"),
    ],
)
def test_a_log_that_does_not_fit(
    directory: Path,
    change: Callable[[list[RecordBatch]], list[RecordBatch]],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rewrite(segment(directory), change)
    status, said = verified(directory, capsys)
    assert status == 5
    [trouble] = [line for line in said.splitlines() if line.startswith("TROUBLE: ")]
    assert complaint in trouble
    assert str(segment(directory)) in trouble
    assert "offset " in trouble


def test_a_flipped_bit(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip(segment(directory))
    status, said = verified(directory, capsys)
    assert status == 5
    assert "the CRC of its bytes" in said
    assert cli.main(["log", str(directory)]) == 5
    shown = capsys.readouterr()
    assert shown.out.splitlines(), "what comes before the damage is shown"
    assert str(segment(directory)) in shown.err


def test_a_snapshot_that_is_whole_and_not_the_log_s(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [kept] = (directory / fmt.LOG_DIRECTORY).glob("*.checkpoint")

    def change(batches: list[RecordBatch]) -> list[RecordBatch]:
        values = [value.replace(b"a.local", b"b.local") for value in wire.values(batches[1].body)]
        return [batches[0], resealed(batches[1], values), *batches[2:]]

    rewrite(kept, change)
    status, said = verified(directory, capsys)
    assert status == 5
    [trouble] = [line for line in said.splitlines() if line.startswith("TROUBLE: ")]
    assert f"snapshot {kept.name} is not what the log below" in trouble
    assert "only the snapshot has RegisterBrokerRecord" in trouble
    assert "only the log has RegisterBrokerRecord" in trouble


def test_a_damaged_snapshot(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    [kept] = (directory / fmt.LOG_DIRECTORY).glob("*.checkpoint")
    flip(kept)
    status, said = verified(directory, capsys)
    assert status == 5
    assert f"TROUBLE: {kept}: byte " in said


def test_small_files_that_contradict_the_log(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = directory / fmt.EPOCH_CHECKPOINT
    checkpoint.write_bytes(b"0\n2\n1 0\n2 4\n")
    status, said = verified(directory, capsys)
    assert status == 5
    assert f"TROUBLE: {checkpoint}: epoch 2 begins at offset 4" in said


@pytest.mark.parametrize("name", ["absent", "notes.txt", "empty"])
def test_what_is_no_log(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    assert cli.main(["log", str(tmp_path / name)]) == 1
    assert capsys.readouterr().err.startswith(f"yakt: {tmp_path / name}: ")


def test_verify_takes_no_range(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["log", str(directory), "--verify", "--from", "3"]) == 2
    assert "--verify" in capsys.readouterr().err


def test_a_copy_without_a_data_directory(directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(directory / fmt.LOG_DIRECTORY, tmp_path / "copy"))
    assert verified(copy, capsys)[0] == 0
