"""Answers queries from an image: the rows and pairs of line-protocol.md §4. Reads only; knows no text."""

import fnmatch
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import assert_never

from yakt.ids import Uuid
from yakt.metadata import describe, feed, kept_queries, refusals
from yakt.metadata import questions as q
from yakt.metadata.answers import Answer, Pairs, Row
from yakt.metadata.config_control import resource_of
from yakt.metadata.features import KRAFT_VERSION, SUPPORTED
from yakt.metadata.image import MetadataImage
from yakt.metadata.pages import keys_after, one_row, page, with_offset
from yakt.metadata.questions import Query
from yakt.metadata.records import NO_LEADER
from yakt.metadata.rows import BROKER_CONFIG, TOPIC_CONFIG, BrokerRow, PartitionRow, TopicRow
from yakt.metadata.topic_control import find as find_topic


def answer(image: MetadataImage, query: Query) -> Answer:
    """Answer from the image as it is now. Raises RefusedError: an unknown entity, a page's key that is none."""
    match query:
        case q.ShowSummary():
            return _summary(image)
        case q.GetConfigs():
            return _configs(image, query)
        case q.ShowTopic():
            return _topic(image, query)
        case q.ListTopics():
            return _topics(image, query)
        case q.ListPartitions():
            return _partitions(image, query)
        case q.ListBrokers():
            return _brokers(image, query)
        case q.ShowBroker():
            return _broker(image, query)
        case q.ListFeatures():
            return _features(image)
        case q.ListControllers():
            return _controllers(image)
        case q.ListProducers():
            return _producers(image, query)
        case q.ShowProducer():
            return _producer(image, query)
        case q.ListQuotas():
            return kept_queries.quotas(image, query)
        case q.ListScramCredentials():
            return kept_queries.scram(image, query)
        case q.ListAcls():
            return kept_queries.acls(image, query)
        case q.ListTokens():
            return kept_queries.tokens(image, query)
        case q.FetchChanges():
            return feed.fetch(image, query)
        case _:
            assert_never(query)


def _number(text: str | None) -> int | None:
    """A page's key that is a number. Raises RefusedError (BAD_ARGUMENT)."""
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,19}", text):
        raise refusals.bad_argument("after", f"after={text}: the keys of this list are numbers")
    return int(text)


def _summary(image: MetadataImage) -> Answer:
    counts = image.partition_table.counts
    fenced = shutting_down = 0
    for key in image.brokers.all_keys():
        row = image.brokers.get(key)
        assert row is not None
        fenced += row.fenced
        shutting_down += row.shutting_down and not row.fenced
    return Answer(
        {
            "brokers": len(image.brokers),
            "fenced": fenced,
            "shutting_down": shutting_down,
            "topics": len(image.topics),
            "partitions": counts.shown,
            "leaderless": counts.total_leaderless,
            "under_replicated": counts.total_under,
            "reassigning": counts.reassigning,
            "offset": image.end_offset,
            "epoch": image.epoch,
            "time": image.timestamp_ms or None,
        }
    )


def _globbed(match: str | None) -> Callable[[str], object]:
    """Whether a name matches the glob; with None all do."""
    return (lambda _name: True) if match is None else re.compile(fnmatch.translate(match)).match


def _configs(image: MetadataImage, query: q.GetConfigs) -> Answer:
    key = resource_of(query.entity)
    row = image.configs.get(key)
    if row is None:
        if key[0] == TOPIC_CONFIG:
            find_topic(image, key[1])
        elif key[0] == BROKER_CONFIG and key[1] and not (key[1].isascii() and key[1].isdigit()):
            raise refusals.invalid_request(f"broker/{key[1]}: a broker's id is a number", key="entity")
        return Answer({"count": 0, "offset": image.end_offset})
    rows = [Row("config", describe.config(key, value)) for value in row]
    return Answer({"count": len(rows), "offset": image.end_offset}, rows)


