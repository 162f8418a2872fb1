"""When a call is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.errors import (
    UpstreamAuth,
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from torana.inference.retry import RetryPolicy

POLICY = RetryPolicy()
RETRYABLE = [UpstreamUnreachable, UpstreamOverloaded, UpstreamRateLimited]


@pytest.mark.parametrize("kind", RETRYABLE)
def test_what_was_surely_not_processed_is_tried_again(kind):
    assert POLICY.delay(kind("x"), tries=1, left=600) is not None


@pytest.mark.parametrize("kind", [UpstreamTimeout, UpstreamCut, UpstreamGarbage])
def test_what_may_have_been_processed_is_never_sent_twice(kind):
    assert POLICY.delay(kind("x"), tries=1, left=600) is None
    asked_again = kind("x", retry_after=0)
    assert POLICY.delay(asked_again, tries=1, left=600) is None


@pytest.mark.parametrize(
    "error",
    [UpstreamError("x"), UpstreamAuth("x"), UpstreamRejected("x", status=400)],
    ids=lambda error: type(error).__name__,
)
def test_what_would_fail_again_is_not_tried_again(error):
    assert POLICY.delay(error, tries=1, left=600) is None


@pytest.mark.parametrize(("wish", "again"), [(True, True), (False, False)])
def test_the_providers_own_wish_counts(wish, again):
    error = UpstreamRejected("x", status=409) if wish else UpstreamOverloaded("x")
    error.retryable = wish
    assert (POLICY.delay(error, tries=1, left=600) is not None) == again


def test_patience_that_the_provider_asks_for_is_kept_exactly():
    error = UpstreamRateLimited("x", retry_after=3.25)
    assert POLICY.delay(error, tries=1, left=600) == 3.25
    assert POLICY.delay(error, tries=2, left=600) == 3.25


@pytest.mark.parametrize(
    ("seconds", "waits"), [(0, True), (10, True), (10.001, False), (86400, False)]
)
def test_too_much_patience_is_refused(seconds, waits):
    error = UpstreamRateLimited("x", retry_after=seconds)
    assert (POLICY.delay(error, tries=1, left=600) is not None) == waits


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_there_are_as_many_tries_as_allowed_and_no_more(attempts):
    policy = RetryPolicy(attempts=attempts)
    error = UpstreamOverloaded("x")
    tries = 1
    while policy.delay(error, tries=tries, left=600) is not None:
        tries += 1
    assert tries == attempts


@given(
    tries=st.integers(1, 1000),
    base=st.floats(0, 10),
    cap=st.floats(0, 20),
    seed=st.randoms(),
)
def test_a_wait_without_a_wish_is_random_below_a_cap_that_doubles(tries, base, cap, seed):
    policy = RetryPolicy(attempts=1001, base=base, cap=cap)
    wait = policy.delay(UpstreamUnreachable("x"), tries=tries, left=10**9)
    assert wait is not None
    assert 0 <= wait <= cap
    if tries < 20:
        assert wait <= base * 2 ** (tries - 1)


def test_waits_are_spread():
    error = UpstreamUnreachable("x")
    waits = {POLICY.delay(error, tries=1, left=600) for _ in range(100)}
    assert len(waits) > 50


@pytest.mark.parametrize(
    ("left", "waits"), [(5.1, True), (5.0, False), (1.0, False), (0.0, False), (-1.0, False)]
)
def test_nothing_is_waited_for_that_the_call_has_no_time_for(left, waits):
    error = UpstreamRateLimited("x", retry_after=5)
    assert (POLICY.delay(error, tries=1, left=left) is not None) == waits
