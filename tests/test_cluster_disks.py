"""Real nodes and their disks: logs that `yakt log --verify` holds true, a disk that was lost, one that is full."""

import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import attrs
import trio

from tests.test_cluster import ask, leader_of, ok, real_cluster
from yakt.dev.ask import DISCONNECTED
from yakt.dev.cluster import Node, open_cluster
from yakt.dev.configs import dev_configs
from yakt.ids import NodeId

FILE_SIZE_MAX = 64 << 10


def verify(directories: Sequence[Path]) -> str:
    """`yakt log --verify`, as a person would run it; what it said."""
    command = [sys.executable, "-m", "yakt", "log", "--verify", *map(str, directories)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.splitlines()[-1] == "all fits"
    assert done.stdout.count(": image made ") == len(directories)
    return done.stdout


def image_hashes(directories: Sequence[Path]) -> set[str]:
    """What each directory's log makes, by `yakt log --verify --json`."""
    command = [sys.executable, "-m", "yakt", "log", "--verify", "--json", *map(str, directories)]
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    return {line.partition('"image_hash":')[2] for line in lines if line.startswith('{"_":"image"')}


async def test_logs_verify_beside_killed_and_running_nodes(tmp_path: Path) -> None:
    chance = random.Random(4)
    directories = [tmp_path / f"node{number}" for number in (1, 2, 3)]
    async with real_cluster(tmp_path, 3) as cluster:
        await ok(cluster.node(1), "BROKER REGISTER 1 host=b port=9092 session=600000 timeout=10000")
        await ok(cluster.node(1), "BROKER HEARTBEAT 1 timeout=10000")
        for round_number in range(2):
            for number in range(10):
                name = f"{round_number}-{number}"
                await ok(cluster.node(number % 3 + 1), f"TOPIC CREATE t-{name} request={name} timeout=10000")
            await ok(cluster.node(round_number + 1), "SNAPSHOT CREATE wait=true timeout=10000")
            victim = chance.choice(list(cluster.nodes))
            await cluster.kill(victim)
            # Here and below while two nodes write and one lies as it died.
            await ok(cluster.node(victim % 3 + 1), f"TOPIC CREATE t-after-{round_number} timeout=10000")
            await trio.to_thread.run_sync(lambda: verify(directories))
            cluster.start(victim)
            await cluster.wait_serving()
        end = await ok(cluster.node(1), "CONFIG SET topic/t-0-0 retention.ms=7 timeout=10000")
        for node in cluster.nodes.values():
            await ok(node, f"TOPIC LIST min={end.pairs['offset']} timeout=10000")
    said = await trio.to_thread.run_sync(lambda: verify(directories))
    assert said.count("holds what the log below") == 2
    assert " 0 hashes told" not in said
    assert len(await trio.to_thread.run_sync(lambda: image_hashes(directories))) == 1


async def test_a_lost_disk_makes_an_observer(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, 3) as cluster:
        leader = await leader_of(cluster, cluster.node(1))
        lost, other = (node for node in cluster.nodes.values() if node is not leader)
        await ok(leader, "CONFIG SET client-metrics/before metrics=x timeout=10000")
        await cluster.kill(lost.id)
        shutil.rmtree(lost.config.node.data)
        cluster.start(lost.id)
        await cluster.wait_serving(lost.id)
        rows, _ = await ask(lost, "CONFIG GET client-metrics/before timeout=10000")
        assert [row.pairs["value"] for row in rows] == ["x"], "it follows and serves"
        status = await ok(lost, "STATUS")
        assert status.pairs["voter"] is False
        health = await ok(lost, "HEALTH")
        assert "observer" in str(health.pairs["reasons"])
        rows, _ = await ask(leader, "QUORUM SHOW")
        assert [row.pairs["id"] for row in rows if row.name == "observer"] == [lost.id]
        await cluster.kill(other.id)
        _, end = await ask(leader, "CONFIG SET client-metrics/alone metrics=x timeout=1500")
        assert end.kind == "err", "the one that came back is no part of a majority"
        cluster.start(other.id)
        await ok(leader, "CONFIG SET client-metrics/again metrics=x timeout=10000")


def limited_serve(config_path: Path) -> list[str]:
    """A node whose files cannot grow past FILE_SIZE_MAX: its disk is full, as it were."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_SIZE_MAX}, {FILE_SIZE_MAX}))"
    run = f"{limit}; import sys; from yakt.cli import main; sys.exit(main(['serve', {str(config_path)!r}]))"
    return [sys.executable, "-c", run]


async def test_a_disk_that_takes_no_more_ends_the_node(tmp_path: Path) -> None:
    [config] = dev_configs(tmp_path, nodes=1, base_port=0)
    config = attrs.evolve(config, http=None, kafka=None)
    async with open_cluster([config], tmp_path, lambda line: None, command=limited_serve) as cluster:
        node = cluster.nodes[NodeId(1)]
        cluster.start(1)
        await cluster.wait_serving()
        with trio.fail_after(30):
            acknowledged = await write_until_down(node)
        assert acknowledged > 3
        assert node.process is not None
        assert node.process.returncode == 1
        said = node.log_path.read_text()
        assert "Traceback" not in said
        [line] = [line for line in said.splitlines() if "EFBIG" in line]
        assert line.startswith("yakt: ")
        assert str(config.node.data / "__cluster_metadata-0") in line
    # With room again it starts, and has all that it ever said it had.
    async with open_cluster([config], tmp_path, lambda line: None) as cluster:
        node = cluster.nodes[NodeId(1)]
        cluster.start(1)
        await cluster.wait_serving()
        rows, _ = await ask(node, "CONFIG GET topic/t timeout=10000")
        assert [row.pairs["value"] for row in rows if row.pairs["key"] == "retention.ms"] == [str(acknowledged)]


async def write_until_down(node: Node) -> int:
    """How many writes were acknowledged."""
    await ok(node, "BROKER REGISTER 1 host=b port=9092 session=600000 timeout=10000")
    await ok(node, "BROKER HEARTBEAT 1")
    await ok(node, "TOPIC CREATE t")
    count = 0
    why = "x" * 1000
    while True:
        try:
            _, end = await ask(node, f"CONFIG SET topic/t retention.ms={count + 1} reason={why} timeout=5000")
        except (*DISCONNECTED, AssertionError):
            await node.wait_until("down")
            return count
        assert end.kind == "ok"
        count += 1
