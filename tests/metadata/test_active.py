"""The active controller: requests applied once, guards, checks, batches, first records, what it does of itself."""

from typing import Any

import pytest

from tests.metadata.cluster import Cluster, code_of
from yakt.batch import BATCH_SIZE_MAX
from yakt.errors import RefusedError
from yakt.ids import Instant
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.active import RECORDS_MAX
from yakt.metadata.answers import Answer
from yakt.metadata.asked import Asked, Options, Origin
from yakt.metadata.backlog import SLICE
from yakt.metadata.codec import decode_batch
from yakt.metadata.entities import Entity
from yakt.metadata.indexes import REQUEST_AGE_MAX_MS, REQUESTS_OF_CLIENT_MAX
from yakt.metadata.tags import origin_of
from yakt.wire import batch


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def metrics(name: str, value: str = "m") -> c.SetConfigs:
    return c.SetConfigs(Entity("client-metrics", name), (("metrics", value),))


# --- first records


def test_a_new_cluster_begins_with_its_level(cluster: Cluster) -> None:
    offset, record = cluster.committed[0]
    assert offset == 1  # after the LeaderChange
    assert isinstance(record, r.FeatureLevelRecord)
    assert (record.name, record.feature_level) == ("metadata.version", 21)
    assert len(cluster.committed) == 1


def test_a_further_leader_writes_nothing(cluster: Cluster) -> None:
    end = cluster.active.end_offset
    cluster.lead()
    assert cluster.active.end_offset == end + 1  # its LeaderChange


@pytest.mark.parametrize("name", ["Bootstrap records", "x"])
def test_a_transaction_left_open_is_aborted(cluster: Cluster, name: str) -> None:
    for image in (cluster.image, cluster.follower):
        image.replay(image.end_offset, 1, 0, [r.BeginTransactionRecord(name), r.TopicRecord("t", cluster_id())])
    cluster.lead()
    assert isinstance(cluster.committed[-1][1], r.AbortTransactionRecord)
    assert cluster.image.transaction is None
    assert cluster.image.topics.get("t") is None
    cluster.broker(1)


def test_a_bootstrap_left_open_is_written_anew() -> None:
    cluster = Cluster()
    for image in (cluster.image, cluster.follower):
        image.features.put("metadata.version", None, 1)
        image.replay(image.end_offset, 1, 0, [r.BeginTransactionRecord("Bootstrap records")])
    cluster.lead()
    assert [type(record) for _, record in cluster.committed[-2:]] == [r.AbortTransactionRecord, r.FeatureLevelRecord]


def cluster_id() -> Any:
    return b"t" * 16


# --- requests


def test_a_repeat_is_answered_what_the_first_was_and_writes_nothing(cluster: Cluster) -> None:
    cluster.broker(1)
    command = c.CreateTopic("t", 2)
    first = cluster.submit(command, request="r", client="me")
    again = cluster.submit(command, request="r", client="me")  # not committed yet: it waits with the first
    assert not again.wrote
    assert (again.result.pairs, again.end_offset) == (first.result.pairs, first.end_offset)  # type: ignore[union-attr]
    cluster.commit()
    cluster.do(c.DeleteTopic("t"))
    later = cluster.submit(command, request="r", client="me")
    assert later.result.pairs == first.result.pairs  # type: ignore[union-attr]
    assert later.end_offset == first.end_offset


def test_another_client_name_and_none_have_requests_of_their_own(cluster: Cluster) -> None:
    for client in ("a", "b", ""):
        assert cluster.submit(metrics("x", client or "none"), request="r", client=client).wrote


def test_the_same_id_for_another_command_is_a_conflict(cluster: Cluster) -> None:
    cluster.do(metrics("x"), request="r")
    assert code_of(cluster.submit(metrics("y"), request="r")) == "CONFLICT"


def test_refusals_and_answers_that_wrote_nothing_are_not_kept(cluster: Cluster) -> None:
    assert code_of(cluster.submit(c.CreateTopic("t"), request="r")) == "INVALID_REPLICATION_FACTOR"
    cluster.broker(1)
    assert cluster.do(c.CreateTopic("t"), request="r")
    cluster.do(metrics("x"))
    assert not cluster.submit(metrics("x"), request="q").wrote
    assert cluster.submit(metrics("x", "other"), request="q").wrote


def test_requests_outlive_leaders_and_snapshots(cluster: Cluster) -> None:
    first = cluster.do(metrics("x"), request="r", client="me")
    cluster.lead()
    assert cluster.do(metrics("x"), request="r", client="me") == first
    cluster.image = cluster.reload()
    cluster.follower = cluster.reload()
    cluster.lead()
    assert cluster.do(metrics("x"), request="r", client="me") == first


def test_what_was_not_committed_is_forgotten_with_the_leadership(cluster: Cluster) -> None:
    cluster.submit(metrics("x"), request="r")
    cluster.lead()
    assert cluster.submit(metrics("x"), request="r").wrote


