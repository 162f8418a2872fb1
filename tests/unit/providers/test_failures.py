"""A provider's failing status as an error for the caller."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from torana.providers.failures import raise_for_status, read_error

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
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
        raise_for_status(answer, name="fake", secrets=("sk-s3cret", "sk-0ther"), now=NOW)
    return caught.value


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_success_is_left_alone_and_unread(status):
    answer = ScriptedAnswer(Exchange(0.0), b"body", status=status, headers={})
    raise_for_status(answer, name="fake", secrets=(), now=NOW)
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


def test_our_credentials_are_cut_out_of_what_is_passed_on():
    error = error_of(400, body={"message": "the key sk-s3cret is odd, and sk-0ther too"})
    assert error.message == "the key *** is odd, and *** too"


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


# --- how long to leave it alone ----------------------------------------------------------------


@pytest.mark.parametrize(("status", "seconds"), [(429, 7.0), (503, 7.0), (529, 7.0), (500, None)])
def test_a_provider_that_wants_rest_says_for_how_long(status, seconds):
    assert error_of(status, headers={"retry-after": "7"}).cooldown == seconds


def test_a_date_is_a_cooldown_and_no_retry_after():
    error = error_of(429, headers={"retry-after": "Thu, 26 Nov 2026 12:00:30 GMT"})
    assert (error.cooldown, error.retry_after) == (30.0, None)


def test_a_cooldown_may_stand_in_the_body():
    body = [{"error": {"code": 429, "details": [{"retryDelay": "34s"}]}}]
    assert error_of(429, json.dumps(body).encode()).cooldown == 34.0


# --- the forms of look-alikes ------------------------------------------------------------------

PYDANTIC = [
    {"type": "extra_forbidden", "loc": ["body", "user"], "msg": "Extra inputs are not permitted"},
    {"type": "missing", "loc": ["body", "messages", 0, "role"], "msg": "Field required"},
]
SAID = "body.user: Extra inputs are not permitted; body.messages.0.role: Field required"


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "no", "code": "c"}}, "no", "c"),
        ({"error": "just a text"}, "just a text", None),
        (
            {"code": "invalid argument", "error": "no such model"},
            "no such model",
            "invalid argument",
        ),
        ({"object": "error", "message": "no", "type": "BadRequestError", "code": 400}, "no", "400"),
        (
            [{"error": {"code": 400, "message": "Unknown name", "status": "X"}}],
            "Unknown name",
            "400",
        ),
        ({"detail": PYDANTIC}, SAID, None),
        ({"object": "error", "message": {"detail": PYDANTIC}, "code": None}, SAID, None),
        ({"object": "Error", "detail": PYDANTIC, "message": PYDANTIC, "code": 3001}, SAID, "3001"),
        ({"detail": "Not Found"}, "Not Found", None),
        ({"msg": "no"}, "no", None),
        ({"error": {"type": "e"}, "message": "outside"}, "outside", None),
        ({"detail": [{"msg": "no place"}, "?", {"loc": ["x"]}]}, "no place", None),
    ],
)
def test_an_error_is_read_in_the_form_of_each_server(body, message, code):
    said = read_error(json.dumps(body).encode())
    assert (said.message, said.code) == (message, code)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"[1]", b"7", b"null", b'{"detail": [[]]}', b"{", b'"text"', b"[" * 100_000],
)
def test_what_can_not_be_read_is_left_out(body):
    assert read_error(body).message is None


def test_only_the_first_complaints_of_a_list_are_passed_on():
    body = {"detail": [{"loc": ["body", n], "msg": "bad"} for n in range(100)]}
    said = read_error(json.dumps(body).encode()).message
    assert said is not None
    assert said.count("bad") == 5


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "message", "detail", "msg", "loc", "code", "type", "details"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_body_breaks_the_reading(value):
    read_error(json.dumps(value).encode())
