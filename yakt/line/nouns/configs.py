"""CONFIG …: set, get, delete."""

from yakt.line.arguments import Text
from yakt.line.nouns.terms import ENTITY
from yakt.line.registry import Argument, CommandSpec, Example, FreeOptions
from yakt.metadata.commands import DeleteConfigs, SetConfigs
from yakt.metadata.questions import GetConfigs

CONFIGS = (
    CommandSpec(
        name="CONFIG SET",
        kind="write",
        text="Set configs, by Kafka's keys.",
        make=SetConfigs,
        arguments=(ENTITY,),
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
        arguments=(ENTITY,),
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
            ENTITY,
            Argument(name="KEY", type=Text(1024, low=1), text="a key as Kafka names it", field="keys", repeated=True),
        ),
        reply=("offset",),
        examples=(Example(line="CONFIG DELETE topic/orders retention.ms", text="one of them"),),
    ),
)
