"""The partition change builder, case by case (controller.md §5)."""

from typing import Any

import pytest

from tests.metadata.cluster import SETTINGS
from yakt.ids import Uuid
from yakt.metadata import records as r
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.image import MetadataImage
from yakt.metadata.partition_change import Election, Target, build, default_directory, is_online, is_unclean_allowed
from yakt.metadata.records import PartitionChangeRecord
from yakt.metadata.rows import LOST, MIGRATING, UNASSIGNED, BrokerRow, PartitionRow

TOPIC = Uuid(b"t" * 16)
DIRS = {broker_id: Uuid(bytes([broker_id]) * 16) for broker_id in range(1, 8)}


def image_of(*, fenced: tuple[int, ...] = (), shutting_down: tuple[int, ...] = (), brokers: int = 5) -> MetadataImage:
    image = MetadataImage()
    records: list[r.Record] = [
        r.RegisterBrokerRecord(
            broker_id,
            DIRS[broker_id],
            broker_id,
            (),
            (),
            None,
            fenced=broker_id in fenced,
            in_controlled_shutdown=broker_id in shutting_down,
            log_dirs=(DIRS[broker_id],),
        )
        for broker_id in range(1, brokers + 1)
    ]
    image.replay(0, 1, 0, [*records, r.TopicRecord("t", TOPIC)])
    return image


def partition_of(**fields: Any) -> PartitionRow:
    values: dict[str, Any] = {
        "topic": "t",
        "topic_id": TOPIC,
        "partition": 0,
        "replicas": (1, 2, 3),
        "isr": (1, 2, 3),
        "removing": (),
        "adding": (),
        "leader": 1,
        "recovery": 0,
        "leader_epoch": 4,
        "partition_epoch": 9,
        "offset": 0,
    }
    values |= fields
    values.setdefault("directories", tuple(DIRS.get(one, MIGRATING) for one in values["replicas"]))
    return PartitionRow(**values)


def change(**fields: Any) -> PartitionChangeRecord:
    return PartitionChangeRecord(0, TOPIC, **fields)


ONLINE, UNCLEAN, PREFERRED = Election.ONLINE, Election.UNCLEAN, Election.PREFERRED


@pytest.mark.parametrize(
    ("row", "brokers", "target", "election", "record"),
    [
        # nothing to do
        ({}, {}, Target(), ONLINE, None),
        ({}, {}, Target(isr=(1, 2, 3)), ONLINE, None),
        # ISR alone: no leader epoch
        ({}, {}, Target(isr=(1, 2)), ONLINE, change(isr=(1, 2))),
        # the leader leaves: the first valid in replica order
        ({}, {}, Target(isr=(2, 3)), ONLINE, change(isr=(2, 3), leader=2)),
        ({"replicas": (3, 1, 2)}, {}, Target(isr=(2, 3)), ONLINE, change(isr=(2, 3), leader=3)),
        ({}, {"fenced": (2,)}, Target(isr=(2, 3)), ONLINE, change(isr=(2, 3), leader=3)),
        ({}, {"shutting_down": (2,)}, Target(isr=(2, 3)), ONLINE, change(isr=(2, 3), leader=3)),
        # nobody left: the old ISR stays, so that its last member can come back as leader
        ({"isr": (1,)}, {}, Target(isr=()), ONLINE, change(leader=-1)),
        ({"isr": (1,), "leader": -1}, {"fenced": (1,)}, Target(), ONLINE, None),
        ({"isr": (1,), "leader": -1}, {}, Target(), ONLINE, change(leader=1)),
        # unclean: outside the ISR, recovering
        ({"isr": (1,)}, {"fenced": (1,)}, Target(), UNCLEAN, change(isr=(2,), leader=2, leader_recovery_state=1)),
        ({"isr": (1, 3)}, {"fenced": (1,)}, Target(), UNCLEAN, change(leader=3)),
        ({"isr": (1,)}, {"fenced": (1, 2, 3)}, Target(), UNCLEAN, change(leader=-1)),
        # preferred
        ({"leader": 2}, {}, Target(), PREFERRED, change(leader=1)),
        ({"leader": 2, "isr": (2, 3)}, {}, Target(), PREFERRED, None),
        ({"leader": 2, "isr": (2, 3)}, {"fenced": (2,)}, Target(), PREFERRED, change(leader=3)),
        ({"leader": 1}, {}, Target(), PREFERRED, None),
        # recovery ends
        ({"isr": (1,), "recovery": 1}, {}, Target(recovery=0), ONLINE, change(leader_recovery_state=0)),
        # replicas that go bump the leader epoch, leader or not; that come, do not
        (
            {},
            {},
            Target(replicas=(1, 2), isr=(1, 2)),
            ONLINE,
            change(replicas=(1, 2), isr=(1, 2), leader=1, directories=(DIRS[1], DIRS[2])),
        ),
        (
            {},
            {},
            Target(replicas=(1, 2, 3, 4), adding=(4,)),
            ONLINE,
            change(replicas=(1, 2, 3, 4), adding_replicas=(4,), directories=tuple(DIRS[one] for one in (1, 2, 3, 4))),
        ),
        # a reassignment that completes with the target ISR
        (
            {"replicas": (4, 2, 1), "adding": (4,), "removing": (1,), "isr": (1, 2)},
            {},
            Target(isr=(1, 2, 4)),
            ONLINE,
            change(
                replicas=(4, 2),
                isr=(2, 4),
                adding_replicas=(),
                removing_replicas=(),
                leader=4,
                directories=(DIRS[4], DIRS[2]),
            ),
        ),
        (
            {"replicas": (4, 2, 1), "adding": (4,), "removing": (1,), "isr": (1, 2)},
            {},
            Target(isr=(1,)),
            ONLINE,
            change(isr=(1,)),
        ),
    ],
)
def test_builder(
    row: dict[str, Any],
    brokers: dict[str, Any],
    target: Target,
    election: Election,
    record: PartitionChangeRecord | None,
) -> None:
    assert build(image_of(**brokers), partition_of(**row), target, election) == record


