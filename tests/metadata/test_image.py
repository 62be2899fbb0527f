"""The image: Kafka's own logs fold to what Kafka's own tools say, strictly; transactions, hashes, pinned versions."""

import json
import re
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.metadata.cluster import Cluster, rows_of
from yakt.errors import ReplayError
from yakt.ids import Uuid, format_uuid
from yakt.metadata import commands as c
from yakt.metadata import records as r
from yakt.metadata import snapshot
from yakt.metadata.codec import decode_batch, decode_values, encode
from yakt.metadata.entities import Entity
from yakt.metadata.image import MetadataImage
from yakt.metadata.records import Record
from yakt.metadata.rows import MIGRATING, PROTOCOLS, entity_name
from yakt.metadata.tags import ImageHash, Origin, image_hash_record, with_origin
from yakt.wire import batch

DIRECTORIES = ["3.9.1-rich", "3.9.1-kraft1", "4.3.1-kraft1", "4.3.1-level21"]
SNAPSHOTS = {"3.9.1-rich": 5, "3.9.1-kraft1": 2, "4.3.1-kraft1": 2, "4.3.1-level21": 0}
T1, T2 = Uuid(b"1" * 16), Uuid(b"2" * 16)
D1 = Uuid(b"d" * 16)


def fold(image: MetadataImage, path: Path) -> None:
    for one in batch.split(path.read_bytes()):
        if one.base_offset < image.end_offset:
            continue
        if one.control:
            image.skip(one.end_offset, one.leader_epoch)
        else:
            image.replay(one.base_offset, one.leader_epoch, batch.timestamp_ms(one.body), decode_batch(one.body))


def load_snapshot(path: Path) -> MetadataImage:
    offset, epoch = map(int, re.findall(r"\d+", path.stem))
    with path.open("rb") as file:
        groups = [decode_batch(one.body) for _, one in batch.read_batches(file.read) if not one.control]
    return snapshot.load(groups, offset, epoch)


def metadata_log(kafka_logs: Path, name: str) -> Path:
    return kafka_logs / name / "__cluster_metadata-0"


@pytest.mark.parametrize("name", DIRECTORIES)
def test_snapshots_of_kafka_are_the_state_its_log_folds_to(kafka_logs: Path, name: str) -> None:
    directory = metadata_log(kafka_logs, name)
    checkpoints = {int(path.stem.split("-")[0]): path for path in directory.glob("*.checkpoint")}
    image = MetadataImage()
    compared = 0
    for path in sorted(directory.glob("*.log")):
        for one in batch.split(path.read_bytes()):
            if one.control:
                image.skip(one.end_offset, one.leader_epoch)
            else:
                image.replay(one.base_offset, one.leader_epoch, 0, decode_batch(one.body))
            if one.end_offset in checkpoints:
                loaded = load_snapshot(checkpoints[one.end_offset])
                # Their order within a broker is Kafka's affair; the hash does not look at it.
                for found in (loaded, image):
                    found.closed_table.items.clear()
                assert rows_of(loaded, offsets=False).keys() == rows_of(image, offsets=False).keys()
                for table, rows in rows_of(loaded, offsets=False).items():
                    if table != "brokers":
                        assert rows == rows_of(image, offsets=False)[table], table
                assert loaded.hash == image.hash
                compared += 1
    assert compared == SNAPSHOTS[name]


def test_a_log_that_begins_below_its_snapshot(kafka_logs: Path) -> None:
    directory = metadata_log(kafka_logs, "3.9.1-trimmed")
    (checkpoint,) = directory.glob("*.checkpoint")
    image = load_snapshot(checkpoint)
    for path in sorted(directory.glob("*.log")):
        fold(image, path)
    assert image.end_offset > 652
    assert image.journal.start_offset == 652


