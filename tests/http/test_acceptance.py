"""What earlier implementations of this API got wrong, each as a test against nodes that are real processes."""

import http.client
import itertools
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.http.nodes import Node, Nodes, open_nodes, until

_serial = itertools.count(100)


@pytest.fixture
def broker(nodes: Nodes) -> Iterator[int]:
    """A broker of the test's own, alive as long as a test may take."""
    broker_id = next(_serial)
    body = {"brokerId": broker_id, "brokerHost": "b", "brokerPort": 9092, "sessionMs": 600_000}
    assert nodes[0].post("/v1/brokers", body).status == 201
    yield broker_id
    nodes[0].ask("DELETE", f"/v1/brokers/{broker_id}")


@pytest.fixture
def topic(nodes: Nodes) -> str:
    """A topic of the test's own, without partitions."""
    name = f"topic-{next(_serial)}"
    assert nodes[0].post("/v1/topics", {"name": name}).status == 201
    return name


def applied(node: Node, offset: int) -> bool:
    return bool(node.get("/status").body["applied"] > offset)


# --- identical, true, durable


def test_uuids_and_times_are_identical_on_all_replicas(nodes: Nodes, broker: int, topic: str) -> None:
    nodes[1].post(f"/v1/topics/{topic}/partitions", {"replicas": [broker]})
    for path in (f"/v1/brokers/{broker}", f"/v1/topics/{topic}", "/v1/partitions"):
        answers = [node.get(path).body for node in nodes.all]
        assert answers[0] == answers[1] == answers[2]
        first = answers[0][0] if isinstance(answers[0], list) else answers[0]
        assert abs(time.time() - _seconds(first["timestamp"])) < 600


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_status_codes_are_true(nodes: Nodes, broker: int, topic: str) -> None:
    node = nodes[2]
    assert node.post(f"/v1/topics/{topic}/partitions", {"partitionId": 0, "replicas": [broker]}).status == 201
    for method, path, body, status, code in (
        ("POST", "/v1/topics", {"name": topic}, 409, "TOPIC_EXISTS"),
        ("POST", "/v1/topics", {}, 400, "BAD_ARGUMENT"),
        ("POST", "/v1/topics", {"name": "no blanks"}, 400, "INVALID_TOPIC"),
        ("POST", "/v1/topics", {"name": 7}, 400, "BAD_ARGUMENT"),
        ("POST", "/v1/topics", {"name": "x", "partitons": 3}, 400, "BAD_ARGUMENT"),
        ("POST", "/v1/topics", b"{", 400, "BAD_SYNTAX"),
        ("POST", "/v1/topics", b"[]", 400, "BAD_SYNTAX"),
        ("POST", "/v1/topics?colour=red", {"name": "x"}, 400, "BAD_ARGUMENT"),
        ("POST", "/v1/topics", {"name": "x=1 partitions=3"}, 400, "INVALID_TOPIC"),
        ("GET", "/v1/topics/nosuch", None, 404, "UNKNOWN_TOPIC"),
        ("GET", "/v1/brokers/4711", None, 404, "UNKNOWN_BROKER"),
        ("GET", "/v1/brokers/nosuch", None, 404, "UNKNOWN_BROKER"),
        ("GET", f"/v1/topics/{topic}/partitions/1", None, 404, "UNKNOWN_TOPIC_OR_PARTITION"),
        ("GET", "/v1/producers/4711", None, 404, "UNKNOWN_PRODUCER_ID"),
        ("POST", f"/v1/topics/{topic}/partitions", {"partitionId": 0}, 409, "CONFLICT"),
        ("POST", f"/v1/topics/{topic}/partitions", {"partitionId": 7}, 400, "INVALID_PARTITIONS"),
        ("POST", "/v1/brokers", {"brokerId": broker, "brokerHost": "h"}, 409, "DUPLICATE_BROKER"),
        ("POST", "/v1/brokers", {"brokerId": 1, "brokerHost": "h", "brokerPort": "many"}, 400, "BAD_ARGUMENT"),
        ("POST", "/v1/brokers", {"brokerId": "x", "brokerHost": "h"}, 400, "BAD_ARGUMENT"),
        ("POST", "/v1/metadata/broker", {"brokerId": 4711}, 404, "UNKNOWN_BROKER"),
        ("POST", "/v1/metadata/broker", {}, 400, "BAD_ARGUMENT"),
        ("GET", "/v1/metadata/client?timestamp=soon", None, 400, "BAD_ARGUMENT"),
        ("DELETE", f"/v1/brokers/{broker}/changes", None, 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/topics", {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/nowhere", None, 404, "NOT_FOUND"),
        ("GET", "/v1/topics/", None, 404, "NOT_FOUND"),
        ("GET", "/v1/watch?since=999999999", None, 400, "BAD_ARGUMENT"),
    ):
        answer = node.ask(method, path, body)
        assert (answer.status, answer.body["code"]) == (status, code), (method, path, answer)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.body["status"] == status
        assert answer.body["applied"] == "no"


