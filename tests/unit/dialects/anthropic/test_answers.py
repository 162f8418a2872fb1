"""Answers and streams that pass: their bytes stay, and their usage is learned."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import Text
from torana.core.events import TextGrew
from torana.core.usage import Usage
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.anthropic.streams import MessageFold
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import (
    UpstreamCut,
    UpstreamError,
    UpstreamGarbage,
    UpstreamOverloaded,
    UpstreamRateLimited,
)

REQUEST = ANTHROPIC.decode_request(b'{"model":"m","max_tokens":1,"messages":[]}')


def message(**fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **fields,
    }


def answer(**fields: Any) -> Usage | None:
    return ANTHROPIC.decode_answer(json.dumps(message(**fields)).encode()).usage


# --- whole answers -----------------------------------------------------------------------------


def test_a_body_passes_as_it_is():
    body = b' {"type":"message","content":[],"n":123456789012345678901234567890,"x":"\\u00e9"}'
    assert ANTHROPIC.decode_answer(body).body == body
    renamed = ANTHROPIC.decode_answer(body, model="ours").body
    assert json.loads(renamed) == {**json.loads(body), "model": "ours"}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 3, "output_tokens": 2}, Usage(input_tokens=3, output_tokens=2)),
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 30,
                "cache_read_input_tokens": 300,
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 4},
            },
            Usage(
                input_tokens=3,
                cached_tokens=300,
                cache_write_tokens=30,
                output_tokens=5,
                reasoning_tokens=4,
            ),
        ),
        (
            {
                "input_tokens": 0,
                "cache_creation_input_tokens": 30,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 10,
                    "ephemeral_1h_input_tokens": 20,
                },
                "output_tokens": 1,
            },
            Usage(cache_write_tokens=10, cache_write_1h_tokens=20, output_tokens=1),
        ),
        # Of what is not told of, the usual time is assumed; what is told is never less.
        (
            {
                "cache_creation_input_tokens": 35,
                "cache_creation": {"ephemeral_1h_input_tokens": 20},
                "output_tokens": 0,
            },
            Usage(cache_write_tokens=15, cache_write_1h_tokens=20),
        ),
        (
            {
                "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 1},
                "output_tokens": 0,
            },
            Usage(cache_write_tokens=7, cache_write_1h_tokens=1),
        ),
        ({"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 5}}, None),
    ],
)
def test_anthropics_arithmetic_leaves_the_cache_out_of_the_input(usage, expected):
    assert answer(usage=usage) == (expected or Usage(reasoning_tokens=3))


HALVES = rb'{"type":"message","model":"m","content":[{"type":"text","text":"\ud83d"}]}'


def test_half_characters_pass_as_they_are_and_are_replaced_where_they_must_be_read():
    assert ANTHROPIC.decode_answer(HALVES).body == HALVES
    assert b'"ours"' in ANTHROPIC.decode_answer(HALVES, model="ours").body
    (part,) = ANTHROPIC.read_reply(HALVES).parts
    assert part == Text("\ufffd")
    frame = b'event: x\ndata: {"type":"content_block_start","content_block":{"text":"\\ud83d"}}\n\n'
    assert fold(keeps_text=True).pass_on(frame, data_of(frame)) == frame
    delta = (
        rb'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\ud83d"}}'
    )
    reader = ANTHROPIC.reader()
    reader.read(b'{"type":"content_block_start","content_block":{"type":"text","text":""}}')
    assert reader.read(delta) == [TextGrew(0, "\ufffd")]


def test_an_explicit_zero_is_a_zero_and_no_usage_is_none():
    assert answer(usage={"input_tokens": 0, "output_tokens": 0}) == Usage()
    assert answer(usage=None) is None
    assert answer(usage={}) is None
    assert answer(usage={"input_tokens": 5}) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"type":"message"}',
        b'{"type":"message","content":"x"}',
        b'{"type":"completion","content":[]}',
        b'{"type":"message","content":[],"x":"\xff"}',
        b'{"type":"message","content":[],"usage":{"input_tokens":-1}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_garbage(body):
    with pytest.raises(UpstreamGarbage):
        ANTHROPIC.decode_answer(body)
    with pytest.raises(UpstreamGarbage):
        ANTHROPIC.read_reply(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"error","error":{"type":"api_error","message":"x"}}',
        b'{"error":{"message":"x"}}',
    ],
)
def test_http_200_with_an_error_body_is_an_error(body):
    with pytest.raises(UpstreamError) as caught:
        ANTHROPIC.decode_answer(body)
    assert not isinstance(caught.value, UpstreamGarbage)


# --- streams -----------------------------------------------------------------------------------


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


START = event(
    "message_start",
    message=message(
        content=[],
        stop_reason=None,
        usage={
            "input_tokens": 10,
            "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7},
            "output_tokens": 1,
        },
    ),
)
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
HI = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "hi é"})
PACKED = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"x":1}\n\n'
BLOCK_STOP = event("content_block_stop", index=0)
DELTA = event(
    "message_delta",
    delta={"stop_reason": "end_turn", "stop_sequence": None},
    usage={"output_tokens": 42, "output_tokens_details": {"thinking_tokens": 40}},
)
STOP = b'event: message_stop\r\ndata: {"type": "message_stop", "new": 1}\r\n\r\n'
PING = event("ping")
STREAM = [START, BLOCK, PING, HI, PACKED, BLOCK_STOP, DELTA]


def fold(**options: Any) -> MessageFold:
    return ANTHROPIC.fold(REQUEST, request_id="req_1", **options)


def passed(folded: MessageFold, frames: list[bytes]) -> bytes:
    return b"".join([folded.pass_on(frame, data_of(frame)) for frame in frames])


def test_frames_pass_as_they_are_and_the_last_is_held_back():
    folded = fold()
    assert passed(folded, STREAM) == b"".join(STREAM)
    assert (folded.finished, folded.done) == (True, False)
    assert passed(folded, [STOP]) == b""
    assert (folded.finished, folded.done) == (True, True)
    assert folded.end() == STOP


def test_the_usage_of_the_start_and_of_the_end_are_one():
    folded = fold()
    passed(folded, STREAM[:1])
    assert folded.usage is None  # Of what will be written it says nothing true.
    assert not folded.finished
    passed(folded, STREAM[1:])
    assert folded.usage == Usage(
        input_tokens=10,
        cached_tokens=5,
        cache_write_1h_tokens=7,
        output_tokens=2,
        reasoning_tokens=40,
    )


def test_a_zero_at_the_end_takes_the_place_of_a_figure_at_the_start():
    folded = fold()
    usage = {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 3}
    passed(folded, [START, event("message_delta", delta={}, usage=usage)])
    assert (folded.usage, folded.finished) == (None, False)  # So far: too little.
    passed(folded, [event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage)])
    assert folded.usage == Usage(cache_write_1h_tokens=7, output_tokens=3)


def test_unknown_events_comments_and_pings_pass():
    frames = [b": hello\n\n", event("something_new", a=1), PING, b"event: x\n\n"]
    assert passed(fold(), frames) == b"".join(frames)


def test_the_name_of_the_model_is_changed_where_that_is_wanted():
    folded = fold(model="ours")
    (frame,) = FrameSplitter().feed(passed(folded, [START]))
    assert frame.startswith(b"event: message_start\n")
    expected = json.loads(data_of(START) or b"")
    expected["message"]["model"] = "ours"
    assert json.loads(data_of(frame) or b"") == expected
    assert passed(folded, STREAM[1:]) == b"".join(STREAM[1:])


def test_what_has_passed_is_remembered_where_that_is_wanted():
    folded = fold(keeps_text=True)
    call = {"type": "tool_use", "id": "t", "name": "add", "input": {}}
    more = [
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "hm "}),
        event("content_block_start", index=1, content_block=call),
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":1,"delta":'
            b'{"type":"input_json_delta","partial_json":"{\\"a\\":1}"}}\n\n'
        ),
    ]
    passed(folded, [*STREAM[:4], *more])
    assert folded.visible == 'hi éhm add{"a":1}'
    assert fold().visible is None


@pytest.mark.parametrize("data", [b"nonsense", b"[]", b'{"a":1}', b'{"type":7}', b"[" * 100_000])
def test_what_is_no_event_is_garbage(data):
    with pytest.raises(UpstreamGarbage):
        fold().pass_on(b"event: x\ndata: " + data + b"\n\n", data)


def _error(kind: str) -> bytes:
    return event("error", error={"type": kind, "message": "x"})


def test_an_overloaded_or_limited_provider_can_be_tried_again_as_long_as_nothing_has_begun():
    with pytest.raises(UpstreamOverloaded):
        passed(fold(), [PING, _error("overloaded_error")])
    with pytest.raises(UpstreamRateLimited):
        passed(fold(), [_error("rate_limit_error")])
    with pytest.raises(UpstreamGarbage) as caught:
        passed(fold(), [START, _error("overloaded_error")])
    assert caught.value.billable


def test_any_other_error_in_mid_stream_ends_it():
    for frame in (_error("api_error"), event("error"), event("error", error=7)):
        with pytest.raises(UpstreamGarbage):
            passed(fold(), [frame])


def test_a_stream_without_its_last_frame_gets_one():
    folded = fold()
    passed(folded, STREAM)
    assert folded.end() == b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def test_errors_and_pings_of_ours_are_in_the_dialect():
    folded = fold()
    frame = folded.error(UpstreamCut("Gone."))
    assert frame.startswith(b"event: error\ndata: {")
    assert json.loads(data_of(frame) or b"")["request_id"] == "req_1"
    assert folded.ping() == b'event: ping\ndata: {"type": "ping"}\n\n'
