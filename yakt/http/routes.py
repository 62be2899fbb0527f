"""Every route of the CRD API, once: the server and the OpenAPI document know no other list."""

from collections.abc import Awaitable, Callable, Mapping

import attrs

from yakt.errors import RefusedError
from yakt.http import brokers, metadata_fetch, producers, topics
from yakt.http.asking import Asking
from yakt.http.fields import Fields
from yakt.http.reply import Reply


@attrs.frozen
class Call:
    """What one request says, besides its options: the parts of its path, and its body."""

    path: Mapping[str, str]
    fields: Fields


@attrs.frozen(kw_only=True)
class RouteSpec:
    """One route. `command`: the line it stands for, whose options it takes. `record`: what its body holds, and
    `answers` what it answers with (a list of them, if it ends in []). `query`: its own parameters, and what they say.
    """

    method: str
    path: str
    text: str
    handle: Callable[[Asking, Call], Awaitable[Reply]]
    command: str
    status: int = 200
    record: str | None = None
    answers: str | None = None
    query: Mapping[str, str] = attrs.Factory(dict)
    is_alias: bool = False

    @property
    def has_body(self) -> bool:
        """Whether a body is read."""
        return self.record is not None


async def _refuse_deletion(ask: Asking, call: Call) -> Reply:
    raise RefusedError("METHOD_NOT_ALLOWED", "a change of a broker stays in the log: a log forgets nothing")


def _broker_of(fields: Fields) -> object:
    return fields.get("brokerId", "internalUUID")


async def _fetch_by_query(ask: Asking, call: Call) -> Reply:
    """The position in the query, or in a body."""
    found = {key: told for key in ("offset", "timestamp") if (told := ask.take(key)) is not None}
    given = {key: value for key in ("offset", "timestamp") if (value := call.fields.get(key)) is not None}
    return await metadata_fetch.fetch(ask, Fields({**given, **found}), view=True, heartbeat=False)


_ACTIVE = {"active": "true: only those that are ALIVE"}
_POSITION = {"offset": "of the last answer", "timestamp": "a time instead: Unix seconds, ISO 8601 or an HTTP date"}
_WHICH = {"topicUUID": "of this topic, by uuid or name", "partitionId": "one of its partitions"}

