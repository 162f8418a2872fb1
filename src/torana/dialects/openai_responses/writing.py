"""Values as requests of OpenAI's Responses.

What a request can't say is named; these are the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import (
    ChatCall,
    CustomTool,
    HiddenThinking,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolChoice,
)
from torana.dialects import wire
from torana.dialects.base import Traits, Written
from torana.dialects.losses import Losses
from torana.dialects.openai_efforts import effort_of_budget
from torana.dialects.openai_responses.requests import LIMIT_FIELD
from torana.dialects.openai_responses.writing_items import InputWriter
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

LOST: Mapping[str, str] = MappingProxyType(
    {
        "audio": "The model's earlier words in audio can't be sent back.",
        "cache_control": "OpenAI's breakpoints are not known to all of its models.",
        "citations": "An annotation has an address and characters: no document, no quoted words.",
        "content": "A call of a tool stands in a message of the user.",
        "document": "A file stands in a message of the assistant.",
        "document_context": "A file has no description beside it.",
        "document_title": "A file that is fetched or kept by OpenAI has the name that it has.",
        "file_id": "A file that another provider keeps.",
        "frequency_penalty": "There is no such field.",
        "image": "A picture stands in a message of the assistant.",
        "is_error": "The result of a tool is sent without the mark that it is an error.",
        "logit_bias": "There is no such field.",
        "max_output_tokens": "OpenAI refuses less than 16; 16 are sent.",
        "messages[].name": "Speakers have no names.",
        "metadata": "OpenAI takes 16 pairs of 64 and 512 characters; others are left out.",
        "presence_penalty": "There is no such field.",
        "safety_identifier": "OpenAI takes 128 characters; a longer one is left out.",
        "seed": "There is no such field.",
        "service_tier": "OpenAI has no such tier.",
        "stop": "There is no such field.",
        "thinking": "Thinking that OpenAI has not signed is never sent, least of all as text.",
        "thinking.budget_tokens": "An effort is sent in place of a number of tokens.",
        "tool_result": "The result of a tool stands in a message of the assistant.",
        "top_k": "There is no such field.",
        "top_logprobs": "What it asks for can't come back in another dialect.",
    }
)
"""Every name that the writer of calls can report, and why."""

MIN_OUTPUT = 16
_MOST_METADATA = 16
_LONGEST_KEY = 64
_LONGEST_VALUE = 512
_LONGEST_END_USER = 128
_ANSWER = "answer"
"""A schema must have a name."""
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_TIERS_OF_OTHERS = {"standard_only": "default"}


def write_call(call: ChatCall, traits: Traits) -> Written:
    """A request in this dialect; the model's name is the caller's still.

    OpenAI keeps nothing of it (`store` is false): what the next turn needs comes back with the
    answer, so the model's reasoning is asked for in its encrypted form.

    Raises:
        InvalidRequest: it asks for several choices, of which there is only one.
    """
    if call.choices > 1:
        raise InvalidRequest("'n' must be 1 with this model.", param="n")
    items = InputWriter()
    lost = items.lost
    instructions, rest = _split(call.messages, lost)
    for message in rest:
        items.add(message)
    instructed = False
    form = call.format
    if form is not None and form.schema is not None and not traits.structured_output:
        instructions = _instructed(instructions, form.schema)
        form, instructed = None, True
    fields: dict[str, Any] = {
        "model": call.model,
        "input": items.items,
        "instructions": instructions,
        "max_output_tokens": _max_output(call.max_output, lost),
        "temperature": call.temperature,
        "top_p": call.top_p,
        "tools": [_tool(tool, lost) for tool in call.tools] or None,
        # Without tools there is nothing to choose from, and OpenAI refuses to be told how.
        "tool_choice": _tool_choice(call.tool_choice, call.tools) if call.tools else None,
        "parallel_tool_calls": call.parallel_tools if call.tools else None,
        "text": _text(form, call.verbosity),
        "reasoning": _reasoning(call.reasoning, lost),
        "metadata": _metadata(call.metadata, lost) or None,
        "safety_identifier": _end_user(call.end_user, lost),
        "service_tier": _tier(call.service_tier, lost),
        "prompt_cache_key": call.cache_key,
        "include": ["reasoning.encrypted_content"] if _may_reason(call, traits) else None,
        "store": False,
        "stream": call.stream or None,
    }
    _note_missing(call, lost)
    raws = {name: wire.raw(value) for name, value in fields.items() if value is not None}
    return Written(request=_request(call, raws), lost=lost.names, instructed=instructed)


def _request(call: ChatCall, raws: dict[str, msgspec.Raw]) -> WireRequest:
    limit = raws.get(LIMIT_FIELD)
    return WireRequest(
        model=call.model,
        stream=call.stream,
        include_usage=True,
        max_output=None if limit is None else int(bytes(limit)),
        choices=1,
        size=len(wire.encode_fields(raws)),
        fields=raws,
    )


def _split(messages: Sequence[Message], lost: Losses) -> tuple[str | None, Sequence[Message]]:
    """The instructions, where the first message is one of the system and plain text; the rest."""
    if not messages or messages[0].role != "system":
        return None, messages
    (first, *more) = messages[0].parts
    if more or not isinstance(first, Text) or not first.text:
        return None, messages
    if messages[0].name is not None:
        lost.add("messages[].name")
    if first.cache is not None:
        lost.add("cache_control")
    return first.text, messages[1:]


def _instructed(instructions: str | None, schema: dict[str, Any]) -> str:
    wanted = (
        "Answer with a single JSON value that follows this JSON schema, and nothing else:\n"
        + msgspec.json.encode(schema).decode()
    )
    return f"{instructions}\n\n{wanted}" if instructions else wanted


def _note_missing(call: ChatCall, lost: Losses) -> None:
    for name in ("frequency_penalty", "presence_penalty", "seed", "top_k", "top_logprobs"):
        if getattr(call, name) is not None:
            lost.add(name)
    if call.logit_bias:
        lost.add("logit_bias")
    if call.stop:
        lost.add("stop")
    if call.cache is not None:
        lost.add("cache_control")


def _may_reason(call: ChatCall, traits: Traits) -> bool:
    """Whether the model surely thinks: others refuse to be asked for their encrypted thinking."""
    asked = call.reasoning
    if asked is not None and asked.mode != "off" and asked.effort != "none":
        return True
    return traits.reasons or any(
        isinstance(part, (Thinking, HiddenThinking)) and part.vendor == "openai"
        for message in call.messages
        for part in message.parts
    )


def _max_output(limit: int | None, lost: Losses) -> int | None:
    if limit is None or limit >= MIN_OUTPUT:
        return limit
    lost.add(LIMIT_FIELD)
    return MIN_OUTPUT


def _text(form: OutputFormat | None, verbosity: str | None) -> dict[str, Any] | None:
    text: dict[str, Any] = {}
    if form is not None and form.schema is None:
        text["format"] = {"type": "json_object"}
    elif form is not None:
        written: dict[str, Any] = {
            "type": "json_schema",
            "name": form.name or _ANSWER,
            "schema": form.schema,
        }
        if form.description is not None:
            written["description"] = form.description
        if form.strict is not None:
            written["strict"] = form.strict
        text["format"] = written
    if verbosity is not None:
        text["verbosity"] = verbosity
    return text or None


def _reasoning(reasoning: Reasoning | None, lost: Losses) -> dict[str, Any] | None:
    if reasoning is None:
        return None
    effort = reasoning.effort
    if reasoning.mode == "off":
        effort = "none"
    elif effort is None and reasoning.budget is not None:
        effort = effort_of_budget(reasoning.budget)
    if reasoning.budget is not None:
        lost.add("thinking.budget_tokens")
    written: dict[str, Any] = {}
    if effort is not None:
        written["effort"] = effort
    # Who turns thinking on in another dialect is shown it, unless it says otherwise.
    shown = reasoning.summary or reasoning.visible or reasoning.mode in {"on", "adaptive"}
    if shown and reasoning.visible is not False:
        written["summary"] = reasoning.summary or "auto"
    return written or None


def _metadata(metadata: dict[str, str], lost: Losses) -> dict[str, str]:
    kept = {
        key: value
        for key, value in metadata.items()
        if len(key) <= _LONGEST_KEY and len(value) <= _LONGEST_VALUE
    }
    kept = dict(list(kept.items())[:_MOST_METADATA])
    if len(kept) < len(metadata):
        lost.add("metadata")
    return kept


def _end_user(end_user: str | None, lost: Losses) -> str | None:
    if end_user is not None and len(end_user) > _LONGEST_END_USER:
        lost.add("safety_identifier")
        return None
    return end_user


def _tier(tier: str | None, lost: Losses) -> str | None:
    if tier is None:
        return None
    written = _TIERS_OF_OTHERS.get(tier, tier)
    if written not in _TIERS:
        lost.add("service_tier")
        return None
    return written


# --- tools -------------------------------------------------------------------------------------


def _tool(tool: Tool, lost: Losses) -> dict[str, Any]:
    if isinstance(tool, CustomTool):
        written: dict[str, Any] = {"type": "custom", "name": tool.name}
        if tool.format is not None:
            written["format"] = tool.format
    else:
        if tool.cache is not None:
            lost.add("cache_control")
        # Functions of Responses are strict unless they say otherwise; those of others are not.
        written = {
            "type": "function",
            "name": tool.name,
            "parameters": tool.schema,
            "strict": tool.strict is True,
        }
    if tool.description is not None:
        written["description"] = tool.description
    return written


def _tool_choice(choice: ToolChoice | None, tools: Sequence[Tool]) -> Any:
    if choice is None:
        return None
    named = [_reference(name, tools) for name in choice.names]
    if choice.mode == "named":
        return named[0]
    if named and choice.mode != "none":
        return {"type": "allowed_tools", "mode": choice.mode, "tools": named}
    return choice.mode


def _reference(name: str, tools: Sequence[Tool]) -> dict[str, str]:
    custom = any(isinstance(tool, CustomTool) and tool.name == name for tool in tools)
    return {"type": "custom" if custom else "function", "name": name}
