"""The judgement of calls, by example: what is let in, what is posted, and in which order.

`test_decide_model.py` holds it against a model; rates, budgets and claims have files of their own.
"""

from __future__ import annotations

import pytest

from tests.unit.ledger.judging import (
    admit,
    balance,
    book_of,
    figures,
    judge,
    opened,
    post,
    window,
)
from torana.ledger.decide import Abandoned, decide
from torana.ledger.items import (
    ALREADY_POSTED,
    Admitted,
    Corrected,
    Extend,
    Extended,
    Gone,
    Item,
    Posted,
    Refusal,
    Refused,
)


def test_a_call_that_fits_exactly_is_admitted():
    row = balance(limit=100, spent=30, reserved=50, open_calls=1)
    assert judge([row], admit(20)) == [Admitted(20)]
    assert figures(row) == (30, 70, 2)


def test_a_call_that_is_one_nano_dollar_too_dear_is_refused_and_changes_nothing():
    row = balance(limit=100, spent=30, reserved=50, open_calls=1)
    (outcome,) = judge([row], admit(21))
    assert isinstance(outcome, Refused)
    assert figures(row) == (30, 50, 1)


def test_without_a_limit_every_call_is_admitted():
    row = balance(limit=None, spent=10**15)
    assert judge([row], admit(10**15)) == [Admitted(10**15)]


def test_a_limit_of_zero_admits_only_what_is_free():
    assert judge([balance(limit=0)], admit(0)) == [Admitted(0)]
    assert isinstance(judge([balance(limit=0)], admit(1))[0], Refused)


def test_a_bound_is_rounded_up_once():
    item = admit(0, per_output=400_000, output=3)
    assert judge([balance()], item) == [Admitted(2)]


def test_a_refusal_is_final_when_what_is_spent_stands_in_the_way_by_itself():
    (outcome,) = judge([balance(limit=100, spent=90, reserved=5)], admit(11))
    assert outcome == Refused(Refusal.BUDGET, "key", "key_1", limit=100, used=90, needed=11)


def test_a_refusal_is_not_final_when_open_calls_stand_in_the_way():
    (outcome,) = judge([balance(limit=100, spent=90, reserved=5)], admit(10))
    assert outcome == Refused(Refusal.RESERVED, "key", "key_1", limit=100, used=95, needed=10)


def test_a_refusal_of_a_budget_names_it_and_when_its_window_ends():
    row = window(limit=100, spent=90)
    (outcome,) = judge([row], admit(11, "bal_w"))
    assert isinstance(outcome, Refused)
    assert (outcome.budget_id, outcome.until) == ("bud_bal_w", row.window_end)


def test_the_first_scope_that_refuses_is_told_and_the_others_stay_untouched():
    rows = [
        balance("bal_1", "key", limit=100),
        balance("bal_2", "project", limit=10),
        balance("bal_3", "organisation", limit=1),
    ]
    (outcome,) = judge(rows, admit(50, "bal_1", "bal_2", "bal_3"))
    assert isinstance(outcome, Refused)
    assert (outcome.scope_kind, outcome.limit) == ("project", 10)
    assert [figures(row) for row in rows] == [(0, 0, 0)] * 3


@pytest.mark.parametrize("refusing", range(8))
def test_four_accounts_and_their_windows_take_a_call_all_or_none(refusing):
    rows = [
        make(f"bal_{kind}_{make.__name__}", kind, limit=100)
        for kind in ("key", "user", "project", "organisation")
        for make in (balance, window)
    ]
    ids = tuple(row.id for row in rows)
    rows[refusing].limit_nano = 49
    (outcome,) = judge(rows, admit(50, *ids))
    assert isinstance(outcome, Refused)
    assert outcome.limit == 49
    assert [figures(row) for row in rows] == [(0, 0, 0)] * 8
    rows[refusing].limit_nano = 50
    assert judge(rows, admit(50, *ids)) == [Admitted(50)]
    assert [figures(row) for row in rows] == [(0, 50, 1)] * 8


@pytest.mark.parametrize("word", ["revoked", "suspended"])
def test_a_blocked_scope_refuses_even_what_is_free_and_without_limit(word):
    row = balance(blocked=word)
    (outcome,) = judge([row], admit(0))
    assert outcome == Refused(Refusal.BLOCKED, "key", "key_1", detail=word)
    assert figures(row) == (0, 0, 0)


def test_an_account_with_a_list_of_models_refuses_others_by_name():
    rows = [balance(models=("small*", "tiny"))]
    assert judge(rows, admit(0, model="small-7b")) == [Admitted(0)]
    (outcome,) = judge(rows, admit(0, model="large"))
    assert outcome == Refused(Refusal.MODEL, "key", "key_1", detail="large")


