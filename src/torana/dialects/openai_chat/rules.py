"""How each field of a chat completion bears on its cost, as data.

The tables cover all that the openai SDK can send; a test compares them with its types. What is not
in them has no rule, and a call with it is refused under a hard budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, get_args


class Rule(StrEnum):
    """How a field bears on the cost."""

    FREE = "free"
    """Not at all, or within what the bound of the output covers."""
    LIMIT = "limit"
    """It limits the output or multiplies it; `ChatRequest` has read it."""
    PROMPT = "prompt"
    """It is written into the prompt: its bytes."""
    SCHEMA = "schema"
    """A provider writes it into the prompt in a form of its own: its bytes, thrice if not ASCII."""
    MESSAGES = "messages"
    """Texts by their bytes; images by the piece; audio and files by the context window."""
    TOOLS = "tools"
    """As a schema, where the caller runs the tool; a tool that the provider runs has no rule."""
    PREDICTION = "prediction"
    """What of it the model does not use is billed as output: its bytes, for every choice."""
    TIER = "tier"
    """Free where the tier is not dearer than the listed price."""
    MODALITIES = "modalities"
    """Text, and audio at its own price."""
    AUDIO = "audio"
    """The voice of an audio answer; asks for one."""
    NONE = "none"
    """It costs something that no price list of ours has: refused under a hard budget."""


FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        "messages": Rule.MESSAGES,
        "model": Rule.FREE,
        "audio": Rule.AUDIO,
        "frequency_penalty": Rule.FREE,
        "function_call": Rule.PROMPT,
        "functions": Rule.SCHEMA,
        "logit_bias": Rule.FREE,
        "logprobs": Rule.FREE,
        "max_completion_tokens": Rule.LIMIT,
        "max_tokens": Rule.LIMIT,
        "metadata": Rule.FREE,
        "modalities": Rule.MODALITIES,
        "moderation": Rule.NONE,
        "n": Rule.LIMIT,
        "parallel_tool_calls": Rule.FREE,
        "prediction": Rule.PREDICTION,
        "presence_penalty": Rule.FREE,
        "prompt_cache_key": Rule.FREE,
        # What is written to a cache is priced by the dearest class of input already.
        "prompt_cache_options": Rule.FREE,
        "prompt_cache_retention": Rule.FREE,
        # Reasoning counts as output, and the limit on output includes it.
        "reasoning_effort": Rule.FREE,
        "response_format": Rule.SCHEMA,
        "safety_identifier": Rule.FREE,
        "seed": Rule.FREE,
        "service_tier": Rule.TIER,
        "stop": Rule.FREE,
        "store": Rule.FREE,
        "stream": Rule.FREE,
        "stream_options": Rule.FREE,
        "temperature": Rule.FREE,
        "tool_choice": Rule.PROMPT,
        "tools": Rule.TOOLS,
        "top_logprobs": Rule.FREE,
        "top_p": Rule.FREE,
        "user": Rule.FREE,
        "verbosity": Rule.FREE,
        "web_search_options": Rule.NONE,
    }
)
"""Every field of the openai SDK's `CompletionCreateParams`."""

EXTENSIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "top_k": Rule.FREE,
        "min_p": Rule.FREE,
        "repetition_penalty": Rule.FREE,
        "cache_control": Rule.FREE,
        "reasoning": Rule.FREE,
        "thinking": Rule.FREE,
    }
)
"""Fields of look-alikes of OpenAI's API."""

TIERS = frozenset({"auto", "default", "flex"})
"""Service tiers that cost the listed price or less."""

RULES: Mapping[str, Rule] = {**FIELDS, **EXTENSIONS}

PartType = Literal["text", "refusal", "image_url", "input_audio", "file"]
ToolType = Literal["function", "custom"]
PART_TYPES: frozenset[str] = frozenset(get_args(PartType))
TOOL_TYPES: frozenset[str] = frozenset(get_args(ToolType))
