"""`yakt dev`: a cluster on this machine, then what happens in it and what is typed at it; or a tour of a failover."""

import argparse
import functools
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from yakt.config import Config
from yakt.dev.cluster import Cluster, open_cluster, serve_command
from yakt.dev.configs import BASE_PORT, check_ports, dev_configs, for_brokers
from yakt.dev.keyboard import Keyboard
from yakt.dev.releases import DEFAULT, TRIED, Release, find_release
from yakt.dev.session import Session
from yakt.errors import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what may follow `yakt dev`."""
    parser.add_argument("--nodes", type=int, choices=(1, 3, 5), default=3, help="how many (default 3)")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="keep data and logs here; without it they are temporary"
    )
    parser.add_argument(
        "--base-port",
        type=int,
        metavar="PORT",
        help=f"node N has PORT + N for peers and PORT + 100 + N for lines (default {BASE_PORT}); 0 takes free ones",
    )
    parser.add_argument(
        "--brokers",
        type=int,
        choices=range(1, 10),
        default=0,
        metavar="N",
        help="and so many stock Kafka brokers, 11, 12, 13 …, at PORT + 400 + their id (1 to 9; needs Java)",
    )
    parser.add_argument(
        "--kafka-version",
        metavar="X.Y.Z[,…]",
        help="their release, or several in turn; by default that of $KAFKA_HOME, else "
        f"{DEFAULT}, which Maven fetches once (tried: {', '.join(TRIED)})",
    )
    parser.add_argument("--tour", action="store_true", help="play a failover by itself, explained; exit status 0 or 1")


def run(arguments: argparse.Namespace) -> int:
    """Run until told to stop. Raises ConfigError for ports in use or a directory that cannot be had."""
    if arguments.base_port is not None and not 0 <= arguments.base_port <= 65000:
        raise ConfigError([f"yakt dev: --base-port {arguments.base_port} is not a number from 0 to 65000"])
    if arguments.brokers and arguments.tour:
        raise ConfigError(["yakt dev: --tour plays without brokers; leave --brokers out"])
    if arguments.kafka_version and not arguments.brokers:
        raise ConfigError(["yakt dev: --kafka-version is for brokers; how many? For instance: --brokers 3"])
    releases = _find_releases(arguments.brokers, arguments.kafka_version)
    directory = _make_directory(arguments.data)
    try:
        configs = dev_configs(directory, nodes=arguments.nodes, base_port=arguments.base_port)
        ports: dict[int, int] = {}
        if releases:
            configs, ports = for_brokers(configs, len(releases))
        check_ports(configs, ports)
        what = f"{len(configs)} nodes start" + (f", then {len(ports)} Kafka brokers" if ports else "")
        print(f"yakt dev: {what}; {_where(directory, arguments.data is not None)}", flush=True)
        brokers = [(*place, release) for place, release in zip(ports.items(), releases, strict=True)]
        return trio.run(functools.partial(run_dev, configs, directory, arguments.tour, brokers=brokers))
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is None:  # whoever read our output has seen enough
            raise BrokenPipeError from None
        raise
    finally:
        if arguments.data is None:
            shutil.rmtree(directory, ignore_errors=True)


def _find_releases(brokers: int, versions: str | None) -> list[Release]:
    """A release for each broker, in turn. Raises ConfigError."""
    if not brokers:
        return []
    wanted = list(dict.fromkeys(versions.split(","))) if versions else [None]
    found = [find_release(version, lambda line: print(f"yakt dev: {line}", flush=True)) for version in wanted]
    return [found[number % len(found)] for number in range(brokers)]


def _make_directory(data: Path | None) -> Path:
    if data is None:
        return Path(tempfile.mkdtemp(prefix="yakt-dev-"))
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ConfigError([f"yakt dev: {data} cannot be made: {exc.strerror}; name another with --data"]) from None
    return data.resolve()


def _where(directory: Path, is_kept: bool) -> str:
    return f"data and logs in {directory}, {'kept' if is_kept else 'removed at the end'}"


async def run_dev(
    configs: Sequence[Config],
    directory: Path,
    is_tour: bool,
    command: Callable[[Path], list[str]] = serve_command,
    brokers: Sequence[tuple[int, int, Release]] = (),
) -> int:
    """Run these nodes and brokers (id, port, release) until told to stop; `command` is what runs a configuration."""
    stop = trio.Event()
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with open_cluster(configs, directory, _say if is_tour else _tell, command=command) as cluster:
            for broker_id, port, release in brokers:
                cluster.add_broker(broker_id, port, release, replication=min(3, len(brokers)))
            session = Session(cluster, _say, _tell, stop)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_obey, signals, stop, cluster)
                status = await (session.run_tour() if is_tour else session.run_live(Keyboard()))
                if not is_tour:
                    _say("stopping")
                await cluster.stop()
                nursery.cancel_scope.cancel()
    return status


async def _obey(signals: object, stop: trio.Event, cluster: Cluster) -> None:
    """The first signal stops in order, the second at once."""
    async for _ in signals:  # type: ignore[attr-defined]  # what open_signal_receiver gives has no public name
        if stop.is_set():
            cluster.kill_all()
        stop.set()


def _say(line: str) -> None:
    print(line, flush=True)


def _tell(line: str) -> None:
    now = time.time()
    print(f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03} {line}", flush=True)
