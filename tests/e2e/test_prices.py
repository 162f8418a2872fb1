"""Prices and models over the management API, on both databases."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.contract.fake_upstream import FakeUpstream
from tests.e2e.checks import problem
from tests.e2e.constants import PROMPT
from tests.support.server import RunningServer, everywhere


@pytest.fixture
def admin_key(server: RunningServer) -> str:
    """A key that may set prices."""
    made = server.torana(
        "keys", "create", "--project", "default", "--name", "prices", "--role", "admin", "--json"
    )
    key: str = json.loads(made)["key"]
    return key


def put(server: RunningServer, path: str, body: Any, key: str) -> Any:
    return server.request("PUT", f"/api/prices/{path}", body, key=key)


def test_a_model_shows_its_limits_and_all_of_its_price(server: RunningServer):
    row = server.get("/api/models/openai/gpt-4o-mini-2024-07-18")
    assert (row["provider"], row["target_model"]) == ("openai", "gpt-4o-mini-2024-07-18")
    assert (row["context_window"], row["max_output_tokens"]) == (128_000, 16_384)
    assert (row["inputs"], row["outputs"], row["suspended"]) == (["text", "image"], ["text"], False)
    assert row["price"]["usd"]["cached"] == "0.075"
    assert row["price"]["price_id"].startswith("price_")
    assert row["price"]["batch_percent"] == 50


def test_a_model_that_does_not_exist_is_a_404(server: RunningServer):
    reply = server.request("GET", "/api/models/nobody/nothing")
    assert (reply.status, problem(reply)["code"]) == (404, "model_not_found")


def test_a_model_is_shown_in_the_terminal(server: RunningServer):
    shown = server.torana("models", "show", "openai/gpt-4o", "--key", server.key)
    lines = {
        line.split("  ")[0].strip(): line.split("  ")[-1].strip() for line in shown.splitlines()
    }
    assert lines["input"] == "2.5 USD/M tokens"
    assert (lines["maximum output"], lines["suspended"]) == ("16384", "no")
    assert "gpt" in server.torana("models", "show", "openai/gpt-4o", "--key", server.key, "--json")


def test_prices_are_listed_and_filtered(server: RunningServer):
    whole = server.get("/api/prices")["data"]
    assert {"openai", "anthropic", "echo"} <= {row["provider"] for row in whole}
    assert all(row["in_force"] for row in whole)
    (row,) = server.get("/api/prices?provider=openai&model=gpt-4o-mini")["data"]
    assert (row["source"], row["usd"]["input"], row["usd"]["output"]) == ("list", "0.15", "0.6")
    assert server.get("/api/prices?provider=nobody")["data"] == []
    assert server.get("/api/prices?provider=%00")["data"] == []
    assert server.request("GET", "/api/prices?colour=red").status == 422


def test_only_an_administrators_key_sets_prices(server: RunningServer):
    body = {"usd": {"input": "1", "output": "2"}}
    reply = put(server, "openai/gpt-4o", body, server.key)
    assert (reply.status, problem(reply)["code"]) == (403, "permission_denied")


def test_a_price_that_is_set_prices_the_next_calls_of_every_process(
    server: RunningServer, upstream: FakeUpstream, admin_key: str
):
    model = upstream.model()
    before = server.entry(server.chat(model, PROMPT).request_id)
    body = {"usd": {"input": "1000", "output": "2000"}, "batch_percent": 50}
    reply = put(server, f"openai/{model}", body, admin_key)
    assert reply.status == 200, reply
    made = reply.json()
    assert (made["source"], made["in_force"], made["usd"]["reasoning"]) == (
        "operator",
        True,
        "2000",
    )
    assert made["price_id"] != before["price_id"]

    def priced_anew() -> bool:
        entry = server.entry(server.chat(model, PROMPT).request_id)
        return bool(entry["price_id"] == made["price_id"])

    everywhere(priced_anew, "the new price")
    entry = server.entry(server.chat(model, PROMPT).request_id)
    units = entry["input_tokens"] + 2 * (entry["output_tokens"] + entry["reasoning_tokens"])
    assert entry["cost_nano"] == units * 1_000_000
    assert server.entry(before["request_id"]) == before
    assert server.get(f"/api/models/{model}")["price"]["price_id"] == made["price_id"]
    history = server.get(f"/api/prices?provider=openai&model={model}&history=true")["data"]
    assert [row["price_id"] for row in history] == [made["price_id"]]


def test_a_price_with_tiers_may_be_announced(
    server: RunningServer, upstream: FakeUpstream, admin_key: str
):
    model = upstream.model()
    body = {
        "usd": {"input": "2", "output": "8", "cached": "0.5"},
        "tiers": [{"above": 200000, "usd": {"input": "4", "output": "12"}}],
        "batch_percent": 50,
        "valid_from": "2090-01-01T00:00:00Z",
    }
    reply = put(server, f"openai/{model}", body, admin_key)
    assert reply.status == 200, reply
    (row,) = server.get(f"/api/prices?provider=openai&model={model}&history=true")["data"]
    assert row == reply.json()
    assert (row["in_force"], row["valid_from"]) == (False, "2090-01-01T00:00:00.000Z")
    assert (row["usd"]["cached"], row["batch_percent"]) == ("0.5", 50)
    assert (row["tiers"][0]["above"], row["tiers"][0]["usd"]["cached"]) == (200_000, "4")
    assert server.get(f"/api/prices?provider=openai&model={model}")["data"] == []


BAD_BODIES = [
    ("openai/x", {}, 422),
    ("openai/x", {"usd": {"input": "1"}}, 400),
    ("openai/x", {"usd": {"input": 1, "output": 2}}, 422),
    ("openai/x", {"usd": {"input": "1", "output": "2", "colour": "3"}}, 422),
    ("openai/x", {"usd": {"input": "1", "output": "2"}, "batch_percent": 101}, 422),
    ("openai/x", {"usd": {"input": "1", "output": "2"}, "valid_from": "2027-01-01T00:00:00"}, 422),
    ("openai/x", {"usd": {"input": "-1", "output": "2"}}, 400),
    ("openai/x", {"usd": {"input": "1", "output": "1e400"}}, 400),
    ("openai/x", {"usd": {"input": "1", "output": "2"}, "valid_from": "2020-01-01T00:00:00Z"}, 400),
    ("nobody/x", {"usd": {"input": "1", "output": "2"}}, 400),
    ("openai/%00", {"usd": {"input": "1", "output": "2"}}, 400),
    (f"openai/{quote('x' * 201)}", {"usd": {"input": "1", "output": "2"}}, 400),
]


@pytest.mark.parametrize(("path", "body", "status"), BAD_BODIES)
def test_a_price_that_makes_no_sense_is_refused(
    server: RunningServer, admin_key: str, path: str, body: dict[str, Any], status: int
):
    reply = put(server, path, body, admin_key)
    assert reply.status == status
    problem(reply)
