"""The snapshot of what may be called, and how it follows the database."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from tests.integration.admin.configured import (
    URL,
    add,
    add_route,
    change,
    configured,
    emptied,
    names,
    settings,
)
from tests.integration.ledger.test_owners import rename
from tests.integration.ledger.test_trouble import away
from torana.admin.allowed_hosts import allow_host, disallow_host
from torana.admin.builtin import LOCAL_CONTEXT, LOCAL_MODEL
from torana.admin.config_version import raise_version
from torana.admin.configuration import Configuration
from torana.admin.routes import put_route
from torana.admin.suspensions import list_suspensions, resume
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.core.money import PriceTerms, Rates
from torana.db.models import Provider, SuspendedTarget
from torana.db.session import Database
from torana.errors import LedgerUnavailable, ModelNotFound, NotFound
from torana.ledger.prices import set_price
from torana.loops import Loop
from torana.routing.routes import Route, RouteTarget, single


@pytest.fixture
def clean(shared_database: Database) -> Database:
    """The module's database without providers and routes."""
    return emptied(shared_database)


def test_before_the_first_look_nothing_may_be_called(clean):
    with pytest.raises(LedgerUnavailable):
        Configuration(settings(), clean).present()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"echo": True}, ["echo"]),
        ({"openai_api_key": SecretStr("sk")}, ["openai"]),
        ({"local_model_url": "http://127.0.0.1:1/v1"}, ["local"]),
        (
            {
                "openai_api_key": SecretStr("sk"),
                "local_model_url": "http://127.0.0.1:1/v1",
                "echo": True,
            },
            ["openai", "local", "echo"],
        ),
    ],
)
def test_settings_alone_make_the_built_in_providers(clean, values, expected):
    configuration = configured(clean, **values)
    assert names(configuration) == expected
    assert list(configuration.present().providers) == expected


@pytest.mark.parametrize(
    "model", ["gpt-5", "o3-mini", "text-embedding-3-small", "chatgpt-4o-latest"]
)
def test_openais_own_names_go_to_openai(clean, model):
    catalog = configured(clean, openai_api_key=SecretStr("sk")).present().catalog
    (target,) = catalog.targets(model)
    assert (target.provider, target.model) == ("openai", model)


@pytest.mark.parametrize("model", ["my-gpt-4", "ollama", "claude-x", "organic", "opt-350m"])
def test_other_names_do_not(clean, model):
    catalog = configured(clean, openai_api_key=SecretStr("sk")).present().catalog
    with pytest.raises(ModelNotFound):
        catalog.targets(model)


def test_the_built_in_models_have_names_and_prices(clean):
    catalog = (
        configured(clean, echo=True, local_model_url="http://127.0.0.1:1/v1").present().catalog
    )
    for name, provider in (("echo", "echo"), ("smollm2-135m", "local")):
        (target,) = catalog.targets(name)
        assert target.provider == provider
        assert target.price is not None


def test_a_provider_that_is_added_is_there_after_the_next_look(clean):
    configuration = configured(clean)
    add(clean, "vllm", api_key="sk-theirs")
    assert names(configuration) == []
    assert configuration.refresh()
    assert names(configuration) == ["vllm"]
    config = configuration.present().providers["vllm"].config
    assert (config.base_url, config.keys[0].secret) == (URL, "sk-theirs")
    (target,) = configuration.present().catalog.targets("vllm/any/model")
    assert (target.provider, target.model, target.price) == ("vllm", "any/model", None)


def test_a_look_without_a_change_replaces_nothing(clean):
    configuration = configured(clean, echo=True)
    before = configuration.present()
    assert not configuration.refresh()
    assert configuration.present() is before


def test_a_call_under_way_keeps_what_it_began_with(clean):
    configuration = configured(clean, echo=True)
    before = configuration.present()
    add(clean, "later")
    configuration.refresh()
    assert "later" not in before.providers
    assert "later" not in before.catalog.providers


def test_a_provider_that_did_not_change_is_kept(clean):
    configuration = configured(clean, echo=True)
    add(clean, "first")
    configuration.refresh()
    kept = dict(configuration.present().providers)
    add(clean, "second")
    configuration.refresh()
    for name, provider in kept.items():
        assert configuration.present().providers[name] is provider


