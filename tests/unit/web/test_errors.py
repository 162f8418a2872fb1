"""Errors on their way out, in the caller's dialect."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Response, abort
from flask_openapi.blueprint import APIBlueprint
from werkzeug.exceptions import BadRequest, ImATeapot, ServiceUnavailable

from tests.unit.web.applications import LIMIT, Edge
from torana.auth.policy import Permission
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    Conflict,
    InternalError,
    InvalidRequest,
    KeyRevoked,
    LedgerUnavailable,
    UpstreamRateLimited,
    UpstreamRejected,
    ValidationFailed,
)
from torana.web.endpoint import endpoint

SECRET = "a-secret-in-an-exception"
PATHS = ["/v1/test", "/api/test"]


class Failing(Edge):
    """An application with two routes that fail in the same way."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        area = APIBlueprint("test", __name__)
        for number, path in enumerate(PATHS):

            def fail() -> Response:
                raise error

            fail.__name__ = f"fail_{number}"
            endpoint(
                area, "GET", path, permission=Permission.PUBLIC, summary="Fail.", responses={}
            )(fail)
        self.app.register_api(area)


def answer(error: Exception, path: str) -> tuple[Any, Failing]:
    edge = Failing(error)
    return edge.request("GET", path, key=None), edge


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("Bad.", param="n", hint="Mend it."),
        KeyRevoked("Revoked."),
        BudgetExceeded("Spent."),
        BudgetReserved("Held.", retry_after=2.0),
        Conflict("Taken."),
        LedgerUnavailable("Away.", retry_after=1),
        UpstreamRateLimited("Slow down.", retry_after=0.4),
        UpstreamRejected("No.", status=422, kind="teapot", provider_code="short", param="x"),
        InternalError("Broken."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_has_its_status_and_the_body_of_the_callers_dialect(error):
    openai, _ = answer(error, "/v1/test")
    assert (openai.status_code, openai.content_type) == (error.status, "application/json")
    assert openai.json == {
        "error": {
            "message": error.public_message,
            "type": error.kind,
            "param": error.param,
            "code": error.public_code,
        }
    }
    problem, _ = answer(error, "/api/test")
    assert (problem.status_code, problem.content_type) == (error.status, "application/problem+json")
    assert problem.json.pop("request_id") == problem.headers["x-request-id"]
    assert {name: problem.json[name] for name in ("status", "detail", "code", "type")} == {
        "status": error.status,
        "detail": error.public_message,
        "code": error.public_code,
        "type": "about:blank",
    }
    assert problem.json["title"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (BudgetExceeded("x"), {"x-should-retry": "false", "retry-after": None}),
        (
            BudgetReserved("x", retry_after=2.0),
            {"x-should-retry": "true", "retry-after": "2", "retry-after-ms": "2000"},
        ),
        # `retry-after` has no fractions, and zero would mean at once.
        (
            UpstreamRateLimited("x", retry_after=0.25),
            {"x-should-retry": None, "retry-after": "1", "retry-after-ms": "250"},
        ),
        (InvalidRequest("x"), {"x-should-retry": None, "retry-after": None}),
        (KeyRevoked("x"), {"www-authenticate": 'Bearer realm="torana"'}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_headers_tell_the_sdks_whether_and_when_to_try_again(error, headers, path):
    response, _ = answer(error, path)
    assert {name: response.headers.get(name) for name in headers} == headers


@pytest.mark.parametrize("path", PATHS)
def test_what_breaks_is_told_without_its_words_and_logged_with_its_place(path, caplog):
    response, edge = answer(RuntimeError(SECRET), path)
    assert response.status_code == 500
    assert SECRET not in response.text
    assert edge.metrics.codes == ["internal_error"]
    broken = [record for record in caplog.records if record.getMessage() == "request.broken"]
    assert len(broken) == 1
    assert broken[0].levelno == logging.ERROR
    assert vars(broken[0])["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadRequest("Odd."), 400, "invalid_request"),
        (ImATeapot(), 400, "invalid_request"),
        (ServiceUnavailable(SECRET), 500, "internal_error"),
    ],
)
def test_werkzeugs_own_errors_are_told_as_ours(error, status, code, path):
    response, edge = answer(error, path)
    assert response.status_code == status
    assert edge.metrics.codes == [code]
    assert SECRET not in response.text


def test_an_answer_that_a_view_aborts_with_is_an_answer():
    try:
        abort(Response("teapot", status=418))
    except Exception as error:  # noqa: BLE001 -- whatever Flask raises for it
        response, edge = answer(error, "/v1/test")
    assert (response.status_code, response.text) == (418, "teapot")
    assert edge.metrics.codes == []


def test_the_problems_of_a_management_request_are_listed():
    error = ValidationFailed("Bad.", problems=({"field": "limit", "message": "too large"},))
    response, _ = answer(error, "/api/test")
    assert response.json["errors"] == [{"field": "limit", "message": "too large"}]


def test_each_error_is_one_line_in_the_log_and_one_in_the_metrics(caplog):
    with caplog.at_level(logging.INFO):
        response, edge = answer(InvalidRequest(SECRET), "/v1/test")
    (record,) = [one for one in caplog.records if one.getMessage() == "request.refused"]
    assert vars(record)["error_code"] == "invalid_request"
    assert vars(record)["request_id"] == response.headers["x-request-id"]
    assert SECRET not in str(vars(record))
    assert edge.metrics.codes == ["invalid_request"]


# --- errors that no view raises ----------------------------------------------------------------


@pytest.fixture(scope="module")
def edge() -> Edge:
    return Edge()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/nothing", "error"),
        ("/api/nothing", "detail"),
        ("/nothing", "detail"),
        ("/v1", "detail"),
    ],
)
def test_a_path_that_does_not_exist(edge, path, body):
    response = edge.request("GET", path, key=None)
    assert response.status_code == 404
    assert body in response.json
    assert "/docs" in response.text


