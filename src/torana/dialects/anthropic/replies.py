"""Whole replies: a provider's as a value, and a value as an answer to a caller."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import (
    ChatReply,
    Document,
    Finish,
    HiddenThinking,
    Image,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.anthropic.answers import NULL, WireUsage, garbage, peek, usage_of
from torana.dialects.anthropic.blocks import (
    citation_block,
    hidden_block,
    text_block,
    thinking_block,
    tool_use_block,
)
from torana.dialects.anthropic.content_blocks import BadBlock
from torana.dialects.anthropic.parts import read_blocks
from torana.dialects.base import ReplyFrame, WireAnswer, lost_of
from torana.dialects.losses import Losses
from torana.dialects.wire import BAD_JSON

FINISHES: Mapping[str, Finish] = MappingProxyType(
    {
        "end_turn": Finish.STOP,
        "stop_sequence": Finish.STOP_SEQUENCE,
        "max_tokens": Finish.LENGTH,
        "model_context_window_exceeded": Finish.CONTEXT,
        "tool_use": Finish.TOOL_CALLS,
        "refusal": Finish.REFUSAL,
        "pause_turn": Finish.PAUSE,
    }
)
STOP_REASONS: Mapping[Finish, str] = {finish: reason for reason, finish in FINISHES.items()}
_TIERS = {"standard": "default"}
"""Tiers that have another name here; the others are called alike."""
_TOLD_TIERS = {"default": "standard", "standard": "standard", "priority": "priority"}


class StopDetails(msgspec.Struct):
    """Why the model declined."""

    explanation: str | None = None
    category: str | None = None


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    content: msgspec.Raw = NULL
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: WireUsage | None = None
    container: msgspec.Raw = NULL
    diagnostics: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(_Message)


def read_reply(body: bytes) -> ChatReply:
    """A provider's JSON answer as a value.

    Raises:
        UpstreamGarbage, UpstreamError: it is not a message, or is an error.
    """
    _, readable = peek(body)
    lost = Losses()
    try:
        message = _decoder.decode(readable)
        parts = read_blocks(message.content, lost, "content[]")
    except (*BAD_JSON, BadBlock) as error:
        raise garbage() from error
    if message.stop_details is not None and message.stop_details.explanation:
        parts.append(Refusal(message.stop_details.explanation))
    note_category(message.stop_details, lost)
    beyond = beside(container=message.container, diagnostics=message.diagnostics)
    return ChatReply(
        id=message.id,
        model=message.model,
        parts=tuple(parts),
        finish=finish_of(message.stop_reason, lost),
        stop_sequence=message.stop_sequence,
        usage=usage_of(message.usage),
        service_tier=tier_of(message.usage),
        lost=lost_of(*lost.names, *beyond),
    )


def note_category(details: StopDetails | None, lost: Losses) -> None:
    """The model's words can be held; the name of what it declined can't."""
    lost.add_if("stop_details.category", details is not None and details.category)


def beside(**members: msgspec.Raw) -> list[str]:
    """The names of those members of a message that say something; no value here holds them."""
    return [name for name, raw in members.items() if bytes(raw) != b"null"]


def finish_of(reason: str | None, lost: Losses) -> Finish:
    """Why a reply has ended; a reason that is new ends it all the same."""
    finish = FINISHES.get(reason or "")
    if finish is None:
        lost.add_if(f"stop_reason={reason}", reason)
        return Finish.STOP
    return finish


def tier_of(usage: WireUsage | None) -> str | None:
    """The service tier that was used, as OpenAI calls it."""
    if usage is None or usage.service_tier is None:
        return None
    return _TIERS.get(usage.service_tier, usage.service_tier)


# --- writing -----------------------------------------------------------------------------------


def write_reply(reply: ChatReply, frame: ReplyFrame) -> WireAnswer:
    """A JSON answer for a caller."""
    lost = Losses()
    content = [block for part in reply.parts if (block := reply_block(part, lost)) is not None]
    message = message_of(frame, reply.model) | {
        "content": content,
        "stop_reason": reason_of(reply.finish, refused=any(map(_is_refusal, reply.parts))),
        "stop_sequence": reply.stop_sequence,
        "usage": usage_object(reply.usage or Usage(), reply.service_tier, lost),
    }
    body = wire.encode_fields(message)
    return WireAnswer(body, reply.usage, lost=lost_of(*reply.lost, *lost.names))


def _is_refusal(part: Part) -> bool:
    return isinstance(part, Refusal)


def reason_of(finish: Finish, *, refused: bool) -> str:
    """Why a reply has ended, as Anthropic says it.

    Args:
        finish: why.
        refused: the model declined in its own words; for OpenAI that is an end like any other.
    """
    if refused and finish is Finish.STOP:
        return "refusal"
    return STOP_REASONS[finish]


def message_of(frame: ReplyFrame, model: str) -> dict[str, Any]:
    """A message before anything was said."""
    return {
        "id": f"msg_{frame.request_id.removeprefix('req_')}",
        "type": "message",
        "role": "assistant",
        "model": frame.model or model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def usage_object(usage: Usage, tier: str | None, lost: Losses) -> dict[str, Any]:
    """Anthropic's usage: all its keys, for zeros too."""
    five, hour = usage.cache_write_tokens, usage.cache_write_1h_tokens
    told: dict[str, Any] = {
        "input_tokens": usage.input_tokens + usage.input_audio_tokens,
        "cache_creation_input_tokens": five + hour,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": usage.total_output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
    if tier is not None:
        if tier in _TOLD_TIERS:
            told["service_tier"] = _TOLD_TIERS[tier]
        else:
            lost.add("service_tier")
    return told


def reply_block(part: Part, lost: Losses) -> dict[str, Any] | None:
    """A part as a block of an answer; None for what can't be said."""
    if isinstance(part, Text):
        block = text_block(part.text)
        if part.citations:
            block["citations"] = [citation_block(citation) for citation in part.citations]
            note_spans(part, lost)
        return block
    if isinstance(part, Refusal):
        return text_block(part.text)
    if isinstance(part, Thinking):
        return thinking_block(part)
    if isinstance(part, HiddenThinking):
        return hidden_block(part)
    if isinstance(part, ToolCall):
        return tool_use_block(msgspec.structs.replace(part, cache=None))
    note_unsayable(part, lost)
    return None


def note_spans(part: Text, lost: Losses) -> None:
    """A citation of some characters is told, but not of which."""
    spans = [c for c in part.citations if isinstance(c, UrlCitation) and (c.start or c.end)]
    lost.add_if("citation_spans", spans)


def note_unsayable(part: Part, lost: Losses) -> None:
    """Note a part that an answer of this dialect can't have."""
    if isinstance(part, (Image, Document)):
        lost.add("image" if isinstance(part, Image) else "document")
    else:
        lost.add(str(part.__struct_config__.tag))
