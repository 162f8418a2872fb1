"""Routes as rows."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from torana.admin.providers import PURPOSE, add_provider
from torana.admin.routes import describe_route, get_route, list_routes, put_route, remove_route
from torana.db.models import ConfigVersion
from torana.db.session import Database
from torana.errors import Conflict, InvalidRequest, NotFound
from torana.routing.routes import (
    DIALECTS,
    CacheTerms,
    Deadlines,
    Route,
    RouteTarget,
    When,
    single,
)
from torana.secret_box import SecretBox
from torana.settings import Settings

BOX = SecretBox([SecretStr("s" * 32)], PURPOSE)
PROVIDER = "acme"
TARGET = RouteTarget(provider=PROVIDER, model="m")
RICH = Route(
    name="rich",
    targets=(
        RouteTarget(
            provider=PROVIDER,
            model="accounts/x/big",
            priority=0,
            weight=1000,
            region="eu",
            max_output=100,
            when=When(dialects=("chat", "messages"), tools=True, images=False),
        ),
        RouteTarget(
            provider="openai",
            model="gpt-4o",
            priority=100,
            when=When(min_input_tokens=10, max_input_tokens=10),
        ),
        RouteTarget(provider="openai", model="gpt-4o", priority=100, weight=0),
    ),
    strategy="least_latency",
    sticky=True,
    attempts=10,
    deadlines=Deadlines(connect=0.1, first_byte=1, idle=2.5, total=86_400),
    cache=CacheTerms(seconds=30 * 86_400, scope="instance", max_bytes=1),
    disconnect="cancel",
)


@pytest.fixture(scope="module", autouse=True)
def provider(shared_database: Database) -> None:
    """A provider for the module's routes."""
    add_provider(shared_database, BOX, name=PROVIDER, base_url="https://api.example.test/v1")


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def name() -> str:
    return f"r-{secrets.token_hex(6)}"


def route(**changes: Any) -> Route:
    return msgspec.structs.replace(Route(name=name(), targets=(TARGET,)), **changes)


def test_a_route_is_put_and_read_with_all_it_says(shared_database):
    before = version(shared_database)
    view = put_route(shared_database, RICH)
    assert (view.route, view.enabled, view.built_in) == (RICH, True, False)
    assert get_route(shared_database, "rich") == view
    assert view in list_routes(shared_database)
    assert version(shared_database) == before + 1


def test_the_same_again_changes_nothing(shared_database):
    wanted = msgspec.structs.replace(RICH, name=name())
    view = put_route(shared_database, wanted)
    before = version(shared_database)
    assert put_route(shared_database, wanted) == view
    assert version(shared_database) == before


def test_a_route_is_replaced_as_a_whole(shared_database):
    wanted = msgspec.structs.replace(RICH, name=name())
    first = put_route(shared_database, wanted)
    before = version(shared_database)
    second = put_route(shared_database, route(name=wanted.name), enabled=False)
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.route == route(name=wanted.name)
    assert not second.enabled
    assert version(shared_database) == before + 1


def test_a_route_may_have_to_be_new_or_to_be_there(shared_database):
    wanted = route()
    with pytest.raises(NotFound):
        put_route(shared_database, wanted, create=False)
    put_route(shared_database, wanted, create=True)
    with pytest.raises(Conflict, match=wanted.name):
        put_route(shared_database, wanted, create=True)
    put_route(shared_database, wanted, create=False)


def test_a_route_is_removed(shared_database):
    view = put_route(shared_database, route())
    before = version(shared_database)
    assert remove_route(shared_database, view.name) == view
    assert version(shared_database) == before + 1
    for act in (get_route, remove_route):
        with pytest.raises(NotFound):
            act(shared_database, view.name)
    assert version(shared_database) == before + 1


@pytest.mark.parametrize("odd", ["", "x\x00y", "x" * 300, " x"], ids=ascii)
def test_a_name_that_no_route_can_have_is_not_found(shared_database, odd):
    with pytest.raises(NotFound):
        get_route(shared_database, odd)
    with pytest.raises(NotFound):
        remove_route(shared_database, odd)


def test_built_in_routes_stand_before_the_others_until_one_takes_their_place(database):
    settings = Settings(_env_file=None, echo=True, local_model_url="http://127.0.0.1:1/v1")
    put_route(database, single("zeta", "openai", "gpt-4o"))
    names = [view.name for view in list_routes(database, settings=settings)]
    assert names == ["smollm2-135m", "echo", "zeta"]
    assert get_route(database, "echo", settings=settings).built_in
    put_route(database, single("echo", "openai", "gpt-4o"))
    views = list_routes(database, settings=settings)
    assert [(view.name, view.built_in) for view in views] == [
        *(("smollm2-135m", True), ("echo", False), ("zeta", False)),
    ]
    assert not get_route(database, "echo", settings=settings).built_in


