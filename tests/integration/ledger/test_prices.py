"""Versions of prices."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from torana.core.money import Price, PriceTerms, Rates
from torana.db.models import PriceVersion
from torana.db.session import Database
from torana.ledger.prices import (
    NO_PRICE,
    NewVersion,
    add_versions,
    current_prices,
    next_change,
    set_price,
    versions,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def terms(input_rate: int, output_rate: int, **others: int) -> PriceTerms:
    return PriceTerms(rates=Rates(input_tokens=input_rate, output_tokens=output_rate, **others))


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
                terms=terms(input_rate, output_rate),
                source="operator",
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
    assert price.terms == terms(100, 200)


def test_the_newest_version_that_has_begun_counts(priced):
    for number in range(3):
        priced.set(100 + number, 200, START + timedelta(days=number))
    for number in range(3):
        price = priced.at(START + timedelta(days=number, hours=1))
        assert price is not None
        assert price.terms.rates.input_tokens == 100 + number


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


def test_a_price_that_differs_in_anything_is_a_new_version(priced):
    changes = [
        terms(100, 200),
        terms(100, 200, cached_tokens=10),
        PriceTerms(rates=Rates(input_tokens=100, output_tokens=200), batch_percent=50),
    ]
    with priced.database.write() as session:
        for day, changed in enumerate(changes):
            assert set_price(
                session,
                provider=priced.provider,
                model="m",
                terms=changed,
                source="operator",
                now=START + timedelta(days=day),
            )
    for day, changed in enumerate(changes):
        price = priced.at(START + timedelta(days=day))
        assert price is not None
        assert price.terms == changed


def test_the_same_price_of_another_source_is_a_new_version(priced):
    priced.set(100, 200, START)
    with priced.database.write() as session:
        assert set_price(
            session,
            provider=priced.provider,
            model="m",
            terms=terms(100, 200),
            source="list",
            now=START + timedelta(days=1),
        )


def test_a_version_may_say_that_there_is_no_price_any_more(priced):
    priced.set(100, 200, START)
    later = START + timedelta(days=1)
    with priced.database.write() as session:
        gone = NewVersion(
            provider=priced.provider, model="m", valid_from=later, terms=None, source=NO_PRICE
        )
        assert add_versions(session, [gone]) == 1
    assert priced.at(START) is not None
    assert priced.at(later) is None
    with priced.database.read() as session:
        found = versions(session, providers=(priced.provider,), model="m")
    assert [version.terms for version in found] == [terms(100, 200), None]


def test_the_next_instant_at_which_a_price_begins_is_known(priced):
    far = datetime(2090, 1, 1, tzinfo=UTC)
    for number in (2, 1, 3):
        priced.set(number, 1, far + timedelta(days=number))
    with priced.database.read() as session:
        assert next_change(session, far) == far + timedelta(days=1)
        assert next_change(session, far + timedelta(days=1)) == far + timedelta(days=2)
        assert next_change(session, far + timedelta(days=3)) is None


def test_models_and_providers_have_their_own_prices(priced, shared_database):
    other = Priced(shared_database)
    priced.set(1, 1, START, model="a")
    priced.set(2, 2, START, model="b")
    other.set(3, 3, START, model="a")
    rates = [(priced.at(START, "a")), (priced.at(START, "b")), (other.at(START, "a"))]
    inputs = [price.terms.rates.input_tokens for price in rates if price is not None]
    assert inputs == [1, 2, 3]


def test_rates_may_be_as_large_as_a_column_holds(priced):
    priced.set(2**62, 0, START)
    price = priced.at(START)
    assert price is not None
    assert price.terms == terms(2**62, 0)


def test_the_built_in_models_have_a_price(shared_database):
    with shared_database.read() as session:
        prices = current_prices(session, datetime.now(UTC) + timedelta(minutes=1))
    assert prices["echo", "*"].terms.rates.input_tokens == 10_000_000
    assert prices["local", "*"].terms.rates.output_tokens == 20_000_000
