"""Runs that wait: for the log to be applied up to where they wrote, or for a confirmation that the leader still leads.

Theory of operation. A confirmation is asked for by ticket, one a turn, and a confirmed ticket confirms all before it.
A run with a ticket waits in `_unconfirmed`, in the order of tickets; then, like every other, for an end offset in the
heap `_pending`. A run may be answered while it waits (a timeout): it is passed over, and dropped at the next clearing.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterator

from yakt.ids import Epoch
from yakt.node.runs import Reads, Run, Writes


class Waiting:
    """See the module's words. Knows no core and no image: what is applied and confirmed is told."""

    def __init__(self) -> None:
        self._pending: list[tuple[int, int, Run]] = []
        """Decided writes and confirmed reads by the end offset they wait for, and the order they came in: a heap."""
        self._unconfirmed: deque[Run] = deque()
        """Runs whose ticket is not confirmed yet, by ticket."""
        self._serial = 0
        self._ticket = 0
        self._ticket_asked = 0
        self._confirmed = 0
        self._confirmed_end = 0

    def __len__(self) -> int:
        return len(self._pending) + len(self._unconfirmed)

    def __iter__(self) -> Iterator[Run]:
        for _, _, run in self._pending:
            yield run
        yield from self._unconfirmed

    @property
    def reads_to_confirm(self) -> int:
        """How many runs of reads wait for a confirmation."""
        return sum(type(run) is Reads for run in self._unconfirmed)

    def until(self, end_offset: int, run: Run) -> None:
        """It waits until everything below `end_offset` is applied."""
        self._serial += 1
        heapq.heappush(self._pending, (end_offset, self._serial, run))

    def until_confirmed(self, run: Run) -> None:
        """It waits until its ticket is confirmed."""
        later: list[Run] = []
        while self._unconfirmed and self._unconfirmed[-1].ticket > run.ticket:
            later.append(self._unconfirmed.pop())
        self._unconfirmed.append(run)
        self._unconfirmed.extend(reversed(later))

    # --- confirmations

    def next_ticket(self) -> int:
        """One ticket a turn: everything of it waits for the same confirmation."""
        if self._ticket == self._ticket_asked:
            self._ticket += 1
        return self._ticket

    @property
    def has_ticket_to_ask(self) -> bool:
        """Whether a ticket was given out for which no confirmation has been asked."""
        return self._ticket_asked < self._ticket

    def take_ticket_to_ask(self) -> int:
        """The ticket given out in this turn; it counts as asked for."""
        self._ticket_asked = self._ticket
        return self._ticket

    def confirm(self, ticket: int, end_offset: int) -> None:
        """A majority has confirmed it: what was committed before it was asked lies below `end_offset`."""
        self._confirmed, self._confirmed_end = ticket, end_offset

    # --- who is through

    def confirmed(self) -> Iterator[Writes]:
        """Runs of writes whose ticket is confirmed, it being taken from them; reads go on to wait for its offset."""
        unconfirmed = self._unconfirmed
        while unconfirmed and unconfirmed[0].ticket <= self._confirmed:
            run = unconfirmed.popleft()
            if type(run) is Writes:
                run.ticket = 0
                yield run
            else:
                self.until(max(run.wait_end, self._confirmed_end), run)

    def applied(self, end_offset: int) -> Iterator[Run]:
        """Runs that waited for no more than `end_offset` and for no confirmation; not those answered meanwhile."""
        pending = self._pending
        while pending and pending[0][0] <= end_offset:
            run = heapq.heappop(pending)[2]
            if run.answered:
                continue
            if type(run) is Writes and run.ticket > self._confirmed:
                self.until_confirmed(run)
                continue
            run.ticket = 0
            yield run

    def take_unsure(self) -> list[Writes]:
        """Writes that wait for a confirmation, for which there is no use any more."""
        unsure = [run for run in self if type(run) is Writes and run.ticket]
        self._keep(lambda run: not (type(run) is Writes and run.ticket))
        return unsure

    def take_lost(self, applied: int, epoch: Epoch) -> list[Writes]:
        """Writes past `applied` that were decided before `epoch`, now that the log has reached it."""
        lost = [run for end, _, run in self._pending if type(run) is Writes and end > applied and run.epoch < epoch]
        self._pending = [
            entry
            for entry in self._pending
            if not (type(entry[2]) is Writes and entry[0] > applied and entry[2].epoch < epoch)
        ]
        heapq.heapify(self._pending)
        return lost

    def clear_answered(self) -> None:
        """Forget who was answered while it waited."""
        self._keep(lambda run: not run.answered)

    def _keep(self, is_kept: Callable[[Run], bool]) -> None:
        self._pending = [entry for entry in self._pending if is_kept(entry[2])]
        heapq.heapify(self._pending)
        self._unconfirmed = deque(run for run in self._unconfirmed if is_kept(run))
