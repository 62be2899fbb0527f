"""Fetches at every interesting point of logs that Kafka wrote, answered as Kafka's leaders answered (testdata)."""

import json
import shutil
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from tests.kafka.plain import plain
from yakt.address import Address
from yakt.ids import Epoch, Instant, NodeId, Offset, ReplicaKey
from yakt.kafka import apis, codec, observers
from yakt.raft import messages as raft
from yakt.raft.core import Election, LogState, RaftConfig, RaftCore
from yakt.raft.effects import Append, Effect, Send
from yakt.raft.events import Flushed, Proposed, Received, Visitor
from yakt.storage.store import Store, open_store
from yakt.wire.batch import seal, seal_control, split

NODE = NodeId(3000)
NOW = Instant(1.0)
NO_OP = bytes.fromhex("01140000")


def evolved(message: Any, **changes: Any) -> Any:
    """A message with other fields."""
    return attrs.evolve(message, **changes) if attrs.has(type(message)) else msgspec.structs.replace(message, **changes)


@attrs.define(eq=False)
class Leader:
    """A core that leads over a directory of Kafka's."""

    core: RaftCore
    store: Store

    def do(self, effects: list[Effect]) -> raft.Message | None:
        """Carry out what matters here; the answer to the visitor, if there is one."""
        answer: raft.Message | None = None
        for effect in effects:
            match effect:
                case Append(batches=batches):
                    self.store.append(batches)
                    flush = self.store.begin_flush()
                    assert flush is not None
                    flush.run()
                    self.do(self.core.step(NOW, Flushed(self.store.finish_flush(flush))))
                case Send(to=Visitor(), message=message):
                    answer = message
        return answer

    def ask(self, request: raft.Message) -> Any:
        answer = self.do(self.core.step(NOW, Received(Visitor(1), request, 1)))
        if isinstance(answer, raft.FetchResponse) and isinstance(answer.records, raft.LogRange):
            span = answer.records
            return evolved(answer, records=self.store.read(span.start_offset, span.end_offset, span.max_bytes))
        if isinstance(answer, raft.FetchSnapshotResponse) and isinstance(answer.data, raft.SnapshotRange):
            piece = answer.data
            data = self.store.read_snapshot(piece.snapshot_id, piece.position, piece.max_bytes)
            return evolved(answer, data=data)
        return answer


def lead(directory: Path, epoch: int, log_end: int) -> Leader:
    """Start on a directory as its only voter, in `epoch`, and grow the log to `log_end`."""
    cluster_id = next(
        line.partition("=")[2]
        for line in (directory / "meta.properties").read_text().splitlines()
        if line.startswith("cluster.id=")
    )
    store = open_store(directory, cluster_id, NODE, lambda: pytest.fail("it has an id"), voters=[NODE])
    found = store.recovered
    core = RaftCore(
        me=ReplicaKey(NODE, found.directory_id),
        voters=(NODE,),
        config=RaftConfig(),
        election=Election(Epoch(epoch - 1), None, None),
        log=LogState(found.start_offset, found.end_offset, found.epochs, found.snapshots, found.control),
        directories=found.directories,
        random=lambda: 0.5,
        seal_control=lambda records: seal_control(records, 1),
        cluster_id=cluster_id,
    )
    leader = Leader(core, store)
    leader.do(core.start(NOW))
    assert (core.is_leader, core.epoch) == (True, epoch)
    while core.log_end_offset < log_end:
        crc, body = seal([NO_OP], 1)
        leader.do(core.step(NOW, Proposed(core.log_end_offset, 1, crc, body)))
    assert core.log_end_offset == log_end
    return leader


def find_address(node: NodeId) -> Address | None:
    return Address("127.0.0.1", 21300)


