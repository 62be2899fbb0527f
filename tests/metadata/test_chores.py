"""What the controller does of itself: whom it fences and when, large moves in slices, elections in rounds."""

import pytest

from tests.metadata.cluster import SESSION_S, Cluster
from yakt.ids import Instant
from yakt.metadata import backlog, rounds
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.entities import Entity
from yakt.metadata.partition_table import LEADERLESS
from yakt.metadata.rows import BrokerRow, PartitionRow
from yakt.metadata.tags import origin_of

FOREVER_MS = 7 * 24 * 3600 * 1000
SLICE = backlog.SLICE
UNCLEAN = "unclean.leader.election.enable"


def partitions(cluster: Cluster, name: str = "t") -> list[PartitionRow]:
    topic = cluster.image.topics.get(name)
    assert topic is not None
    return list(cluster.image.partitions_of(topic))


def broker(cluster: Cluster, broker_id: int) -> BrokerRow:
    row = cluster.image.brokers.get(broker_id)
    assert row is not None
    return row


def large(*sessions_ms: int | None, count: int = 2 * SLICE + 500, replicas: tuple[int, ...] = (1, 2)) -> Cluster:
    """A topic that its first broker leads, in more than one slice."""
    cluster = Cluster()
    for broker_id, session_ms in enumerate(sessions_ms, 1):
        cluster.broker(broker_id, session_ms=session_ms)
    cluster.topic("t", *[replicas] * count)
    return cluster


def turn(cluster: Cluster) -> list[r.Record]:
    """One turn of what is due; what it wrote."""
    start = cluster.active.end_offset
    cluster.now = max(cluster.now, float(cluster.active.deadline))
    cluster.active.on_deadline(Instant(cluster.now), cluster.now_ms)
    cluster.commit()
    return [record for offset, record in cluster.committed if offset >= start]


