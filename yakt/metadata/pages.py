"""Lists by the page: at most so many rows, and the key that the next page goes on from."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from yakt.ids import format_uuid
from yakt.metadata.answers import Answer, Pairs, Row
from yakt.metadata.image import MetadataImage
from yakt.metadata.rows import PartitionRow

LIMIT_MAX = 10_000
T = TypeVar("T")


def page(
    image: MetadataImage,
    kind: str,
    found: Iterable[T],
    limit: int,
    pairs_of: Callable[[T], Pairs],
    key_of: Callable[[T], str],
    *,
    full: bool = False,
) -> Answer:
    """At most `limit` of what was found, and the key to go on from if there is more."""
    limit = max(1, min(limit, LIMIT_MAX))
    rows: list[Row] = []
    last: T | None = None
    pairs: Pairs = {}
    for one in found:
        if len(rows) == limit:
            assert last is not None
            pairs = {"next": key_of(last)}
            break
        rows.append(Row(kind, with_offset(one, pairs_of(one)) if full else pairs_of(one)))
        last = one
    return Answer({"count": len(rows), "offset": image.end_offset, **pairs}, rows)


def with_offset(row: Any, pairs: Pairs) -> Pairs:
    """With the offset of its last change, and what a partition's topic is known by."""
    more: Pairs = {"topic_id": format_uuid(row.topic_id)} if type(row) is PartitionRow else {}
    return {**pairs, **more, "offset": row.offset}


def one_row(image: MetadataImage, kind: str, pairs: Pairs) -> Answer:
    return Answer({"count": 1, "offset": image.end_offset}, [Row(kind, pairs)])


def keys_after(keys: list[T], after: T | None) -> Iterator[T]:
    """Sorted keys past one."""
    start = 0 if after is None else bisect_right(keys, after)  # type: ignore[call-overload]
    return (keys[position] for position in range(start, len(keys)))
