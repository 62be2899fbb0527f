"""PURE. The bytes of peer frames: API keys, versions, and one schema a message. PROTOCOL.md is the spec of all this.

A frame's payload is a header (request or response, API key, version, correlation) and the message. Log bytes, which
only FetchResponse and FetchSnapshotResponse carry, are the rest of the frame after the message's fields, so that they
are sent and stored without being copied together.
"""

import struct
from bisect import bisect_right
from enum import IntEnum
from functools import lru_cache
from typing import Any, TypeAlias, TypeGuard, TypeVar

import attrs
import msgspec

from yakt.errors import CodecError
from yakt.ids import OffsetAndEpoch, ReplicaKey
from yakt.peer.messages import (
    Feature,
    ForwardRequest,
    ForwardResponse,
    ForwardResult,
    Identity,
    PeerMessage,
    PeerRequest,
    Ping,
    Pong,
    Refusal,
    Welcome,
)
from yakt.raft.messages import (
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    Error,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    LogRange,
    QuorumEpochResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    SnapshotRange,
    VoteRequest,
    VoteResponse,
)
from yakt.wire import batch as batches
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    BYTES,
    INT16,
    INT32,
    INT64,
    MAPPED,
    NULLABLE,
    NULLABLE_STRING,
    OPTIONAL,
    STRING,
    UUID,
    Codec,
    Fixed,
    Struct,
    field,
    struct_of,
)

T = TypeVar("T")

MAGIC = b"YAKt"
PROTOCOL_MIN = 1
PROTOCOL_MAX = 1
HELLO_SIZE_MAX = 4 * 1024
"""Bytes of a first frame, its length not counted, in either direction."""
REQUEST_SIZE_MAX = 1024 * 1024
RESPONSE_SIZE_MAX = 9 * 1024 * 1024
"""Of answers, which may carry log bytes, or a result for each of many short lines."""
FORWARD_LINES_MAX = 16384
FORWARD_SIZE_MAX = REQUEST_SIZE_MAX - 4096
"""What the lines of one ForwardRequest may come to, each counted with 4 bytes more than it has."""


class Api(IntEnum):
    """API keys: Kafka's own for its quorum RPCs, from 10000 on for ours."""

    FETCH = 1
    VOTE = 52
    BEGIN_QUORUM_EPOCH = 53
    END_QUORUM_EPOCH = 54
    FETCH_SNAPSHOT = 59
    READ_INDEX = 10000
    FORWARD = 10001
    PING = 10002


_REQUEST, _RESPONSE = 0, 1
_HEADER = struct.Struct(">bhhq")
_LENGTH_AND_HEADER = struct.Struct(">ibhhq")

_ERROR = MAPPED(INT16, int, Error)
_REFUSAL = MAPPED(INT16, int, Refusal)
_NO_BYTES = Fixed("rest", "0s", 0)
# These take no bytes among the fields: their values are the rest of the frame (see `_rest_of` and `_with_rest`).
_RECORDS = MAPPED(_NO_BYTES, lambda _: b"", lambda _: ())
_DATA = MAPPED(_NO_BYTES, lambda _: b"", lambda _: b"")
_NODE_ID = OPTIONAL(INT32)
_POINT = struct_of(OffsetAndEpoch, epoch=INT32, offset=INT64)
_LINES = MAPPED(ARRAY(BYTES), lambda lines: lines, lambda lines: _few(lines))
_REPLICA = struct_of(ReplicaKey, id=INT32, directory_id=UUID)
_FEATURE = struct_of(Feature, name=STRING, min_level=INT16, max_level=INT16)

