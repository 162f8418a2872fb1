"""Rates and claims in the judgement."""

from __future__ import annotations

import pytest

from tests.unit.ledger.judging import (
    NOW,
    admit,
    at,
    balance,
    book_of,
    figures,
    judge,
    opened,
    post,
    window,
)
from torana.core.rates import Rate
from torana.ledger.decide import Balance, ClaimRow, decide
from torana.ledger.items import Admitted, Posted, Refusal, Refused, Replayed
from torana.ledger.records import Claim

# --- rates -------------------------------------------------------------------------------------


def calls(number: int) -> list[str]:
    return [f"req_{index}" for index in range(number)]


def test_a_minutes_requests_may_come_at_once_and_then_one_by_one():
    row = balance(rpm=3)
    outcomes = judge([row], *[admit(1, call=call) for call in calls(4)])
    assert [type(outcome) for outcome in outcomes] == [Admitted] * 3 + [Refused]
    refused = outcomes[-1]
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.scope_kind, refused.scope_id) == (
        Refusal.REQUESTS,
        "key",
        "key_1",
    )
    assert (refused.limit, refused.used, refused.wait_seconds) == (3, 3, 20.0)
    assert refused.rates is not None
    assert refused.rates.requests == Rate(3, 0, 60.0)
    assert isinstance(judge([row], admit(1), now=at(19.9))[0], Refused)
    assert isinstance(judge([row], admit(1), now=at(20))[0], Admitted)


def test_a_call_takes_its_tokens_and_a_post_gives_back_what_it_did_not_use():
    row = balance(tpm=1000)
    (outcome,) = judge([row], admit(1, tokens=900))
    assert isinstance(outcome, Admitted)
    assert outcome.rates is not None
    assert outcome.rates.tokens is not None
    assert (outcome.rates.tokens.limit, outcome.rates.tokens.remaining) == (1000, 100)
    (refused,) = judge([row], admit(1, call="req_2", tokens=200))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.limit, refused.used) == (Refusal.TOKENS, 1000, 900)
    assert refused.wait_seconds == pytest.approx(6.0)
    assert judge([row], post(0, tokens=300), open=opened(1, tokens=900)) == [Posted(1)]
    (outcome,) = judge([row], admit(1, call="req_2", tokens=700))
    assert isinstance(outcome, Admitted)


def test_a_call_that_used_more_tokens_than_it_took_holds_the_next_one_back():
    row = balance(tpm=1000)
    judge([row], admit(1, tokens=100))
    judge([row], post(0, tokens=1900), open=opened(1, tokens=100))
    (refused,) = judge([row], admit(1, call="req_2", tokens=100))
    assert isinstance(refused, Refused)
    assert refused.wait_seconds == pytest.approx(60.0)


def test_more_tokens_than_a_minute_has_are_refused_for_good():
    (outcome,) = judge([balance(tpm=1000)], admit(1, tokens=1001))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.limit) == (Refusal.TOO_MANY_TOKENS, 1000)


def test_a_refusal_consumes_no_rate_anywhere():
    rows = [balance("bal_1", rpm=5, tpm=100), window(limit=0)]
    before = [row.figures() for row in rows]
    (outcome,) = judge(rows, admit(1, "bal_1", "bal_w", tokens=10))
    assert isinstance(outcome, Refused)
    assert outcome.reason is Refusal.BUDGET
    assert [row.figures() for row in rows] == before


def test_the_tightest_rate_is_shown():
    rows = [balance("bal_1", rpm=100, tpm=50), balance("bal_2", "project", rpm=10, tpm=5000)]
    (outcome,) = judge(rows, admit(1, "bal_1", "bal_2", tokens=20))
    assert isinstance(outcome, Admitted)
    assert outcome.rates is not None
    assert outcome.rates.requests is not None
    assert outcome.rates.tokens is not None
    assert (outcome.rates.requests.limit, outcome.rates.requests.remaining) == (10, 9)
    assert (outcome.rates.tokens.limit, outcome.rates.tokens.remaining) == (50, 30)


def test_a_call_without_rates_shows_none():
    assert judge([balance()], admit(1, tokens=5)) == [Admitted(1, rates=None)]


