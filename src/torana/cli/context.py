"""What commands work with: settings and the database, opened and closed around a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torana.db.revision import HEAD
from torana.db.session import COMMAND_PATIENCE_SECONDS, Database
from torana.errors import ConfigurationError
from torana.settings import Settings, load_settings


@contextmanager
def open_database(settings: Settings | None = None) -> Iterator[Database]:
    """The database of the settings, at the revision that this version needs.

    Raises:
        ConfigurationError: it has not been brought to that revision.
        LedgerUnavailable: it can't be reached.
    """
    settings = settings or load_settings()
    database = Database(settings.resolved_database_url, patience=COMMAND_PATIENCE_SECONDS)
    try:
        if not database.exists():
            raise ConfigurationError(
                f"There is no database at {database.url.database}.",
                hint="Run `torana up` or `torana db upgrade` first.",
            )
        _check_revision(database)
        yield database
    finally:
        database.dispose()


def _check_revision(database: Database) -> None:
    from torana.db.migrate import current  # noqa: PLC0415 -- Alembic is slow to import

    revision = current(database)
    if revision != HEAD:
        raise ConfigurationError(
            f"The database is at revision {revision or 'none'}; this version needs {HEAD}.",
            hint="Run `torana db upgrade`.",
        )
