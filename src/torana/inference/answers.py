"""Answers on their way to the caller: whole or as a stream, live or from the store."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from functools import partial
from typing import Protocol
from urllib.parse import quote

import msgspec

from torana.core.chat import ChatReply, Text, ToolCall
from torana.core.clock import utc_now
from torana.core.money import format_usd
from torana.dialects import anthropic_errors, openai_errors
from torana.dialects.base import ChatDialect, ReplyFrame, WireAnswer, WireFold, lost_of
from torana.dialects.sse import FrameSplitter
from torana.dialects.translated import TranslatedFold
from torana.errors import ToranaError, UpstreamGarbage
from torana.guardrails.guarded import GuardedCalls
from torana.guardrails.replies import guard_reply
from torana.guardrails.streams import EventFilter
from torana.inference.cache_terms import CACHE_HEADER
from torana.inference.chat_stream import ChatStream
from torana.inference.idempotency import StoredAnswer
from torana.inference.keeping import Keeping, StreamKeeping
from torana.inference.open_call import OpenCall
from torana.inference.planning import Plan
from torana.inference.schema_check import follows, unfenced
from torana.inference.wires import Wire
from torana.outbound.client import Answer
from torana.providers import Provider

_HEADER_SAFE = "/:,=@+.-_ []"
_ANSWER_LIMIT = 64 * 1024 * 1024
DROPPED_HEADER = "x-torana-dropped"
SCHEMA_HEADER = "x-torana-structured-output"
_INVALID = "instructed; invalid"


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
    """The frames of a stored stream, one after another; stored audio is cut somewhere."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        if self._body.startswith(BOM_UTF8):
            # Frames never begin so, and a splitter would skip it.
            yield self._body
            return
        splitter = FrameSplitter()
        yield from splitter.feed(self._body)
        if splitter.rest:
            yield splitter.rest

    def close(self) -> None:
        """Nothing is open."""


def json_answer(
    call: OpenCall, answer: Answer, plan: Plan, provider: Provider, keeping: Keeping
) -> JsonAnswer:
    """Read an answer to its end and post the call.

    Raises:
        UpstreamError: it broke, or is none; the call is not posted yet.
    """
    headers = answer_headers(call, plan)
    try:
        data = answer.read(_ANSWER_LIMIT)
        call.first_byte()
        parsed, schema_header = _parsed(call, data, plan, provider, keeping)
    finally:
        answer.close()
    headers |= schema_header | dropped_header(lost_of(*plan.wire.lost, *parsed.lost))
    headers["x-torana-cost-usd"] = format_usd(call.cost_of(parsed.usage))
    stored = StoredAnswer(parsed.body, kept_headers(headers), streamed=False)
    call.succeed(
        parsed.usage,
        answer=None if keeping.seal is None else keeping.seal(stored),
        response=keeping.kept_response(parsed.kept),
        lost=parsed.lost,
    )
    if keeping.lead is not None:
        keeping.lead.keep(stored)
    return JsonAnswer(parsed.body, headers | cache_header(keeping))


def _parsed(
    call: OpenCall, data: bytes, plan: Plan, provider: Provider, keeping: Keeping
) -> tuple[WireAnswer, dict[str, str]]:
    """The answer in the caller's dialect, and what became of a schema that was only asked for."""
    wire = plan.wire
    shown = shown_model(plan, provider)
    if wire.call is None:
        parsed = wire.dialect.decode_answer(data, model=shown)
        return wire.dialect.fit(wire.request, parsed), {}
    caller, dialect = _chat_dialects(wire)
    reply = dialect.read_reply(data)
    if wire.guards is not None:
        reply = _guarded(call, wire.guards, reply)
    schema_header = {}
    if wire.schema is not None:
        reply = unfenced(reply)
        schema_header = {SCHEMA_HEADER: _verdict(reply, wire.schema)}
    return caller.write_reply(reply, _frame(call, wire, keeping, shown)), schema_header


def _guarded(call: OpenCall, guards: GuardedCalls, reply: ChatReply) -> ChatReply:
    """A reply as its guardrails let it pass; one that they block is paid for all the same."""
    try:
        return guard_reply(guards, reply)
    except ToranaError as error:
        call.fail(error, usage=reply.usage, billable=True)
        raise


