"""Decides what is asked of partitions as they are: ISRs, elections, directories (controller.md §6, §8, §11)."""

from yakt.errors import RefusedError
from yakt.metadata import refusals
from yakt.metadata.answers import Pairs
from yakt.metadata.assignment_control import find as find_partition
from yakt.metadata.broker_control import find
from yakt.metadata.commands import AlterIsr, AlterPartitions, AssignDirectories, ElectLeader, IsrChange
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.partition_change import Election, Target, build, is_online, is_unclean_allowed
from yakt.metadata.records import NO_LEADER, NO_LEADER_CHANGE, PartitionChangeRecord, Record
from yakt.metadata.rows import RECOVERED, RECOVERING, PartitionRow
from yakt.metadata.state import State

UNKNOWN_SERVER_ERROR = -1
UNKNOWN_TOPIC_OR_PARTITION = 3
NOT_LEADER_OR_FOLLOWER = 6
INVALID_REQUEST = 42
UNKNOWN_TOPIC_ID = 100
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


def alter_isr(state: State, command: AlterIsr, stamp: Stamp) -> Decision:
    """PARTITION ISR: what a leader may ask for by AlterPartition, of one partition and by hand."""
    _check_epoch(state, command.broker, command.epoch)
    row = find_partition(state, command.topic, command.partition)
    change = IsrChange(
        row.topic_id,
        row.partition,
        command.leader_epoch,
        row.partition_epoch if command.partition_epoch is None else command.partition_epoch,
        tuple((member, -1) for member in command.isr),
    )
    record = _altered(state, command.broker, row, change, stamp)
    pairs: Pairs = {"partition_epoch": row.partition_epoch + (record is not None)}
    if record is not None and _moves_leader(record, command.broker):
        pairs["leader"] = record.leader
    return Decision([] if record is None else [record], pairs)


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
    if state.topic_by_id(change.topic_id) is None:
        return UNKNOWN_TOPIC_ID, None, None
    row = state.partitions.get((change.topic_id, change.partition))
    if row is None:
        return UNKNOWN_TOPIC_OR_PARTITION, None, None
    try:
        record = _altered(state, broker_id, row, change, stamp)
    except RefusedError as refusal:
        return refusal.kafka or UNKNOWN_SERVER_ERROR, None, row
    if record is not None and _moves_leader(record, broker_id):
        return NEW_LEADER_ELECTED, record, row
    return 0, record, row


def _moves_leader(record: PartitionChangeRecord, broker_id: int) -> bool:
    """Whether a reassignment has ended with it: it stands, but the broker that asked leads no more."""
    return record.leader not in (NO_LEADER_CHANGE, broker_id)


def _altered(
    state: State, broker_id: int, row: PartitionRow, change: IsrChange, stamp: Stamp
) -> PartitionChangeRecord | None:
    """What the leader's wish comes to; None: it is so already. Raises RefusedError."""
    _check_wish(state, broker_id, row, change)
    isr = tuple(member for member, _ in change.isr)
    election = Election.UNCLEAN if is_unclean_allowed(state, stamp.settings, row.topic) else Election.ONLINE
    return build(state, row, Target(isr=isr, recovery=change.recovery), election)


