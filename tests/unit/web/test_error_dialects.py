"""Every error in both dialects: its status, its body, and what tells the SDKs to try again."""

from __future__ import annotations

from functools import cache
from typing import Any

import anthropic
import httpx2
import pytest
from flask import Response
from flask_openapi.blueprint import APIBlueprint

from tests.unit.web.applications import Edge
from torana import errors
from torana.auth.policy import Permission
from torana.core.rates import Rate, RateView
from torana.errors import (
    MethodNotAllowed,
    RateLimited,
    ToranaError,
    TranslationLoss,
    UpstreamRejected,
    ValidationFailed,
)
from torana.web.endpoint import endpoint

VERSION = {"anthropic-version": "2023-06-01"}
SPECIAL: dict[type[ToranaError], ToranaError] = {
    MethodNotAllowed: MethodNotAllowed("No.", allowed=("GET", "POST")),
    TranslationLoss: TranslationLoss(("seed", "né")),
    UpstreamRejected: UpstreamRejected("No.", status=422),
    ValidationFailed: ValidationFailed("No.", problems=({"field": "a", "message": "b"},)),
}
EXPECTED: dict[str, tuple[int, int, str]] = {
    # The status for OpenAI's callers, the one for Anthropic's, and Anthropic's type.
    "ToranaError": (500, 500, "api_error"),
    "InternalError": (500, 500, "api_error"),
    "ConfigurationError": (500, 500, "api_error"),
    "InvalidRequest": (400, 400, "invalid_request_error"),
    "InvalidJson": (400, 400, "invalid_request_error"),
    "NotAuthenticated": (401, 401, "authentication_error"),
    "KeyRevoked": (401, 401, "authentication_error"),
    "PermissionDenied": (403, 403, "permission_error"),
    "NotFound": (404, 404, "not_found_error"),
    "ModelNotFound": (404, 404, "not_found_error"),
    "ResponseNotFound": (404, 404, "not_found_error"),
    "MethodNotAllowed": (405, 405, "invalid_request_error"),
    "Conflict": (409, 409, "conflict_error"),
    "BodyTooLarge": (413, 413, "request_too_large"),
    "UnsupportedMediaType": (415, 415, "invalid_request_error"),
    "ValidationFailed": (422, 422, "invalid_request_error"),
    "HostNotAllowed": (400, 400, "invalid_request_error"),
    "NoTargetFits": (400, 400, "invalid_request_error"),
    "GuardrailBlocked": (400, 400, "invalid_request_error"),
    "TranslationLoss": (400, 400, "invalid_request_error"),
    "BudgetExceeded": (429, 402, "billing_error"),
    "BudgetReserved": (429, 429, "rate_limit_error"),
    "RateLimited": (429, 429, "rate_limit_error"),
    "ConcurrencyLimited": (429, 429, "rate_limit_error"),
    "CostUnknown": (400, 400, "invalid_request_error"),
    "ModelNotAllowed": (403, 403, "permission_error"),
    "IdempotencyConflict": (422, 422, "invalid_request_error"),
    "IdempotencyInFlight": (409, 409, "conflict_error"),
    "DiskFull": (503, 503, "api_error"),
    "ScopeSuspended": (403, 403, "permission_error"),
    "LedgerUnavailable": (503, 503, "api_error"),
    "UnwritableRow": (500, 500, "api_error"),
    "UpstreamError": (502, 502, "api_error"),
    "UpstreamUnreachable": (502, 502, "api_error"),
    "UpstreamForbidden": (502, 502, "api_error"),
    "NoTargetAvailable": (503, 503, "api_error"),
    "UpstreamTimeout": (504, 504, "timeout_error"),
    "UpstreamCut": (502, 502, "api_error"),
    "UpstreamGarbage": (502, 502, "api_error"),
    "UpstreamAuth": (502, 502, "api_error"),
    "ProviderGone": (502, 502, "api_error"),
    "UpstreamOverloaded": (503, 529, "overloaded_error"),
    "UpstreamRateLimited": (429, 429, "rate_limit_error"),
    "UpstreamRejected": (422, 422, "invalid_request_error"),
    "Draining": (503, 503, "api_error"),
    "CallerGone": (499, 499, "invalid_request_error"),
}


def every(kind: type[ToranaError]) -> list[type[ToranaError]]:
    found = [kind]
    for child in kind.__subclasses__():
        if child.__module__.startswith(f"{errors.__name__}."):
            found += every(child)
    return found


