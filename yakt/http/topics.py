"""Topics, partitions and replicas over HTTP (seed-api.md, 4-6, 12, 13)."""

from collections.abc import Sequence

from yakt.errors import RefusedError
from yakt.http.asking import Asking
from yakt.http.fields import Fields, read_number
from yakt.http.problems import bad_field
from yakt.http.records import envelopes
from yakt.http.reply import Reply, checked, list_of, of_envelope, one_of
from yakt.metadata.answers import Answer, Row

TRIES = 8
"""Of a reassignment that another write to the topic came before."""


# --- topics


async def create(ask: Asking, fields: Fields) -> Reply:
    """4: without `partitions` the topic alone. 201."""
    name = fields.needed_text("name", "topic_name")
    partitions = fields.number("partitions")
    answer = await ask.ask(
        "TOPIC CREATE",
        name,
        partitions=0 if partitions is None else partitions,
        replication=fields.number("replication"),
    )
    done = checked(answer)
    return done if done is not None else await one_of(ask, await _written_topic(ask, name, answer), 201)


async def list_all(ask: Asking) -> Reply:
    """All topics; `name=` one, `match=` a glob."""
    name = ask.take("name")
    pairs = {} if name is None else {"match": name}
    return await list_of(ask, await ask.ask("TOPIC LIST", full=True, **pairs), "/v1/topics")


async def show(ask: Asking, given: str) -> Reply:
    """5: by name or uuid, with its partitions beside."""
    name = await ask.topic_name(given)
    partitions = await ask.ask("TOPIC SHOW", name, full=True)
    row = await _topic_row(ask, name)
    rows = (row, *partitions.rows)
    found = envelopes(rows, await ask.times(rows), ask.names)
    return of_envelope({**found[0], "partitions": found[1:]}, partitions)


async def delete(ask: Asking, given: str) -> Reply:
    """A topic, its partitions and configs."""
    name = await ask.topic_name(given)
    answer = await ask.ask("TOPIC DELETE", name)
    done = checked(answer)
    if done is not None:
        return done
    return Reply({"topicUUID": answer.pairs["id"], "name": name, "offset": answer.pairs["offset"]})


# --- partitions


async def create_partition(ask: Asking, given: str | None, fields: Fields) -> Reply:
    """6: the next number, or one that was deleted. 201."""
    name = await ask.topic_name(given if given is not None else _topic_of(fields))
    replicas, isr, leader = fields.items("replicas"), fields.items("ISR"), fields.get("leader")
    answer = await ask.ask(
        "PARTITION CREATE",
        name,
        partition=fields.number("partitionId"),
        replicas=None if replicas is None else await ask.broker_ids(replicas, "replicas"),
        isr=None if isr is None else await ask.broker_ids(isr, "ISR"),
        leader=None if leader is None else (await ask.broker_ids([leader], "leader"))[0],
    )
    done = checked(answer)
    if done is not None:
        return done
    number, offset = answer.pairs["partition"], answer.pairs["offset"]
    assert isinstance(number, int)
    assert isinstance(offset, int)
    return await _partition_reply(ask, name, number, 201, min_offset=offset)


async def list_partitions(ask: Asking, given: str | None = None) -> Reply:
    """All, or one topic's; `topicUUID=` and `topic=` choose one too, `partitionId=` one of its partitions."""
    asked = given or ask.take("topicUUID") or ask.take("topic")
    number = ask.take("partitionId")
    if number is not None:
        if asked is None:
            raise bad_field("topicUUID", "is needed with partitionId")
        return await show_partition(ask, asked, number)
    name = None if asked is None else await ask.topic_name(asked)
    path = "/v1/partitions" if given is None else f"/v1/topics/{name}/partitions"
    return await list_of(ask, await ask.ask("PARTITION LIST", topic=name, full=True), path)


async def show_partition(ask: Asking, given: str, number: object) -> Reply:
    """One partition."""
    name = await ask.topic_name(given)
    wanted = _number(number)
    answer = await ask.ask("TOPIC SHOW", name, full=True, limit=1, after=str(wanted - 1))
    return await one_of(ask, _only(answer, name, wanted))


async def delete_partition(ask: Asking, given: str | None, number: object) -> Reply:
    """It is left without replicas and leader, and in no list."""
    asked = given or ask.take("topicUUID") or ask.take("topic")
    if asked is None:
        raise bad_field("topicUUID", "is needed")
    wanted = _number(number if number is not None else ask.take("partitionId"))
    name = await ask.topic_name(asked)
    uuid = ask.names.topic_uuid(name)
    answer = await ask.ask("PARTITION DELETE", f"{name}:{wanted}")
    done = checked(answer)
    if done is not None:
        return done
    return Reply({"topicUUID": uuid, "partitionId": wanted, "offset": answer.pairs["offset"]})


# --- replicas


async def add_replica(ask: Asking, given: str, number: object, broker: object) -> Reply:
    """12: a reassignment; the new one is in `addingReplicas` until the leader takes it into the ISR."""
    broker_id = await ask.broker_id(broker)
    return await _reassign(ask, await ask.topic_name(given), _number(number), add=broker_id)


