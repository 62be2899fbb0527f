"""Moving in and out: YAKt's nodes on the directories of Kafka's stopped controllers, Kafka's on YAKt's.

A broker lives through all of it and notices nothing but new epochs (yakt/kafka/README.md, Moving in and out).
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio

from tests.kafka_lab.controllers import Controller
from tests.kafka_lab.stage import free_port
from tests.kafka_lab.tools import Tools, running_tools
from yakt.address import Address
from yakt.client import Client, open_client
from yakt.config import ClusterConfig, Config, Listener, NodeConfig, VoterAddress
from yakt.dev import processes
from yakt.dev.brokers import Broker
from yakt.dev.cluster import open_cluster
from yakt.dev.configs import dev_configs
from yakt.dev.releases import Release
from yakt.ids import NodeId

pytestmark = pytest.mark.slow
IDS = (3000, 3001, 3002)
START_S = 90.0


def listener(port: int) -> Listener:
    address = Address("127.0.0.1", port)
    return Listener(address, address)


def node_configs(directory: Path, cluster_id: str, kafka_ports: dict[int, int]) -> list[Config]:
    """Nodes with the controllers' ids, directories and Kafka addresses; ports of their own for all else."""
    peers = {node_id: free_port() for node_id in IDS}
    voters = tuple(VoterAddress(NodeId(node_id), Address("127.0.0.1", port)) for node_id, port in peers.items())
    template = dev_configs(directory, nodes=3, base_port=0)[0]
    return [
        attrs.evolve(
            template,
            cluster=ClusterConfig(cluster_id, voters),
            node=NodeConfig(NodeId(node_id), directory / f"node{node_id}"),
            peer=listener(peers[node_id]),
            line=listener(free_port()),
            http=None,
            kafka=listener(kafka_ports[node_id]),
        )
        for node_id in IDS
    ]


@pytest.mark.parametrize("version", ["3.9.1"])
async def test_in_out_and_in_again(releases: list[Release], version: str, tmp_path: Path) -> None:
    [release] = [release for release in releases if release.version == version]
    ports = {node_id: free_port() for node_id in IDS}
    voters = [f"{node_id}@127.0.0.1:{port}" for node_id, port in ports.items()]
    told: list[str] = []
    with ExitStack() as stack:
        tools = stack.enter_context(running_tools(release))
        cluster_id = tools("storage", "random-uuid").strip()
        controllers = [
            Controller(
                id=node_id, port=ports[node_id], voters=voters, data=tmp_path / f"node{node_id}", release=release,
                log_path=tmp_path / f"kafka{node_id}.log", tell=told.append,
            )
            for node_id in IDS
        ]  # fmt: skip
        for controller in controllers:
            controller.format(tools, cluster_id)
        broker = Broker(
            id=11, port=free_port(), voters=voters, cluster_id=cluster_id, directory=tmp_path,
            log_path=tmp_path / "broker11.log", tell=told.append, release=release,
        )  # fmt: skip
        configs = node_configs(tmp_path, cluster_id, ports)
        async with trio.open_nursery() as nursery:
            run = partial(_tool, tools, broker)
            try:
                await _start_controllers(controllers, nursery)
                broker.start(nursery)
                await processes.wait_serving([broker], START_S)
                await run("topics", "--create", "--topic", "kafka0", "--config", "retention.ms=777000")
                registered = ""
                epoch = 0
                for turn in (1, 2):
                    await _stop_controllers(controllers)
                    async with open_cluster(configs, tmp_path, told.append) as cluster:
                        for node_id in IDS:
                            cluster.start(node_id)
                        await cluster.wait_serving()
                        async with open_client(
                            ",".join(str(node.line_address) for node in cluster.nodes.values())
                        ) as client:
                            row = await _check(client, turn)
                            registered = registered or str(row)
                            assert str(row) == registered  # the broker registered once, and was never fenced
                            reached = int(str((await client.ask_line("QUORUM SHOW")).pairs["epoch"]))
                            assert reached > epoch
                            epoch = reached
                            await run("topics", "--create", "--topic", f"tool{turn}")
                            await run("console-producer", "--topic", f"yakt{turn}", stdin="moved\n")
                            if turn == 1:  # Kafka's controllers start on a snapshot of ours too
                                await client.ask_line("SNAPSHOT CREATE wait=true")
                    await _start_controllers(controllers, nursery)
                    listed = set((await run("topics", "--list")).split())
                    assert {f"yakt{turn}", f"tool{turn}", "kafka0"} <= listed
                    await run("topics", "--create", "--topic", f"kafka{turn}")
                    read = await run(
                        "console-consumer", "--topic", f"yakt{turn}", "--from-beginning", "--max-messages", "1",
                        "--timeout-ms", "30000",
                    )  # fmt: skip
                    assert read == "moved\n"
            finally:
                with trio.CancelScope(shield=True):
                    await processes.stop([broker], 20, told.append)
                    await processes.stop(controllers, 20, told.append)
    log = (tmp_path / "broker11.log").read_text()
    assert log.count("Kafka Server started") == 1
    assert "metadata loading fault" not in log


async def _start_controllers(controllers: list[Controller], nursery: trio.Nursery) -> None:
    for controller in controllers:
        controller.start(nursery)
    await processes.wait_serving(controllers, START_S)


async def _stop_controllers(controllers: list[Controller]) -> None:
    await processes.stop(controllers, 20, lambda line: None)
    for controller in controllers:
        await controller.wait_until("down")


async def _check(client: Client, turn: int) -> tuple[object, ...]:
    """What YAKt makes of the directories; who the broker is."""
    made = await client.ask("TOPIC CREATE", f"yakt{turn}", partitions=1, timeout=20)
    assert made.pairs["partitions"] == 1
    topics = {row.pairs["name"] for row in (await client.ask_line("TOPIC LIST")).rows}
    assert {f"kafka{before}" for before in range(turn)} <= topics
    [config] = (await client.ask_line("CONFIG GET topic/kafka0")).rows
    assert (config.pairs["key"], config.pairs["value"]) == ("retention.ms", "777000")
    [row] = (await client.ask_line("BROKER LIST")).rows
    return tuple(row.pairs[key] for key in ("id", "epoch", "uuid", "fenced"))


async def _tool(tools: Tools, broker: Broker, tool: str, *arguments: str, stdin: str = "") -> str:
    return await trio.to_thread.run_sync(
        partial(tools, tool, "--bootstrap-server", broker.address, *arguments, stdin=stdin)
    )
