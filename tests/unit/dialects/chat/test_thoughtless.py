"""A history without thinking, for OpenAI's own chat."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.dialects.openai_chat.requests import decode_request
from torana.dialects.openai_chat.thoughtless import without_thinking
from torana.dialects.wire import WireRequest

USER = {"role": "user", "content": "hi"}


def request(messages: Any) -> WireRequest:
    body = messages if isinstance(messages, bytes) else json.dumps(messages).encode()
    return decode_request(b'{"model":"m","messages":' + body + b',"big":1e400}')


def messages_of(made: WireRequest) -> Any:
    return json.loads(bytes(made.fields["messages"]))


@pytest.mark.parametrize(
    "thoughts",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
        {"reasoning_content": "Hm.", "reasoning_details": [], "reasoning": None},
    ],
)
def test_every_form_of_thinking_is_left_out_and_named_once(thoughts):
    answer = {"role": "assistant", "content": "Yes.", "refusal": None}
    made, lost = without_thinking(request([USER, answer | thoughts, USER, answer | thoughts]))
    assert lost == ("thinking",)
    assert messages_of(made) == [USER, answer, USER, answer]


def test_all_else_stays_to_the_last_byte():
    kept = b'{"role":"assistant","n":123456789012345678901234567890,"f":1.10,"content":"\\u0041"}'
    thoughtful = b'{"role":"assistant","content":"b","reasoning_content":"Hm."}'
    made, _ = without_thinking(request(b"[" + kept + b"," + thoughtful + b"]"))
    assert kept in bytes(made.fields["messages"])
    assert bytes(made.fields["big"]) == b"1e400"
    assert list(made.fields) == ["model", "messages", "big"]


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [USER],
        [{"role": "user", "content": 'What is "reasoning_content"?'}],
        [{"role": "user", "content": [{"type": "text", "text": "x", "reasoning": "y"}]}],
        "text",
        7,
        [7, {"reasoning": "x"}],
        {"reasoning": "x"},
        b'[{"role":"user","content":"\\ud83d","x":"reasoning"}]',
    ],
    ids=ascii,
)
def test_a_history_without_thinking_is_the_same_object(messages):
    before = request(messages)
    after, lost = without_thinking(before)
    assert after is before
    assert lost == ()


def test_the_request_itself_is_not_changed():
    before = request([USER, {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}])
    without_thinking(before)
    assert b"reasoning_content" in bytes(before.fields["messages"])
