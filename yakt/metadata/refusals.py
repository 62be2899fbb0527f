"""Why a client cannot have something: Kafka's codes and numbers, with the line protocol's details and hints."""

from collections.abc import Iterable, Sequence

from yakt.errors import RefusedError

NEAR_MAX = 3


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """At most three of `names` that `name` may be a slip of: one or two letters off, or its other case, best first."""
    found = []
    folded = name.lower()
    for other in names:
        if abs(len(other) - len(name)) <= 2:
            distance = _distance(folded, other.lower(), 2)
            if distance <= min(2, max(1, len(name) // 3)):
                found.append((distance, other))
    return [other for _, other in sorted(found)[:NEAR_MAX]]


def _distance(left: str, right: str, limit: int) -> int:
    """Edits (swapped neighbours count once) from one to the other; `limit` + 1 for anything beyond."""
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, a in enumerate(left, 1):
        current = [row]
        for column, b in enumerate(right, 1):
            cost = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (a != b))
            if row > 1 and column > 1 and a == right[column - 2] and left[row - 2] == b:
                cost = min(cost, before[column - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, previous = previous, current
    return min(previous[-1], limit + 1)


def unknown_topic(name: str, end_offset: int, near: Sequence[str] = ()) -> RefusedError:
    details: dict[str, object] = {"topic": name}
    if near:
        details["near"] = list(near)
    return RefusedError(
        "UNKNOWN_TOPIC", f"no topic {name} at offset {end_offset}", kafka=3, hint="TOPIC LIST", details=details
    )


def topic_exists(name: str, offset: int) -> RefusedError:
    return RefusedError(
        "TOPIC_EXISTS",
        f"topic {name} is there already",
        kafka=36,
        hint=f"TOPIC SHOW {name}",
        details={"topic": name, "changed": offset},
    )


def invalid_topic(name: str, why: str, **details: object) -> RefusedError:
    return RefusedError("INVALID_TOPIC", why, kafka=17, details={"topic": name, **details})


def invalid_partitions(why: str, **details: object) -> RefusedError:
    return RefusedError("INVALID_PARTITIONS", why, kafka=37, details=details)


def replication_factor(why: str, **details: object) -> RefusedError:
    return RefusedError("INVALID_REPLICATION_FACTOR", why, kafka=38, details=details)


def too_few_brokers(asked: int, registered: int) -> RefusedError:
    have = "1 is" if registered == 1 else f"{registered or 'none'} are"
    return RefusedError(
        "INVALID_REPLICATION_FACTOR",
        f"replication {asked} needs {asked} broker{'s'[: asked != 1]}, {have} registered",
        kafka=38,
        hint="BROKER LIST",
        retry=True,
        details={"asked": asked, "registered": registered},
    )


def none_unfenced(asked: int, broker_ids: Sequence[int]) -> RefusedError:
    return RefusedError(
        "INVALID_REPLICATION_FACTOR",
        "all registered brokers are fenced: a topic needs one that sends heartbeats",
        kafka=38,
        hint=f"BROKER HEARTBEAT {broker_ids[0]}",
        retry=True,
        details={"asked": asked, "registered": len(broker_ids), "unfenced": 0},
    )


def invalid_assignment(why: str, **details: object) -> RefusedError:
    return RefusedError("INVALID_REPLICA_ASSIGNMENT", why, kafka=39, details=details)


def invalid_config(key: str, why: str, near: Sequence[str] = ()) -> RefusedError:
    details: dict[str, object] = {"key": key}
    if near:
        details["near"] = list(near)
    return RefusedError("INVALID_CONFIG", why, kafka=40, details=details)


def invalid_request(why: str, **details: object) -> RefusedError:
    return RefusedError("INVALID_REQUEST", why, kafka=42, details=details)


def policy_violation(why: str, **details: object) -> RefusedError:
    return RefusedError("POLICY_VIOLATION", why, kafka=44, details=details)


def stale_broker_epoch(sent: int, current: int) -> RefusedError:
    return RefusedError(
        "STALE_BROKER_EPOCH",
        "another process registered this id",
        kafka=77,
        details={"sent": sent, "current": current},
    )


def unknown_broker(broker_id: int, end_offset: int, registered: Sequence[int]) -> RefusedError:
    return RefusedError(
        "UNKNOWN_BROKER",
        f"no broker {broker_id} at offset {end_offset}",
        kafka=102,
        hint=f"BROKER REGISTER {broker_id} host=HOST port=PORT" if broker_id >= 0 else "BROKER LIST",
        details={"broker": broker_id, "registered": list(registered[:10])},
    )


def duplicate_broker(broker_id: int, epoch: int, ends_in_ms: int) -> RefusedError:
    return RefusedError(
        "DUPLICATE_BROKER",
        f"broker {broker_id} is in use by another incarnation, whose session ends in {ends_in_ms} ms",
        kafka=101,
        hint=f"BROKER FENCE {broker_id}",
        retry=True,
        details={"broker": broker_id, "epoch": epoch, "ends_in_ms": ends_in_ms},
    )


def inconsistent_cluster_id(sent: str, ours: str) -> RefusedError:
    return RefusedError(
        "INCONSISTENT_CLUSTER_ID",
        f"this is cluster {ours}, not {sent[:64]}",
        kafka=104,
        details={"sent": sent[:64], "cluster": ours},
    )


def invalid_registration(why: str, **details: object) -> RefusedError:
    return RefusedError("INVALID_REGISTRATION", why, kafka=119, details=details)


def unsupported_version(why: str, **details: object) -> RefusedError:
    return RefusedError("UNSUPPORTED_VERSION", why, kafka=35, details=details)


def not_controller(why: str, **details: object) -> RefusedError:
    return RefusedError("NOT_CONTROLLER", why, kafka=41, retry=True, details=details)


def fenced_leader_epoch(name: str, sent: int, current: int) -> RefusedError:
    return RefusedError(
        "FENCED_LEADER_EPOCH",
        f"{name} has had another leader since leader epoch {sent}",
        kafka=74,
        details={"sent": sent, "current": current},
    )


def invalid_update_version(name: str, sent: int, current: int) -> RefusedError:
    return RefusedError(
        "INVALID_UPDATE_VERSION",
        f"{name} has changed since partition epoch {sent}",
        kafka=95,
        hint=f"TOPIC SHOW {name.rpartition(':')[0]}",
        details={"sent": sent, "current": current},
    )


def invalid_feature_update(name: str, level: int, why: str) -> RefusedError:
    return RefusedError(
        "INVALID_UPDATE_VERSION",
        f"Invalid update version {level} for feature {name}. {why}",
        kafka=95,
        hint="FEATURE LIST",
        details={"feature": name, "level": level},
    )


def ineligible_replica(broker_id: int, status: str) -> RefusedError:
    return RefusedError(
        "INELIGIBLE_REPLICA",
        f"broker {broker_id} {status}: it cannot be in sync",
        kafka=107,
        retry=True,
        hint=f"EXPLAIN broker/{broker_id}",
        details={"broker": broker_id},
    )


def unknown_producer(producer_id: int, end_offset: int) -> RefusedError:
    return RefusedError(
        "UNKNOWN_PRODUCER_ID",
        f"no producer {producer_id} at offset {end_offset}",
        kafka=59,
        hint="PRODUCER LIST",
        details={"producer": producer_id},
    )


def unacceptable_credential(why: str, **details: object) -> RefusedError:
    return RefusedError("UNACCEPTABLE_CREDENTIAL", why, kafka=93, details=details)


def resource_not_found(why: str, *, hint: str | None = None, **details: object) -> RefusedError:
    return RefusedError("RESOURCE_NOT_FOUND", why, kafka=91, hint=hint, details=details)


def unknown_token(token_id: str, end_offset: int) -> RefusedError:
    return RefusedError(
        "DELEGATION_TOKEN_NOT_FOUND",
        f"no delegation token {token_id[:64]} at offset {end_offset}",
        kafka=62,
        hint="TOKEN LIST",
        details={"token": token_id[:64]},
    )


def conflict(why: str, *, hint: str | None = None, **details: object) -> RefusedError:
    return RefusedError("CONFLICT", why, hint=hint, details=details)


def offset_compacted(oldest: int, hint: str | None = None) -> RefusedError:
    return RefusedError(
        "OFFSET_COMPACTED",
        f"changes below offset {oldest} are no longer kept",
        hint=hint or f"FETCH since={oldest}",
        details={"oldest": oldest},
    )


def bad_argument(key: str, why: str) -> RefusedError:
    return RefusedError("BAD_ARGUMENT", why, details={"key": key})
