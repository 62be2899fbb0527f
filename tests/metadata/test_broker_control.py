"""Brokers: registration, the heartbeat table of controller.md §3, fencing, leaving, sessions."""

from typing import Any

import pytest

from tests.metadata.cluster import SESSION_S, SETTINGS, Cluster, code_of
from yakt.errors import RefusedError
from yakt.ids import Uuid, parse_uuid
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.broker_control import directory_of
from yakt.metadata.entities import Entity
from yakt.metadata.rows import BrokerRow, PartitionRow
from yakt.metadata.tags import Registration, registration_of, with_registration

INCARNATION = Uuid(b"\x11" * 16)
OTHER = Uuid(b"\x22" * 16)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def row(cluster: Cluster, broker_id: int) -> BrokerRow:
    found = cluster.image.brokers.get(broker_id)
    assert found is not None
    return found


def partition(cluster: Cluster, topic_id: bytes, number: int = 0) -> PartitionRow:
    found = cluster.image.partitions.get((Uuid(topic_id), number))
    assert found is not None
    return found


# --- registration


def test_a_registration_is_fenced_and_its_epoch_is_the_next_offset(cluster: Cluster) -> None:
    offset = cluster.active.end_offset
    answer = cluster.do(c.RegisterBroker(7, "h", 9092, rack="r1"))
    assert answer == {"offset": offset, "epoch": offset, "uuid": answer["uuid"], "fenced": True}
    found = row(cluster, 7)
    assert (found.incarnation, found.rack, found.fenced) == (parse_uuid(answer["uuid"]), "r1", True)
    assert found.directories == (directory_of(SETTINGS.cluster_id, 7),)
    assert [point.name for point in found.end_points] == ["PLAINTEXT"]
    assert cluster.active.sessions.get(7, found.epoch) is None


def test_directories_differ_by_broker_and_cluster_and_stay_over_incarnations(cluster: Cluster) -> None:
    made = {directory_of(cluster_id, broker_id) for cluster_id in ("a", "b") for broker_id in range(200)}
    assert len(made) == 400
    cluster.broker(1, alive=False)
    first = row(cluster, 1).directories
    cluster.broker(1, alive=False)
    assert row(cluster, 1).directories == first


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (c.RegisterBroker(-1, "h", 1), "id"),
        (c.RegisterBroker(2**31, "h", 1), "id"),
        (c.RegisterBroker(1, "", 1), "host"),
        (c.RegisterBroker(1, "h" * 40_000, 1), "host"),
        (c.RegisterBroker(1, "h", 65_536), "port"),
        (c.RegisterBroker(1, "h", 1, rack="r" * 40_000), "rack"),
        (c.RegisterBroker(1, "h", 1, session_ms=0), "session"),
    ],
)
def test_registrations_that_no_reader_could_take(cluster: Cluster, command: c.RegisterBroker, key: str) -> None:
    with pytest.raises(RefusedError) as refused:
        cluster.do(command)
    assert (refused.value.code, refused.value.kafka) == ("INVALID_REQUEST", 42)
    assert refused.value.details["key"] == key


def test_another_incarnation_waits_for_the_session_to_end(cluster: Cluster) -> None:
    epoch = cluster.broker(1, incarnation=INCARNATION)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.RegisterBroker(1, "h", 1, incarnation=OTHER))
    assert (refused.value.code, refused.value.kafka, refused.value.retry) == ("DUPLICATE_BROKER", 101, True)
    cluster.wait(SESSION_S + 0.1)
    answer = cluster.do(c.RegisterBroker(1, "h", 1, incarnation=OTHER))
    assert answer["epoch"] > epoch
    assert row(cluster, 1).fenced


def test_a_fenced_broker_that_still_beats_is_in_use_too(cluster: Cluster) -> None:
    cluster.broker(1)
    cluster.do(c.HeartbeatBroker(1, fence=True))
    assert code_of(cluster.submit(c.RegisterBroker(1, "h", 1))) == "DUPLICATE_BROKER"


def test_the_same_incarnation_again_keeps_epoch_and_state(cluster: Cluster) -> None:
    epoch = cluster.broker(1, incarnation=INCARNATION)
    answer = cluster.do(c.RegisterBroker(1, "new", 1, incarnation=INCARNATION))
    assert (answer["epoch"], answer["fenced"]) == (epoch, False)
    assert row(cluster, 1).end_points[0].host == "new"


