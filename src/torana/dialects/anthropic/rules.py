"""How each field of Anthropic's messages bears on its cost, as data.

The tables cover all that the anthropic SDK can send; a test compares them with its types. What is
not in them has no rule, and a call with it is refused under a hard budget.
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
    """It limits the output; `WireRequest` has read it."""
    PROMPT = "prompt"
    """It is written into the prompt: its bytes."""
    SYSTEM = "system"
    """A text or blocks of text: their bytes."""
    MESSAGES = "messages"
    """Texts by their bytes; images by the piece; files by the context window."""
    TOOLS = "tools"
    """As a schema, where the caller runs the tool; a tool that the provider runs has no rule."""
    OUTPUT = "output"
    """A schema of the answer, and how hard the model shall try, which the output's bound covers."""
    CHOICE = "choice"
    """Free where its value does not cost more than the listed price."""
    THREAD = "thread"
    """The conversation that the provider keeps: to go on with one may fill the context window."""
    NONE = "none"
    """It costs something that no price list of ours has: refused under a hard budget."""


FIELDS: Mapping[str, Rule] = MappingProxyType(
    {
        "max_tokens": Rule.LIMIT,
        "messages": Rule.MESSAGES,
        "model": Rule.FREE,
        # What is written to a cache, for an hour too, is priced by the dearest class of input.
        "cache_control": Rule.FREE,
        "container": Rule.NONE,
        "diagnostics": Rule.FREE,
        "inference_geo": Rule.CHOICE,
        "metadata": Rule.FREE,
        "output_config": Rule.OUTPUT,
        "service_tier": Rule.CHOICE,
        "speed": Rule.CHOICE,
        "stop_sequences": Rule.FREE,
        "stream": Rule.FREE,
        "system": Rule.SYSTEM,
        # Thinking counts as output, and `max_tokens` includes it.
        "thinking": Rule.FREE,
        "tool_choice": Rule.PROMPT,
        "tools": Rule.TOOLS,
        "user_profile_id": Rule.FREE,
        "workspace_id": Rule.FREE,
    }
)
"""Every field of the anthropic SDK's `MessageCreateParams`."""

EXTENSIONS: Mapping[str, Rule] = MappingProxyType(
    {
        "temperature": Rule.FREE,
        "thread": Rule.THREAD,
        "top_k": Rule.FREE,
        "top_p": Rule.FREE,
    }
)
"""Fields that older SDKs have and callers still send, and what the SDK's tool runner sends."""

RULES: Mapping[str, Rule] = {**FIELDS, **EXTENSIONS}

CHEAP: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "inference_geo": frozenset({"global"}),
        "service_tier": frozenset({"auto", "standard_only"}),
        "speed": frozenset({"standard"}),
    }
)
"""Values of `Rule.CHOICE` that cost the listed price."""

OUTPUT_FIELDS = frozenset({"effort", "format"})
"""Fields of `output_config` that have a rule."""

TextKind = Literal["text", "thinking", "redacted_thinking", "tool_use"]
TEXT_KINDS: frozenset[str] = frozenset(get_args(TextKind))
"""Blocks whose bytes are all that they cost."""

RULED_KINDS = TEXT_KINDS | {"image", "document", "search_result", "tool_result", "browser_state"}
"""Blocks that have a rule, in a message or in a tool's result."""

UNRULED_KINDS = frozenset(
    {
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "tool_reference",
    }
)
"""Blocks of tools that the provider runs: what they stand for in the prompt can't be told."""

BLOCK_FIELDS = frozenset(
    {
        "type",
        "cache_control",
        "caller",
        "citations",
        "content",
        "context",
        "data",
        "id",
        "input",
        "is_error",
        "name",
        "signature",
        "source",
        "state_changes",
        "tabs",
        "text",
        "thinking",
        "title",
        "tool_use_id",
        "toolset_name",
        "transformations",
    }
)
"""Every field of the blocks that have a rule."""

TOOL_FIELDS = frozenset(
    {
        "allowed_callers",
        "cache_control",
        "defer_loading",
        "description",
        "eager_input_streaming",
        "input_examples",
        "input_schema",
        "max_characters",
        "name",
        "strict",
        "type",
    }
)
"""Every field of the tools that have a rule."""

CLIENT_TOOLS: Mapping[str, int] = MappingProxyType(
    {
        "custom": 0,
        "bash_20250124": 1_024,
        "text_editor_20250124": 1_024,
        "text_editor_20250429": 1_024,
        "text_editor_20250728": 1_024,
    }
)
"""Tools that the caller runs, with tokens that the provider adds to explain one to the model.

Anthropic states 245 tokens for `bash` and 700 for the editor; memory, computer and browser are not
here, because theirs are not stated or more than that.
"""
