"""Builds the change of a partition that a decision needs: election, ISR, directories (PartitionChangeBuilder)."""

from collections.abc import Callable, Iterable
from enum import Enum
from functools import cache

import msgspec

from yakt.ids import Uuid
from yakt.metadata.decision import ControllerSettings
from yakt.metadata.records import NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord
from yakt.metadata.rows import (
    BROKER_CONFIG,
    LOST,
    MIGRATING,
    RECOVERING,
    TOPIC_CONFIG,
    UNASSIGNED,
    BrokerRow,
    PartitionRow,
)
from yakt.metadata.state import State

UNCLEAN_KEY = "unclean.leader.election.enable"


class Election(Enum):
    """How a leader is chosen. PREFERRED: the first replica, where it may lead."""

    ONLINE = "online"
    UNCLEAN = "unclean"
    PREFERRED = "preferred"


class Target(msgspec.Struct, frozen=True, gc=False):
    """What a partition shall become; None leaves it as it is."""

    isr: tuple[int, ...] | None = None
    replicas: tuple[int, ...] | None = None
    removing: tuple[int, ...] | None = None
    adding: tuple[int, ...] | None = None
    directories: dict[int, Uuid] | None = None
    recovery: int | None = None
    leader: int | None = None
    """Who shall lead, if it may."""


def is_unclean_allowed(state: State, settings: ControllerSettings, topic: str) -> bool:
    """The topic's config, else this node's, else the cluster's, else the controller's own setting."""
    value = (
        state.config(TOPIC_CONFIG, topic, UNCLEAN_KEY)
        or state.config(BROKER_CONFIG, str(settings.node_id), UNCLEAN_KEY)
        or state.config(BROKER_CONFIG, "", UNCLEAN_KEY)
    )
    return settings.unclean_leader_election if value is None else value.strip().lower() == "true"


def is_online(broker: BrokerRow, directory: Uuid) -> bool:
    """Whether a replica in that directory can be there: one not yet assigned counts."""
    if directory in (UNASSIGNED, MIGRATING) or not broker.directories:
        return directory != LOST
    return directory in broker.directories


def default_directory(broker: BrokerRow | None) -> Uuid:
    """Where a new replica on it goes: its only directory, or what stands for one of several, or for none known."""
    if broker is None or not broker.directories:
        return MIGRATING
    return broker.directories[0] if len(broker.directories) == 1 else UNASSIGNED


def build(
    state: State,
    row: PartitionRow,
    target: Target,
    election: Election,
    *,
    also_active: int | None = None,
    not_active: int | None = None,
    registering: BrokerRow | None = None,
) -> PartitionChangeRecord | None:
    """The record that brings `row` to `target`, with a leader for it; None if nothing changes.

    `also_active` is a broker about to be active, `not_active` one about to be not; `registering` stands for the
    registration of one that is decided in the same operation.
    """
    target = _complete(row, target)
    replicas = row.replicas if target.replicas is None else target.replicas
    isr = row.isr if target.isr is None else target.isr
    directories = _directories(state, row, replicas, target.directories or {})

    def is_acceptable(broker_id: int) -> bool:
        if broker_id == not_active or broker_id not in replicas:
            return False
        broker = state.brokers.get(broker_id)
        if registering is not None and broker_id == registering.id:
            broker = registering
        if broker is None or not (broker.active or broker_id == also_active):
            return False
        return is_online(broker, directories[replicas.index(broker_id)])

    leader, is_unclean = _elect(target.leader, row.leader, replicas, isr, election, is_acceptable)
    recovery = row.recovery if target.recovery is None else target.recovery
    if is_unclean:
        isr, recovery = (leader,), RECOVERING
    elif not isr:
        isr = row.isr  # the last in-sync replica can come back as leader
    is_bumped = leader != row.leader or (replicas != row.replicas and not set(row.replicas) <= set(replicas))
    has_moved = replicas != row.replicas or directories != row.directories
    if (
        not (is_bumped or has_moved)
        and isr == row.isr
        and recovery == row.recovery
        and target.removing in (None, row.removing)
        and target.adding in (None, row.adding)
    ):
        return None
    return PartitionChangeRecord(
        row.partition,
        row.topic_id,
        isr=_changed(isr, row.isr),
        leader=leader if is_bumped else NO_LEADER_CHANGE,
        replicas=_changed(replicas, row.replicas),
        removing_replicas=_changed(target.removing, row.removing),
        adding_replicas=_changed(target.adding, row.adding),
        leader_recovery_state=recovery if recovery != row.recovery else -1,
        directories=directories if has_moved else None,
    )


