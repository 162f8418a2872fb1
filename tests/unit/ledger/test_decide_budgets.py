"""Budgets in the judgement: clamping, raises, thresholds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.ledger.judging import (
    NOW,
    admit,
    at,
    book_of,
    figures,
    judge,
    opened,
    post,
    us,
    window,
    writes,
)
from torana.core.money import UNITS
from torana.ledger.decide import Abandoned, Balance, decide
from torana.ledger.items import Admit, Admitted, Posted, Refusal, Refused

# --- clamping ----------------------------------------------------------------------------------


def test_a_clamping_budget_lets_a_call_write_what_it_has_room_for():
    row = window(limit=100, spent=40, mode="clamp")
    assert judge([row], writes(1000, fixed=10)) == [Admitted(60, output=50)]
    assert figures(row) == (40, 60, 1)


def test_what_fits_is_not_clamped_and_the_provider_is_told_nothing():
    row = window(limit=100, mode="clamp")
    assert judge([row], writes(100)) == [Admitted(100, output=None)]


def test_under_a_hard_budget_a_call_without_a_limit_of_its_own_is_held_to_its_bound():
    assert judge([window(limit=100)], writes(70, capped=True)) == [Admitted(70, output=70)]
    free = window(limit=None)
    assert judge([free], writes(70, capped=True)) == [Admitted(70, output=None)]


def test_the_last_token_that_fits_is_allowed_and_none_is_refused():
    row = window(limit=11, mode="clamp")
    assert judge([row], writes(1000, fixed=10)) == [Admitted(11, output=1)]
    row = window(limit=10, mode="clamp")
    (outcome,) = judge([row], writes(1000, fixed=10))
    assert outcome == Refused(
        Refusal.BUDGET,
        "key",
        "key_1",
        budget_id="bud_bal_w",
        limit=10,
        used=0,
        needed=11,
        until=row.window_end,
    )
    assert figures(row) == (0, 0, 0)


def test_a_clamping_budget_refuses_for_good_only_when_the_spent_leaves_no_token():
    (outcome,) = judge(
        [window(limit=100, spent=80, reserved=15, mode="clamp")], writes(9, fixed=10)
    )
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.used, outcome.needed) == (Refusal.RESERVED, 95, 11)
    (outcome,) = judge([window(limit=100, spent=90, reserved=5, mode="clamp")], writes(9, fixed=10))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.used, outcome.needed) == (Refusal.BUDGET, 90, 11)


def test_what_does_not_cost_by_output_is_not_clamped():
    (outcome,) = judge([window(limit=100, mode="clamp")], admit(101, "bal_w"))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.needed) == (Refusal.BUDGET, 101)


def test_the_tightest_of_several_clamping_budgets_counts_for_all():
    rows = [
        window("bal_1", limit=80, mode="clamp"),
        window("bal_2", "project", limit=50, mode="clamp"),
        window("bal_3", "organisation", limit=60, mode="clamp"),
    ]
    assert judge(rows, writes(100, "bal_1", "bal_2", "bal_3")) == [Admitted(50, output=50)]
    assert [row.reserved_nano for row in rows] == [50, 50, 50]


def test_what_a_clamping_budget_leaves_is_what_a_refusing_one_must_have_room_for():
    for order in (("bal_r", "bal_c"), ("bal_c", "bal_r")):
        rows = [window("bal_r", limit=60), window("bal_c", limit=40, mode="clamp")]
        assert judge(rows, writes(100, *order)) == [Admitted(40, output=40)], order


def test_a_refusing_budget_is_final_only_for_what_the_clamping_one_leaves():
    rows = [
        window("bal_r", limit=60, spent=10, reserved=20),
        window("bal_c", limit=40, mode="clamp"),
    ]
    (outcome,) = judge(rows, writes(100, "bal_r", "bal_c"))
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.budget_id) == (Refusal.RESERVED, "bud_bal_r")
    assert outcome.needed == 40


ROWS = st.lists(
    st.builds(
        lambda limit, spent, reserved, mode: (limit, spent, reserved, mode),
        st.none() | st.integers(0, 200),
        st.integers(0, 100),
        st.integers(0, 100),
        st.sampled_from(["refuse", "clamp"]),
    ),
    min_size=1,
    max_size=5,
)


@given(
    columns=ROWS,
    fixed=st.integers(0, 100 * UNITS),
    per_output=st.integers(0, 2 * UNITS),
    output=st.integers(1, 100),
)
def test_the_output_is_the_largest_that_all_budgets_have_room_for(
    columns, fixed, per_output, output
):
    rows = [
        window(f"bal_{number}", limit=limit, spent=spent, reserved=reserved, mode=mode)
        for number, (limit, spent, reserved, mode) in enumerate(columns)
    ]
    item = Admit(
        call_id="req_1",
        balance_ids=tuple(row.id for row in rows),
        fixed=fixed,
        per_output=per_output,
        output=output,
    )
    clamps = [row for row in rows if row.limit_nano is not None and mode_of(row) == "clamp"]
    refuses = [row for row in rows if row.limit_nano is not None and mode_of(row) == "refuse"]
    # By trying every number of tokens, beginning with the most.
    tries = range(output, 0, -1) if per_output else [output]
    allowed = next((n for n in tries if fit_all(clamps, item.nano(n))), None)
    fits = allowed is not None and fit_all(refuses, item.nano(allowed))
    before = [figures(row) for row in rows]
    (outcome,) = judge(rows, item)
    if fits:
        assert allowed is not None
        assert outcome == Admitted(item.nano(allowed), allowed if allowed < output else None)
    else:
        assert isinstance(outcome, Refused)
        assert outcome.reason in {Refusal.BUDGET, Refusal.RESERVED}
        assert [figures(row) for row in rows] == before


def mode_of(row: Balance) -> str:
    assert row.terms.budget is not None
    return row.terms.budget.mode


def fit_all(rows: list[Balance], bound: int) -> bool:
    return all(row.spent_nano + row.reserved_nano + bound <= (row.limit_nano or 0) for row in rows)


# --- raises ------------------------------------------------------------------------------------


def test_a_raise_ends_at_its_instant():
    until = at(60)
    for now, fits in ((NOW, True), (at(59.999999), True), (until, False), (at(61), False)):
        row = window(limit=100, raise_nano=50, raise_until=us(until))
        (outcome,) = judge([row], admit(150, "bal_w"), now=now)
        assert isinstance(outcome, Admitted) == fits
    (outcome,) = judge(
        [window(limit=100, raise_nano=50, raise_until=us(until))], admit(151, "bal_w")
    )
    assert isinstance(outcome, Refused)
    assert outcome.limit == 150


# --- thresholds --------------------------------------------------------------------------------


def posted(row: Balance, cost: int) -> list[tuple[int, int, int]]:
    """Post a call of a budget; the thresholds that it reaches, with spending and limit."""
    row.reserved_nano, row.open_calls = 1, 1
    book = book_of([row], open=opened(1, row.id))
    assert decide(book, [post(cost)]) == [Posted(1)]
    return [(found.percent, found.spent_nano, found.limit_nano) for found in book.thresholds]


def test_each_threshold_is_reached_once_and_at_its_exact_amount():
    row = window(limit=200, thresholds=(50, 80, 100))
    assert posted(row, 99) == []
    assert posted(row, 1) == [(50, 100, 200)]
    assert posted(row, 1) == []
    assert posted(row, 59) == [(80, 160, 200)]
    assert posted(row, 300) == [(100, 460, 200)]
    assert posted(row, 300) == []
    assert row.notified == 100


def test_a_dear_call_reaches_several_at_once():
    row = window(limit=100, thresholds=(10, 50, 150, 1000))
    assert posted(row, 150) == [(10, 150, 100), (50, 150, 100), (150, 150, 100)]
    assert row.notified == 150


def test_a_threshold_counts_the_raised_limit():
    row = window(limit=100, thresholds=(100,), raise_nano=100, raise_until=us(at(1)))
    assert posted(row, 100) == []
    assert posted(row, 100) == [(100, 200, 200)]


def test_a_budget_of_nothing_has_no_thresholds():
    assert posted(window(limit=0), 50) == []


def test_an_account_has_no_thresholds():
    row = window(limit=10)
    row.terms = type(row.terms)()
    assert posted(row, 50) == []


def test_a_correction_may_reach_a_threshold_and_takes_none_back():
    row = window(limit=100, spent=60, thresholds=(50, 80))
    row.notified = 50
    book = book_of([row], abandoned={"req_1": Abandoned(10, ("bal_w",))})
    decide(book, [post(40)])
    assert [(found.percent, found.spent_nano) for found in book.thresholds] == [(80, 90)]
    book = book_of([row], abandoned={"req_1": Abandoned(90, ("bal_w",))})
    decide(book, [post(0)])
    assert (book.thresholds, row.spent_nano, row.notified) == ([], 0, 80)
