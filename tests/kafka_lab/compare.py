"""YAKt's nodes beside Kafka's own controllers, under the same stock brokers, in one run: a table, and JSON.

    python -m tests.kafka_lab.compare --out figures.json          about ten minutes on two quiet cores
    python -m tests.kafka_lab.compare --quick                     to see that it works: two minutes, figures of no worth

Three voters, three brokers, all of one release. Kafka's controllers run as its own scripts run them (G1, all of the
JIT); the brokers are the same in both. Each quorum is started anew, measured and stopped before the next one is.
"""

import argparse
import itertools
import json
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import attrs
import trio
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.kafka_lab.controllers import Controller
from tests.kafka_lab.stage import free_port
from tests.kafka_lab.tools import Tools, running_tools
from yakt.dev import processes
from yakt.dev.brokers import Broker
from yakt.dev.cluster import open_cluster
from yakt.dev.configs import dev_configs
from yakt.dev.processes import Process
from yakt.dev.releases import Release, find_release

BROKERS = (11, 12, 13)
START_S = 120.0
CALM_S = 3.0
PARTITIONS = 5
BATCH = 50
_STAMP = r"^\[(\S+ \S+)\] INFO .*"


@attrs.frozen
class Size:
    """How much is done."""

    rounds: int
    topics: int
    idle_s: float


class PlainController(Controller):
    """As Kafka's own scripts run it: no choice of a collector or of a compiler for a quick start."""

    def command(self) -> Sequence[str]:
        """The same without those two options."""
        return [
            "-XX:+UseG1GC" if word == "-XX:+UseSerialGC" else word
            for word in super().command()
            if word != "-XX:TieredStopAtLevel=1"
        ]


@attrs.frozen(eq=False)
class Subject:
    """What is measured: a quorum's processes by id, and the brokers on it."""

    quorum: Mapping[int, Process]
    brokers: Sequence[Broker]
    tools: Tools
    nursery: trio.Nursery

    @property
    def bootstrap(self) -> str:
        """Where clients find the brokers."""
        return ",".join(broker.address for broker in self.brokers)

    async def leader(self) -> Process:
        """Who leads the quorum, told by Kafka's tool."""
        said = await trio.to_thread.run_sync(
            partial(self.tools, "metadata-quorum", "--bootstrap-server", self.bootstrap, "describe", "--status")
        )
        found = re.search(r"LeaderId:\s+(\d+)", said)
        assert found is not None, said
        return self.quorum[int(found[1])]

    def memory_mb(self) -> float:
        """Resident memory of a voter: the mean of the three."""
        return round(statistics.mean(_resident_kb(process) for process in self.quorum.values()) / 1024, 1)

    def cpu_s(self) -> float:
        """What all voters have used by now."""
        return sum(_cpu_s(process) for process in self.quorum.values())


