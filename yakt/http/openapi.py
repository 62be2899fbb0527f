"""The OpenAPI document: the routes, and what the command registry says of the lines they stand for."""

from collections.abc import Sequence
from typing import Any

from yakt.http.routes import RouteSpec
from yakt.line.arguments import ArgumentType, Boolean, Choice, Integer, Text
from yakt.line.declarations import COMMANDS
from yakt.line.registry import CommandSpec, Option
from yakt.line.shared import PAGING, SHARED

Json = dict[str, Any]

_ID = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
_BROKER = {"anyOf": [_ID, {"type": "string"}], "description": "by id or uuid"}
_IDS = {"type": "array", "items": _ID}
_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_NEW = {"type": "string", "maxLength": 249, "pattern": "^[A-Za-z0-9._-]+$"}

_IN: dict[str, tuple[Json, tuple[str, ...]]] = {
    "RegisterBrokerRecord": (
        {
            "brokerId": _ID,
            "brokerHost": {"type": "string", "minLength": 1, "maxLength": 255},
            "brokerPort": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, {"type": "string"}]},
            "securityProtocol": _TEXT,
            "rackId": _TEXT,
            "sessionMs": {"type": "integer", "minimum": 1, "maximum": 86_400_000},
        },
        ("brokerId", "brokerHost"),
    ),
    "TopicRecord": ({"name": _NEW, "partitions": _COUNT, "replication": {"type": "integer", "minimum": 1}}, ("name",)),
    "PartitionRecord": (
        {
            "partitionId": _COUNT,
            "topicUUID": _TEXT,
            "replicas": _IDS,
            "ISR": _IDS,
            "leader": _BROKER,
            "addingReplicas": _IDS,
            "removingReplicas": _IDS,
        },
        (),
    ),
    "ProducerIdsRecord": (
        {"brokerId": _BROKER, "brokerEpoch": {"type": "integer"}, "producerId": {**_COUNT, "maximum": 2**53 - 1}},
        ("brokerId",),
    ),
    "RegistrationChangeBrokerRecord": (
        {
            "brokerHost": {"type": "string", "minLength": 1, "maxLength": 255},
            "brokerPort": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65535}, {"type": "string"}]},
            "securityProtocol": _TEXT,
            "brokerStatus": {"enum": ["INIT", "ALIVE", "FENCED", "UNFENCED"]},
            "rackId": {"type": ["string", "null"]},
        },
        (),
    ),
    "BrokerKey": ({"brokerId": _BROKER, "internalUUID": _TEXT}, ()),
    "TopicKey": ({"topic_name": _TEXT, "name": _TEXT}, ()),
    "MetadataFetch": (
        {"brokerId": _BROKER, "offset": _COUNT, "timestamp": {"anyOf": [{"type": "number"}, {"type": "string"}]}},
        (),
    ),
}
"""What bodies hold, by record: properties, and those that are needed."""

_ALWAYS = (
    "internalUUID", "brokerId", "topic", "topicUUID", "topicName", "topic_name", "fields", "name", "type", "timestamp"
)  # fmt: skip
"""What any body may have: keys under the names that collections use, and an envelope's own."""

_OUT: dict[str, Json] = {
    "RegisterBrokerRecord": {
        "internalUUID": _TEXT,
        "brokerId": _ID,
        "brokerHost": _TEXT,
        "brokerPort": _TEXT,
        "securityProtocol": _TEXT,
        "brokerStatus": {"enum": ["ALIVE", "FENCED", "CLOSED"]},
        "rackId": _TEXT,
        "epoch": _COUNT,
        "brokerEpoch": _COUNT,
    },
    "TopicRecord": {"topicUUID": _TEXT, "name": _TEXT},
    "PartitionRecord": {
        "partitionId": _COUNT,
        "topicUUID": _TEXT,
        "topicName": _TEXT,
        "replicas": _IDS,
        "ISR": _IDS,
        "removingReplicas": _IDS,
        "addingReplicas": _IDS,
        "leader": {"type": "string", "description": "the leading broker's uuid; empty: none"},
        "leaderId": {"type": "integer", "minimum": -1},
        "partitionEpoch": _COUNT,
    },
    "ProducerIdsRecord": {"brokerId": _TEXT, "brokerEpoch": _COUNT, "producerId": _COUNT},
    "RegistrationChangeBrokerRecord": {
        "brokerId": _TEXT,
        "brokerHost": _TEXT,
        "brokerPort": _TEXT,
        "securityProtocol": _TEXT,
        "brokerStatus": {"enum": ["ALIVE", "FENCED", "CLOSED"]},
        "epoch": _COUNT,
    },
}