def test_a_provider_that_changed_is_another(clean):
    add(clean, "vllm")
    configuration = configured(clean)
    before = configuration.present().providers["vllm"]
    change(clean, base_url="https://other.example.test/v1")
    configuration.refresh()
    after = configuration.present().providers["vllm"]
    assert after is not before
    assert after.config.base_url == "https://other.example.test/v1"


def test_a_provider_may_be_at_a_private_address_as_long_as_its_host_is_allowed(clean):
    add(clean, "vllm")
    configuration = configured(clean)

    def private() -> bool:
        configuration.refresh()
        return configuration.present().providers["vllm"].config.private

    assert not private()
    allow_host(clean, "API.example.test")
    assert private()
    disallow_host(clean, "api.example.test")
    assert not private()


def test_a_provider_without_a_host_is_left_out(clean):
    add(clean, "open")
    add(clean, "lost")
    with clean.write() as session:
        session.execute(update(Provider).where(Provider.name == "lost").values(base_url="file:x"))
        raise_version(session)
    assert names(configured(clean)) == ["open"]


def test_a_provider_that_was_disabled_is_gone_with_its_routes(clean):
    add(clean, "vllm")
    add_route(clean, "vllm")
    configuration = configured(clean)
    assert configuration.present().catalog.targets("small")
    change(clean, enabled=False)
    configuration.refresh()
    assert names(configuration) == []
    for model in ("small", "vllm/x"):
        with pytest.raises(ModelNotFound):
            configuration.present().catalog.targets(model)


def test_a_route_is_read_with_its_limit_and_a_disabled_one_is_not(clean):
    add(clean, "vllm")
    add_route(clean, "vllm")
    add_route(clean, "vllm", name="off", enabled=False)
    catalog = configured(clean).present().catalog
    (target,) = catalog.targets("small")
    assert (target.provider, target.model, target.max_output) == ("vllm", "small-7b", 512)
    assert "off" not in catalog.routes


def test_a_price_is_read_with_the_next_change(clean):
    add(clean, "vllm")
    configuration = configured(clean)
    with clean.write() as session:
        set_price(
            session,
            provider="vllm",
            model="*",
            terms=PriceTerms(rates=Rates(input_tokens=1, output_tokens=2)),
            source="operator",
            now=datetime(2026, 1, 1, tzinfo=UTC),
        )
        raise_version(session)
    configuration.refresh()
    (target,) = configuration.present().catalog.targets("vllm/x")
    assert target.price is not None
    rates = target.price.terms.rates
    assert (rates.input_tokens, rates.output_tokens) == (1, 2)


def begin_price(database: Database, input_rate: int, begins: datetime) -> None:
    with database.write() as session:
        set_price(
            session,
            provider="vllm",
            model="*",
            terms=PriceTerms(rates=Rates(input_tokens=input_rate)),
            source="operator",
            now=begins,
        )
        raise_version(session)


def test_an_announced_price_comes_into_force_without_another_change(database):
    add(database, "vllm")
    begin_price(database, 1, datetime(2026, 1, 1, tzinfo=UTC))
    begin_price(database, 2, utc_now() + timedelta(seconds=1))
    configuration = configured(database)
    waited = threading.Event()

    def rate() -> int:
        (target,) = configuration.present().catalog.targets("vllm/x")
        assert target.price is not None
        return target.price.terms.rates.input_tokens

    assert rate() == 1
    assert not configuration.refresh()
    for _ in range(500):
        if configuration.refresh():
            break
        waited.wait(0.01)
    assert rate() == 2
    assert not configuration.refresh()


def test_only_prices_of_present_providers_are_kept_in_memory(clean):
    catalog = configured(clean, echo=True).present().catalog
    assert {provider for provider, _ in catalog.prices} == {"echo"}


def test_what_is_known_of_a_model_stands_in_its_target(clean):
    catalog = configured(clean, openai_api_key=SecretStr("sk"), echo=True).present().catalog
    (target,) = catalog.targets("gpt-4o-mini-2024-07-18")
    assert target.price is not None
    assert target.facts.context_window == 128_000
    assert (target.max_output, target.facts.hides_output) == (16_384, False)
    assert not catalog.targets("echo")[0].facts.hides_output


def test_the_local_model_is_known_by_its_limits(clean):
    configuration = configured(clean, local_model_url="http://127.0.0.1:1/v1")
    (target,) = configuration.present().catalog.targets(LOCAL_MODEL)
    assert target.facts.context_window == target.facts.max_output == LOCAL_CONTEXT