def test_a_new_incarnation_leaves_the_isrs_first_and_registers_last(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    cluster.topic("t", [1, 2])
    cluster.active.sessions.end(1)
    start = cluster.active.end_offset
    records = cluster.records_of(c.RegisterBroker(1, "h", 1))
    assert [type(record) for record in records] == [r.PartitionChangeRecord, r.RegisterBrokerRecord]
    registration = records[1]
    assert isinstance(registration, r.RegisterBrokerRecord)
    assert registration.broker_epoch == start  # at handling: below its own offset


def test_a_directory_of_another_broker_is_refused(cluster: Cluster) -> None:
    cluster.broker(2)
    cluster.active.delta.directories.put(directory_of(SETTINGS.cluster_id, 1), 2, 0)
    decided = cluster.submit(c.RegisterBroker(1, "h", 1))
    assert code_of(decided) == "INVALID_REGISTRATION"


def test_a_feature_level_that_it_does_not_support_is_refused(cluster: Cluster) -> None:
    cluster.active.delta.replay(cluster.active.end_offset, [r.FeatureLevelRecord("share.version", 1)])
    decided = cluster.submit(c.RegisterBroker(1, "h", 1))
    assert code_of(decided) == "UNSUPPORTED_VERSION"


def test_the_change_count_goes_on_over_an_end_in_between(cluster: Cluster) -> None:
    counts = []
    cluster.broker(1)
    counts.append(row(cluster, 1).changes)
    cluster.do(c.ChangeBroker(1, host="x"))
    counts.append(row(cluster, 1).changes)
    cluster.do(c.FenceBroker(1))
    counts.append(row(cluster, 1).changes)
    cluster.do(c.UnregisterBroker(1))
    cluster.broker(1)
    counts.append(row(cluster, 1).changes)
    assert counts == [0, 1, 1, 2]


def test_a_protocol_that_kafka_does_not_know_is_recorded_as_plaintext(cluster: Cluster) -> None:
    records = cluster.records_of(c.RegisterBroker(1, "h", 1, protocol="Telnet", session_ms=500))
    (record,) = records
    assert isinstance(record, r.RegisterBrokerRecord)
    assert (record.end_points[0].name, record.end_points[0].security_protocol) == ("PLAINTEXT", 0)
    assert registration_of(record) == Registration(0, 500, "Telnet")
    assert row(cluster, 1).protocol_name == "Telnet"


def test_lower_case_protocols_are_kafkas(cluster: Cluster) -> None:
    cluster.broker(1, protocol="sasl_ssl")
    assert (row(cluster, 1).protocol_name, row(cluster, 1).end_points[0].security_protocol) == ("SASL_SSL", 3)


def test_registrations_written_by_kafka_are_counted_too(cluster: Cluster) -> None:
    image = cluster.image
    record = r.RegisterBrokerRecord(1, INCARNATION, 5, (), (), None)
    for _ in range(2):
        image.replay(image.end_offset, 1, 0, [record])
    assert row(cluster, 1).changes == 1
    image.replay(image.end_offset, 1, 0, [with_registration(record, Registration(9))])
    assert row(cluster, 1).changes == 9


# --- heartbeats: controller.md §3, row by row

AHEAD, BEHIND = 2**62, 0


@pytest.mark.parametrize(
    ("state", "beat", "fenced", "caught_up", "shutdown", "written"),
    [
        ("fenced", {"shutdown": True}, True, True, True, []),
        ("fenced", {"fence": True}, True, True, False, []),
        ("fenced", {"at": BEHIND}, True, False, False, []),
        ("fenced", {"at": AHEAD}, False, True, False, ["unfence"]),
        ("fenced", {}, False, True, False, ["unfence"]),
        ("fenced", {"at": BEHIND, "fence": True}, True, False, False, []),
        ("unfenced", {"fence": True, "shutdown": True}, True, True, True, ["isr", "fence"]),
        ("unfenced", {"fence": True}, True, True, False, ["isr", "fence"]),
        ("unfenced", {"shutdown": True}, False, True, False, ["shutdown", "isr"]),
        ("unfenced, leads none", {"shutdown": True}, True, True, True, ["isr", "fence"]),
        ("unfenced", {"at": BEHIND}, False, False, False, []),
        ("unfenced", {}, False, True, False, []),
        ("shutting down, leads", {"shutdown": True}, False, True, False, []),
        ("shutting down, not seen", {"shutdown": True}, False, True, False, []),
        ("shutting down, seen", {"shutdown": True}, True, True, True, ["fence"]),
        ("shutting down, seen", {}, True, True, True, ["fence"]),
    ],
)
def test_heartbeat_table(
    cluster: Cluster,
    state: str,
    beat: dict[str, Any],
    fenced: bool,
    caught_up: bool,
    shutdown: bool,
    written: list[str],
) -> None:
    cluster.broker(2)
    if state == "fenced":
        cluster.broker(1, alive=False)
    else:
        cluster.broker(1)
        replicas = [1] if state == "shutting down, leads" else [2, 1] if "none" in state else [1, 2]
        cluster.topic("t", replicas)
    if state.startswith("shutting down"):
        cluster.do(c.HeartbeatBroker(1, shutdown=True))
        if "leads" in state:  # what cannot be moved yet is led still: a leader that comes back, say
            (row_,) = cluster.image.partitions.of_broker(1)
            change = r.PartitionChangeRecord(0, row_.topic_id, leader=1)
            cluster.active.delta.replay(cluster.active.end_offset, [change])
        cluster.do(c.HeartbeatBroker(2, at=BEHIND if "not seen" in state else AHEAD))
    before = row(cluster, 1)
    start = cluster.active.end_offset
    decided = cluster.submit(c.HeartbeatBroker(1, **beat))
    assert not isinstance(decided.result, RefusedError)
    assert decided.result.pairs == {
        "offset": cluster.active.end_offset - 1,
        "fenced": fenced,
        "caught_up": caught_up,
        "shutdown": shutdown,
    }
    cluster.commit()
    records = [record for offset, record in cluster.committed if offset >= start]
    assert [kind_of(record) for record in records] == written
    assert decided.wrote is bool(written)
    assert (cluster.active.sessions.get(1, before.epoch) is None) is shutdown


def kind_of(record: r.Record) -> str:
    match record:
        case r.PartitionChangeRecord():
            return "isr"
        case r.BrokerRegistrationChangeRecord(fenced=1):
            return "fence"
        case r.BrokerRegistrationChangeRecord(fenced=-1):
            return "unfence"
        case r.BrokerRegistrationChangeRecord(in_controlled_shutdown=1):
            return "shutdown"
    return type(record).__name__


def test_heartbeat_of_another_epoch_and_of_nobody(cluster: Cluster) -> None:
    epoch = cluster.broker(3)
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.HeartbeatBroker(3, epoch=99))
    assert (refused.value.code, refused.value.kafka) == ("STALE_BROKER_EPOCH", 77)
    assert refused.value.details == {"sent": 99, "current": epoch}
    assert refused.value.message == "another process registered this id"
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.HeartbeatBroker(4))
    assert (refused.value.code, refused.value.kafka) == ("UNKNOWN_BROKER", 102)


