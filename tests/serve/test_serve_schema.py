"""The OpenAPI document against the service: whatever is sent, nothing answers 5xx or outside the document."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from fake_service import clip
from servers import served

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

EXAMPLES = 8


@pytest.mark.slow
def test_no_request_breaks_the_service(tmp_path: Path) -> None:
    import hypothesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [
        not_a_server_error,
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    ]
    with served(tmp_path, rate=10**6, max_queue=10**6, roots=(tmp_path,)) as server:
        (tmp_path / "a.gif").write_bytes(clip("a"))
        known = server.post(clip("known")).json()["id"]
        schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        tried: dict[str, set[int]] = {}
        for operation in schema.get_all_operations():
            operation = operation.ok()

            @hypothesis.settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            )
            @hypothesis.given(case=operation.as_strategy())
            def try_one(case) -> None:  # type: ignore[no-untyped-def]
                response = case.call()
                case.validate_response(response, checks=checks)
                tried.setdefault(case.operation.label, set()).add(response.status_code)

            try_one()
        assert len(tried) == 9, tried.keys()
        assert 200 in tried["GET /v1/jobs"] and 404 in tried["GET /v1/jobs/{id}"]
        assert tried["POST /v1/jobs"] <= {202, 400, 403, 404, 413, 415, 422}
        # And the documented shapes for jobs that are there.
        for path in ("/v1/jobs/{id}", "/v1/jobs/{id}/report", "/v1/jobs/{id}/masks"):
            case = schema[path]["GET"].Case(path_parameters={"id": known})
            case.validate_response(case.call(), checks=checks)
        assert httpx.get(f"{server.url}/healthz").status_code == 200
