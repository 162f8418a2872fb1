"""A provider's stream as events, where a round trip does not reach."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    ChatReply,
    Finish,
    HiddenThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.core.events import (
    Fold,
    TextGrew,
)
from torana.core.usage import Usage
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.signatures import pack
from torana.errors import UpstreamError, UpstreamGarbage, UpstreamRateLimited

RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "m",
    "created_at": 5,
    "status": "in_progress",
}
CREATED = {"type": "response.created", "response": RESPONSE}
USAGE = {"input_tokens": 3, "output_tokens": 2}


def completed(*output: Any, **fields: Any) -> dict[str, Any]:
    ended = {**RESPONSE, "status": "completed", "usage": USAGE, "output": list(output), **fields}
    return {"type": f"response.{ended['status']}", "response": ended}


def read(*frames: dict[str, Any]) -> ChatReply:
    reader, fold = OPENAI_RESPONSES.reader(), Fold()
    for frame in frames:
        for event in reader.read(json.dumps(frame).encode()):
            fold.add(event)
    assert reader.done
    return fold.reply()


# --- reading -----------------------------------------------------------------------------------


def test_a_stream_of_nothing_but_deltas_is_read():
    reply = read(
        CREATED,
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hel",
        },
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": "lo",
        },
        completed(),
    )
    assert reply == ChatReply(
        id="resp_1",
        model="m",
        created=5,
        parts=(Text("Hello"),),
        usage=Usage(input_tokens=3, output_tokens=2),
    )


def test_a_stream_of_nothing_but_finished_items_is_read():
    message = {
        "type": "message",
        "content": [
            {
                "type": "output_text",
                "text": "Hi",
                "annotations": [{"type": "url_citation", "url": "https://e.com"}],
            },
            {"type": "refusal", "refusal": "No."},
        ],
    }
    items = [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"text": "Hm."}],
            "encrypted_content": "gA",
        },
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gB"},
        {"type": "reasoning", "id": "rs_3", "summary": []},
        message,
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "y"},
    ]
    frames = [
        {"type": "response.output_item.done", "output_index": n, "item": item}
        for n, item in enumerate(items)
    ]
    expected = (
        Thinking("Hm.", "gA", "openai", "rs_1"),
        HiddenThinking("gB", "openai", "rs_2"),
        Text("Hi", (UrlCitation("https://e.com"),)),
        Refusal("No."),
        ToolCall("c1", "f", '{"x":1}'),
        ToolCall("c2", "g", "y", custom=True),
    )
    assert read(CREATED, *frames, completed()).parts == expected
    assert read(CREATED, completed(*items)).parts == expected
    assert read(completed(*items)).finish is Finish.TOOL_CALLS


def test_a_finished_item_says_nothing_twice():
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"x":1}'}
    added = {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {**call, "arguments": ""},
    }
    delta = {
        "type": "response.function_call_arguments.delta",
        "output_index": 0,
        "delta": '{"x":1}',
    }
    done = {"type": "response.output_item.done", "output_index": 0, "item": call}
    reply = read(CREATED, added, delta, done, done, completed(call))
    assert reply.parts == (ToolCall("c1", "f", '{"x":1}'),)


def test_summaries_of_one_item_are_one_text():
    place = {"output_index": 0, "item_id": "rs_1"}
    item = {"type": "reasoning", "id": "rs_1", "encrypted_content": "gA"}
    summaries = [{"text": "Hm."}, {"text": "So."}]
    frames = [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "summary": []}},
        {"type": "response.reasoning_summary_part.added", **place, "summary_index": 0},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "Hm."},
        {"type": "response.reasoning_summary_part.added", **place, "summary_index": 1},
        {"type": "response.reasoning_summary_text.delta", **place, "delta": "So."},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {**item, "summary": summaries},
        },
    ]
    assert read(CREATED, *frames, completed()).parts == (
        Thinking("Hm.\n\nSo.", "gA", "openai", "rs_1"),
    )


def thought(item: dict[str, Any], text: str, **end: Any) -> tuple[Any, ...]:
    frames = [
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": text},
        {"type": "response.output_item.done", "output_index": 0, "item": {**item, **end}},
    ]
    return read(CREATED, *frames, completed()).parts


def test_open_reasoning_is_thinking_that_nobody_has_signed():
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    (part,) = thought(item, "Hm.", content=[{"text": "Hm."}])
    assert isinstance(part, Thinking)
    assert (part.text, part.signature, part.vendor) == ("Hm.", None, None)


@pytest.mark.parametrize("early", [{}, {"encrypted_content": None}, {"encrypted_content": "g"}])
def test_a_signature_keeps_the_id_that_it_is_bound_to_however_late_it_comes(early):
    item = {"type": "reasoning", "id": "rs_0abc", "summary": [], **early}
    found = thought(item, "Hm.", encrypted_content="gA")
    assert found == (Thinking("Hm.", "gA", "openai", "rs_0abc"),)


def test_a_signature_in_an_envelope_brings_its_own_id():
    item: dict[str, Any] = {
        "type": "reasoning",
        "id": "rs_1_0",
        "summary": [],
        "encrypted_content": None,
    }
    found = thought(item, "Hm.", encrypted_content=pack("anthropic", None, "s"))
    assert found == (Thinking("Hm.", "s", "anthropic"),)


def test_what_the_providers_own_tools_did_is_named_once():
    item = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    reply = read(
        CREATED,
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.web_search_call.searching", "output_index": 0},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.output_item.added", "output_index": 1, "item": None},
        completed(item, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    )
    assert reply.lost == ("output[].type=web_search_call",)
    assert reply.finish is Finish.LENGTH


def test_an_annotation_that_is_no_page_is_named():
    place = {"output_index": 0, "content_index": 0}
    frames = [
        {
            "type": "response.content_part.added",
            **place,
            "part": {"type": "output_text", "text": ""},
        },
        {
            "type": "response.output_text.annotation.added",
            **place,
            "annotation": {"type": "file_path"},
        },
        {
            "type": "response.content_part.done",
            **place,
            "part": {"type": "output_text", "text": "x"},
        },
    ]
    reply = read(CREATED, *frames, completed())
    assert (reply.parts, reply.lost) == ((Text("x"),), ("annotations",))


@pytest.mark.parametrize(
    ("details", "finish"),
    [
        ({"reason": "max_output_tokens"}, Finish.LENGTH),
        ({"reason": "content_filter"}, Finish.REFUSAL),
        ({"reason": "steered"}, Finish.PAUSE),
        ({"reason": "max_messages"}, Finish.PAUSE),
        (None, Finish.LENGTH),
        ({"reason": "something new"}, Finish.LENGTH),
    ],
)
def test_an_incomplete_response_says_why(details, finish):
    last = completed(status="incomplete", incomplete_details=details)
    assert read(CREATED, last).finish is finish
    assert OPENAI_RESPONSES.read_reply(json.dumps(last["response"]).encode()).finish is finish


def test_the_tier_of_a_response_is_told():
    assert read(CREATED, completed(service_tier="priority")).service_tier == "priority"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"{}",
        b'{"type":"response.output_item.added","item":{"type":"function_call"}}',
        b'{"type":"response.completed","response":{"object":"x"}}',
        b'{"type":"response.completed","response":{"object":"response","output":[7]}}',
        b'{"type":"response.output_item.done","item":{"type":"reasoning","summary":7}}',
    ],
)
def test_what_is_no_event_is_garbage(data):
    with pytest.raises(UpstreamGarbage):
        OPENAI_RESPONSES.reader().read(data)


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b'{"object":"list"}',
        b'{"object":"response","output":[7]}',
        b'{"object":"response","output":[{"type":"message"}]}',
    ],
)
def test_what_is_no_response_is_garbage(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_RESPONSES.read_reply(body)


def test_a_failure_is_an_error_of_its_kind():
    failed = {
        **RESPONSE,
        "status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "x"},
    }
    with pytest.raises(UpstreamRateLimited):
        read(CREATED, {"type": "response.failed", "response": failed})
    with pytest.raises(UpstreamRateLimited):
        read(CREATED, {"type": "error", "code": "rate_limit_exceeded", "message": "x"})
    with pytest.raises(UpstreamError):
        read(CREATED, {"type": "response.failed", "response": RESPONSE})
    with pytest.raises(UpstreamRateLimited):
        OPENAI_RESPONSES.read_reply(json.dumps(failed).encode())


def test_a_stream_that_breaks_off_is_not_finished():
    reader = OPENAI_RESPONSES.reader()
    reader.read(json.dumps(CREATED).encode())
    assert reader.read(b"[DONE]") == []
    assert not reader.finished
    assert reader.finish() == []


def test_half_a_character_is_read_as_the_replacement_character():
    reader = OPENAI_RESPONSES.reader()
    events = reader.read(b'{"type":"response.output_text.delta","delta":"\\ud83d"}')
    assert events[-1] == TextGrew(0, "\ufffd")
