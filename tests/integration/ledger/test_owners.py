"""The sign of life of a process."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from torana.core.ids import new_id
from torana.db.models import Owner
from torana.db.session import Database
from torana.errors import LedgerUnavailable
from torana.ledger.owners import OwnerHeartbeat
from torana.loops import Loop


def row_of(database: Database, owner_id: str) -> Owner | None:
    with database.read() as session:
        return session.scalar(select(Owner).where(Owner.id == owner_id))


@pytest.fixture
def heartbeat(shared_database) -> OwnerHeartbeat:
    return OwnerHeartbeat(shared_database, owner_id=new_id("own"), kind="web")


def test_the_first_beat_makes_the_row(shared_database, heartbeat):
    assert row_of(shared_database, heartbeat.owner_id) is None
    heartbeat.beat()
    row = row_of(shared_database, heartbeat.owner_id)
    assert row is not None
    assert row.kind == "web"
    assert row.pid > 0
    assert row.host
    assert row.started_at == row.heartbeat_at
    assert abs(row.started_at - datetime.now(UTC)) < timedelta(minutes=1)


def test_each_beat_is_later_and_the_start_stays(shared_database, heartbeat):
    heartbeat.beat()
    first = row_of(shared_database, heartbeat.owner_id)
    heartbeat.beat()
    second = row_of(shared_database, heartbeat.owner_id)
    assert first is not None
    assert second is not None
    assert second.heartbeat_at > first.heartbeat_at
    assert second.started_at == first.started_at


def test_a_row_that_was_taken_away_is_made_again(shared_database, heartbeat):
    heartbeat.beat()
    heartbeat.leave()
    assert row_of(shared_database, heartbeat.owner_id) is None
    heartbeat.beat()
    assert row_of(shared_database, heartbeat.owner_id) is not None


def test_two_processes_have_two_rows(shared_database, heartbeat):
    other = OwnerHeartbeat(shared_database, owner_id=new_id("own"), kind="worker")
    heartbeat.beat()
    other.beat()
    heartbeat.leave()
    row = row_of(shared_database, other.owner_id)
    assert row is not None
    assert row.kind == "worker"


def test_a_loop_beats_until_it_is_told_to_stop(shared_database, heartbeat):
    heartbeat.beat()
    with shared_database.write() as session:
        session.execute(
            update(Owner)
            .where(Owner.id == heartbeat.owner_id)
            .values(heartbeat_at=datetime(2020, 1, 1, tzinfo=UTC))
        )
    stopping = threading.Event()
    loop = Loop("heartbeat", heartbeat.beat, seconds=0.01)
    thread = threading.Thread(target=loop.run, args=(stopping,), daemon=True)
    thread.start()
    waited = threading.Event()
    for _ in range(500):
        if beaten_after_2020(shared_database, heartbeat.owner_id):
            break
        waited.wait(0.01)
    stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert beaten_after_2020(shared_database, heartbeat.owner_id)


def beaten_after_2020(database: Database, owner_id: str) -> bool:
    row = row_of(database, owner_id)
    return row is not None and row.heartbeat_at.year > 2020


def test_a_database_that_is_away_is_told():
    away = Database("sqlite:////nowhere/at/all/torana.db")
    with pytest.raises(LedgerUnavailable):
        OwnerHeartbeat(away, owner_id="own_1", kind="web").beat()
    away.dispose()


def test_a_table_that_a_migration_has_taken_away_does_not_end_the_loop(database, caplog):
    heartbeat = OwnerHeartbeat(database, owner_id=new_id("own"), kind="web")
    heartbeat.beat()
    loop = Loop("heartbeat", heartbeat.beat, seconds=1.0)
    rename(database, "owners", "owners_gone")
    assert not loop.run_once()
    assert [one.getMessage() for one in caplog.records] == ["loop.failed"]
    rename(database, "owners_gone", "owners")
    before = row_of(database, heartbeat.owner_id)
    assert loop.run_once()
    after = row_of(database, heartbeat.owner_id)
    assert before is not None
    assert after is not None
    assert after.heartbeat_at > before.heartbeat_at


def rename(database: Database, name: str, other: str) -> None:
    with database.write() as session:
        session.execute(text(f"ALTER TABLE {name} RENAME TO {other}"))
