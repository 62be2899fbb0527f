"""Decides about ACLs (controller.md §11). They are kept for the brokers, whose authorizers read them from the log."""

from yakt.metadata import acls as a
from yakt.metadata import describe, refusals
from yakt.metadata.acls import Acl
from yakt.metadata.answers import Row
from yakt.metadata.commands import AddAcls, DeleteAcls
from yakt.metadata.decision import Decision, Stamp, fresh_uuid
from yakt.metadata.records import AccessControlEntryRecord, Record, RemoveAccessControlEntryRecord
from yakt.metadata.rows import KeptRow
from yakt.metadata.state import State

NAME_SIZE_MAX = 32_767
COMPARISONS_MAX = 200_000
"""Filters times ACLs in one deletion: a tenth of a second of a controller that has others waiting."""
TOLD_MAX = 10_000
"""Rows of its answer: an ACL that several filters mean is told for each."""


def add(state: State, command: AddAcls, stamp: Stamp) -> Decision:
    """A record for each that is not there yet, with an id of its own."""
    records: list[Record] = []
    seen: set[Acl] = set()
    for acl in command.acls:
        check(acl)
        if acl not in seen and state.acl_ids.get(acl) is None:
            seen.add(acl)
            made = fresh_uuid(stamp.new_uuid)
            records.append(
                AccessControlEntryRecord(
                    made,
                    acl.resource_type,
                    acl.resource_name,
                    acl.pattern,
                    acl.principal,
                    acl.host,
                    acl.operation,
                    acl.permission,
                )
            )
    return Decision(records, {"added": len(records), "skipped": len(command.acls) - len(records)})


def delete(state: State, command: DeleteAcls, stamp: Stamp) -> Decision:
    """What any filter means, once; each filter is answered with all that it means."""
    records: dict[bytes, Record] = {}
    rows: list[Row] = []
    found = [row_record(row) for row in state.acls.rows()]
    if len(command.filters) * len(found) > COMPARISONS_MAX:
        raise refusals.policy_violation(
            f"{len(command.filters)} filters for {len(found)} ACLs are too many for one operation"
        )
    for number, wanted in enumerate(command.filters):
        for record in found:
            if wanted.matches(record):
                records[record.id] = RemoveAccessControlEntryRecord(record.id)
                of = {"filter": number} if len(command.filters) > 1 else {}
                rows.append(Row("acl", {**of, **describe.acl(record), "deleted": True}))
                if len(rows) > TOLD_MAX:
                    raise refusals.policy_violation(f"more than {TOLD_MAX} ACLs in one deletion")
    return Decision([*records.values()], {"deleted": len(records)}, rows=rows)


def row_record(row: KeptRow) -> AccessControlEntryRecord:
    """The record that the row keeps."""
    assert isinstance(row.record, AccessControlEntryRecord)
    return row.record


def check(acl: Acl) -> None:
    """Raises RefusedError (INVALID_REQUEST) for what no authorizer could keep."""
    for what, number, words in (
        ("resourceType", acl.resource_type, a.RESOURCE_TYPE_NAMES),
        ("patternType", acl.pattern, a.PATTERN_NAMES),
        ("operation", acl.operation, a.OPERATION_NAMES),
        ("permissionType", acl.permission, a.PERMISSION_NAMES),
    ):
        if number not in words:
            raise refusals.invalid_request(f"Invalid {what} {number}")
    if acl.resource_type == a.CLUSTER_TYPE and acl.resource_name != a.CLUSTER_NAME:
        raise refusals.invalid_request(f"The only valid name for the CLUSTER resource is {a.CLUSTER_NAME}")
    for what, text in (("resource name", acl.resource_name), ("principal", acl.principal), ("host", acl.host)):
        if not text:
            raise refusals.invalid_request(f"Invalid empty {what}")
        if len(text.encode("utf-8", "surrogatepass")) > NAME_SIZE_MAX:
            raise refusals.invalid_request(f"the {what} is longer than {NAME_SIZE_MAX} bytes")
    if ":" not in acl.principal:
        # Kafka's own controllers take it, and every broker's authorizer then fails on reading it.
        raise refusals.invalid_request(
            f"principal {acl.principal[:64]} is no TYPE:NAME such as User:alice", key="principal"
        )
