"""The fetches a leader holds back until there is something to tell: at most one a source, each with an end.

Records go to all at once, and a high watermark to visitors; voters hear of it with the next data, or a few
milliseconds later, so that a commit costs them one message and not two.
"""

from yakt.ids import Instant
from yakt.raft.effects import Effects, Send
from yakt.raft.events import Source
from yakt.raft.messages import Error, FetchRequest, FetchResponse, LogRange
from yakt.raft.quorum import Quorum
from yakt.raft.roles import NEVER, Leader, Parked

VISITOR_WAIT_MAX_MS = 500


def answer_or_park(
    quorum: Quorum,
    effects: Effects,
    leader: Leader,
    source: Source,
    request: FetchRequest,
    correlation: int,
    *,
    is_voter: bool,
) -> None:
    """Answer now what there is an answer for, or may not wait; park the rest (raft.md §6, the long poll)."""
    is_visitor = not isinstance(source, int)
    known = quorum.known_high_watermark(leader)
    is_behind = known is not None and request.high_watermark is not None and known > request.high_watermark
    if (
        request.fetch_offset < quorum.log.end_offset
        or request.max_wait_ms == 0
        or (is_visitor and is_behind)
        or (is_voter and leader.round_ticket is not None and request.read_round < leader.read_round)
    ):
        effects.add(Send(source, answer(quorum, leader, request), correlation))
    elif is_visitor and len(leader.parked) >= quorum.config.visitors_max + len(leader.followers):
        refusal = FetchResponse(error=Error.BROKER_NOT_AVAILABLE, leader_id=quorum.me.id, epoch=quorum.epoch)
        effects.add(Send(source, refusal, correlation))
    else:
        wait = (
            min(request.max_wait_ms, quorum.config.fetch_max_wait_ms if not is_visitor else VISITOR_WAIT_MAX_MS) / 1000
        )
        deadline = Instant(effects.now + wait)
        leader.parked[source] = Parked(correlation, request, deadline)
        leader.release_at = min(leader.release_at, deadline)
        if is_behind:
            leader.high_watermark_due = min(
                leader.high_watermark_due, Instant(effects.now + quorum.config.high_watermark_delay)
            )


def answer(quorum: Quorum, leader: Leader, request: FetchRequest) -> FetchResponse:
    """All there is from the fetch offset on, perhaps nothing, with the present high watermark and read round."""
    log = quorum.log
    records: LogRange | tuple[()] = ()
    if request.fetch_offset < log.end_offset:
        longest = quorum.config.response_bytes_max
        max_bytes = min(request.max_bytes, longest) if request.max_bytes > 0 else longest
        records = LogRange(request.fetch_offset, log.end_offset, max_bytes)
    return FetchResponse(
        leader_id=quorum.me.id,
        epoch=quorum.epoch,
        high_watermark=quorum.known_high_watermark(leader),
        log_start_offset=log.start_offset,
        records=records,
        read_round=leader.read_round,
    )


def release_all(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """There is something new for every parked fetch."""
    if not leader.parked:
        return
    parked, leader.parked = leader.parked, {}
    leader.release_at = leader.high_watermark_due = NEVER
    last: FetchRequest | None = None
    response: FetchResponse | None = None
    for source, fetch in parked.items():
        request = fetch.request
        if (
            response is None
            or last is None
            or (request.fetch_offset != last.fetch_offset or request.max_bytes != last.max_bytes)
        ):
            response = answer(quorum, leader, request)
            last = request
        effects.add(Send(source, response, fetch.correlation))


def release(quorum: Quorum, effects: Effects, leader: Leader, sources: list[Source]) -> None:
    """Answer these parked fetches with what there is."""
    for source in sources:
        fetch = leader.parked.pop(source)
        effects.add(Send(source, answer(quorum, leader, fetch.request), fetch.correlation))


def dismiss(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """We lead no more: send the parked fetches on to who does."""
    error = Error.BROKER_NOT_AVAILABLE if quorum.is_shutting_down else Error.NOT_LEADER_OR_FOLLOWER
    response = FetchResponse(error=error, leader_id=quorum.leader_id, epoch=quorum.epoch)
    for source, fetch in leader.parked.items():
        effects.add(Send(source, response, fetch.correlation))
    leader.parked.clear()


def on_high_watermark(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """It has risen: visitors hear of it now, voters soon."""
    if not leader.parked:
        return
    release(quorum, effects, leader, [source for source in leader.parked if not isinstance(source, int)])
    if leader.parked:
        leader.high_watermark_due = min(
            leader.high_watermark_due, Instant(effects.now + quorum.config.high_watermark_delay)
        )


def on_timer(quorum: Quorum, effects: Effects, leader: Leader) -> None:
    """Answer the fetches that have waited long enough, and tell voters of a high watermark that no data carried."""
    now = effects.now
    if now >= leader.high_watermark_due:
        leader.high_watermark_due = NEVER
        known = quorum.known_high_watermark(leader)
        if known is not None:
            release(
                quorum,
                effects,
                leader,
                [source for source, fetch in leader.parked.items() if (fetch.request.high_watermark or 0) < known],
            )
    if now >= leader.release_at:
        release(quorum, effects, leader, [source for source, fetch in leader.parked.items() if now >= fetch.deadline])
        leader.release_at = min((fetch.deadline for fetch in leader.parked.values()), default=NEVER)
