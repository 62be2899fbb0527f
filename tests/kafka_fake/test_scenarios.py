"""Strict brokers on three real nodes that are killed, frozen and trimmed: whatever happens, they live."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from tests.kafka_fake.broker import FakeBroker
from tests.kafka_fake.loader import Loader
from tests.kafka_fake.observer import Observer
from tests.kafka_fake.verdicts import Diary
from yakt.client import Client, open_client
from yakt.config import LogConfig
from yakt.dev.cluster import Cluster, open_cluster
from yakt.dev.configs import dev_configs
from yakt.errors import NotReachedError, RefusedError
from yakt.ids import Uuid
from yakt.kafka import apis
from yakt.kafka.messages import topics

ROUNDS = 6
STEP_S = 20.0
"""An election and what follows take a second or two; one that takes this long has lost a broker."""


@attrs.define(eq=False)
class Stage:
    """Three nodes, a client of theirs, and brokers that live in `nursery`."""

    cluster: Cluster
    client: Client
    nursery: trio.Nursery
    brokers: dict[int, FakeBroker] = attrs.Factory(dict)
    lives: dict[int, trio.CancelScope] = attrs.Factory(dict)

    async def start(self, number: int, *, version: int = 17, previous_epoch: int = -1) -> FakeBroker:
        """A new broker, or a new life of one, until it serves."""
        nodes = self.cluster.nodes.values()
        observer = Observer(
            number,
            next(iter(nodes)).config.cluster.id,
            Uuid(bytes([number]) * 16),
            Loader(number, Diary()),
            static={node.id: node.config.kafka.advertised for node in nodes if node.config.kafka is not None},
            version=version,
        )
        broker = self.brokers[number] = FakeBroker(observer, previous_epoch=previous_epoch)
        self.lives[number] = trio.CancelScope()

        async def live(scope: trio.CancelScope) -> None:
            with scope:
                await broker.run()

        self.nursery.start_soon(live, self.lives[number])
        with trio.fail_after(STEP_S):
            await broker.wait_state("RUNNING")
        return broker

    def kill(self, number: int) -> None:
        """As kill -9: no more of it."""
        self.lives[number].cancel()

    async def write(self) -> int:
        """One more record, whose leader may be about to be found gone; where the log then ends."""
        with trio.fail_after(STEP_S):
            while True:  # a connection of its own each time: one to a node that hangs is answered by nobody
                nodes = [node.line_address for node in self.cluster.nodes.values() if node.state == "serving"]
                try:
                    async with open_client(nodes, timeout=1.0) as client:
                        answer = await client.ask("CONFIG SET", "client-metrics/mark", values={"metrics": "x"})
                except (RefusedError, NotReachedError):
                    continue
                offset = answer.pairs["offset"]
                assert isinstance(offset, int)
                return offset + 1

    async def all_follow(self) -> None:
        """Until every broker has applied what is written now."""
        end_offset = await self.write()
        for broker in self.brokers.values():
            if not broker.holds_back:
                with trio.fail_after(STEP_S):
                    await broker.wait_loaded(end_offset)

    async def leader(self) -> int:
        """Who leads."""
        leader = (await self.client.ask("QUORUM SHOW", timeout=STEP_S)).pairs["leader"]
        assert isinstance(leader, int)
        return leader

    async def wait_isr(self, topic: str, *members: int) -> None:
        """Until every partition has just these in sync."""
        with trio.fail_after(STEP_S):
            while True:
                rows = (await self.client.ask("TOPIC SHOW", topic, timeout=STEP_S)).rows
                if all(sorted(row.pairs["isr"]) == sorted(members) for row in rows):  # type: ignore[arg-type,type-var]
                    return
                await trio.sleep(0.05)  # a follower's answer, not an event of ours

    def check(self) -> None:
        """All live, and hold the same log as far as each has it."""
        assert {number: broker.diary.verdict for number, broker in self.brokers.items()} == dict.fromkeys(
            self.brokers, "lives"
        )
        logs = [
            {batch.base_offset: batch for batch in broker.observer.batches if batch.end_offset <= high}
            for broker in self.brokers.values()
            for high in (broker.observer.high_watermark,)
        ]
        for log in logs:
            for other in logs:
                assert all(other[at] == batch for at, batch in log.items() if at in other)


@asynccontextmanager
async def stage(directory: Path, log: LogConfig | None = None) -> AsyncIterator[Stage]:
    configs = dev_configs(directory, nodes=3, base_port=0)
    if log is not None:
        configs = tuple(attrs.evolve(config, log=log) for config in configs)
    async with open_cluster(configs, directory, lambda line: None) as cluster:
        for config in configs:
            cluster.start(config.node.id)
        await cluster.wait_serving()
        async with (
            open_client([node.line_address for node in cluster.nodes.values()], timeout=STEP_S) as client,
            trio.open_nursery() as nursery,
        ):
            there = Stage(cluster, client, nursery)
            yield there
            there.check()
            nursery.cancel_scope.cancel()
    for node in cluster.nodes.values():
        assert "Traceback" not in node.log_path.read_text()


def creating(name: str, replicas: int = 3) -> topics.CreateTopicsRequest:
    return topics.CreateTopicsRequest((topics.CreatableTopic(name, 4, replicas),), 30_000)


async def test_a_life(tmp_path: Path) -> None:
    """Start, topics through an Envelope, producer ids, a controlled shutdown, and back with the epoch it had."""
    async with stage(tmp_path) as there:
        one, two, three = [await there.start(number, version=17 + number % 2) for number in (11, 12, 13)]
        answer = await two.forward(apis.CREATE_TOPICS, 7, creating("orders"))
        assert [topic.error_code for topic in answer.topics] == [0]
        await there.all_follow()
        assert set(one.observer.loader.topics.values()) == {"orders"}
        blocks = [await broker.allocate_producer_ids() for broker in (one, two, three, one)]
        assert len({number for block in blocks for number in block}) == 4000

        with trio.fail_after(STEP_S):
            await one.stop()
        rows = (await there.client.ask("TOPIC SHOW", "orders")).rows
        assert all(row.pairs["leader"] != 11 for row in rows)
        await there.wait_isr("orders", 12, 13)
        again = await there.start(11, previous_epoch=one.epoch)
        assert again.epoch > one.epoch
        assert again.refused == []  # let go with leave, so its old session is over
        await there.wait_isr("orders", 11, 12, 13)
        await there.all_follow()


@pytest.mark.slow
async def test_nodes_die_and_come_back(tmp_path: Path) -> None:
    """kill -9 of any node, of two, of all: nobody is fenced, nothing is lost, no broker dies or stands still."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    async with stage(tmp_path) as there:
        brokers = [await there.start(number, version=17 + number % 2) for number in (11, 12, 13)]
        made = []
        first = brokers[0].observer.epoch
        for number in range(ROUNDS):
            victims = chance.sample([1, 2, 3], chance.choices((1, 2, 3), (6, 2, 1))[0])
            if number == 0:
                victims = [await there.leader()]  # chance may spare it in all the others
            async with trio.open_nursery() as nursery:
                for victim in victims:
                    nursery.start_soon(there.cluster.kill, victim)
            asking = chance.choice(brokers)

            async def create(name: str, asking: FakeBroker) -> None:
                answer = await asking.forward(apis.CREATE_TOPICS, 7, creating(name))
                assert answer.topics[0].error_code in (0, 36)  # there already: asked again after the answer was lost
                made.append(name)

            with trio.fail_after(STEP_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(create, f"t{number}", asking)
                    await trio.sleep(chance.random())
                    for victim in victims:
                        there.cluster.start(victim)
                    await there.cluster.wait_serving(*victims)
            await there.all_follow()
        assert all(set(broker.observer.loader.topics.values()) == set(made) for broker in brokers)
        assert [broker.was_fenced for broker in brokers] == [0, 0, 0]
        assert max(broker.observer.epoch for broker in brokers) > first


@pytest.mark.slow
async def test_the_leader_hangs(tmp_path: Path) -> None:
    """SIGSTOP of the leader: brokers follow the next one; the old one, awake, tells nobody of its old epoch."""
    async with stage(tmp_path) as there:
        brokers = [await there.start(number) for number in (11, 12)]
        for _ in range(2):
            hung = await there.leader()
            epoch = brokers[0].observer.epoch
            there.cluster.pause(hung)
            await there.all_follow()
            assert all(broker.observer.epoch > epoch for broker in brokers)
            there.cluster.resume(hung)
            await there.all_follow()
        assert [broker.was_fenced for broker in brokers] == [0, 0]


@pytest.mark.slow
async def test_a_broker_dies(tmp_path: Path) -> None:
    """kill -9 of a broker, and again at once: refused until its session has ended, then back in every ISR."""
    async with stage(tmp_path) as there:
        for number in (11, 12):
            await there.start(number)
        await there.brokers[12].forward(apis.CREATE_TOPICS, 7, creating("pairs", 2))
        there.kill(11)
        again = await there.start(11)
        assert set(again.refused) == {"BrokerRegistration: 101"}
        await there.wait_isr("pairs", 11, 12)
        await there.all_follow()


@pytest.mark.slow
async def test_the_log_is_trimmed_under_brokers(tmp_path: Path) -> None:
    """A new broker, and one that had hung, get the snapshot; a living one never needs it."""
    log = LogConfig(snapshot_bytes=8192, segment_bytes=4096, retention_bytes=8192, retention_ms=100)
    async with stage(tmp_path, log) as there:
        living, hung = await there.start(11), await there.start(12, version=18)
        hung.holds_back = True
        behind = hung.observer.end_offset
        number = 0
        start = 0
        with trio.fail_after(3 * STEP_S):
            while start <= behind + 200:
                for _ in range(100):
                    number += 1
                    await there.client.ask(
                        "CONFIG SET", f"group/g{number % 50}",
                        values={"consumer.session.timeout.ms": str(45_000 + number % 1000)},
                    )  # fmt: skip
                starts = []
                for node in there.cluster.nodes.values():
                    async with open_client(str(node.line_address)) as client:
                        starts.append((await client.ask("STATUS")).pairs["log_start"])
                start = min(starts)  # type: ignore[assignment,type-var]
        new = await there.start(13)
        hung.holds_back = False
        hung.changed.set()
        await there.all_follow()
        assert living.observer.snapshots_fetched == 0
        assert hung.observer.snapshots_fetched >= 1
        assert new.observer.snapshots_fetched >= 1
        assert hung.observer.loader.brokers == living.observer.loader.brokers == new.observer.loader.brokers