def test_rich_log_is_what_kafkas_tools_say_of_it(kafka_logs: Path) -> None:
    image = MetadataImage()
    for path in sorted(metadata_log(kafka_logs, "3.9.1-rich").glob("*.log")):
        fold(image, path)
    expected = json.loads((kafka_logs / "3.9.1-rich" / "expected.json").read_text())
    assert image.end_offset == expected["provenance"]["highestOffset"] + 1
    assert image.epoch == expected["provenance"]["epoch"]
    assert {row.name: row.level for row in image.features.rows()} == expected["features"]
    assert {str(row.id): shown_broker(row) for row in image.brokers.rows()} == expected["brokers"]
    assert {str(key): shown_controller(image.controllers.get(key).record) for key in image.controllers.all_keys()} == (
        expected["controllers"]
    )
    topics = {
        row.name: {
            "id": format_uuid(row.id),
            "partitions": {str(one.partition): shown_partition(one) for one in image.partitions_of(row)},
        }
        for row in image.topics.rows()
    }
    assert topics == expected["topics"]
    assert [row.partitions for row in image.topics.rows()] == [
        len(expected["topics"][row.name]["partitions"]) for row in image.topics.rows()
    ]
    configs = {
        entity_name(key).replace("/", ":", 1).replace("-", "_", 1): {value.key: value.value for value in row}
        for key in image.configs.all_keys()
        if (row := image.configs.get(key))
    }
    assert {upper_kind(name): values for name, values in configs.items()} == expected["configs"]
    assert {format_uuid(row.record.id) for row in image.acls.rows()} == set(expected["acls"])
    assert {row.record.principal for row in image.acls.rows()} == {
        acl["principal"] for acl in expected["acls"].values()
    }
    scram = {row.record.name: row.record for row in image.scram.rows()}
    assert scram.keys() == expected["scram"].keys()
    for name, record in scram.items():
        told = expected["scram"][name]["SCRAM-SHA-256"]
        assert (record.salt.hex(), record.stored_key.hex(), record.server_key.hex(), record.iterations) == (
            told["salt"],
            told["storedKey"],
            told["serverKey"],
            told["iterations"],
        )
    next_id = image.next_producer_id.get(0)
    assert next_id is not None
    assert next_id.next == expected["nextProducerId"]
    quotas = sorted(
        (
            sorted((part.entity_type, part.entity_name or "") for part in row.record.entity),
            row.record.key,
            row.record.value,
        )
        for row in image.quotas.rows()
    )
    assert quotas == sorted(
        (sorted((part["type"], part["name"] or "") for part in quota["entity"]), key, value)
        for quota in expected["clientQuotas"]
        for key, value in quota["values"].items()
    )
    closed = image.closed.get(4)
    assert closed is not None


def upper_kind(name: str) -> str:
    kind, _, entity = name.partition(":")
    return f"{kind.upper()}:{entity}"


def shown_broker(row: Any) -> dict[str, Any]:
    return {
        "epoch": row.epoch,
        "incarnationId": format_uuid(row.incarnation),
        "listeners": [shown_listener(point) for point in row.end_points],
        "features": {one.name: [one.min_supported_version, one.max_supported_version] for one in row.features},
        "rack": row.rack,
        "fenced": row.fenced,
        "inControlledShutdown": row.shutting_down,
        "directories": [format_uuid(directory) for directory in row.directories],
    }


def shown_listener(point: Any) -> dict[str, Any]:
    return {
        "name": point.name,
        "securityProtocol": PROTOCOLS[point.security_protocol],
        "host": point.host,
        "port": point.port,
    }


def shown_controller(record: Any) -> dict[str, Any]:
    return {
        "incarnationId": format_uuid(record.incarnation_id),
        "zkMigrationReady": record.zk_migration_ready,
        "listeners": [shown_listener(point) for point in record.end_points],
        "features": {one.name: [one.min_supported_version, one.max_supported_version] for one in record.features},
    }


def shown_partition(row: Any) -> dict[str, Any]:
    return {
        "replicas": list(row.replicas),
        "directories": [format_uuid(directory) for directory in row.directories],
        "isr": list(row.isr),
        "removing": list(row.removing),
        "adding": list(row.adding),
        "leader": row.leader,
        "leaderRecoveryState": "RECOVERED" if row.recovery == 0 else "RECOVERING",
        "leaderEpoch": row.leader_epoch,
        "partitionEpoch": row.partition_epoch,
    }


# --- strictness


def broker_record(broker_id: int = 1, epoch: int = 5, **fields: Any) -> r.RegisterBrokerRecord:
    fields.setdefault("log_dirs", ())
    return r.RegisterBrokerRecord(broker_id, Uuid(b"i" * 16), epoch, (), (), None, **fields)


def partition_record(**fields: Any) -> r.PartitionRecord:
    values: dict[str, Any] = {"partition_id": 0, "topic_id": T1, "replicas": (1, 2), "isr": (1,)}
    values |= {"removing_replicas": (), "adding_replicas": (), "leader": 1, "leader_epoch": 0, "partition_epoch": 0}
    return r.PartitionRecord(**values | fields)


