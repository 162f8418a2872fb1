"""Messages as the input of a Responses request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    Audio,
    CacheMark,
    ChatCall,
    Document,
    DocumentCitation,
    FileRef,
    HiddenThinking,
    Image,
    Inline,
    Message,
    Part,
    PlainText,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.base import Traits, Written
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.writing import LOST

HELLO = Message("user", (Text("hello"),))


def write(*messages: Message, traits: Traits | None = None, **fields: Any) -> Written:
    call = ChatCall(model=fields.pop("model", "m"), messages=messages or (HELLO,), **fields)
    return OPENAI_RESPONSES.write_call(call, traits or Traits())


def fields_of(written: Written) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in written.request.fields.items()}


def items_of(*messages: Message) -> tuple[Any, tuple[str, ...]]:
    written = write(*messages)
    return fields_of(written)["input"], written.lost


def said(*parts: Part) -> tuple[Any, tuple[str, ...]]:
    return items_of(Message("assistant", parts))


def asked(*parts: Part) -> tuple[Any, tuple[str, ...]]:
    return items_of(Message("user", parts))


# --- messages ----------------------------------------------------------------------------------


def test_calls_and_results_of_tools_are_items():
    items, lost = items_of(
        HELLO,
        Message(
            "assistant",
            (Text("Look:"), ToolCall("c1", "f", '{"x":1}'), ToolCall("c2", "g", "y", custom=True)),
        ),
        Message(
            "user", (ToolResult("c1", (Text("one"),)), ToolResult("c2", custom=True), Text("go on"))
        ),
    )
    assert lost == ()
    assert items[1:] == [
        {
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Look:", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "y"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": ""},
        {"type": "message", "role": "user", "content": "go on"},
    ]


def test_words_before_a_result_stay_before_it():
    items, _ = asked(Text("a"), ToolResult("c1"), Text("b"))
    assert [item.get("content") for item in items] == ["a", None, "b"]


def test_pictures_and_files_in_the_result_of_a_tool_are_sent():
    items, lost = asked(
        ToolResult("c", (Text("a"), Image(Inline("image/png", "AA")), Document(PlainText("é"))))
    )
    assert lost == ()
    assert items[0]["output"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA"},
        {
            "type": "input_file",
            "filename": "document.txt",
            "file_data": "data:text/plain;base64,w6k=",
        },
    ]


def test_a_result_that_is_an_error_keeps_its_text_and_loses_the_mark():
    items, lost = asked(ToolResult("c", (Text("no such city"),), is_error=True))
    assert items[0]["output"] == "no such city"
    assert lost == ("is_error",)


@pytest.mark.parametrize(
    "part",
    [
        Thinking("Hm.", "s", "anthropic"),
        HiddenThinking("d", "anthropic"),
        Thinking("Hm."),
        Thinking("Hm.", "gA", "openai"),
        HiddenThinking("gA", "openai"),
    ],
)
def test_thinking_that_openai_cannot_check_is_left_out_and_named(part):
    items, lost = said(part, Text("Yes."))
    assert lost == ("thinking",)
    assert [item["type"] for item in items] == ["message"]
    assert "Hm." not in json.dumps(items)


def test_thinking_of_openai_goes_back_under_its_own_id():
    items, lost = said(
        Thinking("Hm.", "gA", "openai", "rs_1"),
        HiddenThinking("gB", "openai", "rs_2"),
        Text("Yes."),
    )
    assert lost == ()
    assert items[:2] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": "gA",
        },
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gB"},
    ]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            Image(Url("https://e.com/a.png"), "low"),
            {"type": "input_image", "image_url": "https://e.com/a.png", "detail": "low"},
        ),
        (Image(FileRef("file-1", "openai")), {"type": "input_image", "file_id": "file-1"}),
        (
            Document(Inline("application/pdf", "AA")),
            {
                "type": "input_file",
                "filename": "document.pdf",
                "file_data": "data:application/pdf;base64,AA",
            },
        ),
        (
            Document(Inline("application/pdf", "AA"), "a.pdf"),
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,AA",
            },
        ),
        (
            Document(Url("https://e.com/a.pdf")),
            {"type": "input_file", "file_url": "https://e.com/a.pdf"},
        ),
        (Document(FileRef("file-1", "openai")), {"type": "input_file", "file_id": "file-1"}),
        (
            Audio("AA", "wav"),
            {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
        ),
    ],
)
def test_a_part_is_sent(part, sent):
    items, lost = asked(part)
    assert (items[0]["content"], lost) == ([sent], ())


PLACES = {"type": "char_location", "start_char_index": 0}


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (Message("user", (Text("a", cache=CacheMark()),)), "cache_control"),
        (Message("user", (Text("a"),), "ann"), "messages[].name"),
        (Message("system", (Text("a"),), "ann"), "messages[].name"),
        (Message("system", (Text("a", cache=CacheMark()),)), "cache_control"),
        (Message("user", (Image(FileRef("f", "anthropic")), Text("a"))), "file_id"),
        (Message("user", (Document(FileRef("f", "anthropic")), Text("a"))), "file_id"),
        (Message("user", (Document(PlainText("a"), context="c"),)), "document_context"),
        (Message("user", (Document(PlainText("a"), cited=True),)), "citations"),
        (Message("user", (Document(Url("https://e.com"), "t"),)), "document_title"),
        (Message("user", (Text("a", (UrlCitation("https://e.com"),)),)), "citations"),
        (Message("user", (ToolCall("c", "f", "{}"), Text("a"))), "content"),
        (Message("user", (Thinking("a"), Text("a"))), "thinking"),
        (Message("assistant", (Image(Url("https://e.com")), Text("a"))), "image"),
        (Message("assistant", (Audio("A", "wav"), Text("a"))), "audio"),
        (Message("assistant", (ToolResult("c"), Text("a"))), "tool_result"),
        (Message("assistant", (Text("a", (DocumentCitation("c", PLACES),)),)), "citations"),
        (
            Message("assistant", (Text("a", (UrlCitation("https://e.com", token="t"),)),)),
            "citations",
        ),
        (Message("assistant", (ToolCall("c", "f", "{}", cache=CacheMark()),)), "cache_control"),
        (Message("user", (ToolResult("c", cache=CacheMark()),)), "cache_control"),
    ],
)
def test_what_a_message_cannot_say_is_named(message, name):
    items, lost = items_of(message, HELLO)
    assert lost == (name,)
    assert name in LOST
    assert items


def test_a_message_of_which_nothing_is_left_is_left_out():
    items, _ = items_of(Message("user", (Image(FileRef("f", "anthropic")),)), HELLO)
    assert len(items) == 1
