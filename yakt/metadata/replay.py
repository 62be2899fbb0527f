"""What each record does to the state, strictly (records.md §4): a record that does not fit raises ReplayError.

The leader replays what it has decided on its overlay, every node what is committed on its image, by the same functions.
Nothing here makes an id, reads a clock or looks at a leader: it is a function of the state, the record and its offset.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from yakt.errors import ReplayError
from yakt.ids import Uuid
from yakt.metadata import records as r
from yakt.metadata.acls import acl_of
from yakt.metadata.codec import encode
from yakt.metadata.row_records import hash_value
from yakt.metadata.rows import (
    DEFAULT_ENTITY,
    MIGRATING,
    TOPIC_CONFIG,
    BrokerRow,
    ClosedBroker,
    ConfigValue,
    FeatureRow,
    KeptRecord,
    KeptRow,
    NextProducerIdRow,
    PartitionRow,
    ProducerRow,
    TopicRow,
)
from yakt.metadata.state import State, fold_topic
from yakt.metadata.tables import Rows
from yakt.metadata.tags import ProducerState, Registration, registration_of, state_rows_of

Replay = Callable[[State, Any, int], None]
T = TypeVar("T")
Id = TypeVar("Id", int, Uuid)


def config(state: State, record: r.ConfigRecord, offset: int) -> None:
    key = (record.resource_type, record.resource_name)
    name, value = record.name, record.value
    row = state.configs.get(key)
    if record.resource_type == TOPIC_CONFIG:
        if state.growing == (record.resource_name, offset):
            state.growing = (record.resource_name, offset + 1)
        if row is None and value is not None and state.topics.get(record.resource_name) is None:
            raise ReplayError(f"a config of an unknown topic, {record.resource_name}")
    if value is not None:
        new = ConfigValue(name, value, offset)
        if row is None:
            plain = state.plain_value
            if plain is None:
                untagged = (
                    r.ConfigRecord(record.resource_type, record.resource_name, name, value) if record.tags else record
                )
                plain = encode(untagged)
            state.configs.put(key, (new,), offset, part=name, weight=len(value), hashed=hash_value(plain))
            return
        others = [other for other in row if other.key != name]
        others.append(new)
        others.sort(key=lambda other: other.key)
        state.configs.put(key, tuple(others), offset, part=name, weight=len(value))
        return
    # Kafka's controllers write a deletion of what is not there (a broker's config is written whatever it was).
    if row is None:
        return
    left = tuple(other for other in row if other.key != name)
    if len(left) != len(row):
        state.configs.put(key, left or None, offset, part=name, gone=True)


def _broker(state: State, broker_id: int, epoch: int) -> BrokerRow:
    row = state.brokers.get(broker_id)
    if row is None:
        raise ReplayError(f"a change of broker {broker_id}, which is not registered")
    if row.epoch != epoch:
        raise ReplayError(f"a change of broker {broker_id} in epoch {epoch}, which is registered in {row.epoch}")
    return row


def register_broker(state: State, record: r.RegisterBrokerRecord, offset: int) -> None:
    before = state.brokers.get(record.broker_id)
    extra = registration_of(record) if record.tags else None
    if extra is None:  # a Kafka controller's: counted as YAKt would have
        closed = state.closed.get(record.broker_id)
        known = before.changes if before is not None else closed.changes if closed is not None else -1
        extra = Registration(known + 1)
    for directory in record.log_dirs:
        owner = state.directories.get(directory)
        if owner is not None and owner != record.broker_id:
            raise ReplayError(f"broker {record.broker_id} registers a directory of broker {owner}")
    state.brokers.put(
        record.broker_id,
        BrokerRow(
            record.broker_id,
            record.broker_epoch,
            record.incarnation_id,
            tuple(_untagged(point) for point in record.end_points),
            tuple(sorted(map(_untagged, record.features), key=lambda feature: feature.name)),
            record.rack,
            record.fenced,
            record.in_controlled_shutdown,
            record.log_dirs,
            offset,
            offset,
            extra.changes,
            extra.session_ms,
            extra.protocol,
        ),
        offset,
    )
    _move_directories(state, record.broker_id, before.directories if before else (), record.log_dirs, offset)
    if state.closed.get(record.broker_id) is not None:
        state.closed.put(record.broker_id, None, offset)


def _move_directories(
    state: State, broker_id: int, before: tuple[Any, ...], after: tuple[Any, ...], offset: int
) -> None:
    for directory in before:
        if directory not in after:
            state.directories.put(directory, None, offset)
    for directory in after:
        if directory not in before:
            state.directories.put(directory, broker_id, offset)


def _untagged(value: T) -> T:
    """Without tagged fields: they are no part of a row, nor of its hash."""
    return msgspec.structs.replace(value, tags=()) if value.tags else value  # type: ignore[attr-defined,type-var]


def unregister_broker(state: State, record: r.UnregisterBrokerRecord, offset: int) -> None:
    row = _broker(state, record.broker_id, record.broker_epoch)
    state.brokers.put(record.broker_id, None, offset)
    _move_directories(state, row.id, row.directories, (), offset)
    state.closed.put(row.id, closed_broker(row, offset), offset)


def closed_broker(row: BrokerRow, offset: int) -> ClosedBroker:
    """What is kept of a broker that is gone; its time is filled in when that is committed."""
    point = row.end_points[0] if row.end_points else None
    return ClosedBroker(
        row.id,
        row.epoch,
        row.incarnation,
        point.host if point else "",
        point.port if point else 0,
        row.protocol_name,
        row.rack,
        row.changes,
        offset,
    )


def change_broker(state: State, record: r.BrokerRegistrationChangeRecord, offset: int) -> None:
    row = _broker(state, record.broker_id, record.broker_epoch)
    _change_broker(
        state,
        row,
        offset,
        fenced=row.fenced if record.fenced == 0 else record.fenced > 0,
        shutting_down=row.shutting_down or record.in_controlled_shutdown > 0,
        directories=record.log_dirs or row.directories,
    )


def fence_broker(state: State, record: r.FenceBrokerRecord, offset: int) -> None:
    _change_broker(state, _broker(state, record.id, record.epoch), offset, fenced=True)


def unfence_broker(state: State, record: r.UnfenceBrokerRecord, offset: int) -> None:
    _change_broker(state, _broker(state, record.id, record.epoch), offset, fenced=False)


def _change_broker(
    state: State,
    row: BrokerRow,
    offset: int,
    *,
    fenced: bool,
    shutting_down: bool | None = None,
    directories: tuple[Any, ...] | None = None,
) -> None:
    after = row.directories if directories is None else directories
    state.brokers.put(
        row.id,
        BrokerRow(
            row.id,
            row.epoch,
            row.incarnation,
            row.end_points,
            row.features,
            row.rack,
            fenced,
            row.shutting_down if shutting_down is None else shutting_down,
            after,
            offset,
            row.registered_offset,
            row.changes,
            row.session_ms,
            row.protocol,
        ),
        offset,
    )
    if after is not row.directories:
        _move_directories(state, row.id, row.directories, after, offset)


def topic(state: State, record: r.TopicRecord, offset: int) -> None:
    if state.topics.get(record.name) is not None:
        raise ReplayError(f"topic {record.name} is there already")
    if state.topic_names.get(record.topic_id) is not None:
        raise ReplayError(f"topic {record.name} has the id of {state.topic_names.get(record.topic_id)}")
    state.topics.put(record.name, TopicRow(record.name, record.topic_id, 0, 0, offset, offset), offset)
    state.growing = (record.name, offset + 1)
    state.topic_names.put(record.topic_id, record.name, offset)
    state.folded_topics.put(fold_topic(record.name), record.name, offset)


INTERNED_MAX = 4096
"""More than a small cluster's combinations; a large one's are nearly all different, and not worth a table."""


def _interned(state: State, ids: tuple[Id, ...]) -> tuple[Id, ...]:
    """The one tuple of these: most of a partition's bytes are lists that thousands of others have too."""
    interned = state.interned
    known = interned.get(ids)
    if known is None:
        if len(interned) >= INTERNED_MAX:
            interned.clear()
        known = interned[ids] = ids
    return cast("tuple[Id, ...]", known)


