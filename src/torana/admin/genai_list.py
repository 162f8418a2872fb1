"""Read the price data that the genai-prices project publishes.

Its data gives dollars per million tokens as decimals, tiers by the size of the prompt, prices by
day or time of day, and rules by which a name finds its model. What our classes of units can't say
is not guessed: such a model is left without a price.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Any

import msgspec

from torana.admin.listed import ListedModel, ListedPrice, ListedProvider
from torana.core.money import NANO_PER_USD, UNITS, PriceTerms, Rates, Tier
from torana.routing.catalog import ModelFacts

_PER_CLASS = {
    "input_tokens": "input_mtok",
    "cached_tokens": "cache_read_mtok",
    "cache_write_tokens": "cache_write_mtok",
    "cache_write_1h_tokens": "cache_write_1h_mtok",
    "input_audio_tokens": "input_audio_mtok",
    "output_tokens": "output_mtok",
    "reasoning_tokens": "output_reasoning_mtok",
    "output_audio_tokens": "output_audio_mtok",
}
_REQUEST = "requests_kcount"
_NEVER_IN_A_PLAIN_CALL = {"web_searches_kcount", "storage_searches_kcount", "cache_audio_read_mtok"}
"""Tools are not tokens, and cached audio is counted with the cached text."""
_KNOWN = {*_PER_CLASS.values(), _REQUEST, *_NEVER_IN_A_PLAIN_CALL}
_KINDS = {"equals", "starts_with", "ends_with", "contains", "regex"}
_PROBES = ("-20990101", "-2099-01-01", "@20990101", "-latest")
_STEM_OF_REGEX = re.compile(r"\^([\w./\\-]+?)(?:-|@|\[-@\])\\d.*")
_DATE_BEGUN = re.compile(r"(?<!\.ft)[-@](?:20\d\d-?)?$")

Raw = Mapping[str, Any]


def convert_all(providers: Sequence[Any]) -> dict[str, ListedProvider]:
    """All providers by name.

    Raises:
        ValueError: the data is not what it should be.
    """
    try:
        return {provider["id"]: convert(provider) for provider in providers}
    except (KeyError, TypeError, AttributeError, ArithmeticError, re.error) as error:
        message = f"it is not in the form of genai-prices ({type(error).__name__}: {error})"
        raise ValueError(message) from error


def convert(provider: Raw) -> ListedProvider:
    """One provider."""
    models = [_Model(raw) for raw in provider["models"]]
    return ListedProvider(
        also=tuple(provider.get("fallback_model_providers") or ()),
        models=tuple(
            ListedModel(
                id=model.id,
                aliases=tuple(_aliases(model, models)),
                stems=tuple(_stems(model, models)),
                prices=tuple(_prices(model.raw)),
                facts=_facts(model.raw),
            )
            for model in models
        ),
    )


class _Model:
    """A model with the rule that recognises it, made ready for many questions."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.id: str = raw["id"]
        self.rule: Raw = raw["match"]
        _check(self.rule)
        self.clauses = list(_flat(self.rule))
        self.exact = {clause["equals"].lower() for clause in self.clauses if "equals" in clause}
        self.is_exact = (
            all("equals" in clause for clause in self.clauses) and "and" not in self.rule
        )

    def matches(self, text: str) -> bool:
        return text in self.exact if self.is_exact else _matches(self.rule, text)


def _check(rule: Raw) -> None:
    ((kind, value),) = rule.items()
    if kind in {"or", "and"}:
        for part in value:
            _check(part)
    elif kind not in _KINDS or not isinstance(value, str):
        message = f"a rule {kind!r} for names is not known"
        raise ValueError(message)
    elif kind == "regex":
        re.compile(value)


def _flat(rule: Raw) -> Iterator[Raw]:
    """The alternatives of a rule; what must hold together is none."""
    if "or" in rule:
        for part in rule["or"]:
            yield from _flat(part)
    elif "and" not in rule:
        yield rule


