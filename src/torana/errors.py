"""The one tree of errors.

An error says once what every edge needs: its HTTP status, a public code, whether trying again can
help, how loud to log it, and what the reader may do. Edges render it in the caller's dialect; no
other module maps errors to statuses.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import ClassVar

from torana.core.rates import RateView
from torana.core.usage import Usage


class ToranaError(Exception):
    """Base of all errors that Torana raises on purpose.

    Args:
        message: one or two sentences for the caller; never a secret, never an upstream's internals.
        hint: what the reader can do about it.
        param: the request field that is at fault, if one is.
        retry_after: seconds after which trying again makes sense.
    """

    status: int = 500
    code: str = "internal_error"
    kind: str = "server_error"
    """OpenAI's `type` of the error object; other dialects map from `status`."""
    should_retry: bool | None = None
    """Whether the SDKs shall try again (`x-should-retry`); None leaves it to their own rules."""
    log_level: ClassVar[int] = logging.INFO

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param
        self.retry_after = retry_after

    @property
    def public_code(self) -> str:
        """The code as callers read it: ours, unless a provider's own is passed on."""
        return self.code

    @property
    def public_message(self) -> str:
        """The message with its hint, as callers read it."""
        return f"{self.message} {self.hint}" if self.hint else self.message


class InternalError(ToranaError):
    """Something of ours broke; the caller learns only that, the log has the rest."""

    log_level = logging.ERROR


class ConfigurationError(ToranaError):
    """A setting or a file of this machine is not usable; for the operator, never for callers."""

    code = "configuration_error"
    log_level = logging.ERROR


# --- the request is at fault -------------------------------------------------------------------


class InvalidRequest(ToranaError):
    """The request is malformed."""

    status = 400
    code = "invalid_request"
    kind = "invalid_request_error"


class InvalidJson(InvalidRequest):
    """The body is not JSON, or not the JSON that is wanted."""

    code = "invalid_json"


class NotAuthenticated(ToranaError):
    """No usable credential came with the request."""

    status = 401
    code = "invalid_api_key"
    kind = "invalid_request_error"


class KeyRevoked(NotAuthenticated):
    """The credential was good once."""

    code = "api_key_revoked"


class PermissionDenied(ToranaError):
    """The caller is known and may not do this."""

    status = 403
    code = "permission_denied"
    kind = "invalid_request_error"


class NotFound(ToranaError):
    """What was asked for does not exist, or not for this caller."""

    status = 404
    code = "not_found"
    kind = "invalid_request_error"


class ModelNotFound(NotFound):
    """No provider here serves the model."""

    code = "model_not_found"


class ResponseNotFound(NotFound):
    """No answer is kept under this id, or not for this caller."""

    code = "response_not_found"


