"""Migrated databases, made quickly: migrated once per session and kind, and copied from then on."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.support import databases
from torana.db.session import Database

KINDS = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that nobody has open."""
    with (
        databases.sqlite_url(tmp_path_factory.mktemp("template")) as url,
        databases.migrated(url) as template,
    ):
        return Path(template.url.database or "")


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated PostgreSQL database that nobody is connected to."""
    with databases.postgres_url(postgres_server) as url:
        with databases.migrated(url):
            pass
        yield url.rpartition("/")[2]


@contextmanager
def copied_file(template: Path, folder: Path) -> Iterator[Database]:
    file = folder / f"{secrets.token_hex(6)}.db"
    shutil.copyfile(template, file)
    database = Database(f"sqlite:///{file}")
    yield database
    database.dispose()


@contextmanager
def copied_database(template: str, server_url: str) -> Iterator[Database]:
    name = f"t_{secrets.token_hex(6)}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        database = Database(f"{server_url.rpartition('/')[0]}/{name}")
        yield database
        database.dispose()
        admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@contextmanager
def copy_for(request: pytest.FixtureRequest, folder: Path) -> Iterator[Database]:
    """A migrated database of the kind that the request's parameter names."""
    if request.param == "sqlite":
        copied = copied_file(request.getfixturevalue("sqlite_template"), folder)
    else:
        template = request.getfixturevalue("postgres_template")
        copied = copied_database(template, request.getfixturevalue("postgres_server"))
    with copied as database:
        yield database


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A migrated database with its defaults; the test runs once on each kind."""
    with copy_for(request, tmp_path) as made:
        yield made


@pytest.fixture(scope="module", params=KINDS)
def shared_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """One for all tests of a module, which make keys, users and rows of their own."""
    with copy_for(request, tmp_path_factory.mktemp("database")) as made:
        yield made
