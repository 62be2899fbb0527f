"""Decides what is asked of partitions as they are: ISRs, elections, directories (controller.md §6, §8, §11)."""

from yakt.errors import RefusedError
from yakt.metadata import refusals
from yakt.metadata.answers import Pairs
from yakt.metadata.assignment_control import find as find_partition
from yakt.metadata.broker_control import find
from yakt.metadata.commands import AlterPartitions, AssignDirectories, ElectLeader, IsrChange
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.partition_change import Election, Target, build, is_online, is_unclean_allowed
from yakt.metadata.records import NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord, Record
from yakt.metadata.rows import RECOVERED, RECOVERING, PartitionRow
from yakt.metadata.state import State

UNKNOWN_TOPIC_OR_PARTITION = 3
NOT_LEADER_OR_FOLLOWER = 6
NOT_CONTROLLER = 41
INVALID_REQUEST = 42
FENCED_LEADER_EPOCH = 74
INVALID_UPDATE_VERSION = 95
UNKNOWN_TOPIC_ID = 100
INELIGIBLE_REPLICA = 107
NEW_LEADER_ELECTED = 108


def alter(state: State, command: AlterPartitions, stamp: Stamp) -> Decision:
    """Each partition on its own: `partitions` of the answer has, in order, its error or what it is afterwards."""
    _check_epoch(state, command.broker, command.epoch)
    records: list[Record] = []
    answers: list[Pairs] = []
    seen: set[tuple[bytes, int]] = set()
    for change in command.changes:
        key = (change.topic_id, change.partition)
        error, record, row = INVALID_REQUEST, None, None
        if key not in seen:
            seen.add(key)
            error, record, row = _alter_one(state, command.broker, change, stamp)
        if record is not None:
            records.append(record)
        answers.append({"error": error} if error or row is None else _after(row, record))
    return Decision(records, {"partitions": answers}, may_split=True)


def _check_epoch(state: State, broker_id: int, epoch: int) -> None:
    """A broker that is not registered has no epoch that is not stale."""
    try:
        find(state, broker_id, epoch)
    except RefusedError:
        known = state.brokers.get(broker_id)
        raise refusals.stale_broker_epoch(epoch, -1 if known is None else known.epoch) from None


def _alter_one(
    state: State, broker_id: int, change: IsrChange, stamp: Stamp
) -> tuple[int, PartitionChangeRecord | None, PartitionRow | None]:
    """Kafka's error, the record, and the partition as it is."""
    topic = state.topic_by_id(change.topic_id)
    if topic is None:
        return UNKNOWN_TOPIC_ID, None, None
    row = state.partitions.get((change.topic_id, change.partition))
    if row is None:
        return UNKNOWN_TOPIC_OR_PARTITION, None, None
    error = _error_of(state, broker_id, row, change)
    if error:
        return error, None, row
    isr = tuple(member for member, _ in change.isr)
    election = Election.UNCLEAN if is_unclean_allowed(state, stamp.settings, topic.name) else Election.ONLINE
    record = build(state, row, Target(isr=isr, recovery=change.recovery), election)
    if record is not None and record.leader not in (NO_LEADER_CHANGE, broker_id):
        return NEW_LEADER_ELECTED, record, row  # a reassignment has ended: it stands, but this broker leads no more
    return 0, record, row


