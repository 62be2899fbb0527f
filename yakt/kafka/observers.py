"""Fetch and FetchSnapshot between Kafka's messages and the core's (raft.md §6, storage.md §4): pure translation."""

from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.kafka.codes import Code
from yakt.kafka.messages import fetch as wire
from yakt.kafka.plan import FindAddress
from yakt.raft import messages as raft
from yakt.wire.batch import encode

METADATA_TOPIC = "__cluster_metadata"
METADATA_TOPIC_ID = Uuid(bytes(15) + b"\x01")
UNKNOWN_SINCE = 2**63 - 1
"""A request's high watermark below v18, or where nothing was said: never wake me for one."""


def replica_of(replica_id: int, directory_id: Uuid) -> ReplicaKey | None:
    """Who fetches; None is anonymous."""
    return None if replica_id < 0 else ReplicaKey(NodeId(replica_id), directory_id)


def read_fetch(request: wire.FetchRequest) -> raft.FetchRequest | None:
    """What the core is asked; None if it is not about the metadata partition and nothing else."""
    if len(request.topics) != 1 or request.topics[0].topic_id != METADATA_TOPIC_ID:
        return None
    if len(request.topics[0].partitions) != 1 or request.topics[0].partitions[0].partition != 0:
        return None
    asked = request.topics[0].partitions[0]
    # Both are 0 in a raft Fetch and mean nothing: MinBytes and PartitionMaxBytes (controller-contract.md, trap 7).
    return raft.FetchRequest(
        replica=replica_of(max(request.replica_state.replica_id, request.replica_id), asked.replica_directory_id),
        epoch=Epoch(asked.current_leader_epoch),
        fetch_offset=Offset(asked.fetch_offset),
        last_fetched_epoch=Epoch(asked.last_fetched_epoch),
        max_wait_ms=request.max_wait_ms,
        max_bytes=request.max_bytes,
        high_watermark=None if asked.high_watermark == UNKNOWN_SINCE else Offset(asked.high_watermark),
        cluster_id=request.cluster_id,
    )


def refuse_fetch(code: Code) -> wire.FetchResponse:
    """An error of the whole request."""
    return wire.FetchResponse(error_code=code)


def answer_fetch(response: raft.FetchResponse, find_address: FindAddress) -> wire.FetchResponse:
    """The core's answer in Kafka's words. A leader is named only with its endpoint: without, a broker dies of it."""
    if response.error is raft.Error.INCONSISTENT_CLUSTER_ID:
        return refuse_fetch(Code.INCONSISTENT_CLUSTER_ID)
    address = None if response.leader_id is None else find_address(response.leader_id)
    leader_id = -1 if response.leader_id is None or address is None else response.leader_id
    assert not isinstance(response.records, raft.LogRange), "a response without its bytes"
    partition = wire.FetchPartitionResult(
        error_code=response.error,
        high_watermark=-1 if response.high_watermark is None else response.high_watermark,
        log_start_offset=response.log_start_offset,
        diverging_epoch=wire.FetchDivergingEpoch()
        if response.diverging is None
        else wire.FetchDivergingEpoch(response.diverging.epoch, response.diverging.offset),
        current_leader=wire.FetchLeader(leader_id, response.epoch),
        snapshot_id=wire.FetchSnapshotReference()
        if response.snapshot_id is None
        else wire.FetchSnapshotReference(response.snapshot_id.offset, response.snapshot_id.epoch),
        aborted_transactions=(),
        records=b"".join(map(encode, response.records)),
    )
    endpoints: tuple[wire.FetchNodeEndpoint, ...] = ()
    if address is not None:
        endpoints = (wire.FetchNodeEndpoint(leader_id, address.host, address.port),)
    return wire.FetchResponse(
        responses=(wire.FetchTopicResult(topic_id=METADATA_TOPIC_ID, partitions=(partition,)),),
        node_endpoints=endpoints,
    )


def read_fetch_snapshot(request: wire.FetchSnapshotRequest) -> raft.FetchSnapshotRequest | None:
    """What the core is asked; None if it is not about the metadata partition and nothing else."""
    if len(request.topics) != 1 or request.topics[0].name != METADATA_TOPIC:
        return None
    if len(request.topics[0].partitions) != 1 or request.topics[0].partitions[0].partition != 0:
        return None
    asked = request.topics[0].partitions[0]
    return raft.FetchSnapshotRequest(
        replica=replica_of(request.replica_id, asked.replica_directory_id),
        epoch=Epoch(asked.current_leader_epoch),
        snapshot_id=OffsetAndEpoch(Epoch(asked.snapshot_id.epoch), Offset(asked.snapshot_id.end_offset)),
        position=asked.position,
        max_bytes=request.max_bytes,
        cluster_id=request.cluster_id,
    )


def refuse_fetch_snapshot(request: wire.FetchSnapshotRequest) -> wire.FetchSnapshotResponse:
    """Every partition asked for is unknown here."""
    return wire.FetchSnapshotResponse(
        topics=tuple(
            wire.FetchSnapshotTopicResult(
                topic.name,
                tuple(
                    wire.FetchSnapshotPartitionResult(asked.partition, Code.UNKNOWN_TOPIC_OR_PARTITION)
                    for asked in topic.partitions
                ),
            )
            for topic in request.topics
        )
    )


def answer_fetch_snapshot(
    request: raft.FetchSnapshotRequest, response: raft.FetchSnapshotResponse, find_address: FindAddress
) -> wire.FetchSnapshotResponse:
    """The core's answer in Kafka's words. Where there are no bytes they are empty, never null (storage.md §4)."""
    if response.error is raft.Error.INCONSISTENT_CLUSTER_ID:
        return wire.FetchSnapshotResponse(error_code=Code.INCONSISTENT_CLUSTER_ID)
    address = None if response.leader_id is None else find_address(response.leader_id)
    leader_id = -1 if response.leader_id is None or address is None else response.leader_id
    data = response.data
    assert isinstance(data, bytes), "a response without its bytes"
    partition = wire.FetchSnapshotPartitionResult(
        error_code=response.error,
        snapshot_id=wire.FetchedSnapshotId(request.snapshot_id.offset, request.snapshot_id.epoch),
        current_leader=wire.FetchSnapshotLeader(leader_id, response.epoch),
        size=response.size,
        position=request.position,
        unaligned_records=data,
    )
    endpoints: tuple[wire.FetchSnapshotNodeEndpoint, ...] = ()
    if address is not None:
        endpoints = (wire.FetchSnapshotNodeEndpoint(leader_id, address.host, address.port),)
    return wire.FetchSnapshotResponse(
        topics=(wire.FetchSnapshotTopicResult(METADATA_TOPIC, (partition,)),), node_endpoints=endpoints
    )
