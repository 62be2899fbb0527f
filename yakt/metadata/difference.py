"""What a range of the log comes to: of each thing how it was before, and how it is after, from the changes alone."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from yakt.metadata.answers import Row
from yakt.metadata.describe import describe, is_shown
from yakt.metadata.feed import VIEW_KINDS
from yakt.metadata.rows import TOPIC_CONFIG, ConfigValue, PartitionRow, TopicRow
from yakt.metadata.tables import Change

Name: TypeAlias = tuple[str, Any, str]
"""Kind, key, and the part of a config; a partition by its topic's name, which another topic may have had before."""

Placed: TypeAlias = tuple[int, int, Change]
"""The offset of a thing's last change that is told, its place among those of that offset, and the change itself."""

_OFFSETS = ("offset", "registered_offset", "created_offset")


class Net:
    """Takes the changes of a range in their order, and keeps two rows a thing, whatever happened in between."""

    def __init__(self, since: int) -> None:
        self._since = since
        self._before: dict[Name, Any] = {}
        self._last: dict[Name, Change] = {}
        self._place: dict[Name, int] = {}
        """Which change, counted, gave each its offset: several of one offset are told in that order."""
        self._count = 0
        self._ended: dict[str, Change] = {}
        """Of topics that were there before and have ended, the end of what they were."""

    def __len__(self) -> int:
        return len(self._last)

    def add(self, changes: Iterable[Change]) -> None:
        """Further changes, in commit order."""
        for whole in changes:
            for change in _parts(whole):
                name = _name(change)
                if name not in self._before:
                    self._before[name] = _value(change.old, change.part)
                self._last[name] = change
                self._count += 1
                if _offset_of(change) == change.offset:
                    self._place[name] = self._count
                if change.kind == "topic" and change.row is None and change.old.created_offset < self._since:
                    self._ended[change.key] = change

    def fetched(self, *, view: bool) -> Iterator[Placed]:
        """What FETCH or VIEW tells whoever knows the state before: all that changed, in no order."""
        for name, change in self._last.items():
            if change.gone and (change.quiet or self._is_implied(change)):
                continue
            if not view or change.kind in VIEW_KINDS:
                yield self._placed(name)
        # A topic that was deleted and made again is another one: who knew the old must hear of its end, in its place.
        for topic, end in self._ended.items():
            if not self._last["topic", topic, ""].gone:
                yield end.offset, 0, end

    def differing(self) -> Iterator[Placed]:
        """What DIFF tells: only what differs, as it is in the later state; in no order."""
        for name, change in self._last.items():
            if self._differs(name, change):
                yield self._placed(name)

    def _placed(self, name: Name) -> Placed:
        change = self._last[name]
        return _offset_of(change), self._place.get(name, 0), change

    def _differs(self, name: Name, change: Change) -> bool:
        before, after = self._before[name], None if change.gone else _value(change.row, change.part)
        before, after = _shown(before), _shown(after)
        if after is None and self._is_implied(change):
            return False
        return bool(_bare(before) != _bare(after))

    def _is_implied(self, change: Change) -> bool:
        """Whether the topic of a partition or config is there no more: all that it had is gone with it."""
        match change.kind:
            case "partition":
                topic = _name(change)[1][0]
            case "config" if change.key[0] == TOPIC_CONFIG:
                topic = change.key[1]
            case _:
                return False
        last = self._last.get(("topic", topic, ""))
        return last is not None and last.gone


def _offset_of(change: Change) -> int:
    """A topic's own: the partitions that were made with it do not count as changes of it."""
    return change.row.offset if isinstance(change.row, TopicRow) else change.offset


def _name(change: Change) -> Name:
    row = change.old if change.row is None else change.row
    return change.kind, (row.topic, row.partition) if isinstance(row, PartitionRow) else change.key, change.part


def _parts(change: Change) -> Iterator[Change]:
    """A change of one thing each: with a topic, its configs go together."""
    if change.kind == "config" and not change.part:
        for value in change.old or ():
            yield msgspec.structs.replace(change, part=value.key)
    else:
        yield change


def _value(row: Any, part: str) -> Any:
    if not part:
        return row
    return next((value for value in row or () if value.key == part), None)


def _shown(row: Any) -> Any:
    return None if isinstance(row, PartitionRow) and not is_shown(row) else row


def _bare(row: Any) -> Any:
    """Without when it changed: that alone is no difference."""
    if row is None:
        return None
    if isinstance(row, ConfigValue):
        return row.value
    return msgspec.structs.replace(row, **{name: 0 for name in _OFFSETS if hasattr(row, name)})


def row_of(placed: Placed) -> Row:
    """The thing as FETCH gives it, or its key with `deleted=true`."""
    offset, _, change = placed
    return Row(change.kind, {"offset": offset, **describe(change)})
