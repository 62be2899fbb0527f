"""What changed since an offset (FETCH, VIEW): each entity once, as it now is; or all there is, if that is not known."""

from collections.abc import Iterator

import msgspec

from yakt.metadata import describe
from yakt.metadata.answers import Answer, Pairs, Row
from yakt.metadata.image import MetadataImage
from yakt.metadata.questions import FetchChanges
from yakt.metadata.rows import TOPIC_CONFIG, TopicRow
from yakt.metadata.tables import Change

VIEW_KINDS = frozenset(("broker", "topic", "partition"))


def fetch(image: MetadataImage, query: FetchChanges) -> Answer:
    """Answer FETCH and VIEW. `next=` is where to go on; `snapshot=true` says that these rows are all there are."""
    since = query.since
    if since is None:
        return whole(image, query, None)
    if since > image.end_offset:
        return whole(image, query, "ahead")
    if since < image.journal.start_offset:
        return whole(image, query, "compacted")
    rows: list[Row] = []
    next_offset = image.end_offset
    changes = image.journal.changes
    last_offset = -1
    for position in range(image.journal.position(since), len(changes)):
        change = changes[position]
        # Cut between offsets only: `next=` is one.
        if len(rows) >= query.limit and change.offset != last_offset:
            next_offset = last_offset + 1
            break
        if (query.view and change.kind not in VIEW_KINDS) or not is_told(image, change, since):
            continue
        rows.append(Row(change.kind, {"offset": change.offset, **_described(change)}))
        last_offset = change.offset
    return Answer({"next": next_offset, "high_watermark": image.end_offset}, rows)


def _described(change: Change) -> Pairs:
    """As the entity is now: a topic may have got partitions since that its row does not count as changes."""
    if not change.gone and not change.part:
        change = msgspec.structs.replace(change, row=change.table.items[change.key])
    return describe.describe(change)


def is_told(image: MetadataImage, change: Change, since: int) -> bool:
    """Whether this is the entity's last change that is told of; the rest of its history is in a later one."""
    table, key = change.table, change.key
    row = table.items.get(key)
    if not change.gone:
        if change.part:
            return any(value.key == change.part and value.offset == change.offset for value in row or ())
        return row is not None and row.offset == change.offset
    if change.quiet:
        return False  # with its topic, which is told
    if change.part:
        if key[0] == TOPIC_CONFIG and image.topics.get(key[1]) is None:
            return False
        if any(value.key == change.part for value in row or ()):
            return False
    elif row is not None:
        # A topic that was deleted and made again is another one: who knew the old must hear of its end, in its place.
        return isinstance(row, TopicRow) and change.old.created_offset < since
    return table.gone_offset(key, change.part) in (change.offset, None)


def whole(image: MetadataImage, query: FetchChanges, reason: str | None) -> Answer:
    """All there is, and why not what changed: `compacted`, `ahead`, or None where nobody asked for that."""
    rows = [Row(kind, pairs) for kind, pairs in _all(image) if not query.view or kind in VIEW_KINDS]
    pairs: Pairs = {"snapshot": True, "next": image.end_offset, "high_watermark": image.end_offset}
    if reason is not None:
        pairs["reason"] = reason
    return Answer(pairs, rows)


def _all(image: MetadataImage) -> Iterator[tuple[str, Pairs]]:
    for broker in image.brokers.rows():
        yield "broker", {"offset": broker.offset, **describe.broker(broker)}
    for topic in image.topics.rows():
        yield "topic", {"offset": topic.offset, **describe.topic(topic)}
        for row in image.partitions_of(topic):
            if describe.is_shown(row):
                yield "partition", {"offset": row.offset, **describe.partition(row)}
    for key in image.configs.sorted_keys():
        for value in image.configs.get(key) or ():
            yield "config", {"offset": value.offset, **describe.config(key, value)}
    for feature in image.features.rows():
        yield "feature", {"offset": feature.offset, **describe.feature(feature)}
    for producer in image.producers.rows():
        yield "producer", {"offset": producer.offset, **describe.producer(producer)}
    for kind, rows in (("quota", image.quotas), ("scram", image.scram), ("acl", image.acls), ("token", image.tokens)):
        for kept in rows.rows():
            yield kind, {"offset": kept.offset, **describe.kept(kept.record)}
