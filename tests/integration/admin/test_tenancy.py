"""Organisations, users, projects, and the balances that come with them."""

from __future__ import annotations

import argon2
import pytest
from sqlalchemy import func, select

from torana.admin.tenancy import (
    ROLES,
    create_user,
    ensure_defaults,
    find_project,
    list_users,
)
from torana.db.models import Balance, Membership, Organisation, Project, User
from torana.errors import Conflict, InvalidRequest, NotFound

PASSWORD = "correct horse battery"


def test_the_defaults_are_made_once(database):
    assert not ensure_defaults(database)
    with database.read() as session:
        organisation = session.scalars(select(Organisation)).one()
        project = session.scalars(select(Project)).one()
        balances = session.scalars(select(Balance)).all()
    assert (organisation.name, project.name) == ("default", "default")
    assert project.organisation_id == organisation.id
    assert {(row.scope_kind, row.scope_id) for row in balances} == {
        ("organisation", organisation.id),
        ("project", project.id),
    }


def test_a_new_balance_is_empty_without_limit_and_for_all_time(database):
    with database.read() as session:
        for row in session.scalars(select(Balance)):
            assert (row.spent_nano, row.reserved_nano, row.open_calls) == (0, 0, 0)
            assert (row.limit_nano, row.blocked, row.window_end) == (None, None, None)
            assert row.window_start.year == 1970


def test_a_user_belongs_to_the_organisation_and_has_a_balance(database):
    view = create_user(database, email=" Ada@Example.Test ", password=PASSWORD, role="admin")
    assert (view.email, view.role) == ("ada@example.test", "admin")
    with database.read() as session:
        user = session.scalars(select(User)).one()
        membership = session.scalars(select(Membership)).one()
        balance = session.scalars(select(Balance).where(Balance.scope_kind == "user")).one()
    assert (user.id, user.email, user.is_instance_admin) == (view.id, "ada@example.test", True)
    assert (membership.user_id, membership.role) == (user.id, "admin")
    assert balance.scope_id == membership.id
    assert user.password_hash is not None
    assert PASSWORD not in user.password_hash
    assert argon2.PasswordHasher().verify(user.password_hash, PASSWORD)


def test_a_member_does_not_administer_the_instance(shared_database):
    view = create_user(shared_database, email="m@example.test", password=PASSWORD, role="member")
    with shared_database.read() as session:
        assert not session.get_one(User, view.id).is_instance_admin


def test_the_roles_are_these():
    assert ROLES == ("owner", "admin", "member", "viewer", "billing")


def test_an_address_is_taken_whatever_its_case(shared_database):
    create_user(shared_database, email="taken@example.test", password=PASSWORD, role="member")
    with pytest.raises(Conflict, match=r"taken@example\.test"):
        create_user(shared_database, email="TAKEN@example.test", password=PASSWORD, role="member")


def count(database, table) -> int:
    with database.read() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"email": ""}, "email"),
        ({"email": "ada"}, "email"),
        ({"email": "@example.test"}, "email"),
        ({"email": "ada@"}, "email"),
        ({"email": "a" * 320 + "@example.test"}, "email"),
        ({"email": "two words@example.test"}, "email"),
        ({"email": "line\nend@example.test"}, "email"),
        ({"role": "king"}, "role"),
        ({"role": ""}, "role"),
        ({"password": "short"}, "password"),
        ({"password": ""}, "password"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_what_makes_no_user_is_refused_and_leaves_nothing(shared_database, changes, param):
    before = [count(shared_database, table) for table in (User, Membership, Balance)]
    fields = {"email": "new@example.test", "password": PASSWORD, "role": "member"} | changes
    with pytest.raises(InvalidRequest) as caught:
        create_user(shared_database, **fields)
    assert caught.value.param == param
    assert [count(shared_database, table) for table in (User, Membership, Balance)] == before


def test_users_are_listed_by_address_and_without_their_password(database):
    for name in ("zoe", "ada"):
        create_user(database, email=f"{name}@example.test", password=PASSWORD, role="viewer")
    rows = list_users(database)
    assert [row.email for row in rows] == ["ada@example.test", "zoe@example.test"]
    assert {row.role for row in rows} == {"viewer"}
    assert "argon2" not in repr(rows)
    assert all(row.created_at.tzinfo is not None for row in rows)


def test_a_project_is_found_by_its_name_and_by_its_id(shared_database):
    with shared_database.read() as session:
        by_name = find_project(session, "default")
        assert find_project(session, by_name.id) is by_name


@pytest.mark.parametrize("name", ["", "nothing", "Default", "' OR 1=1 --"])
def test_a_project_that_is_not_there_is_not_found_and_the_others_are_named(shared_database, name):
    with shared_database.read() as session, pytest.raises(NotFound) as caught:
        find_project(session, name)
    assert "default" in caught.value.public_message
