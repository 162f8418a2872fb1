"""Price lists: what models cost before anybody sets a price, and what else is known of them.

The shipped list is one file a provider in `data/models/`, made by `scripts/make_model_list.py`. A
newer list may come in our own form or in the one that the genai-prices project publishes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec

from torana.admin import genai_list
from torana.admin.listed import ListedModel, ListedPrice, ListedProvider
from torana.core.money import PriceTerms, Rates, Tier
from torana.errors import InvalidRequest
from torana.routing.catalog import ModelFacts, ModelList

ECHO_FACTS = ModelFacts(hides_output=False)
LOCAL_FACTS = ModelFacts(context_window=2048, max_output=2048, hides_output=False)
_LARGEST_RATE = 2**63 - 1
_DEMO_PRICE = PriceTerms(
    rates=Rates(
        input_tokens=10_000_000,
        cached_tokens=10_000_000,
        cache_write_tokens=10_000_000,
        cache_write_1h_tokens=10_000_000,
        input_audio_tokens=10_000_000,
        output_tokens=20_000_000,
        reasoning_tokens=20_000_000,
        output_audio_tokens=20_000_000,
    )
)
"""0.01 and 0.02 USD per million tokens: what the built-in models cost, so that money can be seen at
work."""
_BUILTIN = {
    name: ListedProvider(
        models=(ListedModel(id="*", prices=(ListedPrice(terms=_DEMO_PRICE),), facts=facts),)
    )
    for name, facts in (("local", LOCAL_FACTS), ("echo", ECHO_FACTS))
}
BUILTIN_NAMES = frozenset(_BUILTIN)
_MODERATION = ("omni-moderation-latest", "text-moderation-latest", "text-moderation-stable")
_FREE = {
    "openai": tuple(
        ListedModel(
            id=name,
            stems=(name.rpartition("-")[0],) if name.endswith("-latest") else (),
            prices=(ListedPrice(terms=PriceTerms(rates=Rates())),),
        )
        for name in _MODERATION
    )
}
"""What costs nothing, and is on no list because of that: without a price no budget would let a call
pass."""
_MODELS = files("torana.admin") / "data" / "models"
_decoder = msgspec.json.Decoder(ListedProvider)


class PriceList(msgspec.Struct, frozen=True):
    """Listed providers, each read when it is asked for.

    Attributes:
        names: the providers on it.
        read: gives one of them.
    """

    names: frozenset[str]
    read: Callable[[str], ListedProvider]

    def models(self, provider: str) -> dict[str, ListedModel]:
        """The models of a provider by name, with those of others that it also sells."""
        if provider not in self.names:
            return {}
        own = self.read(provider)
        found = {model.id: model for model in (*_FREE.get(provider, ()), *own.models)}
        for other in own.also:
            if other in self.names:
                names = list_of(found)
                found |= {
                    model.id: model
                    for model in self.read(other).models
                    if names.canonical(model.id) is None
                }
        return found


def shipped() -> PriceList:
    """The list of this version."""
    names = {entry.name.removesuffix(".json") for entry in _MODELS.iterdir()}
    return PriceList(BUILTIN_NAMES | names, _read_shipped)


@lru_cache(maxsize=64)
def model_list(provider: str) -> ModelList:
    """What the shipped list knows of a provider's models; prices are left out of memory."""
    found = shipped().models(provider)
    return list_of(found)


def list_of(models: Mapping[str, ListedModel]) -> ModelList:
    """The names and facts of models."""
    aliases: dict[str, str] = {}
    stems: dict[str, str] = {}
    for model in models.values():
        aliases.setdefault(model.id.lower(), model.id)
    for model in models.values():
        for alias in model.aliases:
            aliases.setdefault(alias, model.id)
        for stem in model.stems:
            stems.setdefault(stem, model.id)
    return ModelList(
        facts={model.id: model.facts for model in models.values()}, aliases=aliases, stems=stems
    )


def read_list(content: bytes) -> PriceList:
    """Read a list that somebody brings: ours, or one of genai-prices.

    Raises:
        InvalidRequest: it is neither; the message says where it goes wrong.
    """
    try:
        raw = msgspec.json.Decoder(float_hook=Decimal).decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError) as error:
        raise InvalidRequest(f"The price list is not JSON: {error}.", param="file") from None
    try:
        read = _read_raw(raw)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest(f"The price list can't be used: {error}.", param="file") from None
    if not read:
        raise InvalidRequest("The price list names no provider.", param="file")
    return PriceList(frozenset(read), read.__getitem__)


def _read_raw(raw: Any) -> dict[str, ListedProvider]:
    if isinstance(raw, dict) and isinstance(raw.get("providers"), dict):
        read = {
            name: msgspec.convert(value, ListedProvider) for name, value in raw["providers"].items()
        }
    else:
        # Newer editions of genai-prices wrap the list in an object.
        listed = raw.get("providers") if isinstance(raw, dict) else raw
        if not isinstance(listed, list):
            message = "it is neither a list of providers nor an object with `providers`"
            raise ValueError(message)  # noqa: TRY004 -- what was read is wrong, not our code
        read = genai_list.convert_all(listed)
    for name, provider in read.items():
        for model in provider.models:
            for price in model.prices:
                _check_terms(f"{name}/{model.id}", price.terms)
    return read


def _check_terms(model: str, terms: PriceTerms) -> None:
    every = (terms.rates, *(tier.rates for tier in terms.tiers))
    for rates in every:
        if any(not 0 <= value <= _LARGEST_RATE for value in msgspec.structs.astuple(rates)):
            message = f"{model} has a rate that is negative or too large"
            raise ValueError(message)
    if any(not 0 <= value <= _LARGEST_RATE for value in terms.image_variants.values()):
        message = f"{model} has a variant of images at a rate that is negative or too large"
        raise ValueError(message)
    check_shape(model, terms.tiers, terms.batch_percent)


def check_shape(model: str, tiers: tuple[Tier, ...], batch_percent: int) -> None:
    """Check what no type says.

    Raises:
        ValueError: tiers do not rise, or the percentage is none.
    """
    above = [tier.above for tier in tiers]
    if above != sorted(set(above)) or any(value < 1 for value in above):
        message = f"{model} has tiers that do not begin at rising numbers of tokens"
        raise ValueError(message)
    if not 0 <= batch_percent <= 100:
        message = f"{model} has a batch percentage that is not between 0 and 100"
        raise ValueError(message)


def in_force(model: ListedModel, now: datetime) -> list[tuple[datetime | None, PriceTerms]]:
    """The listed price at `now` (its instant is None) and those that are announced, by instant."""
    present: PriceTerms | None = None
    coming: list[tuple[datetime | None, PriceTerms]] = []
    for price in model.prices:
        begins = midnight(price.since) if price.since is not None else None
        if begins is None or begins <= now:
            present = price.terms
        else:
            coming.append((begins, price.terms))
    return ([] if present is None else [(None, present)]) + coming


def midnight(day: date) -> datetime:
    """The instant at which a listed price begins."""
    return datetime.combine(day, time(), UTC)


def _read_shipped(provider: str) -> ListedProvider:
    builtin = _BUILTIN.get(provider)
    if builtin is not None:
        return builtin
    return _decoder.decode((_MODELS / f"{provider}.json").read_bytes())
