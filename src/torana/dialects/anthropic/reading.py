"""A caller's request as a canonical call."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from torana.core.chat import (
    ChatCall,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from torana.dialects import wire
from torana.dialects.anthropic.content_blocks import BadBlock, Block, Cache
from torana.dialects.anthropic.members import CACHE, known_cache, note_rest
from torana.dialects.anthropic.parts import mark, parts_of, read_blocks
from torana.dialects.anthropic.reading_offers import read_tool_choice, read_tools
from torana.dialects.losses import Losses
from torana.dialects.wire import ABSENT, WireRequest
from torana.errors import InvalidRequest

_READ = frozenset(
    {
        "cache_control",
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "service_tier",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)
_THREAD = "thread"
_USUAL = {"speed": b'"standard"', "inference_geo": b'"global"'}
"""Values that say no more than their absence."""
_BLOCK = "messages[].content[]"


class ThreadUnsupported(InvalidRequest):
    """The caller wants its provider to keep the conversation, as only Anthropic's own can.

    The code is Anthropic's: its SDK's tool runner, which asks for a thread by itself, then sends
    the whole history. Left out, the field would make it send the rest of a conversation alone.
    """

    code = "thread_unsupported_request"


def read_call(request: WireRequest) -> ChatCall:
    """A request as a value.

    Raises:
        InvalidRequest: it is malformed; `param` says where.
        ThreadUnsupported: it begins a conversation that the provider shall keep, or goes on in one.
    """
    fields = request.fields
    if bytes(fields.get(_THREAD, b"null")) != b"null":
        raise ThreadUnsupported(
            "Threads are kept by Anthropic alone: send the whole conversation without 'thread'.",
            param=_THREAD,
        )
    unsaid = Losses()
    for name, raw in fields.items():
        if name not in _READ and bytes(raw) not in (b"null", _USUAL.get(name)):
            unsaid.add(name)
    choice, parallel = read_tool_choice(fields, unsaid)
    reasoning, form = _reasoning_and_format(fields, unsaid)
    return ChatCall(
        model=request.model,
        messages=(*_system(fields, unsaid), *_messages(fields, unsaid)),
        tools=read_tools(fields, unsaid),
        tool_choice=choice,
        parallel_tools=parallel,
        max_output=request.max_output,
        temperature=wire.optional(fields, "temperature", float),
        top_p=wire.optional(fields, "top_p", float),
        top_k=wire.optional(fields, "top_k", int),
        stop=tuple(wire.optional(fields, "stop_sequences", list[str]) or ()),
        format=form,
        reasoning=reasoning,
        end_user=_end_user(fields, unsaid),
        service_tier=wire.optional(fields, "service_tier", str),
        cache=mark(wire.optional(known_cache(fields, unsaid, CACHE), CACHE, Cache)),
        stream=request.stream,
        include_usage=request.include_usage,
        unsaid=unsaid.names,
    )


# --- messages ----------------------------------------------------------------------------------


def _system(fields: dict[str, msgspec.Raw], unsaid: Losses) -> list[Message]:
    raw = fields.get("system")
    if raw is None or bytes(raw) == b"null":
        return []
    parts = _content(raw, "system", unsaid, "system[]")
    if not all(isinstance(part, Text) for part in parts):
        raise InvalidRequest("'system' holds nothing but text.", param="system")
    return [Message("system", tuple(parts))] if parts else []


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


_quick_decoder = msgspec.json.Decoder(list[_Message])
_objects_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_role_decoder: msgspec.json.Decoder[Role] = msgspec.json.Decoder(
    Literal["user", "assistant", "system"]
)
_text_decoder = msgspec.json.Decoder(str)


def _messages(fields: dict[str, msgspec.Raw], unsaid: Losses) -> list[Message]:
    raw = fields["messages"]
    messages = _read_quickly(raw, unsaid)
    if messages is None:
        messages = _read_one_by_one(raw, unsaid)
    order: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "user":
            messages[index] = _in_order(message, order)
        for part in message.parts:
            if isinstance(part, ToolCall):
                order[part.id] = len(order)
    return messages


def _read_quickly(raw: msgspec.Raw, unsaid: Losses) -> list[Message] | None:
    """Messages in which everything is known; None where one must be looked at more closely."""
    try:
        found = _quick_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    messages = []
    for index, message in enumerate(found):
        if isinstance(message.content, str):
            parts: list[Part] = [Text(message.content)] if message.content else []
        else:
            try:
                others = message.role != "user"
                parts = parts_of(message.content, unsaid, _BLOCK, of_others=others)
            except BadBlock as bad:
                raise _misread(f"messages[{index}].content", bad) from None
        if not parts:
            return None
        messages.append(Message(message.role, tuple(parts)))
    return messages or None


def _read_one_by_one(raw: msgspec.Raw, unsaid: Losses) -> list[Message]:
    try:
        raws = _objects_decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest(f"Invalid value for 'messages': {error}.", param="messages") from None
    if not raws:
        raise InvalidRequest("'messages' must not be empty.", param="messages")
    found = [_message(raw, index, len(raws) - 1, unsaid) for index, raw in enumerate(raws)]
    return [message for message in found if message is not None]


def _message(raw: dict[str, msgspec.Raw], index: int, last: int, unsaid: Losses) -> Message | None:
    role = _role(raw.get("role"), f"messages[{index}].role")
    for name, value in raw.items():
        if name not in {"role", "content"} and bytes(value) != b"null":
            unsaid.add(f"messages[].{name}")
    content = raw.get("content")
    path = f"messages[{index}].content"
    if content is None:
        raise InvalidRequest(f"Missing required parameter: '{path}'.", param=path)
    parts = _content(content, path, unsaid, _BLOCK, of_others=role != "user")
    if parts:
        return Message(role, tuple(parts))
    empty = bytes(content) in (b'""', b"[]")
    if empty and not (role == "assistant" and index == last):
        raise InvalidRequest(f"'{path}' must not be empty.", param=path)
    return None  # An answer that has not begun, or nothing but what was named as unsaid.


def _role(raw: msgspec.Raw | None, path: str) -> Role:
    try:
        return _role_decoder.decode(ABSENT if raw is None else raw)
    except msgspec.DecodeError:
        raise InvalidRequest(
            f"Invalid value for '{path}': expected 'user', 'assistant' or 'system'.", param=path
        ) from None


def _content(
    raw: msgspec.Raw, path: str, unsaid: Losses, place: str, *, of_others: bool = True
) -> list[Part]:
    if bytes(memoryview(raw)[:1]) == b'"':
        text = _text_decoder.decode(raw)
        return [Text(text)] if text else []
    try:
        return read_blocks(raw, unsaid, place, of_others=of_others)
    except BadBlock as bad:
        raise _misread(path, bad) from None


def _misread(path: str, bad: BadBlock) -> InvalidRequest:
    where = f"{path}{bad.path}"
    return InvalidRequest(f"Invalid value for '{where}': {bad.reason}.", param=where)


def _in_order(message: Message, order: dict[str, int]) -> Message:
    """Results of tools come first, in the order of their calls."""
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if not results:
        return message
    results.sort(key=lambda result: order.get(result.call_id, len(order)))
    others = [part for part in message.parts if not isinstance(part, ToolResult)]
    return Message("user", (*results, *others))


# --- how to answer -----------------------------------------------------------------------------


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


_DISPLAYS = {"summarized": True, "omitted": False}


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


def _reasoning_and_format(
    fields: dict[str, msgspec.Raw], unsaid: Losses
) -> tuple[Reasoning | None, OutputFormat | None]:
    config: _OutputConfig = wire.optional(fields, "output_config", _OutputConfig) or _OutputConfig()
    note_rest(fields, "output_config", _OutputConfig, unsaid)
    form = None
    if config.format is not None:
        members: dict[str, msgspec.Raw] = wire.required(
            fields, "output_config", dict[str, msgspec.Raw]
        )
        note_rest(members, "format", _Format, unsaid, "output_config.")
        if config.format.type == "json_schema" and config.format.schema is not None:
            form = OutputFormat(schema=config.format.schema)
        else:
            unsaid.add("output_config.format")
    return _reasoning(fields, config.effort, unsaid), form


def _reasoning(
    fields: dict[str, msgspec.Raw], effort: str | None, unsaid: Losses
) -> Reasoning | None:
    given: _Thinking | None = wire.optional(fields, "thinking", _Thinking)
    if given is None:
        return None if effort is None else Reasoning(effort=effort)
    note_rest(fields, "thinking", _Thinking, unsaid)
    visible = None if given.display is None else _DISPLAYS.get(given.display)
    unsaid.add_if("thinking.display", given.display is not None and visible is None)
    if given.type == "enabled":
        return Reasoning(mode="on", effort=effort, budget=given.budget_tokens, visible=visible)
    if given.type == "adaptive":
        return Reasoning(mode="adaptive", effort=effort, visible=visible)
    if given.type == "disabled":
        return Reasoning(mode="off", effort=effort)
    unsaid.add(f"thinking.type={given.type}")
    return None if effort is None else Reasoning(effort=effort)


class _Metadata(msgspec.Struct):
    user_id: str | None = None


def _end_user(fields: dict[str, msgspec.Raw], unsaid: Losses) -> str | None:
    given: _Metadata | None = wire.optional(fields, "metadata", _Metadata)
    if given is None:
        return None
    note_rest(fields, "metadata", _Metadata, unsaid)
    return given.user_id or None
