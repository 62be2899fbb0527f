"""The broker's half of recorded lives, played at our controller: starts, stops, restarts, a freeze, as at Kafka's."""

import json
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
import trio.testing

from tests.kafka.controller import CLUSTER_ID, Client, Controller, controller
from tests.node.cluster import parse
from yakt.batch import ControlRecord, Voters
from yakt.kafka import apis, codec
from yakt.kafka.apis import APIS
from yakt.kafka.messages import fetch
from yakt.wire.batch import read_batches, split

BY_NAME = {api.name: api for api in APIS.values()}


@attrs.define(eq=False)
class Broker:
    """What the broker would know from our answers instead of Kafka's."""

    epoch: int = 0
    end: int = 0
    last_epoch: int = 0
    high_watermark: int = 0
    broker_epoch: int = -1
    id: int | None = None
    snapshot: Any = None
    """Of which it was told to load it first."""
    voters: Voters | None = None
    """By the log or the snapshot."""

    def patch(self, api: apis.Api, body: Any) -> Any:
        """A recorded request as this broker would have sent it."""
        replace = msgspec.structs.replace
        if api is apis.FETCH:
            [topic] = body.topics
            [partition] = topic.partitions
            partition = replace(
                partition,
                current_leader_epoch=self.epoch,
                fetch_offset=self.end,
                last_fetched_epoch=self.last_epoch,
                high_watermark=min(partition.high_watermark, self.high_watermark)
                if partition.high_watermark < 2**62
                else partition.high_watermark,
            )
            return replace(body, cluster_id=CLUSTER_ID, topics=(replace(topic, partitions=(partition,)),))
        if api is apis.FETCH_SNAPSHOT:
            [topic] = body.topics
            [partition] = topic.partitions
            partition = replace(partition, current_leader_epoch=self.epoch, snapshot_id=self.snapshot)
            return replace(body, cluster_id=CLUSTER_ID, topics=(replace(topic, partitions=(partition,)),))
        if api is apis.BROKER_REGISTRATION:
            previous = self.broker_epoch if body.previous_broker_epoch >= 0 else -1
            self.id = body.broker_id if self.id is None else self.id  # transcripts are not all of the same broker
            return replace(body, broker_id=self.id, cluster_id=CLUSTER_ID, previous_broker_epoch=previous)
        if api is apis.BROKER_HEARTBEAT:
            known = self.high_watermark - 1
            at = known if body.current_metadata_offset >= 0 else -1
            return replace(body, broker_id=self.id, broker_epoch=self.broker_epoch, current_metadata_offset=at)
        return body

    def learn(self, api: apis.Api, answer: Any) -> None:
        """Take in our answer."""
        if api is apis.FETCH:
            [[partition]] = [topic.partitions for topic in answer.responses]
            self.epoch = partition.current_leader.leader_epoch
            self.high_watermark = max(self.high_watermark, partition.high_watermark)
            self.snapshot = None
            if partition.snapshot_id.end_offset >= 0:
                told = partition.snapshot_id
                self.snapshot = fetch.FetchedSnapshotId(told.end_offset, told.epoch)
            for batch in split(partition.records):
                if batch.base_offset >= self.end:
                    self.end, self.last_epoch = batch.end_offset, batch.leader_epoch
                self._read(batch.control)
        elif api is apis.FETCH_SNAPSHOT:
            [[partition]] = [topic.partitions for topic in answer.topics]
            assert partition.size == len(partition.unaligned_records)
            for _, batch in read_batches(BytesIO(partition.unaligned_records).read):
                self._read(batch.control)
            self.end, self.last_epoch = self.snapshot.end_offset, self.snapshot.epoch
        elif api is apis.BROKER_REGISTRATION and answer.error_code == 0:
            self.broker_epoch = answer.broker_epoch

    def _read(self, control: Iterable[ControlRecord]) -> None:
        for record in control:
            if isinstance(record, Voters):
                self.voters = record


