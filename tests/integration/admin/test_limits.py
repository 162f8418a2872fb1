"""Limits of accounts: set, taken away, listed; suspension, and keys that are born with limits."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from tests.integration.admin.till import NANO, Till, account, assert_exact, windows_of
from torana.admin.budgets import create_budget, list_budgets
from torana.admin.keys import create_key, list_keys, revoke_key
from torana.admin.limits import LimitsChange, LimitsView, list_limits, set_limits
from torana.admin.scopes import ScopeRef
from torana.admin.tenancy import create_project, list_projects
from torana.auth.api_keys import KeyRing
from torana.auth.policy import ADMIN_KEY_PERMISSIONS, KEY_PERMISSIONS
from torana.db.models import ApiKey, Balance, Budget
from torana.errors import Conflict, InvalidRequest, NotFound
from torana.ledger.terms import BudgetTerms, read_terms

PROJECT = ScopeRef(kind="project", id="default")
MONTH = BudgetTerms(amount_nano=5 * NANO, period="month")


def key_ref(till: Till) -> ScopeRef:
    return ScopeRef(kind="key", id=till.made.id)


def only(view: LimitsView) -> tuple[int | None, int | None, int | None, list[str] | None]:
    return view.rpm, view.tpm, view.concurrency, view.models


def test_limits_are_set_one_by_one_and_taken_away(database):
    assert list_limits(database) == []
    set_limits(database, PROJECT, LimitsChange(rpm=60, models=("a", "gpt-4o*")))
    view = set_limits(database, PROJECT, LimitsChange(tpm=1000, concurrency=2))
    assert only(view) == (60, 1000, 2, ["a", "gpt-4o*"])
    assert list_limits(database) == [view]
    assert (view.scope, view.scope_name, view.blocked) == ("project", "default", None)
    nothing = LimitsChange(rpm=None, tpm=None, concurrency=None, models=None)
    assert only(set_limits(database, PROJECT, nothing)) == (None, None, None, None)
    assert list_limits(database) == []
    assert only(list_limits(database, ref=PROJECT)[0]) == (None, None, None, None)


def test_limits_leave_the_windows_of_budgets(database):
    view = create_budget(database, PROJECT, MONTH)
    set_limits(database, PROJECT, LimitsChange(rpm=1))
    (window,) = windows_of(database, view.id)
    terms = read_terms(account(database, view.scope_id).terms)
    assert (terms.rpm, terms.windows) == (1, (window.id,))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (LimitsChange(rpm=0), "rpm"),
        (LimitsChange(tpm=-1), "tpm"),
        (LimitsChange(concurrency=10**13), "concurrency"),
        (LimitsChange(models=("",)), "models"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(shared_database, change, param):
    with pytest.raises(InvalidRequest) as caught:
        set_limits(shared_database, PROJECT, change)
    assert caught.value.param == param


def test_an_end_user_gets_an_account_with_their_first_limit(database):
    till = Till(database)
    till.spend(NANO, end_user="alice")
    ref = ScopeRef(kind="end-user", id="alice", project="default")
    assert only(list_limits(database, ref=ref)[0]) == (None, None, None, None)
    set_limits(database, ref, LimitsChange(rpm=3))
    set_limits(database, ref, LimitsChange(rpm=4))
    scope_id = f"{till.caller.project_id}/alice"
    assert account(database, scope_id).spent_nano == NANO
    anchor = read_terms(account(database, till.caller.project_id).terms)
    assert (anchor.dimensions, anchor.revision) == (("end_user",), 1)
    assert_exact(database)
    (view,) = list_limits(database, organisation_id=till.caller.organisation_id)
    assert (view.scope_id, view.scope_name) == (scope_id, "default/alice")
    with pytest.raises(InvalidRequest, match="one at a time"):
        set_limits(database, ScopeRef(kind="end_user", id="*"), LimitsChange(rpm=1))


def test_the_models_of_a_key_are_told_to_its_caller_too(database):
    till = Till(database)
    set_limits(database, key_ref(till), LimitsChange(models=("gpt-4o*",)))
    caller = KeyRing(database).authenticate(till.made.key)
    assert caller.may_use("gpt-4o-mini")
    assert not caller.may_use("gpt-4")


def test_a_scope_is_suspended_and_resumed(database):
    till = Till(database)
    assert set_limits(database, PROJECT, LimitsChange(suspended=True)).blocked == "suspended"
    assert account(database, till.caller.project_id).blocked == "suspended"
    assert [view.blocked for view in list_limits(database)] == ["suspended"]
    assert set_limits(database, PROJECT, LimitsChange(rpm=1)).blocked == "suspended"
    assert set_limits(database, PROJECT, LimitsChange(suspended=False)).blocked is None


@pytest.mark.parametrize("suspended", [True, False])
def test_a_revoked_key_stays_revoked(database, suspended):
    till = Till(database, budget=MONTH)
    revoke_key(database, till.made.id)
    with pytest.raises(Conflict, match="for ever"):
        set_limits(database, key_ref(till), LimitsChange(suspended=suspended))
    assert account(database, till.made.id).blocked == "revoked"
    (view,) = list_budgets(database, ref=key_ref(till))
    assert [row.blocked for row in windows_of(database, view.id)] == [None]


def test_a_key_is_born_with_its_limits_and_its_budget(database):
    made = create_key(
        database,
        project="default",
        name="bot",
        models=["a"],
        limits=LimitsChange(rpm=60, tpm=10, concurrency=4),
        budget=MONTH,
    )
    (view,) = list_budgets(database)
    (window,) = windows_of(database, view.id)
    terms = read_terms(account(database, made.id).terms)
    assert (terms.rpm, terms.tpm, terms.concurrency, terms.models) == (60, 10, 4, ("a",))
    assert terms.windows == (window.id,)
    assert (view.scope, view.scope_id, view.amount_usd) == ("key", made.id, "5")
    caller = KeyRing(database).authenticate(made.key)
    assert window.id not in caller.account_ids
    assert len(caller.account_ids) == 3


@pytest.mark.parametrize(
    "options",
    [
        {"limits": LimitsChange(rpm=0)},
        {"models": ["a*b"]},
        {"budget": BudgetTerms(amount_nano=1, period="year")},
        {"role": "king"},
    ],
)
def test_a_key_whose_limits_make_no_sense_is_not_made(database, options):
    with pytest.raises(InvalidRequest):
        create_key(database, project="default", name="bot", **options)
    with database.read() as session:
        counts = [session.scalar(select(func.count()).select_from(t)) for t in (ApiKey, Budget)]
        assert counts == [0, 0]
        assert "key" not in set(session.scalars(select(Balance.scope_kind)))


def test_a_key_has_the_permissions_of_its_role(database):
    plain, admin = (
        create_key(database, project="default", name=role, role=role)
        for role in ("caller", "admin")
    )
    ring = KeyRing(database)
    assert ring.authenticate(plain.key).permissions == KEY_PERMISSIONS
    caller = ring.authenticate(admin.key)
    assert (caller.permissions, caller.role) == (ADMIN_KEY_PERMISSIONS, "admin")
    assert [row.role for row in list_keys(database)] == ["caller", "admin"]


def test_a_project_is_made_with_its_account(database):
    view = create_project(database, name="red")
    assert account(database, view.id).scope_kind == "project"
    assert [row.name for row in list_projects(database)] == ["default", "red"]
    assert list_projects(database, organisation_id="org_none") == []
    assert set_limits(database, ScopeRef(kind="project", id="red"), LimitsChange(rpm=1)).rpm == 1
    with pytest.raises(Conflict):
        create_project(database, name=" red ")
    for name in ("", "a b", "proj_x", "x" * 64, "-a", "\x00"):
        with pytest.raises(InvalidRequest):
            create_project(database, name=name)
    with pytest.raises(NotFound):
        set_limits(database, ScopeRef(kind="project", id="blue"), LimitsChange(rpm=1))
