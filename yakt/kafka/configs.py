"""Configs in commands: IncrementalAlterConfigs and AlterConfigs; and DescribeConfigs, read (controller.md §10)."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from yakt.kafka.codes import Code
from yakt.kafka.messages import configs as wire
from yakt.kafka.plan import UNTIMED_MS, Caller, Plan, Slots, View, error_of, message_of, refusal
from yakt.metadata import commands
from yakt.metadata.answers import Result
from yakt.metadata.commands import ConfigChange
from yakt.metadata.config_keys import TOPIC_KEYS
from yakt.metadata.entities import Entity
from yakt.metadata.rows import BROKER_CONFIG, ENTITY_KINDS, TOPIC_CONFIG

BROKER_LOGGER = 8
OPERATIONS = ("set", "delete", "append", "subtract")
"""By Kafka's number."""
DYNAMIC_TOPIC, DYNAMIC_BROKER, DYNAMIC_DEFAULT_BROKER, DEFAULT, CLIENT_METRICS, GROUP = 1, 2, 3, 5, 7, 8
"""Config sources."""


def _entity(resource_type: int, name: str) -> Entity:
    """Raises RefusedError for a type whose configs are not the controller's."""
    kind = ENTITY_KINDS.get(resource_type)
    if kind is not None:
        return Entity(kind, name)
    if resource_type == BROKER_LOGGER:
        raise refusal(Code.INVALID_REQUEST, "loggers are each broker's own")
    raise refusal(Code.UNSUPPORTED_VERSION, f"Unknown resource type {resource_type}")


def _incremental(resource: wire.IncrementalAlterConfigsResource) -> commands.AlterConfigs:
    changes = []
    for config in resource.configs:
        if not 0 <= config.config_operation < len(OPERATIONS):
            raise refusal(Code.INVALID_REQUEST, f"Unknown operation {config.config_operation} of {config.name}")
        operation = OPERATIONS[config.config_operation]
        if config.value is None and operation in ("append", "subtract"):
            raise refusal(Code.INVALID_REQUEST, f"Null value not supported for {operation} of {config.name}")
        if config.value is None:
            operation = "delete"
        changes.append(ConfigChange(config.name, operation, config.value or ""))
    return commands.AlterConfigs(_entity(resource.resource_type, resource.resource_name), tuple(changes))


def _whole(resource: wire.AlterConfigsResource) -> commands.AlterConfigs:
    return commands.AlterConfigs(
        _entity(resource.resource_type, resource.resource_name),
        tuple(
            ConfigChange(config.name, "delete" if config.value is None else "set", config.value or "")
            for config in resource.configs
        ),
        replace=True,
    )


R = TypeVar("R", wire.IncrementalAlterConfigsResource, wire.AlterConfigsResource)


def _distinct(resources: Sequence[R]) -> list[R]:
    """Each resource once: it is answered once too."""
    return list({(one.resource_type, one.resource_name): one for one in resources}.values())


def _slots(resources: Sequence[R], caller: Caller, check: bool) -> Slots:
    counts = Counter((one.resource_type, one.resource_name) for one in resources)
    slots = Slots(caller, UNTIMED_MS, check=check)
    for resource in _distinct(resources):
        if counts[resource.resource_type, resource.resource_name] > 1:
            slots.refuse(Code.INVALID_REQUEST, "Duplicate resource.")
        elif isinstance(resource, wire.AlterConfigsResource):
            slots.add_or_refuse(partial(_whole, resource))
        else:
            slots.add_or_refuse(partial(_incremental, resource))
    return slots


def alter_incrementally(request: wire.IncrementalAlterConfigsRequest, caller: Caller, view: View) -> Plan:
    """IncrementalAlterConfigs: a resource fails or succeeds as a whole."""
    slots = _slots(request.resources, caller, request.validate_only)

    def respond(results: Sequence[Result]) -> wire.IncrementalAlterConfigsResponse:
        return wire.IncrementalAlterConfigsResponse(
            responses=tuple(
                wire.IncrementalAlterConfigsResult(
                    error_of(result), message_of(result), resource.resource_type, resource.resource_name
                )
                for resource, result in zip(_distinct(request.resources), slots.fill(results), strict=True)
            )
        )

    return Plan(slots.asked, respond)


