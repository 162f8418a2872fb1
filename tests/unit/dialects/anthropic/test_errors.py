"""Errors and rate limits as Anthropic's clients read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError

from torana import errors
from torana.core.rates import Rate, RateView
from torana.dialects.anthropic_errors import (
    decode_error,
    encode_error,
    encode_error_event,
    rate_headers,
    status_of,
)
from torana.dialects.sse import data_of

NOW = datetime(2026, 11, 26, 3, 59, 59, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.InvalidRequest("x"), 400, "invalid_request_error"),
        (errors.InvalidJson("x"), 400, "invalid_request_error"),
        (errors.CostUnknown("x"), 400, "invalid_request_error"),
        (errors.NotAuthenticated("x"), 401, "authentication_error"),
        (errors.KeyRevoked("x"), 401, "authentication_error"),
        (errors.BudgetExceeded("x"), 402, "billing_error"),
        (errors.PermissionDenied("x"), 403, "permission_error"),
        (errors.ModelNotAllowed("x"), 403, "permission_error"),
        (errors.ScopeSuspended("x"), 403, "permission_error"),
        (errors.ModelNotFound("x"), 404, "not_found_error"),
        (errors.MethodNotAllowed("x", allowed=("POST",)), 405, "invalid_request_error"),
        (errors.IdempotencyInFlight("x"), 409, "conflict_error"),
        (errors.BodyTooLarge("x"), 413, "request_too_large"),
        (errors.IdempotencyConflict("x"), 422, "invalid_request_error"),
        (errors.BudgetReserved("x"), 429, "rate_limit_error"),
        (errors.RateLimited("x"), 429, "rate_limit_error"),
        (errors.ConcurrencyLimited("x"), 429, "rate_limit_error"),
        (errors.UpstreamRateLimited("x"), 429, "rate_limit_error"),
        (errors.InternalError("x"), 500, "api_error"),
        (errors.UpstreamAuth("x"), 502, "api_error"),
        (errors.UpstreamGarbage("x"), 502, "api_error"),
        (errors.LedgerUnavailable("x"), 503, "api_error"),
        (errors.Draining("x"), 503, "api_error"),
        (errors.UpstreamTimeout("x"), 504, "timeout_error"),
        (errors.UpstreamOverloaded("x"), 529, "overloaded_error"),
        (errors.UpstreamRejected("x", status=404, kind="whatever"), 404, "not_found_error"),
        (errors.UpstreamRejected("x", status=400), 400, "invalid_request_error"),
        (errors.UpstreamRejected("x", status=422), 422, "invalid_request_error"),
    ],
)
def test_every_error_has_anthropics_status_and_type(error, status, kind):
    assert status_of(error) == status
    assert encode_error(error, "req_1")["error"]["type"] == kind


def test_an_error_has_the_shape_of_the_protocol_and_our_code_where_sdks_look_for_one():
    error = errors.InvalidRequest("No.", hint="Try yes.", param="messages[0].role")
    assert encode_error(error, "req_1") == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "No. Try yes.",
            "details": {"error_code": "invalid_request", "param": "messages[0].role"},
        },
        "request_id": "req_1",
    }


def _client(answer: httpx2.Response) -> Anthropic:
    transport = httpx2.MockTransport(lambda _request: answer)
    return Anthropic(
        api_key="k",
        base_url="http://torana.test",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


def _create(client: Anthropic, **more: Any) -> Any:
    return client.messages.create(
        model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}], **more
    )


def test_the_sdk_reads_type_and_code_and_message():
    error = errors.BudgetExceeded("The budget is used up.")
    answer = httpx2.Response(
        status_of(error), json=encode_error(error, "req_1"), headers={"request-id": "req_1"}
    )
    with pytest.raises(APIStatusError) as caught:
        _create(_client(answer))
    assert caught.value.status_code == 402
    assert caught.value.type == "billing_error"
    assert caught.value.error_code == "insufficient_quota"
    assert caught.value.api_message == "The budget is used up."
    assert caught.value.request_id == "req_1"


def test_the_sdk_raises_an_error_event_in_mid_stream():
    event = encode_error_event(errors.UpstreamCut("The provider hung up."), "req_1")
    assert event.startswith(b"event: error\ndata: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 3
    answer = httpx2.Response(200, content=event, headers={"content-type": "text/event-stream"})
    with pytest.raises(APIStatusError) as caught:
        list(_create(_client(answer), stream=True))
    assert caught.value.type == "api_error"
    data = json.loads(data_of(event) or b"")
    assert data == encode_error(errors.UpstreamCut("The provider hung up."), "req_1")


def test_a_reset_is_an_instant_and_never_too_early():
    view = RateView(Rate(60, 59, 1.0), Rate(1_000, 0, 59.9))
    headers = rate_headers(view, NOW)
    assert headers == {
        "anthropic-ratelimit-requests-limit": "60",
        "anthropic-ratelimit-requests-remaining": "59",
        "anthropic-ratelimit-requests-reset": "2026-11-26T04:00:01Z",
        "anthropic-ratelimit-tokens-limit": "1000",
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": "2026-11-26T04:01:00Z",
    }
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    assert reset >= NOW + timedelta(seconds=1)
    assert rate_headers(RateView(), NOW) == {}


def test_a_providers_error_is_read_with_its_code():
    body = encode_error(errors.ModelNotFound("Gone."), "req_2")
    found = decode_error(json.dumps(body).encode())
    assert (found.message, found.kind, found.code) == (
        "Gone.",
        "not_found_error",
        "model_not_found",
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"error":7}', b'{"error":{"details":[]}}', b"\xff", b"[" * 100_000],
)
def test_what_cannot_be_read_of_an_error_is_left_out(body):
    assert decode_error(body).code is None


def test_an_error_without_details_keeps_its_type():
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    found = decode_error(body)
    assert (found.message, found.kind, found.code) == ("Overloaded", "overloaded_error", None)
