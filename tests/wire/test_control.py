"""Control records' values: Kafka's own bytes, newer versions, and how people see them."""

import pytest

from tests.wire.test_batch import LEADER_CHANGE, VOTERS, golden
from yakt.batch import ControlRecord, KRaftVersion, LeaderChange, SnapshotFooter, SnapshotHeader
from yakt.errors import CodecError
from yakt.ids import NodeId
from yakt.wire.control import decode_control, encode_control, kind_of_control, plain_control

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
