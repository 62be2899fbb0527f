"""The codec against every frame that Kafka's own brokers, controllers and tools sent (testdata/README.md)."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.plain import lowered, plain, same
from yakt.errors import CodecError
from yakt.kafka import apis, codec
from yakt.kafka.apis import API_VERSIONS, APIS, Api

BY_NAME = {api.name: api for api in APIS.values()}
SERVED_BY_NOBODY = {"Vote", "BeginQuorumEpoch", "EndQuorumEpoch"}


def exchanges(directory: Path) -> Iterator[tuple[str, Api, int, str, str, Any]]:
    """Where, the API, its version, "request" or "response", the frame in hex, and its decode."""
    for path in sorted(directory.glob("*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            entry = json.loads(line)
            if "hex" in entry and (api := BY_NAME.get(entry["api"])) is not None:
                yield f"{path.name}:{number}", api, entry["version"], entry["event"], entry["hex"], entry["decoded"]
            elif "case" in entry and (api := BY_NAME.get(entry.get("name", ""))) is not None:
                for way in ("request", "response"):
                    if entry[way] is not None and entry["decoded"].get(way) is not None:
                        where = f"{path.name}:{entry['case']}"
                        yield where, api, entry["version"], way, entry[way], entry["decoded"][way]
    for path in sorted((directory / "api").glob("*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            entry = json.loads(line)
            if (api := APIS.get(entry["api"])) is not None:
                for way in ("request", "response"):
                    if entry[way] is None:
                        continue
                    where = f"{path.name}:{number}"
                    yield where, api, entry["version"], way, entry[way], entry["decoded"][way]


def test_every_frame_is_read_as_kafka_reads_it_and_written_as_kafka_wrote_it(kafka_wire: Path) -> None:
    count = 0
    for where, api, version, way, text, decoded in exchanges(kafka_wire):
        if not api.least <= version <= api.most:
            continue
        if api is API_VERSIONS and decoded.get("ErrorCode") == 35:
            version = 0
        frame = bytes.fromhex(text)
        if way == "request":
            header = codec.decode_header(frame)
            assert (header.api, header.version) == (api, version), where
            body = codec.decode_body(header, frame)
            again = codec.encode_request(api, version, header.correlation, header.client_id, body)
            struct = api.request
        else:
            correlation, body = codec.decode_response(api, version, frame)
            again = codec.encode_response(codec.Header(api, version, correlation, "", 0), body)
            struct = api.response
        assert again == frame, where
        assert same(plain(struct, body, version), lowered(decoded)), where
        count += 1
    assert count > 3900


def test_what_is_inside_envelopes_too(kafka_wire: Path) -> None:
    count = 0
    for _, api, version, way, text, _ in exchanges(kafka_wire):
        if api is not apis.ENVELOPE or way != "request":
            continue
        frame = bytes.fromhex(text)
        inside = codec.decode_body(codec.decode_header(frame), frame).request_data
        try:
            header = codec.decode_header(inside)
            body = codec.decode_body(header, inside) if header.is_served else None
        except CodecError:
            continue  # an API not offered, or garbage that probes sent
        if header.is_served:
            again = codec.encode_request(header.api, header.version, header.correlation, header.client_id, body)
            assert again == inside
            count += 1
        assert version == 0
    assert count > 100


def test_an_unsupported_version_of_api_versions_is_answered_in_version_0(kafka_wire: Path) -> None:
    answers = [
        bytes.fromhex(entry["response"])
        for line in (kafka_wire / "probes-3.9.1.jsonl").read_text().splitlines()
        if (entry := json.loads(line))["name"] == "ApiVersions" and entry["version"] == 99
    ]
    for answer in answers:
        _, body = codec.decode_response(API_VERSIONS, 0, answer)
        assert body.error_code == 35
        assert [(one.api_key, one.min_version) for one in body.api_keys] == [(18, 0)]
    assert answers


@pytest.mark.parametrize("name", sorted(SERVED_BY_NOBODY))
def test_the_quorums_own_rpcs_are_not_offered(name: str) -> None:
    assert name not in BY_NAME
