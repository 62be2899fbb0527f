"""Decides what leaders ask of their partitions: AlterPartition (controller.md §6)."""

from yakt.errors import RefusedError
from yakt.metadata import refusals
from yakt.metadata.broker_control import find
from yakt.metadata.commands import AlterPartitions, IsrChange, Pairs
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.partition_change import Election, Target, build, is_unclean_allowed
from yakt.metadata.records import NO_LEADER_CHANGE, PartitionChangeRecord, Record
from yakt.metadata.rows import RECOVERED, RECOVERING, PartitionRow
from yakt.metadata.state import State

UNKNOWN_TOPIC_OR_PARTITION = 3
NOT_CONTROLLER = 41
INVALID_REQUEST = 42
FENCED_LEADER_EPOCH = 74
INVALID_UPDATE_VERSION = 95
UNKNOWN_TOPIC_ID = 100
INELIGIBLE_REPLICA = 107
NEW_LEADER_ELECTED = 108


def alter(state: State, command: AlterPartitions, stamp: Stamp) -> Decision:
    """Each partition on its own: `partitions` of the answer has, in order, its error or what it is afterwards."""
    try:
        find(state, command.broker, command.epoch)
    except RefusedError:
        known = state.brokers.get(command.broker)
        raise refusals.stale_broker_epoch(command.epoch, -1 if known is None else known.epoch) from None
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
