"""A broker's life as it is lived on the wire: versions, the log, registration, heartbeats, topics (contract §2)."""

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from tests.kafka.controller import CLUSTER_ID, Client, Controller, controller, make_controller
from tests.node.cluster import Cluster
from yakt.ids import NodeId, Uuid
from yakt.kafka import apis, codec
from yakt.kafka.messages import brokers, connections, fetch, topics
from yakt.kafka.observers import METADATA_TOPIC_ID
from yakt.metadata.codec import decode_batch, kind_of
from yakt.wire.batch import split

DIRECTORY = Uuid(bytes.fromhex("5f0c1d2e3a4b4c5d8e6f0000000000b1"))
INCARNATION = Uuid(bytes.fromhex("11111111222243338444555555555555"))


@pytest.fixture
async def one(autojump_clock: trio.testing.MockClock) -> AsyncIterator[Controller]:
    async with controller() as found:
        yield found


def registration(
    broker: int = 11, incarnation: Uuid = INCARNATION, **other: object
) -> brokers.BrokerRegistrationRequest:
    fields: dict[str, object] = {
        "broker_id": broker,
        "cluster_id": CLUSTER_ID,
        "incarnation_id": incarnation,
        "listeners": (
            brokers.BrokerRegistrationListener("PLAINTEXT", "127.0.0.1", 9092, 0),
            brokers.BrokerRegistrationListener("REPLICATION", "10.0.0.1", 9093, 1),
        ),
        "features": (
            brokers.BrokerRegistrationFeature("metadata.version", 7, 27),
            brokers.BrokerRegistrationFeature("kraft.version", 0, 1),
        ),
        "rack": "r1",
        "log_dirs": (DIRECTORY,),
    }
    return brokers.BrokerRegistrationRequest(**fields | other)  # type: ignore[arg-type]


def fetching(epoch: int, offset: int, last_epoch: int, **other: int) -> fetch.FetchRequest:
    partition = fetch.FetchPartition(
        current_leader_epoch=epoch,
        fetch_offset=offset,
        last_fetched_epoch=last_epoch,
        replica_directory_id=DIRECTORY,
        **other,
    )
    return fetch.FetchRequest(
        cluster_id=CLUSTER_ID,
        replica_state=fetch.FetchReplicaState(11),
        max_wait_ms=500,
        max_bytes=8 << 20,
        topics=(fetch.FetchTopic(topic_id=METADATA_TOPIC_ID, partitions=(partition,)),),
    )


async def register(client: Client, **other: object) -> int:
    answer = await client.ask(apis.BROKER_REGISTRATION, 4, registration(**other))  # type: ignore[arg-type]
    assert answer.error_code == 0
    assert answer.broker_epoch >= 0
    return int(answer.broker_epoch)


async def beat(client: Client, epoch: int, at: int, broker: int = 11, **wants: bool) -> brokers.BrokerHeartbeatResponse:
    request = brokers.BrokerHeartbeatRequest(broker, epoch, at, **wants)
    found = await client.ask(apis.BROKER_HEARTBEAT, 1, request)
    assert isinstance(found, brokers.BrokerHeartbeatResponse)
    return found


async def test_a_broker_starts_and_is_unfenced_when_it_has_its_own_registration(one: Controller) -> None:
    client = await one.connect()
    epoch = await register(client)
    row = one.service.image.brokers.get(11)
    assert row is not None
    assert (row.epoch, row.rack, row.directories, row.fenced) == (epoch, "r1", (DIRECTORY,), True)
    assert [point.name for point in row.end_points] == ["PLAINTEXT", "REPLICATION"]

    behind = await beat(client, epoch, row.registered_offset - 1)
    assert (behind.error_code, behind.is_caught_up, behind.is_fenced) == (0, False, True)
    waiting = await beat(client, epoch, row.registered_offset, want_fence=True)
    assert (waiting.is_caught_up, waiting.is_fenced) == (True, True)
    ready = await beat(client, epoch, row.registered_offset)
    assert (ready.error_code, ready.is_caught_up, ready.is_fenced, ready.should_shut_down) == (0, True, False, False)
    found = one.service.image.brokers.get(11)
    assert found is not None
    assert not found.fenced  # committed before it was said


