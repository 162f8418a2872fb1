"""How long a call waits before it is tried again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torana.errors import UpstreamRateLimited, UpstreamUnreachable
from torana.inference.retry import RetryPolicy

POLICY = RetryPolicy()


def test_patience_that_the_provider_asks_for_is_kept_exactly():
    error = UpstreamRateLimited("x", retry_after=3.25)
    assert POLICY.wait(error, tries=1) == 3.25
    assert POLICY.wait(error, tries=2) == 3.25


@given(
    tries=st.integers(1, 1000),
    base=st.floats(0, 10),
    cap=st.floats(0, 20),
)
def test_a_wait_without_a_wish_is_random_below_a_cap_that_doubles(tries, base, cap):
    policy = RetryPolicy(base=base, cap=cap)
    wait = policy.wait(UpstreamUnreachable("x"), tries)
    assert 0 <= wait <= cap
    if tries < 20:
        assert wait <= base * 2 ** (tries - 1)


def test_waits_are_spread():
    error = UpstreamUnreachable("x")
    waits = {POLICY.wait(error, tries=1) for _ in range(100)}
    assert len(waits) > 50
