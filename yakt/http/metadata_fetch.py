"""MetadataFetch: what changed since an offset or a time, or all there is where that is too long ago (seed-api.md)."""

from collections import defaultdict

import trio

from yakt.http.asking import Asking
from yakt.http.fields import Fields
from yakt.http.moments import parse_moment
from yakt.http.problems import bad_field
from yakt.http.records import RECORD_OF, Envelope, envelope, fields_of, key_of
from yakt.http.reply import Reply
from yakt.metadata.answers import Answer, Row
from yakt.metadata.questions import FindOffset, FindTimes

AGE_MAX_MS = 600_000
"""Exactly so old is still a diff."""
A_STEP = 500
"""Rows worded before others get their turn."""
LIMIT = 10_000
"""Changes an answer; the next one goes on from its `offset`."""


def is_old(now_ms: int, time_ms: int) -> bool:
    """Whether that is too long ago for a diff."""
    return now_ms - time_ms > AGE_MAX_MS


async def fetch(ask: Asking, fields: Fields, *, view: bool, heartbeat: bool) -> Reply:
    """10 and 11. `view`: brokers, topics and partitions only. `heartbeat`: of the broker named in `brokerId`."""
    broker_id = await ask.broker_id(fields.get("brokerId", "internalUUID")) if heartbeat else None
    position, given_ms = await _position(ask, fields)
    since = position or 0
    options = {"since": since, "limit": LIMIT}
    if view:
        answer = await ask.ask("VIEW", **options)
    else:
        if broker_id is not None and position is None:  # it says of itself that it is caught up
            await ask.ask_besides("BROKER HEARTBEAT", broker_id)
            broker_id = None
        answer = await ask.ask("FETCH", **options, broker=broker_id)
    if answer.pairs.get("snapshot"):
        return await _snapshot(ask, answer, answer.pairs.get("reason"))
    if answer.rows and await _is_old(ask, since, given_ms):
        whole = await ask.ask_besides("VIEW" if view else "FETCH")
        return await _snapshot(ask, whole, "old")
    return await _diff(ask, answer)


async def _position(ask: Asking, fields: Fields) -> tuple[int | None, int | None]:
    """The offset to go on from, None: nothing was sent; and the time it was given as, in ms."""
    offset, moment = fields.get("offset"), fields.get("timestamp")
    if offset is not None:
        if isinstance(offset, int) and not isinstance(offset, bool):
            return _in_range(offset), None
        if isinstance(offset, str) and offset.isascii() and offset.isdigit():
            return _in_range(int(offset)), None
        moment = offset  # an offset that is no number is a time
        given_ms = parse_moment(moment, "offset")
    elif moment is not None:
        given_ms = parse_moment(moment)
    else:
        return None, None
    found = (await ask.ask_node(FindOffset(given_ms))).pairs["offset"]
    assert isinstance(found, int)
    return found, given_ms


def _in_range(offset: int) -> int:
    if not 0 <= offset < 2**63:
        raise bad_field("offset", "is an offset, from 0")
    return offset


async def _is_old(ask: Asking, since: int, given_ms: int | None) -> bool:
    """By the leader's clock: since the given time, else since the first change that was not seen yet."""
    if given_ms is None:
        journal = ask.service.image.journal
        if since < journal.start_offset:
            return True
        first = next(iter(journal.since(since, 1)), None)
        if first is None:
            return False
        found = (await ask.ask_node(FindTimes((first.offset,)))).pairs["times"]
        assert isinstance(found, list)
        given_ms = int(found[0])
    now_ms = (await ask.ask_besides("QUORUM SHOW")).pairs["time"]
    assert isinstance(now_ms, int)
    return is_old(now_ms, given_ms)


async def _snapshot(ask: Asking, answer: Answer, reason: object) -> Reply:
    body: dict[str, object] = {"kind": "snapshot", "offset": answer.pairs["next"]}
    if reason is not None:
        body["reason"] = reason
    upserted, _ = await _grouped(ask, answer)
    return Reply({**body, "state": upserted})


async def _diff(ask: Asking, answer: Answer) -> Reply:
    upserted, deleted = await _grouped(ask, answer)
    body: dict[str, object] = {"kind": "diff", "offset": answer.pairs["next"]}
    if answer.pairs["next"] != answer.pairs["high_watermark"]:
        body["more"] = True
    return Reply({**body, "upserted": upserted, "deleted": deleted})


async def _grouped(ask: Asking, answer: Answer) -> tuple[dict[str, list[Envelope]], dict[str, list[Envelope]]]:
    """By record type: what is there, and what is gone."""
    upserted: dict[str, list[Envelope]] = defaultdict(list)
    deleted: dict[str, list[Envelope]] = defaultdict(list)
    times = await ask.times(answer.rows)
    names = ask.names
    for position, (row, time_ms) in enumerate(zip(answer.rows, times, strict=True), 1):
        if position % A_STEP == 0:
            await trio.lowlevel.checkpoint()
            names = ask.names
        gone = bool(row.pairs.get("deleted"))
        fields = (key_of if gone else fields_of)(row.kind, row.pairs, names)
        group = deleted if gone else upserted
        group[RECORD_OF[row.kind]].append(envelope(RECORD_OF[row.kind], fields, _offset(row), time_ms))
    return upserted, deleted


def _offset(row: Row) -> int:
    offset = row.pairs["offset"]
    assert isinstance(offset, int)
    return offset
