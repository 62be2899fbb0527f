"""How a stock broker takes what a controller sends: the kinds that must be told apart (controller-contract.md §6)."""

import attrs


class DiedError(Exception):
    """A broker's process would end here."""


class BrokenChannelError(Exception):
    """A body or a correlation id that ends a channel's thread: the broker lives on, fenced for good (trap 32)."""


@attrs.define
class Diary:
    """What one broker went through."""

    died: str | None = None
    zombie: str | None = None
    stands_still: str | None = None
    """Why the last answer brought it nothing though it should have; None once one does."""
    logged: list[str] = attrs.Factory(list)
    """Faults that it logs and goes on from."""
    unnoticed: list[str] = attrs.Factory(list)
    """What a broker does not see, and no controller may do."""

    @property
    def verdict(self) -> str:
        """`lives`, or the worst that happened."""
        if self.died is not None:
            return f"dies: {self.died}"
        if self.zombie is not None:
            return f"zombie: {self.zombie}"
        if self.stands_still is not None:
            return f"stands still: {self.stands_still}"
        if self.logged:
            return f"logs and goes on: {self.logged[0]}"
        if self.unnoticed:
            return f"does not notice: {self.unnoticed[0]}"
        return "lives"
