"""Whole clusters of real processes: killed, stopped and refused, with an eye on what clients were told.

The loop of kill -9 runs YAKT_KILL_ROUNDS rounds (30) by a seed that its failure prints; YAKT_KILL_SEED plays one again
as far as real processes can be played again.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from yakt import cli
from yakt.dev.ask import DISCONNECTED, Conversation
from yakt.dev.cluster import Cluster, Node, open_cluster
from yakt.dev.configs import dev_configs, format_config
from yakt.line.replies import ReplyLine, parse_reply_line

KILL_ROUNDS = int(os.environ.get("YAKT_KILL_ROUNDS", "30"))
ROUND_S = 40
"""A round takes a second or two; one that takes this long has lost the cluster."""
WRITERS = 4


@asynccontextmanager
async def real_cluster(directory: Path, nodes: int, told: list[str] | None = None) -> AsyncIterator[Cluster]:
    """Nodes that serve peers and lines, with quick elections as in conf/."""
    configs = [
        attrs.evolve(config, http=None, kafka=None) for config in dev_configs(directory, nodes=nodes, base_port=0)
    ]
    lines = [] if told is None else told
    async with open_cluster(configs, directory, lines.append) as cluster:
        for node_id in cluster.nodes:
            cluster.start(node_id)
        await cluster.wait_serving()
        yield cluster


async def ask(node: Node, line: str) -> tuple[list[ReplyLine], ReplyLine]:
    """Say a line on a connection of its own: the rows of the reply, and how it ends."""
    rows: list[ReplyLine] = []
    with trio.fail_after(20):
        async with await Conversation.open(node.line_address) as conversation:
            await conversation.say(line)
            while True:
                heard = await conversation.hear()
                assert heard is not None, f"node {node.id} hung up on {line}"
                parsed = parse_reply_line(heard)
                if parsed.is_end:
                    return rows, parsed
                rows.append(parsed)


async def ok(node: Node, line: str) -> ReplyLine:
    """The reply, which must be OK."""
    _, end = await ask(node, line)
    assert end.kind == "ok", f"node {node.id}: {line}: {end}"
    return end


async def leader_of(cluster: Cluster, node: Node) -> Node:
    """Who leads, as a node has it just after a commit."""
    await ok(node, "BROKER LIST timeout=10000")
    return cluster.node(int(str((await ok(node, "STATUS")).pairs["leader"])))


# --- deaths that a majority survives


@pytest.mark.parametrize(("nodes", "deaths"), [(3, 1), (5, 2)])
async def test_a_majority_goes_on(tmp_path: Path, nodes: int, deaths: int) -> None:
    async with real_cluster(tmp_path, nodes) as cluster:
        first = cluster.node(1)
        before = await ok(first, "CONFIG SET client-metrics/before metrics=x timeout=10000")
        leader = await leader_of(cluster, first)
        others = [node for node in cluster.nodes.values() if node is not leader]
        for node in [leader, *others[: deaths - 1]]:  # the leader first, and the others before anybody is elected
            await cluster.kill(node.id)
        survivors = others[deaths - 1 :]
        after = await ok(survivors[0], "CONFIG SET client-metrics/after metrics=x timeout=10000")
        assert int(str(after.pairs["offset"])) > int(str(before.pairs["offset"]))
        for node in survivors:
            rows, _ = await ask(node, "CONFIG GET client-metrics/before")
            assert [row.pairs["value"] for row in rows] == ["x"]


async def test_a_minority_promises_nothing(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, 3) as cluster:
        await ok(cluster.node(1), "CONFIG SET client-metrics/before metrics=x timeout=10000")
        await cluster.kill(2)
        await cluster.kill(3)
        _, end = await ask(cluster.node(1), "CONFIG SET client-metrics/after metrics=x timeout=1500")
        assert end.name in ("TIMEOUT", "NO_LEADER", "NOT_LEADER")
        assert end.pairs["retry"] is True
        _, end = await ask(cluster.node(1), "CONFIG GET client-metrics/before timeout=500")
        assert end.kind == "err"
        rows, _ = await ask(cluster.node(1), "CONFIG GET client-metrics/before read=local")
        assert [row.pairs["value"] for row in rows] == ["x"]
        cluster.start(2)
        await ok(cluster.node(1), "CONFIG SET client-metrics/again metrics=x timeout=10000")


async def test_a_hung_leader_is_replaced_and_finds_its_place_again(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, 3) as cluster:
        old = await leader_of(cluster, cluster.node(1))
        other = next(node for node in cluster.nodes.values() if node is not old)
        cluster.pause(old.id)
        # What was passed on to the hung leader may or may not be in its log: asked again, it is applied once.
        with trio.fail_after(20):
            while (await ask(other, "CONFIG SET client-metrics/while metrics=x request=once"))[1].kind != "ok":
                pass
        cluster.resume(old.id)
        # It thinks it leads until it hears otherwise: a read there must not be of the time before.
        rows, _ = await ask(old, "CONFIG GET client-metrics/while timeout=10000")
        assert [row.pairs["value"] for row in rows] == ["x"]
        assert (await leader_of(cluster, old)) is not old


# --- kill -9 at random nodes, under load


@attrs.define
class History:
    """What the writers asked and were told. A write's name is its entity and its request id."""

    acknowledged: dict[str, int] = attrs.field(factory=dict)
    """Its offset, as the OK said."""
    refused: Counter[str] = attrs.field(factory=Counter)
    progress: trio.Event = attrs.field(factory=trio.Event)

    def acknowledge(self, name: str, offset: int) -> None:
        """An OK, and whoever waits for one goes on."""
        self.acknowledged[name] = offset
        self.progress.set()
        self.progress = trio.Event()


