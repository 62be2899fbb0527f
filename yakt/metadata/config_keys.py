"""The configs that Kafka knows: type, rule and default of each (controller.md §10). Knows no image.

Values are kept as they came: numbers are trimmed before they are parsed, booleans may be in any case. Broker configs
are not looked into (brokers check them before they forward them).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import attrs

from yakt.errors import RefusedError
from yakt.metadata import refusals

VALUE_SIZE_MAX = 32_767
LONG_MAX = 2**63 - 1
INT_MAX = 2**31 - 1

Check = Callable[[str], str | None]
"""What is wrong with a value, or None."""


@attrs.frozen
class ConfigKey:
    """One config of Kafka's. `is_list`: values at commas, of which APPEND and SUBTRACT know."""

    name: str
    default: str
    check: Check
    is_list: bool = False


def _number(kind: str, least: int, most: int) -> Check:
    def check(value: str) -> str | None:
        text = value.strip()
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", text):
            return f"is not {kind}"
        if not least <= int(text) <= most:
            return f"is not in {least} to {most}"
        return None

    return check


def _long(least: int) -> Check:
    return _number("a whole number", least, LONG_MAX)


def _int(least: int, most: int = INT_MAX) -> Check:
    return _number("a whole number", least, most)


def _ratio(value: str) -> str | None:
    try:
        number = float(value.strip())
    except ValueError:
        return "is not a number"
    return None if 0 <= number <= 1 and not math.isnan(number) else "is not in 0 to 1"


def _boolean(value: str) -> str | None:
    return None if value.strip().lower() in ("true", "false") else "is neither true nor false"


def _tiered(value: str) -> str | None:
    return _boolean(value) or ("needs tiered storage, which is off here" if value.strip().lower() == "true" else None)


def _one_of(*allowed: str) -> Check:
    def check(value: str) -> str | None:
        return None if value in allowed else f"is none of {', '.join(allowed)}"

    return check


def _list_of(*allowed: str) -> Check:
    def check(value: str) -> str | None:
        wrong = [part for part in split_list(value) if part not in allowed]
        return f"has {wrong[0]!r}, which is none of {', '.join(allowed)}" if wrong else None

    return check


def _compression_level(value: str) -> str | None:
    wrong = _int(-1, 9)(value)
    return wrong or ("is not in 1 to 9, or -1" if int(value.strip()) == 0 else None)


def _throttled(value: str) -> str | None:
    text = value.strip()
    if text in ("", "*"):
        return None
    wrong = [part for part in split_list(text) if not re.fullmatch(r"[0-9]+:[0-9]+", part)]
    return f"has {wrong[0]!r}, which is not partition:broker" if wrong else None


def _any(_value: str) -> str | None:
    return None


def split_list(value: str) -> list[str]:
    """A list-typed value's parts, trimmed; none for an empty text."""
    return [part.strip() for part in value.split(",")] if value.strip() else []


def _keys(*keys: ConfigKey) -> Mapping[str, ConfigKey]:
    return {key.name: key for key in keys}


