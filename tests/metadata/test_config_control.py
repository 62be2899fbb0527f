"""Configs: Kafka's keys and rules, which resources may have them, what is written (controller.md §10)."""

import pytest

from tests.metadata.cluster import Cluster
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import config_keys
from yakt.metadata import records as r
from yakt.metadata.entities import Entity

TOPIC = Entity("topic", "t")
METRICS = Entity("client-metrics", "m")


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.broker(7)
    made.do(c.CreateTopic("t"))
    return made


GOOD = [
    ("cleanup.policy", "compact,delete"),
    ("cleanup.policy", "compact , delete"),
    ("compression.type", "zstd"),
    ("compression.gzip.level", "-1"),
    ("compression.lz4.level", "17"),
    ("compression.zstd.level", "-131072"),
    ("flush.messages", str(2**63 - 1)),
    ("follower.replication.throttled.replicas", "0:1,12:3"),
    ("leader.replication.throttled.replicas", "*"),
    ("leader.replication.throttled.replicas", ""),
    ("local.retention.ms", "-2"),
    ("message.timestamp.type", "LogAppendTime"),
    ("min.cleanable.dirty.ratio", "0.25"),
    ("min.insync.replicas", " 2 "),
    ("preallocate", "True"),
    ("retention.bytes", str(-(2**63))),
    ("retention.ms", "-1"),
    ("segment.bytes", "1048576"),
    ("remote.storage.enable", "false"),
]
BAD = [
    ("cleanup.policy", "compakt"),
    ("compression.type", "ZSTD"),
    ("compression.gzip.level", "0"),
    ("compression.gzip.level", "10"),
    ("compression.lz4.level", "18"),
    ("compression.zstd.level", "23"),
    ("delete.retention.ms", "-1"),
    ("flush.messages", "0"),
    ("flush.ms", str(2**63)),
    ("follower.replication.throttled.replicas", "0:x"),
    ("index.interval.bytes", str(2**31)),
    ("local.retention.bytes", "-3"),
    ("max.compaction.lag.ms", "0"),
    ("message.timestamp.type", "createtime"),
    ("min.cleanable.dirty.ratio", "1.5"),
    ("min.cleanable.dirty.ratio", "nan"),
    ("min.insync.replicas", "0"),
    ("min.insync.replicas", "1_000"),
    ("min.insync.replicas", "٣"),
    ("preallocate", "yes"),
    ("retention.ms", "-2"),
    ("retention.ms", "1.5"),
    ("retention.ms", ""),
    ("segment.bytes", "1048575"),
    ("segment.index.bytes", "3"),
    ("segment.ms", "0"),
    ("remote.storage.enable", "true"),
    ("unclean.leader.election.enable", "1"),
    ("retention.mss", "1"),
]


@pytest.mark.parametrize(("key", "value"), GOOD)
def test_topic_values_that_kafka_takes_are_kept_as_they_came(cluster: Cluster, key: str, value: str) -> None:
    cluster.do(c.SetConfigs(TOPIC, ((key, value),)))
    assert cluster.image.config(2, "t", key) == value


@pytest.mark.parametrize(("key", "value"), BAD)
def test_topic_values_that_kafka_refuses(cluster: Cluster, key: str, value: str) -> None:
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.SetConfigs(TOPIC, (("min.insync.replicas", "1"), (key, value))))
    assert (refused.value.code, refused.value.kafka) == ("INVALID_CONFIG", 40)
    assert refused.value.details["key"] == key
    assert cluster.image.configs.get((2, "t")) is None


@pytest.mark.parametrize("key", config_keys.TOPIC_KEYS.values(), ids=lambda key: key.name)
def test_defaults_pass_their_own_rules(key: config_keys.ConfigKey) -> None:
    assert key.check(key.default) is None


def test_an_unknown_key_brings_the_near_one(cluster: Cluster) -> None:
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.SetConfigs(TOPIC, (("retention.mss", "1"),)))
    assert refused.value.message == "Unknown topic config name: retention.mss"
    assert refused.value.details["near"] == ["retention.ms"]


def test_the_whole_resulting_set_is_checked(cluster: Cluster) -> None:
    cluster.do(c.SetConfigs(TOPIC, (("min.compaction.lag.ms", "10"),)))
    with pytest.raises(RefusedError, match=r"max\.compaction\.lag\.ms 5 is below min\.compaction\.lag\.ms 10"):
        cluster.do(c.SetConfigs(TOPIC, (("max.compaction.lag.ms", "5"),)))


