"""What waits to be sent: whole frames, in order, bounded, bulk last."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.peer.outbox import CHUNK_SIZE, FRAMES_MAX, Outbox, Piece


class Kernel:
    """Takes so many bytes, then none."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken = bytearray()

    def write(self, pieces: Sequence[Piece]) -> int:
        part = b"".join(pieces)[: self.room]
        self.room -= len(part)
        self.taken += part
        return len(part)


def drain(outbox: Outbox) -> bytes:
    taken = b""
    while chunk := outbox.take():
        assert len(chunk) <= CHUNK_SIZE
        taken += chunk
    return taken


def test_an_idle_outbox_writes_at_once() -> None:
    kernel = Kernel(100)
    outbox = Outbox(1000, kernel.write)
    assert outbox.put([b"ab", b"cd"])
    assert kernel.taken == b"abcd"
    assert outbox.is_idle
    assert drain(outbox) == b""


def test_what_the_kernel_does_not_take_waits_and_keeps_its_place() -> None:
    kernel = Kernel(3)
    outbox = Outbox(1000, kernel.write)
    assert outbox.put([b"ab", b"cd", b"ef"])
    assert outbox.put([b"next"])
    kernel.room = 100
    assert outbox.put([b"last"])
    assert kernel.taken == b"abc", "nothing may overtake what waits"
    assert drain(outbox) == b"defnextlast"
    assert outbox.put([b"!"])
    assert kernel.taken == b"abc!", "idle again"


def test_nothing_overtakes_the_chunk_being_sent() -> None:
    kernel = Kernel(0)
    outbox = Outbox(1000, kernel.write)
    outbox.put([b"first"])
    assert outbox.take() == b"first"  # in the writing half's hands now
    kernel.room = 100
    outbox.put([b"second"])
    assert kernel.taken == b""
    assert drain(outbox) == b"second"


def test_bulk_goes_last_but_a_started_frame_is_finished_first() -> None:
    outbox = Outbox(10 * CHUNK_SIZE)
    outbox.put([b"s" * (CHUNK_SIZE + 1)], bulk=True)
    outbox.put([b"S"], bulk=True)
    assert outbox.take() == b"s" * CHUNK_SIZE
    outbox.put([b"f"])
    outbox.put([b"F"])
    assert drain(outbox) == b"sfFS"


def test_a_full_outbox_drops_and_counts() -> None:
    outbox = Outbox(10)
    assert outbox.put([b"x" * 50]), "one frame of any size is always taken"
    assert not outbox.put([b"y"])
    assert (outbox.queued, outbox.dropped) == (50, 1)
    drain(outbox)
    assert outbox.put([b"y" * 10])
    assert not outbox.put([b"z"])


def test_the_number_of_frames_is_bounded_too() -> None:
    outbox = Outbox(10**9)
    taken = sum(outbox.put([b"x"]) for _ in range(2 * FRAMES_MAX))
    assert taken <= FRAMES_MAX + 1


def test_what_is_to_be_joined_waits_and_so_does_what_follows() -> None:
    kernel = Kernel(100)
    outbox = Outbox(1000, kernel.write)
    outbox.put([b"one"], join=True)
    outbox.put([b"two"], join=True)
    outbox.put([b"three"])
    assert kernel.taken == b""
    assert outbox.take() == b"onetwothree"
    assert drain(outbox) == b""


def test_a_broken_socket_is_the_callers_to_know() -> None:
    def write(_pieces: Sequence[Piece]) -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Outbox(10, write).put([b"x"])


@given(
    st.lists(st.tuples(st.lists(st.binary(max_size=9), min_size=1, max_size=5), st.booleans(), st.integers(0, 30))),
)
def test_frames_leave_whole_and_in_order_of_their_kind(
    puts: list[tuple[list[bytes], bool, int]],
) -> None:
    """Each frame is framed by its number, so a torn or lost one shows."""
    kernel = Kernel(0)
    outbox = Outbox(10**6, kernel.write)
    sent: dict[bool, list[bytes]] = {False: [], True: []}
    for number, (pieces, bulk, room) in enumerate(puts):
        framed = [b"<%d:" % number, *(piece.hex().encode() for piece in pieces), b">"]
        kernel.room += room
        assert outbox.put(framed, bulk=bulk)
        sent[bulk].append(b"".join(framed))
        if room % 3 == 0:
            kernel.taken += outbox.take()
    kernel.taken += drain(outbox)
    frames = [frame + b">" for frame in bytes(kernel.taken).split(b">")[:-1]]
    assert [frame for frame in frames if frame in sent[False]] == sent[False]
    assert [frame for frame in frames if frame in sent[True]] == sent[True]
    assert len(frames) == len(puts)
    assert outbox.queued == 0
