"""The shell: a pipe's lines and exit statuses; a terminal's prompt, completion, tables and events."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest
import trio

from tests.line.service import FakeService
from yakt.line.listener import NodeInfo, serve
from yakt.metadata import commands as c
from yakt.metadata.answers import Answer, Row

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "YAKT_SERVER"}


class Node:
    """A listener in front of a fake service, in a thread of its own."""

    def __init__(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{listening.getsockname()[1]}"
        self.service = FakeService()
        self._started = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run, listening))
        self._thread.start()
        self._started.wait(5)

    async def _run(self, listening: socket.socket) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as self._scope:
            self._started.set()
            await serve(self.service, [listening], NodeInfo(node=1, cluster="test", server="yakt/0"))

    def do(self, work: Callable[[], None]) -> None:
        trio.from_thread.run_sync(work, trio_token=self._token)

    def stop(self) -> None:
        if self._thread.is_alive():
            self.do(self._scope.cancel)
            self._thread.join()


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.stop()


def pipe(text: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "yakt.shell", *arguments],
        input=text, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, timeout=20,
    )  # fmt: skip


def test_a_pipe_does_all_its_lines_and_exits_with_the_first_failure(node: Node) -> None:
    done = pipe(
        "PING\n# a comment\n\nTOPIC SHOW y\nTOPIC FROB\nTOPIC DELETE x\nCONFIG GET topic/x", "--server", node.address
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "OK",
        'ERR UNKNOWN_TOPIC kafka=3 topic=y msg="no topic y" retry=false applied=no',
        'ERR UNKNOWN_COMMAND command="TOPIC FROB" msg="there is no command TOPIC FROB" hint="HELP TOPIC"'
        " retry=false applied=no",
        "OK offset=1",
        '- config entity=topic/x key=a value="1"',
        "OK count=1 offset=1",
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [("", 0), ("PING\n", 0), ("FROB\n", 2), ("QUIT\nTOPIC SHOW y\n", 0), ("TOPIC SHOW y\nFROB\n", 1)],
)
def test_exit_statuses_of_a_pipe(node: Node, text: str, status: int) -> None:
    assert pipe(text, "--server", node.address, "--json").returncode == status


def test_a_pipe_with_nobody_there() -> None:
    done = pipe("PING\nPING\n", "--server", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "yakt-shell: no server answers (127.0.0.1:1: Connection refused)\n"
    assert pipe("PING\n", "--server", "nonsense").returncode == 2


class Terminal:
    """A shell on a terminal of 100 x 30, and what a person sees there."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._screen = pyte.HistoryScreen(120, 30)
        self._stream = pyte.ByteStream(self._screen)
        environment = {**ENVIRONMENT, "HOME": str(home), "XDG_STATE_HOME": "", "TERM": "xterm", "NO_COLOR": "1"}
        self._child = pexpect.spawn(
            sys.executable,
            ["-m", "yakt.shell", *arguments],
            cwd=str(ROOT),
            env=environment,
            dimensions=(30, 120),
            timeout=10,
        )

    def see(self, text: str) -> list[str]:
        """Wait until that text is on the screen; the screen's lines."""
        while text not in "\n".join(self._screen.display):
            try:
                data = self._child.read_nonblocking(65536, timeout=10)
            except (pexpect.TIMEOUT, pexpect.EOF):
                lines = "\n".join(line.rstrip() for line in self._screen.display)
                raise AssertionError(f"{text!r} does not come:\n{lines}") from None
            self._stream.feed(data)
            if b"\x1b[6n" in data:  # "where is the cursor?"
                self._child.send(f"\x1b[{self._screen.cursor.y + 1};{self._screen.cursor.x + 1}R")
        return [line.rstrip() for line in self._screen.display]

    def type(self, text: str) -> None:
        self._child.send(text)

    def end(self) -> int:
        self._child.expect(pexpect.EOF)
        self._child.close()
        assert self._child.exitstatus is not None
        return self._child.exitstatus


