"""TOKEN …: list, delete."""

from yakt.line.arguments import Text
from yakt.line.registry import Argument, CommandSpec, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import DeleteToken
from yakt.metadata.questions import ListTokens

_MAKING = (
    "A token's secret is made with brokers' delegation.token.secret.key for someone who has logged in: a node has "
    "neither, so none is made here. Those that a log of Kafka's holds are kept."
)

TOKENS = (
    CommandSpec(
        name="TOKEN LIST",
        kind="read",
        text="The delegation tokens; their times are in ms.",
        make=ListTokens,
        options=(Option(key="owner", type=Text(32767, low=1, form="TYPE:NAME"), text="only of this one"), FULL),
        paged=True,
        rows=("token",),
        reply=("count", "offset"),
        notes=(_MAKING, "One whose time is over goes within the hour."),
    ),
    CommandSpec(
        name="TOKEN DELETE",
        kind="write",
        text="End a delegation token now.",
        make=DeleteToken,
        arguments=(Argument(name="id", type=Text(1024, low=1), text="its id"),),
        reply=("offset",),
    ),
)
