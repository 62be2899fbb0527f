"""A broker's life in commands: BrokerRegistration and BrokerHeartbeat (controller.md §2, §3)."""

from collections.abc import Sequence

from yakt.errors import RefusedError
from yakt.kafka.codes import Code
from yakt.kafka.messages import brokers as wire
from yakt.kafka.plan import LIFECYCLE_TIMEOUT_MS, Caller, Plan, ask, error_of
from yakt.metadata import commands
from yakt.metadata.commands import Answer, Result
from yakt.metadata.records import BrokerEndpoint, BrokerFeature


def register(request: wire.BrokerRegistrationRequest, caller: Caller) -> Plan:
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


def heartbeat(request: wire.BrokerHeartbeatRequest, caller: Caller) -> Plan:
    """BrokerHeartbeat: answered once what it changed is committed; a broker that serves before is a broker too soon."""
    command = commands.HeartbeatBroker(
        id=request.broker_id,
        epoch=request.broker_epoch,
        at=request.current_metadata_offset,
        fence=request.want_fence,
        shutdown=request.want_shut_down,
    )

    def respond(results: Sequence[Result]) -> wire.BrokerHeartbeatResponse:
        (result,) = results
        if isinstance(result, RefusedError):
            error = error_of(result)
            if error == Code.BROKER_ID_NOT_REGISTERED:
                error = Code.STALE_BROKER_EPOCH  # an id that is gone has no epoch that is not stale
            return wire.BrokerHeartbeatResponse(error_code=error)
        return wire.BrokerHeartbeatResponse(
            is_caught_up=bool(result.pairs["caught_up"]),
            is_fenced=bool(result.pairs["fenced"]),
            should_shut_down=bool(result.pairs["shutdown"]),
        )

    return Plan((ask(command, caller, LIFECYCLE_TIMEOUT_MS),), respond)


def _number(answer: Answer, key: str) -> int:
    value = answer.pairs[key]
    assert isinstance(value, int)
    return value