SETUP: list[Record] = [
    broker_record(log_dirs=(D1,)),
    r.TopicRecord("t", T1),
    partition_record(),
    r.ProducerIdsRecord(1, 5, 1000),
]
MISFITS: list[tuple[Record, str]] = [
    (r.UnregisterBrokerRecord(2, 5), "not registered"),
    (r.UnregisterBrokerRecord(1, 4), "registered in 5"),
    (r.BrokerRegistrationChangeRecord(2, 5, fenced=1), "not registered"),
    (r.BrokerRegistrationChangeRecord(1, 6, fenced=1), "registered in 5"),
    (r.FenceBrokerRecord(1, 6), "registered in 5"),
    (r.UnfenceBrokerRecord(9, 6), "not registered"),
    (broker_record(2, log_dirs=(D1,)), "directory of broker 1"),
    (r.TopicRecord("t", T2), "there already"),
    (r.TopicRecord("u", T1), "has the id of t"),
    (r.RemoveTopicRecord(T2), "unknown topic"),
    (partition_record(topic_id=T2), "unknown topic"),
    (partition_record(partition_id=-1), "partition -1"),
    (partition_record(partition_id=1, directories=(D1,)), "1 directories for 2 replicas"),
    (r.PartitionChangeRecord(0, T2, leader=1), "unknown topic"),
    (r.PartitionChangeRecord(1, T1, leader=1), "not there"),
    (r.PartitionChangeRecord(0, T1, directories=(D1,)), "1 directories for 2 replicas"),
    (r.ConfigRecord(2, "u", "retention.ms", "1"), "unknown topic, u"),
    (r.ProducerIdsRecord(1, 5, 1000), "after 1000"),
    (r.FeatureLevelRecord("x", -1), "level -1"),
    (r.RemoveAccessControlEntryRecord(T1), "not there"),
    (r.RemoveUserScramCredentialRecord("u", 1), "not there"),
    (r.RemoveDelegationTokenRecord("x"), "not there"),
    (r.UnregisterControllerRecord(1), "not there"),
    (r.EndTransactionRecord(), "no transaction"),
    (r.AbortTransactionRecord(), "no transaction"),
]


@pytest.mark.parametrize(("record", "why"), MISFITS, ids=[type(record).__name__ for record, _ in MISFITS])
def test_a_record_that_does_not_fit_stops_replay(record: Record, why: str) -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, SETUP)
    with pytest.raises(ReplayError, match=rf"offset 4, {type(record).__name__}: .*{why}"):
        image.replay(4, 1, 0, [record])


def test_a_batch_twice_stops_replay() -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, [r.NoOpRecord()])
    with pytest.raises(ReplayError, match="ends at 1"):
        image.replay(0, 1, 0, [r.NoOpRecord()])


def test_a_partition_of_an_old_level_has_no_known_directories() -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, SETUP)
    row = image.partitions.get((T1, 0))
    assert row is not None
    assert row.directories == (MIGRATING, MIGRATING)


@pytest.mark.parametrize(
    ("change", "leader", "leader_epoch"),
    [({}, 1, 0), ({"isr": (1, 2)}, 1, 0), ({"leader": 1}, 1, 1), ({"leader": 2}, 2, 1), ({"leader": -1}, -1, 1)],
)
def test_a_leader_named_is_a_new_leader_epoch_even_the_same(
    change: dict[str, Any], leader: int, leader_epoch: int
) -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, SETUP)
    image.replay(4, 1, 0, [r.PartitionChangeRecord(0, T1, **change)])
    row = image.partitions.get((T1, 0))
    assert row is not None
    assert (row.leader, row.leader_epoch, row.partition_epoch) == (leader, leader_epoch, 1)


def test_a_topic_takes_its_partitions_and_configs_along() -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, [*SETUP, r.ConfigRecord(2, "t", "retention.ms", "1")])
    image.replay(5, 1, 0, [r.RemoveTopicRecord(T1)])
    for rows in (image.topics, image.topic_names, image.partitions, image.configs, image.folded_topics):
        assert not rows.all_keys()


# --- transactions


def test_records_of_a_transaction_take_effect_at_its_end() -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, [r.BeginTransactionRecord("b"), r.TopicRecord("t", T1)])
    assert not image.topics.all_keys()
    told = image.replay(2, 1, 0, [partition_record(), r.EndTransactionRecord()])
    assert [(change.kind, change.offset) for change in told if not change.quiet] == [("topic", 3), ("partition", 3)]


def test_an_aborted_transaction_leaves_nothing() -> None:
    image = MetadataImage()
    image.replay(0, 1, 0, [r.BeginTransactionRecord("b"), r.TopicRecord("t", T1), r.AbortTransactionRecord("why")])
    image.replay(3, 1, 0, [r.TopicRecord("t", T2)])
    assert image.topics.get("t").id == T2


def test_transactions_do_not_nest() -> None:
    with pytest.raises(ReplayError, match="offset 1, BeginTransactionRecord"):
        MetadataImage().replay(0, 1, 0, [r.BeginTransactionRecord("b"), r.BeginTransactionRecord("c")])


# --- hashes


