"""A declared value as plain JSON values, under Kafka's names: what people see of a record."""

from typing import Any

from yakt.ids import Uuid, format_uuid
from yakt.wire.schema import UUID, Array, Bytes, Fixed, Mapped, Nullable, String, Struct, Type


def plain(declared: Struct[Any], value: Any, version: int = 0) -> dict[str, object]:
    """The value's fields in Kafka's order, as Kafka's dump tool names them (`brokerId`).

    Uuids are 22 characters of base64url, bytes are hex. What `version` has not, and tagged fields at their default,
    are left out, as are unknown tagged fields.
    """
    shown: dict[str, object] = {}
    for one in declared.fields:
        found = getattr(value, one.name)
        if one.is_in(version) and not (one.tag is not None and found == one.default):
            shown[one.kafka_name[:1].lower() + one.kafka_name[1:]] = _plain(one.type, found, version)
    return shown


def _plain(kind: Type, value: Any, version: int) -> object:
    match kind:
        case _ if value is None:
            return None
        case Fixed():
            return format_uuid(Uuid(value)) if kind is UUID else value
        case String():
            return value
        case Bytes():
            return value.hex()
        case Array():
            return [_plain(kind.of, element, version) for element in value]
        case Nullable():
            return plain(kind.of, value, version)
        case Mapped():
            return _plain(kind.of, kind.to_wire(value), version)
        case Struct():
            return plain(kind, value, version)