def _check_wish(state: State, broker_id: int, row: PartitionRow, change: IsrChange) -> None:
    """Raises RefusedError: the first thing wrong, in Kafka's order."""
    name = f"{row.topic}:{row.partition}"
    if change.leader_epoch > row.leader_epoch or change.partition_epoch > row.partition_epoch:
        raise refusals.not_controller(
            f"{name} is at leader epoch {row.leader_epoch} and partition epoch {row.partition_epoch} here: "
            "who knows of later ones knows a later controller",
            leader_epoch=row.leader_epoch,
            partition_epoch=row.partition_epoch,
        )
    if change.leader_epoch < row.leader_epoch:
        raise refusals.fenced_leader_epoch(name, change.leader_epoch, row.leader_epoch)
    if broker_id != row.leader:
        who = "nobody leads" if row.leader == NO_LEADER else f"broker {row.leader} leads"
        raise refusals.invalid_request(
            f"{who} {name}: only its leader changes its ISR", key="broker", leader=row.leader
        )
    if change.partition_epoch < row.partition_epoch:
        raise refusals.invalid_update_version(name, change.partition_epoch, row.partition_epoch)
    members = [member for member, _ in change.isr]
    if not members or len(set(members)) != len(members) or not set(members) <= set(row.replicas):
        held = ", ".join(map(str, row.replicas))
        raise refusals.invalid_request(f"an ISR is some of the replicas {held}, each once", key="isr")
    if row.leader not in members:
        raise refusals.invalid_request(f"an ISR has the leader, broker {row.leader}, in it", key="isr")
    if change.recovery not in (RECOVERED, RECOVERING):
        raise refusals.invalid_request(f"{change.recovery} is no recovery state", key="recovery")
    if change.recovery == RECOVERING and (len(members) > 1 or row.recovery == RECOVERED):
        raise refusals.invalid_request(f"{name} cannot begin to recover, nor recover with two in sync", key="recovery")
    for member, epoch in change.isr:
        broker = state.brokers.get(member)
        if broker is None or not broker.active or epoch not in (-1, broker.epoch):
            status = "is not registered" if broker is None else f"is {broker.status}, with epoch {broker.epoch}"
            raise refusals.ineligible_replica(member, status)


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
    """ElectLeaders of one partition: the preferred leader, or, unclean, whoever is there where nobody leads.

    One that is asked for by its id may take over from another; unclean, from one in sync even.
    """
    row = find_partition(state, command.topic, command.partition)
    where = {"topic": row.topic, "partition": row.partition}
    if command.to is not None:
        is_needed = row.leader != command.to
    else:
        is_needed = row.leader == NO_LEADER if command.unclean else row.leader != row.replicas[0]
    if not is_needed:
        raise RefusedError(
            "ELECTION_NOT_NEEDED",
            "Leader election not needed for topic partition.",
            kafka=84,
            details={**where, "leader": row.leader},
        )
    election = Election.UNCLEAN if command.unclean else Election.PREFERRED if command.to is None else Election.ONLINE
    record = build(state, row, Target(leader=command.to), election)
    if record is None or record.leader in (NO_LEADER, NO_LEADER_CHANGE) or command.to not in (None, record.leader):
        raise _nobody_to_elect(state, row, command)
    return Decision([record], {"leader": record.leader})


def _nobody_to_elect(state: State, row: PartitionRow, command: ElectLeader) -> RefusedError:
    name = f"{row.topic}:{row.partition}"
    details: dict[str, object] = {"topic": row.topic, "partition": row.partition}
    if command.to is None and not command.unclean:
        code, kafka, why = "PREFERRED_LEADER_NOT_AVAILABLE", 80, "The preferred leader was not available."
    else:
        code, kafka, why = "ELIGIBLE_LEADERS_NOT_AVAILABLE", 83, "no replica is there to lead"
    hint = f"EXPLAIN {name}"
    if command.to is not None:
        details["isr"] = list(row.isr)
        broker = state.brokers.get(command.to)
        if command.to not in row.replicas:
            why = f"broker {command.to} is no replica of {name}"
        elif broker is None or not broker.active:
            why = f"broker {command.to} is {'not registered' if broker is None else broker.status}"
        elif command.to in row.isr or command.unclean:
            why = f"the directory of {name} on broker {command.to} is not online"
        else:
            why = f"broker {command.to} is not in sync: as the leader it would lose what it has not copied"
            hint = f"PARTITION LEADER {name} to={command.to} unclean=true"
    return RefusedError(code, why, kafka=kafka, retry=True, hint=hint, details=details)


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