@pytest.mark.parametrize(
    ("entity", "values", "code", "kafka"),
    [
        (Entity("topic", "nope"), (("retention.ms", "1"),), "UNKNOWN_TOPIC", 3),
        (Entity("topic", ""), (("retention.ms", "1"),), "INVALID_REQUEST", 42),
        (Entity("topic", "a b"), (("retention.ms", "1"),), "INVALID_TOPIC", 17),
        (Entity("broker", "9"), (("x", "1"),), "UNKNOWN_BROKER", 102),
        (Entity("broker", "nine"), (("x", "1"),), "INVALID_REQUEST", 42),
        (Entity("broker", "7"), (("", "1"),), "INVALID_CONFIG", 40),
        (Entity("broker", "7"), (("x", "v" * 32_768),), "INVALID_CONFIG", 40),
        (Entity("client-metrics", ""), (("metrics", "1"),), "INVALID_REQUEST", 42),
        (Entity("client-metrics", "m" * 40_000), (("metrics", "1"),), "INVALID_REQUEST", 42),
        (METRICS, (("nope", "1"),), "INVALID_REQUEST", 42),
        (METRICS, (("interval.ms", "99"),), "INVALID_CONFIG", 40),
        (METRICS, (("match", "client_id"),), "INVALID_CONFIG", 40),
        (METRICS, (("match", "client_id=["),), "INVALID_CONFIG", 40),
        (METRICS, (("metrics", "ä" * 16_384),), "INVALID_CONFIG", 40),
        (Entity("group", "g"), (("nope", "1"),), "INVALID_CONFIG", 40),
        (Entity("user", "u"), (("x", "1"),), "INVALID_REQUEST", 42),
    ],
)
def test_refusals(cluster: Cluster, entity: Entity, values: tuple[tuple[str, str], ...], code: str, kafka: int) -> None:
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.SetConfigs(entity, values))
    assert (refused.value.code, refused.value.kafka) == (code, kafka)


@pytest.mark.parametrize(
    ("entity", "values"),
    [
        (Entity("broker", ""), (("log.cleaner.threads", "2"),)),
        (Entity("broker", "7"), (("anything", "v" * 32_767),)),
        (Entity("broker", "2"), (("x", "1"),)),  # a controller's
        (METRICS, (("interval.ms", "5000"), ("match", "client_id=app.*"), ("metrics", "org.apache.kafka.producer."))),
        (Entity("group", "g"), (("consumer.session.timeout.ms", "50000"),)),
    ],
)
def test_other_resources(cluster: Cluster, entity: Entity, values: tuple[tuple[str, str], ...]) -> None:
    assert len(cluster.records_of(c.SetConfigs(entity, values))) == len(values)


def test_a_value_that_is_there_is_not_written_again_but_a_brokers_is(cluster: Cluster) -> None:
    command = c.SetConfigs(TOPIC, (("retention.ms", "1"),))
    assert len(cluster.records_of(command)) == 1
    assert cluster.records_of(command) == []
    command = c.SetConfigs(Entity("broker", "7"), (("x", "1"),))
    assert [len(cluster.records_of(command)) for _ in range(2)] == [1, 1]


def test_an_answer_without_records_names_the_record_before_it(cluster: Cluster) -> None:
    command = c.SetConfigs(TOPIC, (("retention.ms", "1"),))
    cluster.do(command)
    cluster.do(c.CreateTopic("u"))
    decided = cluster.submit(command)
    assert not decided.wrote
    assert decided.end_offset == cluster.active.end_offset
    assert cluster.do(command) == {"offset": cluster.active.end_offset - 1}


def test_deletion(cluster: Cluster) -> None:
    cluster.do(c.SetConfigs(TOPIC, (("retention.ms", "1"), ("segment.ms", "5"))))
    records = cluster.records_of(c.DeleteConfigs(TOPIC, ("retention.ms", "segment.bytes", "retention.ms")))
    assert [(record.name, record.value) for record in records if isinstance(record, r.ConfigRecord)] == [
        ("retention.ms", None)
    ]
    assert cluster.image.configs_set(2, "t") == {"segment.ms": "5"}
    with pytest.raises(RefusedError, match="Unknown topic config name: nope"):
        cluster.do(c.DeleteConfigs(TOPIC, ("nope",)))


def test_a_resource_has_a_bounded_number_of_keys(cluster: Cluster) -> None:
    values = tuple((f"k{number}", "v") for number in range(1001))
    with pytest.raises(RefusedError) as refused:
        cluster.do(c.SetConfigs(Entity("broker", ""), values))
    assert refused.value.code == "POLICY_VIOLATION"
