"""What an image costs by its size and quality, and when a usage says what a call costs."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import Price, PriceTerms, Rates, Tier, measures
from torana.core.usage import CLASSES, NO_USAGE, Usage

VARIANTS = {
    "1024x1024/high": 50,
    "1024x1024/*": 30,
    "*/hd": 80,
    "auto/auto": 40,
}
TERMS = PriceTerms(
    rates=Rates(images=20, input_tokens=1),
    tiers=(Tier(above=5, rates=Rates(images=7, input_tokens=2)),),
    image_variants=VARIANTS,
    batch_percent=50,
)


@pytest.mark.parametrize(
    ("size", "quality", "rate"),
    [
        ("1024x1024", "high", 50),
        ("1024x1024", "low", 30),
        ("512x512", "hd", 80),
        ("512x512", "low", 20),
        (None, None, 40),
        ("auto", "auto", 40),
        # Whatever the model chooses, it costs no more than the dearest that it can choose.
        ("1024x1024", None, 80),
        (None, "high", 50),
    ],
)
def test_the_variant_that_says_most_wins(size, quality, rate):
    terms = TERMS.for_image(size, quality)
    assert terms.rates.images == rate
    assert terms.tiers[0].rates.images == rate
    assert (terms.rates.input_tokens, terms.tiers[0].rates.input_tokens) == (1, 2)
    assert (terms.tiers[0].above, terms.batch_percent) == (5, 50)


def test_what_no_variant_fits_costs_the_dearest_unless_there_is_an_amount_for_any():
    only = PriceTerms(rates=Rates(), image_variants={"1024x1024/low": 3, "1024x1024/high": 9})
    assert only.for_image("256x256", "low").rates.images == 9
    assert only.for_image("1024x1024", None).rates.images == 9
    assert only.for_image("1024x1024", "low").rates.images == 3


def test_without_variants_all_images_cost_the_same():
    terms = PriceTerms(rates=Rates(images=4))
    assert terms.for_image("1024x1024", "high") is terms


@given(
    st.dictionaries(
        st.sampled_from(["a/x", "a/*", "*/x", "b/y", "auto/x", "b/*"]), st.integers(0, 100)
    ),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, "x", "y"]),
    st.integers(0, 100),
)
def test_what_is_left_open_never_costs_less_than_some_choice(variants, size, quality, plain):
    terms = PriceTerms(rates=Rates(images=plain), image_variants=variants)
    paid = terms.for_image(size, quality).rates.images
    assert paid in {plain, *variants.values()}
    if size is None and quality is None and "auto/x" not in variants:
        assert paid == max([plain, *variants.values()])


def test_a_stored_price_without_image_tokens_counts_them_as_text():
    old = {"rates": {"input_tokens": 5, "output_tokens": 9}}
    rates = msgspec.convert(old, PriceTerms).rates
    assert (rates.input_image_tokens, rates.output_image_tokens) == (5, 9)
    assert msgspec.convert(msgspec.to_builtins(rates), Rates) == rates


@pytest.mark.parametrize(
    ("usage", "rates", "told"),
    [
        (Usage(characters=5), Rates(characters=1), True),
        (Usage(characters=5), Rates(input_tokens=1, output_tokens=1), False),
        (Usage(audio_seconds=5), Rates(input_tokens=1), False),
        (Usage(audio_seconds=5, input_tokens=2), Rates(input_tokens=1), True),
        (Usage(images=1), Rates(), True),
        (NO_USAGE, Rates(searches=1), False),
        # What a call costs by itself says nothing of its units.
        (NO_USAGE, Rates(request=1), True),
    ],
)
def test_a_usage_tells_the_cost_when_it_has_a_unit_of_the_price(usage, rates, told):
    assert measures(usage, Price(id="price_1", terms=PriceTerms(rates=rates))) is told


def test_every_class_has_a_rate():
    assert set(CLASSES) < set(Rates.__struct_fields__)
