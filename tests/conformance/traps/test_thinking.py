"""Traps in thinking: dropped, shown as an answer, its signatures lost on the way out or back."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller, Got
from tests.conformance.pairs import UPSTREAMS
from tests.conformance.said import Result, Said
from tests.conformance.traps.asking import Scene, ask
from tests.conformance.upstreams import messages
from tests.conformance.upstreams.golden import Golden, Json, conversation
from tests.contract.fake_upstream import FakeUpstream

THINKING = scenarios.THINKING
THOUGHTS = THINKING.said[0].thoughts


NAMES = ("chat", "responses", "messages")
MOVES = [
    pytest.param(name, first, second, id=f"{name}-calls-{first}-then-{second}")
    for name, first, second in itertools.product(NAMES, NAMES, NAMES)
    if first != second
]
"""A caller whose conversation begins with one provider's model and goes on with another's."""


def _moved(
    caller: Caller, upstream: FakeUpstream, first: str, second: str, mode: str
) -> tuple[Scene, Got]:
    begun = Scene(caller, upstream, first, UPSTREAMS[first].module.GOLDENS["thinking"][0])
    question = begun.question(THINKING.asked)
    message = ask(caller, mode, question).message
    said = caller.read(message)
    assert said.thoughts == THOUGHTS
    results = [Result(call_id=said.calls[0].id, text="18 °C")]
    other = Scene(caller, upstream, second, UPSTREAMS[second].module.GOLDENS["thinking"][1])
    follow_up = caller.follow_up(question, message, results)
    return other, ask(caller, mode, {**follow_up, "model": other.model})


@pytest.mark.parametrize("mode", ["create", "helper"])
@pytest.mark.parametrize(
    ("name", "first", "second"), [move for move in MOVES if move.values[0] != move.values[2]]
)
def test_old_thinking_is_never_sent_as_visible_text_to_another_model(
    callers: dict[str, Caller],
    upstream: FakeUpstream,
    name: str,
    first: str,
    second: str,
    mode: str,
):
    other, got = _moved(callers[name], upstream, first, second, mode)
    (body,) = other.bodies
    assert THOUGHTS not in str(body)
    heard = other.target.module.heard(body)
    assert heard.seals == ()
    assert [kind for kind, _value in heard.turns] == ["text", "call", "result"]
    assert "thinking" in got.dropped


@pytest.mark.parametrize("mode", ["create", "helper"])
@pytest.mark.parametrize(
    ("name", "first", "second"),
    [move for move in MOVES if move.values[0] == move.values[2] != "chat"],
)
def test_another_vendors_signature_is_not_sent_to_a_vendor_who_would_refuse_it(
    callers: dict[str, Caller],
    upstream: FakeUpstream,
    name: str,
    first: str,
    second: str,
    mode: str,
):
    """The history holds our envelope, and the dialect is the same: still it must not pass."""
    other, got = _moved(callers[name], upstream, first, second, mode)
    (body,) = other.bodies
    assert "torana." not in str(body)
    assert other.target.module.heard(body).seals == ()
    assert got.dropped == ("thinking",)


def _blocks(*blocks: Json) -> Golden:
    call: Json = {
        "type": "tool_use",
        "id": "toolu_trap",
        "name": "get_weather",
        "input": {"city": "Zürich"},
    }
    said = replace(THINKING.said[0], calls=())
    found = [*blocks, call]
    return Golden(
        said=said,
        answer=lambda _request: messages.answer(said, found),
        stream=lambda _request: messages.stream(said, found),
        seals=tuple(block.get("signature") or block["data"] for block in blocks),
    )


def _thought(text: str, signature: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": signature}


def _hidden(data: str) -> Json:
    return {"type": "redacted_thinking", "data": data}


CASES = {
    "a-signature-after-its-text": [_thought("Let me see.", "sig+/A==")],
    "a-signature-alone": [_thought("", "sig+/B==")],
    "hidden-thinking-alone": [_hidden("hidden+/C==")],
    "all-of-them": [
        _thought("One.", "sig1=="),
        _hidden("hidden1=="),
        _thought("", "sig2=="),
        _thought("Two.", "sig3=="),
        _hidden("hidden2=="),
    ],
}


@pytest.mark.parametrize("mode", ["create", "helper"])
@pytest.mark.parametrize("blocks", CASES.values(), ids=CASES.keys())
def test_signatures_and_hidden_thinking_go_out_and_come_back_unchanged(
    caller: Caller, upstream: FakeUpstream, blocks: list[Json], mode: str
):
    golden = _blocks(*blocks)
    last = messages.golden(Said(text="Done."))
    scene = Scene(caller, upstream, "messages", conversation([golden, last], messages.answers_in))
    question = scene.question(THINKING.asked)
    message = ask(caller, mode, question).message
    results = [Result(call_id="toolu_trap", text="18 °C")]
    ask(caller, mode, caller.follow_up(question, message, results))
    assistant = _of_role(scene.bodies[-1], "assistant")
    assert assistant[: len(blocks)] == blocks
    assert [block["type"] for block in assistant[len(blocks) :]] == ["tool_use"]


def _of_role(body: Json, role: str) -> list[Any]:
    (found,) = [turn["content"] for turn in body["messages"] if turn["role"] == role]
    return list(found)


@pytest.mark.parametrize("mode", ["create", "helper"])
def test_encrypted_reasoning_is_asked_for_and_comes_back_with_its_id(
    caller: Caller, upstream: FakeUpstream, mode: str
):
    goldens = UPSTREAMS["responses"].module.GOLDENS["thinking"]
    script = conversation(goldens, UPSTREAMS["responses"].module.answers_in)
    scene = Scene(caller, upstream, "responses", script)
    question = scene.question(THINKING.asked)
    message = ask(caller, mode, question).message
    results = [Result(call_id=caller.read(message).calls[0].id, text="18 °C")]
    ask(caller, mode, caller.follow_up(question, message, results))
    first, second = scene.bodies
    assert "reasoning.encrypted_content" in first["include"]
    (item,) = [item for item in second["input"] if item.get("type") == "reasoning"]
    assert item["id"] == "rs_golden0"
    assert item["encrypted_content"] == goldens[0].seals[0]
    assert "".join(part["text"] for part in item["summary"]) == THOUGHTS