def test_a_rate_that_was_raised_counts_from_then_on():
    row = balance(rpm=1)
    assert isinstance(judge([row], admit(1))[0], Admitted)
    assert isinstance(judge([row], admit(1))[0], Refused)
    row.terms = balance(rpm=10).terms
    # A minute's bucket is full again after a minute, whatever the limit.
    assert isinstance(judge([row], admit(1), now=at(6))[0], Admitted)


# --- open calls --------------------------------------------------------------------------------


def test_so_many_calls_may_be_open_at_once():
    row = balance(concurrency=2)
    outcomes = judge([row], *[admit(1, call=call) for call in calls(3)])
    assert outcomes[:2] == [Admitted(1), Admitted(1)]
    assert outcomes[2] == Refused(Refusal.CONCURRENCY, "key", "key_1", limit=2, used=2)
    outcomes = judge([row], post(0), admit(1, call="req_9"), open=opened(1))
    assert outcomes == [Posted(1), Admitted(1)]


# --- claims ------------------------------------------------------------------------------------

MINE = Claim("claim_1", "print_1")
OTHER = Claim("claim_1", "print_2")


def test_the_first_call_with_a_key_claims_it_for_the_rest_of_the_batch():
    row = balance()
    book = book_of([row])
    outcomes = decide(
        book,
        [
            admit(1, call="req_1", claim=MINE),
            admit(1, call="req_2", claim=MINE),
            admit(1, call="req_3", claim=OTHER),
        ],
    )
    assert outcomes == [
        Admitted(1),
        Refused(Refusal.IN_FLIGHT),
        Refused(Refusal.OTHER_REQUEST),
    ]
    assert row.open_calls == 1
    assert book.claims == {"claim_1": ClaimRow("print_1", "req_1", is_answered=False)}


@pytest.mark.parametrize(
    ("claim", "is_answered", "outcome"),
    [
        (MINE, True, Replayed("req_0")),
        (MINE, False, Refused(Refusal.IN_FLIGHT)),
        (OTHER, True, Refused(Refusal.OTHER_REQUEST)),
        (OTHER, False, Refused(Refusal.OTHER_REQUEST)),
    ],
)
def test_a_key_that_was_used_is_answered_without_a_judgement(claim, is_answered, outcome):
    claims = {"claim_1": ClaimRow("print_1", "req_0", is_answered)}
    # A replay costs nothing, so a budget that is spent doesn't stand in its way.
    row: Balance = balance(limit=0, rpm=1, request_tat=10**30)
    assert judge([row], admit(1, claim=claim), claims=claims) == [outcome]
    assert row.open_calls == 0


def test_a_refused_call_leaves_its_key_free():
    book = book_of([balance(limit=0)])
    (outcome,) = decide(book, [admit(1, claim=MINE)])
    assert isinstance(outcome, Refused)
    assert book.claims == {}


def test_a_repetition_in_the_batch_that_posts_the_answer_gets_it():
    book = book_of(
        [balance()],
        open=opened(1, idempotency_id="claim_1"),
        claims={"claim_1": ClaimRow("print_1", "req_1", is_answered=False)},
    )
    outcomes = decide(book, [post(0, answered=True), admit(1, call="req_2", claim=MINE)])
    assert outcomes == [Posted(1, "claim_1"), Replayed("req_1")]
    assert figures(book.balances["bal_1"]) == (0, -1, -1)  # It began without a reservation.


def test_a_post_leaves_a_claim_that_another_call_has_taken_over():
    taken = ClaimRow("print_1", "req_9", is_answered=False)
    book = book_of(
        [balance()],
        open=opened(1, idempotency_id="claim_1"),
        claims={"claim_1": taken},
    )
    decide(book, [post(0, answered=True)])
    assert book.claims == {"claim_1": ClaimRow("print_1", "req_9", is_answered=False)}


def test_a_post_ends_the_claim_of_its_call():
    row = balance()
    book = book_of(
        [row],
        open=opened(1, idempotency_id="claim_1"),
        claims={"claim_1": ClaimRow("print_1", "req_1", is_answered=False)},
    )
    outcomes = decide(book, [post(0), admit(1, call="req_2", claim=OTHER)])
    assert outcomes == [Posted(1, "claim_1"), Admitted(1)]
    assert book.now == NOW
