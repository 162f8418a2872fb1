"""Every route of the two APIs, as callers of either dialect meet it."""

from __future__ import annotations

import base64
import json
import struct
import time
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream, Turn, answer_well, chunk, completion
from tests.e2e.checks import DONE, events, openai_error
from tests.e2e.constants import PROMPT, PROVIDER_KEY, SDK_SECONDS
from tests.e2e.purses import new_project, purse
from tests.e2e.upstreams import (
    MESSAGE_USAGE,
    answer_messages,
    claude,
    message,
    message_events,
    named_event,
    named_events,
    response,
)
from tests.support.server import Reply, RunningServer

ASK = [{"role": "user", "content": PROMPT}]
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def messages(server: RunningServer, model: str, **more: Any) -> Reply:
    headers = more.pop("headers", {})
    key = more.pop("key", None)
    body = {"model": model, "max_tokens": 40, "messages": ASK, **more}
    return server.request("POST", "/v1/messages", body, key=key, headers=headers)


def anthropic_error(reply: Reply) -> dict[str, Any]:
    body = reply.json()
    assert (body["type"], body["request_id"]) == ("error", reply.request_id)
    assert set(body) == {"type", "error", "request_id"}
    error: dict[str, Any] = body["error"]
    assert error["message"]
    return error


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
        ("POST", "/v1/audio/speech"),
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


# --- messages ----------------------------------------------------------------------------------

STRANGE = (
    b'{"model": "%b", "max_tokens": 40, "messages": [{"role": "user", "content": "\\ud83d\\ude00 '
    b'\\ud800 x"}], "brand_new": {"n": 123456789012345678901234567890, "f": 1.10, "e": 1E400}}'
)


def test_a_message_passes_through_untouched(server: RunningServer, upstream: FakeUpstream):
    odd = json.dumps(message(brand_new=[10**30]))
    model = claude(upstream, lambda turn: turn.reply(odd.encode()))
    body = STRANGE % model.encode()
    reply = server.request(
        "POST", "/v1/messages", body, headers={"content-type": "application/json"}
    )
    assert (reply.status, reply.body) == (200, odd.encode())
    (seen,) = upstream.seen(model)
    for piece in (
        b"\\ud83d\\ude00 \\ud800 x",
        b"123456789012345678901234567890",
        b"1.10",
        b"1E400",
    ):
        assert piece in seen.body
    assert reply.headers["x-torana-provider"] == "anthropic"
    assert "x-torana-dropped" not in reply.headers


def test_a_messages_stream_passes_through_and_is_posted(
    server: RunningServer, upstream: FakeUpstream
):
    model = claude(upstream, answer_messages)
    reply = messages(server, model, stream=True)
    assert [event["type"] for event in named_events(reply.body)] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    entry = server.entry(reply.request_id)
    assert (entry["input_tokens"], entry["cached_tokens"], entry["output_tokens"]) == (11, 5, 7)
    assert (entry["cache_write_tokens"], entry["cache_write_1h_tokens"]) == (1, 2)
    assert entry["route"] == "anthropic.messages"


def test_an_openai_caller_uses_claude(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, timeout=SDK_SECONDS) as sdk:
        answer = sdk.chat.completions.create(model=model, messages=ASK, seed=7)  # type: ignore[arg-type]
        raw = sdk.chat.completions.with_raw_response.create(model=model, messages=ASK, seed=7)  # type: ignore[arg-type]
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (19, 7)
    assert raw.headers["x-torana-dropped"] == "seed"
    body = upstream.seen(model)[0].json()
    assert body["max_tokens"] > 0
    assert "seed" not in body


def test_an_anthropic_caller_uses_gpt(server: RunningServer, upstream: FakeUpstream):
    model = upstream.model(answer_well)
    with anthropic.Anthropic(base_url=server.url, api_key=server.key, timeout=SDK_SECONDS) as sdk:
        answer = sdk.messages.create(model=model, max_tokens=40, messages=ASK)  # type: ignore[arg-type]
        with sdk.messages.stream(model=model, max_tokens=40, messages=ASK) as stream:  # type: ignore[arg-type]
            streamed = stream.get_final_message()
    assert answer.content[0].type == "text"
    assert answer.content[0].text == streamed.content[0].text  # type: ignore[union-attr]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 7)
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (11, 7)
    assert answer.stop_reason == streamed.stop_reason == "end_turn"


