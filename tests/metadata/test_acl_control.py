"""ACLs: added once, found and deleted by filters as Kafka's AclBindingFilter has them."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import queries
from yakt.metadata import questions as q
from yakt.metadata import records as r
from yakt.metadata.acls import MATCH, Acl, AclFilter
from yakt.metadata.say import say

TOPIC, GROUP, CLUSTER = 2, 3, 4
LITERAL, PREFIXED = 3, 4
READ, WRITE = 3, 4
DENY, ALLOW = 2, 3


def acl(name: str = "orders", principal: str = "User:alice", **parts: Any) -> Acl:
    fields: dict[str, Any] = {
        "resource_type": TOPIC, "pattern": LITERAL, "host": "*", "operation": READ, "permission": ALLOW,
    }  # fmt: skip
    return Acl(resource_name=name, principal=principal, **fields | parts)


def names(cluster: Cluster, **parts: Any) -> set[str]:
    """The resources of the ACLs that a filter means."""
    answer = queries.answer(cluster.image, q.ListAcls(AclFilter(**parts)))
    return {str(row.pairs["resource"]) for row in answer.rows}


def test_an_acl_is_added_once() -> None:
    cluster = Cluster()
    both = (acl(), acl(operation=WRITE))
    assert cluster.do(c.AddAcls((*both, acl()))) == {"offset": cluster.image.end_offset - 1, "added": 2, "skipped": 1}
    assert cluster.do(c.AddAcls(both))["skipped"] == 2
    ids = {row.record.id for row in cluster.image.acls.rows()}  # type: ignore[union-attr]
    assert len(ids) == len(cluster.image.acls) == 2
    cluster.do(c.DeleteAcls((AclFilter(operation=READ),)))
    assert cluster.do(c.AddAcls(both))["added"] == 1


def test_what_a_filter_means() -> None:
    cluster = Cluster()
    cluster.do(
        c.AddAcls(
            (
                acl("orders"), acl("*"), acl("ord", pattern=PREFIXED), acl("orders", pattern=PREFIXED, permission=DENY),
                acl("other", principal="User:bob", host="10.0.0.1"), acl("orders", resource_type=GROUP),
                acl("kafka-cluster", resource_type=CLUSTER, operation=12),
            )
        )
    )  # fmt: skip
    assert len(names(cluster)) == 6
    assert names(cluster, resource_type=TOPIC, resource_name="orders") == {"topic/orders"}
    answer = queries.answer(cluster.image, q.ListAcls(AclFilter(TOPIC, "orders", MATCH)))
    assert {(row.pairs["resource"], row.pairs["pattern"]) for row in answer.rows} == {
        ("topic/orders", "LITERAL"), ("topic/*", "LITERAL"), ("topic/ord", "PREFIXED"), ("topic/orders", "PREFIXED"),
    }  # fmt: skip
    assert names(cluster, pattern=PREFIXED) == {"topic/ord", "topic/orders"}
    assert names(cluster, pattern=PREFIXED, resource_name="orders") == {"topic/orders"}
    assert names(cluster, principal="User:bob") == names(cluster, host="10.0.0.1") == {"topic/other"}
    assert names(cluster, permission=DENY) == {"topic/orders"}
    assert names(cluster, operation=12) == {"cluster/kafka-cluster"}


PARTS = {
    "resource_type": (TOPIC, GROUP), "resource_name": ("a", "ab", "*"), "pattern": (LITERAL, PREFIXED),
    "principal": ("User:a", "User:b"), "host": ("*", "h"), "operation": (READ, WRITE), "permission": (DENY, ALLOW),
}  # fmt: skip


@given(st.fixed_dictionaries({}, optional={part: st.sampled_from(values) for part, values in PARTS.items()}))
def test_a_filter_of_exact_parts_means_whatever_has_them(parts: dict[str, Any]) -> None:
    for values in itertools.product(*PARTS.values()):
        one = dict(zip(PARTS, values, strict=True))
        record = r.AccessControlEntryRecord(
            b"x" * 16, one["resource_type"], one["resource_name"], one["pattern"], one["principal"], one["host"],  # type: ignore[arg-type]
            one["operation"], one["permission"],  # type: ignore[arg-type]
        )  # fmt: skip
        assert AclFilter(**parts).matches(record) == (parts.items() <= one.items())


def test_each_filter_of_a_deletion_is_answered_whole() -> None:
    cluster = Cluster()
    cluster.do(c.AddAcls((acl(), acl(operation=WRITE), acl("other"))))
    decided = cluster.submit(c.DeleteAcls((AclFilter(resource_name="orders"), AclFilter(operation=READ))))
    rows = decided.result.rows  # type: ignore[union-attr]
    assert sorted((row.pairs["filter"], row.pairs["resource"], row.pairs["operation"]) for row in rows) == [
        (0, "topic/orders", "READ"), (0, "topic/orders", "WRITE"), (1, "topic/orders", "READ"),
        (1, "topic/other", "READ"),
    ]  # fmt: skip
    assert decided.result.pairs["deleted"] == 3  # type: ignore[union-attr]
    cluster.commit()
    assert len(cluster.image.acls) == len(cluster.image.acl_ids) == 0


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (acl(resource_type=1), "Invalid resourceType 1"),
        (acl(resource_type=9), "Invalid resourceType 9"),
        (acl(pattern=2), "Invalid patternType 2"),
        (acl(operation=1), "Invalid operation 1"),
        (acl(permission=0), "Invalid permissionType 0"),
        (acl(""), "Invalid empty resource name"),
        (acl(principal=""), "Invalid empty principal"),
        (acl(host=""), "Invalid empty host"),
        (acl("x" * 32_768), "longer than 32767"),
        (acl("c", resource_type=CLUSTER), "kafka-cluster"),
        (acl(principal="alice"), "User:alice"),
    ],
)
def test_what_no_authorizer_could_read_is_refused_whole(wrong: Acl, why: str) -> None:
    cluster = Cluster()
    with pytest.raises(RefusedError, match=why) as refused:
        cluster.do(c.AddAcls((acl(), wrong)))
    assert refused.value.kafka == 42
    assert len(cluster.image.acls) == 0


def test_if_offset_is_of_the_whole_list() -> None:
    cluster = Cluster()
    cluster.do(c.AddAcls((acl(),)))
    end = cluster.image.end_offset
    cluster.do(c.AddAcls((acl("other"),)), if_offset=end)
    with pytest.raises(RefusedError, match="the list of ACLs changed"):
        cluster.do(c.AddAcls((acl("third"),)), if_offset=end)
    end = cluster.image.end_offset
    cluster.do(c.DeleteAcls((AclFilter(resource_name="other"),)), if_offset=end)
    with pytest.raises(RefusedError, match="the list of ACLs changed"):
        cluster.do(c.DeleteAcls((AclFilter(),)), if_offset=end)


def test_what_is_said() -> None:
    cluster = Cluster()
    cluster.do(c.AddAcls((acl(), acl("ord", pattern=PREFIXED, permission=DENY, host="10.0.0.1"))))
    cluster.do(c.DeleteAcls((AclFilter(permission=ALLOW),)))
    assert [say(change) for change in cluster.told if change.kind == "acl"] == [
        "User:alice may READ topic/orders from any host",
        "User:alice must not READ whatever begins with topic/ord from 10.0.0.1",
        "User:alice may READ topic/orders from any host, no longer",
    ]


def test_a_deletion_by_many_filters_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster()
    cluster.do(c.AddAcls(tuple(acl(f"t{number}") for number in range(30))))
    everything = AclFilter()
    monkeypatch.setattr("yakt.metadata.acl_control.TOLD_MAX", 50)
    with pytest.raises(RefusedError, match="more than 50 ACLs in one deletion"):
        cluster.do(c.DeleteAcls((everything, everything)))
    monkeypatch.setattr("yakt.metadata.acl_control.COMPARISONS_MAX", 40)
    with pytest.raises(RefusedError, match="2 filters for 30 ACLs are too many") as refused:
        cluster.do(c.DeleteAcls((AclFilter(resource_name="t1"), AclFilter(resource_name="t2"))))
    assert refused.value.kafka == 44
    assert len(cluster.image.acls) == 30
    assert cluster.do(c.DeleteAcls((everything,)))["deleted"] == 30
