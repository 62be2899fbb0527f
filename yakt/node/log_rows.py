"""The records of a batch as data lines: what LOG and `yakt log` show. Knows no text."""

from typing import cast

from yakt.batch import RecordBatch
from yakt.metadata.answers import Pairs, Row
from yakt.metadata.codec import decode_batch, kind_of, shown_record
from yakt.metadata.tags import Origin, Origins, plain_tags
from yakt.wire.batch import timestamp_ms
from yakt.wire.control import kind_of_control, plain_control, say_control

WHO = ("by", "reason", "client", "request", "address")
SAY = "say"
"""Of control records: the same in words."""


def rows_of(batch: RecordBatch) -> list[Row]:
    """One row a record: offset, epoch, kind, time (ms), who asked and why if that is known, fields by Kafka's names.

    A control record says itself in words besides.
    """
    time_ms = timestamp_ms(batch.body)
    if batch.control:
        return [
            _row(batch, i, kind_of_control(record), time_ms, {SAY: say_control(record)}, plain_control(record))
            for i, record in enumerate(batch.control)
        ]
    rows: list[Row] = []
    origins = Origins()
    for i, record in enumerate(decode_batch(batch.body)):
        origin = origins.next(record)
        fields = shown_record(record)
        if record.tags and (tags := plain_tags(record)):
            fields["tags"] = tags
        rows.append(_row(batch, i, kind_of(record), time_ms, who(origin), fields))
    return rows


def told_of(batch: RecordBatch, offset: int) -> Pairs:
    """Of the record at `offset`, in this batch of data: its `time`, and who asked and why where that is known."""
    origins = Origins()
    found = [origins.next(record) for record in decode_batch(batch.body)[: offset - batch.base_offset + 1]]
    return {"time": timestamp_ms(batch.body), **who(found[-1])}


def who(origin: Origin | None) -> Pairs:
    """What is known of who asked, and why."""
    return {} if origin is None else {key: value for key in WHO if (value := getattr(origin, key))}


def _row(batch: RecordBatch, i: int, kind: str, time_ms: int, asked: Pairs, fields: dict[str, object]) -> Row:
    pairs: Pairs = {"offset": batch.base_offset + i, "epoch": batch.leader_epoch, "kind": kind, "time": time_ms}
    pairs.update(asked)
    pairs["fields"] = cast(Pairs, fields)
    return Row(kind="record", pairs=pairs)