def test_a_strict_caller_would_rather_have_an_error(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    reply = server.request(
        "POST",
        "/v1/chat/completions",
        {"model": model, "messages": ASK, "seed": 7, "logit_bias": {"5": 1}},
        headers={"x-torana-strict": "true"},
    )
    assert (reply.status, openai_error(reply)["code"]) == (400, "translation_loss")
    assert set(reply.headers["x-torana-dropped"].split(", ")) == {"seed", "logit_bias"}
    assert upstream.seen(model) == []
    assert server.request("GET", f"/api/ledger/{reply.request_id}").status == 404


def test_a_strict_caller_without_losses_is_answered(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    reply = server.request(
        "POST",
        "/v1/chat/completions",
        {"model": model, "messages": ASK, "max_tokens": 5},
        headers={"x-torana-strict": "true"},
    )
    assert reply.status == 200, reply


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


# --- responses ---------------------------------------------------------------------------------


def test_a_conversation_that_the_provider_keeps(server: RunningServer, upstream: FakeUpstream):
    number = time.monotonic_ns()
    first_id, second_id = f"resp_{number}a", f"resp_{number}b"
    ids = iter([first_id, second_id])
    model = upstream.model(lambda turn: turn.reply(response(next(ids))))
    path = f"/v1/responses/{first_id}"
    upstream.at(path, lambda turn: turn.reply(response(first_id)))
    other = purse(server, project=new_project(server))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        first = sdk.responses.create(model=model, input=PROMPT)
        assert first.id == first_id
        second = sdk.responses.create(model=model, input="And?", previous_response_id=first.id)
        assert second.id == second_id
        assert upstream.seen(model)[1].json()["previous_response_id"] == first_id
        assert sdk.responses.retrieve(first_id).output_text == first.output_text
        for call in ({"path": path}, {"path": path, "method": "DELETE"}):
            foreign = server.request(call.get("method", "GET"), call["path"], key=other.key)
            assert foreign.status == 404
        stolen = server.request(
            "POST",
            "/v1/responses",
            {"model": model, "input": "x", "previous_response_id": first_id},
            key=other.key,
        )
        assert (stolen.status, openai_error(stolen)["param"]) == (404, "previous_response_id")
        sdk.responses.delete(first_id)
        assert [seen.method for seen in upstream.seen(path)] == ["GET", "DELETE"]
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(first_id)


def test_a_conversation_that_is_kept_here(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    other = purse(server, project=new_project(server))
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        first = sdk.responses.create(model=model, input="Who are you?", instructions="Be brief.")
        second = sdk.responses.create(model=model, input="And?", previous_response_id=first.id)
        assert second.previous_response_id == first.id
        body = upstream.seen(model)[1].json()
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
        assert "system" not in body  # Instructions are for one call.
        # Any other model may go on.
        third = sdk.responses.create(model="echo", input="So?", previous_response_id=second.id)
        assert third.output_text == "So?"
        assert sdk.responses.retrieve(first.id).to_dict() == first.to_dict()
        assert server.request("GET", f"/v1/responses/{first.id}", key=other.key).status == 404
        sdk.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError) as failure:
            sdk.responses.create(model=model, input="x", previous_response_id=first.id)
        assert failure.value.code == "response_not_found"


def test_what_shall_not_be_stored_is_not(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        answer = sdk.responses.create(model=model, input=PROMPT, store=False)
        with pytest.raises(openai.NotFoundError):
            sdk.responses.retrieve(answer.id)


def test_a_streamed_response_is_stored_too(server: RunningServer, upstream: FakeUpstream):
    model = claude(upstream, answer_messages)
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.key, max_retries=0) as sdk:
        with sdk.responses.stream(model=model, input=PROMPT) as stream:
            final = stream.get_final_response()
        assert sdk.responses.retrieve(final.id).output_text == final.output_text


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"background": True}, "background"), ({"conversation": "conv_1"}, "conversation")],
)
def test_what_is_not_offered_is_refused_by_name(server: RunningServer, fields, param):
    reply = server.request("POST", "/v1/responses", {"model": "echo", "input": "x", **fields})
    error = openai_error(reply)
    assert (reply.status, error["param"]) == (400, param)
    assert "not" in error["message"]
    assert "offered" in error["message"] or "available" in error["message"]


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


# --- structured output -------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [('```json\n{"city": "Pune"}\n```', "valid"), ("I'd rather not.", "invalid")],
)
def test_a_model_that_can_not_be_held_to_a_schema_is_asked_and_checked(
    server: RunningServer, upstream: FakeUpstream, text: str, verdict: str
):
    model = f"claude-3-opus-{time.monotonic_ns()}"
    upstream.model(lambda turn: turn.reply(message(text)), exactly=model)
    reply = server.request(
        "POST",
        "/v1/chat/completions",
        {
            "model": model,
            "messages": ASK,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "place", "schema": SCHEMA},
            },
        },
    )
    assert reply.headers["x-torana-structured-output"] == f"instructed; {verdict}"
    if verdict == "valid":
        assert json.loads(reply.json()["choices"][0]["message"]["content"]) == {"city": "Pune"}
    body = upstream.seen(model)[0].json()
    assert '"city"' in body["system"]
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("text", "lost"), [('{"city": "Pune"}', None), ("I'd rather not.", ["response_format"])]
)
def test_a_streams_schema_is_checked_for_the_ledger(
    server: RunningServer, upstream: FakeUpstream, text: str, lost: list[str] | None
):
    def stream(turn: Turn) -> None:
        turn.begin_stream()
        for event in message_events([text[:5], text[5:]]):
            named_event(turn, event)
        turn.write(b"0\r\n\r\n")

    model = f"claude-3-opus-{time.monotonic_ns()}"
    upstream.model(stream, exactly=model)
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    reply = server.chat(model, PROMPT, stream=True, response_format=form)
    assert reply.headers["x-torana-structured-output"] == "instructed"
    assert server.entry(reply.request_id)["attempts"][-1].get("dropped") == lost


