"""Responses calls that go on from earlier ones, and what is kept of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tests.unit.inference.fakes import PRINCIPAL, context
from tests.unit.inference.serving import (
    CLAUDE_STREAM,
    Gateway,
    completion,
    message,
    read,
    response,
    streamed,
)
from torana.errors import InvalidRequest, ResponseNotFound, TranslationLoss
from torana.inference.caller import CallContext
from torana.inference.conversations import MOST_BYTES
from torana.inference.stored_responses import body_of

STRANGER = msgspec.structs.replace(PRINCIPAL, project_id="proj_2")


def stranger() -> CallContext:
    return context(principal=STRANGER)


def numbered(number: int) -> CallContext:
    """Ids of answers are made of the request's."""
    return context(request_id=f"req_{number}")


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def by_claude(gateway: Gateway, number: int, text: Any = "hi", **fields: Any) -> dict[str, Any]:
    """A call that is translated, so that Torana keeps its conversation."""
    gateway.claude.says(message(f"Answer {number}"))
    return read(
        gateway.responses_call("claude/claude-opus-5", text, call=numbered(number), **fields)
    )


def turns(gateway: Gateway, number: int) -> list[tuple[str, str]]:
    """What Claude was sent."""
    found = []
    for turn in gateway.claude.body(number)["messages"]:
        content = turn["content"]
        text = content if isinstance(content, str) else content[0]["text"]
        found.append((turn["role"], text))
    return found


# --- conversations that are kept here ----------------------------------------------------------


def test_what_the_provider_does_not_keep_is_kept_here_as_it_was_told(gateway):
    first = by_claude(gateway, 1, "Who are you?")
    assert first["store"] is True
    kept = gateway.responses.find(first["id"], context())
    assert (kept.kept_by, kept.provider, kept.previous_id) == ("torana", "claude", None)
    assert json.loads(body_of(kept) or b"") == first
    sealed = gateway.teller.settlement.response
    assert sealed is not None
    assert b"Who are you?" not in (sealed.content or b"")


def test_a_conversation_goes_on_turn_by_turn(gateway):
    first = by_claude(gateway, 1, "One?")
    second = by_claude(gateway, 2, "Two?", previous_response_id=first["id"])
    third = by_claude(gateway, 3, "Three?", previous_response_id=second["id"])
    assert second["previous_response_id"] == first["id"]
    assert third["previous_response_id"] == second["id"]
    assert gateway.responses.find(third["id"], context()).previous_id == second["id"]
    assert turns(gateway, 2) == [
        ("user", "One?"),
        ("assistant", "Answer 1"),
        ("user", "Two?"),
        ("assistant", "Answer 2"),
        ("user", "Three?"),
    ]
    assert "previous_response_id" not in gateway.claude.body(2)


def test_two_calls_may_go_on_from_one_answer(gateway):
    first = by_claude(gateway, 1, "One?")
    by_claude(gateway, 2, "Left?", previous_response_id=first["id"])
    by_claude(gateway, 3, "Right?", previous_response_id=first["id"])
    assert turns(gateway, 2)[-1] == ("user", "Right?")
    assert len(turns(gateway, 2)) == 3


def test_any_other_provider_may_go_on_and_gets_it_written_not_unread(gateway):
    first = by_claude(gateway, 1, "One?")
    gateway.openai.says(completion("By GPT"))
    second = read(
        gateway.responses_call(
            "openai/gpt-4o", "Two?", call=numbered(2), previous_response_id=first["id"]
        )
    )
    (sending,) = gateway.openai.sent
    assert sending.path == "/chat/completions"
    assert [turn["role"] for turn in gateway.openai.body()["messages"]] == [
        "user",
        "assistant",
        "user",
    ]
    # It was translated, so it is kept here.
    assert gateway.responses.find(second["id"], context()).kept_by == "torana"


def test_a_stream_is_kept_too(gateway):
    gateway.claude.tries.append(list(CLAUDE_STREAM))
    body = streamed(gateway.responses_call("claude/claude-opus-5", "One?", stream=True))
    assert b"response.completed" in body
    stored = gateway.teller.settlement.response
    assert stored is not None
    shown = json.loads(body_of(gateway.responses.find(stored.id, context())) or b"")
    assert shown["output"][0]["content"][0]["text"] == "Hello"
    assert stored.id.encode() in body


