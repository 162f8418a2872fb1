"""Requests of OpenAI's legacy completions: prompts instead of messages.

Source: OpenAI's public API reference and the types of the openai SDK.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from torana.dialects import wire
from torana.dialects.openai_chat.requests import ask_for_usage, wants_usage
from torana.dialects.wire import WireRequest
from torana.errors import InvalidRequest

LIMIT_FIELD = "max_tokens"
MAX_PROMPTS = 2048
_MAX_CHOICES = 128
_MAX_BEST = 128
Prompts: TypeAlias = list[str] | list[list[int]]


def decode_request(body: bytes) -> WireRequest:
    """Read a request; its choices are those of all prompts together.

    The limit on output that OpenAI has without one (16 tokens) is not assumed: other servers have
    other ones.

    Raises:
        InvalidJson: not JSON, or not an object.
        InvalidRequest: a field that Torana reads is missing or malformed; `param` names it.
    """
    fields = wire.decode_fields(body)
    model = wire.model_of(fields)
    stream = wire.optional(fields, "stream", bool) or False
    choices = _count(fields, "n", _MAX_CHOICES)
    best = _count(fields, "best_of", _MAX_BEST)
    return WireRequest(
        model=model,
        stream=stream,
        include_usage=wants_usage(fields, stream=stream),
        max_output=wire.output_limit(fields, LIMIT_FIELD),
        choices=len(read_prompts(fields)) * max(choices, best),
        size=len(body),
        fields=fields,
    )


def read_prompts(fields: dict[str, msgspec.Raw]) -> Prompts:
    """The prompts, each a text or the numbers of its tokens; without one it is the empty text.

    Raises:
        InvalidRequest: they are nothing of the kind, or too many.
    """
    prompt = wire.optional(fields, "prompt", str | list[str | int | list[int]])
    if prompt is None:
        return [""]
    if isinstance(prompt, str):
        return [prompt]
    if prompt and all(isinstance(item, int) for item in prompt):
        return [prompt]
    kinds = {type(item) for item in prompt}
    if len(kinds) != 1 or int in kinds:
        raise InvalidRequest(
            "'prompt' must be a text, an array of texts, an array of tokens, or an array of those.",
            param="prompt",
        )
    if len(prompt) > MAX_PROMPTS:
        raise InvalidRequest(f"'prompt' has more than {MAX_PROMPTS} prompts.", param="prompt")
    found: Prompts = prompt
    return found


def _count(fields: dict[str, msgspec.Raw], name: str, most: int) -> int:
    value: int | None = wire.optional(fields, name, int)
    if value is None:
        return 1
    if not 1 <= value <= most:
        raise InvalidRequest(f"'{name}' must be between 1 and {most}.", param=name)
    return value


def encode_upstream(request: WireRequest, *, model: str, max_output: int | None = None) -> bytes:
    """The body for a provider: the caller's own fields, with the provider's name of the model.

    Args:
        request: the caller's.
        model: the provider's name of the model.
        max_output: output tokens a choice that a budget has room for, in place of the caller's.
    """
    fields = dict(request.fields)
    fields["model"] = wire.raw(model)
    if max_output is not None:
        fields[LIMIT_FIELD] = msgspec.Raw(b"%d" % max_output)
    if request.stream and not request.include_usage:
        ask_for_usage(fields)
    return wire.encode_fields(fields)
