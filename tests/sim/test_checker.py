"""The checks themselves: each must name what it sees, on nodes that do exactly one thing wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest

from yakt.batch import KRaftVersion, LeaderChange, RecordBatch, Voter, Voters
from yakt.errors import ViolationError
from yakt.ids import Epoch, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.raft.events import Source
from yakt.raft.messages import BeginQuorumEpochRequest, FetchRequest, FetchResponse, VoteRequest, VoteResponse
from yakt.sim import machine
from yakt.sim.checker import Checker
from yakt.sim.history import History
from yakt.sim.store import Election, Snapshot, Store


def key(node: int) -> ReplicaKey:
    return ReplicaKey(NodeId(node), Uuid(bytes([node]) * 16))


@attrs.define
class Subject:
    """A node that is what the test says."""

    id: NodeId
    store: Store = attrs.Factory(Store)
    high_watermark: Offset = Offset(0)
    votes_asked: dict[tuple[Source, int], VoteRequest] = attrs.Factory(dict)
    role: str = "unattached"
    epoch: Epoch = Epoch(0)
    leader_id: NodeId | None = None

    @property
    def key(self) -> ReplicaKey:
        return key(self.id)

    def append(self, *batches: RecordBatch, flushed: bool = True) -> None:
        self.store.append(batches)
        if flushed and self.store.begin_flush():
            self.store.finish_flush()


class Cluster:
    """Three subjects and their checker."""

    def __init__(self) -> None:
        self.nodes = {NodeId(each): Subject(NodeId(each)) for each in (1, 2, 3)}
        self.checker = Checker(dict(self.nodes), machine.requests_of)
        for node in self.nodes.values():
            self.checker.started(node)

    def __getitem__(self, node: int) -> Subject:
        return self.nodes[NodeId(node)]

    def become(self, node: int, role: str, epoch: int, leader: int | None = None) -> None:
        subject = self[node]
        subject.role, subject.epoch = role, Epoch(epoch)
        subject.leader_id = NodeId(leader) if leader is not None else None
        self.checker.stepped(subject)

    def lead(self, node: int, epoch: int, on: tuple[int, ...] = (1, 2, 3)) -> None:
        """`node` leads `epoch`, and its LeaderChange is durable on the nodes `on`."""
        self.become(node, "unattached", epoch - 1)
        self.become(node, "prospective", epoch - 1)
        self.become(node, "candidate", epoch)
        self.become(node, "leader", epoch, node)
        opening = batch(self[node].store.end_offset, epoch, leader=node)
        self.put(opening, *on)

    def put(self, record_batch: RecordBatch, *on: int, flushed: bool = True) -> None:
        for each in on:
            subject = self[each]
            subject.epoch = max(subject.epoch, record_batch.leader_epoch)
            subject.append(record_batch, flushed=flushed)
            self.checker.appended(subject, [record_batch])

    def commit(self, node: int, high_watermark: int) -> None:
        self.checker.committing(self[node], Offset(high_watermark))
        self[node].high_watermark = Offset(high_watermark)


def batch(base: int, epoch: int, *requests: machine.Request, leader: int | None = None) -> RecordBatch:
    if leader is not None:
        change = (LeaderChange(NodeId(leader), (NodeId(1), NodeId(2), NodeId(3)), (NodeId(leader),)),)
        crc, body = machine.seal_control(change)
        return RecordBatch(Offset(base), Epoch(epoch), 1, crc, body, change)
    crc, body = machine.seal(requests)
    return RecordBatch(Offset(base), Epoch(epoch), len(requests), crc, body)


@contextmanager
def caught(check: str) -> Iterator[None]:
    with pytest.raises(ViolationError, match=re.escape(check)) as caught_error:
        yield
    assert caught_error.value.check.startswith(check)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_a_sound_run_passes(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.put(batch(1, 1, (0, 1)), 1, 2, 3)
    cluster.commit(1, 2)
    cluster.commit(2, 2)
    history = History(cluster.checker)
    history.written((0, 1), Offset(1), history.begun())
    history.answered(2, Offset(2), history.begun())
    cluster.lead(2, 2)
    cluster.commit(2, 3)


def test_s1_two_leaders_of_one_epoch(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    with caught("S1 "):
        cluster.lead(2, 1, on=(2,))


def test_s1_an_answer_names_another_leader(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster[2].store.election = Election(Epoch(1), None, None)
    with caught("S1 "):
        cluster.checker.sent(cluster[2], NodeId(3), FetchResponse(leader_id=NodeId(2), epoch=Epoch(1)), 1)


def test_s2_an_epoch_falls(cluster: Cluster) -> None:
    cluster.become(1, "unattached", 3)
    with caught("S2 "):
        cluster.become(1, "unattached", 2)


def test_s2_a_restart_forgets_the_epoch(cluster: Cluster) -> None:
    cluster.become(1, "unattached", 3)
    cluster[1].epoch = Epoch(2)
    with caught("S2 "):
        cluster.checker.started(cluster[1])


def test_s2_the_disk_is_given_a_lower_epoch(cluster: Cluster) -> None:
    cluster[1].store.election = Election(Epoch(3), None, None)
    with caught("S2 "):
        cluster.checker.election_saved(cluster[1], Epoch(2))


def vote_request(candidate: int, epoch: int, *, pre_vote: bool = False) -> VoteRequest:
    return VoteRequest(
        epoch=Epoch(epoch), candidate=key(candidate), last_epoch=Epoch(0), log_end_offset=Offset(0), pre_vote=pre_vote
    )


def grant(cluster: Cluster, voter: int, request: VoteRequest) -> None:
    cluster[voter].votes_asked[request.candidate.id, 1] = request
    answer = VoteResponse(leader_id=None, epoch=request.epoch, granted=True)
    cluster.checker.sent(cluster[voter], request.candidate.id, answer, 1)


def test_s3_two_votes_in_one_epoch(cluster: Cluster) -> None:
    cluster[3].store.election = Election(Epoch(1), None, key(1))
    grant(cluster, 3, vote_request(1, 1))
    grant(cluster, 3, vote_request(1, 1))
    cluster[3].store.election = Election(Epoch(1), None, key(2))
    with caught("S3 "):
        grant(cluster, 3, vote_request(2, 1))


def test_s4_a_vote_leaves_before_it_is_durable(cluster: Cluster) -> None:
    cluster[3].store.election = Election(Epoch(1), None, None)
    with caught("S4 "):
        grant(cluster, 3, vote_request(1, 1))


def test_a_pre_vote_needs_nothing_on_disk(cluster: Cluster) -> None:
    grant(cluster, 3, vote_request(1, 0, pre_vote=True))
    grant(cluster, 3, vote_request(2, 0, pre_vote=True))


def test_s4_a_candidate_asks_before_its_own_vote_is_durable(cluster: Cluster) -> None:
    cluster[1].store.election = Election(Epoch(1), None, None)
    with caught("S4 "):
        cluster.checker.sent(cluster[1], NodeId(2), vote_request(1, 1), 1)


def test_s4_a_fetch_says_more_than_is_durable(cluster: Cluster) -> None:
    cluster[2].append(batch(0, 0, (0, 1)), flushed=False)
    fetch = FetchRequest(
        replica=key(2), epoch=Epoch(0), fetch_offset=Offset(1), last_fetched_epoch=Epoch(0), max_wait_ms=0, max_bytes=1
    )
    with caught("S4 "):
        cluster.checker.sent(cluster[2], NodeId(1), fetch, 1)


def test_s4_an_epoch_leaves_before_it_is_durable(cluster: Cluster) -> None:
    with caught("S4 "):
        begin = BeginQuorumEpochRequest(epoch=Epoch(1), leader_id=NodeId(1))
        cluster.checker.sent(cluster[1], NodeId(2), begin, 1)


def test_s5_one_offset_and_epoch_holds_two_records(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.put(batch(1, 1, (0, 1)), 1)
    with caught("S5 "):
        cluster.put(batch(1, 1, (0, 2)), 2)


def test_s6_a_leader_lacks_what_is_committed(cluster: Cluster) -> None:
    cluster.lead(1, 1, on=(1, 2))
    cluster.commit(1, 1)
    with caught("S6 "):
        cluster.checker.led(attrs.evolve(cluster[3], role="leader", epoch=Epoch(2)))


def test_s6_a_late_winner_of_an_older_epoch_may_lack_what_a_newer_leader_committed(cluster: Cluster) -> None:
    cluster.lead(1, 2, on=(1, 2))
    cluster.commit(1, 1)
    cluster.checker.led(attrs.evolve(cluster[3], role="leader", epoch=Epoch(1)))


def test_s7_other_records_are_committed(cluster: Cluster) -> None:
    cluster.lead(1, 1, on=(1, 2))
    cluster.put(batch(1, 1, (0, 1)), 1, 2)
    cluster.commit(1, 2)
    cluster.lead(3, 2, on=(3,))
    cluster.put(batch(1, 2, (0, 2)), 3)
    with caught("S7 "):
        cluster.checker.committing(attrs.evolve(cluster[3], role="follower"), Offset(2))


def test_s8_a_high_watermark_falls_or_runs_past_the_log(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.commit(1, 1)
    with caught("S8 "):
        cluster.checker.committing(cluster[1], Offset(0))
    with caught("S8 "):
        cluster.checker.committing(cluster[1], Offset(2))


def test_s9_a_leader_counts_what_is_not_flushed(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    record = batch(1, 1, (0, 1))
    cluster.put(record, 1, flushed=False)
    cluster.put(record, 2)
    with caught("S9 "):
        cluster.commit(1, 2)


def test_s9_a_follower_commits_what_no_leader_has(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster[2].role = "follower"
    with caught("S9 "):
        cluster.commit(2, 1)


def test_s10_committed_records_are_cut(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.commit(1, 1)
    cluster.commit(2, 1)
    with caught("S10 "):
        cluster.checker.truncating(cluster[2], Offset(0))


def test_s10_committed_records_are_cut_by_a_node_that_does_not_know(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.commit(1, 1)
    with caught("S10 "):
        cluster.checker.truncating(cluster[3], Offset(0))


def test_s11_records_of_an_older_epoch_are_committed_by_counting(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.put(batch(1, 1, (0, 1)), 1, 2)
    cluster.lead(2, 2, on=(2,))
    with caught("S11 "):
        cluster.commit(2, 2)


def test_s12_an_epoch_falls_within_the_log(cluster: Cluster) -> None:
    cluster.lead(1, 2, on=(1,))
    with caught("S12 "):
        cluster.put(batch(1, 1, (0, 1)), 1)


def test_s13_a_snapshot_of_what_is_not_committed(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    with caught("S13 "):
        cluster.checker.snapshot_taken(cluster[1], OffsetAndEpoch(Epoch(1), Offset(1)))


def test_s13_a_log_starts_without_a_snapshot(cluster: Cluster) -> None:
    cluster[1].store.start_offset = Offset(5)
    with caught("S13 "):
        cluster.checker.log_started(cluster[1])
    cluster[1].store.snapshots[OffsetAndEpoch(Epoch(1), Offset(5))] = Snapshot(b"", 0)
    cluster.checker.log_started(cluster[1])


def test_s14_a_leader_loads_a_snapshot(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.commit(1, 1)
    with caught("S14 "):
        cluster.checker.snapshot_installed(cluster[1], OffsetAndEpoch(Epoch(1), Offset(1)), 0)


def test_s16_a_write_is_acknowledged_before_it_is_committed(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.put(batch(1, 1, (0, 1)), 1, 2, 3)
    cluster.commit(1, 1)
    history = History(cluster.checker)
    with caught("S16 "):
        history.written((0, 1), Offset(1), history.begun())


def test_s16_a_request_is_applied_twice(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.put(batch(1, 1, (0, 1)), 1, 2, 3)
    cluster.put(batch(2, 1, (0, 1)), 1, 2, 3)
    with caught("S16 "):
        cluster.commit(1, 3)


def test_s17_a_read_misses_what_was_acknowledged_before_it(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.put(batch(1, 1, (0, 1)), 1, 2, 3)
    cluster.commit(1, 2)
    history = History(cluster.checker)
    history.written((0, 1), Offset(1), history.begun())
    with caught("S17 "):
        history.answered(3, Offset(1), history.begun())


def test_s18_two_states_at_one_offset(cluster: Cluster) -> None:
    cluster.lead(1, 1)
    cluster.commit(1, 1)
    cluster.commit(2, 1)
    cluster.checker.applied(cluster[1], Offset(1), 7)
    with caught("S18 "):
        cluster.checker.applied(cluster[2], Offset(1), 8)


@pytest.mark.parametrize(
    ("before", "after", "epochs"),
    [
        ("unattached", "candidate", (0, 1)),
        ("unattached", "leader", (0, 0)),
        ("follower", "leader", (1, 1)),
        ("follower", "unattached", (1, 1)),
        ("leader", "follower", (1, 1)),
        ("resigned", "follower", (1, 1)),
        ("resigned", "candidate", (1, 2)),
        ("prospective", "candidate", (1, 3)),
        ("candidate", "candidate", (1, 2)),
    ],
)
def test_s19_roles_change_only_as_the_table_says(
    cluster: Cluster, before: str, after: str, epochs: tuple[int, int]
) -> None:
    cluster[1].role, cluster[1].epoch = before, Epoch(epochs[0])
    if before != "leader":
        cluster.checker.started(cluster[1])
    else:
        cluster[1].role = "candidate"
        cluster.checker.started(cluster[1])
        cluster.become(1, "leader", epochs[0], 1)
    with caught("S19 "):
        cluster.become(1, after, epochs[1])


def test_s19_nobody_starts_as_leader(cluster: Cluster) -> None:
    cluster[1].role = "leader"
    with caught("S19 "):
        cluster.checker.started(cluster[1])


def test_s20_a_queue_outgrows_its_bound(cluster: Cluster) -> None:
    cluster.checker.bounded(NodeId(1), {"parked fetches": (3, 3)})
    with caught("S20 "):
        cluster.checker.bounded(NodeId(1), {"parked fetches": (4, 3)})


# --- S15


def voters(base: int, epoch: int, *nodes: int, disk: int = 0) -> RecordBatch:
    """A control batch with a voter set: each node by its directory, or by another disk's."""
    members = tuple(Voter(NodeId(node), Uuid(bytes([node + disk]) * 16), ()) for node in nodes)
    records = (KRaftVersion(1), Voters(members))
    crc, body = machine.seal_control(records)
    return RecordBatch(Offset(base), Epoch(epoch), 2, crc, body, records)