IDENTITY = struct_of(
    Identity,
    protocol_min=INT16,
    protocol_max=INT16,
    cluster_id=STRING,
    node_id=INT32,
    directory_id=UUID,
    line=NULLABLE_STRING,
    http=NULLABLE_STRING,
    kafka=NULLABLE_STRING,
    features=ARRAY(_FEATURE),
    incarnation=field(UUID, tag=0),
)
WELCOME = struct_of(Welcome, refusal=_REFUSAL, message=STRING, protocol=INT16, counts_you=BOOL, identity=IDENTITY)
FETCH_REQUEST = struct_of(
    FetchRequest,
    replica=NULLABLE(_REPLICA),
    epoch=INT32,
    fetch_offset=INT64,
    last_fetched_epoch=INT32,
    max_wait_ms=INT32,
    max_bytes=INT32,
    high_watermark=OPTIONAL(INT64),
    read_round=INT64,
    cluster_id=NULLABLE_STRING,
)
FETCH_RESPONSE = struct_of(
    FetchResponse,
    error=_ERROR,
    leader_id=_NODE_ID,
    epoch=INT32,
    high_watermark=OPTIONAL(INT64),
    log_start_offset=INT64,
    diverging=NULLABLE(_POINT),
    snapshot_id=NULLABLE(_POINT),
    read_round=INT64,
    records=_RECORDS,
)
FETCH_SNAPSHOT_REQUEST = struct_of(
    FetchSnapshotRequest,
    replica=NULLABLE(_REPLICA),
    epoch=INT32,
    snapshot_id=_POINT,
    position=INT64,
    max_bytes=INT32,
    cluster_id=NULLABLE_STRING,
)
FETCH_SNAPSHOT_RESPONSE = struct_of(
    FetchSnapshotResponse,
    error=_ERROR,
    leader_id=_NODE_ID,
    epoch=INT32,
    snapshot_id=NULLABLE(_POINT),
    size=INT64,
    position=INT64,
    data=_DATA,
)
VOTE_REQUEST = struct_of(
    VoteRequest,
    epoch=INT32,
    candidate=_REPLICA,
    voter=NULLABLE(_REPLICA),
    last_epoch=INT32,
    log_end_offset=INT64,
    pre_vote=BOOL,
    cluster_id=NULLABLE_STRING,
)
VOTE_RESPONSE = struct_of(VoteResponse, error=_ERROR, leader_id=_NODE_ID, epoch=INT32, granted=BOOL)
BEGIN_QUORUM_EPOCH_REQUEST = struct_of(
    BeginQuorumEpochRequest, epoch=INT32, leader_id=INT32, voter=NULLABLE(_REPLICA), cluster_id=NULLABLE_STRING
)
END_QUORUM_EPOCH_REQUEST = struct_of(
    EndQuorumEpochRequest,
    epoch=INT32,
    leader_id=INT32,
    preferred_successors=ARRAY(INT32),
    cluster_id=NULLABLE_STRING,
)
QUORUM_EPOCH_RESPONSE = struct_of(QuorumEpochResponse, error=_ERROR, leader_id=_NODE_ID, epoch=INT32)
READ_INDEX_REQUEST = struct_of(ReadIndexRequest, epoch=INT32)
READ_INDEX_RESPONSE = struct_of(ReadIndexResponse, error=_ERROR, leader_id=_NODE_ID, epoch=INT32, offset=INT64)
FORWARD_REQUEST = struct_of(ForwardRequest, client=STRING, address=STRING, timeout_ms=INT32, lines=_LINES)
FORWARD_RESPONSE = struct_of(
    ForwardResponse,
    results=ARRAY(struct_of(ForwardResult, text=BYTES, offset=OPTIONAL(INT64), epoch=OPTIONAL(INT32))),
)
PING = struct_of(Ping)
PONG = struct_of(Pong)

_HELLO = IDENTITY.codec(0, prefix=MAGIC)
_WELCOME = WELCOME.codec(0, prefix=MAGIC)


@attrs.frozen
class _Spoken:
    """An API: its request, its response, and `since`, the protocol versions at which its versions 0, 1, … begin."""

    since: tuple[int, ...]
    request: Struct[Any]
    response: Struct[Any]


_SPOKEN = {
    Api.FETCH: _Spoken((1,), FETCH_REQUEST, FETCH_RESPONSE),
    Api.VOTE: _Spoken((1,), VOTE_REQUEST, VOTE_RESPONSE),
    Api.BEGIN_QUORUM_EPOCH: _Spoken((1,), BEGIN_QUORUM_EPOCH_REQUEST, QUORUM_EPOCH_RESPONSE),
    Api.END_QUORUM_EPOCH: _Spoken((1,), END_QUORUM_EPOCH_REQUEST, QUORUM_EPOCH_RESPONSE),
    Api.FETCH_SNAPSHOT: _Spoken((1,), FETCH_SNAPSHOT_REQUEST, FETCH_SNAPSHOT_RESPONSE),
    Api.READ_INDEX: _Spoken((1,), READ_INDEX_REQUEST, READ_INDEX_RESPONSE),
    Api.FORWARD: _Spoken((1,), FORWARD_REQUEST, FORWARD_RESPONSE),
    Api.PING: _Spoken((1,), PING, PONG),
}
_API_OF: dict[type[Any], Api] = {spoken.request.cls: api for api, spoken in _SPOKEN.items()}
_REQUESTS = frozenset(_API_OF)
_Codecs: TypeAlias = dict[tuple[int, int, int], tuple[Api, Codec[Any]]]
"""By a frame's header: kind, API key, version."""


@lru_cache(maxsize=16)
def _spoken_at(protocol: int) -> tuple[_Codecs, dict[int, int]]:
    """All that protocol version `protocol` speaks, and the version of each API in it."""
    versions = {int(api): bisect_right(spoken.since, protocol) - 1 for api, spoken in _SPOKEN.items()}
    codecs = {
        (kind, int(api), versions[api]): (api, schema.codec(versions[api]))
        for api, spoken in _SPOKEN.items()
        for kind, schema in ((_REQUEST, spoken.request), (_RESPONSE, spoken.response))
        if versions[api] >= 0
    }
    return codecs, versions


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One decoded frame. `api` is that of the request, in a response too; `correlation` is the requester's."""

    api: Api
    message: PeerMessage
    correlation: int


