"""The snapshot of what may be called, and how it follows the database."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, update

from tests.integration.ledger.test_owners import rename
from tests.integration.ledger.test_trouble import away
from torana.admin.configuration import Configuration
from torana.admin.providers import (
    LOCAL_CONTEXT,
    LOCAL_MODEL,
    PURPOSE,
    add_provider,
    raise_version,
)
from torana.admin.suspensions import list_suspensions, resume
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.core.money import PriceTerms, Rates
from torana.db.models import ModelRoute, Provider, SuspendedTarget
from torana.db.session import Database
from torana.errors import LedgerUnavailable, ModelNotFound, NotFound
from torana.ledger.prices import set_price
from torana.loops import Loop
from torana.secret_box import SecretBox
from torana.settings import Settings

OLD, NEW = SecretStr("o" * 32), SecretStr("n" * 32)
URL = "https://api.example.test/v1"


def settings(**values: Any) -> Settings:
    fields = {"secret_keys": (NEW, OLD), "openai_api_key": None} | values
    return Settings(_env_file=None, **fields)


@pytest.fixture
def clean(shared_database: Database) -> Database:
    """The module's database without providers and routes."""
    with shared_database.write() as session:
        session.execute(delete(ModelRoute))
        session.execute(delete(Provider))
        raise_version(session)
    return shared_database


def configured(database: Database, **values: Any) -> Configuration:
    made = Configuration(settings(**values), database)
    made.refresh()
    return made


def add(database: Database, name: str, api_key: str | None = None, key: SecretStr = NEW) -> str:
    box = SecretBox([key], PURPOSE)
    return add_provider(database, box, name=name, base_url=URL, api_key=api_key).id


def add_route(database: Database, provider_id: str, name: str = "small", **changes: Any) -> None:
    fields: dict[str, Any] = {
        "id": new_id("route"),
        "name": name,
        "provider_id": provider_id,
        "target_model": "small-7b",
        "max_output_tokens": 512,
        "enabled": True,
        "created_at": datetime.now(UTC),
    }
    with database.write() as session:
        session.add(ModelRoute(**(fields | changes)))
        raise_version(session)


def names(configuration: Configuration) -> list[str]:
    return list(configuration.present().catalog.providers)


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
    assert (config.base_url, config.api_key) == (URL, "sk-theirs")
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


def change(database: Database, **values: Any) -> None:
    with database.write() as session:
        session.execute(update(Provider).values(**values))
        raise_version(session)


def test_a_provider_that_changed_is_another(clean):
    add(clean, "vllm")
    configuration = configured(clean)
    before = configuration.present().providers["vllm"]
    change(clean, base_url="https://other.example.test/v1")
    configuration.refresh()
    after = configuration.present().providers["vllm"]
    assert after is not before
    assert after.config.base_url == "https://other.example.test/v1"


def test_a_provider_that_was_disabled_is_gone_with_its_routes(clean):
    add_route(clean, add(clean, "vllm"))
    configuration = configured(clean)
    assert configuration.present().catalog.targets("small")
    change(clean, enabled=False)
    configuration.refresh()
    assert names(configuration) == []
    for model in ("small", "vllm/x"):
        with pytest.raises(ModelNotFound):
            configuration.present().catalog.targets(model)


def test_a_route_is_read_with_its_limit_and_a_disabled_one_is_not(clean):
    provider = add(clean, "vllm")
    add_route(clean, provider)
    add_route(clean, provider, name="off", enabled=False)
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


def test_an_older_secret_still_reads_a_providers_key(clean):
    add(clean, "vllm", api_key="sk-theirs", key=OLD)
    assert configured(clean).present().providers["vllm"].config.api_key == "sk-theirs"


@pytest.mark.parametrize("secret_keys", [(SecretStr("x" * 32),), ()])
def test_a_provider_whose_key_can_not_be_read_is_left_out_and_told(clean, caplog, secret_keys):
    add(clean, "locked", api_key="sk-theirs", key=OLD)
    add(clean, "open")
    configuration = configured(clean, secret_keys=secret_keys)
    assert names(configuration) == ["open"]
    (record,) = [one for one in caplog.records if one.getMessage() == "provider.unusable"]
    assert record.levelno == logging.ERROR
    assert vars(record)["provider"] == "locked"
    assert "sk-theirs" not in str(vars(record))


def test_a_route_to_a_provider_that_was_left_out_leads_nowhere(clean):
    add_route(clean, add(clean, "locked", api_key="sk-theirs", key=OLD))
    configuration = configured(clean, secret_keys=(SecretStr("x" * 32),))
    with pytest.raises(ModelNotFound):
        configuration.present().catalog.targets("small")


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
