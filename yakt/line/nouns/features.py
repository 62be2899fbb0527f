"""FEATURE …: list."""

from yakt.line.registry import CommandSpec
from yakt.metadata.questions import ListFeatures

FEATURES = (
    CommandSpec(
        name="FEATURE LIST",
        kind="read",
        text="The cluster's features and their levels.",
        make=ListFeatures,
        rows=("feature",),
        reply=("count", "offset"),
    ),
)
