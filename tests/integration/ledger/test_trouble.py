"""A database that goes away and comes back, and rows that it does not take."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.ledger.books import Books, admitted, settlement
from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.ledger.open_lane import open_lane
from torana.ledger.records import Receipt
from torana.ledger.teller import Teller

QUICK_SECONDS = 1.0
"""How soon a caller learns that the ledger is away, with room for a busy machine."""
PATIENCE_SECONDS = 10.0


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Take a database away for the length of the block, open connections and all."""
    if database.is_sqlite:
        folder = Path(database.url.database or "").parent
        hidden = folder.rename(folder.with_name(f"{folder.name}-hidden"))
        try:
            yield
        finally:
            hidden.rename(folder)
        return
    name = database.url.database
    server = database.url.set(drivername="postgresql", database="postgres")
    with psycopg.connect(server.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,)
        )
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def until_it_answers(books: Books) -> Receipt:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return books.admit(100)
        except LedgerUnavailable:
            assert time.monotonic() < deadline, "the ledger does not recover"
            time.sleep(0.02)


@pytest.fixture
def books(database: Database) -> Iterator[Books]:
    with Books(database) as made:
        yield made


@pytest.fixture
def shared_books(shared_database: Database) -> Iterator[Books]:
    with Books(shared_database) as made:
        yield made


def test_a_database_that_is_away_is_told_quickly_and_the_ledger_recovers_by_itself(books):
    books.teller.close()  # SQLite's open file would outlive the renaming of its folder.
    books.database.dispose()
    with away(books.database):
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(LedgerUnavailable) as caught:
                books.admit(100)
            assert time.monotonic() - began < QUICK_SECONDS
            assert caught.value.status == 503
            assert caught.value.retry_after is not None
    books.teller.post(until_it_answers(books), settlement(60))
    assert books.figures() == (60, 0, 0)
    assert books.differences() == []


def test_a_post_waits_for_the_database_to_come_back(books):
    receipt = books.admit(100)
    books.teller.close()
    books.database.dispose()
    posted = threading.Event()

    def post() -> None:
        books.teller.post(receipt, settlement(60))
        posted.set()

    thread = threading.Thread(target=post, daemon=True)
    with away(books.database):
        thread.start()
        assert not posted.wait(0.3)
    assert posted.wait(PATIENCE_SECONDS)
    thread.join(PATIENCE_SECONDS)
    assert books.figures() == (60, 0, 0)
    assert books.differences() == []


@pytest.mark.parametrize(
    "url",
    ["postgresql://nobody:secret@127.0.0.1:1/torana", "sqlite:////nowhere/at/all/torana.db"],
)
def test_a_database_that_was_never_there_is_told_quickly(shared_books, url):
    teller = Teller(open_lane(Database(url), "own_1"), shared_books.batches)
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable) as caught:
        admitted(teller, shared_books.record())
    assert time.monotonic() - began < QUICK_SECONDS
    assert "secret" not in caught.value.public_message
    teller.close()


def test_a_killed_connection_heals_with_the_next_batch(books):
    if books.database.is_sqlite:
        return
    receipt = books.admit(100)
    url = books.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as admin:
        killed = admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'torana-teller' AND datname = current_database()"
        ).fetchall()
    assert killed == [(True,)]
    began = time.monotonic()
    books.teller.post(receipt, settlement(60))
    books.teller.post(books.admit(100), settlement(60))
    assert time.monotonic() - began < PATIENCE_SECONDS
    assert books.figures() == (120, 0, 0)


def test_a_writer_that_holds_the_rows_for_a_moment_is_waited_for(books):
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with books.database.write() as session:
            session.connection().exec_driver_sql("UPDATE balances SET limit_nano = NULL")
            holding.set()
            release.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    assert holding.wait(PATIENCE_SECONDS)
    threading.Timer(0.3, release.set).start()
    receipt = books.admit(100)
    thread.join(PATIENCE_SECONDS)
    books.teller.post(receipt, settlement(60))
    assert books.figures() == (60, 0, 0)


# --- rows that the database does not take ------------------------------------------------------


def neighbours_are_served(books: Books) -> None:
    """Other calls of the process go on as if nothing had happened."""
    for _ in range(15):
        books.teller.post(books.admit(1), settlement(1))


WORDS = [
    {"error_code": "x" * 300},
    {"error_code": "nul\x00inside"},
    {"provider_request_id": "x" * 300},
    {"attempts": [{"outcome": "nul\x00inside"}]},
]
"""Words of providers, which may be anything."""
FIGURES = [
    {"error_code": "lone \ud800 surrogate"},
    {"attempts": [{"cost_nano": 2**70}]},
    {"duration_ms": 2**40},
    {"cost_nano": 2**63},
]
"""What should never come to be."""


@pytest.mark.parametrize("changes", [*WORDS, *FIGURES], ids=lambda changes: ascii(changes)[:40])
def test_an_odd_settlement_fails_nobody_else(shared_books, changes):
    books = shared_books
    receipt = books.admit(100)

    def post() -> None:
        with contextlib.suppress(Exception):
            books.teller.post(receipt, settlement(**({"cost_nano": 60} | changes)))

    odd = threading.Thread(target=post, daemon=True)
    odd.start()
    odd.join(0.05)
    neighbours_are_served(books)
    odd.join(1.0)
    if changes in WORDS:
        assert not odd.is_alive(), "it is tried again and again"
        assert [entry.cost_nano for entry in books.entries() if entry.cost_nano != 1] == [60]


@pytest.mark.parametrize(
    ("bound", "record"),
    [
        (2**63, {}),
        (10**30, {}),
        (1, {"model": "nul\x00inside"}),
        (1, {"end_user": "nul\x00inside"}),
        (1, {"tags": {"nul\x00inside": "nul\x00inside"}}),
        (1, {"end_user": "x" * 300}),
        (1, {"tags": {"lone": "\ud800"}}),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_an_odd_admission_fails_nobody_else(shared_books, bound, record):
    with contextlib.suppress(Exception):
        receipt = admitted(shared_books.teller, shared_books.record(**record), bound)
        shared_books.teller.post(receipt, settlement(1))
    neighbours_are_served(shared_books)


def test_bounds_that_do_not_fit_together_fail_nobody_else(shared_books):
    receipt = shared_books.admit(2**62)
    with contextlib.suppress(Exception):
        shared_books.admit(2**62)
    neighbours_are_served(shared_books)
    shared_books.teller.post(receipt, settlement(1))
