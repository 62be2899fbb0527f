"""The requests made by hand that Kafka's controllers answered, in order, asked of ours: the same errors (testdata)."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import msgspec
import pytest
import trio
import trio.testing

from tests.kafka.controller import CLUSTER_ID, Client, controller, make_controller
from tests.kafka.plain import lowered, plain
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
THIRD_CONTROLLER = "Kafka's third controller had not registered, which blocks every update; ours need not"
OWN_PROTOCOL = "YAKt's voters speak their own protocol: whoever speaks Kafka's is hung up on"
NO_VOTERS_RPC = "not offered: the voters are those of the configuration, and register themselves"
OLD = "older than what any broker asks that is served; what is not offered is hung up on"
KEPT = "Kafka has no authorizer of its own here; ours keeps ACLs for brokers that have one"
ALONE = "the follower here stands alone and has heard of no leader: tests of the core have three"
DIFFERENCES: dict[str, str] = {
    "addraftvoter-follower": NO_VOTERS_RPC,
    "addraftvoter-kraft-version-0": NO_VOTERS_RPC,
    "apiversions-too-new-v5": "version 5 is served here, and the body sent under its number is that of version 4",
    "beginquorumepoch-current": OWN_PROTOCOL,
    "beginquorumepoch-old": OWN_PROTOCOL,
    "beginquorumepoch-wrong-cluster": OWN_PROTOCOL,
    "controllerregistration-follower": NO_VOTERS_RPC,
    "createacls-no-authorizer": KEPT,
    "deleteacls-no-authorizer": KEPT,
    "describeacls-no-authorizer": KEPT,
    "describecluster-v0": OLD,
    "fetch-discovery-follower": ALONE,
    "fetch-same-epoch-follower": ALONE,
    "fetch-v12-by-name": OLD,
    "fetchsnapshot-0-0": SNAPSHOT_ERRORS,
    "fetchsnapshot-follower": f"{SNAPSHOT_ERRORS}; {ALONE}",
    "fetchsnapshot-new-epoch": SNAPSHOT_ERRORS,
    "fetchsnapshot-old-epoch": SNAPSHOT_ERRORS,
    "fetchsnapshot-other-topic": SNAPSHOT_ERRORS,
    "fetchsnapshot-partition-1": SNAPSHOT_ERRORS,
    "fetchsnapshot-unknown": SNAPSHOT_ERRORS,
    "heartbeat-v0": OLD,
    "incrementalalterconfigs-controller-node": "no node of ours is called 3000",
    "registration-v0": OLD,
    "registration-v1": OLD,
    "registration-v2": OLD,
    "registration-v3": OLD,
    "removeraftvoter-kraft-version-0": NO_VOTERS_RPC,
    "updatefeatures-same-level-safe-downgrade": THIRD_CONTROLLER,
    "updatefeatures-up-by-downgrade": THIRD_CONTROLLER,
    "updateraftvoter-kraft-version-0": OWN_PROTOCOL,
    "vote-last-epoch-not-below": OWN_PROTOCOL,
    "vote-old-epoch": OWN_PROTOCOL,
    "vote-other-voter-id": OWN_PROTOCOL,
    "vote-same-epoch-follower": OWN_PROTOCOL,
    "vote-same-epoch-leader": OWN_PROTOCOL,
    "vote-wrong-cluster": OWN_PROTOCOL,
}
"""Probes that are answered otherwise, and why that is right."""


LONG_VALUE = bytes.fromhex(
    "002c 0001 0000004d 0005 70726f6265 00"  # IncrementalAlterConfigs 1
    "02 02 02 74 02 0d 726574656e74696f6e2e6d73 00 818002"  # topic t: retention.ms is set to 32,768 bytes
) + b"1" * 32_768 + bytes(4)  # fmt: skip
"""The one request that is told of in words."""

Errors: TypeAlias = list[tuple[str, int]] | str
"""Every error in a response, and where; or "closed": the connection was."""


def errors(api: Api, version: int, body: Any) -> Errors:
    """Of one of our messages."""
    return errors_in(plain(api.response, body, version))


def errors_in(response: Any) -> Errors:
    """Of a message as plain values, its names in lower case."""

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

    return sorted(walk(response, ""), key=str)


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


async def ask(client: Client, api: Api, version: int, entry: Any, translator: Translator) -> Any:
    """Our answer."""
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
    return ours


def cluster_of(entries: list[Any]) -> str:
    """The probes' own cluster id."""
    registrations = [entry for entry in entries if entry["name"] == "BrokerRegistration"]
    [(found, _)] = Counter(entry["decoded"]["request"]["ClusterId"] for entry in registrations).most_common(1)
    return str(found)


def read(directory: Path, release: str) -> list[Any]:
    return [json.loads(line) for line in (directory / f"probes-{release}.jsonl").read_text().splitlines()]


def errors_told(entry: Any) -> Errors:
    """What a release of Kafka's answered."""
    if entry["response"] is None:
        return "closed"
    api, version = BY_NAME.get(entry["name"]), entry["version"]
    if api is None or not api.least <= version <= api.most or entry["decoded"]["response"].get("ErrorCode") == 35:
        return errors_in(lowered(entry["decoded"]["response"]))
    return errors(api, version, codec.decode_response(api, version, bytes.fromhex(entry["response"]))[1])


async def ask_as_it_is(client: Client, entry: Any) -> Errors:
    """Our answer to a request that is sent as it was: not served here, or good for nothing but to be refused."""
    frame = LONG_VALUE if entry["request"] is None else bytes.fromhex(entry["request"])
    try:
        answer = await client.exchange(frame)
    except EOFError:
        return "closed"
    api = BY_NAME[entry["name"]]
    version = 0 if api is apis.API_VERSIONS else entry["version"]
    return errors(api, version, codec.decode_response(api, version, answer)[1])


def names_of(entries: list[Any]) -> dict[bytes, str]:
    """Topics by the ids that Kafka gave them, wherever an answer tells."""
    found = {}
    for entry in entries:
        answer = entry["decoded"].get("response") or {} if entry["decoded"] else {}
        for told in answer.get("Topics") or answer.get("Responses") or ():
            if isinstance(told, dict) and told.get("Name") and told.get("TopicId", NO_ID) != NO_ID:
                found[bytes(parse_uuid(told["TopicId"]))] = told["Name"]
    return found


def errors_of_version(api: Api, told: Errors) -> bool:
    """Whether it was ApiVersions of a version that Kafka has not: then the answer is of version 0."""
    return api is apis.API_VERSIONS and told == [(".errorcode", 35)]


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
        nodes = {"leader": leader, "follower": alone}
        translator = Translator(cluster_of(entries), lambda: leader.service.image, names=names_of(entries))
        for entry in entries:
            api, version = BY_NAME.get(entry["name"]), entry["version"]
            expected = errors_told(entry)
            is_read = api is not None and api.least <= version <= api.most and entry["response"] is not None
            if api is None or not is_read or errors_of_version(api, expected):
                got = await ask_as_it_is(await nodes[entry["to"]].connect(), entry)
            else:
                ours = await ask(clients[entry["to"]], api, version, entry, translator)
                got = errors(api, version, ours)
            count += 1
            if expected != got and got != errors_told(other[entry["case"]]):
                found[entry["case"]] = (expected, got)
        nursery.cancel_scope.cancel()
    assert count == len(entries) == 256
    assert {case: both for case, both in found.items() if case not in DIFFERENCES} == {}
    assert found.keys() == DIFFERENCES.keys()