def test_a_follower_says_whom_to_ask_when_it_may_not_forward(nodes: Nodes) -> None:
    leader = nodes.leader()
    follower = next(node for node in nodes.all if node is not leader)
    answer = follower.post("/v1/topics?forward=false", {"name": "elsewhere"})
    assert (answer.status, answer.body["code"]) == (421, "NOT_LEADER")
    assert answer.body["leader"] == leader.config.node.id
    assert leader.get("/v1/topics/elsewhere").status == 404


def test_a_repeated_request_is_applied_once(nodes: Nodes) -> None:
    name = f"once-{next(_serial)}"
    first = nodes[0].post(f"/v1/topics?request={name}", {"name": name})
    again = nodes[1].post(f"/v1/topics?request={name}", {"name": name})
    assert first.status == again.status == 201
    assert first.body == again.body
    other = nodes[2].post(f"/v1/topics?request={name}", {"name": f"{name}-b"})
    assert (other.status, other.body["code"]) == (409, "CONFLICT")


def test_a_check_writes_nothing(nodes: Nodes) -> None:
    answer = nodes[0].post("/v1/topics?check=true", {"name": "never"})
    assert answer.status == 200
    assert answer.body["records"][0]["kind"] == "TopicRecord"
    assert nodes[0].get("/v1/topics/never").status == 404


# --- brokers


def test_a_broker_registers_again_after_unregistering(nodes: Nodes) -> None:
    broker_id = next(_serial)
    body = {"brokerId": broker_id, "brokerHost": "h", "brokerPort": "9092", "securityProtocol": "Telnet"}
    first = nodes[0].post("/v1/brokers", body)
    assert first.status == 201
    assert first.fields["brokerStatus"] == "ALIVE"
    assert (first.fields["brokerPort"], first.fields["securityProtocol"], first.fields["epoch"]) == (
        "9092",
        "Telnet",
        0,
    )
    gone = nodes[1].ask("DELETE", f"/v1/brokers/{first.fields['internalUUID']}")
    assert gone.body["internalUUID"] == first.fields["internalUUID"]
    assert nodes[2].get(f"/v1/brokers/{broker_id}").fields["brokerStatus"] == "CLOSED"
    active = nodes[2].get("/v1/brokers?active=true").body
    assert broker_id not in [one["fields"]["brokerId"] for one in active]
    again = nodes[2].post("/v1/brokers", body)
    assert again.status == 201
    assert (again.fields["epoch"], again.fields["brokerStatus"]) == (1, "ALIVE")
    assert again.fields["internalUUID"] != first.fields["internalUUID"]


def test_a_session_ends_and_a_fetch_revives_it(nodes: Nodes) -> None:
    broker_id = next(_serial)
    body = {"brokerId": broker_id, "brokerHost": "h", "sessionMs": 300}
    made = nodes[0].post("/v1/brokers", body)

    def status() -> str:
        return str(nodes[1].get(f"/v1/brokers/{broker_id}").fields["brokerStatus"])

    until(lambda: status() == "FENCED")
    behind = nodes[1].post("/v1/metadata/broker", {"brokerId": broker_id, "offset": 0})
    assert behind.status == 200
    assert status() == "FENCED"  # it has not seen its own registration
    assert nodes[1].post("/v1/metadata/broker", {"brokerId": made.fields["internalUUID"]}).status == 200
    until(lambda: nodes[1].post("/v1/metadata/broker", {"brokerId": broker_id}) and status() == "ALIVE")
    assert nodes[1].get(f"/v1/brokers/{broker_id}").fields["epoch"] == 0


def test_changes_of_a_broker_are_counted_and_listed(nodes: Nodes, broker: int) -> None:
    for port in ("9093", "9094"):
        answer = nodes[1].ask("PATCH", f"/v1/brokers/{broker}", {"brokerPort": port})
        assert (answer.status, answer.fields["brokerPort"]) == (200, port)
    found = nodes[2].get(f"/v1/brokers/{broker}/changes").body
    assert [(one["fields"]["brokerPort"], one["fields"]["epoch"]) for one in found] == [("9093", 1), ("9094", 2)]
    assert {one["name"] for one in found} == {"RegistrationChangeBrokerRecord"}
    fenced = nodes[0].ask("PATCH", f"/v1/brokers/{broker}", {"brokerStatus": "FENCED"})
    assert fenced.fields["brokerStatus"] == "FENCED"
    assert (
        nodes[0].ask("PATCH", f"/v1/brokers/{broker}", {"brokerStatus": "UNFENCED"}).fields["brokerStatus"] == "ALIVE"
    )


