"""Brokers over HTTP: register, list, show, change, unregister; what the log says of one (seed-api.md, 1-3, 8, 9)."""

from collections import deque

from yakt.errors import RefusedError
from yakt.http.asking import Asking
from yakt.http.fields import Fields
from yakt.http.problems import bad_field
from yakt.http.records import CHANGE_RECORD, beside, change_fields, envelope
from yakt.http.reply import Reply, checked, list_of, one_of
from yakt.metadata.answers import Answer, Row
from yakt.metadata.entities import Entity
from yakt.metadata.questions import ReadHistory

HISTORY_ROWS_MAX = 10_000
_STATUSES = ("INIT", "ALIVE", "FENCED", "UNFENCED", "CLOSED")


async def register(ask: Asking, fields: Fields) -> Reply:
    """1: the registration counts as first contact, so the broker is ALIVE in the same batch. 201."""
    broker_id = fields.needed_number("brokerId")
    _status(fields)
    answer = await ask.ask(
        "BROKER REGISTER",
        broker_id,
        host=fields.needed_text("brokerHost"),
        port=_port(fields),
        rack=fields.text("rackId"),
        protocol=fields.text("securityProtocol"),
        session=fields.number("sessionMs"),
        alive=True,
    )
    return checked(answer) or await _written(ask, broker_id, answer, 201)


async def list_all(ask: Asking, *, only_active: bool = False) -> Reply:
    """2: all that are registered; `active=true`: those that are ALIVE."""
    active = "true" if only_active else ask.take("active")
    if active not in (None, "true", "false"):
        raise bad_field("active", "is true or false")
    fenced = None if active is None else active != "true"
    answer = await ask.ask("BROKER LIST", fenced=fenced, full=True)
    return await list_of(ask, answer, "/v1/brokers")


async def show(ask: Asking, given: object) -> Reply:
    """3: by id or uuid; an unregistered one is CLOSED."""
    broker_id = await ask.broker_id(given, closed=True)
    return await one_of(ask, await ask.ask("BROKER SHOW", broker_id, full=True))


async def change(ask: Asking, given: object, fields: Fields) -> Reply:
    """8: what is given changes, `epoch` is one more. `rackId` null takes the rack away."""
    status = _status(fields)
    if status == "CLOSED":
        raise RefusedError("BAD_ARGUMENT", "a broker is unregistered by DELETE", details={"key": "brokerStatus"})
    broker_id = await ask.broker_id(given)
    answer = await ask.ask(
        "BROKER CHANGE",
        broker_id,
        host=fields.text("brokerHost"),
        port=_port(fields) if fields.get("brokerPort") is not None else None,
        protocol=fields.text("securityProtocol"),
        rack="" if fields.is_null("rackId") else fields.text("rackId"),
    )
    done = checked(answer)
    if done is not None:
        return done
    if status == "FENCED":
        answer = await ask.ask_besides("BROKER FENCE", broker_id)
    elif status == "ALIVE":
        answer = await ask.ask_besides("BROKER HEARTBEAT", broker_id)
    row = await _row(ask, broker_id, answer)
    times = await ask.times((row,))
    found = envelope(CHANGE_RECORD, change_fields(row.pairs), _offset(row), times[0])
    return Reply({**beside(found), "internalUUID": row.pairs["uuid"], "brokerId": str(broker_id)})


async def unregister(ask: Asking, given: object) -> Reply:
    """9: its uuid; afterwards it is CLOSED, and its id may register again."""
    broker_id = await ask.broker_id(given)
    uuid = ask.names.broker_uuid(broker_id)
    answer = await ask.ask("BROKER UNREGISTER", broker_id)
    done = checked(answer)
    if done is not None:
        return done
    return Reply({"internalUUID": uuid, "brokerId": broker_id, "offset": answer.pairs["offset"]})


async def list_changes(ask: Asking, given: object) -> Reply:
    """The changes (8) of this id's registrations that the kept log tells, oldest first."""
    broker_id = await ask.broker_id(given, closed=True)
    rows = await _history(ask, Entity("broker", str(broker_id)))
    changed: list[Row] = []
    before: Row | None = None
    for row in rows:
        if row.kind != "broker":
            continue
        if row.pairs.get("deleted"):
            before = None
            continue
        is_same = before is not None and before.pairs["uuid"] == row.pairs["uuid"]
        if is_same and before is not None and before.pairs["changes"] != row.pairs["changes"]:
            changed.append(row)
        before = row
    return Reply(
        [envelope(CHANGE_RECORD, change_fields(row.pairs), _offset(row), _number(row, "time")) for row in changed]
    )


async def _history(ask: Asking, broker: Entity) -> list[Row]:
    """All pages, or of very many the newest."""
    rows: deque[Row] = deque(maxlen=HISTORY_ROWS_MAX)
    after: str | None = None
    while True:
        answer = await ask.ask_node(ReadHistory(broker, limit=HISTORY_ROWS_MAX, after=after))
        rows += answer.rows
        if "next" not in answer.pairs:
            return list(rows)
        after = str(answer.pairs["next"])


def _port(fields: Fields) -> int:
    """A number or a text of one; left out or "": 0."""
    port = fields.number("brokerPort")
    return 0 if port is None else port


def _status(fields: Fields) -> str | None:
    """As it is kept: UNFENCED is ALIVE, INIT is FENCED."""
    status = fields.text("brokerStatus")
    if status is None:
        return None
    if status not in _STATUSES:
        raise bad_field("brokerStatus", f"is one of {', '.join(_STATUSES)}")
    return {"UNFENCED": "ALIVE", "INIT": "FENCED"}.get(status, status)


async def _row(ask: Asking, broker_id: int, answer: Answer) -> Row:
    """The broker as it is once `answer`'s write is applied here."""
    offset = answer.pairs["offset"]
    assert isinstance(offset, int)
    return (await ask.ask_besides("BROKER SHOW", broker_id, full=True, min=offset)).rows[0]


async def _written(ask: Asking, broker_id: int, answer: Answer, status: int) -> Reply:
    row = await _row(ask, broker_id, answer)
    return await one_of(ask, Answer({"offset": answer.pairs["offset"]}, (row,)), status)


def _offset(row: Row) -> int:
    return _number(row, "offset")


def _number(row: Row, key: str) -> int:
    number = row.pairs[key]
    assert isinstance(number, int)
    return number
