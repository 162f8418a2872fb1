"""A price in words: dollars as people type and read them, to and from integer rates."""

from __future__ import annotations

import re
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
    "input_image": "input_image_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "output_audio": "output_audio_tokens",
    "output_image": "output_image_tokens",
    "image": "images",
    "per_million_characters": "characters",
    "per_minute": "audio_seconds",
    "search": "searches",
    "request": "request",
}
"""What an amount is called where it is typed or shown, and the class that it prices."""
_BY_THE_PIECE = {"image", "search", "request"}
_OTHER_UNITS = {"image", "per_million_characters", "per_minute", "search"}
"""A price with one of them may be without one for tokens."""
_SECONDS = 60
_LARGEST_RATE = 2**63 - 1
_VARIANT = re.compile(r"[\w.:*-]{1,32}/[\w.:*-]{1,32}", re.ASCII)
_MOST_VARIANTS = 64


class TierView(msgspec.Struct, frozen=True, kw_only=True):
    """The amounts of a call whose prompt has more than `above` tokens."""

    above: int
    usd: dict[str, str]


class TermsView(msgspec.Struct, frozen=True, kw_only=True):
    """A price as exact decimals of dollars: per million tokens, per image, per request.

    Attributes:
        image_variants: dollars per image by `SIZE/QUALITY`.
    """

    usd: dict[str, str]
    tiers: list[TierView]
    image_variants: dict[str, str]
    batch_percent: int


def describe(terms: PriceTerms) -> TermsView:
    """A price in dollars."""
    return TermsView(
        usd=_amounts(terms.rates),
        tiers=[TierView(above=tier.above, usd=_amounts(tier.rates)) for tier in terms.tiers],
        image_variants={name: _per_piece(rate) for name, rate in terms.image_variants.items()},
        batch_percent=terms.batch_percent,
    )


def make_terms(
    amounts: Mapping[str, str | None],
    tiers: Sequence[tuple[int, Mapping[str, str | None]]] = (),
    *,
    image_variants: Mapping[str, str] | None = None,
    batch_percent: int = 100,
) -> PriceTerms:
    """A price from what an operator has typed; what was left out costs what it might.

    Cached and written input, audio and images cost as much as plain input, reasoning, audio and
    images as much as plain output. In a tier, an amount that was left out is at least that of the
    price without it. A price by the piece, the minute or the character needs none for tokens.

    Args:
        amounts: dollars by the names of `AMOUNTS`; `input` and `output` must be there.
        tiers: for prompts of more than so many tokens.
        image_variants: dollars per image by `SIZE/QUALITY`.
        batch_percent: what a call of a batch costs, in percent.

    Raises:
        InvalidRequest: an amount is missing or none, or the tiers do not rise.
    """
    variants = _variants(image_variants or {})
    if variants or any(amounts.get(name) is not None for name in _OTHER_UNITS):
        typed = {name for name in ("input", "output") if amounts.get(name) is not None}
        if not typed:
            amounts = {**amounts, "input": "0", "output": "0"}
    base = _rates(amounts, None)
    terms = PriceTerms(
        rates=base,
        tiers=tuple(
            Tier(above=above, rates=_rates(typed, base))
            for above, typed in sorted(tiers, key=lambda tier: tier[0])
        ),
        image_variants=variants,
        batch_percent=batch_percent,
    )
    try:
        check_shape("The price", terms.tiers, terms.batch_percent)
    except ValueError as error:
        param = "tiers" if "tiers" in str(error) else "batch_percent"
        raise InvalidRequest(f"{error}.", param=param) from None
    return terms


def _variants(typed: Mapping[str, str]) -> dict[str, int]:
    if len(typed) > _MOST_VARIANTS:
        raise InvalidRequest(
            f"A price has at most {_MOST_VARIANTS} variants of images.", param="image_variants"
        )
    for name in typed:
        if not _VARIANT.fullmatch(name) or name == "*/*":
            raise InvalidRequest(
                f"{name[:60]!r} is not SIZE/QUALITY, such as 1024x1024/high, 1024x1024/* or "
                "*/high.",
                param="image_variants",
            )
    return {name: _rate("image", text) for name, text in typed.items()}


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
        if name not in _BY_THE_PIECE | _OTHER_UNITS:
            is_output = name in {"reasoning", "output_audio", "output_image"}
            plain = typed["output_tokens" if is_output else "input_tokens"]
        rates[field] = plain if base is None else max(plain, getattr(base, field))
    return Rates(**rates)


def _rate(name: str, text: str) -> int:
    try:
        nano = parse_usd(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.", param=name) from None
    rate = nano
    if name in _BY_THE_PIECE:
        rate = nano * UNITS
    elif name == "per_minute":
        rate = -(-nano * UNITS // _SECONDS)
    if rate > _LARGEST_RATE:
        raise InvalidRequest(f"{name}: {text[:40]} dollars are too many.", param=name)
    return rate


def _amounts(rates: Rates) -> dict[str, str]:
    return {name: _amount(name, getattr(rates, field)) for name, field in AMOUNTS.items()}


def _amount(name: str, rate: int) -> str:
    if name in _BY_THE_PIECE:
        return _per_piece(rate)
    # The rate of a second was rounded up, by less than a nano-dollar a minute.
    return format_usd(rate * _SECONDS // UNITS if name == "per_minute" else rate)


def _per_piece(rate: int) -> str:
    """Dollars for one of a million, exact to the last digit."""
    whole, fraction = divmod(rate, NANO_PER_USD * UNITS)
    return f"{whole}.{fraction:015d}".rstrip("0").rstrip(".")
