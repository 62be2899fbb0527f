"""Rows by key, three ways: the image's own (changed in place), laid over it (not yet committed), pinned (as it was).

`put` of any of them makes a `Change`. An image's table applies it at once; an overlay keeps it until its offset is
committed, and then the very same change is applied to the image: nothing is decoded or worked out twice.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from yakt.metadata.acls import resource_text
from yakt.metadata.rows import entity_name, quota_name

K = TypeVar("K")
R = TypeVar("R")


class Change(msgspec.Struct, gc=False):
    """One row before and after the record at `offset`; `row` None: gone, `old` None: new.

    `part` names the config key that changed (a resource's configs are one row). `hashed` is what the change adds to the
    image's hash. `gone`: the entity (that part, if one is named) is there no more. `quiet`: goes without saying
    (partitions and configs of a deleted topic). `weight`: about the bytes it keeps alive.
    """

    offset: int
    table: "Table[Any, Any]"
    key: Any
    row: Any
    old: Any
    part: str = ""
    hashed: int = 0
    quiet: bool = False
    gone: bool = False
    weight: int = 0

    @property
    def kind(self) -> str:
        """What a data line calls the entity: broker, topic, partition, config, feature, producer, quota, scram, …."""
        noun: str = self.table.noun
        return noun

    @property
    def name(self) -> str:
        """The entity as a command names it: an id, a topic's name, `topic:partition`, `kind/name` of a config.

        A quota as `user/alice:producer_byte_rate`, a credential by its user, an ACL by its resource.
        """
        key = self.key
        match self.kind:
            case "partition":
                row = self.old if self.row is None else self.row
                return f"{row.topic}:{row.partition}"
            case "config":
                return entity_name(key)
            case "quota":
                return quota_name(key)
            case "scram":
                return str(key[0])
            case "acl":
                return resource_text((self.old if self.row is None else self.row).record)
            case _:
                return str(key)


class Rows(ABC, Generic[K, R]):
    """What `decide`, `replay` and the queries see of a table, whichever of the three it is."""

    __slots__ = ()

    @abstractmethod
    def get(self, key: K) -> R | None: ...

    @abstractmethod
    def all_keys(self) -> Collection[K]:
        """In no order; may be the live keys, so not to be held over a change."""

    @abstractmethod
    def put(
        self,
        key: K,
        row: R | None,
        offset: int,
        *,
        part: str = "",
        quiet: bool = False,
        gone: bool = False,
        weight: int = 0,
        hashed: int | None = None,
    ) -> None:
        """Set a row, or with None take it away, as the record at `offset` has it. `gone`: it is `part` that goes.

        `hashed`: what it adds to the hash, where that is known; else it is worked out.
        """

    @abstractmethod
    def changed_offset(self, key: K) -> int | None:
        """Of the last change of this key as far as that is known, removals included; None: nothing is known."""

    @abstractmethod
    def newest_offset(self) -> int:
        """Of the last change of any key, as far as that is known, removals included; -1: of none."""

    def __len__(self) -> int:
        return len(self.all_keys())

    def sorted_keys(self) -> list[K]:
        """In order. The table's own list: not to be changed, nor held over a change."""
        return sorted(self.all_keys())  # type: ignore[type-var]

    def rows(self) -> Iterable[R]:
        """In the order of their keys; the table must not change meanwhile."""
        for key in self.sorted_keys():
            row = self.get(key)
            assert row is not None
            yield row


RowHash = Callable[[Any, Any, str], int]
"""Hash of a row: its key, itself, and the part of it that is meant."""
HASH_MASK = (1 << 64) - 1
GONE_MAX = 65_536


class Table(Rows[K, R]):
    """One noun of the image. `noun` is what a data line calls it; `watched`: its changes are told to others."""

    __slots__ = ("_gone", "_order", "get", "hash_of", "items", "noun", "on_change", "watched")

    # An instance attribute shadows the abstract method: the dict's own `get`, one call less on the hot path.
    get: Callable[[K], R | None]  # type: ignore[assignment]

    def __init__(
        self, noun: str, on_change: Callable[[Change], None], *, hash_of: RowHash | None = None, watched: bool = False
    ) -> None:
        self.noun = noun
        self.items: dict[K, R] = {}
        self.get = self.items.get
        self.on_change = on_change
        self.hash_of = hash_of
        self.watched = watched
        self._order: list[K] | None = None
        self._gone: dict[tuple[K, str], int] = {}

    def all_keys(self) -> Collection[K]:
        return self.items.keys()

    def __len__(self) -> int:
        return len(self.items)

    def put(
        self,
        key: K,
        row: R | None,
        offset: int,
        *,
        part: str = "",
        quiet: bool = False,
        gone: bool = False,
        weight: int = 0,
        hashed: int | None = None,
    ) -> None:
        old = self.items.get(key)
        if hashed is None:
            hashed = self.hashed(key, old, row, part)
        self.on_change(Change(offset, self, key, row, old, part, hashed, quiet, gone or row is None, weight))

    def hashed(self, key: K, old: R | None, row: R | None, part: str) -> int:
        """What the hash of the image gains by this change."""
        hashed = 0
        if self.hash_of is not None:
            if row is not None:
                hashed = self.hash_of(key, row, part)
            if old is not None:
                hashed -= self.hash_of(key, old, part)
        return hashed

    def apply(self, change: Change) -> None:
        """Carry out a change made by this table or an overlay of it."""
        key, row = change.key, change.row
        if row is not None:
            self.items[key] = row
            if change.old is None and self._order is not None:
                insort(self._order, key)
        elif self.items.pop(key, None) is not None and self._order is not None:
            del self._order[bisect_left(self._order, key)]
        if change.gone:
            self._bury(key, change.part, change.offset)
        elif self._gone:
            self._gone.pop((key, change.part), None)

    def _bury(self, key: K, part: str, offset: int) -> None:
        gone = self._gone
        if len(gone) >= GONE_MAX:
            gone = self._gone = dict(list(gone.items())[GONE_MAX // 2 :])
        gone[key, part] = offset
        if part:
            gone[key, ""] = offset

    def gone_offset(self, key: K, part: str) -> int | None:
        """When this was removed, if it is not there and the removal is still known (the newest are)."""
        return self._gone.get((key, part))

    def changed_offset(self, key: K) -> int | None:
        row, gone = self.items.get(key), self._gone.get((key, ""))
        if row is None:
            return gone
        changed = _offset_of(row)
        return changed if gone is None else max(changed, gone)

    def newest_offset(self) -> int:
        return max(max(map(_offset_of, self.items.values()), default=-1), max(self._gone.values(), default=-1))

    def sorted_keys(self) -> list[K]:
        if self._order is None:
            self._order = sorted(self.items)  # type: ignore[type-var]
        return self._order


def _offset_of(row: Any) -> int:
    """A row's last change; a resource's configs are a tuple of values that carry one each."""
    if type(row) is tuple:
        return max(int(value.offset) for value in row)
    offset: int = row.offset
    return offset


class Overlay(Rows[K, R]):
    """What is decided and not committed, over a table of the image. `on_change` keeps the changes in order."""

    __slots__ = ("base", "on_change", "over")

    def __init__(self, base: Table[K, R], on_change: Callable[[Change], None]) -> None:
        self.base = base
        self.over: dict[K, Change] = {}
        self.on_change = on_change

    def get(self, key: K) -> R | None:
        change = self.over.get(key)
        if change is None:
            return self.base.items.get(key)
        row: R | None = change.row
        return row

    def all_keys(self) -> Collection[K]:
        over = self.over
        if not over:
            return self.base.items.keys()
        present = {key for key, change in over.items() if change.row is not None}
        present.update(key for key in self.base.items if key not in over)
        return present

    def put(
        self,
        key: K,
        row: R | None,
        offset: int,
        *,
        part: str = "",
        quiet: bool = False,
        gone: bool = False,
        weight: int = 0,
        hashed: int | None = None,
    ) -> None:
        base = self.base
        known = self.over.get(key)
        old = base.items.get(key) if known is None else known.row
        if hashed is None:
            hashed = base.hashed(key, old, row, part)
        change = Change(offset, base, key, row, old, part, hashed, quiet, gone or row is None, weight)
        self.over[key] = change
        self.on_change(change)

    def changed_offset(self, key: K) -> int | None:
        change = self.over.get(key)
        return change.offset if change is not None else self.base.changed_offset(key)

    def newest_offset(self) -> int:
        return max((change.offset for change in self.over.values()), default=self.base.newest_offset())

    def sorted_keys(self) -> list[K]:
        return self.base.sorted_keys() if not self.over else super().sorted_keys()


class PinnedRows(Rows[K, R]):
    """A table as it was when it was pinned: the image saves each old row here before the first change of it."""

    __slots__ = ("base", "saved")

    def __init__(self, base: Table[K, R]) -> None:
        self.base = base
        self.saved: dict[K, R | None] = {}

    def get(self, key: K) -> R | None:
        return self.saved[key] if key in self.saved else self.base.items.get(key)

    def all_keys(self) -> Collection[K]:
        saved = self.saved
        if not saved:
            return list(self.base.items)
        present = [key for key in self.base.items if key not in saved]
        present.extend(key for key, row in saved.items() if row is not None)
        return present

    def put(
        self,
        key: K,
        row: R | None,
        offset: int,
        *,
        part: str = "",
        quiet: bool = False,
        gone: bool = False,
        weight: int = 0,
        hashed: int | None = None,
    ) -> None:
        raise TypeError("a pinned version of the image does not change")

    def changed_offset(self, key: K) -> int | None:
        row = self.get(key)
        return None if row is None else _offset_of(row)

    def newest_offset(self) -> int:
        return max((_offset_of(row) for row in self.rows()), default=-1)


class CopiedRows(Rows[K, R]):
    """A small table that forgets by itself, pinned by copying it."""

    __slots__ = ("items",)

    def __init__(self, base: Table[K, R]) -> None:
        self.items = dict(base.items)

    def get(self, key: K) -> R | None:
        return self.items.get(key)

    def all_keys(self) -> Collection[K]:
        return self.items.keys()

    def put(
        self,
        key: K,
        row: R | None,
        offset: int,
        *,
        part: str = "",
        quiet: bool = False,
        gone: bool = False,
        weight: int = 0,
        hashed: int | None = None,
    ) -> None:
        raise TypeError("a pinned version of the image does not change")

    def changed_offset(self, key: K) -> int | None:
        row = self.items.get(key)
        return None if row is None else _offset_of(row)

    def newest_offset(self) -> int:
        return max(map(_offset_of, self.items.values()), default=-1)
