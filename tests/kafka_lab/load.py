"""What clients do to a Kafka cluster while it is beaten, and what they were promised; by confluent-kafka, in threads.

`write` is an idempotent producer with acks from all; `copy` a transactional consume-transform-produce member of a
group; `read_all` what a consumer gets in the end. All of them go on through whatever happens to brokers, and end when
`stop` is set.
"""

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable

import attrs
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

DELIVERY_TIMEOUT_MS = 240_000
"""A record that is not acknowledged by then counts as refused; it may be in the log all the same."""
TRANSACTION_S = 30.0
READ_S = 60.0
_QUIET = logging.getLogger("tests.kafka_lab.librdkafka")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


@attrs.define(eq=False)
class Ledger:
    """What producers were told, by value. Used by several threads: each writes values of its own."""

    acknowledged: dict[str, tuple[int, int | None]] = attrs.Factory(dict)
    """Partition and offset; None where the broker only said that it had the record already (error 46)."""
    refused: dict[str, str] = attrs.Factory(dict)
    fatal: list[str] = attrs.Factory(list)
    """What ended a client for good, which nothing that happens to brokers may do."""
    copied: int = 0
    aborted: Counter[str] = attrs.Factory(Counter)
    """Transactions that were given up, by why."""


def write(servers: str, topic: str, name: str, rate: float, ledger: Ledger, stop: threading.Event) -> None:
    """Produce `name-0`, `name-1`, …, so many a second, until told to stop; then wait for what is under way."""

    def note_error(error: KafkaError) -> None:
        if error.fatal():
            ledger.fatal.append(f"producer {name}: {error}")

    def note(error: KafkaError | None, message: Message) -> None:
        value = (message.value() or b"").decode()
        if error is None:
            ledger.acknowledged[value] = (message.partition() or 0, message.offset())
        else:
            ledger.refused[value] = str(error)

    producer = Producer(
        {
            "bootstrap.servers": servers,
            "client.id": name,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "message.timeout.ms": DELIVERY_TIMEOUT_MS,
            "error_cb": note_error,
        },
        logger=_QUIET,
    )
    number = 0
    while not stop.is_set():
        try:
            producer.produce(topic, value=f"{name}-{number}", key=f"{name}-{number % 100}", on_delivery=note)
            number += 1
        except BufferError:
            pass  # the cluster is away, and as much waits as may
        producer.poll(1 / rate)
        if rate < 1000 and not stop.is_set():
            stop.wait(0.5 / rate)
    left = producer.flush(DELIVERY_TIMEOUT_MS / 1000)
    if left:
        ledger.fatal.append(f"producer {name}: {left} records neither acknowledged nor refused")


def copy(
    servers: str, source: str, target: str, group: str, name: str, ledger: Ledger, stop: Callable[[], bool]
) -> None:
    """Copy records in transactions until told to stop. After any trouble both clients are made anew, and go on from
    the offsets that are committed."""
    while not stop():
        consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "client.id": name,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "session.timeout.ms": 10_000,
            },
            logger=_QUIET,
        )
        producer = Producer(
            {
                "bootstrap.servers": servers,
                "client.id": name,
                "transactional.id": name,
                "transaction.timeout.ms": 60_000,
            },
            logger=_QUIET,
        )
        try:
            producer.init_transactions(TRANSACTION_S)
            consumer.subscribe([source])
            while not stop():
                _copy_some(consumer, producer, target, ledger)
        except KafkaException as exc:
            error = exc.args[0]
            ledger.aborted[error.name() if isinstance(error, KafkaError) else str(error)] += 1
            _give_up(producer)
        finally:
            consumer.close()


def _copy_some(consumer: Consumer, producer: Producer, target: str, ledger: Ledger) -> None:
    """One transaction, if there is anything to copy. Raises KafkaException."""
    messages = [message for message in consumer.consume(500, 0.5) if message.error() is None]
    if not messages:
        return
    producer.begin_transaction()
    for message in messages:
        producer.produce(target, value=message.value(), key=message.key())
    producer.send_offsets_to_transaction(
        consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), TRANSACTION_S
    )
    producer.commit_transaction(TRANSACTION_S)
    ledger.copied += len(messages)


def _give_up(producer: Producer) -> None:
    with contextlib.suppress(KafkaException):  # the next one with this id ends it
        producer.abort_transaction(TRANSACTION_S)


def read_all(servers: str, topic: str) -> list[tuple[int, int, str]]:
    """Everything committed in a topic: partition, offset, value. Raises KafkaException, or TimeoutError."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "nobody",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        },
        logger=_QUIET,
    )
    found: list[tuple[int, int, str]] = []
    try:
        partitions = consumer.list_topics(topic, timeout=READ_S).topics[topic].partitions
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        left = set(partitions)
        last = time.monotonic()
        while left:
            for message in consumer.consume(5000, 1.0):
                last = time.monotonic()
                error = message.error()
                if error is None:
                    found.append((message.partition() or 0, message.offset() or 0, (message.value() or b"").decode()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise KafkaException(error)
            if time.monotonic() - last > READ_S:
                raise TimeoutError(f"partitions {sorted(left)} of {topic} cannot be read to their end")
    finally:
        consumer.close()
    return found


def lag(servers: str, topic: str, group: str) -> int:
    """How many records of a topic the group has not yet committed; -1 if nobody tells just now."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": group}, logger=_QUIET)
    try:
        partitions = consumer.list_topics(topic, timeout=READ_S).topics[topic].partitions
        committed = consumer.committed([TopicPartition(topic, partition) for partition in partitions], READ_S)
        return sum(
            consumer.get_watermark_offsets(TopicPartition(topic, one.partition), READ_S)[1] - max(one.offset, 0)
            for one in committed
        )
    except KafkaException:
        return -1
    finally:
        consumer.close()
