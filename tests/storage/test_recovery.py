"""The recovery rule, case by case: cut what never was on the disk as a whole, refuse everything else, say which."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.storage.places import (
    NODE,
    SEGMENT_0,
    FakePlace,
    Place,
    RealPlace,
    data,
    epoch_of,
    fill,
    flush,
    leader_change,
    read_all,
    replica,
    snapshot_bytes,
    take_snapshot,
)
from yakt.batch import RecordBatch
from yakt.errors import StorageError
from yakt.ids import Epoch, Offset
from yakt.storage import format as fmt
from yakt.storage.store import LogLimits
from yakt.wire import batch as wire

FLUSHED = epoch_of(0, 1, 3)
"""Offsets 0 to 6, known to be on the disk."""
AFTER = [data(7, 1), data(9, 1)]
"""Written later; the recovery point does not know whether they arrived."""


def raw(batches: list[RecordBatch]) -> bytes:
    """Their bytes."""
    return b"".join(map(wire.encode, batches))


@pytest.fixture
def place() -> FakePlace:
    """A node that was killed: flushed and noted FLUSHED, then wrote AFTER."""
    place = FakePlace()
    store = place.open()
    fill(store, FLUSHED)
    store.save_recovery_point()
    store.append(AFTER)
    place.kill(store)
    return place


def spoil(place: Place, change: Callable[[bytes], bytes], name: str = SEGMENT_0) -> bytes:
    """Change a file behind the node's back; its new contents."""
    changed = change(place.content(name))
    place.put(name, changed)
    return changed


def flip(at: int) -> Callable[[bytes], bytes]:
    """Turn over the lowest bit of a byte; negative: from the end."""

    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[at] ^= 1
        return bytes(changed)

    return change


@pytest.mark.parametrize("cut", range(1, AFTER[-1].size))
def test_a_batch_cut_short_is_cut_off(place: FakePlace, cut: int) -> None:
    whole = place.content(SEGMENT_0)
    spoil(place, lambda content: content[:-cut])
    store = place.open()
    assert read_all(store) == [*FLUSHED, AFTER[0]]
    (note,) = store.recovered.notes
    position = len(whole) - AFTER[-1].size
    assert f"{SEGMENT_0}: byte {position}, offset 9: " in note
    assert f"cut these last {AFTER[-1].size - cut} bytes" in note
    assert place.content(SEGMENT_0) == raw([*FLUSHED, AFTER[0]])
    fill(store, [data(9, 1, count=5)])
    store.close()
    assert place.open().recovered.notes == ()


@pytest.mark.parametrize("zeros", [1, 11, 12, 60, 61, 62, 5000])
def test_zeros_at_the_end_are_cut_off(place: FakePlace, zeros: int) -> None:
    spoil(place, lambda content: content + bytes(zeros))
    store = place.open()
    assert read_all(store) == [*FLUSHED, *AFTER]
    assert len(store.recovered.notes) == 1


def test_a_batch_that_is_zeros_from_somewhere_on_is_cut_off(place: FakePlace) -> None:
    for kept in range(1, AFTER[-1].size - 1):
        whole = raw([*FLUSHED, *AFTER])
        place.put(SEGMENT_0, whole[: len(whole) - AFTER[-1].size + kept].ljust(len(whole), b"\0"))
        store = place.open()
        assert read_all(store)[-1] in AFTER  # the last bytes of a batch may be zeros anyway
        place.kill(store)
        spoil(place, lambda content: content[: len(raw(FLUSHED))])
        place.put(fmt.RECOVERY_POINT, fmt.format_recovery_point(fmt.RecoveryPoint(0, Offset(7))) + b" " * 512)


def test_damage_past_the_recovery_point_is_cut_off(place: FakePlace) -> None:
    spoil(place, flip(-1))
    store = place.open()
    assert read_all(store) == [*FLUSHED, AFTER[0]]
    assert "CRC" in store.recovered.notes[0]


