"""Rows of the metadata as the records of this API: fields by the assignment's names, in an envelope (seed-api.md)."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from yakt.http.moments import format_moment
from yakt.metadata.answers import Pairs, Row

RECORD_OF = {
    "broker": "RegisterBrokerRecord",
    "topic": "TopicRecord",
    "partition": "PartitionRecord",
    "producer": "ProducerIdsRecord",
    "config": "ConfigRecord",
    "feature": "FeatureLevelRecord",
    "quota": "ClientQuotaRecord",
    "scram": "UserScramCredentialRecord",
    "acl": "AccessControlEntryRecord",
    "token": "DelegationTokenRecord",
}
CHANGE_RECORD = "RegistrationChangeBrokerRecord"
STATUS = {"ALIVE": "ALIVE", "SHUTTING_DOWN": "ALIVE", "FENCED": "FENCED", "CLOSED": "CLOSED"}
"""Our word for how a broker is, and the assignment's: one that shuts down still sends heartbeats."""

Envelope = dict[str, object]


class Names(Protocol):
    """What rows name by number and this API by uuid."""

    def broker_uuid(self, broker_id: int) -> str | None:
        """Of its present incarnation, or of the last one; None where nothing is known."""
        ...

    def topic_uuid(self, name: str) -> str | None:
        """None where there is no such topic."""
        ...


def fields_of(kind: str, pairs: Mapping[str, Any], names: Names) -> dict[str, object]:
    """The fields of one record, from the pairs of its row."""
    match kind:
        case "broker":
            return {
                "internalUUID": pairs["uuid"],
                "brokerId": pairs["id"],
                "brokerHost": pairs["host"],
                "brokerPort": _text(pairs["port"]),
                "securityProtocol": pairs["protocol"],
                "brokerStatus": STATUS.get(pairs["status"], pairs["status"]),
                "rackId": pairs["rack"] or "",
                "epoch": pairs["changes"],
                "brokerEpoch": pairs["epoch"],
            }
        case "topic":
            return {"topicUUID": pairs["id"], "name": pairs["name"]}
        case "partition":
            leader = pairs["leader"]
            return {
                "partitionId": pairs["partition"],
                "topicUUID": pairs.get("topic_id") or names.topic_uuid(pairs["topic"]),
                "topicName": pairs["topic"],
                "replicas": pairs["replicas"],
                "ISR": pairs["isr"],
                "removingReplicas": pairs["removing"],
                "addingReplicas": pairs["adding"],
                "leader": "" if leader < 0 else names.broker_uuid(leader) or str(leader),
                "leaderId": leader,
                "partitionEpoch": pairs["partition_epoch"],
            }
        case "producer":
            broker = pairs["broker"]
            return {
                "brokerId": names.broker_uuid(broker) or str(broker),
                "brokerEpoch": pairs["broker_epoch"],
                "producerId": pairs["producer"],
            }
        case "config":
            return {"entity": pairs["entity"], "key": pairs["key"], "value": pairs["value"]}
        case "feature":
            return {"name": pairs["name"], "level": pairs["level"]}
        case "quota" | "scram" | "acl" | "token":  # the assignment does not know them: as the line protocol says it
            return {key: value for key, value in pairs.items() if key != "offset"}
    raise AssertionError(kind)


def change_fields(pairs: Mapping[str, Any]) -> dict[str, object]:
    """RegistrationChangeBrokerRecord: a broker as it is after a change."""
    return {
        "brokerId": str(pairs["id"]),
        "brokerHost": pairs["host"],
        "brokerPort": _text(pairs["port"]),
        "securityProtocol": pairs["protocol"],
        "brokerStatus": STATUS.get(pairs["status"], pairs["status"]),
        "epoch": pairs["changes"],
    }


def key_of(kind: str, pairs: Mapping[str, Any], names: Names) -> dict[str, object]:
    """What names a thing that is gone."""
    match kind:
        case "broker":
            return {"brokerId": pairs["id"], "internalUUID": names.broker_uuid(pairs["id"])}
        case "topic":
            return {"name": pairs["name"]}
        case "partition":
            return {
                "topicUUID": names.topic_uuid(pairs["topic"]),
                "topicName": pairs["topic"],
                "partitionId": pairs["partition"],
            }
        case "producer":
            return {"producerId": pairs["producer"]}
        case "config":
            return {"entity": pairs["entity"], "key": pairs["key"]}
        case "quota" | "scram" | "acl" | "token":
            return {key: value for key, value in pairs.items() if key not in ("offset", "deleted")}
    return {"name": pairs["name"]}


def envelope(record: str, fields: dict[str, object], offset: int, time_ms: int) -> Envelope:
    """A record as this API shows it."""
    return {
        "type": "metadata",
        "name": record,
        "fields": fields,
        "timestamp": format_moment(time_ms),
        "offset": offset,
    }


def envelopes(rows: Sequence[Row], times: Sequence[int], names: Names) -> list[Envelope]:
    """Of rows that have their `offset`."""
    return [
        envelope(RECORD_OF[row.kind], fields_of(row.kind, row.pairs, names), _offset(row.pairs), time_ms)
        for row, time_ms in zip(rows, times, strict=True)
    ]


def beside(found: Envelope) -> Envelope:
    """A single record, with what names it repeated beside its fields, where some clients look for it."""
    fields = found["fields"]
    assert isinstance(fields, dict)
    return {**found, **{key: fields[key] for key in ("internalUUID", "brokerId", "topicUUID") if key in fields}}


def _offset(pairs: Pairs) -> int:
    offset = pairs["offset"]
    assert isinstance(offset, int)
    return offset


def _text(value: object) -> str:
    return "" if value is None else str(value)
