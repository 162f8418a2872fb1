"""Refusals of the teller in the words that callers read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from torana.core.rates import Rate, RateView
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
from torana.ledger.refusals import error_of

SCOPES = ["key", "user", "project", "organisation"]


def money(reason: Refusal, scope: str) -> Refused:
    return Refused(
        reason, scope, f"{scope}_01secret", limit=5_000_000_000, used=4_999_999_999, needed=7
    )


@pytest.mark.parametrize("scope", SCOPES)
def test_a_spent_budget_names_its_scope_its_limit_and_its_use_and_is_final(scope):
    error = error_of(money(Refusal.BUDGET, scope))
    assert isinstance(error, BudgetExceeded)
    assert f"budget of this {scope}" in error.message
    assert "4.999999999 of 5 USD are spent" in error.message
    assert "up to 0.000000007 USD" in error.message
    assert (error.status, error.code) == (429, "insufficient_quota")
    assert error.should_retry is False
    assert error.retry_after is None


@pytest.mark.parametrize("scope", SCOPES)
def test_a_held_budget_names_its_scope_its_limit_and_its_use_and_asks_to_try_again(scope):
    error = error_of(money(Refusal.RESERVED, scope))
    assert isinstance(error, BudgetReserved)
    assert f"budget of this {scope}" in error.message
    assert "4.999999999 of 5 USD are spent or reserved" in error.message
    assert "up to 0.000000007 USD" in error.message
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


def test_a_spent_budget_says_when_it_starts_anew():
    until = datetime(2026, 4, 1, tzinfo=UTC)
    error = error_of(Refused(Refusal.BUDGET, "key", "key_1", until=until))
    assert "2026-04-01 00:00 UTC" in error.message
    assert "anew" not in error_of(money(Refusal.BUDGET, "key")).message


@pytest.mark.parametrize(
    ("kind", "scope_id", "shown"),
    [
        ("end_user", "proj_01secret/alice", "end user 'alice'"),
        ("tag", "org_01secret/team=a/b", "tag 'team=a/b'"),
    ],
)
def test_what_a_caller_has_named_itself_is_named_in_a_refusal(kind, scope_id, shown):
    error = error_of(Refused(Refusal.BUDGET, kind, scope_id, limit=1))
    assert shown in error.message
    assert "01secret" not in error.public_message


@pytest.mark.parametrize(
    ("reason", "unit"), [(Refusal.REQUESTS, "requests"), (Refusal.TOKENS, "tokens")]
)
def test_a_rate_tells_its_limit_its_use_its_wait_and_what_is_left(reason, unit):
    rates = RateView(requests=Rate(6000, 0, 60.0))
    error = error_of(
        Refused(reason, "user", "mem_1", limit=6000, used=5999, wait_seconds=1.25, rates=rates)
    )
    assert isinstance(error, RateLimited)
    assert f"5,999 of 6,000 {unit} a minute" in error.message
    assert "this user" in error.message
    assert error.retry_after == 1.25
    assert error.rates == rates
    assert error.status == 429
    assert error.should_retry is True


def test_a_call_larger_than_a_minutes_tokens_is_refused_for_good():
    error = error_of(Refused(Refusal.TOO_MANY_TOKENS, "key", "key_1", limit=1000, wait_seconds=9.0))
    assert isinstance(error, RateLimited)
    assert error.should_retry is False
    assert error.retry_after is None
    assert "1,000 tokens a minute" in error.message


KINDS: list[tuple[Refusal, type[ToranaError], int]] = [
    (Refusal.MODEL, ModelNotAllowed, 403),
    (Refusal.CONCURRENCY, ConcurrencyLimited, 429),
    (Refusal.UNPRICED, CostUnknown, 400),
    (Refusal.UNRULED, CostUnknown, 400),
    (Refusal.SUSPENDED_TARGET, CostUnknown, 400),
    (Refusal.OTHER_REQUEST, IdempotencyConflict, 422),
    (Refusal.IN_FLIGHT, IdempotencyInFlight, 409),
]


@pytest.mark.parametrize(("reason", "kind", "status"), KINDS)
def test_each_reason_has_an_error_of_its_own(reason, kind, status):
    error = error_of(Refused(reason, "key", "key_1", detail="tools", limit=3, used=3))
    assert isinstance(error, kind)
    assert error.status == status
    retries = reason in {Refusal.CONCURRENCY, Refusal.IN_FLIGHT}
    assert (error.retry_after is not None) == retries


def test_fields_without_a_rule_are_named_and_the_first_is_the_parameter():
    error = error_of(Refused(Refusal.UNRULED, "key", "key_1", detail="tools[].type, audio"))
    assert "tools[].type, audio" in error.message
    assert error.param == "tools[].type"
