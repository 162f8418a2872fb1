"""A caller's request as a value: every field, and the names of what has no place in one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
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
    OutputFormat,
    PlainText,
    Reasoning,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.signatures import pack
from torana.errors import InvalidRequest

HELLO = [{"role": "user", "content": "hello"}]
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def read(messages: Any = None, **fields: Any) -> ChatCall:
    body = {"model": "m", "max_tokens": 5, "messages": messages or HELLO, **fields}
    return ANTHROPIC.read_call(ANTHROPIC.decode_request(json.dumps(body).encode()))


def user(*blocks: Any) -> ChatCall:
    return read([{"role": "user", "content": list(blocks)}])


def parts(*blocks: Any, role: str = "user") -> tuple[Any, ...]:
    call = read([{"role": role, "content": list(blocks)}])
    assert call.unsaid == ()
    return call.messages[0].parts


def test_a_plain_call():
    assert read() == ChatCall(
        model="m", messages=(Message("user", (Text("hello"),)),), max_output=5, include_usage=True
    )


def test_every_field_has_its_place():
    call = read(
        system="be brief",
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
        service_tier="standard_only",
        cache_control=HOUR,
        stream=True,
        thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        output_config={
            "effort": "high",
            "format": {"type": "json_schema", "schema": {"type": "object"}},
        },
        tools=[
            {
                "name": "add",
                "description": "adds",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": MARK,
            }
        ],
        tool_choice={"type": "tool", "name": "add", "disable_parallel_tool_use": True},
        speed="standard",
        inference_geo=None,
    )
    assert call == ChatCall(
        model="m",
        messages=(Message("system", (Text("be brief"),)), Message("user", (Text("hello"),))),
        tools=(FunctionTool("add", "adds", {"type": "object"}, True, CacheMark()),),
        tool_choice=ToolChoice("named", ("add",)),
        parallel_tools=False,
        max_output=5,
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        stop=("END",),
        format=OutputFormat(schema={"type": "object"}),
        reasoning=Reasoning(mode="on", effort="high", budget=2000, visible=False),
        end_user="u",
        service_tier="standard_only",
        cache=CacheMark("1h"),
        stream=True,
        include_usage=True,
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "adaptive"}, Reasoning(mode="adaptive")),
        (
            {"type": "adaptive", "display": "summarized"},
            Reasoning(mode="adaptive", visible=True),
        ),
        ({"type": "disabled"}, Reasoning(mode="off")),
        (None, None),
    ],
)
def test_thinking_has_its_modes(given, expected):
    assert read(thinking=given).reasoning == expected
    effort = read(thinking=given, output_config={"effort": "low"}).reasoning
    assert effort is not None
    assert effort.effort == "low"


@pytest.mark.parametrize(
    ("given", "mode"), [("auto", "auto"), ("any", "required"), ("none", "none")]
)
def test_a_choice_of_tools_has_its_modes(given, mode):
    call = read(tool_choice={"type": given})
    assert (call.tool_choice, call.parallel_tools) == (ToolChoice(mode), None)


# --- messages ----------------------------------------------------------------------------------


def test_system_blocks_and_system_messages_are_instructions_where_they_stand():
    call = read(
        [*HELLO, {"role": "system", "content": "now in French"}],
        system=[{"type": "text", "text": "a", "cache_control": HOUR}, {"type": "text", "text": ""}],
    )
    assert call.messages == (
        Message("system", (Text("a", cache=CacheMark("1h")),)),
        Message("user", (Text("hello"),)),
        Message("system", (Text("now in French"),)),
    )


def test_pictures_and_documents_have_their_sources():
    assert parts(
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
            "cache_control": MARK,
        },
        {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
        {"type": "image", "source": {"type": "file", "file_id": "f_1"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            "title": "T",
            "context": "C",
            "citations": {"enabled": True},
            "cache_control": HOUR,
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
        {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}},
    ) == (
        Image(Inline("image/png", "AA=="), cache=CacheMark()),
        Image(Url("https://e.com/a.png")),
        Image(FileRef("f_1", "anthropic")),
        Document(Inline("application/pdf", "AA=="), "T", "C", cited=True, cache=CacheMark("1h")),
        Document(PlainText("x")),
        Document(Url("https://e.com/a.pdf")),
    )


def test_an_answer_that_is_sent_back_keeps_thinking_calls_and_citations():
    place = {
        "type": "char_location",
        "cited_text": "x",
        "document_index": 0,
        "start_char_index": 0,
        "end_char_index": 1,
    }
    page = {
        "type": "web_search_result_location",
        "cited_text": "y",
        "encrypted_index": "tok",
        "title": None,
        "url": "https://e.com",
    }
    assert parts(
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "thinking", "thinking": "", "signature": pack("openai", "rs_1", "enc")},
        {"type": "thinking", "thinking": "aloud", "signature": ""},
        {"type": "redacted_thinking", "data": "own"},
        {"type": "redacted_thinking", "data": pack("openai", None, "theirs")},
        {"type": "text", "text": "said", "citations": [place, page]},
        {
            "type": "tool_use",
            "id": "t_1",
            "name": "add",
            "input": {},
            "caller": {"type": "direct"},
            "cache_control": MARK,
            "toolset_name": None,
        },
        role="assistant",
    ) == (
        Thinking("hm", "sig", "anthropic"),
        Thinking("", "enc", "openai", "rs_1"),
        Thinking("aloud"),
        HiddenThinking("own", "anthropic"),
        HiddenThinking("theirs", "openai"),
        Text(
            "said",
            (
                DocumentCitation("char_location", place),
                UrlCitation("https://e.com", cited_text="y", token="tok"),
            ),
        ),
        ToolCall("t_1", "add", "{}", cache=CacheMark()),
    )


def test_the_input_of_a_tool_keeps_every_digit():
    body = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":'
        b'"tool_use","id":"t","name":"f","input":{"n":123456789012345678901234567890, "x":1.10}'
        b'}]},{"role":"user","content":"go on"}]}'
    )
    call = ANTHROPIC.read_call(ANTHROPIC.decode_request(body))
    (part,) = call.messages[0].parts
    assert isinstance(part, ToolCall)
    assert part.arguments == '{"n":123456789012345678901234567890, "x":1.10}'


def test_results_of_tools_come_first_and_in_the_order_of_their_calls():
    calls = [{"type": "tool_use", "id": f"t{n}", "name": "f", "input": {}} for n in range(3)]
    image = {"type": "image", "source": {"type": "url", "url": "https://e.com"}}
    call = read(
        [
            {"role": "assistant", "content": calls},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "and?"},
                    {"type": "tool_result", "tool_use_id": "t2", "content": "two"},
                    {"type": "tool_result", "tool_use_id": "t0", "is_error": True},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "one"}, image],
                        "cache_control": MARK,
                    },
                ],
            },
        ]
    )
    assert call.messages[1].parts == (
        ToolResult("t0", is_error=True),
        ToolResult("t1", (Text("one"), Image(Url("https://e.com"))), cache=CacheMark()),
        ToolResult("t2", (Text("two"),)),
        Text("and?"),
    )


def test_an_empty_last_answer_is_one_that_has_not_begun():
    for answer in ({"role": "assistant", "content": ""}, {"role": "assistant", "content": []}):
        assert len(read([*HELLO, answer]).messages) == 1


# --- what has no place -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"container": "c"}, ("container",)),
        ({"mcp_servers": []}, ("mcp_servers",)),
        ({"speed": "fast"}, ("speed",)),
        ({"inference_geo": "us"}, ("inference_geo",)),
        ({"thinking": {"type": "between_tools"}}, ("thinking.type=between_tools",)),
        ({"thinking": {"type": "adaptive", "odd": 1}}, ("thinking.odd",)),
        ({"output_config": {"task_budget": 1}}, ("output_config.task_budget",)),
        ({"output_config": {"format": {"type": "xml"}}}, ("output_config.format",)),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}, "odd": 1}}},
            ("output_config.format.odd",),
        ),
        ({"thinking": {"type": "adaptive", "display": "sung"}}, ("thinking.display",)),
        ({"tool_choice": {"type": "auto", "odd": 1}}, ("tool_choice.odd",)),
        ({"cache_control": {**MARK, "odd": 1, "null": None}}, ("cache_control.odd",)),
        (
            {"tools": [{"name": "b", "input_schema": {}, "cache_control": {**MARK, "odd": 1}}]},
            ("tools[].cache_control.odd",),
        ),
        (
            {"system": [{"type": "text", "text": "a", "cache_control": {**MARK, "odd": 1}}]},
            ("system[].cache_control.odd",),
        ),
        ({"metadata": {"user_id": None, "team": "x"}}, ("metadata.team",)),
        ({"tools": [{"type": "bash_20250124", "name": "b"}]}, ("tools[].type=bash_20250124",)),
        (
            {"tools": [{"name": "b", "input_schema": {}, "input_examples": [{}]}]},
            ("tools[].input_examples",),
        ),
        (
            {
                "tools": [
                    {
                        "name": "b",
                        "input_schema": {},
                        "defer_loading": False,
                        "allowed_callers": ["direct"],
                        "eager_input_streaming": None,
                    }
                ]
            },
            (),
        ),
    ],
)
def test_a_field_that_has_no_place_is_named(fields, names):
    assert read(**fields).unsaid == names


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ({"type": "server_tool_use", "id": "s"}, "messages[].content[].type=server_tool_use"),
        ({"type": "new,\nthing"}, "messages[].content[].type=new__thing"),
        ({"type": "text", "text": "kept", "odd": 1}, "messages[].content[].odd"),
        (
            {"type": "text", "text": "kept", "cache_control": {**MARK, "odd": 1}},
            "messages[].content[].cache_control.odd",
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://e.com", "odd": 1}},
            "messages[].content[].source.odd",
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "kept"},
                "citations": {"enabled": True, "odd": 1},
            },
            "messages[].content[].citations.odd",
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [{"type": "text", "text": "kept", "cache_control": {**MARK, "odd": 1}}],
            },
            "messages[].content[].content[].cache_control.odd",
        ),
        (
            {
                "type": "tool_use",
                "id": "t",
                "name": "f",
                "input": {"odd": 1},
                "caller": {"type": "direct", "odd": 1},
            },
            "messages[].content[].caller.odd",
        ),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {}, "toolset_name": "browser"},
            "messages[].content[].toolset_name",
        ),
        (
            {
                "type": "search_result",
                "source": "s",
                "title": "t",
                "content": [{"type": "text", "text": "kept"}],
            },
            "messages[].content[].type=search_result",
        ),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "kept"}]},
            },
            "messages[].content[].source.type=content",
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [
                    {"type": "text", "text": "kept"},
                    {"type": "tool_reference", "tool_name": "f"},
                ],
            },
            "messages[].content[].content[].type=tool_reference",
        ),
    ],
)
def test_a_block_that_has_no_place_is_named_and_the_rest_is_read(block, name):
    call = user({"type": "text", "text": "before"}, block)
    assert call.unsaid == (name,)
    assert Text("before") in call.messages[0].parts
    if "kept" in json.dumps(block):
        assert "kept" in str(call.messages)


def test_a_message_of_nothing_but_unknown_blocks_is_left_out():
    call = read([*HELLO, {"role": "assistant", "content": [{"type": "server_tool_use"}]}])
    assert len(call.messages) == 1


# --- what is malformed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "x"}, "messages[1].role"),
        ({"content": "x"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": 7}, "messages[1].content"),
        ({"role": "user", "content": ""}, "messages[1].content"),
        ({"role": "user", "content": []}, "messages[1].content"),
        ({"role": "user", "content": [{"text": "x"}]}, "messages[1].content[0].type"),
        ({"role": "user", "content": ["x"]}, "messages[1].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0]"),
        (
            {"role": "user", "content": [{"type": "text", "text": 7}]},
            "messages[1].content[0].text",
        ),
        (
            {"role": "user", "content": [{"type": "image", "source": {"type": "disk"}}]},
            "messages[1].content[0].source.type",
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": []}],
            },
            "messages[1].content[0].input",
        ),
        (
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]}
                ],
            },
            "messages[1].content[0].content[0]",
        ),
        (
            {
                "role": "user",
                "content": [
                    {
                        "type": "text",
                        "text": "x",
                        "cache_control": {"type": "ephemeral", "ttl": "1d"},
                    }
                ],
            },
            "messages[1].content[0].cache_control.ttl",
        ),
        (
            {"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
            "messages[1].content[0].type",
        ),
        (
            {"role": "assistant", "content": [{"type": "tool_result", "tool_use_id": "t"}], "x": 1},
            "messages[1].content[0].type",
        ),
        (
            {"role": "system", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
            "messages[1].content[0].type",
        ),
    ],
)
def test_the_error_says_where(message, param):
    with pytest.raises(InvalidRequest) as caught:
        read([*HELLO, message])
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"system": 7}, "system"),
        ({"system": [{"type": "image", "source": {"type": "url", "url": "x"}}]}, "system"),
        ({"tools": [{"name": "f"}]}, "tools[0]"),
        ({"tools": [{"name": 7, "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"type": 7}]}, "tools[0].type"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "all"}}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"thinking": 7}, "thinking"),
        ({"metadata": 7}, "metadata"),
        ({"cache_control": {"type": "x"}}, "cache_control"),
    ],
)
def test_a_malformed_field_is_named(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param


def test_what_is_unknown_in_a_text_of_a_search_result_is_named():
    text = {"type": "text", "text": "kept", "odd": 1}
    call = user({"type": "search_result", "source": "s", "title": "t", "content": [text]})
    assert call.unsaid == (
        "messages[].content[].content[].odd",
        "messages[].content[].type=search_result",
    )


def test_no_messages_are_refused():
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.read_call(ANTHROPIC.decode_request(b'{"model":"m","max_tokens":1,"messages":[]}'))
    assert caught.value.param == "messages"


@pytest.mark.parametrize("depth", [2, 300, 2_000])
def test_deep_nesting_is_refused_not_followed(depth):
    inner = '{"type":"text","text":"x"}'
    for _ in range(depth):
        inner = f'{{"type":"tool_result","tool_use_id":"t","content":[{inner}]}}'
    body = f'{{"model":"m","max_tokens":1,"messages":[{{"role":"user","content":[{inner}]}}]}}'
    with pytest.raises(InvalidRequest):
        ANTHROPIC.read_call(ANTHROPIC.decode_request(body.encode()))
