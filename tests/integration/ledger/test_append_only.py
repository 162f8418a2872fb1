"""The ledger takes entries and gives none back; a target that passes its bound is closed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from tests.integration.ledger.books import Books, settlement
from tests.support.further import further
from torana.core.usage import Counted
from torana.db.models import ConfigVersion, LedgerEntry, SuspendedTarget
from torana.errors import LedgerUnavailable


@pytest.fixture
def books(database) -> Iterator[Books]:
    with Books(database) as made:
        made.teller.post(made.admit(100), settlement(60))
        yield made


CHANGES = [
    "UPDATE ledger_entries SET cost_nano = 0",
    "UPDATE ledger_entries SET tags = tags WHERE seq = 0",
    "DELETE FROM ledger_entries",
]
ON_SQLITE = [
    "REPLACE INTO ledger_entries SELECT * FROM ledger_entries",
    "INSERT OR REPLACE INTO ledger_entries SELECT * FROM ledger_entries",
    (
        "INSERT INTO ledger_entries SELECT * FROM ledger_entries WHERE true "
        "ON CONFLICT DO UPDATE SET cost_nano = 0"
    ),
]
ON_POSTGRES = [
    "TRUNCATE ledger_entries",
    "DELETE FROM ledger_entries_default",
    (
        "INSERT INTO ledger_entries SELECT * FROM ledger_entries "
        "ON CONFLICT (admitted_at, call_id, seq) DO UPDATE SET cost_nano = 0"
    ),
]


def check_refused(books: Books, statement: str) -> None:
    with (
        pytest.raises((DBAPIError, LedgerUnavailable)) as caught,
        books.database.write() as session,
    ):
        session.execute(text(statement))
    shown = f"{caught.value} {caught.value.__cause__}"
    assert "append-only" in shown
    (entry,) = books.entries()
    assert entry.cost_nano == 60
    assert books.differences() == []


@pytest.mark.parametrize("change", CHANGES)
def test_no_entry_can_be_changed_or_taken_away(books, change):
    check_refused(books, change)


@pytest.mark.parametrize("change", ON_SQLITE)
def test_nor_by_the_ways_that_only_sqlite_has(books, change):
    if books.database.is_sqlite:
        check_refused(books, change)


@pytest.mark.parametrize("change", ON_POSTGRES)
def test_nor_by_the_ways_that_only_postgres_has(books, change):
    if books.database.is_sqlite:
        return
    if "_default" in change:
        move_to_default(books)
    check_refused(books, change)


def move_to_default(books: Books) -> None:
    """Let the entry lie in the default partition."""
    month = f"{books.entries()[0].admitted_at:ledger_entries_y%Ym%m}"
    with books.database.write() as session:
        session.execute(text(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {month}"))  # noqa: S608 -- our table
        session.execute(text(f"DROP TABLE {month}"))
        session.execute(text("INSERT INTO ledger_entries SELECT * FROM kept"))


# --- bounds that did not hold ------------------------------------------------------------------


def suspended(books: Books) -> list[tuple[str, str, int, int]]:
    with books.database.read() as session:
        rows = session.scalars(select(SuspendedTarget)).all()
        return [(row.provider, row.model, row.bound_nano, row.cost_nano) for row in rows]


def version(books: Books) -> int:
    with books.database.read() as session:
        return session.scalars(select(ConfigVersion.version)).one()


def test_a_target_that_costs_more_than_its_bound_is_closed_and_all_processes_learn_it(books):
    before = version(books)
    receipt = books.admit(100)
    books.teller.post(receipt, settlement(101))
    assert suspended(books) == [("fake", "target-model", 100, 101)]
    assert version(books) == before + 1
    # The first that did it is the one to look at.
    books.teller.post(books.admit(100), settlement(500))
    assert suspended(books) == [("fake", "target-model", 100, 101)]
    assert [entry.cost_nano for entry in books.entries()].count(500) == 1


@pytest.mark.parametrize(
    ("cost", "counted"), [(100, Counted.PROVIDER), (101, Counted.BOUND), (101, Counted.TOKENIZER)]
)
def test_what_no_provider_has_told_closes_nothing(books, cost, counted):
    before = version(books)
    books.teller.post(books.admit(100), settlement(cost, counted=counted))
    assert (suspended(books), version(books)) == ([], before)


def test_an_extended_bound_is_the_one_that_counts(books):
    admitted = books.admit(100)
    receipt = books.teller.extend(admitted, further(admitted, 200))
    assert books.figures()[1:] == (200, 1)
    books.teller.post(receipt, settlement(150))
    assert suspended(books) == []
    with books.database.read() as session:
        entry = session.scalars(
            select(LedgerEntry).where(LedgerEntry.call_id == receipt.record.call_id)
        ).one()
        assert entry.bound_nano == 200
