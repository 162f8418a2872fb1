"""Money as integers: nano-dollars, and prices in nano-dollars per million units.

A price of 0.15 USD per million tokens is 150,000,000; one token then costs 150 nano-dollars.
Some list prices are fractions of a nano-dollar per token, hence "per million". A row's cost is
rounded up once, after all its classes are added.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

import msgspec

from torana.core.usage import Usage

NANO_PER_USD = 1_000_000_000
UNITS = 1_000_000
"""A price counts this many units."""
_DIGITS = 40
_LARGEST = 2**63 - 1
"""What a column holds."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a model's price; every rate is nano-dollars per million tokens.

    Attributes:
        id: the version's id, recorded in every row that it priced.
    """

    id: str
    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int

    @property
    def dearest_input(self) -> int:
        """The highest rate an input token can be charged at, for bounds."""
        return max(self.input, self.cached, self.cache_write)

    @property
    def dearest_output(self) -> int:
        """The highest rate an output token can be charged at, for bounds."""
        return max(self.output, self.reasoning)


def cost(usage: Usage, price: Price) -> int:
    """The cost of a call in nano-dollars, rounded up once."""
    total = (
        usage.input_tokens * price.input
        + usage.cached_tokens * price.cached
        + usage.cache_write_tokens * price.cache_write
        + usage.output_tokens * price.output
        + usage.reasoning_tokens * price.reasoning
    )
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
