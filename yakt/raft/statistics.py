"""What a replica tells of itself and, leading, of the others: a frozen view for STATUS, HEALTH and DescribeQuorum."""

from math import isinf

import attrs

from yakt.ids import Epoch, Instant, NodeId, Offset, OffsetAndEpoch, ReplicaKey, Uuid
from yakt.raft import voter_records
from yakt.raft.quorum import Quorum
from yakt.raft.roles import Follower, Leader, Progress, Resigned


@attrs.frozen
class ReplicaStatistics:
    """One replica as its leader sees it (raft.md §9). Instants are None while unknown; `end_offset` too.

    `fell_back`: it fetched below what it had confirmed in this epoch: a disk that was set back.
    """

    id: NodeId
    directory_id: Uuid | None
    end_offset: Offset | None
    last_fetch: Instant | None
    last_caught_up: Instant | None
    fell_back: bool = False


@attrs.frozen(kw_only=True)
class Statistics:
    """A replica's own view. `voters` and `observers` say more than ids only on the leader."""

    now: Instant
    me: ReplicaKey
    role: str
    epoch: Epoch
    leader_id: NodeId | None
    hears_leader: bool
    """On a follower: its last fetch succeeded, and nothing since says that the leader is gone."""
    is_voter: bool
    kraft_version: int
    waits_for: tuple[NodeId, ...]
    """On the leader: the voters that keep kraft.version from the level that its configuration asks for."""
    high_watermark: Offset
    is_high_watermark_current: bool
    """On the leader: something was committed in its own epoch."""
    log_start_offset: Offset
    log_end_offset: Offset
    durable_end_offset: Offset
    newest_snapshot: OffsetAndEpoch | None
    voters: tuple[ReplicaStatistics, ...]
    observers: tuple[ReplicaStatistics, ...]
    parked_fetches: int
    are_reads_waiting: bool
    transfer_to: NodeId | None
    """The voter that is to lead as soon as it has caught up; None: no transfer is pending."""
    is_handing_over: bool
    """We have resigned and some voter has not heard it yet."""


def take(quorum: Quorum, now: Instant) -> Statistics:
    """Everything there is to tell, at this moment."""
    role = quorum.role
    leader = role if isinstance(role, Leader) else None
    return Statistics(
        now=now,
        me=quorum.me,
        role=role.name,
        epoch=quorum.epoch,
        leader_id=quorum.leader_id,
        hears_leader=isinstance(role, Follower) and role.hears_leader,
        is_voter=quorum.is_voter,
        kraft_version=quorum.voters.kraft_version,
        waits_for=() if leader is None else _waits_for(quorum),
        high_watermark=quorum.high_watermark,
        is_high_watermark_current=leader is not None and quorum.known_high_watermark(leader) is not None,
        log_start_offset=quorum.log.start_offset,
        log_end_offset=quorum.log.end_offset,
        durable_end_offset=quorum.log.flushed_end,
        newest_snapshot=quorum.log.newest_snapshot,
        voters=tuple(_voter(quorum, leader, voter, now) for voter in quorum.voters.ids),
        observers=() if leader is None else _observers(quorum, leader, now),
        parked_fetches=0 if leader is None else len(leader.parked),
        are_reads_waiting=quorum.reads.is_waiting,
        transfer_to=None if leader is None or leader.transfer is None else leader.transfer.to,
        is_handing_over=isinstance(role, Resigned) and not role.acknowledged.issuperset(quorum.voters.others),
    )


def _waits_for(quorum: Quorum) -> tuple[NodeId, ...]:
    wanted = quorum.config.kraft_version
    return voter_records.missing(quorum, wanted) if quorum.voters.kraft_version < wanted else ()


def _voter(quorum: Quorum, leader: Leader | None, voter: NodeId, now: Instant) -> ReplicaStatistics:
    key = quorum.voters.key(voter)
    directory_id = None if key is None else key.directory_id
    if voter == quorum.me.id:
        return ReplicaStatistics(voter, directory_id, quorum.log.flushed_end, now, now)
    progress = None if leader is None else leader.followers.get(voter)
    return _replica(voter, directory_id, progress or Progress())


def _observers(quorum: Quorum, leader: Leader, now: Instant) -> tuple[ReplicaStatistics, ...]:
    oldest = now - quorum.config.observer_session
    return tuple(
        _replica(replica.id, replica.directory_id, progress)
        for replica, progress in sorted(leader.observers.items(), key=lambda item: item[0].id)
        if progress.last_fetch >= oldest
    )


def _replica(id: NodeId, directory_id: Uuid | None, progress: Progress) -> ReplicaStatistics:
    return ReplicaStatistics(
        id,
        directory_id,
        None if progress.end_offset < 0 else progress.end_offset,
        None if isinf(progress.last_fetch) else progress.last_fetch,
        None if isinf(progress.last_caught_up) else progress.last_caught_up,
        progress.fell_back,
    )
