"""Requests of OpenAI's Responses as values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import (
    ChatCall,
    CustomTool,
    FunctionTool,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
)
from torana.dialects import wire
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.reading_items import InputReader
from torana.dialects.openai_responses.requests import is_given
from torana.dialects.openai_responses.values import (
    bad,
    list_at,
    maybe_text_in,
    object_at,
    text_in,
)
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

_READ = frozenset(
    {
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "metadata",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)
"""Fields that a call holds, or that Torana itself obeys (`store`, `stream_options`)."""
_DEFAULTS: dict[str, bytes] = {"background": b"false", "truncation": b'"disabled"'}
"""Values that say what is so anyway."""
UNSAID: Mapping[str, str] = MappingProxyType(
    {
        "annotations": "Only citations of web pages are told elsewhere.",
        "content[].type=...": "A part of the assistant's that Torana does not know.",
        "include=...": "Only OpenAI's own tools bring such things.",
        "input[]....": "A member of an item that Torana does not know.",
        "input[].async": "A call is waited for elsewhere.",
        "input[].caller": "Only the model itself calls tools elsewhere.",
        "input[].content[]....": "A member of a part that Torana does not know.",
        "input[].content[].type=...": "A part that Torana does not know.",
        "input[].output[]....": "A member of a result's part that Torana does not know.",
        "input[].output[].type=...": "A part that no result holds elsewhere.",
        "input[].type=...": "What a tool of OpenAI's own did, or asks for.",
        "input_file.detail": "How closely a file is to be read can't be said elsewhere.",
        "namespace": "Tools have no namespaces elsewhere.",
        "prompt_cache_breakpoint.ttl": "Twelve hours are an hour elsewhere.",
        "reasoning....": "Beyond effort and summary: which reasoning is seen, a dearer way.",
        "stream_options....": "Beyond `include_obfuscation`.",
        "text....": "Beyond the verbosity, and a schema with name, description and strictness.",
        "text.format.type=...": "A form of text that Torana does not know.",
        "tool_choice....": "Beyond a mode and names of tools.",
        "tool_choice.tools[].type": "A tool of OpenAI's own among the allowed ones.",
        "tool_choice.type=...": "A tool of OpenAI's own shall be used.",
        "tools[]....": "Beyond a function or a tool of free text: who calls it, when it is told.",
        "tools[].type=...": "A tool that OpenAI itself runs.",
        "...": "Any other field has its own name.",
    }
)
"""Every name that the reader of calls can report, and why; `...` stands for what was sent."""
_TOOL = frozenset(
    {"type", "name", "description", "allowed_callers", "defer_loading", "output_schema", "async"}
)
_FUNCTION = _TOOL | {"parameters", "strict"}
_CUSTOM = _TOOL | {"format"}
_CHOICE = frozenset({"type", "name"})
_ALLOWED = frozenset({"type", "mode", "tools"})
_TEXT = frozenset({"format", "verbosity"})
_PLAIN = frozenset({"type"})
_SCHEMA = frozenset({"type", "name", "description", "schema", "strict"})
_REASONING = frozenset({"effort", "summary", "generate_summary", "mode", "context"})
_USUAL_REASONING = {"mode": "standard", "context": "auto"}
_STREAM_OPTIONS = frozenset({"include_obfuscation"})
_KEPT_ELSEWHERE = ("previous_response_id", "conversation", "prompt")
_OURS = "reasoning.encrypted_content"
"""Reasoning always comes with it."""
_LOGPROBS = "message.output_text.logprobs"


def read_call(request: WireRequest) -> ChatCall:
    """A caller's request as a value.

    Raises:
        InvalidRequest: it is malformed, or rests on what another provider keeps.
    """
    fields = request.fields
    for name in _KEPT_ELSEWHERE:
        if is_given(fields, name):
            raise InvalidRequest(
                f"'{name}' is not available with this model.",
                hint="Its provider has another API; send the conversation itself.",
                param=name,
            )
    reader = InputReader()
    reader.messages += _instructions(fields)
    value = wire.required(fields, "input", str | list[Any])
    reader.read([{"role": "user", "content": value}] if isinstance(value, str) else value)
    unsaid = reader.unsaid
    for name in _unread(fields):
        unsaid.add(name)
    options = wire.optional(fields, "stream_options", dict[str, Any])
    if options is not None:
        unsaid.rest(options, _STREAM_OPTIONS, "stream_options")
    form, verbosity = _text(fields, unsaid)
    return ChatCall(
        model=request.model,
        messages=tuple(reader.messages),
        tools=_tools(fields, unsaid),
        tool_choice=_tool_choice(fields, unsaid),
        parallel_tools=wire.optional(fields, "parallel_tool_calls", bool),
        max_output=request.max_output,
        temperature=wire.optional(fields, "temperature", float),
        top_p=wire.optional(fields, "top_p", float),
        top_logprobs=_top_logprobs(fields, unsaid),
        format=form,
        reasoning=_reasoning(fields, unsaid),
        end_user=wire.optional(fields, "safety_identifier", str)
        or wire.optional(fields, "user", str)
        or None,
        metadata=wire.optional(fields, "metadata", dict[str, str]) or {},
        service_tier=wire.optional(fields, "service_tier", str),
        cache_key=wire.optional(fields, "prompt_cache_key", str),
        verbosity=verbosity,
        stream=request.stream,
        include_usage=True,
        unsaid=unsaid.names,
    )


def _unread(fields: dict[str, msgspec.Raw]) -> list[str]:
    return [
        name
        for name, value in fields.items()
        if name not in _READ and bytes(value) not in {b"null", _DEFAULTS.get(name)}
    ]


def _instructions(fields: dict[str, msgspec.Raw]) -> list[Message]:
    text = wire.optional(fields, "instructions", str)
    return [Message("system", (Text(text),))] if text else []


def _top_logprobs(fields: dict[str, msgspec.Raw], unsaid: Losses) -> int | None:
    wanted: int | None = wire.optional(fields, "top_logprobs", int) or None
    for name in wire.optional(fields, "include", list[str]) or ():
        if name == _LOGPROBS:
            wanted = wanted or 0
        elif name != _OURS:
            unsaid.add(f"include={name}")
    return wanted


def _text(fields: dict[str, msgspec.Raw], unsaid: Losses) -> tuple[OutputFormat | None, str | None]:
    """The form of the text, and how long it shall be."""
    text = wire.optional(fields, "text", dict[str, Any]) or {}
    unsaid.rest(text, _TEXT, "text")
    verbosity = maybe_text_in(text, "verbosity", "text")
    if text.get("format") is None:
        return None, verbosity
    where = "text.format"
    form = object_at(text["format"], where)
    kind = text_in(form, "type", where)
    unsaid.rest(form, _SCHEMA if kind == "json_schema" else _PLAIN, where)
    if kind == "json_object":
        return OutputFormat(), verbosity
    if kind == "json_schema":
        return (
            OutputFormat(
                schema=object_at(form.get("schema"), f"{where}.schema"),
                name=maybe_text_in(form, "name", where),
                description=maybe_text_in(form, "description", where),
                strict=_maybe_bool(form, "strict", where),
            ),
            verbosity,
        )
    if kind != "text":
        unsaid.add(f"text.format.type={kind}")
    return None, verbosity


def _reasoning(fields: dict[str, msgspec.Raw], unsaid: Losses) -> Reasoning | None:
    found = wire.optional(fields, "reasoning", dict[str, Any])
    if found is None:
        return None
    where = "reasoning"
    unsaid.rest(found, _REASONING, where)
    for name, usual in _USUAL_REASONING.items():
        if found.get(name) not in (None, usual):
            unsaid.add(f"{where}.{name}")
    effort = maybe_text_in(found, "effort", where)
    summary = maybe_text_in(found, "summary", where)
    summary = summary or maybe_text_in(found, "generate_summary", where)
    if effort is None and summary is None:
        return None
    return Reasoning(effort=effort, visible=True if summary else None, summary=summary)


# --- tools -------------------------------------------------------------------------------------


def _tools(fields: dict[str, msgspec.Raw], unsaid: Losses) -> tuple[Tool, ...]:
    found: list[Any] = wire.optional(fields, "tools", list[Any]) or []
    tools: list[Tool] = []
    for index, value in enumerate(found):
        where = f"tools[{index}]"
        tool = object_at(value, where)
        kind = text_in(tool, "type", where)
        if kind == "function":
            tools.append(_function(tool, where))
            unsaid.rest(tool, _FUNCTION, "tools[]")
        elif kind == "custom":
            tools.append(_custom(tool, where, unsaid))
            unsaid.rest(tool, _CUSTOM, "tools[]")
        else:
            unsaid.add(f"tools[].type={kind}")
            continue
        for name in ("allowed_callers", "defer_loading", "output_schema", "async"):
            if tool.get(name) not in (None, False, ["direct"]):
                unsaid.add(f"tools[].{name}")
    return tuple(tools)


def _function(tool: dict[str, Any], where: str) -> FunctionTool:
    schema = tool.get("parameters")
    return FunctionTool(
        text_in(tool, "name", where),
        maybe_text_in(tool, "description", where),
        None if schema is None else object_at(schema, f"{where}.parameters"),
        _maybe_bool(tool, "strict", where),
    )


def _custom(tool: dict[str, Any], where: str, unsaid: Losses) -> CustomTool:
    form = tool.get("format")
    grammar = None if form is None else object_at(form, f"{where}.format")
    if grammar is not None and grammar.get("type") == "text":
        unsaid.rest(grammar, _PLAIN, "tools[].format")
        grammar = None
    return CustomTool(
        text_in(tool, "name", where), maybe_text_in(tool, "description", where), grammar
    )


def _tool_choice(fields: dict[str, msgspec.Raw], unsaid: Losses) -> ToolChoice | None:
    choice = wire.optional(fields, "tool_choice", str | dict[str, Any])
    where = "tool_choice"
    if choice is None:
        return None
    if choice in ("auto", "none", "required"):
        return ToolChoice(choice)
    if isinstance(choice, str):
        raise bad(where, "one of auto, none and required, or an object")
    kind = text_in(choice, "type", where)
    if kind in {"function", "custom"}:
        unsaid.rest(choice, _CHOICE, where)
        return ToolChoice("named", (text_in(choice, "name", where),))
    if kind != "allowed_tools":
        unsaid.add(f"{where}.type={kind}")
        return None
    mode = choice.get("mode")
    if mode not in ("auto", "required"):
        raise bad(f"{where}.mode", "auto or required")
    unsaid.rest(choice, _ALLOWED, where)
    names = []
    for index, value in enumerate(list_at(choice.get("tools"), f"{where}.tools")):
        tool = object_at(value, f"{where}.tools[{index}]")
        if tool.get("type") in ("function", "custom"):
            names.append(text_in(tool, "name", f"{where}.tools[{index}]"))
            unsaid.rest(tool, _CHOICE, f"{where}.tools[]")
        else:
            unsaid.add(f"{where}.tools[].type")
    return ToolChoice(mode, tuple(names)) if names else ToolChoice("none")


def _maybe_bool(holder: dict[str, Any], key: str, where: str) -> bool | None:
    value = holder.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise bad(f"{where}.{key}", "true or false")
