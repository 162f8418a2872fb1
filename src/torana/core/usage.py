"""What a call consumed, in one arithmetic for all providers, and how we know it.

The two APIs count differently: OpenAI's `prompt_tokens` includes cached tokens and its
`completion_tokens` includes reasoning; Anthropic's `input_tokens` leaves the cached ones out. Here
the classes are disjoint, so that each is multiplied by its own price exactly once.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Counted(StrEnum):
    """Where the figures of a ledger row come from."""

    PROVIDER = "provider"
    TOKENIZER = "tokenizer"
    BOUND = "bound"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens by price class; the classes do not overlap.

    Attributes:
        input_tokens: read by the model and neither cached nor written to a cache.
        cached_tokens: read from the provider's prompt cache.
        cache_write_tokens: written to the provider's prompt cache.
        output_tokens: visible output.
        reasoning_tokens: hidden or shown reasoning, billed apart from the visible output.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_input(self) -> int:
        """All tokens of the prompt."""
        return self.input_tokens + self.cached_tokens + self.cache_write_tokens

    @property
    def total_output(self) -> int:
        """All generated tokens."""
        return self.output_tokens + self.reasoning_tokens


NO_USAGE = Usage()
