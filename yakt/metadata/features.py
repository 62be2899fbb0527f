"""Features, and the levels of each that YAKt can do: said here once, told in hellos, registrations and ApiVersions.

From metadata.version 19 to 21 the records are the same ones (records.md §2): what those levels change, brokers do among
themselves. group.version and transaction.version are the brokers' own too: a FeatureLevelRecord and nothing else. What
needs other records (eligible.leader.replicas.version) or other topics of the controller's is not here.
"""

from typing import NamedTuple

METADATA_VERSION = "metadata.version"
KRAFT_VERSION = "kraft.version"
METADATA_LEVEL = 21
"""The metadata.version of a new cluster: the highest that brokers of 3.9 take."""


class Levels(NamedTuple):
    """Both ends are included; 0 is a feature that is off, or not known at all."""

    least: int
    most: int

    def __contains__(self, level: object) -> bool:
        return isinstance(level, int) and self.least <= level <= self.most


OFF = Levels(0, 0)
SUPPORTED: dict[str, Levels] = {
    "group.version": Levels(0, 1),
    KRAFT_VERSION: Levels(0, 1),
    METADATA_VERSION: Levels(19, METADATA_LEVEL),
    "transaction.version": Levels(0, 2),
}
"""By name, in order."""
