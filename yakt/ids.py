"""Names for the numbers that must not be mixed up; knows nothing else of yakt."""

import base64
import binascii
from typing import NewType

import attrs

NodeId = NewType("NodeId", int)
Epoch = NewType("Epoch", int)
"""A leader's term of office. Never falls; at most one leader each."""
Offset = NewType("Offset", int)
"""A record's place in the log, from 0. What ends in `end_offset` is exclusive."""
Instant = NewType("Instant", float)
"""Seconds on a monotonic clock; only differences mean anything."""
Uuid = NewType("Uuid", bytes)
"""Exactly 16 bytes. People see it as Kafka's 22 characters of base64url."""

ZERO_UUID = Uuid(bytes(16))
METADATA_TOPIC_ID = Uuid(bytes(15) + b"\x01")
NO_NODE = NodeId(-1)


def format_uuid(uuid: Uuid) -> str:
    """Kafka's form: base64url, 22 characters, no padding."""
    return base64.urlsafe_b64encode(uuid)[:22].decode("ascii")


def parse_uuid(text: str) -> Uuid:
    """The reverse of `format_uuid`. Raises ValueError for anything else."""
    if len(text) != 22:
        raise ValueError(f"a uuid has 22 characters of base64url, {text!r} has {len(text)}")
    try:
        raw = base64.b64decode(text.encode("ascii") + b"==", altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as exc:
        raise ValueError(f"{text!r} is not base64url: {exc}") from None
    return Uuid(raw)


@attrs.frozen(order=True)
class OffsetAndEpoch:
    """A point in the log's history. Compared by epoch, then offset, as Vote compares logs (KIP-595)."""

    epoch: Epoch
    offset: Offset


@attrs.frozen
class ReplicaKey:
    """One disk's identity: the node's id, and the directory id made with its data directory (KIP-853)."""

    id: NodeId
    directory_id: Uuid
