"""Configs and client quotas (rpcs.md §7, §10)."""

import msgspec

from yakt.wire.schema import (
    ARRAY,
    BOOL,
    FLOAT64,
    INT8,
    INT16,
    INT32,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    field,
    struct_of,
)


class IncrementalAlterConfig(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    config_operation: int = 0
    value: str | None = None


INCREMENTAL_ALTER_CONFIG = struct_of(
    IncrementalAlterConfig,
    name=STRING,
    config_operation=INT8,
    value=NULLABLE_STRING,
)


class IncrementalAlterConfigsResource(msgspec.Struct, frozen=True, gc=False):
    resource_type: int = 0
    resource_name: str = ""
    configs: tuple[IncrementalAlterConfig, ...] = ()


INCREMENTAL_ALTER_CONFIGS_RESOURCE = struct_of(
    IncrementalAlterConfigsResource,
    resource_type=INT8,
    resource_name=STRING,
    configs=ARRAY(INCREMENTAL_ALTER_CONFIG),
)


class IncrementalAlterConfigsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 44, versions 0-1."""

    resources: tuple[IncrementalAlterConfigsResource, ...] = ()
    validate_only: bool = False


INCREMENTAL_ALTER_CONFIGS_REQUEST = struct_of(
    IncrementalAlterConfigsRequest,
    resources=ARRAY(INCREMENTAL_ALTER_CONFIGS_RESOURCE),
    validate_only=BOOL,
)


class IncrementalAlterConfigsResult(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None
    resource_type: int = 0
    resource_name: str = ""


INCREMENTAL_ALTER_CONFIGS_RESULT = struct_of(
    IncrementalAlterConfigsResult,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    resource_type=INT8,
    resource_name=STRING,
)


class IncrementalAlterConfigsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 44, versions 0-1."""

    throttle_time_ms: int = 0
    responses: tuple[IncrementalAlterConfigsResult, ...] = ()


INCREMENTAL_ALTER_CONFIGS_RESPONSE = struct_of(
    IncrementalAlterConfigsResponse,
    throttle_time_ms=INT32,
    responses=ARRAY(INCREMENTAL_ALTER_CONFIGS_RESULT),
)


class AlterConfig(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    value: str | None = None


ALTER_CONFIG = struct_of(
    AlterConfig,
    name=STRING,
    value=NULLABLE_STRING,
)


class AlterConfigsResource(msgspec.Struct, frozen=True, gc=False):
    resource_type: int = 0
    resource_name: str = ""
    configs: tuple[AlterConfig, ...] = ()


ALTER_CONFIGS_RESOURCE = struct_of(
    AlterConfigsResource,
    resource_type=INT8,
    resource_name=STRING,
    configs=ARRAY(ALTER_CONFIG),
)


class AlterConfigsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 33, versions 0-2."""

    resources: tuple[AlterConfigsResource, ...] = ()
    validate_only: bool = False


ALTER_CONFIGS_REQUEST = struct_of(
    AlterConfigsRequest,
    resources=ARRAY(ALTER_CONFIGS_RESOURCE),
    validate_only=BOOL,
)


class AlterConfigsResult(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None
    resource_type: int = 0
    resource_name: str = ""


ALTER_CONFIGS_RESULT = struct_of(
    AlterConfigsResult,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    resource_type=INT8,
    resource_name=STRING,
)


class AlterConfigsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 33, versions 0-2."""

    throttle_time_ms: int = 0
    responses: tuple[AlterConfigsResult, ...] = ()


ALTER_CONFIGS_RESPONSE = struct_of(
    AlterConfigsResponse,
    throttle_time_ms=INT32,
    responses=ARRAY(ALTER_CONFIGS_RESULT),
)


class DescribeConfigsResource(msgspec.Struct, frozen=True, gc=False):
    resource_type: int = 0
    resource_name: str = ""
    configuration_keys: tuple[str, ...] | None = None


DESCRIBE_CONFIGS_RESOURCE = struct_of(
    DescribeConfigsResource,
    resource_type=INT8,
    resource_name=STRING,
    configuration_keys=NULLABLE_ARRAY(STRING),
)


class DescribeConfigsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 32, versions 1-4."""

    resources: tuple[DescribeConfigsResource, ...] = ()
    include_synonyms: bool = False
    include_documentation: bool = False


DESCRIBE_CONFIGS_REQUEST = struct_of(
    DescribeConfigsRequest,
    resources=ARRAY(DESCRIBE_CONFIGS_RESOURCE),
    include_synonyms=BOOL,
    include_documentation=field(BOOL, since=3),
)


class DescribeConfigsSynonym(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    value: str | None = None
    source: int = 0


DESCRIBE_CONFIGS_SYNONYM = struct_of(
    DescribeConfigsSynonym,
    name=STRING,
    value=NULLABLE_STRING,
    source=INT8,
)


class DescribedConfig(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    value: str | None = None
    read_only: bool = False
    config_source: int = -1
    is_sensitive: bool = False
    synonyms: tuple[DescribeConfigsSynonym, ...] = ()
    config_type: int = 0
    documentation: str | None = None


DESCRIBED_CONFIG = struct_of(
    DescribedConfig,
    name=STRING,
    value=NULLABLE_STRING,
    read_only=BOOL,
    config_source=INT8,
    is_sensitive=BOOL,
    synonyms=ARRAY(DESCRIBE_CONFIGS_SYNONYM),
    config_type=field(INT8, since=3),
    documentation=field(NULLABLE_STRING, since=3),
)


class DescribeConfigsResult(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None
    resource_type: int = 0
    resource_name: str = ""
    configs: tuple[DescribedConfig, ...] = ()


DESCRIBE_CONFIGS_RESULT = struct_of(
    DescribeConfigsResult,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    resource_type=INT8,
    resource_name=STRING,
    configs=ARRAY(DESCRIBED_CONFIG),
)


class DescribeConfigsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 32, versions 1-4."""

    throttle_time_ms: int = 0
    results: tuple[DescribeConfigsResult, ...] = ()


DESCRIBE_CONFIGS_RESPONSE = struct_of(
    DescribeConfigsResponse,
    throttle_time_ms=INT32,
    results=ARRAY(DESCRIBE_CONFIGS_RESULT),
)


class AlterClientQuotasEntity(msgspec.Struct, frozen=True, gc=False):
    entity_type: str = ""
    entity_name: str | None = None


ALTER_CLIENT_QUOTAS_ENTITY = struct_of(
    AlterClientQuotasEntity,
    entity_type=STRING,
    entity_name=NULLABLE_STRING,
)


class AlterClientQuotasOp(msgspec.Struct, frozen=True, gc=False):
    key: str = ""
    value: float = 0.0
    remove: bool = False


ALTER_CLIENT_QUOTAS_OP = struct_of(
    AlterClientQuotasOp,
    key=STRING,
    value=FLOAT64,
    remove=BOOL,
)


class AlterClientQuotasEntry(msgspec.Struct, frozen=True, gc=False):
    entity: tuple[AlterClientQuotasEntity, ...] = ()
    ops: tuple[AlterClientQuotasOp, ...] = ()


ALTER_CLIENT_QUOTAS_ENTRY = struct_of(
    AlterClientQuotasEntry,
    entity=ARRAY(ALTER_CLIENT_QUOTAS_ENTITY),
    ops=ARRAY(ALTER_CLIENT_QUOTAS_OP),
)


class AlterClientQuotasRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 49, versions 0-1."""

    entries: tuple[AlterClientQuotasEntry, ...] = ()
    validate_only: bool = False


ALTER_CLIENT_QUOTAS_REQUEST = struct_of(
    AlterClientQuotasRequest,
    entries=ARRAY(ALTER_CLIENT_QUOTAS_ENTRY),
    validate_only=BOOL,
)


class AlterClientQuotasEntryResult(msgspec.Struct, frozen=True, gc=False):
    error_code: int = 0
    error_message: str | None = None
    entity: tuple[AlterClientQuotasEntity, ...] = ()


ALTER_CLIENT_QUOTAS_ENTRY_RESULT = struct_of(
    AlterClientQuotasEntryResult,
    error_code=INT16,
    error_message=NULLABLE_STRING,
    entity=ARRAY(ALTER_CLIENT_QUOTAS_ENTITY),
)


class AlterClientQuotasResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 49, versions 0-1."""

    throttle_time_ms: int = 0
    entries: tuple[AlterClientQuotasEntryResult, ...] = ()


ALTER_CLIENT_QUOTAS_RESPONSE = struct_of(
    AlterClientQuotasResponse,
    throttle_time_ms=INT32,
    entries=ARRAY(ALTER_CLIENT_QUOTAS_ENTRY_RESULT),
)
