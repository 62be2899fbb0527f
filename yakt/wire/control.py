"""Control records: the messages that the quorum itself writes into the log and snapshots (records.md §7)."""

import struct
from collections.abc import Callable
from typing import Any

import attrs

from yakt import batch
from yakt.batch import Tags
from yakt.errors import CodecError
from yakt.ids import ZERO_UUID, NodeId, Uuid, format_uuid
from yakt.wire.plain import plain
from yakt.wire.schema import ARRAY, INT16, INT32, INT64, STRING, UINT16, UUID, Struct, field, struct_of

_KEY = struct.Struct(">hh")


@attrs.frozen
class LeaderChangeVoter:
    """A voter as LeaderChangeMessage names it."""

    voter_id: int
    voter_directory_id: Uuid = ZERO_UUID
    tags: Tags = ()


@attrs.frozen
class LeaderChangeMessage:
    """Kafka's form of `batch.LeaderChange`."""

    version: int
    leader_id: int
    voters: tuple[LeaderChangeVoter, ...]
    granting_voters: tuple[LeaderChangeVoter, ...]
    tags: Tags


@attrs.frozen
class SnapshotHeaderRecord:
    """Kafka's form of `batch.SnapshotHeader`."""

    version: int
    last_contained_log_timestamp: int
    tags: Tags


@attrs.frozen
class SnapshotFooterRecord:
    """Kafka's form of `batch.SnapshotFooter`."""

    version: int
    tags: Tags


@attrs.frozen
class KRaftVersionRecord:
    """Kafka's form of `batch.KRaftVersion`."""

    version: int
    k_raft_version: int
    tags: Tags


@attrs.frozen
class VoterEndpoint:
    """Kafka's form of `batch.Endpoint`."""

    name: str
    host: str
    port: int
    tags: Tags


@attrs.frozen
class KRaftVersionFeature:
    """The range of kraft.version that a voter supports."""

    min_supported_version: int
    max_supported_version: int
    tags: Tags


@attrs.frozen
class VotersRecordVoter:
    """Kafka's form of `batch.Voter`."""

    voter_id: int
    voter_directory_id: Uuid
    endpoints: tuple[VoterEndpoint, ...]
    k_raft_version_feature: KRaftVersionFeature
    tags: Tags


@attrs.frozen
class VotersRecord:
    """Kafka's form of `batch.Voters`."""

    version: int
    voters: tuple[VotersRecordVoter, ...]
    tags: Tags


_LEADER_CHANGE_VOTER = struct_of(LeaderChangeVoter, voter_id=INT32, voter_directory_id=field(UUID, since=1))
_LEADER_CHANGE = struct_of(
    LeaderChangeMessage,
    version=INT16,
    leader_id=INT32,
    voters=ARRAY(_LEADER_CHANGE_VOTER),
    granting_voters=ARRAY(_LEADER_CHANGE_VOTER),
)
_SNAPSHOT_HEADER = struct_of(SnapshotHeaderRecord, version=INT16, last_contained_log_timestamp=INT64)
_SNAPSHOT_FOOTER = struct_of(SnapshotFooterRecord, version=INT16)
_KRAFT_VERSION = struct_of(KRaftVersionRecord, version=INT16, k_raft_version=INT16)
_VOTERS = struct_of(
    VotersRecord,
    version=INT16,
    voters=ARRAY(
        struct_of(
            VotersRecordVoter,
            voter_id=INT32,
            voter_directory_id=UUID,
            endpoints=ARRAY(struct_of(VoterEndpoint, name=STRING, host=STRING, port=UINT16)),
            k_raft_version_feature=struct_of(
                KRaftVersionFeature, min_supported_version=INT16, max_supported_version=INT16
            ),
        )
    ),
)


def _leader_change_to_wire(record: batch.LeaderChange) -> LeaderChangeMessage:
    return LeaderChangeMessage(
        version=0,
        leader_id=record.leader_id,
        voters=tuple(LeaderChangeVoter(one) for one in record.voters),
        granting_voters=tuple(LeaderChangeVoter(one) for one in record.granting_voters),
        tags=record.tags,
    )


def _leader_change_from_wire(message: LeaderChangeMessage) -> batch.LeaderChange:
    # Directory ids (version 1, which no release writes) are not kept: the voters' own records have them.
    return batch.LeaderChange(
        leader_id=NodeId(message.leader_id),
        voters=tuple(NodeId(one.voter_id) for one in message.voters),
        granting_voters=tuple(NodeId(one.voter_id) for one in message.granting_voters),
        tags=message.tags,
    )


def _voters_to_wire(record: batch.Voters) -> VotersRecord:
    return VotersRecord(
        version=0,
        voters=tuple(
            VotersRecordVoter(
                voter_id=one.id,
                voter_directory_id=one.directory_id,
                endpoints=tuple(VoterEndpoint(at.name, at.host, at.port, at.tags) for at in one.endpoints),
                k_raft_version_feature=KRaftVersionFeature(
                    one.kraft_version_min, one.kraft_version_max, one.feature_tags
                ),
                tags=one.tags,
            )
            for one in record.voters
        ),
        tags=record.tags,
    )


