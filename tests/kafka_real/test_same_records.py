"""The same commands by line protocol and by Kafka's tools: the log has the same records, but for names and ids."""

import json

import pytest

from tests.kafka_lab.stage import Stage

pytestmark = pytest.mark.slow


def records(stage: Stage, since: int, name: str, topic_id: str) -> list[tuple[object, object]]:
    """Kind and fields of what was written about `name` or its topic's id; names and ids become the same words."""
    found = []
    for row in stage.ask(f"LOG from={since} limit=10000").rows:
        kind, fields = row.pairs["kind"], row.pairs["fields"]
        text = json.dumps(fields, sort_keys=True)
        if name not in text and topic_id not in text:
            continue
        if kind == "PartitionChangeRecord" and _is_isr_only(fields):
            continue
        found.append((kind, json.loads(text.replace(name, "NAME").replace(topic_id, "TOPIC"))))
    return found


def topic_id_of(stage: Stage, since: int, name: str) -> str:
    """The id that the topic of this name was given, at or after an offset."""
    for row in stage.ask(f"LOG from={since} limit=10000").rows:
        fields = row.pairs["fields"]
        if row.pairs["kind"] == "TopicRecord" and fields["name"] == name:  # type: ignore[index,call-overload]
            return str(fields["topicId"])  # type: ignore[index,call-overload]
    raise AssertionError(f"no record of topic {name}")


def _is_isr_only(fields: object) -> bool:
    """The brokers' own doing: a new replica has caught up."""
    assert isinstance(fields, dict)
    return {key for key, value in fields.items() if value is not None} <= {
        "topicId",
        "partitionId",
        "isr",
        "directories",
    }


def test_lines_and_tools_write_the_same(stage: Stage) -> None:
    def end() -> int:
        return int(str(stage.ask("BROKER LIST").pairs["offset"]))

    line, kafka = "by-line", "by-tool"
    topic = ("--entity-type", "topics", "--entity-name", kafka)
    user = ("--entity-type", "users", "--entity-name", kafka)
    steps: list[tuple[str, tuple[str, ...]]] = [
        (
            f"TOPIC CREATE {line} assignment=[[11,12],[12,13]] config.retention.ms=60000",
            ("topics", "--create", "--topic", kafka, "--replica-assignment", "11:12,12:13", "--config",
             "retention.ms=60000"),
        ),
        (
            f"CONFIG SET topic/{line} cleanup.policy=compact",
            ("configs", "--alter", *topic, "--add-config", "cleanup.policy=compact"),
        ),
        (
            f"CONFIG DELETE topic/{line} retention.ms",
            ("configs", "--alter", *topic, "--delete-config", "retention.ms"),
        ),
        (
            f"QUOTA SET user={line} consumer_byte_rate=1024",
            ("configs", "--alter", *user, "--add-config", "consumer_byte_rate=1024"),
        ),
        (f"TOPIC DELETE {line}", ("topics", "--delete", "--topic", kafka)),
    ]  # fmt: skip
    begin = end()
    for typed, words in steps:
        since = end()
        stage.ask(typed)
        by_line = records(stage, since, line, topic_id_of(stage, begin, line))
        since = end()
        stage.tool(*words)
        by_tool = records(stage, since, kafka, topic_id_of(stage, begin, kafka))
        assert by_line, typed
        assert by_line == by_tool, typed
