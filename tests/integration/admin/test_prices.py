"""Prices from lists and from operators, and how they live together."""

from __future__ import annotations

import secrets
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from torana.admin import price_list
from torana.admin.listed import ListedModel, ListedPrice, ListedProvider
from torana.admin.price_list import PriceList, read_list
from torana.admin.prices import (
    list_prices,
    reset_price,
    seed_prices,
    set_by_operator,
    update_prices,
)
from torana.admin.providers import PURPOSE, add_provider
from torana.core.clock import utc_now
from torana.core.money import PriceTerms, Rates
from torana.db.models import ConfigVersion, PriceVersion
from torana.db.session import Database
from torana.errors import InvalidRequest
from torana.ledger.prices import current_prices
from torana.secret_box import SecretBox

BOX = SecretBox([SecretStr("s" * 32)], PURPOSE)
FAR = datetime(2090, 1, 1, tzinfo=UTC)


def terms(input_rate: int) -> PriceTerms:
    return PriceTerms(rates=Rates(input_tokens=input_rate, output_tokens=input_rate))


def listed(**models: int | list[tuple[date | None, int]]) -> PriceList:
    """A list for `openai` with an input rate for each model, or several by day."""
    made = []
    for name, rates in models.items():
        dated = [(None, rates)] if isinstance(rates, int) else rates
        prices = tuple(ListedPrice(terms=terms(rate), since=day) for day, rate in dated)
        made.append(ListedModel(id=name, prices=prices, aliases=(f"{name}-alias",)))
    provider = ListedProvider(models=tuple(made))
    return PriceList(frozenset({"openai"}), lambda _: provider)


def name() -> str:
    return f"m{secrets.token_hex(6)}"


def rate(
    database: Database, model: str, now: datetime | None = None, provider: str = "openai"
) -> Any:
    with database.read() as session:
        price = current_prices(session, now or utc_now()).get((provider, model))
    return None if price is None else price.terms.rates.input_tokens


def rows(database: Database) -> list[tuple[Any, ...]]:
    columns = (PriceVersion.id, PriceVersion.valid_from, PriceVersion.rates, PriceVersion.source)
    with database.read() as session:
        return [tuple(row) for row in session.execute(select(*columns).order_by(PriceVersion.id))]


def version(database: Database) -> int:
    with database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def test_a_new_database_has_the_prices_of_the_list(shared_database):
    rows = {row.model: row for row in list_prices(shared_database, provider="openai")}
    assert rows["gpt-4o-mini"].source == "list"
    mini = rows["gpt-4o-mini"].terms
    assert mini is not None
    assert mini.rates.input_tokens == 150_000_000
    assert {row.model for row in list_prices(shared_database, provider="anthropic")}
    (echo,) = list_prices(shared_database, provider="echo")
    assert (echo.model, echo.source) == ("*", "builtin")
    assert list_prices(shared_database, provider="mistral") == []


def test_seeding_again_changes_nothing_and_tells_nobody(shared_database):
    before = rows(shared_database), version(shared_database)
    seed_prices(shared_database)
    assert (rows(shared_database), version(shared_database)) == before


def test_a_provider_that_is_added_brings_its_listed_prices(database):
    add_provider(database, BOX, name="mistral", base_url="https://m.example.test/v1", api_key=None)
    assert list_prices(database, provider="mistral")
    before = rows(database)
    seed_prices(database)
    assert rows(database) == before


def test_a_changed_list_price_is_a_new_version_and_old_rows_stay(shared_database):
    model = name()
    first = update_prices(shared_database, listed(**{model: 100}))
    assert [(change.model, change.before, change.after) for change in first[:1]] == [
        (model, None, terms(100))
    ]
    stored = rows(shared_database)
    told = version(shared_database)
    assert update_prices(shared_database, listed(**{model: 100})) == []
    assert rows(shared_database) == stored
    update_prices(shared_database, listed(**{model: 150}))
    assert rate(shared_database, model) == 150
    assert [row for row in rows(shared_database) if row in stored] == stored
    assert version(shared_database) == told + 1