def test_a_budget_with_a_list_of_models_refuses_others_by_name():
    rows = [window(limit=5, models=("tiny",))]
    assert judge(rows, admit(1, "bal_w", model="tiny")) == [Admitted(1)]
    (outcome,) = judge(rows, admit(1, "bal_w", model="large"))
    assert isinstance(outcome, Refused)
    assert outcome.reason is Refusal.MODEL


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


# --- the order of judgement --------------------------------------------------------------------


def test_reasons_are_judged_in_one_order_over_all_scopes():
    """Whoever may not call at all learns nothing of rates, and nobody over a rate of budgets."""
    account = balance(
        blocked="suspended", models=("tiny",), rpm=1, request_tat=10**30, concurrency=0, limit=0
    )
    item = admit(1, "bal_2", "bal_1", model="large")
    # Its own scope is the last one asked.
    rows = [account, balance("bal_2", "project", limit=0, spent=1)]
    found = []
    for remedy in (
        {"blocked": None},
        {"models": None},
        {"request_tat": 0},
        {"concurrency": None},
        {},
    ):
        (outcome,) = judge(rows, item)
        assert isinstance(outcome, Refused)
        found.append(outcome.reason)
        for name, value in remedy.items():
            if name in account.terms.__struct_fields__:
                terms = {
                    field: getattr(account.terms, field)
                    for field in account.terms.__struct_fields__
                }
                account.terms = type(account.terms)(**(terms | {name: value}))
            else:
                setattr(account, name, value)
    assert found == [
        Refusal.BLOCKED,
        Refusal.MODEL,
        Refusal.REQUESTS,
        Refusal.CONCURRENCY,
        Refusal.BUDGET,
    ]


# --- what a hard budget must know --------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"priced": False}, Refusal.UNPRICED, ""),
        ({"suspended": True}, Refusal.SUSPENDED_TARGET, ""),
        ({"unruled": ("tools", "audio")}, Refusal.UNRULED, "tools, audio"),
    ],
)
def test_a_hard_budget_refuses_what_may_cost_anything(fields, reason, detail):
    row = window(limit=10**18)
    (outcome,) = judge([row], admit(0, "bal_w", **fields))
    assert outcome == Refused(reason, "key", "key_1", detail=detail)
    # Where nothing is limited, nothing must be known.
    assert judge([balance()], admit(0, **fields)) == [Admitted(0)]


# --- posts -------------------------------------------------------------------------------------


def test_a_call_of_a_blocked_scope_can_still_be_posted():
    row = balance(blocked="revoked", reserved=50, open_calls=1)
    assert judge([row], post(20), open=opened(50)) == [Posted(50)]
    assert figures(row) == (20, 0, 0)


def test_what_a_post_releases_is_free_for_the_next_call_of_the_batch():
    row = balance(limit=100, reserved=100, open_calls=1)
    items: list[Item] = [post(30, "req_1"), admit(70, call="req_2")]
    assert judge([row], *items, open=opened(100)) == [Posted(100), Admitted(70)]
    assert figures(row) == (30, 70, 1)


def test_a_post_without_a_reservation_changes_nothing():
    row = balance(spent=5, reserved=7, open_calls=1)
    assert judge([row], post(20)) == [ALREADY_POSTED]
    assert figures(row) == (5, 7, 1)


def test_of_two_posts_of_a_call_in_one_batch_one_counts():
    row = balance(reserved=50, open_calls=1)
    assert judge([row], post(20), post(20), open=opened(50)) == [Posted(50), ALREADY_POSTED]
    assert figures(row) == (20, 0, 0)


def test_a_post_may_cost_more_than_its_bound():
    row = balance(limit=100, reserved=50, open_calls=1)
    assert judge([row], post(200), open=opened(50)) == [Posted(50)]
    assert figures(row) == (200, 0, 0)


def test_a_post_to_a_scope_that_was_deleted_counts_on_the_others():
    row = balance("bal_1", reserved=50, open_calls=1)
    assert judge([row], post(20), open=opened(50, "bal_1", "bal_9")) == [Posted(50)]
    assert figures(row) == (20, 0, 0)


def test_outcomes_come_in_the_order_of_the_items():
    rows = [balance("bal_1", limit=10), balance("bal_2", reserved=5, open_calls=1)]
    outcomes = judge(
        rows,
        admit(11, "bal_1", call="req_1"),
        post(5, "req_2"),
        admit(10, "bal_1", call="req_3"),
        post(5, "req_4"),
        open=opened(5, "bal_2", call="req_2"),
    )
    assert isinstance(outcomes[0], Refused)
    assert outcomes[1:] == [Posted(5), Admitted(10), ALREADY_POSTED]


