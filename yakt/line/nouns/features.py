"""FEATURE …: set, list; and CONTROLLER LIST."""

from yakt.line.arguments import Choice, Integer
from yakt.line.registry import CommandSpec, Example, FreeOptions, Option
from yakt.metadata.commands import FeatureChange, SetFeatures
from yakt.metadata.questions import ListControllers, ListFeatures

DOWNGRADES = ("safe", "unsafe")


def _set(levels: tuple[tuple[str, str], ...], downgrade: str = "") -> SetFeatures:
    return SetFeatures(tuple(FeatureChange(name, int(level), downgrade) for name, level in levels))


FEATURES = (
    CommandSpec(
        name="FEATURE SET",
        kind="write",
        text="Bring features to other levels, all that are named or none.",
        make=_set,
        options=(
            Option(key="downgrade", type=Choice(DOWNGRADES), text="what a lower level needs; Kafka knows both words"),
        ),
        free=FreeOptions(
            prefix="", field="levels", type=Integer(0, 32767), text="a feature and its new level", required=True
        ),
        reply=("offset",),
        notes=("Every registered broker and controller must support the level. kraft.version goes up only.",),
        examples=(
            Example(line="FEATURE SET kraft.version=1", text="voters in the log, for brokers with bootstrap.servers"),
            Example(line="FEATURE SET metadata.version=20 downgrade=safe", text="one level down"),
        ),
    ),
    CommandSpec(
        name="FEATURE LIST",
        kind="read",
        text="The features, their levels, and which levels YAKt supports.",
        make=ListFeatures,
        rows=("feature",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="CONTROLLER LIST",
        kind="read",
        text="The nodes of the quorum, as each told the leader: this start's uuid, and where Kafka's brokers reach it.",
        make=ListControllers,
        rows=("controller",),
        reply=("count", "offset"),
    ),
)