def kinds(records: list[r.Record]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in records:
        if not isinstance(record, r.NoOpRecord):  # the image's hash
            found[type(record).__name__] = found.get(type(record).__name__, 0) + 1
    return found


CHANGE, FENCE = "PartitionChangeRecord", "BrokerRegistrationChangeRecord"


# --- fencing


def test_a_fence_of_many_partitions_is_cut_into_slices_and_others_are_served_between_them() -> None:
    cluster = large(None, FOREVER_MS)
    cluster.wait(SESSION_S - 0.01)
    while not kinds(written := turn(cluster)):
        pass
    assert kinds(written) == {CHANGE: SLICE}
    assert not broker(cluster, 1).fenced
    assert cluster.do(c.SetConfigs(Entity("client-metrics", "x"), (("metrics", "m"),)))  # a client, meanwhile
    assert [kinds(turn(cluster)) for _ in range(3)] == [{CHANGE: SLICE}, {CHANGE: 500}, {FENCE: 1}]
    assert broker(cluster, 1).fenced
    assert {(row.leader, row.isr) for row in partitions(cluster)} == {(2, (2,))}
    origins = [origin_of(record) for _, record in cluster.committed[-3:]]
    assert [origin.reason for origin in origins if origin] == ["the session of broker 1 ended"]


def test_the_fence_is_the_last_record_of_a_small_one() -> None:
    cluster = large(None, FOREVER_MS, count=3)
    cluster.wait(SESSION_S - 0.01)
    while not (found := kinds(turn(cluster))):
        pass
    assert found == {CHANGE: 3, FENCE: 1}


def test_a_broker_that_is_heard_of_while_it_is_being_fenced_stays() -> None:
    cluster = large(None, FOREVER_MS)
    cluster.wait(SESSION_S - 0.01)
    while not kinds(turn(cluster)):
        pass
    assert cluster.do(c.HeartbeatBroker(1))["fenced"] is False
    cluster.wait(1)
    assert not broker(cluster, 1).fenced
    assert sum(row.leader == 1 for row in partitions(cluster)) == SLICE + 500  # the rest it keeps


def test_what_joins_its_isr_meanwhile_is_moved_too() -> None:
    cluster = large(None, FOREVER_MS)
    cluster.wait(SESSION_S - 0.01)
    while not kinds(turn(cluster)):
        pass
    row = partitions(cluster)[0]
    assert row.isr == (2,)
    change = c.IsrChange(row.topic_id, 0, row.leader_epoch, row.partition_epoch, ((2, -1), (1, -1)))
    [told] = cluster.do(c.AlterPartitions(2, broker(cluster, 2).epoch, (change,)))["partitions"]
    assert told["isr"] == [2, 1]  # it is not fenced yet
    cluster.wait(1)
    assert broker(cluster, 1).fenced
    assert partitions(cluster)[0].isr == (2,)


def test_partitions_that_only_it_holds_do_not_keep_it_from_being_fenced() -> None:
    cluster = large(None, replicas=(1,))
    cluster.wait(SESSION_S + 1)
    assert broker(cluster, 1).fenced
    assert {(row.leader, row.isr) for row in partitions(cluster)} == {(-1, (1,))}
    cluster.do(c.HeartbeatBroker(1))
    cluster.wait(0)
    assert {(row.leader, row.isr) for row in partitions(cluster)} == {(1, (1,))}


def test_one_broker_after_the_other_is_fenced_each_on_what_the_last_left() -> None:
    cluster = large(None, None, FOREVER_MS, replicas=(1, 2, 3), count=5)
    cluster.wait(SESSION_S + 1)
    assert [broker(cluster, broker_id).fenced for broker_id in (1, 2, 3)] == [True, True, False]
    assert {(row.leader, row.isr) for row in partitions(cluster)} == {(3, (3,))}
    # 1 moved to 2, and then 2 to 3
    assert {row.leader_epoch for row in partitions(cluster)} == {2}


def test_a_failover_amid_a_fence_begins_anew_with_a_whole_session() -> None:
    cluster = large(None, FOREVER_MS)
    cluster.wait(SESSION_S - 0.01)
    while not kinds(turn(cluster)):
        pass
    cluster.lead()
    cluster.wait(SESSION_S - 0.1)
    assert not broker(cluster, 1).fenced
    cluster.wait(0.5)
    assert broker(cluster, 1).fenced
    assert {row.isr for row in partitions(cluster)} == {(2,)}


def test_a_leader_that_slept_fences_nobody_who_kept_sending() -> None:
    cluster = large(None, None, count=1)
    cluster.wait(2)
    cluster.now += 30  # nothing ran
    cluster.wait(1)  # its timer is looked at before what came in meanwhile is read
    cluster.do(c.HeartbeatBroker(1))
    cluster.wait(4)
    cluster.do(c.HeartbeatBroker(1))
    cluster.wait(4)
    assert [broker(cluster, broker_id).fenced for broker_id in (1, 2)] == [False, True]


# --- controlled shutdown


def test_a_shutdown_of_many_partitions_is_granted_when_the_last_is_moved() -> None:
    cluster = large(FOREVER_MS, FOREVER_MS)
    records = cluster.records_of(c.HeartbeatBroker(1, shutdown=True))
    assert kinds(records) == {FENCE: 1, CHANGE: SLICE}
    answer = cluster.do(c.HeartbeatBroker(1, shutdown=True))
    assert (answer["shutdown"], answer["fenced"]) == (False, False)
    assert [kinds(turn(cluster)) for _ in range(2)] == [{CHANGE: SLICE}, {CHANGE: 500}]
    last = cluster.image.end_offset - 1
    session = cluster.active.sessions.get(1, broker(cluster, 1).epoch)
    assert session is not None
    assert session.shutdown_offset == last
    cluster.do(c.HeartbeatBroker(2, at=last - 1))
    assert not cluster.do(c.HeartbeatBroker(1, shutdown=True))["shutdown"]  # the other has not seen all of it
    cluster.do(c.HeartbeatBroker(2, at=last))
    assert cluster.do(c.HeartbeatBroker(1, shutdown=True))["shutdown"]
    assert {(row.leader, row.isr) for row in partitions(cluster)} == {(2, (2,))}


def test_a_broker_that_is_fenced_amid_its_shutdown_leaves_nothing_to_do() -> None:
    cluster = large(FOREVER_MS, FOREVER_MS)
    cluster.do(c.HeartbeatBroker(1, shutdown=True))
    cluster.do(c.FenceBroker(1))
    assert kinds(turn(cluster)) == {}
    assert {(row.leader, row.isr) for row in partitions(cluster)} == {(2, (2,))}


# --- leaders for the leaderless


def test_leaders_that_the_last_controller_had_no_time_to_elect() -> None:
    cluster = large(FOREVER_MS, replicas=(1,))
    cluster.do(c.FenceBroker(1))
    cluster.do(c.HeartbeatBroker(1))
    assert len(list(cluster.image.partitions.marked(LEADERLESS))) == SLICE + 500
    cluster.lead()
    cluster.wait(0)
    assert not list(cluster.image.partitions.marked(LEADERLESS))


def test_after_a_while_the_preferred_lead_again() -> None:
    cluster = large(FOREVER_MS, FOREVER_MS, count=SLICE + 5)
    cluster.do(c.FenceBroker(1))
    cluster.do(c.HeartbeatBroker(1))
    back(cluster, 1)
    assert {row.leader for row in partitions(cluster)} == {2}
    cluster.wait(cluster.settings.preferred_election_interval_s - 1)
    assert {row.leader for row in partitions(cluster)} == {2}
    cluster.wait(1.001)
    assert sum(row.leader == 1 for row in partitions(cluster)) == rounds.SLICE
    cluster.wait(rounds.PAUSE_S)
    assert {row.leader for row in partitions(cluster)} == {1}
    end = cluster.image.end_offset
    cluster.wait(3 * cluster.settings.preferred_election_interval_s)
    assert cluster.image.end_offset == end + 1  # the image's hash; else nothing is to be done


def back(cluster: Cluster, broker_id: int) -> None:
    """Into every ISR, as the leaders ask for it."""
    by_leader: dict[int, list[c.IsrChange]] = {}
    for row in partitions(cluster):
        isr = tuple((member, -1) for member in (*row.isr, broker_id))
        change = c.IsrChange(row.topic_id, row.partition, row.leader_epoch, row.partition_epoch, isr)
        by_leader.setdefault(row.leader, []).append(change)
    for leader, changes in by_leader.items():
        cluster.do(c.AlterPartitions(leader, broker(cluster, leader).epoch, tuple(changes)))


@pytest.mark.parametrize(
    ("where", "led"),
    [
        (Entity("topic", "t"), True),
        (Entity("broker", "1"), True),  # this controller's node id
        (Entity("broker", ""), True),
        (Entity("broker", "2"), False),
        (None, False),
    ],
)
def test_a_partition_without_a_leader_waits_for_an_unclean_election_until_it_is_allowed(
    where: Entity | None, led: bool
) -> None:
    cluster = large(FOREVER_MS, FOREVER_MS, count=1)
    for broker_id in (2, 1):
        cluster.do(c.FenceBroker(broker_id))
    cluster.do(c.HeartbeatBroker(2))
    if where is not None:
        cluster.do(c.SetConfigs(where, ((UNCLEAN, "true"),)))
    assert partitions(cluster)[0].leader == -1
    cluster.wait(cluster.settings.unclean_election_interval_s + 1)
    [row] = partitions(cluster)
    assert (row.leader, row.isr, row.recovery) == ((2, (2,), 1) if led else (-1, (1,), 0))


def test_a_topic_that_goes_amid_a_job_is_passed_over() -> None:
    cluster = large(None, FOREVER_MS)
    cluster.wait(SESSION_S - 0.01)
    while not kinds(turn(cluster)):
        pass
    cluster.do(c.DeleteTopic("t"))
    cluster.wait(1)
    assert broker(cluster, 1).fenced
