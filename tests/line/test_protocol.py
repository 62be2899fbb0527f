"""PROTOCOL.md, played: each of its exchanges, in their order, at one real node."""

import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.line.service import Typist
from yakt import app
from yakt.config import load_config

PROTOCOL = Path(__file__).parent.parent.parent / "yakt" / "line" / "PROTOCOL.md"
CONFIG = """
[cluster]
id = "protocol"
voters = [{{ id = 1, address = "127.0.0.1:{peer}" }}]
[node]
id = 1
data = "{data}"
[peer]
listen = "127.0.0.1:{peer}"
[line]
listen = "127.0.0.1:{line}"
"""


def exchanges() -> list[list[str]]:
    """The fenced blocks of the page: their lines."""
    return [block.splitlines() for block in re.findall(r"^```\n(.*?)^```$", PROTOCOL.read_text(), re.M | re.S)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """The line port of a node that is a cluster alone."""
    peer, line = free_port(), free_port()
    path = tmp_path / "node.toml"
    path.write_text(CONFIG.format(peer=peer, line=line, data=tmp_path / "data"))
    stop = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve() -> None:
            await app.run(load_config(path), stop=stop)

        nursery.start_soon(serve)
        yield line
        stop.set()


async def connect(port: int) -> Typist:
    with trio.fail_after(10):
        while True:
            try:
                return Typist(await trio.open_tcp_stream("127.0.0.1", port))
            except OSError:
                await trio.sleep(0.01)  # the node is not there yet, and nothing tells when it is


def pattern(line: str) -> str:
    """A golden line as a regular expression: `key=…` is any one value, ` … ` any pairs at all."""
    parts = re.split(r"( … | …$|=…|:…)", line)
    shapes = {
        " … ": r" (?:.* )?",
        " …": r".*",
        "=…": r'=(?:"(?:[^"\\]|\\.)*"|\S+)',
        ":…": r':(?:"(?:[^"\\]|\\.)*"|[^",]+)',
    }
    return "".join(shapes.get(part, re.escape(part)) for part in parts)


async def test_every_exchange(port: int) -> None:
    played = 0
    for exchange in exchanges():
        typist = await connect(port)
        async with typist.stream:
            for line in exchange:
                if line.startswith("S: "):
                    said = await typist.line()
                    assert re.fullmatch(pattern(line[3:]), said), f"\nexpected {line[3:]}\nsaid     {said}"
                    played += 1
                else:
                    await typist.type(line.removeprefix("C: ") + "\n")
    assert played >= 53


def test_patterns_match_what_they_should() -> None:
    assert re.fullmatch(pattern("OK offset=… a=1"), 'OK offset="x y" a=1')
    assert not re.fullmatch(pattern("OK offset=… a=1"), "OK offset=1 b=2 a=1")
    assert re.fullmatch(pattern("OK a=1 … z=2"), "OK a=1 b=2 c=3 z=2")
    assert re.fullmatch(pattern("OK a=1 … z=2"), "OK a=1 z=2")
    assert re.fullmatch(pattern("OK a=1 …"), "OK a=1 b=2")
