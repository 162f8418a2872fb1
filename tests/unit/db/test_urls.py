"""Database URLs: which are taken, and what a refusal says."""

from __future__ import annotations

import pytest

from torana.db.session import Database, parse_url
from torana.errors import ConfigurationError

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("sqlite:////var/lib/torana.db", "sqlite"),
        ("sqlite:///torana.db", "sqlite"),
        ("sqlite+pysqlite:///torana.db", "sqlite"),
        ("postgresql://u:p@h:5432/db", "postgresql+psycopg"),
        ("postgresql+psycopg2://u:p@h/db", "postgresql+psycopg"),
        ("postgres://u:p@h/db", "postgresql+psycopg"),
        ("postgresql:///db?host=/run/postgresql", "postgresql+psycopg"),
    ],
)
def test_the_driver_is_ours_whatever_the_url_names(text, driver):
    assert parse_url(text).drivername == driver


@pytest.mark.parametrize(
    "text",
    [
        "",
        SECRET,
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        f"mysql://u:{SECRET}@h/db",
        f"postgres//u:{SECRET}@h/db",
        f"postgresql://u:{SECRET}@h:port/db",
        f"postgresql://u:pass@word:{SECRET}@h/db",
        f"postgresql://u:{SECRET}@[::1/db",
    ],
)
def test_another_url_is_refused_by_the_settings_name_and_without_its_password(text):
    with pytest.raises(ConfigurationError, match="TORANA_DATABASE_URL") as caught:
        parse_url(text)
    assert SECRET not in caught.value.public_message
    assert caught.value.__cause__ is None


def test_a_database_is_not_touched_before_it_is_used(tmp_path):
    file = tmp_path / "torana.db"
    database = Database(f"sqlite:///{file}")
    assert database.is_sqlite
    assert not database.exists()
    database.dispose()
    assert not file.exists()


def test_a_database_does_not_show_its_password():
    database = Database(f"postgresql://u:{SECRET}@127.0.0.1:1/db")
    assert SECRET not in repr(database.engine)
    assert SECRET not in str(database.url)
    database.dispose()