def _matches(rule: Raw, text: str) -> bool:
    ((kind, value),) = rule.items()
    if kind in {"or", "and"}:
        results = (_matches(part, text) for part in value)
        return any(results) if kind == "or" else all(results)
    if kind == "regex":
        return re.search(value, text) is not None
    wanted = value.lower()
    return bool(
        (kind == "equals" and text == wanted)
        or (kind == "starts_with" and text.startswith(wanted))
        or (kind == "ends_with" and text.endswith(wanted))
        or (kind == "contains" and wanted in text)
    )


def _first(models: Sequence[_Model], text: str) -> _Model | None:
    return next((model for model in models if model.matches(text)), None)


def _aliases(model: _Model, models: Sequence[_Model]) -> list[str]:
    names = {
        value.lower()
        for clause in model.clauses
        for kind, value in clause.items()
        if kind != "regex"
    }
    ids = {other.id.lower() for other in models}
    return sorted(
        name for name in names - ids if name[-1:].isalnum() and _first(models, name) is model
    )


def _stems(model: _Model, models: Sequence[_Model]) -> list[str]:
    """What rules for beginnings and patterns of dates come to, checked against all rules."""
    candidates = set()
    for clause in model.clauses:
        text = clause.get("starts_with")
        found = _STEM_OF_REGEX.fullmatch(clause.get("regex", ""))
        if found:
            text = found[1].replace("\\", "")
        if text:
            candidates.add(_DATE_BEGUN.sub("", text.lower()))
    return sorted(
        stem
        for stem in candidates
        if any(_first(models, stem + probe) is model for probe in _PROBES)
        or (".ft-" in stem and _first(models, stem) is model)
        or (stem.startswith("ft:") and _first(models, f"{stem}-2024-07-18") is model)
    )


# --- prices ------------------------------------------------------------------------------------


def _prices(raw: Raw) -> Iterator[ListedPrice]:
    """By rising day."""
    entries = raw.get("prices") or {}
    if isinstance(entries, Mapping):
        entries = [{"prices": entries}]
    batch = _batch_of(raw)
    days = {_day(entry) for entry in entries if not _is_by_time(entry)}
    for day in sorted(days, key=lambda value: value or date.min):
        terms = _terms_on(raw["id"], entries, day, batch)
        if terms is not None:
            yield ListedPrice(terms=terms, since=day)


def _terms_on(
    model: str, entries: Sequence[Raw], day: date | None, batch: Raw | None
) -> PriceTerms | None:
    """The price from a day on; of prices by the time of day the dearest, so that none is missed."""
    running = [
        entry
        for entry in entries
        if _is_by_time(entry) or (_day(entry) or date.min) <= (day or date.min)
    ]
    plain = [entry["prices"] for entry in running if not _is_by_time(entry)][-1:]
    sets = plain + [entry["prices"] for entry in running if _is_by_time(entry)]
    if not all(_can_be_said(model, prices) for prices in sets):
        return None
    terms = _dearest([_terms(model, prices) for prices in sets])
    if batch is None:
        return terms
    reduced = _dearest([_terms(model, {**prices, **batch}) for prices in sets])
    return msgspec.structs.replace(terms, batch_percent=_percent(terms, reduced, batch))


def _is_by_time(entry: Raw) -> bool:
    return "start_time" in (entry.get("constraint") or {})


def _day(entry: Raw) -> date | None:
    begins = (entry.get("constraint") or {}).get("start_date")
    return None if begins is None else date.fromisoformat(begins)


def _batch_of(raw: Raw) -> Raw | None:
    for variant in raw.get("price_variants") or ():
        if variant["when"] == {"processing": "batch"}:
            prices: Raw = variant["prices"]
            return prices
    return None


