"""A canonical call as a chat request for a provider, and what of it is reported as lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    Audio,
    ChatCall,
    CustomTool,
    Document,
    FunctionTool,
    Image,
    Inline,
    Message,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from torana.dialects.base import Traits, Written
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import InvalidRequest

USER = Message("user", (Text("hello"),))
PNG = Inline("image/png", "QUJD")


def write(*messages: Message, **fields: Any) -> Written:
    call = ChatCall(model="m", messages=messages or (USER,), **fields)
    return OPENAI_CHAT.write_call(call, Traits())


def sent(written: Written, **options: Any) -> dict[str, Any]:
    body = OPENAI_CHAT.encode_upstream(written.request, model="theirs", **options)
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_plainest_call_is_a_model_and_a_message():
    assert sent(write()) == {"model": "theirs", "messages": [{"role": "user", "content": "hello"}]}


# --- the limit on output -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_output_field": "max_completion_tokens"}, {"max_completion_tokens": 9}),
        ({}, {"max_tokens": 9}),
        (
            {"max_output": 5, "max_output_field": "max_completion_tokens"},
            {"max_completion_tokens": 5},
        ),
    ],
)
def test_the_limit_goes_by_the_name_that_the_provider_knows(options, expected):
    written = write(max_output=9)
    assert written.request.max_output == 9
    assert OPENAI_CHAT.read_costs(written.request).max_output == 9
    body = sent(written, **options)
    assert {name: value for name, value in body.items() if name.startswith("max_")} == expected


def test_a_stream_asks_for_its_usage():
    written = write(stream=True)
    assert (written.request.stream, written.request.include_usage) == (True, True)
    body = sent(written)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    assert "stream_options" not in sent(write())


def test_what_was_written_is_priced_and_nothing_of_it_is_unknown():
    tool = FunctionTool("f", schema={"type": "object"}, strict=True)
    written = write(
        Message("user", (Text("see"), Image(PNG), Document(PNG, "a"), Audio("QUJD", "wav"))),
        Message("assistant", (Text("x"), Refusal("y"), ToolCall("a", "f", "{}"))),
        Message("user", (ToolResult("a", (Text("z"),)),)),
        tools=(tool, CustomTool("c")),
        reasoning=Reasoning(effort="low"),
        format=OutputFormat(),
    )
    costs = OPENAI_CHAT.read_costs(written.request)
    assert (costs.unruled, costs.images, costs.files, costs.audio_in) == ((), 1, 1, True)


# --- fields ------------------------------------------------------------------------------------


def test_every_field_that_openai_has_is_written():
    body = sent(
        write(
            temperature=0.5,
            top_p=0.1,
            frequency_penalty=1.0,
            presence_penalty=-1.0,
            seed=3,
            stop=("x",),
            top_logprobs=2,
            logit_bias={"5": -100.0},
            end_user="u",
            metadata={"a": "b"},
            service_tier="standard_only",
            cache_key="k",
            verbosity="low",
        )
    )
    assert {name: body[name] for name in body.keys() - {"model", "messages"}} == {
        "temperature": 0.5,
        "top_p": 0.1,
        "frequency_penalty": 1.0,
        "presence_penalty": -1.0,
        "seed": 3,
        "stop": ["x"],
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"5": -100.0},
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "default",
        "prompt_cache_key": "k",
        "verbosity": "low",
    }


def test_of_more_than_four_stop_texts_the_first_four_are_sent():
    written = write(stop=("a", "b", "c", "d", "e"))
    assert sent(written)["stop"] == ["a", "b", "c", "d"]
    assert written.lost == ("stop",)


@pytest.mark.parametrize(
    ("fields", "name"), [({"top_k": 3}, "top_k"), ({"service_tier": "batch"}, "service_tier")]
)
def test_what_no_field_says_is_named(fields, name):
    written = write(**fields)
    assert written.lost == (name,)
    assert name not in sent(written)


BUDGET = ("thinking.budget_tokens",)


@pytest.mark.parametrize(
    ("reasoning", "effort", "lost"),
    [
        (Reasoning(effort="max"), "max", ()),
        (Reasoning(mode="off"), "none", ()),
        (Reasoning(mode="off", effort="high"), "none", ()),
        (Reasoning(mode="on", budget=1024), "low", BUDGET),
        (Reasoning(mode="on", budget=4096), "low", BUDGET),
        (Reasoning(mode="on", budget=4097), "medium", BUDGET),
        (Reasoning(mode="on", budget=16384), "medium", BUDGET),
        (Reasoning(mode="on", budget=16385), "high", BUDGET),
        (Reasoning(mode="on", budget=1024, effort="high"), "high", BUDGET),
        (Reasoning(mode="adaptive"), None, ()),
        (Reasoning(mode="adaptive", visible=False), None, ()),
        (Reasoning(mode="adaptive", visible=True), None, ("reasoning.summary",)),
        (Reasoning(effort="low", summary="auto"), "low", ("reasoning.summary",)),
    ],
)
def test_how_much_to_think_is_an_effort(reasoning, effort, lost):
    written = write(reasoning=reasoning)
    assert (sent(written).get("reasoning_effort"), written.lost) == (effort, lost)


SCHEMA = {"type": "object", "maximum": 10**30}


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (OutputFormat(), {"type": "json_object"}),
        (
            OutputFormat(schema=SCHEMA),
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
        ),
        (
            OutputFormat(schema=SCHEMA, name="n", description="d", strict=False),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": False},
            },
        ),
    ],
)
def test_the_form_of_the_answer_is_written(form, written):
    assert sent(write(format=form))["response_format"] == written


UNHELD = Traits(structured_output=False)


def test_a_model_that_can_not_be_held_to_a_schema_is_told_it_in_its_first_instruction():
    form = OutputFormat(schema={"type": "object", "title": "é"}, description="A thing.")
    for messages, count in (((USER,), 2), ((Message("system", (Text("Be brief."),)), USER), 2)):
        call = ChatCall(model="m", messages=messages, format=form)
        written = OPENAI_CHAT.write_call(call, UNHELD)
        assert (written.instructed, written.lost) == (True, ())
        body = sent(written)
        assert "response_format" not in body
        assert len(body["messages"]) == count
        told = body["messages"][0]
        assert told["role"] == "system"
        assert told["content"].endswith('A thing.\n\n{"type":"object","title":"é"}')
    assert told["content"].startswith("Be brief.\n\n")


def test_without_a_schema_nothing_is_told_in_words():
    for form in (None, OutputFormat()):
        call = ChatCall(model="m", messages=(USER,), format=form)
        written = OPENAI_CHAT.write_call(call, UNHELD)
        assert not written.instructed
        assert len(sent(written)["messages"]) == 1
    assert not write(format=OutputFormat(schema={})).instructed


TOOLS = (FunctionTool("f", "d", {"type": "object"}, strict=True), CustomTool("c", "free"))


def test_tools_are_written():
    grammar = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    body = sent(write(tools=(*TOOLS, CustomTool("g", format=grammar), FunctionTool("bare"))))
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {"type": "custom", "custom": {"name": "c", "description": "free"}},
        {
            "type": "custom",
            "custom": {
                "name": "g",
                "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
            },
        },
        {"type": "function", "function": {"name": "bare"}},
    ]


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("none"), "none"),
        (ToolChoice("auto"), "auto"),
        (ToolChoice("required"), "required"),
        (ToolChoice("named", ("f",)), {"type": "function", "function": {"name": "f"}}),
        (ToolChoice("named", ("c",)), {"type": "custom", "custom": {"name": "c"}}),
        (
            ToolChoice("required", ("f", "c")),
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "c"}},
                    ],
                },
            },
        ),
    ],
)
def test_the_choice_among_tools_is_written(choice, written):
    assert sent(write(tools=TOOLS, tool_choice=choice))["tool_choice"] == written


def test_parallel_calls_are_not_spoken_of_without_tools():
    assert "parallel_tool_calls" not in sent(write(parallel_tools=False))
    assert sent(write(parallel_tools=False, tools=TOOLS))["parallel_tool_calls"] is False


def test_several_choices_are_refused():
    with pytest.raises(InvalidRequest) as caught:
        write(choices=2)
    assert caught.value.param == "n"


def test_a_value_that_no_json_can_hold_is_refused_and_never_a_crash():
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(InvalidRequest):
        write(tools=(FunctionTool("f", schema=deep),))
    with pytest.raises(InvalidRequest):
        write(Message("user", (Text("\ud800"),)))
