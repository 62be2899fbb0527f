"""One log line for each thing that goes wrong with an address, however often it happens. PURE: time is passed in."""

from collections import OrderedDict

from yakt.ids import Instant

QUIET_S = 10.0
"""An address that was complained about is not complained about again for so long."""
ADDRESSES_MAX = 256


class Complaints:
    """Which addresses were complained about of late, and how often we have bitten our tongue since."""

    def __init__(self) -> None:
        self._recent: OrderedDict[str, tuple[Instant, int]] = OrderedDict()

    def admit(self, address: str, now: Instant) -> int | None:
        """None: say nothing now. Else speak up; the number is how many complaints were kept quiet before this one.

        Of more than ADDRESSES_MAX addresses the longest known is forgotten, so memory is bounded and a flood from
        that many costs a line each.
        """
        since, suppressed = self._recent.get(address, (None, 0))
        if since is not None and now - since < QUIET_S:
            self._recent[address] = (since, suppressed + 1)
            return None
        self._recent[address] = (now, 0)
        self._recent.move_to_end(address)
        if len(self._recent) > ADDRESSES_MAX:
            self._recent.popitem(last=False)
        return suppressed
