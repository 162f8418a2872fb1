"""Providers, their keys and routes over HTTP: who may, what it says, and how soon it holds."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from tests.contract.fake_upstream import FakeUpstream, answer_well, fail_with
from tests.e2e.checks import problem
from tests.support.server import Reply, RunningServer, eventually
from torana.db.models import ConfigVersion
from torana.db.session import Database

SECRET = "sk-that-nobody-may-see"
PUBLIC = "https://api.example.test/v1"
HELLO = {"messages": [{"role": "user", "content": "hello"}]}
_REFRESHED = '"configuration.refreshed"'
_OFTEN = 8
_SOON = 3.0
"""Seconds: processes look every second, and a busy machine is slower than that."""


@pytest.fixture(scope="module")
def admins() -> dict[str, str]:
    """The keys that were made, by server: a command takes seconds."""
    return {}


@pytest.fixture
def admin(server: RunningServer, admins: dict[str, str]) -> str:
    """A key of the role admin."""
    if server.url not in admins:
        printed = server.torana(
            *("keys", "create", "--project", "default", "--name", "admin of providers"),
            *("--role", "admin", "--json"),
        )
        admins[server.url] = json.loads(printed)["key"]
    return admins[server.url]


@pytest.fixture
def provider(server: RunningServer, admin: str, upstream: FakeUpstream) -> Iterator[dict[str, Any]]:
    """A provider with one key, taken away at the end."""
    body = {
        "name": f"p-{secrets.token_hex(4)}",
        "base_url": upstream.url,
        "keys": [{"label": "one", "secret": f"{SECRET}-1"}],
    }
    view = ok(server.request("POST", "/api/providers", body, key=admin))
    yield view
    server.request("DELETE", f"/api/providers/{view['name']}", key=admin)


def ok(reply: Reply) -> Any:
    assert reply.status == 200, reply
    return reply.json()


def test_a_provider_is_added_read_changed_and_removed(
    server: RunningServer, admin: str, provider: dict[str, Any]
):
    assert (provider["kind"], provider["keys"], provider["enabled"]) == ("compatible", 1, True)
    path = f"/api/providers/{provider['name']}"
    assert server.get(path, key=admin) == provider
    listed = server.get("/api/providers", key=admin)["data"]
    assert provider in listed
    assert [row["name"] for row in listed if row["built_in"]] == ["openai", "anthropic", "echo"]
    patch = {"base_url": PUBLIC, "enabled": False, "options": {"dropped": ["user"]}}
    stolen = problem(server.request("PATCH", path, patch, key=admin))
    assert (stolen["status"], stolen["code"]) == (409, "conflict")
    ok(server.request("DELETE", f"{path}/keys/one", key=admin))
    changed = ok(server.request("PATCH", path, patch, key=admin))
    assert {name: changed[name] for name in patch} == patch
    assert changed["updated_at"] > provider["updated_at"]
    assert ok(server.request("PATCH", path, {}, key=admin)) == changed
    assert ok(server.request("DELETE", path, key=admin)) == changed
    assert problem(server.request("GET", path, key=admin))["status"] == 404


def test_a_preset_fills_in_what_is_left_out(server: RunningServer, admin: str):
    body = {"name": "azure-e2e", "preset": "azure", "variables": {"resource": "mine"}}
    view = ok(server.request("POST", "/api/providers", body, key=admin))
    assert view["base_url"] == "https://mine.openai.azure.com/openai/v1"
    ok(server.request("DELETE", "/api/providers/azure-e2e", key=admin))


def test_keys_are_added_listed_and_removed_and_never_told(
    server: RunningServer, admin: str, provider: dict[str, Any]
):
    path = f"/api/providers/{provider['name']}/keys"
    body = {"label": "two", "secret": f"{SECRET}-2"}
    added = server.request("POST", path, body, key=admin)
    key = ok(added)
    assert set(key) == {"id", "provider", "label", "created_at"}
    listed = server.request("GET", path, key=admin)
    assert [row["label"] for row in ok(listed)["data"]] == ["one", "two"]
    again = server.request("POST", path, body, key=admin)
    assert problem(again)["status"] == 409
    too_much = server.request("POST", path, body | {"extra": 1}, key=admin)
    assert problem(too_much)["status"] == 422
    no_key = server.request("POST", path, {"label": "x", "secret": f"{SECRET} \n"}, key=admin)
    assert problem(no_key)["status"] == 400
    by_id = server.request("DELETE", f"{path}/{key['id']}", key=admin)
    assert ok(by_id) == key
    assert problem(server.request("DELETE", f"{path}/two", key=admin))["status"] == 404
    read = server.request("GET", "/api/providers", key=admin)
    for reply in (added, listed, again, too_much, no_key, by_id, read):
        assert SECRET.encode() not in reply.body
    server.wait_for_log()
    assert SECRET not in server.output
    assert {line["actor"] for line in server.log("provider.key_added")} != {"cli"}


def test_a_provider_is_asked_whether_it_is_well(
    server: RunningServer, admin: str, provider: dict[str, Any], upstream: FakeUpstream
):
    path = f"/api/providers/{provider['name']}/test"
    upstream.at("/v1/models", lambda turn: turn.reply({"data": [{"id": "m-1"}]}))
    check = ok(server.request("POST", path, key=admin))
    assert (check["ok"], check["status"], check["models"]) == (True, 200, ["m-1"])
    upstream.at("/v1/models", fail_with(401))
    check = ok(server.request("POST", path, key=admin))
    assert (check["ok"], check["error_code"]) == (False, "upstream_auth")
    assert SECRET not in json.dumps(check)
    gone = server.request("POST", "/api/providers/nobody/test", key=admin)
    assert problem(gone)["status"] == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/providers", None),
        ("POST", "/api/providers", {"name": "x", "base_url": PUBLIC}),
        ("GET", "/api/providers/openai", None),
        ("PATCH", "/api/providers/openai", {}),
        ("DELETE", "/api/providers/openai", None),
        ("POST", "/api/providers/openai/test", None),
        ("GET", "/api/providers/openai/keys", None),
        ("POST", "/api/providers/openai/keys", {"label": "x", "secret": "y"}),
        ("DELETE", "/api/providers/openai/keys/x", None),
        ("PUT", "/api/models/x", {"targets": [{"provider": "openai", "model": "m"}]}),
        ("DELETE", "/api/models/x", None),
    ],
)
def test_a_callers_key_manages_nothing(server: RunningServer, method, path, body):
    found = problem(server.request(method, path, body))
    assert (found["status"], found["code"]) == (403, "permission_denied")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "validation_failed"),
        ({"name": "x"}, 400, "invalid_request"),
        ({"name": "X", "base_url": PUBLIC}, 400, "invalid_request"),
        ({"name": "x", "base_url": "ftp://h"}, 400, "invalid_request"),
        ({"name": "x", "preset": "grok"}, 400, "invalid_request"),
        ({"name": "x", "base_url": PUBLIC, "kind": "echo"}, 422, "validation_failed"),
        ({"name": "x", "base_url": PUBLIC, "api_key": SECRET}, 422, "validation_failed"),
        ({"name": "x", "base_url": PUBLIC, "options": {"no": 1}}, 400, "invalid_request"),
        ({"name": "x", "base_url": "http://10.0.0.9/v1"}, 400, "host_not_allowed"),
        ({"name": "x", "base_url": "http://169.254.169.254/v1"}, 400, "host_not_allowed"),
        ({"name": "openai", "base_url": PUBLIC}, 409, "conflict"),
    ],
)
def test_what_makes_no_provider_is_refused(server: RunningServer, admin: str, body, status, code):
    reply = server.request("POST", "/api/providers", body, key=admin)
    found = problem(reply)
    assert (found["status"], found["code"]) == (status, code)
    assert SECRET.encode() not in reply.body


def test_hosts_are_not_allowed_over_http(server: RunningServer, admin: str):
    for path in ("/api/providers/hosts", "/api/hosts", "/api/allowed-hosts"):
        reply = server.request("POST", path, {"host": "10.0.0.9"}, key=admin)
        assert reply.status in {404, 405}


@pytest.mark.parametrize(
    ("method", "body"), [("PATCH", {"enabled": False}), ("DELETE", None)], ids=["PATCH", "DELETE"]
)
def test_a_built_in_provider_stays_as_it_is(server: RunningServer, admin: str, method, body):
    found = problem(server.request(method, "/api/providers/openai", body, key=admin))
    assert (found["status"], found["code"]) == (409, "conflict")


# --- routes ------------------------------------------------------------------------------------


@pytest.fixture
def alias(server: RunningServer, admin: str) -> Iterator[str]:
    """A name of a route, taken away at the end."""
    name = f"team/{secrets.token_hex(4)}"
    yield name
    server.request("DELETE", f"/api/models/{name}", key=admin)


def test_a_route_is_put_replaced_and_removed(server: RunningServer, admin: str, alias: str):
    path = f"/api/models/{alias}"
    body = {
        "targets": [
            {"provider": "openai", "model": "gpt-4o-mini", "priority": 2},
            {"provider": "echo", "model": "echo", "region": "here", "when": {"tools": False}},
        ],
        "strategy": "weighted",
        "cache": {"seconds": 60},
        "deadlines": {"total": 30},
    }
    row = ok(server.request("PUT", path, body, key=admin))
    assert (row["name"], row["strategy"], row["enabled"]) == (alias, "weighted", True)
    assert row["targets"][1]["when"]["tools"] is False
    assert (row["cache"]["scope"], row["deadlines"]["idle"]) == ("project", None)
    assert ok(server.request("PUT", path, body, key=admin)) == row
    soon(server)
    told = server.get(path)
    assert [target["provider"] for target in told["targets"]] == ["echo", "openai"]
    assert (told["provider"], told["strategy"], told["cache_seconds"]) == ("echo", "weighted", 60)
    assert told["targets"][1]["input_usd_per_million"] == told_price(server)
    assert told in server.get("/api/models")["data"]
    plain = {"targets": [{"provider": "echo", "model": "echo"}], "enabled": False}
    assert ok(server.request("PUT", path, plain, key=admin))["id"] == row["id"]
    soon(server)
    assert problem(server.request("GET", path))["status"] == 404
    assert not ok(server.request("DELETE", path, key=admin))["enabled"]
    assert problem(server.request("DELETE", path, key=admin))["status"] == 404


def told_price(server: RunningServer) -> str | None:
    price: str | None = server.get("/api/models/openai/gpt-4o-mini")["input_usd_per_million"]
    return price


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 422, "targets"),
        ({"targets": []}, 422, "targets"),
        ({"targets": [{"provider": "nobody", "model": "m"}]}, 400, "nobody"),
        ({"targets": [{"provider": "echo", "model": "m", "weight": 0}]}, 400, "weight"),
        ({"targets": [{"provider": "echo", "model": "m", "colour": 1}]}, 422, "colour"),
        ({"targets": [{"provider": "echo", "model": "m"}], "strategy": "luck"}, 422, "strategy"),
        (
            {"targets": [{"provider": "echo", "model": "m"}], "cache": {"seconds": 0}},
            *(400, "cache.seconds"),
        ),
        (
            {"targets": [{"provider": "echo", "model": "m", "when": {"dialects": ["talk"]}}]},
            *(400, "talk"),
        ),
    ],
)
def test_what_makes_no_route_is_refused(server: RunningServer, admin: str, body, status, words):
    found = problem(server.request("PUT", "/api/models/never", body, key=admin))
    assert found["status"] == status
    assert words in found["detail"]


def test_a_change_holds_in_every_process_within_a_second_without_a_restart(
    server: RunningServer,
    admin: str,
    provider: dict[str, Any],
    upstream: FakeUpstream,
    alias: str,
):
    """A new route, another model behind it, another key: the processes stay the same."""
    workers = server.worker_pids()
    assert len(workers) == 2
    first, second = upstream.model(), upstream.model()
    path, name = f"/api/models/{alias}", provider["name"]

    def lead_to(model: str) -> None:
        body = {"targets": [{"provider": name, "model": model}]}
        ok(server.request("PUT", path, body, key=admin))

    def answered_by() -> str:
        return server.chat(alias).headers.get("x-torana-model", "")

    lead_to(first)
    soon(server)
    assert {answered_by() for _ in range(_OFTEN)} == {first}
    lead_to(second)
    soon(server)
    assert {answered_by() for _ in range(_OFTEN)} == {second}
    body = {"label": "two", "secret": f"{SECRET}-2"}
    ok(server.request("POST", f"/api/providers/{name}/keys", body, key=admin))
    ok(server.request("DELETE", f"/api/providers/{name}/keys/one", key=admin))
    soon(server)
    before = len(upstream.seen(second))
    assert {answered_by() for _ in range(_OFTEN)} == {second}
    sent = {seen.headers["authorization"] for seen in upstream.seen(second)[before:]}
    assert sent == {f"Bearer {SECRET}-2"}
    ok(server.request("DELETE", path, key=admin))
    soon(server)
    assert {server.chat(alias).status for _ in range(_OFTEN)} == {404}
    assert server.worker_pids() == workers


def soon(server: RunningServer) -> None:
    """Wait until each web process has said that it follows the configuration as it is now."""
    database = Database(server.database_url)
    try:
        with database.read() as session:
            version = session.scalars(select(ConfigVersion.version)).one()
    finally:
        database.dispose()
    workers = set(server.worker_pids())

    def all_know() -> bool:
        lines = [json.loads(line) for line in server.output.splitlines() if _REFRESHED in line]
        return workers <= {line["pid"] for line in lines if line["version"] >= version}

    eventually(all_know, "the change in every process", seconds=_SOON)


def test_where_a_call_would_go_is_explained_and_nothing_is_sent(
    server: RunningServer, admin: str, provider: dict[str, Any], upstream: FakeUpstream, alias: str
):
    model = upstream.model(answer_well)
    body = {
        "targets": [
            {"provider": provider["name"], "model": model, "when": {"tools": False}},
            {"provider": "echo", "model": "echo", "priority": 2},
        ]
    }
    ok(server.request("PUT", f"/api/models/{alias}", body, key=admin))
    path = f"/api/models/{alias}/explain"
    soon(server)
    plan = ok(server.request("POST", path, HELLO))
    assert (plan["route"], plan["strategy"], plan["skipped"]) == (alias, "priority", [])
    assert [(row["provider"], row["priority"]) for row in plan["chosen"]] == [
        *((provider["name"], 1), ("echo", 2)),
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    plan = ok(server.request("POST", path, HELLO | {"tools": [tool]}))
    assert [row["provider"] for row in plan["chosen"]] == ["echo"]
    assert "tools" in plan["skipped"][0]["reason"]
    message = HELLO | {"max_tokens": 5}
    plan = ok(server.request("POST", f"{path}?dialect=messages", message))
    assert plan["chosen"][0]["provider"] == provider["name"]
    assert upstream.seen(model) == []
    printed = server.torana("models", "explain", alias, "--key", server.key)
    assert "echo/echo" in printed
    assert provider["name"] in printed


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("", b"{", 400),
        ("", b"[]", 400),
        ("", b"{}", 400),
        ("?dialect=talk", b"{}", 422),
    ],
)
def test_a_body_that_is_no_call_is_not_explained(server: RunningServer, query, body, status):
    reply = server.request("POST", f"/api/models/echo/explain{query}", body)
    assert problem(reply)["status"] == status


def test_a_model_that_is_not_there_is_not_explained(server: RunningServer):
    reply = server.request("POST", "/api/models/no-such-model/explain", HELLO)
    assert problem(reply)["code"] == "model_not_found"


def test_the_health_of_targets_is_told(server: RunningServer, admin: str):
    assert health(server, server.key)["echo", "echo"]["state"] == "closed"

    def measured() -> bool:
        """Each process tells what it has seen itself."""
        server.chat("echo")
        row = health(server, admin)["echo", "echo"]
        return row["latency_ms"] is not None and row["recent_outcomes"] > 0

    eventually(measured, "a measured latency")
    printed = server.torana("models", "health", "--key", server.key)
    assert "echo/echo" in printed


def health(server: RunningServer, key: str) -> dict[tuple[str, str], dict[str, Any]]:
    rows = server.get("/api/models/health", key=key)["data"]
    return {(row["provider"], row["model"]): row for row in rows}


def test_a_caller_does_not_see_what_others_have_called_by_name(
    server: RunningServer, admin: str, upstream: FakeUpstream
):
    model = upstream.model()

    def seen() -> bool:
        assert server.chat(f"openai/{model}").status == 200
        return ("openai", model) in health(server, admin)

    eventually(seen, "the target's health")
    assert not any(("openai", model) in health(server, server.key) for _ in range(_OFTEN))
