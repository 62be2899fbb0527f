"""The voter set: configured and remembered, or read from the log (raft.md §2)."""

from tests.raft.replica import key
from tests.raft.scripted import directory
from yakt.batch import Endpoint, KRaftVersion, LeaderChange, Voter, Voters
from yakt.ids import NodeId, Offset, ReplicaKey
from yakt.raft.voters import BOOTSTRAP_OFFSET, VoterSet


def record(*nodes: int) -> Voters:
    return Voters(tuple(Voter(NodeId(node), directory(node), ()) for node in nodes))


def make(*static: int) -> VoterSet:
    return VoterSet(key(1), map(NodeId, static), {})


def test_configured_voters_are_known_by_the_directory_first_met() -> None:
    voters = make(3, 1, 2)
    assert (voters.ids, voters.others, voters.majority, voters.kraft_version) == ((1, 2, 3), (2, 3), 2, 0)
    assert voters.includes(key(1))
    assert voters.is_unmet(NodeId(2))
    assert voters.key(NodeId(2)) is None
    voters.remember(key(2))
    assert voters.includes(key(2))
    assert not voters.includes(key(2, "b"))
    assert not voters.is_unmet(NodeId(9))


def test_the_newest_record_counts_and_truncation_takes_it_back() -> None:
    voters = make(1, 2, 3)
    voters.read(BOOTSTRAP_OFFSET, KRaftVersion(1))
    voters.read(BOOTSTRAP_OFFSET, record(1, 2))
    voters.read(Offset(5), record(2, 4))
    assert (voters.ids, voters.kraft_version, voters.includes_me) == ((2, 4), 1, False)
    assert voters.reachable == (2, 3, 4)
    voters.truncate(Offset(6))
    assert voters.ids == (2, 4)
    voters.truncate(Offset(5))
    assert (voters.ids, voters.includes_me) == ((1, 2), True)
    voters.truncate(Offset(0))
    assert voters.ids == (1, 2), "the checkpoint's are not part of the log"


def test_a_record_names_the_disk_too() -> None:
    voters = make(1, 2, 3)
    voters.remember(key(2))
    voters.read(Offset(3), Voters((Voter(NodeId(2), directory(2, "b"), ()), Voter(NodeId(1), directory(1, "z"), ()))))
    assert voters.includes(key(2, "b"))
    assert not voters.includes(key(2))
    assert not voters.includes_me
    assert not voters.is_unmet(NodeId(3))


def test_a_snapshot_brings_its_own() -> None:
    voters = make(1, 2)
    voters.read(Offset(0), record(1, 2))
    voters.restart(Offset(9), (KRaftVersion(1), record(1, 2, 3)))
    assert (voters.ids, voters.kraft_version) == ((1, 2, 3), 1)
    voters.truncate(Offset(9))
    assert voters.ids == (1, 2, 3)
    voters.restart(Offset(12), ())
    assert not voters.by_record


def test_where_brokers_reach_a_voter_is_in_the_record_alone() -> None:
    voters = make(1, 2, 3)
    assert voters.endpoints(NodeId(2)) == ()
    points = (Endpoint("CONTROLLER", "127.0.0.1", 7402),)
    voters.read(Offset(1), Voters((Voter(NodeId(1), directory(1), ()), Voter(NodeId(2), directory(2), points))))
    assert [voters.endpoints(NodeId(node)) for node in (1, 2, 3)] == [(), points, ()]


def test_what_the_log_overrules_is_said_with_its_key() -> None:
    voters = make(1, 2, 3)
    assert voters.overruled(1) == []
    voters.read(Offset(0), KRaftVersion(1))
    voters.read(Offset(1), record(1, 2, 3))
    assert voters.overruled(1) == []
    [line] = voters.overruled(0)
    assert line.startswith("kraft.version is 1 in the log and stays so")
    assert line.endswith("@ $.quorum.kraft_version")
    voters.read(Offset(2), record(1, 2))
    [line] = voters.overruled(1)
    assert line == "the voters are 1, 2 in the log, whatever the configuration lists (1, 2, 3) @ $.cluster.voters"


def test_other_control_records_are_passed_over() -> None:
    voters = make(1, 2)
    voters.read(Offset(0), LeaderChange(NodeId(1), (NodeId(1),), (NodeId(1),)))
    assert not voters.by_record
    assert voters.history == []


def test_the_history_is_bounded_by_what_is_not_committed() -> None:
    voters = make(1, 2)
    for offset in range(10):
        voters.read(Offset(offset), KRaftVersion(1) if offset == 0 else record(1, offset + 1))
    voters.forget_before(Offset(8))
    assert [offset for offset, _ in voters.history] == [0, 7, 8, 9]
    voters.truncate(Offset(8))
    assert voters.ids == (1, 8)
    assert voters.key(NodeId(8)) == ReplicaKey(NodeId(8), directory(8))
