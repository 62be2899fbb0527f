"""ACLs and SCRAM credentials (rpcs.md §10)."""

import msgspec

from yakt.wire.schema import (
    ARRAY,
    BYTES,
    INT8,
    INT16,
    INT32,
    NULLABLE_STRING,
    STRING,
    struct_of,
)


class DescribeAclsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 29, versions 1-3."""

    resource_type_filter: int = 0
    resource_name_filter: str | None = None
    pattern_type_filter: int = 3
    principal_filter: str | None = None
    host_filter: str | None = None
    operation: int = 0
    permission_type: int = 0


DESCRIBE_ACLS_REQUEST = struct_of(
    DescribeAclsRequest,
    resource_type_filter=INT8,
    resource_name_filter=NULLABLE_STRING,
    pattern_type_filter=INT8,
    principal_filter=NULLABLE_STRING,
    host_filter=NULLABLE_STRING,
    operation=INT8,
    permission_type=INT8,
)


class AclDescription(msgspec.Struct, frozen=True, gc=False):
    principal: str = ""
    host: str = ""
    operation: int = 0
    permission_type: int = 0


ACL_DESCRIPTION = struct_of(
    AclDescription,
    principal=STRING,
    host=STRING,
    operation=INT8,
    permission_type=INT8,
)


class DescribeAclsResource(msgspec.Struct, frozen=True, gc=False):
    resource_type: int = 0
    resource_name: str = ""
    pattern_type: int = 3
    acls: tuple[AclDescription, ...] = ()


DESCRIBE_ACLS_RESOURCE = struct_of(
    DescribeAclsResource,
    resource_type=INT8,
    resource_name=STRING,
    pattern_type=INT8,
    acls=ARRAY(ACL_DESCRIPTION),
)


class DescribeAclsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 29, versions 1-3."""

    throttle_time_ms: int = 0
    error_code: int = 0
    error_message: str | None = None
    resources: tuple[DescribeAclsResource, ...] = ()


DESCRIBE_ACLS_RESPONSE = struct_of(
    DescribeAclsResponse,
    throttle_time_ms=INT32,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    resources=ARRAY(DESCRIBE_ACLS_RESOURCE),
)


class AclCreation(msgspec.Struct, frozen=True, gc=False):
    resource_type: int = 0
    resource_name: str = ""
    resource_pattern_type: int = 3
    principal: str = ""
    host: str = ""
    operation: int = 0
    permission_type: int = 0


ACL_CREATION = struct_of(
    AclCreation,
    resource_type=INT8,
    resource_name=STRING,
    resource_pattern_type=INT8,
    principal=STRING,
    host=STRING,
    operation=INT8,
    permission_type=INT8,
)


class CreateAclsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 30, versions 1-3."""

    creations: tuple[AclCreation, ...] = ()


CREATE_ACLS_REQUEST = struct_of(
    CreateAclsRequest,
    creations=ARRAY(ACL_CREATION),
)


class AclCreationResult(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None


ACL_CREATION_RESULT = struct_of(
    AclCreationResult,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class CreateAclsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 30, versions 1-3."""

    throttle_time_ms: int = 0
    results: tuple[AclCreationResult, ...] = ()


CREATE_ACLS_RESPONSE = struct_of(
    CreateAclsResponse,
    throttle_time_ms=INT32,
    results=ARRAY(ACL_CREATION_RESULT),
)


class DeleteAclsFilter(msgspec.Struct, frozen=True, gc=False):
    resource_type_filter: int = 0
    resource_name_filter: str | None = None
    pattern_type_filter: int = 3
    principal_filter: str | None = None
    host_filter: str | None = None
    operation: int = 0
    permission_type: int = 0


DELETE_ACLS_FILTER = struct_of(
    DeleteAclsFilter,
    resource_type_filter=INT8,
    resource_name_filter=NULLABLE_STRING,
    pattern_type_filter=INT8,
    principal_filter=NULLABLE_STRING,
    host_filter=NULLABLE_STRING,
    operation=INT8,
    permission_type=INT8,
)


class DeleteAclsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 31, versions 1-3."""

    filters: tuple[DeleteAclsFilter, ...] = ()


DELETE_ACLS_REQUEST = struct_of(
    DeleteAclsRequest,
    filters=ARRAY(DELETE_ACLS_FILTER),
)


class DeleteAclsMatchingAcl(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None
    resource_type: int = 0
    resource_name: str = ""
    pattern_type: int = 3
    principal: str = ""
    host: str = ""
    operation: int = 0
    permission_type: int = 0


DELETE_ACLS_MATCHING_ACL = struct_of(
    DeleteAclsMatchingAcl,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    resource_type=INT8,
    resource_name=STRING,
    pattern_type=INT8,
    principal=STRING,
    host=STRING,
    operation=INT8,
    permission_type=INT8,
)


class DeleteAclsFilterResult(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None
    matching_acls: tuple[DeleteAclsMatchingAcl, ...] = ()


DELETE_ACLS_FILTER_RESULT = struct_of(
    DeleteAclsFilterResult,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    matching_acls=ARRAY(DELETE_ACLS_MATCHING_ACL),
)


class DeleteAclsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 31, versions 1-3."""

    throttle_time_ms: int = 0
    filter_results: tuple[DeleteAclsFilterResult, ...] = ()


DELETE_ACLS_RESPONSE = struct_of(
    DeleteAclsResponse,
    throttle_time_ms=INT32,
    filter_results=ARRAY(DELETE_ACLS_FILTER_RESULT),
)


class ScramCredentialDeletion(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    mechanism: int = 0


SCRAM_CREDENTIAL_DELETION = struct_of(
    ScramCredentialDeletion,
    name=STRING,
    mechanism=INT8,
)


class ScramCredentialUpsertion(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    mechanism: int = 0
    iterations: int = 0
    salt: bytes = b""
    salted_password: bytes = b""


SCRAM_CREDENTIAL_UPSERTION = struct_of(
    ScramCredentialUpsertion,
    name=STRING,
    mechanism=INT8,
    iterations=INT32,
    salt=BYTES,
    salted_password=BYTES,
)


class AlterUserScramCredentialsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 51, versions 0."""

    deletions: tuple[ScramCredentialDeletion, ...] = ()
    upsertions: tuple[ScramCredentialUpsertion, ...] = ()


ALTER_USER_SCRAM_CREDENTIALS_REQUEST = struct_of(
    AlterUserScramCredentialsRequest,
    deletions=ARRAY(SCRAM_CREDENTIAL_DELETION),
    upsertions=ARRAY(SCRAM_CREDENTIAL_UPSERTION),
)


class AlterUserScramCredentialsResult(msgspec.Struct, frozen=True, gc=False):
    user: str = ""
    error_code: int = 0
    error_message: str | None = None


ALTER_USER_SCRAM_CREDENTIALS_RESULT = struct_of(
    AlterUserScramCredentialsResult,
    user=STRING,
    error_code=INT16,
    error_message=NULLABLE_STRING,
)


class AlterUserScramCredentialsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 51, versions 0."""

    throttle_time_ms: int = 0
    results: tuple[AlterUserScramCredentialsResult, ...] = ()


ALTER_USER_SCRAM_CREDENTIALS_RESPONSE = struct_of(
    AlterUserScramCredentialsResponse,
    throttle_time_ms=INT32,
    results=ARRAY(ALTER_USER_SCRAM_CREDENTIALS_RESULT),
)
