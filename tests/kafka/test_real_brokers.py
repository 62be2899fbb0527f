"""Stock brokers on three real nodes: they start, serve, live through the loss of the leader, and go in order."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from tests.kafka_lab.broker import Broker, wait_ended
from tests.kafka_lab.lab import KafkaTools, find_tools
from yakt.client import Client, open_client
from yakt.config import LogConfig
from yakt.dev.cluster import Cluster, open_cluster
from yakt.dev.configs import dev_configs

pytestmark = pytest.mark.slow
START_S = 60


@pytest.fixture(scope="module", params=["3.9.1", "4.3.1"])
def tools(request: pytest.FixtureRequest) -> KafkaTools:
    """One release, or a visible skip."""
    found = find_tools(request.param)
    if isinstance(found, str):
        pytest.skip(f"Kafka cannot be had: {found}")
    return found


@attrs.define(eq=False)
class Stage:
    """Three nodes, a client of theirs, and a broker's place."""

    cluster: Cluster
    client: Client
    broker: Broker
    voters: list[str]
    since: int = 0
    """Offset from which on changes are still to be looked at."""

    async def wait_broker(self, broker_id: int | None = None, **wanted: object) -> None:
        """Until a change of the broker makes it so."""
        await self.wait("broker", id=self.broker.id if broker_id is None else broker_id, **wanted)

    async def wait(self, kind: str, **wanted: object) -> None:
        """Until an entity of this kind changes so; each wait goes on where the last one ended."""
        with trio.fail_after(START_S):
            async with aclosing(self.client.watch(kind=kind, since=self.since)) as events:
                async for event in events:
                    self.since = event.offset + 1
                    if wanted.items() <= event.pairs.items():
                        return

    async def leader(self) -> int:
        """Who leads."""
        answer = await self.client.ask("STATUS")
        found = answer.pairs["leader"]
        assert isinstance(found, int)
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def stage(
    tools: KafkaTools,
    directory: Path,
    log: LogConfig | None = None,
    kraft_version: int = 0,
    super_users: Sequence[str] = (),
) -> AsyncIterator[Stage]:
    configs = tuple(
        attrs.evolve(
            config,
            quorum=attrs.evolve(config.quorum, kraft_version=kraft_version),
            controller=attrs.evolve(config.controller, super_users=tuple(super_users)),
        )
        for config in dev_configs(directory, nodes=3, base_port=0)
    )
    if log is not None:
        configs = tuple(attrs.evolve(config, log=log) for config in configs)
    async with open_cluster(configs, directory, lambda line: None) as cluster:
        for config in configs:
            cluster.start(config.node.id)
        await cluster.wait_serving()
        voters = [f"{config.node.id}@{config.kafka.advertised}" for config in configs if config.kafka is not None]
        broker = Broker(11, free_port(), voters, configs[0].cluster.id, directory, tools)
        async with open_client(",".join(str(node.line_address) for node in cluster.nodes.values())) as client:
            yield Stage(cluster, client, broker, voters)


async def test_a_life(tools: KafkaTools, tmp_path: Path) -> None:
    async with stage(tools, tmp_path) as there:
        broker = there.broker
        async with broker.running() as process:
            await there.wait_broker(fenced=False)

            # A topic made with the line protocol is produced to.
            await there.client.ask_line("TOPIC CREATE orders partitions=3")
            assert len(await broker.produce("orders", 50)) == 50

            # One made with Kafka's tool is seen by the line protocol.
            await broker.topics("--create", "--topic", "clicks", "--partitions", "2", "--config", "retention.ms=777000")
            shown = await there.client.ask_line("TOPIC SHOW clicks")
            assert [row.pairs["leader"] for row in shown.rows] == [11, 11]
            [row] = (await there.client.ask_line("CONFIG GET topic/clicks")).rows
            assert (row.pairs["key"], row.pairs["value"]) == ("retention.ms", "777000")

            # The leader dies while a producer is at work.
            acked: list[str] = []

            async def produce() -> None:
                acked.extend(await broker.produce("clicks", 1200, "--throughput", "200"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(produce)
                await trio.sleep(3)  # it has begun
                killed = await there.leader()
                await there.cluster.kill(killed)
            assert len(acked) == 1200
            assert await there.leader() != killed
            await broker.topics("--alter", "--topic", "clicks", "--partitions", "4")
            assert sorted(await broker.consume("clicks", 1200, "readers"), key=int) == sorted(acked, key=int)

            there.cluster.start(killed)
            await there.cluster.wait_serving(killed)
            process.terminate()
            with trio.fail_after(30):
                assert await wait_ended(process) in (0, 143)
            await there.wait_broker(fenced=True)

        # It comes back at once: its session ended with its leave to go.
        async with broker.running():
            await there.wait_broker(fenced=False, changes=1)
            assert "clicks" in await broker.topics("--list")
        for node in there.cluster.nodes.values():
            assert "Traceback" not in node.log_path.read_text()


async def test_replicas_shrink_and_come_back(tools: KafkaTools, tmp_path: Path) -> None:
    """Two brokers, two replicas: one is killed, fenced, led around, and in sync again when it is back."""
    async with stage(tools, tmp_path) as there:
        one = there.broker
        two = attrs.evolve(one, id=12, port=free_port())
        async with one.running(), AsyncExitStack() as second:
            process = await second.enter_async_context(two.running())
            await there.wait_broker(fenced=False)
            there.since = 0
            await there.wait_broker(12, fenced=False)
            await there.client.ask_line("TOPIC CREATE pairs assignment=[[12,11]] config.min.insync.replicas=1")
            assert len(await one.produce("pairs", 100)) == 100

            process.kill()
            await wait_ended(process)
            await there.wait("partition", topic="pairs", partition=0, isr=[11], leader=11)
            await there.wait_broker(12, fenced=True)
            acked = await one.produce("pairs", 100)
            assert len(acked) == 100

            await second.enter_async_context(two.running())
            await there.wait_broker(12, fenced=False)
            await there.wait("partition", topic="pairs", partition=0, isr=[11, 12])
            await one.tool(
                "org.apache.kafka.tools.LeaderElectionCommand",
                "--election-type", "preferred", "--topic", "pairs", "--partition", "0",
            )  # fmt: skip
            await there.wait("partition", topic="pairs", partition=0, leader=12)
            assert len(await one.consume("pairs", 200, "readers")) == 200


async def test_one_joins_a_log_whose_start_is_gone(tools: KafkaTools, tmp_path: Path) -> None:
    log = LogConfig(snapshot_bytes=8192, segment_bytes=4096, retention_bytes=8192, retention_ms=100)
    async with stage(tools, tmp_path, log) as there:
        number = 0
        while True:  # until every node has thrown away the start of its log
            for _ in range(200):
                number += 1
                await there.client.ask_line(
                    f"CONFIG SET group/g{number % 50} consumer.session.timeout.ms={45000 + number}"
                )
            starts = []
            for node in there.cluster.nodes.values():
                async with open_client(str(node.line_address)) as client:
                    await client.ask_line("SNAPSHOT CREATE wait=true")
                    starts.append((await client.ask("STATUS")).pairs["log_start"])
            if all(starts):
                break
        async with there.broker.running():
            there.since = int(max(map(int, starts)))  # type: ignore[call-overload]
            await there.wait_broker(fenced=False)
            await there.client.ask_line("TOPIC CREATE orders partitions=1")
            assert len(await there.broker.produce("orders", 20)) == 20
