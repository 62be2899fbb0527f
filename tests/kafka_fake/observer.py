"""A stock broker's raft half: what it asks its controllers for, and what it makes of their answers. Pure.

The rules are raft.md §6, in the order in which KafkaRaftClient applies them. What ends a broker raises DiedError; what
leaves it standing is noted in its diary; what a broker would not notice, and a controller may not do, is noted too.
"""

from collections.abc import Mapping

import attrs
import google_crc32c

from tests.kafka_fake.loader import Loader
from tests.kafka_fake.verdicts import Diary, DiedError
from yakt.address import Address
from yakt.batch import HEAD_SIZE, RecordBatch, Voters
from yakt.errors import CodecError
from yakt.ids import Uuid
from yakt.kafka.codes import Code
from yakt.kafka.messages import fetch as wire
from yakt.kafka.observers import METADATA_TOPIC, METADATA_TOPIC_ID
from yakt.wire.batch import batch_size, read_batch, split

LISTENER = "CONTROLLER"
MAX_BYTES = 8 << 20
WAIT_MS = 500
_RECORD_COUNT_AT, _LAST_DELTA_AT = 57, 23


@attrs.define(eq=False)
class Observer:
    """One broker's log and what it knows of the quorum.

    `static`: its configured voters, by id; with none it has `bootstrap` servers only, and looks voters up in the log.
    """

    broker_id: int
    cluster_id: str
    directory_id: Uuid
    loader: Loader
    static: Mapping[int, Address] = attrs.Factory(dict)
    bootstrap: tuple[Address, ...] = ()
    version: int = 17
    epoch: int = 0
    leader_id: int | None = None
    leader_address: Address | None = None
    start_offset: int = 0
    snapshot_epoch: int = 0
    batches: list[RecordBatch] = attrs.Factory(list)
    loaded: int = 0
    """Batches that the loader has."""
    high_watermark: int = -1
    voters: dict[int, Address] | None = None
    """Of the newest VotersRecord: it outranks the static ones."""
    snapshot_voters: dict[int, Address] | None = None
    fetching: tuple[int, int] | None = None
    """End offset and epoch of the snapshot that is being fetched."""
    piece: bytearray = attrs.Factory(bytearray)
    snapshots_fetched: int = 0
    truncated: int = 0

    @property
    def diary(self) -> Diary:
        return self.loader.diary

    @property
    def end_offset(self) -> int:
        return self.batches[-1].end_offset if self.batches else self.start_offset

    @property
    def last_epoch(self) -> int:
        return self.batches[-1].leader_epoch if self.batches else self.snapshot_epoch

    @property
    def controller(self) -> Address | None:
        """Where all channels but Fetch go: the leader's id, looked up in the voter set (trap 1)."""
        known = self.static if self.voters is None else self.voters
        return None if self.leader_id is None else known.get(self.leader_id)

    # --- What it asks

    def request(self) -> wire.FetchRequest | wire.FetchSnapshotRequest:
        """The next one, for the leader if one is known, else for any server it knows."""
        if self.fetching is not None:
            end, epoch = self.fetching
            piece = wire.FetchSnapshotPartition(
                0, self.epoch, wire.FetchedSnapshotId(end, epoch), len(self.piece), self.directory_id
            )
            return wire.FetchSnapshotRequest(
                self.cluster_id, self.broker_id, MAX_BYTES, (wire.FetchSnapshotTopic(METADATA_TOPIC, (piece,)),)
            )
        partition = wire.FetchPartition(
            current_leader_epoch=self.epoch,
            fetch_offset=self.end_offset,
            last_fetched_epoch=self.last_epoch,
            replica_directory_id=self.directory_id,
            high_watermark=self.high_watermark if self.version >= 18 else wire.FetchPartition().high_watermark,
        )
        return wire.FetchRequest(
            cluster_id=self.cluster_id,
            replica_state=wire.FetchReplicaState(self.broker_id),
            max_wait_ms=WAIT_MS,
            max_bytes=MAX_BYTES,
            topics=(wire.FetchTopic(topic_id=METADATA_TOPIC_ID, partitions=(partition,)),),
        )

    # --- What it makes of answers

    def on_fetch(self, answer: wire.FetchResponse) -> bool:
        """Take in the answer to a Fetch; whether it was handled, or the next goes to any server after a pause.

        Raises DiedError.
        """
        if answer.error_code:
            return self._on_top_level(answer.error_code)
        if len(answer.responses) != 1 or answer.responses[0].topic_id != METADATA_TOPIC_ID:
            return self._stand("an answer about another topic is discarded")
        partitions = answer.responses[0].partitions
        if len(partitions) != 1 or partitions[0].partition_index != 0:
            return self._stand("an answer about another partition is discarded")
        [found] = partitions
        endpoints = {node.node_id: Address(node.host, node.port) for node in answer.node_endpoints}
        leader = found.current_leader
        handled = self._on_leader(found.error_code, leader.leader_id, leader.leader_epoch, endpoints)
        if handled is not None:
            return handled
        if found.error_code:
            return False
        if self.leader_id is None:
            raise DiedError("IllegalStateException: data while it follows nobody")
        if found.diverging_epoch.epoch >= 0:
            self._truncate(found.diverging_epoch.epoch, found.diverging_epoch.end_offset)
        elif found.snapshot_id.epoch >= 0 or found.snapshot_id.end_offset >= 0:
            if found.snapshot_id.epoch < 0 or found.snapshot_id.end_offset < 0:
                return self._stand(f"half a snapshot id: {found.snapshot_id}")
            self._begin_snapshot(found.snapshot_id.end_offset, found.snapshot_id.epoch)
        elif not self._append(found.records or b""):
            return True
        else:
            self._advance(found.high_watermark)
        self.diary.stands_still = None
        return True

    def _on_top_level(self, error: int) -> bool:
        if error == 31:
            raise DiedError("ClusterAuthorizationException")
        return self._stand(f"error {error} for the whole request") if error == Code.INCONSISTENT_CLUSTER_ID else False

    def _on_leader(self, error: int, leader: int, epoch: int, endpoints: Mapping[int, Address]) -> bool | None:
        """KafkaRaftClient.maybeHandleCommonResponse; None: the data are looked at."""
        if epoch < self.epoch or error == 75:
            return self._stand(f"an answer of epoch {epoch}, error {error}, in epoch {self.epoch}", handled=True)
        if epoch > self.epoch or error in (74, 6):
            if epoch == self.epoch and leader >= 0 and self.leader_id not in (None, leader):
                raise DiedError(f"IllegalStateException: leaders {self.leader_id} and {leader} of epoch {epoch}")
            if epoch > self.epoch:
                self.epoch, self.leader_id, self.leader_address, self.fetching = epoch, None, None, None
            if leader >= 0 and self.leader_id is None:
                self._follow(leader, endpoints)
            return True
        if leader >= 0 and self.leader_id is None:
            self._follow(leader, endpoints)
            return None if error == 0 else True
        if error == 8:
            return False
        if error == 42:
            raise DiedError("IllegalStateException: invalid request")
        if leader >= 0 and leader != self.leader_id:
            self.diary.unnoticed.append(f"leaders {self.leader_id} and {leader} of epoch {epoch}")
        return None

    def _follow(self, leader: int, endpoints: Mapping[int, Address]) -> None:
        address = endpoints.get(leader) or (self.static if self.voters is None else self.voters).get(leader)
        if address is None:
            raise DiedError(f"IllegalArgumentException: leader {leader} without an endpoint")
        self.leader_id, self.leader_address = leader, address

    def _stand(self, why: str, *, handled: bool = False) -> bool:
        self.diary.stands_still = why
        return handled

    def _truncate(self, epoch: int, end_offset: int) -> None:
        """ReplicatedLog.truncateToEndOffset: raft.md §7."""
        if end_offset < self.high_watermark:
            raise DiedError(f"KafkaException: truncation to {end_offset}, below high watermark {self.high_watermark}")
        at = end_offset
        if epoch:
            before = [batch for batch in self.batches if batch.leader_epoch <= epoch]
            own_end = before[-1].end_offset if before else self.start_offset
            at = min(own_end, end_offset) if before and before[-1].leader_epoch == epoch else own_end
        while self.batches and self.batches[-1].end_offset > at:
            if self.batches[-1].base_offset < self.high_watermark:
                raise DiedError(f"a batch below high watermark {self.high_watermark} truncated")
            self.batches.pop()
        self.voters = self.snapshot_voters  # those of truncated records are undone
        for batch in self.batches:
            self._note_voters(batch)
        self.truncated += 1

    # --- Records

    def _append(self, data: bytes) -> bool:
        """Whether all of it went in, or at least did no harm."""
        position = 0
        while position < len(data):
            at = int.from_bytes(data[position : position + 8], signed=True)
            try:
                size = batch_size(data, position)
            except CodecError:
                return self._stand(f"no batch at {position}")
            if size is None or position + size > len(data):
                break  # a torn last batch is cut silently
            body = data[position + HEAD_SIZE : position + size]
            crc = int.from_bytes(data[position + 17 : position + HEAD_SIZE])
            if google_crc32c.value(body) != crc:
                return self._stand(f"CorruptRecordException: the CRC of the batch at {at}")
            count = int.from_bytes(data[position + _RECORD_COUNT_AT : position + _RECORD_COUNT_AT + 4])
            delta = int.from_bytes(data[position + _LAST_DELTA_AT : position + _LAST_DELTA_AT + 4])
            if count != delta + 1:
                return self._stand(f"the batch at {at} counts {count} records, its offsets {delta + 1}")
            try:
                batch = read_batch(data, position)
            except CodecError as exc:
                raise DiedError(f"SerializationException: {exc}") from None
            assert batch is not None
            if batch.leader_epoch > self.epoch:
                return self._stand(f"a batch of epoch {batch.leader_epoch} in epoch {self.epoch}")
            if batch.base_offset < self.end_offset:
                raise DiedError(f"UnexpectedAppendOffsetException: {batch.base_offset}, end {self.end_offset}")
            if batch.base_offset > self.end_offset:
                self.diary.unnoticed.append(f"a gap: {batch.base_offset} after {self.end_offset}")
            if batch.leader_epoch < self.last_epoch:
                self.diary.unnoticed.append(f"epoch {batch.leader_epoch} after {self.last_epoch}")
            self.batches.append(batch)
            self._note_voters(batch)
            position += size
        return True

    def _note_voters(self, batch: RecordBatch) -> None:
        for record in batch.control:
            if isinstance(record, Voters):
                self.voters = {
                    voter.id: Address(point.host, point.port)
                    for voter in record.voters
                    for point in voter.endpoints
                    if point.name.upper() == LISTENER
                }

    def _advance(self, told: int) -> None:
        if told < 0:
            return  # not known: harmless
        new = min(self.end_offset, told)
        if new < self.high_watermark:
            raise DiedError(f"IllegalArgumentException: high watermark {new} after {self.high_watermark}")
        self.high_watermark = new
        while self.loaded < len(self.batches) and self.batches[self.loaded].end_offset <= new:
            self.loader.load(self.batches[self.loaded])
            self.loaded += 1

    # --- Snapshots

    def _begin_snapshot(self, end_offset: int, epoch: int) -> None:
        if (end_offset, epoch) == (0, 0):
            self.diary.unnoticed.append("the snapshot 0-0 is served")
        self.fetching = (end_offset, epoch)
        self.piece.clear()

    def on_fetch_snapshot(self, answer: wire.FetchSnapshotResponse) -> bool:
        """Take in a piece of a snapshot; as `on_fetch`."""
        if answer.error_code:
            return self._on_top_level(answer.error_code)
        partitions = [part for topic in answer.topics if topic.name == METADATA_TOPIC for part in topic.partitions]
        if not partitions:
            return self._stand("an answer about another topic is discarded")
        found = partitions[0]
        endpoints = {node.node_id: Address(node.host, node.port) for node in answer.node_endpoints}
        leader = found.current_leader
        handled = self._on_leader(found.error_code, leader.leader_id, leader.leader_epoch, endpoints)
        if handled is not None:
            return handled
        if found.error_code == 98 or found.snapshot_id.end_offset < 0 or found.snapshot_id.epoch < 0:
            self.fetching = None  # asked for anew
            return True
        if self.fetching is None or (found.snapshot_id.end_offset, found.snapshot_id.epoch) != self.fetching:
            raise DiedError(f"IllegalStateException: snapshot {found.snapshot_id}, asked for {self.fetching}")
        if found.position != len(self.piece):
            raise DiedError(f"IllegalStateException: position {found.position}, asked for {len(self.piece)}")
        self.piece += found.unaligned_records or b""
        if len(self.piece) > found.size:
            raise DiedError(f"IllegalStateException: {len(self.piece)} bytes of a snapshot of {found.size}")
        if len(self.piece) == found.size:
            self._install(*self.fetching)
        self.diary.stands_still = None
        return True

    def _install(self, end_offset: int, epoch: int) -> None:
        if (epoch, end_offset) <= (self.last_epoch, self.end_offset):
            raise DiedError(f"IllegalStateException: snapshot {end_offset}-{epoch} is not ahead of its log")
        try:
            batches = split(bytes(self.piece))
        except CodecError as exc:
            raise DiedError(f"a snapshot that is none: {exc}") from None
        if not batches or not batches[0].control or not batches[-1].control:
            raise DiedError("IllegalStateException: a snapshot without header or footer")
        self.fetching = None
        self.snapshots_fetched += 1
        self.batches.clear()
        self.loaded = 0
        self.start_offset, self.snapshot_epoch = end_offset, epoch
        self.loader.reset()
        for batch in batches:
            self._note_voters(batch)
            self.loader.load(batch)
        self.snapshot_voters = self.voters
        self.loader.end_offset = end_offset
        self.high_watermark = max(self.high_watermark, end_offset)
