"""Bodies as the request collections of earlier implementations send them, at the routes they know."""

import itertools
from typing import Any

import pytest

from tests.http.nodes import Nodes

_serial = itertools.count(700)
CHANGE = "RegistrationChangeBrokerRecord"


def envelope(name: str, /, **fields: Any) -> dict[str, Any]:
    """As the assignment's servers take them; the timestamp is the client's and is ignored."""
    return {"type": "metadata", "name": name, "fields": fields, "timestamp": "1970-01-01T00:00:00Z"}


def broker_body(broker_id: int, **fields: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "internalUUID": "", "brokerId": broker_id, "brokerHost": "localhost", "brokerPort": "", "securityProtocol": "",
        "brokerStatus": "INIT", "rackId": "", "epoch": 0, "sessionMs": 600_000,
    }  # fmt: skip
    return envelope("RegisterBrokerRecord", **{**whole, **fields})


@pytest.mark.parametrize(
    ("register", "create_topic", "create_partition", "producer", "change", "change_name", "unregister"),
    [
        (
            "/register_broker", "/create_topic", "/create_partition", "/record_producer", "/register_broker_change",
            CHANGE, ("DELETE", "/unregister_broker"),
        ),
        (
            "/register-broker-record", "/register-topic-record", "/partition-record", "/register-producer-record",
            "/register-broker-change", "BrokerRegistrationChangeBrokerRecord", ("POST", "/delete-broker-record"),
        ),
    ],
)  # fmt: skip
def test_a_collection_runs_unchanged(
    nodes: Nodes,
    register: str,
    create_topic: str,
    create_partition: str,
    producer: str,
    change: str,
    change_name: str,
    unregister: tuple[str, str],
) -> None:
    node = nodes[1]
    broker_id, other = next(_serial), next(_serial)
    made = node.post(register, broker_body(broker_id))
    assert made.status == 201
    uuid = made.body["internalUUID"]
    assert (made.body["brokerId"], made.fields["brokerPort"], made.fields["brokerStatus"]) == (broker_id, "0", "ALIVE")
    assert node.post(register, broker_body(other, brokerPort="9093")).status == 201

    name = f"collection-{broker_id}"
    topic = node.post(create_topic, envelope("TopicRecord", topicUUID="", name=name))
    assert topic.status == 201
    topic_uuid = topic.body["topicUUID"]
    # A number that no other topic has, so that the routes without a topic know which is meant.
    last = max((one["fields"]["partitionId"] for one in node.get("/v1/partitions").body), default=-1) + 1
    for number in range(last + 1):
        body = envelope(
            "PartitionRecord",
            partitionId=number, topicUUID=topic_uuid, replicas=[broker_id], ISR=[], removingReplicas=[],
            addingReplicas=[], leader=uuid, partitionEpoch=0,
        )  # fmt: skip
        partition = node.post(create_partition, body)
        assert partition.status == 201, partition
        assert partition.fields["leader"] == uuid

    answer = node.post(producer, envelope("ProducerIdsRecord", brokerId=uuid, brokerEpoch=0, producerId=""))
    assert answer.status == 201
    assert answer.fields["brokerId"] == uuid

    body = envelope(change_name, brokerId=uuid, brokerHost="elsewhere", brokerPort="", securityProtocol="", epoch=0)
    changed = node.post(change, body)
    assert changed.status == 200
    assert (changed.fields["brokerHost"], changed.fields["epoch"], changed.fields["brokerPort"]) == (
        "elsewhere",
        1,
        "0",
    )

    for key in ({"internalUUID": uuid}, {"brokerId": uuid}, {"brokerId": broker_id}, {"brokerId": str(broker_id)}):
        assert node.post("/get_broker_by_id", key).fields["brokerHost"] == "elsewhere"
    assert node.post("/get_topic_by_name", {"topic_name": name}).fields["topicUUID"] == topic_uuid
    active = [one["fields"]["brokerId"] for one in node.get("/get_active_brokers").body]
    assert {broker_id, other} <= set(active)

    added = node.post("/add_replica", {"partitionId": last, "addingReplicas": [other]})
    assert (added.status, added.fields["replicas"]) == (200, [broker_id, other])
    removed = node.post("/remove_replica", {"partitionId": last, "removingReplicas": [other]})
    assert (removed.status, removed.fields["replicas"]) == (200, [broker_id])

    for path in ("/broker_mgmt", "/client_mgmt"):
        found = node.post(path, {"timestamp": topic.body["timestamp"]}).body
        assert found["kind"] == "diff"
        assert name in [one["fields"]["name"] for one in found["upserted"]["TopicRecord"]]
    offset = node.ask("GET", "/metadata-fetch-client").body["offset"]
    beat = node.post("/metadata-fetch-broker", {"brokerId": uuid, "offset": offset})
    assert (beat.status, beat.body["kind"]) == (200, "diff")
    assert node.get(f"/metadata-fetch-client?offset={topic.body['timestamp']}").body["kind"] == "diff"

    for one in (uuid, str(other)):
        gone = node.ask(*unregister, {"brokerId": one})
        assert gone.status == 200
    assert gone.body["brokerId"] == other
    assert node.ask(*unregister, {"brokerId": uuid}).status == 404
    node.ask("DELETE", f"/v1/topics/{name}")


def test_a_replica_of_a_partition_that_several_topics_have(nodes: Nodes) -> None:
    node = nodes[0]
    broker_id = next(_serial)
    node.post("/register_broker", broker_body(broker_id))
    names = [f"several-{next(_serial)}" for _ in range(2)]
    for name in names:
        node.post("/v1/topics", {"name": name})
        node.post(f"/v1/topics/{name}/partitions", {"replicas": [broker_id]})
    refused = node.post("/add_replica", {"partitionId": 0, "addingReplicas": [broker_id]})
    assert refused.status == 400
    assert set(names) <= set(refused.body["topics"])
    named = {"partitionId": 0, "addingReplicas": [broker_id], "topicUUID": names[0]}
    assert node.post("/add_replica", named).status == 200
    assert node.post("/add_replica", {**named, "addingReplicas": [1, 2]}).status == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/register_broker", envelope("TopicRecord", name="x")),
        ("/register_broker", broker_body(1, brokerPort="many")),
        ("/register_broker", broker_body(1, brokerHost="")),
        ("/create_topic", envelope("TopicRecord", name="has blanks")),
        ("/create_topic", envelope("TopicRecord", name="")),
        ("/get_broker_by_id", {}),
        ("/add_replica", {"addingReplicas": [1]}),
        ("/client_mgmt", {"timestamp": "yesterday"}),
    ],
)
def test_what_kafka_cannot_hold_is_a_400(nodes: Nodes, path: str, body: dict[str, Any]) -> None:
    assert nodes[2].post(path, body).status == 400
