"""The log's numbers: storage.md §3, rules 0 to 4, and where a diverging log is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yakt.ids import Epoch, Offset, OffsetAndEpoch
from yakt.raft.log import Diverges, Log, LogState, Mismatch, NeedsSnapshot


def point(offset: int, epoch: int) -> OffsetAndEpoch:
    return OffsetAndEpoch(Epoch(epoch), Offset(offset))


def make(*runs: tuple[int, int], snapshots: tuple[OffsetAndEpoch, ...] = (), start: int = 0) -> Log:
    """Runs of (epoch, count) from `start` on."""
    log = Log(LogState(Offset(start), Offset(start), (), tuple((snapshot, 10) for snapshot in snapshots)))
    for epoch, count in runs:
        log.append(log.end_offset, Epoch(epoch), count)
    log.flush(log.end_offset)
    return log


LOG = make((1, 3), (3, 4), (6, 2))
"""Epoch 1 to 3, epoch 3 to 7, epoch 6 to 9."""


@pytest.mark.parametrize(
    ("offset", "epoch", "expected"),
    [
        (0, 0, None),
        (0, 5, None),
        (3, 1, None),
        (2, 1, None),
        (7, 3, None),
        (9, 6, None),
        (4, 1, Diverges(point(3, 1))),
        (8, 3, Diverges(point(7, 3))),
        (10, 6, Diverges(point(9, 6))),
        (3, 2, Diverges(point(3, 1))),
        (9, 5, Diverges(point(7, 3))),
        (9, 7, Diverges(point(9, 6))),
        (2, 0, Diverges(point(0, 0))),
    ],
)
def test_mismatch_without_snapshots(offset: int, epoch: int, expected: Mismatch | None) -> None:
    assert LOG.find_mismatch(Offset(offset), Epoch(epoch)) == expected


@pytest.mark.parametrize(
    ("offset", "epoch", "expected"),
    [
        (0, 0, NeedsSnapshot(point(9, 3))),
        (4, 1, NeedsSnapshot(point(9, 3))),
        (5, 2, None),
        (5, 1, NeedsSnapshot(point(9, 3))),
        (5, 3, NeedsSnapshot(point(9, 3))),
        (6, 1, NeedsSnapshot(point(9, 3))),
        (7, 3, None),
        (12, 3, Diverges(point(11, 3))),
        (6, 2, Diverges(point(5, 2))),
    ],
)
def test_mismatch_with_a_log_that_starts_at_5(offset: int, epoch: int, expected: Mismatch | None) -> None:
    log = make((3, 6), snapshots=(point(5, 2), point(9, 3)), start=5)
    assert log.find_mismatch(Offset(offset), Epoch(epoch)) == expected


def test_who_has_nothing_gets_the_newest_snapshot_though_the_log_starts_at_0() -> None:
    log = make((1, 5), snapshots=(point(3, 1), point(4, 1)))
    assert log.find_mismatch(Offset(0), Epoch(0)) == NeedsSnapshot(point(4, 1))
    assert log.find_mismatch(Offset(2), Epoch(1)) is None


def test_the_bootstrap_checkpoint_is_no_snapshot_of_the_log() -> None:
    log = make((1, 5), snapshots=(point(0, 0),))
    assert log.newest_snapshot is None
    assert log.find_mismatch(Offset(0), Epoch(0)) is None


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ((0, 0), 0),
        ((5, 0), 5),
        ((99, 0), 9),
        ((2, 1), 2),
        ((9, 1), 3),
        ((9, 2), 3),
        ((5, 3), 5),
        ((8, 6), 8),
        ((8, 9), 8),
    ],
)
def test_truncation(at: tuple[int, int], expected: int) -> None:
    """raft.md §7."""
    if at == (8, 9):
        expected = 9  # an epoch past all ours: all of it stays, up to what the leader says
    assert LOG.find_truncation(point(*at)) == expected


def test_durable_end() -> None:
    log = make((1, 3))
    assert log.durable_end == point(3, 1)
    log.append(Offset(3), Epoch(2), 2)
    log.append(Offset(5), Epoch(4), 1)
    assert log.durable_end == point(3, 1)
    log.flush(Offset(4))
    assert log.durable_end == point(4, 2)
    log.snapshots[point(5, 2)] = 10
    assert log.durable_end == point(4, 2)
    log.trim(point(5, 2))
    assert log.durable_end == point(5, 2), "the snapshot is durable, whatever of the log is not"
    log.flush(Offset(6))
    assert log.durable_end == log.end == point(6, 4)
    empty = make()
    empty.append(Offset(0), Epoch(1), 1)
    assert empty.durable_end == point(0, 0)


def test_epoch_at() -> None:
    log = make((3, 6), (4, 1), snapshots=(point(5, 2),), start=5)
    assert [log.epoch_at(Offset(offset)) for offset in (4, 5, 10, 11, 12)] == [None, 3, 3, 4, None]


def test_last_epoch_of_an_empty_log_is_its_snapshot_s() -> None:
    log = make(snapshots=(point(5, 2),), start=5)
    assert log.end == point(5, 2)
    assert make().end == point(0, 0)


def test_truncate_forgets_epochs_and_durability() -> None:
    log = make((1, 3), (3, 4))
    log.truncate(Offset(3))
    assert (log.end, log.flushed_end) == (point(3, 1), 3)
    log.append(Offset(3), Epoch(2), 1)
    assert log.epochs == (point(0, 1), point(3, 2))
    with pytest.raises(AssertionError):
        log.truncate(Offset(5))


def test_trim() -> None:
    log = make((1, 3), (3, 4), snapshots=(point(2, 1), point(5, 3)))
    log.trim(point(5, 3))
    assert log.epochs == (point(5, 3),)
    assert log.snapshots == {point(5, 3): 10}
    log.snapshots[point(7, 3)] = 10
    log.trim(point(7, 3))
    assert (log.epochs, log.end) == ((), point(7, 3))
    log.append(Offset(7), Epoch(3), 1)
    assert log.epochs == (point(7, 3),)


def test_restart_at_a_snapshot() -> None:
    log = make((1, 3))
    log.restart_at(point(9, 4), 10)
    assert (log.start_offset, log.flushed_end, log.end) == (9, 9, point(9, 4))
    log.append(Offset(9), Epoch(4), 2)
    assert log.find_mismatch(Offset(9), Epoch(4)) is None


@pytest.mark.parametrize("arguments", [(8, 6, 1), (10, 6, 1), (9, 5, 1), (9, 6, 0)])
def test_append_asserts(arguments: tuple[int, int, int]) -> None:
    log = make((1, 3), (3, 4), (6, 2))
    with pytest.raises(AssertionError):
        log.append(Offset(arguments[0]), Epoch(arguments[1]), arguments[2])


def test_flush() -> None:
    log = make()
    log.append(Offset(0), Epoch(1), 5)
    assert log.flush(Offset(3))
    assert not log.flush(Offset(2))
    assert log.flushed_end == 3
    with pytest.raises(AssertionError):
        log.flush(Offset(6))


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Epochs by offset of two logs that agree up to some point, and never again: as Raft's logs do."""
    common = sorted(draw(st.lists(st.integers(1, 4), max_size=6)))
    first = (common or [1])[-1]
    one = sorted(draw(st.lists(st.sampled_from([5, 7, 9]), max_size=4)))
    two = sorted(draw(st.lists(st.sampled_from([6, 8]), max_size=4)))
    assert first <= 4
    return common + one, common + two


