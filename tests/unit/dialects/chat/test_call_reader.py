"""Fields of a caller's chat request as a canonical call: what is read, refused, or named as unsaid."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

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
from torana.dialects.openai_chat import OPENAI_CHAT, call_reader
from torana.errors import InvalidRequest

HELLO = {"role": "user", "content": "hello"}


def call(*messages: Any, **fields: Any) -> ChatCall:
    body = {"model": "m", "messages": list(messages) or [HELLO], **fields}
    return OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(json.dumps(body).encode()))


# --- fields ------------------------------------------------------------------------------------


def test_every_field_that_has_a_canonical_place_is_read():
    read = call(
        max_completion_tokens=9,
        temperature=1,
        top_p=0.5,
        top_k=3,
        frequency_penalty=-1,
        presence_penalty=0.5,
        seed=7,
        stop=["a", "b"],
        logprobs=True,
        top_logprobs=2,
        logit_bias={"50": -100},
        user="u",
        safety_identifier="s",
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
        verbosity="low",
        parallel_tool_calls=False,
        reasoning_effort="high",
        stream=True,
        stream_options={"include_usage": True},
        n=2,
    )
    assert read == ChatCall(
        model="m",
        messages=(Message("user", (Text("hello"),)),),
        max_output=9,
        choices=2,
        temperature=1.0,
        top_p=0.5,
        top_k=3,
        frequency_penalty=-1.0,
        presence_penalty=0.5,
        seed=7,
        stop=("a", "b"),
        top_logprobs=2,
        logit_bias={"50": -100.0},
        end_user="s",
        metadata={"a": "b"},
        service_tier="flex",
        cache_key="k",
        verbosity="low",
        parallel_tools=False,
        reasoning=Reasoning(effort="high"),
        stream=True,
        include_usage=True,
    )


def test_one_stop_text_is_a_list_of_one_and_plain_logprobs_ask_for_none_beside_them():
    read = call(stop="x", logprobs=True)
    assert (read.stop, read.top_logprobs) == (("x",), 0)
    assert (call(stop=None).stop, call(stop=[]).stop) == ((), ())


def test_what_no_value_holds_is_named_unless_it_is_null_or_says_what_would_be_so_anyway():
    read = call(
        HELLO | {"images": [1], "odd": None},
        {"role": "user", "content": [{"type": "text", "text": "a", "b": 1}]},
        audio={"voice": "alloy", "format": "mp3"},
        modalities=["text", "audio"],
        prediction={"type": "content", "content": "x"},
        web_search_options={},
        store=True,
        moderation={"model": "m"},
        prompt_cache_retention="24h",
        min_p=0.1,
        unheard_of=1,
    )
    assert set(read.unsaid) == {
        "audio",
        "modalities",
        "prediction",
        "web_search_options",
        "store",
        "moderation",
        "prompt_cache_retention",
        "min_p",
        "unheard_of",
        "messages[].images",
        "messages[].content[].b",
    }
    silent = call(store=False, modalities=["text"], audio=None, logprobs=False, n=1)
    assert silent.unsaid == ()


def test_a_name_that_goes_into_a_header_holds_no_control_characters_and_no_comma():
    assert call(**{"a\r\nset-cookie: x, é": 1}).unsaid == ("a__set-cookie:_x___",)


def test_a_long_list_of_names_is_cut_and_says_so():
    names = call(**{f"field_{number}": 1 for number in range(100)}).unsaid
    assert (len(names), names[-1]) == (33, "...")


def test_every_field_of_the_sdk_is_read_or_named():
    from openai.types.chat import completion_create_params as params

    fields = set(get_type_hints(params.CompletionCreateParamsBase))
    unread = {"audio", "modalities", "moderation", "prediction", "prompt_cache_options"}
    unread |= {"prompt_cache_retention", "store", "web_search_options"}
    assert fields - call_reader._READ == unread


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": "none"}, Reasoning(effort="none")),
        ({"reasoning": {"effort": "low"}}, Reasoning(effort="low")),
        ({"reasoning": {"max_tokens": 2000}}, Reasoning(mode="on", budget=2000)),
        ({"reasoning": {"enabled": True}}, Reasoning(mode="adaptive")),
        ({"reasoning": {"enabled": False}}, Reasoning(mode="off")),
        ({"reasoning": {"effort": "low", "exclude": True}}, Reasoning(effort="low", visible=False)),
        ({"reasoning": {"summary": "auto"}}, Reasoning(summary="auto")),
        (
            {"reasoning": {"effort": "low"}, "reasoning_effort": "high"},
            Reasoning(effort="high"),
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            Reasoning(mode="on", budget=1024),
        ),
        ({"thinking": {"type": "disabled"}}, Reasoning(mode="off")),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "reasoning_effort": "max"},
            Reasoning(mode="adaptive", effort="max", visible=False),
        ),
    ],
)
def test_how_much_to_think_is_read_in_three_languages(fields, reasoning):
    read = call(**fields)
    assert (read.reasoning, read.unsaid) == (reasoning, ())


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, OutputFormat()),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            OutputFormat(schema=SCHEMA, name="n", strict=True),
        ),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, OutputFormat(schema={}, name="n")),
    ],
)
def test_the_form_of_the_answer_is_read(form, expected):
    assert call(response_format=form).format == expected


def test_tools_are_read():
    grammar = {"syntax": "lark", "definition": "start: x"}
    read = call(
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
            },
            {
                "type": "custom",
                "custom": {"name": "c", "format": {"type": "grammar", "grammar": grammar}},
            },
            {"type": "custom", "custom": {"name": "t", "format": {"type": "text"}}},
        ]
    )
    assert read.tools == (
        FunctionTool("f", "d", SCHEMA, strict=True),
        CustomTool("c", format={"type": "grammar", **grammar}),
        CustomTool("t", format={"type": "text"}),
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", ("f",))),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice("named", ("c",))),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "c"}},
                        {"type": "function", "name": "flat"},
                    ],
                },
            },
            ToolChoice("required", ("f", "c", "flat")),
        ),
    ],
)
def test_the_choice_among_tools_is_read(choice, expected):
    assert call(tool_choice=choice).tool_choice == expected


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": None}, "messages"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"temperature": 10**400}, "temperature"),
        ({"seed": 1.5}, "seed"),
        ({"stop": [1]}, "stop[0]"),
        ({"logit_bias": {"1": 101}}, "logit_bias"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning": {"max_tokens": 0}}, "reasoning.max_tokens"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_malformed_field_is_refused_by_its_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        call(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


def test_deep_nesting_and_absurd_numbers_are_refused_or_carried_never_a_crash():
    deep = "[" * 600 + "]" * 600
    for body in (
        f'{{"model":"m","messages":[{{"role":"user","content":{deep}}}]}}',
        f'{{"model":"m","messages":[{{"role":"user","content":"x"}}],"temperature":{"9" * 400}}}',
    ):
        with pytest.raises(InvalidRequest):
            OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(body.encode()))
