"""`torana cron`: each piece of its work on both databases, and the process itself, started twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from tests.integration.ledger.books import Books, settlement
from tests.support.server import TORANA, eventually
from torana import cron as cron_module
from torana.core.clock import utc_now
from torana.core.ids import new_id
from torana.cron import Cron, check
from torana.db.models import IdempotentCall, StoredResponse
from torana.db.session import Database
from torana.errors import ConfigurationError
from torana.ledger.owners import seconds_since_beat
from torana.ledger.spool import Spool
from torana.settings import Settings, load_settings

STOP_SECONDS = 10.0


def settings_of(database: Database, folder: Path) -> Settings:
    url = database.url.set(drivername=database.url.get_backend_name())
    return load_settings(
        data_dir=folder,
        database_url=url.render_as_string(hide_password=False),
        secret_keys="k" * 32,
    )


@pytest.fixture
def cron(database: Database, tmp_path: Path) -> Iterator[Cron]:
    built = Cron(settings_of(database, tmp_path))
    yield built
    built.close()


def test_what_a_process_left_in_its_spool_is_posted(database, tmp_path, cron):
    with Books(database) as books:
        receipt = books.admit(100)
        gone = Spool(tmp_path / "spool", new_id("own"))
        gone.append(receipt, settlement(60))
        assert cron.replay_orphans() == 0  # It lives: nobody else may touch its file.
        gone.close()
        assert gone.path.exists()
        assert cron.replay_orphans() == 1
        assert cron.replay_orphans() == 0
        assert not gone.path.exists()
        assert books.figures() == (60, 0, 0)
        assert books.differences() == []


def test_answers_are_forgotten_after_their_day(database, cron):
    now = utc_now()
    with database.write() as session:
        for name, age in (("old", -1), ("new", 3600)):
            session.add(
                IdempotentCall(
                    id=name,
                    fingerprint="f",
                    call_id=new_id("req"),
                    expires_at=now + timedelta(seconds=age),
                    answer=b"sealed",
                )
            )
    cron.forget_expired()
    with database.read() as session:
        assert list(session.scalars(select(IdempotentCall.id))) == ["new"]


def test_responses_are_forgotten_after_their_life(database, cron, monkeypatch):
    monkeypatch.setattr(cron_module, "_PAGE", 2)
    now = utc_now()
    with database.write() as session:
        for number in range(5):
            for name, age in (("old", -1), ("new", 3600)):
                session.add(
                    StoredResponse(
                        project_id=f"prj_{number}",
                        id=f"resp_{name}",
                        organisation_id="org",
                        key_id="key",
                        call_id=new_id("req"),
                        provider="fake",
                        target_model="target",
                        kept_by="torana",
                        created_at=now - timedelta(days=1),
                        expires_at=now + timedelta(seconds=age),
                        content=b"sealed",
                    )
                )
    cron.forget_expired()
    with database.read() as session:
        assert list(session.scalars(select(StoredResponse.id))) == ["resp_new"] * 5


def test_partitions_are_made_for_the_months_to_come(database, cron):
    if database.is_sqlite:
        assert cron.make_partitions() == []
        return
    with database.write() as session:
        names = session.scalars(
            text("SELECT relname FROM pg_class WHERE relname LIKE 'ledger_entries_y%m__'")
        ).all()
        session.execute(text(f"DROP TABLE {max(names)}"))
    assert cron.make_partitions() == [max(names)]
    assert cron.make_partitions() == []


def test_without_a_secret_it_does_not_start():
    with pytest.raises(ConfigurationError, match="TORANA_SECRET_KEYS"):
        check(load_settings(secret_keys=()))


def test_two_of_them_run_side_by_side_and_stop_when_asked(database, tmp_path):
    url = database.url.set(drivername=database.url.get_backend_name())
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "TORANA_DATA_DIR": str(tmp_path / "data"),
        "TORANA_DATABASE_URL": url.render_as_string(hide_password=False),
        "TORANA_SECRET_KEYS": "k" * 32,
    }
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    running = []
    try:
        for log in logs:
            with log.open("wb") as output:
                running.append(
                    subprocess.Popen(
                        [TORANA, "cron"],
                        env=environment,
                        cwd=tmp_path,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                )
        for log in logs:
            eventually(lambda log=log: b"cron.started" in log.read_bytes(), "the start", seconds=30)  # type: ignore[misc]
        assert (seconds_since_beat(database, "cron") or 0.0) < 30
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(STOP_SECONDS) for process in running] == [0, 0]
    finally:
        for process in running:
            if process.poll() is None:
                process.kill()
                process.wait()
    assert seconds_since_beat(database, "cron") is None
    for log in logs:
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert [event["level"] for event in events] == ["INFO"] * len(events)
        assert events[-1]["event"] == "cron.stopped"
