"""Clients that are not Kafka's own on three nodes and three brokers: transactions and groups."""

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.kafka_lab.stage import Stage

pytestmark = pytest.mark.slow


def read_all(bootstrap: str, topic: str, count: int, group: str, isolation: str = "read_committed") -> list[bytes]:
    """The values of a topic, by a group; stops when there are `count`."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest",
            "isolation.level": isolation, "enable.auto.commit": False,
        }
    )  # fmt: skip
    consumer.subscribe([topic])
    values: list[bytes] = []
    try:
        while len(values) < count:
            message = consumer.poll(30)
            assert message is not None, f"{len(values)} of {count}"
            assert message.error() is None
            values.append(message.value())
        consumer.commit(asynchronous=False)
    finally:
        consumer.close()
    return values


def test_transactions_are_all_or_nothing(stage: Stage) -> None:
    """Made, committed and aborted by librdkafka, with a group's offsets in one of them; the leader dies in between."""
    admin = AdminClient({"bootstrap.servers": stage.bootstrap})
    for future in admin.create_topics([NewTopic("in", 2, 3), NewTopic("out", 2, 3)]).values():
        future.result(30)
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": stage.bootstrap, "transactional.id": "mover", "transaction.timeout.ms": 60000}
    )
    producer.init_transactions(60)
    producer.begin_transaction()
    for number in range(20):
        producer.produce("in", str(number).encode())
    producer.commit_transaction(60)
    producer.begin_transaction()
    producer.produce("in", b"never")
    producer.flush(30)
    producer.abort_transaction(60)

    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": stage.bootstrap, "group.id": "movers", "auto.offset.reset": "earliest",
            "isolation.level": "read_committed", "enable.auto.commit": False,
        }
    )  # fmt: skip
    consumer.subscribe(["in"])
    producer.begin_transaction()
    moved = 0
    while moved < 20:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        producer.produce("out", message.value())
        moved += 1
        if moved == 10:
            killed = stage.leader()
            stage.kill(killed)
    positions: list[TopicPartition] = consumer.position(consumer.assignment())
    producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), 60)
    producer.commit_transaction(60)
    consumer.close()
    stage.start(killed)
    assert sorted(map(int, read_all(stage.bootstrap, "out", 20, "checkers"))) == list(range(20))
    described = stage.tool("consumer-groups", "--describe", "--group", "movers")
    assert sum(int(line.split()[3]) for line in described.splitlines() if line.startswith("movers")) >= 20
    assert "mover" in stage.tool("transactions", "list")


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_kafka_python(stage: Stage) -> None:
    import kafka  # here, where its own warnings are none of ours
    from kafka.admin import KafkaAdminClient
    from kafka.admin import NewTopic as PlainTopic

    admin = KafkaAdminClient(bootstrap_servers=stage.bootstrap)
    admin.create_topics([PlainTopic("pythons", num_partitions=3, replication_factor=3)])
    stage.wait("TOPIC SHOW pythons", lambda rows: len(rows) == 3)
    producer = kafka.KafkaProducer(bootstrap_servers=stage.bootstrap, acks="all")
    for future in [producer.send("pythons", str(number).encode()) for number in range(60)]:
        future.get(timeout=30)
    producer.close()
    assert sorted(map(int, read_all(stage.bootstrap, "pythons", 60, "snakes"))) == list(range(60))
    consumer = kafka.KafkaConsumer(
        "pythons", bootstrap_servers=stage.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=30000
    )
    assert sorted(int(next(consumer).value) for _ in range(60)) == list(range(60))
    consumer.close()
    admin.delete_topics(["pythons"])
    admin.close()
    stage.wait("TOPIC LIST match=pythons", lambda rows: not rows)
