"""dev's processes, with nodes that only look like some: started, killed, paused, and never left over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

import pytest
import trio

from yakt.dev.ask import Conversation
from yakt.dev.cluster import Cluster, open_cluster
from yakt.dev.configs import dev_configs
from yakt.dev.processes import ProcessError, describe_end

HERE = Path(__file__).parent


def fake_command(config_path: Path) -> list[str]:
    return [sys.executable, str(HERE / "fake_node.py"), str(config_path)]


@asynccontextmanager
async def fake_cluster(directory: Path, told: list[str]) -> AsyncIterator[Cluster]:
    configs = dev_configs(directory, nodes=3, base_port=0)
    with trio.fail_after(30):
        async with open_cluster(configs, directory, told.append, command=fake_command) as cluster:
            for node_id in cluster.nodes:
                cluster.start(node_id)
            yield cluster


def is_running(pid: int) -> bool:
    """Not gone, and no zombie that only waits for its new parent to look."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_life(tmp_path: Path) -> None:
    told: list[str] = []
    async with fake_cluster(tmp_path, told) as cluster:
        await cluster.wait_serving()
        two = cluster.node(2)
        assert two.process is not None
        first = two.process.pid
        assert os.getsid(first) == first  # Ctrl-C at the terminal does not reach it
        async with await Conversation.open(two.line_address) as conversation:
            assert (await conversation.ask("STATUS")).pairs["epoch"] == 4

        await cluster.kill(2)
        assert (two.state, two.process.returncode) == ("down", -signal.SIGKILL)
        for refused in (cluster.pause, cluster.resume):
            with pytest.raises(ProcessError):
                refused(2)
        cluster.start(2)
        with pytest.raises(ProcessError, match="node 2 runs"):
            cluster.start(2)
        await cluster.wait_serving(2)
        assert two.process.pid != first

        cluster.pause(2)
        with pytest.raises(ProcessError, match="paused already"):
            cluster.pause(2)
        cluster.start(2)
        assert two.state == "serving"
        cluster.pause(3)
    assert [node.process.returncode for node in cluster.nodes.values() if node.process] == [0, 0, 0]  # 3 was woken
    assert "node 2 was killed (SIGKILL)" in told
    assert (tmp_path / "node2.log").read_text().count(" serving: ") == 2


async def test_a_log_can_be_read_while_its_process_runs(tmp_path: Path) -> None:
    async with fake_cluster(tmp_path, []) as cluster:
        await cluster.wait_serving()
        for node in cluster.nodes.values():
            assert "serving" in node.log_path.read_text()


async def test_a_death_that_nobody_asked_for_shows_the_last_lines(tmp_path: Path) -> None:
    told: list[str] = []
    async with fake_cluster(tmp_path, told) as cluster:
        await cluster.wait_serving()
        one = cluster.node(1)
        one.signal(signal.SIGKILL)
        await one.wait_until("down")
        [said] = [line for line in told if "unasked" in line]
        assert said.startswith("node 1 was killed (SIGKILL), unasked; its last lines:\n    yakt node 1 serving: ")


async def test_nodes_that_do_not_come_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_NODE", "broken")
    told: list[str] = []
    async with fake_cluster(tmp_path, told) as cluster:
        with pytest.raises(ProcessError, match="node 1 ended before it served"):
            await cluster.wait_serving()
        await cluster.node(1).wait_until("down")
    assert any(line.endswith("\n    cannot listen on port 7: it is broken") for line in told)


async def test_nodes_that_do_not_stop_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_NODE", "deaf")
    monkeypatch.setattr("yakt.dev.cluster.STOP_S", 0.3)
    told: list[str] = []
    async with fake_cluster(tmp_path, told) as cluster:
        await cluster.wait_serving()
    assert [node.process.returncode for node in cluster.nodes.values() if node.process] == [-signal.SIGKILL] * 3
    assert "killed, for not stopping within 0.3 s: node 1, 2, 3" in told


@pytest.mark.parametrize(
    ("status", "words"), [(0, "stopped"), (3, "ended with exit status 3"), (-9, "was killed (SIGKILL)")]
)
def test_ends_in_words(status: int, words: str) -> None:
    assert describe_end(status) == words


# --- dev itself as a process


@contextmanager
def dev_process(directory: Path, **options: object) -> "Iterator[subprocess.Popen[str]]":
    arguments = [sys.executable, str(HERE / "dev_with_fakes.py"), str(directory)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def read_pids(dev: "subprocess.Popen[str]") -> list[int]:
    """The processes of the overview's table; then everything is up, and it is told where to look."""
    assert dev.stdout is not None
    pids, pages = [], []
    for line in dev.stdout:
        if line.startswith("In a browser: http://127.0.0.1:"):
            pages.append(line)
        words = line.split()
        if words[:1] in (["1"], ["2"], ["3"]):
            pids.append(int(words[3]))
        if line.startswith("From elsewhere"):
            break
    assert len(pids) == 3
    assert len(pages) == 1
    return pids


def wait_gone(pids: list[int]) -> None:
    end = time.monotonic() + 5
    while left := [pid for pid in pids if is_running(pid)]:
        assert time.monotonic() < end, f"left over: {left}"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_signals_stop_everything(tmp_path: Path, number: signal.Signals) -> None:
    with dev_process(tmp_path, stdin=subprocess.DEVNULL) as dev:
        pids = read_pids(dev)
        dev.send_signal(number)
        assert dev.wait(10) == 0
        assert not any(map(is_running, pids))


def test_killed_it_leaves_no_node_behind(tmp_path: Path) -> None:
    with dev_process(tmp_path, stdin=subprocess.DEVNULL) as dev:
        pids = read_pids(dev)
        os.kill(pids[0], signal.SIGSTOP)
        dev.kill()
        wait_gone(pids)


def test_typed_at_a_pipe(tmp_path: Path) -> None:
    with dev_process(tmp_path, stdin=subprocess.PIPE) as dev:
        read_pids(dev)
        said, _ = dev.communicate("status\nTOPIC LIST\nkill 2\nkill 2\npause x\nfrob\n\nhelp\nquit\nkill 3\n", 20)
    assert dev.returncode == 0
    for line in (
        "node 1 role=leader leader=1 epoch=4",
        "  TOPIC LIST\nOK\n",
        "node 2 was killed (SIGKILL)",
        "node 2 is down; `start 2` starts it",
        "pause which one? For instance: pause 2",
        "  frob\nOK\n",
        "kill N      kill -9 node or broker N",
        "offset 3: topic orders was created",
    ):
        assert line in said


def _stdin(kind: str, empty: IO[str]) -> dict[str, object]:
    return {"preexec_fn": lambda: os.close(0)} if kind == "closed" else {"stdin": empty}


@pytest.mark.parametrize("kind", ["closed", "empty file"])
def test_without_a_keyboard_it_goes_on(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "empty"
    path.touch()
    with path.open() as empty, dev_process(tmp_path, **_stdin(kind, empty)) as dev:
        read_pids(dev)
        assert dev.stdout is not None
        assert any("topic orders was created" in line for line in dev.stdout)  # the feed runs
        assert dev.poll() is None