def test_a_description_says_the_defaults_too(shared_database):
    told = describe_route(put_route(shared_database, route(name="plain")))
    assert told["strategy"] == "priority"
    assert told["targets"] == [
        {
            "provider": PROVIDER,
            "model": "m",
            "priority": 1,
            "weight": 1,
            "region": None,
            "max_output": None,
            "when": {
                "dialects": (),
                "tools": None,
                "images": None,
                "min_input_tokens": None,
                "max_input_tokens": None,
            },
        }
    ]
    assert told["deadlines"] == {"connect": None, "first_byte": None, "idle": None, "total": None}
    assert (told["cache"], told["enabled"], told["built_in"]) == (None, True, False)
    assert msgspec.json.encode(told)


# --- what is refused ---------------------------------------------------------------------------


def target(**changes: Any) -> Route:
    return route(targets=(msgspec.structs.replace(TARGET, **changes),))


@pytest.mark.parametrize(
    ("bad", "param"),
    [
        (route(name=""), "name"),
        (route(name="x" * 201), "name"),
        (route(name="x\ny"), "name"),
        (route(name=" x"), "name"),
        (route(name="x\u202ey"), "name"),
        (route(name="\ud800"), "name"),
        (route(targets=()), "targets"),
        (
            route(targets=tuple(RouteTarget(provider=PROVIDER, model=f"{n}") for n in range(101))),
            "targets",
        ),
        (target(provider="nobody"), "targets[0].provider"),
        (target(model=""), "targets[0].model"),
        (target(model="x\x00"), "targets[0].model"),
        (target(priority=-1), "targets[0].priority"),
        (target(priority=101), "targets[0].priority"),
        (target(weight=-1), "targets[0].weight"),
        (target(weight=1001), "targets[0].weight"),
        (target(weight=0), "targets"),
        (
            route(targets=(TARGET, RouteTarget(provider="echo", model="e", priority=2, weight=0))),
            "targets",
        ),
        (route(targets=(TARGET, msgspec.structs.replace(TARGET, weight=5))), "targets[1]"),
        (target(max_output=0), "targets[0].max_output"),
        (target(region=""), "targets[0].region"),
        (target(region="x" * 65), "targets[0].region"),
        (target(region="é"), "targets[0].region"),
        (target(when=When(dialects=("openai.chat",))), "targets[0].when.dialects"),
        (target(when=When(min_input_tokens=-1)), "targets[0].when.min_input_tokens"),
        (
            target(when=When(min_input_tokens=2, max_input_tokens=1)),
            "targets[0].when.min_input_tokens",
        ),
        (route(attempts=0), "attempts"),
        (route(attempts=11), "attempts"),
        (route(deadlines=Deadlines(connect=0)), "deadlines.connect"),
        (route(deadlines=Deadlines(first_byte=-1)), "deadlines.first_byte"),
        (route(deadlines=Deadlines(idle=float("nan"))), "deadlines.idle"),
        (route(deadlines=Deadlines(total=float("inf"))), "deadlines.total"),
        (route(cache=CacheTerms(seconds=0)), "cache.seconds"),
        (route(cache=CacheTerms(seconds=30 * 86_400 + 1)), "cache.seconds"),
        (route(cache=CacheTerms(seconds=1, max_bytes=0)), "cache.max_bytes"),
        (route(cache=CacheTerms(seconds=1, scope="world")), "route"),  # type: ignore[arg-type]
        (route(strategy="luck"), "strategy"),
        (route(disconnect="ignore"), "route"),
        (target(weight="many"), "route"),
        (target(weight=True), "route"),
    ],
    ids=lambda value: ascii(value)[:30] if isinstance(value, str) else "",
)
def test_a_route_that_can_not_be_followed_is_refused(shared_database, bad, param):
    before = version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        put_route(shared_database, bad)
    assert caught.value.param == param
    assert version(shared_database) == before


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (target(provider="nobody"), "openai, anthropic, local, echo, acme"),
        (route(strategy="luck"), "priority, weighted, least_latency, least_busy, cheapest"),
        (target(when=When(dialects=("talk",))), "chat, responses, completions"),
        (target(weight=2000), "0 to 1000"),
    ],
)
def test_a_refusal_says_what_would_do(shared_database, bad, words):
    with pytest.raises(InvalidRequest, match=words):
        put_route(shared_database, bad)


@pytest.mark.parametrize("good", ["x", "a/b/c", "groq/llama", "łódź model", "gpt-4o", "x" * 200])
def test_a_name_may_hold_slashes_and_hide_what_a_provider_has(shared_database, good):
    assert put_route(shared_database, route(name=good)).name == good


@pytest.mark.parametrize("dialect", sorted(DIALECTS.values()))
def test_every_route_of_callers_is_a_dialect_of_conditions(shared_database, dialect):
    assert put_route(shared_database, target(when=When(dialects=(dialect,)))).enabled
