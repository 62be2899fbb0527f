"""One change in plain English, from the row before and the row after."""

from collections.abc import Iterable

from yakt.metadata import acls
from yakt.metadata.describe import config_value, is_shown
from yakt.metadata.partition_table import PartitionTable
from yakt.metadata.records import (
    NO_LEADER,
    AccessControlEntryRecord,
    ClientQuotaRecord,
    DelegationTokenRecord,
    UserScramCredentialRecord,
)
from yakt.metadata.rows import SCRAM_MECHANISMS, BrokerRow, KeptRow, PartitionRow, entity_name
from yakt.metadata.tables import Change


def say(change: Change) -> str:
    """A sentence without a full stop: `orders:2 leader is now broker 1 (broker 3 fenced)`."""
    row, old = change.row, change.old
    match change.kind:
        case "broker":
            return _broker(change.key, old, row)
        case "topic":
            if row is None:
                return f"topic {change.key} deleted"
            return f"topic {change.key} created"
        case "partition":
            return _partition(change)
        case "config":
            value = config_value(change)
            if value is None:
                return f"{entity_name(change.key)} {change.part} is back to its default"
            return f"{entity_name(change.key)} {change.part} is now {value.value}"
        case "feature":
            if row is None:
                return f"feature {change.key} is off"
            return f"feature {change.key} is now at level {row.level}"
        case "producer":
            if row is None:
                return f"producer {change.key} deleted"
            return f"producer {change.key} registered for broker {row.broker}"
        case "quota" | "scram" | "acl" | "token":
            return _kept(change.old if row is None else row, is_gone=row is None, is_new=old is None)
    return f"{change.kind} {change.name} changed"


def _kept(row: KeptRow, *, is_gone: bool, is_new: bool) -> str:
    record = row.record
    match record:
        case ClientQuotaRecord():
            whose = " and ".join(
                f"{part.entity_type} {part.entity_name}" if part.entity_name is not None else f"any {part.entity_type}"
                for part in record.entity
            )
            return f"{record.key} of {whose} {'has no limit' if is_gone else f'is now {record.value:.15g}'}"
        case UserScramCredentialRecord():
            mechanism = SCRAM_MECHANISMS.get(record.mechanism, record.mechanism)
            what = "may no longer log in" if is_gone else "may log in" if is_new else "has another password"
            return f"user {record.name} {what} by {mechanism}"
        case AccessControlEntryRecord():
            return f"{_acl(record)}{', no longer' if is_gone else ''}"
        case DelegationTokenRecord():
            ended = "ended" if is_gone else "issued" if is_new else "renewed"
            return f"delegation token {record.token_id} of {record.owner} {ended}"
    return f"{type(record).__name__} changed"


def _acl(record: AccessControlEntryRecord) -> str:
    """`User:alice may READ topic/orders from any host`."""
    may = "may" if record.permission_type == acls.ALLOW else "must not"
    operation = acls.OPERATION_NAMES.get(record.operation, record.operation)
    begins = "whatever begins with " if record.pattern_type == acls.PREFIXED else ""
    host = "any host" if record.host == acls.WILDCARD else record.host
    return f"{record.principal} {may} {operation} {begins}{acls.resource_text(record)} from {host}"


def _broker(broker_id: int, old: BrokerRow | None, row: BrokerRow | None) -> str:
    if row is None:
        return f"broker {broker_id} unregistered"
    point = row.end_points[0] if row.end_points else None
    where = f"{point.host}:{point.port}" if point else "no address"
    if old is None or old.incarnation != row.incarnation:
        again = "" if old is None else " again"
        return f"broker {broker_id} registered{again} at {where}, fenced until its first heartbeat"
    if old.fenced != row.fenced:
        return f"broker {broker_id} fenced" if row.fenced else f"broker {broker_id} is alive"
    if row.shutting_down and not old.shutting_down:
        return f"broker {broker_id} is shutting down"
    if old.directories != row.directories:
        return f"broker {broker_id} has {len(row.directories)} log directories online"
    return f"broker {broker_id} is now at {where}, rack {row.rack or 'none'}"


def _partition(change: Change) -> str:
    old: PartitionRow | None = change.old
    row: PartitionRow | None = change.row
    if row is None or not is_shown(row):
        return f"{change.name} deleted"
    if old is None or not is_shown(old):
        led = f"led by broker {row.leader}" if row.leader != NO_LEADER else "without a leader"
        return f"{change.name} created on {_brokers(row.replicas)}, {led}"
    said = []
    if old.leader != row.leader:
        why = _why(change, old)
        if row.leader == NO_LEADER:
            said.append(f"has no leader{why}")
        else:
            unclean = ", chosen outside the in-sync replicas" if row.leader not in old.isr else ""
            said.append(f"leader is now broker {row.leader}{unclean}{why}")
    elif old.isr != row.isr:
        said.append(f"in-sync replicas are now {_numbers(row.isr)}")
    if (row.adding, row.removing) != (old.adding, old.removing):
        if row.adding or row.removing:
            target = [broker_id for broker_id in row.replicas if broker_id not in row.removing]
            said.append(f"moves to {_brokers(target)}")
        else:
            said.append(f"has moved to {_brokers(row.replicas)}")
    elif row.replicas != old.replicas:
        said.append(f"replicas are now {_numbers(row.replicas)}")
    if not said and row.directories != old.directories:
        said.append("replicas changed their directory")
    if not said:
        said.append(f"leader epoch is now {row.leader_epoch}" if row.leader_epoch != old.leader_epoch else "changed")
    return f"{change.name} {' and '.join(said)}"


def _why(change: Change, old: PartitionRow) -> str:
    """What became of the old leader, in brackets, where that is why it leads no more."""
    if old.leader == NO_LEADER or not isinstance(change.table, PartitionTable):
        return ""
    broker = change.table.brokers.get(old.leader)
    if broker is None:
        return f" (broker {old.leader} unregistered)"
    if broker.fenced:
        return f" (broker {old.leader} fenced)"
    return f" (broker {old.leader} shutting down)" if broker.shutting_down else ""


def _brokers(ids: Iterable[int]) -> str:
    shown = _numbers(ids)
    return f"broker{'s' if ',' in shown else ''} {shown}"


def _numbers(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids)) or "none"
