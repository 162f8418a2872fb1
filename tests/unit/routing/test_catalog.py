"""From a model's name to what answers it."""

from __future__ import annotations

import pytest

from torana.core.money import Price, PriceTerms, Rates
from torana.errors import ModelNotFound
from torana.routing.catalog import (
    NO_FACTS,
    Catalog,
    ModelFacts,
    ModelList,
    ProviderEntry,
    Target,
)
from torana.routing.routes import single

OPENAI = r"gpt-.*|o[0-9].*"


def price(identifier: str) -> Price:
    return Price(id=identifier, terms=PriceTerms(rates=Rates(input_tokens=1, output_tokens=1)))


NAMED, WILD = price("price_named"), price("price_wild")
CATALOG = Catalog(
    providers={
        "openai": ProviderEntry(name="openai", kind="openai", claims=OPENAI),
        "rival": ProviderEntry(name="rival", kind="compatible", claims=r"gpt-5|rival-.*"),
        "plain": ProviderEntry(name="plain", kind="compatible"),
    },
    routes={
        "small": single("small", "plain", "small-7b", max_output=512),
        "gpt-4": single("gpt-4", "plain", "stand-in"),
        "org/slashed": single("org/slashed", "plain", "org/slashed-v1"),
        "openai/x": single("openai/x", "plain", "hijacked"),
        "small-7b": single("small-7b", "plain", "small-7b", max_output=512),
    },
    prices={("openai", "gpt-5"): NAMED, ("openai", "*"): WILD, ("plain", "small-7b"): NAMED},
)


def only(model: str) -> Target:
    targets = CATALOG.targets(model)
    assert len(targets) == 1
    return targets[0]


def test_a_route_names_its_provider_its_model_and_its_limit():
    assert only("small") == Target(provider="plain", model="small-7b", max_output=512, price=NAMED)


@pytest.mark.parametrize(
    ("model", "provider", "target"),
    [
        ("gpt-4", "plain", "stand-in"),  # over a provider's claim
        ("org/slashed", "plain", "org/slashed-v1"),  # over a slash
        ("openai/x", "plain", "hijacked"),  # over a provider's name
    ],
)
def test_a_routes_name_wins(model, provider, target):
    assert (only(model).provider, only(model).model) == (provider, target)


@pytest.mark.parametrize(
    ("model", "provider", "target"),
    [
        ("plain/anything", "plain", "anything"),
        ("plain/org/name:tag", "plain", "org/name:tag"),
        ("rival/gpt-5", "rival", "gpt-5"),
        ("openai/gpt-4", "openai", "gpt-4"),
        ("openai/not-claimed", "openai", "not-claimed"),
    ],
)
def test_a_providers_name_and_a_slash_always_work(model, provider, target):
    assert (only(model).provider, only(model).model) == (provider, target)


def test_a_model_that_is_addressed_directly_keeps_the_limit_of_its_own_route():
    assert only("plain/small-7b").max_output == 512
    assert only("rival/small-7b").max_output is None


@pytest.mark.parametrize(
    ("model", "provider"),
    [("gpt-4o", "openai"), ("gpt-5", "openai"), ("o3-mini", "openai"), ("rival-1", "rival")],
)
def test_a_bare_name_goes_to_the_first_provider_that_claims_it(model, provider):
    assert (only(model).provider, only(model).model) == (provider, model)


@pytest.mark.parametrize(
    "model",
    [
        "unknown",
        "",
        "my-gpt-4",  # a claim is for the whole name
        "gpt",
        "plain",
        "plain/",
        "/plain",
        "/",
        "nobody/gpt-5",
        "PLAIN/x",
        "gpt-4\nx",
        "x" * 5000,
    ],
)
def test_an_unknown_model_is_a_404_that_says_what_to_do(model):
    with pytest.raises(ModelNotFound) as caught:
        CATALOG.targets(model)
    error = caught.value
    assert (error.status, error.code, error.param) == (404, "model_not_found", "model")
    assert error.hint is not None
    assert "/v1/models" in error.hint
    assert "provider/model" in error.hint
    assert len(error.public_message) < 500


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gpt-5", NAMED),  # its own price
        ("gpt-9", WILD),  # that of all others of the provider
        ("openai/gpt-5", NAMED),
        ("rival/gpt-5", None),  # never another provider's
        ("plain/unpriced", None),
    ],
)
def test_a_model_has_its_own_price_else_the_providers_price_for_all_else_none(model, expected):
    assert only(model).price is expected