def names_of(record: str) -> frozenset[str]:
    """All fields that a body with this record may have: those that are taken, and those that answers show."""
    return frozenset((*_IN[record][0], *_OUT.get(record, ()), *_ALWAYS))


def document(routes: Sequence[RouteSpec], version: str) -> Json:
    """OpenAPI 3.1, as JSON values."""
    paths: dict[str, Json] = {}
    for spec in routes:
        paths.setdefault(spec.path, {})[spec.method.lower()] = _operation(spec)
    paths["/v1/lines"] = {"post": _lines()}
    paths.update(_plain())
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "YAKt",
            "version": version,
            "summary": "A KRaft metadata quorum over HTTP",
            "description": "The options of the line protocol are query parameters. Errors are problems (RFC 9457) "
            "with the line protocol's `code`, `retry` and `applied`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


# --- operations -------------------------------------------------------------------------------------------------------


def _operation(spec: RouteSpec) -> Json:
    command = COMMANDS.get(spec.command)
    parts = [part[1:-1] for part in spec.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": part, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}} for part in parts
    ]
    parameters += [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in spec.query.items()
    ]
    parameters += [_parameter(option) for option in _options(command)]
    operation: Json = {
        "operationId": _name(spec),
        "summary": spec.text,
        "description": f"`{command.usage}`",
        "tags": ["as existing request collections call it" if spec.is_alias else spec.path.split("/")[2]],
        "parameters": parameters,
        "responses": {str(spec.status): _response(spec), "default": _problem()},
    }
    if spec.status == 405:
        operation["responses"]["405"] = _problem()
    elif spec.status == 201:
        operation["responses"]["200"] = {"description": "With check=true: the records that it would write."}
    if spec.record is not None:
        schema = {"$ref": f"#/components/schemas/{spec.record}.in"}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _options(command: CommandSpec) -> list[Option]:
    """Those of the line protocol that go through as they are."""
    options = list(SHARED[command.kind].values())
    return options + (list(PAGING.values()) if command.paged else [])


def _parameter(option: Option) -> Json:
    return {"name": option.key, "in": "query", "description": option.text, "schema": _schema_of(option.type)}


def _schema_of(type: ArgumentType) -> Json:
    match type:
        case Integer(low=low, high=high):
            return {"type": "integer", "minimum": low, "maximum": high}
        case Boolean():
            return {"type": "boolean"}
        case Choice(choices=choices):
            return {"enum": list(choices)}
        case Text(high=high, low=low):
            return {"type": "string", "minLength": low, "maxLength": high}
    return {"type": "string", "description": type.form}


def _name(spec: RouteSpec) -> str:
    words = [part.strip("{}") for part in spec.path.split("/") if part and part != "v1"]
    return "_".join([spec.method.lower(), *words])


def _response(spec: RouteSpec) -> Json:
    if spec.answers is None:
        schema: Json = {"type": "object"}
    elif spec.answers.endswith("[]"):
        schema = {"type": "array", "items": {"$ref": f"#/components/schemas/{spec.answers[:-2]}"}}
    else:
        schema = {"$ref": f"#/components/schemas/{spec.answers}"}
        if COMMANDS.get(spec.command).kind == "write":  # with check=true it shows the records instead
            schema = {"anyOf": [schema, {"$ref": "#/components/schemas/Check"}]}
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _problem() -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": "Not done.", "content": {"application/problem+json": {"schema": schema}}}


