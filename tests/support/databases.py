"""Empty, migrated databases of both kinds."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from torana.admin.prices import seed_prices
from torana.admin.tenancy import ensure_defaults
from torana.db.migrate import upgrade
from torana.db.session import Database


@contextmanager
def sqlite_url(folder: Path) -> Iterator[str]:
    """The URL of a database file that does not exist yet."""
    yield f"sqlite:///{folder / f'{secrets.token_hex(6)}.db'}"


@contextmanager
def postgres_url(server_url: str) -> Iterator[str]:
    """The URL of a fresh, empty database on a running server; dropped at the end."""
    name = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{server_url.rpartition('/')[0]}/{name}"
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def migrated(url: str) -> Iterator[Database]:
    """A database as `torana db upgrade` leaves it."""
    database = Database(url)
    try:
        upgrade(database)
        ensure_defaults(database)
        seed_prices(database)
        yield database
    finally:
        database.dispose()
