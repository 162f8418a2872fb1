"""Budgets through the real teller: windows that end, edits that others made, end users and tags."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import msgspec
import pytest
from sqlalchemy import select, update

from tests.integration.ledger.books import Books, admitted, settlement
from tests.integration.ledger.storm import Tally, run_all
from torana.admin import budgets
from torana.admin.budget_views import BudgetView
from torana.admin.scopes import ScopeRef
from torana.core.ids import new_id
from torana.db.models import Balance, Reservation
from torana.errors import BudgetExceeded, BudgetReserved, ToranaError
from torana.ledger.accounts import open_from_templates
from torana.ledger.bounds import Bound
from torana.ledger.open_lane import open_lane
from torana.ledger.records import Ask, Receipt
from torana.ledger.teller import Teller
from torana.ledger.terms import BudgetTerms, read_terms

AGO = timedelta(hours=2)


@pytest.fixture
def books(shared_database) -> Iterator[Books]:
    with Books(shared_database) as made:
        made.teller.close()
        made.teller = teller_of(made)
        yield made
        assert made.differences() == []


def teller_of(books: Books) -> Teller:
    """A teller as a process has it that can open accounts."""
    return Teller(
        open_lane(books.database, new_id("own")),
        books.batches,
        open_account=partial(open_from_templates, books.database),
    )


def name_of(stem: str) -> str:
    """A name that no other test uses."""
    return f"{stem}-{new_id('req')}"


def budget(books: Books, amount: int, ref: ScopeRef | None = None, **terms: Any) -> BudgetView:
    fields: dict[str, Any] = {"period": "interval", "interval_seconds": 60} | terms
    ref = ref or ScopeRef(kind="key", id=books.key_id)
    return budgets.create_budget(books.database, ref, BudgetTerms(amount_nano=amount, **fields))


def windows(books: Books, budget_id: str) -> list[Balance]:
    """All windows of a budget, the oldest first."""
    with books.database.read() as session:
        query = select(Balance).where(Balance.budget_id == budget_id)
        return list(session.scalars(query.order_by(Balance.window_start)))


def listed(books: Books) -> tuple[str, ...]:
    """The windows that the key's account lists."""
    with books.database.read() as session:
        row = session.scalars(
            select(Balance).where(Balance.scope_id == books.key_id, Balance.budget_id == "")
        ).one()
        return read_terms(row.terms).windows


def let_end(books: Books, budget_id: str, *receipts: Receipt) -> list[Receipt]:
    """Put the present window two hours into the past, and open calls of it with it."""
    with books.database.write() as session:
        for row in session.scalars(select(Balance).where(Balance.budget_id == budget_id)):
            row.window_start -= AGO
            assert row.window_end is not None
            row.window_end -= AGO
        for receipt in receipts:
            session.execute(
                update(Reservation)
                .where(Reservation.call_id == receipt.record.call_id)
                .values(admitted_at=receipt.admitted_at - AGO)
            )
    return [
        msgspec.structs.replace(receipt, admitted_at=receipt.admitted_at - AGO)
        for receipt in receipts
    ]


# --- windows that end --------------------------------------------------------------------------


def test_after_the_end_of_its_window_a_budget_begins_anew(books):
    made = budget(books, 100)
    receipt = books.admit(100)
    with pytest.raises(BudgetReserved):
        books.admit(1)
    (old_call,) = let_end(books, made.id, receipt)
    new_call = books.admit(90)
    old, new = windows(books, made.id)
    assert old.window_end is not None
    assert new.window_end is not None
    assert new.window_start >= old.window_end
    assert new.window_start <= new_call.admitted_at < new.window_end
    assert listed(books) == (new.id,)
    assert new.id in new_call.balance_ids
    assert old.id not in new_call.balance_ids
    assert (old.reserved_nano, old.open_calls) == (100, 1)
    assert (new.reserved_nano, new.open_calls, new.limit_nano) == (90, 1, 100)
    # What was admitted in the old window is spent there.
    books.teller.post(old_call, settlement(70))
    books.teller.post(new_call, settlement(20))
    old, new = windows(books, made.id)
    assert (old.spent_nano, old.reserved_nano) == (70, 0)
    assert (new.spent_nano, new.reserved_nano) == (20, 0)
    assert books.figures() == (90, 0, 0)


