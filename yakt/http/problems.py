"""Refusals as `application/problem+json` (RFC 9457): the line protocol's code, and the status that fits it."""

from collections.abc import Mapping

from yakt.errors import RefusedError
from yakt.line.replies import error_pairs

MEDIA_TYPE = "application/problem+json"

_STATUS: Mapping[str, int] = {
    "UNKNOWN_TOPIC": 404,
    "UNKNOWN_TOPIC_OR_PARTITION": 404,
    "UNKNOWN_TOPIC_ID": 404,
    "UNKNOWN_BROKER": 404,
    "UNKNOWN_PRODUCER_ID": 404,
    "NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "TOPIC_EXISTS": 409,
    "CONFLICT": 409,
    "DUPLICATE_BROKER": 409,
    "STALE_BROKER_EPOCH": 409,
    "INVALID_UPDATE_VERSION": 409,
    "FENCED_LEADER_EPOCH": 409,
    "INELIGIBLE_REPLICA": 409,
    "NO_REASSIGNMENT_IN_PROGRESS": 409,
    "ELECTION_NOT_NEEDED": 409,
    "ELIGIBLE_LEADERS_NOT_AVAILABLE": 409,
    "OFFSET_COMPACTED": 410,
    "TOO_LARGE": 413,
    "OVERLOADED": 429,
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NO_LEADER": 503,
    "NOT_CONTROLLER": 503,
    "STOPPING": 503,
    "TIMEOUT": 504,
    "UNKNOWN_SERVER_ERROR": 500,
}


def status_of(refusal: RefusedError, *, forwards: bool = True) -> int:
    """400 for whatever is simply not right. `forwards`: the client did not say `forward=false`."""
    if refusal.code == "NOT_LEADER":
        return 503 if forwards else 421  # 503: the leader was lost meanwhile and nothing was applied: ask again
    return _STATUS.get(refusal.code, 400)


def problem_of(refusal: RefusedError, *, forwards: bool = True) -> dict[str, object]:
    """The body: RFC 9457's members first, then the pairs that the line protocol's `ERR` has."""
    pairs = error_pairs(refusal)
    detail = pairs.pop("msg")
    return {
        "type": f"urn:yakt:error:{refusal.code}",
        "title": refusal.code.replace("_", " ").capitalize(),
        "status": status_of(refusal, forwards=forwards),
        "detail": detail,
        "code": refusal.code,
        **{key: value for key, value in pairs.items() if key not in ("type", "title", "status", "detail", "code")},
    }


def bad_field(field: str, why: str) -> RefusedError:
    """BAD_ARGUMENT about one field of a body, or one parameter."""
    return RefusedError("BAD_ARGUMENT", f"{field} {why}", details={"key": field})
