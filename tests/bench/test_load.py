"""The load generator against a server that answers as it is told: counts, errors, percentiles, depth."""

import argparse
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from yakt.bench import command
from yakt.bench.cluster import BenchError
from yakt.bench.command import _maker
from yakt.bench.load import Load, Shape, percentiles


@contextmanager
def server(reply: bytes, *, hang_up_after: int | None = None) -> Iterator[tuple[tuple[str, int], list[int]]]:
    """Answers each line with `reply`; tells the largest number of lines it saw at once on a connection."""
    seen = [0]
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        answered = 0
        with sock, suppress(OSError):  # a client that hangs up in the midst of it
            while data := sock.recv(1 << 20):
                lines = data.count(b"\n")
                seen[0] = max(seen[0], lines)
                answered += lines
                if hang_up_after is not None and answered >= hang_up_after:
                    return
                sock.sendall(reply * lines)

    def accept() -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname(), seen
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def load(address: tuple[str, int], shape: str, seconds: float = 0.2) -> Load:
    return Load([address], Shape.parse(shape), lambda count: b"PING\n" * count)


def test_replies_are_counted_and_so_many_lines_are_in_flight() -> None:
    with server(b"OK\n") as (address, seen):
        run = load(address, "3x7")
        measured = run.run(0.2)
        run.close()
    assert measured.replies > 100
    assert measured.errors == 0
    assert measured.per_second == pytest.approx(measured.replies / measured.seconds)
    assert 0 < measured.p50_ms <= measured.p99_ms <= measured.p999_ms
    assert seen[0] == 7


def test_data_lines_are_no_replies() -> None:
    with server(b"- config entity=a key=b value=OK\nOK count=1\n") as (address, _), server(b"OK\n") as (plain, _):
        run, other = load(address, "1"), load(plain, "1")
        measured = run.run(0.2)
        reference = other.run(0.2)
        run.close()
        other.close()
    assert 0 < measured.replies < 3 * reference.replies


def test_errors_are_counted_and_shown() -> None:
    with server(b"ERR OVERLOADED msg=x\n") as (address, _):
        run = load(address, "1")
        measured = run.run(0.1)
        run.close()
    assert measured.errors > 0
    assert measured.replies == 0
    assert measured.per_second == 0
    assert measured.first_errors[0] == "ERR OVERLOADED msg=x"
    assert len(measured.first_errors) <= 5


def test_a_server_that_hangs_up_is_an_error() -> None:
    with server(b"OK\n", hang_up_after=5) as (address, _):
        run = load(address, "1")
        with pytest.raises(OSError, match=r"hung up|reset"):
            run.run(5)
        run.close()


def test_connections_are_spread_over_all_servers() -> None:
    with server(b"OK\n") as (one, at_one), server(b"OK\n") as (two, at_two):
        run = Load([one, two], Shape.parse("2x3"), lambda count: b"PING\n" * count)
        run.run(0.1)
        run.close()
    assert (at_one[0], at_two[0]) == (3, 3)


def test_a_server_that_is_not_there_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
    with pytest.raises(ConnectionRefusedError):
        load(address, "2")


@pytest.mark.parametrize(("reply", "reason"), [(b"x" * 300_000, "no lines"), (b"OK\nOK\n", "more replies")])
def test_a_server_that_does_not_speak_the_protocol_is_an_error(reply: bytes, reason: str) -> None:
    with server(reply) as (address, _):
        run = load(address, "1x4")
        with pytest.raises(ConnectionError, match=reason):
            run.run(5)
        run.close()


def test_what_is_measured_is_told_though_a_later_run_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status = b"OK role=leader\n"
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    with server(status) as ((host, port), _), server(status, hang_up_after=1) as ((_, bad), _):
        words = f"--server {host}:{port} --only writes --clients 1,2 --seconds 0.1 --json".split()
        targets = iter([[(host, port)], [(host, bad)]])
        monkeypatch.setattr(command, "_targets", lambda *_: next(targets))
        with pytest.raises(BenchError, match="writes with 2 clients"):
            command.run(parser.parse_args(words))
    assert [run["shape"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["1"]


@pytest.mark.parametrize(
    ("at", "expected"), [("leader", [("b", 2)]), ("follower", [("a", 1)]), ("any", [("a", 1), ("b", 2)])]
)
def test_where_clients_go(monkeypatch: pytest.MonkeyPatch, at: str, expected: list[tuple[str, int]]) -> None:
    monkeypatch.setattr(command, "find_leader", lambda _: ("b", 2))
    assert command._targets([("a", 1), ("b", 2)], at) == expected


@pytest.mark.parametrize("text", ["0", "x", "1x0", "1x2000", "-1", "99999"])
def test_shapes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"\d|invalid"):
        Shape.parse(text)


def test_percentiles_weigh_by_count() -> None:
    assert percentiles([(1.0, 98), (5.0, 1), (9.0, 1)], (0.5, 0.98, 0.99, 1.0)) == [1.0, 1.0, 5.0, 9.0]


def test_every_write_is_of_a_new_name() -> None:
    make = _maker("writes", 7)
    lines = (make(3) + make(2)).splitlines()
    assert len({line.split()[2] for line in lines}) == 5
    assert {len(line.split(b"=", 1)[1]) for line in lines} == {256}
