"""The broker's half of recorded starts, played at our controller: it ends unfenced, as it did at Kafka's."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
import trio.testing

from tests.kafka.controller import CLUSTER_ID, Client, Controller, controller
from yakt.kafka import apis, codec
from yakt.kafka.apis import APIS
from yakt.wire.batch import split

BY_NAME = {api.name: api for api in APIS.values()}


@attrs.define(eq=False)
class Broker:
    """What the broker would know from our answers instead of Kafka's."""

    epoch: int = 0
    end: int = 0
    last_epoch: int = 0
    high_watermark: int = 0
    broker_epoch: int = -1

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
        if api is apis.BROKER_REGISTRATION:
            return replace(body, cluster_id=CLUSTER_ID)
        if api is apis.BROKER_HEARTBEAT:
            known = self.high_watermark - 1
            at = known if body.current_metadata_offset >= 0 else -1
            return replace(body, broker_epoch=self.broker_epoch, current_metadata_offset=at)
        return body

    def learn(self, api: apis.Api, answer: Any) -> None:
        """Take in our answer."""
        if api is apis.FETCH:
            [[partition]] = [topic.partitions for topic in answer.responses]
            self.epoch = partition.current_leader.leader_epoch
            self.high_watermark = max(self.high_watermark, partition.high_watermark)
            for batch in split(partition.records):
                if batch.base_offset >= self.end:
                    self.end, self.last_epoch = batch.end_offset, batch.leader_epoch
        elif api is apis.BROKER_REGISTRATION and answer.error_code == 0:
            self.broker_epoch = answer.broker_epoch


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


async def play(one: Controller, path: Path) -> list[Any]:
    """All answers to heartbeats, after each answer was held against the recorded one."""
    clients: dict[int, Client] = {}
    broker = Broker()
    beats = []
    for entry, answered in recorded(path):
        api = BY_NAME[entry["api"]]
        version = min(entry["version"], api.most)
        client = clients.get(entry["connection"])
        if client is None:
            client = clients[entry["connection"]] = await one.connect()
        frame = bytes.fromhex(entry["hex"])
        header = codec.decode_header(frame)
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
        else:
            assert answer.error_code == theirs["ErrorCode"], where
        if api is apis.BROKER_HEARTBEAT:
            beats.append(answer)
    return beats


@pytest.mark.parametrize("release", ["3.9.1", "4.1.1", "4.3.1"])
async def test_a_start(release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with controller() as one:
        beats = await play(one, kafka_wire / f"start-{release}.jsonl")
    assert [beats[0].is_fenced, beats[-1].is_fenced] == [True, False]
    assert beats[-1].is_caught_up


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