async def test_a_broker_goes_in_order_and_may_come_back_at_once(one: Controller) -> None:
    client = await one.connect()
    epoch = await register(client)
    await beat(client, epoch, 1 << 40)
    answer = await beat(client, epoch, 1 << 40, want_shut_down=True)
    assert (answer.should_shut_down, answer.is_fenced) == (True, True)
    assert await register(client, incarnation=Uuid(bytes(15) + b"\x77")) > epoch


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"cluster_id": "another"}, 104),
        ({"broker": -1}, 42),
        ({"is_migrating_zk_broker": True}, 102),
        ({"log_dirs": ()}, 119),
        ({"log_dirs": (DIRECTORY, DIRECTORY)}, 119),
        ({"log_dirs": (Uuid(bytes(15) + b"\x02"),)}, 119),
        ({"features": ()}, 119),
        ({"features": (brokers.BrokerRegistrationFeature("metadata.version", 1, 20),)}, 35),
        ({"features": (brokers.BrokerRegistrationFeature("metadata.version", 22, 25),)}, 35),
        (
            {
                "features": (
                    brokers.BrokerRegistrationFeature("metadata.version", 1, 25),
                    brokers.BrokerRegistrationFeature("group.version", 1, 1),
                )
            },
            35,
        ),
    ],
)
async def test_who_may_not_register(one: Controller, other: dict[str, object], error: int) -> None:
    client = await one.connect()
    answer = await client.ask(apis.BROKER_REGISTRATION, 4, registration(**other))  # type: ignore[arg-type]
    assert (answer.error_code, answer.broker_epoch) == (error, -1)
    assert one.service.image.brokers.get(11) is None


async def test_two_of_one_id(one: Controller, autojump_clock: trio.testing.MockClock) -> None:
    client = await one.connect()
    epoch = await register(client)
    await beat(client, epoch, 1 << 40)
    other = registration(incarnation=Uuid(bytes(15) + b"\x77"))
    assert (await client.ask(apis.BROKER_REGISTRATION, 4, other)).error_code == 101
    assert await register(client) == epoch  # the same one again
    await trio.sleep(9.1)  # its session ends
    assert (await client.ask(apis.BROKER_REGISTRATION, 4, other)).error_code == 0
    assert (await beat(client, epoch, 1 << 40)).error_code == 77


async def test_a_stranger_has_no_epoch(one: Controller) -> None:
    client = await one.connect()
    assert (await beat(client, 5, 0)).error_code == 77
    answer = await client.ask(apis.ALLOCATE_PRODUCER_IDS, 0, brokers.AllocateProducerIdsRequest(11, 5))
    assert answer.error_code == 77
    assert (await client.ask(apis.ALTER_PARTITION, 3, brokers.AlterPartitionRequest(11, 5))).error_code == 77


async def test_the_first_fetch_learns_the_leader_and_the_next_ones_follow_the_log(one: Controller) -> None:
    client = await one.connect()
    first = await client.ask(apis.FETCH, 17, fetching(0, 0, 0))
    [[partition]] = [topic.partitions for topic in first.responses]
    assert (first.error_code, partition.error_code) == (0, 74)
    assert (partition.current_leader.leader_id, partition.current_leader.leader_epoch) == (1, 1)
    assert [(node.node_id, node.host, node.port) for node in first.node_endpoints] == [(1, "127.0.0.1", 7401)]

    answer = await client.ask(apis.FETCH, 17, fetching(1, 0, 0))
    [[partition]] = [topic.partitions for topic in answer.responses]
    batches = split(partition.records)
    assert partition.error_code == 0
    assert partition.high_watermark == batches[-1].end_offset
    kinds = [kind_of(record) for batch in batches if not batch.control for record in decode_batch(batch.body)]
    assert kinds[0] == "FeatureLevelRecord"


async def test_a_fetch_waits_for_news_and_an_observed_log_does_not_stand_still(
    one: Controller, autojump_clock: trio.testing.MockClock
) -> None:
    client = await one.connect()
    end = one.node.driver.core.log_end_offset
    began = trio.current_time()
    for _ in range(6):
        answer = await client.ask(apis.FETCH, 18, fetching(1, end, 1, high_watermark=end))
        [[partition]] = [topic.partitions for topic in answer.responses]
        assert partition.error_code == 0
        end = max([end, *(batch.end_offset for batch in split(partition.records))])
    assert 1.0 < trio.current_time() - began < 4.0
    grown = one.node.driver.core.log_end_offset
    assert grown > end - 3
    await trio.sleep(10)  # nobody looks any more: at most one more record
    assert one.node.driver.core.log_end_offset <= grown + 2


