"""Brokers and nodes die and hang while a verifiable producer is at work: what was acknowledged is consumed, once."""

import json
import queue
import subprocess
import threading
from pathlib import Path

import confluent_kafka
import pytest

from tests.kafka_lab.stage import Stage

pytestmark = pytest.mark.slow
ACK_S = 60.0
PRODUCER = """\
enable.idempotence=true
retries=2147483647
delivery.timeout.ms=120000
request.timeout.ms=4000
max.block.ms=120000
linger.ms=0
"""


class Producing:
    """kafka-verifiable-producer with acks from all, in a process of its own; `acked` grows while it is at work."""

    def __init__(self, stage: Stage, topic: str, directory: Path) -> None:
        properties = directory / "producer.properties"
        properties.write_text(PRODUCER)
        release = stage.releases[0]
        command = release.command(
            release.main_of("verifiable-producer"), "--bootstrap-server", stage.bootstrap, "--topic", topic,
            "--acks", "-1", "--throughput", "300", "--producer.config", str(properties),
        )  # fmt: skip
        self.acked: list[str] = []
        self.refused: list[str] = []
        self._more: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                event = json.loads(line)
                if event["name"] == "producer_send_success":
                    self.acked.append(event["value"])
                    self._more.put(None)
                elif event["name"] == "producer_send_error":
                    self.refused.append(line)

    def wait_acks(self, count: int) -> None:
        """Until so many more are acknowledged."""
        while not self._more.empty():
            self._more.get()
        for _ in range(count):
            self._more.get(timeout=ACK_S)

    def stop(self) -> None:
        """SIGTERM: what is under way is still sent."""
        self._process.terminate()
        self._reader.join(ACK_S)
        self._process.wait(ACK_S)

    def kill(self) -> None:
        """Whatever it does."""
        self._process.kill()
        self._reader.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_every_acknowledged_record_is_consumed_once(stage: Stage, tmp_path: Path) -> None:
    stage.ask("TOPIC CREATE kills partitions=3 replication=3 config.min.insync.replicas=2")
    producing = Producing(stage, "kills", tmp_path)
    try:
        producing.wait_acks(200)
        # Nodes: the leader is killed, the next one hangs.
        killed = stage.leader()
        stage.kill(killed)
        producing.wait_acks(300)
        stage.start(killed)
        hung = stage.leader()
        stage.pause(hung)
        producing.wait_acks(300)
        stage.wait("QUORUM SHOW", lambda rows: [row["id"] for row in rows])  # a leader answers, another one
        assert stage.leader() != hung
        stage.start(hung)
        # Brokers: one that leads is killed, comes back, and another one hangs until its session ends.
        [first, *_] = stage.ask("TOPIC SHOW kills").rows
        victim = int(str(first.pairs["leader"]))
        stage.kill(victim)
        stage.wait("TOPIC SHOW kills", lambda rows: all(victim not in row["isr"] for row in rows))  # type: ignore[operator]
        producing.wait_acks(300)
        stage.start(victim)
        stage.wait("TOPIC SHOW kills", lambda rows: all(len(row["isr"]) == 3 for row in rows))  # type: ignore[arg-type]
        other = next(broker_id for broker_id in (13, 12, 11) if broker_id != victim)
        stage.pause(other)
        stage.wait(f"BROKER SHOW {other}", lambda rows: rows[0]["fenced"])
        producing.wait_acks(300)
        stage.start(other)
        stage.wait("TOPIC SHOW kills", lambda rows: all(len(row["isr"]) == 3 for row in rows))  # type: ignore[arg-type]
        producing.wait_acks(100)
        producing.stop()
    finally:
        producing.kill()
    assert producing.refused == []
    ends = stage.tool("get-offsets", "--topic", "kills")
    count = sum(int(line.rpartition(":")[2]) for line in ends.split())
    read = stage.tool(
        "console-consumer",
        "--topic",
        "kills",
        "--from-beginning",
        "--max-messages",
        str(count),
        "--timeout-ms",
        "30000",
    ).split()
    assert set(producing.acked) <= set(read)
    assert len(read) == len(set(read)) == count


def test_a_controlled_shutdown_hands_leadership_over_and_back(stage: Stage) -> None:
    stage.ask("TOPIC CREATE parting assignment=[[12,11,13],[12,13,11]]")
    stage.wait("TOPIC SHOW parting", lambda rows: all(len(row["isr"]) == 3 for row in rows))  # type: ignore[arg-type]
    before = int(str(stage.ask("BROKER LIST").pairs["offset"]))
    assert stage.terminate(12) in (0, 143)
    rows = stage.ask("TOPIC SHOW parting").rows
    assert [row.pairs["leader"] for row in rows] == [11, 13]
    assert all(12 not in row.pairs["isr"] for row in rows)  # type: ignore[operator]
    kinds = [row.pairs for row in stage.ask(f"LOG from={before} limit=1000").rows]
    changes = [pairs["fields"] for pairs in kinds if pairs["kind"] == "BrokerRegistrationChangeRecord"]
    assert changes[0]["inControlledShutdown"] == 1  # type: ignore[index,call-overload]
    stage.start(12)
    stage.wait("TOPIC SHOW parting", lambda rows: all(len(row["isr"]) == 3 for row in rows))  # type: ignore[arg-type]
    stage.tool("leader-election", "--election-type", "preferred", "--all-topic-partitions")
    stage.wait("TOPIC SHOW parting", lambda rows: [row["leader"] for row in rows] == [12, 12])


def test_a_log_directory_fails(stage: Stage) -> None:
    """Broker 13 has two: it assigns replicas to them, and what was in the lost one is led elsewhere."""
    stage.ask("TOPIC CREATE dirs assignment=[[13,11],[13,11],[13,11],[13,11]]")
    broker = stage.broker(13)
    lost = broker.data[1]

    def held() -> set[int]:
        return {int(path.name.rpartition("-")[2]) for path in lost.glob("dirs-[0-9]")}

    producer = confluent_kafka.Producer({"bootstrap.servers": stage.bootstrap, "acks": "all"})
    for partition in range(4):  # acknowledged by both, so that each log is somewhere
        producer.produce("dirs", b"x", partition=partition)
    assert producer.flush(30) == 0
    partitions = held()
    assert 0 < len(partitions) < 4  # it spreads them
    kept = lost.with_name("kept")
    lost.rename(kept)
    lost.touch()  # no directory any more: the next checkpoint in it fails
    try:
        stage.wait(
            "TOPIC SHOW dirs",
            lambda rows: {row["partition"] for row in rows if row["leader"] == 11} >= partitions,
        )
        led = {row.pairs["partition"] for row in stage.ask("TOPIC SHOW dirs").rows if row.pairs["leader"] == 13}
        assert led == {0, 1, 2, 3} - partitions
        stage.kill(13)
    finally:
        lost.unlink()
        kept.rename(lost)
    stage.start(13)
    stage.wait("TOPIC SHOW dirs", lambda rows: all(sorted(row["isr"]) == [11, 13] for row in rows))  # type: ignore[type-var,arg-type]
