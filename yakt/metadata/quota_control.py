"""Decides about client quotas (controller.md §11)."""

import ipaddress

from yakt.metadata import refusals
from yakt.metadata.commands import AlterQuota
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.records import ClientQuotaRecord, EntityData, Record
from yakt.metadata.rows import KeptRow
from yakt.metadata.state import QuotaKey, State

IP = "ip"
CLIENT_KEYS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate")
IP_KEYS = ("connection_creation_rate",)
WHOLE = ("producer_byte_rate", "consumer_byte_rate", "connection_creation_rate")
"""Quotas that have no fractions."""
NAME_SIZE_MAX = 32_767


def alter(state: State, command: AlterQuota, stamp: Stamp) -> Decision:
    """AlterClientQuotas of one entity: set, or removed; nothing is written for what is so already."""
    _check_entity(command.entity)
    is_ip = any(kind == IP for kind, _ in command.entity)
    keys = IP_KEYS if is_ip else CLIENT_KEYS
    entity = tuple(EntityData(kind, name) for kind, name in command.entity)
    named = tuple(sorted((kind, "\0" if name is None else name) for kind, name in command.entity))
    records: list[Record] = []
    for change in {change.key: change for change in command.changes}.values():
        if change.key not in keys:
            raise refusals.invalid_request(f"Invalid configuration key {change.key}", key=change.key)
        key: QuotaKey = (named, change.key)
        before = state.quotas.get(key)
        if change.value is None:
            if before is not None:
                records.append(ClientQuotaRecord(entity, change.key, 0.0, True))
            continue
        _check_value(change.key, change.value)
        if _value_of(before) != change.value:
            records.append(ClientQuotaRecord(entity, change.key, change.value, False))
    return Decision(records, {})


def _check_entity(entity: tuple[tuple[str, str | None], ...]) -> None:
    kinds = [kind for kind, _ in entity]
    if not kinds:
        raise refusals.invalid_request("Invalid empty client quota entity")
    if len(set(kinds)) != len(kinds):
        raise refusals.invalid_request("the same entity type twice in one entity")
    for kind, name in entity:
        if kind not in ("user", "client-id", IP):
            raise refusals.invalid_request(f"Unhandled client quota entity type: {kind}")
        if name is not None and (not name or len(name.encode("utf-8", "surrogatepass")) > NAME_SIZE_MAX):
            raise refusals.invalid_request(f"Empty {kind} not supported" if not name else f"{kind} is too long")
        if kind == IP and len(kinds) > 1:
            raise refusals.invalid_request("an ip stands alone: not beside a user or client-id")
        if kind == IP and name is not None:
            try:
                ipaddress.ip_address(name)
            except ValueError:
                raise refusals.invalid_request(f"{name} is no IP address") from None


def _check_value(key: str, value: float) -> None:
    if not value > 0:
        raise refusals.invalid_request(f"Quota {key} must be greater than 0", key=key)
    if key in WHOLE and (value != int(value) if value < 2**63 else True):
        raise refusals.invalid_request(f"{key} cannot be a fractional value.", key=key)


def _value_of(row: KeptRow | None) -> float | None:
    if row is None:
        return None
    assert isinstance(row.record, ClientQuotaRecord)
    return row.record.value