def test_a_stream_that_nobody_reads_to_its_end_is_kept_when_it_was_paid_for(gateway):
    gateway.claude.tries.append(list(CLAUDE_STREAM))
    answer = gateway.responses_call("claude/claude-opus-5", "One?", stream=True)
    next(answer.frames)
    answer.frames.close()
    assert gateway.teller.settlement.response is not None


# --- what is not kept --------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["claude/claude-opus-5", "openai/gpt-4o"])
def test_what_shall_not_be_stored_is_not(gateway, model):
    gateway.claude.says(message())
    gateway.openai.says(response(store=False))
    answer = read(gateway.responses_call(model, store=False))
    assert gateway.teller.settlement.response is None
    assert answer.get("store") is False
    with pytest.raises(ResponseNotFound):
        gateway.responses.find(answer["id"], context())


def test_where_nothing_is_kept_the_provider_is_told_to_keep_nothing_either():
    gateway = Gateway(timedelta(0))
    gateway.openai.says(response(store=False))
    read(gateway.responses_call("openai/gpt-4o", store=True))
    assert gateway.openai.body()["store"] is False
    assert gateway.teller.settlement.response is None
    gateway.claude.says(message())
    assert read(gateway.responses_call("claude/claude-opus-5"))["store"] is False


@pytest.mark.parametrize("odd", [None, 7, {"a": 1}])
def test_an_answer_whose_id_is_none_is_not_kept_and_the_call_goes_well(gateway, odd):
    gateway.openai.says(response(id=odd))
    assert read(gateway.responses_call("openai/gpt-4o", "hi"))["id"] == odd
    settlement = gateway.teller.settlement
    assert (settlement.status.value, settlement.response) == ("ok", None)


def test_a_conversation_that_is_too_large_is_not_kept_and_the_call_goes_well(gateway):
    gateway.claude.says(message())
    answer = read(gateway.responses_call("claude/claude-opus-5", "x" * (MOST_BYTES + 1)))
    assert answer["status"] == "completed"
    settlement = gateway.teller.settlement
    assert (settlement.status.value, settlement.response) == ("ok", None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"store": "yes"}, "store"), ({"previous_response_id": 7}, "previous_response_id")],
)
@pytest.mark.parametrize("model", ["claude/claude-opus-5", "openai/gpt-4o"])
def test_a_field_of_the_wrong_kind_is_refused_before_anything_is_reserved(
    gateway, model, fields, param
):
    with pytest.raises(InvalidRequest) as caught:
        gateway.responses_call(model, **fields)
    assert caught.value.param == param
    assert gateway.teller.asked == []


# --- conversations that the provider keeps -----------------------------------------------------


def test_what_the_provider_keeps_is_known_here_by_its_id_only(gateway):
    gateway.openai.says(response("resp_a"))
    read(gateway.responses_call("openai/gpt-4o"))
    kept = gateway.responses.find("resp_a", context())
    assert (kept.kept_by, kept.provider, kept.content) == ("provider", "openai", None)
    assert body_of(kept) is None


def test_it_goes_on_with_the_providers_own_id(gateway):
    for name in ("resp_a", "resp_b"):
        gateway.openai.says(response(name))
    read(gateway.responses_call("openai/gpt-4o"))
    read(gateway.responses_call("openai/gpt-4o", "And?", previous_response_id="resp_a"))
    assert gateway.openai.body(1)["previous_response_id"] == "resp_a"
    assert gateway.openai.body(1)["input"] == "And?"
    assert gateway.responses.find("resp_b", context()).previous_id == "resp_a"


def test_no_other_provider_can_go_on_from_it(gateway):
    gateway.openai.says(response("resp_a"))
    read(gateway.responses_call("openai/gpt-4o"))
    admitted = len(gateway.teller.admitted)
    with pytest.raises(InvalidRequest) as caught:
        gateway.responses_call("claude/claude-opus-5", previous_response_id="resp_a")
    assert caught.value.param == "previous_response_id"
    assert "'openai'" in caught.value.message
    assert (gateway.claude.sent, len(gateway.teller.admitted)) == ([], admitted)