def refuse_alter_incrementally(
    request: wire.IncrementalAlterConfigsRequest, code: int, message: str | None
) -> wire.IncrementalAlterConfigsResponse:
    """The same error for each resource."""
    return wire.IncrementalAlterConfigsResponse(
        responses=tuple(
            wire.IncrementalAlterConfigsResult(code, message, one.resource_type, one.resource_name)
            for one in _distinct(request.resources)
        )
    )


def alter(request: wire.AlterConfigsRequest, caller: Caller, view: View) -> Plan:
    """AlterConfigs: the set given replaces all there was."""
    slots = _slots(request.resources, caller, request.validate_only)

    def respond(results: Sequence[Result]) -> wire.AlterConfigsResponse:
        return wire.AlterConfigsResponse(
            responses=tuple(
                wire.AlterConfigsResult(
                    error_of(result), message_of(result), resource.resource_type, resource.resource_name
                )
                for resource, result in zip(_distinct(request.resources), slots.fill(results), strict=True)
            )
        )

    return Plan(slots.asked, respond)


def refuse_alter(request: wire.AlterConfigsRequest, code: int, message: str | None) -> wire.AlterConfigsResponse:
    """The same error for each resource."""
    return wire.AlterConfigsResponse(
        responses=tuple(
            wire.AlterConfigsResult(code, message, one.resource_type, one.resource_name)
            for one in _distinct(request.resources)
        )
    )


def describe(request: wire.DescribeConfigsRequest, view: View) -> wire.DescribeConfigsResponse:
    """What is set, and for topics what else is in force. Any node answers, from what is applied there."""
    return wire.DescribeConfigsResponse(results=tuple(_described(one, view) for one in request.resources))


def _described(resource: wire.DescribeConfigsResource, view: View) -> wire.DescribeConfigsResult:
    resource_type, name = resource.resource_type, resource.resource_name
    if resource_type not in ENTITY_KINDS:
        return wire.DescribeConfigsResult(
            Code.INVALID_REQUEST, f"no configs of resource type {resource_type} here", resource_type, name
        )
    if resource_type == TOPIC_CONFIG and view.image.topics.get(name) is None:
        return wire.DescribeConfigsResult(Code.UNKNOWN_TOPIC_OR_PARTITION, None, resource_type, name)
    if resource_type == BROKER_CONFIG and name not in ("", str(view.node_id)):
        why = f"Unexpected broker id, expected {view.node_id} or empty string, but received {name}"
        return wire.DescribeConfigsResult(Code.INVALID_REQUEST, why, resource_type, name)
    source = {TOPIC_CONFIG: DYNAMIC_TOPIC, BROKER_CONFIG: DYNAMIC_BROKER}.get(resource_type, GROUP)
    if resource_type == BROKER_CONFIG and not name:
        source = DYNAMIC_DEFAULT_BROKER
    found = {key: (value, source) for key, value in view.image.configs_set(resource_type, name).items()}
    if resource_type == TOPIC_CONFIG:
        for key in TOPIC_KEYS.values():
            found.setdefault(key.name, (key.default, DEFAULT))
    keys = resource.configuration_keys
    return wire.DescribeConfigsResult(
        Code.NONE,
        None,
        resource_type,
        name,
        tuple(
            wire.DescribedConfig(key, value, config_source=where)
            for key, (value, where) in sorted(found.items())
            if keys is None or key in keys
        ),
    )


def refuse_describe(
    request: wire.DescribeConfigsRequest, code: int, message: str | None
) -> wire.DescribeConfigsResponse:
    """The same error for each resource."""
    return wire.DescribeConfigsResponse(
        results=tuple(
            wire.DescribeConfigsResult(code, message, one.resource_type, one.resource_name) for one in request.resources
        )
    )
