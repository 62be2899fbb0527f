"""BROKER …: register, keep alive, fence, forget, list."""

from yakt.line.arguments import Boolean, Integer, Text, UuidText
from yakt.line.nouns.terms import BROKER_ID
from yakt.line.registry import CommandSpec, Example, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import ChangeBroker, FenceBroker, HeartbeatBroker, RegisterBroker, UnregisterBroker
from yakt.metadata.questions import ListBrokers, ShowBroker

_COUNTS = Option(
    key="counts", type=Boolean(), text="true: with the number of its partitions, leads= replicas= out_of_sync="
)

BROKERS = (
    CommandSpec(
        name="BROKER REGISTER",
        kind="write",
        text="Register a broker; it stays fenced until its first heartbeat.",
        make=RegisterBroker,
        arguments=(BROKER_ID,),
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
        arguments=(BROKER_ID,),
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
        arguments=(BROKER_ID,),
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
        arguments=(BROKER_ID,),
        reply=("offset",),
    ),
    CommandSpec(
        name="BROKER FENCE",
        kind="write",
        text="Fence a broker until its next heartbeat.",
        make=FenceBroker,
        arguments=(BROKER_ID,),
        reply=("offset",),
    ),
    CommandSpec(
        name="BROKER LIST",
        kind="read",
        text="The registered brokers.",
        make=ListBrokers,
        options=(
            Option(key="fenced", type=Boolean(), text="only those fenced, or only the others"),
            Option(key="match", type=Text(1024), text="a glob, held against id, host and rack"),
            _COUNTS,
            FULL,
        ),
        paged=True,
        rows=("broker",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="BROKER SHOW",
        kind="read",
        text="One broker, unregistered ones too.",
        make=ShowBroker,
        arguments=(BROKER_ID,),
        options=(_COUNTS, FULL),
        rows=("broker",),
        reply=("offset",),
    ),
)
