"""Bytes of peer frames: the golden ones of PROTOCOL.md, round trips, and every way of being wrong."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import yakt.peer
from yakt.batch import LeaderChange, RecordBatch
from yakt.errors import CodecError, RemoteProtocolError
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.peer import codec
from yakt.peer.codec import Api
from yakt.peer.messages import (
    Feature,
    ForwardRequest,
    ForwardResponse,
    ForwardResult,
    Identity,
    PeerMessage,
    Ping,
    Pong,
    Refusal,
    Welcome,
)
from yakt.raft.messages import (
    BeginQuorumEpochRequest,
    EndQuorumEpochRequest,
    Error,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    QuorumEpochResponse,
    ReadIndexRequest,
    ReadIndexResponse,
    VoteRequest,
    VoteResponse,
)
from yakt.wire.batch import seal, seal_control
from yakt.wire.frame import FrameDecoder

PROTOCOL = 1
SPEC = Path(yakt.peer.__file__).with_name("PROTOCOL.md")


def key(node: int) -> ReplicaKey:
    """A replica whose directory id is easy to see in a dump."""
    return ReplicaKey(NodeId(node), Uuid(bytes([node]) * 16))


def data_batch(base_offset: int, *values: bytes) -> RecordBatch:
    crc, body = seal(values, 1_700_000_000_000)
    return RecordBatch(Offset(base_offset), Epoch(3), len(values), crc, body)


def control_batch() -> RecordBatch:
    records = (LeaderChange(NodeId(1), (NodeId(1), NodeId(2)), (NodeId(1),)),)
    crc, body = seal_control(records, 1_700_000_000_000)
    return RecordBatch(Offset(9), Epoch(3), 1, crc, body, records)


HELLO = Identity(
    protocol_min=1,
    protocol_max=1,
    cluster_id="eWFrdC1kZW1vLWNsdXN0ZQ",
    node_id=NodeId(2),
    directory_id=key(2).directory_id,
    line="127.0.0.1:7202",
    features=(Feature("metadata.version", 21, 21), Feature("kraft.version", 0, 1)),
    incarnation=Uuid(bytes([7]) * 16),
)
WELCOMES = {
    "welcome": Welcome(protocol=1, counts_you=True, identity=attrs.evolve(HELLO, node_id=NodeId(1), features=())),
    "welcome, refusing": Welcome(
        refusal=Refusal.CLUSTER, message="not mine", identity=attrs.evolve(HELLO, line=None, features=())
    ),
}
# Each message once with everything there, and the two that carry log bytes with and without.
SAMPLES: dict[str, tuple[Api, PeerMessage]] = {
    "Fetch request": (
        Api.FETCH,
        FetchRequest(
            replica=key(2),
            epoch=Epoch(3),
            fetch_offset=Offset(10),
            last_fetched_epoch=Epoch(3),
            max_wait_ms=150,
            max_bytes=1_048_576,
            high_watermark=Offset(9),
            read_round=4,
        ),
    ),
    "Fetch response": (
        Api.FETCH,
        FetchResponse(
            leader_id=NodeId(1),
            epoch=Epoch(3),
            high_watermark=Offset(10),
            read_round=5,
            records=(data_batch(10, b"one", b"two"),),
        ),
    ),
    "Fetch response, diverging": (
        Api.FETCH,
        FetchResponse(leader_id=NodeId(1), epoch=Epoch(3), diverging=OffsetAndEpoch(Epoch(2), Offset(7))),
    ),
    "Vote request": (
        Api.VOTE,
        VoteRequest(
            epoch=Epoch(4),
            candidate=key(2),
            voter=key(3),
            last_epoch=Epoch(3),
            log_end_offset=Offset(10),
            pre_vote=True,
            cluster_id="c",
        ),
    ),
    "Vote response": (Api.VOTE, VoteResponse(leader_id=None, epoch=Epoch(4), granted=True)),
    "BeginQuorumEpoch request": (
        Api.BEGIN_QUORUM_EPOCH,
        BeginQuorumEpochRequest(epoch=Epoch(4), leader_id=NodeId(2), voter=key(3)),
    ),
    "BeginQuorumEpoch response": (Api.BEGIN_QUORUM_EPOCH, QuorumEpochResponse(leader_id=NodeId(2), epoch=Epoch(4))),
    "EndQuorumEpoch request": (
        Api.END_QUORUM_EPOCH,
        EndQuorumEpochRequest(epoch=Epoch(4), leader_id=NodeId(2), preferred_successors=(NodeId(3), NodeId(1))),
    ),
    "EndQuorumEpoch response": (
        Api.END_QUORUM_EPOCH,
        QuorumEpochResponse(error=Error.FENCED_LEADER_EPOCH, leader_id=NodeId(1), epoch=Epoch(5)),
    ),
    "FetchSnapshot request": (
        Api.FETCH_SNAPSHOT,
        FetchSnapshotRequest(
            replica=key(2),
            epoch=Epoch(3),
            snapshot_id=OffsetAndEpoch(Epoch(2), Offset(7)),
            position=4096,
            max_bytes=1_048_576,
        ),
    ),
    "FetchSnapshot response": (
        Api.FETCH_SNAPSHOT,
        FetchSnapshotResponse(
            leader_id=NodeId(1),
            epoch=Epoch(3),
            snapshot_id=OffsetAndEpoch(Epoch(2), Offset(7)),
            size=4100,
            position=4096,
            data=b"last",
        ),
    ),
    "ReadIndex request": (Api.READ_INDEX, ReadIndexRequest(epoch=Epoch(3))),
    "ReadIndex response": (
        Api.READ_INDEX,
        ReadIndexResponse(leader_id=NodeId(1), epoch=Epoch(3), offset=Offset(10)),
    ),
    "Forward request": (
        Api.FORWARD,
        ForwardRequest(client="shell", address="127.0.0.1:50000", timeout_ms=5000, lines=(b"PID ALLOC 7", b"SET a b")),
    ),
    "Forward response": (
        Api.FORWARD,
        ForwardResponse((ForwardResult(b"OK first=0", Offset(11), Epoch(3)), ForwardResult(b"ERR NOT_FOUND"))),
    ),
    "Ping": (Api.PING, Ping()),
    "Pong": (Api.PING, Pong()),
}
CORRELATION = 258


def encode(name: str) -> bytes:
    """The whole frame of a sample."""
    if name == "hello":
        return codec.encode_hello(HELLO)
    if name in WELCOMES:
        return codec.encode_welcome(WELCOMES[name])
    api, message = SAMPLES[name]
    return b"".join(codec.encode(api, message, CORRELATION, PROTOCOL))


def decode(name: str, payload: bytes) -> object:
    """What a sample's payload says; its correlation and API must be the sample's, too."""
    if name == "hello":
        return codec.decode_hello(payload)
    if name in WELCOMES:
        return codec.decode_welcome(payload)
    frame = codec.decode(payload, PROTOCOL)
    assert (frame.api, frame.correlation) == (SAMPLES[name][0], CORRELATION)
    return frame.message


def value(name: str) -> object:
    return HELLO if name == "hello" else WELCOMES[name] if name in WELCOMES else SAMPLES[name][1]


NAMES = ["hello", *WELCOMES, *SAMPLES]


def golden() -> dict[str, bytes]:
    """The frames quoted in PROTOCOL.md: a line `name:`, then its bytes in hexadecimal on indented lines."""
    quoted = re.findall(r"^([^\n:`]+):\n((?:    [0-9a-f ]+\n)+)", SPEC.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: bytes.fromhex(text) for name, text in quoted}


def test_the_spec_quotes_each_message() -> None:
    assert list(golden()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_golden_bytes(name: str) -> None:
    assert golden()[name].hex(" ") == encode(name).hex(" ")
    assert decode(name, golden()[name][4:]) == value(name)


@pytest.mark.parametrize("name", NAMES)
def test_byte_by_byte(name: str) -> None:
    decoder = FrameDecoder(codec.RESPONSE_SIZE_MAX)
    frames = [payload for byte in encode(name) for payload in decoder.feed(bytes([byte]))]
    assert [decode(name, payload) for payload in frames] == [value(name)]


@pytest.mark.parametrize("name", NAMES)
def test_cut_short_is_an_error_or_less_log(name: str) -> None:
    payload = encode(name)[4:]
    for size in range(len(payload)):
        try:
            found = decode(name, payload[:size])
        except CodecError:
            continue
        # The rest of the frame is all that says how much log there is: whole batches fewer, or fewer snapshot bytes.
        match found, value(name):
            case FetchResponse(records=[]), FetchResponse(records=[_]):
                pass
            case FetchSnapshotResponse(data=less), FetchSnapshotResponse(data=all_of_it):
                assert isinstance(all_of_it, bytes)
                assert isinstance(less, bytes)
                assert all_of_it.startswith(less)
            case _:
                pytest.fail(f"{size} of {len(payload)} bytes decode as {found}")


@pytest.mark.parametrize("name", [name for name in NAMES if "Snapshot response" not in name])
def test_bytes_left_over_are_an_error(name: str) -> None:
    with pytest.raises(CodecError):
        decode(name, encode(name)[4:] + b"\0")


def test_control_records_come_out_decoded_and_batches_in_order() -> None:
    sent = (control_batch(), data_batch(10, b"x"), data_batch(11, b"y", b"z"))
    response = FetchResponse(leader_id=NodeId(1), epoch=Epoch(3), records=sent)
    pieces = codec.encode(Api.FETCH, response, 1, PROTOCOL)
    assert [piece for piece in pieces if any(piece is batch.body for batch in sent)], "bodies are handed on as they are"
    found = codec.decode(b"".join(pieces)[4:], PROTOCOL).message
    assert found == response


def test_every_flipped_bit_under_the_crc_is_noticed() -> None:
    api, message = SAMPLES["Fetch response"]
    pieces = codec.encode(api, message, 1, PROTOCOL)
    start, frame = len(b"".join(pieces[:-1])), b"".join(pieces)
    for position in range(start, len(frame)):
        for bit in range(8):
            flipped = bytearray(frame)
            flipped[position] ^= 1 << bit
            with pytest.raises(CodecError):
                codec.decode(bytes(flipped[4:]), PROTOCOL)


@pytest.mark.parametrize("size", [-1, -(2**31), codec.REQUEST_SIZE_MAX + 1, 2**31 - 1])
def test_an_absurd_length_is_refused_at_its_fourth_byte(size: int) -> None:
    decoder = FrameDecoder(codec.REQUEST_SIZE_MAX)
    length = size.to_bytes(4, "big", signed=True)
    assert decoder.feed(length[:3]) == []
    with pytest.raises(RemoteProtocolError, match=str(size)):
        decoder.feed(length[3:])


@pytest.mark.parametrize(
    ("kind", "api", "version"),
    [(0, 2, 0), (0, 1, 1), (0, 1, -1), (2, 1, 0), (-1, 1, 0), (1, 32767, 0)],
)
def test_an_unknown_header_is_an_error(kind: int, api: int, version: int) -> None:
    header = kind.to_bytes(1, "big", signed=True) + api.to_bytes(2, "big") + version.to_bytes(2, "big", signed=True)
    with pytest.raises(CodecError, match="not of protocol 1"):
        codec.decode(header + bytes(8), PROTOCOL)


def test_unknown_tagged_fields_are_skipped() -> None:
    payload = encode("ReadIndex request")[4:]
    assert payload.endswith(b"\0"), "no tagged fields"
    later = payload[:-1] + b"\x01" + b"\x05" + b"\x02" + b"hi"  # one: tag 5, two bytes
    assert decode("ReadIndex request", later) == value("ReadIndex request")


def test_one_request_forwards_so_many_lines_and_no_more() -> None:
    def payload(count: int) -> bytes:
        request = ForwardRequest(client="c", address="a", timeout_ms=1, lines=(b"",) * count)
        return b"".join(codec.encode(Api.FORWARD, request, 1, PROTOCOL))[4:]

    codec.decode(payload(codec.FORWARD_LINES_MAX), PROTOCOL)
    with pytest.raises(CodecError, match="at most 16384"):
        codec.decode(payload(codec.FORWARD_LINES_MAX + 1), PROTOCOL)


def test_a_stranger_is_told_apart_by_the_magic() -> None:
    with pytest.raises(CodecError, match="no peer of a YAKt quorum"):
        codec.decode_hello(b"SSH-2.0-OpenSSH")


def test_a_hello_has_its_limit_in_both_directions() -> None:
    with pytest.raises(CodecError, match="at most 4096"):
        codec.encode_hello(attrs.evolve(HELLO, line="x" * 4096))


def integers(bits: int) -> st.SearchStrategy[Any]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def optional(bits: int) -> st.SearchStrategy[Any]:
    """-1 stands for None."""
    return st.none() | st.integers(0, 2 ** (bits - 1) - 1)


TEXT = st.text(max_size=40)
EPOCH = integers(32)
OFFSET = integers(64)
KEY = st.builds(ReplicaKey, id=integers(32), directory_id=st.binary(min_size=16, max_size=16))
POINT = st.builds(OffsetAndEpoch, epoch=EPOCH, offset=OFFSET)
ANSWER: dict[str, Any] = {"error": st.sampled_from(Error), "leader_id": optional(32), "epoch": EPOCH}
BATCHES = st.lists(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=4), max_size=4).map(
    lambda lists: tuple(data_batch(100 * i, *values) for i, values in enumerate(lists))
)
MESSAGES: st.SearchStrategy[tuple[Api, PeerMessage]] = st.one_of(
    st.tuples(
        st.just(Api.FETCH),
        st.builds(
            FetchRequest,
            replica=st.none() | KEY,
            epoch=EPOCH,
            fetch_offset=OFFSET,
            last_fetched_epoch=EPOCH,
            max_wait_ms=integers(32),
            max_bytes=integers(32),
            high_watermark=optional(64),
            read_round=integers(64),
            cluster_id=st.none() | TEXT,
        ),
    ),
    st.tuples(
        st.just(Api.FETCH),
        st.builds(
            FetchResponse,
            **ANSWER,
            high_watermark=optional(64),
            log_start_offset=OFFSET,
            diverging=st.none() | POINT,
            snapshot_id=st.none() | POINT,
            records=BATCHES,
            read_round=integers(64),
        ),
    ),
    st.tuples(
        st.just(Api.VOTE),
        st.builds(
            VoteRequest,
            epoch=EPOCH,
            candidate=KEY,
            voter=st.none() | KEY,
            last_epoch=EPOCH,
            log_end_offset=OFFSET,
            pre_vote=st.booleans(),
            cluster_id=st.none() | TEXT,
        ),
    ),
    st.tuples(st.just(Api.VOTE), st.builds(VoteResponse, **ANSWER, granted=st.booleans())),
    st.tuples(
        st.just(Api.END_QUORUM_EPOCH),
        st.builds(
            EndQuorumEpochRequest,
            epoch=EPOCH,
            leader_id=integers(32),
            preferred_successors=st.lists(integers(32), max_size=5).map(tuple),
            cluster_id=st.none() | TEXT,
        ),
    ),
    st.tuples(
        st.sampled_from([Api.BEGIN_QUORUM_EPOCH, Api.END_QUORUM_EPOCH]), st.builds(QuorumEpochResponse, **ANSWER)
    ),
    st.tuples(
        st.just(Api.FETCH_SNAPSHOT),
        st.builds(
            FetchSnapshotResponse,
            **ANSWER,
            snapshot_id=st.none() | POINT,
            size=integers(64),
            position=integers(64),
            data=st.binary(max_size=100),
        ),
    ),
    st.tuples(
        st.just(Api.FORWARD),
        st.builds(
            ForwardRequest,
            client=TEXT,
            address=TEXT,
            timeout_ms=integers(32),
            lines=st.lists(st.binary(max_size=40), max_size=5).map(tuple),
        ),
    ),
    st.tuples(
        st.just(Api.FORWARD),
        st.builds(
            ForwardResponse,
            results=st.lists(
                st.builds(ForwardResult, text=st.binary(max_size=40), offset=optional(64), epoch=optional(32)),
                max_size=5,
            ).map(tuple),
        ),
    ),
)


@given(MESSAGES, integers(64))
def test_random_messages_round_trip(sample: tuple[Api, PeerMessage], correlation: int) -> None:
    api, message = sample
    payload = b"".join(codec.encode(api, message, correlation, PROTOCOL))[4:]
    assert codec.decode(payload, PROTOCOL) == codec.Frame(api, message, correlation)


@given(st.binary(max_size=200), st.sampled_from([name for name in NAMES if name in SAMPLES]))
def test_garbage_behind_a_good_header_is_a_declared_error(garbage: bytes, name: str) -> None:
    payload = encode(name)[4:17] + garbage
    with suppress(CodecError):
        codec.decode(payload, PROTOCOL)


@given(st.data(), st.sampled_from(list(SAMPLES)))
def test_any_damage_is_a_declared_error(data: st.DataObject, name: str) -> None:
    payload = bytearray(encode(name)[4:])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with suppress(CodecError):
        codec.decode(bytes(payload), PROTOCOL)
