"""Levels of features: by which rules they change, and who can keep them from it (controller.md §9)."""

import pytest

from tests.metadata.cluster import Cluster, code_of
from yakt.batch import KRaftVersion
from yakt.errors import RefusedError
from yakt.ids import Uuid
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata.active import QuorumRecords
from yakt.metadata.features import KRAFT_VERSION, METADATA_VERSION, SUPPORTED, Levels

Ranges = dict[str, tuple[int, int]]
OURS: Ranges = {name: (levels.least, levels.most) for name, levels in SUPPORTED.items()}


@pytest.fixture
def cluster() -> Cluster:
    """All three controllers have registered."""
    made = Cluster()
    for number in (1, 2, 3):
        controller(made, number)
    return made


def controller(cluster: Cluster, number: int, ranges: Ranges = OURS, incarnation: int = 1) -> list[r.Record]:
    """A node says what it is; what is written of it."""
    start = cluster.active.end_offset
    record = r.RegisterControllerRecord(
        number,
        Uuid(bytes([incarnation]) * 16),
        False,
        (r.ControllerEndpoint("CONTROLLER", "127.0.0.1", 7400 + number, 0),),
        tuple(r.ControllerFeature(name, *levels) for name, levels in ranges.items()),
    )
    cluster.active.register_controllers((record,), cluster.now, cluster.now_ms)  # type: ignore[arg-type]
    cluster.commit()
    return [record for offset, record in cluster.committed if offset >= start]


def kafka_broker(cluster: Cluster, broker_id: int, ranges: Ranges) -> None:
    cluster.do(
        c.RegisterKafkaBroker(
            broker_id,
            cluster.settings.cluster_id,
            Uuid(bytes([broker_id]) * 16),
            (r.BrokerEndpoint("PLAINTEXT", "b", 9092, 0),),
            tuple(r.BrokerFeature(name, *levels) for name, levels in ranges.items()),
            None,
            (Uuid(bytes([100 + broker_id]) * 16),),
        )
    )


def change(name: str, level: int, downgrade: str = "") -> c.SetFeatures:
    return c.SetFeatures((c.FeatureChange(name, level, downgrade),))


def why_not(cluster: Cluster, command: c.SetFeatures) -> str:
    with pytest.raises(RefusedError) as caught:
        cluster.do(command)
    assert (caught.value.code, caught.value.kafka) == ("INVALID_UPDATE_VERSION", 95)
    return caught.value.message


def level(cluster: Cluster, name: str) -> int:
    row = cluster.image.features.get(name)
    return 0 if row is None else row.level


def test_one_down_and_up_again(cluster: Cluster) -> None:
    [written] = cluster.records_of(change(METADATA_VERSION, 20, "safe"))
    assert isinstance(written, r.FeatureLevelRecord)
    assert level(cluster, METADATA_VERSION) == 20
    cluster.do(change(METADATA_VERSION, 21))
    assert level(cluster, METADATA_VERSION) == 21


def test_the_present_level_writes_nothing_whatever_is_said_of_it(cluster: Cluster) -> None:
    for downgrade in ("", "safe", "unsafe"):
        assert cluster.records_of(change(METADATA_VERSION, 21, downgrade)) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (change(METADATA_VERSION, 20), "without a safe or unsafe downgrade"),
        (change(METADATA_VERSION, 18, "unsafe"), "Local controller 1 only supports versions 19-21."),
        (change(METADATA_VERSION, 22), "Local controller 1 only supports versions 19-21."),
        (change("group.version", 1, "safe"), "Can't downgrade to a newer version."),
        (change("group.version", -1), "cannot be less than 0"),
        (change("eligible.leader.replicas.version", 1), "does not support this feature"),
        (change("nosuch", 1), "Local controller 1 does not support this feature."),
        (change(KRAFT_VERSION, 2), "Local controller 1 only supports versions 0-1."),
    ],
)
def test_why_not(cluster: Cluster, command: c.SetFeatures, words: str) -> None:
    assert words in why_not(cluster, command)


def test_a_level_of_0_switches_a_feature_off(cluster: Cluster) -> None:
    cluster.do(change("transaction.version", 2))
    cluster.do(change("transaction.version", 0, "unsafe"))
    assert cluster.image.features.get("transaction.version") is None


def test_every_broker_must_be_able_to(cluster: Cluster) -> None:
    kafka_broker(cluster, 11, {METADATA_VERSION: (7, 21), KRAFT_VERSION: (0, 1)})
    assert why_not(cluster, change("group.version", 1)).endswith("Broker 11 does not support this feature.")
    cluster.do(change(METADATA_VERSION, 19, "safe"))
    kafka_broker(cluster, 12, {METADATA_VERSION: (7, 20), "group.version": (0, 1)})
    assert why_not(cluster, change(METADATA_VERSION, 21)).endswith("Broker 12 only supports versions 7-20.")
    cluster.do(change(METADATA_VERSION, 20))


