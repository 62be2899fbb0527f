"""FRAMES.md, played: each of its requests, in their order, at a controller with one broker, answered byte for byte."""

import re
from pathlib import Path

import trio.testing

from tests.kafka.controller import controller
from yakt.kafka import codec
from yakt.metadata import commands as c
from yakt.metadata.asked import Asked

PAGE = Path(__file__).parents[2] / "yakt" / "kafka" / "FRAMES.md"
EXCHANGE = re.compile(r"^## ([^\n]*)\n(.*?)```text\n(.*?)```\n.*?```text\n(.*?)```", re.S | re.M)


def exchanges() -> list[tuple[str, bytes, bytes]]:
    """Title, request and response, without their lengths."""
    found = []
    for title, _, *texts in EXCHANGE.findall(PAGE.read_text()):
        request, response = (bytes.fromhex("".join(text.split())) for text in texts)
        for frame in (request, response):
            assert int.from_bytes(frame[:4]) == len(frame) - 4, title
        found.append((title, request[4:], response[4:]))
    return found


async def test_every_exchange(autojump_clock: trio.testing.MockClock) -> None:
    played = []
    async with controller() as one:
        await one.service.submit(Asked(c.RegisterBroker(1, "h", 1, session_ms=86_400_000, alive=True)))
        await one.service.submit(Asked(c.RegisterBroker(2, "h", 2, session_ms=86_400_000, alive=True)))
        client = await one.connect()
        for title, request, response in exchanges():
            header = codec.decode_header(request)
            assert title.startswith(f"{header.api.name} {header.version}:"), title
            assert (await client.exchange(request)).hex() == response.hex(), title
            played.append(header.api.name)
    assert sorted(set(played)) == [
        "AlterClientQuotas", "AlterConfigs", "AlterPartitionReassignments", "AlterUserScramCredentials", "CreateAcls",
        "CreatePartitions", "CreateTopics", "DeleteAcls", "DeleteTopics", "DescribeAcls", "IncrementalAlterConfigs",
    ]  # fmt: skip
