"""Traps in what is asked: images, instructions in the middle, missing and too many fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller
from tests.conformance.pairs import Upstream
from tests.conformance.said import Said
from tests.conformance.traps.asking import PLAIN, Scene, ask
from tests.conformance.upstreams import chat, messages, responses
from tests.contract.fake_upstream import FakeUpstream

DONE = Said(text="Done.")


def test_images_arrive_as_what_they_were_a_url_or_data(
    caller: Caller, target: Upstream, upstream: FakeUpstream
):
    scene = Scene(caller, upstream, target.name, target.module.golden(DONE))
    ask(caller, "create", scene.question(scenarios.IMAGE.asked))
    (body,) = scene.bodies
    pictures = [value for kind, value in target.module.heard(body).turns if kind == "image"]
    assert pictures == list(scenarios.IMAGE.asked.pictures)


def test_instructions_in_the_middle_reach_anthropic_in_a_form_that_it_takes(
    callers: dict[str, Caller], upstream: FakeUpstream
):
    caller = callers["chat"]
    scene = Scene(caller, upstream, "messages", messages.golden(DONE))
    question = scene.question()
    question["messages"] = [
        {"role": "system", "content": "first rule"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "system", "content": "second rule"},
        {"role": "user", "content": "three"},
        {"role": "developer", "content": "third rule"},
    ]
    ask(caller, "create", question)
    (body,) = scene.bodies
    assert {turn["role"] for turn in body["messages"]} == {"user", "assistant"}
    assert body["messages"][0]["role"] == "user"
    text = str(body)
    # Nothing is lost, and what was said keeps its order.
    for rule in ("first rule", "second rule", "third rule"):
        assert text.count(rule) == 1
    heard = messages.heard(body)
    said = [value for _kind, value in heard.turns if value in {"one", "two", "three"}]
    assert said == ["one", "two", "three"]
    assert "first rule" in heard.system


def test_instructions_in_the_middle_keep_their_place_where_the_dialect_has_one(
    callers: dict[str, Caller], upstream: FakeUpstream
):
    caller = callers["chat"]
    scene = Scene(caller, upstream, "responses", responses.golden(DONE))
    question = scene.question()
    question["messages"] = [
        {"role": "user", "content": "one"},
        {"role": "system", "content": "a rule"},
        {"role": "user", "content": "two"},
    ]
    ask(caller, "create", question)
    (body,) = scene.bodies
    assert [item["role"] for item in body["input"]] == ["user", "system", "user"]


@pytest.mark.parametrize("name", ["chat", "responses"])
def test_a_missing_limit_of_output_is_filled_in_for_anthropic(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str
):
    caller = callers[name]
    scene = Scene(caller, upstream, "messages", messages.golden(DONE))
    ask(caller, "create", scene.question(PLAIN))
    (body,) = scene.bodies
    assert body["max_tokens"] >= 1024


def test_stop_sequences_over_the_other_sides_limit_are_cut_and_named(
    callers: dict[str, Caller], upstream: FakeUpstream
):
    """OpenAI's chat takes four; its Responses take none."""
    caller = callers["messages"]
    stops = ["one", "two", "three", "four", "five"]
    scene = Scene(caller, upstream, "chat", chat.golden(DONE))
    got = ask(caller, "create", {**scene.question(), "stop_sequences": stops})
    (body,) = scene.bodies
    assert body["stop"] == stops[:4]
    assert "stop" in got.dropped
    few = Scene(caller, upstream, "chat", chat.golden(DONE))
    got = ask(caller, "create", {**few.question(), "stop_sequences": stops[:4]})
    assert few.bodies[0]["stop"] == stops[:4]
    assert got.dropped == ()
    none = Scene(caller, upstream, "responses", responses.golden(DONE))
    got = ask(caller, "create", {**none.question(), "stop_sequences": stops[:1]})
    assert "stop" not in none.bodies[0]
    assert "stop" in got.dropped


def test_which_stop_sequence_ended_an_answer_is_told_where_it_can_be(
    callers: dict[str, Caller], upstream: FakeUpstream
):
    ended = messages.golden(Said(text="One two", end="stop_sequence"))
    caller = callers["messages"]
    scene = Scene(caller, upstream, "messages", ended)
    for mode in ("create", "helper"):
        got = ask(caller, mode, {**scene.question(), "stop_sequences": ["END"]})
        assert got.message.stop_sequence == "END"
    chatting = callers["chat"]
    scene = Scene(chatting, upstream, "messages", ended)
    for mode in ("create", "helper"):
        got = ask(chatting, mode, {**scene.question(), "stop": ["END"]})
        assert chatting.read(got.message).end == "stop"
    assert all(body["stop_sequences"] == ["END"] for body in scene.bodies)


@pytest.mark.parametrize("name", ["chat", "responses"])
def test_a_caller_that_wants_no_loss_is_refused_before_anything_is_sent(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str
):
    caller = callers["messages"]
    module = {"chat": chat, "responses": responses}[name]
    scene = Scene(caller, upstream, name, module.golden(DONE))
    question = {**scene.question(), "extra_body": {"top_k": 5}}
    got = ask(caller, "create", question)
    assert "top_k" in got.dropped
    with pytest.raises(caller.failures) as raised:
        ask(caller, "create", {**question, "extra_headers": {"x-torana-strict": "true"}})
    assert "top_k" in str(raised.value)
    assert scene.calls == 1


PDF = "JVBERi0xLjQKJSBjb25mb3JtYW5jZQo="
PDF_URL = f"data:application/pdf;base64,{PDF}"
_DOCUMENTS: dict[str, dict[str, Any]] = {
    "chat": {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF_URL}},
    "responses": {"type": "input_file", "filename": "a.pdf", "file_data": PDF_URL},
    "messages": {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
        "title": "a.pdf",
    },
}


def test_a_pdf_arrives_in_the_providers_own_form(
    caller: Caller, target: Upstream, upstream: FakeUpstream
):
    scene = Scene(caller, upstream, target.name, target.module.golden(DONE))
    question = scene.question()
    history = "input" if caller.name == "responses" else "messages"
    question[history] = [{"role": "user", "content": [_DOCUMENTS[caller.name]]}]
    got = ask(caller, "create", question)
    (body,) = scene.bodies
    turns = body["input" if target.name == "responses" else "messages"]
    (part,) = turns[-1]["content"]
    assert part == _DOCUMENTS[target.name]
    assert got.dropped == ()
