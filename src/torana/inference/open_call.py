"""A call between its admission and its posting. Whoever opens one settles it, exactly once."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from torana.core.money import Price, cost
from torana.core.usage import NO_USAGE, Counted, Usage
from torana.errors import CallerGone, ToranaError, UpstreamError
from torana.guardrails.guarded import GuardedCalls
from torana.inference.caller import CallContext
from torana.inference.health import Attempt
from torana.inference.planning import Plan
from torana.ledger.records import KeptResponse, Receipt, Settlement, Status
from torana.ledger.teller import Teller
from torana.obs.metrics import CallFigures, Metrics
from torana.outbound.client import Exchange
from torana.routing.catalog import Target

logger = logging.getLogger("torana.call")


class OpenCall:
    """The state of one call under way.

    Args:
        context: of the request.
        receipt: the durable reservation.
        target: what the call is priced by.
        streamed: whether the answer is a stream.
        exchange: the way to the provider.
        patience_until: on `time.monotonic()`, when it is too late for another try.
        drain_seconds: how long the answer is read on when the caller has hung up.
        estimate: counts an answer that was cut by its visible text, where that can be.
        forget: is told when the call is over.
        guards: its guardrails, of which the metrics are told.
    """

    def __init__(
        self,
        *,
        context: CallContext,
        receipt: Receipt,
        target: Target,
        streamed: bool,
        exchange: Exchange,
        teller: Teller,
        metrics: Metrics,
        patience_until: float,
        drain_seconds: float,
        forget: Callable[[OpenCall], None],
        estimate: Callable[[str], Usage | None],
        guards: GuardedCalls | None = None,
    ) -> None:
        self.context = context
        self.target = target
        self.exchange = exchange
        self.patience_until = patience_until
        self.attempts: list[dict[str, Any]] = []
        self.provider_request_id: str | None = None
        self.settled = False
        self._receipt = receipt
        self._attempt_bound_nano = receipt.bound_nano
        self._estimate = estimate
        self._streamed = streamed
        self._teller = teller
        self._metrics = metrics
        self._forget = forget
        self._first_byte: float | None = None
        self._stopped_by: ToranaError | None = None
        self._caller_left = False
        self._drain_seconds = drain_seconds
        self._unwatch: Callable[[], None] | None = None
        self._open_attempt: dict[str, Any] | None = None
        self._passage: Attempt | None = None
        self._guessed = False
        self._guards = guards

    @property
    def request_id(self) -> str:
        """The id of the request, and of the call on the ledger."""
        return self.context.request_id

    @property
    def receipt(self) -> Receipt:
        """The reservation as it stands."""
        return self._receipt

    def cost_of(self, usage: Usage | None) -> int:
        """What the call comes to if its last try used so much, in nano-dollars."""
        return self._own_cost(usage) + self._earlier_cost()

    @property
    def price(self) -> Price | None:
        """The price of the target, as it was at admission."""
        return self.target.price

    def move_to(self, plan: Plan) -> None:
        """Reserve for another try, at the same target or elsewhere.

        Raises:
            ToranaError: there is no room for it; the call keeps what it has, and where it is.
        """
        self._receipt = self._teller.extend(
            self._receipt, plan.further(self._receipt, self._earlier_cost())
        )
        self._attempt_bound_nano = plan.bound_nano(self._receipt.output)
        self.target = plan.target
        self._estimate = plan.usage_of

    @property
    def needs_room(self) -> bool:
        """Whether another try at the same target may cost more than is reserved."""
        return self._earlier_cost() + self._attempt_bound_nano > self._receipt.bound_nano

    def begin_attempt(self, passage: Attempt | None = None) -> dict[str, Any]:
        """Note another try of a provider; what it comes to is added to the mapping.

        Args:
            passage: what tells the target's health how the try ended.
        """
        self._open_attempt = {
            "n": len(self.attempts) + 1,
            "provider": self.target.provider,
            "model": self.target.model,
        }
        self._passage = passage
        self.attempts.append(self._open_attempt)
        return self._open_attempt

    def fail_attempt(self, error: UpstreamError) -> None:
        """The try that was begun last has failed, and the call may go on without it.

        One that may have been processed costs what it says that it used, or its bound.
        """
        billable = error.billable or error.usage is not None
        if billable and error.usage is None and self._attempt_bound_nano:
            self._guessed = True
        cost_nano = self._own_cost(error.usage) if billable else 0
        self._end_attempt(cost_nano, self.cause_of(error))

    def _end_attempt(self, cost_nano: int, error: ToranaError | None) -> None:
        attempt, passage = self._open_attempt, self._passage
        self._open_attempt = self._passage = None
        if attempt is not None:
            attempt["cost_nano"] = cost_nano
        if passage is not None:
            passage.ended(error)

    def _earlier_cost(self) -> int:
        """What the tries that are over have cost."""
        return sum(int(attempt.get("cost_nano", 0)) for attempt in self.attempts)

    def watch_caller(self) -> None:
        """Begin to notice when the caller hangs up."""
        self._unwatch = self.context.link.watch(self._caller_gone)

    def first_byte(self) -> None:
        """The provider's answer begins."""
        if self._first_byte is None:
            self._first_byte = time.monotonic()

    def stop(self, reason: ToranaError) -> None:
        """End the call from outside: its provider's answer is cut, and `reason` is why."""
        if self._stopped_by is None:
            self._stopped_by = reason
            self.exchange.abort()

    def gone(self) -> bool:
        """Whether the caller has hung up."""
        return self._caller_left or self.context.link.gone()

    def abandoned(self) -> bool:
        """Whether another try of a provider would be for nobody."""
        return self.exchange.aborted or self.gone()

    def caller_left(self) -> None:
        """The server has given the caller up; the watch on its connection may not know yet."""
        self._caller_left = True

    def cause_of(self, error: ToranaError) -> ToranaError:
        """What really ended the call, when `error` may only be the cut that `stop` made."""
        return self._stopped_by if self._stopped_by is not None else error

    def succeed(
        self,
        usage: Usage | None,
        *,
        answer: bytes | None = None,
        response: KeptResponse | None = None,
        lost: tuple[str, ...] = (),
    ) -> int:
        """Post an answer that came to its end; without a usage it costs its bound.

        Args:
            usage: what the provider reported.
            answer: what to keep for the caller's Idempotency-Key, sealed.
            response: what lets the caller come back to it.
            lost: what of the answer could not be said in the caller's dialect.

        Returns:
            The cost in nano-dollars.
        """
        gone = self.gone()
        return self._settle(
            status=Status.CANCELLED if gone else Status.OK,
            usage=usage,
            billable=True,
            http_status=200,
            error=CallerGone("The caller hung up.") if gone else None,
            answer=answer,
            response=response,
            lost=lost,
        )

    def succeed_cached(self) -> None:
        """Post an answer that was kept from an earlier call; it costs nothing."""
        self._settle(status=Status.CACHED, usage=None, billable=False, http_status=200, error=None)

    def fail(
        self,
        error: ToranaError,
        *,
        usage: Usage | None,
        billable: bool,
        visible: str | None = None,
        lost: tuple[str, ...] = (),
    ) -> int:
        """Post a call that has failed.

        Args:
            error: what the caller is told, or would be.
            usage: what the provider reported before.
            billable: it may have been processed, so it costs its usage, its visible text where
                that can be counted, or its bound.
            visible: the text that came before the end.
            lost: see `succeed`.

        Returns:
            The cost in nano-dollars.
        """
        gone = self.gone() or isinstance(error, CallerGone)
        return self._settle(
            status=Status.CANCELLED if gone else Status.ERROR,
            usage=usage,
            billable=billable,
            http_status=CallerGone.status if gone else error.status,
            error=error,
            visible=visible,
            lost=lost,
        )

    def _caller_gone(self, seconds: float) -> None:
        if seconds >= self._drain_seconds:
            self.stop(CallerGone("The caller hung up."))

    def _settle(
        self,
        *,
        status: Status,
        usage: Usage | None,
        billable: bool,
        http_status: int,
        error: ToranaError | None,
        visible: str | None = None,
        answer: bytes | None = None,
        response: KeptResponse | None = None,
        lost: tuple[str, ...] = (),
    ) -> int:
        if self.settled:
            message = "a call was settled twice"
            raise RuntimeError(message)
        self.settled = True
        counted = Counted.PROVIDER
        earlier = self._earlier_cost()
        own = 0
        if self._open_attempt is not None or not self.attempts:
            if billable and usage is None:
                usage = self._estimate(visible) if visible else None
                counted = Counted.TOKENIZER if usage is not None else Counted.BOUND
            own = self._own_cost(usage) if billable else 0
        if lost and self._open_attempt is not None:
            self._open_attempt["dropped"] = list(lost)
        self._end_attempt(own, error)
        if self._guessed and counted is Counted.PROVIDER:
            counted = Counted.BOUND  # A part of the sum is one.
        amount = own + earlier
        ended = time.monotonic()
        settlement = Settlement(
            status=status,
            counted=counted,
            usage=usage or NO_USAGE,
            cost_nano=amount,
            streamed=self._streamed,
            http_status=http_status,
            provider=self.target.provider,
            target_model=self.target.model,
            price_id=self.price.id if self.price is not None else None,
            error_code=None if error is None else error.code,
            duration_ms=round((ended - self.context.received_at) * 1000),
            first_byte_ms=self._milliseconds(self._first_byte),
            provider_request_id=self.provider_request_id,
            attempts=self.attempts,
            answer=answer,
            response=response,
        )
        try:
            self._teller.post(self._receipt, settlement)
        finally:
            if self._unwatch is not None:
                self._unwatch()
            self._forget(self)
            self._report(settlement)
        return amount

    def _own_cost(self, usage: Usage | None) -> int:
        """What the last try costs."""
        if usage is None:
            return self._attempt_bound_nano
        return 0 if self.price is None else cost(usage, self.price)

    def _report(self, settlement: Settlement) -> None:
        """The one line of this call in the log, and its figures."""
        record = self._receipt.record
        if settlement.cost_nano > self._receipt.bound_nano:
            logger.error(
                "call.bound_exceeded",
                extra={
                    "request_id": record.call_id,
                    "provider": settlement.provider,
                    "target_model": settlement.target_model,
                    "cost_nano": settlement.cost_nano,
                    "bound_nano": self._receipt.bound_nano,
                },
            )
        if self._guards is not None:
            for name, outcome in self._guards.outcomes.items():
                self._metrics.guardrail(name, outcome)
        usage = settlement.usage
        received = self.context.received_at
        self._metrics.call_settled(
            CallFigures(
                route=record.route,
                model=record.model,
                provider=settlement.provider,
                status=settlement.status.value,
                error_code=settlement.error_code,
                seconds=settlement.duration_ms / 1000,
                first_byte_seconds=(
                    None if self._first_byte is None else self._first_byte - received
                ),
                input_tokens=usage.total_input,
                output_tokens=usage.total_output,
                cost_nano=settlement.cost_nano,
            )
        )
        logger.info(
            "call.settled",
            extra={
                "request_id": record.call_id,
                "route": record.route,
                "model": record.model,
                "provider": settlement.provider,
                "target_model": settlement.target_model,
                "status": settlement.status.value,
                "http_status": settlement.http_status,
                "error_code": settlement.error_code,
                "counted": settlement.counted.value,
                "input_tokens": usage.total_input,
                "output_tokens": usage.total_output,
                "cost_nano": settlement.cost_nano,
                "bound_nano": self._receipt.bound_nano,
                "streamed": settlement.streamed,
                "duration_ms": settlement.duration_ms,
                "first_byte_ms": settlement.first_byte_ms,
                "tries": len(settlement.attempts),
                "key_id": record.key_id,
                "project_id": record.project_id,
                "organisation_id": record.organisation_id,
            },
        )

    def _milliseconds(self, instant: float | None) -> int | None:
        return None if instant is None else round((instant - self.context.received_at) * 1000)
