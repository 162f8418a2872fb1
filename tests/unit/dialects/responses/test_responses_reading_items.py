"""The input of a Responses request as messages."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from torana.core.chat import (
    Audio,
    CacheMark,
    ChatCall,
    Document,
    FileRef,
    HiddenThinking,
    Image,
    Inline,
    Message,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.reading import UNSAID
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.signatures import pack
from torana.errors import InvalidRequest


def read(items: Any = "hello", **fields: Any) -> ChatCall:
    body = {"model": "m", "input": items, **fields}
    return OPENAI_RESPONSES.read_call(decode_request(json.dumps(body).encode()))


def contents(*parts: Any) -> Any:
    (message,) = read([{"role": "user", "content": list(parts)}]).messages
    return message.parts


HELLO = Message("user", (Text("hello"),))


# --- messages ----------------------------------------------------------------------------------


def test_a_text_is_a_message_of_the_user_after_the_instructions():
    assert read().messages == (HELLO,)
    assert read(instructions="Be brief.").messages == (
        Message("system", (Text("Be brief."),)),
        HELLO,
    )
    assert read(instructions="").messages == (HELLO,)


@pytest.mark.parametrize(
    "item",
    [
        {"role": "user", "content": "hello"},
        {"type": "message", "role": "user", "content": "hello", "status": "completed"},
        {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
    ],
)
def test_a_message_may_be_written_in_several_ways(item):
    assert read([item]).messages == (HELLO,)


def test_instructions_stay_where_they_stand():
    items = [
        {"role": "user", "content": "hello"},
        {"role": "developer", "content": "now in French"},
        {"role": "user", "content": "hello"},
    ]
    assert read(items).messages == (HELLO, Message("developer", (Text("now in French"),)), HELLO)


def test_what_the_model_has_made_is_one_message_of_the_assistant():
    items = [
        {"role": "user", "content": "hello"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [
                {"type": "summary_text", "text": "Hm."},
                {"type": "summary_text", "text": "So."},
            ],
            "encrypted_content": "gA",
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [
                {
                    "type": "output_text",
                    "text": "Look:",
                    "annotations": [
                        {
                            "type": "url_citation",
                            "url": "https://e.com",
                            "title": "T",
                            "start_index": 0,
                            "end_index": 4,
                        },
                    ],
                },
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
    ]
    (_, said) = read(items).messages
    assert said == Message(
        "assistant",
        (
            Thinking("Hm.\n\nSo.", "gA", "openai", "rs_1"),
            Text("Look:", (UrlCitation("https://e.com", "T", 0, 4),)),
            Refusal("no"),
            ToolCall("c1", "f", "{}"),
            ToolCall("c2", "g", "x", custom=True),
        ),
    )


def test_results_of_tools_are_one_message_with_the_users_words_after_them():
    items = [
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [
                {"type": "input_text", "text": "two"},
                {"type": "input_image", "image_url": "data:image/png;base64,AA"},
            ],
        },
        {"type": "custom_tool_call_output", "call_id": "c3", "output": ""},
        {"role": "user", "content": "hello"},
        {"role": "user", "content": "hello"},
    ]
    assert read(items).messages == (
        Message(
            "user",
            (
                ToolResult("c1", (Text("one"),)),
                ToolResult("c2", (Text("two"), Image(Inline("image/png", "AA")))),
                ToolResult("c3", (), custom=True),
                Text("hello"),
            ),
        ),
        HELLO,
    )


def test_results_of_a_later_turn_are_a_message_of_their_own():
    items = [
        {"role": "user", "content": "hello"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
    ]
    assert read(items).messages == (HELLO, Message("user", (ToolResult("c1", (Text("one"),)),)))


def test_an_empty_text_of_the_assistant_and_an_empty_list_say_nothing():
    items = [
        {"role": "assistant", "content": ""},
        {"role": "user", "content": []},
        {"role": "assistant", "content": [{"type": "output_text", "text": "", "annotations": []}]},
        {"role": "user", "content": "hello"},
    ]
    assert read(items).messages == (HELLO,)


# --- thinking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "part"),
    [
        ({"summary": [], "encrypted_content": "gA"}, HiddenThinking("gA", "openai", "rs_1")),
        (
            {"summary": [{"text": ""}], "encrypted_content": "gA"},
            Thinking("", "gA", "openai", "rs_1"),
        ),
        ({"summary": [{"text": "Hm."}]}, Thinking("Hm.")),
        ({"content": [{"type": "reasoning_text", "text": "Hm."}]}, Thinking("Hm.")),
        (
            {"summary": [{"text": "Hm."}], "encrypted_content": pack("anthropic", None, "s")},
            Thinking("Hm.", "s", "anthropic"),
        ),
        (
            {"summary": [], "encrypted_content": pack("anthropic", None, "d")},
            HiddenThinking("d", "anthropic"),
        ),
        (
            {"summary": [{"text": ""}], "encrypted_content": pack("anthropic", None, "s")},
            Thinking("", "s", "anthropic"),
        ),
    ],
)
def test_thinking_belongs_to_whoever_has_signed_it(item, part):
    said = read([{"type": "reasoning", "id": "rs_1", **item}, {"role": "user", "content": "hello"}])
    assert said.messages[0] == Message("assistant", (part,))


def test_reasoning_that_holds_nothing_says_nothing():
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "user", "content": "hello"},
    ]
    assert read(items).messages == (HELLO,)


# --- contents ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        (
            {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "low"},
            Image(Url("https://e.com/a.png"), "low"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA"},
            Image(Inline("image/png", "AA")),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;x=y;base64,AA"},
            Image(Inline("image/png", "AA")),
        ),
        (
            {"type": "input_image", "file_id": "file-1", "image_url": None},
            Image(FileRef("file-1", "openai")),
        ),
        (
            {
                "type": "input_file",
                "file_data": "data:application/pdf;base64,AA",
                "filename": "a.pdf",
            },
            Document(Inline("application/pdf", "AA"), "a.pdf"),
        ),
        ({"type": "input_file", "file_data": "AA"}, Document(Inline("application/pdf", "AA"))),
        (
            {
                "type": "input_file",
                "file_data": "data:text/plain;base64," + base64.b64encode("é".encode()).decode(),
            },
            Document(PlainText("é")),
        ),
        (
            {"type": "input_file", "file_data": "data:text/plain;base64,_"},
            Document(Inline("text/plain", "_")),
        ),
        (
            {"type": "input_file", "file_url": "https://e.com/a.pdf"},
            Document(Url("https://e.com/a.pdf")),
        ),
        ({"type": "input_file", "file_id": "file-1"}, Document(FileRef("file-1", "openai"))),
        (
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
            Audio("AA", "wav"),
        ),
        (
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            Text("a", cache=CacheMark()),
        ),
        (
            {
                "type": "input_text",
                "text": "a",
                "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
            },
            Text("a", cache=CacheMark("1h")),
        ),
    ],
)
def test_a_part_is_read(part, value):
    assert contents(part) == (value,)


# --- what is named or refused -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"type": "web_search_call", "id": "w"}, "input[].type=web_search_call"),
        ({"role": "user", "content": [{"type": "video"}]}, "input[].content[].type=video"),
        ({"role": "assistant", "content": [{"type": "video"}]}, "content[].type=video"),
        (
            {
                "role": "assistant",
                "content": [
                    {"type": "output_text", "text": "x", "annotations": [{"type": "file_path"}]}
                ],
            },
            "annotations",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "input_file", "file_data": "AA", "detail": "high"}],
            },
            "input_file.detail",
        ),
        (
            {
                "type": "function_call",
                "call_id": "c",
                "name": "f",
                "arguments": "{}",
                "namespace": "n",
            },
            "namespace",
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"ttl": "12h"}}
                ],
            },
            "prompt_cache_breakpoint.ttl",
        ),
        (
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}],
            },
            "input[].output[].type=input_audio",
        ),
    ],
)
def test_what_a_message_cannot_hold_is_named(item, name):
    assert read([item]).unsaid == (name,)
    assert name in UNSAID or re.sub("=.*", "=...", name) in UNSAID


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([7], "input[0]"),
        ({"a": 1}, "input"),
        ([{"role": "user"}], "input[0].content"),
        ([{"role": "robot", "content": "x"}], "input[0].role"),
        ([{"type": "message", "content": "x"}], "input[0].role"),
        ([{"type": 7}], "input[0].type"),
        ([{"role": "user", "content": [7]}], "input[0].content[0]"),
        ([{"role": "user", "content": [{"text": "x"}]}], "input[0].content[0].type"),
        ([{"role": "user", "content": [{"type": "input_text"}]}], "input[0].content[0].text"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "input[0].content[0].image_url"),
        (
            [
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "data:image/png,x"}],
                }
            ],
            "input[0].content[0].image_url",
        ),
        ([{"role": "user", "content": [{"type": "input_file"}]}], "input[0].content[0].file_data"),
        (
            [{"role": "user", "content": [{"type": "input_audio"}]}],
            "input[0].content[0].input_audio",
        ),
        ([{"role": "assistant", "content": [{"type": "refusal"}]}], "input[0].content[0].refusal"),
        ([{"type": "function_call", "call_id": "c", "arguments": "{}"}], "input[0].name"),
        ([{"type": "function_call_output", "output": "x"}], "input[0].call_id"),
        ([{"type": "function_call_output", "call_id": "c", "output": 7}], "input[0].output"),
        ([{"type": "reasoning", "summary": "x"}], "input[0].summary"),
        ([{"type": "reasoning", "summary": [{}]}], "input[0].summary[0].text"),
        ([{"type": "item_reference", "id": "x"}], "input[0]"),
        ([{"id": "x"}], "input[0]"),
        ([{"type": "compaction", "encrypted_content": "x"}], "input[0]"),
    ],
)
def test_a_malformed_input_is_refused_and_the_place_named(items, param):
    with pytest.raises(InvalidRequest) as caught:
        read(items)
    assert caught.value.param == param


def test_an_input_that_stands_elsewhere_is_refused_in_words_that_help():
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_RESPONSES.read_call(decode_request(b'{"model":"m","conversation":"c"}'))
    assert "send the conversation itself" in caught.value.public_message