# --- topics and partitions


def test_two_topics_each_have_a_partition_0(nodes: Nodes, broker: int) -> None:
    names = [f"two-{next(_serial)}" for _ in range(2)]
    uuids = [nodes[0].post("/v1/topics", {"name": name}).fields["topicUUID"] for name in names]
    for uuid in uuids:
        body = {"partitionId": 0, "topicUUID": uuid, "replicas": [broker]}
        assert nodes[1].post("/v1/partitions", body).status == 201
    for name, uuid in zip(names, uuids, strict=True):
        found = nodes[2].get(f"/v1/topics/{name}/partitions/0").fields
        assert (found["topicUUID"], found["partitionId"]) == (uuid, 0)


def test_a_partition_begins_with_its_live_replicas(nodes: Nodes, broker: int, topic: str) -> None:
    uuid = nodes[0].get(f"/v1/brokers/{broker}").fields["internalUUID"]
    made = nodes[0].post(f"/v1/topics/{topic}/partitions", {"replicas": [broker], "leader": uuid, "ISR": [broker]})
    assert made.status == 201
    assert (made.fields["leader"], made.fields["ISR"], made.fields["partitionEpoch"]) == (uuid, [broker], 0)
    wrong = nodes[0].post(f"/v1/topics/{topic}/partitions", {"replicas": [broker], "ISR": [999]})
    assert wrong.status == 400


def test_a_deleted_partition_is_gone_until_it_is_made_again(nodes: Nodes, broker: int, topic: str) -> None:
    path = f"/v1/topics/{topic}/partitions"
    for _ in range(2):
        assert nodes[0].post(path, {"replicas": [broker]}).status == 201
    since = nodes[0].get("/v1/metadata/client").body["offset"]
    assert nodes[0].ask("DELETE", f"{path}/0").status == 200
    assert nodes[1].get(f"{path}/0").status == 404
    assert [one["fields"]["partitionId"] for one in nodes[1].get(path).body] == [1]
    deleted = nodes[2].get(f"/v1/metadata/client?offset={since}").body["deleted"]["PartitionRecord"]
    assert [one["fields"]["partitionId"] for one in deleted] == [0]
    assert nodes[2].post(path, {"partitionId": 0, "replicas": [broker]}).status == 201
    assert nodes[1].get(f"{path}/0").status == 200


def test_replicas_are_added_and_removed(nodes: Nodes, broker: int, topic: str) -> None:
    other = next(_serial)
    nodes[0].post("/v1/brokers", {"brokerId": other, "brokerHost": "h", "sessionMs": 600_000})
    path = f"/v1/topics/{topic}/partitions"
    epoch = nodes[0].post(path, {"replicas": [broker]}).fields["partitionEpoch"]
    added = nodes[1].ask("PUT", f"{path}/0/replicas/{other}")
    assert added.status == 200
    assert (added.fields["replicas"], added.fields["addingReplicas"]) == ([broker, other], [other])
    assert (added.fields["ISR"], added.fields["partitionEpoch"]) == ([broker], epoch + 1)
    assert nodes[1].ask("PUT", f"{path}/0/replicas/{other}").fields["partitionEpoch"] == epoch + 1
    removed = nodes[2].ask("DELETE", f"{path}/0/replicas/{other}")
    assert (removed.fields["replicas"], removed.fields["partitionEpoch"]) == ([broker], epoch + 2)
    assert nodes[2].ask("DELETE", f"{path}/0/replicas/{other}").status == 404
    assert nodes[2].ask("PUT", f"{path}/0/replicas/4711").status == 404
    assert nodes[2].ask("DELETE", f"{path}/0/replicas/{broker}").status == 400  # the last one


def test_producers_are_registered_once(nodes: Nodes, broker: int) -> None:
    uuid = nodes[0].get(f"/v1/brokers/{broker}").fields["internalUUID"]
    given = next(_serial) + 10**12
    made = nodes[0].post("/v1/producers", {"brokerId": str(broker), "brokerEpoch": 0, "producerId": given})
    assert made.status == 201
    assert (made.fields["brokerId"], made.fields["producerId"]) == (uuid, given)
    again = nodes[1].post("/v1/producers", {"brokerId": uuid, "producerId": given})
    assert again.status == 409
    block = nodes[1].post("/v1/producers", {"brokerId": uuid}).fields["producerId"]
    assert block > given
    assert nodes[1].post("/v1/producers", {"brokerId": uuid, "brokerEpoch": 9999}).status == 409
    assert nodes[2].get(f"/v1/producers/{given}").fields == made.fields
    assert given in [one["fields"]["producerId"] for one in nodes[2].get("/v1/producers").body]
    assert nodes[2].ask("DELETE", f"/v1/producers/{given}").status == 200
    assert nodes[2].get(f"/v1/producers/{given}").status == 404


