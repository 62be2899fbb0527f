"""Gives the metadata records bytes: one declaration a type, Kafka's framing around it (records.md §1, §3).

A record's value is three unsigned varints, frame version 1, the type's key and the version, and then its fields in
flexible encoding. `encode` and `decode_batch` are on every command's path: see hot-path.md §3 before touching them.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from yakt.errors import CodecError
from yakt.metadata import records as r
from yakt.metadata.records import Record
from yakt.wire import batch
from yakt.wire.plain import plain
from yakt.wire.schema import (
    ARRAY,
    BOOL,
    BYTES,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    UINT16,
    UUID,
    Codec,
    Struct,
    field,
    struct_of,
)
from yakt.wire.varint import encode_uvarint, read_uvarint

_FRAME_VERSION: Final = 1


@attrs.frozen
class RecordType:
    """A record type: its key, its newest version (all from 0 are read), and which is written at metadata.version 21."""

    key: int
    version_max: int
    written: int | Callable[[Any], int] | None
    """None: not written at this level; read, and encoded when a version is named."""
    declared: Struct[Any]

    def written_version(self, record: Record) -> int:
        """The version to write `record` in. Raises CodecError for a type that this level does not have."""
        if self.written is None:
            raise CodecError(f"{type(record).__name__} is not written at metadata.version 21")
        return self.written if isinstance(self.written, int) else self.written(record)


def _change_version(record: r.BrokerRegistrationChangeRecord) -> int:
    # The least version that can say it, as Kafka's controllers write it.
    return 2 if record.log_dirs else 1 if record.in_controlled_shutdown else 0


TYPES = (
    RecordType(
        0,
        4,
        3,
        struct_of(
            r.RegisterBrokerRecord,
            broker_id=INT32,
            is_migrating_zk_broker=field(BOOL, since=2),
            incarnation_id=UUID,
            broker_epoch=INT64,
            end_points=ARRAY(
                struct_of(r.BrokerEndpoint, name=STRING, host=STRING, port=UINT16, security_protocol=INT16)
            ),
            features=ARRAY(
                struct_of(r.BrokerFeature, name=STRING, min_supported_version=INT16, max_supported_version=INT16)
            ),
            rack=NULLABLE_STRING,
            fenced=BOOL,
            in_controlled_shutdown=field(BOOL, since=1),
            log_dirs=field(ARRAY(UUID), since=3, tag=0),
            cordoned_log_dirs=field(NULLABLE_ARRAY(UUID), since=4, tag=1),
        ),
    ),
    RecordType(1, 0, 0, struct_of(r.UnregisterBrokerRecord, broker_id=INT32, broker_epoch=INT64)),
    RecordType(2, 0, 0, struct_of(r.TopicRecord, name=STRING, topic_id=UUID)),
    RecordType(
        3,
        2,
        1,
        struct_of(
            r.PartitionRecord,
            partition_id=INT32,
            topic_id=UUID,
            replicas=ARRAY(INT32),
            isr=ARRAY(INT32),
            removing_replicas=ARRAY(INT32),
            adding_replicas=ARRAY(INT32),
            leader=INT32,
            leader_recovery_state=field(INT8, tag=0),
            leader_epoch=INT32,
            partition_epoch=INT32,
            directories=field(ARRAY(UUID), since=1),
            eligible_leader_replicas=field(NULLABLE_ARRAY(INT32), since=2, tag=1),
            last_known_elr=field(NULLABLE_ARRAY(INT32), since=2, tag=2),
        ),
    ),
    RecordType(
        4,
        0,
        0,
        struct_of(r.ConfigRecord, resource_type=INT8, resource_name=STRING, name=STRING, value=NULLABLE_STRING),
    ),
    RecordType(
        5,
        2,
        1,
        struct_of(
            r.PartitionChangeRecord,
            partition_id=INT32,
            topic_id=UUID,
            isr=field(NULLABLE_ARRAY(INT32), tag=0),
            leader=field(INT32, tag=1),
            replicas=field(NULLABLE_ARRAY(INT32), tag=2),
            removing_replicas=field(NULLABLE_ARRAY(INT32), tag=3),
            adding_replicas=field(NULLABLE_ARRAY(INT32), tag=4),
            leader_recovery_state=field(INT8, tag=5),
            directories=field(NULLABLE_ARRAY(UUID), since=1, tag=8),
            eligible_leader_replicas=field(NULLABLE_ARRAY(INT32), since=2, tag=6),
            last_known_elr=field(NULLABLE_ARRAY(INT32), since=2, tag=7),
        ),
    ),
    RecordType(7, 0, None, struct_of(r.FenceBrokerRecord, id=INT32, epoch=INT64)),
    RecordType(8, 0, None, struct_of(r.UnfenceBrokerRecord, id=INT32, epoch=INT64)),
    RecordType(9, 0, 0, struct_of(r.RemoveTopicRecord, topic_id=UUID)),
    RecordType(
        10,
        0,
        0,
        struct_of(
            r.DelegationTokenRecord,
            owner=STRING,
            requester=STRING,
            renewers=ARRAY(STRING),
            issue_timestamp=INT64,
            max_timestamp=INT64,
            expiration_timestamp=INT64,
            token_id=STRING,
        ),
    ),
    RecordType(
        11,
        0,
        0,
        struct_of(
            r.UserScramCredentialRecord,
            name=STRING,
            mechanism=INT8,
            salt=BYTES,
            stored_key=BYTES,
            server_key=BYTES,
            iterations=INT32,
        ),
    ),
    RecordType(12, 0, 0, struct_of(r.FeatureLevelRecord, name=STRING, feature_level=INT16)),
    RecordType(
        14,
        0,
        0,
        struct_of(
            r.ClientQuotaRecord,
            entity=ARRAY(struct_of(r.EntityData, entity_type=STRING, entity_name=NULLABLE_STRING)),
            key=STRING,
            value=FLOAT64,
            remove=BOOL,
        ),
    ),
    RecordType(15, 0, 0, struct_of(r.ProducerIdsRecord, broker_id=INT32, broker_epoch=INT64, next_producer_id=INT64)),
    RecordType(
        17,
        3,
        _change_version,
        struct_of(
            r.BrokerRegistrationChangeRecord,
            broker_id=INT32,
            broker_epoch=INT64,
            fenced=field(INT8, tag=0),
            in_controlled_shutdown=field(INT8, since=1, tag=1),
            log_dirs=field(ARRAY(UUID), since=2, tag=2),
            cordoned_log_dirs=field(NULLABLE_ARRAY(UUID), since=3, tag=3),
        ),
    ),
    RecordType(
        18,
        0,
        0,
        struct_of(
            r.AccessControlEntryRecord,
            id=UUID,
            resource_type=INT8,
            resource_name=STRING,
            pattern_type=INT8,
            principal=STRING,
            host=STRING,
            operation=INT8,
            permission_type=INT8,
        ),
    ),
    RecordType(19, 0, 0, struct_of(r.RemoveAccessControlEntryRecord, id=UUID)),
    RecordType(20, 0, 0, struct_of(r.NoOpRecord)),
    RecordType(21, 0, None, struct_of(r.ZkMigrationStateRecord, zk_migration_state=INT8)),
    RecordType(22, 0, 0, struct_of(r.RemoveUserScramCredentialRecord, name=STRING, mechanism=INT8)),
    RecordType(23, 0, 0, struct_of(r.BeginTransactionRecord, name=field(NULLABLE_STRING, tag=0))),
    RecordType(24, 0, 0, struct_of(r.EndTransactionRecord)),
    RecordType(25, 0, 0, struct_of(r.AbortTransactionRecord, reason=field(NULLABLE_STRING, tag=0))),
    RecordType(26, 0, 0, struct_of(r.RemoveDelegationTokenRecord, token_id=STRING)),
    RecordType(
        27,
        0,
        0,
        struct_of(
            r.RegisterControllerRecord,
            controller_id=INT32,
            incarnation_id=UUID,
            zk_migration_ready=BOOL,
            end_points=ARRAY(
                struct_of(r.ControllerEndpoint, name=STRING, host=STRING, port=UINT16, security_protocol=INT16)
            ),
            features=ARRAY(
                struct_of(r.ControllerFeature, name=STRING, min_supported_version=INT16, max_supported_version=INT16)
            ),
        ),
    ),
    RecordType(28, 0, None, struct_of(r.ClearElrRecord, topic_name=STRING)),
    RecordType(29, 0, None, struct_of(r.UnregisterControllerRecord, controller_id=INT32)),
)
"""Every record type of Kafka's metadata log, by key; keys 6, 13 and 16 are unused."""

