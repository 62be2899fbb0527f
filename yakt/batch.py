"""A batch of records as everything but the codec sees it: a few numbers and a sealed, opaque body.

Kafka's CRC begins at byte 21, so the bytes from there on (`body`) are sealed once, before the log gives them a place;
base offset and leader epoch lie before it and are added when the batch is written (storage.md §1, hot-path.md §2).
"""

from typing import TypeAlias

import attrs
import msgspec

from yakt.ids import Epoch, NodeId, Offset, Uuid

HEAD_SIZE = 21
"""Bytes before what the CRC covers: base offset, length, leader epoch, magic, crc."""
BATCH_SIZE_MAX = 8 * 1024 * 1024
"""Kafka's limit for one batch, head included."""

Tags: TypeAlias = tuple[tuple[int, bytes], ...]
"""Tagged fields kept as they came: (tag, bytes), ascending by tag."""


@attrs.frozen
class LeaderChange:
    """Opens every leader epoch; its offset is the epoch's start (LeaderChangeMessage v0)."""

    leader_id: NodeId
    voters: tuple[NodeId, ...]
    granting_voters: tuple[NodeId, ...]
    tags: Tags = ()


@attrs.frozen
class KRaftVersion:
    """The quorum's own feature level (KRaftVersionRecord v0): 0 static voters, 1 voters in the log."""

    level: int
    tags: Tags = ()


@attrs.frozen
class Endpoint:
    """Where a voter listens, by listener name (upper case)."""

    name: str
    host: str
    port: int
    tags: Tags = ()


@attrs.frozen
class Voter:
    """One member of a voter set (VotersRecord v0)."""

    id: NodeId
    directory_id: Uuid
    endpoints: tuple[Endpoint, ...]
    kraft_version_min: int = 0
    kraft_version_max: int = 1
    tags: Tags = ()
    feature_tags: Tags = ()


@attrs.frozen
class Voters:
    """The whole voter set from this offset on, committed or not (KIP-853)."""

    voters: tuple[Voter, ...]
    tags: Tags = ()


@attrs.frozen
class SnapshotHeader:
    """First record of a snapshot; `last_contained_log_timestamp` in ms (KIP-630)."""

    last_contained_log_timestamp: int
    tags: Tags = ()


@attrs.frozen
class SnapshotFooter:
    """Last record of a snapshot: without it the file is incomplete (KIP-630)."""

    tags: Tags = ()


ControlRecord: TypeAlias = LeaderChange | KRaftVersion | Voters | SnapshotHeader | SnapshotFooter


class RecordBatch(msgspec.Struct, frozen=True, gc=False):
    """Records `[base_offset, end_offset)` appended by the leader of `leader_epoch`.

    `body` is exactly what `crc` (CRC-32C) covers. `control` holds the decoded records of a control batch, and is
    empty for data, whose body stays sealed until someone replays it.
    """

    base_offset: Offset
    leader_epoch: Epoch
    count: int
    crc: int
    body: bytes
    control: tuple[ControlRecord, ...] = ()

    def __repr__(self) -> str:
        return (
            f"RecordBatch(base_offset={self.base_offset}, leader_epoch={self.leader_epoch}, count={self.count}, "
            f"crc={self.crc}, body=<{len(self.body)} bytes>, control={self.control})"
        )

    @property
    def end_offset(self) -> Offset:
        """One past the last record."""
        return Offset(self.base_offset + self.count)

    @property
    def size(self) -> int:
        """Bytes on disk and on the wire, head included."""
        return HEAD_SIZE + len(self.body)
