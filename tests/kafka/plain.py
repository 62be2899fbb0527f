"""Messages as the captures write them: Kafka's field names, uuids in base64url, bytes in hex."""

from typing import Any

from yakt.ids import Uuid, format_uuid
from yakt.wire.schema import UUID, Array, Bytes, Struct


def plain(struct: Struct[Any], value: Any, version: int) -> dict[str, Any]:
    """A message of `version`. Names are in lower case: the captures' own case is Kafka's, which is not regular."""
    found = {}
    for field in struct.fields:
        found[field.kafka_name.lower()] = _plain(field.type, getattr(value, field.name), version)
    return found


def _plain(kind: Any, value: Any, version: int) -> Any:
    if value is None:
        return None
    if isinstance(kind, Struct):
        return plain(kind, value, version)
    if isinstance(kind, Array):
        return [_plain(kind.of, one, version) for one in value]
    if isinstance(kind, Bytes):
        return value.hex()
    if kind is UUID:
        return format_uuid(Uuid(value))
    return value


def lowered(decoded: Any) -> Any:
    """A capture's decode with its names in lower case."""
    if isinstance(decoded, dict):
        return {name.lower(): lowered(value) for name, value in decoded.items()}
    if isinstance(decoded, list):
        return [lowered(value) for value in decoded]
    return decoded


def same(ours: Any, theirs: Any) -> bool:
    """Equal in all that `theirs` has: absent are tagged fields at their default. What was decoded inside bytes, record
    sets, envelopes' contents, principals, is compared by being there at all."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return theirs.keys() <= ours.keys() and all(same(ours[name], theirs[name]) for name in theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, str) and isinstance(theirs, dict | list):
        return True  # bytes, decoded further there
    return bool(ours == theirs)
