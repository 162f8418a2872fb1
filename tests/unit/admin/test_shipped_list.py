"""The shipped list of models: sane figures, and the same money as where they come from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, get_args

import msgspec
import pytest
from genai_prices import types
from genai_prices.data import providers
from openai.types.shared.chat_model import ChatModel

from torana.admin.listed import ListedModel
from torana.admin.price_list import BUILTIN_NAMES, in_force, model_list, shipped
from torana.core.money import Price, PriceTerms, Rates, cost
from torana.core.usage import Usage

NOW = datetime.now(UTC)
LIST = shipped()
SOURCES = {provider.id: provider for provider in providers}
NAMES = sorted(LIST.names - BUILTIN_NAMES)
UNPRICED = {
    # Not on the list yet.
    "gpt-6.2-astra",
    "gpt-6.2-sol",
    # The list has no price of their audio.
    "gpt-4o-audio-preview",
    "gpt-4o-audio-preview-2024-10-01",
    "gpt-4o-audio-preview-2024-12-17",
    "gpt-4o-audio-preview-2025-06-03",
    "gpt-4o-mini-audio-preview",
    "gpt-4o-mini-audio-preview-2024-12-17",
}


def priced(provider: str) -> list[tuple[ListedModel, PriceTerms]]:
    """The models of a provider that have a price today."""
    found = []
    for model in LIST.read(provider).models:
        timeline = in_force(model, NOW)
        if timeline and timeline[0][0] is None:
            found.append((model, timeline[0][1]))
    return found


def every_rates(provider: str) -> list[tuple[str, Rates]]:
    return [
        (model.id, rates)
        for model in LIST.read(provider).models
        for price in model.prices
        for rates in (price.terms.rates, *(tier.rates for tier in price.terms.tiers))
    ]


@pytest.mark.parametrize("provider", NAMES)
def test_every_rate_is_a_whole_number_that_a_price_can_be(provider):
    for model, rates in every_rates(provider):
        for rate in msgspec.structs.astuple(rates):
            # A million dollars for a million tokens is a slip of the pen.
            assert 0 <= rate < 10**15, model
        if not model.endswith(":free"):
            assert any(msgspec.structs.astuple(rates)), model


@pytest.mark.parametrize("provider", NAMES)
def test_reading_from_a_cache_never_costs_more_than_reading(provider):
    dearer = {
        model for model, rates in every_rates(provider) if rates.cached_tokens > rates.input_tokens
    }
    # The source says so of this one.
    assert dearer <= {"~deepseek/deepseek-pro-latest"}


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_what_is_billed_dearer_than_plain_text_is_never_cheaper(provider):
    for model, rates in every_rates(provider):
        assert rates.cache_write_tokens >= rates.input_tokens, model
        assert rates.cache_write_1h_tokens >= rates.cache_write_tokens, model
        assert rates.reasoning_tokens == rates.output_tokens, model
        assert rates.input_audio_tokens >= rates.input_tokens, model
        assert rates.output_audio_tokens >= rates.output_tokens, model


def test_an_hour_in_anthropics_cache_costs_twice_the_input():
    for model, rates in every_rates("anthropic"):
        if rates.cache_write_tokens > rates.input_tokens:
            assert rates.cache_write_1h_tokens == 2 * rates.input_tokens, model


@pytest.mark.parametrize(
    ("provider", "model"), [("openai", "gpt-4o"), ("anthropic", "claude-opus-5-5")]
)
def test_a_batch_costs_half(provider, model):
    assert {found.id: terms for found, terms in priced(provider)}[model].batch_percent == 50


@pytest.mark.parametrize("provider", NAMES)
def test_tiers_rise_and_cost_no_less(provider):
    for model in LIST.read(provider).models:
        for price in model.prices:
            starts = [tier.above for tier in price.terms.tiers]
            assert starts == sorted(set(starts)), model.id
            for tier in price.terms.tiers:
                assert tier.rates.input_tokens >= price.terms.rates.input_tokens, model.id
            assert 1 <= price.terms.batch_percent <= 100


@pytest.mark.parametrize("provider", NAMES)
def test_names_are_unique_and_each_means_its_model(provider):
    models = LIST.read(provider).models
    names = [name for model in models for name in (model.id, *model.aliases)]
    assert len({name.lower() for name in names}) == len({*names})
    known = model_list(provider)
    for model in models:
        assert known.canonical(model.id) == model.id
        for alias in model.aliases:
            assert alias == alias.lower()
            assert known.canonical(alias) == model.id


@pytest.mark.parametrize("provider", NAMES)
def test_facts_are_possible(provider):
    for model in LIST.read(provider).models:
        facts = model.facts
        window, output = facts.context_window, facts.max_output
        assert window is None or 256 <= window <= 20_000_000, model.id
        assert output is None or 256 <= output <= (window or 10**6), model.id
        assert facts.tokenizer in {None, "o200k_base", "cl100k_base"}, model.id
        assert facts.image_tokens is None or "image" in facts.inputs, model.id
        assert set(facts.inputs) <= {"text", "image", "audio", "file"}, model.id


def test_only_models_without_reasoning_are_said_to_hide_nothing():
    shown = {model.id for model in LIST.read("openai").models if not model.facts.hides_output}
    assert {"gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4", "text-embedding-3-small"} <= shown
    assert not [name for name in shown if name.startswith(("o1", "o3", "o4", "gpt-5", "gpt-6"))]


@pytest.mark.parametrize("name", sorted(set(get_args(ChatModel)) - UNPRICED))
def test_every_chat_model_of_the_openai_sdk_has_a_price(name):
    found = model_list("openai").canonical(name)
    assert found in {model.id for model, _ in priced("openai")}


@pytest.mark.parametrize("name", sorted(UNPRICED))
def test_what_is_knowingly_unpriced_has_none(name):
    found = model_list("openai").canonical(name)
    assert found not in {model.id for model, _ in priced("openai")}


@pytest.mark.parametrize(
    ("provider", "name", "model"),
    [
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openai", "gpt-4o-2024-05-13", "gpt-4o-2024-05-13"),
        ("openai", "gpt-4o-mini", "gpt-4o-mini"),
        ("openai", "gpt-4o-2099-01-01", None),
        ("openai", "ft:gpt-4o-mini-2024-07-18:acme::id", "ft:gpt-4o-mini"),
        ("anthropic", "claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("anthropic", "claude-opus-4-20250514", "claude-opus-4-0"),
        ("anthropic", "claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("anthropic", "claude-opus-4-10", None),
        ("azure", "gpt-4o", "gpt-4o"),
    ],
)
def test_dated_names_find_their_model(provider, name, model):
    assert model_list(provider).canonical(name) == model


def by_time_of_day(model: types.ModelInfo) -> bool:
    return isinstance(model.prices, list) and any(
        isinstance(price.constraint, types.TimeOfDateConstraint) for price in model.prices
    )


USAGES: list[dict[str, Any]] = [
    {"input_tokens": 1_003, "output_tokens": 0, "cache_read_tokens": 0},
    {"input_tokens": 1_003, "output_tokens": 77, "cache_read_tokens": 501},
    {"input_tokens": 900_001, "output_tokens": 4_001, "cache_read_tokens": 100_000},
]


@pytest.mark.parametrize("provider", NAMES)
def test_a_call_costs_what_the_source_of_the_list_says(provider):
    source = {model.id: model for model in SOURCES[provider].models}
    compared = 0
    for model, terms in priced(provider):
        if by_time_of_day(source[model.id]):
            continue
        for usage in USAGES:
            said = source[model.id].calc_price(
                types.Usage(**usage), SOURCES[provider], genai_request_timestamp=NOW
            )
            ours = Usage(
                input_tokens=usage["input_tokens"] - usage["cache_read_tokens"],
                cached_tokens=usage["cache_read_tokens"],
                output_tokens=usage["output_tokens"],
            )
            nano = (said.total_price * Decimal(10**9)).to_integral_value(ROUND_CEILING)
            assert cost(ours, Price(id="p", terms=terms)) == nano, model.id
            compared += 1
    assert compared
