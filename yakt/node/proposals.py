"""What a leader appends: its controller's decisions as sealed batches, and what its core writes of the quorum between
them; with how long each batch of data took to be committed."""

from collections import deque
from collections.abc import Callable

from yakt.batch import RecordBatch
from yakt.ids import Instant
from yakt.metadata.active import ActiveController, QuorumRecords
from yakt.node.histogram import Histogram
from yakt.node.surroundings import Disk
from yakt.raft import events
from yakt.raft.core import RaftCore
from yakt.wire.batch import seal


class Proposals:
    """`take` steps the core and carries out what it says; `now` is the time, monotonic."""

    def __init__(
        self, core: RaftCore, disk: Disk, take: Callable[[events.Event], None], now: Callable[[], Instant]
    ) -> None:
        self.commit_seconds = Histogram()
        """From a proposal to its commit, of each that this node made as the leader."""
        self._core = core
        self._disk = disk
        self._take = take
        self._now = now
        self._open: deque[tuple[int, Instant]] = deque()
        """By end offset, when; what is not committed."""

    def append_turn(self, active: ActiveController, now_ms: int) -> None:
        """Give the core all that was decided and not given yet, each record at the offset it was decided for."""
        core = self._core
        for values in active.take_batches():
            if isinstance(values, QuorumRecords):
                end_offset = core.log_end_offset + values.count
                self._take(events.QuorumRecordsAsked(values.kraft_version))
                assert core.log_end_offset == end_offset, "the core wrote other records than were decided"
                continue
            crc, body = seal(values, now_ms)
            base_offset = core.log_end_offset
            self._disk.offer(RecordBatch(base_offset, core.epoch, len(values), crc, body))
            self._open.append((base_offset + len(values), self._now()))
            self._take(events.Proposed(base_offset, len(values), crc, body))
        if core.owes_records:
            self._append_quorum_records(active)

    def _append_quorum_records(self, active: ActiveController) -> None:
        """They stand between two batches of data, and take offsets that the controller must not decide for."""
        core = self._core
        base_offset = core.log_end_offset
        self._take(events.QuorumRecordsAsked())
        count = core.log_end_offset - base_offset
        if count:
            active.skip(count, core.voters.kraft_version)

    def committed(self, high_watermark: int) -> None:
        """Everything below is committed."""
        proposed = self._open
        if proposed and proposed[0][0] <= high_watermark:
            now = self._now()
            while proposed and proposed[0][0] <= high_watermark:
                self.commit_seconds.observe(now - proposed.popleft()[1])

    def forget(self) -> None:
        """Leadership is gone: what is open is no longer ours to time."""
        self._open.clear()
