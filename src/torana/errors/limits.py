"""Money and limits: a call that does not fit, or whose cost can't be known or kept."""

from __future__ import annotations

import logging

from torana.core.rates import RateView
from torana.errors.base import InternalError, ToranaError


class BudgetExceeded(ToranaError):
    """A call does not fit, and waiting for open calls cannot help."""

    status = 429
    code = "insufficient_quota"
    kind = "insufficient_quota"
    should_retry = False


class BudgetReserved(ToranaError):
    """A call would fit if open calls cost less than their bounds; worth another try soon."""

    status = 429
    code = "budget_reserved"
    kind = "insufficient_quota"
    should_retry = True


class RateLimited(ToranaError):
    """A limit of requests or tokens a minute is used up.

    Args:
        final: the call is larger than the limit itself.

    Attributes:
        rates: what is left, for the headers of the caller's dialect.
    """

    status = 429
    code = "rate_limit_exceeded"
    kind = "rate_limit_error"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry_after: float | None = None,
        final: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, retry_after=retry_after)
        self.should_retry = not final
        self.rates: RateView | None = None


class ConcurrencyLimited(ToranaError):
    """As many calls are open as may be."""

    status = 429
    code = "concurrency_limit_exceeded"
    kind = "rate_limit_error"
    should_retry = True


class CostUnknown(ToranaError):
    """Under a hard budget, a call whose cost has no bound is refused."""

    status = 400
    code = "cost_unknown"
    kind = "invalid_request_error"
    should_retry = False


class ModelNotAllowed(ToranaError):
    """A list of allowed models does not have this one."""

    status = 403
    code = "model_not_allowed"
    kind = "invalid_request_error"


class IdempotencyConflict(ToranaError):
    """An Idempotency-Key comes again with another request."""

    status = 422
    code = "idempotency_key_reused"
    kind = "invalid_request_error"
    should_retry = False


class IdempotencyInFlight(ToranaError):
    """The call of an Idempotency-Key is not over yet."""

    status = 409
    code = "idempotency_key_in_use"
    kind = "invalid_request_error"
    should_retry = True


class DiskFull(ToranaError):
    """There is no room to keep what a call would owe if the database went away."""

    status = 503
    code = "disk_full"
    should_retry = True
    log_level = logging.ERROR


class ScopeSuspended(ToranaError):
    """The project, user or organisation of the caller is suspended."""

    status = 403
    code = "suspended"
    kind = "invalid_request_error"


class LedgerUnavailable(ToranaError):
    """The database cannot take a reservation now, so no call is admitted."""

    status = 503
    code = "ledger_unavailable"
    should_retry = True
    log_level = logging.ERROR


class UnwritableRow(InternalError):
    """The database refused the content of a row; trying again can't help."""

    code = "unwritable_row"
