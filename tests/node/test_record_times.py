"""Times of records, and the offset of a time, over a log of batches with known times."""

from collections.abc import Sequence

import pytest

from yakt.batch import RecordBatch
from yakt.ids import Epoch, Offset
from yakt.metadata.image import MetadataImage
from yakt.node.record_times import RecordTimes
from yakt.wire.batch import seal


class Log:
    """Batches of two records, one each 10 ms from time 1000 on; the first ones may be gone."""

    def __init__(self, count: int, start: int = 0) -> None:
        self.start_offset = Offset(start)
        self.reads = 0
        self.batches = []
        for number in range(count):
            crc, body = seal([b"a", b"b"], 1000 + 10 * number)
            self.batches.append(RecordBatch(Offset(2 * number), Epoch(1), 2, crc, body))

    def read(self, start_offset: Offset, end_offset: Offset, max_bytes: int) -> Sequence[RecordBatch]:
        assert self.start_offset <= start_offset < end_offset
        self.reads += 1
        return [batch for batch in self.batches if batch.end_offset > start_offset][:1]


def image_of(log: Log) -> MetadataImage:
    image = MetadataImage()
    image.skip(2 * len(log.batches), 1)
    return image


async def test_each_record_has_its_batchs_time() -> None:
    log = Log(5)
    times = RecordTimes(log)
    assert await times.of((0, 1, 2, 9), image_of(log)) == [1000, 1000, 1010, 1040]
    reads = log.reads
    assert reads == 3  # neighbours are read once
    assert await times.of((9, 0, 1), image_of(log)) == [1040, 1000, 1000]
    assert log.reads == reads


async def test_what_is_gone_has_the_time_of_the_first_that_is_kept() -> None:
    log = Log(5, start=4)
    assert await RecordTimes(log).of((0, 3, 4), image_of(log)) == [1020, 1020, 1020]


@pytest.mark.parametrize(
    ("time_ms", "offset"), [(0, 0), (1000, 0), (1001, 2), (1010, 2), (1035, 8), (1040, 8), (1041, 10), (10**12, 10)]
)
async def test_the_first_offset_at_or_after_a_time(time_ms: int, offset: int) -> None:
    assert await RecordTimes(Log(5)).first_at(time_ms, 10) == offset


async def test_a_time_below_what_is_kept_and_an_empty_log() -> None:
    assert await RecordTimes(Log(5, start=4)).first_at(0, 10) == 4
    assert await RecordTimes(Log(0)).first_at(5, 0) == 0
