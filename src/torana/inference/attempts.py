"""The attempts of one call: the one loop that sends, fails over and tries again.

Every target is asked once before any is asked again, and only what was surely not processed is
sent to the same one twice, unless the administrator has decided otherwise. Nothing is tried again
once the caller has seen a byte: by then this loop is over.
"""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Any

import msgspec

from torana.dialects.media import outgoing
from torana.errors import (
    InternalError,
    NoTargetAvailable,
    ToranaError,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
)
from torana.inference.course import Course, Leg
from torana.inference.health import Attempt, Health
from torana.inference.open_call import OpenCall
from torana.inference.retry import RetryPolicy
from torana.obs.metrics import Metrics
from torana.outbound.client import Answer, HttpClient, Timeouts
from torana.providers import Sending
from torana.providers.base import provider_request_id

_ELSEWHERE = frozenset({402, 404, 413})
"""Refusals that another target may not have: unpaid, unknown there, too large for it."""
_ELSEWHERE_CODES = frozenset({"context_length_exceeded", "model_not_found"})
_LOOK_SECONDS = 0.5
"""A wait looks so often whether anybody still waits for its call."""


class Answered(msgspec.Struct, frozen=True):
    """A good answer's head, and where it comes from."""

    answer: Answer
    leg: Leg


class Attempts:
    """Sends a call until a target answers.

    Args:
        call: the open call.
        course: where it may go.
        http: the connections to providers.
        timeouts: of one attempt.
        retry: how often, and after which waits.
        retry_uncertain: also what may have been processed is sent to the same target again.
        health: of targets.
        metrics: is told of every attempt.
    """

    def __init__(
        self,
        call: OpenCall,
        course: Course,
        *,
        http: HttpClient,
        timeouts: Timeouts,
        retry: RetryPolicy,
        retry_uncertain: bool,
        health: Health,
        metrics: Metrics,
    ) -> None:
        self._call = call
        self._course = course
        self._http = http
        self._timeouts = timeouts
        self._retry = retry
        self._retry_uncertain = retry_uncertain
        self._health = health
        self._metrics = metrics
        self._tries = 0
        self._failed: Leg | None = None
        self._broken: UpstreamError | None = None
        self._refused: ToranaError | None = None

    def run(self) -> Answered:
        """Send the call.

        Raises:
            ToranaError: no target has answered; every attempt is noted with its cost.
        """
        error = self._broken
        for number in itertools.count(1):
            found = self._round(repeats=number > 1)
            if isinstance(found, Answered):
                return found
            if found is None and number > 1:
                break  # Nobody could be asked, although the wait was for that.
            error = found or error
            self._wait(error)
        raise error or self._unasked()

    def broke(self, leg: Leg, error: UpstreamError) -> None:
        """An answer has failed after its head, and its caller saw no byte of it; `run` goes on.

        Raises:
            UpstreamError: the same error, when nobody else is asked.
        """
        if self._call.settled or self._is_final(error):
            raise error
        leg.error = self._broken = error
        self._failed = leg
        self._call.attempts[-1]["outcome"] = error.code
        self._call.fail_attempt(error)

    def _round(self, *, repeats: bool) -> Answered | UpstreamError | None:
        """Ask each leg that may be asked now.

        Args:
            repeats: also those that were asked before.

        Returns:
            The answer, or how the last of them has failed; None when none was asked.

        Raises:
            ToranaError: it makes no sense to ask anybody else.
        """
        error: UpstreamError | None = None
        for leg in self._course.legs():
            found = self._ask(leg) if self._may_try(leg, repeats=repeats) else None
            if isinstance(found, Answer):
                return Answered(found, leg)
            if found is not None:
                error = found
                if self._is_final(found):
                    raise found
        return error

    def _may_try(self, leg: Leg, *, repeats: bool) -> bool:
        """Whether a leg is asked now: each once, and again what may be repeated."""
        if leg.tries == 0:
            return not leg.barred
        if not repeats or not self._may_repeat(leg):
            return False
        target = leg.plan.target
        if self._health.view(target.provider, target.model).wait > 0:
            return False
        if self._health.may_repeat(target.provider, target.model):
            self._metrics.retry(target.provider, "repeat")
            return True
        self._metrics.retry_refused(target.provider)
        return False

    def _may_repeat(self, leg: Leg) -> bool:
        error = leg.error
        if leg.barred or error is None:
            return False
        return error.retryable or (error.billable and self._retry_uncertain)

    def _is_final(self, error: UpstreamError) -> bool:
        call = self._call
        late = time.monotonic() >= call.patience_until
        if self._tries >= self._retry.attempts or late or call.abandoned():
            return True
        if not isinstance(error, UpstreamRejected) or error.retryable:
            return False
        return error.status not in _ELSEWHERE and error.provider_code not in _ELSEWHERE_CODES

    # --- one leg -------------------------------------------------------------------------------

    def _ask(self, leg: Leg) -> Answer | UpstreamError | None:
        """Ask a target, with another of its keys too when one of them is refused.

        Returns:
            Its answer, how it has failed, or None when it takes no call at present, or no budget
            has room for that.
        """
        while True:
            target = leg.plan.target
            passage = self._health.enter(
                target.provider,
                target.model,
                streamed=leg.plan.wire.asked.stream,
                again=leg.tries > 0,
            )
            if passage is None:
                return None
            refused = self._reserve(leg)
            if refused is not None:
                passage.ended(refused)
                leg.barred = True
                self._refused = self._refused or refused
                return None
            found = self._send(leg, passage)
            if isinstance(found, Answer):
                return found
            leg.error = found
            if not found.other_key or self._is_final(found):
                return found
            self._metrics.retry(target.provider, "other_key")

    def _reserve(self, leg: Leg) -> ToranaError | None:
        """Have the ledger hold what the next try may cost; what it says when it does not."""
        call = self._call
        moves = leg.plan.target is not call.target
        if not moves and not call.needs_room:
            return None
        try:
            call.move_to(leg.plan)
        except ToranaError as refused:
            return refused
        if moves and self._failed is not None:
            self._metrics.retry(leg.plan.target.provider, "fallback")
        return None

    def _send(self, leg: Leg, passage: Attempt) -> Answer | UpstreamError:
        call, plan = self._call, leg.plan
        self._tries += 1
        leg.tries += 1
        attempt = call.begin_attempt(passage)
        began = time.monotonic()
        try:
            answer = leg.provider.send(self._http, self._sending(leg, attempt))
        except UpstreamError as error:
            attempt |= {"outcome": error.code, "ms": _since(began)}
            call.fail_attempt(error)
            self._failed = leg
            self._metrics.attempt(plan.target.provider, plan.target.model, error.code)
            return error
        except BaseException:
            passage.ended(InternalError("Torana failed."))
            raise
        passage.answered(time.monotonic() - began)
        attempt |= {"outcome": "answered", "status": answer.status, "ms": _since(began)}
        self._metrics.attempt(plan.target.provider, plan.target.model, "ok")
        call.provider_request_id = provider_request_id(answer.headers)
        return answer

    def _sending(self, leg: Leg, attempt: dict[str, Any]) -> Sending:
        call, wire = self._call, leg.plan.wire
        model = leg.plan.target.model
        going = outgoing(
            wire.dialect,
            wire.request,
            model=model,
            max_output=call.receipt.output,
            max_output_field=leg.provider.max_output_field,
            dropped=wire.dropped,
        )
        return Sending(
            path=wire.dialect.path,
            body=going.body,
            content_type=going.content_type,
            model=model,
            request_id=call.context.request_id,
            attempt=call.context.tries_before + self._tries,
            timeouts=self._timeouts,
            exchange=call.exchange,
            forwarded=call.context.forwarded if wire.call is None else {},
            picked=partial(attempt.__setitem__, "key"),
        )

    # --- waits ---------------------------------------------------------------------------------

    def _wait(self, error: UpstreamError | None) -> None:
        """Wait until a target may be asked again.

        Raises:
            ToranaError: none may, or not in time.
        """
        waits = [wait for leg in self._course.legs() if (wait := self._wait_for(leg)) is not None]
        wait = min(waits, default=None)
        left = self._call.patience_until - time.monotonic()
        if wait is None or wait > self._retry.longest_retry_after or wait >= left:
            raise error or self._unasked()
        until = time.monotonic() + wait
        while (left := until - time.monotonic()) > 0:
            if self._call.abandoned():
                break
            time.sleep(min(left, _LOOK_SECONDS))
        if self._call.abandoned():
            # Nobody waits for another try, so nobody shall pay for one.
            raise error or self._unasked()

    def _wait_for(self, leg: Leg) -> float | None:
        """Seconds until a leg may be asked again; None when it may not be.

        Patience that a provider asks for is had. A target that fails is not waited for: a crowd
        would wait with their reservations, for one of them to probe.
        """
        target = leg.plan.target
        health = self._health.view(target.provider, target.model)
        if leg.barred or health.state == "open":
            return None
        if leg.tries == 0:
            return health.wait
        if leg.error is None or not self._may_repeat(leg):
            return None
        return max(health.wait, self._retry.wait(leg.error, self._tries))

    def _unasked(self) -> ToranaError:
        """What a call is told that no target was asked for."""
        if self._refused is not None:
            return self._refused
        found = self._course.found
        views = [
            self._health.view(one.target.provider, one.target.model)
            for one in (*found.ready, *found.resting)
        ]
        wait = max(min((view.wait for view in views), default=1.0), 1.0)
        if all(view.state == "cooling" for view in views):
            return UpstreamRateLimited(
                "The model's providers have reached their rate limits.", retry_after=wait
            )
        return NoTargetAvailable(
            "The model's providers are failing, and are not called for a moment.",
            retry_after=wait,
        )


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
