"""The parts of a price list, as they stand in its files."""

from __future__ import annotations

from datetime import date

import msgspec

from torana.core.money import PriceTerms
from torana.routing.catalog import NO_FACTS, ModelFacts


class ListedPrice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A price, and the day (UTC) from which on it is in force; None: since ever."""

    terms: PriceTerms
    since: date | None = None


class ListedModel(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model.

    Attributes:
        id: its name.
        aliases: other names, in lower case.
        stems: in lower case; with a date or the like after it, it is this model too.
        prices: by rising day; empty when it is knowingly unpriced.
        facts: what is known of it.
    """

    id: str
    aliases: tuple[str, ...] = ()
    stems: tuple[str, ...] = ()
    prices: tuple[ListedPrice, ...] = ()
    facts: ModelFacts = NO_FACTS


class ListedProvider(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A provider's models, and the providers whose models it sells at their price."""

    models: tuple[ListedModel, ...]
    also: tuple[str, ...] = ()
