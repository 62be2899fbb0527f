"""Frames: whole, byte by byte, cut short; and lengths that are refused before anything is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.errors import RemoteProtocolError
from yakt.wire.frame import FrameDecoder, encode_frame


def test_pieces_share_one_length() -> None:
    assert list(encode_frame([b"ab", b"", b"cde"])) == [b"\0\0\0\x05", b"ab", b"", b"cde"]


@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_any_cut_gives_the_same_frames(frames: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(b"".join(encode_frame([frame])) for frame in frames)
    decoder = FrameDecoder(40)
    found: list[bytes] = []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, len(stream) - position))
        found += decoder.feed(stream[position : position + size])
        position += size
    assert found == frames
    assert decoder.pending == 0


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_byte_by_byte(frames: list[bytes]) -> None:
    decoder = FrameDecoder(20)
    stream = b"".join(b"".join(encode_frame([frame])) for frame in frames)
    assert [frame for byte in stream for frame in decoder.feed(bytes([byte]))] == frames


def test_cut_short_keeps_what_is_there() -> None:
    decoder = FrameDecoder(100)
    assert decoder.feed(b"\0\0\0\x03ab") == []
    assert decoder.pending == 6
    assert decoder.feed(b"c\0\0") == [b"abc"]
    assert decoder.pending == 2


@pytest.mark.parametrize("length", ["7fffffff", "ffffffff", "80000000", "00000065"])
def test_bad_length(length: str) -> None:
    decoder = FrameDecoder(100)
    with pytest.raises(RemoteProtocolError, match="at most 100"):
        decoder.feed(bytes.fromhex(length))


def test_bad_length_byte_by_byte_after_a_good_frame() -> None:
    decoder = FrameDecoder(100)
    for byte in b"\0\0\0\x01x\x7f\xff\xff":
        decoder.feed(bytes([byte]))
    with pytest.raises(RemoteProtocolError):
        decoder.feed(b"\xff")
