"""Migrations: bring the database to this version's schema, and tell how far it is.

Alembic is imported here only, and only by commands: it has no place in a web process.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from torana.db.session import Database, translated_errors

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 0x746F72616E61  # "torana": the advisory lock that lets one host migrate at a time


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def head() -> str:
    """The newest revision that this version of Torana knows."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        message = "no migrations are shipped with this installation"
        raise RuntimeError(message)
    return revision


def current(database: Database) -> str | None:
    """The database's revision, or None for an empty database."""
    with translated_errors(), database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(database: Database) -> tuple[str | None, str]:
    """Bring the database to `head()`; safe to call from many hosts at once.

    Returns:
        The revision before and the revision now.
    """
    before = current(database)
    newest = head()
    if before == newest:
        return before, newest
    # On SQLite the write lock is taken first, on PostgreSQL an advisory one: one at a time.
    with translated_errors(), database.writing_engine.connect() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK})")
            connection.commit()
        try:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.rollback()
            if not database.is_sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_LOCK})")
                connection.commit()
    return before, newest
