"""`/v1/messages`, and calls that are translated on their way."""

from __future__ import annotations

import json
import time

import anthropic
import openai
import pytest

from tests.contract.fake_upstream import FakeUpstream, Turn, answer_well, chunk, completion
from tests.e2e.checks import DONE, events, openai_error
from tests.e2e.constants import PROMPT, SDK_SECONDS
from tests.e2e.messages import ASK, anthropic_error, messages
from tests.e2e.upstreams import (
    MESSAGE_USAGE,
    answer_messages,
    claude,
    message,
    message_events,
    named_event,
    named_events,
)
from tests.support.server import RunningServer

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
