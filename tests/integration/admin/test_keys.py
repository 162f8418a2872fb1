"""API keys: made, listed, revoked, and the one that `torana up` asks itself with."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import func, select

from torana.admin.keys import (
    SELF_CHECK,
    create_key,
    end_self_check_key,
    list_keys,
    renew_self_check_key,
    revoke_key,
)
from torana.admin.tenancy import create_user
from torana.auth.api_keys import KeyRing, is_well_formed
from torana.db.models import ApiKey, Balance
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest, NotAuthenticated, NotFound


def balance_of(database: Database, key_id: str) -> Balance:
    with database.read() as session:
        return session.scalars(select(Balance).where(Balance.scope_id == key_id)).one()


def test_a_key_is_made_with_its_balance_and_works(shared_database):
    made = create_key(shared_database, project="default", name="k")
    assert is_well_formed(made.key)
    assert balance_of(shared_database, made.id).scope_kind == "key"
    assert KeyRing(shared_database).authenticate(made.key).key_id == made.id
    assert made.key not in repr(made)


def test_a_key_can_be_made_for_a_project_by_its_id(shared_database):
    made = create_key(shared_database, project="default", name="k")
    project = KeyRing(shared_database).authenticate(made.key).project_id
    other = create_key(shared_database, project=project, name="k")
    assert KeyRing(shared_database).authenticate(other.key).project_id == project


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_name_that_is_none_is_refused(shared_database, name):
    with pytest.raises(InvalidRequest) as caught:
        create_key(shared_database, project="default", name=name)
    assert caught.value.param == "name"


def test_the_name_of_the_self_check_is_not_given_away(shared_database):
    # A key of that name would not be listed, and `torana up` would put its own secret in it.
    with pytest.raises((InvalidRequest, Conflict)):
        create_key(shared_database, project="default", name=SELF_CHECK)


@pytest.mark.parametrize(
    ("project", "owner"), [("nothing", None), ("default", "nobody@example.test")]
)
def test_a_project_or_user_that_is_not_there_makes_no_key(shared_database, project, owner):
    before = len(list_keys(shared_database))
    with pytest.raises(NotFound):
        create_key(shared_database, project=project, name="k", owner_email=owner)
    assert len(list_keys(shared_database)) == before


def test_keys_are_listed_oldest_first_and_never_shown(database):
    made = [create_key(database, project="default", name=name) for name in ("one", "two", "three")]
    rows = list_keys(database)
    assert [row.name for row in rows] == ["one", "two", "three"]
    assert [row.id for row in rows] == [key.id for key in made]
    assert {row.project for row in rows} == {"default"}
    text = msgspec.json.encode(rows).decode()
    for key in made:
        assert key.key not in text
        assert key.key[:11] in text
    assert list_keys(database, project="default") == rows


def test_keys_of_a_project_that_is_not_there(shared_database):
    with pytest.raises(NotFound):
        list_keys(shared_database, project="nothing")


def test_revoking_blocks_the_balance_in_the_same_transaction(shared_database):
    made = create_key(shared_database, project="default", name="k")
    view = revoke_key(shared_database, made.id)
    assert view.revoked_at is not None
    assert balance_of(shared_database, made.id).blocked == "revoked"


def test_revoking_twice_changes_nothing(shared_database):
    made = create_key(shared_database, project="default", name="k")
    first = revoke_key(shared_database, made.id)
    assert revoke_key(shared_database, made.id) == first


def test_revoking_one_key_leaves_the_others_of_its_user(shared_database):
    create_user(shared_database, email="r@example.test", password="x" * 12, role="member")
    one, other = (
        create_key(shared_database, project="default", name=name, owner_email="r@example.test")
        for name in ("one", "other")
    )
    revoke_key(shared_database, one.id)
    assert balance_of(shared_database, other.id).blocked is None
    assert KeyRing(shared_database).authenticate(other.key, fresh=True).key_id == other.id


@pytest.mark.parametrize("key_id", ["", "key_nothing", "x" * 500])
def test_a_key_that_is_not_there_can_not_be_revoked(shared_database, key_id):
    with pytest.raises(NotFound, match="no key"):
        revoke_key(shared_database, key_id)


def test_the_self_check_key_is_one_row_with_a_new_secret_each_time(database):
    ring = KeyRing(database)
    first = renew_self_check_key(database, project="default")
    caller = ring.authenticate(first)
    assert caller.expires_at is not None
    second = renew_self_check_key(database, project="default")
    assert ring.authenticate(second).key_id == caller.key_id
    with pytest.raises(NotAuthenticated):
        KeyRing(database).authenticate(first)
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(ApiKey)) == 1


def test_the_self_check_key_can_be_ended_and_is_not_listed(database):
    text = renew_self_check_key(database, project="default")
    assert list_keys(database) == []
    end_self_check_key(database)
    with pytest.raises(NotAuthenticated, match="expired"):
        KeyRing(database).authenticate(text)
    again = renew_self_check_key(database, project="default")
    assert KeyRing(database).authenticate(again).key_name == SELF_CHECK
