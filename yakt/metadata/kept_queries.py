"""Answers about what is kept for Kafka's brokers: quotas, SCRAM credentials, ACLs, delegation tokens."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from yakt.ids import Uuid, format_uuid, parse_uuid
from yakt.metadata import describe, refusals
from yakt.metadata import questions as q
from yakt.metadata.acl_control import row_record
from yakt.metadata.answers import Answer
from yakt.metadata.image import MetadataImage
from yakt.metadata.pages import keys_after, page
from yakt.metadata.records import DelegationTokenRecord
from yakt.metadata.rows import DEFAULT_ENTITY, KeptRow, QuotaKey, parse_quota_name, quota_name
from yakt.metadata.tables import Rows

K = TypeVar("K")


def quotas(image: MetadataImage, query: q.ListQuotas) -> Answer:
    """By entity and key. Raises RefusedError (BAD_ARGUMENT) for a page's key that is none."""
    wanted = {(kind, DEFAULT_ENTITY if name is None else name) for kind, name in query.entity}

    def is_wanted(key: QuotaKey) -> bool:
        return wanted <= set(key[0])

    return _list(image, image.quotas, query, "quota", quota_name, parse_quota_name, is_wanted)


def scram(image: MetadataImage, query: q.ListScramCredentials) -> Answer:
    """By user and mechanism. Raises RefusedError as above."""

    def key_text(key: tuple[str, int]) -> str:
        return f"{key[0]}:{key[1]}"

    def parse(text: str) -> tuple[str, int]:
        user, _, mechanism = text.rpartition(":")
        return user, int(mechanism)

    return _list(image, image.scram, query, "scram", key_text, parse, lambda key: query.user in (None, key[0]))


def acls(image: MetadataImage, query: q.ListAcls) -> Answer:
    """By id. Raises RefusedError as above."""

    def is_wanted(key: Uuid) -> bool:
        row = image.acls.get(key)
        return row is not None and query.filter.matches(row_record(row))

    return _list(image, image.acls, query, "acl", format_uuid, parse_uuid, is_wanted)


def tokens(image: MetadataImage, query: q.ListTokens) -> Answer:
    """By id."""

    def is_wanted(key: str) -> bool:
        row = image.tokens.get(key)
        assert row is not None
        assert isinstance(row.record, DelegationTokenRecord)
        return query.owner in (None, row.record.owner)

    return _list(image, image.tokens, query, "token", str, str, is_wanted)


def _list(
    image: MetadataImage,
    rows: Rows[K, KeptRow],
    query: Any,
    kind: str,
    key_text: Callable[[K], str],
    parse: Callable[[str], K],
    is_wanted: Callable[[K], bool],
) -> Answer:
    try:
        after = None if query.after is None else parse(query.after)
    except ValueError:
        raise refusals.bad_argument("after", f"after={query.after[:64]} is no next= of this list") from None
    keys: Iterator[K] = keys_after(rows.sorted_keys(), after)
    found = ((key, row) for key in keys if is_wanted(key) and (row := rows.get(key)) is not None)
    return page(
        image,
        kind,
        found,
        query.limit,
        lambda pair: {**describe.kept(pair[1].record), **({"offset": pair[1].offset} if query.full else {})},
        lambda pair: key_text(pair[0]),
    )
