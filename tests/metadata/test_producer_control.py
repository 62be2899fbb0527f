"""Producer ids in blocks, and producers registered by hand (controller.md §11, seed-api.md)."""

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata import replay
from yakt.metadata.image import MetadataImage


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def test_blocks_follow_one_another(cluster: Cluster) -> None:
    epoch = cluster.broker(1)
    answers = [cluster.do(c.AllocateProducerIds(1, epoch)) for _ in range(3)]
    assert [(answer["first"], answer["count"]) for answer in answers] == [(0, 1000), (1000, 1000), (2000, 1000)]
    assert list(answers[0]) == ["offset", "first", "count"]


def test_a_block_needs_the_brokers_epoch(cluster: Cluster) -> None:
    epoch = cluster.broker(1)
    for command, code in (
        (c.AllocateProducerIds(1, epoch + 1), "STALE_BROKER_EPOCH"),
        (c.AllocateProducerIds(2, epoch), "UNKNOWN_BROKER"),
        (c.RegisterProducer(1, epoch - 1), "STALE_BROKER_EPOCH"),
    ):
        with pytest.raises(RefusedError) as refused:
            cluster.do(command)
        assert refused.value.code == code


def test_a_producer_without_an_id_gets_the_first_of_a_block_of_its_own(cluster: Cluster) -> None:
    epoch = cluster.broker(1)
    cluster.do(c.AllocateProducerIds(1, epoch))
    assert cluster.do(c.RegisterProducer(1, epoch))["producer"] == 1000
    assert cluster.do(c.AllocateProducerIds(1, epoch))["first"] == 2000


@pytest.mark.parametrize(("given", "first"), [(0, 1), (999, 1000), (7, 8), (123_456, 123_457)])
def test_no_block_holds_an_id_that_was_given(cluster: Cluster, given: int, first: int) -> None:
    epoch = cluster.broker(1)
    records = cluster.records_of(c.RegisterProducer(1, epoch, given))
    assert [type(record) for record in records] == [r.ProducerIdsRecord, r.NoOpRecord]
    assert cluster.do(c.AllocateProducerIds(1, epoch))["first"] == first


def test_an_id_below_the_next_block_moves_nothing(cluster: Cluster) -> None:
    epoch = cluster.broker(1)
    cluster.do(c.AllocateProducerIds(1, epoch))
    assert [type(record) for record in cluster.records_of(c.RegisterProducer(1, epoch, 5))] == [r.NoOpRecord]


@pytest.mark.parametrize(("given", "code"), [(-1, "INVALID_REQUEST"), (2**53, "INVALID_REQUEST"), (5, "CONFLICT")])
def test_refusals(cluster: Cluster, given: int, code: str) -> None:
    epoch = cluster.broker(1)
    cluster.do(c.RegisterProducer(1, epoch, 5))
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.RegisterProducer(1, epoch, given))
    assert refused.value.code == code


def test_deletion_and_snapshots(cluster: Cluster) -> None:
    epoch = cluster.broker(1)
    cluster.do(c.RegisterProducer(1, epoch, 5))
    cluster.do(c.RegisterProducer(1, epoch, 6))
    cluster.do(c.DeleteProducer(5))
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.DeleteProducer(5))
    assert (refused.value.code, refused.value.kafka) == ("UNKNOWN_PRODUCER_ID", 59)
    for image in (cluster.image, cluster.reload()):
        assert list(image.producers.all_keys()) == [6]


def test_a_producer_that_a_snapshot_of_kafkas_left_out_stops_nobody(cluster: Cluster) -> None:
    """After a way out to Kafka's controllers and back, one node may know a producer and another not."""
    epoch = cluster.broker(1)
    start = cluster.image.end_offset
    cluster.do(c.RegisterProducer(1, epoch, 5))
    cluster.do(c.DeleteProducer(5))
    cluster.do(c.RegisterProducer(1, epoch, 5))
    told = [(offset, record) for offset, record in cluster.committed if offset >= start]
    first, removal, second = (one for one in told if isinstance(one[1], r.NoOpRecord) and one[1].tags)
    for order in ((first, second), (removal, second), (first, removal), (removal,)):
        image = MetadataImage()
        for offset, record in order:
            replay.REPLAY[type(record)](image, record, offset)
        assert [row.id for row in image.producers.rows()] == ([] if order[-1] is removal else [5])
