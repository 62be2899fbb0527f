"""Releases of Apache Kafka on this machine: where their jars are, how Maven fetches them once, and what Java runs.

A release comes from `$KAFKA_HOME/libs`, if that is the one asked for or none is; else from a cache that Maven fills on
first use. What is missing is one line that says what to install.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import attrs

from yakt.errors import ConfigError

TRIED = ("3.9.1", "4.1.1", "4.3.1")
"""The releases that our tests run. Others from 3.9 on may do: earlier ones do not know metadata.version 21."""
DEFAULT = TRIED[-1]
FETCH_S = 600.0
_FILES = Path(__file__).with_name("kafka")
_PACKAGES = ("org.apache.kafka.tools", "kafka.admin", "kafka.tools")
"""Where the main classes of the tools are; they have wandered from the last two to the first."""
_PROGRESS_S = 2.0

TOOLS = {
    "acls": "AclCommand",
    "broker-api-versions": "BrokerApiVersionsCommand",
    "cluster": "ClusterTool",
    "configs": "ConfigCommand",
    "console-consumer": "consumer.ConsoleConsumer",
    "console-producer": "ConsoleProducer",
    "consumer-groups": "consumer.group.ConsumerGroupCommand",
    "delete-records": "DeleteRecordsCommand",
    "dump-log": "DumpLogSegments",
    "features": "FeatureCommand",
    "get-offsets": "GetOffsetShell",
    "leader-election": "LeaderElectionCommand",
    "log-dirs": "LogDirsCommand",
    "metadata-quorum": "MetadataQuorumCommand",
    "reassign-partitions": "reassign.ReassignPartitionsCommand",
    "storage": "StorageTool",
    "topics": "TopicCommand",
    "transactions": "TransactionsCommand",
    "verifiable-consumer": "VerifiableConsumer",
    "verifiable-producer": "VerifiableProducer",
}
"""Kafka's tools without their `kafka-`, and the class of each."""


@attrs.frozen
class Release:
    """One release: its jars, and the Java that runs them."""

    version: str
    jars: Path
    java: str

    def command(self, main: str, *arguments: str, heap: str = "256m", level: str = "WARN") -> list[str]:
        """What runs a main class; its log goes to standard error."""
        return [
            self.java,
            f"-Xmx{heap}",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",  # quick to start, and quick enough
            f"-Dyakt.level={level}",
            f"-Dlog4j.configuration=file:{_FILES / 'log4j.properties'}",
            f"-Dlog4j2.configurationFile=file:{_FILES / 'log4j2.properties'}",
            "-cp",
            f"{self.jars}/*",
            main,
            *arguments,
        ]

    def main_of(self, tool: str) -> str:
        """The main class of one of TOOLS in this release."""
        name = TOOLS[tool]
        for package in _PACKAGES:
            if f"{package}.{name}".replace(".", "/") + ".class" in self._classes():
                return f"{package}.{name}"
        raise ConfigError([f"Kafka {self.version} in {self.jars} has no kafka-{tool} ({name})"])

    def write_tools(self, directory: Path) -> None:
        """A script in `directory` for each of Kafka's tools, under the name that it has in Kafka's own bin."""
        directory.mkdir(exist_ok=True)
        for tool in TOOLS:
            words = [f"'{word}'" for word in self.command(self.main_of(tool))]
            script = directory / f"kafka-{tool}.sh"
            script.write_text("#!/bin/sh\nexec " + " ".join(words) + ' "$@"\n')
            script.chmod(0o700)

    def _classes(self) -> frozenset[str]:
        return _classes_of(self.jars, self.version)


def find_release(version: str | None, say: Callable[[str], None]) -> Release:
    """A release, by default that of $KAFKA_HOME, else DEFAULT; fetched if need be, with progress by `say`.

    Raises ConfigError: one line that says what is missing and how to get it.
    """
    home = _home_jars()
    if home is not None and version in (None, home[0]):
        version, jars = home
        _check_version(version)
        return Release(version, jars, _find_java(version))
    version = version or DEFAULT
    _check_version(version)
    java = _find_java(version)
    jars = cache_directory() / version
    complete = jars / ".complete"
    if not complete.exists():
        try:
            jars.mkdir(parents=True, exist_ok=True)
            with jars.with_suffix(".lock").open("w") as lock:  # two that start at once take turns
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not complete.exists():
                    _fetch(version, jars, say)
                    complete.touch()
        except OSError as exc:
            raise ConfigError([f"yakt: {exc.filename or jars}: {exc.strerror}; name another with YAKT_KAFKA"]) from None
    return Release(version, jars, java)


