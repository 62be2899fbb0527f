"""Random requests by the OpenAPI document: no 500, and no answer that it does not describe."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.http.nodes import Nodes

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed: the document is not fuzzed")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_answers_are_those_of_the_document(nodes: Nodes) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    base = f"http://127.0.0.1:{nodes[1].port}"
    schema = schemathesis.openapi.from_dict(nodes[1].get("/openapi.json").body)
    schema.config.update(base_url=base)
    checks = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
    count = 6 if os.environ.get("CI") else 4
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path not in ("/v1/watch", "/metrics"):  # a stream that does not end; a page of its own form
            fuzz(operation, checks, count)


def fuzz(operation: Any, checks: Any, count: int) -> None:
    """So many requests that the document allows."""
    takes_timeout = any(one.name == "timeout" for one in operation.query)

    @given(case=operation.as_strategy())
    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def run(case: Any) -> None:
        if takes_timeout:
            case.query = {**(case.query or {}), "timeout": 500}
        response = case.call(timeout=20)
        # To wait for an offset that never comes is a timeout, and rightly so.
        is_late = response.status_code == 504 and response.json()["code"] == "TIMEOUT"
        case.validate_response(response, checks=checks[1:] if is_late else checks)

    run()