# --- MetadataFetch


def test_a_diff_is_empty_when_nothing_is_new(nodes: Nodes) -> None:
    def look() -> bool:
        offset = nodes[0].get("/v1/metadata/client").body["offset"]
        again = nodes[1].get(f"/v1/metadata/client?offset={offset}").body
        return bool(again == {"kind": "diff", "offset": again["offset"], "upserted": {}, "deleted": {}})

    until(look)  # sessions of other tests may end in between


def test_deletes_appear_in_diffs(nodes: Nodes, broker: int, topic: str) -> None:
    since = nodes[0].get("/v1/metadata/client").body["offset"]
    nodes[0].ask("DELETE", f"/v1/topics/{topic}")
    nodes[0].ask("DELETE", f"/v1/brokers/{broker}")
    found = nodes[1].get(f"/v1/metadata/client?offset={since}").body
    assert found["kind"] == "diff"
    assert topic in [one["fields"]["name"] for one in found["deleted"]["TopicRecord"]]
    assert broker in [one["fields"]["brokerId"] for one in found["deleted"]["RegisterBrokerRecord"]]
    assert "TopicRecord" not in found["upserted"] or topic not in str(found["upserted"]["TopicRecord"])


def test_partitions_appear_in_the_clients_view(nodes: Nodes, broker: int, topic: str) -> None:
    since = nodes[0].get("/v1/metadata/client").body["offset"]
    nodes[0].post(f"/v1/topics/{topic}/partitions", {"replicas": [broker]})
    nodes[0].post("/v1/producers", {"brokerId": broker})
    view = nodes[2].get(f"/v1/metadata/client?offset={since}").body["upserted"]
    assert [one["fields"]["topicName"] for one in view["PartitionRecord"]] == [topic]
    assert "ProducerIdsRecord" not in view
    whole = nodes[2].post("/v1/metadata/broker", {"brokerId": broker, "offset": since}).body["upserted"]
    assert "ProducerIdsRecord" in whole


def test_two_pollers_do_not_disturb_each_other(nodes: Nodes, topic: str) -> None:
    since = nodes[0].get("/v1/metadata/client").body["offset"] - 1
    first = nodes[0].get(f"/v1/metadata/client?offset={since}").body
    assert nodes[0].get(f"/v1/metadata/client?offset={since}").body["upserted"] == first["upserted"]


def test_times_stand_for_offsets(nodes: Nodes, topic: str) -> None:
    made = nodes[0].get(f"/v1/topics/{topic}").body
    for moment in (made["timestamp"], str(_seconds(made["timestamp"])), made["timestamp"].replace("Z", "+00:00")):
        for key in ("timestamp", "offset"):
            found = nodes[1].get(f"/v1/metadata/client?{key}={moment.replace('+', '%2B')}").body
            if key == "offset" and moment.isdigit():
                continue
            assert found["kind"] == "diff", (moment, found)
            assert topic in [one["fields"]["name"] for one in found["upserted"]["TopicRecord"]]
    date = formatdate(time.time(), usegmt=True).replace(" ", "%20")
    assert nodes[1].get(f"/v1/metadata/client?timestamp={date}").status == 200


def test_an_old_time_and_an_offset_ahead_give_the_whole_state(nodes: Nodes, topic: str) -> None:
    old = nodes[0].get(f"/v1/metadata/client?timestamp={time.time() - 601}").body
    assert (old["kind"], old["reason"]) == ("snapshot", "old")
    assert topic in [one["fields"]["name"] for one in old["state"]["TopicRecord"]]
    fresh = nodes[0].get(f"/v1/metadata/client?timestamp={time.time() - 590}").body
    assert fresh["kind"] == "diff"
    ahead = nodes[0].get("/v1/metadata/client?offset=99999999").body
    assert (ahead["kind"], ahead["reason"]) == ("snapshot", "ahead")


def test_a_clients_clock_may_be_wrong_by_hours(nodes: Nodes) -> None:
    broker_id, name = next(_serial), f"clock-{next(_serial)}"
    for shift in (-7200, 7200):
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + shift))
        fields: dict[str, Any] = {"brokerId": broker_id + 10_000 + shift, "brokerHost": "h"}
        made = nodes[0].post(
            "/v1/brokers",
            {"type": "metadata", "name": "RegisterBrokerRecord", "fields": fields, "timestamp": moment},
        )
        assert made.status == 201
        assert abs(_seconds(made.body["timestamp"]) - time.time()) < 60
        body = {"name": f"{name}{shift}", "timestamp": moment}
        assert abs(_seconds(nodes[0].post("/v1/topics", body).body["timestamp"]) - time.time()) < 60


# --- values


