"""Who may have a broker forward what, by ACLs as Kafka's StandardAuthorizer reads them; where super users are named."""

import ipaddress
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

from tests.kafka.controller import Client, Controller, controller, make_controller
from tests.node.cluster import Cluster
from yakt.ids import NodeId, Uuid
from yakt.kafka import apis, codec, envelopes
from yakt.kafka.apis import APIS, Api
from yakt.kafka.authorization import Authorizer
from yakt.kafka.handlings import HANDLINGS
from yakt.kafka.messages import configs, connections, security, topics
from yakt.kafka.plan import Caller
from yakt.metadata import commands as c
from yakt.metadata.acls import OPERATIONS, PATTERNS, PERMISSIONS, RESOURCE_TYPES, is_allowed
from yakt.metadata.asked import Asked
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import AccessControlEntryRecord

HOST = "10.0.0.1"


def record(resource: str, operation: str, **parts: str) -> AccessControlEntryRecord:
    """Of `kind/name`. Parts: pattern, who, host, permission."""
    kind, _, name = resource.partition("/")
    return AccessControlEntryRecord(
        Uuid(b"x" * 16),
        RESOURCE_TYPES[kind],
        name,
        PATTERNS[parts.get("pattern", "LITERAL")],
        parts.get("who", "User:a"),
        parts.get("host", "*"),
        OPERATIONS[operation],
        PERMISSIONS[parts.get("permission", "ALLOW")],
    )


@pytest.mark.parametrize(
    ("acls", "expected"),
    [
        ([], False),
        ([record("topic/t1", "CREATE")], True),
        ([record("topic/t1", "ALL")], True),
        ([record("topic/*", "CREATE")], True),
        ([record("topic/t", "CREATE", pattern="PREFIXED")], True),
        ([record("topic/t", "CREATE")], False),
        ([record("topic/*", "CREATE", pattern="PREFIXED")], False),
        ([record("group/t1", "CREATE")], False),
        ([record("topic/t1", "DELETE")], False),
        ([record("topic/t1", "CREATE", who="User:b")], False),
        ([record("topic/t1", "CREATE", who="User:*")], True),
        ([record("topic/t1", "CREATE", host="10.0.0.2")], False),
        ([record("topic/t1", "CREATE", host=HOST)], True),
        ([record("topic/t1", "CREATE"), record("topic/t", "CREATE", pattern="PREFIXED", permission="DENY")], False),
        ([record("topic/*", "ALL", permission="DENY"), record("topic/t1", "CREATE")], False),
        ([record("topic/t1", "DELETE", permission="DENY"), record("topic/t1", "CREATE")], True),
    ],
)
def test_the_rules_of_the_standard_authorizer(acls: list[AccessControlEntryRecord], expected: bool) -> None:
    assert is_allowed(acls, "User:a", HOST, OPERATIONS["CREATE"], RESOURCE_TYPES["topic"], "t1") is expected


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        ("WRITE", "DESCRIBE", True),
        ("ALTER", "DESCRIBE", True),
        ("ALTER_CONFIGS", "DESCRIBE_CONFIGS", True),
        ("ALTER_CONFIGS", "DESCRIBE", False),
        ("DESCRIBE", "READ", False),
    ],
)
def test_what_implies_what(given: str, asked: str, expected: bool) -> None:
    acl = record("cluster/kafka-cluster", given)
    assert is_allowed([acl], "User:a", HOST, OPERATIONS[asked], RESOURCE_TYPES["cluster"], "kafka-cluster") is expected
    denial = record("cluster/kafka-cluster", given, permission="DENY")
    everything = record("cluster/kafka-cluster", "ALL")
    # A denial implies nothing.
    assert is_allowed(
        [denial, everything], "User:a", HOST, OPERATIONS[asked], RESOURCE_TYPES["cluster"], "kafka-cluster"
    ) is (given != asked)


TOKENS = (apis.CREATE_DELEGATION_TOKEN, apis.RENEW_DELEGATION_TOKEN, apis.EXPIRE_DELEGATION_TOKEN)
FORWARDED = {
    apis.CREATE_TOPICS: topics.CreateTopicsRequest((topics.CreatableTopic("t", 1, 1),)),
    apis.DELETE_TOPICS: topics.DeleteTopicsRequest((topics.DeleteTopicState("t"),)),
    apis.CREATE_PARTITIONS: topics.CreatePartitionsRequest((topics.CreatePartitionsTopic("t", 2),)),
    apis.ALTER_CONFIGS: configs.AlterConfigsRequest((configs.AlterConfigsResource(2, "t"),)),
    apis.INCREMENTAL_ALTER_CONFIGS: configs.IncrementalAlterConfigsRequest(
        (configs.IncrementalAlterConfigsResource(4, "1"),)
    ),
}


