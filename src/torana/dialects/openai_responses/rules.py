"""How each field, item, part and tool of a Responses request bears on its cost, as data.

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
    """It limits the output; `WireRequest` has it."""
    PROMPT = "prompt"
    """It is written into the prompt: its bytes."""
    SCHEMA = "schema"
    """A provider writes it into the prompt in a form of its own: its bytes, thrice if not ASCII."""
    INPUT = "input"
    """Texts by their bytes; images by the piece; audio and files by the context window."""
    TOOLS = "tools"
    """As a schema, where the caller runs the tool; a tool that the provider runs has no rule."""
    TIER = "tier"
    """Free where the tier is not dearer than the listed price."""
    UNSEEN = "unseen"
    """It brings a part of the prompt that the provider keeps: the context window."""
    TEMPLATE = "template"
    """As `UNSEEN`; and it may bring tools that the provider runs, so it has no rule."""
    REASONING = "reasoning"
    """Free, because reasoning counts as output; but for a `mode` other than `standard`."""
    NONE = "none"
    """It costs something that no price list of ours has: refused under a hard budget."""


FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        "model": Rule.FREE,
        "input": Rule.INPUT,
        "instructions": Rule.PROMPT,
        # What a model costs under such a program is on no list.
        "access_programs": Rule.NONE,
        # A background call is refused before it is priced.
        "background": Rule.FREE,
        "background_options": Rule.FREE,
        # The provider may run a model to shorten the conversation.
        "context_management": Rule.NONE,
        "conversation": Rule.UNSEEN,
        "image": Rule.FREE,
        "include": Rule.FREE,
        "max_output_tokens": Rule.LIMIT,
        "max_tool_calls": Rule.FREE,
        "metadata": Rule.FREE,
        "moderation": Rule.NONE,
        "parallel_tool_calls": Rule.FREE,
        "previous_response_id": Rule.UNSEEN,
        "prompt": Rule.TEMPLATE,
        "prompt_cache_key": Rule.FREE,
        # What is written to a cache is priced by the dearest class of input already.
        "prompt_cache_options": Rule.FREE,
        "prompt_cache_retention": Rule.FREE,
        "reasoning": Rule.REASONING,
        "safety_identifier": Rule.FREE,
        "service_tier": Rule.TIER,
        "store": Rule.FREE,
        "stream": Rule.FREE,
        "stream_options": Rule.FREE,
        "temperature": Rule.FREE,
        "text": Rule.SCHEMA,
        "tool_choice": Rule.PROMPT,
        "tools": Rule.TOOLS,
        "top_logprobs": Rule.FREE,
        "top_p": Rule.FREE,
        "truncation": Rule.FREE,
        "user": Rule.FREE,
    }
)
"""Every field of the openai SDK's `ResponseCreateParams`."""

EXTENSIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "top_k": Rule.FREE,
        "min_p": Rule.FREE,
        "repetition_penalty": Rule.FREE,
    }
)
"""Fields of look-alikes of OpenAI's API."""

RULES: Mapping[str, Rule] = {**FIELDS, **EXTENSIONS}

TIERS = frozenset({"auto", "default", "flex"})
"""Service tiers that cost the listed price or less."""


class ItemRule(StrEnum):
    """How an item of the input bears on the cost."""

    BYTES = "bytes"
    """It is written into the prompt: its bytes, and the images and files in its contents."""
    UNSEEN = "unseen"
    """The provider adds to it what the request does not show: the context window."""
    IMAGE = "image"
    """As `UNSEEN`, and it is an image."""
    NONE = "none"
    """It may start something that costs: no rule."""


BytesItem = Literal[
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "local_shell_call",
    "local_shell_call_output",
    "shell_call",
    "shell_call_output",
    "apply_patch_call",
    "apply_patch_call_output",
    "mcp_approval_request",
    "mcp_list_tools",
    "tool_search_call",
]

ITEMS: Mapping[str, ItemRule] = MappingProxyType(
    dict.fromkeys(get_args(BytesItem), ItemRule.BYTES)
    | {
        # The conversation that it stands for is known to the provider only.
        "compaction": ItemRule.UNSEEN,
        "item_reference": ItemRule.UNSEEN,
        # What the provider's own tools have brought is not always repeated by the caller.
        "code_interpreter_call": ItemRule.UNSEEN,
        "computer_call": ItemRule.UNSEEN,
        "file_search_call": ItemRule.UNSEEN,
        "mcp_call": ItemRule.UNSEEN,
        "program": ItemRule.UNSEEN,
        "program_output": ItemRule.UNSEEN,
        "web_search_call": ItemRule.UNSEEN,
        "computer_call_output": ItemRule.IMAGE,
        "image_generation_call": ItemRule.IMAGE,
        # These bring tools, let one run, or run a model.
        "additional_tools": ItemRule.NONE,
        "compaction_trigger": ItemRule.NONE,
        "configuration_update": ItemRule.NONE,
        "mcp_approval_response": ItemRule.NONE,
        "tool_search_output": ItemRule.NONE,
    }
)
"""Every type of item of the openai SDK's `ResponseInputParam`."""

PartType = Literal[
    "input_text",
    "output_text",
    "refusal",
    "input_image",
    "input_file",
    "input_audio",
    "summary_text",
    "reasoning_text",
]
PART_TYPES: frozenset[str] = frozenset(get_args(PartType))

ToolType = Literal["function", "custom"]
TOOL_TYPES: frozenset[str] = frozenset(get_args(ToolType))
"""Tools that the caller runs."""

UNRULED_TOOLS: frozenset[str] = frozenset(
    {
        "apply_patch",
        "code_interpreter",
        "computer",
        "computer_use_preview",
        "file_search",
        "image_generation",
        "local_shell",
        "mcp",
        "namespace",
        "programmatic_tool_calling",
        "shell",
        "tool_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    }
)
"""Tools that a provider runs, or explains to the model at a length that nobody states."""