# --- who finds what ----------------------------------------------------------------------------


@pytest.mark.parametrize("previous", ["resp_never", "", "nul\x00", "x" * 500])
def test_what_is_not_there_can_not_be_gone_on_from(gateway, previous):
    with pytest.raises(ResponseNotFound) as caught:
        gateway.responses_call("claude/claude-opus-5", previous_response_id=previous)
    assert caught.value.param == "previous_response_id"
    assert gateway.teller.admitted == []


def test_another_project_finds_nothing(gateway):
    first = by_claude(gateway, 1)
    with pytest.raises(ResponseNotFound):
        gateway.responses.find(first["id"], stranger())
    with pytest.raises(ResponseNotFound):
        gateway.responses_call(
            "claude/claude-opus-5", call=stranger(), previous_response_id=first["id"]
        )
    gateway.responses.delete(first["id"], stranger())
    assert gateway.responses.find(first["id"], context())


def test_what_was_deleted_is_gone(gateway):
    first = by_claude(gateway, 1)
    gateway.responses.delete(first["id"], context())
    with pytest.raises(ResponseNotFound):
        gateway.responses.find(first["id"], context())


@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_conversations_of_the_provider_are_refused_by_name(gateway, conversation):
    with pytest.raises(InvalidRequest) as caught:
        gateway.responses_call("openai/gpt-4o", conversation=conversation)
    assert caught.value.param == "conversation"
    assert gateway.openai.sent == []


def test_null_is_no_conversation(gateway):
    gateway.openai.says(response())
    read(gateway.responses_call("openai/gpt-4o", conversation=None, previous_response_id=None))


# --- references to items -----------------------------------------------------------------------


def referring(*ids: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = [{"type": "item_reference", "id": one} for one in ids]
    return [*items, {"role": "user", "content": "And?"}]


def test_references_to_items_that_are_kept_here_become_the_items(gateway):
    first = by_claude(gateway, 1)["output"][0]["id"]
    second = by_claude(gateway, 2)["output"][0]["id"]
    by_claude(gateway, 3, [{"role": "user", "content": "hi"}, *referring(first, second)])
    whole = json.dumps(gateway.claude.body(2)["messages"])
    assert whole.index("Answer 1") < whole.index("Answer 2") < whole.index("And?")


def test_what_has_such_references_is_never_passed_on_unread(gateway):
    item = by_claude(gateway, 1)["output"][0]["id"]
    gateway.openai.says(completion())
    read(gateway.responses_call("openai/gpt-4o", referring(item), call=numbered(2)))
    assert gateway.openai.sent[0].path == "/chat/completions"
    assert "item_reference" not in json.dumps(gateway.openai.body())
    assert "Answer 1" in json.dumps(gateway.openai.body())


def test_references_to_items_that_the_provider_keeps_pass_on(gateway):
    gateway.openai.says(response())
    items = referring("msg_theirs", "msg_nobodys_0")
    read(gateway.responses_call("openai/gpt-4o", items))
    assert gateway.openai.sent[0].path == "/responses"
    assert gateway.openai.body()["input"] == items


@pytest.mark.parametrize("item_id", ["msg_theirs", "msg_nobodys_0", "msg_1_99"])
def test_a_reference_that_nobody_can_follow_is_refused_or_named(gateway, item_id):
    by_claude(gateway, 1)
    gateway.claude.says(message())
    with pytest.raises((InvalidRequest, TranslationLoss)):
        gateway.responses_call(
            "claude/claude-opus-5", referring(item_id), call=context(strict=True)
        )


def test_another_projects_items_are_not_found(gateway):
    item = by_claude(gateway, 1)["output"][0]["id"]
    gateway.openai.says(response())
    read(gateway.responses_call("openai/gpt-4o", referring(item), call=stranger()))
    assert "Answer 1" not in json.dumps(gateway.openai.body())


def test_items_of_no_shape_are_left_to_whoever_reads_them(gateway):
    gateway.openai.says(response())
    items = [7, None, {"type": "item_reference"}, {"type": "item_reference", "id": 7}]
    read(gateway.responses_call("openai/gpt-4o", items))
    assert gateway.openai.body()["input"] == items
