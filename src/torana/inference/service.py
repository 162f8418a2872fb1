"""The path of a call, from its body to a posted answer. Web, jobs and batches all come here."""

from __future__ import annotations

import threading
from collections.abc import Callable

from torana.core.usage import Usage
from torana.dialects.base import Dialect
from torana.dialects.media import MediaDialect
from torana.dialects.uploads import Upload
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    CostUnknown,
    InternalError,
    ToranaError,
    UpstreamError,
)
from torana.inference.answers import (
    JsonAnswer,
    StoredFrames,
    StreamAnswer,
    json_answer,
    stream_answer,
)
from torana.inference.asking import Asked, Asking, CallPolicy
from torana.inference.attempts import Attempts
from torana.inference.cache import AnswerCache, Hit, Lead
from torana.inference.cache_fitness import may_be_kept
from torana.inference.cache_terms import CACHE_HEADER, cache_terms
from torana.inference.cached_calls import revision_of, target_of
from torana.inference.caller import CallContext
from torana.inference.course import Course, Leg
from torana.inference.explain import Explanation, explanation
from torana.inference.health import Health
from torana.inference.idempotency import AnswerStore, StoredAnswer
from torana.inference.keeping import Keeping
from torana.inference.limits import Limits
from torana.inference.media_answers import media_answer
from torana.inference.open_call import OpenCall
from torana.inference.planning import Plan, record_of
from torana.inference.stored_responses import StoredResponses
from torana.ledger.bounds import Bound
from torana.ledger.items import Replayed
from torana.ledger.records import Ask, Receipt
from torana.ledger.teller import Teller
from torana.obs.metrics import Metrics
from torana.outbound.client import Answer, Exchange, HttpClient
from torana.providers import Provider
from torana.providers.upstreams import Upstreams
from torana.routing.catalog import Target
from torana.routing.routes import Route


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
        health: of targets.
        cache: answers that are kept for the same request.
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
        health: Health,
        cache: AnswerCache,
    ) -> None:
        self._asking = Asking(
            upstreams=upstreams,
            policy=policy,
            answers=answers,
            responses=responses,
            health=health,
            metrics=metrics,
        )
        self._teller = teller
        self._http = http
        self._metrics = metrics
        self._limits = limits
        self._policy = policy
        self._answers = answers
        self._health = health
        self._cache = cache
        self._stopping = False
        self._lock = threading.Lock()
        self._open: set[OpenCall] = set()

    @property
    def open_calls(self) -> int:
        """How many calls are under way."""
        return len(self._open)

    def stop_open_calls(self, reason: ToranaError) -> None:
        """End all calls under way; each is posted, and told to its caller as `reason`."""
        self._stopping = True
        with self._lock:
            calls = list(self._open)
        for call in calls:
            call.stop(reason)

    def answer(
        self, dialect: Dialect, body: bytes | Upload, context: CallContext
    ) -> JsonAnswer | StreamAnswer:
        """Answer a call.

        Args:
            dialect: the caller's.
            body: in it, or the form that was uploaded.
            context: of the request.

        Raises:
            ToranaError: it was refused or has failed; what was admitted is posted.
        """
        asked = self._asking.read(dialect, body, context)
        turn = self._cached(asked)
        if isinstance(turn, Hit):
            return self._answer_again(asked, turn.answer)
        try:
            answer = self._answer(asked, turn)
        except BaseException:
            if turn is not None:
                turn.leave()
            raise
        if turn is not None and isinstance(answer, JsonAnswer):
            turn.leave()  # A stream leaves when it ends.
        return answer

    def _answer(self, asked: Asked, lead: Lead | None) -> JsonAnswer | StreamAnswer:
        course = self._asking.course(asked, lead)
        leg, receipt = self._admit(course)
        if isinstance(receipt, Replayed):
            return self._replay(leg.plan, receipt)
        plan = leg.plan
        call = self._opened(
            receipt,
            asked,
            plan.target,
            streamed=plan.wire.asked.stream,
            estimate=plan.usage_of,
        )
        try:
            call.watch_caller()
            attempts = self._attempts(call, course, asked.route)
            while True:
                answered = attempts.run()
                leg = answered.leg
                finish = _finish_of(leg.plan)
                try:
                    return finish(call, answered.answer, leg.plan, leg.provider, leg.keeping)
                except UpstreamError as error:
                    # Its caller has not seen a byte of it, so another target may answer.
                    attempts.broke(leg, error)
        except ToranaError as error:
            cause = call.cause_of(error)
            if not call.settled:
                _fail(call, cause, error)
            if cause is error:
                raise
            raise cause from error
        except BaseException:
            # Something of ours broke; the reservation must not stay behind.
            if not call.settled:
                broken = InternalError("Torana failed.")
                call.fail(broken, usage=None, billable=call.exchange.sent)
            raise

    def explain(self, dialect: Dialect, body: bytes, context: CallContext) -> Explanation:
        """Where a call would go, and why; nothing is sent or reserved.

        Raises:
            ToranaError: it is malformed, or there is no such model.
        """
        asked = self._asking.read(dialect, body, context)
        return explanation(asked.route, self._asking.course(asked))

    # --- the cache -----------------------------------------------------------------------------

    def _cached(self, asked: Asked) -> Hit | Lead | None:
        """The answer that is kept for the same request, or the right to make it for all.

        Returns:
            None when the cache is not used for this call.

        Raises:
            ToranaError: the caller left, or the process stopped, while another call made it.
        """
        context, begun, route = asked.context, asked.begun, asked.route
        terms = cache_terms(
            context.cache, route=route.cache, key_seconds=context.principal.cache_seconds
        )
        if terms is None or not may_be_kept(
            begun.request, context, dialect=asked.dialect, continued=begun.continued
        ):
            self._metrics.cache("bypass")
            return None
        key = self._cache.key(
            asked.dialect, begun.request, context, terms, revision=revision_of(asked)
        )
        turn = self._cache.enter(
            key,
            terms,
            context,
            until=self._deadline(asked),
            stopping=lambda: self._stopping,
        )
        self._metrics.cache("hit" if isinstance(turn, Hit) else "miss")
        return turn

    def _answer_again(self, asked: Asked, kept: StoredAnswer) -> JsonAnswer | StreamAnswer:
        """Give an answer that was kept: judged as any call, and on the ledger at no cost."""
        target = target_of(kept)
        record = record_of(asked.dialect, asked.begun.request, asked.context, target)
        receipt = self._teller.admit(record, Ask(bound=Bound(fixed=0)))
        if isinstance(receipt, Replayed):
            message = "a call without a claim was replayed"
            raise TypeError(message)
        streamed = kept.streamed
        call = self._opened(receipt, asked, target, streamed=streamed, estimate=lambda _text: None)
        call.succeed_cached()
        headers = kept.headers | {"x-torana-cost-usd": "0", CACHE_HEADER: "hit"}
        if streamed:
            return StreamAnswer(StoredFrames(kept.body), headers)
        return JsonAnswer(kept.body, headers)

    # --- the ledger ----------------------------------------------------------------------------

    def _admit(self, course: Course) -> tuple[Leg, Receipt | Replayed]:
        """Have the ledger admit the call, for the first leg that a hard budget can judge.

        Raises:
            ToranaError: it is refused, or none of the route's targets can take it.
        """
        unknown: CostUnknown | None = None
        for leg in course.legs():
            try:
                return leg, self._admit_leg(leg.plan)
            except CostUnknown as error:
                unknown = unknown or error
                leg.barred = True
        raise unknown or course.refusal()

    def _admit_leg(self, plan: Plan) -> Receipt | Replayed:
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
            CACHE_HEADER: "bypass",
        }
        if stored.streamed:
            return StreamAnswer(StoredFrames(stored.body), headers)
        return JsonAnswer(stored.body, headers)

    def _opened(
        self,
        receipt: Receipt,
        asked: Asked,
        target: Target,
        *,
        streamed: bool,
        estimate: Callable[[str], Usage | None],
    ) -> OpenCall:
        limits, route, context = self._limits, asked.route, asked.context
        deadline = patience = self._deadline(asked)
        if context.patience is not None:
            patience = min(deadline, context.received_at + context.patience)
        call = OpenCall(
            context=context,
            receipt=receipt,
            target=target,
            streamed=streamed,
            exchange=Exchange(deadline),
            teller=self._teller,
            metrics=self._metrics,
            patience_until=patience,
            drain_seconds=limits.drain_of(route),
            forget=self._forget,
            estimate=estimate,
            guards=asked.guards,
        )
        with self._lock:
            self._open.add(call)
        self._metrics.call_opened()
        return call

    def _deadline(self, asked: Asked) -> float:
        """When a call must be over, on `time.monotonic()`; waits before its admission count."""
        context = asked.context
        return context.received_at + self._limits.total_of(asked.route, context)

    def _forget(self, call: OpenCall) -> None:
        with self._lock:
            self._open.discard(call)

    def _attempts(self, call: OpenCall, course: Course, route: Route) -> Attempts:
        return Attempts(
            call,
            course,
            http=self._http,
            timeouts=self._limits.timeouts_of(route),
            retry=self._limits.retry_of(route),
            retry_uncertain=self._policy.retry_uncertain,
            health=self._health,
            metrics=self._metrics,
        )


def _finish_of(
    plan: Plan,
) -> Callable[[OpenCall, Answer, Plan, Provider, Keeping], JsonAnswer | StreamAnswer]:
    """What makes the caller's answer of the provider's."""
    if isinstance(plan.wire.caller, MediaDialect):
        return media_answer
    return stream_answer if plan.wire.asked.stream else json_answer


def _fail(call: OpenCall, cause: ToranaError, error: ToranaError) -> None:
    """Post a call that has failed before its answer went to the caller."""
    if not isinstance(error, UpstreamError):
        call.fail(cause, usage=None, billable=False)
        return
    billable = error.billable or error.usage is not None
    call.fail(cause, usage=error.usage, billable=billable)