def _interned_directories(state: State, directories: tuple[Uuid, ...]) -> tuple[Uuid, ...]:
    """As `_interned`, and each id the one object that all partitions in that directory share."""
    interned = state.interned
    known = interned.get(directories)
    if known is None:
        one = state.directory_ids.setdefault
        if len(state.directory_ids) >= INTERNED_MAX:
            state.directory_ids.clear()
        known = _interned(state, tuple([one(directory, directory) for directory in directories]))
    return cast("tuple[Uuid, ...]", known)


def partition(state: State, record: r.PartitionRecord, offset: int) -> None:
    of = state.topic_by_id(record.topic_id)
    if of is None:
        raise ReplayError(f"partition {record.partition_id} of an unknown topic")
    number = record.partition_id
    if number < 0:
        raise ReplayError(f"partition {number} of topic {of.name}")
    directories = record.directories
    if len(directories) != len(record.replicas):
        if directories:
            raise ReplayError(
                f"{len(directories)} directories for {len(record.replicas)} replicas of {of.name}:{number}"
            )
        directories = (MIGRATING,) * len(record.replicas)
    if number >= of.partitions or not number:  # in a snapshot of Kafka's they may come in any order
        replication = of.replication if number else len(record.replicas)
        _count_partitions(state, of, max(of.partitions, number + 1), replication, offset)
    replicas = _interned(state, record.replicas)
    state.partitions.put(
        (of.id, number),
        PartitionRow(
            of.name,
            of.id,
            number,
            replicas,
            replicas if record.isr == replicas else _interned(state, record.isr),
            record.removing_replicas,
            record.adding_replicas,
            record.leader,
            record.leader_recovery_state,
            record.leader_epoch,
            record.partition_epoch,
            _interned_directories(state, directories),
            offset,
        ),
        offset,
    )


