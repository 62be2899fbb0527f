"""The records of a batch as data lines: what LOG and `yakt log` show. Knows no text."""

from typing import cast

from yakt.batch import RecordBatch
from yakt.metadata.answers import Pairs, Row
from yakt.metadata.codec import decode_batch, kind_of, plain_record
from yakt.metadata.tags import origin_of, plain_tags
from yakt.wire.batch import timestamp_ms
from yakt.wire.control import kind_of_control, plain_control

WHO = ("by", "reason", "client", "request", "address")


def rows_of(batch: RecordBatch) -> list[Row]:
    """One row a record: offset, epoch, kind, time (ms), who asked and why where that is known, fields by Kafka's names.

    An origin holds for as many records as its operation has, from the one that carries it on (records.md §8).
    """
    time_ms = timestamp_ms(batch.body)
    if batch.control:
        return [
            _row(batch, i, kind_of_control(record), time_ms, {}, plain_control(record))
            for i, record in enumerate(batch.control)
        ]
    rows: list[Row] = []
    who: Pairs = {}
    left = 0
    for i, record in enumerate(decode_batch(batch.body)):
        origin = origin_of(record)
        if origin is not None:
            left = origin.count
            who = {key: value for key in WHO if (value := getattr(origin, key))}
        fields = plain_record(record)
        if record.tags and (tags := plain_tags(record)):
            fields["tags"] = tags
        rows.append(_row(batch, i, kind_of(record), time_ms, who if left > 0 else {}, fields))
        left -= 1
    return rows


def _row(batch: RecordBatch, i: int, kind: str, time_ms: int, who: Pairs, fields: dict[str, object]) -> Row:
    pairs: Pairs = {"offset": batch.base_offset + i, "epoch": batch.leader_epoch, "kind": kind, "time": time_ms, **who}
    pairs["fields"] = cast(Pairs, fields)
    return Row(kind="record", pairs=pairs)
