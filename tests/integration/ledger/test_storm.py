"""Many calls at once, under threads and under gevent, on both databases."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.ledger.storm import CHECKS, ON_POSTGRES, check_batches_are_formed

REPOSITORY = Path(__file__).parents[3]
GREENLETS = [
    "a_greenlet_that_is_killed_while_it_waits_stops_nobody",
    "other_greenlets_go_on_while_the_database_is_waited_for",
]


@pytest.mark.parametrize("name", CHECKS)
def test_under_threads(shared_database, name):
    CHECKS[name](shared_database)


@pytest.mark.parametrize("name", ON_POSTGRES)
def test_under_threads_on_postgres(shared_database, name):
    if not shared_database.is_sqlite:
        ON_POSTGRES[name](shared_database)


@pytest.fixture(scope="module")
def under_gevent(shared_database) -> dict[str, str]:
    """The results of all checks in a process that gevent has patched."""
    url = shared_database.url.set(drivername=shared_database.url.get_backend_name())
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.integration.ledger.under_gevent",
            url.render_as_string(hide_password=False),
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    results: dict[str, str] = json.loads(result.stdout)
    return results


@pytest.mark.parametrize("name", [*CHECKS, *GREENLETS])
def test_under_gevent(under_gevent, name):
    assert under_gevent[name] == ""


@pytest.mark.parametrize("name", ON_POSTGRES)
def test_under_gevent_on_postgres(shared_database, under_gevent, name):
    if not shared_database.is_sqlite:
        assert under_gevent[name] == ""


def test_the_gevent_run_left_books_that_agree(shared_database, under_gevent):
    assert under_gevent
    check_batches_are_formed(shared_database)
