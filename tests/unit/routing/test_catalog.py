"""From a model's name to what answers it."""

from __future__ import annotations

import pytest

from torana.core.money import Price
from torana.errors import ModelNotFound
from torana.routing.catalog import Catalog, ProviderEntry, Route, Target

OPENAI = r"gpt-.*|o[0-9].*"


def price(identifier: str) -> Price:
    return Price(id=identifier, input=1, cached=1, cache_write=1, output=1, reasoning=1)


NAMED, WILD = price("price_named"), price("price_wild")
CATALOG = Catalog(
    providers={
        "openai": ProviderEntry(name="openai", kind="openai", claims=OPENAI),
        "rival": ProviderEntry(name="rival", kind="compatible", claims=r"gpt-5|rival-.*"),
        "plain": ProviderEntry(name="plain", kind="compatible"),
    },
    routes={
        "small": Route(name="small", provider="plain", model="small-7b", max_output=512),
        "gpt-4": Route(name="gpt-4", provider="plain", model="stand-in"),
        "org/slashed": Route(name="org/slashed", provider="plain", model="org/slashed-v1"),
        "openai/x": Route(name="openai/x", provider="plain", model="hijacked"),
        "small-7b": Route(name="small-7b", provider="plain", model="small-7b", max_output=512),
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
