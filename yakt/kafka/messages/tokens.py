"""Delegation tokens (rpcs.md §10)."""

import msgspec

from yakt.wire.schema import (
    ARRAY,
    BYTES,
    INT16,
    INT32,
    INT64,
    NULLABLE_ARRAY,
    NULLABLE_STRING,
    STRING,
    field,
    struct_of,
)


class CreatableRenewers(msgspec.Struct, frozen=True, gc=False):
    principal_type: str = ""
    principal_name: str = ""


CREATABLE_RENEWERS = struct_of(
    CreatableRenewers,
    principal_type=STRING,
    principal_name=STRING,
)


class CreateDelegationTokenRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 38, versions 1-3."""

    owner_principal_type: str | None = None
    owner_principal_name: str | None = None
    renewers: tuple[CreatableRenewers, ...] = ()
    max_lifetime_ms: int = 0


CREATE_DELEGATION_TOKEN_REQUEST = struct_of(
    CreateDelegationTokenRequest,
    owner_principal_type=field(NULLABLE_STRING, since=3),
    owner_principal_name=field(NULLABLE_STRING, since=3),
    renewers=ARRAY(CREATABLE_RENEWERS),
    max_lifetime_ms=INT64,
)


class CreateDelegationTokenResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 38, versions 1-3."""

    error_code: int = 0
    principal_type: str = ""
    principal_name: str = ""
    token_requester_principal_type: str = ""
    token_requester_principal_name: str = ""
    issue_timestamp_ms: int = 0
    expiry_timestamp_ms: int = 0
    max_timestamp_ms: int = 0
    token_id: str = ""
    hmac: bytes = b""
    throttle_time_ms: int = 0


CREATE_DELEGATION_TOKEN_RESPONSE = struct_of(
    CreateDelegationTokenResponse,
    error_code=INT16,
    principal_type=STRING,
    principal_name=STRING,
    token_requester_principal_type=field(STRING, since=3),
    token_requester_principal_name=field(STRING, since=3),
    issue_timestamp_ms=INT64,
    expiry_timestamp_ms=INT64,
    max_timestamp_ms=INT64,
    token_id=STRING,
    hmac=BYTES,
    throttle_time_ms=INT32,
)


class RenewDelegationTokenRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 39, versions 1-2."""

    hmac: bytes = b""
    renew_period_ms: int = 0


RENEW_DELEGATION_TOKEN_REQUEST = struct_of(
    RenewDelegationTokenRequest,
    hmac=BYTES,
    renew_period_ms=INT64,
)


class RenewDelegationTokenResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 39, versions 1-2."""

    error_code: int = 0
    expiry_timestamp_ms: int = 0
    throttle_time_ms: int = 0


RENEW_DELEGATION_TOKEN_RESPONSE = struct_of(
    RenewDelegationTokenResponse,
    error_code=INT16,
    expiry_timestamp_ms=INT64,
    throttle_time_ms=INT32,
)


class ExpireDelegationTokenRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 40, versions 1-2."""

    hmac: bytes = b""
    expiry_time_period_ms: int = 0


EXPIRE_DELEGATION_TOKEN_REQUEST = struct_of(
    ExpireDelegationTokenRequest,
    hmac=BYTES,
    expiry_time_period_ms=INT64,
)


class ExpireDelegationTokenResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 40, versions 1-2."""

    error_code: int = 0
    expiry_timestamp_ms: int = 0
    throttle_time_ms: int = 0


EXPIRE_DELEGATION_TOKEN_RESPONSE = struct_of(
    ExpireDelegationTokenResponse,
    error_code=INT16,
    expiry_timestamp_ms=INT64,
    throttle_time_ms=INT32,
)


class DescribeDelegationTokenOwner(msgspec.Struct, frozen=True, gc=False):
    principal_type: str = ""
    principal_name: str = ""


DESCRIBE_DELEGATION_TOKEN_OWNER = struct_of(
    DescribeDelegationTokenOwner,
    principal_type=STRING,
    principal_name=STRING,
)


class DescribeDelegationTokenRequest(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 41, versions 1-3. `owners` None: of everybody."""

    owners: tuple[DescribeDelegationTokenOwner, ...] | None = None


DESCRIBE_DELEGATION_TOKEN_REQUEST = struct_of(
    DescribeDelegationTokenRequest,
    owners=NULLABLE_ARRAY(DESCRIBE_DELEGATION_TOKEN_OWNER),
)


class DescribedDelegationToken(msgspec.Struct, frozen=True, gc=False):
    principal_type: str = ""
    principal_name: str = ""
    token_requester_principal_type: str = ""
    token_requester_principal_name: str = ""
    issue_timestamp: int = 0
    expiry_timestamp: int = 0
    max_timestamp: int = 0
    token_id: str = ""
    hmac: bytes = b""
    renewers: tuple[CreatableRenewers, ...] = ()


DESCRIBED_DELEGATION_TOKEN = struct_of(
    DescribedDelegationToken,
    principal_type=STRING,
    principal_name=STRING,
    token_requester_principal_type=field(STRING, since=3),
    token_requester_principal_name=field(STRING, since=3),
    issue_timestamp=INT64,
    expiry_timestamp=INT64,
    max_timestamp=INT64,
    token_id=STRING,
    hmac=BYTES,
    renewers=ARRAY(CREATABLE_RENEWERS),
)


class DescribeDelegationTokenResponse(msgspec.Struct, frozen=True, gc=False):
    """Kafka's key 41, versions 1-3."""

    error_code: int = 0
    tokens: tuple[DescribedDelegationToken, ...] = ()
    throttle_time_ms: int = 0


DESCRIBE_DELEGATION_TOKEN_RESPONSE = struct_of(
    DescribeDelegationTokenResponse,
    error_code=INT16,
    tokens=ARRAY(DESCRIBED_DELEGATION_TOKEN),
    throttle_time_ms=INT32,
)
