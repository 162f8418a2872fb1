"""Providers as rows."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from torana.admin.allowed_hosts import allow_host, disallow_host, host_of
from torana.admin.provider_terms import RESERVED_NAMES
from torana.admin.providers import (
    PURPOSE,
    ProviderChange,
    ProviderView,
    add_provider,
    get_provider,
    list_providers,
    remove_provider,
    set_provider,
)
from torana.admin.routes import put_route, remove_route
from torana.db.models import ConfigVersion, ProviderKey
from torana.db.session import Database
from torana.errors import Conflict, HostNotAllowed, InvalidRequest, NotFound
from torana.routing.routes import single
from torana.secret_box import SecretBox
from torana.settings import Settings

BOX = SecretBox([SecretStr("s" * 32)], PURPOSE)
URL = "https://api.example.test/v1"


def name() -> str:
    return f"p-{secrets.token_hex(6)}"


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def add(database: Database, **changes: Any) -> ProviderView:
    fields = {"name": name(), "base_url": URL, "api_key": None} | changes
    return add_provider(database, BOX, **fields)


def route_to(database: Database, provider: str) -> str:
    view = put_route(database, single(f"r-{secrets.token_hex(6)}", provider, "m"))
    return view.name


def test_a_provider_is_added_and_every_process_is_told_in_the_same_transaction(shared_database):
    before = version(shared_database)
    view = add(shared_database, base_url="https://api.example.test/v1/")
    assert (view.kind, view.base_url) == ("compatible", URL)
    assert (view.has_key, view.enabled) == (False, True)
    assert version(shared_database) == before + 1


def test_keys_are_stored_encrypted_and_never_listed(shared_database):
    view = add(shared_database, api_key="sk-of-one", keys=[("second", "sk-of-two")])
    assert (view.has_key, view.keys) == (True, 2)
    with shared_database.read() as session:
        rows = session.scalars(
            select(ProviderKey)
            .where(ProviderKey.provider_id == view.id)
            .order_by(ProviderKey.created_at, ProviderKey.id)
        ).all()
    assert [row.label for row in rows] == ["first", "second"]
    assert not any(b"sk-of" in row.encrypted for row in rows)
    assert [BOX.open(row.encrypted) for row in rows] == ["sk-of-one", "sk-of-two"]
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
    "good", ["http://1.1.1.1:8000/v1", "http://[2606:4700::1]:8000", "https://api.example.test"]
)
def test_a_base_url_may_be_any_http_address(shared_database, good):
    assert add(shared_database, base_url=good).base_url == good


@pytest.mark.parametrize(
    "private",
    ["http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]/v1", "http://10.1.2.3/v1"],
)
def test_a_private_address_is_refused_until_its_host_is_allowed(database, private):
    before = version(database)
    with pytest.raises(HostNotAllowed, match="private") as caught:
        add(database, base_url=private)
    assert caught.value.param == "base_url"
    assert "torana providers allow-host" in caught.value.public_message
    assert version(database) == before
    allow_host(database, host_of(private))
    made = add(database, base_url=private)
    disallow_host(database, host_of(private))
    # What is there already stays; who may be called is decided with each connection.
    assert not set_provider(database, made.name, ProviderChange(enabled=False)).enabled
    same = ProviderChange(base_url=private, enabled=True)
    assert set_provider(database, made.name, same).enabled


def test_a_provider_does_not_move_to_a_private_address(shared_database):
    made = add(shared_database)
    before = version(shared_database)
    with pytest.raises(HostNotAllowed):
        set_provider(shared_database, made.name, ProviderChange(base_url="http://192.168.0.1/v1"))
    assert (get_provider(shared_database, made.name), version(shared_database)) == (made, before)


@pytest.mark.parametrize(
    "elsewhere",
    [
        *("https://evil.example.test/v1", "http://api.example.test/v1"),
        "https://api.example.test:8443/v1",
    ],
)
def test_keys_go_to_another_server_only_where_that_is_allowed(shared_database, elsewhere):
    made = add(shared_database, api_key="sk-1")
    moved = ProviderChange(base_url=elsewhere)
    with pytest.raises(Conflict, match="another server"):
        set_provider(shared_database, made.name, moved, keys_go_along=False)
    assert get_provider(shared_database, made.name) == made
    same = ProviderChange(base_url="https://API.example.test/v2")
    assert set_provider(shared_database, made.name, same, keys_go_along=False).keys == 1
    assert set_provider(shared_database, made.name, moved).base_url == elsewhere
    keyless = add(shared_database)
    view = set_provider(shared_database, keyless.name, moved, keys_go_along=False)
    assert view.base_url == elsewhere


def test_a_name_of_a_private_address_is_refused_too(shared_database):
    looked_up = []

    def lookup(host: str, port: int) -> list[tuple[str, int]]:
        looked_up.append(host)
        return [("10.0.0.5", port)]

    with pytest.raises(HostNotAllowed):
        add(shared_database, base_url="https://models.example.test/v1", resolve=lookup)
    assert looked_up == ["models.example.test"]


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


def test_the_built_in_providers_stand_before_the_others(database):
    add(database, name="alpha")
    settings = Settings(_env_file=None, openai_api_key=SecretStr("sk-built-in"), echo=True)
    views = list_providers(database, settings=settings)
    assert [(view.name, view.built_in, view.keys) for view in views] == [
        *(("openai", True, 1), ("echo", True, 0), ("alpha", False, 0)),
    ]
    assert b"sk-built-in" not in msgspec.json.encode(views)
    assert get_provider(database, "echo", settings=settings).id is None
    with pytest.raises(NotFound):
        get_provider(database, "echo")


@pytest.mark.parametrize("missing", ["nobody", "", "x\x00y", "No Such"], ids=ascii)
def test_a_provider_that_is_not_there_is_not_found(shared_database, missing):
    with pytest.raises(NotFound):
        get_provider(shared_database, missing)
    with pytest.raises(NotFound):
        set_provider(shared_database, missing, ProviderChange(enabled=False))
    with pytest.raises(NotFound):
        remove_provider(shared_database, missing)


# --- presets and options -----------------------------------------------------------------------


def test_a_preset_says_what_is_left_out(shared_database):
    view = add(
        shared_database, preset="azure", base_url=None, variables={"resource": "my-resource"}
    )
    assert (view.kind, view.preset) == ("openai", "azure")
    assert view.base_url == "https://my-resource.openai.azure.com/openai/v1"
    assert view.options["key_header"] == "api-key"


def test_what_is_said_wins_over_the_preset(shared_database):
    view = add(
        shared_database,
        preset="groq",
        base_url="https://other.example.test/v1",
        kind="openai",
        options={"dropped": ["user"]},
    )
    assert (view.kind, view.base_url) == ("openai", "https://other.example.test/v1")
    assert view.options == {"dropped": ["user"]}


@pytest.mark.parametrize(
    ("bad", "param"),
    [
        ({"preset": "grok"}, "preset"),
        ({"preset": "azure"}, "resource"),
        ({"preset": "azure", "variables": {"region": "x"}}, "variables"),
        ({"preset": "azure", "variables": {"preset": "x"}}, "variables"),
        ({"preset": "azure", "variables": {"resource": "a/b"}}, "resource"),
        ({"variables": {"resource": "x"}, "base_url": URL}, "variables"),
        ({}, "base_url"),
        ({"kind": "strange", "base_url": URL}, "kind"),
        ({"kind": "echo", "base_url": URL}, "kind"),
        ({"options": {"max_outputs": 1}, "base_url": URL}, "options"),
        ({"options": {"keeps_alive": "perhaps"}, "base_url": URL}, "options"),
        ({"options": {"dropped": ["max_tokens"]}, "base_url": URL}, "options"),
    ],
)
def test_what_does_not_make_a_provider_is_refused(shared_database, bad, param):
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        add_provider(shared_database, BOX, name=name(), **bad)
    assert caught.value.param == param
    assert version(shared_database) == before


def test_a_preset_that_is_nearly_right_is_suggested(shared_database):
    with pytest.raises(InvalidRequest, match="there are azure") as caught:
        add(shared_database, preset="opnrouter")
    assert "'openrouter'" in caught.value.public_message


@pytest.mark.parametrize(
    "keys",
    [
        [("", "sk-secret")],
        [("-x", "sk-secret")],
        [("x" * 65, "sk-secret")],
        [("ok", "")],
        [("ok", "sk-secret with spaces")],
        [("ok", "sk-secret\n")],
        [("ok", "sk-secret-é")],
        [("ok", "sk-secret" * 1000)],
        [("same", "sk-secret"), ("same", "sk-secret-2")],
    ],
    ids=lambda keys: ascii(keys)[:40],
)
def test_keys_that_can_not_be_kept_or_sent_are_refused_without_repeating_them(
    shared_database, keys
):
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        add(shared_database, keys=keys)
    assert "sk-secret" not in caught.value.public_message
    assert version(shared_database) == before


# --- changes -----------------------------------------------------------------------------------


def test_what_is_not_said_of_a_change_stays(shared_database):
    made = add(shared_database, options={"dropped": ["user"]}, api_key="sk-1")
    before = version(shared_database)
    view = set_provider(
        shared_database, made.name, ProviderChange(base_url="https://new.example.test/v1/")
    )
    assert view.base_url == "https://new.example.test/v1"
    assert (view.options, view.enabled, view.keys) == ({"dropped": ["user"]}, True, 1)
    assert version(shared_database) == before + 1
    view = set_provider(
        shared_database, made.name, ProviderChange(enabled=False, options={"models_path": "/all"})
    )
    assert (view.options, view.enabled) == ({"models_path": "/all"}, False)
    assert view == get_provider(shared_database, made.name)
    assert version(shared_database) == before + 2


def test_a_change_to_what_is_there_already_changes_nothing(shared_database):
    made = add(shared_database, options={"dropped": ["user"]})
    before = version(shared_database)
    same = ProviderChange(base_url=URL, enabled=True, options={"dropped": ("user",)})
    assert set_provider(shared_database, made.name, same) == made
    assert set_provider(shared_database, made.name, ProviderChange()) == made
    assert version(shared_database) == before


@pytest.mark.parametrize(
    ("change", "param"),
    [
        (ProviderChange(base_url="ftp://h/v1"), "base_url"),
        (ProviderChange(options={"nothing": 1}), "options"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(shared_database, change, param):
    made = add(shared_database)
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        set_provider(shared_database, made.name, change)
    assert caught.value.param == param
    assert (get_provider(shared_database, made.name), version(shared_database)) == (made, before)


@pytest.mark.parametrize("reserved", RESERVED_NAMES)
def test_built_in_providers_are_not_changed_here(shared_database, reserved):
    with pytest.raises(Conflict, match="built in"):
        set_provider(shared_database, reserved, ProviderChange(enabled=False))
    with pytest.raises(Conflict, match="built in"):
        remove_provider(shared_database, reserved)


def test_a_provider_is_removed_with_its_keys(shared_database):
    made = add(shared_database, keys=[("a", "sk-a"), ("b", "sk-b")])
    before = version(shared_database)
    assert remove_provider(shared_database, made.name) == made
    assert version(shared_database) == before + 1
    with shared_database.read() as session:
        query = select(ProviderKey).where(ProviderKey.provider_id == made.id)
        assert session.scalars(query).all() == []
    again = add(shared_database, name=made.name)
    assert (again.keys, again.id == made.id) == (0, False)


def test_a_provider_that_routes_lead_to_stays_and_the_routes_are_named(shared_database):
    made = add(shared_database)
    routes = [route_to(shared_database, made.name) for _ in range(7)]
    before = version(shared_database)
    with pytest.raises(Conflict, match="and 2 more") as caught:
        remove_provider(shared_database, made.name)
    assert sum(route in caught.value.message for route in routes) == 5
    assert version(shared_database) == before
    for route in routes:
        remove_route(shared_database, route)
    remove_provider(shared_database, made.name)
