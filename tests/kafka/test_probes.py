"""The requests made by hand that Kafka's controllers answered, in order, asked of ours: the same errors (testdata)."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
import trio
import trio.testing

from tests.kafka.controller import CLUSTER_ID, Client, controller, make_controller
from tests.kafka.plain import plain
from tests.node.cluster import Cluster
from yakt.ids import NodeId, parse_uuid
from yakt.kafka import apis, codec
from yakt.kafka.apis import APIS, Api
from yakt.kafka.messages import brokers as wire
from yakt.metadata.image import MetadataImage

BY_NAME = {api.name: api for api in APIS.values()}
NAMES = (
    "name", "topicname", "partitionindex", "partitionid", "resourcetype", "resourcename", "index", "user", "entity",
)  # fmt: skip
"""What an item of a response is known by."""

NO_ID = "A" * 22
SNAPSHOT_ERRORS = "Kafka cannot encode these errors and says -1 (storage.md §4); ours is the error"
NO_SCRAM = "SCRAM credentials are not kept: 54"
THIRD_CONTROLLER = "Kafka's third controller had not registered, which blocks every update; ours need not"
DIFFERENCES: dict[str, str] = {
    "createtopics-many-errors": "ok.one and ok_one in one request: Kafka looks only at topics that are there before",
    "createtopics-collision-with-existing": "so ok_one is not there",
    "deletetopics-twice": "a topic named by name and by id: each is refused; Kafka says so once",
    "fetchsnapshot-0-0": SNAPSHOT_ERRORS,
    "fetchsnapshot-new-epoch": SNAPSHOT_ERRORS,
    "fetchsnapshot-old-epoch": SNAPSHOT_ERRORS,
    "fetchsnapshot-other-topic": SNAPSHOT_ERRORS,
    "fetchsnapshot-partition-1": SNAPSHOT_ERRORS,
    "fetchsnapshot-unknown": SNAPSHOT_ERRORS,
    "incrementalalterconfigs-controller-node": "no node of ours is called 3000",
    "scram-delete": NO_SCRAM,
    "scram-delete-unknown-mechanism": NO_SCRAM,
    "scram-duplicate": NO_SCRAM,
    "scram-errors": NO_SCRAM,
    "scram-upsert": NO_SCRAM,
    "updatefeatures-same-level-safe-downgrade": THIRD_CONTROLLER,
    "updatefeatures-up-by-downgrade": THIRD_CONTROLLER,
}
"""Probes that are answered otherwise, and why that is right."""


def errors(api: Api, version: int, body: Any) -> list[tuple[str, int]]:
    """Every error in a response, and where."""

    def named(value: Any) -> str:
        if not isinstance(value, dict):
            return ""
        parts = [value[name] for name in NAMES if name in value]
        return " ".join(str(sorted(part, key=str) if isinstance(part, list) else part) for part in parts)

    def walk(value: Any, path: str) -> Iterator[tuple[str, int]]:
        if isinstance(value, dict):
            for name, part in value.items():
                if name.endswith("errorcode"):
                    yield f"{path}.{name}", part
                else:
                    yield from walk(part, f"{path}.{name}")
        elif isinstance(value, list):
            for part in value:  # their order is free
                yield from walk(part, f"{path}[{named(part)}]")

    return sorted(walk(plain(api.response, body, version), ""), key=str)


@attrs.define(eq=False)
class Translator:
    """What in a recorded request depends on the state, as it is here."""

    cluster_id: str
    image: Callable[[], MetadataImage]
    epochs: dict[int, int] = attrs.Factory(dict)
    names: dict[bytes, str] = attrs.Factory(dict)
    """Topics by the ids that Kafka gave them, as far as it ever told."""

    def translate(self, value: Any) -> Any:
        """A recorded body, with our cluster's id, broker epochs and topic ids."""
        if isinstance(value, tuple):
            return tuple(self.translate(one) for one in value)
        if not isinstance(value, msgspec.Struct):
            return value
        changes = {name: self.translate(getattr(value, name)) for name in value.__struct_fields__}
        for name, found in changes.items():
            if name == "cluster_id" and found == self.cluster_id:
                changes[name] = CLUSTER_ID
            elif name == "broker_epoch":
                changes[name] = self.epochs.get(found, found)
            elif name == "topic_id":
                changes[name] = self.our_id(found)
        return type(value)(**changes)

    def our_id(self, theirs: bytes) -> bytes:
        """The id that the topic has here."""
        row = self.image().topics.get(self.names.get(theirs, ""))
        return theirs if row is None else row.id

    def learn(self, theirs: Any, ours: Any) -> None:
        """Two answers to the same request."""
        if isinstance(theirs, wire.BrokerRegistrationResponse) and theirs.error_code == 0 == ours.error_code:
            self.epochs[theirs.broker_epoch] = ours.broker_epoch