@pytest.mark.parametrize("bit", range(0, FLUSHED[-1].size * 8, 3))
def test_a_flipped_bit_below_the_recovery_point_is_refused(place: FakePlace, bit: int) -> None:
    content = raw(FLUSHED)
    changed = bytearray(content)
    start = len(content) - FLUSHED[-1].size
    changed[start + bit // 8] ^= 1 << bit % 8
    place.put(SEGMENT_0, bytes(changed))  # nothing valid after it
    with pytest.raises(StorageError, match=rf"{SEGMENT_0}: byte {start}, offset 5: .*\. Nothing was changed"):
        place.open()
    assert place.content(SEGMENT_0) == bytes(changed)


@pytest.mark.parametrize("bit", range(0, (AFTER[0].size) * 8, 3))
def test_a_flipped_bit_before_valid_data_is_refused(place: FakePlace, bit: int) -> None:
    start = len(raw(FLUSHED))
    changed = bytearray(place.content(SEGMENT_0))
    changed[start + bit // 8] ^= 1 << bit % 8
    place.put(SEGMENT_0, bytes(changed))
    with pytest.raises(StorageError, match=rf"{SEGMENT_0}: byte {start}, offset 7: "):
        place.open()
    assert place.content(SEGMENT_0) == bytes(changed)


def test_every_flipped_bit_of_the_log_is_noticed() -> None:
    batches = [*epoch_of(0, 1, 2), *epoch_of(5, 2, 1), *epoch_of(8, 4, 1)]
    place = FakePlace()
    store = place.open()
    fill(store, batches)
    store.close()
    content = place.content(SEGMENT_0)
    for bit in range(len(content) * 8):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        place.put(SEGMENT_0, bytes(changed))
        with pytest.raises(StorageError, match="Nothing was changed"):
            place.open()
        assert place.content(SEGMENT_0) == bytes(changed)


def test_a_log_that_became_shorter_than_the_recovery_point_is_refused(place: FakePlace) -> None:
    for content in (b"", raw(FLUSHED[:-1]), raw(FLUSHED)[:-1]):
        place.put(SEGMENT_0, content)
        with pytest.raises(StorageError, match="on the disk up to"):
            place.open()
    place.remove(SEGMENT_0)
    with pytest.raises(StorageError, match="the log ends at offset 0, but was on the disk up to 7"):
        place.open()


def test_a_missing_segment_is_refused() -> None:
    place = FakePlace()
    store = place.open(limits=LogLimits(segment_bytes=1000))
    fill(store, epoch_of(0, 1, 40))
    store.close()
    logs = [name for name in place.names() if name.endswith(".log")]
    assert len(logs) > 3
    removed = place.content(logs[1])
    place.remove(logs[1])
    with pytest.raises(StorageError, match=f"{logs[2]}: offset .* comes next, but this segment begins at"):
        place.open()
    place.put(logs[1], removed[:-1])
    with pytest.raises(StorageError, match=f"{logs[1]}: byte .* a further segment follows"):
        place.open()
    place.put(logs[1], removed)
    place.remove(logs[0])
    with pytest.raises(StorageError, match="no valid snapshot holds what was before"):
        place.open()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (data(8, 1), "base offset 8, where 7 comes next"),
        (data(6, 1), "base offset 6, where 7 comes next"),
        (data(7, 0), "leader epoch 0 after 1"),
        (data(7, 2), "leader epoch 2 does not begin with a LeaderChange"),
        (leader_change(7, 9), "leader epoch 9, but quorum-state knows none past 2"),
        (leader_change(7, 2), "there is no further epoch; but .*: byte 556: offset 7 begins epoch 2"),
    ],
)
def test_what_the_crc_does_not_cover_is_checked(wrong: RecordBatch, reason: str) -> None:
    place = FakePlace()
    store = place.open()
    fill(store, FLUSHED)
    store.save_election(Epoch(2), None, None)
    store.close()
    place.put(SEGMENT_0, raw([*FLUSHED, wrong]))
    place.put(fmt.RECOVERY_POINT, fmt.format_recovery_point(fmt.RecoveryPoint(2, Offset(8))) + b" " * 512)
    with pytest.raises(StorageError, match=reason):
        place.open()


def test_the_epoch_checkpoint_must_agree(place: FakePlace) -> None:
    cases = {
        b"0\n1\n1 1\n": "the log begins at offset 1, and no valid snapshot",
        b"0\n2\n1 0\n2 7\n": "epoch 2 begins at 7",
        b"0\n2\n1 0\n2 5\n": "epoch 2 begins at 5",
        b"0\n2\n1 0\n2 12\n": "epoch 2 begins at 12",
        b"0\n3\n1 0\n2 11\n3 11\n": "epoch 2 begins at 11",
        b"0\n0\n": "there is no further epoch",
    }
    for content, reason in cases.items():
        place.put(fmt.EPOCH_CHECKPOINT, content)
        with pytest.raises(StorageError, match=reason):
            place.open()


def test_the_epoch_checkpoint_may_be_ahead_by_the_epoch_whose_first_batch_was_lost(place: FakePlace) -> None:
    place.put(fmt.EPOCH_CHECKPOINT, b"0\n2\n1 0\n2 11\n")
    store = place.open()
    assert store.recovered.epochs == (replica(1, 0),)
    assert "epoch 2 left no batch at 11" in store.recovered.notes[0]
    assert place.content(fmt.EPOCH_CHECKPOINT) == b"0\n1\n1 0\n"


@pytest.mark.parametrize("content", [None, b"", b"0\n1\n", b"\xff"])
def test_a_missing_or_unreadable_epoch_checkpoint_is_written_anew(place: FakePlace, content: bytes | None) -> None:
    if content is None:
        place.remove(fmt.EPOCH_CHECKPOINT)
    else:
        place.put(fmt.EPOCH_CHECKPOINT, content)
    assert place.open().recovered.epochs == (replica(1, 0),)
    assert place.content(fmt.EPOCH_CHECKPOINT) == b"0\n1\n1 0\n"


