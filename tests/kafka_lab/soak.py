"""A soak: stock brokers of three releases on three nodes, all beaten at random under load, for as long as asked.

    python -m tests.kafka_lab.soak --minutes 30 --seed 7 --keep /tmp/soak

Producers with acks from all, a group that copies in transactions, topics made and deleted by line, client and tool;
meanwhile brokers and nodes are killed (SIGKILL), stopped (SIGTERM) and frozen (SIGSTOP). After each blow the cluster
has to heal. In the end nothing acknowledged may be lost or doubled, nobody stuck, no image other than the others', no
memory grown, no traceback said. The last line is the verdict; exit status 0 is clean, 1 is not, 2 is not run.
One node, by the seed, is only ever frozen: its memory is that of a long life.
"""

import argparse
import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import attrs
import trio
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.kafka_lab import load, verdict
from tests.kafka_lab.broker import Broker, wait_ended
from tests.kafka_lab.lab import KafkaTools, find_tools
from tests.kafka_lab.verdict import Sample
from yakt.client import Client, open_client
from yakt.dev.cluster import Cluster, open_cluster
from yakt.dev.configs import dev_configs
from yakt.errors import NotReachedError, RefusedError
from yakt.ids import NodeId
from yakt.offline.files import find_logs
from yakt.offline.verify import verify

RELEASES = ("3.9.1", "4.1.1", "4.3.1")
HEAP = "384m"
HEAL_S = 120.0
"""Longer than a session, a start on a busy machine, and a replica's way back into sync."""
START_S = 180.0
DRAIN_S = 300.0
SAMPLE_S = 5.0
PROGRESS_S = 30.0
TOPICS_MAX = 20
WRITERS, COPIERS, RATE = 2, 2, 50.0
GROUP = "copiers"
NODE_TROUBLE = ("Traceback", "[critical", "[error")
BROKER_TROUBLE = ("metadata loading fault", "Encountered fatal fault", "Exiting Kafka", "IllegalStateException")
STARTED = "Kafka Server started"
SETTINGS = {
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "log.cleaner.dedupe.buffer.size": 10_000_000,
    "controlled.shutdown.enable": "true",
}

How = Literal["kill", "stop", "freeze"]


@attrs.frozen
class Blow:
    """What happens to one process. `rest_s`: so long it is gone, or hangs."""

    process: str
    how: How
    rest_s: float


class StuckError(Exception):
    """The cluster did not heal."""


@attrs.define(eq=False)
class Life:
    """One broker and its process."""

    broker: Broker
    process: "subprocess.Popen[bytes]"
    incarnation: int = 1
    is_beaten: bool = False

    @property
    def name(self) -> str:
        return f"broker {self.broker.id}"