def test_a_dry_run_says_the_same_and_changes_nothing(shared_database):
    model = name()
    before = rows(shared_database), version(shared_database)
    dry = update_prices(shared_database, listed(**{model: 100}), dry_run=True)
    assert (rows(shared_database), version(shared_database)) == before
    wet = update_prices(shared_database, listed(**{model: 100}))
    assert [(change.model, change.after) for change in dry] == [
        (change.model, change.after) for change in wet
    ]


def test_what_an_operator_has_set_stays_whatever_lists_say(shared_database):
    model = name()
    update_prices(shared_database, listed(**{model: 100}))
    row = set_by_operator(shared_database, provider="openai", model=model, terms=terms(7))
    assert (row.in_force, row.source) == (True, "operator")
    update_prices(shared_database, listed(**{model: 200}))
    update_prices(shared_database)
    seed_prices(shared_database)
    assert rate(shared_database, model) == 7


def test_an_operators_price_of_a_built_in_model_survives_a_start(database):
    set_by_operator(database, provider="local", model="*", terms=terms(7))
    seed_prices(database)
    assert rate(database, "*", provider="local") == 7
    assert reset_price(database, provider="local", model="*") is not None
    assert rate(database, "*", provider="local") == 10_000_000
    seed_prices(database)
    assert list_prices(database, provider="local")[0].source == "builtin"


def test_a_start_does_not_undo_a_newer_list_but_an_update_without_a_file_does(database):
    update_prices(database, listed(**{"gpt-4o": 1}))
    seed_prices(database)
    assert rate(database, "gpt-4o") == 1
    update_prices(database)
    assert rate(database, "gpt-4o") == 2_500_000_000
    assert update_prices(database) == []


def test_names_that_only_a_newer_list_knows_are_priced_too(shared_database):
    model = name()
    update_prices(shared_database, listed(**{model: 100}))
    assert rate(shared_database, f"{model}-alias") == 100


def test_an_announced_price_is_stored_ahead_and_an_operators_outlives_it(shared_database):
    plain, held = name(), name()
    dated: list[tuple[date | None, int]] = [(None, 100), (FAR.date(), 200)]
    brought = listed(**{plain: dated, held: dated})
    update_prices(shared_database, brought)
    assert rate(shared_database, plain) == 100
    assert rate(shared_database, plain, FAR) == 200
    set_by_operator(shared_database, provider="openai", model=held, terms=terms(7))
    assert rate(shared_database, held, FAR + timedelta(days=1)) == 7
    assert update_prices(shared_database, brought) == []


def test_an_announcement_that_a_newer_list_takes_back_is_taken_back(shared_database):
    model = name()
    update_prices(shared_database, listed(**{model: [(None, 100), (FAR.date(), 200)]}))
    update_prices(shared_database, listed(**{model: 100}))
    assert rate(shared_database, model, FAR + timedelta(days=1)) == 100


def test_an_operator_may_announce_a_price(shared_database):
    model = name()
    update_prices(shared_database, listed(**{model: 100}))
    row = set_by_operator(
        shared_database, provider="openai", model=model, terms=terms(7), begins=FAR
    )
    assert not row.in_force
    assert rate(shared_database, model) == 100
    update_prices(shared_database, listed(**{model: [(None, 110), (date(2091, 1, 1), 120)]}))
    assert rate(shared_database, model) == 110
    assert rate(shared_database, model, FAR) == 7
    assert rate(shared_database, model, FAR + timedelta(days=400)) == 7


def test_a_price_can_not_begin_in_the_past(shared_database):
    past = utc_now() - timedelta(seconds=5)
    with pytest.raises(InvalidRequest) as caught:
        set_by_operator(shared_database, provider="openai", model="m", terms=terms(1), begins=past)
    assert caught.value.param == "from"


