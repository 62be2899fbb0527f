"""Kafka's own controllers as processes: what YAKt's nodes are compared with, and take turns with."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.kafka_lab.tools import Tools
from yakt.dev.processes import Process
from yakt.dev.releases import Release

_STARTED = "Kafka Server started"


@attrs.define(eq=False, kw_only=True)
class Controller(Process):
    """One controller: `voters` are `id@host:port` of all of them; `more` are further properties, which win."""

    noun: str = "controller"
    port: int
    voters: Sequence[str]
    data: Path
    release: Release
    heap: str = "384m"
    more: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def properties_path(self) -> Path:
        """Its configuration, beside its log."""
        return self.log_path.with_suffix(".properties")

    def command(self) -> Sequence[str]:
        """Java with what `prepare` laid down."""
        self.prepare()
        return self.release.command("kafka.Kafka", str(self.properties_path), heap=self.heap, level="INFO")

    def notice(self, line: str) -> bool:
        """Kafka's own word for it."""
        return _STARTED in line

    def prepare(self) -> None:
        """Its properties."""
        properties = {
            "process.roles": "controller",
            "node.id": str(self.id),
            "controller.quorum.voters": ",".join(self.voters),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"CONTROLLER://127.0.0.1:{self.port}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.data),
            **self.more,
        }
        self.properties_path.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))

    def format(self, tools: Tools, cluster_id: str) -> None:
        """What `kafka-storage format` makes of an empty directory, at metadata.version 21."""
        self.prepare()
        tools(
            "storage", "format", "-t", cluster_id, "-c", str(self.properties_path), "--release-version", "3.9-IV0"
        )  # fmt: skip