@pytest.mark.parametrize("value", ["a,b;c", 'say "no"', "two\nlines\ttab", "ä🎈\\'{}[]", "x" * 32_767, "=", " ", "@#%"])
def test_values_come_back_as_they_were(nodes: Nodes, value: str) -> None:
    broker_id = next(_serial)
    made = nodes[1].post("/v1/brokers", {"brokerId": broker_id, "brokerHost": "h", "rackId": value})
    assert made.status == 201, made
    for node in nodes.all:
        assert node.get(f"/v1/brokers/{broker_id}").fields["rackId"] == value
    nodes[1].ask("DELETE", f"/v1/brokers/{broker_id}")


@pytest.mark.parametrize("size", [32_768, 1024 * 1024, 3 * 1024 * 1024])
def test_a_value_too_large_is_a_clear_400_and_nothing_is_written(nodes: Nodes, size: int) -> None:
    broker_id = next(_serial)
    end = nodes[1].get(f"/v1/brokers/{broker_id}").body
    answer = nodes[1].post("/v1/brokers", {"brokerId": broker_id, "brokerHost": "h", "rackId": "x" * size})
    assert answer.status == (413 if size > 2 * 1024 * 1024 else 400)
    assert "bytes" in answer.body["detail"]
    assert nodes[1].get(f"/v1/brokers/{broker_id}").status == end["status"] == 404


# --- lines, events, this node


def test_lines_are_answered_in_order(nodes: Nodes) -> None:
    found = nodes[1].lines("PING", "@a STATUS", "# nothing", "", "nonsense", "TOPIC LIST limit=1", "HELP PING", "QUIT")
    assert [(one["_"], one.get("tag")) for one in found if one["_"] in ("ok", "err")] == [
        ("ok", None),
        ("ok", "a"),
        ("err", None),
        ("ok", None),
        ("ok", None),
        ("err", None),
    ]
    too_many = nodes[1].ask("POST", "/v1/lines", b"PING\n" * 2000)
    assert too_many.status == 413


def test_features_by_lines(nodes: Nodes) -> None:
    """The same decision as at netcat and for Kafka's tools; here nothing is written."""
    lower, higher, listed = (
        "FEATURE SET metadata.version=20 downgrade=safe check=true",
        "FEATURE SET metadata.version=22",
        "FEATURE LIST",
    )
    found = nodes[1].lines(lower, higher, listed)
    assert found[0]["fields"] == {"name": "metadata.version", "featureLevel": 20}
    assert [(one["_"], one.get("code"), one.get("kafka")) for one in found[1:3]] == [
        ("ok", None, None),
        ("err", "INVALID_UPDATE_VERSION", 95),
    ]
    assert {row["name"]: row["level"] for row in found if row["_"] == "feature"}["metadata.version"] == 21


def test_this_node_tells_of_itself(nodes: Nodes) -> None:
    leader = nodes.leader()
    for node in nodes.all:
        assert node.get("/livez").status == 200
        ready = node.get("/readyz?verbose")
        assert (ready.status, ready.body.splitlines()[-1]) == (200, "ok")
        status = node.get("/status").body
        assert status["leader"] == leader.config.node.id
        assert len(status["quorum"]["replicas"]) == 3
    text = leader.get("/metrics").body
    for name in (
        "yakt_quorum_leader_id", "yakt_quorum_epoch", 'yakt_quorum_role{role="leader"} 1.0',
        "yakt_quorum_elections_total",
        'yakt_quorum_voter_lag_records{voter="2"}', "yakt_log_start_offset", "yakt_log_end_offset",
        "yakt_high_watermark_offset", "yakt_applied_offset", "yakt_commit_seconds_bucket", "yakt_fsync_seconds_sum",
        "yakt_ready 1.0", 'yakt_brokers{state="unfenced"}', "yakt_topics", "yakt_partitions ",
        "yakt_partitions_leaderless", "yakt_partitions_under_replicated", 'yakt_connections{listener="http"}',
        "yakt_requests_total{", 'yakt_connections{listener="line"}', 'yakt_connections{listener="kafka"}',
 "process_resident_memory_bytes", "python_info",
    ):  # fmt: skip
        assert name in text, name
    docs = leader.get("/docs")
    assert "openapi.json" in docs.body


def read_events(node: Node, path: str, count: int, headers: dict[str, str] | None = None) -> list[dict[str, str]]:
    """The first events of a stream, as their fields."""
    connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=10)
    try:
        connection.request("GET", path, headers=headers or {})
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("content-type", "").startswith("text/event-stream")
        found: list[dict[str, str]] = []
        event: dict[str, str] = {}
        while len(found) < count:
            line = response.readline().decode().rstrip("\n")
            if line:
                key, _, value = line.partition(": ")
                event[key] = value
            elif "data" in event:
                found.append(event)
                event = {}
            else:
                event = {}
        return found
    finally:
        connection.close()


