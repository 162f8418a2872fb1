"""JSON answers of chat completions, read as canonical replies and written from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import (
    ChatReply,
    HiddenThinking,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.dialects import wire
from torana.dialects.base import ReplyFrame, WireAnswer, lost_of
from torana.dialects.openai_chat.answers import WireUsage, usage_of
from torana.dialects.openai_chat.finishes import (
    finish_losses,
    read_finish,
    write_finish,
    write_tier,
)
from torana.dialects.openai_chat.message_writer import in_order, write_tool_call
from torana.dialects.openai_chat.thoughts import (
    ReasoningFields,
    read_details,
    shown_text,
    write_details,
)
from torana.dialects.openai_chat.usages import write_usage
from torana.dialects.openai_chat.webs import losses, read_annotations, write_annotation
from torana.dialects.surrogates import without_halves
from torana.dialects.wire import BAD_JSON
from torana.errors import UpstreamError, UpstreamGarbage

LOST: Mapping[str, str] = MappingProxyType(
    {
        "citations": "A citation of a document; an annotation is of a web page.",
        "citations[].cited_text": "An annotation has no place for the quoted words.",
        "citations[].encrypted_index": "An annotation has no place for Anthropic's token.",
        "content": "A picture, a document, a recording or a tool's result.",
        "finish_reason": "A pause is told as `stop`.",
        "part_order": "A message is thinking, text, refusal and calls, in this order.",
        "service_tier": "OpenAI has no such tier.",
        "stop_sequence": "The end is told, not which text has ended it.",
        "tool_calls": "The caller knows `functions` only, which are called one at a time.",
    }
)
"""Every name that the writers of answers can report, and why."""
UNREAD: Mapping[str, str] = MappingProxyType(
    {
        "annotations": "An annotation that is not of a web page, or comes when its text is over.",
        "audio": "The model's voice.",
        "content": "A part of the content that is not text.",
        "logprobs": "Probabilities.",
        "reasoning_details": "Thinking of a vendor that nobody here can send it back to.",
        "tool_calls": "A call whose tool was never named.",
    }
)
"""Every name of what a provider has said and a reply can't hold."""
NULL = msgspec.Raw(b"null")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")


class ToldFunction(msgspec.Struct):
    """A provider's call of a function, or a piece of it."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class ToldCustom(msgspec.Struct):
    """A provider's call of a custom tool, or a piece of it."""

    name: str | None = None
    input: str | None = None


class ToldCall(msgspec.Struct):
    """A provider's call of a tool, or a piece of it."""

    index: int | None = None
    id: str | None = None
    function: ToldFunction | None = None
    custom: ToldCustom | None = None


class Told(ReasoningFields):
    """A provider's message, or a delta of one."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[ToldCall] | None = None
    function_call: ToldFunction | None = None
    annotations: list[Any] | None = None
    audio: msgspec.Raw = NULL

    def texts(self) -> tuple[str, bool]:
        """The content as one text, and whether that is all of it."""
        if isinstance(self.content, str):
            return self.content, True
        pieces = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
            for part in self.content or ()
        ]
        return "".join(piece for piece in pieces if isinstance(piece, str)), None not in pieces


class ToldChoice(msgspec.Struct):
    """A provider's choice, or a piece of it."""

    index: int = 0
    finish_reason: str | None = None
    message: Told | None = None
    delta: Told | None = None
    logprobs: msgspec.Raw = NULL


