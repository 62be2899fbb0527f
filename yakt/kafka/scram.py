"""AlterUserScramCredentials in commands (controller.md §11, KIP-554)."""

from collections.abc import Sequence

from yakt.errors import RefusedError
from yakt.kafka.codes import Code
from yakt.kafka.messages import security as wire
from yakt.kafka.plan import UNTIMED_MS, Caller, Plan, Slots, View, error_of, message_of, refusal
from yakt.metadata import scram_control
from yakt.metadata.answers import Result
from yakt.metadata.commands import DeleteScramCredentials, UpsertScramCredential


def alter(request: wire.AlterUserScramCredentialsRequest, caller: Caller, view: View) -> Plan:
    """AlterUserScramCredentials: one change a user, deletions first; all that are good are written at once."""
    wanted = _by_user(request)
    slots = Slots(caller, UNTIMED_MS)
    for changes in wanted.values():
        if len(changes) == 1:
            slots.add(changes[0])
        else:
            slots.refuse_with(_refusal_of(changes[0], view))

    def respond(results: Sequence[Result]) -> wire.AlterUserScramCredentialsResponse:
        return wire.AlterUserScramCredentialsResponse(
            results=tuple(
                wire.AlterUserScramCredentialsResult(user, error_of(result), message_of(result))
                for user, result in zip(wanted, slots.fill(results), strict=True)
            )
        )

    return Plan(slots.asked, respond)


def _by_user(
    request: wire.AlterUserScramCredentialsRequest,
) -> dict[str, list[DeleteScramCredentials | UpsertScramCredential]]:
    found: dict[str, list[DeleteScramCredentials | UpsertScramCredential]] = {}
    for gone in request.deletions:
        found.setdefault(gone.name, []).append(DeleteScramCredentials(gone.name, gone.mechanism))
    for made in request.upsertions:
        found.setdefault(made.name, []).append(
            UpsertScramCredential(made.name, made.mechanism, made.iterations, made.salt, made.salted_password)
        )
    return found


def _refusal_of(first: DeleteScramCredentials | UpsertScramCredential, view: View) -> RefusedError:
    """Of a user who is named twice: what is wrong with the first, as far as anything is, comes before that."""
    try:
        scram_control.check(first)
    except RefusedError as exc:
        return exc
    if (
        isinstance(first, DeleteScramCredentials)
        and first.mechanism is not None
        and view.image.scram.get((first.user, first.mechanism)) is None
    ):
        return scram_control.not_found(first.user)
    return refusal(Code.DUPLICATE_RESOURCE, "A user credential cannot be altered twice in the same request")


def refuse_alter(
    request: wire.AlterUserScramCredentialsRequest, code: int, message: str | None
) -> wire.AlterUserScramCredentialsResponse:
    """The same error for each user."""
    return wire.AlterUserScramCredentialsResponse(
        results=tuple(wire.AlterUserScramCredentialsResult(user, code, message) for user in _by_user(request))
    )
