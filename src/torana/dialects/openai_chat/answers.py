"""Answers of OpenAI's chat completions, whole: bytes that pass, and their usage."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import WireAnswer
from torana.dialects.surrogates import without_halves
from torana.dialects.wire import BAD_JSON
from torana.errors import UpstreamError, UpstreamGarbage

Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""A count that the ledger can hold; anything else is not a usage."""


class _PromptDetails(msgspec.Struct):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None


class WireUsage(msgspec.Struct):
    """OpenAI's usage of a chat completion."""

    prompt_tokens: Tokens
    completion_tokens: Tokens | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    total_tokens: Any = None
    prompt_cache_hit_tokens: Any = None
    """DeepSeek's name for what was read from a cache."""


class Choice(msgspec.Struct):
    """A choice, or a piece of one; legacy completions have a `text` and no `delta`."""

    index: int = 0
    finish_reason: str | None = None
    delta: msgspec.Raw = msgspec.Raw(b"null")
    text: msgspec.Raw = msgspec.Raw(b"null")


class Chunk(msgspec.Struct):
    """An answer, or a chunk of one, as far as Torana reads it."""

    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


answer_decoder = msgspec.json.Decoder(Chunk)


def decode_answer(body: bytes, *, model: str | None = None) -> WireAnswer:
    """Read a provider's JSON answer.

    Args:
        body: its bytes, which are passed on as they are.
        model: a name to put in the place of the provider's, if that is wanted.

    Raises:
        UpstreamGarbage: it is not a completion.
        UpstreamError: it is an error in the clothes of a success.
    """
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        answer, readable = decode_chunk(body)
    except BAD_JSON as error:
        raise UpstreamGarbage("The provider's answer is not a completion.") from error
    if bytes(answer.error) != b"null":
        raise UpstreamError("The provider answered with an error under a success status.")
    if answer.choices is None:
        raise UpstreamGarbage("The provider's answer is not a completion.")
    if model is not None:
        try:
            body = wire.with_model(readable, model)
        except BAD_JSON as error:
            raise UpstreamGarbage("The provider's answer is not a completion.") from error
    return WireAnswer(body, None if answer.usage is None else usage_of(answer.usage))


def decode_chunk(data: bytes) -> tuple[Chunk, bytes]:
    """An answer or a chunk, and the bytes that were read: half characters in them are replaced.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError, RecursionError: it is none.
    """
    try:
        return answer_decoder.decode(data), data
    except BAD_JSON:
        mended = without_halves(data)
        if mended is None:
            raise
        return answer_decoder.decode(mended), mended


def usage_of(usage: WireUsage) -> Usage | None:
    """OpenAI's arithmetic: prompt and completion include their cached, audio and reasoning parts.

    What was read from a cache may be audio; it is counted as cached, and once. Some servers (xAI,
    Gemini) leave the reasoning out of the completion, and only their total has it.
    """
    prompt = usage.prompt_tokens_details
    if usage.completion_tokens is None:
        return None  # Half a usage: what was written is not known.
    completion = usage.completion_tokens_details
    cached = (prompt.cached_tokens or 0) if prompt is not None else 0
    cached = cached or _count(usage.prompt_cache_hit_tokens)
    written = (prompt.cache_write_tokens or 0) if prompt is not None else 0
    uncached = max(usage.prompt_tokens - cached - written, 0)
    heard = min((prompt.audio_tokens or 0) if prompt is not None else 0, uncached)
    reasoning = (completion.reasoning_tokens or 0) if completion is not None else 0
    spoken = (completion.audio_tokens or 0) if completion is not None else 0
    beside = max(_count(usage.total_tokens) - usage.prompt_tokens - usage.completion_tokens, 0)
    reasoning = max(reasoning, beside)
    return Usage(
        input_tokens=uncached - heard,
        cached_tokens=cached,
        cache_write_tokens=written,
        input_audio_tokens=heard,
        output_tokens=max(usage.completion_tokens + beside - reasoning - spoken, 0),
        reasoning_tokens=reasoning,
        output_audio_tokens=spoken,
    )


def _count(told: object) -> int:
    """A count that not all servers tell; what is none is as if it were not told."""
    try:
        return msgspec.convert(told, Tokens)
    except msgspec.ValidationError:
        return 0