@pytest.mark.parametrize("path", ["/v1/" + "x" * 5000, "/api/%00%0a%1b[31m", "/v1/%ff%fe", "/v1/é"])
def test_an_odd_path_is_a_404_too(edge, path):
    response = edge.request("GET", path, key=None)
    assert response.status_code == 404
    assert len(response.text) < 2000


@pytest.mark.parametrize(("path", "body"), [("/v1/models", "error"), ("/api/me", "detail")])
def test_a_method_that_is_not_there_names_those_that_are(edge, path, body):
    response = edge.request("DELETE", path)
    assert response.status_code == 405
    assert "GET" in response.headers["allow"]
    assert "GET" in response.text
    assert body in response.json


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"data": b"{}"}, 415),
        ({"data": b"{}", "content_type": "text/plain"}, 415),
        (
            {
                "data": b"{}",
                "content_type": "application/json",
                "headers": {"content-encoding": "gzip"},
            },
            415,
        ),
        ({"data": b"x" * (LIMIT + 1), "content_type": "application/json"}, 413),
    ],
)
def test_a_body_that_is_not_taken(edge, options, status):
    response = edge.request("POST", "/v1/chat/completions", **options)
    assert response.status_code == status
    assert set(response.json["error"]) == {"message", "type", "param", "code"}


def test_a_query_that_breaks_its_schema_names_each_problem(edge):
    response = edge.request("GET", "/api/ledger?limit=0&nonsense=1")
    assert response.status_code == 422
    assert {item["field"] for item in response.json["errors"]} == {"limit", "nonsense"}
    assert response.json["code"] == "validation_failed"


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/v1/models"])
def test_every_answer_has_its_id_under_both_names(edge, path):
    response = edge.request("GET", path, key=None)
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["request-id"] == response.headers["x-request-id"]


def test_a_request_id_of_the_caller_is_not_taken_over(edge):
    response = edge.request("GET", "/healthz", headers={"x-request-id": "mine"})
    assert response.headers["x-request-id"] != "mine"
