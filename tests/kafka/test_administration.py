"""Requests of several items: one operation, an error each; timeouts; ACLs and credentials as Kafka's tools ask them."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import trio
import trio.testing

from tests.kafka.controller import Client, Controller, controller, make_controller
from tests.node.cluster import Cluster
from yakt.ids import NodeId
from yakt.kafka import apis
from yakt.kafka.messages import configs, security, topics
from yakt.metadata import commands as c
from yakt.metadata.asked import Asked
from yakt.metadata.codec import decode_batch
from yakt.metadata.records import Record, UserScramCredentialRecord
from yakt.metadata.tags import origin_of

READ, WRITE, ALLOW, LITERAL, PREFIXED, TOPIC, ANY, MATCH = 3, 4, 3, 3, 4, 2, 1, 2


@pytest.fixture
async def one() -> AsyncIterator[Controller]:
    """A controller with a broker that is alive."""
    async with controller() as found:
        await found.service.submit(Asked(c.RegisterBroker(1, "h", 1, session_ms=86_400_000, alive=True)))
        yield found


def written(found: Controller, since: int) -> list[list[Record]]:
    """The operations in the log from an offset on, hashes of the image left out."""
    operations: list[list[Record]] = []

    for batch in found.node.store.read(since, found.service.applied_end_offset, 1 << 20):  # type: ignore[arg-type]
        for record in decode_batch(batch.body):
            if origin_of(record) is not None:
                operations.append([record])
            elif type(record).__name__ != "NoOpRecord":
                operations[-1].append(record)
    return operations


def names(operations: Sequence[Sequence[Record]]) -> list[str]:
    return [type(record).__name__ for operation in operations for record in operation]


async def test_topics_of_one_request_are_one_operation(one: Controller) -> None:
    client = await one.connect()
    since = one.service.applied_end_offset
    wanted = [("a.b", 1), ("a_b", 2), ("bad name", 1), ("c", -1)]
    answer = await client.ask(
        apis.CREATE_TOPICS,
        7,
        topics.CreateTopicsRequest(tuple(topics.CreatableTopic(name, count, -1) for name, count in wanted), 5000),
    )
    assert [(one.name, one.error_code) for one in answer.topics] == [("a.b", 0), ("a_b", 0), ("bad name", 17), ("c", 0)]
    assert [one.num_partitions for one in answer.topics] == [1, 2, -1, 1]
    [operation] = written(one, since)
    assert len(operation) == 7
    since = one.service.applied_end_offset
    answer = await client.ask(
        apis.CREATE_PARTITIONS,
        3,
        topics.CreatePartitionsRequest(
            tuple(topics.CreatePartitionsTopic(name, 3) for name in ("a.b", "nope", "c")), 5000
        ),
    )
    assert [one.error_code for one in answer.results] == [0, 3, 0]
    answer = await client.ask(
        apis.DELETE_TOPICS, 5, topics.DeleteTopicsRequest(topic_names=("a.b", "a_b", "nope"), timeout_ms=5000)
    )
    assert [one.error_code for one in answer.responses] == [0, 0, 3]
    assert [len(operation) for operation in written(one, since)] == [4, 2]


async def test_configs_and_quotas_of_one_request_are_one_operation(one: Controller) -> None:
    client = await one.connect()
    since = one.service.applied_end_offset
    answer = await client.ask(
        apis.INCREMENTAL_ALTER_CONFIGS,
        1,
        configs.IncrementalAlterConfigsRequest(
            tuple(
                configs.IncrementalAlterConfigsResource(
                    kind, name, (configs.IncrementalAlterConfig("min.insync.replicas", 0, "1"),)
                )
                for kind, name in ((4, "1"), (2, "nope"), (4, ""))
            )
        ),
    )
    assert [one.error_code for one in answer.responses] == [0, 3, 0]
    entry = configs.AlterClientQuotasEntry
    answer = await client.ask(
        apis.ALTER_CLIENT_QUOTAS,
        1,
        configs.AlterClientQuotasRequest(
            tuple(
                entry(
                    (configs.AlterClientQuotasEntity("user", name),),
                    (configs.AlterClientQuotasOp(key, 5.0),),
                )
                for name, key in (("a", "producer_byte_rate"), ("b", "nope"), (None, "consumer_byte_rate"))
            )
        ),
    )
    assert [one.error_code for one in answer.entries] == [0, 42, 0]
    assert [len(operation) for operation in written(one, since)] == [2, 2]


async def test_a_request_that_only_asks_is_answered_in_full(one: Controller) -> None:
    client = await one.connect()
    since = one.service.applied_end_offset
    answer = await client.ask(
        apis.CREATE_TOPICS,
        7,
        topics.CreateTopicsRequest(
            (topics.CreatableTopic("a", -1, -1), topics.CreatableTopic("b", 3, 2)), 5000, validate_only=True
        ),
    )
    assert [(one.error_code, one.num_partitions, one.replication_factor) for one in answer.topics] == [
        (0, 1, 1),
        (38, -1, -1),
    ]
    answer = await client.ask(
        apis.ALTER_CLIENT_QUOTAS,
        1,
        configs.AlterClientQuotasRequest(
            (
                configs.AlterClientQuotasEntry(
                    (configs.AlterClientQuotasEntity("user", "a"),),
                    (configs.AlterClientQuotasOp("producer_byte_rate", 5.0),),
                ),
            ),
            validate_only=True,
        ),
    )
    assert [one.error_code for one in answer.entries] == [0]
    assert names(written(one, since)) == []


async def test_too_much_for_one_operation_is_none_of_it(one: Controller) -> None:
    client = await one.connect()
    create = topics.CreateTopicsRequest((topics.CreatableTopic("a", 1, 1), topics.CreatableTopic("b", 1, 1)), 5000)
    await client.ask(apis.CREATE_TOPICS, 7, create)
    since = one.service.applied_end_offset
    request = topics.CreatePartitionsRequest(
        (topics.CreatePartitionsTopic("a", 6000), topics.CreatePartitionsTopic("b", 6000)), 5000
    )
    answer = await client.ask(apis.CREATE_PARTITIONS, 3, request)
    assert [one.error_code for one in answer.results] == [44, 44]
    assert names(written(one, since)) == []


async def test_a_request_is_answered_when_its_time_is_over(autojump_clock: trio.testing.MockClock) -> None:
    """The majority is gone: what was decided may yet be committed, and nobody waits longer than they said."""
    async with trio.open_nursery() as nursery:
        cluster = Cluster(size=3, trio_clock=True)
        while not cluster.leaders():
            await trio.sleep_until(min(node.driver.deadline for node in cluster.up()))
            for node in cluster.up():
                if node.driver.deadline <= trio.current_time():
                    node.driver.on_time()
            cluster.settle()
        [leader] = cluster.leaders()
        leader.write("BROKER REGISTER 1 host=h port=1 session=86400000 alive=true")
        cluster.settle()
        client = await make_controller(cluster, leader, nursery).connect()
        began = trio.current_time()
        for wait_ms in (200, 50):
            answer = await client.ask(
                apis.CREATE_TOPICS,
                7,
                topics.CreateTopicsRequest((topics.CreatableTopic(f"t{wait_ms}", 1, 1),), wait_ms),
            )
            assert [one.error_code for one in answer.topics] == [7]
        assert 0.25 <= trio.current_time() - began < 0.3
        nursery.cancel_scope.cancel()


ACLS = tuple(
    security.AclCreation(TOPIC, name, pattern, "User:alice", "*", operation, ALLOW)
    for name, pattern, operation in (("t", LITERAL, READ), ("t", LITERAL, WRITE), ("u-", PREFIXED, READ))
)


async def test_acls_are_added_found_and_deleted_as_kafka_acls_asks(one: Controller) -> None:
    client = await one.connect()
    since = one.service.applied_end_offset
    wrong = security.AclCreation(TOPIC, "t", LITERAL, "alice", "*", READ, ALLOW)
    answer = await client.ask(apis.CREATE_ACLS, 3, security.CreateAclsRequest((*ACLS, ACLS[0], wrong)))
    assert [one.error_code for one in answer.results] == [0, 0, 0, 0, 42]
    [operation] = written(one, since)
    assert len(operation) == 3

    described = await client.ask(
        apis.DESCRIBE_ACLS, 3, security.DescribeAclsRequest(TOPIC, None, ANY, None, None, ANY, ANY)
    )
    assert {(one.resource_name, one.pattern_type): len(one.acls) for one in described.resources} == {
        ("t", LITERAL): 2,
        ("u-", PREFIXED): 1,
    }
    answer = await client.ask(
        apis.DELETE_ACLS,
        3,
        security.DeleteAclsRequest(
            (
                security.DeleteAclsFilter(TOPIC, "t", LITERAL, None, None, READ, ANY),
                security.DeleteAclsFilter(TOPIC, "t", 9, None, None, READ, ANY),
                security.DeleteAclsFilter(TOPIC, "u-1", MATCH, None, None, ANY, ANY),
                security.DeleteAclsFilter(ANY, None, ANY, "User:alice", None, READ, ANY),
            )
        ),
    )
    assert [one.error_code for one in answer.filter_results] == [0, 42, 0, 0]
    told = [sorted((acl.resource_name, acl.operation) for acl in one.matching_acls) for one in answer.filter_results]
    assert told == [[("t", READ)], [], [("u-", READ)], [("t", READ), ("u-", READ)]]
    assert len(one.service.image.acls) == 1


async def test_a_follower_describes_acls_and_decides_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with trio.open_nursery() as nursery:
        cluster = Cluster(size=3, trio_clock=True)
        cluster.mail.clear()
        client = await make_controller(cluster, cluster.nodes[NodeId(1)], nursery).connect()
        described = await client.ask(
            apis.DESCRIBE_ACLS, 3, security.DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY)
        )
        assert described.error_code == 0
        created = await client.ask(apis.CREATE_ACLS, 3, security.CreateAclsRequest(ACLS))
        assert [one.error_code for one in created.results] == [41] * 3
        altered = await ask_scram(client, upsertions=(("alice", 1),))
        assert altered == {"alice": 41}
        nursery.cancel_scope.cancel()


async def ask_scram(
    client: Client,
    *,
    deletions: Sequence[tuple[str, int]] = (),
    upsertions: Sequence[tuple[str, int]] = (),
    **more: Any,
) -> dict[str, int]:
    """Errors by user."""
    salted = hashlib.pbkdf2_hmac("sha256", b"secret", b"salt", 4096)
    answer = await client.ask(
        apis.ALTER_USER_SCRAM_CREDENTIALS,
        0,
        security.AlterUserScramCredentialsRequest(
            tuple(security.ScramCredentialDeletion(*one) for one in deletions),
            tuple(
                security.ScramCredentialUpsertion(user, mechanism, more.get("iterations", 4096), b"salt", salted)
                for user, mechanism in upsertions
            ),
        ),
    )
    return {one.user: one.error_code for one in answer.results}


async def test_credentials_as_kafka_configs_asks(one: Controller) -> None:
    client = await one.connect()
    since = one.service.applied_end_offset
    assert await ask_scram(client, upsertions=(("alice", 1), ("bob", 1), ("eve", 9))) == {
        "alice": 0,
        "bob": 0,
        "eve": 33,
    }
    [operation] = written(one, since)
    assert [record.name for record in operation if isinstance(record, UserScramCredentialRecord)] == ["alice", "bob"]
    assert await ask_scram(client, deletions=(("alice", 1), ("nobody", 1)), upsertions=(("bob", 2),)) == {
        "alice": 0,
        "nobody": 91,
        "bob": 0,
    }
    assert await ask_scram(client, deletions=(("bob", 1),), upsertions=(("bob", 1),)) == {"bob": 92}
    assert await ask_scram(client, upsertions=(("bob", 1), ("bob", 2))) == {"bob": 92}
    assert await ask_scram(client, upsertions=(("bob", 1),), iterations=100) == {"bob": 93}
    assert sorted(one.service.image.scram.all_keys()) == [("bob", 1), ("bob", 2)]


async def test_reassignments_of_one_request_are_one_operation(one: Controller) -> None:
    await one.service.submit(Asked(c.RegisterBroker(2, "h", 1, session_ms=86_400_000, alive=True)))
    await one.service.submit(Asked(c.CreateTopic("t", assignment=((1,), (1,)))))
    client = await one.connect()
    since = one.service.applied_end_offset
    answer = await client.ask(
        apis.ALTER_PARTITION_REASSIGNMENTS,
        0,
        topics.AlterPartitionReassignmentsRequest(
            5000,
            topics=(
                topics.ReassignableTopic(
                    "t",
                    tuple(topics.ReassignablePartition(number, (2,)) for number in (0, 1, 7)),
                ),
            ),
        ),
    )
    assert [part.error_code for part in answer.responses[0].partitions] == [0, 0, 3]
    assert [len(operation) for operation in written(one, since)] == [2]
