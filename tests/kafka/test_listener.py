"""The listener's bounds: garbage, giants, crowds, the silent and the slow cost themselves only."""

from collections.abc import AsyncIterator

import attrs
import pytest
import structlog.testing
import trio
import trio.testing

from tests.kafka.controller import CLUSTER_ID, Client, Controller, controller, find_address
from tests.node.cluster import parse
from yakt.ids import ZERO_UUID, NodeId
from yakt.kafka import apis, codec
from yakt.kafka.apis import APIS
from yakt.kafka.desk import About
from yakt.kafka.listener import Limits, serve
from yakt.kafka.messages import cluster, connections, fetch, tokens, topics
from yakt.kafka.observers import METADATA_TOPIC_ID
from yakt.metadata.answers import Answer
from yakt.metadata.records import ControllerEndpoint, RegisterControllerRecord
from yakt.node.visits import VISITS_MAX

VERSIONS = connections.ApiVersionsRequest("probe", "1")


@pytest.fixture
async def one(autojump_clock: trio.testing.MockClock) -> AsyncIterator[Controller]:
    async with controller() as found:
        yield found


async def is_alive(one: Controller) -> bool:
    """Somebody else is served all the same."""
    client = await one.connect()
    return bool((await client.ask(apis.API_VERSIONS, 4, VERSIONS)).error_code == 0)


async def hangs_up(client: Client) -> bool:
    try:
        await client.receive()
    except (EOFError, trio.BrokenResourceError):
        return True
    return False


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x0a\x00\x12\x00\x04\x00\x00\x00\x01\xff\xff",
        b"\x00\x00\x00\x0b\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff\x00",
        b"\x00\x00\x00\x0b\x00\x3f\x00\x63\x00\x00\x00\x01\xff\xff\x00",
        b"\x00\x00\x00\x0b\x00\x12\x00\x04\x00\x00\x00\x01\x7f\xff\x00",
    ],
)
async def test_garbage_closes_with_one_line(one: Controller, data: bytes) -> None:
    client = await one.connect()
    with structlog.testing.capture_logs() as logs:
        await client.stream.send_all(data)
        assert await hangs_up(client)
    assert len(logs) == 1
    assert logs[0]["client"] == "127.0.0.1:5"
    assert await is_alive(one)


async def test_a_frame_byte_by_byte_and_many_at_once(one: Controller) -> None:
    client = await one.connect()
    frame = codec.encode_request(apis.API_VERSIONS, 4, 1, "c", VERSIONS)
    whole = len(frame).to_bytes(4) + frame
    for byte in whole:
        await client.stream.send_all(bytes((byte,)))
    assert (await client.receive())[:4] == b"\0\0\0\1"
    await client.stream.send_all(whole * 20)
    for _ in range(20):
        assert (await client.receive())[:4] == b"\0\0\0\1"


async def test_half_a_request_is_not_waited_for(one: Controller, autojump_clock: trio.testing.MockClock) -> None:
    client = await one.connect()
    began = trio.current_time()
    await client.stream.send_all(b"\x00\x00\x00\x50\x00\x12")
    assert await hangs_up(client)
    assert trio.current_time() - began == pytest.approx(Limits().stall, abs=1)


async def test_the_silent_are_let_go(one: Controller, autojump_clock: trio.testing.MockClock) -> None:
    client = await one.connect()
    began = trio.current_time()
    assert await hangs_up(client)
    assert trio.current_time() - began == pytest.approx(Limits().idle, abs=1)


async def test_an_unknown_version_of_api_versions_is_told_ours_in_version_0(one: Controller) -> None:
    client = await one.connect()
    answer = await client.exchange(b"\x00\x12\x00\x63\x00\x00\x00\x09\xff\xff\x00garbage that nobody reads")
    correlation, body = codec.decode_response(apis.API_VERSIONS, 0, answer)
    assert (correlation, body.error_code) == (9, 35)
    assert [(one.api_key, one.min_version, one.max_version) for one in body.api_keys] == [(18, 0, 5)]
    again = await client.ask(apis.API_VERSIONS, 4, VERSIONS)  # on the same connection, as Kafka's client does
    assert again.error_code == 0


