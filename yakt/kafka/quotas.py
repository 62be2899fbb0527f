"""AlterClientQuotas in commands (controller.md §11)."""

from collections import Counter
from collections.abc import Sequence

from yakt.kafka.codes import Code
from yakt.kafka.messages import configs as wire
from yakt.kafka.plan import UNTIMED_MS, Caller, Plan, Slots, View, error_of, message_of
from yakt.metadata import commands
from yakt.metadata.answers import Result


def alter(request: wire.AlterClientQuotasRequest, caller: Caller, view: View) -> Plan:
    """AlterClientQuotas: an entity fails or succeeds as a whole."""
    counts = Counter(frozenset(_named(entry)) for entry in request.entries)
    entries = list({frozenset(_named(entry)): entry for entry in request.entries}.values())
    slots = Slots(caller, UNTIMED_MS, check=request.validate_only)
    for entry in entries:
        if counts[frozenset(_named(entry))] > 1:
            slots.refuse(Code.INVALID_REQUEST, "the entity is named twice in the request")
            continue
        changes = tuple(commands.QuotaChange(op.key, None if op.remove else op.value) for op in entry.ops)
        slots.add(commands.AlterQuota(_named(entry), changes))

    def respond(results: Sequence[Result]) -> wire.AlterClientQuotasResponse:
        return wire.AlterClientQuotasResponse(
            entries=tuple(
                wire.AlterClientQuotasEntryResult(error_of(result), message_of(result), entry.entity)
                for entry, result in zip(entries, slots.fill(results), strict=True)
            )
        )

    return Plan(slots.asked, respond)


def _named(entry: wire.AlterClientQuotasEntry) -> tuple[tuple[str, str | None], ...]:
    return tuple((part.entity_type, part.entity_name) for part in entry.entity)


def refuse_alter(
    request: wire.AlterClientQuotasRequest, code: int, message: str | None
) -> wire.AlterClientQuotasResponse:
    """The same error for each entity."""
    return wire.AlterClientQuotasResponse(
        entries=tuple(wire.AlterClientQuotasEntryResult(code, message, entry.entity) for entry in request.entries)
    )
