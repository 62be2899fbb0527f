"""Stock brokers and tools on a quorum whose log names its voters (kraft.version 1), and what its features are."""

import re
import subprocess
from pathlib import Path

import attrs
import pytest
import trio

from tests.kafka.test_real_brokers import Stage, free_port, stage
from tests.kafka_lab.broker import Broker, wait_ended
from tests.kafka_lab.lab import KafkaTools, find_tools
from yakt.address import Address
from yakt.client import open_client
from yakt.config import ClusterConfig, Config, Listener, NodeConfig, QuorumConfig, VoterAddress
from yakt.dev.cluster import open_cluster
from yakt.errors import RefusedError
from yakt.ids import NodeId
from yakt.metadata.answers import Answer

pytestmark = pytest.mark.slow
DIRECTORY = "[A-Za-z0-9_-]{22}"
CONTROLLER = """\
process.roles=controller
node.id=3000
controller.quorum.bootstrap.servers={address}
controller.listener.names=CONTROLLER
listeners=CONTROLLER://{address}
advertised.listeners=CONTROLLER://{address}
listener.security.protocol.map=CONTROLLER:PLAINTEXT
log.dirs={data}
"""


@pytest.fixture(scope="module", params=["3.9.1", "4.3.1"])
def tools(request: pytest.FixtureRequest) -> KafkaTools:
    """One release, or a visible skip."""
    found = find_tools(request.param)
    if isinstance(found, str):
        pytest.skip(f"Kafka cannot be had: {found}")
    return found


def by_bootstrap_servers(broker: Broker) -> Broker:
    """The same broker, told addresses of controllers and none of their ids."""
    servers = ",".join(voter.partition("@")[2] for voter in broker.voters)
    return attrs.evolve(broker, voters=(), settings={"controller.quorum.bootstrap.servers": servers})


async def test_a_broker_with_bootstrap_servers_and_the_tools_of_its_release(tools: KafkaTools, tmp_path: Path) -> None:
    async with stage(tools, tmp_path, kraft_version=1) as there:
        controllers = ",".join(voter.partition("@")[2] for voter in there.broker.voters)
        broker = by_bootstrap_servers(there.broker)
        async with broker.running():
            await there.wait_broker(fenced=False)
            await there.client.ask_line("TOPIC CREATE orders partitions=2")
            assert len(await broker.produce("orders", 20)) == 20

            # The leader goes: the broker finds the next one by the voters in the log.
            killed = await there.leader()
            await there.cluster.kill(killed)
            await broker.topics("--create", "--topic", "clicks", "--partitions", "2")
            assert len(await broker.produce("clicks", 20)) == 20
            there.cluster.start(killed)
            await there.cluster.wait_serving(killed)

            quorum = tools.release.main_of("metadata-quorum")
            features = tools.release.main_of("features")
            for at in (("--bootstrap-server", broker.address), ("--bootstrap-controller", controllers)):
                status = await broker.tool_at(at, quorum, "describe", "--status")
                check_status(status, await there.leader(), [1, 2, 3])
                check_replication(await broker.tool_at(at, quorum, "describe", "--replication"), await there.leader())
                described = await broker.tool_at(at, features, "describe")
                assert re.search(
                    r"^Feature: kraft.version\s.*SupportedMaxVersion: 1\s+FinalizedVersionLevel: 1\s", described, re.M
                )
                assert re.search(r"^Feature: metadata.version\s.*FinalizedVersionLevel: 3.9-IV0\s", described, re.M)

            cluster = tools.release.main_of("cluster")
            server, controller = ("--bootstrap-server", broker.address), ("--bootstrap-controller", controllers)
            for at in (server, controller):
                said = await broker.tool_after(at, cluster, "cluster-id")
                assert said == f"Cluster ID: {broker.cluster_id}\n"
            if not tools.version.startswith("3."):
                listed = await broker.tool_after(controller, cluster, "list-endpoints")
                found = re.findall(r"^(\d+)\s+127.0.0.1\s+(\d+)\s+null\s+controller", listed, re.M)
                assert sorted(f"{node}@127.0.0.1:{port}" for node, port in found) == sorted(there.broker.voters)

            # A level of metadata.version down and up again, by both doors; what no one can do is refused.
            down = ("downgrade", "--feature", "metadata.version=20")
            assert "can be downgraded to 20" in await broker.tool_at(server, features, *down, "--dry-run")
            assert "was downgraded to 20" in await broker.tool_at(controller, features, *down)
            assert (await there.client.ask_line("FEATURE LIST")).rows[2].pairs["level"] == 20
            await there.client.ask_line("FEATURE SET metadata.version=21")
            assert "was upgraded to 21" in await broker.tool_at(
                server, features, "upgrade", "--feature", "metadata.version=21"
            )
            refused = await broker.tool_at(server, features, "upgrade", "--feature", "nosuch=1", status=1)
            assert "Could not upgrade nosuch to 1. Invalid update version 1 for feature nosuch." in refused


