"""Decides about producer ids and registered producers (controller.md §11, seed-api.md)."""

from yakt.metadata import refusals
from yakt.metadata.broker_control import find
from yakt.metadata.commands import AllocateProducerIds, DeleteProducer, RegisterProducer
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.records import ProducerIdsRecord, Record
from yakt.metadata.state import State
from yakt.metadata.tags import ProducerState, StateRows, state_record

BLOCK_SIZE = 1000
PRODUCER_ID_MAX = 2**53 - 1
BLOCK_START_MAX = 2**63 - 1 - BLOCK_SIZE


def next_block(state: State) -> int:
    """The first id of the next block. Raises RefusedError when there is none left."""
    row = state.next_producer_id.get(0)
    start = 0 if row is None else row.next
    if start > BLOCK_START_MAX:
        raise refusals.policy_violation("there are no producer ids left")
    return start


def allocate(state: State, command: AllocateProducerIds, stamp: Stamp) -> Decision:
    """PID ALLOC: the next thousand ids, for one broker."""
    find(state, command.broker, command.epoch)
    first = next_block(state)
    record = ProducerIdsRecord(command.broker, command.epoch, first + BLOCK_SIZE)
    return Decision([record], {"first": first, "count": BLOCK_SIZE})


def register(state: State, command: RegisterProducer, stamp: Stamp) -> Decision:
    """PRODUCER REGISTER: the id given, kept out of all blocks to come, or else the first of a new block."""
    find(state, command.broker, command.epoch)
    records: list[Record] = []
    start = next_block(state)
    if command.producer is None:
        producer_id = start
        while state.producers.get(producer_id) is not None:  # given before by a client, below a block of Kafka's
            producer_id += 1
        records.append(ProducerIdsRecord(command.broker, command.epoch, max(start + BLOCK_SIZE, producer_id + 1)))
    else:
        producer_id = command.producer
        if not 0 <= producer_id <= PRODUCER_ID_MAX:
            raise refusals.invalid_request(
                f"producer id {producer_id} is not in 0 to {PRODUCER_ID_MAX}", key="producer"
            )
        if state.producers.get(producer_id) is not None:
            raise refusals.conflict(
                f"producer {producer_id} is registered already",
                hint=f"PRODUCER SHOW {producer_id}",
                producer=producer_id,
            )
        if producer_id >= start:
            records.append(ProducerIdsRecord(command.broker, command.epoch, producer_id + 1))
    records.append(state_record(StateRows(producers=(ProducerState(producer_id, command.broker, command.epoch),))))
    return Decision(records, {"producer": producer_id})


def delete(state: State, command: DeleteProducer, stamp: Stamp) -> Decision:
    """PRODUCER DELETE: the registration; its id is not given again."""
    if state.producers.get(command.id) is None:
        raise refusals.unknown_producer(command.id, state.end_offset)
    return Decision([state_record(StateRows(producers=(ProducerState(command.id, removed=True),)))], {})