def test_a_newer_model_is_held_to_the_schema(server: RunningServer, upstream: FakeUpstream):
    model = f"claude-opus-5-{time.monotonic_ns()}"
    upstream.model(lambda turn: turn.reply(message('{"city": "Pune"}')), exactly=model)
    reply = server.request(
        "POST",
        "/v1/responses",
        {
            "model": model,
            "input": "x",
            "text": {"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}},
        },
    )
    assert reply.status == 200, reply
    assert "x-torana-structured-output" not in reply.headers
    body = upstream.seen(model)[0].json()
    assert body["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}


# --- faults of a provider ----------------------------------------------------------------------


def test_an_error_in_mid_stream_is_told_in_the_callers_dialect(
    server: RunningServer, upstream: FakeUpstream
):
    def breaks(turn: Turn) -> None:
        turn.begin_stream()
        turn.event(chunk({"role": "assistant", "content": "Hal"}))
        turn.event({"error": {"message": "no", "type": "server_error", "code": 500}})

    model = upstream.model(breaks)
    reply = messages(server, model, stream=True)
    last = named_events(reply.body)[-1]
    assert (last["type"], last["request_id"]) == ("error", reply.request_id)
    entry = server.entry(reply.request_id)
    assert entry["status"] == "error"


def test_losses_that_a_stream_turns_out_to_have_are_on_the_ledger(
    server: RunningServer, upstream: FakeUpstream
):
    def searches(turn: Turn) -> None:
        turn.reply(
            message(
                content=[
                    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
                    {"type": "text", "text": "Found."},
                ]
            )
        )

    model = claude(upstream, searches)
    reply = server.chat(model, PROMPT)
    assert reply.status == 200, reply
    entry = server.entry(reply.request_id)
    assert entry["attempts"][-1]["dropped"]
    assert reply.headers["x-torana-dropped"]


def test_an_overloaded_provider_is_anthropics_529(server: RunningServer, upstream: FakeUpstream):
    def overloaded(turn: Turn) -> None:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        turn.reply({"type": "error", "error": error}, 529, retry_after="30")

    model = claude(upstream, overloaded)
    reply = messages(server, model)
    assert reply.status == 529
    assert anthropic_error(reply)["type"] == "overloaded_error"


def test_a_200_with_an_error_in_it_is_an_error(server: RunningServer, upstream: FakeUpstream):
    model = upstream.model(lambda turn: turn.reply({"error": {"message": "no", "code": 7}}))
    reply = messages(server, model)
    assert reply.status == 502
    assert anthropic_error(reply)["type"] == "api_error"


def test_a_stream_that_ends_early_is_no_good_end(server: RunningServer, upstream: FakeUpstream):
    def drops(turn: Turn) -> None:
        turn.begin_stream()
        turn.event(chunk({"role": "assistant", "content": "Hal"}))
        turn.cut()

    model = upstream.model(drops)
    for path, body in (
        ("/v1/messages", {"max_tokens": 40, "messages": ASK}),
        ("/v1/responses", {"input": PROMPT}),
        ("/v1/chat/completions", {"messages": ASK}),
    ):
        reply = server.request("POST", path, {"model": model, "stream": True, **body})
        text = reply.body.decode()
        assert '"error"' in text, text
        assert "message_stop" not in text
        assert "response.completed" not in text
        assert DONE not in text
        assert server.entry(reply.request_id)["status"] == "error"


def test_usage_survives_the_way_in_both_arithmetics(server: RunningServer, upstream: FakeUpstream):
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 30,
        "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 10},
    }
    model = upstream.model(lambda turn: turn.reply(completion() | {"usage": usage}))
    told = messages(server, model).json()["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"]) == (40, 60)
    assert told["output_tokens"] == 30
    claudes = claude(upstream, answer_messages)
    openais = server.chat(claudes, PROMPT).json()["usage"]
    total = (
        MESSAGE_USAGE["input_tokens"]  # type: ignore[operator]
        + MESSAGE_USAGE["cache_creation_input_tokens"]
        + MESSAGE_USAGE["cache_read_input_tokens"]
    )
    assert openais["prompt_tokens"] == total
    assert openais["prompt_tokens_details"]["cached_tokens"] == 5
    assert openais["total_tokens"] == total + 7


def test_events_of_a_translated_chat_stream_are_openais(
    server: RunningServer, upstream: FakeUpstream
):
    model = claude(upstream, answer_messages)
    reply = server.chat(model, PROMPT, stream=True, stream_options={"include_usage": True})
    chunks = events(reply.body)
    assert chunks[-1] == DONE
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["usage"]["prompt_tokens"] == 19
    assert all(piece["usage"] is None for piece in chunks[:-2])


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