KINDS = every(ToranaError)


def example(kind: type[ToranaError]) -> ToranaError:
    return SPECIAL.get(kind) or kind("Something is wrong.", retry_after=1.5)


class Failing(Edge):
    """An application whose route fails as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.error = ToranaError("Nothing was told.")
        area = APIBlueprint("test", __name__)

        @endpoint(
            area, "GET", "/v1/test", permission=Permission.PUBLIC, summary="Fail.", responses={}
        )
        def fail() -> Response:
            raise self.error

        self.app.register_api(area)


@cache
def failing() -> Failing:
    """One for all tests: each makes it fail in its own way."""
    return Failing()


def told(error: ToranaError, headers: dict[str, str]) -> Any:
    failing().error = error
    return failing().request("GET", "/v1/test", key=None, headers=headers)


def test_every_error_has_its_line_here():
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in EXPECTED] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_told_in_openais_words(kind):
    error = example(kind)
    response = told(error, {})
    assert response.status_code == EXPECTED[kind.__name__][0]
    assert response.json == {
        "error": {
            "message": error.public_message,
            "type": error.kind,
            "param": error.param,
            "code": error.public_code,
        }
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_is_told_in_anthropics_words(kind):
    error = example(kind)
    response = told(error, VERSION)
    _, status, name = EXPECTED[kind.__name__]
    assert response.status_code == status
    assert response.json == {
        "type": "error",
        "error": {
            "type": name,
            "message": error.public_message,
            "details": {"error_code": error.public_code},
        },
        "request_id": response.headers["request-id"],
    }


@pytest.mark.parametrize("headers", [{}, VERSION])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_whether_and_when_to_try_again_is_told_to_both(kind, headers):
    error = example(kind)
    response = told(error, headers)
    wish = {True: "true", False: "false", None: None}[error.should_retry]
    assert response.headers.get("x-should-retry") == wish
    after = error.retry_after
    assert response.headers.get("retry-after") == (None if after is None else "2")
    assert response.headers.get("retry-after-ms") == (None if after is None else "1500")


@pytest.mark.parametrize(
    ("headers", "expected", "unexpected"),
    [
        ({}, "x-ratelimit-remaining-requests", "anthropic-ratelimit-requests-remaining"),
        (VERSION, "anthropic-ratelimit-requests-remaining", "x-ratelimit-remaining-requests"),
    ],
)
def test_what_is_left_of_rates_is_told_in_the_callers_headers(headers, expected, unexpected):
    error = RateLimited("Slow down.", retry_after=1)
    error.rates = RateView(requests=Rate(60, 3, 1.0))
    response = told(error, headers)
    assert response.headers[expected] == "3"
    assert unexpected not in response.headers


@pytest.mark.parametrize("headers", [{}, VERSION])
def test_what_would_be_lost_is_in_the_header_too(headers):
    response = told(TranslationLoss(("seed", "né")), headers)
    assert response.headers["x-torana-dropped"] == "seed, n%C3%A9"


@pytest.mark.parametrize("headers", [{}, VERSION])
def test_the_field_at_fault_is_named(headers):
    body = told(errors.InvalidRequest("Bad.", param="messages[0]"), headers).json
    assert "messages[0]" in str(body["error"])


def test_a_providers_own_status_and_words_are_passed_on():
    error = UpstreamRejected("Too long.", status=413, provider_code="too_long")
    response = told(error, VERSION)
    assert response.status_code == 413
    assert response.json["error"]["message"] == "Too long."
    assert response.json["error"]["details"]["error_code"] == "too_long"


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        ("InvalidRequest", anthropic.BadRequestError),
        ("NotAuthenticated", anthropic.AuthenticationError),
        ("ModelNotFound", anthropic.NotFoundError),
        ("RateLimited", anthropic.RateLimitError),
        ("UpstreamOverloaded", anthropic.InternalServerError),
    ],
)
def test_the_sdk_of_the_callers_raises_what_it_has_for_the_status(kind, raised):
    response = told(example(getattr(errors, kind)), VERSION)
    made = anthropic.Anthropic(api_key="k")._make_status_error(
        "x",
        body=response.json,
        response=httpx2.Response(
            response.status_code, request=httpx2.Request("POST", "http://x/v1/messages")
        ),
    )
    assert isinstance(made, raised)
