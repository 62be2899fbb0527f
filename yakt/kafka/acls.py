"""ACLs in commands: CreateAcls, DeleteAcls; and DescribeAcls, read (controller.md §11).

Kafka's own controllers say 54 unless they have an authorizer themselves. A node has none, and keeps ACLs for brokers.
"""

from collections.abc import Mapping, Sequence

from yakt.errors import RefusedError
from yakt.kafka.codes import Code
from yakt.kafka.messages import security as wire
from yakt.kafka.plan import UNTIMED_MS, Caller, Plan, View, ask, error_of, message_of, refusal
from yakt.metadata import acl_control
from yakt.metadata import acls as a
from yakt.metadata.acls import Acl, AclFilter
from yakt.metadata.answers import Answer, Pairs, Result, Row
from yakt.metadata.commands import AddAcls, DeleteAcls


def create(request: wire.CreateAclsRequest, caller: Caller, view: View) -> Plan:
    """CreateAcls: those that an authorizer can read are added at once; what is there already is no error."""
    given = [_acl(creation) for creation in request.creations]
    refusals = [_refusal_of(acl) for acl in given]
    good = tuple(acl for acl, refused in zip(given, refusals, strict=True) if refused is None)

    def respond(results: Sequence[Result]) -> wire.CreateAclsResponse:
        told = [refused if refused is not None else results[0] for refused in refusals]
        return wire.CreateAclsResponse(
            results=tuple(wire.AclCreationResult(error_of(result), message_of(result)) for result in told)
        )

    return Plan([ask(AddAcls(good), caller, UNTIMED_MS)] if good else [], respond)


def _acl(creation: wire.AclCreation) -> Acl:
    return Acl(
        creation.resource_type,
        creation.resource_name,
        creation.resource_pattern_type,
        creation.principal,
        creation.host,
        creation.operation,
        creation.permission_type,
    )


def _refusal_of(acl: Acl) -> RefusedError | None:
    try:
        acl_control.check(acl)
    except RefusedError as exc:
        return exc
    return None


def refuse_create(request: wire.CreateAclsRequest, code: int, message: str | None) -> wire.CreateAclsResponse:
    """The same error for each."""
    return wire.CreateAclsResponse(results=(wire.AclCreationResult(code, message),) * len(request.creations))


def delete(request: wire.DeleteAclsRequest, caller: Caller, view: View) -> Plan:
    """DeleteAcls: whatever any filter means, at once; each filter is answered with all that it means."""
    filters = [_filter(asked) for asked in request.filters]
    good = tuple(wanted for wanted in filters if isinstance(wanted, AclFilter))

    def respond(results: Sequence[Result]) -> wire.DeleteAclsResponse:
        told = []
        number = 0
        for wanted in filters:
            result = wanted if isinstance(wanted, RefusedError) else results[0]
            if isinstance(result, RefusedError):
                told.append(wire.DeleteAclsFilterResult(error_of(result), message_of(result)))
                continue
            told.append(wire.DeleteAclsFilterResult(matching_acls=_matching(result, number)))
            number += 1
        return wire.DeleteAclsResponse(filter_results=tuple(told))

    return Plan([ask(DeleteAcls(good), caller, UNTIMED_MS)] if good else [], respond)


def _filter(asked: wire.DeleteAclsFilter | wire.DescribeAclsRequest) -> AclFilter | RefusedError:
    for what, number, known in (
        ("patternFilter", asked.resource_type_filter, a.RESOURCE_TYPE_NAMES),
        ("patternFilter", asked.pattern_type_filter, (a.MATCH, *a.PATTERN_NAMES)),
        ("entryFilter", asked.operation, a.OPERATION_NAMES),
        ("entryFilter", asked.permission_type, a.PERMISSION_NAMES),
    ):
        if number != a.ANY and number not in known:
            return refusal(Code.INVALID_REQUEST, f"Unknown {what}.")
    return AclFilter(
        asked.resource_type_filter,
        asked.resource_name_filter,
        asked.pattern_type_filter,
        asked.principal_filter,
        asked.host_filter,
        asked.operation,
        asked.permission_type,
    )


def _matching(answer: Answer, number: int) -> tuple[wire.DeleteAclsMatchingAcl, ...]:
    """What was deleted for one filter; its rows have no number where it was the only one."""
    return tuple(_deleted(row) for row in answer.rows if row.pairs.get("filter", 0) == number)


def _deleted(row: Row) -> wire.DeleteAclsMatchingAcl:
    pairs: Pairs = row.pairs
    kind, _, name = str(pairs["resource"]).partition("/")
    return wire.DeleteAclsMatchingAcl(
        resource_type=_number(a.RESOURCE_TYPES, kind),
        resource_name=name,
        pattern_type=_number(a.PATTERNS, pairs["pattern"]),
        principal=str(pairs["principal"]),
        host=str(pairs["host"]),
        operation=_number(a.OPERATIONS, pairs["operation"]),
        permission_type=_number(a.PERMISSIONS, pairs["permission"]),
    )


def _number(words: Mapping[str, int], word: object) -> int:
    """What a row says in a word, or in a number where a log of Kafka's holds one that has none here."""
    found = words.get(str(word))
    return int(str(word)) if found is None else found


def refuse_delete(request: wire.DeleteAclsRequest, code: int, message: str | None) -> wire.DeleteAclsResponse:
    """The same error for each filter."""
    return wire.DeleteAclsResponse(filter_results=(wire.DeleteAclsFilterResult(code, message),) * len(request.filters))


def describe(request: wire.DescribeAclsRequest, view: View) -> wire.DescribeAclsResponse:
    """What a filter means, by resource. Any node answers, from what is applied there."""
    wanted = _filter(request)
    if isinstance(wanted, RefusedError):
        return refuse_describe(request, error_of(wanted), message_of(wanted))
    found: dict[tuple[int, str, int], list[wire.AclDescription]] = {}
    for row in view.image.acls.rows():
        record = acl_control.row_record(row)
        if wanted.matches(record):
            found.setdefault((record.resource_type, record.resource_name, record.pattern_type), []).append(
                wire.AclDescription(record.principal, record.host, record.operation, record.permission_type)
            )
    return wire.DescribeAclsResponse(
        resources=tuple(wire.DescribeAclsResource(*resource, tuple(acls)) for resource, acls in found.items())
    )


def refuse_describe(request: wire.DescribeAclsRequest, code: int, message: str | None) -> wire.DescribeAclsResponse:
    """One error."""
    return wire.DescribeAclsResponse(error_code=code, error_message=message)
