"""Prices as people type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.admin.price_terms import AMOUNTS, describe, make_terms
from torana.core.money import UNITS, PriceTerms, Rates, Tier
from torana.errors import InvalidRequest

PLAIN = {"input": "1", "output": "2"}
RATE = st.integers(0, 2**63 - 1)
# What is billed by the piece is typed in nano-dollars at the finest.
PIECE = st.integers(0, (2**63 - 1) // UNITS).map(lambda nano: nano * UNITS)
FIELDS = {field: PIECE if name in {"image", "request"} else RATE for name, field in AMOUNTS.items()}
RATES = st.builds(Rates, **FIELDS)


@given(RATES, RATES, st.integers(1, 10**12), st.integers(0, 100))
def test_a_price_survives_the_way_to_text_and_back(rates, higher, above, percent):
    terms = PriceTerms(rates=rates, tiers=(Tier(above=above, rates=higher),), batch_percent=percent)
    view = describe(terms)
    tiers = [(tier.above, tier.usd) for tier in view.tiers]
    assert make_terms(view.usd, tiers, batch_percent=view.batch_percent) == terms


def test_what_is_left_out_costs_what_it_might():
    rates = make_terms(PLAIN).rates
    assert rates == Rates(
        input_tokens=10**9,
        cached_tokens=10**9,
        cache_write_tokens=10**9,
        cache_write_1h_tokens=10**9,
        input_audio_tokens=10**9,
        output_tokens=2 * 10**9,
        reasoning_tokens=2 * 10**9,
        output_audio_tokens=2 * 10**9,
    )


def test_a_tier_costs_at_least_what_the_price_without_it_does():
    base = PLAIN | {"cache_write": "9", "cached": "0.5", "request": "0.1"}
    (tier,) = make_terms(base, [(100, {"input": "3", "output": "4"})]).tiers
    assert tier.rates.input_tokens == tier.rates.cached_tokens == 3 * 10**9
    assert tier.rates.cache_write_tokens == 9 * 10**9
    assert tier.rates.request == 100_000_000 * UNITS


def test_tiers_may_be_typed_in_any_order():
    terms = make_terms(PLAIN, [(200, PLAIN), (100, PLAIN)])
    assert [tier.above for tier in terms.tiers] == [100, 200]


@pytest.mark.parametrize(
    ("amounts", "param"),
    [
        ({"output": "1"}, "input"),
        ({"input": "1"}, "output"),
        ({"input": None, "output": "1"}, "input"),
        (PLAIN | {"input": "-1"}, "input"),
        (PLAIN | {"cached": "free"}, "cached"),
        (PLAIN | {"request": "0.0000000001"}, "request"),
        (PLAIN | {"image": "10000000000"}, "image"),
        (PLAIN | {"output": "1e10"}, "output"),
    ],
)
def test_an_amount_that_is_none_is_refused_by_name(amounts, param):
    with pytest.raises(InvalidRequest) as caught:
        make_terms(amounts)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("tiers", "percent", "param"),
    [
        ([(0, PLAIN)], 100, "tiers"),
        ([(5, PLAIN), (5, PLAIN)], 100, "tiers"),
        ([(5, {"input": "1"})], 100, "output"),
        ([], 101, "batch_percent"),
        ([], -1, "batch_percent"),
    ],
)
def test_tiers_and_percentages_that_make_no_sense_are_refused(tiers, percent, param):
    with pytest.raises(InvalidRequest) as caught:
        make_terms(PLAIN, tiers, batch_percent=percent)
    assert caught.value.param == param
