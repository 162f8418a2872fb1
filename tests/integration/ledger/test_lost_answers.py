"""A connection to PostgreSQL that breaks around a commit: done or not done, never half, never twice."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from tests.integration.conftest import copied_database
from tests.integration.ledger.books import Books, settlement
from tests.integration.ledger.lossy_proxy import LossyProxy
from torana.db.bounded import BoundedConnection
from torana.db.models import LedgerEntry
from torana.db.session import Database
from torana.errors import BudgetExceeded, LedgerUnavailable
from torana.ledger.open_lane import open_lane
from torana.ledger.teller import Teller

COMMIT = b"COMMIT"


@pytest.fixture(scope="module")
def postgres_database(postgres_server, postgres_template) -> Iterator[Database]:
    with copied_database(postgres_template, postgres_server) as made:
        yield made


@pytest.fixture
def proxy(postgres_database) -> Iterator[LossyProxy]:
    url = postgres_database.url
    with LossyProxy(url.host or "127.0.0.1", url.port or 5432) as made:
        yield made


@pytest.fixture
def books(postgres_database, proxy) -> Iterator[Books]:
    """Books whose teller goes through the proxy."""
    through = postgres_database.url.set(
        drivername="postgresql", host="127.0.0.1", port=proxy.port
    ).render_as_string(hide_password=False)
    with Books(postgres_database) as made:
        made.teller.close()
        made.teller = Teller(open_lane(Database(through), "own_1"), made.batches)
        # The connection is there, and its statements are prepared.
        for _ in range(3):
            made.teller.post(made.admit(1), settlement(1))
        yield made
        assert made.differences() == []


WAYS = ["request", "answer", "both ends"]


@pytest.mark.parametrize("what", WAYS)
def test_an_admission_around_which_the_connection_breaks_is_reserved_once(books, proxy, what):
    proxy.lose(what, COMMIT)
    receipt = books.admit(100)
    assert proxy.lost == 1
    (row,) = books.reservations()
    assert (row.call_id, row.admitted_at) == (receipt.record.call_id, receipt.admitted_at)
    assert books.figures() == (3, 100, 1)
    books.teller.post(receipt, settlement(60))
    assert books.figures() == (63, 0, 0)


@pytest.mark.parametrize("what", WAYS)
def test_a_post_around_which_the_connection_breaks_is_written_once(books, proxy, what):
    receipt = books.admit(100)
    proxy.lose(what, COMMIT)
    books.teller.post(receipt, settlement(60))
    assert proxy.lost == 1
    with books.database.read() as session:
        entries = session.scalars(
            select(LedgerEntry).where(LedgerEntry.call_id == receipt.record.call_id)
        ).all()
    assert [entry.cost_nano for entry in entries] == [60]
    assert books.figures() == (63, 0, 0)


@pytest.mark.parametrize("what", WAYS)
def test_a_connection_that_breaks_at_the_beginning_of_a_batch_is_opened_again(books, proxy, what):
    proxy.lose(what, b"")
    receipt = books.admit(100)
    assert proxy.lost == 1
    books.teller.post(receipt, settlement(60))
    assert books.figures() == (63, 0, 0)


@pytest.mark.parametrize("what", WAYS)
def test_a_refusal_whose_answer_was_lost_is_a_refusal(books, proxy, what):
    books.limit(50)
    proxy.lose(what, b"")
    with pytest.raises(BudgetExceeded):
        books.admit(100)
    assert proxy.lost == 1
    assert books.reservations() == []
    assert books.figures() == (3, 0, 0)


def test_what_is_not_known_of_one_batch_is_not_taken_for_the_next(books, proxy):
    open_call = books.admit(7)
    # The commit is lost, and the answer to its repetition too: nobody can tell what became of it.
    proxy.lose("request", COMMIT)
    proxy.lose("answer", COMMIT)
    with pytest.raises(LedgerUnavailable):
        books.admit(100)
    # The next batch breaks at its beginning. It is another batch, so it must be repeated.
    proxy.lose("request", b"")
    books.teller.post(open_call, settlement(5))
    assert proxy.lost == 3
    assert sorted(entry.cost_nano for entry in books.entries()) == [1, 1, 1, 5]
    assert open_call.record.call_id not in {row.call_id for row in books.reservations()}


def test_a_server_that_says_nothing_more_is_given_up_and_found_again(books, proxy, monkeypatch):
    monkeypatch.setattr(BoundedConnection, "patience", 0.2)
    proxy.freeze()
    began = time.monotonic()
    with pytest.raises(LedgerUnavailable):
        books.admit(100)
    # Two tries: one on the old connection, one to open another.
    assert time.monotonic() - began < 6.0
    proxy.thaw()
    deadline = time.monotonic() + 10
    while True:
        try:
            receipt = books.admit(100)
            break
        except LedgerUnavailable:
            assert time.monotonic() < deadline, "the ledger does not recover"
            time.sleep(0.05)
    books.teller.post(receipt, settlement(60))
    assert books.figures() == (63, 0, 0)
