"""Decides about configs (controller.md §10)."""

from collections.abc import Mapping

from yakt.metadata import config_keys, refusals, topic_control
from yakt.metadata.commands import DeleteConfigs, SetConfigs
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.entities import Entity
from yakt.metadata.records import ConfigRecord, Record
from yakt.metadata.rows import (
    BROKER_CONFIG,
    CLIENT_METRICS_CONFIG,
    ENTITY_KINDS,
    GROUP_CONFIG,
    TOPIC_CONFIG,
    ConfigKey,
    ConfigsRow,
    ConfigValue,
)
from yakt.metadata.state import State

RESOURCE_TYPES: Mapping[str, int] = {kind: number for number, kind in ENTITY_KINDS.items()}
KNOWN_KEYS = {CLIENT_METRICS_CONFIG: config_keys.CLIENT_METRICS_KEYS, GROUP_CONFIG: config_keys.GROUP_KEYS}
KEYS_OF_RESOURCE_MAX = 1000
"""More keys than any of Kafka's resources has: a broker's are not looked into, but they are bounded."""


def resource_of(entity: Entity) -> ConfigKey:
    """Kafka's type and name of an entity. Raises RefusedError (INVALID_REQUEST) for a kind that has no configs."""
    resource_type = RESOURCE_TYPES.get(entity.kind)
    if resource_type is None:
        raise refusals.invalid_request(
            f"{entity.kind}/{entity.name} has no configs: topic, broker, group and client-metrics have", key="entity"
        )
    return resource_type, entity.name


def _check_resource(state: State, stamp: Stamp, resource_type: int, name: str) -> None:
    if resource_type == BROKER_CONFIG:
        _check_broker(state, stamp, name)
        return
    if not name:
        raise refusals.invalid_request(f"{ENTITY_KINDS[resource_type]}/ has no name", key="entity")
    if resource_type == TOPIC_CONFIG:
        topic_control.check_name(name)
        topic_control.find(state, name)
    elif len(name) > 8_191 and len(name.encode("utf-8", "surrogatepass")) > config_keys.VALUE_SIZE_MAX:
        raise refusals.invalid_request(f"the name is longer than {config_keys.VALUE_SIZE_MAX} bytes", key="entity")


def _check_broker(state: State, stamp: Stamp, name: str) -> None:
    if not name:
        return  # the cluster's default
    if not (name.isascii() and name.isdigit() and len(name) <= 10):
        raise refusals.invalid_request(f"broker/{name}: a broker's id is a number", key="entity")
    broker_id = int(name)
    if (
        state.brokers.get(broker_id) is None
        and state.controllers.get(broker_id) is None
        and broker_id not in stamp.settings.controller_ids
    ):
        raise refusals.unknown_broker(broker_id, state.end_offset, state.broker_ids())


def set_configs(state: State, command: SetConfigs, stamp: Stamp) -> Decision:
    """CONFIG SET. A record for each value that changes; a broker's always: it then reads its files anew."""
    entity = command.entity
    resource = resource_type, name = resource_of(entity)
    _check_resource(state, stamp, resource_type, name)
    row = state.configs.get(resource) or ()
    values = command.values if len(command.values) == 1 else tuple(dict(command.values).items())
    known = KNOWN_KEYS.get(resource_type)
    if known is not None:
        for key, value in values:
            config_keys.check_value(known, entity.kind, key, value)
    elif resource_type == TOPIC_CONFIG:
        config_keys.check_topic({**{old.key: old.value for old in row}, **dict(values)})
    else:
        _check_unknown(row, values)
    if row and resource_type != BROKER_CONFIG:
        set_already = [(old.key, old.value) for old in row]
        values = tuple([pair for pair in values if pair not in set_already])
    return Decision([ConfigRecord(resource_type, name, key, value) for key, value in values], {})


def _check_unknown(row: ConfigsRow, values: tuple[tuple[str, str], ...]) -> None:
    """Brokers check their configs themselves; what no reader of the log could take is refused all the same."""
    for key, value in values:
        if not key:
            raise refusals.invalid_config(key, "a config without a name")
        config_keys.check_size(key, key)
        config_keys.check_size(key, value)
    count = len({old.key for old in row} | {key for key, _ in values})
    if count > KEYS_OF_RESOURCE_MAX:
        raise refusals.policy_violation(
            f"{count} configs of one resource, {KEYS_OF_RESOURCE_MAX} are allowed", limit=KEYS_OF_RESOURCE_MAX
        )


def delete_configs(state: State, command: DeleteConfigs, stamp: Stamp) -> Decision:
    """CONFIG DELETE: back to the default; nothing for a key that is not set."""
    resource = resource_type, name = resource_of(command.entity)
    _check_resource(state, stamp, resource_type, name)
    row: tuple[ConfigValue, ...] = state.configs.get(resource) or ()
    known = config_keys.TOPIC_KEYS if resource_type == TOPIC_CONFIG else KNOWN_KEYS.get(resource_type)
    is_set = {old.key for old in row}
    for key in command.keys:
        if known is not None and key not in known and key not in is_set:
            raise config_keys.unknown_key(known, command.entity.kind, key)
    if resource_type == TOPIC_CONFIG:
        config_keys.check_topic({old.key: old.value for old in row if old.key not in command.keys})
    records: list[Record] = [
        ConfigRecord(resource_type, name, key, None) for key in dict.fromkeys(command.keys) if key in is_set
    ]
    return Decision(records, {})
