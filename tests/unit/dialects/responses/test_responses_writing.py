"""Values as requests of Responses: what is sent, and what is named because it can't be."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    CacheMark,
    ChatCall,
    CustomTool,
    FunctionTool,
    Message,
    OutputFormat,
    Reasoning,
    Text,
    Thinking,
    ToolChoice,
)
from torana.dialects.base import Traits, Written
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.writing import LOST
from torana.errors import InvalidRequest

HELLO = Message("user", (Text("hello"),))


def write(*messages: Message, traits: Traits | None = None, **fields: Any) -> Written:
    call = ChatCall(model=fields.pop("model", "m"), messages=messages or (HELLO,), **fields)
    return OPENAI_RESPONSES.write_call(call, traits or Traits())


def fields_of(written: Written) -> dict[str, Any]:
    return {name: json.loads(bytes(value)) for name, value in written.request.fields.items()}


# --- the request -------------------------------------------------------------------------------


def test_openai_keeps_nothing_of_a_translated_call():
    assert fields_of(write()) == {
        "model": "m",
        "input": [{"type": "message", "role": "user", "content": "hello"}],
        "store": False,
    }


def test_the_first_words_of_the_system_are_the_instructions():
    system = Message("system", (Text("Be brief."),))
    fields = fields_of(write(system, HELLO, system))
    assert fields["instructions"] == "Be brief."
    assert [item["role"] for item in fields["input"]] == ["user", "system"]
    fields = fields_of(write(Message("developer", (Text("Be brief."),)), HELLO))
    assert "instructions" not in fields
    assert fields["input"][0]["role"] == "developer"


def test_instructions_of_several_texts_stay_several_texts():
    fields = fields_of(write(Message("system", (Text("a"), Text("b"))), HELLO))
    assert fields["input"][0]["content"] == [
        {"type": "input_text", "text": "a"},
        {"type": "input_text", "text": "b"},
    ]


def test_a_stream_is_a_stream():
    written = write(stream=True)
    assert written.request.stream
    assert fields_of(written)["stream"] is True
    assert written.request.include_usage


def test_several_choices_make_no_sense():
    with pytest.raises(InvalidRequest) as caught:
        write(choices=2)
    assert caught.value.param == "n"


@pytest.mark.parametrize(
    ("limit", "sent", "lost"), [(15, 16, ("max_output_tokens",)), (16, 16, ()), (None, None, ())]
)
def test_a_limit_is_at_least_what_openai_takes(limit, sent, lost):
    written = write(max_output=limit)
    assert (fields_of(written).get("max_output_tokens"), written.lost) == (sent, lost)
    assert written.request.max_output == sent
    assert OPENAI_RESPONSES.read_costs(written.request).max_output == sent


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"stop": ("x",)}, "stop"),
        ({"top_k": 1}, "top_k"),
        ({"frequency_penalty": 0.0}, "frequency_penalty"),
        ({"presence_penalty": 1.0}, "presence_penalty"),
        ({"seed": 0}, "seed"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"top_logprobs": 0}, "top_logprobs"),
        ({"cache": CacheMark()}, "cache_control"),
        ({"service_tier": "batch"}, "service_tier"),
        ({"end_user": "x" * 129}, "safety_identifier"),
        ({"metadata": {"x" * 65: "y"}}, "metadata"),
        ({"metadata": {"x": "y" * 513}}, "metadata"),
        ({"tools": (FunctionTool("f", cache=CacheMark()),)}, "cache_control"),
    ],
)
def test_a_field_that_responses_do_not_have_is_named_and_not_sent(fields, name):
    written = write(**fields)
    assert written.lost == (name,)
    assert name in LOST
    assert name not in fields_of(written)


def test_sixteen_pairs_of_metadata_are_sent():
    written = write(metadata={f"k{n}": "v" for n in range(20)})
    assert len(fields_of(written)["metadata"]) == 16
    assert written.lost == ("metadata",)


@pytest.mark.parametrize(("tier", "sent"), [("standard_only", "default"), ("flex", "flex")])
def test_tiers_have_other_names(tier, sent):
    assert fields_of(write(service_tier=tier))["service_tier"] == sent


# --- reasoning ---------------------------------------------------------------------------------


BUDGET = ("thinking.budget_tokens",)


@pytest.mark.parametrize(
    ("reasoning", "sent", "lost"),
    [
        (Reasoning(effort="xhigh"), {"effort": "xhigh"}, ()),
        (Reasoning(mode="off"), {"effort": "none"}, ()),
        (Reasoning(mode="adaptive"), {"summary": "auto"}, ()),
        (Reasoning(mode="adaptive", visible=False), None, ()),
        (
            Reasoning(mode="adaptive", effort="high", visible=True),
            {"effort": "high", "summary": "auto"},
            (),
        ),
        (Reasoning(summary="detailed"), {"summary": "detailed"}, ()),
        (Reasoning(effort="low", visible=False, summary="auto"), {"effort": "low"}, ()),
        (Reasoning(mode="on", budget=4_096), {"effort": "low", "summary": "auto"}, BUDGET),
        (Reasoning(mode="on", budget=4_097), {"effort": "medium", "summary": "auto"}, BUDGET),
        (Reasoning(mode="on", budget=16_385, visible=False), {"effort": "high"}, BUDGET),
        (
            Reasoning(mode="on", budget=1_024, effort="max"),
            {"effort": "max", "summary": "auto"},
            BUDGET,
        ),
    ],
)
def test_how_much_to_think_is_said_as_an_effort(reasoning, sent, lost):
    written = write(reasoning=reasoning)
    assert (fields_of(written).get("reasoning"), written.lost) == (sent, lost)


@pytest.mark.parametrize(
    ("reasons", "asked", "included"),
    [
        (True, None, True),
        (False, None, False),
        (False, Reasoning(effort="low"), True),
        (False, Reasoning(effort="none"), False),
        (False, Reasoning(mode="off"), False),
    ],
)
def test_encrypted_reasoning_is_asked_of_models_that_think_because_others_refuse(
    reasons, asked, included
):
    wanted = ["reasoning.encrypted_content"] if included else None
    written = write(traits=Traits(reasons=reasons), reasoning=asked)
    assert fields_of(written).get("include") == wanted


def test_encrypted_reasoning_is_asked_for_where_there_was_some():
    thought = Message("assistant", (Thinking("Hm.", "gA", "openai", "rs_1"), Text("Yes.")))
    assert "include" in fields_of(write(HELLO, thought, HELLO))


# --- tools and formats -------------------------------------------------------------------------


def test_a_function_says_that_it_is_not_strict_because_openai_takes_it_for_strict():
    tools = (FunctionTool("f", "d", {"type": "object"}), FunctionTool("g", strict=True))
    assert fields_of(write(tools=tools))["tools"] == [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object"},
            "strict": False,
            "description": "d",
        },
        {"type": "function", "name": "g", "parameters": None, "strict": True},
    ]


def test_a_custom_tool_is_sent_and_named_as_one():
    tools = (CustomTool("c", None, {"type": "grammar"}), FunctionTool("f"))
    fields = fields_of(write(tools=tools, tool_choice=ToolChoice("named", ("c",))))
    assert fields["tools"][0] == {"type": "custom", "name": "c", "format": {"type": "grammar"}}
    assert fields["tool_choice"] == {"type": "custom", "name": "c"}
    fields = fields_of(write(tools=tools, tool_choice=ToolChoice("required", ("c", "f"))))
    assert fields["tool_choice"] == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "custom", "name": "c"}, {"type": "function", "name": "f"}],
    }
    assert (
        fields_of(write(tools=tools, tool_choice=ToolChoice("none", ("c",))))["tool_choice"]
        == "none"
    )


def test_how_tools_are_chosen_is_not_said_where_there_are_none():
    fields = fields_of(write(tool_choice=ToolChoice("required"), parallel_tools=False))
    assert not fields.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_a_schema_gets_the_name_that_openai_wants():
    text = fields_of(write(format=OutputFormat(schema={"x": 1}), verbosity="low"))["text"]
    assert text == {
        "format": {"type": "json_schema", "name": "answer", "schema": {"x": 1}},
        "verbosity": "low",
    }


def test_a_model_that_cannot_be_held_to_a_schema_is_told_it():
    plain = Traits(structured_output=False)
    form = OutputFormat(schema={"x": 1}, strict=True)
    written = write(Message("system", (Text("Be brief."),)), HELLO, traits=plain, format=form)
    fields = fields_of(written)
    assert written.instructed
    assert "text" not in fields
    assert fields["instructions"].startswith("Be brief.\n\n")
    assert fields["instructions"].endswith('{"x":1}')
    assert not write(traits=plain, format=OutputFormat()).instructed
    assert '{"x":1}' in fields_of(write(traits=plain, format=form))["instructions"]