def test_a_model_that_is_reset_costs_what_the_list_says(shared_database):
    for model in ("gpt-4.1", "gpt-4.1-2025-04-14"):
        listed_price = rate(shared_database, "gpt-4.1")
        set_by_operator(shared_database, provider="openai", model=model, terms=terms(7))
        set_by_operator(shared_database, provider="openai", model=model, terms=terms(8), begins=FAR)
        back = reset_price(shared_database, provider="openai", model=model)
        assert back is not None
        assert rate(shared_database, model) == back.rates.input_tokens == listed_price
        assert rate(shared_database, model, FAR + timedelta(days=1)) == listed_price
        before = rows(shared_database)
        seed_prices(shared_database)
        assert rows(shared_database) == before


def test_a_model_that_no_list_knows_has_no_price_after_a_reset(shared_database):
    model = name()
    with pytest.raises(InvalidRequest, match="has no price"):
        reset_price(shared_database, provider="openai", model=model)
    set_by_operator(shared_database, provider="openai", model=model, terms=terms(7))
    assert reset_price(shared_database, provider="openai", model=model) is None
    assert rate(shared_database, model) is None
    assert list_prices(shared_database, model=model) == []
    history = list_prices(shared_database, model=model, history=True)
    assert [(row.source, row.terms) for row in history] == [("none", None), ("operator", terms(7))]
    update_prices(shared_database, listed(**{model: 5}))
    assert rate(shared_database, model) == 5


def test_history_shows_every_version_the_newest_first(shared_database):
    model = name()
    for number in (1, 2, 3):
        set_by_operator(shared_database, provider="openai", model=model, terms=terms(number))
    set_by_operator(shared_database, provider="openai", model=model, terms=terms(4), begins=FAR)
    history = list_prices(shared_database, provider="openai", model=model, history=True)
    assert [row.terms for row in history] == [terms(4), terms(3), terms(2), terms(1)]
    assert [row.in_force for row in history] == [False, True, False, False]
    (present,) = list_prices(shared_database, provider="openai", model=model)
    assert present == history[1]


def test_a_dated_name_finds_the_price_of_its_model(shared_database):
    (row,) = list_prices(shared_database, provider="openai", model="gpt-4o-mini-2024-07-18")
    assert row.model == "gpt-4o-mini"
    assert list_prices(shared_database, provider="no\x00body") == []


@pytest.mark.parametrize(
    ("provider", "model", "param"),
    [
        ("nobody", "m", "provider"),
        ("", "m", "provider"),
        ("no\x00body", "m", "provider"),
        ("openai", "", "model"),
        ("openai", "x" * 201, "model"),
        ("openai", " m", "model"),
        ("openai", "m\n", "model"),
        ("openai", "m\x00", "model"),
    ],
)
def test_a_price_for_what_can_not_be_called_is_refused(shared_database, provider, model, param):
    before = rows(shared_database), version(shared_database)
    with pytest.raises(InvalidRequest) as caught:
        set_by_operator(shared_database, provider=provider, model=model, terms=terms(1))
    assert caught.value.param == param
    with pytest.raises(InvalidRequest):
        reset_price(shared_database, provider=provider, model=model)
    assert (rows(shared_database), version(shared_database)) == before


def test_a_file_of_genai_prices_is_applied_to_known_providers_only(shared_database):
    model = name()
    source = {"id": model, "match": {"equals": model}, "prices": {"input_mtok": 3}}
    body = msgspec.json.encode(
        [{"id": provider, "models": [source]} for provider in ("openai", "elsewhere")]
    )
    update_prices(shared_database, read_list(body))
    assert rate(shared_database, model) == 3 * 10**9
    with shared_database.read() as session:
        elsewhere = session.scalar(select(func.count()).where(PriceVersion.provider == "elsewhere"))
    assert elsewhere == 0


def test_a_later_version_with_other_prices_adds_to_those_that_were(database, monkeypatch):
    later = listed(**{"gpt-4o": 9})
    monkeypatch.setattr("torana.admin.prices.shipped", lambda: later)
    before = rows(database)
    seed_prices(database)
    assert rate(database, "gpt-4o") == 9
    assert rate(database, "gpt-4o-mini") == 150_000_000
    after = rows(database)
    assert [row for row in after if row in before] == before
    assert price_list.shipped().names > later.names
