"""The simulated disk: what a crash takes, and what it may not."""

from random import Random

import pytest

from yakt.batch import RecordBatch
from yakt.ids import Epoch, Offset, OffsetAndEpoch
from yakt.sim.store import Snapshot, Store


def batch(base: int, epoch: int = 1, count: int = 1) -> RecordBatch:
    return RecordBatch(Offset(base), Epoch(epoch), count, base, b"x" * count)


def filled(*batches: RecordBatch) -> Store:
    store = Store()
    store.append(batches)
    return store


def flush(store: Store) -> None:
    assert store.begin_flush()
    store.finish_flush()


@pytest.mark.parametrize("seed", range(20))
def test_a_crash_keeps_all_that_was_flushed_and_a_prefix_of_the_rest(seed: int) -> None:
    store = filled(batch(0), batch(1))
    flush(store)
    store.append([batch(2), batch(3), batch(4)])
    before = list(store.batches)
    lost = store.crash(Random(seed), lose_unsynced=True)
    assert store.batches == before[: 5 - lost]
    assert len(store.batches) >= 2
    assert store.durable_end == store.end_offset


def test_a_process_that_dies_loses_nothing_it_wrote() -> None:
    store = filled(batch(0), batch(1))
    assert store.crash(Random(1), lose_unsynced=False) == 0
    assert store.end_offset == 2


def test_a_flush_covers_only_what_was_there_when_it_began() -> None:
    store = filled(batch(0))
    assert store.begin_flush()
    store.append([batch(1)])
    assert store.finish_flush() == 1
    assert store.durable_end == 1


def test_a_flush_that_crosses_a_truncation_is_cut_with_it() -> None:
    store = filled(batch(0), batch(1), batch(2))
    assert store.begin_flush()
    store.truncate(1)
    store.append([batch(1, epoch=2), batch(2, epoch=2)])
    assert store.finish_flush() == 1


def test_only_one_flush_is_out() -> None:
    store = filled(batch(0))
    assert store.begin_flush()
    store.append([batch(1)])
    assert not store.begin_flush()


def test_equal_logs_have_equal_prefixes_and_others_do_not() -> None:
    one, same, other = (
        filled(batch(0), batch(1)),
        filled(batch(0), batch(1)),
        filled(batch(0, epoch=2), batch(1, epoch=2)),
    )
    assert one.prefix_at(2) == same.prefix_at(2)
    assert one.prefix_at(2) != other.prefix_at(2)
    assert one.prefix_at(0) == other.prefix_at(0)


def test_no_prefix_within_a_batch() -> None:
    assert filled(batch(0, count=3)).prefix_at(2) is None


def test_reads_are_whole_batches_from_the_one_that_holds_the_offset() -> None:
    store = filled(batch(0, count=3), batch(3), batch(4))
    assert [each.base_offset for each in store.read(1, 5, 2)] == [0, 3]
    assert [each.base_offset for each in store.read(3, 4, 9)] == [3]


def test_trimming_keeps_the_prefix_of_what_is_left() -> None:
    store = filled(batch(0), batch(1), batch(2))
    flush(store)
    whole = store.prefix_at(3)
    for end in (1, 2):
        prefix = store.prefix_at(end)
        assert prefix is not None
        store.snapshots[OffsetAndEpoch(Epoch(1), Offset(end))] = Snapshot(b"", prefix)
    assert store.trim(2) is None
    assert store.trim(1) == OffsetAndEpoch(Epoch(1), Offset(2))
    assert (store.start_offset, store.end_offset, store.prefix_at(3)) == (2, 3, whole)


def test_a_snapshot_ahead_of_what_survived_replaces_the_log() -> None:
    store = filled(batch(0), batch(1))
    prefix = store.prefix_at(2)
    assert prefix is not None
    store.snapshots[OffsetAndEpoch(Epoch(1), Offset(2))] = Snapshot(b"", prefix)
    store.crash(Random(3), lose_unsynced=True)
    store.crash(Random(3), lose_unsynced=True)
    assert store.end_offset == 2
    assert store.prefix_at(2) == prefix


def test_an_append_leaves_no_gap() -> None:
    with pytest.raises(AssertionError):
        filled(batch(1))
