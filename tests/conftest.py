"""Fixtures for every test: a PostgreSQL server for the session, and databases of both kinds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from bench import postgres
from tests.support import databases
from torana.db.session import Database

# Properties are judged by their truth, never by the clock, and the suite tries the same examples
# each time: what chance finds is for `make fuzz` and `make chaos`.
settings.register_profile("torana", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("torana")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running PostgreSQL server, as its superuser."""
    folder = tmp_path_factory.mktemp("postgres")
    # The server may run as another account, which must be able to get there.
    for parent in (folder, *folder.parents):
        if parent.name.startswith("pytest-"):
            parent.chmod(0o711)
    with postgres.started(folder) as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """The URL of an empty database; the test runs once on each kind."""
    if request.param == "sqlite":
        with databases.sqlite_url(tmp_path) as url:
            yield url
    else:
        with databases.postgres_url(request.getfixturevalue("postgres_server")) as url:
            yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A migrated database with its defaults; the test runs once on each kind."""
    with databases.migrated(database_url) as migrated:
        yield migrated
