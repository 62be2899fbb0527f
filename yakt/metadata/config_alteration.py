"""Decides Kafka's IncrementalAlterConfigs and AlterConfigs of one resource (controller.md §10)."""

from yakt.metadata import config_keys, refusals
from yakt.metadata.commands import AlterConfigs, ConfigChange
from yakt.metadata.config_control import KNOWN_KEYS, _check_resource, _check_unknown, resource_of
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.records import ConfigRecord, Record
from yakt.metadata.rows import BROKER_CONFIG, TOPIC_CONFIG, ConfigsRow
from yakt.metadata.state import State

BROKER_LISTS = frozenset(
    {
        "follower.replication.throttled.replicas",
        "leader.replication.throttled.replicas",
        "log.cleanup.policy",
        "metric.reporters",
        "sasl.enabled.mechanisms",
        "ssl.cipher.suites",
        "ssl.enabled.protocols",
    }
)
"""Configs of brokers that are lists and may change while they run."""


def alter(state: State, command: AlterConfigs, stamp: Stamp) -> Decision:
    """Checked as the whole that it leaves."""
    resource = resource_type, name = resource_of(command.entity)
    _check_resource(state, stamp, resource_type, name)
    row: ConfigsRow = state.configs.get(resource) or ()
    before = {old.key: old.value for old in row}
    after: dict[str, str] = {} if command.replace else dict(before)
    for change in {change.key: change for change in command.changes}.values():
        value = _value_after(resource_type, command.entity.kind, change, before.get(change.key))
        if value is None:
            after.pop(change.key, None)
        else:
            after[change.key] = value
    written = tuple((key, value) for key, value in after.items() if before.get(key) != value)
    if resource_type == TOPIC_CONFIG:
        config_keys.check_topic(after)
    elif (known := KNOWN_KEYS.get(resource_type)) is not None:
        for key, value in written:
            config_keys.check_value(known, command.entity.kind, key, value)
    else:
        # A broker reads its files anew whenever it is told of a config, even of one that stays (controller.md §10).
        written = tuple((change.key, after[change.key]) for change in command.changes if change.key in after)
        _check_unknown(row, written)
    records: list[Record] = [ConfigRecord(resource_type, name, key, value) for key, value in written]
    records += [ConfigRecord(resource_type, name, key, None) for key in before if key not in after]
    return Decision(records, {})


def _value_after(resource_type: int, noun: str, change: ConfigChange, before: str | None) -> str | None:
    """Raises RefusedError (INVALID_CONFIG) for list operations on what is no list."""
    if change.operation == "set":
        return change.value
    if change.operation == "delete":
        return None
    keys = config_keys.TOPIC_KEYS if resource_type == TOPIC_CONFIG else KNOWN_KEYS.get(resource_type, {})
    known = keys.get(change.key)
    if not (known.is_list if known is not None else resource_type == BROKER_CONFIG and change.key in BROKER_LISTS):
        raise refusals.invalid_config(change.key, f"{noun} config {change.key} is no list to {change.operation} to")
    if before is None:
        before = "" if known is None else known.default
    parts = config_keys.split_list(before)
    given = config_keys.split_list(change.value)
    if change.operation == "append":
        parts += [part for part in given if part not in parts]
    else:
        parts = [part for part in parts if part not in given]
    return ",".join(parts)
