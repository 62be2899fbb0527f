"""Broker sessions: the leader's soft state, never in the log. Knows no image and no clock; time is passed in.

A session is a deadline, not a poll: a heap holds one entry a broker, and an entry that lies before its broker's real
deadline is moved on when it comes up, so a heartbeat costs one dict entry.
"""

import heapq
import math

import attrs

from yakt.ids import Instant


@attrs.define
class Session:
    """One broker's contact. `ends_at` None: it has none now, only what is known of it is kept.

    `applied_offset`: the last offset it said it has applied, inclusive. `shutdown_offset`: last record of what
    began its controlled shutdown, inclusive; None outside one, and after a failover until it asks again.
    """

    broker_id: int
    epoch: int
    ends_at: Instant | None
    applied_offset: int = -1
    shutdown_offset: int | None = None


class Sessions:
    """Who has been heard of lately, and who is due to be fenced."""

    def __init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._heap: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def get(self, broker_id: int, epoch: int) -> Session | None:
        """What is known of this registration; another epoch's session is none."""
        session = self._sessions.get(broker_id)
        return session if session is not None and session.epoch == epoch else None

    def is_live(self, broker_id: int, epoch: int, now: Instant) -> bool:
        session = self.get(broker_id, epoch)
        return session is not None and session.ends_at is not None and session.ends_at > now

    def touch(self, broker_id: int, epoch: int, now: Instant, length_ms: int) -> Session:
        """A heartbeat: the session lasts `length_ms` from now on."""
        session = self.get(broker_id, epoch)
        ends_at = Instant(now + length_ms / 1000)
        if session is None:
            session = self._sessions[broker_id] = Session(broker_id, epoch, ends_at)
        session.ends_at = ends_at
        queued = self._queued.get(broker_id)
        if queued is None or queued > ends_at:
            self._queued[broker_id] = ends_at
            heapq.heappush(self._heap, (ends_at, broker_id))
        return session

    def end(self, broker_id: int) -> None:
        """Fenced, shut down or gone: nothing is known of it any more."""
        self._sessions.pop(broker_id, None)

    @property
    def deadline(self) -> Instant:
        """When the next session ends; infinity while there is none."""
        heap, queued, sessions = self._heap, self._queued, self._sessions
        while heap:
            at, broker_id = heap[0]
            if queued.get(broker_id) != at:  # superseded by an earlier entry of the same broker
                heapq.heappop(heap)
                continue
            session = sessions.get(broker_id)
            if session is None or session.ends_at is None:
                heapq.heappop(heap)
                del queued[broker_id]
            elif session.ends_at > at:
                queued[broker_id] = session.ends_at
                heapq.heapreplace(heap, (session.ends_at, broker_id))
            else:
                return Instant(at)
        return Instant(math.inf)

    def expire(self, now: Instant) -> Session | None:
        """One session that is over, forgotten with this; None when there is no more."""
        if self.deadline > now:
            return None
        _, broker_id = heapq.heappop(self._heap)
        del self._queued[broker_id]
        return self._sessions.pop(broker_id)
