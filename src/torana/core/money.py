"""Money as integers: nano-dollars, and prices in nano-dollars per million units.

A price of 0.15 USD per million tokens is 150,000,000; one token then costs 150 nano-dollars.
Some list prices are fractions of a nano-dollar per token, hence "per million". A row's cost is
rounded up once, after all its classes are added.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from torana.core.usage import CLASSES, Usage

NANO_PER_USD = 1_000_000_000
UNITS = 1_000_000
"""A price counts this many units."""
_DIGITS = 40
_LARGEST = 2**63 - 1
"""What a column holds."""
AS_PLAIN = -1
"""Stands for "as much as plain tokens", in prices that were made before there was a class."""
ANY = "*"
_UNSAID = "auto"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What each class of units costs, in nano-dollars per million of them.

    Attributes:
        input_image_tokens, output_image_tokens: as plain input and output where they are not said.
        images: per million images made, of any size; `PriceTerms.image_variants` knows more.
        characters: per million characters that are read aloud.
        audio_seconds: per million seconds of audio heard.
        searches: per million units of search.
        request: per million calls.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = AS_PLAIN
    output_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = AS_PLAIN
    images: int = 0
    characters: int = 0
    audio_seconds: int = 0
    searches: int = 0
    request: int = 0

    def __post_init__(self) -> None:
        # A class that a stored price does not know costs what it might.
        if self.input_image_tokens == AS_PLAIN:
            msgspec.structs.force_setattr(self, "input_image_tokens", self.input_tokens)
        if self.output_image_tokens == AS_PLAIN:
            msgspec.structs.force_setattr(self, "output_image_tokens", self.output_tokens)

    @property
    def dearest_input(self) -> int:
        """The highest rate a token of text can be read at: it may be cached or written to it."""
        return max(
            self.input_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.cache_write_1h_tokens,
        )

    @property
    def dearest_output(self) -> int:
        """The highest rate a token of text can be written at."""
        return max(self.output_tokens, self.reasoning_tokens)


class Tier(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of a whole call whose prompt has more than `above` tokens (long context)."""

    above: int
    rates: Rates


class PriceTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a model costs; the part of a price version that is stored as JSON.

    Attributes:
        rates: without long context.
        tiers: by rising `above`.
        image_variants: what an image costs by `SIZE/QUALITY`, such as `1024x1024/high`, in the unit
            of `Rates.images`; `*` stands for any size or any quality. It takes the place of
            `Rates.images` in every tier.
        batch_percent: what a call of a provider's batch API costs, in percent of the others.
    """

    rates: Rates
    tiers: tuple[Tier, ...] = ()
    image_variants: dict[str, int] = {}
    batch_percent: int = 100

    def for_image(self, size: str | None, quality: str | None) -> PriceTerms:
        """The terms of a call that makes images of one kind; None is what the caller leaves open.

        The variant that says most wins: both, the size alone, the quality alone. What the caller
        leaves open costs what the dearest variant does that it can come to, unless there is one for
        `auto`.
        """
        if not self.image_variants:
            return self
        size, quality = size or _UNSAID, quality or _UNSAID
        images = self._variant(size, quality)
        return PriceTerms(
            rates=msgspec.structs.replace(self.rates, images=images),
            tiers=tuple(
                Tier(above=tier.above, rates=msgspec.structs.replace(tier.rates, images=images))
                for tier in self.tiers
            ),
            batch_percent=self.batch_percent,
        )

    def _variant(self, size: str, quality: str) -> int:
        variants = self.image_variants
        for name in (f"{size}/{quality}", f"{size}/{ANY}", f"{ANY}/{quality}"):
            if name in variants and (_UNSAID not in {size, quality} or ANY not in name):
                return variants[name]
        reachable = [
            rate
            for name, rate in variants.items()
            if all(
                part in {asked, ANY} or asked == _UNSAID
                for part, asked in zip(name.split("/"), (size, quality), strict=False)
            )
        ]
        if reachable:
            return max(*reachable, self.rates.images)
        return self.rates.images or max(variants.values())

    def rates_for(self, total_input: int) -> Rates:
        """The rates of a call with so many tokens of prompt."""
        rates = self.rates
        for tier in self.tiers:
            if total_input > tier.above:
                rates = tier.rates
        return rates


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model's price.

    Attributes:
        id: the version's id, recorded in every row that it priced.
    """

    id: str
    terms: PriceTerms


def measures(usage: Usage, price: Price) -> bool:
    """Whether a usage tells what a call costs by a price: it has a unit that the price knows.

    A provider that reports seconds says nothing of a call that is priced by tokens.
    """
    rates = price.terms.rates_for(usage.total_input)
    priced = [name for name in CLASSES if getattr(rates, name)]
    return not priced or any(getattr(usage, name) for name in priced)


def cost(usage: Usage, price: Price, *, batch: bool = False) -> int:
    """The cost of a call in nano-dollars, rounded up once.

    Args:
        usage: of the call.
        price: the version that it is priced by.
        batch: the call was one of a provider's batch.
    """
    rates = price.terms.rates_for(usage.total_input)
    total = rates.request
    for name in CLASSES:
        units = getattr(usage, name)
        if units:
            total += units * getattr(rates, name)
    if batch:
        return -(-total * price.terms.batch_percent // (UNITS * 100))
    return -(-total // UNITS)


def format_usd(nano: int) -> str:
    """Nano-dollars as an exact decimal of dollars without an exponent: 1500 -> `0.0000015`."""
    sign = "-" if nano < 0 else ""
    whole, fraction = divmod(abs(nano), NANO_PER_USD)
    if not fraction:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{fraction:09d}".rstrip("0")


def parse_usd(text: str) -> int:
    """Dollars, as a person types them, to nano-dollars.

    Raises:
        ValueError: not an amount of zero or more with at most nine decimals.
    """
    message = f"{text[:40]!r} is not an amount of zero or more dollars with at most nine decimals"
    try:
        sign, digits, exponent = Decimal(text.strip()).as_tuple()
    except InvalidOperation:
        raise ValueError(message) from None
    # Digit by digit: arithmetic of decimals would round what is longer than its context.
    if not isinstance(exponent, int) or not -_DIGITS <= exponent <= _DIGITS:
        raise ValueError(message)
    whole = int("".join(map(str, digits)))
    nano: int
    shift = exponent + 9
    nano, rest = (whole * 10**shift, 0) if shift >= 0 else divmod(whole, 10**-shift)
    if rest or (sign and nano) or nano > _LARGEST:
        raise ValueError(message)
    return nano
