"""Runs Apache Kafka's own tools on a directory, from jars that Maven resolves once (yakt/dev/releases.py).

`find_tools(version)` says why, where Java, Maven or the jars cannot be had:
tests then skip visibly.
"""

import subprocess
from pathlib import Path

import attrs

from yakt.dev.releases import Release, find_release
from yakt.errors import ConfigError

TOOL_TIMEOUT_S = 60


@attrs.frozen
class KafkaTools:
    """One release's tools."""

    release: Release

    @property
    def version(self) -> str:
        """As in `3.9.1`."""
        return self.release.version

    @property
    def jars(self) -> Path:
        """The directory with all of them."""
        return self.release.jars

    def run(self, main: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a main class to its end; output as text, errors apart."""
        return subprocess.run(
            self.release.command(main, *map(str, arguments)),
            capture_output=True, text=True, check=False, timeout=TOOL_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def dump_log(self, *files: Path) -> str:
        """`kafka-dump-log --cluster-metadata-decoder` of these files, deep: every record and its validity."""
        main = self.release.main_of("dump-log")
        done = self.run(main, "--cluster-metadata-decoder", "--files", ",".join(map(str, files)))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def metadata_shell(self, snapshot: Path, *command: str) -> str:
        """One command of `kafka-metadata-shell` on a snapshot or log file."""
        done = self.run("org.apache.kafka.shell.MetadataShell", "--snapshot", snapshot, *command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def find_tools(version: str) -> KafkaTools | str:
    """The tools of a release, fetched on first use; or, as text, why this machine has none."""
    try:
        return KafkaTools(find_release(version, lambda line: None))
    except ConfigError as exc:
        return "; ".join(exc.problems)
