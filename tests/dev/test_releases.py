"""Where Kafka's jars come from, and what is said where something is missing; Java and Maven are played by scripts."""

import subprocess
import sys
from pathlib import Path

import pytest

from yakt.dev.releases import find_release
from yakt.errors import ConfigError


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty machine; returns where its programs go."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("YAKT_KAFKA", str(tmp_path / "cache"))
    for name in ("KAFKA_HOME", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return programs


def install(programs: Path, name: str, script: str) -> None:
    (programs / name).write_text(f"#!{sys.executable}\nimport os, sys\n{script}\n")
    (programs / name).chmod(0o700)


def install_java(programs: Path, version: str = "17.0.15") -> None:
    install(programs, "java", f"""print('openjdk version "{version}" 2025-04-15', file=sys.stderr)""")


def refusal(version: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        find_release(version, lambda line: None)
    [problem] = caught.value.problems
    return problem


def test_without_java(machine: Path) -> None:
    assert "there is no java on PATH: install Java 17 or newer (Debian: apt-get install" in refusal()
    assert "install Java 11 or newer" in refusal("3.9.1")


def test_with_an_old_java(machine: Path) -> None:
    install_java(machine, "1.8.0_392")
    assert f"{machine}/java is Java 8, too old for Kafka: install Java 17 or newer" in refusal()


def test_without_maven(machine: Path) -> None:
    install_java(machine)
    assert "set KAFKA_HOME to an unpacked Kafka 3.9 or 4, or install Maven" in refusal()


@pytest.mark.parametrize("version", ["3.8.1", "2.13", "latest", ""])
def test_a_release_that_cannot_be(machine: Path, version: str) -> None:
    assert "brokers from 3.9.0 on can live on YAKt; tried are 3.9.1" in refusal(version or "4")


def test_maven_fails(machine: Path) -> None:
    install_java(machine)
    install(machine, "mvn", "print('[INFO] x\\n[ERROR] no such artifact\\n[ERROR] help'); sys.exit(1)")
    assert refusal("4.9.9").endswith("Maven could not fetch Kafka 4.9.9: no such artifact")


def test_fetched_once(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("yakt.dev.releases._PROGRESS_S", 0.0)
    install_java(machine)
    install(
        machine,
        "mvn",
        "assert '-Dkafka.version=4.3.1' in sys.argv and 'log4j2' in sys.argv\n"
        "[place] = [word.partition('=')[2] for word in sys.argv if word.startswith('-DoutputDirectory=')]\n"
        "print('Progress: Downloaded from central: a.jar')\nopen(place + '/a.jar', 'w').close()",
    )
    said: list[str] = []
    release = find_release(None, said.append)
    assert (release.version, release.jars) == ("4.3.1", tmp_path / "cache" / "4.3.1")
    assert (release.jars / "a.jar").exists()
    assert [line.split()[0] for line in said] == ["fetching", "1"]
    (machine / "mvn").unlink()
    assert find_release("4.3.1", said.append) == release
    assert len(said) == 2


def test_a_kafka_that_is_unpacked_here(machine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_java(machine)
    monkeypatch.setenv("KAFKA_HOME", str(tmp_path))
    assert f"KAFKA_HOME={tmp_path}: no kafka_2.13-….jar" in refusal()
    (tmp_path / "libs").mkdir()
    (tmp_path / "libs" / "kafka_2.13-4.1.0.jar").touch()
    assert find_release(None, print).jars == find_release("4.1.0", print).jars == tmp_path / "libs"
    assert "Kafka 4.3.1 is not here" in refusal("4.3.1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--brokers", "3", "--tour"], "leave --brokers out"),
        (["--kafka-version", "4.3.1"], "how many? For instance: --brokers 3"),
        (["--brokers", "3"], "there is no java on PATH"),
    ],
)
def test_dev_says_so_before_it_starts_anything(machine: Path, arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "yakt", "dev", *arguments], capture_output=True, text=True, check=False, timeout=20
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
