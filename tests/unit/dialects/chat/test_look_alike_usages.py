"""Usages of servers that count otherwise than OpenAI: what was written is charged, and once."""

from __future__ import annotations

import msgspec
import pytest

from torana.core.usage import Usage
from torana.dialects.openai_chat.answers import WireUsage, usage_of


@pytest.mark.parametrize(
    ("told", "counted"),
    [
        # xAI: the reasoning stands beside the completion.
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 1,
                "total_tokens": 399,
                "completion_tokens_details": {"reasoning_tokens": 386},
            },
            Usage(input_tokens=12, output_tokens=1, reasoning_tokens=386),
        ),
        # Gemini: only the total has it.
        (
            {"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553},
            Usage(input_tokens=20, output_tokens=151, reasoning_tokens=382),
        ),
        # Gemini, when nothing but thoughts was written.
        (
            {"prompt_tokens": 21, "completion_tokens": 0, "total_tokens": 81},
            Usage(input_tokens=21, reasoning_tokens=60),
        ),
        # OpenAI: the completion has it.
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 387,
                "total_tokens": 399,
                "completion_tokens_details": {"reasoning_tokens": 386},
            },
            Usage(input_tokens=12, output_tokens=1, reasoning_tokens=386),
        ),
        # A total that is missing, or too small, says nothing.
        ({"prompt_tokens": 12, "completion_tokens": 7}, Usage(input_tokens=12, output_tokens=7)),
        (
            {"prompt_tokens": 12, "completion_tokens": 7, "total_tokens": 3},
            Usage(input_tokens=12, output_tokens=7),
        ),
        # DeepSeek: the cache by its own name, with and without OpenAI's.
        (
            {"prompt_tokens": 12, "completion_tokens": 7, "prompt_cache_hit_tokens": 8},
            Usage(input_tokens=4, cached_tokens=8, output_tokens=7),
        ),
        (
            {
                "prompt_tokens": 12,
                "completion_tokens": 7,
                "prompt_cache_hit_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
            Usage(input_tokens=4, cached_tokens=8, output_tokens=7),
        ),
    ],
)
def test_a_usage_is_counted_whole_and_once(told, counted):
    assert usage_of(msgspec.convert(told, WireUsage)) == counted


@pytest.mark.parametrize("nonsense", [-1, 10**13, "18", True, None, {}, 1.5])
def test_nonsense_beside_the_counts_costs_nobody_the_answer(nonsense):
    told = {"prompt_tokens": 12, "completion_tokens": 7}
    told |= {"total_tokens": nonsense, "prompt_cache_hit_tokens": nonsense}
    assert usage_of(msgspec.convert(told, WireUsage)) == Usage(input_tokens=12, output_tokens=7)