def test_requests_are_forgotten_by_age_and_by_number(cluster: Cluster) -> None:
    cluster.do(metrics("x"), request="old", client="me")
    cluster.wait(REQUEST_AGE_MAX_MS / 1000 - 1)
    cluster.do(metrics("y"))
    assert cluster.image.requests.get(("me", "old")) is not None
    cluster.wait(2)
    cluster.do(metrics("z"))
    assert cluster.image.requests.get(("me", "old")) is None
    for number in range(REQUESTS_OF_CLIENT_MAX + 5):
        cluster.submit(metrics(f"n{number}"), request=f"r{number}", client="me")
    cluster.commit()
    kept = [request for _, request in cluster.image.requests.all_keys()]
    assert kept == [f"r{number}" for number in range(5, REQUESTS_OF_CLIENT_MAX + 5)]


# --- guards and checks


def test_if_offset_refuses_what_changed_at_or_after_it(cluster: Cluster) -> None:
    cluster.broker(1)
    cluster.do(c.CreateTopic("t"))
    read_at = cluster.image.end_offset
    assert cluster.do(c.AddPartitions("t", 2), if_offset=read_at)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.DeleteTopic("t"), if_offset=read_at)
    assert (refused.value.code, refused.value.details) == ("CONFLICT", {"changed": read_at})
    assert cluster.do(c.DeleteTopic("t"), if_offset=read_at + 1)
    with pytest.raises(RefusedError):  # its removal is a change too
        cluster.do(c.CreateTopic("t"), if_offset=read_at + 1)
    assert cluster.do(c.CreateTopic("t"), if_offset=cluster.image.end_offset)


def test_if_offset_sees_what_is_not_committed(cluster: Cluster) -> None:
    cluster.do(metrics("x"))
    read_at = cluster.image.end_offset
    assert cluster.submit(metrics("x", "a"), if_offset=read_at).wrote
    assert code_of(cluster.submit(metrics("x", "b"), if_offset=read_at)) == "CONFLICT"
    assert cluster.submit(metrics("y", "b"), if_offset=read_at).wrote


def test_if_offset_on_brokers_configs_and_partitions(cluster: Cluster) -> None:
    cluster.broker(1)
    topic = cluster.topic("t", [1])
    read_at = cluster.image.end_offset
    cluster.do(c.SetConfigs(Entity("topic", "t"), (("retention.ms", "1"),)))
    assert cluster.do(c.AddPartitions("t", 2), if_offset=read_at)  # a topic's configs are another entity
    cluster.do(c.FenceBroker(1))
    assert topic
    for command in (c.FenceBroker(1), c.ChangeBroker(1, host="x"), c.AddPartitions("t", 3), c.DeleteTopic("t")):
        assert code_of(cluster.submit(command, if_offset=read_at)) == "CONFLICT"
    deletion = c.DeleteConfigs(Entity("topic", "t"), ("retention.ms",))
    assert code_of(cluster.submit(deletion, if_offset=read_at)) == "CONFLICT"
    cluster.do(deletion)
    assert code_of(cluster.submit(deletion, if_offset=cluster.image.end_offset - 1)) == "CONFLICT"


def test_a_snapshot_counts_as_a_change_at_its_end(cluster: Cluster) -> None:
    cluster.do(metrics("x"))
    end = cluster.image.end_offset
    cluster.image, cluster.follower = cluster.reload(), cluster.reload()
    cluster.lead()
    assert code_of(cluster.submit(metrics("x", "a"), if_offset=end - 1)) == "CONFLICT"
    assert cluster.submit(metrics("x", "a"), if_offset=end).wrote


def test_check_shows_the_records_and_writes_nothing(cluster: Cluster) -> None:
    cluster.broker(1)
    end = cluster.active.end_offset
    decided = cluster.submit(c.CreateTopic("t", configs=(("retention.ms", "5"),)), check=True, request="r")
    assert isinstance(decided.result, Answer)
    assert decided.result.pairs == {"check": True, "records": 3}
    assert [row.kind for row in decided.result.rows] == ["record"] * 3
    assert [row.pairs["kind"] for row in decided.result.rows] == ["TopicRecord", "ConfigRecord", "PartitionRecord"]
    fields = decided.result.rows[1].pairs["fields"]
    assert fields == {"resourceType": 2, "resourceName": "t", "name": "retention.ms", "value": "5"}
    assert (decided.wrote, cluster.active.end_offset, cluster.active.take_batches()) == (False, end, [])
    assert cluster.do(c.CreateTopic("t"), request="r")["offset"] == end + 1
    assert code_of(cluster.submit(c.CreateTopic("t"), check=True)) == "TOPIC_EXISTS"


# --- origins, batches, limits


def test_the_origin_is_on_the_first_record_and_counts_the_operation(cluster: Cluster) -> None:
    cluster.broker(1)
    cluster.do(metrics("x"))
    start = cluster.active.end_offset
    origin = Origin(client="me", address="127.0.0.1:5", by="ann", reason="why not")
    cluster.active.submit(Asked(c.CreateTopic("t", 2), b"", origin), Instant(cluster.now), 0)
    cluster.active.submit(Asked(metrics("y"), b"", origin), Instant(cluster.now), 0)
    cluster.active.submit(Asked(metrics("z"), b"", origin), Instant(cluster.now), 0)
    cluster.commit()
    found = [origin_of(record) for offset, record in cluster.committed if offset >= start]
    assert [one and one.count for one in found] == [3, None, None, 1, 1]
    assert {(one.client, one.address, one.by, one.reason) for one in found if one} == {
        ("me", "127.0.0.1:5", "ann", "why not")
    }


