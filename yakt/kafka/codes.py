"""Kafka's error numbers, as far as they are answered here, and which one a refusal is (rpcs.md §12)."""

from enum import IntEnum

from yakt.errors import RefusedError


class Code(IntEnum):
    """Names and numbers are Kafka's."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    UNKNOWN_TOPIC_OR_PARTITION = 3
    NOT_LEADER_OR_FOLLOWER = 6
    REQUEST_TIMED_OUT = 7
    INVALID_TOPIC_EXCEPTION = 17
    TOPIC_AUTHORIZATION_FAILED = 29
    GROUP_AUTHORIZATION_FAILED = 30
    CLUSTER_AUTHORIZATION_FAILED = 31
    UNSUPPORTED_VERSION = 35
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION_FACTOR = 38
    INVALID_REPLICA_ASSIGNMENT = 39
    INVALID_CONFIG = 40
    NOT_CONTROLLER = 41
    INVALID_REQUEST = 42
    POLICY_VIOLATION = 44
    SECURITY_DISABLED = 54
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64
    FENCED_LEADER_EPOCH = 74
    STALE_BROKER_EPOCH = 77
    ELECTION_NOT_NEEDED = 84
    NO_REASSIGNMENT_IN_PROGRESS = 85
    DUPLICATE_RESOURCE = 92
    INVALID_UPDATE_VERSION = 95
    PRINCIPAL_DESERIALIZATION_FAILURE = 97
    UNKNOWN_TOPIC_ID = 100
    BROKER_ID_NOT_REGISTERED = 102
    INCONSISTENT_CLUSTER_ID = 104
    MISMATCHED_ENDPOINT_TYPE = 114
    UNSUPPORTED_ENDPOINT_TYPE = 115


_OURS = {
    "NOT_LEADER": Code.NOT_CONTROLLER,
    "NO_LEADER": Code.NOT_CONTROLLER,
    "TIMEOUT": Code.REQUEST_TIMED_OUT,
    "OVERLOADED": Code.REQUEST_TIMED_OUT,
    "BAD_ARGUMENT": Code.INVALID_REQUEST,
    "CONFLICT": Code.INVALID_REQUEST,
}
"""What Kafka has no name for, or another one."""


def code_of(refusal: RefusedError) -> int:
    """Kafka's number of a refusal; who asks for the reason gets `refusal.message`."""
    if refusal.kafka is not None:
        return refusal.kafka
    return _OURS.get(refusal.code, Code.UNKNOWN_SERVER_ERROR)
