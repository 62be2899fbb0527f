"""Decides about delegation tokens: they can be ended, and end by themselves; a node that has no key makes none.

A token's secret is made of its id and `delegation.token.secret.key`, which only Kafka's processes have.
"""

from yakt.metadata import refusals
from yakt.metadata.commands import DeleteToken
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.records import DelegationTokenRecord, Record, RemoveDelegationTokenRecord
from yakt.metadata.state import State

SWEEP_INTERVAL_S = 3600.0
"""Kafka's delegation.token.expiry.check.interval.ms."""


def delete(state: State, command: DeleteToken, stamp: Stamp) -> Decision:
    """TOKEN DELETE."""
    if state.tokens.get(command.id) is None:
        raise refusals.unknown_token(command.id, state.end_offset)
    return Decision([RemoveDelegationTokenRecord(command.id)], {})


def expired(state: State, now_ms: int) -> list[Record]:
    """The removal of each token whose time is over."""
    records: list[Record] = []
    for row in state.tokens.rows():
        assert isinstance(row.record, DelegationTokenRecord)
        if min(row.record.max_timestamp, row.record.expiration_timestamp) < now_ms:
            records.append(RemoveDelegationTokenRecord(row.record.token_id))
    return records
