"""The bound of images, audio and searches: never less than such a call can cost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import UNITS, Price, PriceTerms, Rates, Tier, cost
from torana.core.usage import Usage
from torana.dialects.costs import CallCosts, MediaCosts
from torana.ledger.bounds import CALL_TOKENS, IMAGE_TOKENS, call_bound, priced
from torana.routing.catalog import ModelFacts, Target

AMOUNTS = st.integers(0, 10**12)
COUNTS = st.integers(0, 10**6)
RATES = st.builds(Rates, **dict.fromkeys(Rates.__struct_fields__, AMOUNTS))
VARIANTS = st.dictionaries(st.sampled_from(["a/x", "a/*", "*/x", "b/y", "auto/auto"]), AMOUNTS)
MEDIA = st.builds(
    MediaCosts,
    size=st.sampled_from([None, "a", "b"]),
    quality=st.sampled_from([None, "x", "y"]),
    **dict.fromkeys(
        (
            "images_in",
            "images_out",
            "image_tokens_out",
            "characters",
            "speech_tokens_out",
            "audio_seconds",
            "audio_tokens_in",
            "text_tokens_out",
            "searches",
        ),
        COUNTS,
    ),
)


@st.composite
def targets(draw) -> Target:
    above = draw(st.none() | COUNTS)
    tiers = () if above is None else (Tier(above=above, rates=draw(RATES)),)
    terms = PriceTerms(rates=draw(RATES), tiers=tiers, image_variants=draw(VARIANTS))
    facts = ModelFacts(image_tokens=draw(st.none() | st.integers(1, 10**4)))
    return Target(provider="p", model="m", price=Price(id="price_1", terms=terms), facts=facts)


def up_to(draw: st.DrawFn, most: int) -> int:
    return draw(st.just(most) | st.integers(0, most))


@given(media=MEDIA, size=COUNTS, among=st.lists(targets(), min_size=1, max_size=3), data=st.data())
def test_no_usage_within_the_limits_costs_more_than_the_bound(media, size, among, data):
    costs = CallCosts(text_bytes=size, media=media, no_output=True)
    used = data.draw(st.sampled_from(among))
    draw = data.draw
    usage = Usage(
        input_tokens=up_to(draw, size + CALL_TOKENS),
        input_audio_tokens=up_to(draw, media.audio_tokens_in),
        input_image_tokens=up_to(draw, media.images_in * (used.facts.image_tokens or IMAGE_TOKENS)),
        output_tokens=up_to(draw, media.text_tokens_out),
        output_audio_tokens=up_to(draw, media.speech_tokens_out),
        output_image_tokens=up_to(draw, media.image_tokens_out),
        images=up_to(draw, media.images_out),
        characters=up_to(draw, media.characters),
        audio_seconds=up_to(draw, media.audio_seconds),
        searches=up_to(draw, media.searches),
    )
    price = priced(used, costs).price
    assert price is not None
    assert cost(usage, price) <= call_bound(costs, among).nano()


def target(**rates: int) -> Target:
    terms = PriceTerms(rates=Rates(**{name: rate * UNITS for name, rate in rates.items()}))
    return Target(provider="p", model="m", price=Price(id="price_1", terms=terms))


@pytest.mark.parametrize(
    ("media", "rates", "nano"),
    [
        (MediaCosts(images_out=3), {"images": 7}, 21),
        (MediaCosts(characters=10), {"characters": 2}, 20),
        (MediaCosts(audio_seconds=4), {"audio_seconds": 5}, 20),
        (MediaCosts(searches=2), {"searches": 9}, 18),
        (MediaCosts(searches=2), {"characters": 9}, 0),
    ],
)
def test_a_bound_by_pieces_is_exact(media, rates, nano):
    costs = CallCosts(text_bytes=0, media=media, no_output=True)
    found = call_bound(costs, [target(**rates)])
    assert (found.nano(), found.capped, found.output) == (nano, False, 0)


def test_an_image_is_priced_by_what_was_asked_for():
    terms = PriceTerms(rates=Rates(), image_variants={"a/x": 3 * UNITS, "a/y": 8 * UNITS})
    dear = Target(provider="p", model="m", price=Price(id="price_1", terms=terms))
    costs = CallCosts(text_bytes=0, media=MediaCosts(images_out=2, size="a", quality="x"))
    costs = msgspec.structs.replace(costs, no_output=True)
    found = priced(dear, costs)
    assert call_bound(costs, [dear]).nano() == 6
    assert found.price is not None
    assert (found.price.id, cost(Usage(images=2), found.price)) == ("price_1", 6)


def test_other_calls_and_targets_without_a_price_stay_as_they_are():
    plain, free = CallCosts(text_bytes=1), Target(provider="p", model="m")
    dear = target(input_tokens=1)
    assert priced(dear, plain) is dear
    assert priced(free, CallCosts(text_bytes=1, media=MediaCosts())) is free


def test_a_quality_without_known_tokens_is_named_where_tokens_cost_something():
    costs = CallCosts(
        text_bytes=1,
        media=MediaCosts(images_out=1, image_tokens_out=5, odd_quality="quality=max"),
        no_output=True,
    )
    assert call_bound(costs, [target(output_image_tokens=1)]).unruled == ("quality=max",)
    assert call_bound(costs, [target(images=1)]).unruled == ()
    assert call_bound(costs, [target()]).unruled == ()


def test_what_is_heard_and_seen_may_make_the_prompt_a_long_one():
    tiers = (Tier(above=100, rates=Rates(audio_seconds=9 * UNITS)),)
    terms = PriceTerms(rates=Rates(audio_seconds=1), tiers=tiers)
    long = Target(provider="p", model="m", price=Price(id="price_1", terms=terms))
    media = MediaCosts(audio_seconds=1, audio_tokens_in=101)
    costs = CallCosts(text_bytes=0, media=media, no_output=True)
    assert call_bound(costs, [long]).nano() == 9
