"""The bound of a call: never less than the call can cost, at any target that may answer it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import UNITS, Price, PriceTerms, Rates, Tier, cost
from torana.core.usage import Usage
from torana.dialects.costs import OPENAI_NAMES as NAMES
from torana.dialects.costs import CallCosts
from torana.ledger.bounds import (
    CALL_TOKENS,
    TOOLS_TOKENS,
    UNKNOWN_MAX_OUTPUT,
    Bound,
    call_bound,
)
from torana.routing.catalog import ModelFacts, Target

INPUTS = ("input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens")
OUTPUTS = ("output_tokens", "reasoning_tokens")


def target(facts: ModelFacts | None = None, *tiers: Tier, max_output: int | None = None, **rates):
    """A target whose rates are given per token, not per million."""
    terms = PriceTerms(rates=per_token(**rates), tiers=tiers)
    return Target(
        provider="p",
        model="m",
        max_output=max_output,
        price=Price(id="price_1", terms=terms),
        facts=facts or ModelFacts(),
    )


def per_token(**rates: int) -> Rates:
    return Rates(**{name: rate * UNITS for name, rate in rates.items()})


def text(size: int, **fields) -> CallCosts:
    return CallCosts(text_bytes=size, **fields)


# --- properties --------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 10**12)
SIZES = st.integers(0, 10**7)
RATES = st.builds(Rates, **dict.fromkeys(Rates.__struct_fields__, AMOUNTS))


@st.composite
def prices(draw) -> Price:
    aboves = sorted(draw(st.sets(SIZES, max_size=3)))
    tiers = tuple(Tier(above=above, rates=draw(RATES)) for above in aboves)
    return Price(id="price_1", terms=PriceTerms(rates=draw(RATES), tiers=tiers))


FACTS = st.builds(
    ModelFacts,
    context_window=st.none() | SIZES,
    max_output=st.none() | SIZES,
    image_tokens=st.none() | st.integers(0, 10**5),
)
TARGETS = st.builds(
    Target,
    provider=st.just("p"),
    model=st.just("m"),
    max_output=st.none() | SIZES,
    price=st.none() | prices(),
    facts=FACTS,
)
COSTS = st.builds(
    CallCosts,
    text_bytes=SIZES,
    images=st.integers(0, 20),
    files=st.integers(0, 2),
    audio_in=st.booleans(),
    tools=st.booleans(),
    choices=st.integers(1, 128),
    max_output=st.none() | st.integers(1, 10**7),
    audio_out=st.booleans(),
    prediction_bytes=SIZES | st.just(0),
)


def most_input(costs: CallCosts, facts: ModelFacts, counted: int | None) -> int:
    """The longest prompt that the request can be, by the words of docs/bounds.md."""
    words = costs.text_bytes if counted is None else min(counted, costs.text_bytes)
    words += CALL_TOKENS + (TOOLS_TOKENS if costs.tools else 0)
    if facts.context_window is not None:
        if costs.files or costs.audio_in:
            words = facts.context_window
        words = min(words, facts.context_window)
    return words + costs.images * (facts.image_tokens or 0)


@st.composite
def split(draw, total: int, names: tuple[str, ...]) -> dict[str, int]:
    """A number of tokens of at most `total`, over classes."""
    left = draw(st.integers(0, total) | st.just(total))
    parts = {}
    for name in draw(st.permutations(names)):
        parts[name] = draw(st.integers(0, left) | st.just(left))
        left -= parts[name]
    return parts


@given(
    costs=COSTS,
    targets=st.lists(TARGETS, min_size=1, max_size=3),
    counted=st.none() | SIZES,
    allowed=st.none() | st.integers(0, 10**7),
    data=st.data(),
)
def test_no_usage_within_the_limits_costs_more_than_the_bound(
    costs, targets, counted, allowed, data
):
    bound = call_bound(costs, targets, input_tokens=counted)
    used = data.draw(st.sampled_from(targets))
    inputs = (*INPUTS, "input_audio_tokens") if costs.audio_in else INPUTS
    outputs = (*OUTPUTS, "output_audio_tokens") if costs.audio_out else OUTPUTS
    output = bound.output if allowed is None else allowed
    most_output = (output + costs.prediction_bytes) * costs.choices
    usage = Usage(
        **data.draw(split(most_input(costs, used.facts, counted), inputs)),
        **data.draw(split(most_output, outputs)),
    )
    actual = 0 if used.price is None else cost(usage, used.price)
    assert actual <= bound.nano(allowed)


GROWING = ("text_bytes", "images", "files", "choices", "max_output", "prediction_bytes")


@given(
    costs=COSTS.filter(lambda costs: costs.max_output is not None),
    targets=st.lists(TARGETS, min_size=1, max_size=2),
    more=st.fixed_dictionaries({name: st.integers(0, 1_000) for name in GROWING}),
    audio=st.booleans(),
)
def test_asking_for_more_never_lowers_the_bound(costs, targets, more, audio):
    larger = msgspec.structs.replace(
        costs,
        audio_out=costs.audio_out or audio,
        **{name: getattr(costs, name) + extra for name, extra in more.items()},
    )
    assert call_bound(costs, targets).nano() <= call_bound(larger, targets).nano()


@given(
    costs=COSTS,
    price=prices(),
    facts=FACTS,
    raised=st.sampled_from(Rates.__struct_fields__),
    by=AMOUNTS,
)
def test_a_dearer_price_never_lowers_the_bound(costs, price, facts, raised, by):
    def dearer(rates: Rates) -> Rates:
        return msgspec.structs.replace(rates, **{raised: getattr(rates, raised) + by})

    terms = price.terms
    tiers = tuple(Tier(above=tier.above, rates=dearer(tier.rates)) for tier in terms.tiers)
    higher = Price(id="price_2", terms=PriceTerms(rates=dearer(terms.rates), tiers=tiers))
    bounds = [
        call_bound(costs, [Target(provider="p", model="m", price=each, facts=facts)])
        for each in (price, higher)
    ]
    assert bounds[0].nano() <= bounds[1].nano()


@given(costs=COSTS, targets=st.lists(TARGETS, min_size=1, max_size=3), counted=SIZES)
def test_counting_tokens_never_raises_the_bound_and_another_target_never_lowers_it(
    costs, targets, counted
):
    by_bytes = call_bound(costs, targets)
    assert call_bound(costs, targets, input_tokens=counted).nano() <= by_bytes.nano()
    assert call_bound(costs, targets[:1]).nano() <= by_bytes.nano()


@given(fixed=AMOUNTS, per_output=AMOUNTS, output=SIZES)
def test_a_bound_is_rounded_up_once(fixed, per_output, output):
    bound = Bound(fixed=fixed, per_output=per_output, output=output, capped=False)
    exact = fixed + per_output * output
    assert exact <= bound.nano() * UNITS < exact + UNITS
    assert bound.nano(0) == -(-fixed // UNITS)


# --- examples ----------------------------------------------------------------------------------


def test_every_token_is_priced_by_its_dearest_class():
    dear = target(
        input_tokens=2,
        cached_tokens=1,
        cache_write_tokens=3,
        cache_write_1h_tokens=4,
        input_audio_tokens=99,
        output_tokens=5,
        reasoning_tokens=6,
        output_audio_tokens=99,
        request=7,
    )
    bound = call_bound(text(100, max_output=10, choices=3), [dear])
    assert bound.nano() == (100 + CALL_TOKENS) * 4 + 10 * 3 * 6 + 7


def test_tools_are_explained_to_the_model_at_the_callers_cost():
    with_tools = call_bound(text(0, tools=True, max_output=1), [target(input_tokens=1)])
    assert with_tools.nano() == CALL_TOKENS + TOOLS_TOKENS


def test_audio_is_priced_as_audio():
    facts = ModelFacts(context_window=1_000)
    heard = target(facts, input_tokens=1, input_audio_tokens=8)
    assert call_bound(text(10, audio_in=True, max_output=1), [heard]).nano() == 8_000
    spoken = target(output_tokens=1, output_audio_tokens=9)
    assert call_bound(text(10, audio_out=True, max_output=2), [spoken]).nano() == 18


def test_a_prompt_is_never_longer_than_the_context_window_and_images_come_on_top():
    small = target(ModelFacts(context_window=500, image_tokens=70), input_tokens=1)
    assert call_bound(text(10**6, max_output=1), [small]).nano() == 500
    assert call_bound(text(10**6, images=2, max_output=1), [small]).nano() == 640


@pytest.mark.parametrize("media", [{"files": 1}, {"audio_in": True}])
def test_a_file_or_a_recording_may_fill_the_context_window(media):
    facts = ModelFacts(context_window=50_000)
    taker = target(facts, input_tokens=1, input_audio_tokens=1)
    assert call_bound(text(10, max_output=1, **media), [taker]).nano() == 50_000


def test_a_tier_counts_as_soon_as_the_prompt_can_reach_it():
    long = Tier(above=1_000, rates=per_token(input_tokens=3, output_tokens=9))
    tiered = target(None, long, input_tokens=2, output_tokens=10)
    short = call_bound(text(1_000 - CALL_TOKENS, max_output=1), [tiered])
    assert short.nano() == 1_000 * 2 + 10
    reached = call_bound(text(1_001 - CALL_TOKENS, max_output=1), [tiered])
    # The output may still be the dearer one of the lower tier.
    assert reached.nano() == 1_001 * 3 + 10


def test_a_prediction_that_is_not_used_is_output_of_every_choice():
    one = target(output_tokens=2)
    bound = call_bound(text(0, prediction_bytes=50, choices=2, max_output=10), [one])
    assert bound.nano() == 2 * 2 * (50 + 10)


def test_the_dearest_target_counts_for_each_part():
    reads, writes = target(input_tokens=5, output_tokens=1), target(input_tokens=1, output_tokens=5)
    bound = call_bound(text(0, max_output=10), [reads, writes])
    assert bound.nano() == CALL_TOKENS * 5 + 10 * 5


def test_a_call_without_a_price_reserves_nothing():
    unpriced = Target(provider="p", model="m")
    bound = call_bound(text(10**6, images=1, files=1, audio_in=True), [unpriced])
    assert (bound.nano(), bound.unruled) == (0, ())


@pytest.mark.parametrize(
    ("requested", "model", "window", "route", "output", "capped"),
    [
        # The caller's limit counts as it is.
        (10, None, None, None, 10, False),
        (10, 4, 4, 4, 10, False),
        # The model stops by itself.
        (None, 4, 100, None, 4, False),
        (None, 4, None, 4, 4, False),
        (None, 4, None, 9, 4, False),
        (None, None, 100, None, 100, False),
        # Nothing but our word holds it.
        (None, 4, None, 3, 3, True),
        (None, None, None, 9, 9, True),
        (None, None, 100, 9, 9, True),
        (None, None, None, None, UNKNOWN_MAX_OUTPUT, True),
        (None, None, 10**7, None, UNKNOWN_MAX_OUTPUT, True),
    ],
)
def test_the_callers_limit_counts_before_the_models_and_that_before_the_routes_and_a_guess(
    requested, model, window, route, output, capped
):
    facts = ModelFacts(max_output=model, context_window=window)
    bound = call_bound(text(0, max_output=requested), [target(facts, max_output=route)])
    assert (bound.output, bound.capped) == (output, capped)


def test_one_target_that_must_be_held_is_enough_to_send_the_limit():
    itself = target(ModelFacts(max_output=50))
    held = target(max_output=20)
    bound = call_bound(text(0), [itself, held])
    assert (bound.output, bound.capped) == (50, True)


# --- what has no rule --------------------------------------------------------------------------

EVERYTHING = text(10, images=1, files=1, audio_in=True, audio_out=True, unruled=("plugins",))
ALL_FACTS = ModelFacts(context_window=1_000, image_tokens=10)
ALL_RATES = dict.fromkeys(Rates.__struct_fields__, 1)


def test_what_the_catalogue_knows_has_a_rule():
    assert call_bound(EVERYTHING, [target(ALL_FACTS, **ALL_RATES)]).unruled == ("plugins",)


def test_what_it_does_not_know_is_named_once():
    blind = target(input_tokens=1, output_tokens=1)
    bound = call_bound(EVERYTHING, [blind, blind])
    assert bound.unruled == (
        "plugins",
        NAMES.image,
        NAMES.file,
        NAMES.audio_in,
        NAMES.audio_out,
    )


@pytest.mark.parametrize(
    ("rate", "name"),
    [("input_audio_tokens", NAMES.audio_in), ("output_audio_tokens", NAMES.audio_out)],
)
def test_audio_without_a_price_of_its_own_is_named(rate, name):
    deaf = target(ALL_FACTS, **{**ALL_RATES, rate: 0})
    assert call_bound(EVERYTHING, [deaf]).unruled == ("plugins", name)


def test_at_a_model_that_costs_nothing_everything_has_a_rule():
    assert call_bound(EVERYTHING, [target()]).unruled == ("plugins",)


def test_tokens_for_rate_limits_are_a_quarter_of_the_bytes_and_the_output_that_is_allowed():
    facts = ModelFacts(image_tokens=100)
    assert call_bound(text(9), [target()]).tokens == 3
    assert call_bound(text(9, max_output=5, choices=2), [target()]).tokens == 13
    assert call_bound(text(9, images=2), [target(facts)]).tokens == 203
