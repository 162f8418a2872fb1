"""Requests of OpenAI's chat completions: reading what Torana must know, passing on everything else.

Source: OpenAI's public API reference and the types of the openai SDK.
"""

from __future__ import annotations

import msgspec

from torana.dialects import wire
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

_MAX_CHOICES = 128
LIMIT_FIELDS = ("max_completion_tokens", "max_tokens")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


def decode_request(body: bytes) -> WireRequest:
    """Read a request.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field that Torana reads is missing or malformed; `param` names it.
    """
    fields = wire.decode_fields(body)
    model = wire.model_of(fields)
    if "messages" not in fields:
        raise wire.missing("messages")
    stream = wire.optional(fields, "stream", bool) or False
    choices = wire.optional(fields, "n", int)
    choices = 1 if choices is None else choices
    if not 1 <= choices <= _MAX_CHOICES:
        raise InvalidRequest(f"'n' must be between 1 and {_MAX_CHOICES}.", param="n")
    return WireRequest(
        model=model,
        stream=stream,
        include_usage=wants_usage(fields, stream=stream),
        max_output=wire.output_limit(fields, *LIMIT_FIELDS),
        choices=choices,
        size=len(body),
        fields=fields,
    )


def wants_usage(fields: dict[str, msgspec.Raw], *, stream: bool) -> bool:
    """Whether the `stream_options` of a body ask for the usage.

    Raises:
        InvalidRequest: they are malformed, hold a key twice, or there is no stream.
    """
    options = wire.optional(fields, "stream_options", _StreamOptions)
    if options is None:
        return False
    if not stream:
        raise InvalidRequest(
            "'stream_options' is only allowed when 'stream' is true.", param="stream_options"
        )
    try:
        wire.decode_fields(bytes(fields["stream_options"]))
    except InvalidRequest as error:
        raise InvalidRequest(error.message, param="stream_options") from None
    return bool(options.include_usage)


def encode_upstream(
    request: WireRequest,
    *,
    model: str,
    max_output: int | None = None,
    max_output_field: str | None = None,
) -> bytes:
    """The body for a provider: the caller's own fields, with the provider's name of the model.

    A stream is always asked for its usage, because the ledger needs it; `ChatFold` takes the
    chunk out again when the caller did not want it.

    Args:
        request: the caller's.
        model: the provider's name of the model.
        max_output: output tokens a choice that a budget has room for, in place of the caller's.
        max_output_field: what to write them to, when the caller has no such field.
    """
    fields = dict(request.fields)
    fields["model"] = wire.raw(model)
    names = [name for name in LIMIT_FIELDS if name in fields]
    if max_output is None and not names:
        # A translated call has a limit and no field for it yet.
        max_output = request.max_output
    if max_output is not None:
        for name in names or [max_output_field or "max_tokens"]:
            fields[name] = msgspec.Raw(b"%d" % max_output)
    if request.stream and not request.include_usage:
        ask_for_usage(fields)
    return wire.encode_fields(fields)


def ask_for_usage(fields: dict[str, msgspec.Raw]) -> None:
    """Put `include_usage` into the `stream_options` of a body; their other values stay."""
    raw = fields.get("stream_options")
    options = wire.decode_fields(bytes(raw)) if raw is not None and bytes(raw) != b"null" else {}
    options["include_usage"] = msgspec.Raw(b"true")
    fields["stream_options"] = wire.raw(options)
