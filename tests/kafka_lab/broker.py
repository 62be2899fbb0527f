"""Stock Kafka brokers as processes, and the tools that speak to them; the controllers are somebody else's."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from tests.kafka_lab.lab import KafkaTools
from yakt.dev import leash

HEAP = "256m"
STOP_S = 30.0
TOOL_S = 90.0

PROPERTIES = """\
process.roles=broker
node.id={id}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
"""


@attrs.frozen
class Broker:
    """One broker's place: `voters` are `id@host:port` of the controllers' Kafka listeners."""

    id: int
    port: int
    voters: Sequence[str]
    cluster_id: str
    directory: Path
    tools: KafkaTools
    heap: str = HEAP
    settings: Mapping[str, object] = attrs.Factory(dict)
    """Properties that differ from those above."""

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> Path:
        """Its directory, with an identity, as a broker needs no format step; returns its properties file."""
        data = self.directory / f"broker{self.id}"
        data.mkdir(exist_ok=True)
        identity = data / "meta.properties"
        if not identity.exists():
            identity.write_text(f"version=1\ncluster.id={self.cluster_id}\nnode.id={self.id}\n")
        properties = self.directory / f"broker{self.id}.properties"
        text = PROPERTIES.format(id=self.id, port=self.port, voters=",".join(self.voters), data=data)
        properties.write_text(text + "".join(f"{key}={value}\n" for key, value in self.settings.items()))
        return properties

    def start(self) -> "subprocess.Popen[bytes]":
        """Its process, which ends with ours at the latest; from the main thread. What it says goes to its log file."""
        command = self.tools.release.command("kafka.Kafka", str(self.prepare()), heap=self.heap, level="INFO")
        leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
        with (self.directory / f"broker{self.id}.log").open("ab") as log:
            return subprocess.Popen(leashed, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["subprocess.Popen[bytes]"]:
        """Its process; asked to stop in order at the end, and killed if it does not."""
        process = self.start()
        try:
            yield process
            process.terminate()
            with trio.move_on_after(STOP_S):
                await wait_ended(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    async def tool(self, main: str, *arguments: str) -> str:
        """What one of Kafka's tools printed, asked of this broker; it must succeed."""
        return await self.tool_at(("--bootstrap-server", self.address), main, *arguments)

    async def tool_after(self, at: tuple[str, str], main: str, *arguments: str) -> str:
        """As `tool_at`, for a tool whose first word is what to do."""
        return await self.tool_at((), main, *arguments, *at)

    async def tool_at(self, at: Sequence[str], main: str, *arguments: str, status: int = 0) -> str:
        """What one of Kafka's tools printed; `at`: how it is told whom to ask. It must end with this status."""
        command = self.tools.release.command(main, *at, *arguments)
        with trio.fail_after(TOOL_S):
            done = await trio.run_process(
                command,
                capture_stdout=True, capture_stderr=True, check=False,
            )  # fmt: skip
        said = done.stdout.decode()
        assert done.returncode == status, f"{main} {arguments}: {said}\n{done.stderr.decode()[-3000:]}"
        return said

    async def topics(self, *arguments: str) -> str:
        """kafka-topics."""
        return await self.tool("org.apache.kafka.tools.TopicCommand", *arguments)

    async def produce(self, topic: str, count: int, *arguments: str) -> list[str]:
        """The values that were acknowledged, of `count` sent with acks from all."""
        said = await self.tool(
            "org.apache.kafka.tools.VerifiableProducer",
            "--topic", topic, "--max-messages", str(count), "--acks", "-1", *arguments,
        )  # fmt: skip
        events = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
        return [event["value"] for event in events if event["name"] == "producer_send_success"]

    async def consume(self, topic: str, count: int, group: str) -> list[str]:
        """The first `count` values, by a consumer group."""
        said = await self.tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            "--topic", topic, "--group", group, "--from-beginning",
            "--max-messages", str(count), "--timeout-ms", "40000",
        )  # fmt: skip
        return [line for line in said.splitlines() if line.isdigit()]


async def wait_ended(process: "subprocess.Popen[bytes]") -> int:
    """Until it has ended; its exit status."""
    if process.poll() is not None:
        return process.returncode
    handle = os.pidfd_open(process.pid)
    try:
        while process.poll() is None:
            await trio.lowlevel.wait_readable(handle)
    finally:
        os.close(handle)
    assert process.returncode is not None
    return process.returncode
