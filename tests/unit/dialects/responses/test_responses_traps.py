"""What other gateways got wrong, as far as Responses are concerned (see docs/translation.md)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    CacheMark,
    ChatCall,
    ChatReply,
    Finish,
    FunctionTool,
    HiddenThinking,
    Image,
    Inline,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
)
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Ended,
    Event,
    PartBegan,
    PartEnded,
    TextGrew,
    events_of,
    fold,
)
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame, Traits
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import UpstreamError, UpstreamRejected

REQUEST = decode_request(b'{"model":"m","input":"hello"}')
FRAME = ReplyFrame(request=REQUEST, request_id="req_1")
HELLO = Message("user", (Text("hello"),))


def stream_of(reply: ChatReply) -> bytes:
    writer = OPENAI_RESPONSES.writer(FRAME)
    return b"".join([writer.write(event) for event in events_of(reply)]) + writer.end()


def events_in(stream: bytes) -> list[dict[str, Any]]:
    return [json.loads(data_of(frame) or b"") for frame in FrameSplitter().feed(stream)]


def read_back(stream: bytes) -> ChatReply:
    reader = OPENAI_RESPONSES.reader()
    frames = FrameSplitter().feed(stream)
    return fold([event for frame in frames for event in reader.read(data_of(frame) or b"")])


def next_turn(stream: bytes) -> ChatCall:
    """What a caller sends who goes on from an answer, as we read it."""
    output = events_in(stream)[-1]["response"]["output"]
    body = {"model": "m", "input": [*output, {"role": "user", "content": "hello"}]}
    return OPENAI_RESPONSES.read_call(decode_request(json.dumps(body).encode()))


def sent(*messages: Message, **fields: Any) -> list[dict[str, Any]]:
    call = ChatCall(model="m", messages=messages, **fields)
    written = OPENAI_RESPONSES.write_call(call, Traits())
    items: list[dict[str, Any]] = json.loads(bytes(written.request.fields["input"]))
    return items


THOUGHTS: tuple[Part, ...] = (
    Thinking("Hm.", "c2ln", "anthropic"),
    Thinking("", "only a signature", "anthropic"),
    HiddenThinking("redacted", "anthropic"),
    Thinking("So.", "gA", "openai", "rs_9"),
    HiddenThinking("gB", "openai", "rs_10"),
)


def test_reasoning_is_not_dropped_in_answers_or_streams():
    reply = ChatReply(id="x", model="m", parts=(*THOUGHTS, Text("Yes.")))
    body = json.loads(OPENAI_RESPONSES.write_reply(reply, FRAME).body)
    assert [item["type"] for item in body["output"]] == ["reasoning"] * 5 + ["message"]
    assert read_back(stream_of(reply)).parts == reply.parts


def test_signatures_and_redacted_blocks_come_back_in_the_next_turn():
    reply = ChatReply(id="x", model="m", parts=(*THOUGHTS, Text("Yes.")))
    assert next_turn(stream_of(reply)).messages[0] == Message("assistant", reply.parts)


def test_old_thinking_is_never_sent_as_visible_text():
    items = sent(HELLO, Message("assistant", (*THOUGHTS[:3], Text("Yes."))), HELLO)
    assert [item["type"] for item in items] == ["message"] * 3
    assert "Hm." not in json.dumps(items)


def test_a_mark_of_the_cache_is_lost_with_its_name_wherever_it_stands():
    mark = CacheMark()
    places: list[tuple[tuple[Message, ...], tuple[FunctionTool, ...]]] = [
        ((Message("user", (Text("a", cache=mark),)),), ()),
        ((Message("assistant", (ToolCall("c", "f", "{}", cache=mark),)), HELLO), ()),
        ((Message("user", (ToolResult("c", (Text("a"),), cache=mark),)),), ()),
        ((Message("user", (ToolResult("c", (Text("a", cache=mark),)),)),), ()),
        ((HELLO,), (FunctionTool("f", cache=mark),)),
    ]
    for messages, tools in places:
        call = ChatCall(model="m", messages=messages, tools=tools)
        assert OPENAI_RESPONSES.write_call(call, Traits()).lost == ("cache_control",)


def test_parallel_calls_of_tools_stay_apart_and_in_order():
    calls = tuple(ToolCall(f"call_{n}", "f", f'{{"n":{n}}}') for n in range(3))
    # They grow in turns and end together, as in OpenAI's chat.
    events: list[Event] = [
        Began("x", "m"),
        *(PartBegan(n, ToolCall(f"call_{n}", "f", "")) for n in range(3)),
        *(ArgumentsGrew(n, '{"n":') for n in range(3)),
        *(ArgumentsGrew(n, f"{n}}}") for n in range(3)),
        *(PartEnded(n) for n in range(3)),
        Ended(Finish.TOOL_CALLS),
    ]
    writer = OPENAI_RESPONSES.writer(FRAME)
    stream = b"".join([writer.write(event) for event in events]) + writer.end()
    assert read_back(stream).parts == calls
    output = events_in(stream)[-1]["response"]["output"]
    assert [(item["call_id"], item["arguments"]) for item in output] == [
        (call.id, call.arguments) for call in calls
    ]
    assert len({item["id"] for item in output}) == 3


def test_no_arguments_are_an_empty_object():
    events: list[Event] = [
        event
        for event in events_of(ChatReply(id="x", model="m", parts=(ToolCall("c", "f", ""),)))
        if not isinstance(event, ArgumentsGrew)
    ]
    writer = OPENAI_RESPONSES.writer(FRAME)
    stream = b"".join([writer.write(event) for event in events]) + writer.end()
    found = events_in(stream)
    assert [e["delta"] for e in found if e["type"].endswith("arguments.delta")] == ["{}"]
    assert [e["arguments"] for e in found if e["type"].endswith("arguments.done")] == ["{}"]
    assert found[-1]["response"]["output"][0]["arguments"] == "{}"
    said = [{"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}]
    call = OPENAI_RESPONSES.read_call(
        decode_request(json.dumps({"model": "m", "input": said}).encode())
    )
    assert call.messages[0].parts == (ToolCall("c", "f", "{}"),)


def test_results_of_tools_keep_their_order_and_their_calls():
    calls = tuple(ToolCall(f"call_{n}", "f", "{}") for n in (2, 0, 1))
    results = tuple(ToolResult(call.id, (Text(f"for {call.id}"),)) for call in calls)
    items = sent(HELLO, Message("assistant", calls), Message("user", (*results, Text("go on"))))
    assert [item.get("call_id") for item in items] == [
        None,
        "call_2",
        "call_0",
        "call_1",
        "call_2",
        "call_0",
        "call_1",
        None,
    ]
    body = json.dumps({"model": "m", "input": items}).encode()
    read = OPENAI_RESPONSES.read_call(decode_request(body)).messages
    assert read[2].parts == (*results, Text("go on"))


@pytest.mark.parametrize(
    ("source", "url"),
    [
        (Url("https://e.com/a.png"), "https://e.com/a.png"),
        (Inline("image/png", "AAAA"), "data:image/png;base64,AAAA"),
    ],
)
def test_pictures_by_address_and_in_base64_are_both_sent(source, url):
    (item,) = sent(Message("user", (Image(source),)))
    assert item["content"] == [{"type": "input_image", "image_url": url}]


def test_instructions_in_the_middle_of_a_conversation_stay_there():
    items = sent(HELLO, Message("system", (Text("Now in French."),)), HELLO)
    assert [item["role"] for item in items] == ["user", "system", "user"]


def test_a_limit_that_is_absent_stays_absent():
    call = ChatCall(model="m", messages=(HELLO,))
    written = OPENAI_RESPONSES.write_call(call, Traits(max_output=100)).request
    assert "max_output_tokens" not in written.fields
    assert written.max_output is None


def test_usage_is_in_the_last_event_with_both_details_and_nowhere_before():
    usage = Usage(
        input_tokens=5,
        cached_tokens=3,
        cache_write_1h_tokens=2,
        output_tokens=4,
        reasoning_tokens=1,
    )
    found = events_in(stream_of(ChatReply(id="x", model="m", parts=(Text("a"),), usage=usage)))
    assert [e["response"]["usage"] for e in found[:2]] == [None, None]
    assert found[-1]["response"]["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 15,
    }


def test_an_error_code_is_a_text():
    with pytest.raises(UpstreamRejected) as caught:
        OPENAI_RESPONSES.reader().read(b'{"type":"error","code":400,"message":"No."}')
    written = json.loads(data_of(OPENAI_RESPONSES.writer(FRAME).error(caught.value)) or b"")
    assert written == {
        "type": "error",
        "code": "400",
        "message": "No.",
        "param": None,
        "sequence_number": 0,
    }


def test_a_success_status_with_an_error_body_is_an_error():
    for body in (
        b'{"error":{"message":"x","code":"server_error"}}',
        b'{"object":"response","status":"failed"}',
    ):
        for decode in (OPENAI_RESPONSES.decode_answer, OPENAI_RESPONSES.read_reply):
            with pytest.raises(UpstreamError):
                decode(body)


def test_characters_that_chunks_cut_are_whole_again():
    stream = stream_of(ChatReply(id="x", model="m", parts=(Text("naïve \U0001f600 café"),)))
    for at in range(len(stream)):
        splitter = FrameSplitter()
        frames = [*splitter.feed(stream[:at]), *splitter.feed(stream[at:])]
        assert b"".join(frames) == stream
    assert read_back(stream).parts == (Text("naïve \U0001f600 café"),)


def test_a_provider_that_drops_leaves_no_finish():
    reader, writer = OPENAI_RESPONSES.reader(), OPENAI_RESPONSES.writer(FRAME)
    stream = stream_of(ChatReply(id="x", model="m", parts=(Text("a"),)))
    *frames, _terminal = FrameSplitter().feed(stream)
    events = [event for frame in frames for event in reader.read(data_of(frame) or b"")]
    assert not reader.finished
    passed = b"".join([writer.write(event) for event in events])
    assert any(isinstance(event, TextGrew) for event in events)
    assert b"response.completed" not in passed
    assert b"response.incomplete" not in passed


def test_the_first_frame_says_who_speaks():
    found = events_in(stream_of(ChatReply(id="x", model="m", parts=(Text("a"),))))
    assert found[0]["type"] == "response.created"
    assert found[2]["item"]["role"] == "assistant"
