"""Requests of Anthropic's messages: reading what Torana must know, passing on everything else.

Source: Anthropic's public API reference and the types of the anthropic SDK.
"""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.base import Labels
from torana.dialects.openai_labels import short_text
from torana.dialects.wire import BAD_JSON, WireRequest

LIMIT_FIELD = "max_tokens"
MIN_BUDGET = 1_024
"""Tokens of thinking; Anthropic refuses a budget of less."""


def decode_request(body: bytes) -> WireRequest:
    """Read a request. A `max_tokens` of 0 is legal: it fills the prompt cache and no more.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field that Torana reads is missing or malformed; `param` names it.
    """
    request = decode_count(body)
    if request.max_output is None:
        raise wire.missing(LIMIT_FIELD)
    return request


def decode_count(body: bytes) -> WireRequest:
    """Read a request for a count of tokens, which needs no `max_tokens`.

    Raises:
        InvalidJson, InvalidRequest: as `decode_request`.
    """
    fields = wire.decode_fields(body)
    model = wire.model_of(fields)
    if "messages" not in fields:
        raise wire.missing("messages")
    return WireRequest(
        model=model,
        stream=wire.optional(fields, "stream", bool) or False,
        include_usage=True,  # A stream of this dialect always tells it.
        max_output=wire.output_limit(fields, LIMIT_FIELD),
        choices=1,
        size=len(body),
        fields=fields,
    )


def encode_upstream(request: WireRequest, *, model: str, max_output: int | None = None) -> bytes:
    """The body for a provider: the caller's own fields, with the provider's name of the model.

    Args:
        request: the caller's.
        model: the provider's name of the model.
        max_output: output tokens that a budget has room for, in place of the caller's; where it
            leaves no room for a budget of thinking, that is lowered or thinking turned off.
    """
    fields = dict(request.fields)
    fields["model"] = wire.raw(model)
    if max_output is not None:
        fields[LIMIT_FIELD] = msgspec.Raw(b"%d" % max_output)
        _fit_thinking(fields, max_output)
    return wire.encode_fields(fields)


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int = 0


def _fit_thinking(fields: dict[str, msgspec.Raw], max_output: int) -> None:
    """A budget of thinking must be less than the limit, or the whole request is refused."""
    raw = fields.get("thinking")
    if raw is None:
        return
    try:
        thinking = msgspec.json.decode(raw, type=_Thinking)
        members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except BAD_JSON:
        return
    if thinking.type != "enabled" or thinking.budget_tokens < max_output:
        return
    if max_output <= MIN_BUDGET:
        fields["thinking"] = msgspec.Raw(b'{"type":"disabled"}')
    else:
        members["budget_tokens"] = msgspec.Raw(b"%d" % (max_output - 1))
        fields["thinking"] = wire.raw(members)


class _Metadata(msgspec.Struct):
    user_id: msgspec.Raw = wire.ABSENT


def labels_of(request: WireRequest) -> Labels:
    """For whom a request is made: `metadata.user_id`. This dialect has no other labels."""
    raw = request.fields.get("metadata")
    if raw is None:
        return Labels()
    try:
        metadata = msgspec.json.decode(raw, type=_Metadata | None)
    except BAD_JSON:
        return Labels()
    return Labels() if metadata is None else Labels(short_text(metadata.user_id) or None)
