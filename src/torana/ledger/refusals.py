"""Refusals of the teller as errors that callers understand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

from torana.core.money import format_usd
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    ConcurrencyLimited,
    CostUnknown,
    IdempotencyConflict,
    IdempotencyInFlight,
    KeyRevoked,
    ModelNotAllowed,
    NotAuthenticated,
    RateLimited,
    ScopeSuspended,
    ToranaError,
)
from torana.ledger.items import Refusal, Refused

_RETRY_SECONDS = 2.0
"""When to try again a call that open calls stand in the way of."""
_SCOPES = {"end_user": "end user"}


def error_of(refused: Refused) -> ToranaError:
    """The error for a refusal: it names the scope, the limit, its use and when to come back."""
    return _ERRORS[refused.reason](refused)


def scope_name(refused: Refused) -> str:
    """The scope that refused, in words; what a caller chose itself is named."""
    kind = _SCOPES.get(refused.scope_kind, refused.scope_kind)
    if refused.scope_kind in {"end_user", "tag"}:
        return f"{kind} {refused.scope_id.partition('/')[2]!r}"
    return kind


def _blocked(refused: Refused) -> ToranaError:
    if refused.detail == "revoked":
        return KeyRevoked("This API key has been revoked.")
    return ScopeSuspended(f"This {scope_name(refused)} is suspended.")


def _unknown_balance(_refused: Refused) -> ToranaError:
    return NotAuthenticated("This API key belongs to a scope that no longer exists.")


def _model(refused: Refused) -> ToranaError:
    return ModelNotAllowed(
        f"This {scope_name(refused)} may not use the model {refused.detail[:100]!r}.",
        hint="GET /v1/models lists those that you may use.",
        param="model",
    )


def _rate(refused: Refused) -> ToranaError:
    unit = "requests" if refused.reason is Refusal.REQUESTS else "tokens"
    error = RateLimited(
        f"Rate limit of this {scope_name(refused)} reached: {refused.used:,} of "
        f"{refused.limit:,} {unit} a minute are used.",
        hint=f"Try again in {max(refused.wait_seconds, 0.001):.3g} s.",
        retry_after=refused.wait_seconds,
    )
    error.rates = refused.rates
    return error


def _too_many_tokens(refused: Refused) -> ToranaError:
    error = RateLimited(
        f"The call is larger than the {refused.limit:,} tokens a minute that this "
        f"{scope_name(refused)} may use at all.",
        hint="Send less, or ask for a smaller max_tokens.",
        final=True,
    )
    error.rates = refused.rates
    return error


def _concurrency(refused: Refused) -> ToranaError:
    return ConcurrencyLimited(
        f"This {scope_name(refused)} has {refused.used} of {refused.limit} calls open.",
        hint="Try again when one has ended.",
        retry_after=_RETRY_SECONDS,
    )


def _budget(refused: Refused) -> ToranaError:
    until = ""
    if refused.until is not None:
        until = f" The budget starts anew at {refused.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    return BudgetExceeded(
        f"The budget of this {scope_name(refused)} does not cover the call: "
        f"{format_usd(refused.used)} of {format_usd(refused.limit)} USD are spent, and the call "
        f"may cost up to {format_usd(refused.needed)} USD.{until}"
    )


def _reserved(refused: Refused) -> ToranaError:
    return BudgetReserved(
        f"The budget of this {scope_name(refused)} is held by calls that are still open: "
        f"{format_usd(refused.used)} of {format_usd(refused.limit)} USD are spent or reserved, "
        f"and the call may cost up to {format_usd(refused.needed)} USD.",
        retry_after=_RETRY_SECONDS,
    )


def _unpriced(refused: Refused) -> ToranaError:
    return CostUnknown(
        f"The model has no price, and the {scope_name(refused)} has a budget.",
        hint="An administrator sets one with `torana prices set PROVIDER/MODEL --input USD "
        "--output USD`.",
        param="model",
    )


def _unruled(refused: Refused) -> ToranaError:
    return CostUnknown(
        f"The {scope_name(refused)} has a budget, and what these fields can cost is not known: "
        f"{refused.detail}.",
        hint="Leave them out, or let an administrator declare them free with TORANA_FREE_FIELDS.",
        param=refused.detail.partition(",")[0],
    )


def _suspended_target(refused: Refused) -> ToranaError:
    return CostUnknown(
        f"The model has cost more than its stated bound and is closed to budgets such as that of "
        f"this {scope_name(refused)}.",
        hint="An administrator looks into it and runs `torana models resume PROVIDER/MODEL`.",
        param="model",
    )


def _other_request(_refused: Refused) -> ToranaError:
    return IdempotencyConflict(
        "This Idempotency-Key was used for another request within the last 24 hours.",
        hint="Use a new key for a new request.",
    )


def _in_flight(_refused: Refused) -> ToranaError:
    return IdempotencyInFlight(
        "A call with this Idempotency-Key is under way.", retry_after=_RETRY_SECONDS
    )


_ERRORS: dict[Refusal, Callable[[Refused], ToranaError]] = {
    Refusal.BLOCKED: _blocked,
    Refusal.MODEL: _model,
    Refusal.REQUESTS: _rate,
    Refusal.TOKENS: _rate,
    Refusal.TOO_MANY_TOKENS: _too_many_tokens,
    Refusal.CONCURRENCY: _concurrency,
    Refusal.BUDGET: _budget,
    Refusal.RESERVED: _reserved,
    Refusal.UNPRICED: _unpriced,
    Refusal.UNRULED: _unruled,
    Refusal.SUSPENDED_TARGET: _suspended_target,
    Refusal.OTHER_REQUEST: _other_request,
    Refusal.IN_FLIGHT: _in_flight,
    Refusal.UNKNOWN_BALANCE: _unknown_balance,
}
