"""Make the shipped list of models, their prices and facts: `python scripts/make_model_list.py`.

Prices, names and context windows come from the installed development dependency genai-prices;
what it does not have comes from `model_facts.toml` beside this file. The result goes into
`src/torana/admin/data/models/`, one file a provider and one line a model, so that a change shows.
"""

from __future__ import annotations

import json
import tomllib
from datetime import UTC, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
from genai_prices import types
from genai_prices.data import providers

from torana.admin import genai_list
from torana.admin.listed import ListedModel, ListedPrice, ListedProvider
from torana.admin.price_list import list_of
from torana.routing.catalog import ModelFacts, ModelList

HERE = Path(__file__).parent
TARGET = HERE.parent / "src" / "torana" / "admin" / "data" / "models"
_CLAUSES = {
    types.ClauseEquals: "equals",
    types.ClauseStartsWith: "starts_with",
    types.ClauseEndsWith: "ends_with",
    types.ClauseContains: "contains",
    types.ClauseRegex: "regex",
}


def main() -> None:
    """Write one file for each provider that `model_facts.toml` names."""
    notes = tomllib.loads((HERE / "model_facts.toml").read_text())
    names: list[str] = notes["providers"]
    raw = {provider.id: _provider(provider) for provider in providers}
    made = {name: _made(name, genai_list.convert(raw[name]), notes, names) for name in names}
    for name, provider in made.items():
        if name == "openrouter":
            made[name] = _with_facts_of_makers(provider, made)
    for old in TARGET.glob("*.json"):
        old.unlink()
    for name, provider in made.items():
        (TARGET / f"{name}.json").write_text(_text(provider))


def _made(
    name: str, provider: ListedProvider, notes: dict[str, Any], names: list[str]
) -> ListedProvider:
    """A provider with our own facts, without what is past."""
    facts = [entry for entry in notes["facts"] if entry["provider"] == name]
    unpriced = set(notes["unpriced"].get(name, ()))
    return ListedProvider(
        also=tuple(other for other in provider.also if other in names),
        models=tuple(
            msgspec.structs.replace(
                model,
                prices=() if model.id in unpriced else _without_past(model.prices),
                facts=_facts(model, facts),
            )
            for model in provider.models
        ),
    )


def _without_past(prices: tuple[ListedPrice, ...]) -> tuple[ListedPrice, ...]:
    today = datetime.now(UTC).date()
    begun = [price for price in prices if price.since is None or price.since <= today]
    coming = [price for price in prices if price.since is not None and price.since > today]
    return (*(ListedPrice(terms=price.terms) for price in begun[-1:]), *coming)


def _facts(model: ListedModel, entries: list[dict[str, Any]]) -> ModelFacts:
    """The facts of all entries that name the model; a later one wins."""
    known = msgspec.to_builtins(model.facts)
    for entry in entries:
        if any(fnmatchcase(model.id, pattern) for pattern in entry["models"]):
            known |= {
                key: value for key, value in entry.items() if key not in {"provider", "models"}
            }
    return msgspec.convert(known, ModelFacts, strict=True)


def _with_facts_of_makers(
    provider: ListedProvider, made: dict[str, ListedProvider]
) -> ListedProvider:
    """Models that are called MAKER/MODEL, with what is known of the maker's own."""
    lists: dict[str, ModelList] = {
        maker: list_of({model.id: model for model in made[maker].models})
        for maker in ("openai", "anthropic", "google")
    }
    models = []
    for model in provider.models:
        maker, _, name = model.id.partition("/")
        known = lists[maker].canonical(name) if maker in lists else None
        if known is None:
            models.append(model)
            continue
        window, facts = model.facts.context_window, lists[maker].facts[known]
        most = facts.max_output
        if window is not None and most is not None:
            most = min(window, most)
        facts = msgspec.structs.replace(facts, context_window=window, max_output=most)
        models.append(msgspec.structs.replace(model, facts=facts))
    return msgspec.structs.replace(provider, models=tuple(models))


def _text(provider: ListedProvider) -> str:
    lines = ",\n".join(
        json.dumps(_plain(model), separators=(",", ":"), ensure_ascii=False)
        for model in sorted(provider.models, key=lambda model: model.id)
    )
    head = json.dumps({"made_from": f"genai-prices {version('genai-prices')}"})[1:-1]
    return f'{{{head},\n"also": {json.dumps(provider.also)},\n"models": [\n{lines}\n]}}\n'


def _plain(model: ListedModel) -> dict[str, Any]:
    """A model as JSON without what says nothing."""
    plain: dict[str, Any] = msgspec.to_builtins(model)
    for price in plain.get("prices", ()):
        terms = price["terms"]
        for part in (terms, *terms["tiers"]):
            part["rates"] = {name: rate for name, rate in part["rates"].items() if rate}
        if not terms["tiers"]:
            del terms["tiers"]
        if terms["batch_percent"] == 100:
            del terms["batch_percent"]
    defaults = msgspec.to_builtins(ModelFacts())
    if "facts" in plain:
        plain["facts"] = {
            key: value for key, value in plain["facts"].items() if value != defaults[key]
        }
        if not plain["facts"]:
            del plain["facts"]
    return plain


# --- the installed data as the JSON that the project publishes ---------------------------------


def _provider(provider: types.Provider) -> dict[str, Any]:
    return {
        "id": provider.id,
        "fallback_model_providers": provider.fallback_model_providers,
        "models": [_model(model) for model in provider.models],
    }


def _model(model: types.ModelInfo) -> dict[str, Any]:
    prices = model.prices
    return {
        "id": model.id,
        "match": _rule(model.match),
        "context_window": model.context_window,
        "prices": [_conditional(price) for price in prices]
        if isinstance(prices, list)
        else _amounts(prices),
        "price_variants": [
            {"when": variant.when, "prices": _amounts(variant.prices)}
            for variant in model.price_variants or ()
        ],
    }


def _conditional(price: types.ConditionalPrice) -> dict[str, Any]:
    plain: dict[str, Any] = {"prices": _amounts(price.prices)}
    constraint = price.constraint
    if isinstance(constraint, types.StartDateConstraint):
        plain["constraint"] = {"start_date": constraint.start_date.isoformat()}
    elif constraint is not None:
        times: tuple[time, time] = (constraint.start_time, constraint.end_time)
        plain["constraint"] = {
            "start_time": times[0].isoformat(),
            "end_time": times[1].isoformat(),
        }
    return plain


def _amounts(prices: types.ModelPrice) -> dict[str, Any]:
    return {key: _amount(value) for key, value in vars(prices).items() if value is not None}


def _amount(value: Decimal | types.TieredPrices) -> Any:
    if isinstance(value, Decimal):
        return value
    return {
        "base": value.base,
        "tiers": [{"start": tier.start, "price": tier.price} for tier in value.tiers],
    }


def _rule(rule: Any) -> dict[str, Any]:
    if isinstance(rule, types.ClauseOr):
        return {"or": [_rule(part) for part in rule.or_]}
    if isinstance(rule, types.ClauseAnd):
        return {"and": [_rule(part) for part in rule.and_]}
    kind = _CLAUSES[type(rule)]
    return {kind: getattr(rule, kind)}


if __name__ == "__main__":
    main()
