"""Price lists that somebody brings: two forms, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from torana.admin.price_list import in_force, list_of, read_list, shipped
from torana.core.money import PriceTerms, Rates
from torana.errors import InvalidRequest


def genai(*models: dict[str, Any], **changes: Any) -> bytes:
    """A file as the genai-prices project publishes it."""
    provider = {"id": "openai", "name": "OpenAI", "api_pattern": "x", "models": list(models)}
    return msgspec.json.encode([provider | changes])


def model(identifier: str = "m", **changes: Any) -> dict[str, Any]:
    plain = {"id": identifier, "match": {"equals": identifier}, "prices": {"input_mtok": 1}}
    return plain | changes


def terms_of(**changes: Any) -> PriceTerms:
    (listed,) = read_list(genai(model(**changes))).read("openai").models
    return listed.prices[-1].terms


def test_dollars_per_million_tokens_become_whole_nano_dollars():
    prices = {"input_mtok": 0.15, "output_mtok": 0.6, "cache_read_mtok": 0.075}
    rates = terms_of(prices=prices).rates
    assert rates == Rates(
        input_tokens=150_000_000,
        cached_tokens=75_000_000,
        cache_write_tokens=150_000_000,
        cache_write_1h_tokens=150_000_000,
        input_audio_tokens=150_000_000,
        output_tokens=600_000_000,
        reasoning_tokens=600_000_000,
        output_audio_tokens=600_000_000,
    )


def test_what_is_finer_than_a_nano_dollar_is_rounded_up():
    body = genai(model()).replace(b'"input_mtok":1', b'"input_mtok":0.0000000011')
    (listed,) = read_list(body).read("openai").models
    assert listed.prices[0].terms.rates.input_tokens == 2


def test_decimals_are_read_without_going_through_floats():
    body = genai(model()).replace(b'"input_mtok":1', b'"input_mtok":123456789.123456789')
    (listed,) = read_list(body).read("openai").models
    assert listed.prices[0].terms.rates.input_tokens == 123_456_789_123_456_789


def test_classes_have_their_own_prices_where_the_file_has_them():
    rates = terms_of(
        id="claude-x",
        prices={
            "input_mtok": 1,
            "cache_write_mtok": 1.25,
            "output_mtok": 5,
            "output_reasoning_mtok": 6,
            "input_audio_mtok": 7,
            "output_audio_mtok": 8,
            "requests_kcount": 5,
        },
    ).rates
    assert rates.cache_write_tokens == 1_250_000_000
    assert rates.cache_write_1h_tokens == 2_000_000_000
    assert (rates.reasoning_tokens, rates.output_audio_tokens) == (6 * 10**9, 8 * 10**9)
    assert rates.input_audio_tokens == 7 * 10**9
    # Five dollars for a thousand calls are half a cent for one.
    assert rates.request == 5_000_000 * 10**6


def test_only_anthropics_models_have_a_second_price_for_writing_to_a_cache():
    prices = {"input_mtok": 1, "cache_write_mtok": 1.25}
    assert terms_of(id="gpt-x", prices=prices).rates.cache_write_1h_tokens == 1_250_000_000


def test_tiers_hold_for_all_classes():
    terms = terms_of(
        prices={
            "input_mtok": {
                "base": 1,
                "tiers": [{"start": 200, "price": 2}, {"start": 100, "price": 1.5}],
            },
            "output_mtok": {"base": 4, "tiers": [{"start": 200, "price": 6}]},
        }
    )
    assert [tier.above for tier in terms.tiers] == [100, 200]
    assert [tier.rates.input_tokens for tier in terms.tiers] == [1_500_000_000, 2 * 10**9]
    assert [tier.rates.output_tokens for tier in terms.tiers] == [4 * 10**9, 6 * 10**9]
    assert [tier.rates.cached_tokens for tier in terms.tiers] == [1_500_000_000, 2 * 10**9]


def test_of_prices_by_the_time_of_day_the_dearest_counts():
    terms = terms_of(
        prices=[
            {"prices": {"input_mtok": 1, "output_mtok": 9}},
            {
                "constraint": {"start_time": "01:00:00Z", "end_time": "04:00:00Z"},
                "prices": {"input_mtok": 3, "output_mtok": 5},
            },
        ]
    )
    assert (terms.rates.input_tokens, terms.rates.output_tokens) == (3 * 10**9, 9 * 10**9)


def test_dated_prices_begin_at_midnight_utc():
    body = genai(
        model(
            prices=[
                {"prices": {"input_mtok": 1}},
                {"constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 2}},
            ]
        )
    )
    (listed,) = read_list(body).read("openai").models
    assert [price.since for price in listed.prices] == [None, date(2027, 1, 1)]
    begins = datetime(2027, 1, 1, tzinfo=UTC)
    before = in_force(listed, datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    assert [(at, terms.rates.input_tokens) for at, terms in before] == [
        (None, 10**9),
        (begins, 2 * 10**9),
    ]
    after = in_force(listed, begins)
    assert [(at, terms.rates.input_tokens) for at, terms in after] == [(None, 2 * 10**9)]


@pytest.mark.parametrize(
    ("batch", "percent"),
    [
        ({"input_mtok": 0.5, "output_mtok": 2}, 50),
        ({"input_mtok": 0.5, "output_mtok": 2.01}, 51),
        ({"input_mtok": 1}, 100),
    ],
)
def test_a_batch_costs_the_percentage_of_the_class_that_is_reduced_least(batch, percent):
    terms = terms_of(
        prices={"input_mtok": 1, "output_mtok": 4},
        price_variants=[
            {"when": {"service_tier": "flex"}, "prices": {"input_mtok": 0.1}},
            {"when": {"processing": "batch"}, "prices": batch},
        ],
    )
    assert terms.batch_percent == percent


@pytest.mark.parametrize(
    "prices",
    [
        {},
        {"input_mtok": 1, "input_image_mtok": 5},
        {"audio_hours": 0.36},
        {"input_mchars": 15},
        {"web_searches_kcount": 10},
        {"input_mtok": 1, "something_new_kcount": 1},
    ],
)
def test_what_our_classes_can_not_say_has_no_price(prices):
    (listed,) = read_list(genai(model(prices=prices))).read("openai").models
    assert listed.prices == ()


def test_searches_are_tools_and_leave_the_tokens_priced():
    assert terms_of(prices={"input_mtok": 1, "web_searches_kcount": 10}).rates.request == 0


def test_what_is_free_by_name_costs_nothing():
    assert terms_of(id="x:free", prices={}).rates == Rates()


def test_names_follow_the_rules_of_the_file_and_no_further():
    body = genai(
        model("gpt-x", match={"or": [{"equals": "gpt-x"}, {"equals": "GPT-X-2026-01-01"}]}),
        model("gpt-x-mini", match={"regex": r"^gpt-x-mini-\d{4}-\d{2}-\d{2}$"}),
        model("claude-x", match={"starts_with": "claude-x"}),
        model("shadowed", match={"or": [{"equals": "claude-x-1"}, {"equals": "shadowed"}]}),
        model("both", match={"and": [{"contains": "bo"}, {"contains": "th"}]}),
    )
    models = {found.id: found for found in read_list(body).read("openai").models}
    known = list_of(models)
    names = {
        "gpt-x-2026-01-01": "gpt-x",
        "gpt-x-2026-02-02": None,
        "gpt-x-mini-2026-02-02": "gpt-x-mini",
        "claude-x-20260101": "claude-x",
        "claude-x-large": None,
        # The first rule of the file that fits has the name.
        "claude-x-1": None,
        "both": "both",
        "both-of-them": None,
    }
    assert {name: known.canonical(name) for name in names} == names


def test_our_own_form_is_read_as_the_shipped_files_are():
    body = msgspec.json.encode({"providers": {"openai": shipped().read("openai")}})
    assert read_list(body).read("openai") == shipped().read("openai")


def own(**terms: Any) -> bytes:
    listed = {"id": "m", "prices": [{"terms": {"rates": {"input_tokens": 1}} | terms}]}
    return msgspec.json.encode({"providers": {"openai": {"models": [listed]}}})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"providers": {}}',
        b'{"providers": 5}',
        b'{"providers": {"openai": 5}}',
        b'[{"id": "openai"}]',
        b"[1]",
        b'{"providers": [{"id": "openai", "models": [{"id": "m"}]}]}',
        genai(model(prices={"input_mtok": -1})),
        genai(model(prices={"input_mtok": "NaN"})),
        genai(model(prices={"input_mtok": 10**30})),
        genai(model(prices={"input_mtok": {"base": 1}})),
        genai(model(match={})),
        genai(model(match={"sounds_like": "m"})),
        genai(model(match={"regex": "("})),
        genai(model(match={"or": [{"equals": 5}]})),
        genai(model(prices=[{"constraint": {"start_date": "soon"}, "prices": {"input_mtok": 1}}])),
        own(rates={"input_tokens": -1}),
        own(rates={"input_tokens": 2**70}),
        own(rates={"input_tokens": "1"}),
        own(batch_percent=101),
        own(tiers=[{"above": 0, "rates": {}}]),
        own(tiers=[{"above": 2, "rates": {}}, {"above": 1, "rates": {}}]),
        b"[" * 100_000,
        b'[{"id": "openai", "models": [{"id": "m", "match": {"equals": "m"}, "prices": {"input_mtok": 1e999999999}}]}]',
    ],
    ids=lambda content: content[:60].decode(errors="replace"),
)
def test_a_file_that_is_no_price_list_is_refused_in_words(content):
    with pytest.raises(InvalidRequest) as caught:
        read_list(content)
    assert caught.value.param == "file"
    assert len(caught.value.public_message) < 400
