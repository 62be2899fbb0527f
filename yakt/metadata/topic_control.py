"""Decides about topics and their partitions (controller.md §7)."""

import re

from yakt.ids import Uuid, format_uuid
from yakt.metadata import refusals
from yakt.metadata.commands import AddPartitions, CreateTopic, DeleteTopic
from yakt.metadata.config_keys import check_topic
from yakt.metadata.decision import Decision, Stamp, fresh_uuid
from yakt.metadata.partition_change import default_directory
from yakt.metadata.placement import UsableBroker, place
from yakt.metadata.records import ConfigRecord, PartitionRecord, Record, RemoveTopicRecord, TopicRecord
from yakt.metadata.rows import TOPIC_CONFIG, TopicRow
from yakt.metadata.state import State, fold_topic

PARTITIONS_MAX = 10_000
"""That one command may create."""
NAME_SIZE_MAX = 249
METADATA_TOPIC = "__cluster_metadata"

_NAME = re.compile(r"[a-zA-Z0-9._-]+")


def check_name(name: str) -> None:
    """Raises RefusedError (INVALID_TOPIC) for what Kafka calls no topic's name."""
    if not name:
        raise refusals.invalid_topic(name, "the topic's name is empty")
    if name in (".", ".."):
        raise refusals.invalid_topic(name, f"a topic may not be called {name}")
    if len(name) > NAME_SIZE_MAX:
        raise refusals.invalid_topic(
            name[:NAME_SIZE_MAX], f"the topic's name has {len(name)} characters, {NAME_SIZE_MAX} are allowed"
        )
    if not _NAME.fullmatch(name):
        wrong = next(letter for letter in name if not _NAME.fullmatch(letter))
        raise refusals.invalid_topic(name, f"{wrong!r} in the topic's name: allowed are a-z A-Z 0-9 . _ -")


def find(state: State, name: str) -> TopicRow:
    """Raises RefusedError (UNKNOWN_TOPIC), with names near to it."""
    row = state.topics.get(name)
    if row is None:
        raise refusals.unknown_topic(name, state.end_offset, refusals.nearest(name, state.topics.all_keys()))
    return row


def create(state: State, command: CreateTopic, stamp: Stamp) -> Decision:
    """TOPIC CREATE: the topic, its configs, its partitions; led by the first active replica of each."""
    name = command.name
    check_name(name)
    if name == METADATA_TOPIC:
        raise refusals.invalid_request(f"{name} is the metadata log's own topic", topic=name)
    existing = state.topics.get(name)
    if existing is not None:
        raise refusals.topic_exists(name, existing.offset)
    other = state.folded_topics.get(fold_topic(name))
    if other is not None and not _is_of_this_operation(state, other, stamp):
        raise refusals.invalid_topic(
            name, f"topic {other} is there, and both are {fold_topic(name)} in the names of metrics", near=[other]
        )
    configs = dict(command.configs)
    check_topic(configs)
    topic_id = fresh_uuid(stamp.new_uuid)
    placed = _placed(state, command, stamp)
    records: list[Record] = [TopicRecord(name, topic_id)]
    records += [ConfigRecord(TOPIC_CONFIG, name, key, value) for key, value in sorted(configs.items())]
    records += [_partition(state, topic_id, number, replicas) for number, replicas in enumerate(placed)]
    replication = len(placed[0]) if placed else 0
    return Decision(records, {"id": format_uuid(topic_id), "partitions": len(placed), "replication": replication})


def _is_of_this_operation(state: State, name: str, stamp: Stamp) -> bool:
    """Kafka compares only with what was there before the request: `a.b` and `a_b` in one of them are both made."""
    row = state.topics.get(name)
    return row is not None and row.created_offset >= stamp.operation_offset


def _placed(state: State, command: CreateTopic, stamp: Stamp) -> list[tuple[int, ...]]:
    if command.assignment is not None:
        if command.partitions is not None or command.replication is not None:
            raise refusals.invalid_request(
                "assignment= says how many partitions and replicas there are", key="assignment"
            )
        _check_count(len(command.assignment))
        check_assignment(state, command.assignment)
        return list(command.assignment)
    settings = stamp.settings
    count = command.partitions
    if count is None or count == -1:
        count = settings.default_partitions
    replication = command.replication
    if replication is None or replication == -1:
        replication = settings.default_replication
    if count < 0:
        raise refusals.invalid_partitions(f"{count} partitions: the number is below 0", asked=count)
    _check_count(count)
    if replication < 1:
        raise refusals.replication_factor(f"replication {replication} is below 1", asked=replication)
    if count == 0:
        return []
    return place(usable_brokers(state), count, replication, stamp.random)


