"""The parts of the HTTP adapter that no socket is needed for."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from yakt.errors import NotLeaderError, RefusedError
from yakt.http import lines, openapi
from yakt.http.fields import Fields, parse_body
from yakt.http.metadata_fetch import AGE_MAX_MS, is_old
from yakt.http.moments import format_moment, parse_moment
from yakt.http.problems import problem_of, status_of
from yakt.http.records import fields_of
from yakt.http.routes import ALIASES, ROUTES
from yakt.ids import NodeId
from yakt.line.declarations import COMMANDS
from yakt.metadata.asked import Asked, Origin

MS = 1_700_000_000_123


@pytest.mark.parametrize(
    "written",
    [
        1_700_000_000.123,
        "1700000000.123",
        "2023-11-14T22:13:20.123Z",
        "2023-11-14T22:13:20.123+00:00",
        "2023-11-14T22:13:20.123",
        "2023-11-15T00:13:20.123+02:00",
        " 1700000000.123 ",
    ],
)
def test_a_moment_is_read_however_it_is_written(written: object) -> None:
    assert parse_moment(written) == MS


def test_moments_of_whole_seconds() -> None:
    assert parse_moment("Tue, 14 Nov 2023 22:13:20 GMT") == parse_moment(1_700_000_000) == 1_700_000_000_000
    assert parse_moment("2023-11-14") == 1_699_920_000_000
    assert format_moment(MS) == "2023-11-14T22:13:20.123Z"
    assert parse_moment(format_moment(MS)) == MS


@pytest.mark.parametrize("written", ["", "soon", "nan", "inf", "-1", -1, 1e300, True, [], {}, "9" * 100, "2023-13-01"])
def test_what_is_no_moment(written: object) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_moment(written)
    assert refused.value.code == "BAD_ARGUMENT"


def test_exactly_ten_minutes_is_still_a_diff() -> None:
    assert not is_old(MS + AGE_MAX_MS, MS)
    assert is_old(MS + AGE_MAX_MS + 1, MS)


def test_a_body_is_its_fields_with_or_without_an_envelope() -> None:
    plain = parse_body(b'{"name": "t", "partitions": "3", "rackId": "", "x": null}', "TopicRecord")
    assert (plain.text("name"), plain.number("partitions"), plain.text("rackId")) == ("t", 3, None)
    assert plain.is_null("x")
    assert not plain.is_null("rackId")
    inside = parse_body(
        b'{"type":"metadata","name":"TopicRecord","fields":{"name":"t"},"timestamp":"1"}', "TopicRecord"
    )
    assert inside.text("name") == "t"
    change = b'{"name":"BrokerRegistrationChangeBrokerRecord","fields":{"brokerId":"1"}}'
    assert parse_body(change, "RegistrationChangeBrokerRecord").number("brokerId") == 1


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"1", b'"x"', b"\xff", b'{"name":"TopicRecord","fields":{}}', b"[" * 100_000]
)
def test_bodies_that_are_none(body: bytes) -> None:
    with pytest.raises(RefusedError):
        parse_body(body, "RegisterBrokerRecord")


@pytest.mark.parametrize("value", [True, 1.5, [], {}, "x", "1e3", 2**63])
def test_numbers_that_are_none(value: object) -> None:
    fields = parse_body(b"{}")
    fields._values["n"] = value
    with pytest.raises(RefusedError):
        fields.needed_number("n")


def test_statuses() -> None:
    assert status_of(NotLeaderError(NodeId(1)), forwards=False) == 421
    assert status_of(NotLeaderError(NodeId(1))) == 503
    assert status_of(RefusedError("TIMEOUT", "late")) == 504
    assert status_of(RefusedError("OVERLOADED", "full")) == 429
    assert status_of(RefusedError("INVALID_CONFIG", "no")) == 400
    found = problem_of(RefusedError("TIMEOUT", "late", retry=True, maybe=True, hint="again", details={"status": "x"}))
    assert (found["status"], found["retry"], found["applied"], found["hint"]) == (504, True, "maybe", "again")


class NoNames:
    def broker_uuid(self, broker_id: int) -> str | None:
        return None

    def topic_uuid(self, name: str) -> str | None:
        return None


def test_a_broker_that_shuts_down_still_sends_heartbeats() -> None:
    pairs: dict[str, Any] = {
        "uuid": "u", "id": 1, "host": "h", "port": 9092, "protocol": "SSL", "status": "SHUTTING_DOWN", "rack": None,
        "changes": 3, "epoch": 17,
    }  # fmt: skip
    fields = fields_of("broker", pairs, NoNames())
    assert (fields["brokerStatus"], fields["brokerPort"], fields["rackId"]) == ("ALIVE", "9092", "")
    assert (fields["epoch"], fields["brokerEpoch"]) == (3, 17)


def test_lines_are_read_and_grouped() -> None:
    requests = lines.read(b"PING\r\n\n# no\nTOPIC LIST limit=9\nnonsense", Origin(address="a"))
    assert [type(request.ask).__name__ for request in requests] == ["Ping", "Asked", "RefusedError"]
    many = lines.read(b"TOPIC LIST limit=10000\n" * 5, Origin())
    assert [len(group) for group in lines._groups(many)] == [2, 2, 1]
    assert all(isinstance(request.ask, Asked) for request in many)
    with pytest.raises(RefusedError):
        lines.read(b"PING\n" * (lines.LINES_MAX + 1), Origin())


def test_the_document_names_every_route_and_every_command() -> None:
    found = openapi.document((*ROUTES, *ALIASES), "0")
    for spec in (*ROUTES, *ALIASES):
        operation = found["paths"][spec.path][spec.method.lower()]
        assert COMMANDS.get(spec.command).usage in operation["description"]
    names = [one["operationId"] for path in found["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))
    described = found["paths"]["/v1/lines"]["post"]["description"]
    assert all(spec.usage in described for spec in COMMANDS if spec.kind != "connection")
    _check_references(found, found["components"]["schemas"])


def _check_references(node: Any, schemas: dict[str, Any]) -> None:
    if isinstance(node, dict):
        if "$ref" in node:
            assert node["$ref"].rpartition("/")[2] in schemas
        for value in node.values():
            _check_references(value, schemas)
    elif isinstance(node, list):
        for value in node:
            _check_references(value, schemas)


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    root = Path(__file__).parents[2]
    dashboard = json.loads((root / "tools" / "grafana.json").read_text())
    source = (root / "yakt" / "http" / "metrics.py").read_text()
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"yakt_[a-z_]+", target["expr"])
    }
    assert asked
    for name in asked:
        assert f'"{re.sub(r"_(total|bucket)$", "", name)}"' in source, name


def test_a_slip_of_the_pen_is_told_and_what_a_record_may_hold_is_let_be() -> None:
    known = openapi.names_of("TopicRecord")
    Fields({"name": "x", "topicUUID": "", "partitions": 3, "colour": "red"}).check_names(known)
    with pytest.raises(RefusedError, match="partitons is no field here; did you mean partitions"):
        Fields({"name": "x", "partitons": 3}).check_names(known)


@pytest.mark.parametrize("value", [7, 1.5, True, ["x"], {"x": 1}])
def test_what_is_no_text_is_not_made_one(value: object) -> None:
    with pytest.raises(RefusedError, match="name is a text"):
        Fields({"name": value}).text("name")
