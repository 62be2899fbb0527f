"""Fetch, both ends: how records and the high watermark travel, and how a diverging log is mended (KIP-595, Fetch).

The follower has one fetch out at a time. Its offset is the acknowledgement: never past what is durable, so that the
next fetch waits for the flush of what the last one brought.
The leader parks a fetch it has nothing for, and answers it when there is: records, a high watermark, a read round, or
the end of its patience.
"""

from collections.abc import Sequence

from yakt.batch import RecordBatch
from yakt.ids import Instant, NodeId, Offset
from yakt.raft import parked, reads, transitions
from yakt.raft.effects import Append, Effects, Send, Truncate
from yakt.raft.events import Source
from yakt.raft.log import Diverges, Mismatch
from yakt.raft.messages import Error, FetchRequest, FetchResponse, FetchSnapshotRequest, LogRange
from yakt.raft.quorum import Quorum
from yakt.raft.roles import NEVER, Asked, Download, Follower, Leader, Progress, Unattached

# The follower's end


def ask(quorum: Quorum, effects: Effects, role: Follower | Unattached) -> None:
    """Fetch from the leader, or from any voter while none is known; after the flush if one is due, or by timer."""
    log = quorum.log
    if role.asked is not None and isinstance(role, Follower):
        ask_again(quorum, effects, role, role.asked)
        return
    if log.flushed_end < log.end_offset:
        if effects.now < role.ask_at:
            return  # `Flushed` asks
        if log.flushed_end < log.start_offset:  # all there is of the log is being flushed
            role.ask_at = Instant(effects.now + quorum.config.request_timeout)
            return
    knows_leader = isinstance(role, Follower) and not role.is_astray
    to = role.leader_id if knows_leader and isinstance(role, Follower) else _any_other(quorum)
    if to is None:
        role.ask_at = NEVER
        return
    # A disk that stalls must not look like a voter that is gone: by timer, what is durable so far is acknowledged.
    end = log.durable_end
    request = FetchRequest(
        replica=quorum.me,
        epoch=quorum.epoch,
        fetch_offset=end.offset,
        last_fetched_epoch=end.epoch,
        max_wait_ms=quorum.config.fetch_max_wait_ms if knows_leader else 0,
        max_bytes=quorum.config.fetch_bytes,
        high_watermark=quorum.high_watermark,
        read_round=role.read_round if isinstance(role, Follower) else 0,
        cluster_id=quorum.cluster_id,
    )
    correlation = quorum.next_correlation()
    role.asked = Asked(to, correlation, request)
    role.ask_at = Instant(effects.now + quorum.config.request_timeout)
    effects.add(Send(to, request, correlation))


def ask_again(quorum: Quorum, effects: Effects, role: Follower, asked: Asked) -> None:
    """No answer yet: the same question under the same number, so that on a slow link the first answer still counts."""
    role.ask_at = Instant(effects.now + quorum.config.request_timeout)
    effects.add(Send(asked.to, asked.request, asked.correlation))


def _any_other(quorum: Quorum) -> NodeId | None:
    others = quorum.voters.reachable
    return others[int(quorum.random() * len(others))] if others else None


def take_answered(quorum: Quorum, source: Source, correlation: int) -> Asked | None:
    """The fetch that a response from `source` answers, which then is out no more; None: drop the response."""
    role = quorum.role
    if not isinstance(role, Follower | Unattached):
        return None
    asked = role.asked
    if asked is None or asked.to != source or asked.correlation != correlation:
        return None
    role.asked = None
    return asked


def _is_of_this_log(quorum: Quorum, request: FetchRequest) -> bool:
    """Whether an answer to `request` still speaks of our log: a late one of a time before must not truncate it."""
    log = quorum.log
    return (
        request.epoch == quorum.epoch
        and request.fetch_offset == log.end_offset
        and request.last_fetched_epoch == log.last_epoch
    )


