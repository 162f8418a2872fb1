"""Calls that are translated, with real HTTP and a real ledger on both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.inference.test_service import COST, Gateway, ModelServer, model
from tests.integration.ledger.books import Books
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import (
    IdempotencyConflict,
    ResponseNotFound,
    TranslationLoss,
    UpstreamCut,
    UpstreamRejected,
)
from torana.inference.answers import JsonAnswer, StreamAnswer

__all__ = ["model"]
USER = [{"role": "user", "content": "hi"}]
CLAUDE = "claude/claude-opus-5"
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "theirs",
    "content": [{"type": "text", "text": "canary-answer"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 4},
}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}}
RESPONSE = {
    "id": "resp_theirs",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "theirs",
    "output": [],
    "usage": {"input_tokens": 7, "output_tokens": 4, "total_tokens": 11},
}


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


BEGIN = frames(
    {
        "type": "message_start",
        "message": {
            **MESSAGE,
            "content": [],
            "stop_reason": None,
            "usage": {"input_tokens": 7, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "canary-answer"},
    },
)
STREAM = BEGIN + frames(
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 4},
    },
    {"type": "message_stop"},
)


@pytest.fixture
def gateway(shared_database, model: ModelServer) -> Iterator[Gateway]:
    model.bodies.clear()
    model.asked.clear()
    model.meanwhile = lambda: None
    with Books(shared_database) as books:
        made = Gateway(books, model)
        yield made
        made.http.close()
        assert made.service.open_calls == 0
        assert books.differences() == []


def posted(gateway: Gateway, dialect: Any, **fields: Any) -> JsonAnswer:
    answer = gateway.ask(dialect, **fields)
    assert isinstance(answer, JsonAnswer)
    return answer


def streamed(gateway: Gateway, dialect: Any, **fields: Any) -> bytes:
    answer = gateway.ask(dialect, stream=True, **fields)
    assert isinstance(answer, StreamAnswer)
    try:
        return b"".join(answer.frames)
    finally:
        answer.frames.close()


def test_a_translated_answer_is_on_the_ledger_with_its_losses(gateway, model):
    model.says({**MESSAGE, "content": [SEARCH, *MESSAGE["content"]]}, request_id="req_theirs")  # type: ignore[misc]
    answer = posted(gateway, OPENAI_CHAT, model=CLAUDE, messages=USER, seed=7, max_tokens=10)
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "canary-answer"
    assert answer.headers["x-torana-dropped"].startswith("seed, ")
    (entry,) = gateway.books.entries()
    assert (entry.status, entry.cost_nano, entry.route) == ("ok", COST, "openai.chat.completions")
    assert (entry.provider, entry.target_model) == ("claude", "claude-opus-5")
    assert entry.provider_request_id == "req_theirs"
    (dropped,) = entry.attempts[-1]["dropped"]
    assert "server_tool_use" in dropped
    assert model.asked == [("POST", "/v1/messages")]
    assert gateway.books.figures() == (COST, 0, 0)


def test_a_strict_caller_leaves_no_trace_on_the_ledger(gateway, model):
    body = json.dumps({"model": CLAUDE, "messages": USER, "seed": 7}).encode()
    with pytest.raises(TranslationLoss):
        gateway.service.answer(OPENAI_CHAT, body, gateway.context(strict=True))
    assert (model.asked, gateway.books.entries(), gateway.books.reservations()) == ([], [], [])


def test_a_translated_answer_is_replayed_as_it_was(gateway, model):
    model.says(MESSAGE)
    fields = {"model": CLAUDE, "messages": USER, "max_tokens": 10, "seed": 7}
    first = posted(gateway, OPENAI_CHAT, idempotency_key="k", **fields)
    model.says({"type": "error"}, status=500)
    again = posted(gateway, OPENAI_CHAT, idempotency_key="k", **fields)
    (entry,) = gateway.books.entries()
    assert again.body == first.body
    assert again.headers == first.headers | {
        "x-torana-cost-usd": "0",
        "idempotent-replayed": "true",
        "x-torana-original-request-id": entry.call_id,
    }
    assert again.headers["x-torana-dropped"] == "seed"
    assert len(model.asked) == 1
    assert gateway.books.total() == (1, COST)


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, OPENAI_RESPONSES], ids=["chat", "responses"])
def test_a_translated_stream_is_replayed_as_it_was(gateway, model, dialect):
    model.says(STREAM, content_type="text/event-stream")
    prompt = {"messages": USER} if dialect is OPENAI_CHAT else {"input": "hi"}
    fields = {"model": CLAUDE, **prompt}
    first = streamed(gateway, dialect, idempotency_key="s", **fields)
    assert b"canary-answer" in first
    again = streamed(gateway, dialect, idempotency_key="s", **fields)
    assert again == first
    assert len(model.asked) == 1
    assert gateway.books.total() == (1, COST)


def test_the_same_key_in_another_dialect_is_another_request(gateway, model):
    model.says(MESSAGE)
    fields = {"model": CLAUDE, "messages": USER, "max_tokens": 10}
    posted(gateway, OPENAI_CHAT, idempotency_key="k", **fields)
    with pytest.raises(IdempotencyConflict):
        gateway.ask(ANTHROPIC, idempotency_key="k", **fields)
    assert gateway.books.total() == (1, COST)


@pytest.mark.parametrize("dialect", [OPENAI_CHAT, ANTHROPIC], ids=["translated", "passed"])
def test_a_cut_stream_is_posted_at_its_bound_and_not_at_what_it_told_first(gateway, model, dialect):
    model.says(BEGIN, content_type="text/event-stream")
    body = streamed(gateway, dialect, model=CLAUDE, messages=USER, max_tokens=10)
    assert UpstreamCut.code.encode() in body
    (entry,) = gateway.books.entries()
    assert (entry.status, entry.counted) == ("error", "bound")
    # Ten tokens of output at the most, not the one that the beginning speaks of.
    assert entry.cost_nano >= 7 + 10 * 2
    assert gateway.books.figures() == (entry.cost_nano, 0, 0)


# --- stored responses --------------------------------------------------------------------------


def test_a_conversation_that_is_kept_here_goes_on_and_is_deleted(gateway, model):
    model.says(MESSAGE)
    first = json.loads(posted(gateway, OPENAI_RESPONSES, model=CLAUDE, input="One?").body)
    second = json.loads(
        posted(
            gateway, OPENAI_RESPONSES, model=CLAUDE, input="Two?", previous_response_id=first["id"]
        ).body
    )
    turns = model.bodies[1]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert "canary-answer" in json.dumps(turns)
    model.asked.clear()
    context = gateway.context()
    assert json.loads(gateway.free.get_response(second["id"], context)) == second
    assert json.loads(gateway.free.delete_response(second["id"], context))["deleted"]
    with pytest.raises(ResponseNotFound):
        gateway.free.get_response(second["id"], context)
    assert json.loads(gateway.free.get_response(first["id"], context)) == first
    assert model.asked == []


def test_a_streamed_conversation_can_be_gone_on_from_at_once(gateway, model):
    model.says(STREAM, content_type="text/event-stream")
    body = streamed(gateway, OPENAI_RESPONSES, model=CLAUDE, input="One?")
    done = json.loads(body.rstrip().rsplit(b"data: ", 1)[-1])
    assert done["type"] == "response.completed"
    model.says(MESSAGE)
    previous = done["response"]["id"]
    posted(gateway, OPENAI_RESPONSES, model=CLAUDE, input="Two?", previous_response_id=previous)
    assert "canary-answer" in json.dumps(model.bodies[1]["messages"])


def test_a_conversation_that_the_provider_keeps_is_fetched_and_deleted_there(gateway, model):
    model.says(RESPONSE)
    posted(gateway, OPENAI_RESPONSES, model="openai/gpt-4o", input="One?")
    context = gateway.context()
    assert json.loads(gateway.free.get_response("resp_theirs", context)) == RESPONSE
    model.says({"error": {"message": "gone"}}, status=404)
    with pytest.raises(UpstreamRejected):
        gateway.free.get_response("resp_theirs", context)
    assert json.loads(gateway.free.delete_response("resp_theirs", context))["deleted"]
    assert model.asked[1:] == [
        ("GET", "/v1/responses/resp_theirs"),
        ("GET", "/v1/responses/resp_theirs"),
        ("DELETE", "/v1/responses/resp_theirs"),
    ]
    with pytest.raises(ResponseNotFound):
        gateway.free.get_response("resp_theirs", context)
    assert gateway.books.total() == (1, COST)


def test_a_failed_call_keeps_no_conversation(gateway, model):
    model.says({"error": {"message": "no"}}, status=422)
    with pytest.raises(UpstreamRejected):
        gateway.ask(OPENAI_RESPONSES, model=CLAUDE, input="One?")
    (entry,) = gateway.books.entries()
    with pytest.raises(ResponseNotFound):
        gateway.free.get_response(f"resp_{entry.call_id.removeprefix('req_')}", gateway.context())


def test_a_count_of_tokens_is_not_on_the_ledger(gateway, model):
    model.says({"input_tokens": 4711})
    body = json.dumps({"model": CLAUDE, "messages": USER}).encode()
    counted = gateway.free.count_tokens(body, gateway.context())
    assert json.loads(counted.body) == {"input_tokens": 4711}
    body = json.dumps({"model": "fake/m", "messages": USER}).encode()
    assert gateway.free.count_tokens(body, gateway.context()).estimated
    assert model.asked == [("POST", "/v1/messages/count_tokens")]
    assert gateway.books.entries() == []