def _lines() -> Json:
    return {
        "operationId": "post_lines",
        "summary": "Lines of the line protocol; a JSON object for each line of reply.",
        "description": "\n".join(f"- `{spec.usage}`: {spec.text}" for spec in COMMANDS if spec.kind != "connection"),
        "tags": ["lines"],
        "requestBody": {"required": True, "content": {"text/plain": {"schema": {"type": "string"}}}},
        "responses": {
            "200": {"description": "The replies.", "content": {"application/x-ndjson": {"schema": {"type": "string"}}}},
            "default": _problem(),
        },
    }


def _plain() -> dict[str, Json]:
    """What stands for no command, or for one without options."""

    def get(name: str, text: str, media: str, schema: Json, parameters: Sequence[Json] = ()) -> Json:
        return {
            "get": {
                "operationId": name,
                "summary": text,
                "tags": ["operations"],
                "parameters": list(parameters),
                "responses": {
                    "200": {"description": "Done.", "content": {media: {"schema": schema}}},
                    "default": _problem(),
                },
            }
        }

    watch = [
        {"name": "since", "in": "query", "description": "from this offset on; from now", "schema": _COUNT},
        {"name": "kind", "in": "query", "description": "only of this kind", "schema": _TEXT},
        {"name": "match", "in": "query", "description": "only where the name matches this glob", "schema": _TEXT},
        {"name": "Last-Event-ID", "in": "header", "description": "the offset that was heard last", "schema": _COUNT},
    ]
    verbose = [
        {"name": "verbose", "in": "query", "description": "with reasons", "schema": _TEXT, "allowEmptyValue": True}
    ]
    return {
        "/v1/watch": get(
            "watch", "Each change as a server-sent event; its id is the offset.", "text/event-stream", _TEXT, watch
        ),
        "/status": get(
            "status", "What this node knows of itself and of the quorum.", "application/json", {"type": "object"}
        ),
        "/livez": get("livez", "This process answers.", "text/plain", _TEXT),
        "/readyz": get("readyz", "200 exactly when a write sent here would commit.", "text/plain", _TEXT, verbose),
        "/metrics": get("metrics", "Figures for Prometheus.", "text/plain", _TEXT),
    }


# --- schemas ----------------------------------------------------------------------------------------------------------


def _schemas() -> Json:
    schemas: Json = {}
    for name, (properties, needed) in _IN.items():
        schemas[f"{name}.in"] = {"type": "object", "properties": properties, "required": list(needed)}
    for name, fields in _OUT.items():
        schemas[name] = {
            "type": "object",
            "properties": {
                "type": {"const": "metadata"},
                "name": {"const": name},
                "fields": {"type": "object", "properties": fields, "required": list(fields)},
                "timestamp": {"type": "string", "format": "date-time"},
                "offset": _COUNT,
            },
            "required": ["type", "name", "fields", "timestamp", "offset"],
        }
    groups = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "object"}}}
    schemas["MetadataFetched"] = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["diff", "snapshot"]},
            "offset": {**_COUNT, "description": "what to send next time"},
            "upserted": groups,
            "deleted": groups,
            "state": groups,
            "reason": {"enum": ["old", "compacted", "ahead"]},
            "more": {"type": "boolean"},
        },
        "required": ["kind", "offset"],
    }
    schemas["Check"] = {
        "type": "object",
        "properties": {"check": {"const": True}, "records": {"type": "array", "items": {"type": "object"}}},
        "required": ["check", "records"],
    }
    schemas["Problem"] = {
        "type": "object",
        "properties": {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "code": _TEXT,
            "kafka": {"type": "integer"},
            "hint": _TEXT,
            "retry": {"type": "boolean"},
            "applied": {"enum": ["no", "maybe"]},
        },
        "required": ["type", "title", "status", "detail", "code", "retry", "applied"],
    }
    return schemas