K = ConfigKey
TOPIC_KEYS = _keys(
    K("cleanup.policy", "delete", _list_of("compact", "delete"), is_list=True),
    K("compression.type", "producer", _one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer")),
    K("compression.gzip.level", "-1", _compression_level),
    K("compression.lz4.level", "9", _int(1, 17)),
    K("compression.zstd.level", "3", _int(-131072, 22)),
    K("delete.retention.ms", "86400000", _long(0)),
    K("file.delete.delay.ms", "60000", _long(0)),
    K("flush.messages", str(LONG_MAX), _long(1)),
    K("flush.ms", str(LONG_MAX), _long(0)),
    K("follower.replication.throttled.replicas", "", _throttled, is_list=True),
    K("leader.replication.throttled.replicas", "", _throttled, is_list=True),
    K("index.interval.bytes", "4096", _int(0)),
    K("local.retention.bytes", "-2", _long(-2)),
    K("local.retention.ms", "-2", _long(-2)),
    K("max.compaction.lag.ms", str(LONG_MAX), _long(1)),
    K("max.message.bytes", "1048588", _int(0)),
    K("message.timestamp.after.max.ms", "3600000", _long(0)),
    K("message.timestamp.before.max.ms", str(LONG_MAX), _long(0)),
    K("message.timestamp.type", "CreateTime", _one_of("CreateTime", "LogAppendTime")),
    K("min.cleanable.dirty.ratio", "0.5", _ratio),
    K("min.compaction.lag.ms", "0", _long(0)),
    K("min.insync.replicas", "1", _int(1)),
    K("preallocate", "false", _boolean),
    K("remote.log.copy.disable", "false", _boolean),
    K("remote.log.delete.on.disable", "false", _boolean),
    K("remote.storage.enable", "false", _tiered),
    K("retention.bytes", "-1", _long(-(2**63))),
    K("retention.ms", "604800000", _long(-1)),
    K("segment.bytes", "1073741824", _int(1048576)),
    K("segment.index.bytes", "10485760", _int(4)),
    K("segment.jitter.ms", "0", _long(0)),
    K("segment.ms", "604800000", _long(1)),
    K("unclean.leader.election.enable", "false", _boolean),
)

CLIENT_MATCH = ("client_instance_id", "client_id", "client_software_name", "client_software_version",
                "client_source_address", "client_source_port")  # fmt: skip


def _client_match(value: str) -> str | None:
    for part in split_list(value):
        name, found, pattern = part.partition("=")
        if not found or name.strip() not in CLIENT_MATCH:
            return f"has {part!r}: what is matched is one of {', '.join(CLIENT_MATCH)}, and a pattern after ="
        try:
            re.compile(pattern.strip())
        except re.error as exc:
            return f"has a pattern that is none, {pattern.strip()!r}: {exc}"
    return None


CLIENT_METRICS_KEYS = _keys(
    K("metrics", "", _any, is_list=True),
    K("interval.ms", "300000", _int(100, 3_600_000)),
    K("match", "", _client_match, is_list=True),
)

GROUP_KEYS = _keys(
    K("consumer.session.timeout.ms", "45000", _int(1)),
    K("consumer.heartbeat.interval.ms", "5000", _int(1)),
    K("share.session.timeout.ms", "45000", _int(1)),
    K("share.heartbeat.interval.ms", "5000", _int(1)),
    K("share.record.lock.duration.ms", "30000", _int(1000)),
    K("share.auto.offset.reset", "latest", _any),
    K("share.isolation.level", "read_uncommitted", _one_of("read_committed", "read_uncommitted")),
    K("streams.session.timeout.ms", "45000", _int(1)),
    K("streams.heartbeat.interval.ms", "5000", _int(1)),
    K("streams.num.standby.replicas", "0", _int(0)),
)


def check_topic(after: Mapping[str, str]) -> None:
    """The whole set that a topic would have. Raises RefusedError (INVALID_CONFIG) for the first fault."""
    for name, value in after.items():
        check_value(TOPIC_KEYS, "topic", name, value)
    lag = [
        int(after.get(name, TOPIC_KEYS[name].default)) for name in ("min.compaction.lag.ms", "max.compaction.lag.ms")
    ]
    if lag[0] > lag[1]:
        raise refusals.invalid_config(
            "max.compaction.lag.ms", f"max.compaction.lag.ms {lag[1]} is below min.compaction.lag.ms {lag[0]}"
        )


def check_value(keys: Mapping[str, ConfigKey], noun: str, name: str, value: str) -> None:
    """One value of a known kind of resource. Raises RefusedError (INVALID_CONFIG)."""
    known = keys.get(name)
    if known is None:
        raise unknown_key(keys, noun, name)
    wrong = known.check(value)
    if wrong is not None:
        shown = value if len(value) <= 100 else value[:100] + "…"
        raise refusals.invalid_config(name, f"{noun} config {name}: {shown!r} {wrong}")
    if len(value) > VALUE_SIZE_MAX // 4:
        check_size(name, value)


def check_size(name: str, value: str) -> None:
    """No reader of Kafka's takes more than 32,767 bytes. Raises RefusedError (INVALID_CONFIG)."""
    if len(value) > VALUE_SIZE_MAX // 4 and len(value.encode("utf-8", "surrogatepass")) > VALUE_SIZE_MAX:
        raise refusals.invalid_config(name, f"the value of {name} is longer than {VALUE_SIZE_MAX} bytes")


def unknown_key(keys: Mapping[str, ConfigKey], noun: str, name: str) -> RefusedError:
    near: Sequence[str] = refusals.nearest(name, keys)
    why = f"Unknown {noun} config name: {name}"
    if noun == "client-metrics":  # Kafka says 42 there
        return refusals.invalid_request(why, key=name, **({"near": near} if near else {}))
    return refusals.invalid_config(name, why, near)
