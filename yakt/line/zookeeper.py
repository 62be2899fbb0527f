"""ZooKeeper's three words, in ZooKeeper's form, for the monitors that people have."""

import attrs

from yakt.errors import RefusedError
from yakt.metadata.answers import Result, Value

NOT_SERVING = "This ZooKeeper instance is not currently serving requests\n"
_MODES = {"leader": "leader", "follower": "follower", "observer": "observer"}


@attrs.frozen
class Traffic:
    """What the listener has seen since it started."""

    received: int
    sent: int
    connections: int
    outstanding: int


def format_ruok(health: Result) -> str:
    """`imok`, if a write sent now would commit; else why not, without that word."""
    if isinstance(health, RefusedError):
        return f"not ready: {health.message}\n"
    if health.pairs.get("ready") is True:
        return "imok"
    reasons = health.pairs.get("reasons")
    return f"not ready: {'; '.join(map(str, reasons)) if isinstance(reasons, list | tuple) else reasons}\n"


def format_srvr(status: Result, server: str, traffic: Traffic) -> str:
    """`srvr`, made of STATUS."""
    if isinstance(status, RefusedError) or status.pairs.get("role") not in _MODES:
        return NOT_SERVING
    pairs = status.pairs
    lines = {
        "Zookeeper version": server,
        "Received": traffic.received,
        "Sent": traffic.sent,
        "Connections": traffic.connections,
        "Outstanding": traffic.outstanding,
        "Zxid": f"{_zxid(pairs.get('epoch'), pairs.get('high_watermark')):#x}",
        "Mode": _MODES[str(pairs["role"])],
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())


def format_mntr(status: Result, server: str, traffic: Traffic) -> str:
    """`mntr`, made of STATUS: one `key TAB value` a line; what ZooKeeper has no key for comes as `yakt_…`."""
    if isinstance(status, RefusedError):
        return NOT_SERVING
    lines: dict[str, Value] = {
        "zk_version": server,
        "zk_server_state": status.pairs.get("role"),
        "zk_packets_received": traffic.received,
        "zk_packets_sent": traffic.sent,
        "zk_num_alive_connections": traffic.connections,
        "zk_outstanding_requests": traffic.outstanding,
    }
    for key, value in status.pairs.items():
        if key != "role":
            lines[f"yakt_{key}"] = "" if value is None else value
    return "".join(
        f"{key}\t{str(value).lower() if isinstance(value, bool) else value}\n" for key, value in lines.items()
    )


def _zxid(epoch: Value, offset: Value) -> int:
    """ZooKeeper's id of a state: the epoch in the upper half, a counter in the lower."""
    return ((epoch if isinstance(epoch, int) else 0) << 32) | ((offset if isinstance(offset, int) else 0) & 0xFFFFFFFF)
