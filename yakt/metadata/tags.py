"""What YAKt adds to Kafka's records, in tagged fields that Kafka's readers skip (records.md §8); TAGS.md is its spec.

Each tag holds a flexible struct of its own, so later releases can add tagged fields to it that this one skips. No tag
means that nothing is known: a log or snapshot written by a Kafka controller has none.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from yakt.batch import Tags
from yakt.errors import CodecError
from yakt.metadata.answers import Pairs, Value
from yakt.metadata.records import NoOpRecord, Record, RegisterBrokerRecord
from yakt.metadata.rows import ClosedBroker, RememberedRequest
from yakt.wire.plain import plain
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    INT8,
    INT32,
    INT64,
    MAPPED,
    NULLABLE_STRING,
    OPTIONAL,
    STRING,
    UINT16,
    UINT32,
    UINT64,
    UUID,
    Struct,
    field,
    struct_of,
)

ORIGIN = 10_000
REGISTRATION = 10_001
IMAGE_HASH = 10_002
STATE = 10_003

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class AnswerPair(msgspec.Struct, frozen=True, gc=False):
    """One pair of a remembered `OK`: a key, and its value as JSON text."""

    key: str
    value: str


class Origin(msgspec.Struct, frozen=True, gc=False):
    """On the first data record of an operation: how many records it has (`count`), whose it was, and why.

    "" where nothing was said. With a request id there are also the command's CRC-32C, without what all commands share,
    and the answer: the pairs of its `OK` in order, without `offset`, as plain JSON values.
    """

    count: int
    client: str = ""
    address: str = ""
    request: str = ""
    by: str = ""
    reason: str = ""
    crc: int = 0
    answer: Pairs | None = None


class Registration(msgspec.Struct, frozen=True, gc=False):
    """On RegisterBrokerRecord: what Kafka has no field for.

    `changes`: how often the registration changed (`epoch` of seed-api.md). `session_ms` and `protocol`, a name that
    Kafka does not know, are None where nothing was said.
    """

    changes: int
    session_ms: int | None = None
    protocol: str | None = None


class ImageHash(msgspec.Struct, frozen=True, gc=False):
    """On NoOpRecord: the hash of the image of everything below `end_offset`; `form` is how it was made."""

    form: int
    end_offset: int
    hash: int


class ProducerState(msgspec.Struct, frozen=True, gc=False):
    """A producer registered by PRODUCER REGISTER, or its removal; broker id and epoch are then -1."""

    id: int
    broker: int = -1
    broker_epoch: int = -1
    removed: bool = False


class StateRows(msgspec.Struct, frozen=True, gc=False):
    """On NoOpRecord: rows of what Kafka has no record for."""

    producers: tuple[ProducerState, ...] = ()
    closed_brokers: tuple[ClosedBroker, ...] = ()
    requests: tuple[RememberedRequest, ...] = ()


def _answer_to_wire(answer: Mapping[str, Value]) -> list[AnswerPair]:
    return [AnswerPair(key, msgspec.json.encode(value).decode()) for key, value in answer.items()]


def _answer_from_wire(pairs: Sequence[AnswerPair]) -> Pairs:
    # msgspec's complaints are ValueErrors: the codec names the field.
    return {pair.key: msgspec.json.decode(pair.value) for pair in pairs}


_ANSWER = MAPPED(ARRAY(struct_of(AnswerPair, key=STRING, value=STRING)), _answer_to_wire, _answer_from_wire)
_ORIGIN = struct_of(
    Origin,
    count=INT32,
    client=STRING,
    address=STRING,
    request=STRING,
    by=STRING,
    reason=STRING,
    crc=field(UINT32, tag=0),
    answer=field(_ANSWER, tag=1),
)
_REGISTRATION = struct_of(Registration, changes=INT32, session_ms=OPTIONAL(INT64), protocol=NULLABLE_STRING)
_IMAGE_HASH = struct_of(ImageHash, form=INT8, end_offset=INT64, hash=UINT64)
_PRODUCER = struct_of(ProducerState, id=INT64, broker=INT32, broker_epoch=INT64, removed=BOOL)
_CLOSED_BROKER = struct_of(
    ClosedBroker,
    id=INT32,
    epoch=INT64,
    incarnation=UUID,
    host=STRING,
    port=UINT16,
    protocol=STRING,
    rack=NULLABLE_STRING,
    changes=INT32,
    offset=INT64,
    time_ms=INT64,
)
_REQUEST = struct_of(
    RememberedRequest, client=STRING, id=STRING, crc=UINT32, offset=INT64, answer=_ANSWER, time_ms=INT64
)
_STATE_ROWS = struct_of(
    StateRows,
    producers=field(ARRAY(_PRODUCER), tag=0),
    closed_brokers=field(ARRAY(_CLOSED_BROKER), tag=1),
    requests=field(ARRAY(_REQUEST), tag=2),
)


def with_origin(record: R, origin: Origin) -> R:
    """The record, marked as the first of an operation. Raises CodecError, as for a reason over 32,767 bytes."""
    # Most operations have neither request id nor answer, and a client's are then alike.
    data = _ORIGIN.codec().encode(origin) if origin.answer is not None else _encode_origin(origin)
    return _attach(record, ORIGIN, data)


def origin_of(record: Record) -> Origin | None:
    """Whose operation begins with this record, None if none does. Raises CodecError for a tag that cannot be read."""
    for tag, data in record.tags:
        if tag == ORIGIN:
            return _decode_origin(data)
    return None


class Origins:
    """Whose operation each record of a batch belongs to, asked in their order.

    An origin holds for as many records as its operation has, from the one that carries it on (records.md §8).
    """

    def __init__(self) -> None:
        self._now: Origin | None = None
        self._left = 0

    def next(self, record: Record) -> Origin | None:
        """Of the next record; None where nothing is known. Raises CodecError for a tag that cannot be read."""
        origin = origin_of(record) if record.tags else None
        if origin is not None:
            self._now, self._left = origin, origin.count
        self._left -= 1
        return self._now if self._left >= 0 else None


def remembered_of(origin: Origin, offset: int) -> RememberedRequest:
    """What is remembered of the request whose operation begins at `offset`; its time is not known here."""
    return RememberedRequest(
        client=origin.client,
        id=origin.request,
        crc=origin.crc,
        offset=offset + origin.count - 1,
        answer=origin.answer or {},
    )


def with_registration(record: RegisterBrokerRecord, registration: Registration) -> RegisterBrokerRecord:
    """The registration with what Kafka has no field for. Raises CodecError."""
    return _with(record, REGISTRATION, _REGISTRATION, registration)


def registration_of(record: RegisterBrokerRecord) -> Registration | None:
    """What Kafka has no field for, None if nothing is known of it. Raises CodecError."""
    return _read(record, REGISTRATION, _REGISTRATION)


def image_hash_record(found: ImageHash) -> NoOpRecord:
    """A NoOpRecord that holds the hash."""
    return _with(NoOpRecord(), IMAGE_HASH, _IMAGE_HASH, found)


def image_hash_of(record: NoOpRecord) -> ImageHash | None:
    """The hash that the record holds, if any. Raises CodecError."""
    return _read(record, IMAGE_HASH, _IMAGE_HASH)


def state_record(rows: StateRows) -> NoOpRecord:
    """A NoOpRecord that holds the rows. Raises CodecError."""
    return _with(NoOpRecord(), STATE, _STATE_ROWS, rows)


def state_rows_of(record: NoOpRecord) -> StateRows | None:
    """The rows that the record holds, if any. Raises CodecError."""
    return _read(record, STATE, _STATE_ROWS)


def plain_tags(record: Record) -> dict[str, object]:
    """The record's tagged fields but its origin, for people: YAKt's by name, others by number in hex."""
    shown: dict[str, object] = {}
    for tag, data in record.tags:
        if tag in _SHOWN:
            name, declared = _SHOWN[tag]
            fields = plain(declared, declared.codec().decode(data))
            if tag == IMAGE_HASH:  # its 64 bits need 20 digits, and readers of numbers stop at 19 or at 2 ** 53
                fields["hash"] = f"{fields['hash']:#018x}"
            shown[name] = fields
        elif tag != ORIGIN:
            shown[str(tag)] = data.hex()
    return shown


_SHOWN: dict[int, tuple[str, Struct[Any]]] = {
    REGISTRATION: ("registration", _REGISTRATION),
    IMAGE_HASH: ("imageHash", _IMAGE_HASH),
    STATE: ("state", _STATE_ROWS),
}


@lru_cache(maxsize=256)
def _encode_origin(origin: Origin) -> bytes:
    return _ORIGIN.codec().encode(origin)


@lru_cache(maxsize=256)
def _decode_origin(data: bytes) -> Origin:
    return _decode(ORIGIN, _ORIGIN, data)


def _with(record: R, tag: int, declared: Struct[T], value: T) -> R:
    return _attach(record, tag, declared.codec().encode(value))


def _attach(record: R, tag: int, data: bytes) -> R:
    tags: Tags = ((tag, data),)
    if record.tags:
        tags = tuple(sorted([*(pair for pair in record.tags if pair[0] != tag), *tags]))
    return msgspec.structs.replace(record, tags=tags)


def _read(record: Record, tag: int, declared: Struct[T]) -> T | None:
    for number, data in record.tags:
        if number == tag:
            return _decode(tag, declared, data)
    return None


def _decode(tag: int, declared: Struct[T], data: bytes) -> T:
    try:
        return declared.codec().decode(data)
    except CodecError as exc:
        raise CodecError(f"tag {tag}, {declared.cls.__name__}: {exc}") from None
