"""Which target a call goes to: conditions, strategies, health, and conversations that stay."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torana.core.money import Price, PriceTerms, Rates, Tier
from torana.routing.catalog import Target
from torana.routing.health import HEALTHY, TargetHealth
from torana.routing.plan import Draw, Features, Order, order
from torana.routing.routes import Route, RouteTarget, When

CHAT = Features(dialect="chat")
NAMES = ("a", "b", "c")


def entry(name: str, **fields: Any) -> RouteTarget:
    return RouteTarget(provider=name, model=f"{name}-model", **fields)


def half(_entry: RouteTarget) -> float:
    return 0.5


def plan(
    *entries: RouteTarget,
    features: Features = CHAT,
    health: dict[str, TargetHealth] | None = None,
    prices: dict[str, Price] | None = None,
    draw: Draw = half,
    **route: Any,
) -> Order:
    targets = [
        Target(provider=one.provider, model=one.model, price=(prices or {}).get(one.provider))
        for one in entries
    ]
    known = health or {}
    return order(
        Route(name="alias", targets=entries, **route),
        targets,
        features,
        health=lambda target: known.get(target.provider, HEALTHY),
        draw=draw,
    )


def names(found: Order) -> list[str]:
    return [one.target.provider for one in found.ready]


def reasons(found: Order) -> dict[str, str]:
    return {one.entry.provider: one.reason for one in found.skipped}


# --- priority ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffled", list(permutations((1, 2, 3))))
def test_lower_priorities_come_first(shuffled):
    entries = [entry(f"p{number}", priority=number) for number in shuffled]
    assert names(plan(*entries)) == ["p1", "p2", "p3"]


def test_equals_stay_as_they_are_listed():
    assert names(plan(entry("b"), entry("a"), entry("c"))) == ["b", "a", "c"]


def test_no_strategy_passes_a_lower_priority():
    cheap_later = {"a": price(100), "b": price(1)}
    found = plan(
        entry("a", priority=1), entry("b", priority=2), prices=cheap_later, strategy="cheapest"
    )
    assert names(found) == ["a", "b"]


# --- conditions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "features", "reason"),
    [
        (When(dialects=("messages", "responses")), {}, "it takes messages, responses, and"),
        (When(tools=True), {}, "it is for calls with tools"),
        (When(tools=False), {"tools": True}, "it is for calls without tools"),
        (When(images=True), {}, "it is for calls with images"),
        (When(images=False), {"images": True}, "it is for calls without images"),
        (When(min_input_tokens=10), {"input_tokens": 9}, "at least 10 tokens, not 9"),
        (When(max_input_tokens=10), {"input_tokens": 11}, "at most 10 tokens, not 11"),
    ],
)
def test_a_target_whose_conditions_do_not_hold_is_skipped_and_says_why(when, features, reason):
    call = Features(dialect="chat", **features)
    found = plan(entry("a", when=when), entry("b"), features=call)
    assert names(found) == ["b"]
    assert reason in reasons(found)["a"]


@pytest.mark.parametrize(
    ("when", "features"),
    [
        (When(dialects=("messages", "chat")), {}),
        (When(tools=True), {"tools": True}),
        (When(tools=False), {}),
        (When(images=False), {}),
        (When(min_input_tokens=10, max_input_tokens=10), {"input_tokens": 10}),
    ],
)
def test_a_target_whose_conditions_hold_is_asked(when, features):
    assert names(plan(entry("a", when=when), features=Features(dialect="chat", **features))) == [
        "a"
    ]


def test_a_region_is_answered_from_there_only():
    entries = (entry("a", region="eu"), entry("b", region="us"), entry("c"))
    found = plan(*entries, features=Features(dialect="chat", region="eu"))
    assert names(found) == ["a"]
    assert set(reasons(found)) == {"b", "c"}
    assert names(plan(*entries)) == ["a", "b", "c"]


def test_a_weight_of_zero_takes_a_target_out_of_service():
    assert reasons(plan(entry("a", weight=0), entry("b"))) == {"a": "its weight is 0"}


# --- health ------------------------------------------------------------------------------------


def test_targets_that_take_no_calls_rest_and_the_first_to_come_back_leads_them():
    health = {
        "a": TargetHealth(state="open", wait=4.0),
        "b": TargetHealth(state="cooling", wait=1.5),
        "c": TargetHealth(state="half_open"),
    }
    found = plan(*(entry(name) for name in NAMES), health=health)
    assert names(found) == ["c"]
    assert [one.target.provider for one in found.resting] == ["b", "a"]


# --- strategies --------------------------------------------------------------------------------


def price(rate: int, **more: Any) -> Price:
    rates = Rates(input_tokens=rate * 1_000_000, output_tokens=rate * 2_000_000)
    return Price(id=f"price_{rate}", terms=PriceTerms(rates=rates, **more))


def test_the_cheapest_for_this_call_comes_first_and_what_has_no_price_last():
    dear_when_long = price(1, tiers=(Tier(above=1000, rates=price(50).terms.rates),))
    prices = {"a": dear_when_long, "b": price(5)}
    entries = [entry(name) for name in ("c", "b", "a")]
    short = plan(*entries, prices=prices, strategy="cheapest")
    long = plan(
        *entries,
        prices=prices,
        strategy="cheapest",
        features=Features(dialect="chat", input_tokens=5000),
    )
    assert (names(short), names(long)) == (["a", "b", "c"], ["b", "a", "c"])
    assert short.ready[-1].reason == "it has no price"


def test_the_callers_own_limit_of_output_counts_in_the_comparison():
    writes = Price(id="w", terms=PriceTerms(rates=Rates(output_tokens=10_000_000)))
    reads = Price(id="r", terms=PriceTerms(rates=Rates(input_tokens=10_000_000)))
    prices = {"a": writes, "b": reads}

    def first(max_output: int) -> str:
        features = Features(dialect="chat", input_tokens=100, max_output=max_output)
        return names(
            plan(entry("a"), entry("b"), prices=prices, strategy="cheapest", features=features)
        )[0]

    assert (first(10), first(1000)) == ("a", "b")


def test_the_quickest_comes_first_and_who_was_never_measured_before_all():
    health = {
        "a": TargetHealth(latency=0.9, stream_latency=0.1),
        "b": TargetHealth(latency=0.3, stream_latency=0.4),
    }
    entries = [entry(name) for name in NAMES]
    found = plan(*entries, health=health, strategy="least_latency")
    streams = plan(
        *entries,
        health=health,
        strategy="least_latency",
        features=Features(dialect="chat", streamed=True),
    )
    assert names(found) == ["c", "b", "a"]
    assert names(streams) == ["c", "a", "b"]
    assert found.ready[1].reason == "answers begin after 300 ms"


def test_the_least_busy_for_its_weight_comes_first():
    health = {"a": TargetHealth(open_calls=3), "b": TargetHealth(open_calls=4)}
    found = plan(entry("a"), entry("b", weight=2), health=health, strategy="least_busy")
    assert names(found) == ["b", "a"]


def test_weights_are_shares():
    random = Random(7)
    counts: Counter[str] = Counter()
    for _ in range(4000):
        found = plan(
            entry("a", weight=3),
            entry("b", weight=1),
            strategy="weighted",
            draw=lambda _entry: random.random(),
        )
        counts[names(found)[0]] += 1
        assert len(found.ready) == 2
    assert 0.72 < counts["a"] / 4000 < 0.78


def test_a_sticky_route_shares_its_conversations_whatever_its_strategy():
    health = {"a": TargetHealth(latency=9.0), "b": TargetHealth(latency=0.1)}
    favours_a = {"a": 0.9, "b": 0.1}
    found = plan(
        entry("a"),
        entry("b"),
        health=health,
        strategy="least_latency",
        sticky=True,
        draw=lambda one: favours_a[one.provider],
    )
    assert names(found) == ["a", "b"]


def test_a_draw_of_zero_is_no_error():
    assert names(plan(entry("a"), strategy="weighted", draw=lambda _entry: 0.0)) == ["a"]


@given(
    priorities=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    strategy=st.sampled_from(["priority", "weighted", "least_latency", "least_busy", "cheapest"]),
    sticky=st.booleans(),
    seed=st.integers(0, 999),
)
def test_every_target_is_in_the_plan_exactly_once(priorities, strategy, sticky, seed):
    random = Random(seed)
    entries = [
        entry(f"t{number}", priority=priority, weight=random.randint(0, 3))
        for number, priority in enumerate(priorities)
    ]
    health = {
        one.provider: TargetHealth(
            state=random.choice(["closed", "open", "cooling"]), wait=random.choice([0.0, 1.0])
        )
        for one in entries
    }
    found = plan(
        *entries,
        health=health,
        strategy=strategy,
        sticky=sticky,
        draw=lambda _entry: random.random(),
    )
    placed = [one.entry for one in (*found.ready, *found.resting)]
    placed += [one.entry for one in found.skipped]
    assert sorted(one.provider for one in placed) == sorted(one.provider for one in entries)
    ranks = [one.entry.priority for one in found.ready]
    assert ranks == sorted(ranks)