def _check_count(count: int) -> None:
    if count > PARTITIONS_MAX:
        raise refusals.policy_violation(
            f"{count} partitions in one command, {PARTITIONS_MAX} are allowed", asked=count, limit=PARTITIONS_MAX
        )


def usable_brokers(state: State) -> list[UsableBroker]:
    """Those that may be given replicas: all but the ones that are shutting down; a fenced one may."""
    return [UsableBroker(row.id, row.rack, row.fenced) for row in state.brokers.rows() if not row.shutting_down]


def check_assignment(state: State, assignment: tuple[tuple[int, ...], ...]) -> None:
    """Replicas given by partition. Raises RefusedError (INVALID_REPLICA_ASSIGNMENT)."""
    if not assignment:
        raise refusals.invalid_assignment("an assignment of no partition")
    for number, replicas in enumerate(assignment):
        if not replicas:
            raise refusals.invalid_assignment(f"partition {number} has no replicas", partition=number)
        if len(set(replicas)) != len(replicas):
            raise refusals.invalid_assignment(f"partition {number} has a broker twice", partition=number)
        if len(replicas) != len(assignment[0]):
            raise refusals.invalid_assignment(
                f"partition {number} has {len(replicas)} replicas, partition 0 has {len(assignment[0])}",
                partition=number,
            )
        for broker_id in replicas:
            if state.brokers.get(broker_id) is None:
                raise refusals.invalid_assignment(
                    f"partition {number} is given to broker {broker_id}, which is not registered",
                    partition=number,
                    broker=broker_id,
                )
        if not _active(state, replicas):
            raise refusals.invalid_assignment(
                f"none of the brokers of partition {number} is active: {', '.join(map(str, replicas))}",
                partition=number,
            )


def _active(state: State, replicas: tuple[int, ...]) -> tuple[int, ...]:
    rows = ((broker_id, state.brokers.get(broker_id)) for broker_id in replicas)
    return tuple(broker_id for broker_id, row in rows if row is not None and row.active)


def _partition(state: State, topic_id: Uuid, number: int, replicas: tuple[int, ...]) -> PartitionRecord:
    """As it begins: in sync is who is active, the first of them leads."""
    isr = _active(state, replicas)
    return PartitionRecord(
        number,
        topic_id,
        replicas,
        isr,
        (),
        (),
        isr[0],
        0,
        0,
        directories=tuple(default_directory(state.brokers.get(broker_id)) for broker_id in replicas),
    )


def delete(state: State, command: DeleteTopic, stamp: Stamp) -> Decision:
    """TOPIC DELETE: one record; partitions and configs go with it."""
    row = find(state, command.name)
    return Decision([RemoveTopicRecord(row.id)], {"id": format_uuid(row.id)})


def add_partitions(state: State, command: AddPartitions, stamp: Stamp) -> Decision:
    """PARTITION ADD up to a new total, with the replication the topic has (the default's, if it has no partition)."""
    row = find(state, command.topic)
    if command.count <= row.partitions:
        raise refusals.invalid_partitions(
            f"topic {row.name} has {row.partitions} partitions, the new total must be more than that",
            topic=row.name,
            asked=command.count,
            current=row.partitions,
        )
    added = command.count - row.partitions
    _check_count(added)
    replication = row.replication or stamp.settings.default_replication
    if command.assignment is None:
        placed = place(usable_brokers(state), added, replication, stamp.random)
    else:
        placed = list(command.assignment)
        if len(placed) != added:
            raise refusals.invalid_assignment(f"replicas are given for {len(placed)} partitions, {added} are added")
        if any(len(replicas) != replication for replicas in placed):
            raise refusals.invalid_assignment(f"topic {row.name} has {replication} replicas a partition")
        check_assignment(state, command.assignment)
    return Decision(
        [_partition(state, row.id, number, replicas) for number, replicas in enumerate(placed, row.partitions)], {}
    )
