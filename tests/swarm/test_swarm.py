"""`yakt swarm` as people use it, on three real nodes."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from yakt import cli
from yakt.client import Client, open_client
from yakt.dev.cluster import Cluster, open_cluster
from yakt.dev.configs import dev_configs
from yakt.errors import ConfigError
from yakt.one_shot import parse_servers
from yakt.swarm import control
from yakt.swarm.session import find_free_ids

YAKT = [sys.executable, "-m", "yakt"]


@attrs.define(eq=False)
class Swarms:
    """Three nodes, and swarms as processes on them."""

    cluster: Cluster
    client: Client

    async def order(self, line: str, name: str = "") -> dict[str, Any]:
        """What `yakt swarm LINE --name NAME` is answered."""
        return await trio.to_thread.run_sync(control.order, name, line)

    @asynccontextmanager
    async def running(self, *words: str) -> AsyncIterator[list[dict[str, Any]]]:
        """What a swarm tells, from when it takes orders; at the end it is interrupted, and has to leave in order."""
        process = await trio.lowlevel.open_process(
            [*YAKT, "swarm", *words, "--json"], env=os.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        told: list[dict[str, Any]] = []
        begun = trio.Event()

        async def listen() -> None:
            rest = b""
            async for piece in process.stdout:
                *lines, rest = (rest + piece).split(b"\n")
                told.extend(json.loads(line) for line in lines)
                begun.set()
            begun.set()

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                await begun.wait()
                yield told
                process.send_signal(signal.SIGINT)
            assert await process.wait() == 0, told
            assert told[-1]["event"] in ("gone", "kept")
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()

    async def fenced(self) -> set[object]:
        return {row.pairs["id"] for row in (await self.client.ask("BROKER LIST", fenced=True)).rows}

    async def wait_fenced(self, *ids: int) -> None:
        """Until exactly these are."""

        async def look() -> bool:
            return await self.fenced() == set(ids)

        await self._wait(look, "broker")

    async def wait_in_sync(self, *, is_in_sync: bool = True) -> None:
        """Until no partition, or at least one, lacks a replica."""

        async def look() -> bool:
            shrunk = (await self.client.ask("PARTITION LIST", under_replicated=True)).rows
            return bool(shrunk) is not is_in_sync

        await self._wait(look, "partition")

    async def _wait(self, look: Callable[[], Awaitable[bool]], kind: str) -> None:
        """Look once, and again at every change of that kind."""
        async with aclosing(self.client.watch(since=0, kind=kind)) as changes:
            async for _ in changes:
                if await look():
                    return


@pytest.fixture
async def swarms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Swarms]:
    configs = [attrs.evolve(config, http=None, kafka=None) for config in dev_configs(tmp_path, nodes=3, base_port=0)]
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with trio.fail_after(120):
        async with open_cluster(configs, tmp_path, lambda _: None) as cluster:
            for node_id in cluster.nodes:
                cluster.start(node_id)
            await cluster.wait_serving()
            servers = ",".join(str(node.line_address) for node in cluster.nodes.values())
            monkeypatch.setenv("YAKT_SERVER", servers)
            async with open_client(servers) as client:
                await client.ask("BROKER LIST")  # somebody leads
                yield Swarms(cluster, client)


async def test_a_busy_cluster_in_a_moment(swarms: Swarms) -> None:
    async with swarms.running("12", "--topics", "3", "--session", "2", "--heartbeat", "0.5"):
        found = await swarms.order("wait")
        assert (found["stage"], found["states"], found["partitions"]) == ("ready", {"running": 12}, 18)
        rows = (await swarms.client.ask("BROKER LIST")).rows
        assert [row.pairs["id"] for row in rows] == list(range(1001, 1013))
        assert {row.pairs["rack"] for row in rows} == {"r1", "r2", "r3"}

        assert await swarms.order("kill 3 1005") == {
            "ok": True, "deed": "kill", "ids": [1003, 1005], "text": "kill: brokers 1003, 1005"
        }  # fmt: skip
        await swarms.wait_fenced(1003, 1005)
        found = await swarms.order("status")
        assert found["states"] == {"down": 2, "running": 10}
        assert [(row["id"], row["state"]) for row in found["unusual"]] == [(1003, "down"), (1005, "down")]
        await swarms.wait_in_sync(is_in_sync=False)
        await swarms.order("start 3 5")
        await swarms.wait_in_sync()

        await swarms.order("lag rack=r2")
        await swarms.wait_in_sync(is_in_sync=False)
        assert await swarms.fenced() == set()
        await swarms.order("start all")
        await swarms.wait_in_sync()
    assert not (await swarms.client.ask("BROKER LIST")).rows
    assert not (await swarms.client.ask("TOPIC LIST")).rows


async def test_the_death_of_the_leader_fences_none(swarms: Swarms) -> None:
    async with swarms.running("30", "--topics", "2", "--heartbeat", "0.5"):
        await swarms.order("wait")
        offset = (await swarms.client.ask("BROKER LIST")).pairs["offset"]
        leader = (await swarms.client.ask("QUORUM SHOW")).pairs["leader"]
        assert isinstance(leader, int)
        await swarms.cluster.kill(leader)
        await swarms.order("kill 7")
        await swarms.wait_fenced(1007)
        changed = (await swarms.client.ask("FETCH", since=offset)).rows
        assert [row.pairs["id"] for row in changed if row.kind == "broker"] == [1007]


async def test_two_side_by_side_and_one_that_is_kept(swarms: Swarms, capsys: pytest.CaptureFixture[str]) -> None:
    async def run(*words: str) -> tuple[int, str]:
        status = await trio.to_thread.run_sync(cli.main, ["swarm", *words])  # as from another terminal
        return status, capsys.readouterr().err

    async with swarms.running("4", "--topics", "1", "--keep"):
        await swarms.order("wait")
        async with swarms.running("3", "--name", "blue"):
            blue = await swarms.order("wait", "blue")
            assert (blue["first"], blue["last"]) == (2001, 2003)
            assert len((await swarms.client.ask("BROKER LIST")).rows) == 7
            assert await run("status") == (1, "yakt: several swarms run: blue, swarm; say which: --name blue\n")
            there_is_none = "yakt swarm: there is no broker 9: the ids are 2001 to 2003, the places 1 to 3\n"
            assert await run("kill", "9", "--name", "blue") == (1, there_is_none)
            again = await trio.run_process(
                [*YAKT, "swarm", "5", "--name", "blue"], capture_stdout=True, capture_stderr=True, check=False
            )
            assert (again.returncode, again.stdout) == (1, b"")
            assert b"a swarm called blue runs already" in again.stderr
        assert len((await swarms.client.ask("BROKER LIST")).rows) == 4
    assert [row.pairs["name"] for row in (await swarms.client.ask("TOPIC LIST")).rows] == ["swarm-1"]
    with pytest.raises(ConfigError, match="broker 1003 is registered and not of a swarm called green"):
        await find_free_ids(parse_servers(""), "green", 2, 1003)
    async with swarms.running("4", "--topics", "1"):  # takes over what was kept, and tidies up
        found = await swarms.order("wait")
        assert (found["first"], found["states"], found["problem"]) == (1001, {"running": 4}, None)
    assert not (await swarms.client.ask("BROKER LIST")).rows


@pytest.mark.parametrize(
    ("words", "status", "beginning"),
    [
        ("status", 1, "yakt: no swarm runs; begin one with, for instance: yakt swarm 20 --topics 10"),
        ("kill 3 --name blue", 1, "yakt: no swarm called blue runs; those that run: none"),
        ("3", 3, "yakt swarm: no server answers; 127.0.0.1:1: "),
        ("kil 3", 2, "yakt swarm: kil is neither a number of brokers nor an order"),
        ("3 4", 2, "yakt swarm: 4 after the number of brokers"),
        ("0", 1, "yakt swarm: COUNT 0 is not in 1 to 10000"),
        ("3 --heartbeat 5 --session 6", 1, "yakt swarm: --session is to be at least two heartbeats long"),
        ("3 --name Blue", 1, "yakt swarm: --name Blue: at most 24 of"),
        ("3 --server x", 1, "yakt swarm: --server, $YAKT_SERVER: "),
    ],
)
def test_told_what_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    status: int,
    beginning: str,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("YAKT_SERVER", "127.0.0.1:1")
    assert cli.main(["swarm", *words.split()]) == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(beginning)


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "yakt").mkdir(mode=0o755)
    with pytest.raises(ConfigError, match="is not a directory of yours alone"):
        control.running()