def test_a_post_alone_begins_no_window(books):
    made = budget(books, 100)
    (call,) = let_end(books, made.id, books.admit(100))
    books.teller.post(call, settlement(70))
    (row,) = windows(books, made.id)
    assert (row.spent_nano, row.reserved_nano) == (70, 0)


def test_a_refused_call_may_begin_a_window_and_consumes_nothing(books):
    made = budget(books, 100)
    let_end(books, made.id)
    with pytest.raises(BudgetExceeded):
        books.admit(101)
    assert all(row.reserved_nano == row.open_calls == 0 for row in windows(books, made.id))
    assert listed(books) == (windows(books, made.id)[-1].id,)


def test_two_tellers_that_begin_a_window_at_once_make_one(books):
    tellers = [books.teller, *[teller_of(books) for _ in range(3)]]
    made = budget(books, 1000)
    for turn in range(1, 4):
        let_end(books, made.id)
        start = threading.Barrier(len(tellers))
        found: list[Receipt] = []

        def admit(
            teller: Teller, start: threading.Barrier = start, found: list[Receipt] = found
        ) -> None:
            start.wait(10)
            found.append(admitted(teller, books.record(), 10))

        run_all([partial(admit, teller) for teller in tellers], Tally())
        rows = windows(books, made.id)
        assert len(rows) == turn + 1
        assert all(rows[-1].id in receipt.balance_ids for receipt in found)
        assert (rows[-1].reserved_nano, rows[-1].open_calls) == (40, 4)
        # They are posted where they are; the next turn moves them with their window.
        for receipt in found:
            books.teller.post(receipt, settlement(0))
    for teller in tellers[1:]:
        teller.close()


# --- edits of others ---------------------------------------------------------------------------


def test_a_budget_that_was_just_made_counts_in_the_next_transaction_of_every_process(books):
    other = teller_of(books)
    for teller in (books.teller, other):
        books.teller.post(admitted(teller, books.record(), 10), settlement(10))
    made = budget(books, 60, period="month", interval_seconds=0)
    # What was spent before counts already.
    with pytest.raises(BudgetExceeded):
        admitted(other, books.record(), 41)
    receipt = admitted(other, books.record(), 40)
    with pytest.raises(BudgetReserved):
        books.admit(1)
    budgets.update_budget(books.database, made.id, budgets.BudgetChange(amount_nano=61))
    books.teller.post(books.admit(1), settlement(0))
    budgets.delete_budget(books.database, made.id)
    books.teller.post(admitted(other, books.record(), 10**6), settlement(0))
    # The call that was open meanwhile is posted where it still counts.
    other.post(receipt, settlement(40))
    assert books.figures() == (60, 0, 0)
    other.close()


def test_a_window_that_takes_the_place_of_another_carries_its_open_calls(books):
    made = budget(books, 100, period="month", interval_seconds=0)
    receipt = books.admit(70)
    (old,) = windows(books, made.id)
    budgets.update_budget(books.database, made.id, budgets.BudgetChange(period="total"))
    (new,) = windows(books, made.id)
    assert (new.id != old.id, new.reserved_nano, new.open_calls) == (True, 70, 1)
    with pytest.raises(BudgetReserved):
        books.admit(31)
    books.teller.post(receipt, settlement(30))
    (new,) = windows(books, made.id)
    assert (new.spent_nano, new.reserved_nano, new.open_calls) == (30, 0, 0)


def test_a_clamping_budget_gives_what_it_has_room_for(books):
    budget(books, 100, mode="clamp")
    wish = Ask(bound=Bound(fixed=10_000_000, per_output=1_000_000, output=500))
    receipt = books.teller.admit(books.record(), wish)
    assert isinstance(receipt, Receipt)
    assert (receipt.bound_nano, receipt.output) == (100, 90)
    books.teller.post(receipt, settlement(30))
    receipt = books.teller.admit(books.record(), wish)
    assert isinstance(receipt, Receipt)
    assert (receipt.bound_nano, receipt.output) == (70, 60)
    books.teller.post(receipt, settlement(0))


