"""The judgement of calls, by example. `test_decide_model.py` holds it against a model."""

from __future__ import annotations

from typing import Any

import pytest

from torana.ledger.decide import (
    ADMITTED,
    ALREADY_POSTED,
    POSTED,
    Admit,
    Admitted,
    Balance,
    Item,
    Outcome,
    Post,
    Posted,
    Refusal,
    Refused,
    decide,
)


def balance(identifier: str = "bal_1", kind: str = "key", **columns: Any) -> Balance:
    return Balance(
        id=identifier,
        scope_kind=kind,
        scope_id=f"{kind}_1",
        limit_nano=columns.get("limit"),
        spent_nano=columns.get("spent", 0),
        reserved_nano=columns.get("reserved", 0),
        open_calls=columns.get("open_calls", 0),
        blocked=columns.get("blocked"),
    )


def judge(
    rows: list[Balance], *items: Item, released: frozenset[str] = frozenset()
) -> list[Outcome]:
    return decide({row.id: row for row in rows}, items, released)


def figures(row: Balance) -> tuple[int, int, int]:
    return row.spent_nano, row.reserved_nano, row.open_calls


def admit(bound: int, *balance_ids: str, call: str = "req_1") -> Admit:
    return Admit(call, balance_ids or ("bal_1",), bound)


def post(bound: int, cost: int, *balance_ids: str, call: str = "req_1") -> Post:
    return Post(call, balance_ids or ("bal_1",), bound, cost)


def test_a_call_that_fits_exactly_is_admitted():
    row = balance(limit=100, spent=30, reserved=50, open_calls=1)
    assert judge([row], admit(20)) == [ADMITTED]
    assert figures(row) == (30, 70, 2)


def test_a_call_that_is_one_nano_dollar_too_dear_is_refused_and_changes_nothing():
    row = balance(limit=100, spent=30, reserved=50, open_calls=1)
    (outcome,) = judge([row], admit(21))
    assert isinstance(outcome, Refused)
    assert figures(row) == (30, 50, 1)


def test_without_a_limit_every_call_is_admitted():
    row = balance(limit=None, spent=10**15)
    assert judge([row], admit(10**15)) == [ADMITTED]


def test_a_limit_of_zero_admits_only_what_is_free():
    assert judge([balance(limit=0)], admit(0)) == [ADMITTED]
    assert isinstance(judge([balance(limit=0)], admit(1))[0], Refused)


def test_a_refusal_is_final_when_what_is_spent_stands_in_the_way_by_itself():
    (outcome,) = judge([balance(limit=100, spent=90, reserved=5)], admit(11))
    assert outcome == Refused(Refusal.BUDGET, "key", "key_1", limit_nano=100, used_nano=90)


def test_a_refusal_is_not_final_when_open_calls_stand_in_the_way():
    (outcome,) = judge([balance(limit=100, spent=90, reserved=5)], admit(10))
    assert outcome == Refused(Refusal.RESERVED, "key", "key_1", limit_nano=100, used_nano=95)


def test_the_first_scope_that_refuses_is_told_and_the_others_stay_untouched():
    rows = [
        balance("bal_1", "key", limit=100),
        balance("bal_2", "project", limit=10),
        balance("bal_3", "organisation", limit=1),
    ]
    (outcome,) = judge(rows, admit(50, "bal_1", "bal_2", "bal_3"))
    assert isinstance(outcome, Refused)
    assert (outcome.scope_kind, outcome.limit_nano) == ("project", 10)
    assert [figures(row) for row in rows] == [(0, 0, 0)] * 3


def test_a_call_reserves_its_bound_on_every_scope():
    rows = [balance("bal_1", "key", limit=100), balance("bal_2", "project")]
    assert judge(rows, admit(50, "bal_1", "bal_2")) == [ADMITTED]
    assert [figures(row) for row in rows] == [(0, 50, 1), (0, 50, 1)]


@pytest.mark.parametrize("word", ["revoked", "suspended"])
def test_a_blocked_scope_refuses_even_what_is_free_and_without_limit(word):
    row = balance(blocked=word)
    (outcome,) = judge([row], admit(0))
    assert outcome == Refused(Refusal.BLOCKED, "key", "key_1", detail=word)
    assert figures(row) == (0, 0, 0)


def test_a_call_of_a_blocked_scope_can_still_be_posted():
    row = balance(blocked="revoked", reserved=50, open_calls=1)
    assert judge([row], post(50, 20), released=frozenset({"req_1"})) == [POSTED]
    assert figures(row) == (20, 0, 0)


def test_a_balance_that_does_not_exist_refuses_and_the_others_stay_untouched():
    row = balance()
    (outcome,) = judge([row], admit(1, "bal_1", "bal_9"))
    assert outcome == Refused(Refusal.UNKNOWN_BALANCE, scope_id="bal_9")
    assert figures(row) == (0, 0, 0)


def test_each_call_sees_what_those_before_it_did():
    row = balance(limit=100)
    items = [admit(60, call="req_1"), admit(60, call="req_2"), admit(40, call="req_3")]
    kinds = [type(outcome) for outcome in judge([row], *items)]
    assert kinds == [Admitted, Refused, Admitted]
    assert figures(row) == (0, 100, 2)


def test_what_a_post_releases_is_free_for_the_next_call_of_the_batch():
    row = balance(limit=100, reserved=100, open_calls=1)
    items: list[Item] = [post(100, 30, call="req_1"), admit(70, call="req_2")]
    assert judge([row], *items, released=frozenset({"req_1"})) == [POSTED, ADMITTED]
    assert figures(row) == (30, 70, 1)


def test_a_post_without_a_reservation_changes_nothing():
    row = balance(spent=5, reserved=7, open_calls=1)
    assert judge([row], post(50, 20)) == [ALREADY_POSTED]
    assert figures(row) == (5, 7, 1)


def test_of_two_posts_of_a_call_in_one_batch_one_counts():
    row = balance(reserved=50, open_calls=1)
    outcomes = judge([row], post(50, 20), post(50, 20), released=frozenset({"req_1"}))
    assert [type(outcome) for outcome in outcomes].count(Posted) == 1
    assert figures(row) == (20, 0, 0)


def test_a_post_may_cost_more_than_its_bound():
    row = balance(limit=100, reserved=50, open_calls=1)
    assert judge([row], post(50, 200), released=frozenset({"req_1"})) == [POSTED]
    assert figures(row) == (200, 0, 0)


def test_a_post_to_a_scope_that_was_deleted_counts_on_the_others():
    row = balance("bal_1", reserved=50, open_calls=1)
    assert judge([row], post(50, 20, "bal_1", "bal_9"), released=frozenset({"req_1"})) == [POSTED]
    assert figures(row) == (20, 0, 0)


def test_outcomes_come_in_the_order_of_the_items():
    rows = [balance("bal_1", limit=10), balance("bal_2", reserved=5, open_calls=1)]
    outcomes = judge(
        rows,
        admit(11, "bal_1", call="req_1"),
        post(5, 5, "bal_2", call="req_2"),
        admit(10, "bal_1", call="req_3"),
        post(5, 5, "bal_2", call="req_4"),
        released=frozenset({"req_2"}),
    )
    assert isinstance(outcomes[0], Refused)
    assert outcomes[1:] == [POSTED, ADMITTED, ALREADY_POSTED]


def test_nothing_is_judged_to_nothing():
    assert judge([]) == []
