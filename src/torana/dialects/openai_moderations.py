"""OpenAI's moderations: texts and images in, judgements out.

Source: OpenAI's public API reference and the types of the openai SDK. OpenAI asks nothing for them;
other providers count the tokens of the input.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import WireAnswer
from torana.dialects.costs import CallCosts, Found, MediaNames, objects
from torana.dialects.media import Form, MediaDialect, Rule, items, read_answer
from torana.dialects.openai_chat.answers import Tokens
from torana.dialects.wire import BAD_JSON, WireRequest
from torana.errors import UpstreamGarbage

FIELDS: Mapping[str, Rule] = MappingProxyType({"input": Rule.PROMPT, "model": Rule.FREE})
"""Every field of the openai SDK's `ModerationCreateParams`."""
PART_TYPES = ("text", "image_url")
NAMES = MediaNames(image="input[].type=image_url")


class OpenAIModerations(MediaDialect):
    """The dialect of `/moderations`."""

    route: ClassVar[str] = "openai.moderations"
    path: ClassVar[str] = "/moderations"
    rules: ClassVar[Mapping[str, Rule]] = FIELDS
    default_model: ClassVar[str | None] = "omni-moderation-latest"

    def check(self, request: WireRequest) -> None:
        """That there is something to judge."""
        wire.required(request.fields, "input", str | list[str | dict[str, msgspec.Raw]])

    def form(self, request: WireRequest) -> Form:
        """JSON."""
        del request
        return Form.JSON

    def read_costs(self, request: WireRequest) -> CallCosts:
        """Texts by their bytes, images by the piece."""
        found = self.look(request)
        raw = request.fields["input"]
        if bytes(memoryview(raw)[:1]) == b"[":
            _look_at_parts(raw, found)
        return found.costs(no_output=True, names=NAMES)

    def decode_answer(self, body: bytes, *, model: str | None = None) -> WireAnswer:
        """See `Dialect`."""
        answer, body = read_answer(body, _decoder, what="a moderation", model=model)
        if answer.results is None:
            raise UpstreamGarbage("The provider's answer is not a moderation.")
        return WireAnswer(body, _usage_of(answer.usage))


def _look_at_parts(raw: msgspec.Raw, found: Found) -> None:
    """Images are not text, whatever their bytes; what is neither has no rule."""
    parts = objects(raw, "input")
    if parts is None:
        listed = items(raw)
        if not listed or any(bytes(memoryview(each)[:1]) != b'"' for each in listed):
            found.no_rule("input")
        return
    found.text_bytes = 0
    for part in parts:
        kind = part.get("type")
        if kind == "image_url":
            found.images += 1
        elif kind == "text":
            found.text_bytes += len(str(part.get("text")).encode("utf-8", "replace"))
        else:
            found.no_rule(f"input[].type={kind}")
            found.text_bytes += len(raw)


class _ModerationUsage(msgspec.Struct):
    prompt_tokens: Tokens | None = None
    total_tokens: Tokens | None = None


class _Answer(msgspec.Struct):
    results: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Answer)
_usage_decoder = msgspec.json.Decoder(_ModerationUsage | None)


def _usage_of(raw: msgspec.Raw) -> Usage | None:
    try:
        usage = _usage_decoder.decode(raw)
    except BAD_JSON:
        return None
    if usage is None:
        return None
    tokens = usage.prompt_tokens if usage.prompt_tokens is not None else usage.total_tokens
    return None if tokens is None else Usage(input_tokens=tokens)


OPENAI_MODERATIONS = OpenAIModerations()