async def remove_replica(ask: Asking, given: str, number: object, broker: object) -> Reply:
    """13: 404 for a broker that holds none."""
    broker_id = await ask.broker_id(broker, closed=True)
    return await _reassign(ask, await ask.topic_name(given), _number(number), remove=broker_id)


async def change_replicas_of(ask: Asking, fields: Fields, key: str) -> Reply:
    """By `partitionId` and one broker in `addingReplicas` or `removingReplicas`. Where no topic is named, the only one
    that has that partition; 400 lists them where there are several."""
    number = fields.needed_number("partitionId")
    brokers = fields.items(key)
    if brokers is None or len(brokers) != 1:
        raise bad_field(key, "holds one broker")
    given = fields.text("topicUUID", "topicName", "topic_name", "topic") or await _only_topic_with(ask, number)
    change = add_replica if key == "addingReplicas" else remove_replica
    return await change(ask, given, number, brokers[0])


async def _only_topic_with(ask: Asking, number: int) -> str:
    await ask.settle()
    image = ask.service.image
    found: list[str] = []
    for topic in image.topics.rows():
        row = image.partitions.get((topic.id, number))
        if row is not None and row.replicas:
            found.append(topic.name)
    if len(found) == 1:
        return found[0]
    if not found:
        raise _no_partition("?", number)
    raise RefusedError(
        "BAD_ARGUMENT",
        f"{len(found)} topics have a partition {number}: say which by topicUUID",
        details={"key": "topicUUID", "topics": found[:100]},
    )


async def _reassign(ask: Asking, name: str, number: int, *, add: int | None = None, remove: int | None = None) -> Reply:
    """Read, decide, and write if nothing came between (`if-offset`)."""
    for left in reversed(range(TRIES)):
        answer = await ask.ask_besides("TOPIC SHOW", name, full=True, limit=1, after=str(number - 1))
        row = _only(answer, name, number).rows[0]
        replicas, removing = _ids(row, "replicas"), _ids(row, "removing")
        target = [one for one in replicas if one not in removing and one != remove]
        if add is not None:
            if add in target:
                return await one_of(ask, Answer({"offset": answer.pairs["offset"]}, (row,)))
            target.append(add)
        elif remove not in replicas:
            raise RefusedError(
                "NOT_FOUND", f"broker {remove} holds no replica of {name}:{number}", details={"replicas": replicas}
            )
        offset = answer.pairs["offset"]
        pairs = {} if "if-offset" in ask.options else {"if-offset": offset}
        try:
            done = await ask.ask("PARTITION REASSIGN", f"{name}:{number}", replicas=target, **pairs)  # type: ignore[arg-type]
        except RefusedError as refusal:
            if refusal.code != "CONFLICT" or not left or "if-offset" in ask.options:
                raise
            continue
        check = checked(done)
        written = done.pairs["offset"] if check is None else 0
        assert isinstance(written, int)
        return check or await _partition_reply(ask, name, number, 200, min_offset=written)
    raise AssertionError


async def _partition_reply(ask: Asking, name: str, number: int, status: int, *, min_offset: int) -> Reply:
    answer = await ask.ask_besides("TOPIC SHOW", name, full=True, limit=1, after=str(number - 1), min=min_offset)
    return await one_of(ask, _only(answer, name, number), status)


# --- what they share


def _topic_of(fields: Fields) -> str:
    return fields.needed_text("topicUUID", "topicName", "topic_name", "topic")


def _number(given: object) -> int:
    if given is None:
        raise bad_field("partitionId", "is needed")
    number = read_number(given, "partitionId")
    if not 0 <= number < 2**31:
        raise bad_field("partitionId", "is a partition's number")
    return number


def _only(answer: Answer, name: str, number: int) -> Answer:
    """The answer, if its first row is that partition. Raises RefusedError (404)."""
    if not answer.rows or answer.rows[0].pairs["partition"] != number:
        raise _no_partition(name, number)
    return answer


def _no_partition(name: str, number: int) -> RefusedError:
    return RefusedError(
        "UNKNOWN_TOPIC_OR_PARTITION",
        f"there is no partition {name}:{number}",
        kafka=3,
        hint="PARTITION LIST",
        details={"topic": name, "partition": number},
    )


def _ids(row: Row, key: str) -> list[int]:
    value = row.pairs[key]
    assert isinstance(value, Sequence)
    return [int(one) for one in value]  # type: ignore[arg-type]  # broker ids


async def _topic_row(ask: Asking, name: str, **pairs: int) -> Row:
    answer = await ask.ask_besides("TOPIC LIST", match=name, full=True, **pairs)
    if not answer.rows:
        raise RefusedError("UNKNOWN_TOPIC", f"no topic {name}", kafka=3, details={"topic": name})
    return answer.rows[0]


async def _written_topic(ask: Asking, name: str, answer: Answer) -> Answer:
    offset = answer.pairs["offset"]
    assert isinstance(offset, int)
    return Answer({"offset": offset}, (await _topic_row(ask, name, min=offset),))