def test_a_follower_that_differs_from_its_leader_stops_and_says_where() -> None:
    cluster = Cluster()
    cluster.broker(1)
    cluster.wait(2)  # a hash is told
    agreed = cluster.follower.hash_agreed_offset
    assert 0 < agreed == cluster.image.hash_agreed_offset
    cluster.follower.replay(cluster.follower.end_offset, 1, 0, [r.ConfigRecord(16, "x", "metrics", "bit flip")])
    told = image_hash_record(ImageHash(1, 9, cluster.image.hash))
    with pytest.raises(ReplayError, match=rf"part in \[{agreed}, 9\)"):
        cluster.follower.replay(cluster.follower.end_offset, 1, 0, [told])


def test_the_bytes_at_hand_hash_as_the_records_do() -> None:
    """An origin seen before and one seen first, none, a transaction's, a value that is replaced, a multi-byte one."""
    sets = [r.ConfigRecord(16, f"m{i}", "metrics", "ü" * i) for i in range(8)]
    records: list[Record] = [with_origin(one, Origin(1, address="a:1")) for one in sets[:4]]
    records += [sets[4], r.BeginTransactionRecord("t"), with_origin(sets[5], Origin(1, address="b:2")), sets[6]]
    records += [r.EndTransactionRecord(), with_origin(sets[7], Origin(1, client="c", request="q", answer={}))]
    records += [r.ConfigRecord(16, "m1", "metrics", "new"), with_origin(sets[0], Origin(1, address="a:1"))]
    _, body = batch.seal([encode(one) for one in records], 1)
    by_bytes, by_records = MetadataImage(), MetadataImage()
    by_bytes.replay(0, 1, 1, *decode_values(body))
    by_records.replay(0, 1, 1, decode_batch(body))
    assert by_bytes.hash == by_records.hash != 0
    assert rows_of(by_bytes) == rows_of(by_records)


def test_a_hash_of_another_form_is_no_alarm() -> None:
    MetadataImage().replay(0, 1, 0, [image_hash_record(ImageHash(7, 0, 1))])


def test_the_hash_is_told_once_a_second_while_something_changes_and_never_when_idle() -> None:
    cluster = Cluster()
    cluster.wait(5)
    end = cluster.active.end_offset
    cluster.wait(1000)
    assert cluster.active.end_offset == end
    for turn in range(20):
        cluster.do(c.SetConfigs(Entity("client-metrics", f"x{turn}"), (("metrics", "m"),)))
        cluster.wait(0.25)
    written = cluster.active.end_offset - end - 20
    assert 4 <= written <= 6


# --- pinned versions


def test_a_pinned_version_stays_as_it_was() -> None:
    cluster = Cluster()
    for broker_id in (1, 2):
        cluster.broker(broker_id)
    cluster.topic("a", [1, 2], [2, 1])
    cluster.topic("b", [1])
    cluster.do(c.SetConfigs(Entity("topic", "a"), (("retention.ms", "1"),)), request="r", client="c")
    before, values = rows_of(cluster.image), list(snapshot.values_of(cluster.image))
    with cluster.image.pin() as pinned:
        slices = snapshot.values_of(pinned)
        cluster.do(c.DeleteTopic("a"))
        cluster.do(c.CreateTopic("a", 3, 1))
        cluster.do(c.UnregisterBroker(2), request="q", client="c")
        cluster.do(c.SetConfigs(Entity("topic", "b"), (("retention.ms", "1"),)))
        assert rows_of(pinned) == before
        assert sorted(chain.from_iterable(slices)) == sorted(chain.from_iterable(values))
        assert {row.key for row in pinned.partitions.of_broker(2)} == {
            key for key, row in before["partitions"].items() if 2 in row.replicas
        }
    assert rows_of(cluster.image) != before


def test_a_closed_pin_costs_nothing_any_more() -> None:
    cluster = Cluster()
    pinned = cluster.image.pin()
    pinned.close()
    pinned.close()
    cluster.broker(1)
    assert pinned.brokers.get(1) is not None  # it was let go: what it says is the image's


def test_snapshots_hold_nothing_that_a_reader_of_kafkas_would_not_take(kafka_logs: Path) -> None:
    image = MetadataImage()
    for path in sorted(metadata_log(kafka_logs, "3.9.1-rich").glob("*.log")):
        fold(image, path)
    records = list(snapshot.records(image))
    assert records[0] == r.FeatureLevelRecord("metadata.version", 21)
    seen: set[bytes] = set()
    for record in records:
        encode(record)
        if isinstance(record, r.TopicRecord):
            seen.add(record.topic_id)
        if isinstance(record, r.PartitionRecord):
            assert record.topic_id in seen
