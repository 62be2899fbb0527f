"""The commands of the cluster's things: brokers, topics, configs, producers; each declared once, for `declarations`."""

from yakt.line.arguments import (
    INT32_MAX,
    Assignment,
    Boolean,
    BrokerIds,
    EntityName,
    Integer,
    PartitionName,
    Text,
    UuidText,
)
from yakt.line.registry import Argument, CommandSpec, Example, FreeOptions, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import (
    AddPartitions,
    AllocateProducerIds,
    CancelReassignment,
    ChangeBroker,
    CreatePartition,
    CreateTopic,
    DeleteConfigs,
    DeletePartition,
    DeleteProducer,
    DeleteTopic,
    FenceBroker,
    GetConfigs,
    HeartbeatBroker,
    ListBrokers,
    ListFeatures,
    ListPartitions,
    ListProducers,
    ListTopics,
    ReassignPartition,
    RegisterBroker,
    RegisterProducer,
    SetConfigs,
    ShowBroker,
    ShowProducer,
    ShowTopic,
    UnregisterBroker,
)

_ID = Integer(0, INT32_MAX, form="id")
_OFFSET = Integer(form="offset")
_NAME = Text(1024, low=1, form="name")  # the controller says which names are good ones
_MILLISECONDS = Integer(0, 3_600_000, form="ms")
_BROKER_ID = Argument(name="id", type=_ID, text="the broker's id")
_TOPIC_NAME = Argument(name="name", type=_NAME, text="the topic's name")
_BROKER = Option(key="broker", type=_ID, text="the broker's id", required=True)
_BROKER_EPOCH = Option(key="epoch", type=Integer(-1), text="its broker epoch, as it registered", required=True)
_PARTITION = Argument(name="partition", type=PartitionName(), text="topic and number, orders:0", field="target")
_ENTITY = Argument(
    name="entity",
    type=EntityName(),
    text="topic/NAME, broker/ID, broker/ (the cluster), group/NAME, client-metrics/NAME",
)


def _refuse_counts_beside_assignment(fields: dict[str, object]) -> None:
    for key in ("partitions", "replication"):
        if fields.get("assignment") is not None and fields.get(key) is not None:
            raise ValueError(f"assignment= already says the {key}: leave {key}= out")


