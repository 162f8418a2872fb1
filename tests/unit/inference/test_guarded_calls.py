"""Calls under guardrails: what providers see of a prompt, and callers of an answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.inference.fakes import context
from tests.unit.inference.serving import (
    CHAT_BEGIN,
    CHAT_DONE,
    CHAT_STOP,
    CHAT_USAGE,
    COST,
    Gateway,
    chunk,
    completion,
    message,
    read,
    response,
    streamed,
)
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.errors import GuardrailBlocked
from torana.guardrails.guarded import build_guardrails
from torana.guardrails.terms import GuardrailRow
from torana.ledger.records import Status

ADDRESS = "ada@example.com"
MASK = GuardrailRow(name="private", kind="mask", terms={"options": {}})
BLOCK = GuardrailRow(
    name="codenames",
    kind="blocked_patterns",
    terms={"where": "both", "options": {"words": ["bluebird"]}},
)


def guarded(*rows: GuardrailRow) -> Gateway:
    gateway = Gateway()
    gateway.guardrails = build_guardrails(rows)
    assert gateway.guardrails.broken == {}
    return gateway


def test_a_provider_never_sees_what_is_masked_and_the_caller_gets_it_back():
    gateway = guarded(MASK)
    gateway.openai.says(completion("I wrote to [EMAIL_1]."))
    answer = gateway.chat("openai/m", f"Write to {ADDRESS}")
    assert ADDRESS not in json.dumps(gateway.openai.body())
    assert gateway.openai.body()["messages"][0]["content"] == "Write to [EMAIL_1]"
    assert read(answer)["choices"][0]["message"]["content"] == f"I wrote to {ADDRESS}."
    assert gateway.metrics.guarded == [("private", "masked")]


@pytest.mark.parametrize("ask", ["messages", "responses_call"])
def test_other_dialects_are_guarded_the_same_way(ask):
    gateway = guarded(MASK)
    gateway.claude.says(message("I wrote to [EMAIL_1]."))
    answer = getattr(gateway, ask)("claude/m", f"Write to {ADDRESS}")
    assert ADDRESS not in json.dumps(gateway.claude.body())
    assert ADDRESS in json.dumps(read(answer))


def test_responses_at_their_own_provider_are_guarded_too():
    gateway = guarded(MASK)
    gateway.openai.says(response(text="I wrote to [EMAIL_1]."))
    answer = gateway.responses_call("openai/gpt-5", f"Write to {ADDRESS}", store=False)
    assert ADDRESS not in json.dumps(gateway.openai.body())
    assert ADDRESS in json.dumps(read(answer))


def test_a_stream_gives_it_back_although_it_comes_in_pieces():
    gateway = guarded(MASK)
    pieces = ("I wrote to [EM", "AIL", "_1", "]", ".")
    frames = [chunk({"content": piece}) for piece in pieces]
    gateway.openai.tries.append([CHAT_BEGIN, *frames, CHAT_STOP, CHAT_USAGE, CHAT_DONE])
    answer = gateway.chat("openai/m", f"Write to {ADDRESS}", stream=True)
    body = streamed(answer)
    deltas = [
        json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content") or ""
        for line in body.decode().splitlines()
        if line.startswith("data: {") and '"delta"' in line
    ]
    assert "".join(deltas) == f"I wrote to {ADDRESS}."
    assert gateway.teller.settlement.cost_nano == COST


def test_a_blocked_prompt_is_refused_before_anything_is_reserved():
    gateway = guarded(BLOCK)
    with pytest.raises(GuardrailBlocked) as caught:
        gateway.chat("openai/m", "Tell me of Bluebird.")
    assert "codenames" in caught.value.message
    assert "luebird" not in caught.value.public_message
    assert (gateway.openai.sent, gateway.teller.admitted) == ([], [])
    assert gateway.metrics.guarded == [("codenames", "blocked")]


def test_a_blocked_answer_is_refused_and_paid():
    gateway = guarded(BLOCK)
    gateway.openai.says(completion("It is called bluebird."))
    with pytest.raises(GuardrailBlocked):
        gateway.chat("openai/m", "What is it called?")
    settlement = gateway.teller.settlement
    assert (settlement.status, settlement.error_code) == (Status.ERROR, "guardrail_blocked")
    assert settlement.cost_nano == COST


def test_a_blocked_stream_ends_in_an_error_and_never_shows_the_word():
    gateway = guarded(BLOCK)
    pieces = ("It is called blue", "bird", ". Yes.")
    frames = [chunk({"content": piece}) for piece in pieces]
    gateway.openai.tries.append([CHAT_BEGIN, *frames, CHAT_STOP, CHAT_USAGE, CHAT_DONE])
    body = streamed(gateway.chat("openai/m", "What is it called?", stream=True))
    assert b"blue" not in body
    assert b"guardrail_blocked" in body
    assert b"[DONE]" not in body
    settlement = gateway.teller.settlement
    assert settlement.error_code == "guardrail_blocked"
    assert settlement.cost_nano > 0


def test_the_prompt_is_rewritten_once_however_many_targets_are_tried():
    gateway = guarded(MASK)
    gateway.openai.says(completion("ok"))
    asked = gateway.inference.explain(
        OPENAI_CHAT,
        json.dumps(
            {"model": "openai/m", "messages": [{"role": "user", "content": ADDRESS}]}
        ).encode(),
        context(),
    )
    assert asked.chosen[0].dialect == OPENAI_CHAT.route


def test_embeddings_are_masked_one_way():
    gateway = guarded(MASK)
    vector = {"object": "embedding", "index": 0, "embedding": [0.5]}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    gateway.openai.says({"object": "list", "data": [vector], "model": "m", "usage": usage})
    gateway.answer(OPENAI_EMBEDDINGS, "openai/m", input=["mail", f"to {ADDRESS}"])
    assert gateway.openai.body()["input"] == ["mail", "to [EMAIL_1]"]


def test_a_prompt_that_is_counted_is_masked_before():
    gateway = guarded(MASK)
    gateway.claude.says({"input_tokens": 9})
    body: dict[str, Any] = {
        "model": "claude/m",
        "messages": [{"role": "user", "content": f"Write to {ADDRESS}"}],
    }
    counted = gateway.free.count_tokens(json.dumps(body).encode(), context())
    assert json.loads(counted.body) == {"input_tokens": 9}
    assert ADDRESS not in json.dumps(gateway.claude.body())
    assert "max_tokens" not in gateway.claude.body()