class Load:
    """A thread that produces, and one that creates topics, one after another; `gaps` are between two successes."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._stopped = threading.Event()
        self._bootstrap, self._topic = bootstrap, topic
        self.acks: list[float] = []
        self.creations: list[float] = []
        self._threads = [threading.Thread(target=work) for work in (self._produce, self._create)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _produce(self) -> None:
        producer = Producer(
            {"bootstrap.servers": self._bootstrap, "acks": "all", "linger.ms": 0, "request.timeout.ms": 5000}
        )

        def on_ack(error: object, message: object) -> None:
            if error is None:
                self.acks.append(time.monotonic())

        while not self._stopped.wait(0.005):
            producer.produce(self._topic, b"x", on_delivery=on_ack)
            producer.poll(0)
        producer.flush(10)

    def _create(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        number = 0
        while not self._stopped.wait(0.02):
            number += 1
            [future] = admin.create_topics(
                [NewTopic(f"gap-{os.getpid()}-{id(self)}-{number}", 1, 1)], operation_timeout=10, request_timeout=60
            ).values()
            try:
                future.result()
            except KafkaException:  # timed out on the way: the next success ends the gap
                continue
            self.creations.append(time.monotonic())


def largest_gap(moments: Sequence[float], since: float) -> float:
    """Between two neighbours, of which the later is past `since`; in seconds."""
    return max((later - sooner for sooner, later in itertools.pairwise(moments) if later > since), default=float("nan"))


async def measure(subject: Subject, size: Size, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures of one quorum that has just been started, brokers not yet."""
    figures: dict[str, Any] = {}
    starts = []
    for broker in subject.brokers:
        began = trio.current_time()
        broker.start(subject.nursery)
        await processes.wait_serving([broker], START_S)
        starts.append(trio.current_time() - began)
    figures["broker_start_s"] = _spread(starts)
    figures["registered_to_unfenced_s"] = _spread([await _registered_to_unfenced(broker) for broker in subject.brokers])
    say(f"brokers: {figures}")

    await trio.sleep(CALM_S)  # what a start leaves behind
    figures["memory_mb"] = subject.memory_mb()
    used = subject.cpu_s()
    await trio.sleep(size.idle_s)
    figures["idle_cpu_percent"] = round(100 * (subject.cpu_s() - used) / size.idle_s, 2)
    say(f"idle: {figures['idle_cpu_percent']} % of a core, {figures['memory_mb']} MB a voter")

    admin = AdminClient({"bootstrap.servers": subject.bootstrap})
    await _create(admin, [NewTopic("gaps", 3, 3)])
    for kind, hit in (("sigkill", _kill), ("sigstop", _pause)):
        acks, creations = [], []
        for _ in range(size.rounds):
            with Load(subject.bootstrap, "gaps") as load:
                await _wait_for(lambda load=load: len(load.creations) >= 20 and len(load.acks) >= 200)  # type: ignore[misc]
                leader = await subject.leader()
                at = time.monotonic()
                await hit(leader)
                await _wait_for(lambda load=load, at=at: _count_since(load.creations, at) >= 20)  # type: ignore[misc]
            acks.append(largest_gap(load.acks, at))
            creations.append(largest_gap(load.creations, at))
            leader.start(subject.nursery)
            await processes.wait_serving([leader], START_S)
            await trio.sleep(CALM_S)
        figures[f"{kind}_ack_gap_s"] = _spread(acks)
        figures[f"{kind}_creation_gap_s"] = _spread(creations)
        say(f"{kind}: acks {figures[f'{kind}_ack_gap_s']}, creations {figures[f'{kind}_creation_gap_s']}")

    before = subject.memory_mb()
    began = trio.current_time()
    for start in range(0, size.topics, BATCH):
        await _create(admin, [NewTopic(f"many-{number}", PARTITIONS, 1) for number in range(start, start + BATCH)])
    figures["topics"] = size.topics
    figures["topics_s"] = round(trio.current_time() - began, 2)
    figures["topics_memory_mb"] = round(subject.memory_mb() - before, 1)
    figures["memory_after_mb"] = subject.memory_mb()
    say(f"{size.topics} topics of {PARTITIONS}: {figures['topics_s']} s, +{figures['topics_memory_mb']} MB a voter")
    return figures


async def _kill(leader: Process) -> None:
    await leader.kill()


async def _pause(leader: Process) -> None:
    leader.pause()


async def _create(admin: AdminClient, topics: list[NewTopic]) -> None:
    futures = admin.create_topics(topics, operation_timeout=60, request_timeout=90).values()
    for future in futures:
        await trio.to_thread.run_sync(future.result)


async def _wait_for(holds: Callable[[], bool]) -> None:
    """The load's threads tell nobody; look now and then."""
    with trio.fail_after(120):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.05)


def _count_since(moments: Sequence[float], since: float) -> int:
    return sum(moment > since for moment in moments)


