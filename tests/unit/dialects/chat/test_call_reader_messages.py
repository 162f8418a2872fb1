"""Messages of a caller's chat request as canonical ones: what is read, and refused by its place."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from torana.core.chat import (
    Audio,
    CacheMark,
    ChatCall,
    Document,
    FileRef,
    FunctionTool,
    HiddenThinking,
    Image,
    Inline,
    Message,
    PlainText,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import InvalidRequest

HELLO = {"role": "user", "content": "hello"}


def call(*messages: Any, **fields: Any) -> ChatCall:
    body = {"model": "m", "messages": list(messages) or [HELLO], **fields}
    return OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(json.dumps(body).encode()))


def parts(*content: Any) -> tuple[Any, ...]:
    (message,) = call({"role": "user", "content": list(content)}).messages
    return message.parts


def answered(*calls: tuple[str, str]) -> dict[str, Any]:
    told = [
        {"id": id_, "type": "function", "function": {"name": name, "arguments": "{}"}}
        for id_, name in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": told}


# --- messages ----------------------------------------------------------------------------------


def test_instructions_of_both_roles_keep_their_places():
    read = call(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": [{"type": "text", "text": "b"}], "name": "boss"},
        HELLO,
        {"role": "system", "content": "later"},
    )
    assert read.messages == (
        Message("system", (Text("a"),)),
        Message("developer", (Text("b"),), "boss"),
        Message("user", (Text("hello"),)),
        Message("system", (Text("later"),)),
    )
    assert read.unsaid == ()


def test_parts_of_every_kind_are_read():
    text = base64.b64encode("plain é".encode()).decode()
    assert parts(
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "image_url", "image_url": "https://e.com/bare.png"},
        {"type": "image_url", "image_url": {"url": "data:application/pdf;base64,QUJD"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
        {
            "type": "file",
            "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a"},
        },
        {"type": "file", "file": {"file_data": "QUJD"}},
        {"type": "file", "file": {"file_data": f"data:text/plain;base64,{text}"}},
        {"type": "file", "file": {"file_id": "file-1"}},
    ) == (
        Text("see"),
        Image(Url("https://e.com/a.png"), "low"),
        Image(Inline("image/png", "QUJD")),
        Image(Url("https://e.com/bare.png")),
        Document(Inline("application/pdf", "QUJD")),
        Audio("QUJD", "wav"),
        Document(Inline("application/pdf", "QUJD"), "a"),
        Document(Inline("application/pdf", "QUJD")),
        Document(PlainText("plain é")),
        Document(FileRef("file-1", "openai")),
    )


def test_an_assistants_turn_is_thinking_text_refusal_and_calls_in_this_order():
    message = {
        "role": "assistant",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": ' {"x": 1.0}'}},
            {"id": "b", "type": "custom", "custom": {"name": "c", "input": "free"}},
        ],
        "refusal": "no",
        "content": "text",
        "reasoning_content": "hm",
        "audio": None,
        "annotations": [],
        "function_call": None,
    }
    read = call(HELLO, message)
    assert read.messages[1].parts == (
        Thinking("hm"),
        Text("text"),
        Refusal("no"),
        ToolCall("a", "f", ' {"x": 1.0}'),
        ToolCall("b", "c", "free", custom=True),
    )
    assert read.unsaid == ()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", (Text(""),)),
        (None, (Text(""),)),
        ([], (Text(""),)),
        (
            [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}],
            (Text("a"), Refusal("b")),
        ),
    ],
)
def test_a_message_has_at_least_one_part(content, expected):
    assert call(HELLO, {"role": "assistant", "content": content}).messages[1].parts == expected


def test_an_empty_text_beside_calls_is_none():
    message = answered(("a", "f")) | {"content": ""}
    assert call(HELLO, message).messages[1].parts == (ToolCall("a", "f", "{}"),)


def test_consecutive_results_and_what_the_user_says_after_them_are_one_message_in_order():
    read = call(
        HELLO,
        answered(("a", "f"), ("b", "g")),
        {"role": "tool", "tool_call_id": "b", "content": "two", "name": "g"},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "one"}]},
        {"role": "user", "content": "and now?"},
        HELLO,
    )
    assert read.messages[2:] == (
        Message(
            "user",
            (ToolResult("b", (Text("two"),)), ToolResult("a", (Text("one"),)), Text("and now?")),
        ),
        Message("user", (Text("hello"),)),
    )
    assert read.unsaid == ()


def test_a_named_speaker_after_results_speaks_in_a_message_of_its_own():
    read = call(
        HELLO,
        answered(("a", "f")),
        {"role": "tool", "tool_call_id": "a", "content": ""},
        HELLO | {"name": "ann"},
    )
    assert read.messages[2:] == (
        Message("user", (ToolResult("a"),)),
        Message("user", (Text("hello"),), "ann"),
    )


def test_the_result_of_a_custom_tool_knows_it():
    custom = {"id": "a", "type": "custom", "custom": {"name": "c", "input": "x"}}
    read = call(
        HELLO,
        {"role": "assistant", "tool_calls": [custom]},
        {"role": "tool", "tool_call_id": "a", "content": "y"},
    )
    assert read.messages[2].parts == (ToolResult("a", (Text("y"),), custom=True),)


def test_the_old_functions_are_tools_with_ids_of_ours():
    read = call(
        HELLO,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": "out"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    assert read.messages[1].parts == (ToolCall("call_1", "f", "{}"),)
    assert read.messages[2].parts == (ToolResult("call_1", (Text("out"),)),)
    assert read.tools == (FunctionTool("f", schema={"type": "object"}),)
    assert read.tool_choice == ToolChoice("named", ("f",))
    assert call(functions=[], function_call="auto").tool_choice == ToolChoice("auto")


def test_details_of_reasoning_win_over_its_text_and_keep_every_signature():
    details = [
        {"type": "reasoning.text", "text": "a", "signature": "s", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "d", "format": "anthropic-claude-v1", "index": 1},
        {
            "type": "reasoning.text",
            "text": "",
            "signature": "e",
            "id": "rs_1",
            "format": "openai-responses-v1",
        },
        {"type": "reasoning.summary", "summary": "sum", "format": "unknown"},
        {"type": "reasoning.text", "text": "x", "signature": "other", "format": "xai-responses-v1"},
    ]
    message = {"role": "assistant", "content": "c", "reasoning": "aa", "reasoning_details": details}
    read = call(HELLO, message)
    assert read.messages[1].parts == (
        Thinking("a", "s", "anthropic"),
        HiddenThinking("d", "anthropic"),
        Thinking("", "e", "openai", "rs_1"),
        Thinking("sum"),
        Thinking("x"),
        Text("c"),
    )
    # Nobody here can send xAI's signature back to xAI.
    assert read.unsaid == ("messages[].reasoning_details",)


def test_chunks_of_details_that_a_caller_kept_unjoined_are_joined_by_their_index():
    details = [
        {"index": 0, "type": "reasoning.text", "id": "rs_1"},
        {"index": 0, "type": "reasoning.text", "text": "a"},
        {
            "index": 0,
            "type": "reasoning.text",
            "text": "b",
            "signature": "s",
            "format": "openai-responses-v1",
        },
        {"index": 1, "type": "reasoning.text", "text": "c"},
    ]
    message = {"role": "assistant", "content": None, "reasoning_details": details}
    assert call(HELLO, message).messages[1].parts == (
        Thinking("ab", "s", "openai", "rs_1"),
        Thinking("c"),
    )


def test_annotations_of_the_history_are_citations():
    annotation = {
        "type": "url_citation",
        "url_citation": {"url": "https://e.com", "title": "T", "start_index": 0, "end_index": 2},
    }
    message = {"role": "assistant", "content": "abcd", "annotations": [annotation, {"type": "odd"}]}
    read = call(HELLO, message)
    cited = Text("abcd", (UrlCitation("https://e.com", "T", 0, 2),))
    assert read.messages[1].parts == (cited,)
    assert read.unsaid == ("messages[].annotations",)


# --- cache marks -------------------------------------------------------------------------------

EPHEMERAL = {"type": "ephemeral"}


def test_marks_of_look_alikes_are_read_on_parts_messages_tools_calls_and_results():
    read = call(
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": EPHEMERAL}]},
        HELLO | {"cache_control": EPHEMERAL | {"ttl": "1h"}},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "a",
                    "function": {"name": "f", "arguments": "{}"},
                    "cache_control": EPHEMERAL,
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x", "cache_control": EPHEMERAL},
        tools=[
            {"type": "function", "function": {"name": "f"}, "cache_control": EPHEMERAL},
            {"type": "function", "function": {"name": "g", "cache_control": EPHEMERAL}},
        ],
        cache_control={"type": "ephemeral", "ttl": "5m"},
    )
    mark = CacheMark()
    assert [getattr(message.parts[0], "cache", None) for message in read.messages] == [
        mark,
        CacheMark("1h"),
        mark,
        mark,
    ]
    assert [tool.cache for tool in read.tools if isinstance(tool, FunctionTool)] == [mark, mark]
    assert read.cache == CacheMark("5m")
    assert read.unsaid == ()


@pytest.mark.parametrize(
    ("breakpoint_", "mark", "lost"),
    [
        ({"mode": "explicit"}, CacheMark(), ()),
        ({"mode": "explicit", "ttl": "30m"}, CacheMark("1h"), ()),
        ({"mode": "explicit", "ttl": "12h"}, CacheMark("1h"), ("prompt_cache_breakpoint.ttl",)),
        ({"mode": "explicit", "ttl": "24h"}, CacheMark("1h"), ("prompt_cache_breakpoint.ttl",)),
        ({"mode": "explicit", "odd": 1}, CacheMark(), ("prompt_cache_breakpoint.odd",)),
    ],
)
def test_openais_breakpoints_are_marks_and_longer_ones_are_named(breakpoint_, mark, lost):
    text = {"type": "text", "text": "a", "prompt_cache_breakpoint": breakpoint_}
    read = call({"role": "user", "content": [text]})
    assert read.messages[0].parts == (Text("a", cache=mark),)
    assert read.unsaid == lost


# --- refusals ----------------------------------------------------------------------------------

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (7, "messages[1]"),
        ({}, "messages[1].role"),
        ({"role": "robot", "content": ""}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": 7}, "messages[1].content"),
        ({"role": "user", "content": ["x"]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"text": "x"}]}, "messages[1].content[0].type"),
        (
            {"role": "user", "content": [{"type": "video_url"}]},
            "messages[1].content[0].type",
        ),
        (
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            "messages[1].content[0].type",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0].text"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]},
            "messages[1].content[0].image_url.url",
        ),
        (
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "data:image/png,x"}}],
            },
            "messages[1].content[0].image_url.url",
        ),
        (
            {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:x,y"}}]},
            "messages[1].content[0].file.file_data",
        ),
        (
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]},
            "messages[1].content[0].input_audio.format",
        ),
        ({"role": "user", "content": "x", "name": 7}, "messages[1].name"),
        (
            {"role": "user", "content": "x", "cache_control": {"type": "forever"}},
            "messages[1].cache_control.type",
        ),
        (
            {"role": "user", "content": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}},
            "messages[1].cache_control.ttl",
        ),
        ({"role": "tool", "content": "x"}, "messages[1].tool_call_id"),
        ({"role": "function", "content": "x", "name": "f"}, "messages[1].name"),
        ({"role": "assistant", "tool_calls": {}}, "messages[1].tool_calls"),
        (
            {"role": "assistant", "tool_calls": [CALL | {"id": None}]},
            "messages[1].tool_calls[0].id",
        ),
        (
            {"role": "assistant", "tool_calls": [CALL, CALL | {"type": "web"}]},
            "messages[1].tool_calls[1].type",
        ),
        (
            {"role": "assistant", "tool_calls": [CALL | {"function": {"arguments": ""}}]},
            "messages[1].tool_calls[0].function.name",
        ),
        ({"role": "assistant", "reasoning_details": "x"}, "messages[1].reasoning_details"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_malformed_message_is_refused_by_its_place(message, param):
    with pytest.raises(InvalidRequest) as caught:
        call(HELLO, message)
    assert (caught.value.status, caught.value.param) == (400, param)