BROKERS = (
    CommandSpec(
        name="BROKER REGISTER",
        kind="write",
        text="Register a broker; it stays fenced until its first heartbeat.",
        make=RegisterBroker,
        arguments=(_BROKER_ID,),
        options=(
            Option(key="host", type=Text(1024, low=1), text="where clients reach it", required=True),
            Option(key="port", type=Integer(0, 65535), text="and at which port", required=True),
            Option(key="rack", type=Text(), text="its rack, for placement"),
            Option(key="protocol", type=Text(256, low=1), text="its listener's protocol; PLAINTEXT"),
            Option(key="incarnation", type=UuidText(), text="of this start of the broker; made if left out"),
            Option(
                key="session",
                type=Integer(1, 86_400_000, form="ms"),
                text="how long it lives without a heartbeat, ms",
                field="session_ms",
            ),
            Option(key="alive", type=Boolean(), text="true: its first heartbeat too, so that it is unfenced at once"),
        ),
        reply=("offset", "epoch", "uuid", "fenced"),
        examples=(
            Example(line="BROKER REGISTER 1 host=b1.local port=9092 rack=r1", text="as a broker does"),
            Example(
                line="BROKER REGISTER 1 host=b1.local port=9092 session=600000",
                text="for a person at netcat: ten minutes between heartbeats",
            ),
        ),
    ),
    CommandSpec(
        name="BROKER HEARTBEAT",
        kind="write",
        text="Keep a broker's session alive, and unfence it.",
        make=HeartbeatBroker,
        arguments=(_BROKER_ID,),
        options=(
            Option(key="epoch", type=Integer(-1), text="its broker epoch; the registered one"),
            Option(key="at", type=Integer(-1, form="offset"), text="the last offset it has applied; caught up"),
            Option(key="fence", type=Boolean(), text="true: it wants to be fenced"),
            Option(key="shutdown", type=Boolean(), text="true: it wants to stop"),
        ),
        reply=("fenced", "caught_up", "shutdown"),
        notes=("Nothing is written unless the broker's state changes.",),
        examples=(Example(line="BROKER HEARTBEAT 1", text="unfence broker 1"),),
    ),
    CommandSpec(
        name="BROKER CHANGE",
        kind="write",
        text="Change where a broker is reached; its epoch and uuid stay.",
        make=ChangeBroker,
        arguments=(_BROKER_ID,),
        options=(
            Option(key="host", type=Text(1024, low=1), text="its new host"),
            Option(key="port", type=Integer(0, 65535), text="its new port"),
            Option(key="protocol", type=Text(256, low=1), text="its listener's new protocol"),
            Option(key="rack", type=Text(), text='its new rack; "" takes it away'),
        ),
        reply=("offset", "epoch"),
    ),
    CommandSpec(
        name="BROKER UNREGISTER",
        kind="write",
        text="Forget a broker; SHOW tells it as CLOSED afterwards.",
        make=UnregisterBroker,
        arguments=(_BROKER_ID,),
        reply=("offset",),
    ),
    CommandSpec(
        name="BROKER FENCE",
        kind="write",
        text="Fence a broker until its next heartbeat.",
        make=FenceBroker,
        arguments=(_BROKER_ID,),
        reply=("offset",),
    ),
    CommandSpec(
        name="BROKER LIST",
        kind="read",
        text="The registered brokers.",
        make=ListBrokers,
        options=(Option(key="fenced", type=Boolean(), text="only those fenced, or only the others"), FULL),
        paged=True,
        rows=("broker",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="BROKER SHOW",
        kind="read",
        text="One broker, unregistered ones too.",
        make=ShowBroker,
        arguments=(_BROKER_ID,),
        options=(FULL,),
        rows=("broker",),
        reply=("offset",),
    ),
)

TOPICS = (
    CommandSpec(
        name="TOPIC CREATE",
        kind="write",
        text="Create a topic and place its replicas.",
        make=CreateTopic,
        arguments=(_TOPIC_NAME,),
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
        arguments=(_TOPIC_NAME,),
        reply=("offset", "id"),
    ),
    CommandSpec(
        name="TOPIC LIST",
        kind="read",
        text="The topics.",
        make=ListTopics,
        options=(Option(key="match", type=Text(1024), text="a glob, orders-*"), FULL),
        paged=True,
        rows=("topic",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="TOPIC SHOW",
        kind="read",
        text="A topic's partitions.",
        make=ShowTopic,
        arguments=(_TOPIC_NAME,),
        options=(FULL,),
        paged=True,
        rows=("partition",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="PARTITION ADD",
        kind="write",
        text="Give a topic more partitions.",
        make=AddPartitions,
        arguments=(Argument(name="topic", type=_NAME, text="the topic's name"),),
        options=(Option(key="count", type=Integer(0, INT32_MAX), text="the new total", required=True),),
        reply=("offset",),
        examples=(Example(line="PARTITION ADD orders count=12", text="twelve in all"),),
    ),
    CommandSpec(
        name="PARTITION CREATE",
        kind="write",
        text="Make one partition by hand: the next, or one that was deleted.",
        make=CreatePartition,
        arguments=(Argument(name="topic", type=_NAME, text="the topic's name"),),
        options=(
            Option(key="partition", type=Integer(0, INT32_MAX), text="its number; the next"),
            Option(key="replicas", type=BrokerIds(), text="who holds it, the preferred leader first; placed"),
            Option(key="isr", type=BrokerIds(), text="which of them are in sync; all that are alive"),
            Option(key="leader", type=_ID, text="who leads; the first in sync"),
        ),
        reply=("offset", "partition"),
        examples=(Example(line="PARTITION CREATE orders replicas=[1,2]", text="the next one, on brokers 1 and 2"),),
    ),
    CommandSpec(
        name="PARTITION DELETE",
        kind="write",
        text="Leave a partition without replicas and leader; it is in no list until it is made again.",
        make=lambda target: DeletePartition(*target),
        arguments=(_PARTITION,),
        reply=("offset",),
        notes=("Kafka has no record that removes one partition; its tools show it without replicas.",),
    ),
    CommandSpec(
        name="PARTITION REASSIGN",
        kind="write",
        text="Give a partition other replicas; new ones are added before old ones go.",
        make=lambda target, replicas: ReassignPartition(target[0], target[1], replicas),
        arguments=(_PARTITION,),
        options=(
            Option(
                key="replicas", type=BrokerIds(), text="all it shall have, the preferred leader first", required=True
            ),
        ),
        reply=("offset", "adding", "removing", "done"),
        notes=("It is done when the leader has taken the new replicas into the ISR. A new one replaces it.",),
        examples=(Example(line="PARTITION REASSIGN orders:0 replicas=[2,3]", text="from wherever it is to 2 and 3"),),
    ),
    CommandSpec(
        name="PARTITION CANCEL",
        kind="write",
        text="Take back a reassignment that is not done.",
        make=lambda target: CancelReassignment(*target),
        arguments=(_PARTITION,),
        reply=("offset", "adding", "removing", "done"),
    ),
    CommandSpec(
        name="PARTITION LIST",
        kind="read",
        text="Partitions of all topics, or of one.",
        make=ListPartitions,
        options=(
            Option(key="topic", type=_NAME, text="only of this topic"),
            Option(key="broker", type=_ID, text="only with a replica on this broker"),
            Option(key="leaderless", type=Boolean(), text="true: only without a leader"),
            Option(
                key="under-replicated",
                type=Boolean(),
                text="true: only with replicas out of sync",
                field="under_replicated",
            ),
            FULL,
        ),
        paged=True,
        rows=("partition",),
        reply=("count", "offset"),
    ),
)

CONFIGS = (
    CommandSpec(
        name="CONFIG SET",
        kind="write",
        text="Set configs, by Kafka's keys.",
        make=SetConfigs,
        arguments=(_ENTITY,),
        free=FreeOptions(
            prefix="", field="values", type=Text(32767), text="a key as Kafka names it, and its value", required=True
        ),
        reply=("offset",),
        examples=(
            Example(
                line="CONFIG SET topic/orders retention.ms=60000 cleanup.policy=compact,delete", text="two at once"
            ),
            Example(line="CONFIG SET broker/ message.max.bytes=2000000", text="the cluster's default"),
        ),
    ),
    CommandSpec(
        name="CONFIG GET",
        kind="read",
        text="What is set for an entity.",
        make=GetConfigs,
        arguments=(_ENTITY,),
        rows=("config",),
        reply=("count", "offset"),
        examples=(Example(line="CONFIG GET topic/orders", text="its own configs, not the defaults"),),
    ),
    CommandSpec(
        name="CONFIG DELETE",
        kind="write",
        text="Take configs back to their default.",
        make=DeleteConfigs,
        arguments=(
            _ENTITY,
            Argument(name="KEY", type=Text(1024, low=1), text="a key as Kafka names it", field="keys", repeated=True),
        ),
        reply=("offset",),
        examples=(Example(line="CONFIG DELETE topic/orders retention.ms", text="one of them"),),
    ),
    CommandSpec(
        name="FEATURE LIST",
        kind="read",
        text="The cluster's features and their levels.",
        make=ListFeatures,
        rows=("feature",),
        reply=("count", "offset"),
    ),
)

PRODUCERS = (
    CommandSpec(
        name="PID ALLOC",
        kind="write",
        text="A block of producer ids for a broker.",
        make=AllocateProducerIds,
        options=(_BROKER, _BROKER_EPOCH),
        reply=("offset", "first", "count"),
    ),
    CommandSpec(
        name="PRODUCER REGISTER",
        kind="write",
        text="Register a producer with a broker.",
        make=RegisterProducer,
        options=(
            _BROKER,
            _BROKER_EPOCH,
            Option(key="producer", type=Integer(0, 2**53 - 1), text="its id; the first of a new block"),
        ),
        reply=("offset", "producer"),
    ),
    CommandSpec(
        name="PRODUCER LIST",
        kind="read",
        text="The registered producers.",
        make=ListProducers,
        options=(FULL,),
        paged=True,
        rows=("producer",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="PRODUCER SHOW",
        kind="read",
        text="One producer.",
        make=ShowProducer,
        arguments=(Argument(name="id", type=Integer(), text="its id"),),
        options=(FULL,),
        rows=("producer",),
        reply=("offset",),
    ),
    CommandSpec(
        name="PRODUCER DELETE",
        kind="write",
        text="Forget a producer.",
        make=DeleteProducer,
        arguments=(Argument(name="id", type=Integer(), text="its id"),),
        reply=("offset",),
    ),
)
