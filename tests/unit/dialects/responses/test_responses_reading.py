"""Requests of Responses as values: their fields."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from torana.core.chat import (
    ChatCall,
    CustomTool,
    FunctionTool,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    ToolChoice,
)
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.reading import UNSAID
from torana.dialects.openai_responses.requests import decode_request
from torana.errors import InvalidRequest


def read(items: Any = "hello", **fields: Any) -> ChatCall:
    body = {"model": "m", "input": items, **fields}
    return OPENAI_RESPONSES.read_call(decode_request(json.dumps(body).encode()))


HELLO = Message("user", (Text("hello"),))


# --- fields ------------------------------------------------------------------------------------


def test_fields_are_read():
    call = read(
        stream=True,
        max_output_tokens=100,
        temperature=1,
        top_p=0.5,
        parallel_tool_calls=False,
        metadata={"a": "b"},
        safety_identifier="ann",
        user="bob",
        service_tier="flex",
        prompt_cache_key="k",
        text={"verbosity": "low"},
        reasoning={"effort": "low", "summary": "detailed"},
    )
    assert call == ChatCall(
        model="m",
        messages=(HELLO,),
        stream=True,
        include_usage=True,
        max_output=100,
        temperature=1.0,
        top_p=0.5,
        parallel_tools=False,
        metadata={"a": "b"},
        end_user="ann",
        service_tier="flex",
        cache_key="k",
        verbosity="low",
        reasoning=Reasoning(effort="low", visible=True, summary="detailed"),
    )


def test_the_older_names_are_read():
    assert read(user="bob").end_user == "bob"
    found = read(reasoning={"generate_summary": "concise"}).reasoning
    assert found == Reasoning(visible=True, summary="concise")


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ({"type": "text"}, None),
        (None, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {
                "type": "json_schema",
                "name": "a",
                "schema": {"x": 1},
                "strict": True,
                "description": "d",
            },
            OutputFormat(schema={"x": 1}, name="a", strict=True, description="d"),
        ),
    ],
)
def test_the_form_of_the_text_is_read(form, value):
    assert read(text={"format": form}).format == value


def test_tools_of_the_caller_are_read_and_others_named():
    tools = [
        {
            "type": "function",
            "name": "f",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": False,
        },
        {"type": "function", "name": "g", "parameters": None},
        {"type": "custom", "name": "c", "format": {"type": "text"}},
        {
            "type": "custom",
            "name": "e",
            "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
        },
        {"type": "web_search"},
        {"type": "mcp", "server_label": "x"},
    ]
    call = read(tools=tools)
    assert call.tools == (
        FunctionTool("f", "d", {"type": "object"}, strict=False),
        FunctionTool("g"),
        CustomTool("c"),
        CustomTool("e", None, {"type": "grammar", "syntax": "lark", "definition": "x"}),
    )
    assert call.unsaid == ("tools[].type=web_search", "tools[].type=mcp")


@pytest.mark.parametrize(
    ("choice", "value", "unsaid"),
    [
        ("auto", ToolChoice("auto"), ()),
        ("none", ToolChoice("none"), ()),
        ("required", ToolChoice("required"), ()),
        ({"type": "function", "name": "f"}, ToolChoice("named", ("f",)), ()),
        ({"type": "custom", "name": "f"}, ToolChoice("named", ("f",)), ()),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice("auto", ("f",)),
            (),
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "mcp"}, {"type": "custom", "name": "c"}],
            },
            ToolChoice("required", ("c",)),
            ("tool_choice.tools[].type",),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]},
            ToolChoice("none"),
            ("tool_choice.tools[].type",),
        ),
        ({"type": "web_search_preview"}, None, ("tool_choice.type=web_search_preview",)),
    ],
)
def test_the_choice_of_tools_is_read(choice, value, unsaid):
    call = read(tool_choice=choice)
    assert (call.tool_choice, call.unsaid) == (value, unsaid)


# --- what a call can't hold --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"truncation": "auto"}, ("truncation",)),
        ({"max_tool_calls": 3}, ("max_tool_calls",)),
        ({"moderation": {"model": "x"}}, ("moderation",)),
        ({"include": ["web_search_call.results"]}, ("include=web_search_call.results",)),
        (
            {"reasoning": {"mode": "pro", "context": "all_turns"}},
            ("reasoning.mode", "reasoning.context"),
        ),
        ({"text": {"format": {"type": "xml"}}}, ("text.format.type=xml",)),
        ({"text": {"voice": "x"}}, ("text.voice",)),
        (
            {"tools": [{"type": "function", "name": "f", "defer_loading": True}]},
            ("tools[].defer_loading",),
        ),
        ({"unheard_of": 1}, ("unheard_of",)),
        ({"prompt_cache_retention": "24h"}, ("prompt_cache_retention",)),
    ],
)
def test_what_a_call_cannot_hold_is_named(fields, names):
    assert set(read(**fields).unsaid) == set(names)
    for name in names:
        patterns = {name, re.sub("=.*", "=...", name), re.sub(r"\.[^.=]*$", "....", name)}
        assert patterns & UNSAID.keys() or name in fields


@pytest.mark.parametrize(
    "fields",
    [
        {"store": True, "include": ["reasoning.encrypted_content"]},
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        {"background": False, "truncation": "disabled", "max_tool_calls": None},
        {"reasoning": {"mode": "standard", "context": "auto", "effort": None}},
        {"reasoning": None, "text": None, "tools": None, "tool_choice": None, "metadata": None},
    ],
)
def test_what_torana_does_itself_and_what_is_so_anyway_is_no_loss(fields):
    assert read(**fields).unsaid == ()


def test_probabilities_are_asked_for_in_two_fields():
    assert read(top_logprobs=3).top_logprobs == 3
    found = read(include=["message.output_text.logprobs"])
    assert (found.top_logprobs, found.unsaid) == (0, ())
    assert read(top_logprobs=0).top_logprobs is None


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"temperature": "hot"}, "temperature"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": []}, "metadata"),
        ({"instructions": 7}, "instructions"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 7}}, "reasoning.effort"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}, "strict": 1}}},
            "text.format.strict",
        ),
        ({"text": {"verbosity": 7}}, "text.verbosity"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": 7}]}, "tools[0].parameters"),
        ({"tools": [{"type": "custom", "name": "f", "format": 7}]}, "tools[0].format"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "x", "tools": []}}, "tool_choice.mode"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
        ({"top_logprobs": "x"}, "top_logprobs"),
        ({"include": "x"}, "include"),
    ],
)
def test_a_malformed_field_is_refused_and_the_place_named(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert caught.value.param == param