def test_nothing_is_judged_to_nothing():
    assert judge([]) == []


# --- extensions --------------------------------------------------------------------------------


def test_an_extension_reserves_the_difference_and_its_repetition_nothing_more():
    rows = [balance("bal_1", limit=100, reserved=30, open_calls=1), window(reserved=30)]
    book = book_of(rows, open=opened(30, "bal_1", "bal_w"))
    assert decide(
        book, [Extend(call_id="req_1", bound_nano=90), Extend(call_id="req_1", bound_nano=90)]
    ) == [Extended(90), Extended(90)]
    assert [row.reserved_nano for row in rows] == [90, 90]
    assert rows[0].open_calls == 1
    assert book.open["req_1"].bound_nano == 90


def test_an_extension_that_has_no_room_changes_nothing():
    rows = [balance("bal_1", reserved=30), window(limit=100, spent=20, reserved=30)]
    book = book_of(rows, open=opened(30, "bal_1", "bal_w"))
    (outcome,) = decide(book, [Extend(call_id="req_1", bound_nano=81)])
    assert outcome == Refused(
        Refusal.BUDGET, "key", "key_1", budget_id="bud_bal_w", limit=100, used=50, needed=51
    )
    assert [row.reserved_nano for row in rows] == [30, 30]
    assert decide(book, [Extend(call_id="req_1", bound_nano=80)]) == [Extended(80)]


def test_a_call_that_the_sweeper_has_posted_can_not_be_extended():
    row = balance(limit=100)
    assert judge([row], Extend(call_id="req_1", bound_nano=10)) == [Gone()]
    assert figures(row) == (0, 0, 0)


def test_a_post_releases_the_extended_bound():
    row = balance(limit=100, reserved=30, open_calls=1)
    outcomes = judge([row], Extend(call_id="req_1", bound_nano=70), post(60), open=opened(30))
    assert outcomes == [Extended(70), Posted(70)]
    assert figures(row) == (60, 0, 0)


# --- corrections -------------------------------------------------------------------------------


@pytest.mark.parametrize(("cost", "spent"), [(30, 130), (120, 220), (100, 200)])
def test_an_abandoned_call_is_corrected_by_the_difference(cost, spent):
    rows = [balance("bal_1", spent=200), window(spent=200), balance("bal_2", spent=5)]
    abandoned = {"req_1": Abandoned(100, ("bal_1", "bal_w", "bal_gone"))}
    outcomes = judge(rows, post(cost), abandoned=abandoned)
    assert outcomes == [Corrected(cost - 100)]
    assert [row.spent_nano for row in rows] == [spent, spent, 5]
    assert all(row.open_calls == row.reserved_nano == 0 for row in rows)


def test_a_call_is_corrected_once():
    row = balance(spent=100)
    abandoned = {"req_1": Abandoned(100, ("bal_1",))}
    outcomes = judge([row], post(30), post(20), abandoned=abandoned)
    assert outcomes == [Corrected(-70), ALREADY_POSTED]
    assert row.spent_nano == 30


def test_a_sweeper_corrects_nobody():
    row = balance(spent=100)
    abandoned = {"req_1": Abandoned(100, ("bal_1",))}
    assert judge([row], post(30, corrects=False), abandoned=abandoned) == [ALREADY_POSTED]
    assert row.spent_nano == 100


def test_another_try_under_a_hard_budget_needs_a_known_cost():
    for unknown, reason in (
        ({"priced": False}, Refusal.UNPRICED),
        ({"suspended": True}, Refusal.SUSPENDED_TARGET),
        ({"unruled": ("tools",)}, Refusal.UNRULED),
    ):
        row = balance(limit=100, reserved=30, open_calls=1)
        item = Extend(call_id="req_1", bound_nano=20, **unknown)
        (outcome,) = judge([row], item, open=opened(30))
        assert isinstance(outcome, Refused)
        assert outcome.reason is reason
        assert row.reserved_nano == 30


def test_another_try_without_a_budget_may_cost_anything():
    row = balance(reserved=30, open_calls=1)
    item = Extend(call_id="req_1", bound_nano=50, priced=False, output=7, capped=True)
    assert judge([row], item, open=opened(30)) == [Extended(50)]
    assert row.reserved_nano == 50


def test_another_try_is_held_to_its_output_by_a_budget_when_nothing_else_holds_it():
    row = balance(limit=100, reserved=30, open_calls=1)
    item = Extend(call_id="req_1", bound_nano=20, output=7, capped=True)
    assert judge([row], item, open=opened(30)) == [Extended(30, 7)]
