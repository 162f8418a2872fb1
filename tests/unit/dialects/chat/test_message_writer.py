"""Canonical messages as chat messages for a provider, and what of them is reported as lost."""

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
    FunctionTool,
    HiddenThinking,
    Image,
    Inline,
    Message,
    Part,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from torana.dialects.base import Traits, Written
from torana.dialects.openai_chat import OPENAI_CHAT

USER = Message("user", (Text("hello"),))
PNG = Inline("image/png", "QUJD")


def write(*messages: Message, **fields: Any) -> Written:
    call = ChatCall(model="m", messages=messages or (USER,), **fields)
    return OPENAI_CHAT.write_call(call, Traits())


def sent(written: Written, **options: Any) -> dict[str, Any]:
    body = OPENAI_CHAT.encode_upstream(written.request, model="theirs", **options)
    found: dict[str, Any] = json.loads(body)
    return found


def messages_of(*messages: Message) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    written = write(*messages)
    return sent(written)["messages"], written.lost


def content_of(*parts: Part) -> tuple[Any, tuple[str, ...]]:
    (message,), lost = messages_of(Message("user", parts))
    return message["content"], lost


def test_the_plainest_call_is_a_model_and_a_message():
    assert sent(write()) == {"model": "theirs", "messages": [{"role": "user", "content": "hello"}]}


# --- messages ----------------------------------------------------------------------------------


def test_instructions_keep_their_places():
    told, lost = messages_of(
        Message("system", (Text("a"),)), USER, Message("developer", (Text("b"), Text("c")), "boss")
    )
    assert told == [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "hello"},
        {
            "role": "developer",
            "content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}],
            "name": "boss",
        },
    ]
    assert lost == ()


def test_parts_of_every_kind_are_written():
    content, lost = content_of(
        Text("a"),
        Image(Url("https://e.com/a.png"), "low"),
        Image(PNG),
        Document(Inline("application/pdf", "QUJD"), "paper.pdf"),
        Document(Inline("application/pdf", "QUJD")),
        Document(FileRef("file-1", "openai")),
        Document(PlainText("plain")),
        Audio("QUJD", "mp3"),
    )
    pdf = "data:application/pdf;base64,QUJD"
    assert content == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "file", "file": {"filename": "paper.pdf", "file_data": pdf}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": pdf}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "text", "text": "plain"},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
    ]
    assert lost == ()


@pytest.mark.parametrize(
    ("part", "name", "content"),
    [
        (Text("a", cache=CacheMark()), "cache_control", "a"),
        (Text("a", (DocumentCitation("page", {}),)), "citations", "a"),
        (Image(FileRef("f", "openai")), "file_id", ""),
        (Document(FileRef("f", "anthropic")), "file_id", ""),
        (Document(Url("https://e.com/a.pdf")), "document_url", ""),
        (Document(PlainText("x"), title="t"), "document_title", "x"),
        (
            Document(PlainText("x"), context="c"),
            "document_context",
            "x",
        ),
        (Document(PlainText("x"), cited=True), "citations", "x"),
    ],
)
def test_what_a_part_cannot_say_is_named(part, name, content):
    assert content_of(part) == (content, (name,))


def test_results_are_messages_of_their_own_before_everything_else_the_turn_says():
    told, lost = messages_of(
        USER,
        Message("assistant", (ToolCall("a", "f", ""), ToolCall("b", "c", "free", custom=True))),
        Message(
            "user",
            (
                ToolResult("a", (Text("one"), Text("two")), is_error=True),
                ToolResult("b", custom=True),
                Text("and now?"),
            ),
        ),
    )
    assert told[1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "b", "type": "custom", "custom": {"name": "c", "input": "free"}},
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        },
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "and now?"},
    ]
    assert lost == ("is_error",)


def test_what_results_show_follows_them_in_order_and_before_the_users_words():
    told, lost = messages_of(
        Message(
            "user",
            (
                ToolResult("a", (Text("one"), Image(PNG))),
                ToolResult("b", (Document(Inline("application/pdf", "QUJD"), "p"),)),
                Text("and now?"),
            ),
        )
    )
    assert [(m["role"], m.get("tool_call_id")) for m in told] == [
        ("tool", "a"),
        ("tool", "b"),
        ("user", None),
    ]
    assert [part["type"] for part in told[2]["content"]] == ["image_url", "file", "text"]
    assert lost == ("tool_result_images",)


def test_thinking_is_left_out_by_name_and_never_sent_as_visible_text():
    told, lost = messages_of(
        Message(
            "assistant",
            (
                Thinking("secret thought", "s", "anthropic"),
                Thinking("mere thought"),
                HiddenThinking("d", "openai"),
                Text("visible"),
            ),
        ),
        Message("assistant", (Thinking("secret thought"),)),
    )
    assert told == [
        {"role": "assistant", "content": "visible"},
        {"role": "assistant", "content": ""},
    ]
    assert lost == ("thinking",)


def test_refusals_are_the_field_or_parts():
    told, lost = messages_of(
        Message("assistant", (Text("a"), Refusal("no"))),
        Message("assistant", (Refusal("no"),)),
        Message("assistant", (Refusal("no"), Refusal("never"))),
    )
    assert told == [
        {"role": "assistant", "content": "a", "refusal": "no"},
        {"role": "assistant", "content": None, "refusal": "no"},
        {
            "role": "assistant",
            "content": [
                {"type": "refusal", "refusal": "no"},
                {"type": "refusal", "refusal": "never"},
            ],
        },
    ]
    assert lost == ()


def test_text_after_calls_cannot_keep_its_place():
    told, lost = messages_of(Message("assistant", (ToolCall("a", "f", "{}"), Text("then"))))
    assert told[0]["content"] == "then"
    assert lost == ("part_order",)


def test_marks_on_calls_results_and_tools_are_lost_by_name():
    mark = CacheMark()
    for messages, fields in (
        ((Message("assistant", (ToolCall("a", "f", "{}", cache=mark),)),), {}),
        ((Message("user", (ToolResult("a", cache=mark),)),), {}),
        ((USER,), {"tools": (FunctionTool("f", cache=mark),)}),
        ((USER,), {"cache": mark}),
    ):
        assert write(*messages, **fields).lost == ("cache_control",)
