"""QUOTA …: set, list, delete."""

from yakt.line.arguments import Choice, Number, Text
from yakt.line.registry import Argument, CommandSpec, Example, Option
from yakt.line.shared import FULL
from yakt.metadata.commands import AlterQuota, DeleteQuotas, QuotaChange
from yakt.metadata.questions import ListQuotas

_PARTS = (
    Option(key="user", type=Text(32767), text="of this user; user= of every one without a quota of its own"),
    Option(key="client-id", type=Text(32767), text="of this client id, or with client-id= of every other"),
    Option(key="ip", type=Text(256), text="of this address, or with ip= of every other"),
)
_RATES = (
    Option(key="producer_byte_rate", type=Number(), text="bytes a second that are produced"),
    Option(key="consumer_byte_rate", type=Number(), text="bytes a second that are fetched"),
    Option(key="request_percentage", type=Number(), text="per cent of a broker's time"),
    Option(key="controller_mutation_rate", type=Number(), text="partitions made or deleted a second"),
    Option(key="connection_creation_rate", type=Number(), text="connections a second, of an ip alone"),
)
_KEYS = tuple(option.key for option in _RATES)


def _entity(fields: dict[str, object]) -> tuple[tuple[str, str | None], ...]:
    """Takes the parts out of the fields; an empty name is the default's."""
    found = []
    for option in _PARTS:
        name = fields.pop(option.key, None)
        if name is not None:
            assert isinstance(name, str)
            found.append((option.key, name or None))
    return tuple(found)


def _set(**fields: object) -> AlterQuota:
    entity = _entity(fields)
    return AlterQuota(entity, tuple(QuotaChange(key, float(str(value))) for key, value in fields.items()))


def _list(**fields: object) -> ListQuotas:
    return ListQuotas(_entity(fields), **fields)  # type: ignore[arg-type]  # read by their declarations


def _delete(keys: tuple[str, ...] = (), **fields: object) -> DeleteQuotas:
    return DeleteQuotas(_entity(fields), keys)


def _refuse_nobody(fields: dict[str, object]) -> None:
    if not any(option.key in fields for option in _PARTS):
        raise ValueError("user= or client-id= or ip= says whose")


def _refuse_nothing(fields: dict[str, object]) -> None:
    _refuse_nobody(fields)
    if not any(key in fields for key in _KEYS):
        raise ValueError(f"producer_byte_rate= or another limit is needed: {', '.join(_KEYS[1:])}")


QUOTAS = (
    CommandSpec(
        name="QUOTA SET",
        kind="write",
        text="Limit what a user, a client id or an address may use of each broker.",
        make=_set,
        options=_PARTS + _RATES,
        refuse=_refuse_nothing,
        reply=("offset",),
        notes=(
            "user= and client-id= together: that client of that user. An empty name, user=, is the default: who has "
            "no quota of its own. An ip stands alone.",
        ),
        examples=(
            Example(line="QUOTA SET user=alice producer_byte_rate=1048576", text="one MiB a second"),
            Example(line="QUOTA SET user= client-id=batch request_percentage=50", text="the client batch of any user"),
        ),
    ),
    CommandSpec(
        name="QUOTA LIST",
        kind="read",
        text="The quotas that are set.",
        make=_list,
        options=(*_PARTS, FULL),
        paged=True,
        rows=("quota",),
        reply=("count", "offset"),
        notes=('In a row a part that the entity has not is null, and the default\'s name is "".',),
        examples=(Example(line="QUOTA LIST user=alice", text="all that name alice, with a client id or without"),),
    ),
    CommandSpec(
        name="QUOTA DELETE",
        kind="write",
        text="Lift limits of a user, a client id or an address: those named, or all.",
        make=_delete,
        arguments=(
            Argument(
                name="KEY", type=Choice(_KEYS), text="which limit; all", field="keys", required=False, repeated=True
            ),
        ),
        options=_PARTS,
        refuse=_refuse_nobody,
        reply=("offset", "deleted"),
        examples=(Example(line="QUOTA DELETE user=alice producer_byte_rate", text="one of them"),),
    ),
)
