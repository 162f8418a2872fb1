"""An administrator's day at the command line, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from tests.integration.cli.runners import SECRET_KEY, Installed, Runner, command_line
from tests.integration.ledger.books import Books, settlement
from torana.auth.api_keys import is_well_formed
from torana.db.models import Balance
from torana.db.revision import HEAD
from torana.db.session import Database

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    """A command line with an empty database that `db upgrade` was run on."""
    folder = tmp_path_factory.mktemp("cli")
    for made in command_line(request, folder):
        yield upgraded(made)


def upgraded(runner: Runner) -> Runner:
    """The first thing that is done, and looked at on the way."""
    before = runner.run("db", "check", "--json")
    if "TORANA_DATABASE_URL" in runner.settings:
        assert (before.status, json.loads(before.out)) == (1, {"now": None, "needed": HEAD})
    else:
        assert before.status == 1
    assert runner.run("db", "upgrade", "--json").json() == {
        "before": None,
        "now": HEAD,
        "created_defaults": True,
    }
    return runner


@pytest.fixture(scope="module")
def database(runner: Runner) -> Iterator[Database]:
    url = runner.settings.get("TORANA_DATABASE_URL")
    opened = Database(url or f"sqlite:///{runner.folder / 'data' / 'torana.db'}")
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def user(runner: Runner) -> dict[str, Any]:
    made: dict[str, Any] = runner.run(
        *("users", "create", "--email", "Ada@Example.Test", "--password-stdin"),
        *("--role", "admin", "--json"),
        text=f"{PASSWORD}\nnot the password\n",
    ).json()
    return made


@pytest.fixture(scope="module")
def key(runner: Runner, user: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = runner.run(
        *("keys", "create", "--project", "default", "--name", "batch", "--models", "a, b"),
        *("--user", user["email"], "--json"),
    ).json()
    return made


def test_upgrading_again_changes_nothing(runner):
    assert runner.run("db", "upgrade").text() == f"The database is at revision {HEAD}.\n"
    assert f"is at revision {HEAD}" in runner.run("db", "check").text()


def test_a_user_is_created_and_listed(runner, user):
    assert set(user) == {"id", "email", "role", "created_at"}
    assert (user["email"], user["role"]) == ("ada@example.test", "admin")
    assert runner.run("users", "list", "--json").json() == [user]


def test_a_password_is_read_from_standard_input_only(runner):
    refusal = runner.run(
        "users", "create", "--email", "b@example.test", "--password-stdin", text="short\n"
    ).refusal()
    assert "12 to 1024" in refusal
    assert "short" not in refusal.replace("too short", "")


def test_a_key_is_created_and_shown_this_once(runner, key):
    assert set(key) == {"id", "key"}
    assert is_well_formed(key["key"])
    rows = runner.run("keys", "list", "--json").json()
    (row,) = [row for row in rows if row["id"] == key["id"]]
    assert (row["name"], row["project"], row["models"]) == ("batch", "default", ["a", "b"])
    assert key["key"] not in json.dumps(rows)
    table = runner.run("keys", "list", "--project", "default").text()
    assert key["id"] in table
    assert "a,b" in table
    assert key["key"] not in table


def test_a_key_is_revoked(runner):
    made = runner.run("keys", "create", "--project", "default", "--name", "old", "--json").json()
    view = runner.run("keys", "revoke", made["id"], "--json").json()
    assert view["id"] == made["id"]
    assert view["revoked_at"]
    assert "no key" in runner.run("keys", "revoke", "key_nothing").refusal()


def test_a_provider_is_added_with_its_key_from_standard_input(runner):
    view = runner.run(
        *("providers", "add", "vllm", "--base-url", "http://127.0.0.1:9/v1"),
        *("--api-key-stdin", "--allow-host", "--json"),
        text="sk-of-the-provider\n",
    ).json()
    assert (view["name"], view["has_key"]) == ("vllm", True)
    shown = runner.run("providers", "list").text()
    assert "vllm" in shown
    assert "sk-of-the-provider" not in shown
    assert "taken" in runner.run("providers", "add", "vllm", "--base-url", "http://h/v1").refusal()


def test_usage_and_the_books(runner, database, key):
    assert "MODEL" in runner.run("usage").text()
    with Books(database) as books:
        receipt = books.admit(2_000_000_000)
        books.teller.post(receipt, settlement(1_500_000_000))
    assert "agrees" in runner.run("ledger", "verify").text()
    table = runner.run("usage", "--by", "model", "--by", "key").text()
    assert "asked-model" in table
    assert "1.5" in table
    (row,) = runner.run(
        *("usage", "--format", "json", "--by", "model", "--by", "day"),
        *("--since", "2020-01-01", "--until", "2100-01-01"),
    ).json()
    assert (row["model"], row["calls"], row["cost_usd"]) == ("asked-model", 1, "1.5")
    assert (row["cost_nano"], row["day"]) == (1_500_000_000, receipt.admitted_at.date().isoformat())
    assert runner.run("usage", "--format", "json", "--until", "2020-01-01").json() == []
    with database.write() as session:
        session.execute(
            update(Balance)
            .where(Balance.scope_kind == "project")
            .values(spent_nano=Balance.spent_nano + 7)
        )
    found = runner.run("ledger", "verify", "--json")
    assert found.status == 1
    (difference,) = json.loads(found.out)["differences"]
    assert (difference["scope_kind"], difference["column"]) == ("project", "spent_nano")
    assert difference["stored"] - difference["computed"] == 7
    told = runner.run("ledger", "verify")
    assert told.status == 1
    assert "spent_nano" in told.out


def test_the_data_folder_is_for_its_owner_only(runner):
    folder: Path = runner.folder / "data"
    if folder.exists():
        assert folder.stat().st_mode & 0o077 == 0


def test_the_installed_program_does_the_same(tmp_path):
    program = Installed(tmp_path, {"TORANA_SECRET_KEYS": SECRET_KEY})
    assert "Created the organisation 'default'" in program.run("db", "upgrade").text()
    user = program.run(
        *("users", "create", "--email", "ada@example.test", "--password-stdin", "--json"),
        text=f"{PASSWORD}\n",
    ).json()
    key = program.run(
        "keys", "create", "--project", "default", "--name", "k", "--user", user["email"]
    ).text()
    assert is_well_formed(key.split(maxsplit=1)[0])
    assert "agrees" in program.run("ledger", "verify").text()
