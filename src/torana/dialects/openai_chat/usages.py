"""The usage of a chat completion as OpenAI writes it, where prompt and completion are totals."""

from __future__ import annotations

from typing import Any

from torana.core.usage import Usage


def write_usage(usage: Usage) -> dict[str, Any]:
    """A usage object; `prompt_tokens` includes what was read from a cache or written to one.

    What only other dialects tell apart (a cache for an hour, images) is in the totals.
    """
    return {
        "prompt_tokens": usage.total_input,
        "completion_tokens": usage.total_output,
        "total_tokens": usage.total_input + usage.total_output,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
            "audio_tokens": usage.input_audio_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
