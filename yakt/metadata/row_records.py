"""A row as the record that a snapshot holds of it, and the hash of that record's bytes (records.md §6, §8)."""

import struct
from functools import lru_cache

import google_crc32c
import msgspec

from yakt.ids import Uuid
from yakt.metadata.codec import encode
from yakt.metadata.records import (
    ConfigRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    Record,
    RegisterBrokerRecord,
    TopicRecord,
)
from yakt.metadata.rows import (
    BrokerRow,
    ConfigKey,
    ConfigsRow,
    FeatureRow,
    KeptRow,
    NextProducerIdRow,
    PartitionRow,
    TopicRow,
)

PARTITION_PREFIX = b"\x01\x03\x01"
"""Frame version, PartitionRecord's key and its version."""
ARRAY_SIZE_SHORT = 126
"""Arrays of fewer have one byte for their size."""
HASH_FORM = 1
"""Tag 10002's form: the sum mod 2^64, over Kafka's rows, of the CRC-32C of each row's record value without tags."""


def broker_record(row: BrokerRow) -> RegisterBrokerRecord:
    return RegisterBrokerRecord(
        row.id,
        row.incarnation,
        row.epoch,
        row.end_points,
        row.features,
        row.rack,
        fenced=row.fenced,
        in_controlled_shutdown=row.shutting_down,
        log_dirs=row.directories,
    )


def topic_record(row: TopicRow) -> TopicRecord:
    return TopicRecord(row.name, row.id)


def partition_record(row: PartitionRow) -> PartitionRecord:
    return PartitionRecord(
        row.partition,
        row.topic_id,
        row.replicas,
        row.isr,
        row.removing,
        row.adding,
        row.leader,
        row.leader_epoch,
        row.partition_epoch,
        directories=row.directories,
        leader_recovery_state=row.recovery,
    )


def config_records(key: ConfigKey, row: ConfigsRow) -> list[ConfigRecord]:
    resource_type, name = key
    return [ConfigRecord(resource_type, name, value.key, value.value) for value in row]


def feature_record(row: FeatureRow) -> FeatureLevelRecord:
    return FeatureLevelRecord(row.name, row.level)


def next_producer_id_record(row: NextProducerIdRow) -> ProducerIdsRecord:
    return ProducerIdsRecord(-1, -1, row.next)


def hash_value(value: bytes) -> int:
    """Of one record's bytes, without tags."""
    checksum: int = google_crc32c.value(value)
    return checksum


def _hash(record: Record) -> int:
    return hash_value(encode(record))


def hash_broker(_key: int, row: BrokerRow, _part: str) -> int:
    record = broker_record(row)
    if len(row.end_points) > 1:  # Kafka's snapshots have them in any order
        record = msgspec.structs.replace(record, end_points=tuple(sorted(row.end_points, key=lambda point: point.name)))
    return _hash(record)


@lru_cache(maxsize=16)
def _hash_topic(name: str, topic_id: Uuid) -> int:
    return _hash(TopicRecord(name, topic_id))


def hash_topic(_key: str, row: TopicRow, _part: str) -> int:
    return _hash_topic(row.name, row.id)  # remembered: each new partition counts its topic's row up


@lru_cache(maxsize=256)
def _partition_layout(replicas: int, isr: int) -> tuple[struct.Struct, bytes, bytes]:
    """Of a PartitionRecord at rest: its struct, and how the arrays of so many ids and directories begin."""
    layout = struct.Struct(f">3si16s 1s{replicas}i B{isr}i 2s iii 1s" + "16s" * replicas + "B")
    return layout, bytes([replicas + 1]), b"\x01\x01"


def hash_partition(_key: object, row: PartitionRow, _part: str) -> int:
    """A change of a partition hashes it twice, as it was and as it is; hence the short way for most rows."""
    replicas, isr = row.replicas, row.isr
    if row.recovery or row.adding or row.removing or not len(isr) <= len(replicas) < ARRAY_SIZE_SHORT:
        return _hash(partition_record(row))
    layout, begun, empty = _partition_layout(len(replicas), len(isr))
    return hash_value(
        layout.pack(
            PARTITION_PREFIX, row.partition, row.topic_id, begun, *replicas, len(isr) + 1, *isr, empty, row.leader,
            row.leader_epoch, row.partition_epoch, begun, *row.directories, 0,
        )
    )  # fmt: skip


def hash_config(key: ConfigKey, row: ConfigsRow, part: str) -> int:
    """Of one key's value, 0 where it is not set; without a part, of all of them."""
    resource_type, name = key
    if part:
        for value in row:
            if value.key == part:
                return _hash(ConfigRecord(resource_type, name, part, value.value))
        return 0
    return sum(map(_hash, config_records(key, row)))


def hash_feature(_key: str, row: FeatureRow, _part: str) -> int:
    return _hash(feature_record(row))


def hash_next_producer_id(_key: int, row: NextProducerIdRow, _part: str) -> int:
    return _hash(next_producer_id_record(row))


def hash_kept(_key: object, row: KeptRow, _part: str) -> int:
    return _hash(row.record)
