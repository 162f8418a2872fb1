"""Answers of OpenAI's Responses, whole: bytes that pass, their usage, and failures in them."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from torana.core.usage import Usage
from torana.dialects import wire
from torana.dialects.base import WireAnswer
from torana.dialects.openai_responses.values import decode
from torana.dialects.wire import BAD_JSON
from torana.errors import (
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)

Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""A count that the ledger can hold; anything else is not a usage."""
NULL = msgspec.Raw(b"null")
_OURS_TO_MEND = frozenset({"server_error", "internal_error", "vector_store_timeout"})
"""Codes of failures that are not the request's fault; most others name what is wrong with it."""


class _InputDetails(msgspec.Struct):
    cached_tokens: Tokens | None = None
    cache_write_tokens: Tokens | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Tokens | None = None


class WireUsage(msgspec.Struct):
    """OpenAI's usage of a response."""

    input_tokens: Tokens
    output_tokens: Tokens = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Failure(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None
    param: str | None = None
    type: str | None = None


class Summary(msgspec.Struct):
    """A `response` object, as far as what passes is read."""

    object: str | None = None
    status: str | None = None
    store: bool | None = None
    usage: WireUsage | None = None
    error: _Failure | None = None


summary_decoder = msgspec.json.Decoder(Summary)


def decode_answer(body: bytes, *, model: str | None = None) -> WireAnswer:
    """Read a provider's JSON answer.

    Args:
        body: its bytes, which are passed on as they are.
        model: a name to put in the place of the provider's, if that is wanted.

    Raises:
        UpstreamGarbage: it is not a response.
        UpstreamError: it has failed.
    """
    try:
        body.decode()  # The decoder checks the text only of what it reads.
        found, read = decode(summary_decoder, body)
        check(found)
        if model is not None:
            body = wire.with_model(read, model)
    except BAD_JSON as error:
        raise UpstreamGarbage("The provider's answer is not a response.") from error
    return WireAnswer(
        body,
        None if found.usage is None else usage_of(found.usage),
        kept=None if found.store is False else body,
    )


def check(found: Summary) -> None:
    """Make sure that a response is one, and has come to a good end.

    Raises:
        UpstreamGarbage: it is not a response, or not at its end.
        UpstreamError: it has failed.
    """
    if found.error is not None or found.status in {"failed", "cancelled"}:
        failure = found.error or _Failure()
        error = failure_of(failure.code, failure.message, param=failure.param, kind=failure.type)
        error.usage = None if found.usage is None else usage_of(found.usage)
        raise error
    if found.object != "response" or found.status in {"queued", "in_progress"}:
        raise UpstreamGarbage("The provider's answer is not a response.")


def failure_of(
    code: str | int | None,
    message: str | None,
    *,
    param: str | None = None,
    kind: str | None = None,
) -> UpstreamError:
    """The error for a response that has failed, or for an `error` event.

    Args:
        code: the provider's; some servers number theirs.
        message: the provider's words.
        param: the field that is at fault.
        kind: the provider's `type` of the error.
    """
    name = None if code is None else str(code)
    if name in {"rate_limit_exceeded", "429"}:
        return UpstreamRateLimited("The provider's rate limit is used up.")
    if name in {"server_is_overloaded", "slow_down", "overloaded", "503", "529"}:
        return UpstreamOverloaded("The provider is overloaded.")
    if name is None or name in _OURS_TO_MEND or name.startswith("5"):
        return UpstreamError("The provider failed while it answered.")
    return UpstreamRejected(
        message or "The provider refused the request.",
        status=400,
        kind=kind,
        provider_code=name,
        param=param,
    )


def usage_of(usage: WireUsage) -> Usage:
    """OpenAI's arithmetic: input includes what is cached and written, output its reasoning."""
    read = usage.input_tokens_details
    made = usage.output_tokens_details
    cached = (read.cached_tokens or 0) if read is not None else 0
    written = (read.cache_write_tokens or 0) if read is not None else 0
    reasoning = (made.reasoning_tokens or 0) if made is not None else 0
    return Usage(
        input_tokens=max(usage.input_tokens - cached - written, 0),
        cached_tokens=cached,
        cache_write_tokens=written,
        output_tokens=max(usage.output_tokens - reasoning, 0),
        reasoning_tokens=reasoning,
    )


def usage_json(usage: Usage) -> dict[str, Any]:
    """A usage in OpenAI's arithmetic, with both details, which the SDK's type demands."""
    return {
        "input_tokens": usage.total_input,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.total_output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_input + usage.total_output,
    }