def on_response(quorum: Quorum, effects: Effects, source: Source, response: FetchResponse, correlation: int) -> None:
    """Append, truncate, or begin a snapshot's download, as the leader says; then fetch on."""
    asked = take_answered(quorum, source, correlation)
    if asked is None:
        return
    request = asked.request
    role = quorum.role
    assert isinstance(role, Follower | Unattached)
    if transitions.adopt(quorum, effects, response.epoch, response.leader_id):
        return
    if (
        response.error is not Error.NONE
        or response.epoch != quorum.epoch
        or not isinstance(role, Follower)
        or source != role.leader_id
        or not isinstance(request, FetchRequest)
    ):
        pause = quorum.config.retry_backoff if isinstance(role, Follower) else quorum.config.vote_retry
        role.ask_at = Instant(effects.now + pause)
        return
    hear_leader(quorum, effects, role)
    if response.read_round > role.read_round:
        role.read_round = response.read_round
    if not _is_of_this_log(quorum, request):
        role.ask_at = Instant(effects.now + quorum.config.request_timeout)  # or when `Flushed` asks
        return
    if response.diverging is not None:
        end_offset = quorum.log.find_truncation(response.diverging)
        assert end_offset >= quorum.high_watermark, (
            f"leader {source} would truncate to {end_offset} what is committed to {quorum.high_watermark}"
        )
        quorum.log.truncate(end_offset)
        quorum.voters.truncate(end_offset)
        effects.add(Truncate(end_offset))
    elif response.snapshot_id is not None:
        if response.snapshot_id.offset <= quorum.high_watermark or response.snapshot_id.epoch > quorum.epoch:
            role.ask_at = Instant(effects.now + quorum.config.retry_backoff)  # it would take us back
            return
        role.download = Download(response.snapshot_id)
        role.ask_at = effects.now
        return  # the core goes on with `fetch_snapshot`
    else:
        role.matches_leader = True
        assert not isinstance(response.records, LogRange), "a response arrived without its records"
        if response.records and not _append(quorum, effects, response.records):
            role.ask_at = Instant(effects.now + quorum.config.retry_backoff)
            return
        if response.high_watermark is not None:
            quorum.learn_high_watermark(effects, response.high_watermark)
    role.ask_at = Instant(effects.now + quorum.config.request_timeout)
    ask(quorum, effects, role)


def hear_leader(quorum: Quorum, effects: Effects, role: Follower) -> None:
    """A fetch has succeeded: the fetch timer starts anew."""
    role.deadline = quorum.fetch_deadline(effects.now)
    role.hears_leader = True
    role.is_astray = False
    quorum.hurry = 0


def _append(quorum: Quorum, effects: Effects, batches: Sequence[RecordBatch]) -> bool:
    """Append what fits; false if something did not, which then is fetched again after a pause."""
    fitting: list[RecordBatch] = []
    log = quorum.log
    for batch in batches:
        if batch.base_offset != log.end_offset or batch.count <= 0:
            break
        if not log.last_epoch <= batch.leader_epoch <= quorum.epoch:
            break
        quorum.append(batch)
        fitting.append(batch)
    if fitting:
        effects.add(Append(tuple(fitting)))
    return len(fitting) == len(batches)


# The leader's end


def check_request(
    quorum: Quorum, request: FetchRequest | FetchSnapshotRequest, source: Source, *, is_valid: bool
) -> Error:
    """What every request to a leader is checked for, in this order (raft.md §6); `is_valid`: its own fields are."""
    if request.cluster_id is not None and request.cluster_id != quorum.cluster_id:
        return Error.INCONSISTENT_CLUSTER_ID
    replica = request.replica
    if not is_valid or (isinstance(source, int) and (replica is None or replica.id != source)):
        return Error.INVALID_REQUEST
    if request.epoch < quorum.epoch:
        return Error.FENCED_LEADER_EPOCH
    if request.epoch > quorum.epoch:
        return Error.UNKNOWN_LEADER_EPOCH
    if not isinstance(quorum.role, Leader):
        return Error.BROKER_NOT_AVAILABLE if quorum.is_shutting_down else Error.NOT_LEADER_OR_FOLLOWER
    return Error.NONE


def find_follower(
    quorum: Quorum, effects: Effects, leader: Leader, request: FetchRequest | FetchSnapshotRequest, source: Source
) -> Progress | None:
    """The voter that asks, heard for check-quorum; None for an observer: a visitor, or a voter's id on another disk."""
    replica = request.replica
    if isinstance(source, int) and replica is not None and quorum.admit(effects, replica):
        leader.heard.add(source)
        if len(leader.heard) + quorum.voters.includes_me >= quorum.voters.majority:
            leader.heard.clear()
            leader.check_quorum_deadline = Instant(effects.now + quorum.config.check_quorum_timeout)
        return leader.followers.get(source)
    if replica is not None:
        progress = leader.observers.get(replica)
        if progress is None:
            if len(leader.observers) >= quorum.config.observers_max:
                _forget_observers(quorum, effects, leader)
            progress = leader.observers[replica] = Progress()
        if isinstance(request, FetchRequest):
            _note_fetch(quorum, effects, progress, request.fetch_offset)
            progress.end_offset = request.fetch_offset
    return None


