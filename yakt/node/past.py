"""HISTORY, BLAME, DIFF, and FETCH from long ago: answers made from the kept log."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import aclosing

from yakt.metadata import feed, refusals
from yakt.metadata.about import About
from yakt.metadata.answers import Answer, Pairs, Row
from yakt.metadata.asked import Options
from yakt.metadata.assignment_control import find as find_partition
from yakt.metadata.broker_control import find as find_broker
from yakt.metadata.describe import describe
from yakt.metadata.difference import Net, Placed, row_of
from yakt.metadata.entities import Entity, TopicPartition
from yakt.metadata.image import MetadataImage
from yakt.metadata.questions import Blame, Compare, FetchChanges, ReadHistory
from yakt.metadata.say import say
from yakt.metadata.tables import Change
from yakt.metadata.topic_control import find as find_topic
from yakt.node.history import History, Step
from yakt.node.log_rows import who

PIECE = 250
"""Things dealt with before a look at the clock."""
NET_MAX = 500_000
"""Things that may have changed between two states that are compared: some hundred megabytes."""


async def answer(history: History, command: ReadHistory | Blame | Compare, options: Options) -> Answer:
    """Of what is committed and applied here. Raises RefusedError."""
    if isinstance(command, Compare):
        if options.at_offset is not None:
            raise refusals.bad_argument("at", "DIFF names both of its states itself")
        return await compare(history, command)
    end = history.end_offset if options.at_offset is None else options.at_offset
    history.check(end, "at")
    return await (blame if isinstance(command, Blame) else tell)(history, command, end)  # type: ignore[arg-type]


# --- one thing --------------------------------------------------------------------------------------------------------


async def tell(history: History, command: ReadHistory, end_offset: int) -> Answer:
    """HISTORY: a page of it. `since=` in its OK is how far back the log is kept."""
    after = _offset(command.after)
    since = history.start_offset if after is None else after + 1
    history.check(since, "after")
    about, rows, more = About(command.subject), list[Row](), False
    async with aclosing(history.steps(since, end_offset, about)) as steps:
        async for step in steps:
            rows += [_row(step, change, in_words=command.say) for change in step.changes if about.tells(change)]
            end = _end_of_page(rows, command.limit)
            if end < len(rows):
                more = True
                del rows[end:]
                break
    if not rows and after is None:
        _check_known(history.present, command.subject)
    pairs: Pairs = {"count": len(rows), "offset": end_offset, "since": history.start_offset}
    if more:
        pairs["next"] = str(rows[-1].pairs["offset"])
    return Answer(pairs, rows)


def _end_of_page(rows: Sequence[Row], limit: int) -> int:
    """Where the page ends: pages are cut between offsets, as the next one goes on at an offset."""
    end = min(limit, len(rows))
    while 0 < end < len(rows) and rows[end].pairs["offset"] == rows[end - 1].pairs["offset"]:
        end += 1
    return end


async def blame(history: History, command: Blame, end_offset: int) -> Answer:
    """BLAME: looked for from the end, a snapshot's distance at a time."""
    for start, end in reversed(history.spans()):
        about, last = About(command.subject), deque[tuple[Step, Change]](maxlen=1)
        async with aclosing(history.steps(start, min(end, end_offset), about)) as steps:
            async for step in steps:
                last.extend((step, change) for change in step.changes if about.tells(change))
        if last:
            rows = [_row(*last[0], in_words=command.say)]
            return Answer({"count": 1, "offset": end_offset}, rows)
    _check_known(history.present, command.subject)
    raise history.compacted("since")


def _row(step: Step, change: Change, *, in_words: bool) -> Row:
    """As WATCH tells it, with the time, and what is known of who asked and why."""
    pairs: Pairs = {
        "offset": change.offset,
        "time": step.time_ms,
        **describe(change),
        **who(step.origin(change.offset)),
    }
    if in_words:
        pairs["say"] = say(change)
    return Row(change.kind, pairs)


