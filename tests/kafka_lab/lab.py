"""Runs Apache Kafka's own tools on a directory, from jars that Maven resolves once into the user's cache.

`find_tools(version)` says why, where Java, Maven or the jars cannot be had:
tests then skip visibly.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import attrs

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("YAKT_KAFKA_LAB", Path.home() / ".cache" / "yakt-kafka-lab"))
RESOLVE_TIMEOUT_S = 400
TOOL_TIMEOUT_S = 60


@attrs.frozen
class KafkaTools:
    """One release's tools. `jars`: the directory with all of them."""

    version: str
    jars: Path

    def run(self, main: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a main class to its end; output as text, errors apart."""
        command = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.jars}/*", main]
        return subprocess.run(
            [*command, *map(str, arguments)],
            capture_output=True, text=True, check=False, timeout=TOOL_TIMEOUT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def dump_log(self, *files: Path) -> str:
        """`kafka-dump-log --cluster-metadata-decoder` of these files, deep: every record and its validity."""
        main = (
            "kafka.tools.DumpLogSegments" if self.version.startswith("3.") else "org.apache.kafka.tools.DumpLogSegments"
        )
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
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    jars = CACHE / version
    complete = jars / ".complete"
    if complete.exists():
        return KafkaTools(version, jars)
    jars.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            command = [
                "mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
                f"-Dkafka.version={version}", f"-DoutputDirectory={jars}",
            ]  # fmt: skip
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RESOLVE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                return f"Maven did not fetch Kafka {version} within {RESOLVE_TIMEOUT_S} s"
            if done.returncode != 0:
                return f"Maven could not fetch Kafka {version}: {(done.stdout or done.stderr).strip()[:300]}"
            complete.touch()
    return KafkaTools(version, jars)
