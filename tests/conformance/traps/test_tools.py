"""Traps in tools: calls merged, arguments lost, results out of order, marks for the cache gone."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import pytest

from tests.conformance import scenarios
from tests.conformance.callers.base import Caller
from tests.conformance.said import Asked, Call, Said
from tests.conformance.traps.asking import Scene, ask
from tests.conformance.upstreams import chat, messages, responses
from tests.conformance.upstreams.golden import Golden, Json
from tests.contract.fake_upstream import FakeUpstream

PARALLEL = scenarios.PARALLEL
CLOCK = Asked(text="The time?", tools=(scenarios.CLOCK,))
ONE_CALL = Said(calls=(Call(id="1", name="get_time", arguments={}),), end="tools")
DONE = Said(text="Done.")


@pytest.mark.parametrize("mode", ["create", "helper"])
def test_parallel_calls_that_grow_at_once_are_neither_merged_nor_misnumbered(
    caller: Caller, upstream: FakeUpstream, mode: str
):
    golden = chat.GOLDENS["parallel"][0]
    scene = Scene(caller, upstream, "chat", golden)
    got = ask(caller, mode, scene.question(PARALLEL.asked))
    assert caller.read(got.message).calls == golden.said.calls


def _emptied(value: Any) -> Any:
    """The same with `""` for the arguments `{}`: how a sloppy server calls without any."""
    if isinstance(value, list):
        return [_emptied(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: "" if key == "arguments" and found == "{}" else _emptied(found)
        for key, found in value.items()
    }


def _chat_without_arguments() -> Golden:
    golden = chat.golden(ONE_CALL)
    head = {
        "index": 0,
        "id": golden.said.calls[0].id,
        "type": "function",
        "function": {"name": "get_time", "arguments": ""},
    }
    added: list[Json] = [{"role": "assistant", "content": None}, {"tool_calls": [head]}]
    return replace(
        golden,
        answer=lambda _request: dict(_emptied(chat.answer(golden.said))),
        stream=lambda request: chat.stream(golden.said, request, added) + b"data: [DONE]\n\n",
    )


def _responses_without_arguments() -> Golden:
    golden = responses.golden(ONE_CALL)

    def stream(request: Json) -> bytes:
        events = responses.events(golden.said, request)
        kept = [event for event in events if not event["type"].endswith("arguments.delta")]
        return responses.frames(_emptied(kept))

    return replace(
        golden,
        answer=lambda request: dict(_emptied(responses.response(golden.said, request))),
        stream=stream,
    )


def _message_without_arguments() -> Golden:
    golden = messages.golden(ONE_CALL)

    def stream(_request: Json) -> bytes:
        events = messages.events(golden.said)
        kept = [event for event in events if event.get("delta", {}).get("partial_json") is None]
        return messages.frames(kept)

    return replace(golden, stream=stream)


_SLOPPY = {
    "chat": _chat_without_arguments,
    "responses": _responses_without_arguments,
    "messages": _message_without_arguments,
}


@pytest.mark.parametrize("mode", ["create", "helper"])
@pytest.mark.parametrize(
    ("name", "target"),
    [
        (name, target)
        for name, target in itertools.product(_SLOPPY, _SLOPPY)
        if name != target or name == "messages"
    ],
)
def test_a_call_without_arguments_has_an_empty_object(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str, target: str, mode: str
):
    """The same dialect is passed on as it is; Anthropic's has an object that can't be empty."""
    caller = callers[name]
    golden = _SLOPPY[target]()
    scene = Scene(caller, upstream, target, golden)
    got = ask(caller, mode, scene.question(CLOCK))
    # The readers parse the text, so an empty one would fail them.
    assert caller.read(got.message).calls == golden.said.calls


def _history(results: list[Json]) -> list[Json]:
    calls = [
        {"id": name, "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
        for name in ("call_a", "call_b", "call_c")
    ]
    return [
        {"role": "user", "content": "Three times."},
        {"role": "assistant", "content": "Yes.", "tool_calls": calls},
        *results,
        {"role": "user", "content": "And now?"},
    ]


def _result(name: str) -> Json:
    return {"role": "tool", "tool_call_id": name, "content": f"result of {name}"}


@pytest.mark.parametrize(
    "order", [("call_a", "call_b", "call_c"), ("call_c", "call_a", "call_b")], ids="-".join
)
def test_results_follow_their_calls_at_once_and_in_the_order_of_the_calls(
    callers: dict[str, Caller], upstream: FakeUpstream, order: tuple[str, ...]
):
    caller = callers["chat"]
    scene = Scene(caller, upstream, "messages", messages.golden(DONE))
    question = scene.question(CLOCK)
    question["messages"] = _history([_result(name) for name in order])
    ask(caller, "create", question)
    (body,) = scene.bodies
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assistant, last = (turn["content"] for turn in body["messages"][1:])
    names = ["call_a", "call_b", "call_c"]
    assert [block["id"] for block in assistant if block["type"] == "tool_use"] == names
    assert [block["type"] for block in last] == ["tool_result"] * 3 + ["text"]
    assert [block["tool_use_id"] for block in last[:3]] == names


@pytest.mark.parametrize("name", ["chat", "responses"])
def test_results_of_an_anthropic_caller_stay_with_their_calls(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str
):
    caller = callers["messages"]
    module = {"chat": chat, "responses": responses}[name]
    scene = Scene(caller, upstream, name, module.golden(DONE))
    question = scene.question(CLOCK)
    question["messages"] = [
        {"role": "user", "content": "Three times."},
        {"role": "assistant", "content": [_use("toolu_a"), _use("toolu_b")]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_b", "content": "b"},
                {"type": "tool_result", "tool_use_id": "toolu_a", "content": "a"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    ask(caller, "create", question)
    (body,) = scene.bodies
    turns = scene.target.module.heard(body).turns
    assert [kind for kind, _value in turns] == ["text", "call", "call", "result", "result", "text"]
    assert {value.call_id for kind, value in turns if kind == "result"} == {"toolu_a", "toolu_b"}


def _use(name: str) -> Json:
    return {"type": "tool_use", "id": name, "name": "get_time", "input": {}}


# --- cache_control -----------------------------------------------------------------------------

MARK = {"cache_control": {"type": "ephemeral"}}


def _marked(question: dict[str, Any], place: str) -> dict[str, Any]:
    """An Anthropic question with a mark at one place of its tools."""
    marked = copy.deepcopy(question)
    use, result = _use("toolu_a"), {"type": "tool_result", "tool_use_id": "toolu_a", "content": "a"}
    marked["messages"] += [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    spot: Any = {"tool_use": use, "tool_result": result, "tool": marked["tools"][0]}[place]
    spot |= MARK
    return marked


PLACES = ["tool_use", "tool_result", "tool"]


@pytest.mark.parametrize("place", PLACES)
def test_marks_for_the_cache_stay_on_tools_where_the_dialect_is_the_same(
    callers: dict[str, Caller], upstream: FakeUpstream, place: str
):
    caller = callers["messages"]
    scene = Scene(caller, upstream, "messages", messages.golden(DONE))
    question = _marked(scene.question(CLOCK), place)
    got = ask(caller, "create", question)
    (body,) = scene.bodies
    assert got.dropped == ()
    assert body["messages"] == question["messages"]
    assert body["tools"] == question["tools"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["chat", "responses"])
def test_marks_for_the_cache_on_tools_are_sent_on_or_named_as_lost(
    callers: dict[str, Caller], upstream: FakeUpstream, name: str, place: str
):
    caller = callers["messages"]
    module = {"chat": chat, "responses": responses}[name]
    scene = Scene(caller, upstream, name, module.golden(DONE))
    got = ask(caller, "create", _marked(scene.question(CLOCK), place))
    (body,) = scene.bodies
    sent = "prompt_cache_breakpoint" in str(body) or "cache_control" in str(body)
    assert sent != ("cache_control" in got.dropped)


def test_marks_for_the_cache_of_a_chat_caller_reach_anthropic(
    callers: dict[str, Caller], upstream: FakeUpstream
):
    """Look-alikes of OpenAI's have taken `cache_control` over; agents send it on tools' results."""
    caller = callers["chat"]
    scene = Scene(caller, upstream, "messages", messages.golden(DONE))
    question = scene.question(CLOCK)
    question["messages"] = _history([_result("call_a"), _result("call_b")])[:-1]
    question["messages"].append(
        {
            "role": "tool",
            "tool_call_id": "call_c",
            "content": [{"type": "text", "text": "c", **MARK}],
        }
    )
    question["tools"] = [{**question["tools"][0], **MARK}]
    ask(caller, "create", question)
    (body,) = scene.bodies
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" in str(body["messages"][-1]["content"][-1])