def test_a_shutdown_ends_the_session_so_a_restart_need_not_wait(cluster: Cluster) -> None:
    cluster.broker(1)
    assert cluster.do(c.HeartbeatBroker(1, shutdown=True))["shutdown"]
    assert cluster.do(c.RegisterBroker(1, "h", 1))["fenced"]


def test_a_new_controller_lets_a_shutdown_be_entered_again(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    cluster.topic("t", [1, 2])
    cluster.do(c.HeartbeatBroker(1, shutdown=True))
    cluster.lead()
    answer = cluster.do(c.HeartbeatBroker(1, shutdown=True))  # it leads nothing any more
    assert answer["shutdown"]


def test_a_leaderless_partition_is_led_again_by_the_first_of_its_isr_to_come_back(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    topic_id = cluster.topic("t", [1, 2])
    for broker_id in (2, 1):
        cluster.do(c.FenceBroker(broker_id))
    assert (partition(cluster, topic_id).leader, partition(cluster, topic_id).isr) == (-1, (1,))
    cluster.do(c.HeartbeatBroker(2))  # not in sync: it may not lead
    assert partition(cluster, topic_id).leader == -1
    records = cluster.records_of(c.HeartbeatBroker(1))
    assert [kind_of(record) for record in records] == ["unfence", "isr"]
    assert partition(cluster, topic_id).leader == 1


def test_a_broker_that_was_shutting_down_leads_nothing_when_it_is_unfenced(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    topic_id = cluster.topic("t", [1])
    cluster.topic("u", [1, 2])
    cluster.do(c.HeartbeatBroker(1, shutdown=True))
    cluster.do(c.FenceBroker(1))
    cluster.do(c.HeartbeatBroker(1))
    assert (row(cluster, 1).fenced, row(cluster, 1).active) == (False, False)
    assert partition(cluster, topic_id).leader == -1
    cluster.active.sessions.end(1)
    cluster.broker(1)  # registered anew
    assert partition(cluster, topic_id).leader == 1


def test_an_unclean_election_where_the_topic_allows_it(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    topic_id = cluster.topic("t", [1, 2])
    cluster.do(c.FenceBroker(2))
    entity = Entity("topic", "t")
    cluster.do(c.SetConfigs(entity, (("unclean.leader.election.enable", "TRUE"),)))
    cluster.do(c.FenceBroker(1))
    cluster.do(c.HeartbeatBroker(2))
    found = partition(cluster, topic_id)
    assert (found.leader, found.isr, found.recovery) == (2, (2,), 1)


# --- change, fence, unregister, sessions


def test_a_change_keeps_incarnation_and_epoch(cluster: Cluster) -> None:
    epoch = cluster.broker(1, rack="r")
    before = row(cluster, 1)
    assert cluster.do(c.ChangeBroker(1, host="x", port=5, rack=""))["epoch"] == epoch
    after = row(cluster, 1)
    assert (after.incarnation, after.epoch, after.fenced) == (before.incarnation, epoch, False)
    assert (after.end_points[0].host, after.end_points[0].port, after.rack) == ("x", 5, None)


def test_a_change_of_nothing_writes_nothing(cluster: Cluster) -> None:
    cluster.broker(1)
    assert cluster.records_of(c.ChangeBroker(1)) == []
    assert cluster.records_of(c.ChangeBroker(1, host="b1", protocol="plaintext")) == []


def test_a_fence_holds_until_the_next_heartbeat(cluster: Cluster) -> None:
    cluster.broker(1)
    cluster.do(c.FenceBroker(1))
    assert row(cluster, 1).fenced
    cluster.wait(60)
    assert row(cluster, 1).fenced
    cluster.do(c.HeartbeatBroker(1))
    assert not row(cluster, 1).fenced


def test_unregistering_takes_it_out_and_remembers_it_as_closed(cluster: Cluster) -> None:
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    topic_id = cluster.topic("t", [1, 2])
    records = cluster.records_of(c.UnregisterBroker(1))
    assert [type(record) for record in records] == [r.PartitionChangeRecord, r.UnregisterBrokerRecord]
    assert partition(cluster, topic_id).leader == 2
    closed = cluster.image.closed.get(1)
    assert closed is not None
    assert closed.time_ms == cluster.now_ms
    assert cluster.active.deadline < cluster.now + SESSION_S + 1
    cluster.wait(60)  # its session is gone too: nothing to fence


def test_sessions_end_on_time_whatever_their_length(cluster: Cluster) -> None:
    cluster.broker(1, session_ms=250)
    cluster.broker(2)
    cluster.broker(3, session_ms=60_000)
    cluster.wait(0.24)
    assert not row(cluster, 1).fenced
    cluster.wait(0.02)
    assert [row(cluster, broker_id).fenced for broker_id in (1, 2, 3)] == [True, False, False]
    cluster.wait(SESSION_S)
    assert [row(cluster, broker_id).fenced for broker_id in (1, 2, 3)] == [True, True, False]
    cluster.wait(60)
    assert row(cluster, 3).fenced


def test_a_new_controller_gives_every_unfenced_broker_a_whole_session(cluster: Cluster) -> None:
    cluster.broker(1)
    cluster.broker(2, alive=False)
    cluster.wait(SESSION_S - 1)
    cluster.lead()
    cluster.wait(SESSION_S - 1)
    assert not row(cluster, 1).fenced
    cluster.wait(1.1)
    assert row(cluster, 1).fenced
    assert cluster.active.sessions.get(2, row(cluster, 2).epoch) is None