def test_every_controller_must_be_able_to_and_have_said_so() -> None:
    cluster = Cluster()
    controller(cluster, 2)
    assert "Controller 3 has not registered" in why_not(cluster, change("group.version", 1))
    controller(cluster, 3, {METADATA_VERSION: (21, 21)})
    assert why_not(cluster, change("group.version", 1)).endswith("Controller 3 does not support this feature.")
    assert why_not(cluster, change(METADATA_VERSION, 20, "safe")).endswith("Controller 3 only supports versions 21-21.")
    controller(cluster, 3)
    cluster.do(change("group.version", 1))


def test_all_or_none(cluster: Cluster) -> None:
    both = c.SetFeatures((c.FeatureChange("group.version", 1), c.FeatureChange("nosuch", 1)))
    assert "nosuch" in why_not(cluster, both)
    assert level(cluster, "group.version") == 0
    again = c.SetFeatures((c.FeatureChange("group.version", 1), c.FeatureChange("group.version", 0)))
    with pytest.raises(RefusedError, match="twice"):
        cluster.do(again)


def test_a_check_writes_nothing(cluster: Cluster) -> None:
    end = cluster.active.end_offset
    assert code_of(cluster.submit(change("group.version", 1), check=True)) == "OK"
    assert cluster.active.end_offset == end


def test_if_offset_is_held_against_the_features_named(cluster: Cluster) -> None:
    cluster.do(change("group.version", 1))
    end = cluster.image.end_offset
    assert code_of(cluster.submit(change("group.version", 0, "safe"), if_offset=end - 1)) == "CONFLICT"
    assert code_of(cluster.submit(change("group.version", 0, "safe"), if_offset=end)) == "OK"


# --- kraft.version, which the quorum writes


def test_kraft_version_stands_between_what_was_decided_before_and_after(cluster: Cluster) -> None:
    before = cluster.submit(change("group.version", 1))
    decided = cluster.submit(change(KRAFT_VERSION, 1))
    after = cluster.submit(change("transaction.version", 1))
    assert (decided.wrote, decided.end_offset, after.end_offset) == (
        True,
        before.end_offset + 2,
        before.end_offset + 3,
    )
    first, due, last = cluster.active.take_batches()
    assert (len(first), due, len(last)) == (1, QuorumRecords(1), 1)  # type: ignore[arg-type]
    assert cluster.active.delta.kraft_version == 1
    assert cluster.image.kraft_version == 0


def test_kraft_version_waits_for_voters() -> None:
    cluster = Cluster()
    for number in (1, 2, 3):
        controller(cluster, number)
    cluster.active._stamp.missing_voters = lambda level: (3,) if level else ()
    assert "Of voter 3 is not known yet" in why_not(cluster, change(KRAFT_VERSION, 1))
    assert cluster.records_of(change(KRAFT_VERSION, 0)) == []


def test_there_is_no_way_back_from_kraft_version_1(cluster: Cluster) -> None:
    for image in (cluster.image, cluster.follower):
        image.skip(image.end_offset + 1, cluster.epoch, (KRaftVersion(1),))
    cluster.lead()
    assert "There is no way back from level 1." in why_not(cluster, change(KRAFT_VERSION, 0, "unsafe"))
    assert cluster.records_of(change(KRAFT_VERSION, 1)) == []


def test_a_broker_must_be_able_to_read_the_kraft_version_in_force(cluster: Cluster) -> None:
    for image in (cluster.image, cluster.follower):
        image.skip(image.end_offset + 1, cluster.epoch, (KRaftVersion(1),))
    cluster.lead()
    with pytest.raises(RefusedError, match=r"kraft.version is at level 1, this broker supports 0 to 0"):
        kafka_broker(cluster, 11, {METADATA_VERSION: (7, 21)})
    kafka_broker(cluster, 12, {METADATA_VERSION: (7, 21), KRAFT_VERSION: (0, 1)})


# --- who has registered


def test_a_controller_is_written_when_what_it_says_changes() -> None:
    cluster = Cluster()
    [written] = controller(cluster, 2)
    assert isinstance(written, r.RegisterControllerRecord)
    assert controller(cluster, 2) == []
    assert len(controller(cluster, 2, incarnation=9)) == 1
    assert len(controller(cluster, 2, {METADATA_VERSION: (21, 22)}, incarnation=9)) == 1
    cluster.lead()
    assert controller(cluster, 2, {METADATA_VERSION: (21, 22)}, incarnation=9) == []


def test_levels_hold_both_ends() -> None:
    assert 19 in Levels(19, 21)
    assert 21 in Levels(19, 21)
    assert 22 not in Levels(19, 21)
    assert "19" not in Levels(19, 21)


def test_kraft_version_is_no_half_of_another_operation(cluster: Cluster) -> None:
    """It is a batch of its own: with another leader in between, half of the operation would stand."""
    both = (c.FeatureChange(METADATA_VERSION, 20, True), c.FeatureChange(KRAFT_VERSION, 1))
    with pytest.raises(RefusedError, match="ask for it by itself"):
        cluster.do(c.SetFeatures(both))
    cluster.submit(c.SetFeatures((c.FeatureChange(METADATA_VERSION, 21), c.FeatureChange(KRAFT_VERSION, 1))))
    assert cluster.active.delta.kraft_version == 1