def summary(answer: Any) -> dict[str, Any]:
    """As the captures say it."""
    [[partition]] = [topic.partitions for topic in answer.responses]
    told: dict[str, Any] = {"error": partition.error_code}
    shown = plain(apis.FETCH.response, answer, 17)["responses"][0]["partitions"][0]
    if partition.diverging_epoch.epoch >= 0:
        told["divergingEpoch"] = shown["divergingepoch"]
    if partition.snapshot_id.epoch >= 0:
        told["snapshotId"] = shown["snapshotid"]
    if partition.records:
        batches = split(partition.records)
        told["records"] = [batches[0].base_offset, batches[0].leader_epoch]
    return told


@pytest.mark.parametrize("name", ["rich", "trimmed"])
def test_the_same_answers(name: str, kafka_logs: Path, kafka_wire: Path, tmp_path: Path) -> None:
    lines = (kafka_wire / f"log-questions-{name}.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    directory = tmp_path / "node"
    shutil.copytree(kafka_logs / first["directory"].removeprefix("logs/"), directory)
    leader = lead(directory, first["leaderEpoch"], first["logEnd"])
    differences = []
    count = 0
    for line in lines[1:]:
        entry = json.loads(line)
        if "fetchOffset" not in entry:
            continue
        count += 1
        request = raft.FetchRequest(
            replica=None,
            epoch=Epoch(first["leaderEpoch"]),
            fetch_offset=Offset(entry["fetchOffset"]),
            last_fetched_epoch=Epoch(entry["lastFetchedEpoch"]),
            max_wait_ms=0,
            max_bytes=8 << 20,
        )
        answer = observers.answer_fetch(leader.ask(request), find_address)
        ours = summary(answer)
        theirs: dict[str, Any] = {"error": entry["error"]}
        for key in ("divergingEpoch", "snapshotId"):
            if key in entry:
                theirs[key] = {part.lower(): value for part, value in entry[key].items()}
        if entry.get("records"):
            theirs["records"] = [entry["records"]["firstBaseOffset"], entry["records"]["firstEpoch"]]
        [oldest, *_] = sorted(leader.core.quorum.log.snapshots)
        asked_at = (request.fetch_offset, request.last_fetched_epoch)
        if (
            "records" in theirs
            and asked_at[0] <= leader.store.start_offset
            and asked_at != (oldest.offset, oldest.epoch)
        ):
            # Kafka's log begins where its first segment does, below its oldest snapshot; ours begins at the snapshot.
            theirs = {"error": 0, "snapshotId": {"endoffset": oldest.offset, "epoch": oldest.epoch}}
        if ours != theirs:
            differences.append((entry["fetchOffset"], entry["lastFetchedEpoch"], ours, theirs))
    assert differences == []
    assert count > 80


@pytest.mark.parametrize("name", ["rich", "trimmed"])
def test_the_same_snapshots(name: str, kafka_logs: Path, kafka_wire: Path, tmp_path: Path) -> None:
    """But where Kafka fails to encode its refusal and says -1, ours is the refusal (storage.md §4)."""
    lines = (kafka_wire / f"log-questions-{name}.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    directory = tmp_path / "node"
    shutil.copytree(kafka_logs / first["directory"].removeprefix("logs/"), directory)
    leader = lead(directory, first["leaderEpoch"], first["logEnd"])
    count = 0
    for entry in map(json.loads, lines[1:]):
        if not entry.get("case", "").startswith("fetchsnapshot"):
            continue
        frame = bytes.fromhex(entry["request"])
        header = codec.decode_header(frame)
        body = codec.decode_body(header, frame)
        request = observers.read_fetch_snapshot(msgspec.structs.replace(body, cluster_id=None))
        assert request is not None
        answer = observers.answer_fetch_snapshot(request, leader.ask(request), find_address)
        [[ours]] = [topic.partitions for topic in answer.topics]
        _, theirs = codec.decode_response(header.api, header.version, bytes.fromhex(entry["response"]))
        if body.max_bytes < 2:
            continue  # Kafka sends nothing, for ever; we take 0 for no bound, and 1 for one byte
        if theirs.error_code == -1:
            assert ours.error_code in (98, 99, 74, 75), entry["case"]
        else:
            assert [ours] == [partition for topic in theirs.topics for partition in topic.partitions], entry["case"]
        count += 1
    assert count > 3
