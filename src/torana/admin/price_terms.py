"""A price in words: dollars as people type and read them, to and from integer rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from torana.admin.price_list import check_shape
from torana.core.money import NANO_PER_USD, UNITS, PriceTerms, Rates, Tier, format_usd, parse_usd
from torana.errors import InvalidRequest

AMOUNTS = {
    "input": "input_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "cache_write_1h": "cache_write_1h_tokens",
    "input_audio": "input_audio_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "image": "images",
    "request": "request",
}
"""What an amount is called where it is typed or shown, and the class that it prices."""
_BY_THE_PIECE = {"image", "request"}
_LARGEST_RATE = 2**63 - 1


class TierView(msgspec.Struct, frozen=True, kw_only=True):
    """The amounts of a call whose prompt has more than `above` tokens."""

    above: int
    usd: dict[str, str]


class TermsView(msgspec.Struct, frozen=True, kw_only=True):
    """A price as exact decimals of dollars: per million tokens, per image, per request."""

    usd: dict[str, str]
    tiers: list[TierView]
    batch_percent: int


def describe(terms: PriceTerms) -> TermsView:
    """A price in dollars."""
    return TermsView(
        usd=_amounts(terms.rates),
        tiers=[TierView(above=tier.above, usd=_amounts(tier.rates)) for tier in terms.tiers],
        batch_percent=terms.batch_percent,
    )


def make_terms(
    amounts: Mapping[str, str | None],
    tiers: Sequence[tuple[int, Mapping[str, str | None]]] = (),
    *,
    batch_percent: int = 100,
) -> PriceTerms:
    """A price from what an operator has typed; what was left out costs what it might.

    Cached and written input and audio cost as much as plain input, reasoning and audio as much as
    plain output. In a tier, an amount that was left out is at least that of the price without it.

    Args:
        amounts: dollars by the names of `AMOUNTS`; `input` and `output` must be there.
        tiers: for prompts of more than so many tokens.
        batch_percent: what a call of a batch costs, in percent.

    Raises:
        InvalidRequest: an amount is missing or none, or the tiers do not rise.
    """
    base = _rates(amounts, None)
    terms = PriceTerms(
        rates=base,
        tiers=tuple(
            Tier(above=above, rates=_rates(typed, base))
            for above, typed in sorted(tiers, key=lambda tier: tier[0])
        ),
        batch_percent=batch_percent,
    )
    try:
        check_shape("The price", terms.tiers, terms.batch_percent)
    except ValueError as error:
        param = "tiers" if "tiers" in str(error) else "batch_percent"
        raise InvalidRequest(f"{error}.", param=param) from None
    return terms


def _rates(amounts: Mapping[str, str | None], base: Rates | None) -> Rates:
    typed = {AMOUNTS[name]: _rate(name, text) for name, text in amounts.items() if text is not None}
    for name in ("input", "output"):
        if AMOUNTS[name] not in typed:
            raise InvalidRequest(f"A price needs an amount for {name!r}.", param=name)
    rates: dict[str, int] = {}
    for name, field in AMOUNTS.items():
        if field in typed:
            rates[field] = typed[field]
            continue
        plain = 0
        if name not in _BY_THE_PIECE:
            is_output = name in {"reasoning", "output_audio"}
            plain = typed["output_tokens" if is_output else "input_tokens"]
        rates[field] = plain if base is None else max(plain, getattr(base, field))
    return Rates(**rates)


def _rate(name: str, text: str) -> int:
    try:
        nano = parse_usd(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.", param=name) from None
    rate = nano * UNITS if name in _BY_THE_PIECE else nano
    if rate > _LARGEST_RATE:
        raise InvalidRequest(f"{name}: {text[:40]} dollars are too many.", param=name)
    return rate


def _amounts(rates: Rates) -> dict[str, str]:
    return {
        name: _per_piece(getattr(rates, field))
        if name in _BY_THE_PIECE
        else format_usd(getattr(rates, field))
        for name, field in AMOUNTS.items()
    }


def _per_piece(rate: int) -> str:
    """Dollars for one of a million, exact to the last digit."""
    whole, fraction = divmod(rate, NANO_PER_USD * UNITS)
    return f"{whole}.{fraction:015d}".rstrip("0").rstrip(".")
