"""Answers of Responses as they pass, whole and as streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import canonical
from tests.support.canonical import Says
from torana.core.usage import Usage
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.answers import usage_json
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import (
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)

USAGE = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3},
    "output_tokens": 10,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 30,
}
READ = Usage(
    input_tokens=12, cached_tokens=5, cache_write_tokens=3, output_tokens=6, reasoning_tokens=4
)
RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "theirs",
    "error": None,
    "output": [],
    "store": True,
    "usage": USAGE,
}
CLASSES = frozenset(
    {"input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"}
)


def body(**fields: Any) -> bytes:
    return json.dumps({**RESPONSE, **fields}).encode()


# --- whole -------------------------------------------------------------------------------------


def test_an_answer_passes_as_it_came_and_its_usage_is_read():
    raw = body(new={"a": 1})
    answer = OPENAI_RESPONSES.decode_answer(raw)
    assert (answer.body, answer.usage, answer.kept) == (raw, READ, raw)


def test_the_model_is_shown_under_the_callers_name():
    answer = OPENAI_RESPONSES.decode_answer(body(), model="mine")
    assert json.loads(answer.body)["model"] == "mine"
    assert answer.kept == answer.body


def test_an_answer_that_is_not_stored_is_not_kept():
    assert OPENAI_RESPONSES.decode_answer(body(store=False)).kept is None


def test_an_answer_without_usage_has_none():
    assert OPENAI_RESPONSES.decode_answer(body(usage=None)).usage is None


def test_an_incomplete_answer_is_an_answer():
    raw = body(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert OPENAI_RESPONSES.decode_answer(raw).usage == READ


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"object":"chat.completion"}',
        b'{"object":"response","usage":{"input_tokens":-1}}',
        b'{"object":"response","model":"\xff"}',
        b'{"object":"response","status":"in_progress"}',
        b'{"object":"response","error":"no"}',
    ],
)
def test_what_is_no_response_is_garbage(raw):
    with pytest.raises(UpstreamGarbage):
        OPENAI_RESPONSES.decode_answer(raw)


@pytest.mark.parametrize(
    ("error", "kind", "status"),
    [
        ({"code": "server_error", "message": "secret"}, UpstreamError, 502),
        ({"code": "vector_store_timeout", "message": "x"}, UpstreamError, 502),
        ({"code": 500, "message": "x"}, UpstreamError, 502),
        ({"code": None, "message": "x"}, UpstreamError, 502),
        ({"code": "rate_limit_exceeded", "message": "x"}, UpstreamRateLimited, 429),
        ({"code": "server_is_overloaded", "message": "x"}, UpstreamOverloaded, 503),
        ({"code": "invalid_prompt", "message": "Bad words."}, UpstreamRejected, 400),
        ({"code": "image_too_large", "message": "Big.", "param": "input"}, UpstreamRejected, 400),
    ],
)
def test_a_failure_under_a_success_status_is_an_error_of_its_kind(error, kind, status):
    with pytest.raises(UpstreamError) as caught:
        OPENAI_RESPONSES.decode_answer(body(status="failed", error=error))
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert "secret" not in caught.value.message
    if kind is UpstreamRejected:
        assert caught.value.message == error["message"]
        assert caught.value.public_code == error["code"]
        assert caught.value.param == error.get("param")


def test_an_error_body_under_a_success_status_is_an_error():
    with pytest.raises(UpstreamRejected):
        OPENAI_RESPONSES.decode_answer(b'{"error":{"code":"invalid_prompt","message":"No."}}')
    with pytest.raises(UpstreamError):
        OPENAI_RESPONSES.decode_answer(body(status="failed", error=None))


@given(canonical.usages(Says(usage=CLASSES)))
def test_usage_is_the_same_after_both_arithmetics(usage):
    told = usage_json(usage)
    answer = OPENAI_RESPONSES.decode_answer(body(usage=told))
    assert answer.usage == usage
    assert told["total_tokens"] == told["input_tokens"] + told["output_tokens"]


def test_an_explicit_zero_is_a_zero():
    zero = {"input_tokens": 0, "output_tokens": 0}
    assert OPENAI_RESPONSES.decode_answer(body(usage=zero)).usage == Usage()


# --- streams -----------------------------------------------------------------------------------


def frame(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


CREATED = frame(
    {
        "type": "response.created",
        "sequence_number": 0,
        "response": {**RESPONSE, "status": "in_progress", "usage": None},
    }
)
DELTA = frame(
    {
        "type": "response.output_text.delta",
        "sequence_number": 1,
        "delta": "Hé",
        "item_id": "m",
        "output_index": 0,
        "content_index": 0,
        "obfuscation": "xyz",
    }
)
COMPLETED = frame({"type": "response.completed", "sequence_number": 2, "response": RESPONSE})


def fold(**fields: Any) -> Any:
    asked = decode_request(
        json.dumps({"model": "m", "input": "x", "stream": True, **fields}).encode()
    )
    return OPENAI_RESPONSES.fold(asked, request_id="req_1", keeps_text=True)


def run(folded: Any, *frames: bytes) -> bytes:
    return b"".join(folded.pass_on(one, data_of(one)) for one in frames)


def test_frames_pass_as_they_came_and_the_terminal_one_waits_for_the_end():
    folded = fold()
    assert run(folded, CREATED, b": hello\n\n", DELTA) == CREATED + b": hello\n\n" + DELTA
    assert not folded.finished
    assert run(folded, COMPLETED) == b""
    assert folded.done
    assert folded.finished
    assert folded.usage == READ
    assert folded.end() == COMPLETED
    assert json.loads(folded.kept) == RESPONSE
    assert folded.visible == "Hé"


def test_an_incomplete_response_is_an_end_too():
    last = frame({"type": "response.incomplete", "response": {**RESPONSE, "status": "incomplete"}})
    folded = fold()
    assert run(folded, CREATED, last) == CREATED
    assert (folded.end(), folded.usage) == (last, READ)


def test_the_end_mark_of_chat_streams_passes_for_nothing():
    folded = fold()
    assert run(folded, CREATED, b"data: [DONE]\n\n") == CREATED
    assert not folded.finished


def test_the_model_is_shown_under_the_callers_name_in_every_frame_that_has_it():
    asked = decode_request(b'{"model":"m","input":"x","stream":true}')
    folded = OPENAI_RESPONSES.fold(asked, request_id="req_1", model="mine")
    frames = run(folded, CREATED, DELTA, COMPLETED) + folded.end()
    events = [json.loads(data_of(one) or b"") for one in FrameSplitter().feed(frames)]
    assert [event["response"]["model"] for event in events if "response" in event] == ["mine"] * 2
    assert b"theirs" not in frames
    assert frames.startswith(b"event: response.created\n")
    assert json.loads(folded.kept or b"")["model"] == "mine"


@pytest.mark.parametrize("fields", [{"store": False}])
def test_a_stream_that_the_caller_does_not_want_stored_is_not_kept(fields):
    folded = fold(**fields)
    run(folded, COMPLETED)
    assert folded.kept is None


def test_a_stream_that_the_provider_has_not_stored_is_not_kept():
    folded = fold()
    run(folded, frame({"type": "response.completed", "response": {**RESPONSE, "store": False}}))
    assert folded.kept is None


def test_an_error_is_flat_and_numbered_after_the_last_frame():
    folded = fold()
    run(folded, CREATED, DELTA, COMPLETED)
    written = folded.error(UpstreamCut("Cut."))
    assert written.startswith(b"event: error\n")
    assert json.loads(data_of(written) or b"") == {
        "type": "error",
        "code": "upstream_cut",
        "message": "Cut.",
        "param": None,
        "sequence_number": 2,
    }


def test_a_failed_response_is_an_error_with_its_usage():
    failed = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "x"}}
    folded = fold()
    with pytest.raises(UpstreamError, match="failed while"):
        run(folded, CREATED, frame({"type": "response.failed", "response": failed}))
    assert folded.usage == READ
    with pytest.raises(UpstreamError):
        run(fold(), frame({"type": "response.failed", "response": {"object": "response"}}))


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "x", "param": None},
        {"type": "error", "error": {"type": "x", "code": "rate_limit_exceeded", "message": "x"}},
    ],
)
def test_an_error_event_is_an_error_flat_or_nested(event):
    with pytest.raises(UpstreamRateLimited):
        run(fold(), frame(event))


@pytest.mark.parametrize(
    "data",
    [b"x", b"[]", b"{}", b'{"type":7}', b'{"type":"response.completed","response":{"object":"x"}}'],
)
def test_what_is_no_event_is_garbage(data):
    with pytest.raises(UpstreamGarbage):
        fold().pass_on(b"data: " + data + b"\n\n", data)


def test_unknown_events_pass():
    odd = frame({"type": "response.new_thing", "response": None, "x": 1})
    assert run(fold(), odd) == odd


def test_the_visible_text_is_what_a_caller_sees_and_not_what_the_model_thought():
    kinds = {
        "response.output_text.delta": "a",
        "response.refusal.delta": "b",
        "response.function_call_arguments.delta": '{"c":1}',
        "response.custom_tool_call_input.delta": "d",
        "response.reasoning_summary_text.delta": "no",
    }
    folded = fold()
    run(folded, *(frame({"type": kind, "delta": delta}) for kind, delta in kinds.items()))
    assert folded.visible == 'ab{"c":1}d'


def test_text_is_not_remembered_unasked():
    asked = decode_request(b'{"model":"m","input":"x"}')
    assert OPENAI_RESPONSES.fold(asked, request_id="r").visible is None


def test_half_a_character_passes_as_it_came():
    folded = fold()
    half = b'data: {"type":"response.output_text.delta","delta":"\\ud83d"}\n\n'
    assert run(folded, half) == half
    assert folded.visible == "\ufffd"
    raw = body(output=[{"text": "HALF"}]).replace(b"HALF", b"\\ud83d")
    answer = OPENAI_RESPONSES.decode_answer(raw)
    assert (answer.body, answer.usage) == (raw, READ)
    last = COMPLETED.replace(b'"resp_1"', b'"\\ud83d"')
    run(folded, last)
    assert folded.end() == last


def test_a_delta_that_is_no_text_is_remembered_by_its_bytes():
    folded = fold()
    run(folded, frame({"type": "response.output_text.delta", "delta": [1]}))
    assert folded.visible == "[1]"


def test_a_ping_is_a_comment():
    assert fold().ping() == b": ping\n\n"


@given(st.data())
def test_however_the_bytes_are_cut_the_caller_gets_the_same(data):
    stream = CREATED + DELTA + COMPLETED
    at = data.draw(st.integers(0, len(stream)))
    splitter, folded = FrameSplitter(), fold()
    passed = b"".join(run(folded, *splitter.feed(chunk)) for chunk in (stream[:at], stream[at:]))
    assert passed + folded.end() == stream
