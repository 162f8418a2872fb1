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
    """Units by price class; the classes do not overlap.

    Attributes:
        input_tokens: read by the model, neither cached nor written to a cache: text, and images
            where the provider does not tell them apart.
        cached_tokens: read from the provider's prompt cache.
        cache_write_tokens: written to the provider's prompt cache for its usual time (5 minutes).
        cache_write_1h_tokens: written to it for an hour.
        input_audio_tokens: audio read by the model.
        input_image_tokens: images read by it, where the provider tells them apart.
        output_tokens: visible output.
        reasoning_tokens: hidden or shown reasoning, billed apart from the visible output.
        output_audio_tokens: audio made by the model.
        output_image_tokens: images made by it.
        images: the same by the piece. Whether pieces or tokens cost something, the price says.
        characters: letters of a text that is read aloud.
        audio_seconds: audio heard, in whole seconds, rounded up.
        searches: units of search, as a provider of rerankings counts them.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    output_audio_tokens: int = 0
    output_image_tokens: int = 0
    images: int = 0
    characters: int = 0
    audio_seconds: int = 0
    searches: int = 0

    @property
    def total_input(self) -> int:
        """All tokens of the prompt."""
        return (
            self.input_tokens
            + self.cached_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
            + self.input_audio_tokens
            + self.input_image_tokens
        )

    @property
    def total_output(self) -> int:
        """All generated tokens."""
        return (
            self.output_tokens
            + self.reasoning_tokens
            + self.output_audio_tokens
            + self.output_image_tokens
        )


NO_USAGE = Usage()
CLASSES = Usage.__struct_fields__
"""The names of the classes: columns of the ledger."""
