"""Judges what a soak saw: pure functions, each of which returns what is wrong, in words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import attrs

from tests.kafka_lab.load import Ledger

SHOWN = 5
GROWTH_KIB = 4096
KIB_PER_RECORD = 2
"""Memory is flat if its median over the last quarter of a run is not above that of the second by more than this, and
this for each record appended between them: what was changed and deleted last is remembered for watches and requests,
in windows that are bounded (65,536 changes, 65,536 deleted keys a table) and take longer than a soak to fill."""
SAMPLES_MIN = 40

Read = Sequence[tuple[int, int, str]]
"""Partition, offset, value."""


@attrs.frozen
class Sample:
    """One look at one process. `incarnation` counts its starts; `log_end` is the metadata log's, as last told."""

    seconds: float
    process: str
    incarnation: int
    rss_kib: int
    log_end: int


def check_ledger(ledger: Ledger, read: Read) -> list[str]:
    """Every acknowledged record is where the producer was told, once; what was refused may be there, once."""
    troubles = list(ledger.fatal)
    there = {(partition, offset): value for partition, offset, value in read}
    anywhere = {(partition, value) for partition, _, value in read}
    misplaced = [
        value
        for value, (partition, offset) in ledger.acknowledged.items()
        if ((partition, value) not in anywhere if offset is None else there.get((partition, offset)) != value)
    ]
    troubles += _told("acknowledged records are not where they were acknowledged", misplaced)
    troubles += _told("records are there twice", _twice(read))
    known = ledger.acknowledged.keys() | ledger.refused.keys()
    troubles += _told("records are there that nobody sent", [value for *_, value in read if value not in known])
    return troubles


def check_copy(source: Read, copied: Read) -> list[str]:
    """What transactions copied is the whole of the source, each record once."""
    wanted, got = {value for *_, value in source}, {value for *_, value in copied}
    return [
        *_told("records were not copied", sorted(wanted - got)),
        *_told("copies are of nothing", sorted(got - wanted)),
        *_told("records were copied twice", _twice(copied)),
    ]


def check_memory(samples: Iterable[Sample], process: str) -> list[str]:
    """The memory of one process that lived through the whole run does not grow."""
    of_it = [sample for sample in samples if sample.process == process]
    if len({sample.incarnation for sample in of_it}) > 1:
        return [f"{process} was to live through the whole run, and was started again"]
    if len(of_it) < SAMPLES_MIN:
        return []  # a short run tells nothing
    quarter = len(of_it) // 4
    early, late = of_it[quarter : 2 * quarter], of_it[-quarter:]
    before, after = (median(sample.rss_kib for sample in some) for some in (early, late))
    records = median(sample.log_end for sample in late) - median(sample.log_end for sample in early)
    if after - before > GROWTH_KIB + KIB_PER_RECORD * records:
        return [f"{process} grew from {before:.0f} to {after:.0f} KiB with {records:.0f} records"]
    return []


def check_images(hashes: Mapping[int, str]) -> list[str]:
    """All nodes' logs make the same image."""
    if len(set(hashes.values())) != 1:
        return [f"the nodes' images differ: {dict(hashes)}"]
    return []


def check_topics(alive: Iterable[str], doubtful: Iterable[str], listed: Mapping[str, Iterable[str]]) -> list[str]:
    """Everybody lists the topics that were made and not deleted; those in doubt may be there. `listed`: by whom."""
    must, may = set(alive), set(doubtful)
    troubles = []
    for who, names in listed.items():
        found = set(names)
        troubles += _told(f"topics are missing from what {who} lists", sorted(must - found))
        troubles += _told(f"topics were deleted and {who} lists them", sorted(found - must - may))
    return troubles


def check_words(name: str, text: str, bad: Iterable[str]) -> list[str]:
    """Lines of a log that must not be there."""
    return _told(f"lines of trouble in {name}", [line for line in text.splitlines() if any(map(line.count, bad))])


def _twice(read: Read) -> list[str]:
    return [value for value, count in Counter(value for *_, value in read).items() if count > 1]


def _told(what: str, found: Sequence[str]) -> list[str]:
    return [f"{len(found)} {what}: {', '.join(found[:SHOWN])}"] if found else []
