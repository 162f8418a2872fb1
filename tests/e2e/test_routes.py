"""Every route of the two APIs, as callers of either dialect meet it."""

from __future__ import annotations

import base64
import struct

import anthropic
import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream, Turn
from tests.e2e.checks import openai_error
from tests.e2e.constants import PROMPT, PROVIDER_KEY
from tests.e2e.messages import ASK, anthropic_error, messages
from tests.e2e.purses import purse
from tests.e2e.upstreams import (
    answer_messages,
    claude,
)
from tests.support.server import RunningServer

ANTHROPIC = {"anthropic-version": "2023-06-01"}


# --- errors and paths --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/messages/batches", {}),
        ("GET", "/v1/messages/nothing", {}),
        ("POST", "/v1/complete", {}),
        ("GET", "/v1/organizations/me", ANTHROPIC),
        ("POST", "/v1/anything", ANTHROPIC),
        ("GET", "/v1/models/nothing", ANTHROPIC),
    ],
)
def test_what_is_not_there_is_anthropics_404(server: RunningServer, method, path, headers):
    reply = server.request(method, path, {} if method == "POST" else None, headers=headers)
    assert reply.status == 404
    assert anthropic_error(reply)["type"] == "not_found_error"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/audio/voices"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("GET", "/v1/assistants"),
        ("GET", "/v1/responses/resp_that_never_was"),
        ("DELETE", "/v1/responses/resp_that_never_was"),
    ],
)
def test_what_is_not_there_is_openais_404(server: RunningServer, method, path):
    reply = server.request(method, path, {} if method == "POST" else None)
    assert reply.status == 404
    assert openai_error(reply)["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("body", "status", "kind", "says"),
    [
        (b"{", 400, "invalid_request_error", "JSON object"),
        (b'{"model": "claude-x"}', 400, "invalid_request_error", "'m"),
        (
            b'{"model": "claude-x", "max_tokens": 5, "messages": [], "model": "claude-y"}',
            400,
            "invalid_request_error",
            "occurs twice",
        ),
        (
            b'{"model": "nobodys", "max_tokens": 5, "messages": []}',
            404,
            "not_found_error",
            "does not exist",
        ),
    ],
)
def test_bad_messages_get_anthropics_error(server: RunningServer, body, status, kind, says):
    reply = server.request(
        "POST", "/v1/messages", body, headers={"content-type": "application/json"}
    )
    assert reply.status == status
    error = anthropic_error(reply)
    assert error["type"] == kind
    assert says in error["message"]


def test_a_stranger_gets_anthropics_401(server: RunningServer):
    reply = messages(server, "claude-x", key="")
    assert reply.status == 401
    assert anthropic_error(reply)["type"] == "authentication_error"


def test_an_empty_purse_gets_anthropics_402(server: RunningServer, upstream: FakeUpstream):
    mine = purse(server, "--budget-usd", "0.00000001", "--period", "month")
    model = claude(upstream, answer_messages)
    reply = messages(server, model, key=mine.key)
    assert (reply.status, reply.headers["x-should-retry"]) == (402, "false")
    assert anthropic_error(reply)["type"] == "billing_error"
    assert upstream.seen(model) == []


def test_rate_limits_are_told_in_anthropics_headers(server: RunningServer, upstream: FakeUpstream):
    mine = purse(server, "--rpm", "2")
    model = claude(upstream, answer_messages)
    replies = [messages(server, model, key=mine.key) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    for reply in replies:
        assert reply.headers["anthropic-ratelimit-requests-limit"] == "2"
        assert reply.headers["anthropic-ratelimit-requests-reset"].endswith("Z")
        assert "x-ratelimit-limit-requests" not in reply.headers
    assert int(replies[2].headers["retry-after"]) >= 1
    assert anthropic_error(replies[2])["type"] == "rate_limit_error"


# --- models ------------------------------------------------------------------------------------


def test_models_are_listed_in_the_callers_dialect(server: RunningServer):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key) as sdk:
        assert "echo" in [model.id for model in sdk.models.list()]
        assert sdk.models.retrieve("echo").owned_by == "echo"
    with anthropic.Anthropic(base_url=server.url, api_key=server.key) as sdk:
        assert "echo" in [model.id for model in sdk.models.list()]
        assert sdk.models.retrieve("echo").display_name == "echo"
        with pytest.raises(anthropic.NotFoundError):
            sdk.models.retrieve("nothing")


@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21"])
@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_both_credentials_and_versions_of_anthropics_sdks_are_accepted(
    server: RunningServer, upstream: FakeUpstream, header: str, version: str
):
    model = claude(upstream, answer_messages)
    credential = f"Bearer {server.key}" if header == "authorization" else server.key
    reply = messages(
        server,
        model,
        key="",
        headers={header: credential, "anthropic-version": version, "anthropic-beta": "one,two"},
    )
    assert reply.status == 200
    (seen,) = upstream.seen(model)
    assert seen.path == "/v1/messages"
    assert seen.headers["x-api-key"] == PROVIDER_KEY
    assert "authorization" not in seen.headers
    assert (seen.headers["anthropic-version"], seen.headers["anthropic-beta"]) == (
        version,
        "one,two",
    )


