"""Budgets and limits over HTTP: who may, what it says, and what is in the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.checks import problem
from tests.support.server import Reply, RunningServer

PROJECT = {"scope": "project", "id": "default"}


@pytest.fixture(scope="module")
def admins() -> dict[str, str]:
    """The keys that were made, by server: a command takes seconds."""
    return {}


@pytest.fixture
def admin(server: RunningServer, admins: dict[str, str]) -> str:
    """A key of the role admin."""
    if server.url not in admins:
        printed = server.torana(
            *("keys", "create", "--project", "default", "--name", "admin"),
            *("--role", "admin", "--json"),
        )
        admins[server.url] = json.loads(printed)["key"]
    return admins[server.url]


@pytest.fixture
def budget(server: RunningServer, admin: str) -> Iterator[dict[str, Any]]:
    """A large budget of the project, taken away at the end."""
    view = post(server, admin, "/api/budgets", PROJECT | {"amount_usd": "1000000.5"}).json()
    yield view
    server.request("DELETE", f"/api/budgets/{view['id']}", key=admin)


def post(server: RunningServer, key: str, path: str, body: dict[str, Any]) -> Reply:
    reply = server.request("POST", path, body, key=key)
    assert reply.status == 200, reply
    return reply


def test_an_administrators_key_says_so(server: RunningServer, admin: str):
    me = server.get("/api/me", key=admin)
    assert me["role"] == "admin"
    assert {"manage_budgets", "manage_prices", "read_organisation"} <= set(me["permissions"])
    assert server.get("/api/me")["role"] == "caller"


def test_a_budget_is_made_read_changed_raised_and_deleted(
    server: RunningServer, admin: str, budget: dict[str, Any]
):
    path = f"/api/budgets/{budget['id']}"
    assert (budget["amount_usd"], budget["period"], budget["mode"]) == (
        *("1000000.5", "month", "refuse"),
    )
    assert budget["window"]["end"].endswith("Z")
    server.chat("echo")
    read = server.get(path, key=admin)
    assert read["window"]["spent_usd"] != "0"
    patch = {"amount_usd": "2000000", "models": ["*"], "thresholds": [1, 2]}
    changed = server.request("PATCH", path, patch, key=admin).json()
    assert (changed["amount_usd"], changed["models"]) == ("2000000", ["*"])
    assert (changed["thresholds"], changed["period"]) == ([1, 2], "month")
    assert server.request("PATCH", path, {"models": None}, key=admin).json()["models"] is None
    until = "2999-01-01T00:00:00Z"
    raised = post(server, admin, f"{path}/raise", {"amount_usd": "1", "until": until}).json()
    assert (raised["raise_usd"], raised["raise_until"]) == ("1", "2999-01-01T00:00:00.000Z")
    assert raised["window"]["limit_usd"] == "2000001"
    assert post(server, admin, f"{path}/raise", {"amount_usd": "0"}).json()["raise_usd"] is None
    assert server.get(f"{path}/events", key=admin) == {"data": []}
    deleted = server.request("DELETE", path, key=admin)
    assert (deleted.status, deleted.json()["id"]) == (200, budget["id"])
    assert problem(server.request("GET", path, key=admin))["status"] == 404


def test_a_caller_sees_the_budgets_that_judge_it(
    server: RunningServer, admin: str, budget: dict[str, Any]
):
    other = post(
        server,
        admin,
        "/api/budgets",
        {"scope": "end_user", "id": "alice", "project": "default", "amount_usd": "1000"},
    ).json()
    seen = {row["id"] for row in server.get("/api/budgets")["data"]}
    assert budget["id"] in seen
    assert other["id"] not in seen
    assert other["id"] in {row["id"] for row in server.get("/api/budgets", key=admin)["data"]}
    server.request("DELETE", f"/api/budgets/{other['id']}", key=admin)


def test_limits_are_set_and_listed(server: RunningServer, admin: str):
    body = PROJECT | {"rpm": 1_000_000, "models": ["*"]}
    view = server.request("PUT", "/api/limits", body, key=admin).json()
    assert (view["rpm"], view["models"], view["blocked"]) == (1_000_000, ["*"], None)
    assert view in server.get("/api/limits")["data"]
    assert view in server.get("/api/limits", key=admin)["data"]
    body = PROJECT | {"rpm": None, "models": None}
    assert server.request("PUT", "/api/limits", body, key=admin).json()["rpm"] is None
    assert server.get("/api/limits")["data"] == []


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/budgets", PROJECT | {"amount_usd": "1"}),
        ("GET", "/api/budgets/bud_x", None),
        ("PATCH", "/api/budgets/bud_x", {}),
        ("DELETE", "/api/budgets/bud_x", None),
        ("POST", "/api/budgets/bud_x/raise", {"amount_usd": "1"}),
        ("GET", "/api/budgets/bud_x/events", None),
        ("PUT", "/api/limits", PROJECT),
    ],
)
def test_a_callers_key_manages_nothing(server: RunningServer, method, path, body):
    found = problem(server.request(method, path, body))
    assert (found["status"], found["code"]) == (403, "permission_denied")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        (PROJECT, 422),
        (PROJECT | {"amount_usd": 5}, 422),
        (PROJECT | {"amount_usd": "-1"}, 422),
        (PROJECT | {"amount_usd": "1e99"}, 422),
        (PROJECT | {"amount_usd": "1", "colour": "red"}, 422),
        (PROJECT | {"amount_usd": "1", "period": "year"}, 422),
        (PROJECT | {"amount_usd": "1", "starts_at": "2026-01-01T00:00:00"}, 422),
        (PROJECT | {"amount_usd": "1", "time_zone": "Europe/Berln"}, 400),
        (PROJECT | {"amount_usd": "1", "thresholds": [5, 5]}, 400),
        ({"scope": "project", "id": "nothing", "amount_usd": "1"}, 404),
        ({"scope": "organisation", "id": "other", "amount_usd": "1"}, 404),
        ({"scope": "key", "id": "\u0000", "amount_usd": "1"}, 400),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(server: RunningServer, admin: str, body, status):
    before = server.get("/api/budgets", key=admin)
    assert problem(server.request("POST", "/api/budgets", body, key=admin))["status"] == status
    assert server.get("/api/budgets", key=admin) == before


def test_who_changed_what_is_in_the_log(server: RunningServer, admin: str, budget: dict[str, Any]):
    actor = server.get("/api/me", key=admin)["key"]["id"]
    server.request("PATCH", f"/api/budgets/{budget['id']}", {"amount_usd": "7000"}, key=admin)
    server.wait_for_log()
    for event in ("budget.created", "budget.changed"):
        lines = [line for line in server.log(event) if line["subject_id"] == budget["id"]]
        assert [(line["actor"], line["scope_kind"]) for line in lines] == [(actor, "project")]
    assert admin not in server.output