def test_events_are_resumed_where_they_were_lost(nodes: Nodes) -> None:
    since = nodes[0].get("/v1/metadata/client").body["offset"]
    names = [f"event-{next(_serial)}" for _ in range(4)]
    for name in names:
        assert nodes[0].post("/v1/topics", {"name": name}).status == 201
    path = f"/v1/watch?since={since}&kind=topic"
    first = read_events(nodes[0], path, 2)
    rest = read_events(nodes[1], path, 2, {"Last-Event-ID": first[-1]["id"]})  # at another node, for that matter
    heard = [*first, *rest]
    assert [name for name in names if any(name in event["data"] for event in heard)] == names
    assert len({event["id"] for event in heard}) == 4
    assert all(event["event"] == "topic" for event in heard)


def test_a_page_of_another_origin_writes_nothing(nodes: Nodes) -> None:
    headers = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    assert nodes[0].ask("POST", "/v1/topics", {"name": "evil"}, headers=headers).status == 403
    assert nodes[0].ask("POST", "/v1/lines", b"TOPIC CREATE evil\n", headers=headers).status == 403
    assert nodes[0].get("/v1/topics/evil").status == 404


# --- nodes that die


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_when_nodes_are_killed(tmp_path: Path) -> None:
    """3 nodes survive 1 death at any moment; a restart keeps epoch and vote; the log alone rebuilds the store."""
    with open_nodes(tmp_path) as nodes:
        acknowledged: list[str] = []
        done = threading.Event()

        def write(node: Node, place: int) -> None:
            for number in itertools.count():
                if done.is_set():
                    return
                name = f"w{place}-{number}"
                try:
                    if node.post("/v1/topics?timeout=3000", {"name": name}).status == 201:
                        acknowledged.append(name)
                except (OSError, http.client.HTTPException):
                    done.wait(0.05)

        writers = [threading.Thread(target=write, args=(node, place)) for place, node in enumerate(nodes.all)]
        for writer in writers:
            writer.start()
        try:
            for place in (0, 1, 2):
                victim = nodes.leader() if place == 1 else nodes[place]
                epoch = victim.get("/status").body["epoch"]
                before = len(acknowledged)
                victim.kill()
                until(lambda before=before: len(acknowledged) > before + 5)  # the others go on
                victim.start()
                assert victim.get("/status").body["epoch"] >= epoch
        finally:
            done.set()
            for writer in writers:
                writer.join()
        nodes.leader()
        for node in nodes.all:
            found = {one["fields"]["name"] for one in node.get("/v1/topics?limit=10000").body}
            assert found >= set(acknowledged)
        assert [node.stop() for node in nodes.all] == [0, 0, 0]
        for node in nodes.all:
            _verify(node)


def _verify(node: Node) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "yakt", "log", str(node.config.node.data), "--verify"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
def test_five_nodes_survive_two_deaths(tmp_path: Path) -> None:
    with open_nodes(tmp_path, 5) as nodes:
        nodes.leader().kill()
        nodes.leader().kill()
        alive = nodes.leader()
        assert alive.post("/v1/topics", {"name": "still"}).status == 201
        for node in nodes.up:
            assert node.get("/v1/topics/still").status == 200


@pytest.mark.slow
def test_without_a_majority_nothing_is_answered_as_done(tmp_path: Path) -> None:
    with open_nodes(tmp_path) as nodes:
        leader = nodes.leader()
        for node in nodes.all:
            if node is not leader:
                node.signal(signal.SIGSTOP)
        write = leader.post("/v1/topics?timeout=1000", {"name": "lost"})
        assert write.status in (503, 504)
        assert write.body["retry"] is True
        read = leader.get("/v1/topics?timeout=500")  # it may be deposed: no linearizable read
        assert read.status in (503, 504)
        assert leader.get("/v1/topics?read=local").status == 200
        ready = leader.get("/readyz?verbose")
        assert (ready.status, ready.body.splitlines()[-1]) == (503, "not ready")
        assert leader.get("/livez").status == 200
        nobody = until(lambda: (found := leader.get("/v1/topics?timeout=100")).status == 503 and found)
        assert nobody.body["code"] == "NO_LEADER"
        for node in nodes.all:
            node.signal(signal.SIGCONT)
        nodes.leader()


@pytest.mark.slow
def test_a_watcher_resumes_at_another_node_when_its_own_dies(tmp_path: Path) -> None:
    with open_nodes(tmp_path) as nodes:
        leader = nodes.leader()
        victim, other = (node for node in nodes.all if node is not leader)
        since = leader.get("/status").body["high_watermark"]
        names = [f"event-{number}" for number in range(6)]
        for name in names[:3]:
            assert leader.post("/v1/topics", {"name": name}).status == 201
        first = read_events(victim, f"/v1/watch?since={since}&kind=topic", 3)
        victim.kill()
        for name in names[3:]:
            assert leader.post("/v1/topics", {"name": name}).status == 201
        rest = read_events(other, "/v1/watch?kind=topic", 3, {"Last-Event-ID": first[-1]["id"]})
        assert [json.loads(event["data"])["name"] for event in (*first, *rest)] == names