def is_request(message: PeerMessage) -> TypeGuard[PeerRequest]:
    """Whether the message asks for an answer."""
    return message.__class__ in _REQUESTS


def api_of(request: PeerRequest) -> Api:
    """The API that a request belongs to."""
    return _API_OF[type(request)]


def version_of(api: Api, protocol: int) -> int:
    """The version of an API that protocol version `protocol` (from 1) speaks."""
    return _spoken_at(protocol)[1][api]


def encode(api: Api, message: PeerMessage, correlation: int, protocol: int) -> list[bytes]:
    """A whole frame, its length included, in pieces to be sent in a row; log bytes are pieces as they are.

    A response names the API of its request. Raises CodecError for a field out of its range.
    """
    kind = _REQUEST if message.__class__ in _REQUESTS else _RESPONSE
    codecs, versions = _spoken_at(protocol)
    key = int(api)  # as a key of a dict an Enum is slow
    version = versions[key]
    fields = codecs[kind, key, version][1].encode(message)
    rest = _rest_of(message) if kind == _RESPONSE else []
    size = _HEADER.size + len(fields) + sum(map(len, rest))
    return [_LENGTH_AND_HEADER.pack(size, kind, key, version, correlation) + fields, *rest]


def decode(payload: bytes, protocol: int) -> Frame:
    """What one frame says, its length left out. Raises CodecError, batches with a bad CRC included."""
    if len(payload) < _HEADER.size:
        raise CodecError(f"a frame of {len(payload)} bytes has no whole header", len(payload))
    kind, key, version, correlation = _HEADER.unpack_from(payload)
    found = _spoken_at(protocol)[0].get((kind, key, version))
    if found is None:
        raise CodecError(f"frame kind {kind}, API {key}, version {version} is not of protocol {protocol}", 0)
    api, codec = found
    message, after = codec.read(payload, _HEADER.size, len(payload))
    if after != len(payload):
        message = _with_rest(message, payload, after)
    return Frame(api, message, correlation)


def encode_hello(hello: Identity) -> bytes:
    """A whole first frame of a dialler."""
    return _first_frame(_HELLO.encode(hello))


def encode_welcome(welcome: Welcome) -> bytes:
    """A whole first frame of an acceptor."""
    return _first_frame(_WELCOME.encode(welcome))


def decode_hello(payload: bytes) -> Identity:
    """What a dialler's first frame says. Raises CodecError."""
    return _decode_first_frame(_HELLO, payload)


def decode_welcome(payload: bytes) -> Welcome:
    """What an acceptor's first frame says. Raises CodecError."""
    return _decode_first_frame(_WELCOME, payload)


def _few(lines: tuple[bytes, ...]) -> tuple[bytes, ...]:
    if len(lines) > FORWARD_LINES_MAX:
        raise ValueError(f"{len(lines)} lines in one request, at most {FORWARD_LINES_MAX}")
    return lines


def _first_frame(payload: bytes) -> bytes:
    if len(payload) > HELLO_SIZE_MAX:
        raise CodecError(f"a hello of {len(payload)} bytes, at most {HELLO_SIZE_MAX}")
    return len(payload).to_bytes(4, "big") + payload


def _decode_first_frame(codec: Codec[T], payload: bytes) -> T:
    if not payload.startswith(MAGIC):
        raise CodecError(f"it does not begin with {MAGIC!r}: no peer of a YAKt quorum", 0)
    value, after = codec.read(payload, len(MAGIC), len(payload))
    if after != len(payload):
        raise CodecError(f"{len(payload) - after} bytes left over after the hello", after)
    return value


def _rest_of(message: PeerMessage) -> list[bytes]:
    """The log bytes that a message carries, in pieces."""
    match message:
        case FetchResponse(records=records):
            assert not isinstance(records, LogRange), "the shell puts the batches in first"
            return [piece for batch in records for piece in (batches.head(batch), batch.body)]
        case FetchSnapshotResponse(data=data) if data:
            assert not isinstance(data, SnapshotRange), "the shell puts the bytes in first"
            return [data]
        case _:
            return []


def _with_rest(message: PeerMessage, payload: bytes, position: int) -> PeerMessage:
    """The message with the log bytes that follow it in its frame."""
    match message:
        case FetchResponse():
            return msgspec.structs.replace(message, records=tuple(batches.split(payload, position)))
        case FetchSnapshotResponse():
            return attrs.evolve(message, data=payload[position:])
        case _:
            raise CodecError(f"{len(payload) - position} bytes left over after {type(message).__name__}", position)