def test_a_broker_about_to_change_counts_as_it_will_be() -> None:
    row = partition_of()
    assert build(image_of(), row, Target(isr=(1, 2, 3)), ONLINE, not_active=1) == change(leader=2)
    lone = partition_of(isr=(2,), leader=-1)
    image = image_of(fenced=(2,))
    assert build(image, lone, Target(), ONLINE) is None
    assert build(image, lone, Target(), ONLINE, also_active=2) == change(leader=2)


@pytest.mark.parametrize(
    ("directory", "registered", "online"),
    [
        (DIRS[1], (DIRS[1],), True),
        (DIRS[2], (DIRS[1],), False),
        (UNASSIGNED, (DIRS[1],), True),
        (MIGRATING, (DIRS[1],), True),
        (LOST, (DIRS[1],), False),
        (LOST, (), False),
        (DIRS[2], (), True),
    ],
)
def test_directories(directory: Uuid, registered: tuple[Uuid, ...], online: bool) -> None:
    assert is_online(broker_with(registered), directory) is online


@pytest.mark.parametrize(
    ("registered", "directory"),
    [((DIRS[1],), DIRS[1]), ((DIRS[1], DIRS[2]), UNASSIGNED), ((), MIGRATING)],
)
def test_default_directories(registered: tuple[Uuid, ...], directory: Uuid) -> None:
    assert default_directory(broker_with(registered)) == directory


def test_a_leader_whose_directory_is_gone_leads_no_more() -> None:
    row = partition_of(directories=(LOST, DIRS[2], DIRS[3]))
    assert build(image_of(), row, Target(), ONLINE) == change(leader=2)


def broker_with(directories: tuple[Uuid, ...]) -> BrokerRow:
    return BrokerRow(1, 1, DIRS[1], (), (), None, False, False, directories, 0, 0)


@pytest.mark.parametrize(
    ("topic", "node", "cluster", "static", "allowed"),
    [
        (None, None, None, False, False),
        (None, None, None, True, True),
        (None, None, "true", False, True),
        (None, "false", "true", True, False),
        ("True", "false", "false", False, True),
        ("false", "true", "true", True, False),
    ],
)
def test_unclean_election_is_asked_of_topic_node_cluster_and_controller(
    topic: str | None, node: str | None, cluster: str | None, static: bool, allowed: bool
) -> None:
    image = image_of()
    key = "unclean.leader.election.enable"
    for resource, value in (((2, "t"), topic), ((4, "1"), node), ((4, ""), cluster)):
        if value is not None:
            image.replay(image.end_offset, 1, 0, [r.ConfigRecord(*resource, key, value)])
    settings = ControllerSettings(
        node_id=SETTINGS.node_id, cluster_id=SETTINGS.cluster_id, unclean_leader_election=static
    )
    assert is_unclean_allowed(image, settings, "t") is allowed
