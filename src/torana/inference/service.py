"""The path of a call, from its body to a posted answer. Web, jobs and batches all come here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from torana.core.money import format_usd
from torana.dialects import openai_chat
from torana.dialects.openai_chat import ChatRequest, StreamFold
from torana.errors import (
    InternalError,
    ModelNotFound,
    ToranaError,
    UpstreamError,
    UpstreamGarbage,
)
from torana.inference.caller import CallContext
from torana.inference.chat_stream import ChatStream
from torana.inference.open_call import OpenCall
from torana.inference.retry import RetryPolicy
from torana.ledger.bounds import text_bound
from torana.ledger.records import CallRecord
from torana.ledger.teller import Teller
from torana.obs.metrics import Metrics
from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts
from torana.providers import Provider
from torana.providers.base import provider_request_id
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Catalog, Target

logger = logging.getLogger("torana.call")

CHAT_ROUTE = "openai.chat.completions"
_HEADER_SAFE = "/:,=@+.-_ "
_ANSWER_LIMIT = 64 * 1024 * 1024


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of time for calls, in seconds.

    Attributes:
        total: for a call as a whole.
        drain: how long an answer is read on after its caller hung up; zero cancels at once.
    """

    timeouts: Timeouts
    retry: RetryPolicy
    total: float
    drain: float


class JsonAnswer(msgspec.Struct, frozen=True):
    """A whole answer, posted."""

    body: bytes
    headers: dict[str, str]


class StreamAnswer(msgspec.Struct, frozen=True):
    """An answer that is still coming; whoever has it closes `frames`."""

    frames: ChatStream
    headers: dict[str, str]


class InferenceService:
    """Answers calls. One per process.

    Args:
        upstreams: gives the present catalogue; asked once per call, so a call sees one state.
        teller: the only writer of money.
        http: the connections to providers.
        metrics: is told of every call.
        limits: of time.
    """

    def __init__(
        self,
        *,
        upstreams: Callable[[], Upstreams],
        teller: Teller,
        http: HttpClient,
        metrics: Metrics,
        limits: Limits,
    ) -> None:
        self._upstreams = upstreams
        self._teller = teller
        self._http = http
        self._metrics = metrics
        self._limits = limits
        self._lock = threading.Lock()
        self._open: set[OpenCall] = set()

    @property
    def open_calls(self) -> int:
        """How many calls are under way."""
        return len(self._open)

    def stop_open_calls(self, reason: ToranaError) -> None:
        """End all calls under way; each is posted, and told to its caller as `reason`."""
        with self._lock:
            calls = list(self._open)
        for call in calls:
            call.stop(reason)

    def chat(self, body: bytes, context: CallContext) -> JsonAnswer | StreamAnswer:
        """Answer a chat completion.

        Raises:
            ToranaError: it was refused or has failed; what was admitted is posted.
        """
        request = openai_chat.decode_request(body)
        upstreams = self._upstreams()
        target = _plan(upstreams.catalog, request.model, context)
        provider = upstreams.providers[target.provider]
        call = self._admit(request, target, context)
        shown_model = request.model if provider.config.rewrites_model else None
        try:
            answer = self._send(call, provider, request)
            if request.stream:
                return _stream(call, answer, request, shown_model)
            return _json(call, answer, shown_model)
        except UpstreamError as error:
            cause = call.cause_of(error)
            if not call.settled:
                call.fail(cause, usage=None, billable=error.billable)
            if cause is error:
                raise
            raise cause from error
        except BaseException:
            # Something of ours broke; the reservation must not stay behind.
            if not call.settled:
                broken = InternalError("Torana failed.")
                call.fail(broken, usage=None, billable=call.exchange.sent)
            raise

    def _admit(self, request: ChatRequest, target: Target, context: CallContext) -> OpenCall:
        principal = context.principal
        price = target.price
        record = CallRecord(
            call_id=context.request_id,
            organisation_id=principal.organisation_id,
            project_id=principal.project_id,
            user_id=principal.user_id,
            key_id=principal.key_id,
            balance_ids=principal.balance_ids,
            route=CHAT_ROUTE,
            model=request.model,
            provider=target.provider,
            target_model=target.model,
            bound_nano=text_bound(
                body_bytes=request.size,
                requested_output=request.max_output,
                choices=request.choices,
                max_output=target.max_output,
                price=price,
            ),
            price_id=price.id if price is not None else None,
        )
        receipt = self._teller.admit(record)
        call = OpenCall(
            context=context,
            receipt=receipt,
            target=target,
            streamed=request.stream,
            exchange=Exchange(time.monotonic() + self._limits.total),
            teller=self._teller,
            metrics=self._metrics,
            drain_seconds=self._limits.drain,
            forget=self._forget,
        )
        with self._lock:
            self._open.add(call)
        self._metrics.call_opened()
        return call

    def _forget(self, call: OpenCall) -> None:
        with self._lock:
            self._open.discard(call)

    def _send(self, call: OpenCall, provider: Provider, request: ChatRequest) -> Answer:
        """The one retry loop."""
        body = openai_chat.encode_upstream(request, model=call.target.model)
        exchange = call.exchange
        tries = 0
        while True:
            tries += 1
            began = time.monotonic()
            attempt = {"n": tries, "provider": call.target.provider, "model": call.target.model}
            call.attempts.append(attempt)
            try:
                answer = provider.send_chat(
                    self._http,
                    body,
                    request_id=call.context.request_id,
                    attempt=call.context.tries_before + tries,
                    timeouts=self._limits.timeouts,
                    exchange=exchange,
                )
            except UpstreamError as error:
                cost_nano = call.bound_nano if error.billable else 0
                attempt |= {"outcome": error.code, "ms": _since(began), "cost_nano": cost_nano}
                left = exchange.deadline - time.monotonic()
                wait = self._limits.retry.delay(error, tries, left)
                if wait is None or call.abandoned():
                    raise
                time.sleep(wait)
                if call.abandoned():
                    raise  # Nobody waits for another try, so nobody shall pay for one.
                continue
            attempt |= {"outcome": "answered", "status": answer.status, "ms": _since(began)}
            call.provider_request_id = provider_request_id(answer.headers)
            return answer


def _json(call: OpenCall, answer: Answer, shown_model: str | None) -> JsonAnswer:
    try:
        data = answer.read(_ANSWER_LIMIT)
        call.first_byte()
        parsed = openai_chat.decode_answer(data, model=shown_model)
    finally:
        answer.close()
    cost_nano = call.succeed(parsed.usage)
    headers = _headers(call)
    headers["x-torana-cost-usd"] = format_usd(cost_nano)
    return JsonAnswer(parsed.body, headers)


def _stream(
    call: OpenCall, answer: Answer, request: ChatRequest, shown_model: str | None
) -> StreamAnswer:
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        answer.close()
        raise UpstreamGarbage("The provider did not answer with a stream.")
    fold = StreamFold(include_usage=request.include_usage, model=shown_model)
    return StreamAnswer(ChatStream(call, answer, fold), _headers(call))


def _plan(catalog: Catalog, model: str, context: CallContext) -> Target:
    if not context.principal.may_use(model):
        raise ModelNotFound(
            f"The model {model[:100]!r} does not exist here or you may not use it.",
            hint="GET /v1/models lists those that you may use.",
            param="model",
        )
    return catalog.targets(model)[0]


def _headers(call: OpenCall) -> dict[str, str]:
    # A header is ASCII; a model's name may be anything.
    model = quote(call.target.model, safe=_HEADER_SAFE)
    return {"x-torana-provider": call.target.provider, "x-torana-model": model}


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