def _can_be_said(model: str, prices: Raw) -> bool:
    """Whether our classes say all that an ordinary call of it costs."""
    known = {key for key, value in prices.items() if value is not None}
    if not known:
        return model.endswith(":free")
    audio = "audio" in model and "input_audio_mtok" not in known
    return known <= _KNOWN and not audio and not known <= _NEVER_IN_A_PLAIN_CALL


def _terms(model: str, prices: Raw) -> PriceTerms:
    starts = sorted(
        {
            tier["start"]
            for value in prices.values()
            if isinstance(value, Mapping)
            for tier in value["tiers"]
        }
    )
    return PriceTerms(
        rates=_rates(model, prices, 0),
        tiers=tuple(Tier(above=start, rates=_rates(model, prices, start + 1)) for start in starts),
    )


def _rates(model: str, prices: Raw, total_input: int) -> Rates:
    """The rates for so many tokens of prompt; a class without a price costs what it might."""

    def rate(name: str) -> int | None:
        key = _PER_CLASS[name]
        value = _at(prices.get(key), total_input)
        return None if value is None else _nano(value)

    def first(*values: int | None) -> int:
        return next((value for value in values if value is not None), 0)

    input_, output = first(rate("input_tokens")), rate("output_tokens")
    written = rate("cache_write_tokens")
    # Anthropic asks twice the input for an hour, whoever sells the model.
    hour = 2 * input_ if written is not None and "claude" in model else None
    visible = first(output)
    per_call = _at(prices.get(_REQUEST), total_input)
    return Rates(
        input_tokens=input_,
        cached_tokens=first(rate("cached_tokens"), input_),
        cache_write_tokens=first(written, input_),
        cache_write_1h_tokens=first(rate("cache_write_1h_tokens"), hour, written, input_),
        input_audio_tokens=first(rate("input_audio_tokens"), input_),
        output_tokens=visible,
        reasoning_tokens=first(rate("reasoning_tokens"), output),
        output_audio_tokens=first(rate("output_audio_tokens"), output),
        request=0 if per_call is None else _nano(per_call) * (UNITS // 1000),
    )


def _at(value: Any, total_input: int) -> Decimal | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return Decimal(value)
    price = Decimal(value["base"])
    for tier in sorted(value["tiers"], key=lambda tier: int(tier["start"])):
        if total_input > tier["start"]:
            price = Decimal(tier["price"])
    return price


def _nano(usd: Decimal) -> int:
    """Dollars to nano-dollars, rounded up."""
    if not usd.is_finite() or usd < 0:
        message = f"{usd} is not a price"
        raise ValueError(message)
    return int((usd * NANO_PER_USD).to_integral_value(ROUND_CEILING))


def _dearest(every: Sequence[PriceTerms]) -> PriceTerms:
    if len(every) == 1:
        return every[0]
    starts = sorted({tier.above for terms in every for tier in terms.tiers})

    def at(total_input: int) -> Rates:
        return _maximum(terms.rates_for(total_input) for terms in every)

    return PriceTerms(
        rates=at(0), tiers=tuple(Tier(above=start, rates=at(start + 1)) for start in starts)
    )


def _maximum(every: Iterable[Rates]) -> Rates:
    found = list(every)
    return Rates(
        **{name: max(getattr(rates, name) for rates in found) for name in Rates.__struct_fields__}
    )


def _percent(terms: PriceTerms, reduced: PriceTerms, named: Iterable[str]) -> int:
    """What a batch costs in percent of the others: the most of all classes that have a price there.

    A class without one (text from a cache, where batches know no cache) is not met in a batch.
    """
    highest = 0
    for size in (0, *(tier.above + 1 for tier in terms.tiers)):
        usual, cheap = terms.rates_for(size), reduced.rates_for(size)
        for name, key in _PER_CLASS.items():
            whole = getattr(usual, name)
            if whole and key in named:
                highest = max(highest, -(-100 * getattr(cheap, name) // whole))
    return min(highest, 100) or 100


def _facts(raw: Raw) -> ModelFacts:
    return ModelFacts(context_window=raw.get("context_window"))
