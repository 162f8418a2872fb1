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
# A minute is typed; the rate of its seconds is rounded up.
MINUTE = st.integers(0, 60 * (2**63 - 1) // UNITS).map(lambda nano: -(-nano * UNITS // 60))
KINDS = {"image": PIECE, "search": PIECE, "request": PIECE, "per_minute": MINUTE}
FIELDS = {field: KINDS.get(name, RATE) for name, field in AMOUNTS.items()}
NAMES = st.from_regex(r"[0-9]{1,4}x[0-9]{1,4}/(low|high|\*)", fullmatch=True)
VARIANTS = st.dictionaries(NAMES, PIECE, max_size=4)
RATES = st.builds(Rates, **FIELDS)


@given(RATES, RATES, st.integers(1, 10**12), VARIANTS, st.integers(0, 100))
def test_a_price_survives_the_way_to_text_and_back(rates, higher, above, variants, percent):
    terms = PriceTerms(
        rates=rates,
        tiers=(Tier(above=above, rates=higher),),
        image_variants=variants,
        batch_percent=percent,
    )
    view = describe(terms)
    tiers = [(tier.above, tier.usd) for tier in view.tiers]
    made = make_terms(
        view.usd, tiers, image_variants=view.image_variants, batch_percent=view.batch_percent
    )
    assert made == terms


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
        ({"image": "1", "input": "1"}, "output"),
        ({"request": "1"}, "input"),
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


@pytest.mark.parametrize(
    ("name", "amount", "field", "rate"),
    [
        ("per_minute", "0.006", "audio_seconds", 10**11),
        # 6,666.6 nano-dollars a second: never less than what was said.
        ("per_minute", "0.0004", "audio_seconds", 6_666_666_667),
        ("per_million_characters", "15", "characters", 15 * 10**9),
        ("search", "0.002", "searches", 2 * 10**12),
        ("image", "0.04", "images", 4 * 10**13),
    ],
)
def test_a_price_by_another_unit_needs_none_of_tokens(name, amount, field, rate):
    rates = make_terms({name: amount}).rates
    assert getattr(rates, field) == rate
    assert rates.input_tokens == rates.output_tokens == rates.output_image_tokens == 0
    assert describe(make_terms({name: amount})).usd[name] == amount


def test_images_cost_by_their_size_and_quality():
    terms = make_terms({}, image_variants={"1024x1024/hd": "0.08", "1024x1024/*": "0.04"})
    assert terms.image_variants == {"1024x1024/hd": 8 * 10**13, "1024x1024/*": 4 * 10**13}
    assert describe(terms).image_variants == {"1024x1024/hd": "0.08", "1024x1024/*": "0.04"}


@pytest.mark.parametrize(
    "variants",
    [
        {"1024x1024": "1"},
        {"*/*": "1"},
        {"a/b/c": "1"},
        {"/hd": "1"},
        {"1024x1024/": "1"},
        {f"{size}x1/*": "1" for size in range(65)},
    ],
)
def test_a_variant_that_is_none_is_refused(variants):
    with pytest.raises(InvalidRequest) as caught:
        make_terms({}, image_variants=variants)
    assert caught.value.param == "image_variants"


def test_the_amount_of_a_variant_is_checked():
    with pytest.raises(InvalidRequest, match="not an amount"):
        make_terms({}, image_variants={"1024x1024/hd": "much"})


def test_images_as_tokens_cost_as_much_as_text_unless_it_is_said():
    rates = make_terms(PLAIN | {"output_image": "9"}).rates
    assert (rates.input_image_tokens, rates.output_image_tokens) == (10**9, 9 * 10**9)