def _check_known(image: MetadataImage, subject: Entity | TopicPartition) -> None:
    """Raises RefusedError for what is not there: that nothing is told of it has another reason than the log's age."""
    if isinstance(subject, TopicPartition):
        find_partition(image, subject.topic, subject.partition)
    elif subject.kind == "topic":
        find_topic(image, subject.name)
    elif subject.kind == "broker" and subject.name and image.closed.get(int(subject.name)) is None:
        find_broker(image, int(subject.name))


def _offset(text: str | None) -> int | None:
    """A page's key. Raises RefusedError (BAD_ARGUMENT)."""
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise refusals.bad_argument("after", f"after={text}: the keys of this list are offsets")
    return int(text)


# --- everything -------------------------------------------------------------------------------------------------------


async def compare(history: History, command: Compare) -> Answer:
    """DIFF: a page of it."""
    if command.start > command.end:
        refusal = refusals.bad_argument("to", f"{command.end} is before {command.start}: the earlier state comes first")
        refusal.hint = f"DIFF {command.end} {command.start}"
        raise refusal
    after = _offset(command.after)
    history.check(command.end, "to")
    history.check(command.start, "from")
    net = await _net(history, command.start, command.end)
    if net is None:
        raise refusals.bad_argument("from", f"more than {NET_MAX} things changed in between: ask for a part")
    shown, following = await _page(history, net.differing(), -1 if after is None else after, command.limit)
    pairs: Pairs = {"count": len(shown), "offset": command.end}
    if following is not None:
        pairs["next"] = str(following - 1)
    return Answer(pairs, shown)


async def fetch(history: History, query: FetchChanges, end_offset: int) -> Answer:
    """FETCH and VIEW where the image's own journal does not reach back far enough, or of the state at an offset."""
    history.check(end_offset, "at")
    since, net = query.since, None
    if since is not None and history.start_offset <= since <= end_offset:
        net = await _net(history, since, end_offset)
    if since is None or net is None:
        reason = None if since is None else "ahead" if since > end_offset else "compacted"
        async with history.state_at(end_offset) as image:
            return feed.whole(image, query, reason)
    shown, following = await _page(history, net.fetched(view=query.view), since - 1, query.limit)
    return Answer({"next": end_offset if following is None else following, "high_watermark": end_offset}, shown)


async def _net(history: History, since: int, end_offset: int) -> Net | None:
    """What `[since, end_offset)` comes to; None for more than can be kept. The newest part of the log is in memory."""
    net, journal = Net(since), history.present.journal
    if since >= journal.start_offset:
        changes = journal.since(since)
        for start in range(0, len(changes), PIECE):
            net.add(change for change in changes[start : start + PIECE] if change.offset < end_offset)
            await history.pause()
        return net if len(net) <= NET_MAX else None
    async with aclosing(history.steps(since, end_offset)) as steps:
        async for step in steps:
            net.add(step.changes)
            if len(net) > NET_MAX:
                return None
    return net


async def _page(history: History, found: Iterable[Placed], after: int, limit: int) -> tuple[list[Row], int | None]:
    """The first of these past offset `after`, about `limit` of them, cut between offsets; and where to go on, if there
    are more. Sorted a part at a time: there may be very many."""
    first: list[Placed] = []
    for count, placed in enumerate(found, 1):
        if placed[0] > after:
            first.append(placed)
        if len(first) > 2 * limit + PIECE:
            first = _cut(first, limit)
        if count % PIECE == 0:
            await history.pause()
    first = _cut(first, limit)
    following = None
    if len(first) > limit and first[-1][0] != first[limit - 1][0]:
        following = first.pop()[0]
    rows: list[Row] = []
    for placed in first:
        rows.append(row_of(placed))
        if len(rows) % PIECE == 0:
            await history.pause()
    return rows, None if following is None else int(str(rows[-1].pairs["offset"])) + 1


def _cut(placed: list[Placed], limit: int) -> list[Placed]:
    """The first `limit`, all else of the last one's offset, and one more, if there is one."""
    placed.sort(key=_order)
    end = limit
    while 0 < end < len(placed) and placed[end][0] == placed[end - 1][0]:
        end += 1
    return placed[: end + 1]


def _order(placed: Placed) -> tuple[int, int]:
    return placed[:2]
