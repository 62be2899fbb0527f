"""What a broker reads the metadata log with: Fetch and FetchSnapshot (rpcs.md §5)."""

import msgspec

from yakt.ids import ZERO_UUID, Uuid
from yakt.wire.schema import (
    ARRAY,
    BYTES,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    STRING,
    UINT16,
    UUID,
    field,
    struct_of,
)


class FetchReplicaState(msgspec.Struct, frozen=True, gc=False):
    replica_id: int = -1
    replica_epoch: int = -1


FETCH_REPLICA_STATE = struct_of(
    FetchReplicaState,
    replica_id=field(INT32, since=15),
    replica_epoch=field(INT64, since=15),
)


class FetchPartition(msgspec.Struct, frozen=True, gc=False):
    partition: int = 0
    current_leader_epoch: int = -1
    fetch_offset: int = 0
    last_fetched_epoch: int = -1
    log_start_offset: int = -1
    partition_max_bytes: int = 0
    replica_directory_id: Uuid = ZERO_UUID
    high_watermark: int = 2**63 - 1


FETCH_PARTITION = struct_of(
    FetchPartition,
    partition=INT32,
    current_leader_epoch=field(INT32, since=9),
    fetch_offset=INT64,
    last_fetched_epoch=field(INT32, since=12),
    log_start_offset=field(INT64, since=5),
    partition_max_bytes=INT32,
    replica_directory_id=field(UUID, since=17, tag=0),
    high_watermark=field(INT64, since=18, tag=1),
)


