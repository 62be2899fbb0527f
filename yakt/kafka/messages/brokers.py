"""A broker's life: registration, heartbeats, producer ids, its replicas' directories and ISRs (rpcs.md §6)."""

import msgspec

from yakt.ids import ZERO_UUID, Uuid
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    UINT16,
    UUID,
    field,
    struct_of,
)


class BrokerRegistrationListener(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    host: str = ""
    port: int = 0
    security_protocol: int = 0


BROKER_REGISTRATION_LISTENER = struct_of(
    BrokerRegistrationListener,
    name=STRING,
    host=STRING,
    port=UINT16,
    security_protocol=INT16,
)


class BrokerRegistrationFeature(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    min_supported_version: int = 0
    max_supported_version: int = 0


BROKER_REGISTRATION_FEATURE = struct_of(
    BrokerRegistrationFeature,
    name=STRING,
    min_supported_version=INT16,
    max_supported_version=INT16,
)


class BrokerRegistrationRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 62, versions 0-4."""

    broker_id: int = 0
    cluster_id: str = ""
    incarnation_id: Uuid = ZERO_UUID
    listeners: tuple[BrokerRegistrationListener, ...] = ()
    features: tuple[BrokerRegistrationFeature, ...] = ()
    rack: str | None = None
    is_migrating_zk_broker: bool = False
    log_dirs: tuple[Uuid, ...] = ()
    previous_broker_epoch: int = -1


BROKER_REGISTRATION_REQUEST = struct_of(
    BrokerRegistrationRequest,
    broker_id=INT32,
    cluster_id=STRING,
    incarnation_id=UUID,
    listeners=ARRAY(BROKER_REGISTRATION_LISTENER),
    features=ARRAY(BROKER_REGISTRATION_FEATURE),
    rack=NULLABLE_STRING,
    is_migrating_zk_broker=field(BOOL, since=1),
    log_dirs=field(ARRAY(UUID), since=2),
    previous_broker_epoch=field(INT64, since=3),
)


class BrokerRegistrationResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 62, versions 0-4."""

    throttle_time_ms: int = 0
    error_code: int = 0
    broker_epoch: int = -1


BROKER_REGISTRATION_RESPONSE = struct_of(
    BrokerRegistrationResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    broker_epoch=INT64,
)


class BrokerHeartbeatRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 63, versions 0-2."""

    broker_id: int = 0
    broker_epoch: int = -1
    current_metadata_offset: int = 0
    want_fence: bool = False
    want_shut_down: bool = False
    offline_log_dirs: tuple[Uuid, ...] = ()
    cordoned_log_dirs: tuple[Uuid, ...] | None = None


BROKER_HEARTBEAT_REQUEST = struct_of(
    BrokerHeartbeatRequest,
    broker_id=INT32,
    broker_epoch=INT64,
    current_metadata_offset=INT64,
    want_fence=BOOL,
    want_shut_down=BOOL,
    offline_log_dirs=field(ARRAY(UUID), since=1, tag=0),
    cordoned_log_dirs=field(NULLABLE_ARRAY(UUID), since=2, tag=1),
)


class BrokerHeartbeatResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 63, versions 0-2."""

    throttle_time_ms: int = 0
    error_code: int = 0
    is_caught_up: bool = False
    is_fenced: bool = True
    should_shut_down: bool = False


BROKER_HEARTBEAT_RESPONSE = struct_of(
    BrokerHeartbeatResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    is_caught_up=BOOL,
    is_fenced=BOOL,
    should_shut_down=BOOL,
)


class UnregisterBrokerRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 64, versions 0."""

    broker_id: int = 0


UNREGISTER_BROKER_REQUEST = struct_of(
    UnregisterBrokerRequest,
    broker_id=INT32,
)


class UnregisterBrokerResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 64, versions 0."""

    throttle_time_ms: int = 0
    error_code: int = 0
    error_message: str | None = None


UNREGISTER_BROKER_RESPONSE = struct_of(
    UnregisterBrokerResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class AllocateProducerIdsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 67, versions 0."""

    broker_id: int = 0
    broker_epoch: int = -1


ALLOCATE_PRODUCER_IDS_REQUEST = struct_of(
    AllocateProducerIdsRequest,
    broker_id=INT32,
    broker_epoch=INT64,
)


class AllocateProducerIdsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 67, versions 0."""

    throttle_time_ms: int = 0
    error_code: int = 0
    producer_id_start: int = 0
    producer_id_len: int = 0


ALLOCATE_PRODUCER_IDS_RESPONSE = struct_of(
    AllocateProducerIdsResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    producer_id_start=INT64,
    producer_id_len=INT32,
)


class AlterPartitionBrokerState(msgspec.Struct, frozen=True, gc=False):
    broker_id: int = 0
    broker_epoch: int = -1


ALTER_PARTITION_BROKER_STATE = struct_of(
    AlterPartitionBrokerState,
    broker_id=field(INT32, since=3),
    broker_epoch=field(INT64, since=3),
)


class AlterPartitionPartition(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    leader_epoch: int = 0
    new_isr: tuple[int, ...] = ()
    new_isr_with_epochs: tuple[AlterPartitionBrokerState, ...] = ()
    leader_recovery_state: int = 0
    partition_epoch: int = 0


ALTER_PARTITION_PARTITION = struct_of(
    AlterPartitionPartition,
    partition_index=INT32,
    leader_epoch=INT32,
    new_isr=field(ARRAY(INT32), until=2),
    new_isr_with_epochs=field(ARRAY(ALTER_PARTITION_BROKER_STATE), since=3),
    leader_recovery_state=INT8,
    partition_epoch=INT32,
)


class AlterPartitionTopic(msgspec.Struct, frozen=True, gc=False):
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[AlterPartitionPartition, ...] = ()


ALTER_PARTITION_TOPIC = struct_of(
    AlterPartitionTopic,
    topic_id=UUID,
    partitions=ARRAY(ALTER_PARTITION_PARTITION),
)


class AlterPartitionRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 56, versions 2-3."""

    broker_id: int = 0
    broker_epoch: int = -1
    topics: tuple[AlterPartitionTopic, ...] = ()


ALTER_PARTITION_REQUEST = struct_of(
    AlterPartitionRequest,
    broker_id=INT32,
    broker_epoch=INT64,
    topics=ARRAY(ALTER_PARTITION_TOPIC),
)


class AlterPartitionPartitionResult(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    error_code: int = 0
    leader_id: int = 0
    leader_epoch: int = 0
    isr: tuple[int, ...] = ()
    leader_recovery_state: int = 0
    partition_epoch: int = 0


ALTER_PARTITION_PARTITION_RESULT = struct_of(
    AlterPartitionPartitionResult,
    partition_index=INT32,
    error_code=INT16,
    leader_id=INT32,
    leader_epoch=INT32,
    isr=ARRAY(INT32),
    leader_recovery_state=INT8,
    partition_epoch=INT32,
)


class AlterPartitionTopicResult(msgspec.Struct, frozen=True, gc=False):
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[AlterPartitionPartitionResult, ...] = ()


ALTER_PARTITION_TOPIC_RESULT = struct_of(
    AlterPartitionTopicResult,
    topic_id=UUID,
    partitions=ARRAY(ALTER_PARTITION_PARTITION_RESULT),
)


class AlterPartitionResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 56, versions 2-3."""

    throttle_time_ms: int = 0
    error_code: int = 0
    topics: tuple[AlterPartitionTopicResult, ...] = ()


ALTER_PARTITION_RESPONSE = struct_of(
    AlterPartitionResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    topics=ARRAY(ALTER_PARTITION_TOPIC_RESULT),
)


class AssignReplicasToDirsPartition(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0


ASSIGN_REPLICAS_TO_DIRS_PARTITION = struct_of(
    AssignReplicasToDirsPartition,
    partition_index=INT32,
)


class AssignReplicasToDirsTopic(msgspec.Struct, frozen=True, gc=False):
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[AssignReplicasToDirsPartition, ...] = ()


ASSIGN_REPLICAS_TO_DIRS_TOPIC = struct_of(
    AssignReplicasToDirsTopic,
    topic_id=UUID,
    partitions=ARRAY(ASSIGN_REPLICAS_TO_DIRS_PARTITION),
)


class AssignReplicasToDirsDirectory(msgspec.Struct, frozen=True, gc=False):
    id: Uuid = ZERO_UUID
    topics: tuple[AssignReplicasToDirsTopic, ...] = ()


ASSIGN_REPLICAS_TO_DIRS_DIRECTORY = struct_of(
    AssignReplicasToDirsDirectory,
    id=UUID,
    topics=ARRAY(ASSIGN_REPLICAS_TO_DIRS_TOPIC),
)


class AssignReplicasToDirsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 73, versions 0."""

    broker_id: int = 0
    broker_epoch: int = -1
    directories: tuple[AssignReplicasToDirsDirectory, ...] = ()


ASSIGN_REPLICAS_TO_DIRS_REQUEST = struct_of(
    AssignReplicasToDirsRequest,
    broker_id=INT32,
    broker_epoch=INT64,
    directories=ARRAY(ASSIGN_REPLICAS_TO_DIRS_DIRECTORY),
)


class AssignReplicasToDirsPartitionResult(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    error_code: int = 0


ASSIGN_REPLICAS_TO_DIRS_PARTITION_RESULT = struct_of(
    AssignReplicasToDirsPartitionResult,
    partition_index=INT32,
    error_code=INT16,
)


class AssignReplicasToDirsTopicResult(msgspec.Struct, frozen=True, gc=False):
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[AssignReplicasToDirsPartitionResult, ...] = ()


ASSIGN_REPLICAS_TO_DIRS_TOPIC_RESULT = struct_of(
    AssignReplicasToDirsTopicResult,
    topic_id=UUID,
    partitions=ARRAY(ASSIGN_REPLICAS_TO_DIRS_PARTITION_RESULT),
)


class AssignReplicasToDirsDirectoryResult(msgspec.Struct, frozen=True, gc=False):
    id: Uuid = ZERO_UUID
    topics: tuple[AssignReplicasToDirsTopicResult, ...] = ()


ASSIGN_REPLICAS_TO_DIRS_DIRECTORY_RESULT = struct_of(
    AssignReplicasToDirsDirectoryResult,
    id=UUID,
    topics=ARRAY(ASSIGN_REPLICAS_TO_DIRS_TOPIC_RESULT),
)


class AssignReplicasToDirsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 73, versions 0."""

    throttle_time_ms: int = 0
    error_code: int = 0
    directories: tuple[AssignReplicasToDirsDirectoryResult, ...] = ()


ASSIGN_REPLICAS_TO_DIRS_RESPONSE = struct_of(
    AssignReplicasToDirsResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    directories=ARRAY(ASSIGN_REPLICAS_TO_DIRS_DIRECTORY_RESULT),
)
