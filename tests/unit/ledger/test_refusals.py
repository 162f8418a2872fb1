"""Refusals of the teller in the words that callers read."""

from __future__ import annotations

import pytest

from torana.errors import (
    BudgetExceeded,
    BudgetReserved,
    KeyRevoked,
    NotAuthenticated,
    ScopeSuspended,
)
from torana.ledger.decide import Refusal, Refused
from torana.ledger.refusals import error_of

SCOPES = ["key", "user", "project", "organisation"]


def money(reason: Refusal, scope: str) -> Refused:
    return Refused(
        reason, scope, f"{scope}_01secret", limit_nano=5_000_000_000, used_nano=4_999_999_999
    )


@pytest.mark.parametrize("scope", SCOPES)
def test_a_spent_budget_names_its_scope_its_limit_and_its_use_and_is_final(scope):
    error = error_of(money(Refusal.BUDGET, scope))
    assert isinstance(error, BudgetExceeded)
    assert f"budget of this {scope}" in error.message
    assert "4.999999999 of 5 USD are spent" in error.message
    assert (error.status, error.code) == (429, "insufficient_quota")
    assert error.should_retry is False
    assert error.retry_after is None


@pytest.mark.parametrize("scope", SCOPES)
def test_a_held_budget_names_its_scope_its_limit_and_its_use_and_asks_to_try_again(scope):
    error = error_of(money(Refusal.RESERVED, scope))
    assert isinstance(error, BudgetReserved)
    assert f"budget of this {scope}" in error.message
    assert "4.999999999 of 5 USD are spent or reserved" in error.message
    assert error.status == 429
    assert error.should_retry is True
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 10


@pytest.mark.parametrize("reason", [Refusal.BUDGET, Refusal.RESERVED])
def test_a_message_names_no_ids(reason):
    assert "01secret" not in error_of(money(reason, "project")).public_message


def test_a_revoked_key_is_told_so():
    error = error_of(Refused(Refusal.BLOCKED, "key", "key_1", detail="revoked"))
    assert isinstance(error, KeyRevoked)
    assert error.status == 401


@pytest.mark.parametrize("scope", SCOPES)
def test_a_suspended_scope_is_named(scope):
    error = error_of(Refused(Refusal.BLOCKED, scope, "x_1", detail="suspended"))
    assert isinstance(error, ScopeSuspended)
    assert error.message == f"This {scope} is suspended."
    assert error.status == 403


def test_a_scope_that_is_gone_means_that_the_key_is_no_good():
    error = error_of(Refused(Refusal.UNKNOWN_BALANCE, scope_id="bal_1"))
    assert isinstance(error, NotAuthenticated)
    assert "bal_1" not in error.public_message


@pytest.mark.parametrize("reason", list(Refusal))
def test_every_reason_has_its_error(reason):
    assert error_of(Refused(reason, "key", "key_1")).status < 500