def _verdict(reply: ChatReply, schema: dict[str, object]) -> str:
    """Whether a reply follows a schema that its model was only asked to follow."""
    if any(isinstance(part, ToolCall) for part in reply.parts):
        return "instructed"  # The answer comes once the tools have run.
    text = "".join(part.text for part in reply.parts if isinstance(part, Text))
    return {True: "instructed; valid", False: _INVALID, None: "instructed; unchecked"}[
        follows(text, schema)
    ]


def stream_answer(
    call: OpenCall, answer: Answer, plan: Plan, provider: Provider, keeping: Keeping
) -> StreamAnswer:
    """Begin a stream.

    Raises:
        UpstreamGarbage: the answer is none.
    """
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        answer.close()
        raise UpstreamGarbage("The provider did not answer with a stream.")
    headers = answer_headers(call, plan) | dropped_header(plan.wire.lost)
    if plan.wire.schema is not None:
        headers[SCHEMA_HEADER] = "instructed"
    stream = ChatStream(
        call,
        answer,
        _fold(call, plan, provider, keeping),
        keeping=StreamKeeping(keeping, kept_headers(headers)),
    )
    return StreamAnswer(stream, headers | cache_header(keeping))


def cache_header(keeping: Keeping) -> dict[str, str]:
    """Whether an answer that was made could have come from the cache."""
    return {CACHE_HEADER: "bypass" if keeping.lead is None else "miss"}


def _fold(call: OpenCall, plan: Plan, provider: Provider, keeping: Keeping) -> WireFold:
    wire = plan.wire
    shown = shown_model(plan, provider)
    if wire.call is None:
        return wire.dialect.fold(
            wire.asked,
            request_id=call.request_id,
            model=shown,
            keeps_text=plan.counts_output,
        )
    caller, dialect = _chat_dialects(wire)
    return TranslatedFold(
        dialect.reader(),
        caller.writer(_frame(call, wire, keeping, shown)),
        keeps_text=plan.counts_output,
        events=None if wire.guards is None else EventFilter(wire.guards).pass_on,
        judge=None if wire.schema is None else partial(_broken_schema, wire.schema),
    )


def _broken_schema(schema: dict[str, object], reply: ChatReply) -> str | None:
    """What a streamed reply lacks that does not follow the schema that its model was told."""
    return "response_format" if _verdict(reply, schema) == _INVALID else None


def _chat_dialects(wire: Wire) -> tuple[ChatDialect, ChatDialect]:
    if not isinstance(wire.caller, ChatDialect) or not isinstance(wire.dialect, ChatDialect):
        message = f"{wire.caller.route} can't be translated"
        raise TypeError(message)
    return wire.caller, wire.dialect


def _frame(call: OpenCall, wire: Wire, keeping: Keeping, shown: str | None) -> ReplyFrame:
    return ReplyFrame(
        request=wire.asked,
        request_id=call.request_id,
        model=shown,
        created=int(utc_now().timestamp()),
        previous_id=keeping.previous_id,
        stored=keeping.response is not None,
    )


def kept_headers(headers: dict[str, str]) -> dict[str, str]:
    """What of an answer's headers is still true when it is repeated."""
    return {
        name: value
        for name, value in headers.items()
        if name.startswith("x-torana-") or name == "content-type"
    }


def shown_model(plan: Plan, provider: Provider) -> str | None:
    """The name to show in the place of the provider's own, where that names a file or so."""
    return plan.wire.asked.model if provider.config.rewrites_model else None


def dropped_header(lost: tuple[str, ...]) -> dict[str, str]:
    """What tells the caller that something of its call could not be said."""
    # A header is ASCII; a field's name may be anything.
    return {DROPPED_HEADER: quote(", ".join(lost), safe=_HEADER_SAFE)} if lost else {}


def answer_headers(call: OpenCall, plan: Plan) -> dict[str, str]:
    """Who answers, what is left of the rate limits, and what a budget has cut."""
    model = quote(call.target.model, safe=_HEADER_SAFE)
    headers = {"x-torana-provider": call.target.provider, "x-torana-model": model}
    receipt = call.receipt
    if receipt.rates is not None:
        if plan.wire.caller.family == "anthropic":
            headers |= anthropic_errors.rate_headers(receipt.rates, utc_now())
        else:
            headers |= openai_errors.rate_headers(receipt.rates)
    asked = plan.wire.asked.max_output
    if receipt.output is not None and (asked is None or receipt.output < asked):
        headers["x-torana-max-output-tokens"] = str(receipt.output)
    return headers
