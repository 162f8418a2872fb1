"""A reply as a `response` object for a caller."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from torana.core.chat import ChatReply, Finish, Refusal
from torana.dialects import wire
from torana.dialects.base import ReplyFrame, WireAnswer, lost_of
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.answers import usage_json
from torana.dialects.openai_responses.output import suffix_of, write_output
from torana.dialects.openai_responses.requests import is_given
from torana.dialects.wire import BAD_JSON

LOST: Mapping[str, str] = MappingProxyType(
    {
        "audio": "An answer has no audio.",
        "citations": "An annotation has an address and characters: no document, no quoted words.",
        "document": "An answer has no documents.",
        "image": "An answer has no pictures.",
        "pause": "A pause is told as an end at the limit.",
        "service_tier": "OpenAI has no such tier.",
        "stop_sequence": "The end is told, not which text has ended it.",
        "tool_result": "An answer has no results of tools.",
    }
)
"""Every name that the writers of answers can report, and why."""

_ECHOED: Mapping[str, Any] = MappingProxyType(
    {
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "parallel_tool_calls": True,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
        "metadata": {},
    }
)
"""Fields of the request that the response repeats, with what stands there when it has none."""
_INCOMPLETE = {
    Finish.LENGTH: "max_output_tokens",
    Finish.CONTEXT: "max_output_tokens",
    Finish.PAUSE: "max_output_tokens",
}
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_TIERS_OF_OTHERS = {"standard": "default"}
_tools_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encoder = msgspec.json.Encoder()


def write_reply(reply: ChatReply, frame: ReplyFrame) -> WireAnswer:
    """A JSON answer for a caller; it is kept where the caller can come back to it."""
    lost = Losses()
    body = _encoder.encode(response_of(reply, frame, lost))
    return WireAnswer(
        body,
        reply.usage,
        kept=body if frame.stored else None,
        lost=lost_of(*reply.lost, *lost.names),
    )


def response_of(reply: ChatReply, frame: ReplyFrame, lost: Losses) -> dict[str, Any]:
    """A whole `response` object.

    Args:
        reply: what the model has said.
        frame: the request, and what the response is called.
        lost: gets the names of what can't be said.
    """
    reason = _INCOMPLETE.get(reply.finish)
    declined = any(isinstance(part, Refusal) for part in reply.parts)
    if reply.finish is Finish.REFUSAL and not declined:
        reason = "content_filter"
    response = opening(frame, reply.model, reply.created)
    response |= {
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": write_output(reply.parts, frame.request_id, lost, complete=reason is None),
        "usage": None if reply.usage is None else usage_json(reply.usage),
    }
    if reply.service_tier is not None:
        tier = _TIERS_OF_OTHERS.get(reply.service_tier, reply.service_tier)
        if tier in _TIERS:
            response["service_tier"] = tier
        else:
            lost.add("service_tier")
    lost.add_if("stop_sequence", reply.stop_sequence is not None)
    lost.add_if("pause", reply.finish is Finish.PAUSE)
    return response


def opening(frame: ReplyFrame, model: str, created: int) -> dict[str, Any]:
    """A `response` object before anything was said; it repeats the request.

    Args:
        frame: the request, and what the response is called.
        model: the provider's name of the model.
        created: seconds since 1970, as the provider says.
    """
    # What is repeated must be text, even where the caller's was not quite.
    fields = wire.readable(frame.request).fields
    response: dict[str, Any] = {
        "id": f"resp_{suffix_of(frame.request_id)}",
        "object": "response",
        "created_at": frame.created or created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": frame.model or model,
        "output": [],
        "previous_response_id": frame.previous_id,
        "service_tier": None,
        "store": frame.stored,
        "tools": _tools(fields),
        "usage": None,
    }
    for name, absent in _ECHOED.items():
        response[name] = fields[name] if is_given(fields, name) else absent
    return response


def _tools(fields: dict[str, msgspec.Raw]) -> list[dict[str, Any]]:
    """The request's tools; a function says what the SDK's type demands of it."""
    if not is_given(fields, "tools"):
        return []
    try:
        tools: list[dict[str, Any]] = _tools_decoder.decode(fields["tools"])
    except BAD_JSON:
        return []
    function = wire.raw("function")
    for tool in tools:
        if tool.get("type") == function:
            tool.setdefault("parameters", None)
            tool.setdefault("strict", None)
    return tools