@pytest.mark.parametrize("version", range(6))
async def test_what_is_offered(one: Controller, version: int) -> None:
    client = await one.connect()
    request = VERSIONS if version >= 3 else connections.ApiVersionsRequest()
    answer = await client.ask(apis.API_VERSIONS, version, request)
    assert answer.error_code == 0
    offered = {one.api_key: (one.min_version, one.max_version) for one in answer.api_keys}
    assert offered == {api.key: (api.least, api.most) for api in APIS.values()}
    assert {18, 1, 62, 63, 59, 58, 19, 56, 67} <= offered.keys()
    assert not {52, 53, 54, 82} & offered.keys()
    if version >= 3:
        names = [feature.name for feature in answer.supported_features]
        zero_minima = ["group.version", "kraft.version"], ["transaction.version"]
        assert names == (
            [*zero_minima[0], "metadata.version", *zero_minima[1]] if version >= 4 else ["metadata.version"]
        )
        assert [(one.name, one.max_version_level) for one in answer.finalized_features] == [("metadata.version", 21)]


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (connections.ApiVersionsRequest("", "1"), 42),
        (connections.ApiVersionsRequest("a b", "1"), 42),
        (connections.ApiVersionsRequest("probe", "1", cluster_id="another"), 104),
        (connections.ApiVersionsRequest("probe", "1", cluster_id=CLUSTER_ID), 0),
    ],
)
async def test_who_is_no_client(one: Controller, request_: connections.ApiVersionsRequest, error: int) -> None:
    client = await one.connect()
    assert (await client.ask(apis.API_VERSIONS, 5, request_)).error_code == error


async def test_a_parked_fetch_ends_with_its_connection(one: Controller, autojump_clock: trio.testing.MockClock) -> None:
    client = await one.connect()
    end = one.node.driver.core.log_end_offset
    partition = fetch.FetchPartition(current_leader_epoch=1, fetch_offset=end, last_fetched_epoch=1)
    topic = fetch.FetchTopic(topic_id=METADATA_TOPIC_ID, partitions=(partition,))
    await client.send(
        codec.encode_request(apis.FETCH, 17, 1, "c", fetch.FetchRequest(max_wait_ms=400, topics=(topic,)))
    )
    await trio.testing.wait_all_tasks_blocked()
    assert one.node.driver.core.statistics(one.node.now()).parked_fetches == 1
    await client.stream.aclose()
    await trio.sleep(1)
    assert one.node.driver.core.statistics(one.node.now()).parked_fetches == 0
    assert not one.node.visits._deliver


async def test_more_observers_than_are_taken_are_hung_up_on(one: Controller) -> None:
    opened = [one.service.open_observer() for _ in range(VISITS_MAX)]
    client = await one.connect()
    partition = fetch.FetchPartition(current_leader_epoch=0, last_fetched_epoch=0)
    topic = fetch.FetchTopic(topic_id=METADATA_TOPIC_ID, partitions=(partition,))
    await client.send(codec.encode_request(apis.FETCH, 17, 1, "c", fetch.FetchRequest(topics=(topic,))))
    assert await hangs_up(client)
    for observer in opened:
        observer.close()
    assert await is_alive(one)


async def test_a_crowd_on_a_real_socket(one: Controller) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    about = About(node_id=NodeId(1), cluster_id=CLUSTER_ID, find_address=find_address)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, one.service, listeners, about, Limits(connections=2))
        clients = [Client(await trio.testing.open_stream_to_socket_listener(listeners[0])) for _ in range(2)]
        for client in clients:
            assert (await client.ask(apis.API_VERSIONS, 4, VERSIONS)).error_code == 0
        third = Client(await trio.testing.open_stream_to_socket_listener(listeners[0]))
        assert await hangs_up(third)
        await clients[0].stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.05)
        fourth = Client(await trio.testing.open_stream_to_socket_listener(listeners[0]))
        assert (await fourth.ask(apis.API_VERSIONS, 4, VERSIONS)).error_code == 0
        for client in (clients[1], third, fourth):
            await client.stream.aclose()
        nursery.cancel_scope.cancel()


