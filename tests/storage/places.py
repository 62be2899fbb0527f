"""Data directories to run the real Store in, on real files and on the simulator's disk, and batches to fill them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from yakt.batch import LeaderChange, RecordBatch, SnapshotFooter, SnapshotHeader
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, Uuid
from yakt.sim.disk import FakeFiles
from yakt.storage import format as fmt
from yakt.storage.store import LogLimits, Store, open_store
from yakt.wire import batch as wire

CLUSTER = "eWFrdC1kZW1vLWNsdXN0ZQ"
NODE = NodeId(1)
DIRECTORY_ID = Uuid(bytes.fromhex("00112233445566778899aabbccddeeff"))
NOW_MS = 1_700_000_000_000
SEGMENT_0 = fmt.segment_name(Offset(0))


class Place(ABC):
    """One data directory. `open` plays a start of the node; a test that leaves a store open plays a crash."""

    @abstractmethod
    def open(self, *, limits: LogLimits | None = None, cluster_id: str = CLUSTER, node_id: NodeId = NODE) -> Store:
        """The real `open_store`."""

    @abstractmethod
    def kill(self, store: Store) -> None:
        """The process of this store is gone, with no more than it had done."""

    @abstractmethod
    def content(self, name: str) -> bytes:
        """A file, whole."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Change a file behind the store's back."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file behind the store's back."""

    @abstractmethod
    def names(self) -> list[str]:
        """All files, as paths below the data directory."""


class RealPlace(Place):
    """In the file system."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"

    def open(self, *, limits: LogLimits | None = None, cluster_id: str = CLUSTER, node_id: NodeId = NODE) -> Store:
        return open_store(self.root, cluster_id, node_id, lambda: DIRECTORY_ID, voters=[NODE], limits=limits)

    def kill(self, store: Store) -> None:
        store.close(clean=False)

    def content(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def put(self, name: str, content: bytes) -> None:
        path = self.root / name
        path.unlink(missing_ok=True)
        path.write_bytes(content)

    def remove(self, name: str) -> None:
        (self.root / name).unlink()

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file())


class FakePlace(Place):
    """On the simulator's disk."""

    def __init__(self, files: FakeFiles | None = None) -> None:
        self.files = files or FakeFiles()

    def open(self, *, limits: LogLimits | None = None, cluster_id: str = CLUSTER, node_id: NodeId = NODE) -> Store:
        return open_store(self.files, cluster_id, node_id, lambda: DIRECTORY_ID, voters=[NODE], limits=limits)

    def kill(self, store: Store) -> None:
        self.files.end_process()

    def content(self, name: str) -> bytes:
        return self.files.content(name)

    def put(self, name: str, content: bytes) -> None:
        self.files.put(name, content)

    def remove(self, name: str) -> None:
        self.files.unlink(name)
        self.files.sync_directory(name.rpartition("/")[0])

    def names(self) -> list[str]:
        return self.files.names()


def leader_change(base_offset: int, epoch: int) -> RecordBatch:
    """What opens an epoch."""
    records = (LeaderChange(NODE, (NODE,), (NODE,)),)
    crc, body = wire.seal_control(records, NOW_MS)
    return RecordBatch(Offset(base_offset), Epoch(epoch), 1, crc, body, records)


def data(base_offset: int, epoch: int, count: int = 2, size: int = 40) -> RecordBatch:
    """Records that differ by offset and epoch."""
    values = [f"{base_offset + n}@{epoch}".encode().ljust(size, b".") for n in range(count)]
    crc, body = wire.seal(values, NOW_MS + base_offset)
    return RecordBatch(Offset(base_offset), Epoch(epoch), count, crc, body)


def epoch_of(base_offset: int, epoch: int, batches: int, *, size: int = 40) -> list[RecordBatch]:
    """A LeaderChange and `batches` batches of two records each."""
    found = [leader_change(base_offset, epoch)]
    for _ in range(batches):
        found.append(data(found[-1].end_offset, epoch, size=size))
    return found


def fill(store: Store, batches: Sequence[RecordBatch]) -> None:
    """Append and flush; the epoch is saved first, as the core does."""
    epoch = batches[-1].leader_epoch
    store.save_election(epoch, NODE, None)
    store.append(batches)
    flush(store)


def flush(store: Store) -> Offset:
    """A whole flush; how far the log is durable."""
    due = store.begin_flush()
    if due is None:
        return store.statistics().flushed_offset
    due.run()
    return store.finish_flush(due)


def read_all(store: Store, max_bytes: int = 1 << 20) -> list[RecordBatch]:
    """The whole log, in as many reads as it takes."""
    found: list[RecordBatch] = []
    at = store.start_offset
    while at < store.end_offset:
        found += (piece := store.read(at, store.end_offset, max_bytes))
        assert piece
        at = piece[-1].end_offset
    return found


def snapshot_bytes(snapshot_id: OffsetAndEpoch, values: Sequence[bytes] = (b"row",), *, now_ms: int = NOW_MS) -> bytes:
    """A whole snapshot file."""
    epoch = snapshot_id.epoch
    header = (SnapshotHeader(now_ms),)
    footer = (SnapshotFooter(),)
    pieces = [
        RecordBatch(Offset(0), epoch, 1, *wire.seal_control(header, now_ms), header),
        RecordBatch(Offset(1), epoch, len(values), *wire.seal(values, now_ms)),
        RecordBatch(Offset(1 + len(values)), epoch, 1, *wire.seal_control(footer, now_ms), footer),
    ]
    return b"".join(map(wire.encode, pieces))


def take_snapshot(store: Store, offset: int, epoch: int, *, size: int = 3, now_ms: int = NOW_MS) -> OffsetAndEpoch:
    """A snapshot of our own, finished."""
    snapshot_id = OffsetAndEpoch(Epoch(epoch), Offset(offset))
    writer = store.begin_snapshot(snapshot_id)
    writer.write(snapshot_bytes(snapshot_id, [b"r" * size], now_ms=now_ms))
    writer.sync()
    writer.finish()
    return snapshot_id


def replica(epoch: int, offset: int) -> OffsetAndEpoch:
    """Shorter to read in a row of expectations."""
    return OffsetAndEpoch(Epoch(epoch), Offset(offset))
