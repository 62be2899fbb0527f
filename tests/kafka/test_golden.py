"""The frames that README.md quotes."""

import re
from pathlib import Path
from typing import Any

import pytest

from yakt.ids import Uuid, parse_uuid
from yakt.kafka import apis, codec, envelopes, observers
from yakt.kafka.codec import Header
from yakt.kafka.messages import brokers, connections, fetch
from yakt.kafka.observers import METADATA_TOPIC_ID
from yakt.wire.batch import split

README = Path(__file__).parents[2] / "yakt" / "kafka" / "README.md"
FRAMES = {
    title: bytes.fromhex("".join(text.split()))
    for title, text in re.findall(r"^## ([^\n]*)\n\n```text\n(.*?)```", README.read_text(), re.S | re.M)
}
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"
DIRECTORY = Uuid(bytes.fromhex("5f0c1d2e3a4b4c5d8e6f0000000000b1"))


def frame(begin: str) -> bytes:
    """The only frame whose title begins so, without its length."""
    [found] = [frame for title, frame in FRAMES.items() if title.startswith(begin)]
    assert int.from_bytes(found[:4]) == len(found) - 4
    return found[4:]


REQUESTS = [
    (
        "ApiVersions request v4",
        apis.API_VERSIONS,
        4,
        0,
        "raft-client-1",
        connections.ApiVersionsRequest("apache-kafka-java", "4.1.1"),
    ),
    (
        "Fetch request v17",
        apis.FETCH,
        17,
        1,
        "raft-client-1",
        fetch.FetchRequest(
            cluster_id=CLUSTER_ID,
            replica_state=fetch.FetchReplicaState(1),
            max_wait_ms=500,
            max_bytes=8 << 20,
            topics=(
                fetch.FetchTopic(
                    topic_id=METADATA_TOPIC_ID,
                    partitions=(
                        fetch.FetchPartition(
                            current_leader_epoch=0, last_fetched_epoch=0, replica_directory_id=DIRECTORY
                        ),
                    ),
                ),
            ),
        ),
    ),
    (
        "BrokerRegistration request v4",
        apis.BROKER_REGISTRATION,
        4,
        3,
        "1",
        brokers.BrokerRegistrationRequest(
            1,
            CLUSTER_ID,
            Uuid(bytes.fromhex("11111111222243338444555555555555")),
            (brokers.BrokerRegistrationListener("PLAINTEXT", "127.0.0.1", 9092),),
            (
                brokers.BrokerRegistrationFeature("metadata.version", 7, 27),
                brokers.BrokerRegistrationFeature("kraft.version", 0, 1),
            ),
            None,
            log_dirs=(DIRECTORY,),
        ),
    ),
    (
        "BrokerHeartbeat request v1",
        apis.BROKER_HEARTBEAT,
        1,
        4,
        "1",
        brokers.BrokerHeartbeatRequest(1, 5, 4, want_fence=True),
    ),
]


@pytest.mark.parametrize(("title", "api", "version", "correlation", "client_id", "body"), REQUESTS)
def test_requests(title: str, api: apis.Api, version: int, correlation: int, client_id: str, body: Any) -> None:
    golden = frame(title)
    assert codec.encode_request(api, version, correlation, client_id, body) == golden
    header = codec.decode_header(golden)
    assert (header.api, header.version, header.correlation, header.client_id) == (api, version, correlation, client_id)
    assert codec.decode_body(header, golden) == body


RESPONSES = [
    (
        "ApiVersions response v4",
        apis.API_VERSIONS,
        4,
        connections.ApiVersionsResponse(
            api_keys=(
                connections.ApiVersion(1, 17, 18),
                connections.ApiVersion(18, 0, 4),
                connections.ApiVersion(62, 4, 4),
                connections.ApiVersion(63, 1, 1),
            ),
            supported_features=(
                connections.SupportedFeature("metadata.version", 7, 21),
                connections.SupportedFeature("kraft.version", 0, 1),
            ),
            finalized_features_epoch=3,
            finalized_features=(connections.FinalizedFeature("metadata.version", 21, 21),),
        ),
    ),
    ("BrokerRegistration response", apis.BROKER_REGISTRATION, 4, brokers.BrokerRegistrationResponse(broker_epoch=5)),
    (
        "BrokerHeartbeat response",
        apis.BROKER_HEARTBEAT,
        1,
        brokers.BrokerHeartbeatResponse(is_caught_up=True, is_fenced=True),
    ),
    ("Envelope response v0, NOT_CONTROLLER", apis.ENVELOPE, 0, envelopes.NOT_CONTROLLER),
]


@pytest.mark.parametrize(("title", "api", "version", "body"), RESPONSES)
def test_responses(title: str, api: apis.Api, version: int, body: Any) -> None:
    golden = frame(title)
    correlation, found = codec.decode_response(api, version, golden)
    assert codec.encode_response(Header(api, version, correlation, None, 0), found) == golden
    if api is not apis.API_VERSIONS:
        assert found == body
    else:
        assert found.finalized_features == body.finalized_features


def test_a_version_that_is_not_served_is_answered_in_version_0() -> None:
    golden = frame("ApiVersions response v0")
    body = connections.ApiVersionsResponse(35, (connections.ApiVersion(18, 0, 4),))
    assert codec.encode_unsupported(Header(apis.API_VERSIONS, 99, 0, None, 0), body) == golden


def test_fetch_answers() -> None:
    fenced = frame("Fetch response v17: FENCED")
    _, body = codec.decode_response(apis.FETCH, 17, fenced)
    [[partition]] = [topic.partitions for topic in body.responses]
    assert (partition.error_code, partition.current_leader) == (74, fetch.FetchLeader(3000, 1))
    assert body.node_endpoints == (fetch.FetchNodeEndpoint(3000, "127.0.0.1", 19093),)
    assert codec.encode_response(Header(apis.FETCH, 17, 1, None, 0), body) == fenced
    _, body = codec.decode_response(apis.FETCH, 17, frame("Fetch response v17: success"))
    [[partition]] = [topic.partitions for topic in body.responses]
    assert partition.high_watermark == 4
    assert [batch.count for batch in split(partition.records)] == [3, 1]


def test_an_envelope() -> None:
    golden = frame("Envelope request")
    inside = envelopes.open_envelope(codec.decode_body(codec.decode_header(golden), golden))
    assert (inside.header.api, inside.header.version) == (apis.CREATE_TOPICS, 7)
    assert inside.caller.principal == "User:ANONYMOUS"
    assert inside.caller.address == "127.0.0.1"
    assert [topic.name for topic in inside.body.topics] == ["demo"]
    answer = frame("Envelope response v0 carrying")
    _, body = codec.decode_response(apis.ENVELOPE, 0, answer)
    _, created = codec.decode_response(apis.CREATE_TOPICS, 7, body.response_data)
    assert created.topics[0].name == "demo"


def test_names_of_ids() -> None:
    assert parse_uuid("AAAAAAAAAAAAAAAAAAAAAQ") == METADATA_TOPIC_ID
    assert observers.replica_of(-1, DIRECTORY) is None
