"""PID ALLOC, and PRODUCER …: register, list, delete."""

from yakt.line.arguments import Integer
from yakt.line.nouns.terms import BROKER, BROKER_EPOCH
from yakt.line.registry import Argument, CommandSpec, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import AllocateProducerIds, DeleteProducer, RegisterProducer
from yakt.metadata.questions import ListProducers, ShowProducer

PRODUCERS = (
    CommandSpec(
        name="PID ALLOC",
        kind="write",
        text="A block of producer ids for a broker.",
        make=AllocateProducerIds,
        options=(BROKER, BROKER_EPOCH),
        reply=("offset", "first", "count"),
    ),
    CommandSpec(
        name="PRODUCER REGISTER",
        kind="write",
        text="Register a producer with a broker.",
        make=RegisterProducer,
        options=(
            BROKER,
            BROKER_EPOCH,
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