def _forget_observers(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Make room: those silent for a session go, or else the one silent longest."""
    oldest = effects.now - quorum.config.observer_session
    gone = [replica for replica, progress in leader.observers.items() if progress.last_fetch < oldest]
    gone = gone or [min(leader.observers, key=lambda replica: leader.observers[replica].last_fetch)]
    for replica in gone:
        del leader.observers[replica]


def _note_fetch(quorum: Quorum, effects: Effects, progress: Progress, fetch_offset: Offset) -> None:
    """Times for DescribeQuorum (raft.md §9)."""
    now = effects.now
    log_end = quorum.log.end_offset
    if fetch_offset >= log_end:
        progress.last_caught_up = now
    elif fetch_offset >= progress.log_end_at_last_fetch >= 0:
        progress.last_caught_up = progress.last_fetch
    progress.last_fetch = now
    progress.log_end_at_last_fetch = log_end


def on_request(quorum: Quorum, effects: Effects, source: Source, request: FetchRequest, correlation: int) -> None:
    """Serve a fetch; from a voter it also says what is durable there."""
    error = check_request(
        quorum,
        request,
        source,
        is_valid=request.max_wait_ms >= 0
        and request.fetch_offset >= 0
        and 0 <= request.last_fetched_epoch <= request.epoch,
    )
    leader = quorum.role
    if error is not Error.NONE or not isinstance(leader, Leader):
        response = FetchResponse(error=error, leader_id=quorum.leader_id, epoch=quorum.epoch)
        effects.add(Send(source, response, correlation))
        return
    follower = find_follower(quorum, effects, leader, request, source)
    mismatch = quorum.log.find_mismatch(request.fetch_offset, request.last_fetched_epoch)
    if mismatch is not None:
        if follower is not None:
            _note_fetch(quorum, effects, follower, Offset(-1))
        effects.add(Send(source, _refer(quorum, leader, mismatch), correlation))
        return
    if follower is not None:
        _note_fetch(quorum, effects, follower, request.fetch_offset)
        if request.fetch_offset >= follower.end_offset:
            follower.end_offset = request.fetch_offset
            follower.fell_back = False
        else:
            follower.fell_back = True
        if follower.read_round < request.read_round <= leader.read_round:
            follower.read_round = request.read_round
        advance_high_watermark(quorum, effects, leader)
        if leader.round_ticket is not None:
            reads.confirm(quorum, effects, leader)
    old = leader.parked.pop(source, None)
    if old is not None and old.correlation != correlation:  # one fetch a source: the new one replaces it
        effects.add(Send(source, parked.answer(quorum, leader, old.request), old.correlation))
    parked.answer_or_park(quorum, effects, leader, source, request, correlation, is_voter=follower is not None)


def _refer(quorum: Quorum, leader: Leader, mismatch: Mismatch) -> FetchResponse:
    diverging = mismatch.point if isinstance(mismatch, Diverges) else None
    return FetchResponse(
        leader_id=quorum.me.id,
        epoch=quorum.epoch,
        high_watermark=quorum.known_high_watermark(leader),
        log_start_offset=quorum.log.start_offset,
        diverging=diverging,
        snapshot_id=None if isinstance(mismatch, Diverges) else mismatch.snapshot_id,
        read_round=leader.read_round,
    )


def advance_high_watermark(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Commit what a majority holds, once that includes a record of our own epoch (raft.md §5.2; Raft, Figure 8)."""
    offset = quorum.majority_end_offset(leader)
    if offset <= quorum.high_watermark or offset <= leader.epoch_start_offset:
        return
    is_first = quorum.known_high_watermark(leader) is None
    quorum.raise_high_watermark(effects, offset)
    parked.on_high_watermark(quorum, effects, leader)
    if is_first:
        reads.start_round(quorum, effects, leader)
