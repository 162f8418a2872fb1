"""A provider's answer as a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from torana.core.chat import ChatReply, Finish, Part, Refusal, ToolCall
from torana.dialects.losses import Losses
from torana.dialects.openai_responses.answers import Summary, check, usage_of
from torana.dialects.openai_responses.parts import read_answer_item
from torana.dialects.openai_responses.values import decode
from torana.dialects.wire import BAD_JSON
from torana.errors import InvalidRequest, UpstreamGarbage

_REASONS = {
    "max_output_tokens": Finish.LENGTH,
    "content_filter": Finish.REFUSAL,
    "max_messages": Finish.PAUSE,
    "steered": Finish.PAUSE,
}


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class WireResponse(Summary):
    """A `response` object, as far as it is translated."""

    id: str = ""
    model: str = ""
    created_at: float = 0
    output: list[Any] = msgspec.field(default_factory=list)
    incomplete_details: _Incomplete | None = None
    service_tier: str | None = None


response_decoder = msgspec.json.Decoder(WireResponse)


def read_reply(body: bytes) -> ChatReply:
    """A provider's JSON answer as a value.

    Raises:
        UpstreamGarbage: it is not a response.
        UpstreamError: it has failed.
    """
    lost = Losses()
    try:
        found, _ = decode(response_decoder, body)
        check(found)
        parts = read_output(found.output, lost)
    except (*BAD_JSON, InvalidRequest) as error:
        raise UpstreamGarbage("The provider's answer is not a response.") from error
    return ChatReply(
        id=found.id,
        model=found.model,
        created=int(found.created_at),
        parts=tuple(parts),
        finish=finish_of(found, parts),
        usage=None if found.usage is None else usage_of(found.usage),
        service_tier=found.service_tier,
        lost=lost.names,
    )


def read_output(output: Sequence[Any], lost: Losses) -> list[Part]:
    """The parts of an answer's items.

    Raises:
        InvalidRequest: one is malformed.
    """
    return [
        part
        for index, item in enumerate(output)
        for part in read_answer_item(item, f"output[{index}]", lost)
    ]


def finish_of(response: WireResponse, parts: Sequence[Part]) -> Finish:
    """Why a response has ended, which its status tells only in part.

    Args:
        response: at its end.
        parts: of its output.
    """
    if response.status == "incomplete":
        details = response.incomplete_details
        reason = details.reason if details is not None else None
        return _REASONS.get(reason or "", Finish.LENGTH)
    if any(isinstance(part, ToolCall) for part in parts):
        return Finish.TOOL_CALLS
    if any(isinstance(part, Refusal) for part in parts):
        return Finish.REFUSAL
    return Finish.STOP
