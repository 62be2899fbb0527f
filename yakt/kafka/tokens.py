"""Delegation tokens: offered, so that brokers go on offering what they answer themselves, and refused (64).

That is what Kafka's controllers answer on a listener without authentication: a token is made for who has logged in.
"""

from yakt.kafka.codes import Code
from yakt.kafka.messages import tokens as wire
from yakt.kafka.plan import View

NO_TOKENS = "Delegation tokens cannot be had over a connection that is not authenticated."


def create_token(request: wire.CreateDelegationTokenRequest, view: View) -> wire.CreateDelegationTokenResponse:
    return refuse_create_token(request, Code.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TOKENS)


def refuse_create_token(
    request: wire.CreateDelegationTokenRequest, code: int, message: str | None
) -> wire.CreateDelegationTokenResponse:
    return wire.CreateDelegationTokenResponse(error_code=code, issue_timestamp_ms=-1, expiry_timestamp_ms=-1)


def renew_token(request: wire.RenewDelegationTokenRequest, view: View) -> wire.RenewDelegationTokenResponse:
    return refuse_renew_token(request, Code.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TOKENS)


def refuse_renew_token(
    request: wire.RenewDelegationTokenRequest, code: int, message: str | None
) -> wire.RenewDelegationTokenResponse:
    return wire.RenewDelegationTokenResponse(code, expiry_timestamp_ms=-1)


def expire_token(request: wire.ExpireDelegationTokenRequest, view: View) -> wire.ExpireDelegationTokenResponse:
    return refuse_expire_token(request, Code.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TOKENS)


def refuse_expire_token(
    request: wire.ExpireDelegationTokenRequest, code: int, message: str | None
) -> wire.ExpireDelegationTokenResponse:
    return wire.ExpireDelegationTokenResponse(code, expiry_timestamp_ms=-1)


def describe_tokens(request: wire.DescribeDelegationTokenRequest, view: View) -> wire.DescribeDelegationTokenResponse:
    return refuse_describe_tokens(request, Code.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, NO_TOKENS)


def refuse_describe_tokens(
    request: wire.DescribeDelegationTokenRequest, code: int, message: str | None
) -> wire.DescribeDelegationTokenResponse:
    return wire.DescribeDelegationTokenResponse(error_code=code)