async def test_a_broker_told_of_a_snapshot_it_cannot_have(one: Controller) -> None:
    client = await one.connect()
    partition = fetch.FetchSnapshotPartition(0, 1, fetch.FetchedSnapshotId(77, 1), 0)
    request = fetch.FetchSnapshotRequest(
        CLUSTER_ID, 11, 1000, (fetch.FetchSnapshotTopic("__cluster_metadata", (partition,)),)
    )
    answer = await client.ask(apis.FETCH_SNAPSHOT, 1, request)
    [[found]] = [topic.partitions for topic in answer.topics]
    assert (found.error_code, found.unaligned_records) == (98, b"")
    assert found.current_leader.leader_id == 1


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (fetch.FetchRequest(cluster_id="another"), 42),
        (fetch.FetchRequest(topics=(fetch.FetchTopic(),)), 42),
        (fetching(1, 0, 0), 0),
    ],
)
async def test_what_is_no_fetch_of_the_log(one: Controller, request_: fetch.FetchRequest, error: int) -> None:
    client = await one.connect()
    assert (await client.ask(apis.FETCH, 17, request_)).error_code == error


async def test_another_cluster_is_told_so_at_the_top(one: Controller) -> None:
    client = await one.connect()
    partition = fetch.FetchPartition(current_leader_epoch=0, last_fetched_epoch=0)
    request = fetch.FetchRequest(
        cluster_id="another", topics=(fetch.FetchTopic(topic_id=METADATA_TOPIC_ID, partitions=(partition,)),)
    )
    answer = await client.ask(apis.FETCH, 17, request)
    assert (answer.error_code, answer.responses) == (104, ())


def envelope(frame: bytes, principal: bytes = bytes.fromhex("0000 0555736572 0a414e4f4e594d4f5553 00 00")) -> object:
    return connections.EnvelopeRequest(frame, principal, bytes((127, 0, 0, 1)))


async def test_topics_through_an_envelope_even_of_an_old_client(one: Controller) -> None:
    client = await one.connect()
    epoch = await register(client)
    await beat(client, epoch, 1 << 40)
    request = topics.CreateTopicsRequest((topics.CreatableTopic("demo", 2, 1),), 30_000)
    answer = await client.ask(
        apis.ENVELOPE, 0, envelope(codec.encode_request(apis.CREATE_TOPICS, 4, 9, "rdkafka", request))
    )
    assert answer.error_code == 0
    correlation, created = codec.decode_response(apis.CREATE_TOPICS, 4, answer.response_data)
    assert (correlation, [(topic.name, topic.error_code) for topic in created.topics]) == (9, [("demo", 0)])
    row = one.service.image.topics.get("demo")
    assert row is not None
    assert row.partitions == 2
    again = await client.ask(apis.CREATE_TOPICS, 7, request)  # plain, as brokers ask for their own topics
    assert [topic.error_code for topic in again.topics] == [36]


async def test_a_follower_says_not_controller_everywhere(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        cluster = Cluster(size=3, trio_clock=True)
        cluster.mail.clear()
        alone = make_controller(cluster, cluster.nodes[NodeId(1)], nursery)
        client = await alone.connect()
        assert (await client.ask(apis.BROKER_REGISTRATION, 4, registration())).error_code in (41, 7)
        answer = await client.ask(apis.ENVELOPE, 0, envelope(b"\x00\x37\x00\x00\x00\x00\x00\x01\xff\xff\x00\x01\x00"))
        assert (answer.error_code, answer.response_data) == (41, None)
        began = trio.current_time()
        epoch = alone.node.driver.core.epoch
        found = await client.ask(apis.FETCH, 17, fetching(epoch, 0, 0))
        [[partition]] = [topic.partitions for topic in found.responses]
        assert partition.error_code in (6, 74)
        assert partition.current_leader.leader_id == -1
        assert found.node_endpoints == ()
        assert trio.current_time() - began >= 0.29 or partition.error_code == 74
        nursery.cancel_scope.cancel()
