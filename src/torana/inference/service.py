"""The path of a call, from its body to a posted answer. Web, jobs and batches all come here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import msgspec

from torana.dialects.base import Dialect
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    InternalError,
    ToranaError,
    UpstreamError,
)
from torana.inference.answers import (
    JsonAnswer,
    Keeping,
    StoredFrames,
    StreamAnswer,
    json_answer,
    stream_answer,
)
from torana.inference.caller import CallContext
from torana.inference.idempotency import AnswerStore, claim_of
from torana.inference.open_call import OpenCall
from torana.inference.planning import Plan
from torana.inference.retry import RetryPolicy
from torana.inference.stored_responses import Begun, StoredResponses, check_provider
from torana.inference.wires import wire_of
from torana.ledger.items import Replayed
from torana.ledger.records import Receipt
from torana.ledger.teller import Teller
from torana.obs.metrics import Metrics
from torana.outbound.client import Answer, Exchange, HttpClient, Timeouts
from torana.providers import Provider, Sending
from torana.providers.base import provider_request_id
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Target

logger = logging.getLogger("torana.call")


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


class CallPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What an administrator has decided about calls.

    Attributes:
        free_fields: fields that cost nothing, whatever the bound rules know of them.
        retry_uncertain: try again after a try that may have been processed; both may cost.
    """

    free_fields: frozenset[str] = frozenset()
    retry_uncertain: bool = False


