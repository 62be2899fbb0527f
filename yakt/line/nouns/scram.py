"""SCRAM …: set, list, delete."""

from yakt.line.arguments import Choice, Integer, Text
from yakt.line.registry import Argument, CommandSpec, Example, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import DeleteScramCredentials, SetScramCredential
from yakt.metadata.questions import ListScramCredentials
from yakt.metadata.rows import SCRAM_MECHANISMS
from yakt.metadata.scram_control import ITERATIONS_MAX, ITERATIONS_MIN

_NUMBERS = {name: number for number, name in SCRAM_MECHANISMS.items()}
_MECHANISM = Choice(tuple(_NUMBERS))
_USER = Argument(name="user", type=Text(32767, low=1), text="the user's name")


def _set(
    user: str, password: str, mechanism: str = SCRAM_MECHANISMS[1], iterations: int = ITERATIONS_MIN
) -> SetScramCredential:
    return SetScramCredential(user, _NUMBERS[mechanism], password, iterations)


def _delete(user: str, mechanism: str | None = None) -> DeleteScramCredentials:
    return DeleteScramCredentials(user, None if mechanism is None else _NUMBERS[mechanism])


SCRAM = (
    CommandSpec(
        name="SCRAM SET",
        kind="write",
        text="Let a user log in at brokers with a password.",
        make=_set,
        arguments=(_USER,),
        options=(
            Option(
                key="password",
                type=Text(1024, low=1),
                text="kept nowhere; `yakt scram set USER password=` asks for it",
                required=True,
                secret=True,
            ),
            Option(key="mechanism", type=_MECHANISM, text=f"how; {SCRAM_MECHANISMS[1]}"),
            Option(
                key="iterations",
                type=Integer(ITERATIONS_MIN, ITERATIONS_MAX),
                text=f"what a guess costs; {ITERATIONS_MIN}",
            ),
        ),
        reply=("offset",),
        notes=(
            "The leader makes salt and keys of it, and only these are kept. The line itself travels in clear: to this "
            "node, and from it to the leader.",
            "A user has one credential a mechanism; setting it again replaces it.",
        ),
        examples=(
            Example(line="SCRAM SET alice password=secret", text="by SCRAM-SHA-256"),
            Example(line="SCRAM SET alice password=secret mechanism=SCRAM-SHA-512 iterations=8192", text="and by 512"),
        ),
    ),
    CommandSpec(
        name="SCRAM LIST",
        kind="read",
        text="Who has a credential, and how.",
        make=ListScramCredentials,
        options=(Option(key="user", type=Text(32767), text="only this user's"), FULL),
        paged=True,
        rows=("scram",),
        reply=("count", "offset"),
    ),
    CommandSpec(
        name="SCRAM DELETE",
        kind="write",
        text="Take a user's credentials away: of one mechanism, or all.",
        make=_delete,
        arguments=(_USER,),
        options=(Option(key="mechanism", type=_MECHANISM, text="only this one"),),
        reply=("offset", "deleted"),
    ),
)
