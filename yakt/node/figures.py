"""What a node counts of itself, for whoever shows figures."""

import attrs

from yakt.node.driver import Driver
from yakt.node.flusher import Flusher
from yakt.node.histogram import Histogram


@attrs.frozen
class NodeFigures:
    """Live: each question is answered as of now."""

    _driver: Driver
    _flusher: Flusher

    @property
    def elections(self) -> int:
        """Times the leader changed, as seen here."""
        return self._driver.elections

    @property
    def commit_seconds(self) -> Histogram:
        """From a proposal to its commit, of those that this node made as the leader."""
        return self._driver.proposals.commit_seconds

    @property
    def fsync_seconds(self) -> Histogram:
        """Of each sync of the log."""
        return self._flusher.seconds
