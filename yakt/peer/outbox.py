"""PURE. What is on its way out to one peer: whole frames in, chunks of bytes out, bounded in between.

Theory of operation: a frame put while nothing waits goes straight to the kernel, as far as that takes it; what is left,
and every frame behind it, waits for the connection's writing half. A started frame is always finished first. Of the
waiting, bulk (snapshot chunks) goes last, so a download never holds up a Fetch by more than one chunk. A full outbox
refuses: Raft asks again.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

Piece: TypeAlias = bytes | memoryview
Write: TypeAlias = Callable[[Sequence[Piece]], int]
"""Write without waiting; return how many bytes were taken, perhaps none. Raises OSError when the other side is gone."""

CHUNK_SIZE = 64 * 1024
"""What the writing half sends at a time, about: its progress is watched chunk by chunk."""
FRAMES_MAX = 16384
_PIECES_MAX = 512
"""Of one direct write; under every kernel's IOV_MAX."""


class Outbox:
    """Frames that wait for one connection: at most `bytes_max` bytes and FRAMES_MAX frames, or one of any size."""

    def __init__(self, bytes_max: int, write: Write | None = None) -> None:
        self.bytes_max = bytes_max
        self.queued = 0
        """Bytes that wait, the chunk in the writing half's hands not counted."""
        self.dropped = 0
        """Frames refused for want of room."""
        self._write = write
        self._writing = False
        self._started: deque[Piece] = deque()
        self._urgent: deque[Sequence[Piece]] = deque()
        self._bulk: deque[Sequence[Piece]] = deque()

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing is in the writing half's hands."""
        return not self.queued and not self._writing

    def put(self, pieces: Sequence[Piece], *, bulk: bool = False, join: bool = False) -> bool:
        """Send a frame, given in pieces, or let it wait; False if there is no room. Raises OSError as `Write` does.

        With `join` it waits for the writing half in any case, which sends all that waits in one go: for many small
        frames a turn.
        """
        size = sum(map(len, pieces))
        if self.is_idle:
            taken = self._write(pieces[:_PIECES_MAX]) if self._write is not None and not join else 0
            if taken == size:
                return True
            self._started.extend(_rest(pieces, taken))
            self.queued = size - taken
            return True
        if self.queued + size > self.bytes_max or len(self._urgent) + len(self._bulk) >= FRAMES_MAX:
            self.dropped += 1
            return False
        (self._bulk if bulk else self._urgent).append(pieces)
        self.queued += size
        return True

    def take(self) -> bytes:
        """The next chunk for the writing half, which has sent the one before; empty if nothing waits."""
        chunk: list[Piece] = []
        room = CHUNK_SIZE
        while room > 0 and self._start_next():
            piece = self._started.popleft()
            if len(piece) > room:
                view = memoryview(piece)
                self._started.appendleft(view[room:])
                piece = view[:room]
            chunk.append(piece)
            room -= len(piece)
        joined = b"".join(chunk)
        self.queued -= len(joined)
        self._writing = bool(joined)
        return joined

    def _start_next(self) -> bool:
        if not self._started:
            waiting = self._urgent or self._bulk
            if not waiting:
                return False
            self._started.extend(waiting.popleft())
        return True


def _rest(pieces: Sequence[Piece], taken: int) -> list[Piece]:
    """What is left of `pieces` after their first `taken` bytes."""
    for i, piece in enumerate(pieces):
        if taken < len(piece):
            return [memoryview(piece)[taken:] if taken else piece, *pieces[i + 1 :]]
        taken -= len(piece)
    return []