def _changed(after: tuple[int, ...] | None, before: tuple[int, ...]) -> tuple[int, ...] | None:
    return after if after is not None and after != before else None


def _complete(row: PartitionRow, target: Target) -> Target:
    """A reassignment under way ends here if the target ISR holds all replicas that are to stay (controller.md §8)."""
    adding = row.adding if target.adding is None else target.adding
    removing = row.removing if target.removing is None else target.removing
    if not adding and not removing:
        return target
    replicas = row.replicas if target.replicas is None else target.replicas
    isr = row.isr if target.isr is None else target.isr
    staying = tuple(broker_id for broker_id in replicas if broker_id not in removing)
    isr_staying = tuple(broker_id for broker_id in isr if broker_id not in removing)
    if not isr_staying or not set(staying) <= set(isr_staying):
        return target
    return msgspec.structs.replace(target, replicas=staying, isr=isr_staying, removing=(), adding=())


def _directories(
    state: State, row: PartitionRow, replicas: tuple[int, ...], given: dict[int, Uuid]
) -> tuple[Uuid, ...]:
    if replicas == row.replicas and not given:
        return row.directories
    known = dict(zip(row.replicas, row.directories, strict=True)) | given
    return tuple(
        known[broker_id] if broker_id in known else default_directory(state.brokers.get(broker_id))
        for broker_id in replicas
    )


def _elect(
    wanted: int | None,
    leader: int,
    replicas: tuple[int, ...],
    isr: tuple[int, ...],
    election: Election,
    is_acceptable: Callable[[int], bool],
) -> tuple[int, bool]:
    """The leader, or -1, and whether it may lack records."""

    def is_valid(broker_id: int) -> bool:
        return broker_id in isr and is_acceptable(broker_id)

    if wanted is not None and is_acceptable(wanted) and (wanted in isr or election is Election.UNCLEAN):
        return wanted, wanted not in isr
    if election is Election.PREFERRED and replicas and is_valid(replicas[0]):
        return replicas[0], False
    if leader != NO_LEADER and is_valid(leader):
        return leader, False
    for broker_id in replicas:
        if is_valid(broker_id):
            return broker_id, False
    if election is Election.UNCLEAN:
        for broker_id in replicas:
            if is_acceptable(broker_id):
                return broker_id, True
    return NO_LEADER, False


def in_sync_on(state: State, broker_id: int) -> list[PartitionRow]:
    """Partitions with the broker in their ISR, in order: the same decision is the same records in any run."""
    return _in_order(row for row in state.partitions.of_broker(broker_id) if broker_id in row.isr)


def leaderless_on(state: State, broker_id: int) -> list[PartitionRow]:
    """Partitions without a leader that have a replica on the broker, in the same order."""
    return _in_order(row for row in state.partitions.of_broker(broker_id) if row.leader == NO_LEADER)


def remove_broker(
    state: State, settings: ControllerSettings, broker_id: int, rows: Iterable[PartitionRow]
) -> list[PartitionChangeRecord]:
    """Takes a broker that is about to stop being active out of these ISRs, and its leaderships away."""
    changes = []
    election_of = _elections(state, settings)
    for row in rows:
        isr = tuple([member for member in row.isr if member != broker_id])
        change = build(state, row, Target(isr=isr), election_of(row.topic), not_active=broker_id)
        if change is not None:
            changes.append(change)
    return changes


def lead_leaderless(
    state: State,
    settings: ControllerSettings,
    rows: Iterable[PartitionRow],
    *,
    also_active: int | None = None,
    as_it_will_be: BrokerRow | None = None,
) -> list[PartitionChangeRecord]:
    """Gives a leader to those of these leaderless partitions that can have one.

    `also_active`: a broker that is about to be; `as_it_will_be`: what its registration is by then, if that is another.
    """
    changes = []
    election_of = _elections(state, settings)
    for row in rows:
        change = build(state, row, Target(), election_of(row.topic), also_active=also_active, registering=as_it_will_be)
        if change is not None:
            changes.append(change)
    return changes


def _elections(state: State, settings: ControllerSettings) -> Callable[[str], Election]:
    """By topic, looked up once each: one decision sees one state."""

    @cache
    def election_of(topic: str) -> Election:
        return Election.UNCLEAN if is_unclean_allowed(state, settings, topic) else Election.ONLINE

    return election_of


def _in_order(rows: Iterable[PartitionRow]) -> list[PartitionRow]:
    return sorted(rows, key=lambda row: (row.topic, row.partition))
