"""The most that a call can cost, before it is made: pure arithmetic over data.

A token stands for at least one byte, so a body of N bytes holds at most N tokens of text. Output is
what the request allows, else the most that the model can write.
"""

from __future__ import annotations

from torana.core.money import UNITS, Price

UNKNOWN_MAX_OUTPUT = 131_072
"""Output tokens assumed for a model that the catalogue does not know: more than most can write."""


def text_bound(
    *,
    body_bytes: int,
    requested_output: int | None,
    choices: int,
    max_output: int | None,
    price: Price | None,
) -> int:
    """The bound of a text call in nano-dollars.

    Args:
        body_bytes: size of the request's body.
        requested_output: the caller's limit on output tokens per choice, if there is one.
        choices: how many answers are asked for (`n`).
        max_output: the model's own limit on output tokens, if it is known.
        price: the target's price; a call without a price reserves nothing.
    """
    if price is None:
        return 0
    output = requested_output
    if output is None:
        output = max_output if max_output is not None else UNKNOWN_MAX_OUTPUT
    total = body_bytes * price.dearest_input + output * choices * price.dearest_output
    return -(-total // UNITS)
