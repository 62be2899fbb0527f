"""Answers queries from an image: the rows and pairs of line-protocol.md §4. Reads only; knows no text."""

import fnmatch
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, assert_never

from yakt.metadata import describe, feed, kept_queries, refusals
from yakt.metadata import questions as q
from yakt.metadata.answers import Answer, Row
from yakt.metadata.config_control import resource_of
from yakt.metadata.image import MetadataImage
from yakt.metadata.pages import keys_after, one_row, page, with_offset
from yakt.metadata.questions import Query
from yakt.metadata.records import NO_LEADER
from yakt.metadata.rows import BROKER_CONFIG, TOPIC_CONFIG, PartitionRow
from yakt.metadata.topic_control import find as find_topic


def answer(image: MetadataImage, query: Query) -> Answer:
    """Answer from the image as it is now. Raises RefusedError: an unknown entity, a page's key that is none."""
    match query:
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
    matches: Callable[[str], Any] = (
        (lambda _name: True) if query.match is None else re.compile(fnmatch.translate(query.match)).match
    )
    if query.match is not None and not any(letter in query.match for letter in "*?["):
        rows = [row] if (row := image.topics.get(query.match)) is not None else []
        rows = [row for row in rows if query.after is None or row.name > query.after]
        return page(image, "topic", rows, query.limit, describe.topic, lambda row: row.name, full=query.full)
    names = (name for name in keys_after(image.topics.sorted_keys(), query.after) if matches(name))
    found = (row for row in map(image.topics.get, names) if row is not None)
    return page(image, "topic", found, query.limit, describe.topic, lambda row: row.name, full=query.full)


def _partitions(image: MetadataImage, query: q.ListPartitions) -> Answer:
    if query.topic is not None:
        find_topic(image, query.topic)
    after = _partition_key(query.after)

    def is_wanted(row: PartitionRow) -> bool:
        return (
            describe.is_shown(row)
            and (query.broker is None or query.broker in row.replicas)
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
    """By topic and number, past a key; of one broker without a look at the others' partitions."""
    if query.broker is not None and query.topic is None:
        rows = sorted(image.partitions.of_broker(query.broker), key=lambda row: (row.topic, row.partition))
        yield from (row for row in rows if after is None or (row.topic, row.partition) > after)
        return
    names = [query.topic] if query.topic is not None else image.topics.sorted_keys()
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
        for number in range(first, topic.partitions):
            row = image.partitions.get((topic.id, number))
            if row is not None:
                yield row


def _brokers(image: MetadataImage, query: q.ListBrokers) -> Answer:
    rows = map(image.brokers.get, keys_after(image.brokers.sorted_keys(), _number(query.after)))
    shown = (row for row in rows if row is not None and query.fenced in (None, row.fenced))
    return page(image, "broker", shown, query.limit, describe.broker, lambda row: str(row.id), full=query.full)


def _broker(image: MetadataImage, query: q.ShowBroker) -> Answer:
    row = image.brokers.get(query.id)
    if row is not None:
        pairs = describe.broker(row)
        return one_row(image, "broker", with_offset(row, pairs) if query.full else pairs)
    closed = image.closed.get(query.id)
    if closed is not None:
        pairs = describe.closed_broker(closed)
        return one_row(image, "broker", with_offset(closed, pairs) if query.full else pairs)
    raise refusals.unknown_broker(query.id, image.end_offset, image.broker_ids())


def _features(image: MetadataImage) -> Answer:
    rows = [Row("feature", describe.feature(row)) for row in image.features.rows()]
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