async def write_on(cluster: Cluster, history: History, writer: int, chance: random.Random) -> None:
    """One write after another, at any node; one whose outcome is not known is repeated as it was until it is OK."""
    number = 0
    while True:
        name = f"w{writer}-{number}"
        line = f"CONFIG SET client-metrics/{name} metrics={name} request={name} timeout=2000"
        node = cluster.node(chance.choice(list(cluster.nodes)))
        try:
            with trio.fail_after(5):
                async with await Conversation.open(node.line_address) as conversation:
                    while True:
                        end = await conversation.ask(line)
                        if end.kind != "ok":
                            history.refused[end.name] += 1
                            assert end.pairs["retry"] is True, end
                            break
                        history.acknowledge(name, int(str(end.pairs["offset"])))
                        number += 1
                        name = f"w{writer}-{number}"
                        line = f"CONFIG SET client-metrics/{name} metrics={name} request={name} timeout=2000"
        except (*DISCONNECTED, trio.TooSlowError):
            await trio.sleep(0.02)  # the node is down just now; others are not


async def read_log(node: Node) -> list[tuple[int, int, str, str, str]]:
    """All committed records at a node: offset, epoch, kind, request id, fields."""
    records: list[tuple[int, int, str, str, str]] = []
    while True:
        rows, end = await ask(node, f"LOG from={len(records)} limit=10000 timeout=10000")
        assert end.kind == "ok", end
        records += [
            (
                int(str(row.pairs["offset"])),
                int(str(row.pairs["epoch"])),
                str(row.pairs["kind"]),
                str(row.pairs.get("request", "")),
                str(row.pairs["fields"]),
            )
            for row in rows
        ]
        if len(rows) < 10_000:
            return records


def check_logs(logs: Sequence[list[tuple[int, int, str, str, str]]], history: History) -> None:
    """Every acknowledged write is at its offset, once; and all nodes hold the same log."""
    shortest = min(map(len, logs))
    assert all(log[:shortest] == logs[0][:shortest] for log in logs)
    log = max(logs, key=len)
    assert [record[0] for record in log] == list(range(len(log)))
    applied = Counter(request for _, _, _, request, _ in log if request)
    assert not {request: count for request, count in applied.items() if count > 1}
    lost = {
        name: offset
        for name, offset in history.acknowledged.items()
        if offset >= len(log) or log[offset][3] != name or repr(name) not in log[offset][4]
    }
    assert not lost


