"""ACLs as values: Kafka's words and numbers for their parts, and which of them a filter means (KIP-11, KIP-290)."""

from collections.abc import Iterable, Mapping

import msgspec

from yakt.ids import Uuid
from yakt.metadata.records import AccessControlEntryRecord

ANY = 1
"""In a filter: whatever it is. Kafka's number for it in every part."""

RESOURCE_TYPES: Mapping[str, int] = {
    "topic": 2,
    "group": 3,
    "cluster": 4,
    "transactional-id": 5,
    "delegation-token": 6,
    "user": 7,
}
PATTERNS: Mapping[str, int] = {"LITERAL": 3, "PREFIXED": 4}
MATCH = 2
"""In a filter: whatever pattern has effect on the resource of that name, `*` and prefixes too."""
OPERATIONS: Mapping[str, int] = {
    "ALL": 2,
    "READ": 3,
    "WRITE": 4,
    "CREATE": 5,
    "DELETE": 6,
    "ALTER": 7,
    "DESCRIBE": 8,
    "CLUSTER_ACTION": 9,
    "DESCRIBE_CONFIGS": 10,
    "ALTER_CONFIGS": 11,
    "IDEMPOTENT_WRITE": 12,
    "CREATE_TOKENS": 13,
    "DESCRIBE_TOKENS": 14,
}
PERMISSIONS: Mapping[str, int] = {"DENY": 2, "ALLOW": 3}
CLUSTER_TYPE, CLUSTER_NAME = RESOURCE_TYPES["cluster"], "kafka-cluster"
"""The one resource of that type."""
WILDCARD = "*"
LITERAL, PREFIXED = PATTERNS["LITERAL"], PATTERNS["PREFIXED"]
ALL = OPERATIONS["ALL"]
DENY, ALLOW = PERMISSIONS["DENY"], PERMISSIONS["ALLOW"]

RESOURCE_TYPE_NAMES = {number: word for word, number in RESOURCE_TYPES.items()}
PATTERN_NAMES = {number: word for word, number in PATTERNS.items()}
OPERATION_NAMES = {number: word for word, number in OPERATIONS.items()}
PERMISSION_NAMES = {number: word for word, number in PERMISSIONS.items()}


class Acl(msgspec.Struct, frozen=True, gc=False):
    """Who may, or may not, do what to which resource, from where; parts by Kafka's numbers. `principal`: `User:alice`.

    Two equal ones are one ACL: its id is in the records alone.
    """

    resource_type: int
    resource_name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int


class AclFilter(msgspec.Struct, frozen=True, gc=False):
    """Which ACLs are meant; None, and ANY for a number, leave a part open. `pattern` may be MATCH too."""

    resource_type: int = ANY
    resource_name: str | None = None
    pattern: int = ANY
    principal: str | None = None
    host: str | None = None
    operation: int = ANY
    permission: int = ANY
    id: Uuid | None = None

    def matches(self, record: AccessControlEntryRecord) -> bool:
        """Whether the ACL of this record is meant, as Kafka's AclBindingFilter has it."""
        return (
            self.resource_type in (ANY, record.resource_type)
            and self.operation in (ANY, record.operation)
            and self.permission in (ANY, record.permission_type)
            and self.principal in (None, record.principal)
            and self.host in (None, record.host)
            and self.id in (None, record.id)
            and self._matches_pattern(record)
        )

    def _matches_pattern(self, record: AccessControlEntryRecord) -> bool:
        if self.pattern not in (ANY, MATCH, record.pattern_type):
            return False
        name = self.resource_name
        if name is None or name == record.resource_name:
            return True
        if self.pattern != MATCH:
            return False
        if record.pattern_type == PREFIXED:
            return name.startswith(record.resource_name)
        return record.resource_name == WILDCARD


IMPLYING = {
    OPERATIONS["DESCRIBE"]: frozenset(OPERATIONS[word] for word in ("DESCRIBE", "READ", "WRITE", "DELETE", "ALTER")),
    OPERATIONS["DESCRIBE_CONFIGS"]: frozenset(OPERATIONS[word] for word in ("DESCRIBE_CONFIGS", "ALTER_CONFIGS")),
}
"""Operations that who may do one of these may do too."""


def is_allowed(
    records: Iterable[AccessControlEntryRecord],
    principal: str,
    host: str,
    operation: int,
    resource_type: int,
    resource_name: str,
) -> bool:
    """Whether these ACLs let a principal do that: one allows it and none denies it (Kafka's StandardAuthorizer)."""
    allowed = False
    for record in records:
        if (
            record.resource_type != resource_type
            or record.principal not in (principal, "User:*")
            or record.host not in (WILDCARD, host)
            or not _is_about(record, resource_name)
        ):
            continue
        if record.permission_type == ALLOW:
            known = IMPLYING.get(operation, (operation,))
            allowed = allowed or record.operation == ALL or record.operation in known
        elif record.operation in (ALL, operation):
            return False
    return allowed


def _is_about(record: AccessControlEntryRecord, name: str) -> bool:
    if record.pattern_type == PREFIXED:
        return name.startswith(record.resource_name)
    return record.resource_name in (name, WILDCARD)


def acl_of(record: AccessControlEntryRecord) -> Acl:
    """The ACL without its id."""
    return Acl(
        record.resource_type,
        record.resource_name,
        record.pattern_type,
        record.principal,
        record.host,
        record.operation,
        record.permission_type,
    )


def resource_text(record: AccessControlEntryRecord) -> str:
    """The resource as ACL commands name it: `topic/orders`; a type that has no name here by its number."""
    kind = RESOURCE_TYPE_NAMES.get(record.resource_type, str(record.resource_type))
    return f"{kind}/{record.resource_name}"
