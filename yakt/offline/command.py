"""`yakt log PATH …`: the records of a log, one a line, without a node; or, with --verify, whether it fits together."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import msgspec

from yakt.batch import RecordBatch
from yakt.errors import CodecError, StorageError
from yakt.line.replies import format_value
from yakt.metadata.answers import Row
from yakt.node.log_rows import SAY, WHO, rows_of
from yakt.offline.files import LogFiles, find_logs, opened
from yakt.offline.reading import LogReading, TroubleError
from yakt.offline.verify import verify
from yakt.storage.snapshots import checked_batches

DONE, UNREADABLE, USAGE, FOUND_TROUBLE = 0, 1, 2, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Paths, a range, and what to do."""
    parser.add_argument(
        "path",
        nargs="+",
        type=Path,
        help="a node's data directory, a __cluster_metadata-0, or .log and .checkpoint files; Kafka's are as welcome",
    )
    parser.add_argument("--from", dest="start", type=_offset, metavar="OFFSET", help="the first record to show")
    parser.add_argument("--to", dest="end", type=_offset, metavar="OFFSET", help="show the records below this one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="show no records: check all checksums, offsets and epochs, make the image anew, and compare it with every "
        "snapshot and every hash that a leader told",
    )


def run(arguments: argparse.Namespace) -> int:
    """0, or 5 when trouble was found: then it says which file, which offset, and why. Raises UnreadableError."""
    if arguments.verify and (arguments.start is not None or arguments.end is not None):
        print("yakt log: --verify looks at whole logs: leave out --from and --to", file=sys.stderr)
        return USAGE
    logs = find_logs(arguments.path)
    if arguments.verify:
        return _verify(logs, arguments.json)
    start = 0 if arguments.start is None else arguments.start
    return _show(logs, start, sys.maxsize if arguments.end is None else arguments.end, arguments.json)


def _offset(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("offsets begin at 0")
    return value


def _verify(logs: Sequence[LogFiles], as_json: bool) -> int:
    status = DONE
    for log in logs:
        for finding in verify(log):
            if finding.kind == "trouble":
                status = FOUND_TROUBLE
            if as_json:
                _say(msgspec.json.encode({"_": finding.kind, "log": log.name, **finding.pairs}).decode())
            else:
                _say(f"TROUBLE: {finding.text}" if finding.kind == "trouble" else finding.text)
    if not as_json:
        _say("all fits" if status == DONE else "there is trouble")
    return status


def _show(logs: Sequence[LogFiles], start: int, end: int, as_json: bool) -> int:
    status = DONE
    for log in logs:
        reading = LogReading(log)
        batches: Iterable[tuple[str, RecordBatch]] = reading.batches(start)
        if log.directory is None:  # named one by one: the snapshots are meant too
            batches = chain(_snapshot_batches(log), batches)
        try:
            for row in _rows(batches, start, end):
                _say(_json(row) if as_json else format_record(row))
        except TroubleError as trouble:
            print(f"yakt log: {trouble}", file=sys.stderr)
            status = FOUND_TROUBLE
        if reading.unfinished is not None:
            print(f"yakt log: {reading.unfinished}", file=sys.stderr)
    return status


def _rows(batches: Iterable[tuple[str, RecordBatch]], start: int, end: int) -> Iterator[Row]:
    """The records of `[start, end)`. Raises TroubleError for one that cannot be read."""
    for path, batch in batches:
        if batch.end_offset <= start:
            continue
        if batch.base_offset >= end:
            return
        try:
            rows = list(rows_of(batch))
        except CodecError as exc:
            raise TroubleError(f"{path}: the batch at offset {batch.base_offset}: {exc}") from None
        for offset, row in enumerate(rows, batch.base_offset):
            if start <= offset < end:
                yield row


def _snapshot_batches(log: LogFiles) -> Iterator[tuple[str, RecordBatch]]:
    for snapshot_id, path in log.snapshots:
        try:
            with opened(path) as file:
                for batch in checked_batches(file, snapshot_id):
                    yield file.path, batch
        except StorageError as exc:
            raise TroubleError(str(exc)) from None
        except FileNotFoundError:
            raise TroubleError(f"{path}: the file was removed while it was read") from None


def format_record(row: Row) -> str:
    """Offset, leader epoch, time, kind, fields by Kafka's names; then who asked for it and why, or it in words."""
    pairs = row.pairs
    fields = pairs["fields"]
    assert isinstance(fields, dict)
    # Kafka's snapshots may say -1 or 0: nothing is known.
    when = datetime.fromtimestamp(max(0, int(pairs["time"])) / 1000, UTC)  # type: ignore[arg-type]
    words = [
        f"{pairs['offset']:>7}",
        f"e{pairs['epoch']}",
        when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03}Z",
        str(pairs["kind"]),
        *(f"{key}={format_value(value)}" for key, value in fields.items()),
    ]
    who = [f"{key}={format_value(pairs[key])}" for key in WHO if key in pairs]
    who += [str(pairs[SAY])] if SAY in pairs else []
    return " ".join([*words, "|", *who]) if who else " ".join(words)


def _json(row: Row) -> str:
    return msgspec.json.encode({"_": row.kind, **row.pairs}).decode()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