def recorded(path: Path) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Requests in order, each with the answer it got."""
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    answers = {
        (entry["connection"], entry["correlation"], entry["api"]): entry
        for entry in entries
        if entry["event"] == "response"
    }
    for entry in entries:
        if entry["event"] == "request":
            answer = answers.get((entry["connection"], entry["correlation"], entry["api"]))
            if answer is not None:
                yield entry, answer


async def play(
    one: Controller, path: Path, broker: Broker | None = None, *, bootstrap: bool = False, paced: bool = False
) -> list[Any]:
    """All answers to heartbeats, after each answer was held against the recorded one; `paced`: asked when it was.

    `bootstrap`: where the controllers are, the broker knows from the voters in the log or in a snapshot alone.
    """
    clients: dict[int, Client] = {}
    broker = broker or Broker()
    beats = []
    began = trio.current_time()
    for entry, answered in recorded(path):
        api = BY_NAME[entry["api"]]
        if paced:
            await trio.sleep_until(began + entry["ms"] / 1000)
        version = min(entry["version"], api.most)
        client = clients.get(entry["connection"])
        if client is None:
            client = clients[entry["connection"]] = await one.connect()
        frame = bytes.fromhex(entry["hex"])
        header = codec.decode_header(frame)
        if api is apis.BROKER_REGISTRATION and bootstrap:
            assert broker.voters is not None, "it would not know whom to register with"
            [leader] = [voter for voter in broker.voters.voters if voter.id == one.node.id]
            assert [(point.name, point.port) for point in leader.endpoints] == [("CONTROLLER", 7401)]
        body = broker.patch(api, codec.decode_body(header, frame))
        answer = await client.ask(api, version, body, entry["client"])
        broker.learn(api, answer)
        theirs = answered["decoded"]
        where = f"{path.name}: {entry['ms']} {api.name}"
        if api is apis.FETCH:
            [[partition]] = [topic.partitions for topic in answer.responses]
            [known] = [part for topic in theirs["Responses"] for part in topic["Partitions"]]
            assert partition.error_code in (known["ErrorCode"], 0), where
            assert bool(answer.node_endpoints) == bool(theirs.get("NodeEndpoints")), where
            assert partition.current_leader.leader_id == 1, where
            assert partition.records is not None, where
            assert (partition.last_stable_offset, partition.preferred_read_replica) == (-1, -1), where
        elif api is not apis.FETCH_SNAPSHOT:
            assert answer.error_code == theirs["ErrorCode"], where
        if api is apis.BROKER_HEARTBEAT:
            beats.append(answer)
    return beats


# Of 4.3.1 controllers' transcripts one thing is not the same: we offer BrokerHeartbeat 1 only, so 2 is asked as that.
@pytest.mark.parametrize("release", ["3.9.1", "4.1.1", "4.3.1", "3.9.1-on-4.3.1", "4.1.1-on-4.3.1", "4.3.1-on-4.3.1"])
async def test_a_start(release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with controller() as one:
        beats = await play(one, kafka_wire / f"start-{release}.jsonl")
    assert [beats[0].is_fenced, beats[-1].is_fenced] == [True, False]
    assert beats[-1].is_caught_up


@pytest.mark.parametrize("controllers", ["3.9.1", "4.3.1"])
@pytest.mark.parametrize("release", ["3.9.1", "4.3.1"])
async def test_a_start_by_bootstrap_servers(
    release: str, controllers: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """At kraft.version 1 the log, or the snapshot that goes before it, says where each voter is."""
    path = kafka_wire / f"start-{release}-bootstrap-on-{controllers}.jsonl"
    begins_with_snapshot = any(entry["api"] == "FetchSnapshot" for entry, _ in recorded(path))
    async with controller(kraft_version=1) as one:
        assert one.service.image.kraft_version == 1
        if begins_with_snapshot:
            await one.service.submit(parse("SNAPSHOT CREATE wait=true"))
        beats = await play(one, path, bootstrap=True)
    assert [beats[0].is_fenced, beats[-1].is_fenced] == [True, False]
    assert begins_with_snapshot == (release == "4.3.1")


@pytest.mark.parametrize("release", ["3.9.1", "4.1.1", "4.3.1"])
async def test_a_start_and_the_stop_after_it(
    release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """A stop on the start's own state: heartbeats that want to shut down, until they may."""
    async with controller() as one:
        await play(one, kafka_wire / f"start-{release}.jsonl")
        row = next(iter(one.service.image.brokers.rows()))
        client = await one.connect()
        answers = []
        for entry, _ in recorded(kafka_wire / f"stop-{release}.jsonl"):
            if entry["api"] == "BrokerHeartbeat":
                frame = bytes.fromhex(entry["hex"])
                body = codec.decode_body(codec.decode_header(frame), frame)
                body = msgspec.structs.replace(
                    body, broker_id=row.id, broker_epoch=row.epoch, current_metadata_offset=1 << 40
                )
                answers.append(await client.ask(apis.BROKER_HEARTBEAT, 1, body))
        assert [answer.error_code for answer in answers] == [0] * len(answers)
        assert answers[-1].should_shut_down


@pytest.mark.parametrize("release", ["3.9.1", "4.1.1", "4.3.1"])
async def test_a_start_after_a_stop(release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock) -> None:
    """The next start, whose stop before was granted: taken at once, with the epoch of before; and its own stop."""
    async with controller() as one:
        broker = Broker()
        await play(one, kafka_wire / f"start-{release}.jsonl", broker)
        await play(one, kafka_wire / f"stop-{release}.jsonl", broker)
        before = broker.broker_epoch
        beats = await play(one, kafka_wire / f"restart-{release}.jsonl", broker)
        assert broker.broker_epoch > before
        assert not all(beat.is_fenced for beat in beats)
        assert beats[-1].should_shut_down


@pytest.mark.parametrize("release", ["3.9.1", "4.3.1"])
async def test_a_start_after_a_kill(release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Refused with 101 as often as by Kafka, until the old session ends."""
    async with controller() as one:
        broker = Broker()
        await play(one, kafka_wire / f"start-{release}.jsonl", broker)
        before = broker.broker_epoch
        beats = await play(one, kafka_wire / f"restart-after-kill-{release}.jsonl", broker, paced=True)
        assert broker.broker_epoch > before
        assert [beats[0].is_fenced, beats[-1].is_fenced] == [True, False]


@pytest.mark.parametrize("release", ["3.9.1", "4.3.1"])
async def test_a_broker_that_was_frozen(release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock) -> None:
    """Frozen past its session: fenced, and unfenced by its next heartbeat once it has caught up, in its old epoch."""
    async with controller() as one:
        broker = Broker()
        await play(one, kafka_wire / f"start-{release}.jsonl", broker)
        await trio.sleep(9.1)
        [row] = one.service.image.brokers.rows()
        assert row.fenced
        beats = await play(one, kafka_wire / f"frozen-{release}.jsonl", broker)
        [row] = one.service.image.brokers.rows()
        assert (row.epoch, row.fenced) == (broker.broker_epoch, False)
        assert not beats[-1].is_fenced
