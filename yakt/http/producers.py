"""Producers registered with a broker, over HTTP (seed-api.md, 7)."""

from yakt.http.asking import Asking
from yakt.http.fields import Fields, read_number
from yakt.http.reply import Reply, checked, list_of, one_of


async def register(ask: Asking, fields: Fields) -> Reply:
    """7: with the id given, once; or the first of a new block. `brokerEpoch`: Kafka's, or this API's `epoch`. 201."""
    broker_id = await ask.broker_id(fields.get("brokerId", "internalUUID"))
    given = fields.number("brokerEpoch")
    row = ask.service.image.brokers.get(broker_id)
    assert row is not None
    epoch = row.epoch if given is None or given == row.changes else given
    answer = await ask.ask("PRODUCER REGISTER", broker=broker_id, epoch=epoch, producer=fields.number("producerId"))
    done = checked(answer)
    if done is not None:
        return done
    producer, offset = answer.pairs["producer"], answer.pairs["offset"]
    assert isinstance(producer, int)
    assert isinstance(offset, int)
    return await one_of(ask, await ask.ask_besides("PRODUCER SHOW", producer, full=True, min=offset), 201)


async def list_all(ask: Asking) -> Reply:
    """All of them."""
    return await list_of(ask, await ask.ask("PRODUCER LIST", full=True), "/v1/producers")


async def show(ask: Asking, given: object) -> Reply:
    """One, by its id."""
    return await one_of(ask, await ask.ask("PRODUCER SHOW", read_number(given, "producerId"), full=True))


async def delete(ask: Asking, given: object) -> Reply:
    """It is forgotten; its id is not given again by itself."""
    producer_id = read_number(given, "producerId")
    answer = await ask.ask("PRODUCER DELETE", producer_id)
    return checked(answer) or Reply({"producerId": producer_id, "offset": answer.pairs["offset"]})
