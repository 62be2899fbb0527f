"""Length-prefixed frames: an int32 of how many bytes follow, then those; knows nothing of what they say."""

import struct
from collections.abc import Iterable, Sequence

from yakt.errors import RemoteProtocolError

LENGTH_SIZE = 4
_LENGTH = struct.Struct(">i")


class FrameDecoder:
    """Cuts a stream of bytes into frames.

    A length below 0 or over `size_max` (bytes, the length itself not counted) raises RemoteProtocolError as soon as
    its four bytes are there; no more than one frame and what came with it is ever held.
    """

    def __init__(self, size_max: int) -> None:
        self.size_max = size_max
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take in what was received; return the frames it completes, without their lengths.

        Raises RemoteProtocolError for a bad length: frames before it in the same bytes are lost with the connection.
        """
        rest = self._rest
        if rest:
            rest += data
            size = self._size(rest, 0)
            if size is None or len(rest) < LENGTH_SIZE + size:
                return []
            data = bytes(rest)
            rest.clear()
        frames = []
        position = 0
        while (size := self._size(data, position)) is not None:
            end = position + LENGTH_SIZE + size
            if end > len(data):
                break
            frames.append(data[position + LENGTH_SIZE : end])
            position = end
        rest += data[position:]
        return frames

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not yet whole."""
        return len(self._rest)

    def _size(self, data: bytes | bytearray, position: int) -> int | None:
        """The length at `position`, None when it is not whole yet."""
        if len(data) - position < LENGTH_SIZE:
            return None
        size: int = _LENGTH.unpack_from(data, position)[0]
        if not 0 <= size <= self.size_max:
            raise RemoteProtocolError(f"a frame of {size} bytes announced, at most {self.size_max} are taken")
        return size


def encode_frame(pieces: Iterable[bytes]) -> Sequence[bytes]:
    """The pieces with their common length before them, for one gathering send; nothing is copied."""
    kept = list(pieces)
    kept.insert(0, _LENGTH.pack(sum(map(len, kept))))
    return kept
