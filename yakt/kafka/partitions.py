"""Reassignments and elections of partitions (controller.md §8)."""

from collections.abc import Iterator, Sequence
from functools import partial

from yakt.kafka.codes import Code
from yakt.kafka.messages import topics as wire
from yakt.kafka.plan import Caller, Plan, Slots, View, error_of, message_of, refusal
from yakt.metadata import commands
from yakt.metadata.answers import Result
from yakt.metadata.partition_table import LEADERLESS, MOVING, NOT_PREFERRED

PREFERRED, UNCLEAN = 0, 1
"""Election types."""


def reassign(request: wire.AlterPartitionReassignmentsRequest, caller: Caller, view: View) -> Plan:
    """AlterPartitionReassignments; no replicas: what is under way is undone."""
    slots = Slots(caller, request.timeout_ms)
    for topic in request.topics:
        for asked in topic.partitions:
            slots.add_or_refuse(
                partial(_reassignment, topic.name, asked, request.allow_replication_factor_change, view)
            )

    def respond(results: Sequence[Result]) -> wire.AlterPartitionReassignmentsResponse:
        found = iter(slots.fill(results))
        return wire.AlterPartitionReassignmentsResponse(
            allow_replication_factor_change=request.allow_replication_factor_change,
            responses=tuple(
                wire.ReassignableTopicResponse(
                    topic.name,
                    tuple(
                        wire.ReassignablePartitionResponse(asked.partition_index, *_said(next(found)))
                        for asked in topic.partitions
                    ),
                )
                for topic in request.topics
            ),
        )

    return Plan(slots.asked, respond)


def _reassignment(
    topic: str, asked: wire.ReassignablePartition, may_change_replication: bool, view: View
) -> commands.ReassignPartition | commands.CancelReassignment:
    """Raises RefusedError (INVALID_REPLICATION_FACTOR) for another number of replicas, where that must stay."""
    if asked.replicas is None:
        return commands.CancelReassignment(topic, asked.partition_index)
    of = view.image.topics.get(topic)
    row = None if of is None else view.image.partitions.get((of.id, asked.partition_index))
    if not may_change_replication and row is not None:
        present = len(set(row.replicas) - set(row.removing))
        if len(asked.replicas) != present:
            raise refusal(
                Code.INVALID_REPLICATION_FACTOR, f"{len(asked.replicas)} replicas, the partition has {present}"
            )
    return commands.ReassignPartition(topic, asked.partition_index, asked.replicas)


def _said(result: Result) -> tuple[int, str | None]:
    return error_of(result), message_of(result)


def refuse_reassign(
    request: wire.AlterPartitionReassignmentsRequest, code: int, message: str | None
) -> wire.AlterPartitionReassignmentsResponse:
    """The same error everywhere."""
    return wire.AlterPartitionReassignmentsResponse(
        error_code=code,
        error_message=message,
        responses=tuple(
            wire.ReassignableTopicResponse(
                topic.name,
                tuple(
                    wire.ReassignablePartitionResponse(asked.partition_index, code, message)
                    for asked in topic.partitions
                ),
            )
            for topic in request.topics
        ),
    )


def elect(request: wire.ElectLeadersRequest, caller: Caller, view: View) -> Plan:
    """ElectLeaders: of the partitions named, or of all; of all, those that need none are not told of.

    Each is an operation of its own, for Kafka splits them too.
    """
    slots = Slots(caller, request.timeout_ms, is_atomic=False)
    wanted = list(_wanted(request, view))
    for topic, number in wanted:
        if request.election_type not in (PREFERRED, UNCLEAN):
            slots.refuse(Code.INVALID_REQUEST, f"Unknown election type {request.election_type}")
        else:
            slots.add(commands.ElectLeader(topic, number, unclean=request.election_type == UNCLEAN))

    def respond(results: Sequence[Result]) -> wire.ElectLeadersResponse:
        told: dict[str, list[wire.ElectLeadersPartitionResult]] = {}
        for (topic, number), result in zip(wanted, slots.fill(results), strict=True):
            error, message = _said(result)
            if error != Code.ELECTION_NOT_NEEDED or request.topic_partitions is not None:
                told.setdefault(topic, []).append(wire.ElectLeadersPartitionResult(number, error, message))
        is_known = request.election_type in (PREFERRED, UNCLEAN)
        return wire.ElectLeadersResponse(
            error_code=Code.NONE if is_known else Code.INVALID_REQUEST,
            replica_election_results=tuple(
                wire.ReplicaElectionResult(topic, tuple(results)) for topic, results in told.items()
            ),
        )

    return Plan(slots.asked, respond)


def _wanted(request: wire.ElectLeadersRequest, view: View) -> Iterator[tuple[str, int]]:
    if request.topic_partitions is not None:
        for named in request.topic_partitions:
            for number in named.partitions:
                yield named.topic, number
        return
    # Of all: only where there is something to do, so that a large cluster is not thousands of commands.
    marks = (LEADERLESS,) if request.election_type == UNCLEAN else (LEADERLESS, NOT_PREFERRED)
    rows = [row for mark in marks for row in view.image.partitions.marked(mark)]
    yield from sorted((row.topic, row.partition) for row in rows)


def refuse_elect(request: wire.ElectLeadersRequest, code: int, message: str | None) -> wire.ElectLeadersResponse:
    return wire.ElectLeadersResponse(error_code=code)


def list_reassignments(
    request: wire.ListPartitionReassignmentsRequest, view: View
) -> wire.ListPartitionReassignmentsResponse:
    """Partitions that are being moved; None asks for all."""
    image = view.image
    wanted = None if request.topics is None else {one.name: set(one.partition_indexes) for one in request.topics}
    moving: dict[str, list[wire.OngoingPartitionReassignment]] = {}
    for row in sorted(image.partitions.marked(MOVING), key=lambda row: (row.topic, row.partition)):
        if wanted is None or row.partition in wanted.get(row.topic, ()):
            one = wire.OngoingPartitionReassignment(row.partition, row.replicas, row.adding, row.removing)
            moving.setdefault(row.topic, []).append(one)
    return wire.ListPartitionReassignmentsResponse(
        topics=tuple(wire.OngoingTopicReassignment(topic, tuple(ones)) for topic, ones in moving.items())
    )


def refuse_list_reassignments(
    request: wire.ListPartitionReassignmentsRequest, code: int, message: str | None
) -> wire.ListPartitionReassignmentsResponse:
    return wire.ListPartitionReassignmentsResponse(error_code=code, error_message=message)
