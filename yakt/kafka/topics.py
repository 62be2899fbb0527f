"""Topics in commands: CreateTopics, DeleteTopics, CreatePartitions (controller.md §7)."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from yakt.errors import RefusedError
from yakt.ids import ZERO_UUID, Uuid, parse_uuid
from yakt.kafka.codes import Code
from yakt.kafka.messages import topics as wire
from yakt.kafka.plan import Caller, Plan, Slots, View, error_of, message_of, refusal
from yakt.metadata import commands
from yakt.metadata.answers import Answer, Result
from yakt.metadata.config_keys import TOPIC_KEYS
from yakt.metadata.topic_control import PARTITIONS_MAX

NEW_TOPIC = 1
"""Config source: set for this topic."""
DEFAULT = 5
"""Config source: Kafka's default."""
DETAILS_SINCE = 5
"""Version of CreateTopics from which its answer tells partitions, replication and configs."""


def create(request: wire.CreateTopicsRequest, caller: Caller, view: View) -> Plan:
    """CreateTopics: whatever of it is good is made at once."""
    counts = Counter(topic.name for topic in request.topics)
    is_too_many = sum(_partitions_of(topic) for topic in request.topics) > PARTITIONS_MAX
    slots = Slots(caller, request.timeout_ms, check=request.validate_only)
    topics = list({topic.name: topic for topic in request.topics}.values())
    for topic in topics:
        if is_too_many:
            slots.refuse(Code.POLICY_VIOLATION, f"more than {PARTITIONS_MAX} partitions in one request")
        elif counts[topic.name] > 1:
            slots.refuse(Code.INVALID_REQUEST, "Duplicate topic name.")
        else:
            slots.add_or_refuse(partial(_create_command, topic))

    def respond(results: Sequence[Result]) -> wire.CreateTopicsResponse:
        return wire.CreateTopicsResponse(
            topics=tuple(_created(topic, result) for topic, result in zip(topics, slots.fill(results), strict=True))
        )

    return Plan(slots.asked, respond)


def _partitions_of(topic: wire.CreatableTopic) -> int:
    return len(topic.assignments) or max(topic.num_partitions, 1)


def _create_command(topic: wire.CreatableTopic) -> commands.CreateTopic:
    """Raises RefusedError for what no command of ours could say."""
    configs: list[tuple[str, str]] = []
    for config in topic.configs:
        if config.value is None:
            raise refusal(Code.INVALID_CONFIG, f"Null value not supported for topic configs: {config.name}")
        configs.append((config.name, config.value))
    if not topic.assignments:
        if topic.replication_factor in (0, -32768) or topic.replication_factor < -1:
            raise refusal(Code.INVALID_REPLICATION_FACTOR, "Replication factor must be larger than 0.")
        if topic.num_partitions == 0:
            raise refusal(Code.INVALID_PARTITIONS, "Number of partitions must be larger than 0.")
        return commands.CreateTopic(
            topic.name,
            partitions=None if topic.num_partitions == -1 else topic.num_partitions,
            replication=None if topic.replication_factor == -1 else topic.replication_factor,
            configs=tuple(configs),
        )
    if topic.num_partitions != -1 or topic.replication_factor != -1:
        raise refusal(
            Code.INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions or replicationFactor was not set to -1.",
        )
    by_index = {given.partition_index: given.broker_ids for given in topic.assignments}
    if len(by_index) != len(topic.assignments) or sorted(by_index) != list(range(len(by_index))):
        raise refusal(Code.INVALID_REPLICA_ASSIGNMENT, "partitions are not numbered from 0 without gaps, once each")
    return commands.CreateTopic(
        topic.name, assignment=tuple(by_index[index] for index in range(len(by_index))), configs=tuple(configs)
    )


def _created(topic: wire.CreatableTopic, result: Result) -> wire.CreatableTopicResult:
    if isinstance(result, RefusedError):
        return wire.CreatableTopicResult(
            topic.name, error_code=error_of(result), error_message=message_of(result), configs=()
        )
    topic_id, partitions, replication = ZERO_UUID, topic.num_partitions, topic.replication_factor
    if "id" in result.pairs:
        topic_id = parse_uuid(str(result.pairs["id"]))
        partitions, replication = _number(result, "partitions"), _number(result, "replication")
    elif topic.assignments:
        partitions, replication = len(topic.assignments), len(topic.assignments[0].broker_ids)
    given = {config.name: config.value for config in topic.configs}
    return wire.CreatableTopicResult(
        topic.name,
        topic_id,
        num_partitions=partitions,
        replication_factor=replication,
        configs=tuple(
            wire.CreatableTopicConfigs(
                name, given.get(name, key.default), config_source=NEW_TOPIC if name in given else DEFAULT
            )
            for name, key in sorted(TOPIC_KEYS.items())
        ),
    )


