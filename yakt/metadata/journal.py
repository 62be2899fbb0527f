"""The newest changes of an image, in commit order: what FETCH, VIEW and WATCH are answered from. Bounded."""

from bisect import bisect_left
from collections.abc import Sequence

from yakt.metadata import refusals
from yakt.metadata.tables import Change

CHANGES_MAX = 65_536
WEIGHT_MAX = 64 << 20
"""About the bytes of values that old changes may keep alive."""


class Journal:
    """Changes at `start_offset` and above, complete; older ones are dropped, a quarter at a time."""

    __slots__ = ("_weight", "changes", "recording", "start_offset")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.start_offset = 0
        self.recording = True
        self._weight = 0

    def extend(self, changes: Sequence[Change]) -> None:
        """Take in a batch's changes of watched tables, in commit order."""
        if not self.recording:
            return
        self.changes += changes
        self._weight += sum([change.weight for change in changes])
        while len(self.changes) > CHANGES_MAX or self._weight > WEIGHT_MAX:
            self._drop(max(1, len(self.changes) // 4))

    def _drop(self, count: int) -> None:
        dropped = self.changes[:count]
        del self.changes[:count]
        self._weight -= sum(change.weight for change in dropped)
        self.start_offset = dropped[-1].offset + 1  # what is left of that offset is not the whole of it

    def begin_at(self, offset: int) -> None:
        """Nothing below `offset` is known as changes: the image was loaded whole."""
        self.changes.clear()
        self._weight = 0
        self.start_offset = offset

    def position(self, since: int) -> int:
        """Where in `changes` those at or past offset `since` begin."""
        return bisect_left(self.changes, since, key=lambda change: change.offset)

    def since(self, offset: int, count_max: int | None = None) -> Sequence[Change]:
        """Changes at or past `offset`, oldest first, at most `count_max`; a list of the moment.

        With `count_max` an offset's changes are cut apart at most at its end. Raises RefusedError (OFFSET_COMPACTED).
        """
        if offset < self.start_offset:
            raise refusals.offset_compacted(self.start_offset)
        start = self.position(offset)
        if count_max is None or start + count_max >= len(self.changes):
            return self.changes[start:]
        end = start + count_max
        while end < len(self.changes) and self.changes[end].offset == self.changes[end - 1].offset:
            end += 1
        return self.changes[start:end]
