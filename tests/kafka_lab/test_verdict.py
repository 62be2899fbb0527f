"""The soak's verdict can be other than clean: each promise broken, seen by name."""

import pytest

from tests.kafka_lab import verdict
from tests.kafka_lab.load import Ledger
from tests.kafka_lab.verdict import Sample

READ = [(0, 0, "w0-0"), (0, 1, "w0-1"), (1, 0, "w1-0")]
TOLD = {"w0-0": (0, 0), "w0-1": (0, 1), "w1-0": (1, 0)}


def test_a_clean_ledger() -> None:
    assert verdict.check_ledger(Ledger(dict(TOLD)), READ) == []
    refused = Ledger({"w0-0": (0, 0), "w0-1": (0, 1)}, {"w1-0": "timed out", "w1-1": "timed out"})
    assert verdict.check_ledger(refused, READ) == []


def test_a_record_acknowledged_as_a_duplicate_has_no_offset() -> None:
    told = Ledger({**TOLD, "w0-1": (0, None)})
    assert verdict.check_ledger(told, READ) == []
    [found] = verdict.check_ledger(told, [READ[0], READ[2]])
    assert found == "1 acknowledged records are not where they were acknowledged: w0-1"


@pytest.mark.parametrize(
    ("ledger", "read", "trouble"),
    [
        (Ledger(dict(TOLD)), READ[:2], "1 acknowledged records are not where they were acknowledged: w1-0"),
        (Ledger(dict(TOLD)), [*READ[:2], (1, 7, "w1-0")], "1 acknowledged records are not where"),
        (Ledger(dict(TOLD)), [*READ, (1, 1, "w0-0")], "1 records are there twice: w0-0"),
        (Ledger(dict(TOLD)), [*READ, (1, 1, "w9-9")], "1 records are there that nobody sent: w9-9"),
        (Ledger(dict(TOLD), fatal=["producer w0: fenced"]), READ, "producer w0: fenced"),
    ],
)
def test_a_ledger_that_is_not_kept(ledger: Ledger, read: list[tuple[int, int, str]], trouble: str) -> None:
    [found] = verdict.check_ledger(ledger, read)
    assert found.startswith(trouble)


def test_copies() -> None:
    assert verdict.check_copy(READ, READ[::-1]) == []
    assert verdict.check_copy(READ, READ[1:]) == ["1 records were not copied: w0-0"]
    assert verdict.check_copy(READ[1:], READ) == ["1 copies are of nothing: w0-0"]
    assert verdict.check_copy(READ, [*READ, (3, 3, "w0-0")]) == ["1 records were copied twice: w0-0"]


@pytest.mark.parametrize(
    ("growth", "records", "is_flat"), [(0, 0, True), (20, 0, True), (40, 0, False), (40, 10, True), (100, 10, False)]
)
def test_memory(growth: int, records: int, is_flat: bool) -> None:
    """`growth` in KiB, `records` in the log, each sample."""
    samples = [Sample(5.0 * n, "node 1", 1, 50_000 + n * growth, n * records) for n in range(301)]
    samples += [Sample(5.0 * n, "node 2", 1, 900 * n, 0) for n in range(301)]
    found = verdict.check_memory(samples, "node 1")
    assert [text.partition(" grew")[0] for text in found] == ([] if is_flat else ["node 1"])
    again = [*samples, Sample(2000.0, "node 1", 2, 50_000, 0)]
    assert verdict.check_memory(again, "node 1") == ["node 1 was to live through the whole run, and was started again"]


def test_images_topics_and_words() -> None:
    assert verdict.check_images({1: "0xa", 2: "0xa"}) == []
    assert verdict.check_images({1: "0xa", 2: "0xb"}) == ["the nodes' images differ: {1: '0xa', 2: '0xb'}"]
    assert verdict.check_topics({"a"}, {"b"}, {"node 1": ["a"], "broker 11": ["a", "b"]}) == []
    assert verdict.check_topics({"a"}, (), {"node 1": ["c"]}) == [
        "1 topics are missing from what node 1 lists: a",
        "1 topics were deleted and node 1 lists them: c",
    ]
    assert verdict.check_words("node 1", "fine\nTraceback (most recent", ["Traceback"]) == [
        "1 lines of trouble in node 1: Traceback (most recent"
    ]