def _voters_from_wire(message: VotersRecord) -> batch.Voters:
    return batch.Voters(
        voters=tuple(
            batch.Voter(
                id=NodeId(one.voter_id),
                directory_id=one.voter_directory_id,
                endpoints=tuple(batch.Endpoint(at.name, at.host, at.port, at.tags) for at in one.endpoints),
                kraft_version_min=one.k_raft_version_feature.min_supported_version,
                kraft_version_max=one.k_raft_version_feature.max_supported_version,
                tags=one.tags,
                feature_tags=one.k_raft_version_feature.tags,
            )
            for one in message.voters
        ),
        tags=message.tags,
    )


@attrs.frozen
class _Kind:
    number: int
    declared: Struct[Any]
    version_max: int
    cls: type[Any]
    to_wire: Callable[[Any], Any]
    from_wire: Callable[[Any], Any]


_KINDS = (
    _Kind(2, _LEADER_CHANGE, 1, batch.LeaderChange, _leader_change_to_wire, _leader_change_from_wire),
    _Kind(
        3,
        _SNAPSHOT_HEADER,
        0,
        batch.SnapshotHeader,
        lambda record: SnapshotHeaderRecord(0, record.last_contained_log_timestamp, record.tags),
        lambda message: batch.SnapshotHeader(message.last_contained_log_timestamp, message.tags),
    ),
    _Kind(
        4,
        _SNAPSHOT_FOOTER,
        0,
        batch.SnapshotFooter,
        lambda record: SnapshotFooterRecord(0, record.tags),
        lambda message: batch.SnapshotFooter(message.tags),
    ),
    _Kind(
        5,
        _KRAFT_VERSION,
        0,
        batch.KRaftVersion,
        lambda record: KRaftVersionRecord(0, record.level, record.tags),
        lambda message: batch.KRaftVersion(message.k_raft_version, message.tags),
    ),
    _Kind(6, _VOTERS, 0, batch.Voters, _voters_to_wire, _voters_from_wire),
)
_BY_NUMBER = {kind.number: kind for kind in _KINDS}
_BY_CLASS = {kind.cls: kind for kind in _KINDS}


def encode_control(record: batch.ControlRecord) -> tuple[bytes, bytes]:
    """Key and value of a control record, in message version 0. Raises CodecError for values out of range."""
    kind = _BY_CLASS[type(record)]
    return _KEY.pack(0, kind.number), kind.declared.codec().encode(kind.to_wire(record))


def decode_control(key: bytes, value: bytes) -> batch.ControlRecord:
    """The control record of this key and value.

    A version above the known ones is read as the highest known, as Kafka does.
    Raises CodecError, also for a type that is not of the metadata log.
    """
    if len(key) < _KEY.size:
        raise CodecError(f"a control record's key has {_KEY.size} bytes, this one {len(key)}")
    version, number = _KEY.unpack_from(key)
    if version < 0:
        raise CodecError(f"a control record's key of version {version}")
    kind = _BY_NUMBER.get(number)
    if kind is None:
        raise CodecError(f"control records of type {number} do not belong in a metadata log")
    # The value's first field is its own version.
    version = min(int.from_bytes(value[:2], "big", signed=True), kind.version_max)
    if version < 0:
        raise CodecError(f"a {kind.declared.cls.__name__} of version {version}")
    record: batch.ControlRecord = kind.from_wire(kind.declared.codec(version).decode(value))
    return record


def kind_of_control(record: batch.ControlRecord) -> str:
    """Kafka's name of the message, such as `LeaderChangeMessage`."""
    return _BY_CLASS[type(record)].declared.cls.__name__


def plain_control(record: batch.ControlRecord) -> dict[str, object]:
    """The record's fields as plain JSON values under Kafka's names."""
    kind = _BY_CLASS[type(record)]
    return plain(kind.declared, kind.to_wire(record))


def say_control(record: batch.ControlRecord) -> str:
    """The record in plain words."""
    match record:
        case batch.LeaderChange(leader_id=leader_id, granting_voters=granting, voters=voters):
            return f"node {leader_id} leads, with the votes of {_list(granting)} of {_list(voters)}"
        case batch.KRaftVersion(level=level):
            return f"kraft.version is {level} from here on"
        case batch.Voters(voters=members):
            return f"the voters are {', '.join(map(_say_voter, members))}"
        case batch.SnapshotHeader():
            return "a snapshot begins"
        case batch.SnapshotFooter():
            return "the snapshot is whole"


def _say_voter(voter: batch.Voter) -> str:
    places = ", ".join(f"{at.name} {at.host}:{at.port}" for at in voter.endpoints) or "no listener"
    return f"{voter.id} on disk {format_uuid(voter.directory_id)} ({places})"


def _list(nodes: tuple[NodeId, ...]) -> str:
    return ", ".join(map(str, nodes)) or "nobody"