class MethodNotAllowed(ToranaError):
    """The path exists, with other methods."""

    status = 405
    code = "method_not_allowed"
    kind = "invalid_request_error"

    def __init__(self, message: str, *, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class Conflict(ToranaError):
    """The request does not fit the present state."""

    status = 409
    code = "conflict"
    kind = "invalid_request_error"


class BodyTooLarge(ToranaError):
    """The body is over the limit."""

    status = 413
    code = "request_too_large"
    kind = "invalid_request_error"


class UnsupportedMediaType(ToranaError):
    """The body is of a type that this route does not read."""

    status = 415
    code = "unsupported_media_type"
    kind = "invalid_request_error"


class ValidationFailed(ToranaError):
    """A management request breaks its schema.

    Args:
        problems: one mapping per problem with `field` and `message`.
    """

    status = 422
    code = "validation_failed"
    kind = "invalid_request_error"

    def __init__(self, message: str, *, problems: tuple[Mapping[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class HostNotAllowed(InvalidRequest):
    """A provider would be at a private address that nobody has allowed."""

    code = "host_not_allowed"


class NoTargetFits(InvalidRequest):
    """None of a route's targets may answer a call such as this one."""

    code = "no_target_fits"
    should_retry = False


class GuardrailBlocked(InvalidRequest):
    """A guardrail does not let a prompt or an answer pass; its words are never told."""

    code = "guardrail_blocked"
    should_retry = False


class TranslationLoss(ToranaError):
    """The model's provider speaks another dialect, which can't say all of the request.

    Args:
        names: of what would be lost.
    """

    status = 400
    code = "translation_loss"
    kind = "invalid_request_error"
    should_retry = False

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(
            f"This model's provider can't be told: {', '.join(names)}.",
            hint="Leave it out, or do without 'x-torana-strict'; docs/translation.md lists losses.",
        )
        self.names = names


# --- money and limits --------------------------------------------------------------------------


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


# --- the provider is at fault ------------------------------------------------------------------


class UpstreamError(ToranaError):
    """A provider failed.

    Attributes:
        billable: it may have done the work, so the call costs its usage or its bound.
        retryable: it surely did not do the work, or it asks to be asked again.
        usage: what it says that the failed call has used, if it says so.
        cooldown: seconds for which it wants no more calls, by its `retry-after` or by the headers
            that say when its limits are full again.
        other_key: another of its keys may be tried at once.
    """

    status = 502
    code = "upstream_error"
    log_level = logging.WARNING
    billable: ClassVar[bool] = False
    retryable: bool = False
    usage: Usage | None = None
    cooldown: float | None = None
    other_key: bool = False


class UpstreamUnreachable(UpstreamError):
    """No connection to the provider could be made, so it processed nothing."""

    code = "upstream_unreachable"
    retryable = True


class UpstreamForbidden(UpstreamError):
    """The provider's host has an address that calls may not go to; nothing was sent."""

    code = "upstream_address_forbidden"
    log_level = logging.ERROR
    should_retry = False


class NoTargetAvailable(UpstreamError):
    """All targets of a route are closed to calls for a while; nothing was sent."""

    status = 503
    code = "no_target_available"
    should_retry = True


class UpstreamTimeout(UpstreamError):
    """The provider was silent for too long; it may have done the work."""

    status = 504
    code = "upstream_timeout"
    billable = True


class UpstreamCut(UpstreamError):
    """The provider's connection ended before its answer did."""

    code = "upstream_cut"
    billable = True


class UpstreamGarbage(UpstreamError):
    """The provider sent something that is not the protocol."""

    code = "upstream_garbage"
    billable = True


class UpstreamAuth(UpstreamError):
    """The provider refused our credentials; the caller cannot mend that."""

    code = "upstream_auth"
    log_level = logging.ERROR
    should_retry = False


class ProviderGone(UpstreamError):
    """What is asked for is kept by a provider that is not configured any more."""

    code = "provider_gone"
    should_retry = False


class UpstreamOverloaded(UpstreamError):
    """The provider asks to come back later (503, 529)."""

    status = 503
    code = "upstream_overloaded"
    retryable = True


class UpstreamRateLimited(UpstreamError):
    """The provider's own rate limit is used up.

    Callers read the dialect's code; ours tells it from a limit of this installation.
    """

    status = 429
    code = "upstream_rate_limited"
    kind = "rate_limit_error"
    retryable = True

    @property
    def public_code(self) -> str:
        """The code that SDKs know."""
        return RateLimited.code


class UpstreamRejected(UpstreamError):
    """The provider refused the request itself (400, 404, 413, 422 ...); its words are passed on.

    Args:
        status: the provider's status, a 4xx.
        kind: the provider's error type.
        provider_code: the provider's error code, for the caller; ours stays the same, because
            what others invent must not become a label or fill a column.
    """

    code = "upstream_rejected"
    log_level = logging.INFO
    should_retry = False

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str | None = None,
        provider_code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.kind = kind or "invalid_request_error"
        self.provider_code = provider_code

    @property
    def public_code(self) -> str:
        """The provider's code, or ours when it named none."""
        return self.provider_code or self.code


class Draining(ToranaError):
    """This process is stopping; the answer could not be finished in time."""

    status = 503
    code = "server_shutdown"
    should_retry = True


class CallerGone(ToranaError):
    """The caller hung up. Nobody reads this error; the ledger and the log do."""

    status = 499
    code = "caller_gone"
