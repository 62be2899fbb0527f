"""Snapshots: an image comes back whole, in batches of bounded size, in an order that readers accept."""

import pytest

from tests.metadata.cluster import Cluster, assert_equal
from yakt.errors import ReplayError
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata import snapshot
from yakt.metadata.acls import Acl, AclFilter
from yakt.metadata.codec import decode, encode
from yakt.metadata.entities import Entity


def test_everything_comes_back() -> None:
    cluster = Cluster()
    for broker_id in (1, 2, 3):
        cluster.broker(broker_id, rack="r", protocol="Telnet", session_ms=60_000)
    cluster.do(c.ChangeBroker(2, port=5))
    cluster.do(c.HeartbeatBroker(3, fence=True))
    cluster.do(c.UnregisterBroker(3))
    cluster.do(c.CreateTopic("t", 3, 2, configs=(("retention.ms", "5"),)), request="r1", client="me")
    cluster.do(c.CreateTopic("none", 0), request="r2")
    cluster.do(c.SetConfigs(Entity("broker", ""), (("x", 'ä\n",'), ("y", ""))), request="r3", client="me")
    epoch = cluster.image.brokers.get(1).epoch  # type: ignore[union-attr]
    cluster.do(c.RegisterProducer(1, epoch, 77), request="r4", client="me")
    cluster.do(c.AlterQuota((("user", "ä,:/%"), ("client-id", None)), (c.QuotaChange("producer_byte_rate", 1.5e6),)))
    cluster.do(c.AlterQuota((("ip", "::1"),), (c.QuotaChange("connection_creation_rate", 7.0),)))
    cluster.do(c.SetScramCredential("alice", 1, "secret", 4096), request="r5", client="me")
    cluster.do(c.SetScramCredential("alice", 2, "secret", 8192))
    cluster.do(
        c.AddAcls((Acl(2, "orders", 3, "User:alice", "*", 3, 3), Acl(4, "kafka-cluster", 3, "User:b", "h", 8, 2)))
    )
    cluster.write(r.DelegationTokenRecord("User:a", "User:b", ("User:c",), 1, 10**15, 10**14, "token"))
    assert_equal(cluster.reload(), cluster.image, offsets=False)
    # and goes on as the one that was never written
    cluster.image, cluster.follower = cluster.reload(), cluster.reload()
    cluster.lead()
    cluster.do(c.DeleteTopic("t"))
    cluster.do(c.DeleteScramCredentials("alice"))
    assert cluster.do(c.DeleteAcls((AclFilter(),)))["deleted"] == 2
    cluster.do(c.DeleteToken("token"))
    cluster.broker(3)
    assert cluster.image.brokers.get(3).changes == 1  # type: ignore[union-attr]


def test_batches_are_slices_of_bounded_size() -> None:
    cluster = Cluster()
    cluster.broker(1)
    cluster.do(c.CreateTopic("t", 3_000))
    for number in range(100):
        cluster.submit(c.SetConfigs(Entity("client-metrics", f"x{number}"), (("metrics", "v" * 30_000),)))
    cluster.commit()
    groups = list(snapshot.values_of(cluster.image))
    assert all(len(group) <= snapshot.RECORDS_OF_BATCH for group in groups)
    assert all(sum(map(len, group)) <= snapshot.BATCH_SIZE + 32_767 for group in groups)
    assert len(groups) >= 5


def test_remembered_requests_are_split_into_records_of_bounded_size() -> None:
    cluster = Cluster()
    for number in range(6_000):
        command = c.SetConfigs(Entity("client-metrics", f"x{number}"), (("metrics", "v"),))
        cluster.submit(command, request=f"{number:0128}", client=f"{number % 40:0128}")
    cluster.commit()
    records = [record for record in snapshot.records(cluster.image) if isinstance(record, r.NoOpRecord)]
    assert len(records) > 1
    assert all(len(encode(record)) <= 1 << 20 for record in records)
    assert_equal(cluster.reload(), cluster.image, offsets=False)


@pytest.mark.parametrize(
    "record", [r.RemoveTopicRecord(b"x" * 16), r.BeginTransactionRecord(), r.EndTransactionRecord()]
)  # type: ignore[arg-type]
def test_what_has_no_place_in_a_snapshot(record: r.Record) -> None:
    loader = snapshot.SnapshotLoader(10, 1)
    loader.add([r.FeatureLevelRecord("metadata.version", 21)])
    with pytest.raises(ReplayError, match=f"record 1 of the snapshot, {type(record).__name__}"):
        loader.add([record])


def test_records_survive_the_codec() -> None:
    cluster = Cluster()
    cluster.broker(1)
    for record in snapshot.records(cluster.image):
        assert decode(encode(record)) == record