def _topic(image: MetadataImage, query: q.ShowTopic) -> Answer:
    topic = find_topic(image, query.name)
    after = _number(query.after)
    start = 0 if after is None else max(0, after + 1)
    rows = (image.partitions.get((topic.id, number)) for number in range(start, topic.partitions))
    shown = (row for row in rows if row is not None and describe.is_shown(row))
    return page(
        image, "partition", shown, query.limit, describe.partition, lambda row: str(row.partition), full=query.full
    )


def _topics(image: MetadataImage, query: q.ListTopics) -> Answer:
    matches = _globbed(query.match)
    counts = image.partition_table.counts

    def pairs_of(row: TopicRow) -> Pairs:
        if not query.counts:
            return describe.topic(row)
        return {
            **describe.topic(row),
            "leaderless": len(counts.leaderless.get(row.id, ())),
            "under_replicated": len(counts.under_replicated.get(row.id, ())),
        }

    def is_wanted(row: TopicRow) -> bool:
        return not query.problems or row.id in counts.leaderless or row.id in counts.under_replicated

    if query.match is not None and not any(letter in query.match for letter in "*?["):
        rows = [row] if (row := image.topics.get(query.match)) is not None else []
        rows = [row for row in rows if (query.after is None or row.name > query.after) and is_wanted(row)]
        return page(image, "topic", rows, query.limit, pairs_of, lambda row: row.name, full=query.full)
    known = _topics_of(image, {*counts.leaderless, *counts.under_replicated}) if query.problems else None
    keys = image.topics.sorted_keys() if known is None else known
    names = (name for name in keys_after(keys, query.after) if matches(name))
    found = (row for row in map(image.topics.get, names) if row is not None and is_wanted(row))
    return page(image, "topic", found, query.limit, pairs_of, lambda row: row.name, full=query.full)


def _topics_of(image: MetadataImage, ids: Collection[Uuid]) -> list[str] | None:
    """Names of these topics in order; None where they are so many that a look at all in order is less work."""
    if len(ids) > len(image.topics) // 4:
        return None
    return sorted(name for name in map(image.topic_names.get, ids) if name is not None)


def _partitions(image: MetadataImage, query: q.ListPartitions) -> Answer:
    if query.topic is not None:
        find_topic(image, query.topic)
    after = _partition_key(query.after)

    def is_wanted(row: PartitionRow) -> bool:
        return (
            describe.is_shown(row)
            and (query.broker is None or query.broker in row.replicas)
            and (query.leader is None or query.leader == row.leader)
            and (not query.leaderless or row.leader == NO_LEADER)
            and (not query.under_replicated or len(row.isr) < len(row.replicas))
        )

    wanted = filter(is_wanted, _partitions_after(image, query, after))
    return page(
        image,
        "partition",
        wanted,
        query.limit,
        describe.partition,
        lambda row: f"{row.topic}:{row.partition}",
        full=query.full,
    )


def _partition_key(text: str | None) -> tuple[str, int] | None:
    """A page's key, `topic:partition`. Raises RefusedError (BAD_ARGUMENT)."""
    if text is None:
        return None
    topic, colon, number = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,10}", number):
        raise refusals.bad_argument("after", f"after={text}: the keys of this list are topic:partition")
    return topic, int(number)


