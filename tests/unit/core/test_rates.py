"""Rate limits: so many at once, then one by one, and never more over any span of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from torana.core.rates import MINUTE, SECOND, Rate, rate, span, taken, tighter, wait

NOW = 1_760_000_000 * SECOND
LIMITS = st.integers(1, 10_000) | st.sampled_from([1, 7, 59, 60, 61, 10**6, 10**9])


def test_a_minutes_worth_may_come_at_once_and_then_one_every_so_often():
    tat = 0
    for _ in range(60):
        assert wait(tat, NOW, 60, 1) == 0
        tat = taken(tat, NOW, 60, 1)
    assert wait(tat, NOW, 60, 1) == SECOND
    assert wait(tat, NOW + SECOND - 1, 60, 1) == 1
    assert wait(tat, NOW + SECOND, 60, 1) == 0
    assert rate(tat, NOW, 60) == Rate(60, 0, 60.0)
    assert rate(tat, NOW + 30 * SECOND, 60) == Rate(60, 30, 30.0)
    assert rate(tat, NOW + 99 * SECOND, 60) == Rate(60, 60, 0.0)


def test_nothing_is_free_of_any_wait_while_there_is_no_debt():
    assert wait(0, NOW, 1, 0) == 0
    assert taken(0, NOW, 1, 0) == NOW


@given(
    limit=st.integers(1, 300),
    steps=st.lists(
        st.tuples(st.integers(0, 20 * SECOND), st.integers(1, 40)), min_size=1, max_size=80
    ),
)
def test_no_span_of_time_sees_more_than_the_limit_and_its_share(limit, steps):
    tat, now = 0, NOW
    came: list[tuple[int, int]] = []
    for passed, units in steps:
        now += passed
        if wait(tat, now, limit, units) == 0:
            tat = taken(tat, now, limit, units)
            came.append((now, units))
    for first, (start, _) in enumerate(came):
        total = 0
        for instant, units in came[first:]:
            total += units
            assert total * MINUTE <= limit * (MINUTE + instant - start)


@given(limit=LIMITS, debt=st.integers(0, MINUTE), units=st.integers(1, 1000))
def test_whoever_waits_as_told_is_let_in_and_not_before(limit, debt, units):
    tat = NOW + debt
    waited = wait(tat, NOW, limit, units)
    if units > limit:
        assert waited > 0  # However long it waits: it is more than there ever is.
        return
    assert wait(tat, NOW + waited, limit, units) == 0
    if waited:
        assert wait(tat, NOW + waited - 1, limit, units) == 1


@given(limit=LIMITS, debt=st.integers(0, 2 * MINUTE))
def test_what_remains_may_come_and_one_more_may_not(limit, debt):
    tat = NOW + debt
    left = rate(tat, NOW, limit)
    assert 0 <= left.remaining <= limit
    if left.remaining:
        assert wait(tat, NOW, limit, left.remaining) == 0
    assert wait(tat, NOW, limit, left.remaining + 1) > 0
    later = NOW + round(left.reset_seconds * SECOND)
    assert rate(tat, later, limit).remaining == limit


@given(
    limit=LIMITS,
    took=st.integers(0, 10_000),
    used=st.integers(0, 10_000),
    debt=st.integers(0, MINUTE),
)
def test_giving_back_what_was_not_used_is_as_if_it_had_never_been_taken(limit, took, used, debt):
    tat = NOW + debt
    corrected = taken(tat, NOW, limit, took) + span(used - took, limit)
    honest = taken(tat, NOW, limit, used)
    # Each step is rounded to a nanosecond.
    assert abs(corrected - honest) <= 2


@given(limit=LIMITS, units=st.integers(0, 10**6))
def test_a_span_is_rounded_up_so_that_rounding_lets_nobody_in(limit, units):
    assert (span(units, limit) - 1) * limit < units * MINUTE <= span(units, limit) * limit


def test_the_tighter_rate_is_the_one_of_which_less_is_left():
    one, other = Rate(100, 50, 30.0), Rate(10, 9, 6.0)
    assert tighter(None, one) is one
    assert tighter(one, other) is other
    assert tighter(other, one) is other
    assert tighter(one, Rate(60, 50, 1.0)) is one
