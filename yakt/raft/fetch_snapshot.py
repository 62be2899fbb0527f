"""FetchSnapshot, both ends: a laggard loads the state whose log is no longer kept (KIP-630, FetchSnapshot)."""

from yakt.ids import Instant
from yakt.raft import fetch, transitions
from yakt.raft.effects import Effects, InstallSnapshot, Send, WriteSnapshot
from yakt.raft.events import Source
from yakt.raft.messages import Error, FetchSnapshotRequest, FetchSnapshotResponse, SnapshotRange
from yakt.raft.quorum import Quorum
from yakt.raft.roles import Asked, Follower, Leader


def ask(quorum: Quorum, effects: Effects, role: Follower) -> None:
    """Ask the leader for the next piece."""
    download = role.download
    assert download is not None
    if role.asked is not None:
        fetch.ask_again(quorum, effects, role, role.asked)
        return
    request = FetchSnapshotRequest(
        replica=quorum.me,
        epoch=quorum.epoch,
        snapshot_id=download.snapshot_id,
        position=download.position,
        max_bytes=quorum.config.snapshot_chunk_bytes,
        cluster_id=quorum.cluster_id,
    )
    correlation = quorum.next_correlation()
    role.asked = Asked(role.leader_id, correlation, request)
    role.ask_at = Instant(effects.now + quorum.config.request_timeout)
    effects.add(Send(role.leader_id, request, correlation))


def on_response(
    quorum: Quorum, effects: Effects, source: Source, response: FetchSnapshotResponse, correlation: int
) -> None:
    """Write the piece; the last one installs the snapshot. Whatever is wrong with it: give it up and Fetch again."""
    asked = fetch.take_answered(quorum, source, correlation)
    if asked is None:
        return
    role = quorum.role
    if transitions.adopt(quorum, effects, response.epoch, response.leader_id):
        return
    assert isinstance(role, Follower)
    download = role.download
    data = response.data
    assert isinstance(data, bytes), "a response arrived without its bytes"
    if (
        response.error is not Error.NONE
        or response.epoch != quorum.epoch
        or download is None
        or response.snapshot_id != download.snapshot_id
        or response.position != download.position
        or not data
        or response.position + len(data) > response.size
    ):
        role.download = None
        role.ask_at = Instant(effects.now + quorum.config.retry_backoff)
        return
    fetch.hear_leader(quorum, effects, role)
    effects.add(WriteSnapshot(download.snapshot_id, download.position, data))
    download.position += len(data)
    if download.position < response.size:
        ask(quorum, effects, role)
        return
    role.download = None
    snapshot_id = download.snapshot_id
    assert snapshot_id.offset > quorum.high_watermark, "a snapshot would take us back"
    quorum.log.restart_at(snapshot_id, response.size)
    quorum.voters.truncate(quorum.high_watermark)
    effects.add(InstallSnapshot(snapshot_id))
    quorum.raise_high_watermark(effects, snapshot_id.offset)
    fetch.ask(quorum, effects, role)


def on_request(
    quorum: Quorum, effects: Effects, source: Source, request: FetchSnapshotRequest, correlation: int
) -> None:
    """Serve a piece of a snapshot (storage.md §4)."""
    error = fetch.check_request(quorum, request, source, is_valid=request.max_bytes >= 0)
    leader = quorum.role
    size = 0
    if error is Error.NONE:
        assert isinstance(leader, Leader)
        follower = fetch.find_follower(quorum, effects, leader, request, source)
        if follower is not None:
            follower.last_fetch = effects.now
        found = quorum.log.snapshots.get(request.snapshot_id) if request.snapshot_id.offset > 0 else None
        if found is None:
            error = Error.SNAPSHOT_NOT_FOUND
        elif not 0 <= request.position < found:
            error = Error.POSITION_OUT_OF_RANGE
        else:
            size = found
    if error is not Error.NONE:
        refusal = FetchSnapshotResponse(error=error, leader_id=quorum.leader_id, epoch=quorum.epoch)
        effects.add(Send(source, refusal, correlation))
        return
    longest = quorum.config.response_bytes_max
    max_bytes = min(request.max_bytes, longest) if request.max_bytes > 0 else longest
    response = FetchSnapshotResponse(
        leader_id=quorum.me.id,
        epoch=quorum.epoch,
        snapshot_id=request.snapshot_id,
        size=size,
        position=request.position,
        data=SnapshotRange(request.snapshot_id, request.position, max_bytes),
    )
    effects.add(Send(source, response, correlation))
