"""FETCH and VIEW: each entity changed since once, as it now is; deletions; whole states; pages."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import journal as journal_module
from yakt.metadata.answers import Answer, Pairs
from yakt.metadata.entities import Entity
from yakt.metadata.feed import fetch
from yakt.metadata.image import MetadataImage
from yakt.metadata.questions import FetchChanges

TOPIC = Entity("topic", "t")


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.broker(1)
    return made


def lines(answer: Answer) -> list[tuple[str, str]]:
    """Kind and key, with `-` before what is deleted."""
    return [(row.kind, ("-" if row.pairs.get("deleted") else "") + key_of(row.kind, row.pairs)) for row in answer.rows]


def key_of(kind: str, pairs: Pairs) -> str:
    match kind:
        case "partition":
            return f"{pairs['topic']}:{pairs['partition']}"
        case "config":
            return f"{pairs['entity']} {pairs['key']}"
        case "broker":
            return str(pairs["id"])
        case "producer":
            return str(pairs["producer"])
    return str(pairs["name"])


def test_nothing_new_is_nothing(cluster: Cluster) -> None:
    end = cluster.image.end_offset
    answer = fetch(cluster.image, FetchChanges(end))
    assert (answer.pairs, list(answer.rows)) == ({"next": end, "high_watermark": end}, [])


def test_each_entity_once_in_the_order_of_its_last_change(cluster: Cluster) -> None:
    start = cluster.image.end_offset
    cluster.do(c.CreateTopic("t", 2))
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "1"),)))
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "2"),)))
    cluster.do(c.FenceBroker(1))
    answer = fetch(cluster.image, FetchChanges(start))
    assert lines(answer) == [
        ("topic", "t"),
        ("config", "topic/t retention.ms"),
        ("partition", "t:0"),
        ("partition", "t:1"),
        ("broker", "1"),
    ]
    offsets = [row.pairs["offset"] for row in answer.rows]
    assert offsets == sorted(offsets)  # type: ignore[type-var]
    assert answer.rows[1].pairs["value"] == "2"
    assert answer.rows[0].pairs["partitions"] == 2


def test_deletions(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 2, configs=(("retention.ms", "1"), ("segment.ms", "1"))))
    start = cluster.image.end_offset
    cluster.do(c.DeleteConfigs(TOPIC, ("retention.ms",)))
    assert lines(fetch(cluster.image, FetchChanges(start))) == [("config", "-topic/t retention.ms")]
    cluster.do(c.DeleteTopic("t"))
    # partitions and configs go with it unsaid
    assert lines(fetch(cluster.image, FetchChanges(start))) == [("topic", "-t")]
    assert fetch(cluster.image, FetchChanges(start)).rows[0].pairs == {
        "offset": cluster.image.end_offset - 1,
        "name": "t",
        "deleted": True,
    }
    cluster.do(c.UnregisterBroker(1))
    assert lines(fetch(cluster.image, FetchChanges(start))) == [("topic", "-t"), ("broker", "-1")]


def test_a_topic_made_again_is_another_one(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t"))
    start = cluster.image.end_offset
    for _ in range(2):
        cluster.do(c.DeleteTopic("t"))
        cluster.do(c.CreateTopic("t"))
    # Who knew the first must drop its partitions and configs; of those in between nobody need hear.
    assert lines(fetch(cluster.image, FetchChanges(start))) == [("topic", "-t"), ("topic", "t"), ("partition", "t:0")]
    assert lines(fetch(cluster.image, FetchChanges(start - 2))) == [("topic", "t"), ("partition", "t:0")]
    cluster.do(c.DeleteTopic("t"))
    assert lines(fetch(cluster.image, FetchChanges(start)))[-1] == ("topic", "-t")


def test_a_broker_that_came_back_is_not_deleted(cluster: Cluster) -> None:
    start = cluster.image.end_offset
    cluster.do(c.UnregisterBroker(1))
    cluster.broker(1)
    assert lines(fetch(cluster.image, FetchChanges(start))) == [("broker", "1")]


def test_added_partitions_change_their_topic_and_come_after_it(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 3))
    start = cluster.image.end_offset
    assert lines(fetch(cluster.image, FetchChanges(start - 4))) == [
        ("topic", "t"),
        *[("partition", f"t:{number}") for number in range(3)],
    ]
    cluster.do(c.AddPartitions("t", 5))
    answer = fetch(cluster.image, FetchChanges(start))
    assert lines(answer) == [("topic", "t"), ("partition", "t:3"), ("partition", "t:4")]
    assert answer.rows[0].pairs["partitions"] == 5


def test_a_view_is_brokers_topics_and_partitions(cluster: Cluster) -> None:
    start = cluster.image.end_offset
    cluster.do(c.CreateTopic("t", configs=(("retention.ms", "1"),)))
    assert lines(fetch(cluster.image, FetchChanges(start, view=True))) == [("topic", "t"), ("partition", "t:0")]
    assert {row.kind for row in fetch(cluster.image, FetchChanges(None, view=True)).rows} == {
        "broker",
        "topic",
        "partition",
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_give_what_one_answer_gives(cluster: Cluster, limit: int) -> None:
    start = cluster.image.end_offset
    for name in ("a", "b"):
        cluster.do(c.CreateTopic(name, 3, configs=(("retention.ms", "1"),)))
    cluster.do(c.DeleteTopic("a"))
    cluster.do(c.AddPartitions("b", 5))
    whole = fetch(cluster.image, FetchChanges(start, limit=1000))
    since, found = start, []
    while True:
        page = fetch(cluster.image, FetchChanges(since, limit=limit))
        found += page.rows
        if not page.rows:
            break
        assert since < page.pairs["next"] <= cluster.image.end_offset  # type: ignore[operator]
        since = page.pairs["next"]  # type: ignore[assignment]
    assert found == list(whole.rows)
    assert since == whole.pairs["next"]


def test_whole_states(cluster: Cluster) -> None:
    cluster.do(c.CreateTopic("t", 2, configs=(("retention.ms", "1"),)))
    end = cluster.image.end_offset
    for since, reason in ((None, None), (end + 1, "ahead")):
        answer = fetch(cluster.image, FetchChanges(since))
        assert answer.pairs.get("reason") == reason
        assert (answer.pairs["snapshot"], answer.pairs["next"]) == (True, end)
        assert sorted(lines(answer)) == sorted(
            [
                ("broker", "1"),
                ("topic", "t"),
                ("partition", "t:0"),
                ("partition", "t:1"),
                ("config", "topic/t retention.ms"),
                ("feature", "metadata.version"),
            ]
        )
    loaded = cluster.reload()
    answer = fetch(loaded, FetchChanges(end - 1))
    assert (answer.pairs["snapshot"], answer.pairs["reason"]) == (True, "compacted")
    assert fetch(loaded, FetchChanges(end)).pairs == {"next": end, "high_watermark": end}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=30), st.data())
def test_a_poller_that_follows_has_the_whole_state(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    """Whatever happens in between, and wherever pages end."""
    cluster = Cluster()
    cluster.broker(1)
    known: dict[tuple[str, str], Pairs] = {}
    since = 0
    for name, what in steps:
        entity = Entity("topic", name)
        command: c.Command = (
            c.CreateTopic(name, 2),
            c.DeleteTopic(name),
            c.SetConfigs(entity, (("retention.ms", str(len(known))),)),
            c.DeleteConfigs(entity, ("retention.ms",)),
        )[what]
        cluster.submit(command)
        cluster.commit()
        if data.draw(st.booleans()):
            since = follow(cluster.image, since, data.draw(st.integers(1, 3)), known)
    while since < cluster.image.end_offset:
        since = follow(cluster.image, since, 100, known)
    whole: dict[tuple[str, str], Pairs] = {}
    follow(cluster.image, None, 100, whole)
    assert known == whole


def follow(image: MetadataImage, since: int | None, limit: int, known: dict[tuple[str, str], Pairs]) -> int:
    answer = fetch(image, FetchChanges(since, limit=limit))
    for row in answer.rows:
        key = (row.kind, key_of(row.kind, row.pairs))
        if row.kind == "topic" and row.pairs.get("deleted"):  # partitions and configs go with it
            name = str(row.pairs["name"])
            for one in [one for one in known if one[1].startswith((f"{name}:", f"topic/{name} "))]:
                del known[one]
        if row.pairs.get("deleted"):
            known.pop(key, None)
        else:
            known[key] = row.pairs
    return int(str(answer.pairs["next"]))


def test_the_journal_is_bounded_and_says_where_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHANGES_MAX", 40)
    cluster = Cluster()
    for number in range(100):
        cluster.do(c.SetConfigs(Entity("client-metrics", f"x{number}"), (("metrics", "m"),)))
    journal = cluster.image.journal
    assert len(journal.changes) <= 40
    assert journal.changes[0].offset == journal.start_offset
    with pytest.raises(RefusedError) as refused:
        journal.since(journal.start_offset - 1)
    assert refused.value.details == {"oldest": journal.start_offset}
    assert len(journal.since(journal.start_offset)) == len(journal.changes)
    assert fetch(cluster.image, FetchChanges(0)).pairs["reason"] == "compacted"


def test_the_journal_is_bounded_by_what_it_keeps_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "WEIGHT_MAX", 100_000)
    cluster = Cluster()
    for number in range(50):
        cluster.do(c.SetConfigs(Entity("client-metrics", "x"), (("metrics", str(number) * 10_000),)))
    assert sum(change.weight for change in cluster.image.journal.changes) <= 100_000


def test_slices_of_the_journal_end_between_offsets() -> None:
    cluster = Cluster()
    cluster.broker(1)
    start = cluster.image.end_offset
    cluster.do(c.CreateTopic("t", 3))
    changes = cluster.image.journal.since(start, 2)  # a partition counts its topic up, at the same offset
    assert [change.offset for change in changes] == [start, start + 1, start + 1]
