"""Who leads, told from what the nodes say of themselves: STATUS in, lines for people out. Pure."""

from collections.abc import Iterator, Mapping

import attrs

from yakt.ids import Epoch, Instant, NodeId


@attrs.frozen
class Standing:
    """What one node's STATUS says: its role, whom it takes for the leader, and the epoch of that."""

    role: str
    leader: NodeId | None
    epoch: Epoch


@attrs.define
class Elections:
    """The newest leader known, and since when there has been none; fed with what all nodes last said."""

    leader: NodeId | None = None
    epoch: Epoch = Epoch(0)
    _lost_at: Instant | None = None

    def lost(self, node: NodeId, now: Instant) -> None:
        """A node stopped answering: if it led, the time without a leader begins."""
        if node == self.leader:
            self.leader = None
            self._lost_at = now

    def observe(self, standings: Mapping[NodeId, Standing], now: Instant) -> Iterator[str]:
        """Take in what the nodes that answer have said; what is new in it."""
        leading = [(standing.epoch, node) for node, standing in standings.items() if standing.role == "leader"]
        epoch, leader = max(leading, default=(Epoch(-1), None))
        newest = max((standing.epoch for standing in standings.values()), default=Epoch(0))
        if leader is not None and epoch >= newest:
            if (epoch, leader) != (self.epoch, self.leader):
                yield self._elected(leader, epoch, now)
                self.leader, self.epoch, self._lost_at = leader, epoch, None
        elif self.leader is not None and not any(standing.leader == self.leader for standing in standings.values()):
            yield f"node {self.leader} leads no more (epoch {self.epoch})"
            self.lost(self.leader, now)

    def _elected(self, leader: NodeId, epoch: Epoch, now: Instant) -> str:
        if leader == self.leader or self.epoch == 0:
            return f"node {leader} leads, epoch {epoch}"
        if epoch == self.epoch:  # one leader an epoch: nobody was elected, it was slow to say so
            return f"node {leader} leads, epoch {epoch}: it answers again"
        if self._lost_at is None:
            return f"node {leader} leads, epoch {epoch}: it has taken over"
        return f"node {leader} leads, epoch {epoch}: elected after {now - self._lost_at:.2f} s without a leader"