@attrs.define(eq=False)
class Soak:
    """One run. `troubles`: what went wrong; none is a clean run."""

    chance: random.Random
    seconds: float
    cluster: Cluster
    client: Client
    lives: dict[int, Life]
    witness: int
    began: float = attrs.Factory(time.monotonic)
    ledger: load.Ledger = attrs.Factory(load.Ledger)
    samples: list[Sample] = attrs.Factory(list)
    blows: list[dict[str, object]] = attrs.Factory(list)
    topics: set[str] = attrs.Factory(set)
    doubtful: set[str] = attrs.Factory(set)
    made: Counter[str] = attrs.Factory(Counter)
    troubles: list[str] = attrs.Factory(list)
    stop: threading.Event = attrs.Factory(threading.Event)
    stop_copying: threading.Event = attrs.Factory(threading.Event)
    incarnations: Counter[int] = attrs.Factory(Counter)
    log_end: int = 0
    is_one_stopping: bool = False
    """A broker that has asked to shut down gets no replicas, so three cannot be placed."""

    @property
    def servers(self) -> str:
        return ",".join(life.broker.address for life in self.lives.values())

    def age(self) -> float:
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        print(f"{self.age():7.1f} s  {text}", flush=True)

    def trouble(self, text: str) -> None:
        self.troubles.append(text)
        self.say(f"TROUBLE: {text}")

    # --- The run

    async def run(self) -> None:
        """Load and blows until the time is up, then everything that was promised is looked for."""
        await self.heal({})
        for name in ("ledger", "copies"):
            await self.client.ask(
                "TOPIC CREATE", name, partitions=6, replication=3, config={"min.insync.replicas": 2}, timeout=30.0
            )
            self.topics.add(name)
        await self.heal({})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.watch_memory)
            nursery.start_soon(self.tell_progress)
            for number in range(COPIERS):
                nursery.start_soon(self.in_thread, self.copier(f"copier-{number}"))
            try:
                await self.write_and_beat()
                await self.drain()
            finally:
                self.stop_copying.set()  # a thread knows no other end
            nursery.cancel_scope.cancel()
        await self.judge()

    async def write_and_beat(self) -> None:
        """Producers at work from the first blow until after the last, until all they sent is answered."""
        async with trio.open_nursery() as writing:
            for number in range(WRITERS):
                writer = partial(load.write, self.servers, "ledger", f"w{number}", RATE, self.ledger, self.stop)
                writing.start_soon(self.in_thread, writer)
            try:
                await self.beat()
                self.say("no more blows: what is under way is waited for")
            finally:
                self.stop.set()

    async def in_thread(self, work: Callable[[], None]) -> None:
        try:
            await trio.to_thread.run_sync(work)
        except Exception as exc:
            self.trouble(f"a client ended: {exc!r}")

    def copier(self, name: str) -> Callable[[], None]:
        return partial(load.copy, self.servers, "ledger", "copies", GROUP, name, self.ledger, self.stop_copying.is_set)

    async def beat(self) -> None:
        """Blow upon blow while the time lasts, and topics come and go beside it."""
        with trio.move_on_after(self.seconds):
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.turn_topics)
                    while True:
                        await trio.sleep(self.chance.uniform(2, 8))
                        with trio.CancelScope(shield=True):
                            await self.round(self.plan())
            except* StuckError as group:
                for exc in group.exceptions:
                    self.trouble(str(exc))

    def plan(self) -> list[Blow]:
        """One blow at a broker, or at a node, or at both at once."""
        what = self.chance.choices(("broker", "node", "both"), (4, 4, 3))[0]
        blows = []
        if what != "node":
            life = self.chance.choice(list(self.lives.values()))
            how: How = self.chance.choices(("kill", "stop", "freeze"), (5, 3, 3))[0]
            blows.append(Blow(life.name, how, self.chance.uniform(0.2, 14)))
        if what != "broker":
            node = self.chance.choice(list(self.cluster.nodes))
            how = self.chance.choices(("kill", "stop", "freeze"), (5, 3, 3))[0]
            blows.append(Blow(f"node {node}", "freeze" if node == self.witness else how, self.chance.uniform(0.1, 8)))
        return blows

    async def round(self, blows: Sequence[Blow]) -> None:
        """Strike, wait until all is well again. Raises StuckError."""
        self.say("; ".join(f"{blow.process}: {blow.how} for {blow.rest_s:.1f} s" for blow in blows))
        self.is_one_stopping = any(blow.process.startswith("broker") and blow.how == "stop" for blow in blows)
        epochs = await self.broker_epochs()
        gone = {int(blow.process.split()[1]) for blow in blows if blow.process[0] == "b" and blow.how != "freeze"}
        async with trio.open_nursery() as nursery:
            for blow in blows:
                nursery.start_soon(self.strike, blow)
        began = time.monotonic()
        await self.heal({broker: epoch for broker, epoch in epochs.items() if broker in gone})
        self.is_one_stopping = False
        took = time.monotonic() - began
        self.blows.append({"at": round(self.age(), 1), "blows": [attrs.asdict(b) for b in blows], "healed_s": took})

    async def strike(self, blow: Blow) -> None:
        kind, number = blow.process.split()
        if kind == "node":
            await self.strike_node(int(number), blow)
        else:
            await self.strike_broker(self.lives[int(number)], blow)

    async def strike_node(self, number: int, blow: Blow) -> None:
        node = self.cluster.node(number)
        if blow.how == "freeze":
            self.cluster.pause(number)
            await trio.sleep(blow.rest_s)
            self.cluster.resume(number)
            return
        if blow.how == "kill":
            await self.cluster.kill(number)
        else:
            node.signal(signal.SIGTERM)
            await node.wait_until("down")
            if node.process is not None and node.process.returncode != 0:
                self.trouble(f"node {number} stopped with exit status {node.process.returncode}")
        await trio.sleep(blow.rest_s)
        self.cluster.start(number)
        self.incarnations[number] += 1

    async def strike_broker(self, life: Life, blow: Blow) -> None:
        if blow.how == "freeze":
            life.process.send_signal(signal.SIGSTOP)
            await trio.sleep(blow.rest_s)
            life.process.send_signal(signal.SIGCONT)
            return
        life.is_beaten = True
        if blow.how == "kill":
            life.process.kill()
            await wait_ended(life.process)
        else:
            life.process.terminate()
            with trio.move_on_after(HEAL_S):
                await wait_ended(life.process)
            if life.process.poll() is None:
                self.trouble(f"{life.name} did not stop in {HEAL_S:g} s")
                life.process.kill()
                await wait_ended(life.process)
        await trio.sleep(blow.rest_s)
        life.process = life.broker.start()
        life.incarnation += 1
        life.is_beaten = False

    async def broker_epochs(self) -> dict[int, int]:
        rows = (await self.client.ask("BROKER LIST", timeout=30.0)).rows
        return {int(str(row.pairs["id"])): int(str(row.pairs["epoch"])) for row in rows}

    async def heal(self, before: dict[int, int]) -> None:
        """Until all serve, no broker is fenced and every replica in sync; those of `before` with a new epoch."""
        left: list[str] = ["nothing is known"]
        with trio.move_on_after(HEAL_S if self.blows else START_S):
            while left:
                left = [
                    f"node {node.id} is {node.state}" for node in self.cluster.nodes.values() if node.state != "serving"
                ]
                left += [
                    f"{life.name} ended by itself" for life in self.lives.values() if life.process.poll() is not None
                ]
                try:
                    with trio.fail_after(10):
                        left += await self.unhealthy(before)
                except (RefusedError, NotReachedError, trio.TooSlowError) as exc:
                    left.append(f"nobody tells: {exc}")
                if left:
                    await trio.sleep(0.25)
        if left:
            raise StuckError(f"not healed: {'; '.join(left[:8])}")

    async def unhealthy(self, before: dict[int, int]) -> list[str]:
        rows = {int(str(row.pairs["id"])): row.pairs for row in (await self.client.ask("BROKER LIST")).rows}
        left = []
        for number in self.lives:
            row = rows.get(number)
            if row is None or row["fenced"]:
                left.append(f"broker {number} is fenced" if row else f"broker {number} has not registered")
            elif row["epoch"] == before.get(number):
                left.append(f"broker {number} has not registered again")
        short = (await self.client.ask("PARTITION LIST", under_replicated=True)).rows
        return left + [f"{row.pairs['topic']}:{row.pairs['partition']} has isr {row.pairs['isr']}" for row in short]

    # --- Topics

    async def turn_topics(self) -> None:
        """Make and delete topics, each time by another way."""
        for number in range(1 << 30):
            ways: list[Callable[[str, bool], Awaitable[bool | None]]] = [self.by_line, self.by_client]
            way = self.by_tool if number % 25 == 24 else self.chance.choice(ways)
            removable = sorted(name for name in self.topics if name.startswith("t-"))
            delete = len(removable) > TOPICS_MAX or (bool(removable) and self.chance.random() < 0.45)
            name = self.chance.choice(removable) if delete else f"t-{number}"
            self.topics.discard(name)
            self.doubtful.add(name)
            there = await way(name, delete)  # cancelled at the end of the run: it stays in doubt
            if there is not None:
                self.doubtful.discard(name)
            if there is delete:
                self.made["refused"] += 1
            elif there is not None:
                self.made[f"{'deleted' if delete else 'made'} {way.__name__.replace('_', ' ')}"] += 1
            else:
                self.made["in doubt"] += 1
            if there:
                self.topics.add(name)
            await trio.sleep(self.chance.uniform(0.2, 2))

    async def by_line(self, name: str, delete: bool) -> bool | None:
        """Whether the topic is there afterwards; None: nobody said."""
        was_one_stopping = self.is_one_stopping
        try:
            if delete:
                await self.client.ask("TOPIC DELETE", name, timeout=30.0)
            else:
                await self.client.ask(
                    "TOPIC CREATE", name, partitions=self.chance.randint(1, 4), replication=3, timeout=30.0
                )
        except RefusedError as exc:
            if exc.code == "INVALID_REPLICATION_FACTOR" and (was_one_stopping or self.is_one_stopping):
                return False
            if not exc.maybe:
                self.trouble(f"{'TOPIC DELETE' if delete else 'TOPIC CREATE'} {name}: {exc}")
            return None
        except NotReachedError as exc:
            self.trouble(f"no node took a line for 30 s: {exc}")
            return None
        return not delete

    async def by_client(self, name: str, delete: bool) -> bool | None:
        return await trio.to_thread.run_sync(self._by_client, name, delete)

    def _by_client(self, name: str, delete: bool) -> bool | None:
        admin = AdminClient({"bootstrap.servers": self.servers}, logger=load._QUIET)
        if delete:
            [future] = admin.delete_topics([name], operation_timeout=30, request_timeout=60).values()
        else:
            topic = NewTopic(name, 1 + len(name) % 3, 3)
            [future] = admin.create_topics([topic], operation_timeout=30, request_timeout=60).values()
        try:
            future.result(70)
        except KafkaException as exc:
            code = exc.args[0].code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS and not delete:
                return True  # the client asked again what had been done
            if code == KafkaError.UNKNOWN_TOPIC_OR_PART and delete:
                return False
            return None
        except TimeoutError:
            return None
        return not delete

    async def by_tool(self, name: str, delete: bool) -> bool | None:
        broker = self.chance.choice(list(self.lives.values())).broker
        words = ["--delete"] if delete else ["--create", "--partitions", "2", "--replication-factor", "3"]
        try:
            await broker.topics(*words, "--topic", name)
        except (AssertionError, trio.TooSlowError):
            return None
        return not delete

    # --- Watching

    async def watch_memory(self) -> None:
        """The resident memory of every process, now and then; and that none has ended unasked."""
        reported: set[tuple[str, int]] = set()
        while True:
            with contextlib.suppress(RefusedError, NotReachedError):
                self.log_end = int(str((await self.client.ask("STATUS", timeout=SAMPLE_S)).pairs["log_end"]))
            for node in self.cluster.nodes.values():
                if node.process is not None and node.process.poll() is None:
                    self.sample(f"node {node.id}", self.incarnations[node.id] + 1, node.process.pid)
            for life in self.lives.values():
                if life.process.poll() is None:
                    self.sample(life.name, life.incarnation, life.process.pid)
                elif not life.is_beaten and (life.name, life.incarnation) not in reported:
                    reported.add((life.name, life.incarnation))
                    self.trouble(f"{life.name} ended by itself with status {life.process.returncode}")
            await trio.sleep(SAMPLE_S)

    def sample(self, process: str, incarnation: int, pid: int) -> None:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return
        sizes = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")]
        if sizes:
            self.samples.append(Sample(round(self.age(), 1), process, incarnation, sizes[0], self.log_end))

    async def tell_progress(self) -> None:
        while True:
            await trio.sleep(PROGRESS_S)
            latest = {sample.process: sample.rss_kib // 1024 for sample in self.samples[-12:]}
            self.say(
                f"{len(self.ledger.acknowledged)} acknowledged, {len(self.ledger.refused)} refused, "
                f"{self.ledger.copied} copied, {sum(self.ledger.aborted.values())} transactions given up, "
                f"{len(self.topics)} topics, {len(self.blows)} rounds; MiB: "
                + ", ".join(f"{process} {size}" for process, size in sorted(latest.items()))
            )

    # --- The end

    async def drain(self) -> None:
        """Until the copies are complete, or nothing more comes."""
        try:
            await self.heal({})
        except StuckError as exc:
            self.trouble(f"after the last blow: {exc}")
        left = -1
        with trio.move_on_after(DRAIN_S):
            while left != 0:
                left = await trio.to_thread.run_sync(load.lag, self.servers, "ledger", GROUP)
                await trio.sleep(1)
        if left != 0:
            self.trouble(f"the group has still {left} records to copy (-1: nobody says) after {DRAIN_S:g} s")

    async def judge(self) -> None:
        """Look for everything that was promised while brokers and nodes still run."""
        try:
            source = await trio.to_thread.run_sync(load.read_all, self.servers, "ledger")
            copies = await trio.to_thread.run_sync(load.read_all, self.servers, "copies")
        except (KafkaException, TimeoutError) as exc:
            self.trouble(f"cannot read back: {exc}")
            return
        self.say(f"read back {len(source)} records and {len(copies)} copies")
        listed: dict[str, list[str]] = {}
        for node in self.cluster.nodes.values():
            async with open_client(str(node.line_address)) as client:
                listed[f"node {node.id}"] = [str(row.pairs["name"]) for row in (await client.ask("TOPIC LIST")).rows]
        for life in self.lives.values():
            listed[life.name] = await trio.to_thread.run_sync(_topics_of, life.broker.address)
        for trouble in (
            *verdict.check_ledger(self.ledger, source),
            *verdict.check_copy(source, copies),
            *verdict.check_topics(self.topics, self.doubtful | {"__consumer_offsets", "__transaction_state"}, listed),
            *verdict.check_memory(self.samples, f"node {self.witness}"),
        ):
            self.trouble(trouble)

    def judge_what_is_left(self, directory: Path, told: Sequence[str]) -> dict[str, str]:
        """Logs and directories, after everything has stopped; returns the hash of each node's image."""
        hashes: dict[int, str] = {}
        for node in self.cluster.nodes.values():
            for finding in verify(find_logs([node.config.node.data])[0]):
                if finding.kind == "trouble":
                    self.trouble(f"node {node.id}: {finding.text}")
                elif finding.kind == "image":
                    hashes[node.id] = str(finding.pairs["image_hash"])
            for trouble in verdict.check_words(f"node {node.id}", node.log_path.read_text(), NODE_TROUBLE):
                self.trouble(trouble)
        for life in self.lives.values():
            log = (directory / f"broker{life.broker.id}.log").read_text(errors="replace")
            for trouble in verdict.check_words(life.name, log, BROKER_TROUBLE):
                self.trouble(trouble)
            if log.count(STARTED) < life.incarnation:
                self.trouble(f"{life.name} says {log.count(STARTED)} times that it started, of {life.incarnation}")
        for trouble in verdict.check_images(hashes):
            self.trouble(trouble)
        for line in told:
            if "unasked" in line and " stopped" not in line:
                self.trouble(line)
        return {str(node): hashed for node, hashed in hashes.items()}


def _topics_of(address: str) -> list[str]:
    admin = AdminClient({"bootstrap.servers": address}, logger=load._QUIET)
    return list(admin.list_topics(timeout=30).topics)


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def soak(directory: Path, tools: Sequence[KafkaTools], minutes: float, seed: int) -> dict[str, object]:
    """Run it; everything that was seen. `directory` keeps data and logs of all processes."""
    chance = random.Random(seed)
    configs = dev_configs(directory, nodes=3, base_port=0)
    told: list[str] = []
    voters = [f"{config.node.id}@{config.kafka.advertised}" for config in configs if config.kafka is not None]
    async with open_cluster(configs, directory, told.append) as cluster:
        for config in configs:
            cluster.start(config.node.id)
        await cluster.wait_serving()
        lives: dict[int, Life] = {}
        try:
            for number, one in enumerate(tools, 11):
                broker = Broker(
                    number, free_port(), voters, configs[0].cluster.id, directory, one, heap=HEAP, settings=SETTINGS
                )
                lives[number] = Life(broker, broker.start())
            async with open_client([node.line_address for node in cluster.nodes.values()]) as client:
                run = Soak(chance, minutes * 60, cluster, client, lives, int(chance.choice(list(cluster.nodes))))
                run.say(f"seed {seed}; node {run.witness} is only ever frozen; everything is in {directory}")
                try:
                    await run.run()
                except StuckError as exc:
                    run.trouble(str(exc))
        finally:
            with trio.CancelScope(shield=True):
                await _stop_brokers(lives)
    hashes = run.judge_what_is_left(directory, told)
    return {
        "verdict": "faulty" if run.troubles else "clean",
        "troubles": run.troubles,
        "seed": seed,
        "minutes": minutes,
        "took_s": round(run.age(), 1),
        "brokers": {str(life.broker.id): life.broker.tools.version for life in lives.values()},
        "witness": run.witness,
        "acknowledged": len(run.ledger.acknowledged),
        "refused": len(run.ledger.refused),
        "copied": run.ledger.copied,
        "transactions_given_up": dict(run.ledger.aborted),
        "topics": dict(run.made),
        "starts": {f"node {node}": run.incarnations[NodeId(node)] + 1 for node in cluster.nodes}
        | {life.name: life.incarnation for life in lives.values()},
        "image_hashes": hashes,
        "rounds": run.blows,
        "memory": [attrs.astuple(sample) for sample in run.samples],
    }


async def _stop_brokers(lives: dict[int, Life]) -> None:
    for life in lives.values():
        life.process.send_signal(signal.SIGCONT)
        life.process.terminate()
    with trio.move_on_after(60):
        for life in lives.values():
            await wait_ended(life.process)
    for life in lives.values():
        if life.process.poll() is None:
            life.process.kill()
            life.process.wait()


def summary(report: dict[str, object]) -> str:
    """The verdict in one line."""
    rounds = report["rounds"]
    assert isinstance(rounds, list)
    slowest = max((one["healed_s"] for one in rounds), default=0.0)
    return (
        f"{report['verdict']}: seed {report['seed']}, {report['took_s']} s, {len(rounds)} rounds of blows (slowest "
        f"healed after {slowest:.1f} s), {report['acknowledged']} records acknowledged, {report['refused']} refused, "
        f"{report['copied']} copied, topics {report['topics']}, starts {report['starts']}"
    )


def main(words: Sequence[str] | None = None) -> int:
    """See the module's words."""
    parser = argparse.ArgumentParser(prog="soak", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="how long blows are dealt (default 30)")
    parser.add_argument("--seed", type=int, default=None, help="chance; what processes make of it is never the same")
    parser.add_argument(
        "--keep", type=Path, default=None, help="a directory for all data and logs (default: a new one)"
    )
    parser.add_argument("--report", type=Path, default=None, help="where the JSON report goes (default: there)")
    arguments = parser.parse_args(words)
    tools: list[KafkaTools] = []
    for release in RELEASES:
        found = find_tools(release)
        if isinstance(found, str):
            print(f"soak: Kafka cannot be had: {found}", file=sys.stderr)
            return 2
        tools.append(found)
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    directory = arguments.keep or Path(tempfile.mkdtemp(prefix="yakt-soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    report = trio.run(soak, directory, tools, arguments.minutes, seed)
    path = arguments.report or directory / "report.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(f"report: {path}")
    print(summary(report))
    return 0 if report["verdict"] == "clean" else 1


if __name__ == "__main__":
    sys.exit(main())