def test_a_suspended_target_is_marked_until_it_is_resumed(clean):
    configuration = configured(clean, openai_api_key=SecretStr("sk"))
    with clean.write() as session:
        session.add(
            SuspendedTarget(
                provider="openai",
                model="gpt-4o",
                call_id=new_id("req"),
                bound_nano=1,
                cost_nano=2,
                suspended_at=datetime.now(UTC),
            )
        )
        raise_version(session)
    configuration.refresh()
    assert configuration.present().catalog.targets("gpt-4o")[0].suspended
    assert [one.model for one in list_suspensions(clean)] == ["gpt-4o"]
    assert resume(clean, provider="openai", model="gpt-4o").cost_nano == 2
    configuration.refresh()
    assert not configuration.present().catalog.targets("gpt-4o")[0].suspended
    with pytest.raises(NotFound):
        resume(clean, provider="openai", model="gpt-4o")


def test_a_providers_options_are_read_and_those_of_another_version_leave_it_out(clean, caplog):
    add(clean, "open")
    add(clean, "strange")
    with clean.write() as session:
        session.execute(
            update(Provider).where(Provider.name == "open").values(options={"dropped": ["user"]})
        )
        session.execute(
            update(Provider).where(Provider.name == "strange").values(options={"dropped": 1})
        )
        raise_version(session)
    configuration = configured(clean)
    assert names(configuration) == ["open"]
    assert configuration.present().providers["open"].config.options.dropped == ("user",)
    (record,) = [one for one in caplog.records if one.getMessage() == "provider.unusable"]
    assert vars(record)["provider"] == "strange"


def test_a_route_of_another_version_is_left_out_and_told(clean, caplog):
    add(clean, "vllm")
    add_route(clean, "vllm")
    add_route(clean, "vllm", name="future", terms={"name": "future", "targets": 7})
    assert list(configured(clean).present().catalog.routes) == ["small"]
    (record,) = [one for one in caplog.records if one.getMessage() == "route.unusable"]
    assert vars(record)["route"] == "future"


def test_a_routes_target_whose_provider_is_away_is_left_out(clean):
    add(clean, "vllm")
    put_route(
        clean,
        Route(
            name="both",
            targets=(
                RouteTarget(provider="vllm", model="a"),
                RouteTarget(provider="openai", model="b", priority=2),
            ),
            strategy="weighted",
        ),
    )
    route = configured(clean).present().catalog.route("both")
    assert [(target.provider, target.model) for target in route.targets] == [("vllm", "a")]
    assert route.strategy == "weighted"
    whole = configured(clean, openai_api_key=SecretStr("sk")).present().catalog.route("both")
    assert len(whole.targets) == 2


def test_a_route_may_take_the_place_of_a_built_in_one(clean):
    add(clean, "vllm")
    put_route(clean, single("echo", "vllm", "parrot"))
    (target,) = configured(clean, echo=True).present().catalog.targets("echo")
    assert (target.provider, target.model) == ("vllm", "parrot")


def test_a_provider_of_a_kind_that_this_version_does_not_know_is_left_out(clean):
    add(clean, "open")
    configuration = configured(clean)
    add(clean, "strange")
    with clean.write() as session:
        session.execute(update(Provider).where(Provider.name == "strange").values(kind="future"))
        raise_version(session)
    configuration.refresh()
    assert names(configuration) == ["open"]


def test_a_database_that_is_away_leaves_the_last_snapshot_in_force(database):
    add(database, "vllm")
    configuration = configured(database)
    before = configuration.present()
    database.dispose()
    with away(database):
        with pytest.raises(LedgerUnavailable):
            configuration.refresh()
        assert configuration.present() is before
    add(database, "later")
    configuration.refresh()
    assert names(configuration) == ["vllm", "later"]


def test_a_table_that_a_migration_has_taken_away_leaves_the_last_snapshot(database):
    add(database, "vllm")
    configuration = configured(database)
    add(database, "later")
    rename(database, "model_routes", "model_routes_gone")
    loop = Loop("configuration", configuration.refresh, seconds=1)
    assert not loop.run_once()
    assert names(configuration) == ["vllm"]
    rename(database, "model_routes_gone", "model_routes")
    assert loop.run_once()
    assert names(configuration) == ["vllm", "later"]
