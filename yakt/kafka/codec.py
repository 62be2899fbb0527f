"""Frames of Kafka's protocol, without their length, to requests and back; knows no socket (rpcs.md §1)."""

import struct
from typing import Any

import msgspec

from yakt.errors import CodecError
from yakt.kafka.apis import API_VERSIONS, APIS, Api
from yakt.wire.schema import Array, Struct, Type, struct_of

_HEAD = struct.Struct(">hhih")
"""Api key, version, correlation id, length of the client id."""
_CORRELATION = struct.Struct(">i")
_NO_TAGS = b"\0"


class _Nothing(msgspec.Struct, frozen=True, gc=False):
    """A struct of no field: in flexible encoding a tagged section, all of it unknown and skipped."""


_TAGGED_SECTION = struct_of(_Nothing).codec()


class Header(msgspec.Struct, frozen=True, gc=False):
    """What comes before a request's body. `body_at`: where that begins. Client ids are told nobody."""

    api: Api
    version: int
    correlation: int
    client_id: str | None
    body_at: int

    @property
    def is_served(self) -> bool:
        """Whether this version is offered: else the body must not be read."""
        return self.api.least <= self.version <= self.api.most


def decode_header(frame: bytes) -> Header:
    """Read a request's header. Raises CodecError for an API that is not offered, or bytes that are no header."""
    if len(frame) < _HEAD.size:
        raise CodecError(f"a request of {len(frame)} bytes has no header", 0)
    key, version, correlation, client_size = _HEAD.unpack_from(frame)
    api = APIS.get(key)
    if api is None:
        raise CodecError(f"api key {key} is not served here", 0)
    position = _HEAD.size + max(client_size, 0)
    if position > len(frame) or client_size < -1:
        raise CodecError("the client id goes on past the request's end", _HEAD.size)
    try:
        client_id = None if client_size < 0 else frame[_HEAD.size : position].decode()
    except UnicodeDecodeError:
        raise CodecError("the client id is no UTF-8", _HEAD.size) from None
    if api.is_flexible(version):
        _, position = _TAGGED_SECTION.read(frame, position, len(frame))
    return Header(api, version, correlation, client_id, position)


def decode_body(header: Header, frame: bytes) -> Any:
    """The body of a request whose version is served. Raises CodecError."""
    codec = header.api.request_codec(header.version)
    body, end = codec.read(frame, header.body_at, len(frame))
    if end != len(frame):
        raise CodecError(f"{len(frame) - end} bytes left over after {header.api.name}", end)
    return body


def at_version(kind: Type, value: Any, version: int) -> Any:
    """A message without what its version cannot say: Kafka calls such fields ignorable."""
    if isinstance(kind, Array):
        return value if value is None else tuple(at_version(kind.of, one, version) for one in value)
    if not isinstance(kind, Struct):
        return value
    return msgspec.structs.replace(
        value,
        **{
            field.name: at_version(field.type, getattr(value, field.name), version)
            if field.is_in(version)
            else field.default
            for field in kind.fields
        },
    )


def encode_response(header: Header, body: Any) -> bytes:
    """The answer to a request, in its version; what that version has no field for is left out."""
    api = header.api
    if header.version < api.most:
        body = at_version(api.response, body, header.version)
    # ApiVersions never has tags in its header: an old client must be able to read the error (rpcs.md §1).
    tags = _NO_TAGS if api.is_flexible(header.version) and api is not API_VERSIONS else b""
    return _CORRELATION.pack(header.correlation) + tags + api.response_codec(header.version).encode(body)


def encode_unsupported(header: Header, body: Any) -> bytes:
    """The answer to an ApiVersions request of a version that is not served: always in version 0."""
    return _CORRELATION.pack(header.correlation) + API_VERSIONS.response_codec(0).encode(body)


def encode_request(api: Api, version: int, correlation: int, client_id: str | None, body: Any) -> bytes:
    """A request, as a client sends it: for tests and tools."""
    name = b"" if client_id is None else client_id.encode()
    head = _HEAD.pack(api.key, version, correlation, -1 if client_id is None else len(name)) + name
    tags = _NO_TAGS if api.is_flexible(version) else b""
    return head + tags + api.request_codec(version).encode(body)


def decode_response(api: Api, version: int, frame: bytes) -> tuple[int, Any]:
    """A response's correlation id and body: for tests and tools. Raises CodecError."""
    if len(frame) < _CORRELATION.size:
        raise CodecError(f"a response of {len(frame)} bytes has no header", 0)
    (correlation,) = _CORRELATION.unpack_from(frame)
    position = _CORRELATION.size
    if api.is_flexible(version) and api is not API_VERSIONS:
        _, position = _TAGGED_SECTION.read(frame, position, len(frame))
    body, end = api.response_codec(version).read(frame, position, len(frame))
    if end != len(frame):
        raise CodecError(f"{len(frame) - end} bytes left over after {api.name}", end)
    return correlation, body