def _partitions_after(
    image: MetadataImage, query: q.ListPartitions, after: tuple[str, int] | None
) -> Iterator[PartitionRow]:
    """By topic and number, past a key; of one broker, or with a problem, without a look at the others' partitions."""
    broker_id = query.leader if query.broker is None else query.broker
    if broker_id is not None and query.topic is None:
        rows = sorted(image.partitions.of_broker(broker_id), key=lambda row: (row.topic, row.partition))
        yield from (row for row in rows if after is None or (row.topic, row.partition) > after)
        return
    counts = image.partition_table.counts
    with_problems = (
        counts.leaderless if query.leaderless else counts.under_replicated if query.under_replicated else None
    )
    names: list[str] | None = None
    if query.topic is not None:
        names = [query.topic]
    elif with_problems is not None:
        names = _topics_of(image, with_problems)
    if names is None:
        names = image.topics.sorted_keys()
    start = 0
    if after is not None and query.topic is None:
        start = max(0, bisect_right(names, after[0]) - 1)
    for position in range(start, len(names)):
        topic = image.topics.get(names[position])
        assert topic is not None
        first = 0
        if after is not None:
            if topic.name < after[0]:
                continue
            first = after[1] + 1 if topic.name == after[0] else 0
        numbers: Iterable[int] = range(first, topic.partitions)
        if with_problems is not None:
            numbers = sorted(number for number in with_problems.get(topic.id, ()) if number >= first)
        for number in numbers:
            row = image.partitions.get((topic.id, number))
            if row is not None:
                yield row


def _brokers(image: MetadataImage, query: q.ListBrokers) -> Answer:
    rows = map(image.brokers.get, keys_after(image.brokers.sorted_keys(), _number(query.after)))
    matches = _globbed(query.match)

    def is_wanted(row: BrokerRow) -> bool:
        if query.fenced not in (None, row.fenced):
            return False
        hosts = [point.host for point in row.end_points[:1]]
        return query.match is None or any(matches(word) for word in (str(row.id), *hosts, row.rack or ""))

    shown = (row for row in rows if row is not None and is_wanted(row))
    pairs_of = partial(_broker_pairs, image, query.counts)
    return page(image, "broker", shown, query.limit, pairs_of, lambda row: str(row.id), full=query.full)


def _broker_pairs(image: MetadataImage, counts: bool, row: BrokerRow) -> Pairs:
    if not counts:
        return describe.broker(row)
    table = image.partition_table
    return {
        **describe.broker(row),
        "leads": table.counts.led[row.id],
        "replicas": table.count_of(row.id),
        "out_of_sync": table.counts.out_of_sync[row.id],
    }


def _broker(image: MetadataImage, query: q.ShowBroker) -> Answer:
    row = image.brokers.get(query.id)
    if row is not None:
        pairs = _broker_pairs(image, query.counts, row)
        return one_row(image, "broker", with_offset(row, pairs) if query.full else pairs)
    closed = image.closed.get(query.id)
    if closed is not None:
        pairs = describe.closed_broker(closed)
        return one_row(image, "broker", with_offset(closed, pairs) if query.full else pairs)
    raise refusals.unknown_broker(query.id, image.end_offset, image.broker_ids())


def _features(image: MetadataImage) -> Answer:
    levels = {**dict.fromkeys(SUPPORTED, 0), **{row.name: row.level for row in image.features.rows()}}
    levels[KRAFT_VERSION] = image.kraft_version
    rows = [Row("feature", describe.feature_level(*one)) for one in sorted(levels.items())]
    return Answer({"count": len(rows), "offset": image.end_offset}, rows)


def _controllers(image: MetadataImage) -> Answer:
    rows = [Row("controller", describe.controller(row)) for row in image.controllers.rows()]
    return Answer({"count": len(rows), "offset": image.end_offset}, rows)


def _producers(image: MetadataImage, query: q.ListProducers) -> Answer:
    rows = map(image.producers.get, keys_after(image.producers.sorted_keys(), _number(query.after)))
    shown = (row for row in rows if row is not None)
    return page(image, "producer", shown, query.limit, describe.producer, lambda row: str(row.id), full=query.full)


def _producer(image: MetadataImage, query: q.ShowProducer) -> Answer:
    row = image.producers.get(query.id)
    if row is None:
        raise refusals.unknown_producer(query.id, image.end_offset)
    pairs = describe.producer(row)
    return one_row(image, "producer", with_offset(row, pairs) if query.full else pairs)