# --- count_tokens ------------------------------------------------------------------------------


def test_tokens_are_counted_by_their_provider(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, lambda turn: turn.reply({"input_tokens": 4711}))
    with anthropic.Anthropic(base_url=server.url, api_key=server.key) as sdk:
        raw = sdk.messages.with_raw_response.count_tokens(model=f"anthropic/{model}", messages=ASK)  # type: ignore[arg-type]
    assert raw.parse().input_tokens == 4711
    assert "x-torana-token-count" not in raw.headers
    (seen,) = upstream.seen(model)
    assert seen.path == "/v1/messages/count_tokens"
    assert seen.json() == {"model": model, "messages": ASK}


def test_tokens_are_estimated_where_the_provider_does_not_count(
    server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model()
    words = "one two three four five six seven eight nine ten " * 20
    with anthropic.Anthropic(base_url=server.url, api_key=server.key) as sdk:
        raw = sdk.messages.with_raw_response.count_tokens(
            model=model, messages=[{"role": "user", "content": words}]
        )
    assert raw.headers["x-torana-token-count"] == "estimated"
    assert 200 <= raw.parse().input_tokens <= 240
    assert upstream.seen(model) == []


# --- completions and embeddings ----------------------------------------------------------------


def test_a_completion_by_a_model_that_completes(server: RunningServer, upstream: FakeUpstream):
    done = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": " a time", "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6},
    }
    model = upstream.model(lambda turn: turn.reply(done))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key) as sdk:
        answer = sdk.completions.create(model=model, prompt="Once upon", max_tokens=5)
    assert answer.choices[0].text == " a time"
    (seen,) = upstream.seen(model)
    assert seen.path == "/v1/completions"


def test_a_completion_by_echo(server: RunningServer):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key) as sdk:
        assert sdk.completions.create(model="echo", prompt=PROMPT).choices[0].text == PROMPT


def test_a_completion_by_a_model_that_chats(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key) as sdk:
        answer = sdk.completions.create(model=model, prompt=PROMPT, max_tokens=5)
        streamed = "".join(
            piece.choices[0].text
            for piece in sdk.completions.create(
                model=model, prompt=PROMPT, max_tokens=5, stream=True
            )
            if piece.choices
        )
    assert answer.choices[0].text == streamed != ""


def _vectors(turn: Turn) -> None:
    """A server that knows floats only, as most look-alikes do."""
    inputs = turn.request.json()["input"]
    count = len(inputs) if isinstance(inputs, list) else 1
    turn.reply(
        {
            "object": "list",
            "model": "m",
            "data": [
                {"object": "embedding", "index": n, "embedding": [0.5, -2.0, n]}
                for n in range(count)
            ],
            "usage": {"prompt_tokens": 9, "total_tokens": 9},
        }
    )


def test_embeddings_come_in_the_encoding_that_was_asked_for(
    server: RunningServer, upstream: FakeUpstream
):
    model = upstream.model(_vectors)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key) as sdk:
        found = sdk.embeddings.create(model=model, input=[PROMPT, "b"], dimensions=3)
    assert [item.embedding for item in found.data] == [[0.5, -2.0, 0.0], [0.5, -2.0, 1.0]]
    (seen,) = upstream.seen(model)
    assert seen.json()["encoding_format"] == "base64"
    for wanted in ("base64", "float"):
        reply = server.request(
            "POST",
            "/v1/embeddings",
            {"model": model, "input": PROMPT, "encoding_format": wanted},
        )
        vector = reply.json()["data"][0]["embedding"]
        if wanted == "base64":
            vector = list(struct.unpack("<3f", base64.b64decode(vector)))
        assert vector == [0.5, -2.0, 0.0]
        entry = server.entry(reply.request_id)
        assert (entry["input_tokens"], entry["output_tokens"]) == (9, 0)


def test_a_model_without_embeddings_says_so(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    reply = server.request("POST", "/v1/embeddings", {"model": model, "input": "x"})
    assert (reply.status, openai_error(reply)["param"]) == (400, "model")
    assert upstream.seen(model) == []


def test_a_revoked_key_reads_nothing_from_the_next_request_on(
    server: RunningServer, upstream: FakeUpstream
):
    mine = purse(server)
    model = claude(upstream, answer_messages)
    kept = server.request("POST", "/v1/responses", {"model": model, "input": "x"}, key=mine.key)
    assert [messages(server, model, key=mine.key).status for _ in range(6)] == [200] * 6
    server.torana("keys", "revoke", mine.key_id)
    path = f"/v1/responses/{kept.json()['id']}"
    for _ in range(4):
        assert server.request("GET", path, key=mine.key).status == 401
        body = {"model": "echo", "messages": ASK}
        counted = server.request("POST", "/v1/messages/count_tokens", body, key=mine.key)
        assert counted.status == 401