def _count_partitions(state: State, of: TopicRow, partitions: int, replication: int, offset: int) -> None:
    """The topic's own row tells how many there are; that it changed goes without saying beside the partition.

    It changes once for all that one operation makes of it, so that a reader of changes hears of it before them.
    """
    changed_offset = of.offset if state.growing == (of.name, offset) else offset
    state.growing = (of.name, offset + 1)
    if (partitions, replication) != (of.partitions, of.replication):
        row = TopicRow(of.name, of.id, partitions, replication, changed_offset, of.created_offset)
        state.topics.put(of.name, row, offset, quiet=True)


def change_partition(state: State, record: r.PartitionChangeRecord, offset: int) -> None:
    row = state.partitions.get((record.topic_id, record.partition_id))
    if row is None:
        name = state.topic_names.get(record.topic_id)
        which = f"of topic {name}" if name is not None else "of an unknown topic"
        raise ReplayError(f"a change of partition {record.partition_id} {which}, which is not there")
    replicas = row.replicas if record.replicas is None else _interned(state, record.replicas)
    directories = record.directories
    if directories is None and record.replicas is None:
        directories = row.directories
    elif directories is None:
        kept = dict(zip(row.replicas, row.directories, strict=True))
        directories = _interned(state, tuple(kept.get(broker_id, MIGRATING) for broker_id in replicas))
    elif len(directories) != len(replicas):
        raise ReplayError(f"{len(directories)} directories for {len(replicas)} replicas of {row.topic}:{row.partition}")
    else:
        directories = _interned_directories(state, directories)
    leads = record.leader != r.NO_LEADER_CHANGE
    state.partitions.put(
        row.key,
        PartitionRow(
            row.topic,
            row.topic_id,
            row.partition,
            replicas,
            row.isr if record.isr is None else replicas if record.isr == replicas else _interned(state, record.isr),
            row.removing if record.removing_replicas is None else record.removing_replicas,
            row.adding if record.adding_replicas is None else record.adding_replicas,
            record.leader if leads else row.leader,
            row.recovery if record.leader_recovery_state < 0 else record.leader_recovery_state,
            row.leader_epoch + 1 if leads else row.leader_epoch,
            row.partition_epoch + 1,
            directories,
            offset,
        ),
        offset,
    )
    if not row.partition and len(replicas) != len(row.replicas):
        of = state.topics.get(row.topic)
        assert of is not None
        _count_partitions(state, of, of.partitions, len(replicas), offset)


def remove_topic(state: State, record: r.RemoveTopicRecord, offset: int) -> None:
    row = state.topic_by_id(record.topic_id)
    if row is None:
        raise ReplayError("the removal of an unknown topic")
    for number in range(row.partitions):
        state.partitions.put((row.id, number), None, offset, quiet=True)
    if state.configs.get((TOPIC_CONFIG, row.name)) is not None:
        state.configs.put((TOPIC_CONFIG, row.name), None, offset, quiet=True)
    folded = fold_topic(row.name)
    if state.folded_topics.get(folded) == row.name:
        state.folded_topics.put(folded, None, offset)
    state.topic_names.put(row.id, None, offset)
    state.topics.put(row.name, None, offset)


def feature_level(state: State, record: r.FeatureLevelRecord, offset: int) -> None:
    if record.feature_level < 0:
        raise ReplayError(f"feature {record.name} at level {record.feature_level}")
    if record.feature_level:
        state.features.put(record.name, FeatureRow(record.name, record.feature_level, offset), offset)
    elif state.features.get(record.name) is not None:
        state.features.put(record.name, None, offset)


def producer_ids(state: State, record: r.ProducerIdsRecord, offset: int) -> None:
    row = state.next_producer_id.get(0)
    if row is not None and record.next_producer_id <= row.next:
        raise ReplayError(f"next producer id {record.next_producer_id}, after {row.next}")
    state.next_producer_id.put(0, NextProducerIdRow(record.next_producer_id, offset), offset)


def _keep(rows: Rows[T, KeptRow], key: T, record: KeptRecord, offset: int) -> None:
    rows.put(key, KeptRow(_untagged(record), offset), offset)