@pytest.mark.slow
def test_readyz_is_false_while_the_leader_hangs_and_true_with_the_next(tmp_path: Path) -> None:
    with open_nodes(tmp_path) as nodes:
        leader = nodes.leader()
        other = next(node for node in nodes.all if node is not leader)
        leader.signal(signal.SIGSTOP)
        try:
            told = []

            def look() -> bool:
                """Whoever says ready has to take a write."""
                ready = other.get("/readyz")
                told.append(ready.status)
                if ready.status == 200:
                    assert other.post("/v1/topics?timeout=5000", {"name": "next"}).status == 201
                return bool(ready.status == 200)

            until(look)  # the first may be asked long enough for a new leader to answer it
            assert set(told) <= {200, 503}
        finally:
            leader.signal(signal.SIGCONT)


@pytest.mark.slow
def test_a_node_that_lost_its_disk_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    with open_nodes(tmp_path) as nodes:
        leader = nodes.leader()
        victim, other = (node for node in nodes.all if node is not leader)
        leader.post("/v1/topics", {"name": "before"})
        victim.kill()
        shutil.rmtree(victim.config.node.data)
        victim.start()
        until(lambda: victim.get("/v1/topics/before?read=local").status == 200)
        assert victim.get("/status").body["voter"] is False
        text = victim.get("/readyz?verbose").body
        assert "disk" in text or "observer" in text, text
        other.kill()  # two of three are left, and one of them does not count: no majority
        until(lambda: leader.get("/readyz").status == 503)
        for node in (leader, victim):
            assert node.post("/v1/topics?timeout=500", {"name": "lost"}).status in (503, 504)
            assert node.get("/readyz").status == 503
        other.start()
        until(lambda: leader.get("/readyz").status == 200)
        assert leader.post("/v1/topics?timeout=10000", {"name": "after"}).status == 201


@pytest.mark.slow
def test_metrics_are_true_while_things_happen(tmp_path: Path) -> None:
    with open_nodes(tmp_path) as nodes:
        leader = nodes.leader()
        victim, other = (node for node in nodes.all if node is not leader)

        def at(node: Node) -> dict[tuple[str, str], float]:
            """Samples by name and the values of their labels, as Prometheus reads them."""
            families = text_string_to_metric_families(node.get("/metrics").body)
            return {
                (sample.name, ",".join(sample.labels.values())): sample.value
                for family in families
                for sample in family.samples
            }

        voters = {str(node.config.node.id) for node in nodes.all}

        def lagging() -> set[str]:
            """Voters whose lag the leader tells: those that have fetched from it."""
            return {label for name, label in at(leader) if name == "yakt_quorum_voter_lag_records"}

        until(lambda: lagging() == voters)
        before = at(leader)
        assert before["yakt_quorum_leader_id", ""] == leader.config.node.id
        assert [before["yakt_quorum_role", role] for role in ("leader", "follower", "candidate")] == [1, 0, 0]
        assert at(other)["yakt_quorum_role", "follower"] == 1
        assert not any(name == "yakt_quorum_voter_lag_records" for name, _ in at(other))

        victim.signal(signal.SIGSTOP)
        bodies = [{"brokerId": number, "brokerHost": "h", "sessionMs": 600_000} for number in (11, 12)]
        assert [leader.post("/v1/brokers", body).status for body in bodies] == [201, 201]
        leader.lines("TOPIC CREATE a assignment=[[11,12],[12,11]]", "TOPIC CREATE b assignment=[[12]]")
        leader.lines("BROKER FENCE 12")
        now = at(leader)
        assert now["yakt_brokers", "unfenced"] == now["yakt_brokers", "fenced"] == 1
        assert (now["yakt_topics", ""], now["yakt_partitions", ""]) == (2, 3)
        assert (now["yakt_partitions_leaderless", ""], now["yakt_partitions_under_replicated", ""]) == (1, 2)
        grown = now["yakt_log_end_offset", ""] - before["yakt_log_end_offset", ""]
        assert grown >= 10
        assert now["yakt_quorum_voter_lag_records", str(victim.config.node.id)] >= grown - 1
        assert now["yakt_quorum_voter_lag_records", str(leader.config.node.id)] == 0
        status = leader.get("/status").body
        for name, key in (
            ("yakt_log_start_offset", "log_start"),
            ("yakt_log_end_offset", "log_end"),
            ("yakt_high_watermark_offset", "high_watermark"),
            ("yakt_applied_offset", "applied"),
            ("yakt_quorum_epoch", "epoch"),
        ):
            assert now[name, ""] == status[key], name
        for name in ("yakt_commit_seconds", "yakt_fsync_seconds"):
            assert now[f"{name}_count", ""] > before[f"{name}_count", ""]
            assert now[f"{name}_sum", ""] > before[f"{name}_sum", ""]
            buckets = [value for (found, _), value in now.items() if found == f"{name}_bucket"]
            assert buckets == sorted(buckets)
            assert buckets[-1] == now[f"{name}_count", ""]
        assert [value for (_, labels), value in now.items() if "POST /v1/brokers" in labels.split(",")] == [2]

        victim.signal(signal.SIGCONT)
        until(lambda: at(leader)["yakt_quorum_voter_lag_records", str(victim.config.node.id)] == 0)
        leader.kill()
        successor = nodes.leader()
        after = at(successor)
        assert after["yakt_quorum_leader_id", ""] == successor.config.node.id
        assert after["yakt_quorum_epoch", ""] > now["yakt_quorum_epoch", ""]
        assert after["yakt_quorum_elections_total", ""] >= 2
        assert after["yakt_partitions", ""] == 3
        next(node for node in nodes.up if node is not successor).kill()
        until(lambda: at(successor)["yakt_ready", ""] == 0)
        until(lambda: at(successor)["yakt_quorum_leader_id", ""] == -1)


