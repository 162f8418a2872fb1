"""Whose a budget or a limit is: found by what people type, within one organisation only."""

from __future__ import annotations

import pytest

from tests.integration.admin.till import NANO, Till
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
from torana.admin.limits import LimitsChange, list_limits, set_limits
from torana.admin.scopes import ScopeRef
from torana.admin.tenancy import create_project, create_user, new_balance
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.db.models import Organisation, Project
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest, NotFound
from torana.ledger.terms import BudgetTerms

MONTH = BudgetTerms(amount_nano=10 * NANO, period="month")
ORGANISATION = ScopeRef(kind="organisation", id="default")
PROJECT = ScopeRef(kind="project", id="default")


@pytest.fixture
def till(database) -> Till:
    create_user(database, email="ada@example.test", password="x" * 12, role="member")
    return Till(database, owner_email="ada@example.test")


def key_ref(till: Till) -> ScopeRef:
    return ScopeRef(kind="key", id=till.made.id)


def other_organisation(database: Database) -> str:
    with database.write() as session:
        home = Organisation(id=new_id("org"), name="other", created_at=utc_now())
        session.add(home)
        session.flush()
        session.add(new_balance("organisation", home.id))
        project = Project(
            id=new_id("proj"), organisation_id=home.id, name="default", created_at=utc_now()
        )
        session.add(project)
        session.add(new_balance("project", project.id))
        return home.id


def test_nothing_of_another_organisation_can_be_seen_or_touched(database, till):
    own, foreign = till.caller.organisation_id, other_organisation(database)
    project = ScopeRef(kind="project", id=till.caller.project_id)
    view = create_budget(database, project, MONTH, organisation_id=own)
    for ref in (project, key_ref(till), ORGANISATION, ScopeRef(kind="user", id="ada@example.test"),
                ScopeRef(kind="end_user", id="a", project=till.caller.project_id)):  # fmt: skip
        with pytest.raises(NotFound):
            create_budget(database, ref, MONTH, organisation_id=foreign)
    for act in (
        lambda: read_budget(database, view.id, organisation_id=foreign),
        lambda: delete_budget(database, view.id, organisation_id=foreign),
        lambda: update_budget(database, view.id, BudgetChange(name="x"), organisation_id=foreign),
        lambda: raise_budget(database, view.id, amount_nano=0, until=None, organisation_id=foreign),
        lambda: budget_events(database, view.id, organisation_id=foreign),
    ):
        with pytest.raises(NotFound):
            act()
    assert list_budgets(database, organisation_id=foreign) == []
    set_limits(database, key_ref(till), LimitsChange(rpm=1))
    assert list_limits(database, organisation_id=foreign) == []
    with pytest.raises(NotFound):
        set_limits(database, key_ref(till), LimitsChange(rpm=2), organisation_id=foreign)
    # The same name means each one's own.
    theirs = create_budget(database, PROJECT, MONTH, organisation_id=foreign)
    assert theirs.scope_id != view.scope_id
    assert [row.id for row in list_budgets(database, organisation_id=own)] == [view.id]
    with pytest.raises(Conflict, match="Several projects"):
        create_budget(database, PROJECT, MONTH)


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        (ScopeRef(kind="planet", id="x"), InvalidRequest),
        (ScopeRef(kind="key", id=""), InvalidRequest),
        (ScopeRef(kind="key", id="a\x00b"), InvalidRequest),
        (ScopeRef(kind="key", id="\udcff"), InvalidRequest),
        (ScopeRef(kind="key", id="nothing"), NotFound),
        (ScopeRef(kind="key", id="self-check"), NotFound),
        (ScopeRef(kind="user", id="nobody@example.test"), NotFound),
        (ScopeRef(kind="user", id="ada@example.test", project="default"), InvalidRequest),
        (ScopeRef(kind="project", id="nothing"), NotFound),
        (ScopeRef(kind="organisation", id="nothing"), NotFound),
        (ScopeRef(kind="end_user", id="x" * 201), InvalidRequest),
        (ScopeRef(kind="end_user", id="a", project="nothing"), NotFound),
        (ScopeRef(kind="tag", id="team"), InvalidRequest),
        (ScopeRef(kind="tag", id="team="), InvalidRequest),
        (ScopeRef(kind="tag", id="=red"), InvalidRequest),
        (ScopeRef(kind="tag", id="my team=red"), InvalidRequest),
    ],
)
def test_a_scope_that_is_none_is_refused(shared_database, ref, problem):
    with pytest.raises(problem):
        create_budget(shared_database, ref, MONTH)


def test_a_key_is_found_by_its_name_unless_several_have_it(database):
    first = Till(database, name="bot")
    view = create_budget(database, ScopeRef(kind="key", id="bot"), MONTH)
    assert (view.scope_id, view.scope_name) == (first.made.id, "bot")
    second = Till(database, name="bot")
    with pytest.raises(Conflict) as caught:
        create_budget(database, ScopeRef(kind="key", id="bot"), MONTH)
    assert first.made.id in caught.value.public_message
    assert second.made.id in caught.value.public_message
    create_project(database, name="red")
    Till(database, name="lone", project="red")
    lone = create_budget(database, ScopeRef(kind="key", id="lone", project="red"), MONTH)
    assert lone.scope_name == "lone"
