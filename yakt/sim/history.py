"""What clients were told, held against what is committed: S16 AckedNotLost and S17 LinearizableRead.

A write is acknowledged and a read answered when the node says so, which is before the client hears it: the check is
stricter than any client could be, and needs no search, since every answer carries its offset.
"""

from yakt.errors import ViolationError
from yakt.ids import Offset
from yakt.sim.checker import Checker
from yakt.sim.machine import Request


class History:
    """All answers of a run so far."""

    def __init__(self, checker: Checker) -> None:
        self.checker = checker
        self.acknowledged = 0
        self.read = 0
        self.newest = Offset(-1)
        """The largest offset that was acknowledged."""

    def begun(self) -> Offset:
        """A client begins an operation: what it does must come after this offset, already acknowledged to someone."""
        return self.newest

    def written(self, request: Request, offset: Offset, begun: Offset) -> None:
        """A node says that `request`, which a client first made at `begun`, lies committed at `offset`."""
        self.acknowledged += 1
        checker = self.checker
        lies_at = checker.requests.get(request)
        if lies_at != offset or offset >= checker.committed_end:
            raise ViolationError(
                "S16 AckedNotLost",
                f"request {request} is acknowledged at {offset}; committed below {checker.committed_end}, at {lies_at}",
            )
        if offset <= begun:
            raise ViolationError(
                "S17 LinearizableRead", f"write {request} at {offset} began after {begun} had been acknowledged"
            )
        self.newest = max(self.newest, offset)

    def answered(self, node: int, end_offset: Offset, begun: Offset) -> None:
        """A node answers a read, begun at `begun`, from the state below `end_offset`."""
        self.read += 1
        if end_offset <= begun:
            raise ViolationError(
                "S17 LinearizableRead",
                f"node {node} reads the state below {end_offset}, though {begun} was acknowledged before it began",
            )