@pytest.fixture
def terminal(node: Node, tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path, "--server", node.address)
    terminal.see("yakt node 1>")
    yield terminal
    terminal._child.close(force=True)


def test_tables_errors_and_help(node: Node, terminal: Terminal) -> None:
    node.service.reply = lambda asked: Answer(
        {"count": 2},
        [
            Row("partition", {"topic": "orders", "partition": 0, "replicas": [1, 2], "leader": None}),
            Row("partition", {"topic": "orders", "partition": 10, "replicas": [2, 3], "leader": 3}),
        ],
    )
    terminal.type("topic show orders\r")
    lines = terminal.see("OK count=2")
    place = next(number for number, line in enumerate(lines) if line.startswith("topic "))
    assert lines[place : place + 4] == [
        "topic   partition  replicas  leader",
        "orders          0  1,2            -",
        "orders         10  2,3            3",
        "OK count=2",
    ]
    terminal.type("topic sho\r")
    lines = terminal.see("TOPIC SHOW?")
    assert "UNKNOWN_COMMAND there is no command TOPIC SHO" in lines
    terminal.type("help ping\r")
    terminal.see("Is anybody there?")
    terminal.type("exit\r")
    assert terminal.end() == 0


def test_completion_and_history(node: Node, terminal: Terminal, tmp_path: Path) -> None:
    terminal.type("config g\t")
    terminal.see("config get")
    terminal.type(" topic/x\r")
    terminal.see("OK count=1")
    terminal.type("topic create x part\t")
    terminal.see("topic create x partitions=")
    terminal.type("3\r")
    terminal.see("OK offset=1")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert [command for turn in node.service.seen for command in turn][-1].command == c.CreateTopic("x", 3)
    history = tmp_path / ".local/state/yakt/history"
    assert "topic create x partitions=3" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_a_password_is_in_no_history(node: Node, terminal: Terminal, tmp_path: Path) -> None:
    node.service.reply = lambda asked: Answer({"offset": 1})
    terminal.type("scram set alice password=hunter2\r")
    terminal.see("OK offset=1")
    terminal.type("broker fence 1\r")
    terminal.see("broker fence 1")
    terminal.see("OK offset=1")
    terminal.type("\x04")
    assert terminal.end() == 0
    history = (tmp_path / ".local/state/yakt/history").read_text()
    assert "broker fence 1" in history
    assert "hunter2" not in history
    assert "scram" not in history


def test_events_come_while_the_prompt_waits(node: Node, terminal: Terminal) -> None:
    terminal.type("@w watch say=true\r")
    terminal.see("OK watching=true")
    node.do(lambda: node.service.tell("topic", "orders"))
    terminal.see("@w * 1: topic orders changed")
    terminal.type("ping\r")
    terminal.see("OK\n".rstrip())
    terminal.type("quit\r")
    assert terminal.end() == 0


def test_interrupting_a_command_that_waits(node: Node, terminal: Terminal) -> None:
    node.do(lambda: setattr(node.service, "held", True))
    terminal.type("topic delete x\r")
    while not node.service.seen or node.service.seen[-1][0].command != c.DeleteTopic("x"):
        pass
    terminal.type("\x03")
    terminal.see("given up")
    node.do(lambda: setattr(node.service, "held", False))
    terminal.type("topic delete y\r")
    terminal.see("OK offset=")
    terminal.type("\x04")
    assert terminal.end() == 0


def test_a_lost_node_is_told_and_the_next_takes_over(node: Node, tmp_path: Path) -> None:
    other = Node()
    try:
        terminal = Terminal(tmp_path, "--server", f"{node.address},{other.address}")
        terminal.see("yakt node 1>")
        node.stop()
        terminal.see("the connection was lost")
        terminal.type("topic delete x\r")
        terminal.see("OK offset=1")
        terminal.type("exit\r")
        assert terminal.end() == 0
    finally:
        other.stop()
