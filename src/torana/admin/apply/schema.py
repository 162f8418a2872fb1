"""What may stand in a file. Its keys are the fields of these structs. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from torana.admin.guardrails import NewGuardrail
from torana.providers.options import ProviderOptions
from torana.routing.routes import Route


class KeySource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a provider's key is: in a variable of the environment, or in a file.

    Attributes:
        label: what people call it.
    """

    label: str
    env: str | None = None
    file: str | None = None


class WantedProvider(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[providers]]`.

    Attributes:
        kind: whose API it speaks; `compatible` unless a preset says it.
        preset: what is filled in for a known service.
        base_url: up to and with the version; a preset may know it.
        variables: what a preset's base URL leaves open.
        api_key_env, api_key_file: where its only key is.
        keys: where its keys are, when it has several.
    """

    name: str
    kind: str | None = None
    preset: str | None = None
    base_url: str | None = None
    variables: dict[str, str] = {}
    options: ProviderOptions = ProviderOptions()
    enabled: bool = True
    api_key_env: str | None = None
    api_key_file: str | None = None
    keys: tuple[KeySource, ...] = ()


class WantedModel(Route, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[models]]`: a route."""

    enabled: bool = True


class WantedProject(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[projects]]`."""

    name: str


class _OfScope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    scope: Literal["key", "user", "project", "organisation", "end-user", "tag"]
    id: str
    project: str | None = None


class WantedBudget(_OfScope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[budgets]]`: see `torana.ledger.terms.BudgetTerms`. A scope's budgets differ by name."""

    name: str = ""
    amount_usd: Decimal
    period: Literal["day", "week", "month", "total", "interval"] = "month"
    interval_seconds: int = 0
    starts_at: datetime | None = None
    time_zone: str = "UTC"
    mode: Literal["refuse", "clamp"] = "refuse"
    thresholds: tuple[int, ...] = (50, 80, 100)
    models: tuple[str, ...] | None = None


class WantedLimits(_OfScope, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[limits]]`: see `torana.admin.limits.LimitsChange`.

    Attributes:
        suspended: None leaves it as it is, so that a file does not resume what was stopped by hand.
    """

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    models: tuple[str, ...] | None = None
    suspended: bool | None = None


class _Amounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Dollars, by the names of `torana.admin.price_terms.AMOUNTS`."""

    input: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    input_image: Decimal | None = None
    output: Decimal | None = None
    reasoning: Decimal | None = None
    output_audio: Decimal | None = None
    output_image: Decimal | None = None
    image: Decimal | None = None
    per_million_characters: Decimal | None = None
    per_minute: Decimal | None = None
    search: Decimal | None = None
    request: Decimal | None = None


class WantedTier(_Amounts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The amounts of a call whose prompt has more than `above` tokens."""

    above: int


class WantedPrice(_Amounts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[prices]]`.

    Attributes:
        image_variants: dollars per image by `SIZE/QUALITY`.
    """

    provider: str
    model: str
    tiers: tuple[WantedTier, ...] = ()
    image_variants: dict[str, Decimal] = {}
    batch_percent: int = 100


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole file. Whatever it does not name stays as it is."""

    allowed_hosts: tuple[str, ...] = ()
    providers: tuple[WantedProvider, ...] = ()
    models: tuple[WantedModel, ...] = ()
    projects: tuple[WantedProject, ...] = ()
    limits: tuple[WantedLimits, ...] = ()
    budgets: tuple[WantedBudget, ...] = ()
    prices: tuple[WantedPrice, ...] = ()
    guardrails: tuple[NewGuardrail, ...] = ()