@pytest.fixture
def led() -> Cluster:
    """Node 1 leads, and its LeaderChange is committed."""
    cluster = Cluster()
    cluster.lead(1, 1)
    cluster.commit(1, 1)
    return cluster


def test_voters_after_a_commit_and_again_after_theirs(led: Cluster) -> None:
    led.put(voters(1, 1, 1, 2, 3), 1, 2, 3)
    led.commit(1, 3)
    led.put(voters(3, 1, 1, 2, 3), 1)


def test_voters_before_the_own_epoch_commits() -> None:
    cluster = Cluster()
    cluster.lead(1, 1)
    with caught("S15"):
        cluster.put(voters(1, 1, 1, 2, 3), 1)


def test_a_second_voter_set_while_the_first_is_open(led: Cluster) -> None:
    led.put(voters(1, 1, 1, 2, 3), 1)
    with caught("S15"):
        led.put(voters(3, 1, 1, 2, 3), 1)


def test_more_than_one_voter_changes(led: Cluster) -> None:
    led.put(voters(1, 1, 1, 2, 3), 1, 2, 3)
    led.commit(1, 3)
    with caught("S15"):
        led.put(voters(3, 1, 1, 2, 3, disk=10), 1)


def test_voters_that_the_cluster_does_not_have(led: Cluster) -> None:
    with caught("S15"):
        led.put(voters(1, 1, 1, 2), 1)


def test_a_snapshot_with_other_voters_than_another_nodes(led: Cluster) -> None:
    led.commit(2, 1)
    taken = OffsetAndEpoch(Epoch(1), Offset(1))
    led.checker.snapshot_taken(led[1], taken, ())
    with caught("S15"):
        led.checker.snapshot_taken(led[2], taken, (KRaftVersion(1),))