def test_a_budgets_thresholds_are_events(books):
    made = budget(books, 100, thresholds=(50, 100), period="month", interval_seconds=0)
    for cost in (49, 1, 50):
        books.teller.post(books.admit(0), settlement(cost))
    events = budgets.budget_events(books.database, budget_id=made.id)
    assert [(event.percent, event.spent_usd, event.limit_usd) for event in events] == [
        (100, "0.0000001", "0.0000001"),
        (50, "0.00000005", "0.0000001"),
    ]


# --- end users and tags ------------------------------------------------------------------------


@pytest.fixture
def dynamic(books) -> Iterator[Books]:
    """Books whose templates end with the test: they count on the project that all tests share."""
    before = {view.id for view in budgets.list_budgets(books.database)}
    yield books
    for view in budgets.list_budgets(books.database):
        if view.id not in before:
            budgets.delete_budget(books.database, view.id)


MONTH: dict[str, Any] = {"period": "month", "interval_seconds": 0}


@pytest.mark.parametrize("project", ["default", None])
def test_each_end_user_has_the_templates_budget_for_itself(dynamic, project):
    books = dynamic
    alice, bob = name_of("alice"), name_of("bob")
    budget(books, 100, ScopeRef(kind="end_user", id="*", project=project), **MONTH)
    receipt = books.admit(60, end_user=alice)
    with pytest.raises(BudgetReserved, match=f"end user '{alice}'"):
        books.admit(41, end_user=alice)
    books.teller.post(books.admit(100, end_user=bob), settlement(1))
    books.teller.post(books.admit(10**6), settlement(1))
    books.teller.post(receipt, settlement(60))
    other = teller_of(books)
    with pytest.raises(BudgetExceeded):
        admitted(other, books.record(end_user=alice), 41)
    other.close()


def test_an_end_users_calls_from_before_its_account_count(dynamic):
    books = dynamic
    alice = name_of("alice")
    books.teller.post(books.admit(10, end_user=alice), settlement(10))
    receipt = books.admit(20, end_user=alice)
    budget(books, 100, ScopeRef(kind="end_user", id="*", project="default"), **MONTH)
    with pytest.raises(BudgetReserved):
        books.admit(71, end_user=alice)
    books.teller.post(books.admit(70, end_user=alice), settlement(0))
    books.teller.post(receipt, settlement(20))


def test_each_value_of_a_tag_has_the_templates_budget_for_itself(dynamic):
    books = dynamic
    name = name_of("t")
    budget(books, 100, ScopeRef(kind="tag", id=f"{name}=*", project="default"), **MONTH)
    receipt = books.admit(60, tags={name: "red", "other": "x"})
    with pytest.raises(BudgetReserved, match=f"tag '{name}=red'"):
        books.admit(41, tags={name: "red"})
    books.teller.post(books.admit(100, tags={name: "blue"}), settlement(1))
    books.teller.post(receipt, settlement(1))


def test_many_new_tags_of_one_call_are_opened_together(dynamic):
    books = dynamic
    names = [name_of("t") for _ in range(8)]
    for name in names:
        budget(books, 100, ScopeRef(kind="tag", id=f"{name}=*"), **MONTH)
    receipt = books.admit(60, tags=dict.fromkeys(names, "x"))
    assert len(receipt.balance_ids) == 4 + 2 * len(names)
    books.teller.post(receipt, settlement(60))


def test_tellers_that_meet_a_new_end_user_at_once_open_one_account(dynamic):
    books = dynamic
    alice = name_of("alice")
    budget(books, 100, ScopeRef(kind="end_user", id="*", project="default"), **MONTH)
    tellers = [teller_of(books) for _ in range(4)]
    start = threading.Barrier(len(tellers))
    outcomes: list[Receipt | ToranaError] = []

    def admit(teller: Teller) -> None:
        start.wait(10)
        try:
            outcomes.append(admitted(teller, books.record(end_user=alice), 40))
        except BudgetReserved as error:
            outcomes.append(error)

    run_all([partial(admit, teller) for teller in tellers], Tally())
    receipts = [one for one in outcomes if isinstance(one, Receipt)]
    assert len(receipts) == 2
    with books.database.read() as session:
        rows = session.scalars(select(Balance).where(Balance.scope_id.endswith(alice))).all()
    assert sorted(bool(row.budget_id) for row in rows) == [False, True]
    for receipt in receipts:
        books.teller.post(receipt, settlement(0))
    for teller in tellers:
        teller.close()
