"""A chat request read into a canonical call."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import CacheMark, ChatCall, OutputFormat, Tool, ToolChoice
from torana.dialects import wire
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.efforts import read_reasoning
from torana.dialects.openai_chat.given import (
    a_flag_or_none,
    a_list,
    a_number_or_none,
    a_text,
    a_text_or_none,
    a_whole_or_none,
    an_object,
    an_object_or_none,
    cache_mark,
    one_of,
    refuse,
)
from torana.dialects.openai_chat.tools import (
    read_choice,
    read_function_choice,
    read_functions,
    read_tools,
)
from torana.dialects.openai_chat.turns import read_messages
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import InvalidRequest

_READ = frozenset(
    {
        "model",
        "messages",
        "stream",
        "stream_options",
        "n",
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "functions",
        "tool_choice",
        "function_call",
        "parallel_tool_calls",
        "temperature",
        "top_p",
        "top_k",
        "frequency_penalty",
        "presence_penalty",
        "seed",
        "stop",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "response_format",
        "reasoning_effort",
        "reasoning",
        "thinking",
        "user",
        "safety_identifier",
        "metadata",
        "service_tier",
        "prompt_cache_key",
        "cache_control",
        "verbosity",
    }
)
_DEFAULTS: dict[str, Any] = {
    "store": False,
    "modalities": ["text"],
    "repetition_penalty": 1,
    "min_p": 0,
}
"""Values that say what would be so anyway."""
UNSAID: Mapping[str, str] = MappingProxyType(
    {
        "cache_control": "A mark on audio, on a refusal or on a tool of free text.",
        "cache_control....": "Beyond a mark for five minutes or an hour.",
        "function_call....": "The old choice has a name.",
        "functions[]....": "A function has a name, a description and a schema.",
        "messages[]....": "The role has no such field.",
        "messages[].function_call....": "An old call has a name and arguments.",
        "messages[].annotations": "Only citations of web pages are told elsewhere.",
        "messages[].content[]....": "The part has no such field.",
        "messages[].content[].thinking": "Thinking among the parts of a content has no signature.",
        "messages[].reasoning_details": "Thinking of a vendor that nobody here can send it to.",
        "messages[].tool_calls[]....": "A call has an id and a function or custom tool.",
        "prompt_cache_breakpoint....": "Beyond a mode and a time to live.",
        "prompt_cache_breakpoint.ttl": "Twelve hours are an hour elsewhere.",
        "reasoning....": "Beyond what OpenRouter's `reasoning` is known for.",
        "response_format....": "Beyond a schema with name, description and strictness.",
        "stream_options....": "Beyond `include_usage` and `include_obfuscation`.",
        "thinking....": "Beyond what Anthropic's `thinking` is known for.",
        "tool_choice....": "Beyond a mode and names of tools.",
        "tools[]....": "Beyond a function, or a custom tool with its grammar.",
        "...": "Any other field has its own name.",
    }
)
"""Every name that the reader of calls can report, and why; `...` stands for what was sent."""
_FORMAT = frozenset({"type", "json_schema"})
_SCHEMA = frozenset({"name", "description", "schema", "strict"})
_OPTIONS = frozenset({"include_usage", "include_obfuscation"})


def read_call(request: WireRequest) -> ChatCall:
    """A caller's request as a value.

    Raises:
        InvalidRequest: it is malformed; `param` says where (`messages[2].content[0].type`).
    """
    unsaid = Losses()
    given = given_fields(request)
    for name, value in given.items():
        if name not in _READ and not (name in _DEFAULTS and value == _DEFAULTS[name]):
            unsaid.add(name)
    if isinstance(given.get("stream_options"), dict):
        unsaid.rest(given["stream_options"], _OPTIONS, "stream_options")
    messages = read_messages(a_list(given.get("messages"), "messages"), unsaid)
    tools, choice = _read_tools(given, unsaid)
    return ChatCall(
        model=request.model,
        messages=messages,
        tools=tuple(tools),
        tool_choice=choice,
        parallel_tools=a_flag_or_none(given.get("parallel_tool_calls"), "parallel_tool_calls"),
        max_output=request.max_output or None,
        choices=request.choices,
        temperature=a_number_or_none(given.get("temperature"), "temperature"),
        top_p=a_number_or_none(given.get("top_p"), "top_p"),
        top_k=a_whole_or_none(given.get("top_k"), "top_k"),
        frequency_penalty=a_number_or_none(given.get("frequency_penalty"), "frequency_penalty"),
        presence_penalty=a_number_or_none(given.get("presence_penalty"), "presence_penalty"),
        seed=a_whole_or_none(given.get("seed"), "seed"),
        stop=read_stop(given.get("stop")),
        top_logprobs=_logprobs(given),
        logit_bias=read_bias(given.get("logit_bias")),
        format=_read_format(given.get("response_format"), unsaid),
        reasoning=read_reasoning(given, unsaid),
        end_user=_end_user(given),
        metadata=_metadata(given.get("metadata")),
        service_tier=a_text_or_none(given.get("service_tier"), "service_tier"),
        cache_key=a_text_or_none(given.get("prompt_cache_key"), "prompt_cache_key"),
        cache=_cache(given, unsaid),
        verbosity=a_text_or_none(given.get("verbosity"), "verbosity"),
        stream=request.stream,
        include_usage=request.include_usage,
        unsaid=unsaid.names,
    )


def given_fields(request: WireRequest) -> dict[str, Any]:
    """The values of all fields that are not null.

    Raises:
        InvalidRequest: one can't be decoded: it is nested too deeply, or holds half a character.
    """
    values = {}
    for name, raw in request.fields.items():
        try:
            value = msgspec.json.decode(raw)
        except BAD_JSON as error:
            raise InvalidRequest(f"Invalid value for '{name}': {error}.", param=name) from None
        if value is not None:
            values[name] = value
    return values


def _read_tools(given: dict[str, Any], unsaid: Losses) -> tuple[list[Tool], ToolChoice | None]:
    tools: list[Tool] = []
    choice = None
    if "functions" in given:
        tools += read_functions(given["functions"], unsaid)
    if "tools" in given:
        tools += read_tools(given["tools"], unsaid)
    if "tool_choice" in given:
        choice = read_choice(given["tool_choice"], unsaid)
    elif "function_call" in given:
        choice = read_function_choice(given["function_call"], unsaid)
    return tools, choice


def read_stop(value: Any) -> tuple[str, ...]:
    """`stop`, which is a text or a list of texts."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(a_text(text, f"stop[{i}]") for i, text in enumerate(a_list(value, "stop")))