async def ask(client: Client, api: Api, version: int, entry: Any, translator: Translator) -> tuple[Any, Any]:
    """Kafka's answer, and ours."""
    frame = bytes.fromhex(entry["request"])
    body = codec.decode_body(codec.decode_header(frame), frame)
    _, theirs = codec.decode_response(api, version, bytes.fromhex(entry["response"]))
    body = translator.translate(body)
    if api is apis.BROKER_HEARTBEAT:
        body = msgspec.structs.replace(body, current_metadata_offset=(1 << 40) if theirs.is_caught_up else -1)
    if api is apis.FETCH:
        body = msgspec.structs.replace(body, max_wait_ms=min(body.max_wait_ms, 0))
    ours = await client.ask(api, version, body, "probe")
    translator.learn(theirs, ours)
    return theirs, ours


def cluster_of(entries: list[Any]) -> str:
    """The probes' own cluster id."""
    registrations = [entry for entry in entries if entry["name"] == "BrokerRegistration"]
    [(found, _)] = Counter(entry["decoded"]["request"]["ClusterId"] for entry in registrations).most_common(1)
    return str(found)


def read(directory: Path, release: str) -> list[Any]:
    return [json.loads(line) for line in (directory / f"probes-{release}.jsonl").read_text().splitlines()]


def errors_told(api: Api, version: int, entry: Any) -> list[tuple[str, int]] | None:
    """What the other release answered: either is right."""
    if entry is None or entry["response"] is None:
        return None
    return errors(api, version, codec.decode_response(api, version, bytes.fromhex(entry["response"]))[1])


def names_of(entries: list[Any]) -> dict[bytes, str]:
    """Topics by the ids that Kafka gave them, wherever an answer tells."""
    found = {}
    for entry in entries:
        answer = entry["decoded"].get("response") or {} if entry["decoded"] else {}
        for told in answer.get("Topics") or answer.get("Responses") or ():
            if isinstance(told, dict) and told.get("Name") and told.get("TopicId", NO_ID) != NO_ID:
                found[bytes(parse_uuid(told["TopicId"]))] = told["Name"]
    return found


@pytest.mark.parametrize("release", ["3.9.1", "4.3.1"])
async def test_the_same_errors(release: str, kafka_wire: Path, autojump_clock: trio.testing.MockClock) -> None:
    entries = read(kafka_wire, release)
    other = {entry["case"]: entry for entry in read(kafka_wire, "4.3.1" if release == "3.9.1" else "3.9.1")}
    found: dict[str, Any] = {}
    count = 0
    async with controller() as leader, trio.open_nursery() as nursery:
        cluster = Cluster(size=3, trio_clock=True)
        cluster.mail.clear()
        alone = make_controller(cluster, cluster.nodes[NodeId(1)], nursery)
        clients = {"leader": await leader.connect(), "follower": await alone.connect()}
        translator = Translator(cluster_of(entries), lambda: leader.service.image, names=names_of(entries))
        for entry in entries:
            api, version = BY_NAME.get(entry["name"]), entry["version"]
            if api is None or not api.least <= version <= api.most or entry["response"] is None:
                continue
            if entry["to"] == "follower" and api in (apis.FETCH, apis.FETCH_SNAPSHOT):
                continue  # of three that talk to one another: tests of the core
            if api is apis.API_VERSIONS and entry["decoded"]["response"]["ErrorCode"] == 35:
                continue  # ours goes on to version 5
            theirs, ours = await ask(clients[entry["to"]], api, version, entry, translator)
            count += 1
            expected, got = errors(api, version, theirs), errors(api, version, ours)
            if expected != got and got != errors_told(api, version, other.get(entry["case"])):
                found[entry["case"]] = (expected, got)
        nursery.cancel_scope.cancel()
    assert count > 150
    assert {case: both for case, both in found.items() if case not in DIFFERENCES} == {}
    assert found.keys() == DIFFERENCES.keys()