class InferenceService:
    """Answers calls. One per process.

    Args:
        upstreams: gives the present catalogue; asked once per call, so a call sees one state.
        teller: the only writer of money.
        http: the connections to providers.
        metrics: is told of every call.
        limits: of time.
        policy: of the administrator.
        answers: of callers' Idempotency-Keys.
        responses: that callers come back to.
    """

    def __init__(
        self,
        *,
        upstreams: Callable[[], Upstreams],
        teller: Teller,
        http: HttpClient,
        metrics: Metrics,
        limits: Limits,
        policy: CallPolicy,
        answers: AnswerStore,
        responses: StoredResponses,
    ) -> None:
        self._upstreams = upstreams
        self._teller = teller
        self._http = http
        self._metrics = metrics
        self._limits = limits
        self._policy = policy
        self._answers = answers
        self._responses = responses
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

    def answer(
        self, dialect: Dialect, body: bytes, context: CallContext
    ) -> JsonAnswer | StreamAnswer:
        """Answer a call.

        Args:
            dialect: the caller's.
            body: in it.
            context: of the request.

        Raises:
            ToranaError: it was refused or has failed; what was admitted is posted.
        """
        begun = self._begin(dialect, body, context)
        upstreams = self._upstreams()
        target = upstreams.catalog.targets(begun.request.model)[0]
        check_provider(begun, target)
        provider = upstreams.providers[target.provider]
        plan = self._plan(dialect, begun, body, target, provider, context)
        keeping = self._keeping(plan, begun)
        receipt = self._admit(plan)
        if isinstance(receipt, Replayed):
            return self._replay(plan, receipt)
        call = self._open_call(plan, receipt, context)
        try:
            call.watch_caller()
            answer = self._send(call, provider, plan)
            finish = stream_answer if begun.request.stream else json_answer
            return finish(call, answer, plan, provider, keeping)
        except UpstreamError as error:
            cause = call.cause_of(error)
            if not call.settled:
                billable = error.billable or error.usage is not None
                call.fail(cause, usage=error.usage, billable=billable)
            if cause is error:
                raise
            raise cause from error
        except BaseException:
            # Something of ours broke; the reservation must not stay behind.
            if not call.settled:
                broken = InternalError("Torana failed.")
                call.fail(broken, usage=None, billable=call.exchange.sent)
            raise

    def _begin(self, dialect: Dialect, body: bytes, context: CallContext) -> Begun:
        request = dialect.decode_request(body)
        if dialect is OPENAI_RESPONSES:
            return self._responses.begin(request, context)
        return Begun(request=request)

    def _plan(
        self,
        dialect: Dialect,
        begun: Begun,
        body: bytes,
        target: Target,
        provider: Provider,
        context: CallContext,
    ) -> Plan:
        wire = wire_of(
            dialect,
            begun.request,
            speaks=provider.speaks,
            target=target,
            takes_thinking=provider.takes_thinking,
            continued=begun.continued,
            strict=context.strict,
        )
        claim = None
        if context.idempotency_key is not None:
            key_id = context.principal.key_id
            claim = claim_of(key_id, context.idempotency_key, dialect.route, body)
        return Plan(wire, target, context, free_fields=self._policy.free_fields, claim=claim)

    def _keeping(self, plan: Plan, begun: Begun) -> Keeping:
        response = None
        if plan.wire.caller is OPENAI_RESPONSES:
            response = self._responses.keeper(begun, plan.wire)
        return Keeping(
            seal=self._answers.seal if plan.ask.claim is not None else None,
            response=response,
            previous_id=begun.previous_id,
        )

    def _admit(self, plan: Plan) -> Receipt | Replayed:
        try:
            return self._teller.admit(plan.record, plan.ask)
        except (BudgetExceeded, BudgetReserved):
            # It may only seem too dear: now counting is worth its time.
            tightened = plan.tightened()
            if tightened is None:
                raise
        return self._teller.admit(plan.record, tightened)

    def _replay(self, plan: Plan, replayed: Replayed) -> JsonAnswer | StreamAnswer:
        """The answer that the caller's Idempotency-Key stands for; nothing is called or charged."""
        claim = plan.ask.claim
        if claim is None:
            message = "a call without a claim was replayed"
            raise RuntimeError(message)
        stored = self._answers.open(claim)
        headers = stored.headers | {
            "idempotent-replayed": "true",
            "x-torana-original-request-id": replayed.call_id,
            "x-torana-cost-usd": "0",
        }
        if stored.streamed:
            return StreamAnswer(StoredFrames(stored.body), headers)
        return JsonAnswer(stored.body, headers)

    def _open_call(self, plan: Plan, receipt: Receipt, context: CallContext) -> OpenCall:
        call = OpenCall(
            context=context,
            receipt=receipt,
            target=plan.target,
            streamed=plan.wire.asked.stream,
            exchange=Exchange(time.monotonic() + self._limits.total),
            teller=self._teller,
            metrics=self._metrics,
            drain_seconds=self._limits.drain,
            forget=self._forget,
            estimate=plan.usage_of,
        )
        with self._lock:
            self._open.add(call)
        self._metrics.call_opened()
        return call

    def _forget(self, call: OpenCall) -> None:
        with self._lock:
            self._open.discard(call)

    def _send(self, call: OpenCall, provider: Provider, plan: Plan) -> Answer:
        """The one retry loop."""
        body = plan.wire.dialect.encode_upstream(
            plan.wire.request,
            model=call.target.model,
            max_output=call.receipt.output,
            max_output_field=provider.max_output_field,
        )
        exchange = call.exchange
        tries = 0
        while True:
            tries += 1
            began = time.monotonic()
            attempt = call.begin_attempt()
            try:
                answer = provider.send(
                    self._http,
                    Sending(
                        path=plan.wire.dialect.path,
                        body=body,
                        request_id=call.context.request_id,
                        attempt=call.context.tries_before + tries,
                        timeouts=self._limits.timeouts,
                        exchange=exchange,
                        forwarded=call.context.forwarded if plan.wire.call is None else {},
                    ),
                )
            except UpstreamError as error:
                cost_nano = call.attempt_bound_nano if error.billable else 0
                attempt |= {"outcome": error.code, "ms": _since(began), "cost_nano": cost_nano}
                self._wait_for_another(call, error, tries)
                continue
            attempt |= {"outcome": "answered", "status": answer.status, "ms": _since(began)}
            call.provider_request_id = provider_request_id(answer.headers)
            return answer

    def _wait_for_another(self, call: OpenCall, error: UpstreamError, tries: int) -> None:
        """Wait until the next try is due.

        Raises:
            UpstreamError: `error`, when there shall be none.
        """
        uncertain = error.billable and not error.retryable
        if uncertain and self._policy.retry_uncertain:
            error.retryable = True
        left = call.exchange.deadline - time.monotonic()
        wait = self._limits.retry.delay(error, tries, left)
        if wait is None or call.abandoned():
            raise error
        if error.billable:
            try:
                call.hold_for_another()
            except ToranaError as refused:
                # What the first try may cost is held; there is no room for a second.
                raise error from refused
        time.sleep(wait)
        if call.abandoned():
            raise error  # Nobody waits for another try, so nobody shall pay for one.


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