def cache_directory() -> Path:
    """Where fetched jars are kept, a directory a release: $YAKT_KAFKA, else below the user's cache."""
    if place := os.environ.get("YAKT_KAFKA"):
        return Path(place)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "yakt" / "kafka"


def _check_version(version: str) -> None:
    numbers = re.fullmatch(r"(\d+)\.(\d+)\.\d+", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < (3, 9):
        raise ConfigError(
            [f"yakt: no Kafka {version}: brokers from 3.9.0 on can live on YAKt; tried are {', '.join(TRIED)}"]
        )


def _home_jars() -> tuple[str, Path] | None:
    """Version and jars of the Kafka that $KAFKA_HOME names. Raises ConfigError if there is none."""
    home = os.environ.get("KAFKA_HOME")
    if not home:
        return None
    libs = Path(home) / "libs"
    for jar in libs.glob("kafka_2.1[0-9]-*.jar"):
        if found := re.fullmatch(r"kafka_2\.\d+-(\d+\.\d+\.\d+)\.jar", jar.name):
            return found[1], libs
    raise ConfigError([f"yakt: KAFKA_HOME={home}: no kafka_2.13-….jar in {libs}; name an unpacked Kafka, or unset it"])


def _find_java(version: str) -> str:
    """The path of a Java that can run this release."""
    needed = 17 if int(version.partition(".")[0]) >= 4 else 11
    install = f"install Java {needed} or newer (Debian: apt-get install default-jre-headless)"
    home = os.environ.get("JAVA_HOME")
    java = shutil.which(f"{home}/bin/java" if home else "java")
    if java is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "there is no java on PATH"
        raise ConfigError([f"yakt: Kafka's brokers need Java, and {where}: {install}"])
    major = _java_major(java)
    if major is None or major < needed:
        raise ConfigError([f"yakt: {java} is Java {major or '(it does not tell)'}, too old for Kafka: {install}"])
    return java


@cache
def _java_major(java: str) -> int | None:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    found = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    return int(found[1]) if found else None


def _fetch(version: str, jars: Path, say: Callable[[str], None]) -> None:
    """Have Maven put the jars of a release into `jars`."""
    if shutil.which("mvn") is None:
        raise ConfigError(
            [
                f"yakt: Kafka {version} is not here: set KAFKA_HOME to an unpacked Kafka 3.9 or 4, or install Maven "
                f"(Debian: apt-get install maven), which then fetches its jars once into {jars}"
            ]
        )
    say(f"fetching Kafka {version} with Maven into {jars}: about 100 MB, once")
    profile = ["-P", "log4j2"] if int(version.partition(".")[0]) >= 4 else []
    command = [
        "mvn", "-B", "-f", str(_FILES / "pom.xml"), *profile, "dependency:copy-dependencies",
        f"-Dkafka.version={version}", f"-DoutputDirectory={jars}",
    ]  # fmt: skip
    errors = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as maven:
        try:
            assert maven.stdout is not None
            for line in _with_progress(maven.stdout, say):
                if line.startswith("[ERROR]"):
                    errors.append(line.removeprefix("[ERROR]").strip())
        except BaseException:
            maven.kill()
            raise
    if maven.returncode != 0:
        raise ConfigError([f"yakt: Maven could not fetch Kafka {version}: {(errors or ['it does not say why'])[0]}"])


def _with_progress(lines: Iterable[str], say: Callable[[str], None]) -> Iterator[str]:
    """Maven's lines as they come; now and then, `say` how many files there are by now."""
    fetched = 0
    began = said_at = time.monotonic()
    for line in lines:
        yield line
        now = time.monotonic()
        if now - began > FETCH_S:
            raise ConfigError(
                [f"yakt: Maven did not fetch Kafka within {FETCH_S:g} s; try again, it goes on from there"]
            )
        fetched += " Downloaded from " in line
        if now - said_at >= _PROGRESS_S and fetched:
            said_at = now
            say(f"  {fetched} files fetched")


@cache
def _classes_of(jars: Path, version: str) -> frozenset[str]:
    """The names of all class files of the jars that hold Kafka's programs."""
    names: set[str] = set()
    for jar in (*jars.glob(f"kafka-tools-{version}.jar"), *jars.glob(f"kafka_2.*-{version}.jar")):
        with zipfile.ZipFile(jar) as archive:
            names.update(archive.namelist())
    return frozenset(names)
