"""What brokers ask for themselves: registration, heartbeats, producer ids, ISRs (controller.md §2 to §6)."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from yakt.errors import RefusedError
from yakt.kafka.codes import Code
from yakt.kafka.messages import brokers as wire
from yakt.kafka.plan import LIFECYCLE_TIMEOUT_MS, UNTIMED_MS, Caller, Plan, View, ask, error_of, message_of
from yakt.metadata import commands
from yakt.metadata.answers import Answer, Result
from yakt.metadata.records import BrokerEndpoint, BrokerFeature


def register(request: wire.BrokerRegistrationRequest, caller: Caller, view: View) -> Plan:
    """BrokerRegistration: answered with the epoch the broker goes by from now on."""
    command = commands.RegisterKafkaBroker(
        id=request.broker_id,
        cluster_id=request.cluster_id,
        incarnation=request.incarnation_id,
        end_points=tuple(
            BrokerEndpoint(point.name, point.host, point.port, point.security_protocol) for point in request.listeners
        ),
        features=tuple(
            BrokerFeature(feature.name, feature.min_supported_version, feature.max_supported_version)
            for feature in request.features
        ),
        rack=request.rack,
        log_dirs=request.log_dirs,
        previous_epoch=request.previous_broker_epoch,
        is_migrating_zk_broker=request.is_migrating_zk_broker,
    )

    def respond(results: Sequence[Result]) -> wire.BrokerRegistrationResponse:
        (result,) = results
        if isinstance(result, RefusedError):
            return wire.BrokerRegistrationResponse(error_code=error_of(result))
        return wire.BrokerRegistrationResponse(broker_epoch=_number(result, "epoch"))

    return Plan((ask(command, caller, LIFECYCLE_TIMEOUT_MS),), respond)


def refuse_register(
    request: wire.BrokerRegistrationRequest, code: int, message: str | None
) -> wire.BrokerRegistrationResponse:
    return wire.BrokerRegistrationResponse(error_code=code)


def heartbeat(request: wire.BrokerHeartbeatRequest, caller: Caller, view: View) -> Plan:
    """BrokerHeartbeat: answered once what it changed is committed; a broker that serves before is a broker too soon."""
    command = commands.HeartbeatBroker(
        id=request.broker_id,
        epoch=request.broker_epoch,
        at=request.current_metadata_offset,
        fence=request.want_fence,
        shutdown=request.want_shut_down,
        offline=request.offline_log_dirs,
    )

    def respond(results: Sequence[Result]) -> wire.BrokerHeartbeatResponse:
        (result,) = results
        if isinstance(result, RefusedError):
            return wire.BrokerHeartbeatResponse(error_code=_epoch_error(result))
        return wire.BrokerHeartbeatResponse(
            is_caught_up=bool(result.pairs["caught_up"]),
            is_fenced=bool(result.pairs["fenced"]),
            should_shut_down=bool(result.pairs["shutdown"]),
        )

    return Plan((ask(command, caller, LIFECYCLE_TIMEOUT_MS),), respond)


def refuse_heartbeat(
    request: wire.BrokerHeartbeatRequest, code: int, message: str | None
) -> wire.BrokerHeartbeatResponse:
    return wire.BrokerHeartbeatResponse(error_code=code)


def _epoch_error(result: Result) -> int:
    """An id that is gone has no epoch that is not stale."""
    error = error_of(result)
    return Code.STALE_BROKER_EPOCH if error == Code.BROKER_ID_NOT_REGISTERED else error


def allocate(request: wire.AllocateProducerIdsRequest, caller: Caller, view: View) -> Plan:
    """AllocateProducerIds: a block of a thousand."""
    command = commands.AllocateProducerIds(request.broker_id, request.broker_epoch)

    def respond(results: Sequence[Result]) -> wire.AllocateProducerIdsResponse:
        (result,) = results
        if isinstance(result, RefusedError):
            return wire.AllocateProducerIdsResponse(error_code=_epoch_error(result))
        return wire.AllocateProducerIdsResponse(
            producer_id_start=_number(result, "first"), producer_id_len=_number(result, "count")
        )

    return Plan((ask(command, caller, UNTIMED_MS),), respond)


def refuse_allocate(
    request: wire.AllocateProducerIdsRequest, code: int, message: str | None
) -> wire.AllocateProducerIdsResponse:
    return wire.AllocateProducerIdsResponse(error_code=code)


def alter_partitions(request: wire.AlterPartitionRequest, caller: Caller, view: View) -> Plan:
    """AlterPartition: a leader's ISRs. Beside an error everything else of a partition is 0 and empty."""
    changes = tuple(
        commands.IsrChange(
            topic.topic_id,
            asked.partition_index,
            asked.leader_epoch,
            asked.partition_epoch,
            tuple((member.broker_id, member.broker_epoch) for member in asked.new_isr_with_epochs)
            or tuple((member, -1) for member in asked.new_isr),
            asked.leader_recovery_state,
        )
        for topic in request.topics
        for asked in topic.partitions
    )
    command = commands.AlterPartitions(request.broker_id, request.broker_epoch, changes)

    def respond(results: Sequence[Result]) -> wire.AlterPartitionResponse:
        (result,) = results
        if isinstance(result, RefusedError):
            return wire.AlterPartitionResponse(error_code=_epoch_error(result))
        answers = iter(cast(Sequence[Mapping[str, Any]], result.pairs["partitions"]))
        return wire.AlterPartitionResponse(
            topics=tuple(
                wire.AlterPartitionTopicResult(
                    topic.topic_id,
                    tuple(_altered(asked.partition_index, next(answers)) for asked in topic.partitions),
                )
                for topic in request.topics
            )
        )

    return Plan((ask(command, caller, UNTIMED_MS),), respond)


