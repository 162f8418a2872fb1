"""Reading and writing through sessions, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError

from torana.core.ids import new_id
from torana.db.models import Balance, ConfigVersion, Organisation, Owner
from torana.db.session import Database
from torana.errors import LedgerUnavailable


def owner(at: datetime, **changes: Any) -> Owner:
    fields: dict[str, Any] = {
        "id": new_id("own"),
        "kind": "test",
        "host": "h",
        "pid": 1,
        "started_at": at,
        "heartbeat_at": at,
    }
    return Owner(**(fields | changes))


def count(database: Database, kind: str) -> int:
    with database.read() as session:
        return int(session.scalar(select(func.count()).where(Owner.kind == kind)) or 0)


def test_what_a_block_writes_is_there_afterwards(shared_database):
    with shared_database.write() as session:
        session.add(owner(datetime.now(UTC), kind="written"))
    assert count(shared_database, "written") == 1


def test_a_block_that_raises_writes_nothing(shared_database):
    def write_and_break() -> None:
        with shared_database.write() as session:
            session.add(owner(datetime.now(UTC), kind="broken"))
            session.flush()
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        write_and_break()
    assert count(shared_database, "broken") == 0


def test_what_a_reader_changes_is_thrown_away(shared_database):
    with shared_database.read() as session:
        session.add(owner(datetime.now(UTC), kind="read"))
        session.flush()
    assert count(shared_database, "read") == 0


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=5, minutes=45))),
        datetime(9999, 12, 31, tzinfo=UTC),
    ],
    ids=str,
)
def test_an_instant_comes_back_to_the_microsecond_and_in_utc(shared_database, instant):
    made = owner(instant)
    known = made.id
    with shared_database.write() as session:
        session.add(made)
    with shared_database.read() as session:
        read = session.get_one(Owner, known).heartbeat_at
    assert read == instant
    assert read.utcoffset() == timedelta(0)


def test_instants_are_compared_by_the_database(shared_database):
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    with shared_database.write() as session:
        for minutes in (-1, 0, 1):
            session.add(owner(noon + timedelta(minutes=minutes), kind="compared"))
    india = noon.astimezone(timezone(timedelta(hours=5, minutes=30)))
    with shared_database.read() as session:
        query = select(func.count()).where(Owner.kind == "compared", Owner.heartbeat_at >= india)
        assert session.scalar(query) == 2


def test_writers_wait_for_each_other_and_none_is_lost(shared_database):
    with shared_database.read() as session:
        before = session.scalars(select(ConfigVersion.version)).one()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                with shared_database.write() as session:
                    session.execute(update(ConfigVersion).values(version=ConfigVersion.version + 1))
        except BaseException as error:  # noqa: BLE001 -- looked at below
            errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    with shared_database.read() as session:
        assert session.scalars(select(ConfigVersion.version)).one() == before + 30


def test_a_row_that_breaks_a_constraint_is_no_outage_and_tells_no_values(shared_database):
    taken = Organisation(id="org_with_a_secret", name="default", created_at=datetime.now(UTC))
    with pytest.raises(IntegrityError) as caught, shared_database.write() as session:
        session.add(taken)
    assert "org_with_a_secret" not in str(caught.value)


@pytest.mark.parametrize("column", ["reserved_nano", "open_calls"])
def test_a_balance_can_not_go_below_zero(shared_database, column):
    with pytest.raises(IntegrityError), shared_database.write() as session:
        session.execute(update(Balance).values({column: -1}))


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@127.0.0.1:1/db", "sqlite:////nowhere/at/all/torana.db"]
)
def test_a_database_that_is_not_there_is_an_outage(url):
    database = Database(url)
    for session in (database.read, database.write):
        with pytest.raises(LedgerUnavailable) as caught, session() as opened:
            opened.execute(text("SELECT 1"))
        assert "secret" not in str(caught.value)
    database.dispose()


def test_commits_are_durable(shared_database):
    with shared_database.write() as session:
        if shared_database.is_sqlite:
            assert session.scalar(text("PRAGMA synchronous")) == 2
            assert session.scalar(text("PRAGMA journal_mode")) == "wal"
            assert session.scalar(text("PRAGMA foreign_keys")) == 1
        else:
            assert session.scalar(text("SHOW synchronous_commit")) == "on"
            assert session.scalar(text("SHOW timezone")) == "UTC"


def test_a_report_may_take_longer_than_other_reads(database):
    if database.is_sqlite:
        with database.read(patience=9) as session:
            assert session.scalar(text("SELECT 1")) == 1
        return
    impatient = Database(database.url.render_as_string(hide_password=False), patience=0.2)
    try:
        slow = text("SELECT 1 FROM pg_sleep(0.5)")
        with pytest.raises(LedgerUnavailable), impatient.read() as session:
            session.scalar(slow)
        with impatient.read(patience=9) as session:
            assert session.scalar(slow) == 1
        # The connection serves others afterwards, who have the usual patience.
        with pytest.raises(LedgerUnavailable), impatient.read() as session:
            session.scalar(slow)
    finally:
        impatient.dispose()
