"""Locking balances that belong together, when they change before the locks are there."""

from __future__ import annotations

import threading

import pytest

from torana.admin.keys import create_key
from torana.auth.api_keys import KeyRing
from torana.core.clock import microseconds
from torana.db.models import Balance
from torana.errors import LedgerUnavailable
from torana.ledger.locking import database_now, locked, locked_wholly


@pytest.fixture
def ids(database) -> list[str]:
    made = create_key(database, project="default", name="k")
    return list(KeyRing(database).authenticate(made.key).account_ids)


def test_what_is_locked_comes_in_order_and_without_what_is_gone(database, ids):
    with database.write() as session:
        rows = locked(session, [*reversed(ids), "bal_gone"])
        assert list(rows) == sorted(ids)


def test_locks_are_given_back_when_more_is_needed(database, ids):
    asked: list[set[str]] = []

    def wanted() -> set[str]:
        # What a teller does between the first look and the lock.
        asked.append(set(ids[:1]) if not asked else set(ids))
        return asked[-1]

    with database.write() as session:
        rows = locked_wholly(session, wanted)
        assert set(rows) == set(ids)
        session.get_one(Balance, ids[0]).spent_nano = 7
    assert len(asked) == 4
    with database.read() as session:
        assert session.get_one(Balance, ids[0]).spent_nano == 7


def test_a_set_that_never_holds_still_is_given_up(database, ids):
    numbers = iter(range(1000))
    with database.write() as session, pytest.raises(LedgerUnavailable, match="too quickly"):
        locked_wholly(session, lambda: {f"bal_{next(numbers)}"})


def test_another_transaction_waits_and_sees_what_was_written(database, ids):
    seen: list[int] = []

    def later() -> None:
        with database.write() as session:
            seen.append(locked(session, ids)[ids[0]].spent_nano)

    with database.write() as session:
        rows = locked_wholly(session, lambda: set(ids))
        thread = threading.Thread(target=later)
        thread.start()
        rows[ids[0]].spent_nano = 5
    thread.join(10)
    assert seen == [5]


def test_the_time_is_the_databases_and_aware(database):
    with database.read() as session:
        first, second = database_now(session), database_now(session)
    assert first.utcoffset() is not None
    assert microseconds(first) <= microseconds(second)
