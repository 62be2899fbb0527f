"""TOPIC …: create, delete, list."""

from yakt.line.arguments import INT32_MAX, Assignment, Boolean, Integer, Text
from yakt.line.nouns.terms import TOPIC_NAME
from yakt.line.registry import CommandSpec, Example, FreeOptions, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import CreateTopic, DeleteTopic
from yakt.metadata.questions import ListTopics, ShowTopic


def _refuse_counts_beside_assignment(fields: dict[str, object]) -> None:
    for key in ("partitions", "replication"):
        if fields.get("assignment") is not None and fields.get(key) is not None:
            raise ValueError(f"assignment= already says the {key}: leave {key}= out")


TOPICS = (
    CommandSpec(
        name="TOPIC CREATE",
        kind="write",
        text="Create a topic and place its replicas.",
        make=CreateTopic,
        arguments=(TOPIC_NAME,),
        options=(
            Option(key="partitions", type=Integer(-1, INT32_MAX), text="how many; the configuration's default"),
            Option(key="replication", type=Integer(-1, 32767), text="replicas of each; the configuration's default"),
            Option(
                key="assignment", type=Assignment(), text="the replicas of each partition, the preferred leader first"
            ),
        ),
        free=FreeOptions(
            prefix="config.", field="configs", type=Text(32767), text="a config of the topic, as Kafka names it"
        ),
        refuse=_refuse_counts_beside_assignment,
        reply=("offset", "id", "partitions", "replication"),
        examples=(
            Example(line="TOPIC CREATE orders partitions=6 replication=3", text="six partitions on three brokers each"),
            Example(line="TOPIC CREATE log assignment=[[1,2],[2,1]] config.retention.ms=60000", text="placed by hand"),
        ),
    ),
    CommandSpec(
        name="TOPIC DELETE",
        kind="write",
        text="Delete a topic, its partitions and configs.",
        make=DeleteTopic,
        arguments=(TOPIC_NAME,),
        reply=("offset", "id"),
    ),
    CommandSpec(
        name="TOPIC LIST",
        kind="read",
        text="The topics.",
        make=ListTopics,
        options=(
            Option(key="match", type=Text(1024), text="a glob, orders-*"),
            Option(
                key="problems",
                type=Boolean(),
                text="true: only with a partition that has no leader or replicas out of sync",
            ),
            Option(
                key="counts",
                type=Boolean(),
                text="true: with the number of such partitions, leaderless= under_replicated=",
            ),
            FULL,
        ),
        paged=True,
        rows=("topic",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="TOPIC SHOW",
        kind="read",
        text="A topic's partitions.",
        make=ShowTopic,
        arguments=(TOPIC_NAME,),
        options=(FULL,),
        paged=True,
        rows=("partition",),
        reply=("count", "offset"),
    ),
)