class FetchTopic(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[FetchPartition, ...] = ()


FETCH_TOPIC = struct_of(
    FetchTopic,
    topic=field(STRING, until=12),
    topic_id=field(UUID, since=13),
    partitions=ARRAY(FETCH_PARTITION),
)


class ForgottenTopic(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[int, ...] = ()


FORGOTTEN_TOPIC = struct_of(
    ForgottenTopic,
    topic=field(STRING, since=7, until=12),
    topic_id=field(UUID, since=13),
    partitions=field(ARRAY(INT32), since=7),
)


class FetchRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 1, versions 4-18."""

    cluster_id: str | None = None
    replica_id: int = -1
    replica_state: FetchReplicaState = FetchReplicaState()
    max_wait_ms: int = 0
    min_bytes: int = 0
    max_bytes: int = 2**31 - 1
    isolation_level: int = 0
    session_id: int = 0
    session_epoch: int = -1
    topics: tuple[FetchTopic, ...] = ()
    forgotten_topics_data: tuple[ForgottenTopic, ...] = ()
    rack_id: str = ""


FETCH_REQUEST = struct_of(
    FetchRequest,
    cluster_id=field(NULLABLE_STRING, since=12, tag=0),
    replica_id=field(INT32, until=14),
    replica_state=field(FETCH_REPLICA_STATE, since=15, tag=1),
    max_wait_ms=INT32,
    min_bytes=INT32,
    max_bytes=INT32,
    isolation_level=INT8,
    session_id=field(INT32, since=7),
    session_epoch=field(INT32, since=7),
    topics=ARRAY(FETCH_TOPIC),
    forgotten_topics_data=field(ARRAY(FORGOTTEN_TOPIC), since=7),
    rack_id=field(STRING, since=11),
)


class FetchDivergingEpoch(msgspec.Struct, frozen=True, gc=False):
    epoch: int = -1
    end_offset: int = -1


FETCH_DIVERGING_EPOCH = struct_of(
    FetchDivergingEpoch,
    epoch=field(INT32, since=12),
    end_offset=field(INT64, since=12),
)


class FetchLeader(msgspec.Struct, frozen=True, gc=False):
    leader_id: int = -1
    leader_epoch: int = -1


FETCH_LEADER = struct_of(
    FetchLeader,
    leader_id=field(INT32, since=12),
    leader_epoch=field(INT32, since=12),
)


class FetchSnapshotReference(msgspec.Struct, frozen=True, gc=False):
    end_offset: int = -1
    epoch: int = -1


FETCH_SNAPSHOT_REFERENCE = struct_of(
    FetchSnapshotReference,
    end_offset=INT64,
    epoch=INT32,
)


class AbortedTransaction(msgspec.Struct, frozen=True, gc=False):
    producer_id: int = 0
    first_offset: int = 0


ABORTED_TRANSACTION = struct_of(
    AbortedTransaction,
    producer_id=INT64,
    first_offset=INT64,
)


class FetchPartitionResult(msgspec.Struct, frozen=True, gc=False):
    partition_index: int = 0
    error_code: int = 0
    high_watermark: int = 0
    last_stable_offset: int = -1
    log_start_offset: int = -1
    diverging_epoch: FetchDivergingEpoch = FetchDivergingEpoch()
    current_leader: FetchLeader = FetchLeader()
    snapshot_id: FetchSnapshotReference = FetchSnapshotReference()
    aborted_transactions: tuple[AbortedTransaction, ...] | None = None
    preferred_read_replica: int = -1
    records: bytes | None = None


FETCH_PARTITION_RESULT = struct_of(
    FetchPartitionResult,
    partition_index=INT32,
    error_code=INT16,
    high_watermark=INT64,
    last_stable_offset=INT64,
    log_start_offset=field(INT64, since=5),
    diverging_epoch=field(FETCH_DIVERGING_EPOCH, since=12, tag=0),
    current_leader=field(FETCH_LEADER, since=12, tag=1),
    snapshot_id=field(FETCH_SNAPSHOT_REFERENCE, since=12, tag=2),
    aborted_transactions=NULLABLE_ARRAY(ABORTED_TRANSACTION),
    preferred_read_replica=field(INT32, since=11),
    records=NULLABLE_BYTES,
)


class FetchTopicResult(msgspec.Struct, frozen=True, gc=False):
    topic: str = ""
    topic_id: Uuid = ZERO_UUID
    partitions: tuple[FetchPartitionResult, ...] = ()


FETCH_TOPIC_RESULT = struct_of(
    FetchTopicResult,
    topic=field(STRING, until=12),
    topic_id=field(UUID, since=13),
    partitions=ARRAY(FETCH_PARTITION_RESULT),
)


class FetchNodeEndpoint(msgspec.Struct, frozen=True, gc=False):
    node_id: int = 0
    host: str = ""
    port: int = 0
    rack: str | None = None


FETCH_NODE_ENDPOINT = struct_of(
    FetchNodeEndpoint,
    node_id=field(INT32, since=16),
    host=field(STRING, since=16),
    port=field(INT32, since=16),
    rack=field(NULLABLE_STRING, since=16),
)


class FetchResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 1, versions 4-18."""

    throttle_time_ms: int = 0
    error_code: int = 0
    session_id: int = 0
    responses: tuple[FetchTopicResult, ...] = ()
    node_endpoints: tuple[FetchNodeEndpoint, ...] = ()


FETCH_RESPONSE = struct_of(
    FetchResponse,
    throttle_time_ms=INT32,
    error_code=field(INT16, since=7),
    session_id=field(INT32, since=7),
    responses=ARRAY(FETCH_TOPIC_RESULT),
    node_endpoints=field(ARRAY(FETCH_NODE_ENDPOINT), since=16, tag=0),
)


class FetchedSnapshotId(msgspec.Struct, frozen=True, gc=False):
    end_offset: int = 0
    epoch: int = 0


FETCHED_SNAPSHOT_ID = struct_of(
    FetchedSnapshotId,
    end_offset=INT64,
    epoch=INT32,
)


class FetchSnapshotPartition(msgspec.Struct, frozen=True, gc=False):
    partition: int = 0
    current_leader_epoch: int = 0
    snapshot_id: FetchedSnapshotId = FetchedSnapshotId()
    position: int = 0
    replica_directory_id: Uuid = ZERO_UUID


FETCH_SNAPSHOT_PARTITION = struct_of(
    FetchSnapshotPartition,
    partition=INT32,
    current_leader_epoch=INT32,
    snapshot_id=FETCHED_SNAPSHOT_ID,
    position=INT64,
    replica_directory_id=field(UUID, since=1, tag=0),
)


class FetchSnapshotTopic(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    partitions: tuple[FetchSnapshotPartition, ...] = ()


FETCH_SNAPSHOT_TOPIC = struct_of(
    FetchSnapshotTopic,
    name=STRING,
    partitions=ARRAY(FETCH_SNAPSHOT_PARTITION),
)


class FetchSnapshotRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 59, versions 0-1."""

    cluster_id: str | None = None
    replica_id: int = -1
    max_bytes: int = 2**31 - 1
    topics: tuple[FetchSnapshotTopic, ...] = ()


FETCH_SNAPSHOT_REQUEST = struct_of(
    FetchSnapshotRequest,
    cluster_id=field(NULLABLE_STRING, tag=0),
    replica_id=INT32,
    max_bytes=INT32,
    topics=ARRAY(FETCH_SNAPSHOT_TOPIC),
)


class FetchSnapshotLeader(msgspec.Struct, frozen=True, gc=False):
    leader_id: int = 0
    leader_epoch: int = 0


FETCH_SNAPSHOT_LEADER = struct_of(
    FetchSnapshotLeader,
    leader_id=INT32,
    leader_epoch=INT32,
)


class FetchSnapshotPartitionResult(msgspec.Struct, frozen=True, gc=False):
    index: int = 0
    error_code: int = 0
    snapshot_id: FetchedSnapshotId = FetchedSnapshotId()
    current_leader: FetchSnapshotLeader = FetchSnapshotLeader()
    size: int = 0
    position: int = 0
    unaligned_records: bytes = b""


FETCH_SNAPSHOT_PARTITION_RESULT = struct_of(
    FetchSnapshotPartitionResult,
    index=INT32,
    error_code=INT16,
    snapshot_id=FETCHED_SNAPSHOT_ID,
    current_leader=field(FETCH_SNAPSHOT_LEADER, tag=0),
    size=INT64,
    position=INT64,
    unaligned_records=BYTES,
)


class FetchSnapshotTopicResult(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    partitions: tuple[FetchSnapshotPartitionResult, ...] = ()


FETCH_SNAPSHOT_TOPIC_RESULT = struct_of(
    FetchSnapshotTopicResult,
    name=STRING,
    partitions=ARRAY(FETCH_SNAPSHOT_PARTITION_RESULT),
)


class FetchSnapshotNodeEndpoint(msgspec.Struct, frozen=True, gc=False):
    node_id: int = 0
    host: str = ""
    port: int = 0


FETCH_SNAPSHOT_NODE_ENDPOINT = struct_of(
    FetchSnapshotNodeEndpoint,
    node_id=field(INT32, since=1),
    host=field(STRING, since=1),
    port=field(UINT16, since=1),
)


class FetchSnapshotResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 59, versions 0-1."""

    throttle_time_ms: int = 0
    error_code: int = 0
    topics: tuple[FetchSnapshotTopicResult, ...] = ()
    node_endpoints: tuple[FetchSnapshotNodeEndpoint, ...] = ()


FETCH_SNAPSHOT_RESPONSE = struct_of(
    FetchSnapshotResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    topics=ARRAY(FETCH_SNAPSHOT_TOPIC_RESULT),
    node_endpoints=field(ARRAY(FETCH_SNAPSHOT_NODE_ENDPOINT), since=1, tag=0),
)
