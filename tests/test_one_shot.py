"""`yakt` with a line of the protocol as arguments: what is printed, and the exit statuses."""

import io
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from yakt import cli

ROOT = Path(__file__).parent.parent


class Script:
    """A server that answers each connection's line with the next text of a script, and hangs up."""

    def __init__(self, replies: Sequence[str]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.heard: list[str] = []
        self._replies = list(replies)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        for reply in self._replies:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as stream:
                self.heard.append(stream.readline().decode().rstrip("\n"))
                if self.heard[-1].startswith("HELLO"):
                    self.heard.append(stream.readline().decode().rstrip("\n"))
                sock.sendall(reply.encode())

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Script]]:
    scripts: list[Script] = []

    def start(*replies: str) -> Script:
        scripts.append(Script(replies))
        monkeypatch.setenv("YAKT_SERVER", scripts[-1].address)
        return scripts[-1]

    yield start
    for one in scripts:
        one.close()


REFUSED = 'ERR UNKNOWN_TOPIC kafka=3 topic=x msg="no topic x" retry=false applied=no\n'


@pytest.mark.parametrize(
    ("reply", "status", "out", "err"),
    [
        ("- topic name=a\n  hello\nOK count=1\n", 0, "- topic name=a\nhello\nOK count=1\n", ""),
        (REFUSED, 1, "", REFUSED),
        ("ERR UNKNOWN_COMMAND command=X\n", 2, "", "ERR UNKNOWN_COMMAND command=X\n"),
        ("ERR TIMEOUT retry=true applied=maybe\n", 4, "", "ERR TIMEOUT retry=true applied=maybe\n"),
        ("ERR NO_LEADER retry=true applied=no\n", 3, "", "ERR NO_LEADER retry=true applied=no\n"),
        ('OK ready=false reasons=["x"]\n', 5, 'OK ready=false reasons=["x"]\n', ""),
    ],
)
def test_exit_statuses(
    reply: str, status: int, out: str, err: str, script: Callable[..., Script], capsys: pytest.CaptureFixture[str]
) -> None:
    server = script(reply)
    assert cli.main(["topic", "create", "a b", "partitions=6", "reason=two words"]) == status
    assert capsys.readouterr() == (out, err)
    assert server.heard == ['topic create "a b" partitions=6 reason="two words"']


def test_json(script: Callable[..., Script], capsys: pytest.CaptureFixture[str]) -> None:
    server = script('{"_":"ok","version":1}\n{"_":"topic","name":"a"}\n{"_":"err","code":"X","applied":"maybe"}\n')
    assert cli.main(["topic", "list", "--json"]) == 4
    assert capsys.readouterr() == ('{"_":"topic","name":"a"}\n{"_":"err","code":"X","applied":"maybe"}\n', "")
    assert server.heard == ["HELLO 1 format=json", "topic list"]


def test_the_next_server_is_asked_if_one_does_not_listen(
    script: Callable[..., Script], capsys: pytest.CaptureFixture[str]
) -> None:
    server = script("OK\n")
    assert cli.main(["ping", "--server", f"127.0.0.1:1,{server.address}"]) == 0
    assert capsys.readouterr().out == "OK\n"


def test_not_leader_is_tried_again(script: Callable[..., Script], capsys: pytest.CaptureFixture[str]) -> None:
    script('ERR NOT_LEADER leader=null address=null msg="a b" retry=true applied=no\n', "OK offset=1\n")
    assert cli.main(["topic", "delete", "x"]) == 0


def test_a_lost_write_is_not_repeated_unless_it_has_an_id(
    script: Callable[..., Script], capsys: pytest.CaptureFixture[str]
) -> None:
    script("", "OK offset=1\n")
    assert cli.main(["topic", "delete", "x"]) == 4
    assert "it may have been done" in capsys.readouterr().err
    script("", "OK offset=1\n")
    assert cli.main(["topic", "delete", "x", "request=r"]) == 0
    script("- topic na", "OK\n")
    assert cli.main(["topic", "list"]) == 0
    script("- topic name=a\n", "OK\n")
    assert cli.main(["topic", "list"]) == 3


def test_nobody_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.one_shot.PATIENCE", 0)
    assert cli.main(["topic", "list", "--server=127.0.0.1:1"]) == 3
    assert capsys.readouterr().err == "yakt: no server answers (127.0.0.1:1: Connection refused)\n"
    assert cli.main(["topic", "frob", "--server=127.0.0.1:1"]) == 2
    assert capsys.readouterr().err.startswith('ERR UNKNOWN_COMMAND command="TOPIC FROB" ')


@pytest.mark.parametrize(
    "words",
    [["topic", "list", "--server"], ["topic", "--nope"], ["ping", "--server", "x"], ["--json"], ["ping", "--server=,"]],
)
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr().err.startswith("yakt: ")


@pytest.mark.parametrize(
    "words", [["help", "topic", "create"], ["topic", "create", "x", "--help"], ["topic", "create", "-h"]]
)
def test_help_needs_no_server(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 0
    assert capsys.readouterr().out.startswith("TOPIC CREATE name [partitions=]")
    assert cli.main(["help", "frob"]) == 2
    assert capsys.readouterr().err.startswith("ERR UNKNOWN_COMMAND command=FROB ")


def test_words_that_are_also_commands_of_ours(script: Callable[..., Script]) -> None:
    server = script("OK\n", "OK\n")
    assert cli.main(["log", "from=0"]) == 0
    assert cli.main(["snapshot", "list"]) == 0
    assert server.heard == ["log from=0", "snapshot list"]


def test_a_password_can_be_kept_out_of_the_arguments(
    script: Callable[..., Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = script("OK\n")
    monkeypatch.setattr("sys.stdin", io.StringIO('"so] long"=\n'))
    assert cli.main(["scram", "set", "alice", "password=", "iterations=8192"]) == 0
    assert server.heard == [r'scram set alice password="\"so] long\"=" iterations=8192']


def test_it_starts_with_little_imported() -> None:
    report = "import sys; import yakt.one_shot, yakt.cli; print(*sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"trio", "msgspec", "yakt.line.grammar", "prompt_toolkit", "rich"} & set(output.split())
