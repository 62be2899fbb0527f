"""The command line: finds the command that the first word names, and imports no other; knows nothing of what they do.

A command is a module with `add_arguments(parser)` and `run(arguments) -> int`, the exit status: 0 done, 1 refused or
failed, 2 usage, 3 not reached, 4 outcome unknown, 5 a check found trouble. Modules are imported when asked for, so that
a one-shot command starts in tens of milliseconds.
"""

import argparse
import difflib
import importlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, cast

import attrs

from yakt import __version__
from yakt.errors import ConfigError, YaktError

USAGE = 2


class CommandModule(Protocol):
    """What a command's module has."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what may follow the command."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; the exit status. May raise YaktError, which becomes one line and exit status 1."""


@attrs.frozen
class Command:
    """Where a command is, and what it does in half a line."""

    module: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "serve": Command("yakt.serve", "run one node in the foreground"),
    "dev": Command(
        "yakt.dev.command", "run a whole cluster on this machine, with a live feed; or a tour of a failover"
    ),
    "sim": Command(
        "yakt.sim.command", "run whole clusters on a fake network, disk and clock; each failure is a number"
    ),
    "bench": Command(
        "yakt.bench.command", "measure writes, reads and failover of a cluster; or the Python of a commit"
    ),
    "swarm": Command("yakt.swarm.command", "run simulated brokers on a cluster, and order them to die, lag or flap"),
    "log": Command("yakt.offline.command", "show or verify the log in a directory, of a node or of Kafka's, offline"),
    "check-config": Command("yakt.check_config", "look for faults in configuration files"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv`, by default that of this process, names; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help") or words == ["help"]:
        print(_overview(), end="")
        return 0 if words else USAGE
    if words[0] in ("-V", "--version"):
        print(f"yakt {__version__}")
        return 0
    command = COMMANDS.get(words[0])
    if command is None or _is_line(words):
        near = difflib.get_close_matches(words[0], COMMANDS, n=1, cutoff=0.8)
        if command is None and near:
            print(f"yakt: no command {words[0]}; did you mean {near[0]}?", file=sys.stderr)
            return USAGE
        from yakt import one_shot  # as the commands: imported when asked for

        return _guard(lambda: one_shot.run(words))
    module = cast(CommandModule, importlib.import_module(command.module))
    parser = argparse.ArgumentParser(prog=f"yakt {words[0]}", description=_sentence(command.summary))
    module.add_arguments(parser)
    return _guard(lambda: module.run(parser.parse_args(words[1:])))


def _is_line(words: Sequence[str]) -> bool:
    """Whether a word that we know is here the line protocol's: `log from=0`, `snapshot list`."""
    second = words[1].lower() if len(words) > 1 else ""
    return (words[0], second.partition("=")[0]) in {
        ("log", "from"), ("snapshot", "create"), ("snapshot", "list"), ("snapshot", "verify"),
    }  # fmt: skip


def _guard(work: Callable[[], int]) -> int:
    """Do it; what goes wrong on purpose becomes one line and exit status 1."""
    try:
        return work()
    except ConfigError as exc:
        print("\n".join(exc.problems), file=sys.stderr)
    except YaktError as exc:
        print(f"yakt: {exc}", file=sys.stderr)
    except BrokenPipeError:  # whoever read our output has seen enough
        _die_of(signal.SIGPIPE)
    except KeyboardInterrupt:
        _die_of(signal.SIGINT)
    return 1


def _die_of(number: signal.Signals) -> None:
    """End as a program does that handles no signals, so that a shell's loop ends with it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _overview() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: yakt COMMAND …",
            "",
            "A KRaft metadata quorum. Commands:",
            *lines,
            "",
            "Any other words are a line of the line protocol, sent to $YAKT_SERVER or --server HOST:PORT[,…]:",
            "  yakt topic create orders partitions=6        yakt status --json        yakt help topic create",
            "",
            "yakt COMMAND --help explains one of them; yakt --version tells which release this is.",
            "",
        ]
    )


def _sentence(summary: str) -> str:
    return summary[:1].upper() + summary[1:] + "."
