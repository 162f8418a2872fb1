"""The bound of a call: never less than the call can cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import Price, cost
from torana.core.usage import Usage
from torana.ledger.bounds import UNKNOWN_MAX_OUTPUT, text_bound

RATES = st.integers(0, 10**12)
PRICES = st.builds(
    Price,
    id=st.just("price_1"),
    input=RATES,
    cached=RATES,
    cache_write=RATES,
    output=RATES,
    reasoning=RATES,
)
PRICE = Price(
    id="price_1",
    input=1_000_000,
    cached=100_000,
    cache_write=2_000_000,
    output=5_000_000,
    reasoning=3_000_000,
)


def split(total: int, *weights: int) -> list[int]:
    """A total in parts by weight; the last takes the rest."""
    whole = sum(weights) or 1
    parts = [total * weight // whole for weight in weights[:-1]]
    return [*parts, total - sum(parts)]


WEIGHTS = st.integers(0, 10)


@given(
    price=PRICES,
    body_bytes=st.integers(0, 10**8),
    requested=st.none() | st.integers(0, 10**7),
    choices=st.integers(1, 128),
    model_limit=st.none() | st.integers(0, 10**7),
    used=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    into=st.tuples(WEIGHTS, WEIGHTS, WEIGHTS),
    out=st.tuples(WEIGHTS, WEIGHTS),
)
def test_no_usage_within_the_requests_limits_costs_more_than_its_bound(
    price, body_bytes, requested, choices, model_limit, used, into, out
):
    most = requested
    if most is None:
        most = model_limit if model_limit is not None else UNKNOWN_MAX_OUTPUT
    plain, cached, written = split(int(body_bytes * used[0]), *into)
    visible, reasoning = split(int(most * choices * used[1]), *out)
    usage = Usage(
        input_tokens=plain,
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=visible,
        reasoning_tokens=reasoning,
    )
    bound = text_bound(
        body_bytes=body_bytes,
        requested_output=requested,
        choices=choices,
        max_output=model_limit,
        price=price,
    )
    assert cost(usage, price) <= bound


@pytest.mark.parametrize(
    ("requested", "model_limit", "choices", "bound"),
    [
        # 100 bytes at the dearest input rate of 2, then output at the dearest rate of 5.
        (10, None, 1, 200 + 50),
        (10, 4, 1, 200 + 50),
        (None, 4, 1, 200 + 20),
        (None, None, 1, 200 + 5 * UNKNOWN_MAX_OUTPUT),
        (10, None, 3, 200 + 150),
        (None, 4, 3, 200 + 60),
        (0, 4, 1, 200),
        (None, 0, 1, 200),
    ],
)
def test_the_requests_limit_counts_before_the_models_and_that_before_a_guess(
    requested, model_limit, choices, bound
):
    assert bound == text_bound(
        body_bytes=100,
        requested_output=requested,
        choices=choices,
        max_output=model_limit,
        price=PRICE,
    )


def test_a_bound_is_rounded_up():
    tiny = Price(id="p", input=1, cached=0, cache_write=0, output=1, reasoning=0)
    assert text_bound(body_bytes=1, requested_output=1, choices=1, max_output=None, price=tiny) == 1


def test_a_call_without_a_price_reserves_nothing():
    assert (
        text_bound(
            body_bytes=10**9, requested_output=None, choices=128, max_output=None, price=None
        )
        == 0
    )
