"""The cluster, its quorum and its features (rpcs.md §8)."""

import msgspec

from yakt.ids import ZERO_UUID, Uuid
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_STRING,
    STRING,
    UINT16,
    UUID,
    field,
    struct_of,
)


class DescribeClusterRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 60, versions 0-2."""

    include_cluster_authorized_operations: bool = False
    endpoint_type: int = 1
    include_fenced_brokers: bool = False


DESCRIBE_CLUSTER_REQUEST = struct_of(
    DescribeClusterRequest,
    include_cluster_authorized_operations=BOOL,
    endpoint_type=field(INT8, since=1),
    include_fenced_brokers=field(BOOL, since=2),
)


class DescribeClusterBroker(msgspec.Struct, frozen=True, gc=False):
    broker_id: int = 0
    host: str = ""
    port: int = 0
    rack: str | None = None
    is_fenced: bool = False


DESCRIBE_CLUSTER_BROKER = struct_of(
    DescribeClusterBroker,
    broker_id=INT32,
    host=STRING,
    port=INT32,
    rack=NULLABLE_STRING,
    is_fenced=field(BOOL, since=2),
)


class DescribeClusterResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 60, versions 0-2."""

    throttle_time_ms: int = 0
    error_code: int = 0
    error_message: str | None = None
    endpoint_type: int = 1
    cluster_id: str = ""
    controller_id: int = -1
    brokers: tuple[DescribeClusterBroker, ...] = ()
    cluster_authorized_operations: int = -2147483648


DESCRIBE_CLUSTER_RESPONSE = struct_of(
    DescribeClusterResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    endpoint_type=field(INT8, since=1),
    cluster_id=STRING,
    controller_id=INT32,
    brokers=ARRAY(DESCRIBE_CLUSTER_BROKER),
    cluster_authorized_operations=INT32,
)


class DescribeQuorumPartition(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0


DESCRIBE_QUORUM_PARTITION = struct_of(
    DescribeQuorumPartition,
    partition_index=INT32,
)


class DescribeQuorumTopic(msgspec.Struct, frozen=True, gc=False):
    topic_name: str = ""
    partitions: tuple[DescribeQuorumPartition, ...] = ()


DESCRIBE_QUORUM_TOPIC = struct_of(
    DescribeQuorumTopic,
    topic_name=STRING,
    partitions=ARRAY(DESCRIBE_QUORUM_PARTITION),
)


class DescribeQuorumRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 55, versions 0-2."""

    topics: tuple[DescribeQuorumTopic, ...] = ()


DESCRIBE_QUORUM_REQUEST = struct_of(
    DescribeQuorumRequest,
    topics=ARRAY(DESCRIBE_QUORUM_TOPIC),
)


class DescribeQuorumReplicaState(msgspec.Struct, frozen=True, gc=False):
    replica_id: int = 0
    replica_directory_id: Uuid = ZERO_UUID
    log_end_offset: int = 0
    last_fetch_timestamp: int = -1
    last_caught_up_timestamp: int = -1


DESCRIBE_QUORUM_REPLICA_STATE = struct_of(
    DescribeQuorumReplicaState,
    replica_id=INT32,
    replica_directory_id=field(UUID, since=2),
    log_end_offset=INT64,
    last_fetch_timestamp=field(INT64, since=1),
    last_caught_up_timestamp=field(INT64, since=1),
)


class DescribeQuorumPartitionResult(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    error_code: int = 0
    error_message: str | None = None
    leader_id: int = 0
    leader_epoch: int = 0
    high_watermark: int = 0
    current_voters: tuple[DescribeQuorumReplicaState, ...] = ()
    observers: tuple[DescribeQuorumReplicaState, ...] = ()


DESCRIBE_QUORUM_PARTITION_RESULT = struct_of(
    DescribeQuorumPartitionResult,
    partition_index=INT32,
    error_code=INT16,
    error_message=field(NULLABLE_STRING, since=2),
    leader_id=INT32,
    leader_epoch=INT32,
    high_watermark=INT64,
    current_voters=ARRAY(DESCRIBE_QUORUM_REPLICA_STATE),
    observers=ARRAY(DESCRIBE_QUORUM_REPLICA_STATE),
)


class DescribeQuorumTopicResult(msgspec.Struct, frozen=True, gc=False):
    topic_name: str = ""
    partitions: tuple[DescribeQuorumPartitionResult, ...] = ()


DESCRIBE_QUORUM_TOPIC_RESULT = struct_of(
    DescribeQuorumTopicResult,
    topic_name=STRING,
    partitions=ARRAY(DESCRIBE_QUORUM_PARTITION_RESULT),
)


class DescribeQuorumListener(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    host: str = ""
    port: int = 0


DESCRIBE_QUORUM_LISTENER = struct_of(
    DescribeQuorumListener,
    name=field(STRING, since=2),
    host=field(STRING, since=2),
    port=field(UINT16, since=2),
)


class DescribeQuorumNode(msgspec.Struct, frozen=True, gc=False):
    node_id: int = 0
    listeners: tuple[DescribeQuorumListener, ...] = ()


DESCRIBE_QUORUM_NODE = struct_of(
    DescribeQuorumNode,
    node_id=field(INT32, since=2),
    listeners=field(ARRAY(DESCRIBE_QUORUM_LISTENER), since=2),
)


class DescribeQuorumResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 55, versions 0-2."""

    error_code: int = 0
    error_message: str | None = None
    topics: tuple[DescribeQuorumTopicResult, ...] = ()
    nodes: tuple[DescribeQuorumNode, ...] = ()


DESCRIBE_QUORUM_RESPONSE = struct_of(
    DescribeQuorumResponse,
    error_code=INT16,
    error_message=field(NULLABLE_STRING, since=2),
    topics=ARRAY(DESCRIBE_QUORUM_TOPIC_RESULT),
    nodes=field(ARRAY(DESCRIBE_QUORUM_NODE), since=2),
)


class FeatureUpdate(msgspec.Struct, frozen=True, gc=False):
    feature: str = ""
    max_version_level: int = 0
    allow_downgrade: bool = False
    upgrade_type: int = 1


FEATURE_UPDATE = struct_of(
    FeatureUpdate,
    feature=STRING,
    max_version_level=INT16,
    allow_downgrade=field(BOOL, until=0),
    upgrade_type=field(INT8, since=1),
)


class UpdateFeaturesRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 57, versions 0-2."""

    timeout_ms: int = 60000
    feature_updates: tuple[FeatureUpdate, ...] = ()
    validate_only: bool = False


UPDATE_FEATURES_REQUEST = struct_of(
    UpdateFeaturesRequest,
    timeout_ms=INT32,
    feature_updates=ARRAY(FEATURE_UPDATE),
    validate_only=field(BOOL, since=1),
)


class UpdatableFeatureResult(msgspec.Struct, frozen=True, gc=False):
    feature: str = ""
    error_code: int = 0
    error_message: str | None = None


UPDATABLE_FEATURE_RESULT = struct_of(
    UpdatableFeatureResult,
    feature=STRING,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class UpdateFeaturesResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 57, versions 0-2."""

    throttle_time_ms: int = 0
    error_code: int = 0
    error_message: str | None = None
    results: tuple[UpdatableFeatureResult, ...] = ()


UPDATE_FEATURES_RESPONSE = struct_of(
    UpdateFeaturesResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    results=field(ARRAY(UPDATABLE_FEATURE_RESULT), until=1),
)
