"""Canonical messages written as chat messages, for a provider."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torana.core.chat import (
    Audio,
    Document,
    HiddenThinking,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from torana.dialects.losses import Losses
from torana.dialects.openai_chat.contents import write_content

ORDER: dict[type, int] = {Thinking: 0, HiddenThinking: 0, Text: 1, Refusal: 2, ToolCall: 3}


def write_messages(messages: Iterable[Message], lost: Losses) -> list[dict[str, Any]]:
    """The messages of a request.

    A result of a tool becomes a message of its own, before everything else that its turn says: a
    server takes it nowhere but right after the calls. Images and files of results follow in a
    message of the user's.

    Args:
        messages: of the call.
        lost: takes the names of what can't be said.
    """
    written: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "assistant":
            written.append(_named(_write_assistant(message.parts, lost), message))
        else:
            written += _write_turn(message, lost)
    return written


def _named(written: dict[str, Any], message: Message) -> dict[str, Any]:
    if message.name is not None:
        written["name"] = message.name
    return written


def _write_turn(message: Message, lost: Losses) -> list[dict[str, Any]]:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if not results:
        said = _sayable(message.parts, message.role, lost)
        return [_named(_turn(message.role, said, lost), message)]
    shown = [part for result in results for part in result.parts if not isinstance(part, Text)]
    if shown:
        lost.add("tool_result_images")
    rest = _sayable(
        [part for part in message.parts if not isinstance(part, ToolResult)], message.role, lost
    )
    written = [_write_result(result, lost) for result in results]
    if shown or rest:
        written.append(_named(_turn("user", [*shown, *rest], lost), message))
    return written


def _turn(role: str, parts: list[Part], lost: Losses) -> dict[str, Any]:
    return {"role": role, "content": write_content(parts, lost) or ""}


def _sayable(parts: Sequence[Part], role: str, lost: Losses) -> list[Part]:
    """The parts that a message of this role can hold."""
    kinds = (Text, Image, Document, Audio) if role == "user" else (Text,)
    said: list[Part] = []
    for part in parts:
        if isinstance(part, kinds):
            said.append(part)
        else:
            lost.add("messages[].content[]")
    return said


def _write_result(result: ToolResult, lost: Losses) -> dict[str, Any]:
    if result.is_error:
        lost.add("is_error")
    if result.cache is not None:
        lost.add("cache_control")
    texts: list[Part] = [part for part in result.parts if isinstance(part, Text)]
    content = write_content(texts, lost) if texts else ""
    return {"role": "tool", "tool_call_id": result.call_id, "content": content}


def _write_assistant(parts: Sequence[Part], lost: Losses) -> dict[str, Any]:
    if not in_order(parts):
        lost.add("part_order")
    for part in parts:
        _note_losses(part, lost)
    texts: list[Part] = [part for part in parts if isinstance(part, Text)]
    refusals = [part for part in parts if isinstance(part, Refusal)]
    calls = [write_tool_call(part) for part in parts if isinstance(part, ToolCall)]
    written: dict[str, Any] = {"role": "assistant", "content": None}
    if len(refusals) == 1:
        written["refusal"] = refusals[0].text
    else:
        texts += refusals
    if texts:
        written["content"] = write_content(texts, lost)
    elif not calls and not refusals:
        written["content"] = ""  # Nothing was left of it; servers want to see some content.
    if calls:
        written["tool_calls"] = calls
    return written


def _note_losses(part: Part, lost: Losses) -> None:
    """What of an assistant's part is lost, but for what `write_content` notes."""
    if isinstance(part, (Thinking, HiddenThinking)):
        lost.add("thinking")
    elif isinstance(part, ToolCall):
        if part.cache is not None:
            lost.add("cache_control")
    elif not isinstance(part, (Text, Refusal)):
        lost.add("messages[].content[]")


def write_tool_call(call: ToolCall) -> dict[str, Any]:
    """A call of a tool, as it stands in a message."""
    if call.custom:
        inner = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": inner}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}


def in_order(parts: Iterable[Part]) -> bool:
    """Whether a message can keep the order: thinking, texts, refusals, calls of tools."""
    ranks = [ORDER.get(type(part), 1) for part in parts]
    return ranks == sorted(ranks)
