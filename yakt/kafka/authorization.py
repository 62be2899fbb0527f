"""Whether ACLs let a forwarded request be: brokers leave that to the controller (KIP-590), for administration.

The rules are those of Kafka's StandardAuthorizer, and what a request needs that of its ControllerApis; but a request is
refused whole, where Kafka refuses its items one by one. A node heeds them where its configuration names super users.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from yakt.errors import RefusedError
from yakt.ids import ZERO_UUID, Uuid
from yakt.kafka import apis
from yakt.kafka.apis import Api
from yakt.kafka.codes import Code
from yakt.kafka.messages import configs, topics
from yakt.kafka.plan import Caller, refusal
from yakt.metadata import acls as a
from yakt.metadata import rows
from yakt.metadata.acl_control import row_record
from yakt.metadata.acls import is_allowed
from yakt.metadata.image import MetadataImage

TOPIC, GROUP = a.RESOURCE_TYPES["topic"], a.RESOURCE_TYPES["group"]
DENIED = {
    TOPIC: Code.TOPIC_AUTHORIZATION_FAILED,
    GROUP: Code.GROUP_AUTHORIZATION_FAILED,
    a.CLUSTER_TYPE: Code.CLUSTER_AUTHORIZATION_FAILED,
}

Need: TypeAlias = tuple[str, int, str]
"""An operation, and the type and name of the resource that it is done to."""
Needs: TypeAlias = Callable[[Any, MetadataImage], Iterator[Need]]


@attrs.frozen
class Authorizer:
    """Asks the ACLs of an image. `super_users`, principals, are asked nothing."""

    super_users: frozenset[str]

    def refusal_of(self, api: Api, body: Any, caller: Caller, image: MetadataImage) -> RefusedError | None:
        """Why the request is not to be done, with Kafka's number for it; None: it may be."""
        if caller.principal in self.super_users:
            return None
        for operation, resource_type, name in _NEEDS.get(api.key, _alter_cluster)(body, image):
            if not self._is_allowed(caller, image, operation, resource_type, name):
                of = (
                    "the cluster"
                    if resource_type == a.CLUSTER_TYPE
                    else f"{a.RESOURCE_TYPE_NAMES[resource_type]} {name}"
                )
                return refusal(DENIED[resource_type], f"{caller.principal or 'nobody'} may not {operation} {of}")
        return None

    def _is_allowed(self, caller: Caller, image: MetadataImage, operation: str, resource_type: int, name: str) -> bool:
        # CREATE and DELETE of the cluster are of all its topics.
        places = [(resource_type, name)]
        if resource_type == TOPIC and operation in ("CREATE", "DELETE"):
            places.append((a.CLUSTER_TYPE, a.CLUSTER_NAME))
        found = [row_record(row) for row in image.acls.rows()]
        return any(
            is_allowed(found, caller.principal, caller.address, a.OPERATIONS[operation], *place) for place in places
        )


def _cluster(operation: str) -> Needs:
    def needs(_body: Any, _image: MetadataImage) -> Iterator[Need]:
        yield operation, a.CLUSTER_TYPE, a.CLUSTER_NAME

    return needs


_alter_cluster = _cluster("ALTER")


def _nothing(_body: Any, _image: MetadataImage) -> Iterator[Need]:
    """What is refused to everybody."""
    return iter(())


def _create_topics(body: topics.CreateTopicsRequest, _image: MetadataImage) -> Iterator[Need]:
    for topic in body.topics:
        yield "CREATE", TOPIC, topic.name


def _delete_topics(body: topics.DeleteTopicsRequest, image: MetadataImage) -> Iterator[Need]:
    for name in body.topic_names:
        yield "DELETE", TOPIC, name
    for state in body.topics:
        named = state.name
        if named is None and state.topic_id != ZERO_UUID:
            named = image.topic_names.get(Uuid(state.topic_id))
        if named is not None:
            yield "DELETE", TOPIC, named


def _create_partitions(body: topics.CreatePartitionsRequest, _image: MetadataImage) -> Iterator[Need]:
    for topic in body.topics:
        yield "ALTER", TOPIC, topic.name


def _alter_configs(
    body: configs.AlterConfigsRequest | configs.IncrementalAlterConfigsRequest, _image: MetadataImage
) -> Iterator[Need]:
    for resource in body.resources:
        match resource.resource_type:
            case rows.TOPIC_CONFIG:
                yield "ALTER_CONFIGS", TOPIC, resource.resource_name
            case rows.GROUP_CONFIG:
                yield "ALTER_CONFIGS", GROUP, resource.resource_name
            case _:
                yield "ALTER_CONFIGS", a.CLUSTER_TYPE, a.CLUSTER_NAME


_NEEDS: Mapping[int, Needs] = {
    apis.CREATE_TOPICS.key: _create_topics,
    apis.DELETE_TOPICS.key: _delete_topics,
    apis.CREATE_PARTITIONS.key: _create_partitions,
    apis.ALTER_CONFIGS.key: _alter_configs,
    apis.INCREMENTAL_ALTER_CONFIGS.key: _alter_configs,
    apis.ALTER_CLIENT_QUOTAS.key: _cluster("ALTER_CONFIGS"),
    apis.LIST_PARTITION_REASSIGNMENTS.key: _cluster("DESCRIBE"),
    apis.DESCRIBE_QUORUM.key: _cluster("DESCRIBE"),
    apis.ALLOCATE_PRODUCER_IDS.key: _cluster("CLUSTER_ACTION"),
    apis.CREATE_DELEGATION_TOKEN.key: _nothing,
    apis.RENEW_DELEGATION_TOKEN.key: _nothing,
    apis.EXPIRE_DELEGATION_TOKEN.key: _nothing,
}
"""Of the forwardable APIs; any other needs ALTER of the cluster."""