def check_status(said: str, leader: int, voters: list[int]) -> None:
    """`describe --status`, as Kafka's own quorum at kraft.version 1 is shown."""
    lines = dict(re.findall(r"^(\w+):\s+(.*)$", said, re.M))
    assert list(lines) == [
        "ClusterId", "LeaderId", "LeaderEpoch", "HighWatermark", "MaxFollowerLag", "MaxFollowerLagTimeMs",
        "CurrentVoters", "CurrentObservers",
    ]  # fmt: skip
    assert int(lines["LeaderId"]) == leader
    assert int(lines["HighWatermark"]) > 0
    shown = re.findall(
        rf'\{{"id": (\d+), "directoryId": "{DIRECTORY}", "endpoints": \["CONTROLLER://127.0.0.1:\d+"\]\}}',
        lines["CurrentVoters"],
    )
    assert sorted(map(int, shown)) == voters
    assert re.search(rf'\{{"id": 11, "directoryId": "{DIRECTORY}"\}}', lines["CurrentObservers"])


def check_replication(said: str, leader: int) -> None:
    """`describe --replication`: a line for each voter and observer, all of them near the end and heard just now."""
    head, *lines = said.splitlines()
    assert head.split() == [
        "NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status",
    ]  # fmt: skip
    rows = {int(words[0]): words for words in map(str.split, lines)}
    assert {node: words[6] for node, words in rows.items()} == {
        **{node: "Leader" if node == leader else "Follower" for node in (1, 2, 3)}, 11: "Observer"
    }  # fmt: skip
    assert all(re.fullmatch(DIRECTORY, words[1]) and "AAAAAAAA" not in words[1] for words in rows.values())
    fetched = [int(words[4]) for words in rows.values()]
    assert max(fetched) - min(fetched) < 60_000
    assert min(fetched) > 1_600_000_000_000


async def check_other_features(there: Stage, broker: Broker) -> None:
    """group.version and transaction.version are the brokers' own: those of 4.x can, and use it; those of 3.9 cannot."""
    line = "FEATURE SET group.version=1 transaction.version=2"
    if broker.tools.version.startswith("3."):
        with pytest.raises(RefusedError, match=r"Broker 1[12] does not support this feature"):
            await there.client.ask_line(line)
        return
    await there.client.ask_line(line)
    await there.client.ask_line("TOPIC CREATE grouped assignment=[[11],[11]]")
    acked = await broker.produce("grouped", 50)
    said = await broker.tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "--topic", "grouped", "--group", "new", "--from-beginning", "--max-messages", "50", "--timeout-ms", "40000",
        "--consumer-property", "group.protocol=consumer",
    )  # fmt: skip
    assert sorted(line for line in said.splitlines() if line.isdigit()) == sorted(acked)
    groups = await broker.tool(
        broker.tools.release.main_of("consumer-groups"), "--describe", "--state", "--group", "new"
    )
    assert "consumer" in groups or "uniform" in groups, "the protocol of KIP-848, whose assignor the broker picks"