def test_own_operations_say_so_in_their_reason(cluster: Cluster) -> None:
    cluster.broker(1, session_ms=100)
    cluster.wait(0.2)
    _, fence = [one for _, one in cluster.committed if isinstance(one, r.BrokerRegistrationChangeRecord)]
    origin = origin_of(fence)
    assert origin is not None
    assert (origin.client, origin.reason) == ("", "the session of broker 1 ended")


def test_a_text_that_no_reader_could_take_is_refused(cluster: Cluster) -> None:
    asked = Asked(metrics("x"), b"", Origin(reason="x" * 40_000), Options())
    decided = cluster.active.submit(asked, Instant(0.0), 0)
    assert code_of(decided) == "BAD_ARGUMENT"
    assert not decided.wrote


def test_batches_are_cut_between_operations(cluster: Cluster) -> None:
    cluster.broker(1)
    sizes = [6_000, 3_000, 2_000, 9_000]
    for number, size in enumerate(sizes):
        assert cluster.submit(c.CreateTopic(f"t{number}", size)).wrote
    assert cluster.active.turn_records == sum(sizes) + 4
    counts = [len(values) for values in cluster.active.take_batches()]
    assert counts == [9_002, 2_001, 9_001]
    assert all(count <= RECORDS_MAX for count in counts)
    assert cluster.active.take_batches() == []


def test_batches_stay_below_kafkas_limit(cluster: Cluster) -> None:
    for number in range(600):
        assert cluster.submit(metrics(f"x{number}", "v" * 30_000)).wrote
    batches = cluster.active.take_batches()
    assert len(batches) == 3
    for values in batches:
        assert 61 + len(batch.seal(values, 0)[1]) <= BATCH_SIZE_MAX
        assert len(decode_batch(batch.seal(values, 0)[1])) == len(values)


def test_an_operation_too_large_for_a_batch_is_refused_whole(cluster: Cluster) -> None:
    values = tuple((f"k{number}", "v" * 32_000) for number in range(300))
    decided = cluster.submit(c.SetConfigs(Entity("broker", ""), values))
    assert code_of(decided) == "POLICY_VIOLATION"
    assert cluster.active.take_batches() == []
    assert len(cluster.active.delta) == 0


def test_what_does_not_fit_never_enters_the_log(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from yakt.metadata import controller
    from yakt.metadata.decision import Decision

    wrong = [r.TopicRecord("t", cluster_id()), r.RemoveTopicRecord(b"nope" * 4)]  # type: ignore[arg-type]
    monkeypatch.setitem(controller.DECIDE, c.DeleteTopic, lambda *_: Decision(wrong, {}))
    decided = cluster.submit(c.DeleteTopic("t"))
    assert code_of(decided) == "UNKNOWN_SERVER_ERROR"
    assert (decided.wrote, cluster.active.take_batches(), len(cluster.active.delta)) == (False, [], 0)
    assert cluster.active.delta.topics.get("t") is None


def test_a_string_over_the_limit_never_enters_the_log(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    from yakt.metadata import controller
    from yakt.metadata.decision import Decision

    wrong = [r.ConfigRecord(4, "", "k", "v" * 32_768)]
    monkeypatch.setitem(controller.DECIDE, c.SetConfigs, lambda *_: Decision(wrong, {}))  # type: ignore[arg-type]
    assert code_of(cluster.submit(metrics("x"))) == "UNKNOWN_SERVER_ERROR"
    assert cluster.active.take_batches() == []


def test_what_a_brokers_end_moves_may_take_several_operations() -> None:
    cluster = Cluster()
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    for name in ("a", "b"):
        cluster.do(c.CreateTopic(name, 6_000, 2))
    start = cluster.active.end_offset
    answer = cluster.do(c.UnregisterBroker(2), request="r", client="me")
    origins = [(offset, origin_of(record)) for offset, record in cluster.committed if offset >= start and record.tags]
    assert [(offset, origin.count, origin.request) for offset, origin in origins if origin] == [
        (start, 10_000, ""),
        (start + 10_000, 2_001, "r"),
    ]
    assert answer["offset"] == start + 12_000
    assert cluster.do(c.UnregisterBroker(2), request="r", client="me") == answer
    cluster.do(c.FenceBroker(1))  # nobody leads any more
    assert all(row.leader == -1 for row in cluster.image.partitions.of_broker(1))
    cluster.do(c.HeartbeatBroker(1))
    assert sum(row.leader == 1 for row in cluster.image.partitions.of_broker(1)) == SLICE
    cluster.wait(0)  # the rest in slices, each a turn
    assert all(row.leader == 1 for row in cluster.image.partitions.of_broker(1))
