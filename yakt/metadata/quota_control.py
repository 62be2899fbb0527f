"""Decides about client quotas (controller.md §11)."""

import ipaddress

from yakt.errors import RefusedError
from yakt.metadata import refusals
from yakt.metadata.commands import AlterQuota, DeleteQuotas
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.records import ClientQuotaRecord, EntityData, Record
from yakt.metadata.rows import DEFAULT_ENTITY, KeptRow, QuotaKey
from yakt.metadata.state import State

IP = "ip"
CLIENT_KEYS = ("producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate")
IP_KEYS = ("connection_creation_rate",)
WHOLE = ("producer_byte_rate", "consumer_byte_rate", "connection_creation_rate")
"""Quotas that have no fractions."""
NAME_SIZE_MAX = 32_767


def alter(state: State, command: AlterQuota, stamp: Stamp) -> Decision:
    """AlterClientQuotas of one entity: set, or removed; nothing is written for what is so already."""
    _check_entity(command.entity)
    keys = _keys_of(command.entity)
    entity = tuple(EntityData(kind, name) for kind, name in command.entity)
    named = key_of(command.entity)
    records: list[Record] = []
    for change in {change.key: change for change in command.changes}.values():
        if change.key not in keys:
            raise _invalid_key(change.key, keys)
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


def delete(state: State, command: DeleteQuotas, stamp: Stamp) -> Decision:
    """QUOTA DELETE: those that are set among the keys, or all."""
    _check_entity(command.entity)
    keys = _keys_of(command.entity)
    for key in command.keys:
        if key not in keys:
            raise _invalid_key(key, keys)
    entity = tuple(EntityData(kind, name) for kind, name in command.entity)
    named = key_of(command.entity)
    wanted = [key for key in keys if not command.keys or key in command.keys]
    records: list[Record] = [
        ClientQuotaRecord(entity, key, 0.0, True) for key in wanted if state.quotas.get((named, key)) is not None
    ]
    return Decision(records, {"deleted": len(records)})


def key_of(entity: tuple[tuple[str, str | None], ...]) -> tuple[tuple[str, str], ...]:
    """The entity as the state's tables have it."""
    return tuple(sorted((kind, DEFAULT_ENTITY if name is None else name) for kind, name in entity))


def changed_offset(state: State, entity: tuple[tuple[str, str | None], ...]) -> int | None:
    """Of the last change of any quota of the entity, as far as that is known."""
    named = key_of(entity)
    offsets = [state.quotas.changed_offset((named, key)) for key in CLIENT_KEYS + IP_KEYS]
    return max((offset for offset in offsets if offset is not None), default=None)


def _keys_of(entity: tuple[tuple[str, str | None], ...]) -> tuple[str, ...]:
    return IP_KEYS if any(kind == IP for kind, _ in entity) else CLIENT_KEYS


def _invalid_key(key: str, keys: tuple[str, ...]) -> RefusedError:
    return refusals.invalid_request(
        f"Invalid configuration key {key}: this entity has {', '.join(keys)}", key=key, near=refusals.nearest(key, keys)
    )


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