async def test_too_many_partitions_for_one_operation(one: Controller) -> None:
    client = await one.connect()
    request = topics.CreateTopicsRequest((topics.CreatableTopic("big", 10_001, 1),))
    answer = await client.ask(apis.CREATE_TOPICS, 7, request)
    assert [topic.error_code for topic in answer.topics] == [44]


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_update_features(one: Controller, version: int) -> None:
    """A level down, looked at and done; each version has its own word for down, and 2 no list of what went well."""
    client = await one.connect()
    update = cluster.FeatureUpdate("metadata.version", 20, version == 0, 2 if version else 1)
    for validate_only in (True, False) if version else (False,):
        request = cluster.UpdateFeaturesRequest(60000, (update,), validate_only)
        answer = await client.ask(apis.UPDATE_FEATURES, version, request)
        assert (answer.error_code, answer.error_message) == (0, None)
        assert [result.feature for result in answer.results] == ([] if version == 2 else ["metadata.version"])
        row = one.service.image.features.get("metadata.version")
        assert row is not None
        assert row.level == (21 if validate_only else 20)
    up = cluster.UpdateFeaturesRequest(60000, (cluster.FeatureUpdate("nosuch", 1),))
    refused = await client.ask(apis.UPDATE_FEATURES, version, up)
    assert refused.error_code == 95
    assert "nosuch" in refused.error_message
    if version:
        odd = cluster.UpdateFeaturesRequest(60000, (cluster.FeatureUpdate("metadata.version", 20, False, 9),))
        assert (await client.ask(apis.UPDATE_FEATURES, version, odd)).error_code == 95


async def test_describe_cluster_tells_the_registered_controllers(one: Controller) -> None:
    client = await one.connect()
    request = cluster.DescribeClusterRequest(endpoint_type=2)
    assert (await client.ask(apis.DESCRIBE_CLUSTER, 1, request)).brokers == ()
    me, other = 1, 2
    for number, points in ((me, (7401,)), (other, (7402,)), (3, ())):
        one.node.driver.introduce(
            RegisterControllerRecord(
                number,
                ZERO_UUID,
                False,
                tuple(ControllerEndpoint("CONTROLLER", "127.0.0.1", port, 0) for port in points),
                (),
            )
        )
    one.node.driver.end_turn()
    answer = await client.ask(apis.DESCRIBE_CLUSTER, 1, request)
    assert (answer.error_code, answer.controller_id, answer.cluster_id) == (0, me, CLUSTER_ID)
    assert [(node.broker_id, node.host, node.port) for node in answer.brokers] == [
        (me, "127.0.0.1", 7401),
        (other, "127.0.0.1", 7402),
    ]


async def test_quorum_show_tells_the_level_and_for_whom_it_waits() -> None:
    async with controller(kraft_version=1) as there:
        result = await there.service.submit(parse("QUORUM SHOW"))
        assert isinstance(result, Answer)
        assert (result.pairs["kraft_version"], "kraft_version_waits_for" in result.pairs) == (1, False)
    async with controller() as there:
        quorum = there.node.driver.core.quorum
        quorum.config = attrs.evolve(quorum.config, kraft_version=1)
        quorum.facts.clear()
        result = await there.service.submit(parse("QUORUM SHOW"))
        assert isinstance(result, Answer)
        assert (result.pairs["kraft_version"], result.pairs["kraft_version_waits_for"]) == (0, [1])


async def test_kraft_version_goes_up_by_update_features(one: Controller) -> None:
    """The answer comes when the control batch is committed; the voters it names are this node's endpoint."""
    client = await one.connect()
    request = cluster.UpdateFeaturesRequest(60000, (cluster.FeatureUpdate("kraft.version", 1),))
    assert (await client.ask(apis.UPDATE_FEATURES, 2, request)).error_code == 0
    assert one.service.image.kraft_version == 1
    record = one.node.driver.core.voters.record
    assert record is not None
    assert [point.port for voter in record.voters for point in voter.endpoints] == [7401]
    told = await client.ask(apis.API_VERSIONS, 4, VERSIONS)
    assert [(feature.name, feature.max_version_level) for feature in told.finalized_features] == [
        ("kraft.version", 1),
        ("metadata.version", 21),
    ]
    down = cluster.UpdateFeaturesRequest(60000, (cluster.FeatureUpdate("kraft.version", 0, False, 3),))
    assert (await client.ask(apis.UPDATE_FEATURES, 2, down)).error_code == 95


@pytest.mark.parametrize("version", [1, 2, 3])
async def test_delegation_tokens_are_not_to_be_had_without_authentication(one: Controller, version: int) -> None:
    client = await one.connect()
    everyone = await client.ask(apis.DESCRIBE_DELEGATION_TOKEN, version, tokens.DescribeDelegationTokenRequest())
    mine = (tokens.DescribeDelegationTokenOwner("User", "ann"),)
    hers = await client.ask(apis.DESCRIBE_DELEGATION_TOKEN, version, tokens.DescribeDelegationTokenRequest(mine))
    created = await client.ask(
        apis.CREATE_DELEGATION_TOKEN, version, tokens.CreateDelegationTokenRequest(max_lifetime_ms=-1)
    )
    assert [answer.error_code for answer in (everyone, hers, created)] == [64, 64, 64]
