"""Aliases over HTTP: who answers, what the ledger says of it, and what headers ask for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.fake_upstream import ANSWER, FakeUpstream, answer_well, fail_with
from tests.e2e.constants import SDK_SECONDS
from tests.support.server import Reply, RunningServer, everywhere


@dataclass(frozen=True)
class Alias:
    """A name with two models of the provider `openai` behind it."""

    name: str
    first: str
    second: str


@pytest.fixture(scope="module")
def admins() -> dict[str, str]:
    """The keys that were made, by server: a command takes seconds."""
    return {}


@pytest.fixture
def admin(server: RunningServer, admins: dict[str, str]) -> str:
    """A key that may set routes."""
    if server.url not in admins:
        printed = server.torana(
            *("keys", "create", "--project", "default", "--name", "admin of routes"),
            *("--role", "admin", "--json"),
        )
        admins[server.url] = json.loads(printed)["key"]
    return admins[server.url]


@pytest.fixture
def alias(server: RunningServer, admin: str, upstream: FakeUpstream) -> Iterator[Alias]:
    """A fresh alias in force in every process; its first model fails, its second answers."""
    made = Alias(
        f"alias-{secrets.token_hex(4)}",
        upstream.model(fail_with(500)),
        upstream.model(answer_well),
    )
    put(server, admin, made)
    yield made
    server.request("DELETE", f"/api/models/{made.name}", key=admin)


def put(server: RunningServer, admin: str, alias: Alias, **route: Any) -> None:
    """Set the alias, and wait until every process goes by it."""
    targets = [
        {"provider": "openai", "model": alias.first, "priority": 1, "region": "eu"},
        {"provider": "openai", "model": alias.second, "priority": 2, "region": "us"},
    ]
    body = {"targets": targets, **route}
    reply = server.request("PUT", f"/api/models/{alias.name}", body, key=admin)
    assert reply.status == 200, reply

    def in_force() -> bool:
        found = server.request("GET", f"/api/models/{alias.name}")
        return found.status == 200

    everywhere(in_force, "the alias")


def attempts(server: RunningServer, reply: Reply) -> list[tuple[str, str, int]]:
    """Of the one call: model, outcome and cost of each attempt."""
    entry = server.entry(reply.request_id)
    found = [(one["model"], one["outcome"], one["cost_nano"]) for one in entry["attempts"]]
    assert sum(cost for _, _, cost in found) == entry["cost_nano"]
    return found


def test_the_second_answers_when_the_first_fails_and_the_ledger_tells_both(server, alias):
    reply = server.chat(alias.name)
    assert reply.status == 200
    assert reply.json()["choices"][0]["message"]["content"] == ANSWER
    assert reply.headers["x-torana-model"] == alias.second
    first, second = attempts(server, reply)
    assert first == (alias.first, "upstream_error", 0)
    assert second[:2] == (alias.second, "answered")
    entry = server.entry(reply.request_id)
    assert (entry["model"], entry["target_model"]) == (alias.name, alias.second)


def test_both_sdks_get_their_streams_from_the_second(server, alias):
    with openai.OpenAI(
        base_url=f"{server.url}/v1", api_key=server.key, max_retries=0, timeout=SDK_SECONDS
    ) as client:
        chunks = client.chat.completions.create(
            model=alias.name, messages=[{"role": "user", "content": "hi"}], stream=True
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == ANSWER
    with (
        anthropic.Anthropic(
            base_url=server.url, api_key=server.key, max_retries=0, timeout=SDK_SECONDS
        ) as claude,
        claude.messages.stream(
            model=alias.name, max_tokens=50, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        assert stream.get_final_text() == ANSWER


def test_a_region_is_the_callers_to_demand(server, alias):
    def ask(region: str) -> Any:
        body = {"model": alias.name, "messages": [{"role": "user", "content": "hi"}]}
        return server.request(
            "POST", "/v1/chat/completions", body, headers={"x-torana-region": region}
        )

    there = ask("us")
    assert (there.status, len(attempts(server, there))) == (200, 1)
    nowhere = ask("moon")
    assert (nowhere.status, nowhere.json()["error"]["code"]) == (400, "no_target_fits")
    assert "moon" in nowhere.json()["error"]["message"]
    failing = ask("eu")
    assert failing.status in {502, 503}


@pytest.mark.parametrize("value", ["", "x" * 65, "a\tb"])
def test_a_region_that_can_be_none_is_refused(server, value):
    reply = server.request(
        "POST",
        "/v1/chat/completions",
        {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
        headers={"x-torana-region": value},
    )
    assert reply.status == 400
    assert reply.json()["error"]["param"] == "x-torana-region"


def test_a_callers_timeout_ends_the_call_with_all_its_attempts(server):
    body = {"model": "echo/hang=1", "messages": [{"role": "user", "content": "hi"}]}
    reply = server.request(
        "POST", "/v1/chat/completions", body, headers={"x-torana-timeout": "0.4"}
    )
    assert (reply.status, reply.json()["error"]["code"]) == (504, "upstream_timeout")
    entry = server.entry(reply.request_id)
    assert 300 <= entry["duration_ms"] < 1400  # The server's own limit is 1.5 s.


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1e9", "nan"])
def test_a_timeout_that_makes_no_sense_is_refused(server, value):
    reply = server.request(
        "POST",
        "/v1/chat/completions",
        {"model": "echo", "messages": [{"role": "user", "content": "hi"}]},
        headers={"x-torana-timeout": value},
    )
    assert reply.status == 400
    assert reply.json()["error"]["param"] == "x-torana-timeout"


def test_a_conversation_of_a_sticky_alias_stays_where_it_is(server, admin, upstream):
    models = [upstream.model(answer_well) for _ in range(2)]
    name = f"sticky-{secrets.token_hex(4)}"
    body = {
        "sticky": True,
        "strategy": "weighted",
        "targets": [{"provider": "openai", "model": model} for model in models],
    }
    assert server.request("PUT", f"/api/models/{name}", body, key=admin).status == 200
    everywhere(lambda: server.request("GET", f"/api/models/{name}").status == 200, "the alias")
    places = []
    for number in range(12):
        turns: list[dict[str, str]] = [{"role": "user", "content": f"question {number}"}]
        answered = set()
        for _ in range(3):
            sent = {"model": name, "messages": turns}
            reply = server.request("POST", "/v1/chat/completions", sent)
            answered.add(reply.headers["x-torana-model"])
            turns = [
                *turns,
                {"role": "assistant", "content": ANSWER},
                {"role": "user", "content": "and then?"},
            ]
        assert len(answered) == 1
        places.append(answered.pop())
    # One place for all twelve would be a chance of 1 in 2,048.
    assert set(places) == set(models)
    server.request("DELETE", f"/api/models/{name}", key=admin)
