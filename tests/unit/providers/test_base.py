"""A provider's failing status as an error for the caller."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.unit.inference.fakes import ScriptedAnswer, Step
from torana.errors import (
    UpstreamAuth,
    UpstreamCut,
    UpstreamError,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
)
from torana.outbound.client import Exchange
from torana.providers.base import ProviderConfig, provider_request_id, raise_for_status

CONFIG = ProviderConfig(
    name="fake", kind="compatible", base_url="https://x/v1", api_key="sk-s3cret"
)
ERROR = {"message": "too hot", "type": "teapot", "param": "cups", "code": "short"}


def error_of(
    status: int, *steps: Step, headers: dict[str, str] | None = None, body: Any = None
) -> UpstreamError:
    """What a status with a body becomes."""
    script = steps or (json.dumps({"error": body or ERROR}).encode(),)
    answer = ScriptedAnswer(
        Exchange(time.monotonic() + 60), *script, status=status, headers=headers or {}
    )
    with pytest.raises(UpstreamError) as caught:
        raise_for_status(answer, CONFIG)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_left_alone_and_unread(status):
    answer = ScriptedAnswer(Exchange(0.0), b"body", status=status, headers={})
    raise_for_status(answer, CONFIG)
    assert answer.taken == 0


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, UpstreamRejected, False),
        (401, UpstreamAuth, False),
        (402, UpstreamRejected, False),
        (403, UpstreamAuth, False),
        (404, UpstreamRejected, False),
        (408, UpstreamError, False),
        (409, UpstreamRejected, False),
        (413, UpstreamRejected, False),
        (422, UpstreamRejected, False),
        (429, UpstreamRateLimited, True),
        (500, UpstreamError, False),
        (502, UpstreamError, False),
        (503, UpstreamOverloaded, True),
        (504, UpstreamError, False),
        (529, UpstreamOverloaded, True),
        (302, UpstreamError, False),
        (304, UpstreamError, False),
    ],
)
def test_a_status_becomes_the_error_that_fits(status, kind, retryable):
    error = error_of(status)
    assert type(error) is kind
    assert error.retryable is retryable
    assert not error.billable
    assert 400 <= error.status <= 599


def test_where_the_request_is_at_fault_the_providers_words_are_passed_on():
    error = error_of(422)
    assert (error.status, error.message) == (422, "too hot")
    assert (error.kind, error.param, error.public_code) == ("teapot", "cups", "short")


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_where_the_caller_is_not_at_fault_the_providers_words_stay_here(status):
    error = error_of(status, body={**ERROR, "message": "org acct_42 with key sk-s3cret"})
    assert "acct_42" not in error.public_message
    assert "fake" in error.public_message


def test_our_credential_is_cut_out_of_what_is_passed_on():
    error = error_of(400, body={"message": "the key sk-s3cret is odd"})
    assert error.message == "the key *** is odd"


def test_a_long_message_is_cut():
    assert len(error_of(400, body={"message": "x" * 50_000}).message) <= 2000


@pytest.mark.parametrize(
    "steps",
    [
        [b"<html>teapot</html>"],
        [b""],
        [b"x" * 200_000],
        [b'{"error": {"message": "half of'],
    ],
)
def test_a_body_that_says_nothing_changes_nothing(steps):
    error = error_of(418, *steps)
    assert type(error) is UpstreamRejected
    assert error.status == 418
    assert "fake" in error.message


@pytest.mark.parametrize("trouble", [UpstreamCut("cut"), UpstreamTimeout("slow")])
@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, UpstreamRateLimited), (400, UpstreamRejected), (503, UpstreamOverloaded)],
)
def test_a_body_that_does_not_arrive_whole_changes_nothing(status, kind, trouble):
    # The status line says that nothing was done: the call must cost nothing.
    error = error_of(status, b'{"error"', trouble)
    assert type(error) is kind
    assert not error.billable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e400"}, None),
    ],
)
def test_the_patience_that_a_provider_asks_for_is_read(headers, seconds):
    assert error_of(429, headers=headers).retry_after == seconds


@pytest.mark.parametrize(
    ("wish", "retryable"), [("true", True), ("false", False), ("perhaps", True)]
)
def test_a_providers_wish_about_trying_again_counts(wish, retryable):
    assert error_of(429, headers={"x-should-retry": wish}).retryable is retryable


@pytest.mark.parametrize(
    ("headers", "identifier"),
    [
        ({}, None),
        ({"x-request-id": ""}, None),
        ({"x-request-id": "a", "request-id": "b"}, "a"),
        ({"request-id": "b"}, "b"),
        ({"x-request-id": "x" * 500}, "x" * 200),
    ],
)
def test_a_providers_own_id_of_the_call_is_kept(headers, identifier):
    assert provider_request_id(headers) == identifier


def test_a_configuration_does_not_show_its_key():
    assert "s3cret" not in repr(CONFIG)
    assert "s3cret" not in str([CONFIG])
