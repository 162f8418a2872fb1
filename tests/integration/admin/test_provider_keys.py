"""Several keys of a provider, and their encryption with other secrets."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from torana.admin.provider_keys import (
    ProviderKeyView,
    Rotation,
    add_key,
    key_holds,
    list_keys,
    put_key,
    remove_key,
    rotate_keys,
)
from torana.admin.providers import PURPOSE, add_provider
from torana.db.models import ConfigVersion, ProviderKey
from torana.db.session import Database
from torana.errors import ConfigurationError, Conflict, InvalidRequest, NotFound
from torana.secret_box import SecretBox

OLD, NEW, LOST = (SecretStr(letter * 32) for letter in "onl")
BOX = SecretBox([NEW, OLD], PURPOSE)
SECRET = "sk-the-secret"


@pytest.fixture
def provider(shared_database: Database) -> str:
    """A provider without keys."""
    return made(shared_database)


def made(database: Database) -> str:
    name = f"p-{secrets.token_hex(6)}"
    add_provider(database, BOX, name=name, base_url="https://api.example.test/v1")
    return name


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def stored(database: Database, key: ProviderKeyView) -> bytes:
    with database.read() as session:
        return session.get_one(ProviderKey, key.id).encrypted


def test_a_provider_has_several_keys_and_nothing_of_them_is_listed(shared_database, provider):
    before = version(shared_database)
    one = add_key(shared_database, BOX, provider, label="team red", secret=f"{SECRET}-1")
    two = add_key(shared_database, BOX, provider, label="team blue", secret=f"{SECRET}-2")
    assert version(shared_database) == before + 2
    assert list_keys(shared_database, provider) == [one, two]
    assert {one, two} <= set(list_keys(shared_database))
    assert BOX.open(stored(shared_database, one)) == f"{SECRET}-1"
    assert b"sk-" not in msgspec.json.encode(list_keys(shared_database))
    assert "sk-" not in repr(one)


def test_a_label_is_taken_once_a_provider(shared_database, provider):
    add_key(shared_database, BOX, provider, label="a", secret=SECRET)
    before = version(shared_database)
    with pytest.raises(Conflict, match="'a'"):
        add_key(shared_database, BOX, provider, label="a", secret=SECRET)
    assert version(shared_database) == before
    add_key(shared_database, BOX, made(shared_database), label="a", secret=SECRET)


@pytest.mark.parametrize(("label", "secret"), [("", SECRET), ("a", ""), ("a", f"{SECRET} x")])
def test_a_key_that_can_not_be_kept_is_refused_without_repeating_it(
    shared_database, provider, label, secret
):
    for act in (add_key, put_key):
        with pytest.raises(InvalidRequest) as caught:
            act(shared_database, BOX, provider, label=label, secret=secret)
        assert SECRET not in caught.value.public_message
    assert list_keys(shared_database, provider) == []


@pytest.mark.parametrize(("name", "error"), [("nobody", NotFound), ("openai", Conflict)])
def test_only_a_provider_that_was_added_has_keys_here(shared_database, name, error):
    for act in (
        lambda: add_key(shared_database, BOX, name, label="a", secret=SECRET),
        lambda: put_key(shared_database, BOX, name, label="a", secret=SECRET),
        lambda: key_holds(shared_database, BOX, name, label="a", secret=SECRET),
        lambda: list_keys(shared_database, name),
        lambda: remove_key(shared_database, name, "a"),
    ):
        with pytest.raises(error):
            act()


def test_a_key_is_removed_by_its_label_or_its_id(shared_database, provider):
    one = add_key(shared_database, BOX, provider, label="a", secret=SECRET)
    two = add_key(shared_database, BOX, provider, label="b", secret=SECRET)
    before = version(shared_database)
    assert remove_key(shared_database, provider, "a") == one
    assert remove_key(shared_database, provider, two.id) == two
    assert version(shared_database) == before + 2
    with pytest.raises(NotFound, match="no key 'a'"):
        remove_key(shared_database, provider, "a")


def test_another_providers_key_is_not_removed(shared_database, provider):
    other = made(shared_database)
    key = add_key(shared_database, BOX, other, label="a", secret=SECRET)
    for name in (key.id, "a"):
        with pytest.raises(NotFound):
            remove_key(shared_database, provider, name)
    assert list_keys(shared_database, other) == [key]


def test_a_key_is_put_where_it_is_another_and_only_there(shared_database, provider):
    first, changed = put_key(shared_database, BOX, provider, label="a", secret=SECRET)
    assert changed
    before = version(shared_database)
    assert put_key(shared_database, BOX, provider, label="a", secret=SECRET) == (first, False)
    assert version(shared_database) == before
    second, changed = put_key(shared_database, BOX, provider, label="a", secret="sk-other")
    assert (changed, version(shared_database)) == (True, before + 1)
    assert second.id != first.id, "another secret is another key"
    assert list_keys(shared_database, provider) == [second]


def test_whether_a_key_is_the_same_is_told_without_showing_it(shared_database, provider):
    assert not key_holds(shared_database, BOX, provider, label="a", secret=SECRET)
    add_key(shared_database, BOX, provider, label="a", secret=SECRET)
    assert key_holds(shared_database, BOX, provider, label="a", secret=SECRET)
    assert not key_holds(shared_database, BOX, provider, label="a", secret="sk-other")
    stranger = SecretBox([LOST], PURPOSE)
    assert not key_holds(shared_database, stranger, provider, label="a", secret=SECRET)


# --- rotation ----------------------------------------------------------------------------------


def sealed_with(database: Database, provider: str, label: str, key: SecretStr) -> ProviderKeyView:
    return add_key(database, SecretBox([key], PURPOSE), provider, label=label, secret=SECRET)


def test_keys_are_encrypted_with_the_newest_secret_and_the_older_is_not_needed_any_more(database):
    provider = made(database)
    old = [sealed_with(database, provider, label, OLD) for label in ("a", "b")]
    new = sealed_with(database, provider, "c", NEW)
    before, kept = version(database), stored(database, new)
    assert rotate_keys(database, [NEW, OLD]) == Rotation(rotated=2, current=1, unreadable=())
    assert version(database) == before + 1
    newest = SecretBox([NEW], PURPOSE)
    assert [newest.open(stored(database, key)) for key in old] == [SECRET, SECRET]
    assert stored(database, new) == kept
    assert list_keys(database, provider) == [*old, new]


def test_a_second_rotation_changes_nothing(database):
    key = sealed_with(database, made(database), "a", OLD)
    rotate_keys(database, [NEW, OLD])
    before, kept = version(database), stored(database, key)
    assert rotate_keys(database, [NEW, OLD]) == Rotation(rotated=0, current=1, unreadable=())
    assert (version(database), stored(database, key)) == (before, kept)


def test_a_key_that_can_not_be_read_is_named_and_the_others_are_done(database):
    provider = made(database)
    lost = sealed_with(database, provider, "lost", LOST)
    damaged = sealed_with(database, provider, "damaged", OLD)
    good = sealed_with(database, provider, "good", OLD)
    with database.write() as session:
        session.execute(
            update(ProviderKey).where(ProviderKey.id == damaged.id).values(encrypted=b"nonsense")
        )
    kept = stored(database, lost)
    rotation = rotate_keys(database, [NEW, OLD])
    assert (rotation.rotated, rotation.current) == (1, 0)
    assert {view.label for view in rotation.unreadable} == {"lost", "damaged"}
    assert SecretBox([NEW], PURPOSE).open(stored(database, good)) == SECRET
    assert stored(database, lost) == kept
    assert "sk-" not in repr(rotation)


def test_without_a_secret_nothing_is_rotated(shared_database):
    with pytest.raises(ConfigurationError, match="TORANA_SECRET_KEYS"):
        rotate_keys(shared_database, [])