async def test_an_existing_quorum_goes_up_by_the_tool(tools: KafkaTools, tmp_path: Path) -> None:
    """At kraft.version 0 a broker with static voters; then `kafka-features` asks for 1, and one can be told less."""
    async with stage(tools, tmp_path) as there:
        controllers = ",".join(voter.partition("@")[2] for voter in there.broker.voters)
        static, told_less = there.broker, attrs.evolve(by_bootstrap_servers(there.broker), id=12, port=free_port())
        async with static.running():
            await there.wait_broker(fenced=False)
            features = tools.release.main_of("features")
            upgrade = ("upgrade", "--feature", "kraft.version=1")
            said = await static.tool_at(("--bootstrap-controller", controllers), features, *upgrade)
            assert "kraft.version was upgraded to 1." in said
            [_, kraft, *_] = (await there.client.ask_line("FEATURE LIST")).rows
            assert (kraft.pairs["name"], kraft.pairs["level"]) == ("kraft.version", 1)
            async with told_less.running():
                await there.wait_broker(12, fenced=False)
            await there.client.ask_line("BROKER UNREGISTER 12")  # or the topic of the groups is given to the dead, too
            await check_other_features(there, static)
        log = tmp_path / "node1" / "__cluster_metadata-0" / "00000000000000000000.log"
        dumped = tools.dump_log(log)
        assert len(re.findall(r'KRaftVersion:? \{"version":0,"kRaftVersion":1\}', dumped)) == 1
        assert len(re.findall(r'KRaftVoters:? \{"version":0,"voters":.*"name":"CONTROLLER"', dumped)) == 1
        for node in there.cluster.nodes.values():
            assert "Traceback" not in node.log_path.read_text()


async def test_kafkas_own_controller_goes_on_with_the_directory_and_hands_it_back(
    tools: KafkaTools, tmp_path: Path
) -> None:
    """Kafka's controller believes the voters in the log (kraft.version 1), leads, and leaves what YAKt goes on with."""
    ports = [free_port() for _ in range(3)]
    peer, line, kafka = (Listener(at, at) for at in (Address("127.0.0.1", port) for port in ports))
    config = Config(
        cluster=ClusterConfig("eWFrdC1kZW1vLWNsdXN0ZQ", (VoterAddress(NodeId(3000), peer.listen),)),
        node=NodeConfig(NodeId(3000), tmp_path / "node3000"),
        peer=peer,
        line=line,
        kafka=kafka,
        quorum=QuorumConfig(kraft_version=1),
    )

    async def told(*lines: str) -> list[Answer]:
        async with open_cluster((config,), tmp_path, lambda line: None) as cluster:
            cluster.start(config.node.id)
            await cluster.wait_serving()
            async with open_client(str(line.advertised)) as client:
                return [await client.ask_line(one) for one in lines]

    await told(
        "BROKER REGISTER 1 host=h port=9092 session=3600000", "BROKER HEARTBEAT 1", "TOPIC CREATE orders partitions=2",
        "SNAPSHOT CREATE wait=true", "TOPIC CREATE clicks",
    )  # fmt: skip
    properties = tmp_path / "controller.properties"
    properties.write_text(CONTROLLER.format(address=kafka.listen, data=config.node.data))
    log = tmp_path / "controller.log"
    with log.open("wb") as said:
        process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for by its handle
            tools.release.command("kafka.Kafka", str(properties), heap="256m", level="INFO"),
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            controller = ("--bootstrap-controller", str(kafka.listen))
            quorum = tools.release.main_of("metadata-quorum")
            status = await Broker(1, 0, (), "", tmp_path, tools).tool_at(controller, quorum, "describe", "--status")
        finally:
            process.terminate()
            with trio.move_on_after(30):
                await wait_ended(process)
            process.kill()
            process.wait()
    assert re.search(rf'CurrentVoters:\s+\[\{{"id": 3000, "directoryId": "{DIRECTORY}", "endpoints"', status), status
    topics, shown = await told("TOPIC LIST", "QUORUM SHOW")
    assert [row.pairs["name"] for row in topics.rows] == ["clicks", "orders"]
    assert shown.pairs["kraft_version"] == 1
    epoch = shown.pairs["epoch"]
    assert isinstance(epoch, int)
    assert epoch >= 3, "Kafka's controller led an epoch of its own"
