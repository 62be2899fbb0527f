"""ACLs, delegation tokens, SCRAM credentials: offered, so that brokers keep offering them, and refused (54, 64).

That is what Kafka's controllers answer without an authorizer, and on a listener without authentication.
"""

from yakt.kafka.codes import Code
from yakt.kafka.messages import security as wire
from yakt.kafka.plan import View

NO_AUTHORIZER = "No Authorizer is configured."
NO_CREDENTIALS = "This controller keeps no credentials."
NO_TOKENS = "Delegation tokens cannot be had over a connection that is not authenticated."


def describe_acls(request: wire.DescribeAclsRequest, view: View) -> wire.DescribeAclsResponse:
    return refuse_describe_acls(request, Code.SECURITY_DISABLED, NO_AUTHORIZER)


def refuse_describe_acls(
    request: wire.DescribeAclsRequest, code: int, message: str | None
) -> wire.DescribeAclsResponse:
    return wire.DescribeAclsResponse(error_code=code, error_message=message)


def create_acls(request: wire.CreateAclsRequest, view: View) -> wire.CreateAclsResponse:
    return refuse_create_acls(request, Code.SECURITY_DISABLED, NO_AUTHORIZER)


def refuse_create_acls(request: wire.CreateAclsRequest, code: int, message: str | None) -> wire.CreateAclsResponse:
    return wire.CreateAclsResponse(results=(wire.AclCreationResult(code, message),) * len(request.creations))


def delete_acls(request: wire.DeleteAclsRequest, view: View) -> wire.DeleteAclsResponse:
    return refuse_delete_acls(request, Code.SECURITY_DISABLED, NO_AUTHORIZER)


def refuse_delete_acls(request: wire.DeleteAclsRequest, code: int, message: str | None) -> wire.DeleteAclsResponse:
    return wire.DeleteAclsResponse(filter_results=(wire.DeleteAclsFilterResult(code, message),) * len(request.filters))


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


def alter_scram(request: wire.AlterUserScramCredentialsRequest, view: View) -> wire.AlterUserScramCredentialsResponse:
    return refuse_alter_scram(request, Code.SECURITY_DISABLED, NO_CREDENTIALS)


def refuse_alter_scram(
    request: wire.AlterUserScramCredentialsRequest, code: int, message: str | None
) -> wire.AlterUserScramCredentialsResponse:
    users = dict.fromkeys([one.name for one in request.deletions] + [one.name for one in request.upsertions])
    return wire.AlterUserScramCredentialsResponse(
        results=tuple(wire.AlterUserScramCredentialsResult(user, code, message) for user in users)
    )