_BY_KEY = {one.key: one for one in TYPES}
_BY_CLASS: dict[type[Any], RecordType] = {one.declared.cls: one for one in TYPES}


def record_type(record: Record) -> RecordType:
    """The declaration of a record's type."""
    return _BY_CLASS[type(record)]


def encode(record: Record, version: int | None = None) -> bytes:
    """The record's value, in the version written at metadata.version 21 unless one is named.

    Raises CodecError for what the version has no field for, a string over 32,767 bytes, a number out of range, and
    for a type that this level does not have.
    """
    if version is None and (known := _ENCODERS.get(record.__class__)):
        return known(record)
    found = record_type(record)
    codec = _codec(found, found.written_version(record) if version is None else version)
    encoded = codec.encode(record)
    if version is None and isinstance(found.written, int):
        _ENCODERS[record.__class__] = codec.encode
    return encoded


def decode(value: bytes) -> Record:
    """The record of this value. Raises CodecError for anything that Kafka's reader would not take."""
    return decode_versioned(value)[0]


def decode_versioned(value: bytes) -> tuple[Record, int]:
    """The record, and the version it is written in: `encode(record, version)` gives its bytes again.

    A version above the newest known one is an error: Kafka's readers would misread it (records.md §1).
    """
    return _decode(value, 0, len(value))