ROUTES = (
    RouteSpec(
        method="POST", path="/v1/brokers", text="Register a broker; it is ALIVE at once.", status=201,
        command="BROKER REGISTER", record="RegisterBrokerRecord", answers="RegisterBrokerRecord",
        handle=lambda ask, call: brokers.register(ask, call.fields),
    ),
    RouteSpec(
        method="GET", path="/v1/brokers", text="The registered brokers.", query=_ACTIVE,
        command="BROKER LIST", answers="RegisterBrokerRecord[]", handle=lambda ask, call: brokers.list_all(ask),
    ),
    RouteSpec(
        method="GET", path="/v1/brokers/{id}", text="A broker by id or uuid; CLOSED once it is unregistered.",
        command="BROKER SHOW", answers="RegisterBrokerRecord",
        handle=lambda ask, call: brokers.show(ask, call.path["id"]),
    ),
    RouteSpec(
        method="PATCH", path="/v1/brokers/{id}", text="Change a broker; its epoch is one more.",
        command="BROKER CHANGE", record="RegistrationChangeBrokerRecord", answers="RegistrationChangeBrokerRecord",
        handle=lambda ask, call: brokers.change(ask, call.path["id"], call.fields),
    ),
    RouteSpec(
        method="DELETE", path="/v1/brokers/{id}", text="Unregister a broker; answers its uuid.",
        command="BROKER UNREGISTER", handle=lambda ask, call: brokers.unregister(ask, call.path["id"]),
    ),
    RouteSpec(
        method="GET", path="/v1/brokers/{id}/changes", text="The changes of a broker that the kept log tells.",
        command="STATUS", answers="RegistrationChangeBrokerRecord[]",
        handle=lambda ask, call: brokers.list_changes(ask, call.path["id"]),
    ),
    RouteSpec(
        method="DELETE", path="/v1/brokers/{id}/changes", text="Refused: a log forgets nothing.", status=405,
        command="STATUS", handle=_refuse_deletion,
    ),
    RouteSpec(
        method="POST", path="/v1/topics", text="Create a topic; without `partitions` the topic alone.", status=201,
        command="TOPIC CREATE", record="TopicRecord", answers="TopicRecord",
        handle=lambda ask, call: topics.create(ask, call.fields),
    ),
    RouteSpec(
        method="GET", path="/v1/topics", text="The topics.", query={"name": "only the one of this name"},
        command="TOPIC LIST", answers="TopicRecord[]", handle=lambda ask, call: topics.list_all(ask),
    ),
    RouteSpec(
        method="GET", path="/v1/topics/{name}", text="A topic by name or uuid, its partitions beside.",
        command="TOPIC SHOW", answers="TopicRecord", handle=lambda ask, call: topics.show(ask, call.path["name"]),
    ),
    RouteSpec(
        method="DELETE", path="/v1/topics/{name}", text="Delete a topic, its partitions and configs.",
        command="TOPIC DELETE", handle=lambda ask, call: topics.delete(ask, call.path["name"]),
    ),
    RouteSpec(
        method="POST", path="/v1/topics/{name}/partitions", text="Create a partition: the next, or one deleted.",
        status=201, command="PARTITION CREATE", record="PartitionRecord", answers="PartitionRecord",
        handle=lambda ask, call: topics.create_partition(ask, call.path["name"], call.fields),
    ),
    RouteSpec(
        method="GET", path="/v1/topics/{name}/partitions", text="A topic's partitions.",
        command="PARTITION LIST", answers="PartitionRecord[]",
        handle=lambda ask, call: topics.list_partitions(ask, call.path["name"]),
    ),
    RouteSpec(
        method="GET", path="/v1/topics/{name}/partitions/{partition}", text="One partition.",
        command="TOPIC SHOW", answers="PartitionRecord",
        handle=lambda ask, call: topics.show_partition(ask, call.path["name"], call.path["partition"]),
    ),
    RouteSpec(
        method="DELETE", path="/v1/topics/{name}/partitions/{partition}",
        text="Leave a partition without replicas and leader; it is in no list until it is created again.",
        command="PARTITION DELETE",
        handle=lambda ask, call: topics.delete_partition(ask, call.path["name"], call.path["partition"]),
    ),
    RouteSpec(
        method="PUT", path="/v1/topics/{name}/partitions/{partition}/replicas/{broker}",
        text="Add a replica: a reassignment, done when the leader has taken it into the ISR.",
        command="PARTITION REASSIGN", answers="PartitionRecord",
        handle=lambda ask, call: topics.add_replica(
            ask, call.path["name"], call.path["partition"], call.path["broker"]
        ),
    ),
    RouteSpec(
        method="DELETE", path="/v1/topics/{name}/partitions/{partition}/replicas/{broker}", text="Remove a replica.",
        command="PARTITION REASSIGN", answers="PartitionRecord",
        handle=lambda ask, call: topics.remove_replica(
            ask, call.path["name"], call.path["partition"], call.path["broker"]
        ),
    ),
    RouteSpec(
        method="POST", path="/v1/partitions", text="Create a partition of the topic in `topicUUID`.", status=201,
        command="PARTITION CREATE", record="PartitionRecord", answers="PartitionRecord",
        handle=lambda ask, call: topics.create_partition(ask, None, call.fields),
    ),
    RouteSpec(
        method="GET", path="/v1/partitions", text="The partitions of all topics, or of one.", query=_WHICH,
        command="PARTITION LIST", answers="PartitionRecord[]",
        handle=lambda ask, call: topics.list_partitions(ask),
    ),
    RouteSpec(
        method="DELETE", path="/v1/partitions", text="As DELETE of the partition itself.", query=_WHICH,
        command="PARTITION DELETE", handle=lambda ask, call: topics.delete_partition(ask, None, None),
    ),
    RouteSpec(
        method="POST", path="/v1/producers", text="Register a producer from a broker.", status=201,
        command="PRODUCER REGISTER", record="ProducerIdsRecord", answers="ProducerIdsRecord",
        handle=lambda ask, call: producers.register(ask, call.fields),
    ),
    RouteSpec(
        method="GET", path="/v1/producers", text="The registered producers.",
        command="PRODUCER LIST", answers="ProducerIdsRecord[]", handle=lambda ask, call: producers.list_all(ask),
    ),
    RouteSpec(
        method="GET", path="/v1/producers/{id}", text="One producer.", command="PRODUCER SHOW",
        answers="ProducerIdsRecord", handle=lambda ask, call: producers.show(ask, call.path["id"]),
    ),
    RouteSpec(
        method="DELETE", path="/v1/producers/{id}", text="Forget a producer.", command="PRODUCER DELETE",
        handle=lambda ask, call: producers.delete(ask, call.path["id"]),
    ),
    RouteSpec(
        method="POST", path="/v1/metadata/broker", text="A broker's MetadataFetch; it is its heartbeat too.",
        command="FETCH", record="MetadataFetch", answers="MetadataFetched",
        handle=lambda ask, call: metadata_fetch.fetch(ask, call.fields, view=False, heartbeat=True),
    ),
    RouteSpec(
        method="GET", path="/v1/metadata/client", text="A client's MetadataFetch: brokers, topics and partitions.",
        query=_POSITION, command="VIEW", answers="MetadataFetched", handle=_fetch_by_query,
    ),
)  # fmt: skip


def _alias(
    method: str, path: str, record: str, handle: Callable[[Asking, Call], Awaitable[Reply]], like: int
) -> RouteSpec:
    known = ROUTES[like]
    return RouteSpec(
        method=method,
        path=path,
        text=f"{known.text} (As {known.method} {known.path}.)",
        handle=handle,
        command=known.command,
        status=known.status,
        record=record,
        answers=known.answers,
        query=known.query,
        is_alias=True,
    )


