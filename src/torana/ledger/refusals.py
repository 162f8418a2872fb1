"""Refusals of the teller as errors that callers understand."""

from __future__ import annotations

from torana.core.money import format_usd
from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    KeyRevoked,
    NotAuthenticated,
    ScopeSuspended,
    ToranaError,
)
from torana.ledger.decide import Refusal, Refused

_RETRY_SECONDS = 2.0
"""When to try again a call that open reservations stand in the way of."""


def error_of(refused: Refused) -> ToranaError:
    """The error for a refusal: it names the scope, the limit and its use."""
    if refused.reason is Refusal.BLOCKED:
        if refused.detail == "revoked":
            return KeyRevoked("This API key has been revoked.")
        return ScopeSuspended(f"This {refused.scope_kind} is suspended.")
    if refused.reason is Refusal.UNKNOWN_BALANCE:
        return NotAuthenticated("This API key belongs to a scope that no longer exists.")
    limit = format_usd(refused.limit_nano)
    used = format_usd(refused.used_nano)
    if refused.reason is Refusal.BUDGET:
        return BudgetExceeded(
            f"The budget of this {refused.scope_kind} does not cover the call: "
            f"{used} of {limit} USD are spent."
        )
    return BudgetReserved(
        f"The budget of this {refused.scope_kind} is held by calls that are still open: "
        f"{used} of {limit} USD are spent or reserved.",
        retry_after=_RETRY_SECONDS,
    )
