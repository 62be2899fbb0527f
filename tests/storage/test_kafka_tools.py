"""Kafka's own dump and shell tools read a directory that the Store has written, while the Store has it open."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka_lab.lab import KafkaTools, find_tools
from tests.storage.places import NOW_MS
from yakt.batch import RecordBatch, SnapshotFooter, SnapshotHeader
from yakt.ids import Epoch, NodeId, Offset, Uuid
from yakt.storage import format as fmt
from yakt.storage.store import LogLimits, Store, open_store
from yakt.wire import batch as wire

DIRECTORY_ID = Uuid(bytes(range(1, 17)))


@pytest.fixture(scope="module", params=["3.9.1", "4.3.1"])
def tools(request: pytest.FixtureRequest) -> KafkaTools:
    """One release's tools, or a visible skip."""
    found = find_tools(request.param)
    if isinstance(found, str):
        pytest.skip(f"Kafka's tools cannot be had: {found}")
    return found


@pytest.fixture(scope="module")
def written(kafka_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Real records in segments and a snapshot of the Store's making, trimmed below an older snapshot."""
    source = kafka_logs / "3.9.1-rich" / fmt.LOG_DIRECTORY
    root = tmp_path_factory.mktemp("written") / "data"
    store = open_store(root, "abc", NodeId(1), lambda: DIRECTORY_ID, limits=LogLimits(segment_bytes=9000))
    store.save_election(Epoch(2), None, None)
    for path in sorted(source.glob("*.log")):
        store.append(wire.split(path.read_bytes()))
    flush = store.begin_flush()
    assert flush is not None
    flush.run()
    store.finish_flush(flush)
    for path in sorted(source.glob("*.checkpoint"))[-2:]:
        snapshot_id = fmt.parse_snapshot_name(path.name)
        assert snapshot_id is not None
        values = [
            value for batch in wire.split(path.read_bytes()) if not batch.control for value in wire.values(batch.body)
        ]
        header, footer = (SnapshotHeader(NOW_MS),), (SnapshotFooter(),)
        writer = store.begin_snapshot(snapshot_id)
        epoch = snapshot_id.epoch
        writer.write(wire.encode(RecordBatch(Offset(0), epoch, 1, *wire.seal_control(header, NOW_MS), header)))
        writer.write(wire.encode(RecordBatch(Offset(1), epoch, len(values), *wire.seal(values, NOW_MS))))
        end = Offset(1 + len(values))
        writer.write(wire.encode(RecordBatch(end, epoch, 1, *wire.seal_control(footer, NOW_MS), footer)))
        writer.finish()
    yield store
    store.close()


def files(store: Store, pattern: str) -> list[Path]:
    """Files in the log directory."""
    root = Path(store._disk.path(fmt.LOG_DIRECTORY))
    return sorted(root.glob(pattern))


def test_dump_log_finds_every_batch_valid(tools: KafkaTools, written: Store) -> None:
    logs, snapshots = files(written, "*.log"), files(written, "*.checkpoint")
    assert len(logs) > 3
    assert len(snapshots) == 2
    out = tools.dump_log(*logs, *snapshots)
    expected = sum(len(wire.split(path.read_bytes())) for path in (*logs, *snapshots))
    assert "isvalid: false" not in out
    assert len(re.findall(r"^baseOffset: .*isvalid: true", out, re.MULTILINE)) == expected
    bases = [int(base) for base in re.findall(r"^baseOffset: (\d+) ", out, re.MULTILINE)]
    last = written.read(Offset(554), Offset(555), 1)[0]
    assert last.base_offset in bases
    assert out.count("SnapshotHeader") == 2
    assert out.count("SnapshotFooter") == 2
    assert "Could not decode" not in out


def test_metadata_shell_shows_the_image(tools: KafkaTools, written: Store) -> None:
    newest = files(written, "*.checkpoint")[-1]
    # 3.9.1's shell may list while it still loads: it is asked again.
    wanted = "__consumer_offsets"
    for _ in range(3):
        out = tools.metadata_shell(newest, "ls", "/image/topics/byName")
        if wanted in out:
            return
    pytest.fail(f"no {wanted} in {out}")
