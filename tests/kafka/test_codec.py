"""Every message in every version: there and back, as kio reads it, with unknown tags, cut short, and as garbage."""

import importlib
import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kio.serial import entity_reader, entity_writer

from yakt.errors import CodecError
from yakt.kafka import codec
from yakt.kafka.apis import APIS, FETCH, Api
from yakt.kafka.codec import Header
from yakt.kafka.codes import Code
from yakt.wire.schema import Array, Bytes, Field, Fixed, String, Struct

VERSIONS = [
    (api, version, way)
    for api in APIS.values()
    for version in range(api.least, api.most + 1)
    for way in ("request", "response")
]
IDS = [f"{api.name}-{version}-{way}" for api, version, way in VERSIONS]
DELETED_NAMELESS_SINCE = 6
"""DeleteTopics answers a null name from this version on; declared so for all of them."""
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)


def field_values(field: Field, version: int) -> st.SearchStrategy[Any]:
    """A field's values: any, but what kio makes error codes, times and durations of are some."""
    if field.name.endswith("error_code"):
        return st.sampled_from(Code).map(int)
    if field.name.endswith(("_ms", "_timestamp")):
        return st.integers(0, 2**31 - 1)
    if (
        field.name == "name"
        and version < DELETED_NAMELESS_SINCE
        and field.since == 0
        and isinstance(field.type, String)
    ):
        return NAMES
    return values(field.type, version)


def values(kind: Any, version: int) -> st.SearchStrategy[Any]:
    """Any value of a type, as its message of `version` can carry it."""
    match kind:
        case Struct():
            return st.builds(
                kind.cls,
                **{one.name: field_values(one, version) for one in kind.fields if one.is_in(version)},
            )
        case Array(of=of, nullable=nullable):
            some = st.lists(values(of, version), max_size=2).map(tuple)
            return st.none() | some if nullable else some
        case String(nullable=nullable):
            return st.none() | NAMES if nullable else NAMES
        case Bytes(nullable=nullable):
            return st.none() | st.binary(max_size=9) if nullable else st.binary(max_size=9)
        case Fixed(code="?"):
            return st.booleans()
        case Fixed(code="d"):
            return st.floats(allow_nan=False)
        case Fixed(code="16s"):
            return st.binary(min_size=16, max_size=16)
        case Fixed(size=size, name=name):
            bits = 8 * size
            return (
                st.integers(0, 2**bits - 1) if name[0] == "u" else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            )
    raise AssertionError(kind)


def struct_of(api: Api, way: str) -> Struct[Any]:
    return api.request if way == "request" else api.response


@pytest.mark.parametrize(("api", "version", "way"), VERSIONS, ids=IDS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_there_and_back(api: Api, version: int, way: str, data: st.DataObject) -> None:
    body = data.draw(values(struct_of(api, way), version))
    if way == "request":
        frame = codec.encode_request(api, version, 7, "c", body)
        header = codec.decode_header(frame)
        assert (header.api, header.version, header.correlation, header.client_id) == (api, version, 7, "c")
        assert codec.decode_body(header, frame) == body
    else:
        frame = codec.encode_response(Header(api, version, 7, None, 0), body)
        assert codec.decode_response(api, version, frame) == (7, body)


def kio_class(api: Api, version: int, way: str) -> Any:
    folder = re.sub("(?<=[a-z])(?=[A-Z])", "_", api.name).lower()
    try:
        module = importlib.import_module(f"kio.schema.{folder}.v{version}.{way}")
    except ModuleNotFoundError:
        return None
    return getattr(module, f"{api.name}{way.capitalize()}")


@pytest.mark.parametrize(("api", "version", "way"), VERSIONS, ids=IDS)
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_kio_reads_and_writes_the_same(api: Api, version: int, way: str, data: st.DataObject) -> None:
    theirs = kio_class(api, version, way)
    if theirs is None:
        pytest.skip(f"kio has no {api.name} {version}")
    struct = struct_of(api, way)
    body = struct.codec(version, flexible=api.is_flexible(version)).encode(data.draw(values(struct, version)))
    found, end = entity_reader(theirs)(memoryview(body), 0)
    assert end == len(body)
    written = io.BytesIO()
    entity_writer(theirs)(written, found)
    assert written.getvalue() == body


REQUESTS = [(api, version) for api, version, way in VERSIONS if way == "request"]


@pytest.mark.parametrize(("api", "version"), REQUESTS, ids=[f"{api.name}-{version}" for api, version in REQUESTS])
@settings(max_examples=2, deadline=None)
@given(data=st.data())
def test_cut_short_or_spoilt(api: Api, version: int, data: st.DataObject) -> None:
    frame = codec.encode_request(api, version, 7, "c", data.draw(values(api.request, version)))
    for end in range(len(frame)):
        with pytest.raises(CodecError):
            codec.decode_body(codec.decode_header(frame[:end]), frame[:end])
    place = data.draw(st.integers(0, len(frame) - 1))
    spoilt = frame[:place] + bytes((frame[place] ^ data.draw(st.integers(1, 255)),)) + frame[place + 1 :]
    try:
        header = codec.decode_header(spoilt)
        if header.is_served:
            codec.decode_body(header, spoilt)
    except CodecError:
        pass


@given(st.binary(max_size=200))
def test_garbage(frame: bytes) -> None:
    try:
        header = codec.decode_header(frame)
        if header.is_served:
            codec.decode_body(header, frame)
    except CodecError:
        pass


def test_unknown_tags_are_skipped() -> None:
    frame = codec.encode_request(FETCH, 17, 7, "c", FETCH.request.cls())
    assert frame.endswith(b"\0")
    tagged = frame[:-1] + bytes.fromhex("02 8f4e 03 616263 ff01ff010100".replace("ff01ff010100", "904e 00"))
    header = codec.decode_header(tagged)
    assert codec.decode_body(header, tagged) == FETCH.request.cls()


def test_what_an_old_version_cannot_say_is_left_out() -> None:
    api = next(api for api in APIS.values() if api.name == "CreateTopics")
    struct = api.response
    [topics] = [field.type for field in struct.fields if field.name == "topics"]
    topic = topics.of.cls("t", b"\1" * 16, 36, "there already", num_partitions=3, configs=())
    frame = codec.encode_response(Header(api, 2, 7, None, 0), struct.cls(topics=(topic,)))
    _, found = codec.decode_response(api, 2, frame)
    assert [(one.name, one.error_code, one.error_message) for one in found.topics] == [("t", 36, "there already")]
