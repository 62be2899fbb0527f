"""Golden bytes of every text file (FORMAT.md quotes them), and what is refused."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.storage.places import DIRECTORY_ID, replica
from yakt.errors import CodecError
from yakt.ids import Epoch, NodeId, Offset, Uuid
from yakt.storage import format as fmt
from yakt.storage.format import MetaProperties, QuorumState, RecoveryPoint

OTHER_DIRECTORY = Uuid(bytes.fromhex("ffeeddccbbaa99887766554433221100"))
META = b"cluster.id=eWFrdC1kZW1vLWNsdXN0ZQ\ndirectory.id=ABEiM0RVZneImaq7zN3u_w\nnode.id=1\nversion=1\n"
STATE_0 = (
    b'{"clusterId":"","leaderId":3000,"leaderEpoch":5,"votedId":-1,"appliedOffset":0,'
    b'"currentVoters":[{"voterId":3000},{"voterId":3001}],"data_version":0}'
)
STATE_1 = b'{"leaderId":3000,"leaderEpoch":5,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}'
DIRECTORIES = b"0\n2\n1 ABEiM0RVZneImaq7zN3u_w\n2 _-7dzLuqmYh3ZlVEMyIRAA\ncrc 29020380\n"
POINT = b"yakt-recovery-point 1 sequence=7 flushed=1234 crc=e91bb16e".ljust(511) + b"\n"
TRUNCATING = b"yakt-recovery-point 1 sequence=8 flushed=1000 truncate=1000 crc=fcaa509a".ljust(511) + b"\n"
RESTARTING = b"yakt-recovery-point 1 sequence=9 flushed=5000 restart=5000 epoch=3 crc=2a44e617".ljust(511) + b"\n"


def test_names() -> None:
    assert fmt.segment_name(Offset(140)) == "__cluster_metadata-0/00000000000000000140.log"
    assert fmt.parse_segment_name("00000000000000000140.log") == 140
    assert fmt.snapshot_name(replica(4, 123)) == "__cluster_metadata-0/00000000000000000123-0000000004.checkpoint"
    assert fmt.parse_snapshot_name("00000000000000000123-0000000004.checkpoint") == replica(4, 123)
    assert fmt.part_name(replica(4, 123), "own").endswith("00000000000000000123-0000000004-own.checkpoint.part")
    for name in ("140.log", "00000000000000000140.index", "00000000000000000140.snapshot", "x00000000000000000140.log"):
        assert fmt.parse_segment_name(name) is None
    for name in ("00000000000000000123-0000000004.checkpoint.deleted", "123-4.checkpoint", "leader-epoch-checkpoint"):
        assert fmt.parse_snapshot_name(name) is None


def test_meta_properties() -> None:
    properties = MetaProperties("eWFrdC1kZW1vLWNsdXN0ZQ", NodeId(1), DIRECTORY_ID)
    assert fmt.format_meta_properties(properties) == META
    assert fmt.parse_meta_properties(META) == properties
    by_kafka = b"#\n#Mon Nov 23 22:30:01 UTC 2026\nnode.id=3000\nversion=1\ncluster.id=abc\nunknown=x\n"
    assert fmt.parse_meta_properties(by_kafka) == MetaProperties("abc", NodeId(3000), None)


def test_properties_as_java_reads_them() -> None:
    text = (
        b"! a comment\n  # another\n\n a = b \n c\\ d:e\\=f\nlong=one \\\n   two\\\n\tthree\nempty=\nalone\n"
        b"uni=\\u00e9\\u20AC\\t\\n\nlatin=\xe9\r\nback\\\\=slash\\\\\rend=\\\\"
    )
    assert fmt.parse_properties(text) == {
        "a": "b ",
        "c d": "e=f",
        "long": "one twothree",
        "empty": "",
        "alone": "",
        "uni": "é€\t\n",
        "latin": "é",
        "back\\": "slash\\",
        "end": "\\",
    }


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1))
def test_any_cluster_id_survives(cluster_id: str) -> None:
    written = fmt.format_meta_properties(MetaProperties(cluster_id, NodeId(0), None))
    if all(ord(character) < 0x10000 for character in cluster_id):  # beyond, Java has pairs of surrogates
        assert fmt.parse_meta_properties(written).cluster_id == cluster_id


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "version is None"),
        (b"version=0\nbroker.id=1\n", "version is '0'"),
        (b"version=1\nnode.id=1\n", "cluster.id is missing"),
        (b"version=1\ncluster.id=c\nnode.id=-1\n", "node.id: '-1'"),
        (b"version=1\ncluster.id=c\nnode.id=2147483648\n", "node.id"),
        (b"version=1\ncluster.id=c\nnode.id=1\ndirectory.id=short\n", "directory.id"),
        (b"version=1\ncluster.id=\\u12\nnode.id=1\n", "hexadecimal"),
    ],
)
def test_meta_properties_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        fmt.parse_meta_properties(data)


def test_quorum_state() -> None:
    voters = (NodeId(3000), NodeId(3001))
    state_0 = QuorumState(Epoch(5), NodeId(3000), None, None, data_version=0, voters=voters)
    state_1 = QuorumState(Epoch(5), NodeId(3000), None, Uuid(bytes(16)), data_version=1)
    assert fmt.format_quorum_state(state_0) == STATE_0
    assert fmt.format_quorum_state(state_1) == STATE_1
    assert fmt.parse_quorum_state(STATE_0) == state_0
    assert fmt.parse_quorum_state(STATE_1) == state_1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"data_version":2}', "data_version is 2"),
        (STATE_0.replace(b'"leaderEpoch":5', b'"leaderEpoch":-1'), "negative"),
        (STATE_0.replace(b'"leaderEpoch":5', b'"leaderEpoch":true'), "leaderEpoch is True"),
        (STATE_0.replace(b'"votedId":-1,', b""), "votedId is None"),
        (STATE_0.replace(b'{"voterId":3000}', b"3000"), "currentVoters"),
        (STATE_1.replace(b"AAAA", b"A"), "votedDirectoryId"),
        (STATE_0[:-1], "not JSON"),
    ],
)
def test_quorum_state_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        fmt.parse_quorum_state(data)


def test_epoch_checkpoint() -> None:
    starts = (replica(1, 0), replica(2, 390))
    assert fmt.format_epoch_checkpoint(starts) == b"0\n2\n1 0\n2 390\n"
    assert fmt.parse_epoch_checkpoint(b"0\n2\n1 0\n2 390\n") == starts
    assert fmt.parse_epoch_checkpoint(fmt.format_epoch_checkpoint(())) == ()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "version is missing"),
        (b"1\n0\n", "version is 1"),
        (b"0\n", "number of entries"),
        (b"0\n2\n1 0\n", "2 entries announced, 1 found"),
        (b"0\n1\n1 0\n2 3\n", "1 entries announced, 2 found"),
        (b"0\n1\n1\n", "is not `epoch startOffset`"),
        (b"0\n1\n1 -1\n", "not a number"),
        (b"0\n2\n2 0\n1 5\n", "does not follow"),
        (b"0\n2\n1 5\n2 4\n", "does not follow"),
        (b"\xff\n", "not plain text"),
    ],
)
def test_epoch_checkpoint_refused(data: bytes, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        fmt.parse_epoch_checkpoint(data)


def test_partition_metadata() -> None:
    assert fmt.format_partition_metadata() == b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ"


def test_voter_directories() -> None:
    directories = {NodeId(2): OTHER_DIRECTORY, NodeId(1): DIRECTORY_ID}
    assert fmt.format_voter_directories(directories) == DIRECTORIES
    assert fmt.parse_voter_directories(DIRECTORIES) == directories


def test_every_flipped_bit_of_voter_directories_is_noticed() -> None:
    for at in range(len(DIRECTORIES) * 8):
        flipped = bytearray(DIRECTORIES)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(CodecError):
            fmt.parse_voter_directories(bytes(flipped))


def test_recovery_point() -> None:
    point = RecoveryPoint(7, Offset(1234))
    truncating = RecoveryPoint(8, Offset(1000), truncate=Offset(1000))
    restarting = RecoveryPoint(9, Offset(5000), restart=replica(3, 5000))
    assert [fmt.format_recovery_point(each) for each in (point, truncating, restarting)] == [
        POINT,
        TRUNCATING,
        RESTARTING,
    ]
    assert (point.position, truncating.position) == (512, 0)
    assert fmt.parse_recovery_point(TRUNCATING + POINT) == truncating
    assert fmt.parse_recovery_point(TRUNCATING + RESTARTING) == restarting


def test_a_torn_slot_leaves_the_other() -> None:
    for cut in range(1, 512):
        torn = TRUNCATING[:cut] + POINT[cut:]
        found = fmt.parse_recovery_point(torn + POINT)
        assert found is not None
        assert found.sequence in (7, 8)
    assert fmt.parse_recovery_point(b"") is None
    assert fmt.parse_recovery_point(bytes(1024)) is None


@given(st.binary(max_size=200))
def test_anything_else_gives_the_one_error(data: bytes) -> None:
    for parse in (
        fmt.parse_meta_properties,
        fmt.parse_quorum_state,
        fmt.parse_epoch_checkpoint,
        fmt.parse_voter_directories,
    ):
        with contextlib.suppress(CodecError):
            parse(data)
    fmt.parse_recovery_point(data)


def test_kafka_s_own_files_come_out_again(kafka_logs: Path) -> None:
    checked = 0
    for directory in sorted(path.parent for path in kafka_logs.rglob("quorum-state")):
        state = (directory / "quorum-state").read_bytes()
        assert fmt.format_quorum_state(fmt.parse_quorum_state(state)) == state
        epochs = (directory / "leader-epoch-checkpoint").read_bytes()
        assert fmt.format_epoch_checkpoint(fmt.parse_epoch_checkpoint(epochs)) == epochs
        assert (directory / "partition.metadata").read_bytes() == fmt.format_partition_metadata()
        fmt.parse_meta_properties((directory.parent / "meta.properties").read_bytes())
        checked += 1
    assert checked == 5
