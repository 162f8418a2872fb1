"""Whole answers in the caller's dialect, what they say in headers, and what they cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.inference.fakes import context
from tests.unit.inference.serving import COST, Gateway, completion, message, read, response
from torana.core.rates import Rate, RateView
from torana.core.usage import Counted, Usage
from torana.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from torana.errors import (
    InvalidRequest,
    TranslationLoss,
    UpstreamError,
    UpstreamGarbage,
    UpstreamRejected,
)
from torana.inference.answers import dropped_header
from torana.inference.idempotency import StoredAnswer
from torana.ledger.items import Replayed
from torana.ledger.records import Status

CLAUDE = "claude/claude-opus-5"
OLD_CLAUDE = "claude/claude-3-opus-latest"
GPT = "openai/gpt-4o"
SEARCHED = [
    {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {}},
    {"type": "text", "text": "Found."},
]


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


# --- the caller's dialect ----------------------------------------------------------------------


def test_an_openai_caller_gets_claudes_answer(gateway):
    gateway.claude.says(message("Hello"))
    answer = gateway.chat(CLAUDE)
    body = read(answer)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "Hello"
    assert body["usage"]["total_tokens"] == 15
    assert answer.headers == {
        "x-torana-cache": "bypass",
        "x-torana-provider": "claude",
        "x-torana-model": "claude-opus-5",
        "x-torana-cost-usd": "0.000000025",
    }
    settlement = gateway.teller.settlement
    assert (settlement.status, settlement.cost_nano) == (Status.OK, COST)
    assert settlement.usage == Usage(input_tokens=10, output_tokens=5)
    (record,) = gateway.teller.admitted
    assert (record.route, record.target_model) == ("openai.chat.completions", "claude-opus-5")
    assert gateway.claude.sent[0].path == "/messages"


def test_an_anthropic_caller_gets_gpts_answer(gateway):
    gateway.openai.says(completion("Hello"))
    answer = gateway.messages(GPT)
    body = read(answer)
    assert (body["type"], body["content"]) == ("message", [{"type": "text", "text": "Hello"}])
    assert body["usage"]["input_tokens"] == 10
    assert gateway.teller.admitted[0].route == "anthropic.messages"
    # OpenAI's name of the limit, because it is OpenAI.
    assert gateway.openai.body()["max_completion_tokens"] == 50


def test_a_look_alike_gets_the_older_name_of_the_limit(gateway):
    gateway.local.says(completion())
    gateway.messages("local/m")
    assert gateway.local.body()["max_tokens"] == 50


def test_headers_of_the_callers_dialect_go_to_its_own_providers_only(gateway):
    call = context(forwarded={"anthropic-beta": "one"})
    gateway.claude.says(message())
    gateway.messages(CLAUDE, call=call)
    gateway.openai.says(completion())
    gateway.messages(GPT, call=call)
    assert gateway.claude.sent[0].forwarded == {"anthropic-beta": "one"}
    assert gateway.openai.sent[0].forwarded == {}


def test_a_clamp_is_in_the_body_of_whichever_dialect_is_sent(gateway):
    gateway.teller.output = 7
    gateway.claude.says(message())
    answer = gateway.chat(CLAUDE, max_tokens=100)
    assert gateway.claude.body()["max_tokens"] == 7
    assert answer.headers["x-torana-max-output-tokens"] == "7"


def test_what_is_left_of_rates_is_told_in_the_callers_words(gateway):
    gateway.teller.rates = RateView(requests=Rate(60, 59, 1.0))
    gateway.claude.says(message())
    openai = gateway.chat(CLAUDE).headers
    gateway.openai.says(completion())
    anthropic = gateway.messages(GPT).headers
    assert openai["x-ratelimit-remaining-requests"] == "59"
    assert anthropic["anthropic-ratelimit-requests-remaining"] == "59"
    assert not any(name.startswith("x-ratelimit") for name in anthropic)


# --- losses ------------------------------------------------------------------------------------


def test_what_can_not_be_said_is_in_a_header(gateway):
    gateway.claude.says(message())
    answer = gateway.chat(CLAUDE, seed=7, logit_bias={"5": 1})
    assert set(answer.headers["x-torana-dropped"].split(", ")) == {"seed", "logit_bias"}
    assert "dropped" not in gateway.teller.settlement.attempts[-1]


def test_a_strict_caller_is_refused_before_anything_is_reserved(gateway):
    with pytest.raises(TranslationLoss):
        gateway.chat(CLAUDE, seed=7, call=context(strict=True))
    assert (gateway.teller.asked, gateway.claude.sent) == ([], [])


def test_losses_of_an_answer_are_in_the_header_and_on_its_try(gateway):
    gateway.claude.says(message(content=SEARCHED))
    answer = gateway.chat(CLAUDE, seed=7)
    seed, *more = answer.headers["x-torana-dropped"].split(", ")
    assert (seed, len(more)) == ("seed", 1)
    assert gateway.teller.settlement.attempts[-1]["dropped"] == [more[0].replace("%3D", "=")]


def test_what_passes_unread_has_lost_nothing(gateway):
    gateway.claude.says(message(content=SEARCHED))
    answer = gateway.messages(CLAUDE, brand_new=1)
    assert "x-torana-dropped" not in answer.headers
    assert read(answer)["content"] == SEARCHED


def test_thinking_that_is_left_out_of_a_passed_request_is_in_the_header(gateway):
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."},
        {"role": "user", "content": "And?"},
    ]
    gateway.openai.says(completion())
    assert gateway.chat(GPT, messages=history).headers["x-torana-dropped"] == "thinking"
    assert "Hm." not in json.dumps(gateway.openai.body())
    gateway.local.says(completion())
    assert "x-torana-dropped" not in gateway.chat("local/m", messages=history).headers
    assert "Hm." in json.dumps(gateway.local.body())


@pytest.mark.parametrize("name", ["né", "a\r\nset-cookie: x", "日本", "a b", "messages[].name"])
def test_a_header_of_losses_is_one_line_of_ascii(name):
    (value,) = dropped_header((name, "seed")).values()
    assert value.isascii()
    assert value.isprintable()
    assert value.endswith(", seed")
    assert dropped_header(()) == {}


# --- structured output -------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ENDLESS = {"type": "object", "properties": {"city": {"pattern": "(a+)+$"}}}


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "place", "schema": schema}}


@pytest.mark.parametrize(
    ("text", "schema", "verdict", "shown"),
    [
        ('{"city": "Pune"}', SCHEMA, "valid", '{"city": "Pune"}'),
        ('```json\n{"city": "Pune"}\n```', SCHEMA, "valid", '{"city": "Pune"}'),
        ('{"city": 7}', SCHEMA, "invalid", '{"city": 7}'),
        ("I'd rather not.", SCHEMA, "invalid", "I'd rather not."),
        ('{"city": "Pune"}', ENDLESS, "unchecked", '{"city": "Pune"}'),
    ],
)
def test_an_answer_that_was_only_asked_to_follow_a_schema_is_checked(
    gateway, text, schema, verdict, shown
):
    gateway.claude.says(message(text))
    answer = gateway.chat(OLD_CLAUDE, response_format=form(schema))
    assert answer.headers["x-torana-structured-output"] == f"instructed; {verdict}"
    assert read(answer)["choices"][0]["message"]["content"] == shown


def test_thinking_is_no_part_of_what_is_checked(gateway):
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    text = {"type": "text", "text": '{"city": "Pune"}'}
    gateway.claude.says(message(content=[thought, text]))
    answer = gateway.chat(OLD_CLAUDE, response_format=form(SCHEMA))
    assert answer.headers["x-torana-structured-output"] == "instructed; valid"


@pytest.mark.parametrize("words", [[], [{"type": "text", "text": "I'll look."}]])
def test_a_call_of_a_tool_is_no_answer_yet(gateway, words):
    call = {"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}
    gateway.claude.says(message(content=[*words, call], stop_reason="tool_use"))
    tool = {"type": "function", "function": {"name": "find"}}
    answer = gateway.chat(OLD_CLAUDE, response_format=form(SCHEMA), tools=[tool])
    assert read(answer)["choices"][0]["finish_reason"] == "tool_calls"
    assert answer.headers["x-torana-structured-output"] == "instructed"


def test_fences_stay_where_the_model_is_held_to_the_schema(gateway):
    fenced = '```json\n{"city": "Pune"}\n```'
    gateway.claude.says(message(fenced))
    held = {**SCHEMA, "additionalProperties": False}
    answer = gateway.chat(CLAUDE, response_format=form(held))
    assert "x-torana-structured-output" not in answer.headers
    assert read(answer)["choices"][0]["message"]["content"] == fenced


# --- what does not come to a good end ----------------------------------------------------------

FAILED = {"code": "server_error", "message": "broken"}


@pytest.mark.parametrize(
    ("caller", "fields"),
    [
        ("responses_call", {}),
        # What thinks goes to the Responses.
        ("messages", {"thinking": {"type": "adaptive"}}),
    ],
)
def test_a_failed_response_costs_the_usage_that_it_tells(gateway, caller, fields):
    gateway.openai.says(response(status="failed", error=FAILED))
    ask = getattr(gateway, caller)
    with pytest.raises(UpstreamError):
        ask("openai/gpt-5.6", **fields)
    assert gateway.openai.sent[0].path == "/responses"
    settlement = gateway.teller.settlement
    assert (settlement.status, settlement.cost_nano) == (Status.ERROR, COST)
    assert settlement.counted is Counted.PROVIDER
    assert settlement.response is None


def test_a_failed_response_that_tells_no_usage_costs_nothing(gateway):
    gateway.openai.says(response(status="failed", error=FAILED, usage=None))
    with pytest.raises(UpstreamError):
        gateway.responses_call(GPT)
    assert gateway.teller.settlement.cost_nano == 0


def test_a_refusal_by_the_provider_is_told_with_its_words_in_any_dialect(gateway):
    gateway.claude.tries.append(UpstreamRejected("max_tokens: too many", status=400))
    with pytest.raises(UpstreamRejected) as caught:
        gateway.chat(CLAUDE)
    assert caught.value.message == "max_tokens: too many"
    assert gateway.teller.settlement.cost_nano == 0


@pytest.mark.parametrize("said", [b"<html>", b"[]", b'{"choices": 7}', b'{"type": "message"}'])
def test_an_answer_in_no_dialect_costs_its_bound(gateway, said):
    gateway.claude.tries.append([said])
    with pytest.raises(UpstreamGarbage):
        gateway.chat(CLAUDE, max_tokens=9)
    assert gateway.teller.settlement.cost_nano == gateway.teller.bound_nano > 0
    assert gateway.claude.answers[0].closed == 1


def test_an_answer_without_usage_costs_its_bound(gateway):
    gateway.local.says(completion(usage=None))
    gateway.messages("local/m")
    settlement = gateway.teller.settlement
    assert (settlement.counted, settlement.status) == (Counted.BOUND, Status.OK)
    assert settlement.cost_nano == gateway.teller.bound_nano


def test_a_route_that_the_provider_does_not_serve_reserves_nothing(gateway):
    with pytest.raises(InvalidRequest) as caught:
        gateway.answer(OPENAI_EMBEDDINGS, CLAUDE, input="x")
    assert caught.value.param == "model"
    assert gateway.teller.asked == []


# --- answers that are kept for an Idempotency-Key ----------------------------------------------


def test_a_translated_answer_is_sealed_as_its_caller_got_it(gateway, monkeypatch):
    sealed: list[StoredAnswer] = []

    def seal(answer: StoredAnswer) -> bytes:
        sealed.append(answer)
        return b"sealed"

    monkeypatch.setattr(gateway.inference._answers, "seal", seal)
    gateway.claude.says(message())
    call = context(idempotency_key="k")
    answer = gateway.chat(CLAUDE, seed=7, call=call)
    kept = {name: value for name, value in answer.headers.items() if name != "x-torana-cache"}
    assert sealed == [StoredAnswer(answer.body, kept, streamed=False)]
    assert gateway.teller.settlement.answer == b"sealed"

    gateway.teller.replayed = Replayed("req_0")
    monkeypatch.setattr(gateway.inference._answers, "open", lambda _claim: sealed[0])
    again = gateway.chat(CLAUDE, seed=7, call=call)
    assert again.body == answer.body
    assert again.headers["x-torana-dropped"] == "seed"
    assert again.headers["x-torana-cost-usd"] == "0"
    assert len(gateway.claude.sent) == 1
