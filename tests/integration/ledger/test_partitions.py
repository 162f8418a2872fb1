"""The ledger's partitions: made ahead of time, by any number of hosts at once."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import text, update

from tests.integration.conftest import copied_database
from tests.integration.ledger.books import Books, settlement
from tests.integration.ledger.storm import Tally, run_all
from torana.db import partitions
from torana.db.models import Reservation
from torana.db.session import Database


@pytest.fixture
def postgres(postgres_server, postgres_template) -> Iterator[Database]:
    with copied_database(postgres_template, postgres_server) as made:
        yield made


def drop(database: Database, name: str) -> None:
    with database.write() as session:
        session.execute(text(f"DROP TABLE {name}"))


def tables(database: Database) -> list[str]:
    with database.read() as session:
        return list(
            session.scalars(
                text(
                    "SELECT inhrelid::regclass::text FROM pg_inherits "
                    "WHERE inhparent = 'ledger_entries'::regclass ORDER BY 1"
                )
            )
        )


def ahead() -> list[str]:
    return [partitions.partition_name(month) for month in partitions.months_from(datetime.now(UTC))]


def test_a_file_has_no_partitions(database):
    if database.is_sqlite:
        assert partitions.ensure(database) == []


def test_a_fresh_database_has_this_month_three_more_and_a_default(postgres):
    assert tables(postgres) == sorted([*ahead(), "ledger_entries_default"])
    assert partitions.ensure(postgres) == []


def test_what_is_missing_is_made_once_by_many_at_once(postgres):
    names = ahead()
    for name in names[1:]:
        drop(postgres, name)
    made: list[str] = []
    databases = [
        Database(postgres.url.set(drivername="postgresql").render_as_string(hide_password=False))
        for _ in range(4)
    ]

    def ensure(database: Database) -> None:
        made.extend(partitions.ensure(database))

    run_all([lambda database=database: ensure(database) for database in databases], Tally())  # type: ignore[misc]
    for database in databases:
        database.dispose()
    assert sorted(made) == names[1:]
    assert tables(postgres) == sorted([*names, "ledger_entries_default"])


def place_of(books: Books, call_id: str) -> str:
    with books.database.read() as session:
        name: str = session.scalars(
            text("SELECT tableoid::regclass::text FROM ledger_entries WHERE call_id = :id"),
            {"id": call_id},
        ).one()
        return name


def posted_at(books: Books, instant: datetime) -> str:
    """Where the entry of a call that was admitted then lies."""
    receipt = books.admit(10)
    with books.database.write() as session:
        session.execute(
            update(Reservation)
            .where(Reservation.call_id == receipt.record.call_id)
            .values(admitted_at=instant)
        )
    books.teller.post(msgspec.structs.replace(receipt, admitted_at=instant), settlement(5))
    return place_of(books, receipt.record.call_id)


def test_an_entry_lies_in_the_month_of_its_admission(postgres):
    first = partitions.months_from(datetime.now(UTC))[1]
    with Books(postgres) as books:
        assert posted_at(books, first) == partitions.partition_name(first)
        before = first - timedelta(microseconds=1)
        assert posted_at(books, before) == partitions.partition_name(before)
        assert posted_at(books, datetime(2020, 1, 1, tzinfo=UTC)) == "ledger_entries_default"
        assert books.differences() == []


def test_a_month_whose_entries_lie_in_the_default_is_told_and_not_made(postgres, caplog):
    blocked, free = partitions.months_from(datetime.now(UTC))[2:4]
    for month in (blocked, free):
        drop(postgres, partitions.partition_name(month))
    with Books(postgres) as books:
        assert posted_at(books, blocked) == "ledger_entries_default"
    with caplog.at_level(logging.ERROR):
        assert partitions.ensure(postgres) == [partitions.partition_name(free)]
    assert [one.getMessage() for one in caplog.records] == ["ledger.partition_blocked"]


@pytest.mark.parametrize(
    ("instant", "names"),
    [
        (datetime(2026, 11, 30, 23, 59, tzinfo=UTC), ["2026m11", "2026m12", "2027m01", "2027m02"]),
        (datetime(2026, 12, 1, tzinfo=UTC), ["2026m12", "2027m01", "2027m02", "2027m03"]),
    ],
)
def test_months_follow_over_the_end_of_a_year(instant, names):
    made = [partitions.partition_name(month) for month in partitions.months_from(instant)]
    assert made == [f"ledger_entries_y{name}" for name in names]
