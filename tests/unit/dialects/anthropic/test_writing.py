"""A canonical call as a request to an Anthropic model: what it takes, and what is lost."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from torana.core.chat import (
    Audio,
    CacheMark,
    ChatCall,
    CustomTool,
    Document,
    FileRef,
    FunctionTool,
    HiddenThinking,
    Image,
    Inline,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.anthropic.losses import CALL_LOSSES
from torana.dialects.anthropic.turns import BEGINNING
from torana.dialects.anthropic.writing import DEFAULT_MAX_TOKENS
from torana.dialects.base import Traits
from torana.errors import InvalidRequest

HELLO = Message("user", (Text("hello"),))
ADD = FunctionTool("add", schema={"type": "object"})
CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
OLD = Traits(adaptive_thinking=False, structured_output=False)


def said(role: Role, *parts: Part | str, name: str | None = None) -> Message:
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return Message(role, made, name)


def call_of(*messages: Message, **fields: Any) -> ChatCall:
    return ChatCall(model="m", messages=messages or (HELLO,), **fields)


def body(call: ChatCall, traits: Traits | None = None) -> dict[str, Any]:
    written = ANTHROPIC.write_call(call, traits or Traits())
    assert written.lost == ()
    fields: dict[str, Any] = json.loads(ANTHROPIC.encode_upstream(written.request, model="m"))
    return fields


def lossy(call: ChatCall, traits: Traits | None = None) -> tuple[dict[str, Any], tuple[str, ...]]:
    written = ANTHROPIC.write_call(call, traits or Traits())
    assert set(written.lost) <= set(CALL_LOSSES)
    return json.loads(ANTHROPIC.encode_upstream(written.request, model="m")), written.lost


def test_a_plain_call():
    assert body(call_of(max_output=9, stream=True)) == {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
    }


# --- limits ------------------------------------------------------------------------------------


def test_a_limit_is_that_of_the_caller_or_of_the_model_or_the_default():
    assert body(call_of())["max_tokens"] == DEFAULT_MAX_TOKENS
    assert body(call_of(), Traits(max_output=64_000))["max_tokens"] == 64_000
    assert body(call_of(max_output=7), Traits(max_output=64_000))["max_tokens"] == 7
    assert body(call_of(max_output=64_000), Traits(max_output=64_000))["max_tokens"] == 64_000
    written = ANTHROPIC.write_call(call_of(), Traits()).request
    assert (written.max_output, written.choices) == (DEFAULT_MAX_TOKENS, 1)


def test_a_limit_above_what_the_model_can_write_is_lowered_and_named():
    fields, lost = lossy(call_of(max_output=99_000), Traits(max_output=64_000))
    assert (fields["max_tokens"], lost) == (64_000, ("max_tokens",))


def test_several_answers_are_refused():
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.write_call(call_of(choices=2), Traits())
    assert caught.value.param == "n"


# --- turns -------------------------------------------------------------------------------------


def test_instructions_at_the_beginning_are_the_system_prompt():
    made = body(call_of(said("system", "a"), said("developer", "b"), HELLO))
    assert made["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert body(call_of(said("developer", "b"), HELLO))["system"] == "b"
    marked = said("system", Text("a", cache=CacheMark("1h")))
    assert body(call_of(marked, HELLO))["system"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]


def test_nothing_but_instructions_are_answered_as_if_the_user_had_said_the_last():
    made, lost = lossy(call_of(said("system", "a"), said("system", "b")))
    assert made["system"] == "a"
    assert made["messages"] == [{"role": "user", "content": "<system>\nb\n</system>"}]
    assert lost == ("system",)


def test_turns_of_one_role_are_one_turn():
    made = body(call_of(HELLO, said("user", "more"), said("assistant", "a"), said("user", "b")))
    assert made["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "more"}],
        },
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "b"},
    ]


def test_a_conversation_that_begins_with_the_assistant_gets_a_beginning():
    made = body(call_of(said("assistant", "Hi, I am here."), HELLO))
    assert made["messages"][0] == {"role": "user", "content": BEGINNING}


def test_texts_of_nothing_and_turns_of_nothing_are_left_out():
    made = body(call_of(said("system", " "), HELLO, said("assistant", "\n"), said("user", "", "x")))
    assert "system" not in made
    assert made["messages"] == [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hello"}, {"type": "text", "text": "x"}],
        }
    ]


def test_a_last_answer_that_the_model_goes_on_from_does_not_end_with_blanks():
    made = body(call_of(HELLO, said("assistant", "Sure: \n")))
    assert made["messages"][-1] == {"role": "assistant", "content": "Sure:"}
    assert len(body(call_of(HELLO, said("assistant", " ")))["messages"]) == 1


def test_messages_that_say_nothing_are_refused():
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.write_call(call_of(said("user", Audio("AA==", "wav"))), Traits())
    assert caught.value.param == "messages"


def test_names_audio_and_foreign_files_are_lost_by_name():
    made, lost = lossy(
        call_of(
            said(
                "user",
                "x",
                Audio("AA==", "wav"),
                Image(FileRef("file-1", "openai")),
                Image(Url("https://e.com"), detail="high"),
                name="ann",
            ),
            said("assistant", "y", Image(Url("https://e.com"))),
            said("user", "z"),
        )
    )
    assert lost == ("messages[].name", "audio", "file_id", "image_detail", "image")
    assert [len(m["content"]) for m in made["messages"]] == [2, 1, 1]


def test_a_refusal_of_an_earlier_turn_is_a_text():
    made = body(call_of(HELLO, said("assistant", Refusal("I won't.")), HELLO))
    assert made["messages"][1]["content"] == "I won't."


def test_a_text_file_in_a_request_is_a_plain_document():
    data = base64.b64encode("naïve".encode()).decode()
    made = body(call_of(said("user", Document(Inline("text/markdown", data), title="a.md"))))
    (block,) = made["messages"][0]["content"]
    assert block["source"] == {"type": "text", "media_type": "text/plain", "data": "naïve"}
    assert block["title"] == "a.md"


def test_only_citations_with_anthropics_token_can_be_sent_back():
    citations = (
        UrlCitation("https://e.com/a", start=1, end=2),
        UrlCitation("https://e.com/b", token="t", cited_text="c"),
    )
    made, lost = lossy(call_of(HELLO, said("assistant", Text("x", citations)), HELLO))
    (block,) = made["messages"][1]["content"]
    assert [citation["url"] for citation in block["citations"]] == ["https://e.com/b"]
    assert lost == ("citations",)


# --- tools -------------------------------------------------------------------------------------


def test_ids_that_anthropic_does_not_take_are_replaced_on_both_sides_alike():
    made, lost = lossy(
        call_of(
            HELLO,
            said("assistant", ToolCall("call:1|fc 2", "add", "{}")),
            said("user", ToolResult("call:1|fc 2", (Text("3"),))),
            tools=(ADD,),
        )
    )
    (use,) = made["messages"][1]["content"]
    (result,) = made["messages"][2]["content"]
    assert use["id"] == result["tool_use_id"] != "call:1|fc 2"
    assert use["id"].replace("_", "").isalnum()
    assert lost == ("tool_call_id",)


def test_a_tool_whose_name_anthropic_does_not_take_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.write_call(call_of(tools=(ADD, FunctionTool("a.b"))), Traits())
    assert caught.value.param == "tools[1].name"


def test_tools_of_earlier_calls_are_declared_and_not_called():
    made = body(
        call_of(
            HELLO,
            said("assistant", ToolCall("a", "add", "{}"), ToolCall("b", "x.y", "{}")),
            said("user", ToolResult("a"), ToolResult("b")),
        )
    )
    names = [tool["name"] for tool in made["tools"]]
    assert names == [block["name"] for block in made["messages"][1]["content"]]
    assert names[0] == "add"
    assert made["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        ("  ", {}),
        ("{}", {}),
        ('{"a":1}', {"a": 1}),
        ("[1]", {"input": "[1]"}),
        ("{broken", {"input": "{broken"}),
        ('{"a":"\\ud83d"}', {"a": "\ufffd"}),
    ],
)
def test_arguments_are_an_object_whatever_they_were(arguments, expected):
    made = body(
        call_of(
            HELLO,
            said("assistant", ToolCall("a", "add", arguments)),
            said("user", ToolResult("a")),
            tools=(ADD,),
        )
    )
    assert made["messages"][1]["content"][0]["input"] == expected


def test_a_tool_without_a_schema_takes_any_object():
    made = body(call_of(tools=(FunctionTool("f"), FunctionTool("g", schema={"properties": {}}))))
    assert [tool["input_schema"] for tool in made["tools"]] == [
        {"type": "object"},
        {"type": "object", "properties": {}},
    ]


def test_a_tool_of_free_text_is_a_function_with_one_field():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    made, lost = lossy(
        call_of(
            HELLO,
            said("assistant", ToolCall("a", "run", "ls -l", custom=True)),
            said("user", ToolResult("a", (Text("x"),), custom=True)),
            tools=(CustomTool("run", "runs", grammar),),
        )
    )
    (tool,) = made["tools"]
    assert tool["input_schema"]["required"] == ["input"]
    assert "start: /x/" in tool["input_schema"]["properties"]["input"]["description"]
    assert made["messages"][1]["content"][0]["input"] == {"input": "ls -l"}
    assert lost == ("custom_tools",)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("required"), True, {"type": "any", "disable_parallel_tool_use": False}),
        (ToolChoice("named", ("add",)), None, {"type": "tool", "name": "add"}),
        (ToolChoice("required", ("add",)), None, {"type": "any"}),
    ],
)
def test_a_choice_of_tools(choice, parallel, expected):
    other = FunctionTool("sub")
    made = body(call_of(tools=(ADD, other), tool_choice=choice, parallel_tools=parallel))
    assert made.get("tool_choice") == expected
    among = choice is not None and choice.mode == "required" and choice.names
    assert [tool["name"] for tool in made["tools"]] == (["add"] if among else ["add", "sub"])


def test_a_choice_among_none_of_the_tools_is_refused():
    choice = ToolChoice("auto", ("gone",))
    with pytest.raises(InvalidRequest) as caught:
        ANTHROPIC.write_call(call_of(tools=(ADD,), tool_choice=choice), Traits())
    assert caught.value.param == "tool_choice"


def test_a_strict_tool_is_strict_where_the_model_can_be_held_to_it():
    strict = FunctionTool("f", schema=CLOSED, strict=True)
    assert body(call_of(tools=(strict,)))["tools"][0]["strict"] is True
    odd = FunctionTool("f", schema={**CLOSED, "minProperties": 1}, strict=True)
    for tool, traits in ((strict, OLD), (odd, Traits())):
        made, lost = lossy(call_of(tools=(tool,)), traits)
        assert "strict" not in made["tools"][0]
        assert made["tools"][0]["input_schema"] == tool.schema
        assert lost == ("strict",)


# --- thinking ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "thinking", "effort"),
    [
        (Reasoning(effort="none"), {"type": "disabled"}, None),
        (Reasoning(mode="off"), {"type": "disabled"}, None),
        (Reasoning(effort="minimal"), {"type": "adaptive"}, "low"),
        (Reasoning(effort="xhigh"), {"type": "adaptive"}, "xhigh"),
        (
            Reasoning(mode="adaptive", visible=False),
            {"type": "adaptive", "display": "omitted"},
            None,
        ),
        (
            Reasoning(effort="high", summary="auto"),
            {"type": "adaptive", "display": "summarized"},
            "high",
        ),
        (Reasoning(summary="auto"), None, None),
    ],
)
def test_newer_models_take_an_effort(asked, thinking, effort):
    made = body(call_of(reasoning=asked))
    assert made.get("thinking") == thinking
    assert made.get("output_config", {}).get("effort") == effort


@pytest.mark.parametrize(
    ("asked", "limit", "budget"),
    [
        (Reasoning(effort="minimal"), 4_000, 1_024),
        (Reasoning(effort="medium"), 32_000, 8_192),
        (Reasoning(effort="high"), 4_000, 3_999),
        (Reasoning(mode="on", budget=2_000), 32_000, 2_000),
        (Reasoning(mode="on", budget=500), 32_000, None),
        (Reasoning(effort="low"), 1_024, None),
    ],
)
def test_older_models_take_a_budget_that_fits_into_the_limit_of_the_caller(asked, limit, budget):
    made, lost = lossy(call_of(reasoning=asked, max_output=limit), OLD)
    assert made["max_tokens"] == limit
    assert "output_config" not in made
    if budget is None:
        assert (made["thinking"], lost) == ({"type": "disabled"}, ("thinking",))
    else:
        assert (made["thinking"], lost) == ({"type": "enabled", "budget_tokens": budget}, ())


def test_a_budget_for_a_newer_model_is_lost_by_name():
    _, lost = lossy(call_of(reasoning=Reasoning(mode="on", budget=2_000, summary="detailed")))
    assert lost == ("reasoning_summary", "budget_tokens")


def test_a_forced_tool_takes_precedence_over_thinking():
    call = call_of(
        tools=(ADD,), tool_choice=ToolChoice("required"), reasoning=Reasoning(effort="high")
    )
    made, lost = lossy(call)
    assert made["tool_choice"] == {"type": "any"}
    assert (made["thinking"], lost) == ({"type": "disabled"}, ("thinking",))


@pytest.mark.parametrize(
    ("thought", "goes_on"),
    [
        (Thinking("hm", "sig", "anthropic"), True),
        (HiddenThinking("data", "anthropic"), True),
        (Thinking("hm"), False),
        (Thinking("hm", "sig", "openai"), False),
    ],
)
def test_a_turn_of_tools_that_did_not_begin_with_thinking_goes_on_without(thought, goes_on):
    call = call_of(
        HELLO,
        said("assistant", thought, ToolCall("a", "add", "{}")),
        said("user", ToolResult("a", (Text("3"),))),
        tools=(ADD,),
        reasoning=Reasoning(effort="low"),
        max_output=9_000,
    )
    made, lost = lossy(call, OLD)
    assert made["thinking"]["type"] == ("enabled" if goes_on else "disabled")
    assert ("thinking" in lost) is not goes_on
    # Newer models think in the middle of a turn.
    assert lossy(call)[0]["thinking"] == {"type": "adaptive"}


def test_a_turn_of_tools_that_is_over_does_not_keep_a_model_from_thinking():
    call = call_of(
        HELLO,
        said("assistant", ToolCall("a", "add", "{}")),
        said("user", ToolResult("a", (Text("3"),))),
        said("assistant", "Three."),
        HELLO,
        tools=(ADD,),
        reasoning=Reasoning(effort="low"),
        max_output=9_000,
    )
    assert body(call, OLD)["thinking"]["type"] == "enabled"


@pytest.mark.parametrize(
    ("fields", "expected", "lost"),
    [
        ({"temperature": 1.7}, {"temperature": 1.0}, ("temperature",)),
        ({"temperature": 0.5, "top_p": 1.0}, {"temperature": 0.5}, ()),
        ({"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        ({"top_p": 0.5, "top_k": 3}, {"top_p": 0.5, "top_k": 3}, ()),
        (
            {"temperature": 0.5, "top_p": 0.5, "top_k": 3, "reasoning": Reasoning(effort="low")},
            {},
            ("temperature", "top_p", "top_k"),
        ),
        (
            {"temperature": 1.0, "top_p": 0.99, "reasoning": Reasoning(effort="low")},
            {"top_p": 0.99},
            (),
        ),
    ],
)
def test_what_chooses_tokens_gives_way_to_what_anthropic_takes(fields, expected, lost):
    made, found = lossy(call_of(**fields))
    assert {k: v for k, v in made.items() if k in {"temperature", "top_p", "top_k"}} == expected
    assert found == lost


# --- formats and the rest ----------------------------------------------------------------------


def test_a_schema_is_said_to_a_model_that_can_be_held_to_it():
    form = OutputFormat(schema=CLOSED, name="n", description="d", strict=True)
    made, lost = lossy(call_of(format=form))
    assert made["output_config"]["format"] == {"type": "json_schema", "schema": CLOSED}
    assert lost == ("response_format.description",)


@pytest.mark.parametrize(
    ("form", "traits"),
    [
        (OutputFormat(schema={**CLOSED, "title": "marker"}), OLD),
        (OutputFormat(schema={**CLOSED, "minProperties": 1, "title": "marker"}), Traits()),
        (OutputFormat(), Traits()),
        (OutputFormat(), OLD),
    ],
)
def test_a_form_that_the_model_cannot_be_held_to_is_an_instruction(form, traits):
    written = ANTHROPIC.write_call(call_of(said("system", "be brief"), HELLO, format=form), traits)
    assert written.instructed
    assert written.lost == ()
    made = json.loads(ANTHROPIC.encode_upstream(written.request, model="m"))
    assert "output_config" not in made
    assert made["system"][0]["text"] == "be brief"
    assert "JSON" in made["system"][1]["text"]
    assert ("marker" in made["system"][1]["text"]) is (form.schema is not None)


def test_stop_sequences_of_blanks_are_lost():
    made, lost = lossy(call_of(stop=("END", "\n")))
    assert (made["stop_sequences"], lost) == (["END"], ("stop",))
    assert "stop_sequences" not in lossy(call_of(stop=("\n",)))[0]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"presence_penalty": -0.5}, "presence_penalty"),
        ({"seed": 0}, "seed"),
        ({"logit_bias": {"1": 1.0}}, "logit_bias"),
        ({"top_logprobs": 0}, "logprobs"),
        ({"verbosity": "low"}, "verbosity"),
        ({"cache_key": "k"}, "prompt_cache_key"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"service_tier": "flex"}, "service_tier"),
    ],
)
def test_what_cannot_be_said_is_lost_by_name(fields, name):
    made, lost = lossy(call_of(**fields))
    assert lost == (name,)
    assert made.keys() == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    "fields",
    [
        {"frequency_penalty": 0.0, "presence_penalty": 0.0, "verbosity": "medium"},
        {"metadata": {}, "logit_bias": {}},
    ],
)
def test_what_says_nothing_is_no_loss(fields):
    assert body(call_of(**fields)).keys() == {"model", "max_tokens", "messages"}


def test_tiers_end_users_and_the_mark_on_the_whole_have_their_fields():
    made = body(call_of(service_tier="default", end_user="u", cache=CacheMark()))
    assert made["service_tier"] == "standard_only"
    assert made["metadata"] == {"user_id": "u"}
    assert made["cache_control"] == {"type": "ephemeral"}
