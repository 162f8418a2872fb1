"""Requests of OpenAI's Responses: reading what Torana must know, passing on everything else.

Source: OpenAI's public API reference and the types of the openai SDK.
"""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

LIMIT_FIELD = "max_output_tokens"
_IN_PLACE_OF_INPUT = ("previous_response_id", "prompt", "conversation")
"""What may stand for the input, because the provider or Torana keeps it."""


class _StreamOptions(msgspec.Struct):
    include_obfuscation: bool | None = None


def decode_request(body: bytes) -> WireRequest:
    """Read a request.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field that Torana reads is missing or malformed; `param` names it.
    """
    fields = wire.decode_fields(body)
    model = wire.model_of(fields)
    if not any(is_given(fields, name) for name in ("input", *_IN_PLACE_OF_INPUT)):
        raise wire.missing("input")
    stream = wire.optional(fields, "stream", bool) or False
    if wire.optional(fields, "stream_options", _StreamOptions) is not None and not stream:
        raise InvalidRequest(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    if wire.optional(fields, "background", bool):
        raise InvalidRequest("Background responses are not available yet.", param="background")
    return WireRequest(
        model=model,
        stream=stream,
        include_usage=True,
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
        max_output: output tokens that a budget has room for, in place of the caller's.
    """
    fields = dict(request.fields)
    fields["model"] = wire.raw(model)
    if max_output is not None:
        fields[LIMIT_FIELD] = msgspec.Raw(b"%d" % max_output)
    return wire.encode_fields(fields)


def is_given(fields: dict[str, msgspec.Raw], name: str) -> bool:
    """Whether a field is there and not null."""
    value = fields.get(name)
    return value is not None and bytes(value) != b"null"


def is_stored(request: WireRequest) -> bool:
    """Whether the caller wants to come back to the answer; it does unless it says otherwise.

    Raises:
        InvalidRequest: `store` is no boolean.
    """
    return wire.optional(request.fields, "store", bool) is not False
