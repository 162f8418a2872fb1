"""Versions of prices."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from torana.core.ids import new_id
from torana.core.money import Price
from torana.db.models import PriceVersion
from torana.db.session import Database
from torana.ledger.prices import current_prices, set_price

START = datetime(2026, 1, 1, tzinfo=UTC)


class Priced:
    """A provider of its own on the shared database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.provider = f"p-{secrets.token_hex(6)}"

    def set(self, input_rate: int, output_rate: int, now: datetime, model: str = "m") -> None:
        with self.database.write() as session:
            set_price(
                session,
                provider=self.provider,
                model=model,
                input_rate=input_rate,
                output_rate=output_rate,
                now=now,
            )

    def at(self, now: datetime, model: str = "m") -> Price | None:
        with self.database.read() as session:
            return current_prices(session, now).get((self.provider, model))

    def versions(self) -> int:
        with self.database.read() as session:
            count = session.scalar(
                select(func.count()).where(PriceVersion.provider == self.provider)
            )
            return int(count or 0)


@pytest.fixture
def priced(shared_database) -> Priced:
    return Priced(shared_database)


def test_a_model_without_a_price_has_none(priced):
    assert priced.at(START) is None


def test_a_price_is_in_force_from_its_instant_on(priced):
    priced.set(100, 200, START)
    assert priced.at(START - timedelta(microseconds=1)) is None
    price = priced.at(START)
    assert price is not None
    assert (price.input, price.cached, price.cache_write) == (100, 100, 100)
    assert (price.output, price.reasoning) == (200, 200)


def test_the_newest_version_that_has_begun_counts(priced):
    for number in range(3):
        priced.set(100 + number, 200, START + timedelta(days=number))
    for number in range(3):
        price = priced.at(START + timedelta(days=number, hours=1))
        assert price is not None
        assert price.input == 100 + number


def test_the_same_price_again_is_no_new_version(priced):
    priced.set(100, 200, START)
    before = priced.at(START)
    priced.set(100, 200, START + timedelta(days=1))
    assert priced.versions() == 1
    assert priced.at(START + timedelta(days=2)) == before


def test_each_version_has_an_id_of_its_own_and_stays_as_it_was(priced):
    priced.set(100, 200, START)
    first = priced.at(START)
    priced.set(100, 300, START + timedelta(days=1))
    second = priced.at(START + timedelta(days=1))
    assert first is not None
    assert second is not None
    assert first.id != second.id
    assert priced.at(START) == first


def test_a_price_that_comes_back_is_a_new_version(priced):
    for day, rate in enumerate((100, 150, 100)):
        priced.set(rate, rate, START + timedelta(days=day))
    assert priced.versions() == 3


def test_a_price_whose_other_rates_differ_is_replaced(priced):
    with priced.database.write() as session:
        session.add(
            PriceVersion(
                id=new_id("price"),
                provider=priced.provider,
                model="m",
                valid_from=START,
                input_rate=100,
                cached_rate=10,
                cache_write_rate=125,
                output_rate=200,
                reasoning_rate=250,
            )
        )
    priced.set(100, 200, START + timedelta(days=1))
    price = priced.at(START + timedelta(days=1))
    assert price is not None
    assert (price.cached, price.cache_write, price.reasoning) == (100, 100, 200)


def test_models_and_providers_have_their_own_prices(priced, shared_database):
    other = Priced(shared_database)
    priced.set(1, 1, START, model="a")
    priced.set(2, 2, START, model="b")
    other.set(3, 3, START, model="a")
    rates = [(priced.at(START, "a")), (priced.at(START, "b")), (other.at(START, "a"))]
    assert [price.input for price in rates if price is not None] == [1, 2, 3]


def test_rates_may_be_as_large_as_a_column_holds(priced):
    priced.set(2**62, 0, START)
    price = priced.at(START)
    assert price is not None
    assert (price.input, price.output) == (2**62, 0)


def test_the_built_in_models_have_a_price(shared_database):
    with shared_database.read() as session:
        prices = current_prices(session, datetime.now(UTC) + timedelta(minutes=1))
    assert prices["echo", "*"].input == 10_000_000
    assert prices["local", "*"].output == 20_000_000
