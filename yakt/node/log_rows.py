"""The records of a batch as data lines: what LOG and `yakt log` show. Knows no text."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import cast

from yakt.batch import RecordBatch
from yakt.metadata.answers import Pairs, Row
from yakt.metadata.codec import decode_pieces, kind_of, shown_record
from yakt.metadata.tags import Origin, Origins, plain_tags
from yakt.wire.batch import timestamp_ms
from yakt.wire.control import kind_of_control, plain_control, say_control

WHO = ("by", "reason", "client", "request", "address")
SAY = "say"
"""Of control records: the same in words."""


PIECE_RECORDS = 100
"""Decoded at a time, for who has something else to do in between."""


def rows_of(batch: RecordBatch, start: int = 0) -> Iterator[Row]:
    """One row a record, from offset `start` on, decoded as they are taken.

    Offset, epoch, kind, time (ms), who asked and why where that is known, fields by Kafka's names. A control
    record says itself in words besides.
    """
    time_ms = timestamp_ms(batch.body)
    first = start - batch.base_offset
    for i, control in enumerate(batch.control):
        if i >= first:
            yield _row(batch, i, kind_of_control(control), time_ms, {SAY: say_control(control)}, plain_control(control))
    if batch.control:
        return
    origins = Origins()
    pieces = decode_pieces(batch.body, PIECE_RECORDS)
    for i, record in enumerate(chain.from_iterable(records for records, _ in pieces)):
        origin = origins.next(record)
        if i < first:
            continue
        fields = shown_record(record)
        if record.tags and (tags := plain_tags(record)):
            fields["tags"] = tags
        yield _row(batch, i, kind_of(record), time_ms, who(origin), fields)


def told_of(batch: RecordBatch, offset: int) -> Pairs:
    """Of the record at `offset`, in this batch of data: its `time`, and who asked and why where that is known."""
    origins, found = Origins(), None
    records = chain.from_iterable(records for records, _ in decode_pieces(batch.body, PIECE_RECORDS))
    for record in islice(records, offset - batch.base_offset + 1):
        found = origins.next(record)
    return {"time": timestamp_ms(batch.body), **who(found)}


def who(origin: Origin | None) -> Pairs:
    """What is known of who asked, and why."""
    return {} if origin is None else {key: value for key in WHO if (value := getattr(origin, key))}


def _row(batch: RecordBatch, i: int, kind: str, time_ms: int, asked: Pairs, fields: dict[str, object]) -> Row:
    pairs: Pairs = {"offset": batch.base_offset + i, "epoch": batch.leader_epoch, "kind": kind, "time": time_ms}
    pairs.update(asked)
    pairs["fields"] = cast(Pairs, fields)
    return Row(kind="record", pairs=pairs)
