"""What tools ask of the cluster itself: DescribeCluster, DescribeQuorum, UpdateFeatures (controller.md §9, §11)."""

from collections.abc import Sequence
from functools import partial

from yakt.ids import ZERO_UUID, NodeId
from yakt.kafka.codes import Code
from yakt.kafka.messages import cluster as wire
from yakt.kafka.observers import METADATA_TOPIC
from yakt.kafka.plan import Caller, Plan, View, ask, error_of, message_of
from yakt.metadata import commands, refusals
from yakt.metadata.answers import Result
from yakt.metadata.records import RegisterControllerRecord
from yakt.raft.statistics import ReplicaStatistics, Statistics

BROKERS, CONTROLLERS = 1, 2
"""Endpoint types."""
RESULTS_UNTIL = 2
"""From this version of UpdateFeatures on, what went well is not told one by one."""
DOWNGRADES = {1: "", 2: "safe", 3: "unsafe"}
"""By upgrade type; 1 is an upgrade."""
LISTENER = "CONTROLLER"
"""What brokers call the listener they find controllers at."""


def describe(request: wire.DescribeClusterRequest, view: View) -> wire.DescribeClusterResponse:
    """DescribeCluster, of the registered controllers. Every node answers: tools ask any of them first."""
    if request.endpoint_type != CONTROLLERS:
        is_brokers = request.endpoint_type == BROKERS
        return wire.DescribeClusterResponse(
            error_code=Code.MISMATCHED_ENDPOINT_TYPE if is_brokers else Code.UNSUPPORTED_ENDPOINT_TYPE,
            error_message="this is a controller: it tells of controllers",
            endpoint_type=request.endpoint_type,
        )
    nodes = []
    for row in view.image.controllers.rows():
        record = row.record
        assert isinstance(record, RegisterControllerRecord)
        nodes += [
            wire.DescribeClusterBroker(record.controller_id, point.host, point.port)
            for point in record.end_points
            if point.name == LISTENER
        ]
    is_known = any(node.broker_id == view.leader_id for node in nodes)
    return wire.DescribeClusterResponse(
        endpoint_type=CONTROLLERS,
        cluster_id=view.cluster_id,
        controller_id=view.leader_id if is_known and view.leader_id is not None else -1,
        brokers=tuple(nodes),
    )


def refuse_describe(
    request: wire.DescribeClusterRequest, code: int, message: str | None
) -> wire.DescribeClusterResponse:
    return wire.DescribeClusterResponse(error_code=code, error_message=message)


def describe_quorum(request: wire.DescribeQuorumRequest, view: View) -> wire.DescribeQuorumResponse:
    """DescribeQuorum, by the leader (raft.md §9)."""
    statistics = view.statistics()
    return wire.DescribeQuorumResponse(
        error_message="",
        topics=tuple(
            wire.DescribeQuorumTopicResult(
                topic.topic_name,
                tuple(
                    _partition(statistics, view.wall_ms)
                    if topic.topic_name == METADATA_TOPIC and asked.partition_index == 0
                    else wire.DescribeQuorumPartitionResult(asked.partition_index, Code.UNKNOWN_TOPIC_OR_PARTITION)
                    for asked in topic.partitions
                ),
            )
            for topic in request.topics
        ),
        nodes=_nodes(statistics, view),
    )


def _partition(statistics: Statistics, wall_ms: int) -> wire.DescribeQuorumPartitionResult:
    return wire.DescribeQuorumPartitionResult(
        error_message="",
        leader_id=statistics.me.id,
        leader_epoch=statistics.epoch,
        high_watermark=statistics.high_watermark if statistics.is_high_watermark_current else -1,
        current_voters=_replicas(
            statistics, statistics.voters, wall_ms, tells_directories=statistics.kraft_version > 0
        ),
        observers=_replicas(statistics, statistics.observers, wall_ms, tells_directories=True),
    )


def _replicas(
    statistics: Statistics, replicas: Sequence[ReplicaStatistics], wall_ms: int, *, tells_directories: bool
) -> tuple[wire.DescribeQuorumReplicaState, ...]:
    def told(instant: float | None, of: NodeId) -> int:
        if of == statistics.me.id:
            return wall_ms
        return -1 if instant is None else wall_ms - int((statistics.now - instant) * 1000)

    return tuple(
        wire.DescribeQuorumReplicaState(
            replica.id,
            replica.directory_id if replica.directory_id is not None and tells_directories else ZERO_UUID,
            statistics.log_end_offset
            if replica.id == statistics.me.id
            else -1
            if replica.end_offset is None
            else replica.end_offset,
            told(replica.last_fetch, replica.id),
            told(replica.last_caught_up, replica.id),
        )
        for replica in replicas
    )


def _nodes(statistics: Statistics, view: View) -> tuple[wire.DescribeQuorumNode, ...]:
    nodes = []
    for voter in statistics.voters:
        address = view.find_address(voter.id)
        points = () if address is None else (wire.DescribeQuorumListener(LISTENER, address.host, address.port),)
        nodes.append(wire.DescribeQuorumNode(voter.id, points))
    return tuple(nodes)


def refuse_quorum(request: wire.DescribeQuorumRequest, code: int, message: str | None) -> wire.DescribeQuorumResponse:
    """In each partition, where tools look; who does not lead is there called no leader (6), not no controller."""
    code = Code.NOT_LEADER_OR_FOLLOWER if code == Code.NOT_CONTROLLER else code
    return wire.DescribeQuorumResponse(
        topics=tuple(
            wire.DescribeQuorumTopicResult(
                topic.topic_name,
                tuple(
                    wire.DescribeQuorumPartitionResult(asked.partition_index, code, message)
                    for asked in topic.partitions
                ),
            )
            for topic in request.topics
        )
    )


def update_features(request: wire.UpdateFeaturesRequest, caller: Caller, view: View) -> Plan:
    """UpdateFeatures: one command, so that one failure fails all (KIP-1022)."""
    changes = []
    for update in request.feature_updates:
        # Below version 1 there is `allow_downgrade` instead, and the type is the default, an upgrade.
        downgrade = "safe" if update.allow_downgrade else DOWNGRADES.get(update.upgrade_type)
        if downgrade is None:
            why = "The controller does not support the given upgrade type."
            refused = refusals.invalid_feature_update(update.feature, update.max_version_level, why)
            response = refuse_features(request, error_of(refused), message_of(refused))
            return Plan((), partial(_just, response))
        changes.append(commands.FeatureChange(update.feature, update.max_version_level, downgrade))

    def respond(results: Sequence[Result]) -> wire.UpdateFeaturesResponse:
        (result,) = results
        if error_of(result):
            return refuse_features(request, error_of(result), message_of(result))
        if view.version >= RESULTS_UNTIL:
            return wire.UpdateFeaturesResponse()
        return wire.UpdateFeaturesResponse(
            results=tuple(wire.UpdatableFeatureResult(update.feature) for update in request.feature_updates)
        )

    command = commands.SetFeatures(tuple(changes))
    return Plan((ask(command, caller, request.timeout_ms, check=request.validate_only),), respond)


def _just(response: wire.UpdateFeaturesResponse, _: Sequence[Result]) -> wire.UpdateFeaturesResponse:
    return response


def refuse_features(request: wire.UpdateFeaturesRequest, code: int, message: str | None) -> wire.UpdateFeaturesResponse:
    return wire.UpdateFeaturesResponse(error_code=code, error_message=message)
