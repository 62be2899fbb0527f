"""A disk that fails: one StorageError that says what and where, nothing tried after it, and an exact next start."""

import errno
import os
from pathlib import Path

import pytest

from tests.storage.places import SEGMENT_0, FakePlace, RealPlace, data, epoch_of, fill, flush, replica
from tests.storage.workload import Workload, check_start
from yakt.errors import StorageError
from yakt.ids import Epoch, Offset
from yakt.sim.disk import FakeFiles


class FailingAt:
    """Answers the n-th asked operation with EIO, and only that one: a second fsync would say that all is well."""

    def __init__(self, number: int, wanted: str = "") -> None:
        self.left = number
        self.wanted = wanted
        self.name: str | None = None

    def __call__(self, operation: str, name: str) -> OSError | None:
        if self.wanted and operation != self.wanted:
            return None
        self.left -= 1
        if self.left == 0:
            self.name = name
            return OSError(errno.EIO, os.strerror(errno.EIO))
        return None


def run_with(files: FakeFiles) -> tuple[Workload, StorageError | None]:
    """The workload until its end, or the StorageError that ended it; anything else is a failure."""
    work = Workload(FakePlace(files))
    try:
        work.run()
    except StorageError as exc:
        return work, exc
    return work, None


def test_any_operation_may_fail_once() -> None:
    failures = 0
    number = 0
    while True:
        number += 1
        files = FakeFiles()
        fault = FailingAt(number)
        files.fail = fault
        work, error = run_with(files)
        if error is None:
            assert fault.name is None, f"an error on {fault.name} was swallowed"
            break
        assert fault.name is not None
        assert f"/disk/{fault.name.removesuffix('.tmp')}" in str(error)
        assert "Input/output error (EIO)" in str(error)
        failures += 1
        files.fail = lambda operation, name: None
        files.crash(lambda n: n // 2)
        check_start(files, work.allowed, f"failed at {number}")
    assert failures > 250


def test_a_full_disk_leaves_a_torn_tail_that_the_next_start_cuts() -> None:
    ended = 0
    for room in range(0, 9000, 37):
        files = FakeFiles()
        files.room = room
        work, error = run_with(files)
        if error is not None:
            assert "No space left on device (ENOSPC)" in str(error)
            ended += 1
        files.room = None
        files.crash(lambda n: n)
        check_start(files, work.allowed, f"room for {room}")
    assert ended > 100


def test_after_a_failed_sync_nothing_is_tried() -> None:
    place = FakePlace()
    store = place.open()
    fill(store, epoch_of(0, 1, 1))
    store.append([data(3, 1)])
    place.files.fail = FailingAt(1, "sync")
    due = store.begin_flush()
    assert due is not None
    with pytest.raises(StorageError, match=f"/disk/{SEGMENT_0}: fdatasync failed: Input/output error"):
        due.run()
    before = place.files.operations
    for attempt in (
        due.run,
        lambda: store.finish_flush(due),
        lambda: store.append([data(5, 1)]),
        lambda: store.save_election(Epoch(2), None, None),
        lambda: store.truncate(Offset(3)),
        lambda: store.begin_snapshot(replica(1, 3)),
        store.save_recovery_point,
        store.close,
    ):
        with pytest.raises(StorageError, match="not tried after an earlier failure"):
            attempt()
    assert place.files.operations == before


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = RealPlace(tmp_path)
    store = place.open()
    real = os.pwritev

    def short(handle: int, pieces: list[bytes], position: int) -> int:
        return real(handle, [b"".join(pieces)[:50]], position)

    monkeypatch.setattr(os, "pwritev", short)
    batches = epoch_of(0, 1, 5)
    fill(store, batches)
    store.close()
    store = place.open()
    assert store.read(Offset(0), Offset(99), 1 << 20) == batches
    store.close()


def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    place = RealPlace(tmp_path)
    store = place.open()
    batches = epoch_of(0, 1, 1500)
    fill(store, batches)
    store.close()
    store = place.open()
    assert store.recovered.end_offset == batches[-1].end_offset
    store.close()


def test_a_read_that_finds_damage_names_it() -> None:
    place = FakePlace()
    store = place.open()
    fill(store, epoch_of(0, 1, 3))
    store.close()
    store = place.open()
    place.files.flip(SEGMENT_0, len(place.content(SEGMENT_0)) - 1)
    with pytest.raises(StorageError, match=f"{SEGMENT_0}: damaged since it was checked"):
        store.read(Offset(0), store.end_offset, 1 << 20)
    assert flush(store) == 7