def of(epochs: list[int]) -> Log:
    return make(*((epoch, 1) for epoch in epochs))


@given(histories())
def test_a_follower_converges_on_the_common_prefix_and_cuts_no_more(logs: tuple[list[int], list[int]]) -> None:
    leader, follower = of(logs[0]), of(logs[1])
    common = 0
    while common < min(map(len, logs)) and logs[0][common] == logs[1][common]:
        common += 1
    for _ in range(20):
        mismatch = leader.find_mismatch(follower.end_offset, follower.last_epoch)
        if mismatch is None:
            break
        assert isinstance(mismatch, Diverges)
        end_offset = follower.find_truncation(mismatch.point)
        assert common <= end_offset < follower.end_offset
        follower.truncate(end_offset)
    assert follower.end_offset == common


def test_a_snapshot_from_before_an_installed_one_is_none_of_this_log() -> None:
    log = make((1, 9), snapshots=(point(4, 1), point(5, 1)))
    log.restart_at(point(20, 2), 10)
    log.note_snapshot(point(9, 1), 10)  # it was being written meanwhile
    log.trim(point(5, 1))  # storage kept both, and now lets go of the first
    assert log.start_offset == 20
    assert log.snapshots == {point(20, 2): 10}
    assert log.find_mismatch(Offset(20), Epoch(2)) is None, "who ends where the log starts needs no snapshot"


def test_a_snapshot_from_before_the_start_is_not_served_after_a_restart_either() -> None:
    log = make(snapshots=(point(5, 1), point(20, 2)), start=20)
    assert log.oldest_snapshot == point(20, 2)
    log.append(Offset(20), Epoch(3), 1)
    assert log.durable_end == point(20, 2), "all that is durable is what the snapshot holds"
