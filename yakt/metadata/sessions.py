"""Broker sessions: the leader's soft state, never in the log. Knows no image and no clock; time is passed in.

A session is a deadline, not a poll: a heap holds one entry a broker, and an entry that lies before its broker's real
deadline is moved on when it comes up, so a heartbeat costs one dict entry.

Sessions run on **attended time**. A leader that stood still (stopped, swapped out, waiting for its disk, busy with a
long replay) has not heard what brokers sent meanwhile, so that stretch must not count against them. The leader looks
at least every `look_s`; of a gap between two looks no more than twice that counts, the rest is added to all sessions.
So overload never fences a broker that kept sending, and a dead one is found out late by as much as the leader slept.
"""

import heapq
import math

import attrs

from yakt.ids import Instant

LOOK_S_MAX = 1.0
LOOK_S_MIN = 0.02
LOOKS_A_SESSION = 8
"""As often as Kafka's controller looks for a stale broker."""


@attrs.define
class Session:
    """One broker's contact. `ends_at`, in attended time, is `length_s` after the last one.

    `applied_offset`: the last offset it said it has applied, inclusive. `shutdown_offset`: last record of what
    began its controlled shutdown, inclusive; None outside one, and after a failover until it asks again.
    """

    broker_id: int
    epoch: int
    ends_at: float
    length_s: float
    applied_offset: int = -1
    shutdown_offset: int | None = None


class Sessions:
    """Who has been heard of lately, and who is due to be fenced."""

    def __init__(self, now: Instant) -> None:
        self._sessions: dict[int, Session] = {}
        self._heap: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}
        self._looked_at: float = now
        self._missed_s = 0.0
        """How far attended time is behind: what the leader stood still in all."""
        self._shortest_s = math.inf
        """Of all sessions."""

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def look_s(self) -> float:
        """Seconds between two looks, at most."""
        return max(LOOK_S_MIN, min(LOOK_S_MAX, self._shortest_s / LOOKS_A_SESSION))

    def look(self, now: Instant) -> float:
        """The leader attends now; returns what it missed: how long it stood still before this, in seconds."""
        missed_s = self._missed_since_s(now)
        self._missed_s += missed_s
        self._looked_at = now
        return missed_s

    def _missed_since_s(self, now: Instant) -> float:
        return max(0.0, now - self._looked_at - 2 * self.look_s) if self._sessions else 0.0

    def get(self, broker_id: int, epoch: int) -> Session | None:
        """What is known of this registration; another epoch's session is none."""
        session = self._sessions.get(broker_id)
        return session if session is not None and session.epoch == epoch else None

    def left_s(self, broker_id: int, epoch: int, now: Instant) -> float:
        """Attended seconds until its session ends; 0 without one."""
        session = self.get(broker_id, epoch)
        if session is None:
            return 0.0
        return max(0.0, session.ends_at + self._missed_s + self._missed_since_s(now) - now)

    def touch(self, broker_id: int, epoch: int, now: Instant, length_ms: int) -> Session:
        """A heartbeat: the session lasts `length_ms` from now on."""
        self.look(now)
        session = self.get(broker_id, epoch)
        length_s = length_ms / 1000
        ends_at = now - self._missed_s + length_s
        if session is None:
            self.end(broker_id)
            session = self._sessions[broker_id] = Session(broker_id, epoch, ends_at, length_s)
        elif length_s > session.length_s == self._shortest_s:
            session.length_s = length_s
            self._find_shortest()
        session.ends_at, session.length_s = ends_at, length_s
        self._shortest_s = min(self._shortest_s, length_s)
        queued = self._queued.get(broker_id)
        if queued is None or queued > ends_at:
            self._queued[broker_id] = ends_at
            heapq.heappush(self._heap, (ends_at, broker_id))
        return session

    def contact(self, broker_id: int, epoch: int | None, now: Instant) -> None:
        """A heartbeat has arrived, and waits to be decided: its session, if it has one, is renewed already.

        `epoch` None: it goes by whichever its registration has.
        """
        self.look(now)
        session = self._sessions.get(broker_id)
        if session is not None and epoch in (None, session.epoch):
            session.ends_at = now - self._missed_s + session.length_s

    def end(self, broker_id: int) -> None:
        """Fenced, shut down or gone: nothing is known of it any more."""
        session = self._sessions.pop(broker_id, None)
        if session is not None and session.length_s == self._shortest_s:
            self._find_shortest()

    def _find_shortest(self) -> None:
        self._shortest_s = min((session.length_s for session in self._sessions.values()), default=math.inf)

    @property
    def deadline(self) -> Instant:
        """When to look again, whether or not the next session ends then; infinity while there is none."""
        if not self._sessions:
            return Instant(math.inf)
        return Instant(min(self._first_end() + self._missed_s, self._looked_at + self.look_s))

    def _first_end(self) -> float:
        heap, queued, sessions = self._heap, self._queued, self._sessions
        while heap:
            at, broker_id = heap[0]
            if queued.get(broker_id) != at:  # superseded by an earlier entry of the same broker
                heapq.heappop(heap)
                continue
            session = sessions.get(broker_id)
            if session is None:
                heapq.heappop(heap)
                del queued[broker_id]
            elif session.ends_at > at:
                queued[broker_id] = session.ends_at
                heapq.heapreplace(heap, (session.ends_at, broker_id))
            else:
                return at
        return math.inf

    def expire(self, now: Instant) -> Session | None:
        """One session that is over, forgotten with this; None when there is no more."""
        self.look(now)
        if self._first_end() + self._missed_s > now:  # summed as `deadline` is: it must not come up in vain
            return None
        _, broker_id = heapq.heappop(self._heap)
        del self._queued[broker_id]
        session = self._sessions[broker_id]
        self.end(broker_id)
        return session
