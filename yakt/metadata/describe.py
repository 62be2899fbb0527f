"""Rows as the pairs of a data line, in the order of line-protocol.md §4. Knows no text format."""

from yakt.ids import format_uuid
from yakt.metadata import acls
from yakt.metadata.answers import Pairs, Row
from yakt.metadata.features import OFF, SUPPORTED
from yakt.metadata.records import (
    AccessControlEntryRecord,
    ClientQuotaRecord,
    DelegationTokenRecord,
    RegisterControllerRecord,
    UserScramCredentialRecord,
)
from yakt.metadata.rows import (
    SCRAM_MECHANISMS,
    BrokerRow,
    ClosedBroker,
    ConfigKey,
    ConfigValue,
    FeatureRow,
    KeptRecord,
    KeptRow,
    PartitionRow,
    ProducerRow,
    TopicRow,
    entity_name,
)
from yakt.metadata.tables import Change


def broker(row: BrokerRow) -> Pairs:
    point = row.end_points[0] if row.end_points else None
    return {
        "id": row.id,
        "epoch": row.epoch,
        "host": point.host if point else None,
        "port": point.port if point else None,
        "rack": row.rack,
        "fenced": row.fenced,
        "uuid": format_uuid(row.incarnation),
        "status": row.status,
        "protocol": row.protocol_name,
        "changes": row.changes,
    }


def closed_broker(row: ClosedBroker) -> Pairs:
    return {
        "id": row.id,
        "epoch": row.epoch,
        "host": row.host,
        "port": row.port,
        "rack": row.rack,
        "fenced": True,
        "uuid": format_uuid(row.incarnation),
        "status": "CLOSED",
        "protocol": row.protocol,
        "changes": row.changes,
    }


def topic(row: TopicRow) -> Pairs:
    return {
        "name": row.name,
        "id": format_uuid(row.id),
        "partitions": row.partitions,
        "replication": row.replication,
    }


def partition(row: PartitionRow) -> Pairs:
    return {
        "topic": row.topic,
        "partition": row.partition,
        "leader": row.leader,
        "leader_epoch": row.leader_epoch,
        "partition_epoch": row.partition_epoch,
        "replicas": row.replicas,
        "isr": row.isr,
        "adding": row.adding,
        "removing": row.removing,
    }


def config(key: ConfigKey, value: ConfigValue) -> Pairs:
    return {"entity": entity_name(key), "key": value.key, "value": value.value}


def feature(row: FeatureRow) -> Pairs:
    return feature_level(row.name, row.level)


def feature_level(name: str, level: int) -> Pairs:
    least, most = SUPPORTED.get(name, OFF)
    return {"name": name, "level": level, "min": least, "max": most}


def controller(row: KeptRow) -> Pairs:
    record = row.record
    assert isinstance(record, RegisterControllerRecord)
    point = record.end_points[0] if record.end_points else None
    return {
        "id": record.controller_id,
        "uuid": format_uuid(record.incarnation_id),
        "host": point.host if point else None,
        "port": point.port if point else None,
    }


def producer(row: ProducerRow) -> Pairs:
    return {"producer": row.id, "broker": row.broker, "broker_epoch": row.broker_epoch}


def quota(record: ClientQuotaRecord) -> Pairs:
    """A part that the entity has not is null, and the default's name is empty."""
    is_whole = record.value.is_integer() and abs(record.value) < 2**53
    return {**_quota_key(record), "value": int(record.value) if is_whole else record.value}


def _quota_key(record: ClientQuotaRecord) -> Pairs:
    parts = {part.entity_type: part.entity_name or "" for part in record.entity}
    return {"user": parts.get("user"), "client_id": parts.get("client-id"), "ip": parts.get("ip"), "key": record.key}


def scram(record: UserScramCredentialRecord) -> Pairs:
    """Who may log in, and how; not what with."""
    return {**_scram_key(record), "iterations": record.iterations}


def _scram_key(record: UserScramCredentialRecord) -> Pairs:
    return {"user": record.name, "mechanism": SCRAM_MECHANISMS.get(record.mechanism, str(record.mechanism))}


def acl(record: AccessControlEntryRecord) -> Pairs:
    return {
        "id": format_uuid(record.id),
        "resource": acls.resource_text(record),
        "pattern": acls.PATTERN_NAMES.get(record.pattern_type, str(record.pattern_type)),
        "principal": record.principal,
        "host": record.host,
        "operation": acls.OPERATION_NAMES.get(record.operation, str(record.operation)),
        "permission": acls.PERMISSION_NAMES.get(record.permission_type, str(record.permission_type)),
    }


def token(record: DelegationTokenRecord) -> Pairs:
    """Times in ms."""
    return {
        "id": record.token_id,
        "owner": record.owner,
        "requester": record.requester,
        "renewers": record.renewers,
        "issued": record.issue_timestamp,
        "expires": record.expiration_timestamp,
        "max": record.max_timestamp,
    }


def kept(record: KeptRecord) -> Pairs:
    """Of what is kept for Kafka's brokers and told to others too."""
    match record:
        case ClientQuotaRecord():
            return quota(record)
        case UserScramCredentialRecord():
            return scram(record)
        case AccessControlEntryRecord():
            return acl(record)
        case DelegationTokenRecord():
            return token(record)
    raise AssertionError(f"{type(record).__name__} rows are told to nobody")


def gone(record: KeptRecord) -> Pairs:
    """What names it once it is not there any more. An ACL is named by all that it is: nobody knows their ids."""
    match record:
        case ClientQuotaRecord():
            key = _quota_key(record)
        case UserScramCredentialRecord():
            key = _scram_key(record)
        case AccessControlEntryRecord():
            key = acl(record)
        case DelegationTokenRecord():
            key = {"id": record.token_id}
        case _:
            raise AssertionError(f"{type(record).__name__} rows are told to nobody")
    return {**key, "deleted": True}


def is_shown(row: PartitionRow) -> bool:
    """A partition without replicas is one that was removed (seed-api.md): in no list until it is made again."""
    return bool(row.replicas)


def describe_change(change: Change) -> Row:
    """The data line of the entity as it is after this change, or its key and `deleted=true`; without its offset."""
    return Row(change.kind, describe(change))


def describe(change: Change) -> Pairs:
    """The entity as it is after this change, or its key and `deleted=true`; without its offset."""
    row = change.row
    match change.kind:
        case "config":
            value = config_value(change)
            if value is not None:
                return config(change.key, value)
            return {"entity": entity_name(change.key), "key": change.part, "deleted": True}
        case "broker":
            return {"id": change.key, "deleted": True} if row is None else broker(row)
        case "topic":
            return {"name": change.key, "deleted": True} if row is None else topic(row)
        case "partition":
            if row is None or not is_shown(row):
                known = change.old if row is None else row
                return {"topic": known.topic, "partition": known.partition, "deleted": True}
            return partition(row)
        case "feature":
            return {"name": change.key, "deleted": True} if row is None else feature(row)
        case "producer":
            return {"producer": change.key, "deleted": True} if row is None else producer(row)
        case "quota" | "scram" | "acl" | "token":
            return gone(change.old.record) if row is None else kept(row.record)
    raise AssertionError(f"{change.kind} rows are told to nobody")


def config_value(change: Change) -> ConfigValue | None:
    """What the changed config is set to now; None: it was deleted."""
    if change.gone:
        return None
    found: ConfigValue = next(value for value in change.row if value.key == change.part)
    return found