def test_an_unreadable_recovery_point_is_refused(place: FakePlace) -> None:
    place.put(fmt.RECOVERY_POINT, b"x" * 1024)
    with pytest.raises(StorageError, match=r"yakt\.recovery-point: neither slot can be read"):
        place.open()


def test_a_snapshot_past_the_log_s_end_clears_the_log(place: FakePlace) -> None:
    """Power was lost between the snapshot's rename and the log's clearing."""
    store = place.open()
    store.save_election(Epoch(2), None, None)
    place.kill(store)
    place.put(fmt.snapshot_name(replica(2, 50)), snapshot_bytes(replica(2, 50)))
    store = place.open()
    assert (store.recovered.start_offset, store.recovered.end_offset, store.recovered.epochs) == (50, 50, ())
    assert "the log ended at 11, before the snapshot" in store.recovered.notes[0]
    place.kill(store)
    assert place.open().recovered.notes == ()


def test_a_snapshot_of_a_later_epoch_clears_a_longer_log(place: FakePlace) -> None:
    store = place.open()
    store.save_election(Epoch(2), None, None)
    place.kill(store)
    place.put(fmt.snapshot_name(replica(2, 5)), snapshot_bytes(replica(2, 5)))
    assert place.open().recovered.end_offset == 5


@pytest.mark.parametrize("change", [lambda content: content[:-1], flip(-1), flip(90), lambda content: b""])
def test_a_damaged_newest_snapshot_is_set_aside_while_the_log_is_whole(
    place: FakePlace, change: Callable[[bytes], bytes]
) -> None:
    store = place.open()
    take_snapshot(store, 3, 1)
    take_snapshot(store, 7, 1)
    place.kill(store)
    name = fmt.snapshot_name(replica(1, 7))
    spoil(place, change, name)
    store = place.open()
    assert [snapshot_id for snapshot_id, _ in store.recovered.snapshots] == [replica(1, 3)]
    assert f"{name}: byte " in store.recovered.notes[0]
    assert "renamed to" in store.recovered.notes[1]
    assert f"{name}.damaged" in place.names()


def test_a_damaged_snapshot_that_the_log_needs_is_refused(place: FakePlace) -> None:
    store = place.open(limits=LogLimits(retention_bytes=1))
    take_snapshot(store, 3, 1)
    take_snapshot(store, 7, 1)
    store.clean(0)
    store.close()
    name = fmt.snapshot_name(replica(1, 7))
    spoil(place, flip(-1), name)
    with pytest.raises(StorageError, match="no valid snapshot holds what was before"):
        place.open()
    assert name in place.names()


def test_leftovers_go(place: FakePlace) -> None:
    directory = fmt.LOG_DIRECTORY
    leftovers = [
        f"{directory}/00000000000000000003-0000000001-77.checkpoint.part",
        f"{directory}/00000000000000000003-0000000001.checkpoint.deleted",
        f"{directory}/quorum-state.tmp",
        f"{directory}/00000000000000000000.index",
        f"{directory}/00000000000000000000.timeindex",
        ".kafka_cleanshutdown",
        "meta.properties.tmp",
    ]
    for name in leftovers:
        place.put(name, b"x")
    store = place.open()
    assert not set(leftovers) & set(place.names())
    assert "3 index files" in store.recovered.notes[0]


def test_a_killed_process_s_writes_are_synced_before_they_count(place: FakePlace) -> None:
    """AFTER was written, never synced; the next start counts it as durable, so a power cut then must keep it."""
    store = place.open()
    assert store.recovered.end_offset == 11
    place.files.crash(lambda n: 0)
    assert read_all(place.open()) == [*FLUSHED, *AFTER]


def test_a_value_that_holds_a_batch_is_no_valid_data_after_damage() -> None:
    """Someone stored the bytes of an older batch of this log in a record, and that one was torn."""
    place = FakePlace()
    store = place.open()
    fill(store, FLUSHED)
    store.save_recovery_point()
    crc, body = wire.seal([wire.encode(FLUSHED[1]), b"more"], 0)
    store.append([RecordBatch(Offset(7), Epoch(1), 2, crc, body)])
    place.kill(store)
    spoil(place, lambda content: content[:-2])
    assert read_all(place.open()) == FLUSHED


def test_the_real_disk_refuses_the_same(tmp_path: Path) -> None:
    place = RealPlace(tmp_path)
    store = place.open()
    store.save_election(Epoch(1), NODE, None)
    store.append(FLUSHED)
    flush(store)
    store.close()
    spoil(place, flip(-1))
    with pytest.raises(StorageError, match=f"{place.root}/{SEGMENT_0}: byte .*the log was on the disk up to offset 7"):
        place.open()