@pytest.mark.slow
async def test_kill_9_loses_no_acknowledged_write(tmp_path: Path) -> None:
    seed = int(os.environ.get("YAKT_KILL_SEED", random.randrange(1 << 32)))
    print(f"YAKT_KILL_SEED={seed}")
    chance = random.Random(seed)
    history = History()
    told: list[str] = []
    async with real_cluster(tmp_path, 3, told) as cluster, trio.open_nursery() as writers:
        for writer in range(WRITERS):
            writers.start_soon(write_on, cluster, history, writer, random.Random(chance.random()))
        for _ in range(KILL_ROUNDS):
            with trio.fail_after(ROUND_S):
                await history.progress.wait()
                await trio.sleep(chance.random() * 0.2)  # anywhere in the life of a leader or a follower
                deaths = chance.choices((1, 2, 3), (6, 2, 2))[0]
                victims = chance.sample(list(cluster.nodes), deaths)
                async with trio.open_nursery() as killing:
                    for victim in victims:
                        killing.start_soon(cluster.kill, victim)
                remembered = list(history.acknowledged)[-1]
                for victim in victims:
                    cluster.start(victim)
                await cluster.wait_serving()
                rows, end = await ask(
                    cluster.node(chance.choice(list(cluster.nodes))),
                    f"CONFIG GET client-metrics/{remembered} timeout=15000",
                )
                assert [row.pairs["value"] for row in rows] == [remembered], end
        writers.cancel_scope.cancel()
        logs = [await read_log(node) for node in cluster.nodes.values()]
        check_logs(logs, history)
    assert len(history.acknowledged) > KILL_ROUNDS
    for node in cluster.nodes.values():
        assert cli.main(["log", "--verify", str(node.config.node.data)]) == 0
        assert "Traceback" not in node.log_path.read_text()
    assert not [line for line in told if "unasked" in line]
    assert [node.process.returncode for node in cluster.nodes.values() if node.process] == [0, 0, 0]


def test_the_check_of_logs_can_fail() -> None:
    def record(offset: int, request: str) -> tuple[int, int, str, str, str]:
        return (offset, 1, "ConfigRecord", request, str({"name": "metrics", "value": request}))

    good = [record(0, "w0-0"), record(1, "w1-0")]
    check_logs([good, good[:1]], History({"w0-0": 0, "w1-0": 1}))
    for logs, acknowledged in (
        ([good], {"w0-0": 0, "w2-0": 2}),  # lost
        ([good], {"w0-0": 1}),  # elsewhere
        ([[*good, record(2, "w0-0")]], {"w0-0": 0}),  # twice
        ([good, good[::-1]], {}),  # not the same
        ([[good[0], record(2, "w1-0")]], {}),  # a hole
    ):
        with pytest.raises(AssertionError):
            check_logs(logs, History(acknowledged))


# --- stops and refusals


async def test_sigterm_stops_each_node_in_order(tmp_path: Path) -> None:
    async with real_cluster(tmp_path, 3) as cluster:
        leader = await leader_of(cluster, cluster.node(1))
        other = next(node for node in cluster.nodes.values() if node is not leader)
        began = time.monotonic()
        leader.signal(signal.SIGTERM)
        with trio.fail_after(8):
            await leader.wait_until("down")
        # It handed over: nobody had to find out that it is gone.
        await ok(other, "CONFIG SET client-metrics/after metrics=x timeout=5000")
        assert time.monotonic() - began < 5
        assert leader.process is not None
        assert leader.process.returncode == 0
    assert [node.process.returncode for node in cluster.nodes.values() if node.process] == [0, 0, 0]


def serve(config_path: Path) -> "subprocess.CompletedProcess[str]":
    """A node that must not come up."""
    command = [sys.executable, "-m", "yakt", "serve", str(config_path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


async def test_a_directory_in_use_or_of_another_is_refused(tmp_path: Path) -> None:
    [config] = dev_configs(tmp_path, nodes=1, base_port=0)
    config = attrs.evolve(config, http=None, kafka=None)
    [elsewhere] = dev_configs(tmp_path, nodes=1, base_port=0)
    rival = tmp_path / "rival.toml"
    rival.write_text(format_config(attrs.evolve(elsewhere, http=None, kafka=None)))
    stranger = tmp_path / "stranger.toml"
    stranger.write_text(format_config(attrs.evolve(config, cluster=attrs.evolve(config.cluster, id="another-cluster"))))
    data = config.node.data
    async with open_cluster([config], tmp_path, lambda line: None) as cluster:
        cluster.start(1)
        await cluster.wait_serving()
        await ok(cluster.node(1), "CONFIG SET client-metrics/x metrics=x timeout=10000")
        assert {path.stat().st_mode & 0o777 for path in (data, *data.rglob("*"))} <= {0o700, 0o600, 0o400}
        refused = await trio.to_thread.run_sync(serve, rival)
        assert refused.returncode == 1
        [line] = refused.stderr.splitlines()
        assert str(data / "yakt.lock") in line
        assert "stop it" in line
    refused = await trio.to_thread.run_sync(serve, stranger)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "meta.properties" in line
    assert "another-cluster" in line