@pytest.mark.parametrize("api", [api for api in APIS.values() if api.is_forwardable], ids=lambda api: api.name)
def test_nothing_forwarded_is_for_a_stranger(api: Api) -> None:
    """Of every API that brokers forward; what is to be added to them is refused until it says what it needs."""
    authorizer, image = Authorizer(frozenset({"User:admin"})), MetadataImage()
    body = FORWARDED.get(api) or api.request.cls()
    refused = authorizer.refusal_of(api, body, Caller("c", HOST, "User:a"), image)
    assert (refused is None) == (api in TOKENS)  # those nobody is given
    assert authorizer.refusal_of(api, body, Caller("c", HOST, "User:admin"), image) is None
    if refused is not None:
        assert refused.kafka in (29, 31)
        assert HANDLINGS[api.key].refuse(body, refused.kafka, refused.message) is not None


@pytest.fixture
async def one() -> AsyncIterator[Controller]:
    async with controller() as found:
        found.authorizer = Authorizer(frozenset({"User:admin"}))
        await found.service.submit(Asked(c.RegisterBroker(1, "h", 1, session_ms=86_400_000, alive=True)))
        yield found


async def forward(client: Client, user: str, api: Api, version: int, body: Any) -> Any:
    """What a broker forwards for a user, and the answer that is for him."""
    principal = connections.PRINCIPAL.codec(0).encode(connections.Principal("User", user))
    inside = codec.encode_request(api, version, 5, "tool", body)
    answer = await client.ask(
        apis.ENVELOPE, 0, connections.EnvelopeRequest(inside, bytes(2) + principal, ipaddress.ip_address(HOST).packed)
    )
    assert answer.error_code == 0
    return codec.decode_response(api, version, answer.response_data)[1]


async def test_an_acl_gives_leave_and_takes_it(one: Controller) -> None:
    client = await one.connect()

    async def create(user: str, *names: str) -> list[int]:
        body = topics.CreateTopicsRequest(tuple(topics.CreatableTopic(name, 1, 1) for name in names), 5000)
        return [topic.error_code for topic in (await forward(client, user, apis.CREATE_TOPICS, 7, body)).topics]

    assert await create("a", "t1") == [29]
    assert await create("admin", "t1") == [0]
    acl = security.AclCreation(2, "t", 4, "User:a", "*", OPERATIONS["CREATE"], 3)
    granted = await forward(client, "a", apis.CREATE_ACLS, 3, security.CreateAclsRequest((acl,)))
    assert [found.error_code for found in granted.results] == [31]  # nobody gives himself leave
    granted = await forward(client, "admin", apis.CREATE_ACLS, 3, security.CreateAclsRequest((acl,)))
    assert [found.error_code for found in granted.results] == [0]
    assert await create("a", "t2") == [0]
    assert await create("a", "t3", "u1") == [29, 29]  # refused whole
    assert sorted(one.service.image.topics.all_keys()) == ["t1", "t2"]
    everything = security.DeleteAclsFilter(1, None, 1, None, None, 1, 1)
    await forward(client, "admin", apis.DELETE_ACLS, 3, security.DeleteAclsRequest((everything,)))
    assert await create("a", "t3") == [29]

    # What a broker asks for itself comes without an envelope.
    body = topics.CreateTopicsRequest((topics.CreatableTopic("__consumer_offsets", 1, 1),), 5000)
    assert [topic.error_code for topic in (await client.ask(apis.CREATE_TOPICS, 7, body)).topics] == [0]


async def test_a_node_that_does_not_lead_asks_no_acls(autojump_clock: trio.testing.MockClock) -> None:

    async with trio.open_nursery() as nursery:
        cluster = Cluster(size=3, trio_clock=True)
        found = make_controller(cluster, cluster.nodes[NodeId(1)], nursery)
        found.authorizer = Authorizer(frozenset({"User:admin"}))
        client = await found.connect()
        inside = codec.encode_request(apis.CREATE_TOPICS, 7, 5, "tool", topics.CreateTopicsRequest())
        answer = await client.ask(apis.ENVELOPE, 0, connections.EnvelopeRequest(inside, None, bytes(4)))
        assert answer == envelopes.NOT_CONTROLLER
        nursery.cancel_scope.cancel()
