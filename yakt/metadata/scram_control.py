"""Decides about SCRAM credentials (controller.md §11, RFC 5802): the keys of a password, never the password."""

import hashlib
import hmac

from yakt.errors import RefusedError
from yakt.metadata import refusals
from yakt.metadata.commands import DeleteScramCredentials, SetScramCredential, UpsertScramCredential
from yakt.metadata.decision import Decision, Stamp
from yakt.metadata.records import Record, RemoveUserScramCredentialRecord, UserScramCredentialRecord
from yakt.metadata.rows import SCRAM_MECHANISMS
from yakt.metadata.state import State

HASHES = {1: "sha256", 2: "sha512"}
"""Of the mechanisms, by Kafka's number."""
ITERATIONS_MIN, ITERATIONS_MAX = 4096, 16_384
NAME_SIZE_MAX = 32_767
TURN_ITERATIONS_MAX = 65_536
"""Of all passwords in one turn: some 40 ms of a controller that has leases to keep."""


def set_password(state: State, command: SetScramCredential, stamp: Stamp) -> Decision:
    """SCRAM SET: a fresh salt, and what Kafka's own tool would make with it."""
    check(command)
    if stamp.derived_at != stamp.now:
        stamp.derived_at, stamp.derived = stamp.now, 0
    if stamp.derived + command.iterations > TURN_ITERATIONS_MAX:
        raise RefusedError("OVERLOADED", "too many passwords at once", retry=True)
    stamp.derived += command.iterations
    salt = stamp.new_uuid() + stamp.new_uuid()
    hash_name = HASHES[command.mechanism]
    salted = hashlib.pbkdf2_hmac(hash_name, command.password.encode(), salt, command.iterations)
    return _upserted(command.user, command.mechanism, salt, salted, command.iterations)


def upsert(state: State, command: UpsertScramCredential, stamp: Stamp) -> Decision:
    """One upsertion of AlterUserScramCredentials."""
    check(command)
    return _upserted(command.user, command.mechanism, command.salt, command.salted_password, command.iterations)


def delete(state: State, command: DeleteScramCredentials, stamp: Stamp) -> Decision:
    """SCRAM DELETE; RESOURCE_NOT_FOUND if there is none."""
    check(command)
    wanted = [number for number in SCRAM_MECHANISMS if command.mechanism in (None, number)]
    records: list[Record] = [
        RemoveUserScramCredentialRecord(command.user, number)
        for number in wanted
        if state.scram.get((command.user, number)) is not None
    ]
    if not records:
        raise not_found(command.user)
    return Decision(records, {"deleted": len(records)})


def not_found(user: str) -> RefusedError:
    """Why nothing of the user's is deleted, with Kafka's number, 91."""
    return refusals.resource_not_found(
        "Attempt to delete a user credential that does not exist", hint="SCRAM LIST", user=user
    )


def changed_offset(state: State, user: str, mechanism: int | None) -> int | None:
    """Of the user's credential, or of any, as far as that is known."""
    wanted = [number for number in SCRAM_MECHANISMS if mechanism in (None, number)]
    offsets = [state.scram.changed_offset((user, number)) for number in wanted]
    return max((offset for offset in offsets if offset is not None), default=None)


def check(command: SetScramCredential | UpsertScramCredential | DeleteScramCredentials) -> None:
    """What can be told without looking at the state. Raises RefusedError with Kafka's numbers, 33 and 93."""
    if not command.user:
        raise refusals.unacceptable_credential("Username must not be empty", key="user")
    if len(command.user.encode("utf-8", "surrogatepass")) > NAME_SIZE_MAX:
        raise refusals.unacceptable_credential(f"the user's name is longer than {NAME_SIZE_MAX} bytes", key="user")
    if command.mechanism is not None and command.mechanism not in SCRAM_MECHANISMS:
        raise RefusedError("UNSUPPORTED_SASL_MECHANISM", "Unknown SCRAM mechanism", kafka=33)
    if isinstance(command, DeleteScramCredentials):
        return
    if command.iterations < ITERATIONS_MIN:
        raise refusals.unacceptable_credential("Too few iterations", key="iterations", least=ITERATIONS_MIN)
    if command.iterations > ITERATIONS_MAX:
        raise refusals.unacceptable_credential("Too many iterations", key="iterations", most=ITERATIONS_MAX)


def _upserted(user: str, mechanism: int, salt: bytes, salted_password: bytes, iterations: int) -> Decision:
    """StoredKey and ServerKey are all that a server needs (RFC 5802, §3)."""
    hash_name = HASHES[mechanism]
    client_key = hmac.digest(salted_password, b"Client Key", hash_name)
    stored_key = hashlib.new(hash_name, client_key).digest()
    server_key = hmac.digest(salted_password, b"Server Key", hash_name)
    return Decision([UserScramCredentialRecord(user, mechanism, salt, stored_key, server_key, iterations)], {})
