"""How long a provider wants to be left alone, in the ways in which providers say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.providers.patience import LONGEST, cooldown

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Thu, 26 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thursday, 26-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Thu, 26 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "99999999"}, LONGEST),
        ({"retry-after": "9" * 20}, LONGEST),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_what_is_said_outright_counts(headers, seconds):
    assert cooldown(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1.5s", 1.5),
        ("120ms", 0.12),
        ("2m59.56s", 179.56),
        ("1h1m1s", 3661.0),
        ("1d", LONGEST),
        ("3d", LONGEST),
        ("750us", 0.00075),
        ("17", 17.0),
        ("2026-11-26T12:00:45Z", 45.0),
        ("2026-11-26T13:00:45+01:00", 45.0),
        ("2026-11-26T12:00:45", 45.0),
        ("1795694430", 30.0),
        ("1795694430000", 30.0),
        ("1s!", None),
        ("s", None),
        ("1m 1s", None),
        ("", None),
        ("tomorrow", None),
    ],
)
def test_a_limit_that_is_used_up_says_when_it_is_full_again(reset, seconds):
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": reset,
    }
    assert cooldown(headers, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("remaining", "reset"),
    [
        ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("X-RateLimit-Remaining", "X-RateLimit-Reset"),
        ("ratelimit-remaining", "ratelimit-reset"),
        ("ratelimitbysize-remaining", "ratelimitbysize-reset"),
        ("x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
        ("anthropic-ratelimit-input-tokens-remaining", "anthropic-ratelimit-input-tokens-reset"),
        ("x-tokenlimit-remaining", "x-tokenlimit-reset"),
    ],
)
def test_pairs_of_headers_are_known_by_their_names(remaining, reset):
    assert cooldown({remaining: "0", reset: "38"}, NOW) == 38.0
    assert cooldown({remaining: "1", reset: "38"}, NOW) is None
    assert cooldown({reset: "38"}, NOW) is None
    assert cooldown({remaining: "0"}, NOW) is None


def test_all_limits_that_are_used_up_must_be_full_again():
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "1m30s",
        "x-ratelimit-remaining-images": "5",
        "x-ratelimit-reset-images": "8h",
    }
    assert cooldown(headers, NOW) == 90.0


def test_what_is_said_outright_counts_more_than_the_limits():
    headers = {
        "retry-after": "3",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "60s",
    }
    assert cooldown(headers, NOW) == 3.0


def test_other_headers_are_no_limits():
    assert cooldown({"x-credits-remaining": "0", "x-credits-reset": "9"}, NOW) is None


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"error":{"details":[{"@type":"x"},{"retryDelay":"34s"}]}}', 34.0),
        (b'[{"error":{"details":[{"retryDelay":"34.5s"}]}}]', 34.5),
        (b'{"error":{"details":[{"retryDelay":"soon"}]}}', None),
        (b'{"error":{"details":[{"retryDelay":7}]}}', None),
        (b'{"error":{"details":"34s"}}', None),
        (b'{"error":"34s"}', None),
        (b"[]", None),
        (b"{", None),
        (b"", None),
    ],
)
def test_a_time_may_stand_in_the_details_of_an_error(body, seconds):
    assert cooldown({}, NOW, body) == seconds


def test_headers_count_more_than_the_body():
    body = b'{"error":{"details":[{"retryDelay":"34s"}]}}'
    assert cooldown({"retry-after": "2"}, NOW, body) == 2.0


@given(st.integers(0, 86_400))
def test_a_date_in_any_form_is_the_time_until_then(seconds):
    instant = NOW + timedelta(seconds=seconds)
    for text in (format_datetime(instant, usegmt=True), instant.isoformat(), str(seconds)):
        assert cooldown({"retry-after": text}, NOW) == seconds


NAMES = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-reset-requests",
        "anthropic-ratelimit-tokens-remaining",
        "anthropic-ratelimit-tokens-reset",
    ]
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.from_regex(r"[0-9.hms:TZ+-]{0,24}", fullmatch=True),
    st.integers(0, 10**22).map(str),
    st.just("0"),
)


@given(st.dictionaries(NAMES, VALUES), st.binary(max_size=20))
def test_nothing_that_is_said_breaks_the_reading_or_lasts_longer_than_a_day(headers, body):
    seconds = cooldown(headers, NOW, body)
    assert seconds is None or 0 <= seconds <= LONGEST
