"""Control records' values: Kafka's own bytes, newer versions, and how people see them."""

import io
from typing import Any

import kio.schema.k_raft_version_record.v0.data
import kio.schema.leader_change_message.v0.data
import kio.schema.snapshot_footer_record.v0.data
import kio.schema.snapshot_header_record.v0.data
import kio.schema.voters_record.v0.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.serial import entity_reader, entity_writer

from tests.wire.test_batch import LEADER_CHANGE, VOTERS, golden
from yakt.batch import (
    ControlRecord,
    Endpoint,
    KRaftVersion,
    LeaderChange,
    SnapshotFooter,
    SnapshotHeader,
    Voter,
    Voters,
)
from yakt.errors import CodecError
from yakt.ids import NodeId, Uuid
from yakt.wire.control import decode_control, encode_control, kind_of_control, plain_control, say_control

EXAMPLES = [
    (LEADER_CHANGE, 2, golden("01-control-leader-change")),
    (KRaftVersion(1), 5, golden("02-control-kraft-version")),
    (VOTERS, 6, golden("03-control-voters")),
    (SnapshotHeader(1_700_000_000_000), 3, bytes.fromhex("00000000018bcfe5680000")),
    (SnapshotFooter(), 4, bytes.fromhex("000000")),
]


@pytest.mark.parametrize(("record", "number", "value"), EXAMPLES)
def test_bytes_are_kafkas(record: ControlRecord, number: int, value: bytes) -> None:
    key = bytes([0, 0, 0, number])
    assert encode_control(record) == (key, value)
    assert decode_control(key, value) == record


def test_in_words() -> None:
    assert say_control(LeaderChange(NodeId(2), (NodeId(1), NodeId(2)), (NodeId(2),))) == (
        "node 2 leads, with the votes of 2 of 1, 2"
    )
    assert say_control(KRaftVersion(1)) == "kraft.version is 1 from here on"
    one = Voter(NodeId(1), Uuid(bytes([17]) * 16), (Endpoint("CONTROLLER", "127.0.0.1", 7401),))
    assert say_control(Voters((one, Voter(NodeId(2), Uuid(bytes([17]) * 16), ())))) == (
        "the voters are 1 on disk EREREREREREREREREREREQ (CONTROLLER 127.0.0.1:7401), "
        "2 on disk EREREREREREREREREREREQ (no listener)"
    )
    assert say_control(SnapshotHeader(0)) == "a snapshot begins"
    assert say_control(SnapshotFooter()) == "the snapshot is whole"


@pytest.mark.parametrize(("record", "number", "value"), EXAMPLES)
def test_cut_short_anywhere(record: ControlRecord, number: int, value: bytes) -> None:
    for size in range(len(value)):
        with pytest.raises(CodecError):
            decode_control(bytes([0, 0, 0, number]), value[:size])


def test_leader_change_with_directory_ids() -> None:
    """Version 1 is read, as Kafka's readers do; a still newer one reads as that."""
    voter = (7).to_bytes(4, "big") + bytes(range(16)) + b"\0"
    for version in (b"\0\x01", b"\0\x09"):
        value = version + (7).to_bytes(4, "big") + b"\x02" + voter + b"\x02" + voter + b"\0"
        assert decode_control(b"\0\0\0\x02", value) == LeaderChange(NodeId(7), (NodeId(7),), (NodeId(7),))


def test_negative_versions_are_refused() -> None:
    with pytest.raises(CodecError, match="version -1"):
        decode_control(b"\0\0\0\x05", b"\xff\xff\0\1\0")


def test_shown_by_kafkas_names() -> None:
    assert kind_of_control(LEADER_CHANGE) == "LeaderChangeMessage"
    assert plain_control(LEADER_CHANGE) == {
        "version": 0,
        "leaderId": 3000,
        "voters": [{"voterId": 3000}, {"voterId": 3001}, {"voterId": 3002}],
        "grantingVoters": [{"voterId": 3000}, {"voterId": 3001}],
    }
    assert plain_control(KRaftVersion(1)) == {"version": 0, "kRaftVersion": 1}


IDS = st.integers(0, (1 << 31) - 1).map(NodeId)
LEVELS = st.integers(0, 32_767)
ENDPOINTS = st.builds(Endpoint, st.text(max_size=9), st.text(max_size=9), st.integers(0, 65_535))
VOTER = st.builds(
    Voter,
    IDS,
    st.binary(min_size=16, max_size=16).map(Uuid),
    st.lists(ENDPOINTS, max_size=3).map(tuple),
    LEVELS,
    LEVELS,
)


@pytest.mark.parametrize(
    ("records", "theirs"),
    [
        (
            st.builds(LeaderChange, IDS, st.lists(IDS, max_size=5).map(tuple), st.lists(IDS, max_size=5).map(tuple)),
            kio.schema.leader_change_message.v0.data.LeaderChangeMessage,
        ),
        (st.builds(KRaftVersion, LEVELS), kio.schema.k_raft_version_record.v0.data.KRaftVersionRecord),
        (st.builds(Voters, st.lists(VOTER, max_size=5).map(tuple)), kio.schema.voters_record.v0.data.VotersRecord),
        (
            st.builds(SnapshotHeader, st.integers(0, 253_402_300_799_999)),
            kio.schema.snapshot_header_record.v0.data.SnapshotHeaderRecord,
        ),
        (st.just(SnapshotFooter()), kio.schema.snapshot_footer_record.v0.data.SnapshotFooterRecord),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@settings(max_examples=30)
@given(data=st.data())
def test_kio_agrees(records: st.SearchStrategy[ControlRecord], theirs: Any, data: st.DataObject) -> None:
    """A codec made by others from Kafka's schemas reads ours to the last byte, and writes the same."""
    _, value = encode_control(data.draw(records))
    entity, size = entity_reader(theirs)(value, 0)
    assert size == len(value)
    written = io.BytesIO()
    entity_writer(theirs)(written, entity)
    assert written.getvalue() == value
