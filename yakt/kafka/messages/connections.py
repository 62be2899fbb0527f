"""What begins and wraps a conversation: ApiVersions and Envelope (rpcs.md §4, §6)."""

import msgspec

from yakt.wire.schema import (
    ARRAY,
    BOOL,
    BYTES,
    INT16,
    INT32,
    INT64,
    NULLABLE_BYTES,
    NULLABLE_STRING,
    STRING,
    field,
    struct_of,
)


class ApiVersionsRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 18, versions 0-5."""

    client_software_name: str = ""
    client_software_version: str = ""
    cluster_id: str | None = None
    node_id: int = -1


API_VERSIONS_REQUEST = struct_of(
    ApiVersionsRequest,
    client_software_name=field(STRING, since=3),
    client_software_version=field(STRING, since=3),
    cluster_id=field(NULLABLE_STRING, since=5),
    node_id=field(INT32, since=5),
)


class ApiVersion(msgspec.Struct, frozen=True, gc=False):
    api_key: int = 0
    min_version: int = 0
    max_version: int = 0


API_VERSION = struct_of(
    ApiVersion,
    api_key=INT16,
    min_version=INT16,
    max_version=INT16,
)


class SupportedFeature(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    min_version: int = 0
    max_version: int = 0


SUPPORTED_FEATURE = struct_of(
    SupportedFeature,
    name=field(STRING, since=3),
    min_version=field(INT16, since=3),
    max_version=field(INT16, since=3),
)


class FinalizedFeature(msgspec.Struct, frozen=True, gc=False):
    name: str = ""
    max_version_level: int = 0
    min_version_level: int = 0


FINALIZED_FEATURE = struct_of(
    FinalizedFeature,
    name=field(STRING, since=3),
    max_version_level=field(INT16, since=3),
    min_version_level=field(INT16, since=3),
)


class ApiVersionsResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 18, versions 0-5."""

    error_code: int = 0
    api_keys: tuple[ApiVersion, ...] = ()
    throttle_time_ms: int = 0
    supported_features: tuple[SupportedFeature, ...] = ()
    finalized_features_epoch: int = -1
    finalized_features: tuple[FinalizedFeature, ...] = ()
    zk_migration_ready: bool = False


API_VERSIONS_RESPONSE = struct_of(
    ApiVersionsResponse,
    error_code=INT16,
    api_keys=ARRAY(API_VERSION),
    throttle_time_ms=field(INT32, since=1),
    supported_features=field(ARRAY(SUPPORTED_FEATURE), since=3, tag=0),
    finalized_features_epoch=field(INT64, since=3, tag=1),
    finalized_features=field(ARRAY(FINALIZED_FEATURE), since=3, tag=2),
    zk_migration_ready=field(BOOL, since=3, tag=3),
)


class EnvelopeRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 58, versions 0."""

    request_data: bytes = b""
    request_principal: bytes | None = None
    client_host_address: bytes = b""


ENVELOPE_REQUEST = struct_of(
    EnvelopeRequest,
    request_data=BYTES,
    request_principal=NULLABLE_BYTES,
    client_host_address=BYTES,
)


class EnvelopeResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 58, versions 0."""

    response_data: bytes | None = None
    error_code: int = 0


ENVELOPE_RESPONSE = struct_of(
    EnvelopeResponse,
    response_data=NULLABLE_BYTES,
    error_code=INT16,
)


class Principal(msgspec.Struct, frozen=True, gc=False):
    """A principal inside an Envelope."""

    type: str = ""
    name: str = ""
    token_authenticated: bool = False


PRINCIPAL = struct_of(
    Principal,
    type=STRING,
    name=STRING,
    token_authenticated=BOOL,
)