def _logprobs(given: dict[str, Any]) -> int | None:
    top = a_whole_or_none(given.get("top_logprobs"), "top_logprobs")
    if top is None and a_flag_or_none(given.get("logprobs"), "logprobs"):
        return 0
    return top


def read_bias(value: Any) -> dict[str, float] | None:
    """`logit_bias`: numbers by the ids of tokens."""
    given = an_object_or_none(value, "logit_bias")
    return {name: _bias_of(given, name) for name in given} if given else None


def _bias_of(given: dict[str, Any], name: str) -> float:
    value = given[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 100:
        refuse("logit_bias", "numbers from -100 to 100")
    return float(value)


def _read_format(value: Any, unsaid: Losses) -> OutputFormat | None:
    given = an_object_or_none(value, "response_format")
    if given is None:
        return None
    where = "response_format"
    kind = one_of(given.get("type"), f"{where}.type", ("text", "json_object", "json_schema"))
    unsaid.rest(given, _FORMAT, where)
    if kind == "text":
        return None
    if kind == "json_object":
        return OutputFormat()
    place = f"{where}.json_schema"
    inner = an_object(given.get("json_schema"), place)
    unsaid.rest(inner, _SCHEMA, place)
    schema = an_object_or_none(inner.get("schema"), f"{place}.schema")
    return OutputFormat(
        schema={} if schema is None else schema,
        name=a_text(inner.get("name"), f"{place}.name"),
        description=a_text_or_none(inner.get("description"), f"{place}.description"),
        strict=a_flag_or_none(inner.get("strict"), f"{place}.strict"),
    )


def _end_user(given: dict[str, Any]) -> str | None:
    names = [
        a_text_or_none(given.get(name), name) or None for name in ("safety_identifier", "user")
    ]
    return names[0] or names[1]


def _metadata(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    labels = an_object(value, "metadata")
    return {name: a_text(text, f"metadata.{name}"[:80]) for name, text in labels.items()}


def _cache(given: dict[str, Any], unsaid: Losses) -> CacheMark | None:
    return cache_mark(given.get("cache_control"), "cache_control", unsaid)


def encodable(value: Any, where: str) -> msgspec.Raw:
    """A value of a caller's as JSON.

    Raises:
        InvalidRequest: it is nested too deeply, or holds what no JSON can.
    """
    try:
        return wire.raw(value)
    except (RecursionError, ValueError, OverflowError, TypeError):
        refuse(where, "values that JSON can hold")