class ToldReply(msgspec.Struct):
    """A provider's answer, or a chunk of it."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[ToldChoice] | None = None
    usage: WireUsage | None = None
    service_tier: str | None = None
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(ToldReply)


def decode_told(data: bytes) -> ToldReply:
    """A provider's answer or chunk; half characters in it are replaced.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is none.
    """
    try:
        return _decoder.decode(data)
    except BAD_JSON:
        mended = without_halves(data)
        if mended is None:
            raise
        return _decoder.decode(mended)


def is_null(raw: msgspec.Raw) -> bool:
    """Whether a raw value says nothing."""
    return raw is NULL or (len(raw) == 4 and bytes(raw) == b"null")


def made_id(reply_id: str | None, number: int) -> str:
    """An id for a call of a tool that came without one; the same for the same answer."""
    return f"call_{_NOT_IN_IDS.sub('', reply_id or '')[-24:]}_{number}"


# --- reading -----------------------------------------------------------------------------------


def read_reply(body: bytes) -> ChatReply:
    """A provider's JSON answer as a value.

    Raises:
        UpstreamGarbage: it is not a completion.
        UpstreamError: it is an error in the clothes of a success.
    """
    try:
        body.decode()
        told = decode_told(body)
    except BAD_JSON as error:
        raise UpstreamGarbage("The provider's answer is not a completion.") from error
    if not is_null(told.error):
        raise UpstreamError("The provider answered with an error under a success status.")
    if not told.choices or told.choices[0].message is None:
        raise UpstreamGarbage("The provider's answer is not a completion.")
    choice = told.choices[0]
    parts, lost = _read_message(told.choices[0].message, told.id)
    if not is_null(choice.logprobs):
        lost.append("logprobs")
    return ChatReply(
        id=told.id or "",
        model=told.model or "",
        created=int(told.created or 0),
        parts=tuple(parts),
        finish=read_finish(
            choice.finish_reason,
            called=any(isinstance(part, ToolCall) for part in parts),
            refused=any(isinstance(part, Refusal) for part in parts),
        ),
        usage=None if told.usage is None else usage_of(told.usage),
        service_tier=told.service_tier,
        lost=lost_of(*lost),
    )


def _read_message(message: Told, reply_id: str | None) -> tuple[list[Part], list[str]]:
    lost = []
    parts: list[Part] = []
    if message.reasoning_details:
        parts, partly = read_details(message.reasoning_details)
        if partly:
            lost.append("reasoning_details")
    if not parts and message.text():
        parts = [Thinking(message.text())]
    text, whole = message.texts()
    if not whole:
        lost.append("content")
    said: list[Part] = [Text(text)] if text else []
    if message.annotations:
        said, partly = read_annotations(said, message.annotations)
        if partly:
            lost.append("annotations")
    parts += said
    if message.refusal:
        parts.append(Refusal(message.refusal))
    if not is_null(message.audio):
        lost.append("audio")
    calls = list(message.tool_calls or ())
    if message.function_call is not None:
        calls.insert(0, ToldCall(function=message.function_call))
    parts += [_read_tool_call(call, reply_id, number) for number, call in enumerate(calls)]
    return parts, lost


def _read_tool_call(call: ToldCall, reply_id: str | None, number: int) -> ToolCall:
    call_id = call.id or made_id(reply_id, number)
    if call.custom is not None:
        return ToolCall(call_id, call.custom.name or "", call.custom.input or "", custom=True)
    function = call.function or ToldFunction()
    return ToolCall(call_id, function.name or "", arguments_of(function) or "{}")


def arguments_of(function: ToldFunction) -> str:
    """Arguments as JSON text; some servers send the object itself."""
    if isinstance(function.arguments, dict):
        return msgspec.json.encode(function.arguments).decode()
    return function.arguments or ""


# --- writing -----------------------------------------------------------------------------------


def write_reply(reply: ChatReply, frame: ReplyFrame) -> WireAnswer:
    """A JSON answer for a caller."""
    legacy = knows_functions_only(frame)
    message, lost = _write_message(reply.parts)
    if legacy:
        lost += _as_function_call(message)
    refused = message["refusal"] is not None
    lost += finish_losses(reply.finish, reply.stop_sequence, reply.service_tier)
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": write_finish(reply.finish, refused=refused, legacy=legacy),
    }
    answer: dict[str, Any] = {
        "id": completion_id(frame),
        "object": "chat.completion",
        "created": reply.created or frame.created,
        "model": frame.model or reply.model,
        "choices": [choice],
        "usage": None if reply.usage is None else write_usage(reply.usage),
    }
    tier = write_tier(reply.service_tier)
    if tier is not None:
        answer["service_tier"] = tier
    return WireAnswer(
        body=wire.encode_fields(answer),
        usage=reply.usage,
        lost=lost_of(*reply.lost, *lost),
    )


def knows_functions_only(frame: ReplyFrame) -> bool:
    """Whether the caller speaks of the old `functions`, and so expects a `function_call`."""
    fields = frame.request.fields
    return "functions" in fields and "tools" not in fields


def _as_function_call(message: dict[str, Any]) -> list[str]:
    """Put the first call of a message into its old form; there is room for one only."""
    calls = message.pop("tool_calls", [])
    functions = [call["function"] for call in calls if "function" in call]
    if functions:
        message["function_call"] = functions[0]
    return ["tool_calls"] if len(calls) > len(functions[:1]) else []


def completion_id(frame: ReplyFrame) -> str:
    """The id of an answer, made of the request's."""
    return f"chatcmpl-{frame.request_id.removeprefix('req_')}"


def _write_message(parts: tuple[Part, ...]) -> tuple[dict[str, Any], list[str]]:
    lost = [] if in_order(parts) else ["part_order"]
    texts = [part for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(text.text for text in texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    annotations, partly = write_annotations(texts)
    lost += partly
    if annotations:
        message["annotations"] = annotations
    details = write_details(parts)
    if details:
        thought = shown_text(parts)
        if thought is not None:
            message["reasoning_content"] = thought
        message["reasoning_details"] = details
    calls = [write_tool_call(part) for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = calls
    if any(not isinstance(part, _SAID) for part in parts):
        lost.append("content")
    return message, lost


_SAID = (Text, Refusal, Thinking, HiddenThinking, ToolCall)


def write_annotations(texts: list[Text]) -> tuple[list[dict[str, Any]], list[str]]:
    """The citations of texts that make up one content, and what of them can't be said."""
    written = []
    lost = []
    before = 0
    for text in texts:
        for citation in text.citations:
            if isinstance(citation, UrlCitation):
                written.append(write_annotation(citation, before, len(text.text)))
                lost += losses(citation)
            else:
                lost.append("citations")
        before += len(text.text)
    return written, lost
