"""What a Responses request says beyond what a call can hold, and what of it says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import (
    ResponseCustomToolCall,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
    ResponseReasoningItem,
)
from openai.types.responses.parsed_response import (
    ParsedResponseFunctionToolCall,
    ParsedResponseOutputMessage,
    ParsedResponseOutputText,
)
from openai.types.responses.response_function_tool_call import CallerDirect
from openai.types.responses.response_function_tool_call_item import ResponseFunctionToolCallItem
from openai.types.responses.response_output_text import AnnotationURLCitation
from openai.types.responses.response_reasoning_item import Content, Summary
from pydantic import BaseModel

from torana.core.chat import ChatCall
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.errors import InvalidRequest

CALL = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
FREE = {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "1"}
THOUGHT = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "a"}]}
SAID = {"type": "output_text", "text": "a", "annotations": [], "logprobs": []}
FUNCTION = {"type": "function", "name": "f", "parameters": {}, "strict": False}
PAGE = {"type": "url_citation", "url": "https://e.com", "title": "", "start_index": 0}


def read(items: Any = "hello", **fields: Any) -> ChatCall:
    body = json.dumps({"model": "m", "input": items, **fields}).encode()
    return OPENAI_RESPONSES.read_call(OPENAI_RESPONSES.decode_request(body))


def asked(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [part]}


def answered(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": [part]}


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"role": "user", "content": "a", "novel": 1}, "input[].novel"),
        ({"role": "user", "content": "a", "name": "ann"}, "input[].name"),
        (CALL | {"novel": 1}, "input[].novel"),
        (CALL | {"async": True}, "input[].async"),
        (CALL | {"caller": {"type": "program", "caller_id": "x"}}, "input[].caller"),
        (FREE | {"arguments": "{}"}, "input[].arguments"),
        (RESULT | {"novel": 1}, "input[].novel"),
        (RESULT | {"namespace": "n"}, "namespace"),
        (THOUGHT | {"novel": 1}, "input[].novel"),
        (
            THOUGHT | {"summary": [{"type": "summary_text", "text": "a", "novel": 1}]},
            "input[].summary[].novel",
        ),
        (asked({"type": "input_text", "text": "a", "novel": 1}), "input[].content[].novel"),
        (
            asked({"type": "input_image", "image_url": "https://e.com", "novel": 1}),
            "input[].content[].novel",
        ),
        (
            asked({"type": "input_file", "file_id": "f", "novel": 1}),
            "input[].content[].novel",
        ),
        (
            asked(
                {"type": "input_audio", "input_audio": {"data": "A", "format": "wav", "novel": 1}}
            ),
            "input[].content[].input_audio.novel",
        ),
        (
            asked({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"novel": 1}}),
            "input[].content[].prompt_cache_breakpoint.novel",
        ),
        (asked(SAID | {"annotations": [PAGE]}), "input[].content[].annotations"),
        (answered(SAID | {"novel": 1}), "input[].content[].novel"),
        (answered(SAID | {"logprobs": [{"token": "a"}]}), "input[].content[].logprobs"),
        (
            answered(SAID | {"annotations": [PAGE | {"novel": 1}]}),
            "input[].content[].annotations[].novel",
        ),
        (answered({"type": "refusal", "refusal": "no", "novel": 1}), "input[].content[].novel"),
        (
            RESULT | {"output": [{"type": "input_text", "text": "a", "novel": 1}]},
            "input[].output[].novel",
        ),
        (RESULT | {"output": [{"type": "hologram"}]}, "input[].output[].type=hologram"),
    ],
)
def test_an_unknown_member_of_an_item_or_a_part_is_named(item, name):
    assert read([{"role": "user", "content": "hello"}, item]).unsaid == (name,)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"tools": [FUNCTION | {"novel": 1}]}, "tools[].novel"),
        ({"tools": [{"type": "custom", "name": "f", "novel": 1}]}, "tools[].novel"),
        (
            {"tools": [{"type": "custom", "name": "f", "format": {"type": "text", "novel": 1}}]},
            "tools[].format.novel",
        ),
        (
            {"tool_choice": {"type": "function", "name": "f", "novel": 1}},
            "tool_choice.novel",
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f", "novel": 1}],
                }
            },
            "tool_choice.tools[].novel",
        ),
        ({"reasoning": {"effort": "low", "novel": 1}}, "reasoning.novel"),
        ({"text": {"novel": 1}}, "text.novel"),
        ({"text": {"format": {"type": "text", "novel": 1}}}, "text.format.novel"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "novel": 1}}},
            "text.format.novel",
        ),
        ({"stream": True, "stream_options": {"novel": 1}}, "stream_options.novel"),
    ],
)
def test_an_unknown_member_of_a_field_is_named(fields, name):
    assert read(**fields).unsaid == (name,)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [FUNCTION | {"novel": None, "async": False, "allowed_callers": ["direct"]}]},
        {"text": {"novel": None, "format": {"type": "text", "novel": None}}},
        {"reasoning": {"novel": None}},
    ],
)
def test_a_member_that_is_null_is_no_loss(fields):
    assert read(**fields).unsaid == ()


ANSWERS: list[BaseModel] = [
    ResponseReasoningItem(
        id="rs_1",
        type="reasoning",
        summary=[Summary(text="a", type="summary_text")],
        content=[Content(text="b", type="reasoning_text")],
        encrypted_content="sealed",
        status="completed",
    ),
    ResponseOutputMessage(
        id="msg_1",
        type="message",
        role="assistant",
        status="completed",
        phase="final_answer",
        content=[
            ResponseOutputText(
                type="output_text",
                text="a",
                annotations=[
                    AnnotationURLCitation(
                        type="url_citation",
                        url="https://e.com",
                        title="E",
                        start_index=0,
                        end_index=1,
                    )
                ],
                logprobs=[],
            ),
            ResponseOutputRefusal(type="refusal", refusal="no"),
        ],
    ),
    ResponseFunctionToolCall(
        id="fc_1",
        type="function_call",
        call_id="c",
        name="f",
        arguments="{}",
        status="completed",
        caller=CallerDirect(type="direct"),
    ),
    ResponseFunctionToolCallItem(
        id="fc_2",
        type="function_call",
        call_id="d",
        name="f",
        arguments="{}",
        status="completed",
        created_by="model",
    ),
    ResponseCustomToolCall(id="ctc", type="custom_tool_call", call_id="e", name="g", input="x"),
    ParsedResponseFunctionToolCall(
        id="fc_3",
        type="function_call",
        call_id="h",
        name="f",
        arguments="{}",
        parsed_arguments={"a": 1},
    ),
    ParsedResponseOutputMessage[Any](
        id="msg_2",
        type="message",
        role="assistant",
        status="completed",
        content=[
            ParsedResponseOutputText[Any](
                type="output_text", text="{}", annotations=[], parsed={"a": 1}
            )
        ],
    ),
]


@pytest.mark.parametrize("with_nulls", [False, True])
@pytest.mark.parametrize("item", ANSWERS, ids=lambda item: type(item).__name__)
def test_what_the_sdk_sends_back_of_an_answer_is_no_loss(item, with_nulls):
    sent = item.model_dump(mode="json", by_alias=True, exclude_none=not with_nulls)
    assert read([{"role": "user", "content": "hello"}, sent]).unsaid == ()


def test_the_results_of_tools_as_clients_send_them_are_no_loss():
    result = RESULT | {"id": "fco", "status": "completed", "name": "f", "caller": None}
    assert read([CALL, result]).unsaid == ()


def test_a_breakpoint_of_the_cache_must_be_an_object():
    part = {"type": "input_text", "text": "a", "prompt_cache_breakpoint": "here"}
    with pytest.raises(InvalidRequest) as caught:
        read([asked(part)])
    assert caught.value.param == "input[0].content[0].prompt_cache_breakpoint"
    assert read([asked(part | {"prompt_cache_breakpoint": None})]).unsaid == ()
