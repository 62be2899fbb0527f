"""SCRAM credentials: the keys that RFC 5802 asks for, and a password that is nowhere afterwards."""

import base64
import hashlib
import hmac

import pytest

from tests.metadata.cluster import Cluster, code_of
from yakt.errors import RefusedError
from yakt.metadata import commands as c
from yakt.metadata import queries
from yakt.metadata import questions as q
from yakt.metadata import records as r
from yakt.metadata.active import command_crc
from yakt.metadata.codec import encode, shown_record
from yakt.metadata.scram_control import TURN_ITERATIONS_MAX

PASSWORD = "correct horse"


def test_the_exchange_of_rfc_7677() -> None:
    """A server that has these keys takes the RFC's client, and the client takes it."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096)
    [record] = Cluster().records_of(c.UpsertScramCredential("user", 1, 4096, salt, salted))
    assert isinstance(record, r.UserScramCredentialRecord)
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    said = (f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}").encode()
    server_signature = hmac.digest(record.server_key, said, "sha256")
    assert base64.b64encode(server_signature) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client_key = bytes(map(int.__xor__, proof, hmac.digest(record.stored_key, said, "sha256")))
    assert hashlib.sha256(client_key).digest() == record.stored_key


@pytest.mark.parametrize(("mechanism", "name", "iterations"), [(1, "sha256", 4096), (2, "sha512", 16_384)])
def test_a_password_becomes_the_keys_of_a_fresh_salt(mechanism: int, name: str, iterations: int) -> None:
    cluster = Cluster()
    first, second = (
        cluster.records_of(c.SetScramCredential("alice", mechanism, PASSWORD, iterations))[0] for _ in range(2)
    )
    assert isinstance(first, r.UserScramCredentialRecord)
    assert isinstance(second, r.UserScramCredentialRecord)
    assert first.salt != second.salt
    assert len(first.salt) == 32
    salted = hashlib.pbkdf2_hmac(name, PASSWORD.encode(), first.salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", name)
    assert first.stored_key == hashlib.new(name, client_key).digest()
    assert first.server_key == hmac.digest(salted, b"Server Key", name)
    assert (first.mechanism, first.iterations) == (mechanism, iterations)
    assert len(cluster.image.scram) == 1  # it replaces the one before


def test_no_byte_of_a_password_is_written_and_no_key_is_shown() -> None:
    cluster = Cluster()
    command = c.SetScramCredential("alice", 1, PASSWORD, 4096)
    [record] = cluster.records_of(command, request="r1", client="me")
    assert isinstance(record, r.UserScramCredentialRecord)
    assert PASSWORD not in repr(command)
    assert PASSWORD.encode() not in encode(record)
    # A checksum of it in the request's mark would be as good as the password for whoever has a list of guesses.
    assert command_crc(command) == command_crc(c.SetScramCredential("alice", 1, "another", 4096))
    assert command_crc(command) != command_crc(c.SetScramCredential("alice", 2, PASSWORD, 4096))
    shown = shown_record(record)
    assert shown == {
        "name": "alice",
        "mechanism": 1,
        "salt": "[redacted]",
        "storedKey": "[redacted]",
        "serverKey": "[redacted]",
        "iterations": 4096,
    }
    [row] = cluster.submit(command, check=True).result.rows  # type: ignore[union-attr]
    assert row.pairs["fields"] == shown
    [row] = queries.answer(cluster.image, q.ListScramCredentials()).rows
    assert row.pairs == {"user": "alice", "mechanism": "SCRAM-SHA-256", "iterations": 4096}


def test_a_repeat_is_applied_once_whatever_its_password() -> None:
    cluster = Cluster()
    offset = cluster.do(c.SetScramCredential("alice", 1, PASSWORD, 4096), request="r1")["offset"]
    assert cluster.do(c.SetScramCredential("alice", 1, "another", 4096), request="r1") == {"offset": offset}
    assert cluster.submit(c.SetScramCredential("bob", 1, PASSWORD, 4096), request="r1").result.code == "CONFLICT"  # type: ignore[union-attr]


def test_passwords_do_not_hold_a_turn_up() -> None:
    cluster = Cluster()
    count = TURN_ITERATIONS_MAX // 16_384
    said = [code_of(cluster.submit(c.SetScramCredential(f"u{i}", 2, "p", 16_384))) for i in range(count + 2)]
    assert said == ["OK"] * count + ["OVERLOADED"] * 2
    cluster.commit()
    cluster.wait(0.001)
    assert code_of(cluster.submit(c.SetScramCredential("u", 2, "p", 16_384))) == "OK"
    cluster.commit()


@pytest.mark.parametrize(
    ("command", "code", "number"),
    [
        (c.SetScramCredential("", 1, "p", 4096), "UNACCEPTABLE_CREDENTIAL", 93),
        (c.SetScramCredential("x" * 32_768, 1, "p", 4096), "UNACCEPTABLE_CREDENTIAL", 93),
        (c.SetScramCredential("a", 3, "p", 4096), "UNSUPPORTED_SASL_MECHANISM", 33),
        (c.SetScramCredential("a", 1, "p", 4095), "UNACCEPTABLE_CREDENTIAL", 93),
        (c.SetScramCredential("a", 1, "p", 16_385), "UNACCEPTABLE_CREDENTIAL", 93),
        (c.UpsertScramCredential("a", 0, 4096, b"s", b"p"), "UNSUPPORTED_SASL_MECHANISM", 33),
        (c.DeleteScramCredentials("nobody"), "RESOURCE_NOT_FOUND", 91),
        (c.DeleteScramCredentials("nobody", 7), "UNSUPPORTED_SASL_MECHANISM", 33),
    ],
)
def test_what_is_refused(command: c.Command, code: str, number: int) -> None:
    with pytest.raises(RefusedError) as refused:
        Cluster().do(command)
    assert (refused.value.code, refused.value.kafka) == (code, number)


def test_deletion_of_one_mechanism_and_of_all() -> None:
    cluster = Cluster()
    for mechanism in (1, 2):
        cluster.do(c.SetScramCredential("alice", mechanism, "p", 4096))
    cluster.do(c.SetScramCredential("bob", 1, "p", 4096))
    end = cluster.image.end_offset
    assert cluster.do(c.DeleteScramCredentials("alice", 2))["deleted"] == 1
    assert [row.pairs["user"] for row in queries.answer(cluster.image, q.ListScramCredentials(user="alice")).rows] == [
        "alice"
    ]
    with pytest.raises(RefusedError, match="changed at offset"):
        cluster.do(c.DeleteScramCredentials("alice"), if_offset=end)
    assert cluster.do(c.DeleteScramCredentials("alice"))["deleted"] == 1
    first = queries.answer(cluster.image, q.ListScramCredentials())
    assert [row.pairs["user"] for row in first.rows] == ["bob"]


def test_pages_by_user_and_mechanism() -> None:
    cluster = Cluster()
    for user in ("a:1", "b", "c"):
        for mechanism in (1, 2):
            cluster.do(c.SetScramCredential(user, mechanism, "p", 4096))
            cluster.wait(0.001)
    seen: list[object] = []
    after: str | None = None
    while True:
        answer = queries.answer(cluster.image, q.ListScramCredentials(limit=2, after=after))
        seen += [(row.pairs["user"], row.pairs["mechanism"]) for row in answer.rows]
        if "next" not in answer.pairs:
            break
        after = str(answer.pairs["next"])
    assert seen == [(user, f"SCRAM-SHA-{bits}") for user in ("a:1", "b", "c") for bits in (256, 512)]
    with pytest.raises(RefusedError, match="no next= of this list"):
        queries.answer(cluster.image, q.ListScramCredentials(after="x"))
