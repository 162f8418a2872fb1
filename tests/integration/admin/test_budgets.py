"""Budgets: made in the middle of a window, changed, raised and deleted, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.integration.admin.till import NANO, Till, account, assert_exact, windows_of
from torana.admin.budget_views import BudgetView, WindowView
from torana.admin.budgets import (
    BudgetChange,
    budget_events,
    create_budget,
    delete_budget,
    list_budgets,
    raise_budget,
    read_budget,
    update_budget,
)
from torana.admin.scopes import ScopeRef
from torana.admin.tenancy import create_user
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Balance, Budget, BudgetEvent, Reservation
from torana.errors import InvalidRequest, NotFound
from torana.ledger.accounts import open_from_templates
from torana.ledger.terms import BudgetTerms, read_terms

MONTH = BudgetTerms(amount_nano=10 * NANO, period="month")
TOTAL = BudgetTerms(amount_nano=10 * NANO, period="total")
ORGANISATION = ScopeRef(kind="organisation", id="default")
PROJECT = ScopeRef(kind="project", id="default")


def key_ref(till: Till) -> ScopeRef:
    return ScopeRef(kind="key", id=till.made.id)


def shown(view: BudgetView) -> WindowView:
    assert view.window is not None
    return view.window


def figures(view: BudgetView) -> tuple[str, str, str, str, int]:
    window = shown(view)
    return (
        window.limit_usd,
        window.spent_usd,
        window.reserved_usd,
        window.remaining_usd,
        window.open_calls,
    )


@pytest.fixture
def till(database) -> Till:
    create_user(database, email="ada@example.test", password="x" * 12, role="member")
    return Till(database, owner_email="ada@example.test")


REFS: dict[str, Callable[[Till], ScopeRef]] = {
    "key": key_ref,
    "user": lambda _: ScopeRef(kind="user", id="Ada@example.test"),
    "project": lambda _: PROJECT,
    "organisation": lambda _: ORGANISATION,
    "end_user": lambda _: ScopeRef(kind="end-user", id="alice", project="default"),
    "end user of all": lambda _: ScopeRef(kind="end-user", id="alice"),
    "tag": lambda _: ScopeRef(kind="tag", id="team=red", project="default"),
    "tag of all": lambda _: ScopeRef(kind="tag", id="team=red"),
}


@pytest.mark.parametrize("scope", REFS)
def test_a_budget_counts_what_is_spent_and_open_when_it_is_made(database, till, scope):
    whose: dict[str, Any] = {"end_user": "alice", "tags": {"team": "red"}}
    till.spend(2 * NANO, **whose)
    till.spend(7, **whose)
    call = till.admit(3 * NANO, **whose)
    if scope in {"end_user", "end user of all", "tag", "tag of all"}:
        till.spend(NANO, end_user="bob", tags={"team": "blue"})
    view = create_budget(database, REFS[scope](till), MONTH)
    assert figures(view) == ("10", "2.000000007", "3", "4.999999993", 1)
    assert (shown(view).percent, view.amount_usd, view.period) == (20, "10", "month")
    assert_exact(database)
    till.post(call, NANO)
    assert figures(read_budget(database, view.id)) == ("10", "3.000000007", "0", "6.999999993", 0)
    till.spend(NANO, **whose)
    assert_exact(database)


def test_a_scope_can_have_several_budgets(database, till):
    first, second = (create_budget(database, key_ref(till), terms) for terms in (MONTH, TOTAL))
    till.spend(NANO)
    assert [view.id for view in list_budgets(database, ref=key_ref(till))] == [first.id, second.id]
    assert len(read_terms(account(database, till.made.id).terms).windows) == 2
    for view in list_budgets(database):
        assert figures(view)[1] == "1"
    assert_exact(database)


def test_a_call_of_the_window_before_is_not_counted(database, till):
    till.spend(NANO, ago=timedelta(days=40))
    old = till.admit(NANO, ago=timedelta(days=40))
    view = create_budget(database, key_ref(till), MONTH)
    assert figures(view) == ("10", "0", "0", "10", 0)
    till.post(old, NANO)
    assert figures(read_budget(database, view.id))[1] == "0"
    assert_exact(database)


def test_a_changed_amount_counts_at_once_and_no_threshold_twice(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    till.spend(6 * NANO)
    update_budget(database, view.id, BudgetChange(amount_nano=7 * NANO, mode="clamp", name="n"))
    (row,) = windows_of(database, view.id)
    assert (row.limit_nano, row.spent_nano, row.notified) == (7 * NANO, 6 * NANO, 80)
    budget = read_terms(row.terms).budget
    assert budget is not None
    assert (budget.amount_nano, budget.mode) == (7 * NANO, "clamp")
    changed = read_budget(database, view.id)
    assert (changed.name, changed.mode, changed.amount_usd) == ("n", "clamp", "7")
    update_budget(database, view.id, BudgetChange(thresholds=(10, 90)))
    assert windows_of(database, view.id)[0].notified == 10
    assert figures(update_budget(database, view.id, BudgetChange(amount_nano=1)))[3].startswith("-")


def test_another_period_counts_its_window_anew(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    till.spend(NANO, ago=timedelta(days=80))
    till.spend(2 * NANO)
    call = till.admit(3 * NANO)
    (before,) = windows_of(database, view.id)
    changed = update_budget(database, view.id, BudgetChange(period="total"))
    (row,) = windows_of(database, view.id)
    assert row.id != before.id
    # The first of the calls was put on the month by hand, and belongs to none.
    assert figures(changed) == ("10", "3", "3", "4", 1)
    with database.read() as session:
        ids = session.get_one(Reservation, call).balance_ids
    assert row.id in ids
    assert before.id not in ids
    till.post(call, NANO)
    assert_exact(database)
    again = update_budget(database, view.id, BudgetChange(period="day", zone="Asia/Kolkata"))
    assert (again.time_zone, figures(again)[1]) == ("Asia/Kolkata", "3")
    assert_exact(database)


def test_the_same_window_by_another_name_stays(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    before = windows_of(database, view.id)
    update_budget(database, view.id, BudgetChange(zone="Etc/UTC"))
    assert [row.id for row in windows_of(database, view.id)] == [row.id for row in before]


def test_an_interval_loses_what_only_it_has(database, till):
    terms = BudgetTerms(amount_nano=NANO, period="interval", interval_seconds=3600, starts_at=5)
    view = create_budget(database, key_ref(till), terms)
    assert (view.interval_seconds, view.starts_at is not None) == (3600, True)
    changed = update_budget(database, view.id, BudgetChange(period="week"))
    assert (changed.interval_seconds, changed.starts_at) == (None, None)


def test_a_window_that_has_ended_is_history_when_its_budget_changes(database, till):
    day = BudgetTerms(amount_nano=NANO, period="day")
    view = create_budget(database, key_ref(till), day)
    yesterday = timedelta(days=1)
    with database.write() as session:  # Nobody has called since yesterday.
        row = session.scalars(select(Balance).where(Balance.budget_id == view.id)).one()
        assert row.window_end is not None
        row.window_start, row.window_end = row.window_start - yesterday, row.window_end - yesterday
    assert shown(read_budget(database, view.id)).end == shown(view).end
    update_budget(database, view.id, BudgetChange(amount_nano=2 * NANO))
    past, present = windows_of(database, view.id)
    assert (past.limit_nano, present.limit_nano) == (NANO, 2 * NANO)
    assert read_terms(account(database, till.made.id).terms).windows == (present.id,)
    # A week that begins where the past day did takes its place.
    update_budget(
        database,
        view.id,
        BudgetChange(period="interval", interval_seconds=86_400 * 2, starts_at=past.window_start),
    )
    (window,) = windows_of(database, view.id)
    assert window.window_start == past.window_start
    assert_exact(database)


def test_a_raise_ends_by_itself(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    until = utc_now() + timedelta(hours=1)
    raised = raise_budget(database, view.id, amount_nano=5 * NANO, until=until)
    assert (raised.raise_usd, raised.raise_until, shown(raised).limit_usd) == ("5", until, "15")
    (row,) = windows_of(database, view.id)
    budget = read_terms(row.terms).budget
    assert budget is not None
    assert (row.limit_nano, budget.raise_nano) == (10 * NANO, 5 * NANO)
    with database.write() as session:
        past = utc_now() - timedelta(seconds=1)
        session.execute(update(Budget).where(Budget.id == view.id).values(raise_until=past))
    ended = read_budget(database, view.id)
    assert (ended.raise_usd, ended.raise_until, shown(ended).limit_usd) == (None, None, "10")
    # A raise that has ended does not stand in the way of a change.
    assert update_budget(database, view.id, BudgetChange(mode="clamp")).mode == "clamp"


def test_a_raise_can_be_ended_and_needs_an_end(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    for until in (None, utc_now() - timedelta(seconds=1)):
        with pytest.raises(InvalidRequest) as caught:
            raise_budget(database, view.id, amount_nano=1, until=until)
        assert caught.value.param == "until"
    raise_budget(database, view.id, amount_nano=1, until=utc_now() + timedelta(days=1))
    assert raise_budget(database, view.id, amount_nano=0, until=None).raise_usd is None


def test_a_deleted_budget_leaves_nothing_but_the_ledger(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    other = create_budget(database, PROJECT, MONTH)
    call = till.admit(NANO)
    assert delete_budget(database, view.id).id == view.id
    assert windows_of(database, view.id) == []
    assert read_terms(account(database, till.made.id).terms).windows == ()
    assert [row.id for row in list_budgets(database)] == [other.id]
    assert_exact(database)
    till.post(call, NANO)
    assert_exact(database)
    for act in (
        lambda: read_budget(database, view.id),
        lambda: delete_budget(database, view.id),
        lambda: update_budget(database, view.id, BudgetChange(name="x")),
        lambda: raise_budget(database, view.id, amount_nano=0, until=None),
        lambda: budget_events(database, view.id),
    ):
        with pytest.raises(NotFound, match="no budget"):
            act()


@pytest.mark.parametrize("where", ["project", "organisation"])
@pytest.mark.parametrize(
    ("kind", "one", "each", "dimension"),
    [("end_user", "alice", "*", "end_user"), ("tag", "team=red", "team=*", "tag:team")],
)
def test_a_template_stands_for_each(database, till, where, kind, one, each, dimension):
    project = "default" if where == "project" else None
    anchor = till.caller.project_id if where == "project" else till.caller.organisation_id
    whose: dict[str, Any] = {"end_user": "alice", "tags": {"team": "red"}}
    till.spend(NANO, **whose)
    own = create_budget(database, ScopeRef(kind=kind, id=one, project=project), TOTAL)
    terms = read_terms(account(database, anchor).terms)
    assert (terms.dimensions, terms.revision) == ((dimension,), 1)
    template = create_budget(database, ScopeRef(kind=kind, id=each, project=project), MONTH)
    assert (template.is_template, template.window) == (True, None)
    (row,) = windows_of(database, template.id)  # Of the one who has an account already.
    assert (row.scope_id, row.spent_nano) == (f"{anchor}/{one}", NANO)
    # Somebody calls for the first time, or did so before anyone counted.
    other = one.replace("alice", "bob").replace("red", "blue")
    till.spend(5, end_user="bob", tags={"team": "blue"})
    made = open_from_templates(database, kind, f"{anchor}/{other}")
    assert open_from_templates(database, kind, f"{anchor}/{other}") == made
    rows = windows_of(database, template.id)
    assert {row.scope_id: row.spent_nano for row in rows} == {
        f"{anchor}/{one}": NANO,
        f"{anchor}/{other}": 5,
    }
    assert_exact(database)
    update_budget(database, template.id, BudgetChange(amount_nano=NANO))
    assert {row.limit_nano for row in windows_of(database, template.id)} == {NANO}
    delete_budget(database, template.id)
    assert windows_of(database, template.id) == []
    assert read_terms(account(database, f"{anchor}/{one}").terms).windows == (
        windows_of(database, own.id)[0].id,
    )
    terms = read_terms(account(database, anchor).terms)
    assert (terms.dimensions, terms.revision) == ((dimension,), 3)
    assert_exact(database)


def test_a_template_of_one_tag_is_none_of_another(database):
    for tag in ("team=red", "Team=red", "team2=red"):
        create_budget(database, ScopeRef(kind="tag", id=tag), TOTAL)
    template = create_budget(database, ScopeRef(kind="tag", id="team=*"), MONTH)
    (row,) = windows_of(database, template.id)
    assert row.scope_id.endswith("/team=red")


def test_events_are_listed_newest_first(database, till):
    view = create_budget(database, key_ref(till), MONTH)
    assert budget_events(database, view.id) == []
    (row,) = windows_of(database, view.id)
    with database.write() as session:
        for percent in (50, 80):
            session.add(
                BudgetEvent(
                    id=new_id("evt"),
                    budget_id=view.id,
                    balance_id=row.id,
                    scope_kind="key",
                    scope_id=till.made.id,
                    window_start=row.window_start,
                    percent=percent,
                    spent_nano=percent * NANO // 10,
                    limit_nano=10 * NANO,
                    happened_at=datetime(2026, 11, percent // 10, tzinfo=UTC),
                )
            )
    newest, oldest = budget_events(database, view.id)
    assert (newest.percent, oldest.percent, newest.spent_usd) == (80, 50, "8")
    assert budget_events(database) == [newest, oldest]


def test_terms_that_make_no_sense_write_nothing(database, till):
    with pytest.raises(InvalidRequest):
        create_budget(database, key_ref(till), BudgetTerms(amount_nano=1, period="year"))
    assert list_budgets(database) == []
    view = create_budget(database, key_ref(till), MONTH)
    with pytest.raises(InvalidRequest):
        update_budget(database, view.id, BudgetChange(period="interval", interval_seconds=1))
    assert read_budget(database, view.id) == view
