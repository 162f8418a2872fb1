"""Answers of Anthropic's messages, whole: bytes that pass, and their usage."""

from __future__ import annotations

from typing import Annotated, TypeAlias, TypeVar

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import WireAnswer
from torana.dialects.surrogates import without_halves
from torana.dialects.wire import BAD_JSON
from torana.errors import UpstreamError, UpstreamGarbage

_T = TypeVar("_T")
Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""A count that the ledger can hold; anything else is not a usage."""
NULL = msgspec.Raw(b"null")


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: Tokens | None = None
    ephemeral_1h_input_tokens: Tokens | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: Tokens | None = None


class WireUsage(msgspec.Struct):
    """Anthropic's usage; in a stream its parts come at two places."""

    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None


class Answer(msgspec.Struct):
    """A message, as far as Torana reads it to pass it on."""

    type: str | None = None
    content: msgspec.Raw = NULL
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL


_decoder = msgspec.json.Decoder(Answer)


def decode_answer(body: bytes, *, model: str | None = None) -> WireAnswer:
    """Read a provider's JSON answer.

    Args:
        body: its bytes, which are passed on as they are.
        model: a name to put in the place of the provider's, if that is wanted.

    Raises:
        UpstreamGarbage: it is not a message.
        UpstreamError: it is an error in the clothes of a success.
    """
    answer, readable = peek(body)
    if model is not None:
        try:
            body = wire.with_model(readable, model)
        except BAD_JSON as error:
            raise garbage() from error
    return WireAnswer(body, usage_of(answer.usage))


def decoded(decoder: msgspec.json.Decoder[_T], data: bytes) -> tuple[_T, bytes]:
    """What a decoder makes of JSON, and the bytes that it read: half characters are replaced.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it can make nothing of it.
    """
    try:
        return decoder.decode(data), data
    except BAD_JSON:
        mended = without_halves(data)
        if mended is None:
            raise
        return decoder.decode(mended), mended


def peek(body: bytes) -> tuple[Answer, bytes]:
    """An answer as far as it must be known to pass on, and the bytes that were read.

    Raises:
        UpstreamGarbage, UpstreamError: as `decode_answer`.
    """
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        answer, readable = decoded(_decoder, body)
    except BAD_JSON as error:
        raise garbage() from error
    if answer.type == "error" or bytes(answer.error) != b"null":
        raise UpstreamError("The provider answered with an error under a success status.")
    if answer.type != "message" or bytes(memoryview(answer.content)[:1]) != b"[":
        raise garbage()
    return answer, readable


def garbage() -> UpstreamGarbage:
    """The error for an answer that is not a message."""
    return UpstreamGarbage("The provider's answer is not a message.")


def usage_of(usage: WireUsage | None) -> Usage | None:
    """Anthropic's arithmetic: input leaves the cache out, output includes the thinking.

    What is not told of a cache's time to live is counted as the usual five minutes. As long as no
    output is told it is no usage: what was not told is not zero.
    """
    if usage is None or usage.output_tokens is None:
        return None
    split = usage.cache_creation or _CacheCreation()
    hour = split.ephemeral_1h_input_tokens or 0
    minutes = split.ephemeral_5m_input_tokens or 0
    written = max((usage.cache_creation_input_tokens or 0) - hour, minutes)
    output = usage.output_tokens
    details = usage.output_tokens_details or _OutputDetails()
    thought = min(details.thinking_tokens or 0, output)
    return Usage(
        input_tokens=usage.input_tokens or 0,
        cached_tokens=usage.cache_read_input_tokens or 0,
        cache_write_tokens=written,
        cache_write_1h_tokens=hour,
        output_tokens=output - thought,
        reasoning_tokens=thought,
    )


def merged(before: WireUsage | None, now: WireUsage) -> WireUsage:
    """The usage of a stream: figures are cumulative, and what is not told again still holds."""
    if before is None:
        return now
    told = {
        name: value for name in now.__struct_fields__ if (value := getattr(now, name)) is not None
    }
    return msgspec.structs.replace(before, **told)
