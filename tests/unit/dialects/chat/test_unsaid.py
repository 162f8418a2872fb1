"""What a chat request says deep inside its objects and no call can hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import ChatCall
from torana.dialects.openai_chat import OPENAI_CHAT

HELLO = {"role": "user", "content": "hello"}
FUNCTION = {"name": "f", "arguments": "{}"}
PAGE = {"url": "https://e.com", "title": "E", "start_index": 0, "end_index": 1}
GRAMMAR = {"syntax": "lark", "definition": "a"}


def call(*messages: Any, **fields: Any) -> ChatCall:
    body = {"model": "m", "messages": [HELLO, *messages], **fields}
    return OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(json.dumps(body).encode()))


def answered(**fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "a", **fields}


def cited(annotation: dict[str, Any]) -> dict[str, Any]:
    return answered(annotations=[{"type": "url_citation"} | annotation])


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (
            answered(tool_calls=[{"id": "a", "function": FUNCTION | {"odd": 1}}]),
            "messages[].tool_calls[].function.odd",
        ),
        (
            answered(
                tool_calls=[
                    {"id": "a", "type": "custom", "custom": {"name": "f", "input": "", "odd": 1}}
                ]
            ),
            "messages[].tool_calls[].custom.odd",
        ),
        (answered(function_call=FUNCTION | {"odd": 1}), "messages[].function_call.odd"),
        (cited({"url_citation": PAGE, "odd": 1}), "messages[].annotations[].odd"),
        (
            cited({"url_citation": PAGE | {"odd": 1}}),
            "messages[].annotations[].url_citation.odd",
        ),
        (cited(PAGE | {"odd": 1}), "messages[].annotations[].odd"),
        (HELLO | {"cache_control": {"type": "ephemeral", "odd": 1}}, "cache_control.odd"),
    ],
)
def test_what_is_unknown_in_a_message_is_named(message, name):
    assert call(message).unsaid == (name,)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}, "odd": 1}},
            "tool_choice.odd",
        ),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f", "odd": 1}}},
            "tool_choice.function.odd",
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "f", "odd": 1}}],
                    },
                }
            },
            "tool_choice.allowed_tools.tools[].function.odd",
        ),
        ({"function_call": {"name": "f", "odd": 1}}, "function_call.odd"),
        (
            {
                "tools": [
                    {
                        "type": "custom",
                        "custom": {
                            "name": "f",
                            "format": {"type": "grammar", "grammar": GRAMMAR, "odd": 1},
                        },
                    }
                ]
            },
            "tools[].custom.format.odd",
        ),
    ],
)
def test_what_is_unknown_in_a_field_is_named(fields, name):
    assert call(**fields).unsaid == (name,)


def test_what_the_sdk_has_parsed_is_no_loss():
    made = {"id": "a", "type": "function", "function": FUNCTION | {"parsed_arguments": {}}}
    assert call(answered(tool_calls=[made], annotations=[])).unsaid == ()
