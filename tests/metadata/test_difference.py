"""DIFF and FETCH from the changes alone: the same as from two whole states, whatever happened in between."""

from collections.abc import Iterable

import hypothesis.strategies as st
from hypothesis import given

from tests.metadata.cluster import Cluster
from tests.metadata.test_feed import key_of, lines
from yakt.metadata import commands as c
from yakt.metadata.answers import Answer, Pairs, Row
from yakt.metadata.difference import Net, Placed, row_of
from yakt.metadata.entities import Entity
from yakt.metadata.feed import fetch
from yakt.metadata.questions import FetchChanges

State = dict[tuple[str, str], Pairs]
TOPIC = Entity("topic", "t")


def net(cluster: Cluster, since: int, end: int | None = None) -> Net:
    made = Net(since)
    changes = cluster.image.journal.since(since)
    made.add(change for change in changes if end is None or change.offset < end)
    return made


def rows_of(placed: Iterable[Placed], since: int = 0) -> list[Row]:
    return [row_of(one) for one in sorted(placed, key=lambda one: one[:2]) if one[0] >= since]


def whole(cluster: Cluster) -> State:
    rows = fetch(cluster.image, FetchChanges(None)).rows
    return {(row.kind, key_of(row.kind, row.pairs)): bare(row.pairs) for row in rows}


def bare(pairs: Pairs) -> Pairs:
    return {key: value for key, value in pairs.items() if key != "offset"}


def told(cluster: Cluster, since: int, end: int | None = None) -> list[tuple[str, str]]:
    return lines(Answer({}, rows_of(net(cluster, since, end).differing())))


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 1)), min_size=1, max_size=25)


@given(STEPS, st.data())
def test_a_difference_leads_from_one_state_to_the_other(steps: list[tuple[str, int, int]], data: st.DataObject) -> None:
    cluster = Cluster()
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    states = {cluster.image.end_offset: whole(cluster)}
    for name, what, value in steps:
        command: c.Command = (
            c.CreateTopic(name, 1 + value, replication=2),
            c.DeleteTopic(name),
            c.AddPartitions(name, 3),
            c.DeletePartition(name, 0),
            c.SetConfigs(Entity("topic", name), (("retention.ms", str(value)),)),
            c.DeleteConfigs(Entity("topic", name), ("retention.ms",)),
            c.FenceBroker(1) if value else c.HeartbeatBroker(1),
        )[what]
        cluster.submit(command)
        cluster.commit()
        states[cluster.image.end_offset] = whole(cluster)
    offsets = sorted(states)
    start = data.draw(st.sampled_from(offsets))
    end = data.draw(st.sampled_from([offset for offset in offsets if offset >= start]))

    rows = rows_of(net(cluster, start, end).differing())
    before, after = states[start], states[end]
    assert [row.pairs["offset"] for row in rows] == sorted(int(str(row.pairs["offset"])) for row in rows)
    keys = [(row.kind, key_of(row.kind, row.pairs)) for row in rows]
    assert len(set(keys)) == len(keys)
    reached = dict(before)
    for row, key in zip(rows, keys, strict=True):
        if row.pairs.get("deleted"):
            assert key in before
            del reached[key]
            if row.kind == "topic":  # its partitions and configs go with it
                for one in [one for one in reached if one[1].startswith((f"{key[1]}:", f"topic/{key[1]} "))]:
                    del reached[one]
        else:
            reached[key] = bare(row.pairs)
    assert reached == after
    different = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    assert different >= {key for key in keys if key[0] in ("config", "feature")}, "what is the same is not told"

    # FETCH of the same range says what the image's own journal says.
    if end == offsets[-1]:
        assert rows_of(net(cluster, start).fetched(view=False), start) == list(
            fetch(cluster.image, FetchChanges(start, 10_000)).rows
        )
        assert rows_of(net(cluster, start).fetched(view=True), start) == list(
            fetch(cluster.image, FetchChanges(start, 10_000, view=True)).rows
        )


def test_what_changed_and_changed_back_is_no_difference() -> None:
    cluster = Cluster()
    cluster.broker(1)
    cluster.topic("t", (1,))
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "1"),)))
    start = cluster.image.end_offset
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "2"),)))
    middle = cluster.image.end_offset
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "1"),)))
    cluster.do(c.CreateTopic("short"))
    cluster.do(c.DeleteTopic("short"))
    assert told(cluster, start) == []
    assert told(cluster, start, middle) == told(cluster, middle, middle + 1) == [("config", "topic/t retention.ms")]


def test_a_topic_made_again_is_told_once_and_what_it_has_no_more_is_deleted() -> None:
    cluster = Cluster()
    cluster.broker(1)
    cluster.topic("t", (1,), (1,), (1,))
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "1"),)))
    start = cluster.image.end_offset
    cluster.do(c.DeleteTopic("t"))
    assert told(cluster, start) == [("topic", "-t")]
    cluster.topic("t", (1,))
    assert told(cluster, start) == [
        ("partition", "-t:1"),
        ("partition", "-t:2"),
        ("config", "-topic/t retention.ms"),
        ("topic", "t"),
        ("partition", "t:0"),
    ]
