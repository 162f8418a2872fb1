"""The provider is at fault."""

from __future__ import annotations

import logging
from typing import ClassVar

from torana.core.usage import Usage
from torana.errors.base import ToranaError
from torana.errors.limits import RateLimited


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
