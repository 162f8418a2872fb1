"""The server of a measurement: durable, private, and gone afterwards."""

from __future__ import annotations

import psutil
import psycopg
import pytest

from bench import postgres


def test_a_server_is_durable_demands_its_password_and_leaves_nothing(tmp_path):
    with postgres.started(tmp_path) as server:
        with psycopg.connect(server.url) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
            assert connection.execute("SELECT current_database()").fetchone() == ("torana",)
        address = server.url.rpartition("@")[2]
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://torana:wrong@{address}")
        pid = server.pid
    assert not psutil.pid_exists(pid)
    assert not list(tmp_path.glob("pg-*"))
