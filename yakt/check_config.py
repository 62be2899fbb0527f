"""`yakt check-config FILE …`: every fault of each file, and what the files of one cluster contradict each other in."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from yakt.config import Config, load_config
from yakt.errors import ConfigError

FOUND_TROUBLE = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One file or more."""
    parser.add_argument(
        "file", nargs="+", type=Path, help="a node's configuration; several are taken for one cluster's"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each file without faults, and each fault on standard error; 0, or 5 if there were any."""
    configs: dict[Path, Config] = {}
    problems: list[str] = []
    for path in arguments.file:
        try:
            configs[path] = load_config(path)
        except ConfigError as exc:
            problems += exc.problems
    problems += _contradictions(configs)
    for path, config in configs.items():
        print(
            f"{path}: node {config.node.id} of cluster {config.cluster.id}, {_ports(config)}, data {config.node.data}"
            f"{', kraft.version 1' if config.quorum.kraft_version else ''}"
        )
    for problem in problems:
        print(problem, file=sys.stderr)
    return FOUND_TROUBLE if problems else 0


def _ports(config: Config) -> str:
    listeners = {"peer": config.peer, "line": config.line, "http": config.http, "kafka": config.kafka}
    return " ".join(f"{name} {listener.listen}" for name, listener in listeners.items() if listener)


def _contradictions(configs: Mapping[Path, Config]) -> Iterator[str]:
    """What keeps the nodes of these files from being one cluster."""
    seen: list[tuple[Path, Config]] = []
    for path, config in configs.items():
        if seen and config.cluster != seen[0][1].cluster:
            yield f"{path}: describes another cluster than {seen[0][0]} @ $.cluster"
        if seen and config.quorum.kraft_version != seen[0][1].quorum.kraft_version:
            yield f"{path}: {config.quorum.kraft_version}, where {seen[0][0]} has another @ $.quorum.kraft_version"
        for other_path, other in seen:
            if config.node.id == other.node.id:
                yield f"{path}: {config.node.id} is the node of {other_path} too @ $.node.id"
            if config.node.data == other.node.data:
                yield f'{path}: "{config.node.data}" is the directory of {other_path} too @ $.node.data'
        seen.append((path, config))
