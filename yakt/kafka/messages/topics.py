"""Topics and their partitions (rpcs.md §7)."""

import msgspec

from yakt.ids import ZERO_UUID, Uuid
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    INT8,
    INT16,
    INT32,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    UUID,
    field,
    struct_of,
)


class CreatableReplicaAssignment(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    broker_ids: tuple[int, ...] = ()


CREATABLE_REPLICA_ASSIGNMENT = struct_of(
    CreatableReplicaAssignment,
    partition_index=INT32,
    broker_ids=ARRAY(INT32),
)


class CreatableTopicConfig(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    value: str | None = None


CREATABLE_TOPIC_CONFIG = struct_of(
    CreatableTopicConfig,
    name=STRING,
    value=NULLABLE_STRING,
)


class CreatableTopic(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    num_partitions: int = 0
    replication_factor: int = 0
    assignments: tuple[CreatableReplicaAssignment, ...] = ()
    configs: tuple[CreatableTopicConfig, ...] = ()


CREATABLE_TOPIC = struct_of(
    CreatableTopic,
    name=STRING,
    num_partitions=INT32,
    replication_factor=INT16,
    assignments=ARRAY(CREATABLE_REPLICA_ASSIGNMENT),
    configs=ARRAY(CREATABLE_TOPIC_CONFIG),
)


class CreateTopicsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 19, versions 2-7."""

    topics: tuple[CreatableTopic, ...] = ()
    timeout_ms: int = 60000
    validate_only: bool = False


CREATE_TOPICS_REQUEST = struct_of(
    CreateTopicsRequest,
    topics=ARRAY(CREATABLE_TOPIC),
    timeout_ms=INT32,
    validate_only=BOOL,
)


class CreatableTopicConfigs(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    value: str | None = None
    read_only: bool = False
    config_source: int = -1
    is_sensitive: bool = False


CREATABLE_TOPIC_CONFIGS = struct_of(
    CreatableTopicConfigs,
    name=field(STRING, since=5),
    value=field(NULLABLE_STRING, since=5),
    read_only=field(BOOL, since=5),
    config_source=field(INT8, since=5),
    is_sensitive=field(BOOL, since=5),
)


class CreatableTopicResult(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    topic_id: Uuid = ZERO_UUID
    error_code: int = 0
    error_message: str | None = None
    topic_config_error_code: int = 0
    num_partitions: int = -1
    replication_factor: int = -1
    configs: tuple[CreatableTopicConfigs, ...] | None = None


CREATABLE_TOPIC_RESULT = struct_of(
    CreatableTopicResult,
    name=STRING,
    topic_id=field(UUID, since=7),
    error_code=INT16,
    error_message=NULLABLE_STRING,
    topic_config_error_code=field(INT16, since=5, tag=0),
    num_partitions=field(INT32, since=5),
    replication_factor=field(INT16, since=5),
    configs=field(NULLABLE_ARRAY(CREATABLE_TOPIC_CONFIGS), since=5),
)


class CreateTopicsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 19, versions 2-7."""

    throttle_time_ms: int = 0
    topics: tuple[CreatableTopicResult, ...] = ()


CREATE_TOPICS_RESPONSE = struct_of(
    CreateTopicsResponse,
    throttle_time_ms=INT32,
    topics=ARRAY(CREATABLE_TOPIC_RESULT),
)


class DeleteTopicState(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    topic_id: Uuid = ZERO_UUID


DELETE_TOPIC_STATE = struct_of(
    DeleteTopicState,
    name=field(NULLABLE_STRING, since=6),
    topic_id=field(UUID, since=6),
)


class DeleteTopicsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 20, versions 1-6."""

    topics: tuple[DeleteTopicState, ...] = ()
    topic_names: tuple[str, ...] = ()
    timeout_ms: int = 0


DELETE_TOPICS_REQUEST = struct_of(
    DeleteTopicsRequest,
    topics=field(ARRAY(DELETE_TOPIC_STATE), since=6),
    topic_names=field(ARRAY(STRING), until=5),
    timeout_ms=INT32,
)


class DeletableTopicResult(msgspec.Struct, frozen=True, gc=False):
    name: str | None = None
    topic_id: Uuid = ZERO_UUID
    error_code: int = 0
    error_message: str | None = None


DELETABLE_TOPIC_RESULT = struct_of(
    DeletableTopicResult,
    name=NULLABLE_STRING,
    topic_id=field(UUID, since=6),
    error_code=INT16,
    error_message=field(NULLABLE_STRING, since=5),
)


class DeleteTopicsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 20, versions 1-6."""

    throttle_time_ms: int = 0
    responses: tuple[DeletableTopicResult, ...] = ()


DELETE_TOPICS_RESPONSE = struct_of(
    DeleteTopicsResponse,
    throttle_time_ms=INT32,
    responses=ARRAY(DELETABLE_TOPIC_RESULT),
)


class CreatePartitionsAssignment(msgspec.Struct, frozen=True, gc=False):
    broker_ids: tuple[int, ...] = ()


CREATE_PARTITIONS_ASSIGNMENT = struct_of(
    CreatePartitionsAssignment,
    broker_ids=ARRAY(INT32),
)


class CreatePartitionsTopic(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    count: int = 0
    assignments: tuple[CreatePartitionsAssignment, ...] | None = None


CREATE_PARTITIONS_TOPIC = struct_of(
    CreatePartitionsTopic,
    name=STRING,
    count=INT32,
    assignments=NULLABLE_ARRAY(CREATE_PARTITIONS_ASSIGNMENT),
)


class CreatePartitionsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 37, versions 0-3."""

    topics: tuple[CreatePartitionsTopic, ...] = ()
    timeout_ms: int = 0
    validate_only: bool = False


CREATE_PARTITIONS_REQUEST = struct_of(
    CreatePartitionsRequest,
    topics=ARRAY(CREATE_PARTITIONS_TOPIC),
    timeout_ms=INT32,
    validate_only=BOOL,
)


class CreatePartitionsTopicResult(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    error_code: int = 0
    error_message: str | None = None


CREATE_PARTITIONS_TOPIC_RESULT = struct_of(
    CreatePartitionsTopicResult,
    name=STRING,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class CreatePartitionsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 37, versions 0-3."""

    throttle_time_ms: int = 0
    results: tuple[CreatePartitionsTopicResult, ...] = ()


CREATE_PARTITIONS_RESPONSE = struct_of(
    CreatePartitionsResponse,
    throttle_time_ms=INT32,
    results=ARRAY(CREATE_PARTITIONS_TOPIC_RESULT),
)


class ElectLeadersTopicPartitions(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    partitions: tuple[int, ...] = ()


ELECT_LEADERS_TOPIC_PARTITIONS = struct_of(
    ElectLeadersTopicPartitions,
    topic=STRING,
    partitions=ARRAY(INT32),
)


class ElectLeadersRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 43, versions 0-2."""

    election_type: int = 0
    topic_partitions: tuple[ElectLeadersTopicPartitions, ...] | None = None
    timeout_ms: int = 60000


ELECT_LEADERS_REQUEST = struct_of(
    ElectLeadersRequest,
    election_type=field(INT8, since=1),
    topic_partitions=NULLABLE_ARRAY(ELECT_LEADERS_TOPIC_PARTITIONS),
    timeout_ms=INT32,
)


class ElectLeadersPartitionResult(msgspec.Struct, frozen=True, gc=False):
    partition_id: int = 0
    error_code: int = 0
    error_message: str | None = None


ELECT_LEADERS_PARTITION_RESULT = struct_of(
    ElectLeadersPartitionResult,
    partition_id=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class ReplicaElectionResult(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    partition_result: tuple[ElectLeadersPartitionResult, ...] = ()


REPLICA_ELECTION_RESULT = struct_of(
    ReplicaElectionResult,
    topic=STRING,
    partition_result=ARRAY(ELECT_LEADERS_PARTITION_RESULT),
)


class ElectLeadersResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 43, versions 0-2."""

    throttle_time_ms: int = 0
    error_code: int = 0
    replica_election_results: tuple[ReplicaElectionResult, ...] = ()


ELECT_LEADERS_RESPONSE = struct_of(
    ElectLeadersResponse,
    throttle_time_ms=INT32,
    error_code=field(INT16, since=1),
    replica_election_results=ARRAY(REPLICA_ELECTION_RESULT),
)


class ReassignablePartition(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    replicas: tuple[int, ...] | None = None


REASSIGNABLE_PARTITION = struct_of(
    ReassignablePartition,
    partition_index=INT32,
    replicas=NULLABLE_ARRAY(INT32),
)


class ReassignableTopic(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    partitions: tuple[ReassignablePartition, ...] = ()


REASSIGNABLE_TOPIC = struct_of(
    ReassignableTopic,
    name=STRING,
    partitions=ARRAY(REASSIGNABLE_PARTITION),
)


class AlterPartitionReassignmentsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 45, versions 0-1."""

    timeout_ms: int = 60000
    allow_replication_factor_change: bool = True
    topics: tuple[ReassignableTopic, ...] = ()


ALTER_PARTITION_REASSIGNMENTS_REQUEST = struct_of(
    AlterPartitionReassignmentsRequest,
    timeout_ms=INT32,
    allow_replication_factor_change=field(BOOL, since=1),
    topics=ARRAY(REASSIGNABLE_TOPIC),
)


class ReassignablePartitionResponse(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    error_code: int = 0
    error_message: str | None = None


REASSIGNABLE_PARTITION_RESPONSE = struct_of(
    ReassignablePartitionResponse,
    partition_index=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class ReassignableTopicResponse(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    partitions: tuple[ReassignablePartitionResponse, ...] = ()


REASSIGNABLE_TOPIC_RESPONSE = struct_of(
    ReassignableTopicResponse,
    name=STRING,
    partitions=ARRAY(REASSIGNABLE_PARTITION_RESPONSE),
)


class AlterPartitionReassignmentsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 45, versions 0-1."""

    throttle_time_ms: int = 0
    allow_replication_factor_change: bool = True
    error_code: int = 0
    error_message: str | None = None
    responses: tuple[ReassignableTopicResponse, ...] = ()


ALTER_PARTITION_REASSIGNMENTS_RESPONSE = struct_of(
    AlterPartitionReassignmentsResponse,
    throttle_time_ms=INT32,
    allow_replication_factor_change=field(BOOL, since=1),
    error_code=INT16,
    error_message=NULLABLE_STRING,
    responses=ARRAY(REASSIGNABLE_TOPIC_RESPONSE),
)


class ListPartitionReassignmentsTopic(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    partition_indexes: tuple[int, ...] = ()


LIST_PARTITION_REASSIGNMENTS_TOPIC = struct_of(
    ListPartitionReassignmentsTopic,
    name=STRING,
    partition_indexes=ARRAY(INT32),
)


class ListPartitionReassignmentsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 46, versions 0."""

    timeout_ms: int = 60000
    topics: tuple[ListPartitionReassignmentsTopic, ...] | None = None


LIST_PARTITION_REASSIGNMENTS_REQUEST = struct_of(
    ListPartitionReassignmentsRequest,
    timeout_ms=INT32,
    topics=NULLABLE_ARRAY(LIST_PARTITION_REASSIGNMENTS_TOPIC),
)


class OngoingPartitionReassignment(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    replicas: tuple[int, ...] = ()
    adding_replicas: tuple[int, ...] = ()
    removing_replicas: tuple[int, ...] = ()


ONGOING_PARTITION_REASSIGNMENT = struct_of(
    OngoingPartitionReassignment,
    partition_index=INT32,
    replicas=ARRAY(INT32),
    adding_replicas=ARRAY(INT32),
    removing_replicas=ARRAY(INT32),
)


class OngoingTopicReassignment(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    partitions: tuple[OngoingPartitionReassignment, ...] = ()


ONGOING_TOPIC_REASSIGNMENT = struct_of(
    OngoingTopicReassignment,
    name=STRING,
    partitions=ARRAY(ONGOING_PARTITION_REASSIGNMENT),
)


class ListPartitionReassignmentsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 46, versions 0."""

    throttle_time_ms: int = 0
    error_code: int = 0
    error_message: str | None = None
    topics: tuple[OngoingTopicReassignment, ...] = ()


LIST_PARTITION_REASSIGNMENTS_RESPONSE = struct_of(
    ListPartitionReassignmentsResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    topics=ARRAY(ONGOING_TOPIC_REASSIGNMENT),
)