def _remove(rows: Rows[T, KeptRow], key: T, what: str, offset: int) -> None:
    if rows.get(key) is None:
        raise ReplayError(f"the removal of {what}, which is not there")
    rows.put(key, None, offset)


def register_controller(state: State, record: r.RegisterControllerRecord, offset: int) -> None:
    _keep(state.controllers, record.controller_id, record, offset)


def unregister_controller(state: State, record: r.UnregisterControllerRecord, offset: int) -> None:
    _remove(state.controllers, record.controller_id, f"controller {record.controller_id}", offset)


def client_quota(state: State, record: r.ClientQuotaRecord, offset: int) -> None:
    entity = tuple(
        sorted(
            (part.entity_type, DEFAULT_ENTITY if part.entity_name is None else part.entity_name)
            for part in record.entity
        )
    )
    key = (entity, record.key)
    if not record.remove:
        _keep(state.quotas, key, record, offset)
    elif state.quotas.get(key) is not None:
        state.quotas.put(key, None, offset)


def acl(state: State, record: r.AccessControlEntryRecord, offset: int) -> None:
    if state.acls.get(record.id) is not None:
        raise ReplayError("an ACL with the id of another")
    _keep(state.acls, record.id, record, offset)
    state.acl_ids.put(acl_of(record), record.id, offset)


def remove_acl(state: State, record: r.RemoveAccessControlEntryRecord, offset: int) -> None:
    row = state.acls.get(record.id)
    _remove(state.acls, record.id, "an ACL", offset)
    assert row is not None
    assert isinstance(row.record, r.AccessControlEntryRecord)
    key = acl_of(row.record)
    if state.acl_ids.get(key) == record.id:
        state.acl_ids.put(key, None, offset)


def scram(state: State, record: r.UserScramCredentialRecord, offset: int) -> None:
    _keep(state.scram, (record.name, record.mechanism), record, offset)


def remove_scram(state: State, record: r.RemoveUserScramCredentialRecord, offset: int) -> None:
    _remove(state.scram, (record.name, record.mechanism), f"a SCRAM credential of {record.name}", offset)


def token(state: State, record: r.DelegationTokenRecord, offset: int) -> None:
    _keep(state.tokens, record.token_id, record, offset)


def remove_token(state: State, record: r.RemoveDelegationTokenRecord, offset: int) -> None:
    _remove(state.tokens, record.token_id, f"delegation token {record.token_id}", offset)


def no_op(state: State, record: r.NoOpRecord, offset: int) -> None:
    """What Kafka has no record for rides here (records.md §8)."""
    rows = state_rows_of(record) if record.tags else None
    if rows is None:
        return
    for producer in rows.producers:
        _producer(state, producer, offset)
    for closed in rows.closed_brokers:
        state.closed.put(closed.id, closed, closed.offset)
    for request in rows.requests:
        state.requests.put((request.client, request.id), request, request.offset)


def _producer(state: State, producer: ProducerState, offset: int) -> None:
    """The later one holds, whatever is known here: a snapshot of Kafka's, which a node may have begun with, has none of
    these rows, so two nodes that agree on all of Kafka's records may know different ones."""
    if not producer.removed:
        row = ProducerRow(producer.id, producer.broker, producer.broker_epoch, offset)
        state.producers.put(producer.id, row, offset)
    elif state.producers.get(producer.id) is not None:
        state.producers.put(producer.id, None, offset)


def nothing(_state: State, _record: object, _offset: int) -> None:
    """No effect here: ZooKeeper and ELR are not YAKt's."""


REPLAY: dict[type, Replay] = {
    r.ConfigRecord: config,
    r.PartitionChangeRecord: change_partition,
    r.PartitionRecord: partition,
    r.TopicRecord: topic,
    r.RemoveTopicRecord: remove_topic,
    r.RegisterBrokerRecord: register_broker,
    r.UnregisterBrokerRecord: unregister_broker,
    r.BrokerRegistrationChangeRecord: change_broker,
    r.FenceBrokerRecord: fence_broker,
    r.UnfenceBrokerRecord: unfence_broker,
    r.ProducerIdsRecord: producer_ids,
    r.FeatureLevelRecord: feature_level,
    r.RegisterControllerRecord: register_controller,
    r.UnregisterControllerRecord: unregister_controller,
    r.ClientQuotaRecord: client_quota,
    r.AccessControlEntryRecord: acl,
    r.RemoveAccessControlEntryRecord: remove_acl,
    r.UserScramCredentialRecord: scram,
    r.RemoveUserScramCredentialRecord: remove_scram,
    r.DelegationTokenRecord: token,
    r.RemoveDelegationTokenRecord: remove_token,
    r.NoOpRecord: no_op,
    r.ZkMigrationStateRecord: nothing,
    r.ClearElrRecord: nothing,
}
"""By type; the transaction records are not here, they decide when the others take effect."""
