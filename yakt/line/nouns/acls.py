"""ACL …: add, list, delete."""

from typing import Any

from yakt.line.arguments import AclResource, Choice, Choices, Text, UuidText
from yakt.line.registry import Argument, CommandSpec, Example, Option
from yakt.line.shared import FULL
from yakt.metadata import acls
from yakt.metadata.acls import Acl, AclFilter
from yakt.metadata.commands import AddAcls, DeleteAcls
from yakt.metadata.questions import ListAcls

_PRINCIPAL = Text(32767, low=1, form="TYPE:NAME")
_HOST = Text(1024, low=1)
_FILTER_PATTERNS = {**acls.PATTERNS, "MATCH": acls.MATCH}
_PERMISSION = Choice(tuple(acls.PERMISSIONS))
_FILTER = (
    Option(key="id", type=UuidText(), text="only the one of this id"),
    Option(
        key="pattern",
        type=Choice(tuple(_FILTER_PATTERNS)),
        text="only of this kind; MATCH: whatever has effect on the resource, topic/* and prefixes too",
    ),
    Option(key="principal", type=_PRINCIPAL, text="only of this one, User:alice"),
    Option(key="host", type=_HOST, text="only for this host"),
    Option(key="operation", type=Choice(tuple(acls.OPERATIONS)), text="only of this one"),
    Option(key="permission", type=_PERMISSION, text="only those that allow, or that deny"),
)
_WHERE = Argument(
    name="resource", type=AclResource(is_open=True), text="only of this one, or topic/ for every topic", required=False
)


def _add(
    resource: tuple[int, str],
    principal: str,
    operation: tuple[str, ...],
    host: str = acls.WILDCARD,
    pattern: str = "LITERAL",
    permission: str = "ALLOW",
) -> AddAcls:
    kind, name = resource
    return AddAcls(
        tuple(
            Acl(
                kind,
                name,
                acls.PATTERNS[pattern],
                principal,
                host,
                acls.OPERATIONS[one],
                acls.PERMISSIONS[permission],
            )
            for one in operation
        )
    )


def _filter(fields: dict[str, Any]) -> AclFilter:
    """Takes the parts of a filter out of the fields."""
    kind, name = fields.pop("resource", None) or (acls.ANY, None)
    words = {option.key: fields.pop(option.key, None) for option in _FILTER}
    return AclFilter(
        kind,
        name,
        _FILTER_PATTERNS.get(words["pattern"], acls.ANY),
        words["principal"],
        words["host"],
        acls.OPERATIONS.get(words["operation"], acls.ANY),
        acls.PERMISSIONS.get(words["permission"], acls.ANY),
        words["id"],
    )


def _list(**fields: Any) -> ListAcls:
    wanted = _filter(fields)
    return ListAcls(wanted, **fields)


def _refuse_all(fields: dict[str, object]) -> None:
    if "resource" not in fields and not any(option.key in fields for option in _FILTER):
        raise ValueError("principal= or a resource or another part says which: ACL DELETE topic/ is of every topic")


ACLS = (
    CommandSpec(
        name="ACL ADD",
        kind="write",
        text="Say who may do what to a resource, for brokers with an authorizer.",
        make=_add,
        arguments=(
            Argument(
                name="resource",
                type=AclResource(),
                text="topic/NAME, group/NAME, cluster/, transactional-id/NAME, delegation-token/ID, user/NAME",
            ),
        ),
        options=(
            Option(key="principal", type=_PRINCIPAL, text="who, User:alice; User:* is everyone", required=True),
            Option(key="operation", type=Choices(tuple(acls.OPERATIONS)), text="what, READ,WRITE", required=True),
            Option(key="permission", type=_PERMISSION, text="DENY outweighs any ALLOW; ALLOW"),
            Option(key="host", type=_HOST, text="only from this address; *"),
            Option(key="pattern", type=Choice(tuple(acls.PATTERNS)), text="PREFIXED: all that begins so; LITERAL"),
        ),
        reply=("offset", "added", "skipped"),
        notes=("One ACL an operation, all or none; one that is there already is skipped.",),
        examples=(
            Example(line="ACL ADD topic/orders principal=User:alice operation=READ,WRITE", text="two ACLs"),
            Example(
                line="ACL ADD group/app- principal=User:alice operation=READ pattern=PREFIXED", text="of many groups"
            ),
        ),
    ),
    CommandSpec(
        name="ACL LIST",
        kind="read",
        text="The ACLs.",
        make=_list,
        arguments=(_WHERE,),
        options=(*_FILTER, FULL),
        paged=True,
        rows=("acl",),
        reply=("count", "offset"),
        examples=(
            Example(line="ACL LIST topic/orders pattern=MATCH", text="all that decide about the topic orders"),
            Example(line="ACL LIST principal=User:alice", text="all of alice's"),
        ),
    ),
    CommandSpec(
        name="ACL DELETE",
        kind="write",
        text="Delete all ACLs that these words mean; ACL LIST with the same words shows them.",
        make=lambda **fields: DeleteAcls((_filter(fields),)),
        arguments=(_WHERE,),
        options=_FILTER,
        refuse=_refuse_all,
        rows=("acl",),
        reply=("offset", "deleted"),
        examples=(Example(line="ACL DELETE topic/orders principal=User:alice", text="all of alice's on that topic"),),
    ),
)
