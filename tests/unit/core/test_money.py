"""Money: exact, and rounded up once."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import NANO_PER_USD, UNITS, Price, cost, format_usd, parse_usd
from torana.core.usage import NO_USAGE, Usage

TOKENS = st.integers(min_value=0, max_value=10**12)
RATES = st.integers(min_value=0, max_value=10**12)
PRICES = st.builds(
    Price,
    id=st.just("price_1"),
    input=RATES,
    cached=RATES,
    cache_write=RATES,
    output=RATES,
    reasoning=RATES,
)
USAGES = st.builds(
    Usage,
    input_tokens=TOKENS,
    cached_tokens=TOKENS,
    cache_write_tokens=TOKENS,
    output_tokens=TOKENS,
    reasoning_tokens=TOKENS,
)
NANO = st.integers(min_value=0, max_value=2**63 - 1)


def price(**rates: int) -> Price:
    every = dict.fromkeys(("input", "cached", "cache_write", "output", "reasoning"), 0)
    return Price(id="price_1", **(every | rates))


@given(USAGES, PRICES)
def test_a_cost_is_the_exact_sum_of_its_classes_rounded_up(usage, rates):
    exact = (
        Fraction(usage.input_tokens * rates.input, UNITS)
        + Fraction(usage.cached_tokens * rates.cached, UNITS)
        + Fraction(usage.cache_write_tokens * rates.cache_write, UNITS)
        + Fraction(usage.output_tokens * rates.output, UNITS)
        + Fraction(usage.reasoning_tokens * rates.reasoning, UNITS)
    )
    assert cost(usage, rates) == ceil(exact)


@pytest.mark.parametrize(
    ("usage", "rates", "nano"),
    [
        (Usage(input_tokens=1), price(input=1), 1),
        (Usage(input_tokens=1_000_000), price(input=1), 1),
        (Usage(input_tokens=1_000_001), price(input=1), 2),
        # Three thirds of a nano-dollar are one, not three.
        (
            Usage(input_tokens=1, cached_tokens=1, output_tokens=1),
            price(input=333_333, cached=333_333, output=333_334),
            1,
        ),
        # 0.15 and 0.60 USD per million tokens.
        (
            Usage(input_tokens=1000, output_tokens=500),
            price(input=150_000_000, output=600_000_000),
            450_000,
        ),
        (NO_USAGE, price(input=10**12, output=10**12), 0),
        (Usage(input_tokens=10**12), price(), 0),
    ],
)
def test_a_cost_is_rounded_once(usage, rates, nano):
    assert cost(usage, rates) == nano


@given(USAGES, PRICES)
def test_no_class_costs_more_than_the_dearest_rate_of_its_side(usage, rates):
    dearest = price(input=rates.dearest_input, output=rates.dearest_output)
    whole = Usage(input_tokens=usage.total_input, output_tokens=usage.total_output)
    assert cost(usage, rates) <= cost(whole, dearest)


def test_the_dearest_rate_of_each_side_is_found_wherever_it_is():
    assert price(input=3, cached=1, cache_write=2).dearest_input == 3
    assert price(input=1, cached=3, cache_write=2).dearest_input == 3
    assert price(input=1, cached=2, cache_write=3).dearest_input == 3
    assert price(output=3, reasoning=1).dearest_output == 3
    assert price(output=1, reasoning=3).dearest_output == 3


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