def _altered(index: int, answer: Mapping[str, Any]) -> wire.AlterPartitionPartitionResult:
    if answer["error"]:
        return wire.AlterPartitionPartitionResult(index, answer["error"])
    return wire.AlterPartitionPartitionResult(
        index,
        Code.NONE,
        answer["leader"],
        answer["leader_epoch"],
        tuple(answer["isr"]),
        answer["recovery"],
        answer["partition_epoch"],
    )


def refuse_alter_partitions(
    request: wire.AlterPartitionRequest, code: int, message: str | None
) -> wire.AlterPartitionResponse:
    return wire.AlterPartitionResponse(error_code=code)


def assign_directories(request: wire.AssignReplicasToDirsRequest, caller: Caller, view: View) -> Plan:
    """AssignReplicasToDirs: where a broker with several directories has put its replicas."""
    assigned = tuple(
        (directory.id, topic.topic_id, asked.partition_index)
        for directory in request.directories
        for topic in directory.topics
        for asked in topic.partitions
    )
    command = commands.AssignDirectories(request.broker_id, request.broker_epoch, assigned)

    def respond(results: Sequence[Result]) -> wire.AssignReplicasToDirsResponse:
        (result,) = results
        if isinstance(result, RefusedError):
            return wire.AssignReplicasToDirsResponse(error_code=_epoch_error(result))
        errors = iter(cast(Sequence[int], result.pairs["errors"]))
        return wire.AssignReplicasToDirsResponse(
            directories=tuple(
                wire.AssignReplicasToDirsDirectoryResult(
                    directory.id,
                    tuple(
                        wire.AssignReplicasToDirsTopicResult(
                            topic.topic_id,
                            tuple(
                                wire.AssignReplicasToDirsPartitionResult(asked.partition_index, next(errors))
                                for asked in topic.partitions
                            ),
                        )
                        for topic in directory.topics
                    ),
                )
                for directory in request.directories
            )
        )

    return Plan((ask(command, caller, UNTIMED_MS),), respond)


def refuse_assign_directories(
    request: wire.AssignReplicasToDirsRequest, code: int, message: str | None
) -> wire.AssignReplicasToDirsResponse:
    return wire.AssignReplicasToDirsResponse(error_code=code)


def unregister(request: wire.UnregisterBrokerRequest, caller: Caller, view: View) -> Plan:
    """UnregisterBroker, as a tool asks it."""

    def respond(results: Sequence[Result]) -> wire.UnregisterBrokerResponse:
        (result,) = results
        return wire.UnregisterBrokerResponse(error_code=error_of(result), error_message=message_of(result))

    return Plan((ask(commands.UnregisterBroker(request.broker_id), caller, UNTIMED_MS),), respond)


def refuse_unregister(
    request: wire.UnregisterBrokerRequest, code: int, message: str | None
) -> wire.UnregisterBrokerResponse:
    return wire.UnregisterBrokerResponse(error_code=code, error_message=message)


def _number(answer: Answer, key: str) -> int:
    value = answer.pairs[key]
    assert isinstance(value, int)
    return value
