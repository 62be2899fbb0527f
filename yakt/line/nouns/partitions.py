"""PARTITION …: add, make by hand, move, list."""

from yakt.line.arguments import INT32_MAX, Boolean, BrokerIds, Integer
from yakt.line.nouns.terms import ID, NAME, PARTITION
from yakt.line.registry import Argument, CommandSpec, Example, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import (
    AddPartitions,
    AlterIsr,
    CancelReassignment,
    CreatePartition,
    DeletePartition,
    ElectLeader,
    ReassignPartition,
)
from yakt.metadata.questions import ListPartitions

PARTITIONS = (
    CommandSpec(
        name="PARTITION ADD",
        kind="write",
        text="Give a topic more partitions.",
        make=AddPartitions,
        arguments=(Argument(name="topic", type=NAME, text="the topic's name"),),
        options=(Option(key="count", type=Integer(0, INT32_MAX), text="the new total", required=True),),
        reply=("offset",),
        examples=(Example(line="PARTITION ADD orders count=12", text="twelve in all"),),
    ),
    CommandSpec(
        name="PARTITION CREATE",
        kind="write",
        text="Make one partition by hand: the next, or one that was deleted.",
        make=CreatePartition,
        arguments=(Argument(name="topic", type=NAME, text="the topic's name"),),
        options=(
            Option(key="partition", type=Integer(0, INT32_MAX), text="its number; the next"),
            Option(key="replicas", type=BrokerIds(), text="who holds it, the preferred leader first; placed"),
            Option(key="isr", type=BrokerIds(), text="which of them are in sync; all that are alive"),
            Option(key="leader", type=ID, text="who leads; the first in sync"),
        ),
        reply=("offset", "partition"),
        examples=(Example(line="PARTITION CREATE orders replicas=[1,2]", text="the next one, on brokers 1 and 2"),),
    ),
    CommandSpec(
        name="PARTITION DELETE",
        kind="write",
        text="Leave a partition without replicas and leader; it is in no list until it is made again.",
        make=lambda target: DeletePartition(target.topic, target.partition),
        arguments=(PARTITION,),
        reply=("offset",),
        notes=("Kafka has no record that removes one partition; its tools show it without replicas.",),
    ),
    CommandSpec(
        name="PARTITION REASSIGN",
        kind="write",
        text="Give a partition other replicas; new ones are added before old ones go.",
        make=lambda target, replicas: ReassignPartition(target.topic, target.partition, replicas),
        arguments=(PARTITION,),
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
        make=lambda target: CancelReassignment(target.topic, target.partition),
        arguments=(PARTITION,),
        reply=("offset", "adding", "removing", "done"),
    ),
    CommandSpec(
        name="PARTITION LEADER",
        kind="write",
        text="Elect a partition's leader: the preferred one, or the one you name.",
        make=lambda target, **fields: ElectLeader(target.topic, target.partition, **fields),
        arguments=(PARTITION,),
        options=(
            Option(key="to", type=ID, text="the replica that shall lead; the first of the replicas"),
            Option(
                key="unclean",
                type=Boolean(),
                text="true: out of sync too, and records that only others have are lost",
            ),
        ),
        reply=("offset", "leader"),
        notes=("unclean=true without to= elects any replica that is alive, where nobody leads.",),
        examples=(
            Example(line="PARTITION LEADER orders:0", text="back to the preferred leader"),
            Example(line="PARTITION LEADER orders:0 to=2 unclean=true", text="broker 2, whatever it has not copied"),
        ),
    ),
    CommandSpec(
        name="PARTITION ISR",
        kind="write",
        text="Say which replicas are in sync, as the partition's leader does.",
        make=lambda target, **fields: AlterIsr(target.topic, target.partition, **fields),
        arguments=(PARTITION,),
        options=(
            Option(key="broker", type=ID, text="the leader's id", required=True),
            Option(key="epoch", type=Integer(-1), text="its broker epoch", required=True),
            Option(
                key="leader-epoch",
                type=Integer(0, INT32_MAX),
                text="the partition's leader epoch",
                field="leader_epoch",
                required=True,
            ),
            Option(
                key="partition-epoch",
                type=Integer(0, INT32_MAX),
                text="its partition epoch: refused if it has changed since; whatever it is",
                field="partition_epoch",
            ),
            Option(key="isr", type=BrokerIds(), text="all that are in sync, the leader too", required=True),
        ),
        reply=("offset", "partition_epoch"),
        notes=("leader= in its OK: a reassignment is done with it, and another leads now.",),
        examples=(
            Example(
                line="PARTITION ISR orders:0 broker=1 epoch=5 leader-epoch=0 isr=[1,2]", text="1 and 2 are in sync"
            ),
        ),
    ),
    CommandSpec(
        name="PARTITION LIST",
        kind="read",
        text="Partitions of all topics, or of one.",
        make=ListPartitions,
        options=(
            Option(key="topic", type=NAME, text="only of this topic"),
            Option(key="broker", type=ID, text="only with a replica on this broker"),
            Option(key="leader", type=ID, text="only those that this broker leads"),
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
