"""Quotas by line: set, listed and lifted; what Kafka's tool asks is in test_kafka_control."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import queries
from yakt.metadata import questions as q
from yakt.metadata.commands import QuotaChange
from yakt.metadata.feed import fetch
from yakt.metadata.rows import DEFAULT_ENTITY, parse_quota_name, quota_name
from yakt.metadata.say import say

ALICE = (("user", "alice"),)
BATCH_OF_ANY = (("user", None), ("client-id", "batch"))
RATE = "producer_byte_rate"


def set_three(cluster: Cluster) -> None:
    cluster.do(c.AlterQuota(ALICE, (QuotaChange(RATE, 1048576.0), QuotaChange("request_percentage", 12.5))))
    cluster.do(c.AlterQuota(BATCH_OF_ANY, (QuotaChange(RATE, 7.0),)))


def test_rows_name_the_parts_of_the_entity() -> None:
    cluster = Cluster()
    set_three(cluster)
    rows = [tuple(row.pairs.values()) for row in queries.answer(cluster.image, q.ListQuotas()).rows]
    assert rows == [
        ("", "batch", None, RATE, 7),
        ("alice", None, None, RATE, 1048576),
        ("alice", None, None, "request_percentage", 12.5),
    ]
    [row] = queries.answer(cluster.image, q.ListQuotas(entity=(("user", None),))).rows
    assert row.pairs["client_id"] == "batch"
    assert len(queries.answer(cluster.image, q.ListQuotas(entity=ALICE)).rows) == 2
    assert not queries.answer(cluster.image, q.ListQuotas(entity=(("ip", None),))).rows


def test_pages() -> None:
    cluster = Cluster()
    set_three(cluster)
    first = queries.answer(cluster.image, q.ListQuotas(limit=1))
    assert first.pairs["next"] == f"user/,client-id/batch:{RATE}"
    second = queries.answer(cluster.image, q.ListQuotas(limit=1, after=str(first.pairs["next"]), full=True))
    assert second.rows[0].pairs["user"] == "alice"
    assert second.rows[0].pairs["offset"] == cluster.image.end_offset - 3
    with pytest.raises(RefusedError, match="no next= of this list"):
        queries.answer(cluster.image, q.ListQuotas(after="nothing"))


_NAMES = st.none() | st.text(min_size=1).filter(lambda text: text != DEFAULT_ENTITY)


@given(st.dictionaries(st.sampled_from(["user", "client-id"]), _NAMES, min_size=1), st.sampled_from([RATE]))
def test_names_of_quotas_are_read_as_they_were_written(entity: dict[str, str | None], key: str) -> None:
    named = tuple(sorted((kind, DEFAULT_ENTITY if name is None else name) for kind, name in entity.items()))
    assert parse_quota_name(quota_name((named, key))) == (named, key)


def test_lifting_some_and_all() -> None:
    cluster = Cluster()
    set_three(cluster)
    assert cluster.do(c.DeleteQuotas(ALICE, (RATE, "consumer_byte_rate")))["deleted"] == 1
    assert cluster.do(c.DeleteQuotas(ALICE))["deleted"] == 1
    assert cluster.do(c.DeleteQuotas(ALICE))["deleted"] == 0
    assert len(cluster.image.quotas) == 1
    with pytest.raises(RefusedError, match="Invalid configuration key connection_creation_rate"):
        cluster.do(c.DeleteQuotas(ALICE, ("connection_creation_rate",)))
    assert [say(change) for change in cluster.told if change.kind == "quota"] == [
        f"{RATE} of user alice is now 1048576",
        "request_percentage of user alice is now 12.5",
        f"{RATE} of any user and client-id batch is now 7",
        f"{RATE} of user alice has no limit",
        "request_percentage of user alice has no limit",
    ]


def test_changes_are_fetched_once_each() -> None:
    cluster = Cluster()
    since = cluster.image.end_offset
    set_three(cluster)
    cluster.do(c.DeleteQuotas(ALICE, (RATE,)))
    found = fetch(cluster.image, q.FetchChanges(since))
    assert [(row.kind, row.pairs.get("deleted"), row.pairs["key"]) for row in found.rows] == [
        ("quota", None, "request_percentage"),
        ("quota", None, RATE),
        ("quota", True, RATE),
    ]
    whole = fetch(cluster.image, q.FetchChanges(None))
    assert [row.kind for row in whole.rows].count("quota") == 2


def test_if_offset_is_of_one_entity() -> None:
    cluster = Cluster()
    set_three(cluster)
    end = cluster.image.end_offset
    cluster.do(c.AlterQuota(BATCH_OF_ANY, (QuotaChange(RATE, 8.0),)))
    cluster.do(c.DeleteQuotas(ALICE), if_offset=end)
    with pytest.raises(RefusedError, match="changed at offset"):
        cluster.do(c.DeleteQuotas(BATCH_OF_ANY), if_offset=end)