def _like(method: str, path: str) -> int:
    return next(place for place, spec in enumerate(ROUTES) if (spec.method, spec.path) == (method, path))


def _fetch_for_broker(ask: Asking, call: Call) -> Awaitable[Reply]:
    """A heartbeat where a broker is named."""
    named = _broker_of(call.fields) is not None
    return metadata_fetch.fetch(ask, call.fields, view=False, heartbeat=named)


_REGISTER = _like("POST", "/v1/brokers")
_TOPIC = _like("POST", "/v1/topics")
_PARTITION = _like("POST", "/v1/partitions")
_PRODUCER = _like("POST", "/v1/producers")
_CHANGE = _like("PATCH", "/v1/brokers/{id}")
_UNREGISTER = _like("DELETE", "/v1/brokers/{id}")
_REPLICAS = "/v1/topics/{name}/partitions/{partition}/replicas/{broker}"


def _register(ask: Asking, call: Call) -> Awaitable[Reply]:
    return brokers.register(ask, call.fields)


def _create_topic(ask: Asking, call: Call) -> Awaitable[Reply]:
    return topics.create(ask, call.fields)


def _create_partition(ask: Asking, call: Call) -> Awaitable[Reply]:
    return topics.create_partition(ask, None, call.fields)


def _register_producer(ask: Asking, call: Call) -> Awaitable[Reply]:
    return producers.register(ask, call.fields)


def _change(ask: Asking, call: Call) -> Awaitable[Reply]:
    return brokers.change(ask, _broker_of(call.fields), call.fields)


def _unregister(ask: Asking, call: Call) -> Awaitable[Reply]:
    return brokers.unregister(ask, _broker_of(call.fields))


def _topic_by_name(ask: Asking, call: Call) -> Awaitable[Reply]:
    return topics.show(ask, call.fields.needed_text("topic_name", "name", "topicUUID"))


ALIASES = (
    _alias("POST", "/register_broker", "RegisterBrokerRecord", _register, _REGISTER),
    _alias("POST", "/register-broker-record", "RegisterBrokerRecord", _register, _REGISTER),
    _alias("POST", "/create_topic", "TopicRecord", _create_topic, _TOPIC),
    _alias("POST", "/register-topic-record", "TopicRecord", _create_topic, _TOPIC),
    _alias("POST", "/create_partition", "PartitionRecord", _create_partition, _PARTITION),
    _alias("POST", "/partition-record", "PartitionRecord", _create_partition, _PARTITION),
    _alias("POST", "/record_producer", "ProducerIdsRecord", _register_producer, _PRODUCER),
    _alias("POST", "/register-producer-record", "ProducerIdsRecord", _register_producer, _PRODUCER),
    _alias("POST", "/register_broker_change", "RegistrationChangeBrokerRecord", _change, _CHANGE),
    _alias("POST", "/register-broker-change", "RegistrationChangeBrokerRecord", _change, _CHANGE),
    _alias("DELETE", "/unregister_broker", "BrokerKey", _unregister, _UNREGISTER),
    _alias("POST", "/delete-broker-record", "BrokerKey", _unregister, _UNREGISTER),
    _alias(
        "POST",
        "/get_broker_by_id",
        "BrokerKey",
        lambda ask, call: brokers.show(ask, _broker_of(call.fields)),
        _like("GET", "/v1/brokers/{id}"),
    ),
    _alias("POST", "/get_topic_by_name", "TopicKey", _topic_by_name, _like("GET", "/v1/topics/{name}")),
    _alias("POST", "/broker_mgmt", "MetadataFetch", _fetch_for_broker, _like("POST", "/v1/metadata/broker")),
    _alias("POST", "/metadata-fetch-broker", "MetadataFetch", _fetch_for_broker, _like("POST", "/v1/metadata/broker")),
    _alias("POST", "/client_mgmt", "MetadataFetch", _fetch_by_query, _like("GET", "/v1/metadata/client")),
    attrs.evolve(ROUTES[_like("GET", "/v1/metadata/client")], path="/metadata-fetch-client", is_alias=True),
    attrs.evolve(
        ROUTES[_like("GET", "/v1/brokers")],
        path="/get_active_brokers",
        query={},
        is_alias=True,
        handle=lambda ask, call: brokers.list_all(ask, only_active=True),
    ),
    _alias(
        "POST",
        "/add_replica",
        "PartitionRecord",
        lambda ask, call: topics.change_replicas_of(ask, call.fields, "addingReplicas"),
        _like("PUT", _REPLICAS),
    ),
    _alias(
        "POST",
        "/remove_replica",
        "PartitionRecord",
        lambda ask, call: topics.change_replicas_of(ask, call.fields, "removingReplicas"),
        _like("DELETE", _REPLICAS),
    ),
)
"""The same under the names that existing request collections use; what is in a path above is in the body there."""