def decode_batch(body: bytes) -> list[Record]:
    """The records of a data batch's body, in order. Raises CodecError as `decode` does, positions being the body's."""
    return decode_values(body)[0]


def decode_values(body: bytes) -> tuple[list[Record], list[bytes]]:
    """The records of a data batch's body, and beside them the bytes of each. Raises CodecError as `decode_batch`."""
    records, values, _ = _decode_some(body, 0, batch.count_of(body), batch.RECORDS_START)
    return records, values


def decode_pieces(body: bytes, size: int) -> Iterator[tuple[list[Record], list[bytes]]]:
    """As `decode_values`, at most `size` records at a time: for who has something else to do in between."""
    count = batch.count_of(body)
    position = batch.RECORDS_START
    for start in range(0, count, size):
        records, values, position = _decode_some(body, start, min(start + size, count), position)
        yield records, values


def _decode_some(body: bytes, start: int, end: int, position: int) -> tuple[list[Record], list[bytes], int]:
    """Records `start` to `end` of the batch, exclusive, the first of them at `position`; and where the next begins."""
    records: list[Record] = []
    values: list[bytes] = []
    add, keep, readers = records.append, values.append, _READERS
    count = batch.count_of(body)
    prefixes = batch.prefixes(count)
    for delta, prefix in zip(range(start, end), prefixes[start:end] if start else prefixes, strict=False):
        # The common way: a record of under 8 KiB, of a type and version that were read before. Whatever is odd about
        # its framing goes the other way, which says what is odd.
        try:
            length = body[position]
            after = position + 1
            if length > 127:
                length, after = body[after] << 7 | length & 127, after + 1
            begin = after + len(prefix)
            if body[after:begin] != prefix:
                raise LookupError
            size = body[begin]
            begin += 1
            if size > 127:
                size, begin = body[begin] << 7 | size & 127, begin + 1
            stop = begin + (size >> 1)
            # Both are zigzag: odd is negative; above 16,383 a third byte followed.
            if (length | size) & 1 or length > 16_383 or stop + 1 != after + (length >> 1) or body[stop]:
                raise LookupError
            value = body[begin:stop]
            record, after = readers[value[:3]](value, 3, size >> 1)
            if after != size >> 1:
                raise LookupError
            position = stop + 1
        except (LookupError, CodecError):
            begin, stop, position = batch.value_range(body, position, delta)
            value = body[begin:stop]
            record, _ = _decode(body, begin, stop)
        add(record)
        keep(value)
    if end == count and position != len(body):
        raise CodecError(f"{len(body) - position} bytes left over after the last record", position)
    return records, values, position


def kind_of(record: Record) -> str:
    """Kafka's name of the record's type, such as `TopicRecord`."""
    return type(record).__name__


def plain_record(record: Record, version: int | None = None) -> dict[str, object]:
    """The record's fields as plain JSON values under Kafka's names (`topicId`), unknown tagged fields left out.

    `version` None: all that the newest version has.
    """
    found = record_type(record)
    return plain(found.declared, record, found.version_max if version is None else version)


REDACTED = "[redacted]"
_SECRETS = {"UserScramCredentialRecord": ("salt", "storedKey", "serverKey")}
"""Fields that people do not see: with these a password can be guessed at leisure, or a server be played."""


def shown_record(record: Record) -> dict[str, object]:
    """`plain_record`, without what is secret. (Delegation tokens have nothing secret in their records.)"""
    shown = plain_record(record)
    for name in _SECRETS.get(kind_of(record), ()):
        shown[name] = REDACTED
    return shown


_ENCODERS: dict[type[Any], Callable[[Any], bytes]] = {}
"""By class, of the types that are always written in one version."""
_READERS: dict[bytes, Callable[[bytes, int, int], tuple[Any, int]]] = {}
"""By frame version, key and version, each a byte, of what has been read before."""


def _codec(found: RecordType, version: int) -> Codec[Any]:
    if not 0 <= version <= found.version_max:
        raise CodecError(f"{found.declared.cls.__name__} of version {version}: 0 to {found.version_max} are known")
    prefix = encode_uvarint(_FRAME_VERSION) + encode_uvarint(found.key) + encode_uvarint(version)
    return found.declared.codec(version, prefix=prefix)


def _decode(data: bytes, position: int, end: int) -> tuple[Record, int]:
    start = position
    frame_version, position = read_uvarint(data, position)
    if frame_version != _FRAME_VERSION:
        raise CodecError(f"frame version {frame_version}, not {_FRAME_VERSION}", start)
    key, position = read_uvarint(data, position)
    found = _BY_KEY.get(key)
    if found is None:
        raise CodecError(f"no record type has key {key}", start)
    version, position = read_uvarint(data, position)
    codec = _codec(found, version)
    record, after = codec.read(data, position, end)
    if after != end:
        raise CodecError(f"{end - after} bytes left over after {found.declared.cls.__name__}", after)
    _READERS.setdefault(data[start : start + 3], codec.read)
    return record, version
