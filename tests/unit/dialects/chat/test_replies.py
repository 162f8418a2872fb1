"""Providers' JSON answers as canonical replies, and canonical replies as answers for callers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canonical import usages
from torana.core.chat import (
    ChatReply,
    DocumentCitation,
    Finish,
    HiddenThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame, WireAnswer
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import UpstreamError, UpstreamGarbage

REQUEST = OPENAI_CHAT.decode_request(b'{"model":"asked","messages":[]}')


def read(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> ChatReply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {"id": "c1", "model": "theirs", "created": 7, "choices": [choice], **more}
    return OPENAI_CHAT.read_reply(json.dumps(body).encode())


def write(
    *parts: Any, model: str | None = None, **fields: Any
) -> tuple[WireAnswer, dict[str, Any]]:
    reply = ChatReply(id="p", model="theirs", parts=parts, **fields)
    frame = ReplyFrame(request=REQUEST, request_id="req_7", created=9, model=model)
    answer = OPENAI_CHAT.write_reply(reply, frame)
    found: dict[str, Any] = json.loads(answer.body)
    return answer, found


def call(name: str = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    return {
        "id": "a",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
        **more,
    }


# --- reading -----------------------------------------------------------------------------------


def test_a_whole_answer_is_read():
    reply = read(
        {
            "content": "text",
            "refusal": None,
            "annotations": [],
            "reasoning_content": "hm",
            "tool_calls": [call(arguments='{"a": 1.0}'), call("g", id="b")],
        },
        "tool_calls",
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 8,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        service_tier="default",
        system_fingerprint="fp",
        future={"x": 1},
    )
    assert reply == ChatReply(
        id="c1",
        model="theirs",
        created=7,
        parts=(
            Thinking("hm"),
            Text("text"),
            ToolCall("a", "f", '{"a": 1.0}'),
            ToolCall("b", "g", "{}"),
        ),
        finish=Finish.TOOL_CALLS,
        usage=Usage(input_tokens=6, cached_tokens=4, output_tokens=5, reasoning_tokens=3),
        service_tier="default",
    )


@pytest.mark.parametrize(
    ("message", "reason", "finish"),
    [
        ({"content": "a"}, "stop", Finish.STOP),
        ({"content": "a"}, "length", Finish.LENGTH),
        ({"content": "a"}, "content_filter", Finish.REFUSAL),
        ({"content": "a"}, "eos", Finish.STOP),
        ({"content": "a"}, None, Finish.STOP),
        ({"refusal": "no"}, "stop", Finish.REFUSAL),
        ({"tool_calls": [call()]}, "tool_calls", Finish.TOOL_CALLS),
        ({"tool_calls": [call()]}, "stop", Finish.TOOL_CALLS),
        ({"tool_calls": [call()]}, "length", Finish.LENGTH),
        ({"function_call": {"name": "f", "arguments": "{}"}}, "function_call", Finish.TOOL_CALLS),
    ],
)
def test_why_a_reply_has_ended(message, reason, finish):
    assert read(message, reason).finish is finish


@pytest.mark.parametrize("arguments", ["", None, {}, "{}"])
def test_empty_arguments_are_an_empty_object(arguments):
    assert read({"tool_calls": [call(arguments=arguments)]}).parts == (ToolCall("a", "f", "{}"),)


def test_arguments_that_came_as_an_object_are_its_json():
    (part,) = read({"tool_calls": [call(arguments={"a": [1, "é"]})]}).parts
    assert isinstance(part, ToolCall)
    assert json.loads(part.arguments) == {"a": [1, "é"]}


def test_calls_without_ids_get_the_same_ones_for_the_same_answer():
    message = {"tool_calls": [call(id=None), call(id=""), call(id="own")]}
    first, again = read(message), read(message)
    assert first == again
    ids = [part.id for part in first.parts if isinstance(part, ToolCall)]
    assert ids == ["call_c1_0", "call_c1_1", "own"]


def test_the_old_function_call_and_custom_tools_are_calls():
    assert read({"function_call": {"name": "f", "arguments": '{"a":1}'}}).parts == (
        ToolCall("call_c1_0", "f", '{"a":1}'),
    )
    custom = {"id": "a", "type": "custom", "custom": {"name": "c", "input": "free"}}
    assert read({"tool_calls": [custom]}).parts == (ToolCall("a", "c", "free", custom=True),)


def test_signed_thinking_is_read_with_its_vendor():
    details = [
        {"type": "reasoning.text", "text": "a", "signature": "s", "format": "anthropic-claude-v1"},
        {"type": "reasoning.encrypted", "data": "d", "format": "openai-responses-v1", "id": "rs"},
    ]
    reply = read({"content": "x", "reasoning": "a", "reasoning_details": details})
    assert reply.parts == (
        Thinking("a", "s", "anthropic"),
        HiddenThinking("d", "openai", "rs"),
        Text("x"),
    )


def test_content_in_parts_is_one_text():
    reply = read({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]})
    assert (reply.parts, reply.lost) == ((Text("ab"),), ())


def test_what_a_reply_cannot_hold_is_named():
    choice = {
        "message": {
            "content": [{"type": "image", "url": "x"}],
            "audio": {"id": "a"},
            "annotations": [{"type": "file_citation"}],
        },
        "logprobs": {"content": []},
    }
    reply = OPENAI_CHAT.read_reply(json.dumps({"choices": [choice]}).encode())
    assert set(reply.lost) == {"content", "audio", "annotations", "logprobs"}


def test_half_a_character_is_replaced_and_the_answer_is_read():
    body = rb'{"choices":[{"message":{"content":"a\ud83d b\ud83d\ude00 \\ud83d"}}]}'
    assert OPENAI_CHAT.read_reply(body).parts == (Text("a\ufffd b\U0001f600 \\ud83d"),)


def test_no_usage_is_none_and_zeros_are_zeros():
    assert read({"content": "a"}).usage is None
    zeros = {"prompt_tokens": 0, "completion_tokens": 0}
    assert read({"content": "a"}, usage=zeros).usage == Usage()
    # Half a usage would cost too little.
    assert read({"content": "a"}, usage={"prompt_tokens": 7}).usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[{"text":"a"}]}',
        b'{"choices":[{"message":{"content":7}}]}',
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        b'{"choices":' + b"[" * 100_000,
    ],
)
def test_what_is_no_chat_completion_is_garbage(body):
    with pytest.raises(UpstreamGarbage):
        OPENAI_CHAT.read_reply(body)


@pytest.mark.parametrize("error", [{"message": "no", "code": 500}, "no", {}])
def test_an_error_under_a_success_status_is_an_error(error):
    with pytest.raises(UpstreamError) as caught:
        OPENAI_CHAT.read_reply(json.dumps({"error": error}).encode())
    assert not isinstance(caught.value, UpstreamGarbage)


@given(st.binary(max_size=60))
def test_no_body_makes_reading_fail_in_another_way(body):
    for whole in (body, b'{"choices":[{"message":' + body + b"}]}"):
        try:
            OPENAI_CHAT.read_reply(whole)
        except UpstreamError:
            continue


# --- writing -----------------------------------------------------------------------------------


def test_an_answer_has_the_shape_of_openais():
    answer, body = write(Text("hi"), usage=Usage(input_tokens=1, output_tokens=2), created=0)
    assert body == {
        "id": "chatcmpl-7",
        "object": "chat.completion",
        "created": 9,
        "model": "theirs",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 3,
            "prompt_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
    }
    assert answer.usage == Usage(input_tokens=1, output_tokens=2)


def test_the_shown_model_takes_the_place_of_the_providers():
    assert write(Text("a"), model="asked")[1]["model"] == "asked"


@pytest.mark.parametrize(
    ("finish", "reason", "lost"),
    [
        (Finish.STOP, "stop", ()),
        (Finish.STOP_SEQUENCE, "stop", ()),
        (Finish.LENGTH, "length", ()),
        (Finish.CONTEXT, "length", ()),
        (Finish.TOOL_CALLS, "tool_calls", ()),
        (Finish.REFUSAL, "content_filter", ()),
        (Finish.PAUSE, "stop", ("finish_reason",)),
    ],
)
def test_every_end_has_a_reason(finish, reason, lost):
    answer, body = write(Text("a"), finish=finish)
    assert (body["choices"][0]["finish_reason"], answer.lost) == (reason, lost)


def test_a_refusal_in_words_is_a_stop_as_openai_tells_it():
    _, body = write(Refusal("I won't."), finish=Finish.REFUSAL)
    choice = body["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("stop", "I won't.")
    assert choice["message"]["content"] is None


def test_thinking_is_text_and_details_with_every_signature():
    _, body = write(
        Thinking("a", "s", "anthropic"),
        HiddenThinking("d", "openai", "rs_1"),
        Thinking("b"),
        Text("x"),
    )
    message = body["choices"][0]["message"]
    assert message["content"] == "x"
    assert message["reasoning_content"] == "ab"
    assert message["reasoning_details"] == [
        {
            "index": 0,
            "type": "reasoning.text",
            "text": "a",
            "signature": "s",
            "format": "anthropic-claude-v1",
        },
        {
            "index": 1,
            "type": "reasoning.encrypted",
            "data": "d",
            "id": "rs_1",
            "format": "openai-responses-v1",
        },
        {"index": 2, "type": "reasoning.text", "text": "b", "format": "unknown"},
    ]


def test_citations_count_the_characters_of_the_whole_content():
    answer, body = write(
        Text("ab", (UrlCitation("https://e.com/1", "One"),)),
        Text("cd😀", (UrlCitation("https://e.com/2", None, 2, 3),)),
    )
    spans = [
        (
            a["url_citation"]["start_index"],
            a["url_citation"]["end_index"],
            a["url_citation"]["title"],
        )
        for a in body["choices"][0]["message"]["annotations"]
    ]
    assert (spans, answer.lost) == ([(0, 2, "One"), (4, 5, "")], ())


def test_what_an_answer_cannot_say_is_named():
    cited = UrlCitation("https://e.com", cited_text="words", token="t")
    answer, _ = write(
        ToolCall("a", "f", "{}"),
        Text("x", (DocumentCitation("page", {}), cited)),
        stop_sequence="END",
        service_tier="batch",
        finish=Finish.STOP_SEQUENCE,
        lost=("told before",),
    )
    assert answer.lost == (
        "told before",
        "part_order",
        "citations",
        "citations[].cited_text",
        "citations[].encrypted_index",
        "stop_sequence",
        "service_tier",
    )


@pytest.mark.parametrize(
    ("tier", "shown"), [("standard", "default"), ("flex", "flex"), (None, None)]
)
def test_tiers_are_openais(tier, shown):
    assert write(Text("a"), service_tier=tier)[1].get("service_tier") == shown


@given(usages())
def test_the_totals_of_a_usage_include_every_class(usage):
    told = write(usage=usage)[1]["usage"]
    assert told["prompt_tokens"] == usage.total_input
    assert told["completion_tokens"] == usage.total_output
    assert told["total_tokens"] == usage.total_input + usage.total_output
    assert told["prompt_tokens_details"]["cached_tokens"] == usage.cached_tokens
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    assert told["prompt_tokens_details"]["cache_write_tokens"] == written
