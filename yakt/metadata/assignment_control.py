"""Decides who holds one partition: made by hand, removed, reassigned (controller.md §8, seed-api.md)."""

from yakt.errors import RefusedError
from yakt.metadata import refusals
from yakt.metadata.answers import Pairs
from yakt.metadata.commands import CancelReassignment, CreatePartition, DeletePartition, ReassignPartition
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.partition_change import Election, Target, build, default_directory, is_unclean_allowed
from yakt.metadata.placement import place
from yakt.metadata.records import NO_LEADER, PartitionChangeRecord, PartitionRecord
from yakt.metadata.rows import RECOVERED, PartitionRow
from yakt.metadata.state import State
from yakt.metadata.topic_control import check_assignment, usable_brokers
from yakt.metadata.topic_control import find as find_topic

Ids = tuple[int, ...]


def find(state: State, topic: str, number: int) -> PartitionRow:
    """Raises RefusedError (UNKNOWN_TOPIC, UNKNOWN_TOPIC_OR_PARTITION), also for a partition that was removed."""
    of = find_topic(state, topic)
    row = state.partitions.get((of.id, number))
    if row is None or not row.replicas:
        raise RefusedError(
            "UNKNOWN_TOPIC_OR_PARTITION",
            f"topic {topic} has no partition {number}",
            kafka=3,
            hint=f"TOPIC SHOW {topic}",
            details={"topic": topic, "partition": number},
        )
    return row


# --- one partition made, one removed ---------------------------------------------------------------------------------


def create(state: State, command: CreatePartition, stamp: Stamp) -> Decision:
    """PARTITION CREATE: the next number, or one that was removed; in sync are all live replicas, unless told."""
    topic = find_topic(state, command.topic)
    number = topic.partitions if command.partition is None else command.partition
    if not 0 <= number <= topic.partitions:
        raise refusals.invalid_partitions(
            f"topic {topic.name} has partitions below {topic.partitions}: the next is {topic.partitions}, not {number}",
            topic=topic.name,
            asked=number,
            next=topic.partitions,
        )
    before = state.partitions.get((topic.id, number))
    if before is not None and before.replicas:
        raise refusals.conflict(
            f"{topic.name}:{number} is there already", hint=f"TOPIC SHOW {topic.name}", topic=topic.name,
            partition=number,
        )  # fmt: skip
    if command.replicas is None:
        count = topic.replication or stamp.settings.default_replication
        replicas = place(usable_brokers(state), 1, count, stamp.random)[0]
    else:
        replicas = command.replicas
        check_assignment(state, (replicas,))
    isr, leader = _begun(state, command, replicas)
    directories = tuple(default_directory(state.brokers.get(broker_id)) for broker_id in replicas)
    if before is None:
        made = PartitionRecord(number, topic.id, replicas, isr, (), (), leader, 0, 0, directories=directories)
        return Decision([made], {"partition": number})
    again = PartitionChangeRecord(
        number,
        topic.id,
        isr=isr,
        leader=leader,
        replicas=replicas,
        leader_recovery_state=RECOVERED if before.recovery != RECOVERED else -1,
        directories=directories,
    )
    return Decision([again], {"partition": number})


def _begun(state: State, command: CreatePartition, replicas: Ids) -> tuple[Ids, int]:
    """ISR and leader that a partition begins with."""
    live = tuple(one for one in replicas if (row := state.brokers.get(one)) is not None and row.active)
    isr = live if command.isr is None else command.isr
    strange = [one for one in isr if one not in live]
    if strange or not isr or len(set(isr)) != len(isr):
        raise refusals.invalid_assignment(
            f"the ISR holds live replicas, each once: {_told(live)}; not {_told(isr)}", key="isr", live=list(live)
        )
    leader = isr[0] if command.leader is None else command.leader
    if leader not in isr:
        raise refusals.invalid_assignment(f"broker {leader} is not in the ISR {_told(isr)}", key="leader")
    return isr, leader


def _told(ids: Ids) -> str:
    return ", ".join(map(str, ids)) or "none"


def delete(state: State, command: DeletePartition, stamp: Stamp) -> Decision:
    """PARTITION DELETE: Kafka has no record for it, so the partition is left without replicas and leader."""
    row = find(state, command.topic, command.partition)
    gone = PartitionChangeRecord(
        row.partition,
        row.topic_id,
        isr=(),
        leader=NO_LEADER,
        replicas=(),
        removing_replicas=() if row.removing else None,
        adding_replicas=() if row.adding else None,
        directories=(),
    )
    return Decision([gone], {})


# --- reassignment ----------------------------------------------------------------------------------------------------


def reassign(state: State, command: ReassignPartition, stamp: Stamp) -> Decision:
    """PARTITION REASSIGN: a new one replaces that under way; done at once where nothing has to be copied."""
    row = find(state, command.topic, command.partition)
    target = command.replicas
    check_assignment(state, (target,))
    removing = tuple(sorted(set(row.replicas) - set(target)))
    # What an earlier reassignment was adding, and this one wants too, is still to be copied.
    adding = tuple(sorted((set(target) - set(row.replicas)) | (set(target) & set(row.adding))))
    return _changed(state, row, Target(replicas=(*target, *removing), removing=removing, adding=adding), stamp)


def cancel(state: State, command: CancelReassignment, stamp: Stamp) -> Decision:
    """PARTITION CANCEL: back to the replicas there were; refused where that leaves none in sync."""
    row = find(state, command.topic, command.partition)
    if not row.adding and not row.removing:
        raise RefusedError(
            "NO_REASSIGNMENT_IN_PROGRESS",
            f"{row.topic}:{row.partition} is not being reassigned",
            kafka=85,
            details={"topic": row.topic, "partition": row.partition},
        )
    replicas = tuple(one for one in row.replicas if one not in row.adding)
    isr = tuple(one for one in row.isr if one not in row.adding)
    if not isr:
        if not is_unclean_allowed(state, stamp.settings, row.topic):
            raise refusals.invalid_assignment(
                f"none of {_told(replicas)} is in sync: to cancel would lose records", topic=row.topic
            )
        isr = replicas[:1]
    return _changed(state, row, Target(isr=isr, replicas=replicas, removing=(), adding=()), stamp)


def _changed(state: State, row: PartitionRow, target: Target, stamp: Stamp) -> Decision:
    election = Election.UNCLEAN if is_unclean_allowed(state, stamp.settings, row.topic) else Election.ONLINE
    record = build(state, row, target, election)
    if record is None:
        return Decision([], _left(row.adding, row.removing))
    adding = row.adding if record.adding_replicas is None else record.adding_replicas
    removing = row.removing if record.removing_replicas is None else record.removing_replicas
    return Decision([record], _left(adding, removing))


def _left(adding: Ids, removing: Ids) -> Pairs:
    return {"adding": list(adding), "removing": list(removing), "done": not adding and not removing}
