"""What is inside an Envelope: a client's request, who sent it, and whence (rpcs.md §6): pure translation."""

import ipaddress
import struct
from typing import Any

import attrs

from yakt.errors import CodecError, RefusedError
from yakt.kafka.codec import Header, decode_body, decode_header
from yakt.kafka.codes import Code
from yakt.kafka.messages import connections as wire
from yakt.kafka.plan import Caller, refusal

_VERSION = struct.Struct(">h")
_PRINCIPAL = wire.PRINCIPAL.codec(0)


@attrs.frozen
class Enclosed:
    """A forwarded request. The caller's client id is the client's own."""

    header: Header
    body: Any
    caller: Caller


def open_envelope(envelope: wire.EnvelopeRequest) -> Enclosed:
    """Raises RefusedError with the code that the Envelope is answered with."""
    principal = _principal(envelope.request_principal)
    try:
        host = str(ipaddress.ip_address(envelope.client_host_address))
    except ValueError:
        raise refusal(Code.INVALID_REQUEST, "the client's address has neither 4 nor 16 bytes") from None
    try:
        header = decode_header(envelope.request_data)
    except CodecError as exc:
        raise refusal(Code.UNSUPPORTED_VERSION, f"the request inside: {exc}") from None
    if not header.api.is_forwardable:
        raise refusal(Code.INVALID_REQUEST, f"{header.api.name} is not forwarded")
    if not header.is_served:
        raise refusal(Code.UNSUPPORTED_VERSION, f"{header.api.name} version {header.version} is not served")
    try:
        body = decode_body(header, envelope.request_data)
    except CodecError as exc:
        raise refusal(Code.UNSUPPORTED_VERSION, f"the request inside: {exc}") from None
    return Enclosed(header, body, Caller(header.client_id or "", host, principal))


def _principal(data: bytes | None) -> str:
    """`User:ANONYMOUS` and the like. Raises RefusedError."""
    if data is None:
        return ""
    try:
        if len(data) < _VERSION.size or _VERSION.unpack_from(data)[0] != 0:
            raise CodecError("a version of principals that is not known", 0)
        principal = _PRINCIPAL.decode(data[_VERSION.size :])
    except CodecError as exc:
        raise refusal(Code.PRINCIPAL_DESERIALIZATION_FAILURE, f"the principal: {exc}") from None
    return f"{principal.type}:{principal.name}"


def refuse(refused: RefusedError) -> wire.EnvelopeResponse:
    """The Envelope itself fails."""
    assert refused.kafka is not None
    return wire.EnvelopeResponse(error_code=refused.kafka)


NOT_CONTROLLER = wire.EnvelopeResponse(error_code=Code.NOT_CONTROLLER)
"""Also where the inner API would have said something else: the broker looks for the controller anew."""
