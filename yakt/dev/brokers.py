"""Stock Kafka brokers as processes: their directories and properties, and the line that says that one is up.

Nothing here knows YAKt: a broker is told which controllers there are, and takes ours for Kafka's own.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from yakt.dev.processes import Process
from yakt.dev.releases import Release

HEAP = "384m"
_STARTED = "Kafka Server started"


@attrs.define(eq=False, kw_only=True)
class Broker(Process):
    """One broker: where it lives, and its process while it has one.

    `voters` are `id@host:port` of the controllers' Kafka listeners; no broker may have the id of one. `more` are
    further properties, which win.
    """

    noun: str = "broker"
    host: str = "127.0.0.1"
    port: int
    voters: Sequence[str]
    cluster_id: str
    directory: Path
    release: Release
    replication: int = 1
    """How many replicas the topics have that nobody says it of, and Kafka's own."""
    log_dirs: int = 1
    heap: str = HEAP
    more: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{self.host}:{self.port}"

    @property
    def data(self) -> tuple[Path, ...]:
        """Its log directories."""
        first = self.directory / f"broker{self.id}"
        return (first, *(first.with_name(f"{first.name}-{number}") for number in range(2, self.log_dirs + 1)))

    @property
    def properties_path(self) -> Path:
        """Its configuration."""
        return self.directory / f"broker{self.id}.properties"

    def command(self) -> Sequence[str]:
        """Java with what `prepare` laid down."""
        self.prepare()
        return self.release.command("kafka.Kafka", str(self.properties_path), heap=self.heap, level="INFO")

    def notice(self, line: str) -> bool:
        """Kafka's own word for it: it is registered, unfenced, and takes clients."""
        return _STARTED in line

    def prepare(self) -> None:
        """Its properties, and an identity in each log directory, which is all the formatting that a broker needs."""
        for directory in self.data:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            identity = directory / "meta.properties"
            if not identity.exists():
                identity.write_text(f"version=1\ncluster.id={self.cluster_id}\nnode.id={self.id}\n")
        lines = [f"{key}={value}\n" for key, value in {**self._properties(), **self.more}.items() if value]
        self.properties_path.write_text("".join(lines), encoding="latin-1")

    def _properties(self) -> dict[str, str]:
        listener = f"PLAINTEXT://{self.address}"
        internal = str(self.replication)
        return {
            "process.roles": "broker",
            "node.id": str(self.id),
            "controller.quorum.voters": ",".join(self.voters),
            "controller.listener.names": "CONTROLLER",
            "listeners": listener,
            "advertised.listeners": listener,
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": ",".join(map(str, self.data)),
            "default.replication.factor": internal,
            "offsets.topic.replication.factor": internal,
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": internal,
            "transaction.state.log.min.isr": str(min(2, self.replication)),
            "transaction.state.log.num.partitions": "4",
            "share.coordinator.state.topic.replication.factor": internal,
            "share.coordinator.state.topic.min.isr": str(min(2, self.replication)),
            "group.initial.rebalance.delay.ms": "0",
            "broker.heartbeat.interval.ms": "500",
        }


def describe_tools(release: Release, directory: Path, broker: Broker) -> str:
    """For people: how to make, fill and read a topic; leaves Kafka's tools in `directory`."""
    release.write_tools(directory)
    at = broker.address
    return "\n".join(
        [
            f"Kafka's clients find them at {at}:",
            "  topic create orders partitions=3                    typed here",
            f"  echo hello | kcat -b {at} -P -t orders",
            f"  kcat -b {at} -C -t orders -e",
            f"  {os.path.relpath(directory) if directory.is_relative_to(Path.cwd()) else directory}/kafka-topics.sh"
            f" --bootstrap-server {at} --describe --topic orders",
        ]
    )