def _number(answer: Answer, key: str) -> int:
    value = answer.pairs[key]
    assert isinstance(value, int)
    return value


def refuse_create(request: wire.CreateTopicsRequest, code: int, message: str | None) -> wire.CreateTopicsResponse:
    """The same error for each topic."""
    return wire.CreateTopicsResponse(
        topics=tuple(
            wire.CreatableTopicResult(name, error_code=code, error_message=message, configs=())
            for name in dict.fromkeys(topic.name for topic in request.topics)
        )
    )


def _states_of(request: wire.DeleteTopicsRequest) -> list[wire.DeleteTopicState]:
    """Topics to delete, whichever way the version says it."""
    return [*request.topics, *(wire.DeleteTopicState(name=name) for name in request.topic_names)]


def delete(request: wire.DeleteTopicsRequest, caller: Caller, view: View) -> Plan:
    """DeleteTopics, by name or id."""
    named = [(state, _name_of(state, view)) for state in _states_of(request)]
    counts = Counter(name for _, name in named if name is not None)
    # A topic that is named twice, by its name and by its id too, is answered once.
    once = {state.topic_id if name is None else name: (state, name) for state, name in reversed(named)}
    states, names = zip(*reversed(once.values()), strict=True) if once else ((), ())
    slots = Slots(caller, request.timeout_ms)
    for state, name in zip(states, names, strict=True):
        if (state.name is None) == (state.topic_id == ZERO_UUID):
            slots.refuse(Code.INVALID_REQUEST, "either a name or an id names the topic")
        elif name is None:
            slots.refuse(Code.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
        elif counts[name] > 1:
            slots.refuse(Code.INVALID_REQUEST, "the topic is named twice")
        else:
            slots.add(commands.DeleteTopic(name))

    def respond(results: Sequence[Result]) -> wire.DeleteTopicsResponse:
        return wire.DeleteTopicsResponse(
            responses=tuple(
                wire.DeletableTopicResult(
                    name,
                    parse_uuid(str(result.pairs["id"])) if isinstance(result, Answer) else state.topic_id,
                    error_of(result),
                    message_of(result),
                )
                for state, name, result in zip(states, names, slots.fill(results), strict=True)
            )
        )

    return Plan(slots.asked, respond)


def _name_of(state: wire.DeleteTopicState, view: View) -> str | None:
    if state.name is not None or state.topic_id == ZERO_UUID:
        return state.name
    return view.image.topic_names.get(Uuid(state.topic_id))


def refuse_delete(request: wire.DeleteTopicsRequest, code: int, message: str | None) -> wire.DeleteTopicsResponse:
    """The same error for each topic."""
    return wire.DeleteTopicsResponse(
        responses=tuple(
            wire.DeletableTopicResult(state.name, state.topic_id, code, message) for state in _states_of(request)
        )
    )


def add_partitions(request: wire.CreatePartitionsRequest, caller: Caller, view: View) -> Plan:
    """CreatePartitions: up to a new total."""
    counts = Counter(topic.name for topic in request.topics)
    topics = list({topic.name: topic for topic in request.topics}.values())
    slots = Slots(caller, request.timeout_ms, check=request.validate_only)
    for topic in topics:
        if counts[topic.name] > 1:
            slots.refuse(Code.INVALID_REQUEST, "Duplicate topic name.")
            continue
        given = topic.assignments
        assignment = None if given is None else tuple(one.broker_ids for one in given)
        slots.add(commands.AddPartitions(topic.name, topic.count, assignment))

    def respond(results: Sequence[Result]) -> wire.CreatePartitionsResponse:
        return wire.CreatePartitionsResponse(
            results=tuple(
                wire.CreatePartitionsTopicResult(topic.name, error_of(result), message_of(result))
                for topic, result in zip(topics, slots.fill(results), strict=True)
            )
        )

    return Plan(slots.asked, respond)


def refuse_add_partitions(
    request: wire.CreatePartitionsRequest, code: int, message: str | None
) -> wire.CreatePartitionsResponse:
    """The same error for each topic."""
    return wire.CreatePartitionsResponse(
        results=tuple(
            wire.CreatePartitionsTopicResult(name, code, message)
            for name in dict.fromkeys(topic.name for topic in request.topics)
        )
    )