def _spread(values: Iterable[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {"median": round(statistics.median(ordered), 3), "max": round(ordered[-1], 3)}


async def _registered_to_unfenced(broker: Broker) -> float:
    moments = []
    for words in ("Successfully registered broker", "The broker has been unfenced"):
        line = re.compile(_STAMP + words, re.MULTILINE)
        await _wait_for(lambda line=line: line.search(broker.log_path.read_text()) is not None)  # type: ignore[misc]
        found = line.search(broker.log_path.read_text())
        assert found is not None
        moments.append(datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f"))  # noqa: DTZ007 - the difference counts
    return (moments[1] - moments[0]).total_seconds()


def _resident_kb(process: Process) -> int:
    assert process.process is not None
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1])


def _cpu_s(process: Process) -> float:
    assert process.process is not None
    fields = Path(f"/proc/{process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- the two quorums


@contextmanager
def _told() -> Iterator[list[str]]:
    lines: list[str] = []
    try:
        yield lines
    except BaseException:
        print("\n".join(lines), file=sys.stderr)
        raise


def _brokers(
    release: Release, directory: Path, cluster_id: str, voters: Sequence[str], told: list[str]
) -> list[Broker]:
    return [
        Broker(
            id=broker_id, port=free_port(), voters=voters, cluster_id=cluster_id, directory=directory, release=release,
            log_path=directory / f"broker{broker_id}.log", tell=told.append, replication=3,
            more={"auto.create.topics.enable": "false"},
        )
        for broker_id in BROKERS
    ]  # fmt: skip


@asynccontextmanager
async def kafka_quorum(release: Release, tools: Tools, directory: Path):  # type: ignore[no-untyped-def]
    """Three of Kafka's controllers."""
    with _told() as told:
        ports = {3000 + number: free_port() for number in range(3)}
        voters = [f"{node_id}@127.0.0.1:{port}" for node_id, port in ports.items()]
        cluster_id = tools("storage", "random-uuid").strip()
        controllers = [
            PlainController(
                id=node_id, port=port, voters=voters, data=directory / f"controller{node_id}", release=release,
                log_path=directory / f"controller{node_id}.log", tell=told.append, heap="1g",
            )
            for node_id, port in ports.items()
        ]  # fmt: skip
        for controller in controllers:
            controller.format(tools, cluster_id)
        brokers = _brokers(release, directory, cluster_id, voters, told)
        async with trio.open_nursery() as nursery:
            try:
                for controller in controllers:
                    controller.start(nursery)
                await processes.wait_serving(controllers, START_S)
                yield Subject({one.id: one for one in controllers}, brokers, tools, nursery)
            finally:
                with trio.CancelScope(shield=True):
                    await processes.stop(brokers, 30, told.append)
                    await processes.stop(controllers, 30, told.append)


@asynccontextmanager
async def yakt_quorum(release: Release, tools: Tools, directory: Path):  # type: ignore[no-untyped-def]
    """Three of our nodes, as conf/ has them."""
    with _told() as told:
        configs = dev_configs(directory, nodes=3, base_port=0)
        async with open_cluster(configs, directory, told.append) as cluster, trio.open_nursery() as nursery:
            for node_id in cluster.nodes:
                cluster.start(node_id)
            await cluster.wait_serving()
            voters = [f"{one.node.id}@{one.kafka.advertised}" for one in configs if one.kafka is not None]
            brokers = _brokers(release, directory, configs[0].cluster.id, voters, told)
            try:
                yield Subject({int(one): node for one, node in cluster.nodes.items()}, brokers, tools, nursery)
            finally:
                with trio.CancelScope(shield=True):
                    await processes.stop(brokers, 30, told.append)
                    await processes.stop(cluster.nodes.values(), 30, told.append)  # some were started in our nursery


async def compare(release: Release, size: Size, directory: Path) -> dict[str, Any]:
    """Both, one after the other."""
    figures: dict[str, Any] = {"kafka": release.version, "size": attrs.asdict(size), "cores": os.cpu_count()}
    with running_tools(release) as tools:
        for name, quorum in (("yakt", yakt_quorum), ("kafka controllers", kafka_quorum)):
            place = directory / name.replace(" ", "-")
            place.mkdir()
            print(f"== {name}", flush=True)
            async with quorum(release, tools, place) as subject:
                figures[name] = await measure(subject, size, lambda line: print("  " + line, flush=True))
    return figures


def table(figures: Mapping[str, Any]) -> str:
    """For people."""
    names = ("yakt", "kafka controllers")
    rows = [f"{'':28}{names[0]:>20}{names[1]:>20}"]
    for key in figures[names[0]]:
        cells = [figures[name][key] for name in names]
        words = [f"{cell['median']} (max {cell['max']})" if isinstance(cell, dict) else str(cell) for cell in cells]
        rows.append(f"{key:28}{words[0]:>20}{words[1]:>20}")
    return "\n".join(rows)


def main() -> int:
    """The command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        prog="python -m tests.kafka_lab.compare", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kafka-version", default="3.9.1", help="of brokers and controllers (default 3.9.1)")
    parser.add_argument("--quick", action="store_true", help="one round, 100 topics")
    parser.add_argument("--out", type=Path, help="the figures as JSON")
    arguments = parser.parse_args()
    size = Size(1, 100, 5.0) if arguments.quick else Size(5, 2000, 30.0)
    release = find_release(arguments.kafka_version, print)
    with tempfile.TemporaryDirectory(prefix="yakt-compare-") as directory:
        figures = trio.run(compare, release, size, Path(directory))
    print(table(figures))
    if arguments.out:
        arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
