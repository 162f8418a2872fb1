"""Answers on their way to the caller: whole or as a stream, live or from the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import quote

import msgspec

from torana.core.money import format_usd
from torana.dialects import openai_chat, openai_errors
from torana.dialects.openai_chat import StreamFold
from torana.errors import UpstreamGarbage
from torana.inference.chat_stream import ChatStream
from torana.inference.idempotency import AnswerStore, StoredAnswer
from torana.inference.open_call import OpenCall
from torana.inference.planning import Plan
from torana.outbound.client import Answer
from torana.providers import Provider

_HEADER_SAFE = "/:,=@+.-_ "
_ANSWER_LIMIT = 64 * 1024 * 1024


class Frames(Protocol):
    """What a server sends piece by piece, and closes in the end."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces."""

    def close(self) -> None:
        """No more are wanted."""


class JsonAnswer(msgspec.Struct, frozen=True):
    """A whole answer, posted."""

    body: bytes
    headers: dict[str, str]


class StreamAnswer(msgspec.Struct, frozen=True):
    """An answer that is still coming; whoever has it closes `frames`."""

    frames: Frames
    headers: dict[str, str]


class StoredFrames:
    """The frames of a stored stream, all at once."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Nothing is open."""


def json_answer(
    call: OpenCall, answer: Answer, plan: Plan, provider: Provider, store: AnswerStore
) -> JsonAnswer:
    """Read an answer to its end and post the call.

    Raises:
        UpstreamError: it broke, or is none; the call is not posted yet.
    """
    try:
        data = answer.read(_ANSWER_LIMIT)
        call.first_byte()
        parsed = openai_chat.decode_answer(data, model=_shown_model(plan, provider))
    finally:
        answer.close()
    headers = _headers(call, plan)
    cost_nano = call.cost_of(parsed.usage)
    headers["x-torana-cost-usd"] = format_usd(cost_nano)
    sealed = None
    if plan.ask.claim is not None:
        sealed = store.seal(StoredAnswer(parsed.body, _kept(headers), streamed=False))
    call.succeed(parsed.usage, answer=sealed)
    return JsonAnswer(parsed.body, headers)


def stream_answer(
    call: OpenCall, answer: Answer, plan: Plan, provider: Provider, store: AnswerStore
) -> StreamAnswer:
    """Begin a stream.

    Raises:
        UpstreamGarbage: the answer is none.
    """
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        answer.close()
        raise UpstreamGarbage("The provider did not answer with a stream.")
    fold = StreamFold(
        include_usage=plan.request.include_usage,
        model=_shown_model(plan, provider),
        keeps_text=plan.counts_output,
    )
    headers = _headers(call, plan)

    def seal(body: bytes) -> bytes | None:
        return store.seal(StoredAnswer(body, _kept(headers), streamed=True))

    return StreamAnswer(
        ChatStream(call, answer, fold, seal=seal if plan.ask.claim is not None else None), headers
    )


def _kept(headers: dict[str, str]) -> dict[str, str]:
    """What of an answer's headers is still true when it is repeated."""
    return {name: value for name, value in headers.items() if name.startswith("x-torana-")}


def _shown_model(plan: Plan, provider: Provider) -> str | None:
    return plan.request.model if provider.config.rewrites_model else None


def _headers(call: OpenCall, plan: Plan) -> dict[str, str]:
    # A header is ASCII; a model's name may be anything.
    model = quote(call.target.model, safe=_HEADER_SAFE)
    headers = {"x-torana-provider": call.target.provider, "x-torana-model": model}
    receipt = call.receipt
    if receipt.rates is not None:
        headers |= openai_errors.rate_headers(receipt.rates)
    asked = plan.request.max_output
    if receipt.output is not None and (asked is None or receipt.output < asked):
        headers["x-torana-max-output-tokens"] = str(receipt.output)
    return headers