@pytest.mark.slow
def test_a_deposed_leader_answers_no_linearizable_read(tmp_path: Path) -> None:
    with open_nodes(tmp_path) as nodes:
        old = nodes.leader()
        old.signal(signal.SIGSTOP)
        others = [node for node in nodes.all if node is not old]
        made = until(lambda: (found := others[0].post("/v1/topics", {"name": "new"})).status in (201, 409) and found)
        assert made is not None
        old.signal(signal.SIGCONT)
        answer = old.get("/v1/topics/new")
        assert answer.status == 200  # never the state of before


@pytest.mark.slow
def test_compaction_then_a_late_follower_and_a_late_poller(tmp_path: Path) -> None:
    limits = {"segment_bytes": 4096, "retention_bytes": 4096, "snapshot_bytes": 4096}
    with open_nodes(tmp_path, log=limits) as nodes:
        leader = nodes.leader()
        late = next(node for node in nodes.all if node is not leader)
        late.kill()
        assert leader.post("/v1/topics", {"name": "first"}).status == 201
        for round_ in range(6):
            leader.lines(*(f"CONFIG SET topic/first retention.ms={round_ * 100 + i + 1}" for i in range(100)))
            for node in nodes.up:
                answer = node.lines("SNAPSHOT CREATE")
                assert answer[-1]["_"] == "ok", answer
                until(
                    lambda node=node, id=answer[-1]["id"]: id in [one.get("id") for one in node.lines("SNAPSHOT LIST")]
                )
        for node in nodes.up:
            until(lambda node=node: node.get("/status").body["log_start"] > 100)  # so it has to be sent a snapshot
        late.start()
        until(lambda: applied(late, leader.get("/status").body["high_watermark"] - 2))
        assert late.get("/v1/topics/first?read=local").status == 200
        assert late.get("/v1/topics/first").fields == leader.get("/v1/topics/first").fields
        found = late.get("/v1/metadata/client?offset=1").body
        assert (found["kind"], found["reason"]) == ("snapshot", "compacted")
        assert "first" in [one["fields"]["name"] for one in found["state"]["TopicRecord"]]
        assert late.get("/v1/metadata/client?offset=" + str(found["offset"])).body["kind"] == "diff"
        gone = late.get("/v1/watch?since=1")
        assert (gone.status, gone.body["code"]) == (410, "OFFSET_COMPACTED")
        assert gone.body["oldest"] == late.get("/status").body["log_start"] > 1
        resumed = late.get("/v1/watch", headers={"Last-Event-ID": "1"})
        assert resumed.status == 410


@pytest.mark.slow
def test_a_node_stops_in_order_with_open_streams(tmp_path: Path) -> None:
    with open_nodes(tmp_path, 1) as nodes:
        node = nodes[0]
        ended = threading.Event()
        began = threading.Event()

        def listen() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=20)
            connection.request("GET", "/v1/watch")
            with connection.getresponse() as response:
                response.readline()
                began.set()
                while response.readline():
                    pass
            connection.close()
            ended.set()  # a chunked body that was not ended in order raises IncompleteRead before this

        reader = threading.Thread(target=listen)
        reader.start()
        assert began.wait(10)
        stopped_at = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - stopped_at < 5
        assert ended.wait(5)
        reader.join()
        assert not any("Traceback" in line for line in node.log), "".join(node.log)
