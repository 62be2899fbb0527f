"""Several commands as one operation: each decided on what those before it leave, all or none written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metadata.cluster import Cluster, assert_equal, code_of
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.active import RECORDS_MAX
from yakt.metadata.answers import Answer
from yakt.metadata.entities import Entity
from yakt.metadata.tags import origin_of


def items(cluster: Cluster, *commands: c.Command, check: bool = False) -> list[str]:
    """OK, or why not, of each."""
    decided = cluster.submit(c.Batch(commands), check=check)
    assert isinstance(decided.result, Answer)
    cluster.commit()
    return ["OK" if isinstance(item, Answer) else item.code for item in decided.result.items]


def test_what_is_good_is_one_operation_and_each_has_its_own_error() -> None:
    cluster = Cluster()
    cluster.broker(1)
    start = cluster.image.end_offset
    said = items(
        cluster,
        c.CreateTopic("a", 2),
        c.CreateTopic("bad name", 1),
        c.CreateTopic("b", 1, configs=(("retention.ms", "5"),)),
        c.CreateTopic("a", 1),
    )
    assert said == ["OK", "INVALID_TOPIC", "OK", "TOPIC_EXISTS"]
    written = [record for offset, record in cluster.committed if offset >= start]
    assert [type(record) for record in written] == [
        r.TopicRecord, r.PartitionRecord, r.PartitionRecord, r.TopicRecord, r.ConfigRecord, r.PartitionRecord,
    ]  # fmt: skip
    origins = [origin_of(record) for record in written]
    assert origins[1:] == [None] * 5
    assert origins[0] is not None
    assert (origins[0].count, origins[0].by) == (6, "test")


def test_each_sees_what_those_before_it_did() -> None:
    cluster = Cluster()
    cluster.broker(1)
    said = items(
        cluster,
        c.CreateTopic("a", 1),
        c.AddPartitions("a", 3),
        c.SetConfigs(Entity("topic", "a"), (("retention.ms", "5"),)),
        c.DeleteTopic("a"),
        c.CreateTopic("a", 1),
    )
    assert said == ["OK"] * 5
    row = cluster.image.topics.get("a")
    assert row is not None
    assert (row.partitions, cluster.image.configs_set(2, "a")) == (1, {})
    assert_equal(cluster.reload(), cluster.image, offsets=False)


def test_names_that_fold_alike_are_both_made_in_one_operation_and_not_in_two() -> None:
    cluster = Cluster()
    cluster.broker(1)
    assert items(cluster, c.CreateTopic("a.b", 1), c.CreateTopic("a_b", 1)) == ["OK", "OK"]
    assert code_of(cluster.submit(c.CreateTopic("a.b.c", 1))) == "OK"
    cluster.commit()
    assert items(cluster, c.CreateTopic("a_b.c", 1), c.CreateTopic("d", 1)) == ["INVALID_TOPIC", "OK"]
    cluster.do(c.DeleteTopic("a_b"))
    cluster.do(c.DeleteTopic("a.b"))
    assert items(cluster, c.CreateTopic("a_b", 1)) == ["OK"]


def test_more_than_an_operation_may_have_is_none_of_it() -> None:
    cluster = Cluster()
    cluster.broker(1)
    image, end = cluster.image, cluster.active.end_offset
    decided = cluster.submit(c.Batch((c.CreateTopic("a", 6_000), c.CreateTopic("b", 6_000))))
    assert isinstance(decided.result, RefusedError)
    assert (decided.result.kafka, cluster.active.end_offset, len(cluster.active.delta)) == (44, end, 0)
    cluster.commit()
    assert len(image.topics) == 0
    half = RECORDS_MAX // 2 - 1
    assert items(cluster, c.CreateTopic("a", half), c.CreateTopic("b", half)) == ["OK", "OK"]


def test_a_check_tells_what_it_would_answer_and_writes_nothing() -> None:
    cluster = Cluster()
    cluster.broker(1)
    end = cluster.active.end_offset
    decided = cluster.submit(c.Batch((c.CreateTopic("a", 3), c.CreateTopic("a", 1))), check=True)
    assert isinstance(decided.result, Answer)
    made, twice = decided.result.items
    assert isinstance(made, Answer)
    assert (made.pairs["partitions"], made.pairs["replication"]) == (3, 1)
    assert isinstance(twice, RefusedError)
    assert (cluster.active.end_offset, len(cluster.active.delta)) == (end, 0)
    assert decided.result.pairs == {"check": True, "records": 4}


def test_nothing_good_writes_nothing() -> None:
    cluster = Cluster()
    end = cluster.active.end_offset
    assert items(cluster, c.DeleteTopic("a"), c.DeleteTopic("b")) == ["UNKNOWN_TOPIC"] * 2
    assert cluster.active.end_offset == end


def test_a_batch_between_other_commands_of_one_turn() -> None:
    """What is taken back is the batch alone: what was decided before it in the same turn stands."""
    cluster = Cluster()
    cluster.broker(1)
    assert code_of(cluster.submit(c.CreateTopic("first", 1))) == "OK"
    assert code_of(cluster.submit(c.Batch((c.CreateTopic("big", 9_999), c.DeleteTopic("first"))))) == "POLICY_VIOLATION"
    assert code_of(cluster.submit(c.Batch((c.AddPartitions("first", 2), c.CreateTopic("last", 1))))) == "OK"
    cluster.commit()
    assert list(cluster.image.topics.sorted_keys()) == ["first", "last"]
    row = cluster.image.topics.get("first")
    assert row is not None
    assert row.partitions == 2


_COMMANDS = st.one_of(
    st.builds(c.CreateTopic, st.sampled_from("ab"), st.integers(1, 3)),
    st.builds(c.DeleteTopic, st.sampled_from("ab")),
    st.builds(c.AddPartitions, st.sampled_from("ab"), st.integers(1, 5)),
    st.builds(c.FenceBroker, st.just(1)),
    st.builds(
        c.SetConfigs, st.builds(Entity, st.just("topic"), st.sampled_from("ab")), st.just((("retention.ms", "9"),))
    ),
    st.builds(c.DeleteQuotas, st.just((("user", "a"),))),
    st.builds(c.AlterQuota, st.just((("user", "a"),)), st.just((c.QuotaChange("producer_byte_rate", 1.0),))),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_COMMANDS, max_size=12))
def test_a_batch_comes_to_what_its_commands_come_to_one_by_one(commands: list[c.Command]) -> None:
    one, other = Cluster(), Cluster()
    for cluster in (one, other):
        cluster.broker(1)
    said = items(one, *commands)
    assert said == [code_of(other.submit(command)) for command in commands]
    other.commit()
    assert_equal(one.image, other.image, offsets=False)  # a topic that one operation fills changes once


@pytest.mark.parametrize("size", [1, 2])
def test_a_heartbeat_in_a_batch_starts_its_session(size: int) -> None:
    cluster = Cluster()
    for number in range(1, size + 1):
        cluster.broker(number, alive=False)
    assert items(cluster, *(c.HeartbeatBroker(number) for number in range(1, size + 1))) == ["OK"] * size
    cluster.wait(20)
    assert all(row.fenced for row in cluster.image.brokers.rows())
