"""Kafka's own tools and clients on three nodes and three brokers: what they print, and what the nodes say then."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kafka_lab.stage import Stage

pytestmark = pytest.mark.slow
VERSIONS = pytest.mark.parametrize("version", ["3.9.1", "4.3.1"])


@VERSIONS
def test_topics_and_configs(stage: Stage, version: str) -> None:
    name = f"clicks-{version}"

    def topics(*arguments: str) -> str:
        return stage.tool("topics", *arguments, version=version)

    assert f"Created topic {name}" in topics(
        "--create", "--topic", name, "--partitions", "3", "--replication-factor", "3", "--config", "retention.ms=777000"
    )
    described = stage.tool_until("retention.ms=777000", "topics", "--describe", "--topic", name, version=version)
    assert "PartitionCount: 3\tReplicationFactor: 3\tConfigs: " in described
    topics("--alter", "--topic", name, "--partitions", "5")
    rows = stage.ask(f"TOPIC SHOW {name}").rows
    assert [len(row.pairs["isr"]) for row in rows] == [3] * 5  # type: ignore[arg-type]
    stage.tool_until(name, "topics", "--list", version=version)
    again = stage.tools(version).run(
        "topics", "--bootstrap-server", stage.bootstrap, "--create", "--topic", name, "--partitions", "1"
    )
    assert again.status == 1
    assert "TopicExistsException" in again.err

    def configs(*arguments: str) -> str:
        return stage.tool("configs", *arguments, version=version)

    entity = ("--entity-type", "topics", "--entity-name", name)
    configs("--alter", *entity, "--add-config", "cleanup.policy=[compact,delete],max.message.bytes=5000")
    configs("--alter", *entity, "--delete-config", "retention.ms")
    kept = {row.pairs["key"]: row.pairs["value"] for row in stage.ask(f"CONFIG GET topic/{name}").rows}
    assert kept == {"cleanup.policy": "compact,delete", "max.message.bytes": "5000"}
    stage.tool_until("max.message.bytes=5000", "configs", "--describe", *entity, version=version)
    everywhere = ("--entity-type", "brokers", "--entity-default")
    configs("--alter", *everywhere, "--add-config", "log.cleaner.threads=2")
    stage.tool_until("log.cleaner.threads=2", "configs", "--describe", *everywhere, version=version)
    configs("--alter", *everywhere, "--delete-config", "log.cleaner.threads")

    topics("--delete", "--topic", name)
    assert name not in [row.pairs["name"] for row in stage.ask("TOPIC LIST").rows]


@VERSIONS
def test_quorum_features_and_cluster(stage: Stage, version: str) -> None:
    controllers = [str(node.config.kafka.advertised) for node in stage.cluster.nodes.values() if node.config.kafka]
    leader = stage.leader()
    for where in (("--bootstrap-server", stage.bootstrap), ("--bootstrap-controller", ",".join(controllers))):
        tools = stage.tools(version)
        status = tools("metadata-quorum", *where, "describe", "--status")
        assert re.search(rf"LeaderId:\s+{leader}\b", status)
        assert re.search(r"MaxFollowerLag:\s+\d", status)
        replication = tools("metadata-quorum", *where, "describe", "--replication")
        roles = dict(re.findall(r"^(\d+)\s.*\s(Leader|Follower|Observer)\s*$", replication, re.MULTILINE))
        assert sorted(roles.items(), key=lambda item: int(item[0])) == sorted(
            [(str(node), "Leader" if node == leader else "Follower") for node in (1, 2, 3)]
            + [(str(broker), "Observer") for broker in (11, 12, 13)],
            key=lambda item: int(item[0]),
        )
        features = tools("features", *where, "describe")
        assert re.search(r"Feature: metadata.version\s.*FinalizedVersionLevel: 3\.9-IV0\s", features)
        assert stage.cluster.node(1).config.cluster.id in tools("cluster", "cluster-id", *where)


@VERSIONS
def test_reassignment_and_preferred_leaders(stage: Stage, version: str, tmp_path: Path) -> None:
    name = f"moved-{version}"
    stage.ask(f"TOPIC CREATE {name} assignment=[[11,12],[12,13]]")
    plan = tmp_path / "plan.json"
    plan.write_text(
        json.dumps(
            {
                "version": 1,
                "partitions": [
                    {"topic": name, "partition": 0, "replicas": [13, 11]},
                    {"topic": name, "partition": 1, "replicas": [11, 12, 13]},
                ],
            }
        )
    )
    move = ("reassign-partitions", "--reassignment-json-file", str(plan))
    stage.tool_until("Successfully started", *move, "--execute", version=version)
    stage.wait(
        f"TOPIC SHOW {name}",
        lambda rows: [(row["replicas"], row["adding"]) for row in rows] == [([13, 11], []), ([11, 12, 13], [])],
    )
    for partition in (0, 1):
        stage.tool_until(f"{name}-{partition} is complete", *move, "--verify", version=version)
    stage.wait(f"TOPIC SHOW {name}", lambda rows: [len(row["isr"]) for row in rows] == [2, 3])  # type: ignore[arg-type]
    election = tmp_path / "election.json"
    election.write_text(json.dumps({"partitions": [{"topic": name, "partition": partition} for partition in (0, 1)]}))
    stage.tool("leader-election", "--election-type", "preferred", "--path-to-json-file", str(election), version=version)
    stage.wait(f"TOPIC SHOW {name}", lambda rows: [row["leader"] for row in rows] == [13, 11])


@VERSIONS
def test_console_clients_and_groups(stage: Stage, version: str) -> None:
    name, group = f"console-{version}", f"readers-{version}"
    stage.ask(f"TOPIC CREATE {name} partitions=2 replication=3")
    stage.tool("console-producer", "--topic", name, version=version, stdin="".join(f"line {n}\n" for n in range(40)))
    read = stage.tool(
        "console-consumer", "--topic", name, "--group", group, "--from-beginning", "--max-messages", "40",
        "--timeout-ms", "40000", version=version,
    )  # fmt: skip
    assert sorted(read.split("\n")) == sorted(["", *(f"line {n}" for n in range(40))])
    described = stage.tool("consumer-groups", "--describe", "--group", group, version=version)
    lags = [line.split()[5] for line in described.splitlines() if line.startswith(group)]
    assert lags == ["0", "0"]
    assert group in stage.tool("consumer-groups", "--list", version=version)
    stage.tool("consumer-groups", "--delete", "--group", group, version=version)
    ends = stage.tool("get-offsets", "--topic", name, version=version)
    assert sum(int(line.rpartition(":")[2]) for line in ends.split()) == 40


def test_made_with_netcat_produced_to_with_kcat(stage: Stage) -> None:
    """The whole way without a line of Python or Java but the servers'."""
    if shutil.which("kcat") is None or shutil.which("nc") is None:
        pytest.skip("kcat and nc are needed (Debian: apt-get install kcat netcat-openbsd)")
    address = stage.cluster.node(2).line_address
    made = subprocess.run(
        ["nc", "-N", address.host, str(address.port)], input=b"TOPIC CREATE netcat partitions=2 replication=3\n",
        capture_output=True, check=True, timeout=30,
    )  # fmt: skip
    assert made.stdout.startswith(b"OK offset=")
    stage.wait("TOPIC SHOW netcat", lambda rows: len(rows) == 2)

    def kcat(*arguments: str, said: str = "") -> str:
        return subprocess.run(
            ["kcat", "-b", stage.bootstrap, *arguments], input=said, capture_output=True, text=True, check=True,
            timeout=60,
        ).stdout  # fmt: skip

    kcat("-P", "-t", "netcat", "-X", "acks=all", said="".join(f"{n}\n" for n in range(50)))
    assert sorted(map(int, kcat("-C", "-t", "netcat", "-e", "-q").split())) == list(range(50))
    assert 'topic "netcat" with 2 partitions' in kcat("-L", "-t", "netcat")
