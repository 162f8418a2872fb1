"""Money: exact, and rounded up once."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import (
    NANO_PER_USD,
    UNITS,
    Price,
    PriceTerms,
    Rates,
    Tier,
    cost,
    format_usd,
    parse_usd,
)
from torana.core.usage import CLASSES, NO_USAGE, Usage

TOKENS = st.integers(min_value=0, max_value=10**12)
RATES = st.builds(
    Rates,
    **dict.fromkeys(Rates.__struct_fields__, st.integers(min_value=0, max_value=10**12)),
)
TIERS = st.lists(st.integers(min_value=1, max_value=10**12), max_size=3, unique=True).flatmap(
    lambda starts: st.tuples(
        *(st.builds(Tier, above=st.just(start), rates=RATES) for start in sorted(starts))
    )
)
TERMS = st.builds(PriceTerms, rates=RATES, tiers=TIERS, batch_percent=st.integers(0, 100))
PRICES = st.builds(Price, id=st.just("price_1"), terms=TERMS)
USAGES = st.builds(Usage, **dict.fromkeys(CLASSES, TOKENS))
NANO = st.integers(min_value=0, max_value=2**63 - 1)


def price(batch_percent: int = 100, **rates: int) -> Price:
    return Price(id="price_1", terms=PriceTerms(rates=Rates(**rates), batch_percent=batch_percent))


def exact(usage: Usage, rates: Rates) -> Fraction:
    """What a call costs before it is rounded."""
    units = sum(getattr(usage, name) * getattr(rates, name) for name in CLASSES)
    return Fraction(units + rates.request, UNITS)


@given(USAGES, PRICES)
def test_a_cost_is_the_exact_sum_of_its_classes_rounded_up(usage, priced):
    rates = priced.terms.rates_for(usage.total_input)
    assert cost(usage, priced) == ceil(exact(usage, rates))


@given(USAGES, PRICES)
def test_a_batch_costs_its_percentage_rounded_up_once(usage, priced):
    whole = exact(usage, priced.terms.rates_for(usage.total_input))
    assert cost(usage, priced, batch=True) == ceil(whole * priced.terms.batch_percent / 100)
    assert cost(usage, priced, batch=True) <= cost(usage, priced)


@given(USAGES, PRICES, st.sampled_from(CLASSES), TOKENS)
def test_more_of_a_class_never_costs_less_within_a_tier(usage, priced, name, more):
    larger = msgspec.structs.replace(usage, **{name: getattr(usage, name) + more})
    flat = Price(id="price_1", terms=PriceTerms(rates=priced.terms.rates))
    assert cost(larger, flat) >= cost(usage, flat)


@given(USAGES, RATES, RATES, TOKENS)
def test_a_tier_holds_for_the_whole_call_from_the_first_token_above_it(usage, low, high, above):
    priced = Price(
        id="price_1", terms=PriceTerms(rates=low, tiers=(Tier(above=above, rates=high),))
    )
    inside = usage.total_input > above
    assert cost(usage, priced) == ceil(exact(usage, high if inside else low))


def test_a_tier_begins_after_its_last_token():
    priced = Price(
        id="price_1",
        terms=PriceTerms(
            rates=Rates(input_tokens=UNITS),
            tiers=(
                Tier(above=10, rates=Rates(input_tokens=2 * UNITS)),
                Tier(above=20, rates=Rates(input_tokens=3 * UNITS)),
            ),
        ),
    )
    costs = [cost(Usage(input_tokens=tokens), priced) for tokens in (10, 11, 20, 21)]
    assert costs == [10, 22, 40, 63]


def test_cached_and_audio_tokens_count_towards_a_tier():
    usage = Usage(
        input_tokens=1,
        cached_tokens=2,
        cache_write_tokens=3,
        cache_write_1h_tokens=4,
        input_audio_tokens=5,
    )
    tier = Tier(above=14, rates=Rates(request=UNITS))
    assert cost(usage, Price(id="p", terms=PriceTerms(rates=Rates(), tiers=(tier,)))) == 1


def test_a_request_and_an_image_have_prices_of_their_own():
    priced = price(request=5 * UNITS, images=7 * UNITS)
    assert cost(NO_USAGE, priced) == 5
    assert cost(Usage(images=2), priced) == 19


@pytest.mark.parametrize(
    ("usage", "rates", "nano"),
    [
        (Usage(input_tokens=1), price(input_tokens=1), 1),
        (Usage(input_tokens=1_000_000), price(input_tokens=1), 1),
        (Usage(input_tokens=1_000_001), price(input_tokens=1), 2),
        # Three thirds of a nano-dollar are one, not three.
        (
            Usage(input_tokens=1, cached_tokens=1, output_tokens=1),
            price(input_tokens=333_333, cached_tokens=333_333, output_tokens=333_334),
            1,
        ),
        # 0.15 and 0.60 USD per million tokens.
        (
            Usage(input_tokens=1000, output_tokens=500),
            price(input_tokens=150_000_000, output_tokens=600_000_000),
            450_000,
        ),
        (NO_USAGE, price(input_tokens=10**12, output_tokens=10**12), 0),
        (Usage(input_tokens=10**12), price(), 0),
    ],
)
def test_a_cost_is_rounded_once(usage, rates, nano):
    assert cost(usage, rates) == nano


TEXT = [
    name
    for name in CLASSES
    if name.endswith("_tokens") and "audio" not in name and "image" not in name
]


@given(st.builds(Usage, **dict.fromkeys(TEXT, TOKENS)), RATES)
def test_no_class_of_text_costs_more_than_the_dearest_rate_of_its_side(usage, rates):
    dearest = price(
        input_tokens=rates.dearest_input,
        output_tokens=rates.dearest_output,
        request=rates.request,
    )
    whole = Usage(input_tokens=usage.total_input, output_tokens=usage.total_output)
    priced = Price(id="price_1", terms=PriceTerms(rates=rates))
    assert cost(usage, priced) <= cost(whole, dearest)


@pytest.mark.parametrize(
    "name", [name for name in TEXT if name not in {"output_tokens", "reasoning_tokens"}]
)
def test_the_dearest_input_is_found_wherever_it_is(name):
    assert Rates(**{name: 3}).dearest_input == 3


@pytest.mark.parametrize("name", ["output_tokens", "reasoning_tokens"])
def test_the_dearest_output_is_found_wherever_it_is(name):
    assert Rates(**{name: 3}).dearest_output == 3


@given(NANO)
def test_an_amount_survives_the_way_to_text_and_back(nano):
    assert parse_usd(format_usd(nano)) == nano


@given(st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_an_amount_is_written_exactly_and_without_an_exponent(nano):
    text = format_usd(nano)
    assert Fraction(text) == Fraction(nano, NANO_PER_USD)
    assert set(text) <= set("-.0123456789")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (1500, "0.0000015"),
        (NANO_PER_USD, "1"),
        (10 * NANO_PER_USD, "10"),
        (1_230_000_000, "1.23"),
        (-1, "-0.000000001"),
        (-2_500_000_000, "-2.5"),
    ],
)
def test_amounts_look_like_this(nano, text):
    assert format_usd(nano) == text


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("5", 5 * NANO_PER_USD),
        ("0.15", 150_000_000),
        (".5", 500_000_000),
        ("1e-9", 1),
        ("0.0000000010", 1),
        ("-0", 0),
    ],
)
def test_amounts_are_read_as_people_type_them(text, nano):
    assert parse_usd(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "five",
        "$5",
        "1,5",
        "-1",
        "-0.000000001",
        "0.0000000001",
        "1e-10",
        "NaN",
        "sNaN",
        "-NaN",
        "Infinity",
        "-inf",
        "1e999999",
        # Finer than a nano-dollar, behind more digits than decimal keeps by default.
        "12345678901234567890.1234567891",
    ],
)
def test_what_is_no_amount_is_refused_in_words(text):
    with pytest.raises(ValueError, match="is not an amount"):
        parse_usd(text)


@given(st.integers(0, 10**25), st.integers(0, 10**10 - 1))
def test_reading_is_exact_or_refuses_whatever_the_number_of_digits(whole, fraction):
    text = f"{whole}.{fraction:010d}"
    try:
        nano = parse_usd(text)
    except ValueError:
        return
    assert nano == Fraction(text) * NANO_PER_USD
