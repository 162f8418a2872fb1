"""Providers as rows."""

from __future__ import annotations

import secrets

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from torana.admin.providers import PURPOSE, RESERVED_NAMES, add_provider, list_providers
from torana.db.models import ConfigVersion, Provider
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest
from torana.secret_box import SecretBox

BOX = SecretBox([SecretStr("s" * 32)], PURPOSE)
URL = "https://api.example.test/v1"


def name() -> str:
    return f"p-{secrets.token_hex(6)}"


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def add(database: Database, **changes: str | None):
    fields = {"name": name(), "base_url": URL, "api_key": None} | changes
    return add_provider(database, BOX, **fields)  # type: ignore[arg-type]


def test_a_provider_is_added_and_every_process_is_told_in_the_same_transaction(shared_database):
    before = version(shared_database)
    view = add(shared_database, base_url="https://api.example.test/v1/")
    assert (view.kind, view.base_url) == ("compatible", URL)
    assert (view.has_key, view.enabled) == (False, True)
    assert version(shared_database) == before + 1


def test_a_key_is_stored_encrypted_and_never_listed(shared_database):
    view = add(shared_database, api_key="sk-of-the-provider")
    assert view.has_key
    with shared_database.read() as session:
        row = session.get_one(Provider, view.id)
    assert row.api_key_encrypted is not None
    assert b"sk-of" not in row.api_key_encrypted
    assert BOX.open(row.api_key_encrypted) == "sk-of-the-provider"
    assert b"sk-of" not in msgspec.json.encode(list_providers(shared_database))


def test_an_empty_key_is_none(shared_database):
    assert not add(shared_database, api_key="").has_key


@pytest.mark.parametrize(
    "bad",
    ["", "A", "1x", "-x", "x y", "x/y", "x.y", "é", "x" * 64, "x\n", "nul\x00"],
    ids=ascii,
)
def test_a_name_that_can_not_be_part_of_a_models_name_is_refused(shared_database, bad):
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        add(shared_database, name=bad)
    assert caught.value.param == "name"
    assert version(shared_database) == before


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "api.example.test/v1",
        "ftp://api.example.test/v1",
        "file:///etc/passwd",
        "https://",
        "https:///v1",
        "https://user:secret@api.example.test/v1",
        "https://user@api.example.test/v1",
        "https://:secret@api.example.test/v1",
        "https://api.example.test/v1?key=secret",
        "https://api.example.test/v1#part",
        "https://api.example.test:port/v1",
        "https://api.example.test:99999/v1",
        "https://[::1/v1",
        "https://api example.test/v1",
        "https://api.example.test/v1\n",
    ],
    ids=ascii,
)
def test_a_base_url_that_can_not_be_called_is_refused(shared_database, bad):
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        add(shared_database, base_url=bad)
    assert caught.value.param == "base_url"
    assert "secret" not in caught.value.public_message
    assert version(shared_database) == before


@pytest.mark.parametrize(
    "good", ["http://127.0.0.1:8000/v1", "http://[::1]:8000", "https://api.example.test"]
)
def test_a_base_url_may_be_any_http_address(shared_database, good):
    assert add(shared_database, base_url=good).base_url == good


def test_a_name_is_taken_once(shared_database):
    taken = add(shared_database).name
    before = version(shared_database)
    with pytest.raises(Conflict, match=taken):
        add(shared_database, name=taken)
    assert version(shared_database) == before


@pytest.mark.parametrize("reserved", RESERVED_NAMES)
def test_the_names_of_built_in_providers_are_taken(shared_database, reserved):
    with pytest.raises(Conflict):
        add(shared_database, name=reserved)


def test_providers_are_listed_by_name(database):
    for each in ("zeta", "alpha", "mid"):
        add(database, name=each)
    assert [view.name for view in list_providers(database)] == ["alpha", "mid", "zeta"]
