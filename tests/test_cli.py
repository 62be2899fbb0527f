"""The command line itself: which command, which exit status, what it says when there is none."""

import argparse
import subprocess
import sys
import types
from pathlib import Path

import pytest

from yakt import __version__, cli
from yakt.errors import ConfigError, StorageError, YaktError

ROOT = Path(__file__).parent.parent


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and command.summary in said for name, command in cli.COMMANDS.items())


def test_no_words_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().out.startswith("usage: yakt")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"yakt {__version__}\n"


def test_no_such_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chek-config", "x"]) == 2
    assert capsys.readouterr().err == "yakt: no command chek-config; did you mean check-config?\n"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: yakt {name}")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (StorageError("data/log: fsync failed"), "yakt: data/log: fsync failed\n"),
        (ConfigError(["f:1: a", "f:2: b"]), "f:1: a\nf:2: b\n"),
    ],
)
def test_what_goes_wrong_on_purpose_is_lines(
    failure: YaktError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: argparse.Namespace) -> int:
        raise failure

    module = types.ModuleType("failing_command")
    vars(module).update(add_arguments=lambda parser: None, run=run)
    monkeypatch.setitem(sys.modules, "failing_command", module)
    monkeypatch.setattr(cli, "COMMANDS", {"fail": cli.Command("failing_command", "fail")})
    assert cli.main(["fail"]) == 1
    assert capsys.readouterr().err == said


def test_as_a_module_and_with_little_imported() -> None:
    report = "import sys; from yakt.cli import main; main(['--version']); print(*sorted(sys.modules))"
    output = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"trio", "cattrs", "yakt.config", "prompt_toolkit"} & set(output.split())
    asked = subprocess.run([sys.executable, "-m", "yakt", "nothing"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 2
