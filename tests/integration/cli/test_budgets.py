"""Budgets, limits and projects at the command line, on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.cli.runners import Runner, command_line

KEY = ("keys", "create", "--project", "red", "--name")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def runner(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runner]:
    """A command line with a database in which there is a project `red`."""
    folder = tmp_path_factory.mktemp("cli")
    for made in command_line(request, folder):
        yield prepared(made)


def prepared(runner: Runner) -> Runner:
    assert runner.run("db", "upgrade").status == 0
    assert "Created the project red (proj_" in runner.run("projects", "create", "red").text()
    return runner


def made(runner: Runner, *arguments: str) -> dict[str, Any]:
    view: dict[str, Any] = runner.run("budgets", "create", *arguments, "--json").json()
    return view


def test_projects_are_listed(runner):
    assert [row["name"] for row in runner.run("projects", "list", "--json").json()] == [
        "default",
        "red",
    ]
    assert "red" in runner.run("projects", "list").text()
    assert "exists already" in runner.run("projects", "create", "red").refusal()


def test_a_key_is_made_with_all_that_limits_it(runner):
    key = runner.run(
        *(*KEY, "bot", "--budget-usd", "5", "--period", "month", "--time-zone", "Asia/Kolkata"),
        *("--mode", "clamp", "--rpm", "60", "--tpm", "10000", "--concurrency", "4"),
        *("--models", "a,gpt-4o*", "--role", "admin", "--json"),
    ).json()
    (budget,) = runner.run("budgets", "list", "--scope", "key", "--id", "bot", "--json").json()
    assert (budget["scope_id"], budget["amount_usd"]) == (key["id"], "5")
    assert (budget["period"], budget["time_zone"], budget["mode"]) == (
        *("month", "Asia/Kolkata", "clamp"),
    )
    (limits,) = runner.run("limits", "list", "--scope", "key", "--id", "bot", "--json").json()
    assert limits == {
        "scope": "key",
        "scope_id": key["id"],
        "scope_name": "bot",
        "rpm": 60,
        "tpm": 10000,
        "concurrency": 4,
        "models": ["a", "gpt-4o*"],
        "blocked": None,
    }
    (row,) = [row for row in runner.run("keys", "list", "--json").json() if row["name"] == "bot"]
    assert (row["role"], row["models"]) == ("admin", ["a", "gpt-4o*"])
    assert "admin" in runner.run("keys", "list").text()


@pytest.mark.parametrize(
    "options",
    [("--period", "month"), ("--time-zone", "UTC"), ("--budget-usd", "many"), ("--role", "king")],
    ids=" ".join,
)
def test_a_key_whose_options_do_not_fit_is_a_wrong_use(runner, options):
    result = runner.run(*KEY, "wrong", *options)
    assert (result.status, result.out) == (2, "")


@pytest.mark.parametrize(
    "options",
    [("--rpm", "0"), ("--budget-usd", "5", "--time-zone", "Europe/Berln"), ("--models", "a*b")],
    ids=" ".join,
)
def test_a_key_whose_limits_make_no_sense_is_not_made(runner, options):
    assert runner.run(*KEY, "wrong", *options).refusal()
    assert "wrong" not in runner.run("keys", "list").text()


def test_the_life_of_a_budget(runner):
    view = made(
        runner,
        *("--scope", "project", "--id", "red", "--amount-usd", "12.5", "--name", "team red"),
        *("--period", "interval", "--interval-seconds", "3600", "--starts-at", "2026-01-01"),
        *("--thresholds", "10,90", "--models", "a"),
    )
    assert view["starts_at"] == "2026-01-01T00:00:00Z"
    assert (view["thresholds"], view["models"], view["name"]) == ([10, 90], ["a"], "team red")
    assert view["window"]["limit_usd"] == view["window"]["remaining_usd"] == "12.5"
    shown = runner.run("budgets", "list").text()
    for text in (view["id"], "team red", "12.5", "3600 s", "LEFT"):
        assert text in shown
    changed = runner.run(
        *("budgets", "set", view["id"], "--amount-usd", "3", "--period", "week", "--models"),
        *("none", "--thresholds", "none", "--mode", "clamp", "--name", "", "--json"),
    ).json()
    assert (changed["amount_usd"], changed["period"], changed["models"]) == ("3", "week", None)
    assert (changed["thresholds"], changed["mode"], changed["name"]) == ([], "clamp", "")
    raised = runner.run(
        *("budgets", "raise", view["id"], "--by-usd", "2", "--until", "2999-01-01", "--json")
    ).json()
    assert (raised["raise_usd"], raised["window"]["limit_usd"]) == ("2", "5")
    ended = runner.run("budgets", "raise", view["id"], "--end").text()
    assert "0 of 3 USD spent, 0 held by 0 open calls" in ended
    assert runner.run("budgets", "events", view["id"], "--json").json() == []
    assert "WHEN" in runner.run("budgets", "events").text()
    assert "Deleted bud_" in runner.run("budgets", "delete", view["id"]).text()
    assert "no budget" in runner.run("budgets", "delete", view["id"]).refusal()


def test_budgets_of_end_users_and_tags(runner):
    each = made(runner, "--scope", "end-user", "--id", "*", "--project", "red", "--amount-usd", "1")
    assert (each["is_template"], each["window"], each["period"]) == (True, None, "month")
    one = made(runner, "--scope", "tag", "--id", "team=blue", "--amount-usd", "0.000000001")
    assert (one["scope_name"], one["amount_usd"]) == ("default/team=blue", "0.000000001")
    assert "of each" in runner.run("budgets", "list").text()
    for view in (each, one):
        assert runner.run("budgets", "delete", view["id"]).status == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--scope", "project", "--id", "red"),
        ("create", "--scope", "project", "--id", "red", "--amount-usd", "-1"),
        ("create", "--scope", "planet", "--id", "red", "--amount-usd", "1"),
        ("list", "--scope", "project"),
        ("set", "bud_x"),
        ("set", "bud_x", "--thresholds", "many"),
        ("raise", "bud_x"),
        ("raise", "bud_x", "--by-usd", "1", "--end"),
        ("raise", "bud_x", "--by-usd", "1", "--until", "tomorrow"),
    ],
    ids=" ".join,
)
def test_a_wrong_use_of_budgets_ends_with_2(runner, arguments):
    result = runner.run("budgets", *arguments)
    assert (result.status, result.out) == (2, "")
    assert "Traceback" not in result.err


def test_a_raise_without_an_end_is_refused(runner):
    view = made(runner, "--scope", "project", "--id", "red", "--amount-usd", "1")
    refusal = runner.run("budgets", "raise", view["id"], "--by-usd", "1").refusal()
    assert "end in the future" in refusal
    runner.run("budgets", "delete", view["id"])


def test_limits_are_set_and_taken_away(runner):
    project = ("--scope", "project", "--id", "red")
    view = runner.run("limits", "set", *project, "--rpm", "5", "--suspend", "--json").json()
    assert (view["rpm"], view["blocked"]) == (5, "suspended")
    assert "suspended" in runner.run("limits", "list").text()
    table = runner.run("limits", "set", *project, "--rpm", "none", "--resume").text()
    assert "suspended" not in table
    assert "red" not in {row["scope_name"] for row in runner.run("limits", "list", "--json").json()}
    for wrong in ((*project,), (*project, "--rpm", "many"), ("--scope", "key", "--rpm", "1")):
        assert runner.run("limits", "set", *wrong).status == 2


def test_no_key_is_in_what_is_listed(runner):
    key = runner.run(*KEY, "quiet", "--budget-usd", "1", "--json").json()
    for command in (("budgets", "list"), ("limits", "list"), ("keys", "list")):
        for options in ((), ("--json",)):
            assert key["key"] not in runner.run(*command, *options).text()
    assert "quiet" in json.dumps(runner.run("budgets", "list", "--json").json())
