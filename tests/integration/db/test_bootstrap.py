"""From an empty database to one that serves, once, whoever else does it at the same time."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.integration.cli.runners import Installed, Result
from torana.admin.bootstrap import first_login, prepare
from torana.admin.price_list import in_force, shipped
from torana.admin.prices import seed_prices
from torana.admin.tenancy import create_user, ensure_defaults, list_users
from torana.auth.api_keys import KeyRing
from torana.core.clock import utc_now
from torana.db.migrate import upgrade
from torana.db.models import ConfigVersion, Organisation, PriceVersion, Project
from torana.db.revision import HEAD
from torana.db.session import Database
from torana.errors import Conflict

LISTED = sum(
    len(in_force(model, utc_now()))
    for provider in ("openai", "anthropic", "local", "echo")
    for model in shipped().models(provider).values()
)
"""The versions that a new database begins with."""


def counts(database: Database) -> list[int]:
    with database.read() as session:
        return [
            int(session.scalar(select(func.count()).select_from(table)) or 0)
            for table in (Organisation, Project, ConfigVersion, PriceVersion)
        ]


@pytest.fixture
def empty(database_url) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.dispose()


def test_a_database_is_prepared_once(empty):
    assert (prepare(empty).before, prepare(empty).before) == (None, HEAD)
    first = counts(empty)
    assert first[:3] == [1, 1, 1]
    assert prepare(empty).before == HEAD
    assert counts(empty) == first


def test_many_hosts_may_prepare_a_database_at_once(empty, database_url, tmp_path: Path):
    def upgrade_here(number: int) -> Result:
        folder = tmp_path / str(number)
        folder.mkdir()
        runner = Installed(folder, {"TORANA_DATABASE_URL": database_url})
        return runner.run("db", "upgrade", "--json")

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(upgrade_here, range(2)))
    assert [(result.status, result.err) for result in results] == [(0, "")] * 2
    answers = [json.loads(result.out) for result in results]
    assert {answer["now"] for answer in answers} == {HEAD}
    assert [answer["created_defaults"] for answer in answers].count(True) == 1
    assert counts(empty) == [1, 1, 1, LISTED]


def at_once(work: Callable[[Database], object], url: str, times: int = 6) -> list[object]:
    """Do something in several threads at the same moment, each with a database of its own."""
    start = threading.Barrier(times)

    def run(_: int) -> object:
        database = Database(url)
        try:
            start.wait(10)
            return work(database)
        finally:
            database.dispose()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_the_defaults_are_made_once_whoever_comes_first(empty, database_url):
    upgrade(empty)
    assert at_once(ensure_defaults, database_url).count(True) == 1
    assert counts(empty)[:2] == [1, 1]


def test_the_prices_are_made_once_whoever_comes_first(empty, database_url):
    upgrade(empty)
    at_once(seed_prices, database_url)
    assert counts(empty)[3] == LISTED


def test_of_two_that_add_the_same_user_at_once_one_is_told_so(database):
    def add(opened: Database) -> object:
        try:
            return create_user(
                opened, email="ada@example.test", password="correct horse", role="member"
            )
        except Conflict as refusal:
            return refusal

    backend = database.url.set(drivername=database.url.get_backend_name())
    results = at_once(add, backend.render_as_string(hide_password=False), times=3)
    assert sum(not isinstance(result, Conflict) for result in results) == 1
    assert len(list_users(database)) == 1


def test_the_first_login_is_made_once_and_works(database):
    login = first_login(database)
    assert login is not None
    assert login.password not in repr(login)
    assert login.api_key not in repr(login)
    (user,) = list_users(database)
    assert (user.email, user.role) == (login.email, "admin")
    assert KeyRing(database).authenticate(login.api_key).user_id == user.id
    assert first_login(database) is None
