"""Decides about the levels of features (controller.md §9, KIP-584): all that one command names, or none."""

from yakt.metadata import refusals
from yakt.metadata.commands import FeatureChange, SetFeatures
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.features import KRAFT_VERSION, OFF, SUPPORTED, Levels
from yakt.metadata.records import FeatureLevelRecord, Record, RegisterControllerRecord
from yakt.metadata.state import State


def set_levels(state: State, command: SetFeatures, stamp: Stamp) -> Decision:
    """FEATURE SET, UpdateFeatures: a record for each level that changes; kraft.version is for the quorum to write.

    Between the levels of metadata.version that YAKt supports no record changes: nothing is lost on the way down.
    """
    records: list[Record] = []
    kraft_version = 0
    seen: set[str] = set()
    for change in command.changes:
        name = change.name
        if name in seen:
            raise refusals.invalid_request(f"feature {name} is named twice", feature=name)
        seen.add(name)
        level = level_of(state, name)
        _check(state, change, level, stamp)
        if change.level == level:
            continue
        if name == KRAFT_VERSION:
            kraft_version = change.level
        else:
            records.append(FeatureLevelRecord(name, change.level))
    if kraft_version and records:
        why = "It is a record of the quorum's own, and no part of another operation: ask for it by itself."
        raise refusals.invalid_feature_update(KRAFT_VERSION, kraft_version, why)
    return Decision(records, {}, kraft_version=kraft_version)


def level_of(state: State, name: str) -> int:
    """The level in force; 0 is a feature that is off."""
    if name == KRAFT_VERSION:
        return state.kraft_version
    row = state.features.get(name)
    return 0 if row is None else row.level


def _check(state: State, change: FeatureChange, level: int, stamp: Stamp) -> None:
    """In Kafka's order. Raises RefusedError."""
    why = None
    if change.level < 0:
        why = "A feature version cannot be less than 0."
    else:
        why = _why_not_supported(state, change.name, change.level, stamp)
    if why is None and change.level < level:
        if change.name == KRAFT_VERSION:
            why = f"There is no way back from level {level}."
        elif not change.downgrade:
            why = "Can't downgrade the version of this feature without a safe or unsafe downgrade being asked for."
    elif why is None and change.level > level and change.downgrade:
        why = "Can't downgrade to a newer version."
    if why is None and change.name == KRAFT_VERSION and change.level > level:
        missing = stamp.missing_voters(change.level)
        if missing:
            voters = ", ".join(map(str, missing))
            why = f"Of voter {voters} is not known yet where brokers reach it, and that it can read the level."
    if why is not None:
        raise refusals.invalid_feature_update(change.name, change.level, why)


def _why_not_supported(state: State, name: str, level: int, stamp: Stamp) -> str | None:
    """Who of this node, the brokers and the other controllers cannot do it; a controller that has not said so, too."""
    own = stamp.settings.node_id
    ours = SUPPORTED.get(name)
    if ours is None:
        return f"Local controller {own} does not support this feature."
    if level not in ours:
        return f"Local controller {own} only supports versions {ours.least}-{ours.most}."
    for broker in state.brokers.rows():
        found = [
            Levels(one.min_supported_version, one.max_supported_version) for one in broker.features if one.name == name
        ]
        if level not in (found[0] if found else OFF):
            return _too_old(f"Broker {broker.id}", found)
    registered = {own}
    for row in state.controllers.rows():
        record = row.record
        assert isinstance(record, RegisterControllerRecord)
        registered.add(record.controller_id)
        found = [
            Levels(one.min_supported_version, one.max_supported_version) for one in record.features if one.name == name
        ]
        if level not in (found[0] if found else OFF):
            return _too_old(f"Controller {record.controller_id}", found)
    for controller_id in sorted(stamp.settings.controller_ids - registered):
        return f"Controller {controller_id} has not registered, and may not support this feature."
    return None


def _too_old(who: str, found: list[Levels]) -> str:
    if not found or found[0] == OFF:
        return f"{who} does not support this feature."
    return f"{who} only supports versions {found[0].least}-{found[0].most}."