def test_an_empty_catalogue_knows_nothing():
    with pytest.raises(ModelNotFound):
        Catalog(providers={}, routes={}, prices={}).targets("gpt-4")


SOL = ModelFacts(context_window=1000, max_output=100, hides_output=False)
LISTED = ModelList(
    facts={"gpt-sol": SOL, "gpt-sol-mini": ModelFacts(max_output=50), "ft:gpt-sol": NO_FACTS},
    aliases={"gpt-sol-2026-01-01": "gpt-sol", "sol": "gpt-sol", "gpt-sol": "gpt-sol"},
    stems={"gpt-sol": "gpt-sol", "ft:gpt-sol": "ft:gpt-sol", "sol.ft-": "ft:gpt-sol"},
)


def with_list(**changes: object) -> Catalog:
    fields = {
        "providers": {name: ProviderEntry(name=name, kind="openai") for name in ("openai", "vllm")},
        "routes": {},
        "prices": {
            ("openai", "gpt-sol"): NAMED,
            ("openai", "ft:gpt-sol"): price("price_tuned"),
            ("vllm", "gpt-sol"): WILD,
        },
        "lists": {"openai": LISTED, "vllm": ModelList(facts={"*": SOL})},
    }
    return Catalog(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("gpt-sol", "gpt-sol"),
        ("GPT-Sol", "gpt-sol"),
        ("sol", "gpt-sol"),
        ("gpt-sol-2026-01-01", "gpt-sol"),
        ("gpt-sol-2027-12-31", "gpt-sol"),
        ("gpt-sol-20271231", "gpt-sol"),
        ("gpt-sol@20271231", "gpt-sol"),
        ("gpt-sol-latest", "gpt-sol"),
        ("gpt-sol-001", "gpt-sol"),
        ("gpt-sol-20271231-v1:0", "gpt-sol"),
        ("gpt-sol-mini", "gpt-sol-mini"),
        ("ft:gpt-sol:acme:name:id", "ft:gpt-sol"),
        ("ft:gpt-sol-2026-01-01:acme::id", "ft:gpt-sol"),
        ("sol.ft-0123456789", "ft:gpt-sol"),
        # The mini has no stem: a date that nobody knows is not guessed to be it.
        ("gpt-sol-mini-2027-12-31", None),
        ("gpt-sol-pro", None),
        ("gpt-sol-2", None),
        ("gpt-sol-2027-12-31-preview", None),
        ("my-gpt-sol", None),
        ("gpt-sol-", None),
        ("gpt-solar", None),
        ("ft:gpt-sol-mini:acme::id", None),
        ("ft:", None),
        ("", None),
        ("*", None),
    ],
)
def test_a_name_means_a_listed_model_or_none_and_never_a_similar_one(name, listed):
    assert LISTED.canonical(name) == listed


def test_a_dated_name_has_the_price_and_the_facts_of_its_model():
    (target,) = with_list().targets("openai/gpt-sol-2027-12-31")
    assert (target.model, target.price) == ("gpt-sol-2027-12-31", NAMED)
    assert (target.facts, target.max_output) == (SOL, 100)


def test_a_price_of_its_own_wins_over_that_of_its_model():
    own = price("price_own")
    prices = {("openai", "sol"): own, ("openai", "gpt-sol"): NAMED, ("openai", "*"): WILD}
    catalog = with_list(prices=prices)
    found = [catalog.targets(f"openai/{name}")[0].price for name in ("sol", "gpt-sol", "other")]
    assert found == [own, NAMED, WILD]


def test_a_small_model_never_gets_the_price_of_a_large_one():
    (target,) = with_list().targets("openai/gpt-sol-mini")
    assert (target.price, target.max_output) == (None, 50)


def test_facts_of_the_star_stand_for_all_models_of_a_provider():
    (target,) = with_list().targets("vllm/anything")
    assert (target.facts, target.price) == (SOL, None)


def test_a_routes_own_limit_wins_over_the_models():
    route = single("short", "openai", "gpt-sol", max_output=7)
    (target,) = with_list(routes={"short": route}).targets("short")
    assert (target.max_output, target.facts.max_output) == (7, 100)


def test_a_target_is_suspended_by_its_exact_name():
    catalog = with_list(suspended=frozenset({("openai", "gpt-sol")}))
    names = ("openai/gpt-sol", "openai/gpt-sol-latest", "vllm/gpt-sol")
    assert [catalog.targets(name)[0].suspended for name in names] == [True, False, False]