def _error_of(state: State, broker_id: int, row: PartitionRow, change: IsrChange) -> int:
    """The first thing wrong, in Kafka's order; 0 for nothing."""
    if change.leader_epoch > row.leader_epoch or change.partition_epoch > row.partition_epoch:
        return NOT_CONTROLLER  # it knows more than we do: somebody else decides
    if change.leader_epoch < row.leader_epoch:
        return FENCED_LEADER_EPOCH
    if broker_id != row.leader:
        return INVALID_REQUEST
    if change.partition_epoch < row.partition_epoch:
        return INVALID_UPDATE_VERSION
    members = [member for member, _ in change.isr]
    if not members or len(set(members)) != len(members) or not set(members) <= set(row.replicas):
        return INVALID_REQUEST
    if row.leader not in members:
        return INVALID_REQUEST
    if change.recovery not in (RECOVERED, RECOVERING):
        return INVALID_REQUEST
    if change.recovery == RECOVERING and (len(members) > 1 or row.recovery == RECOVERED):
        return INVALID_REQUEST
    for member, epoch in change.isr:
        broker = state.brokers.get(member)
        if broker is None or not broker.active or epoch not in (-1, broker.epoch):
            return INELIGIBLE_REPLICA
    return 0


def _after(row: PartitionRow, record: PartitionChangeRecord | None) -> Pairs:
    """What the leader is told: the partition with the change."""
    if record is None:
        record = PartitionChangeRecord(row.partition, row.topic_id)
        partition_epoch = row.partition_epoch
    else:
        partition_epoch = row.partition_epoch + 1
    moves = record.leader != NO_LEADER_CHANGE
    return {
        "error": 0,
        "leader": record.leader if moves else row.leader,
        "leader_epoch": row.leader_epoch + moves,
        "isr": list(row.isr if record.isr is None else record.isr),
        "recovery": row.recovery if record.leader_recovery_state == -1 else record.leader_recovery_state,
        "partition_epoch": partition_epoch,
    }


def elect(state: State, command: ElectLeader, stamp: Stamp) -> Decision:
    """ElectLeaders of one partition: the preferred leader, or, unclean, whoever is there where nobody leads."""
    row = find_partition(state, command.topic, command.partition)
    where = {"topic": row.topic, "partition": row.partition}
    if row.leader != NO_LEADER if command.unclean else row.leader == row.replicas[0]:
        raise RefusedError(
            "ELECTION_NOT_NEEDED", "Leader election not needed for topic partition.", kafka=84, details=where
        )
    election = Election.UNCLEAN if command.unclean else Election.PREFERRED
    record = build(state, row, Target(), election)
    if record is None or record.leader in (NO_LEADER, NO_LEADER_CHANGE):
        if command.unclean:
            raise RefusedError(
                "ELIGIBLE_LEADERS_NOT_AVAILABLE", "no replica is there to lead", kafka=83, retry=True, details=where
            )
        raise RefusedError(
            "PREFERRED_LEADER_NOT_AVAILABLE",
            "The preferred leader was not available.",
            kafka=80,
            retry=True,
            details=where,
        )
    return Decision([record], {"leader": record.leader})


def assign_directories(state: State, command: AssignDirectories, stamp: Stamp) -> Decision:
    """AssignReplicasToDirs: where a broker has put its replicas; into one that is gone, it is out of sync there."""
    _check_epoch(state, command.broker, command.epoch)
    broker = state.brokers.get(command.broker)
    assert broker is not None
    records: list[Record] = []
    errors: list[int] = []
    seen: set[tuple[bytes, int]] = set()
    for directory, topic_id, number in command.assigned:
        topic = state.topic_by_id(topic_id)
        row = state.partitions.get((topic_id, number))
        if topic is None:
            errors.append(UNKNOWN_TOPIC_ID)
        elif row is None:
            errors.append(UNKNOWN_TOPIC_OR_PARTITION)
        elif command.broker not in row.replicas:
            errors.append(NOT_LEADER_OR_FOLLOWER)
        elif row.key in seen:
            errors.append(INVALID_REQUEST)
        else:
            errors.append(0)
            seen.add(row.key)
            isr = row.isr if is_online(broker, directory) else tuple(one for one in row.isr if one != broker.id)
            election = Election.UNCLEAN if is_unclean_allowed(state, stamp.settings, topic.name) else Election.ONLINE
            record = build(state, row, Target(isr=isr, directories={broker.id: directory}), election)
            if record is not None:
                records.append(record)
    return Decision(records, {"errors": errors}, may_split=True)
