"""What is written for callers, read by the anthropic SDK itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpx2
import msgspec
import pytest
from anthropic import Anthropic, APIStatusError
from hypothesis import given, settings

from tests.support import canonical
from tests.unit.dialects.anthropic.test_round_trips import FRAME, REPLIES
from torana.core.chat import ChatReply, Finish, Text, Thinking, ToolCall, UrlCitation
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Ended,
    Event,
    PartBegan,
    PartEnded,
    TextGrew,
    UsageTold,
    events_of,
)
from torana.core.usage import Usage
from torana.dialects.anthropic import ANTHROPIC
from torana.errors import UpstreamCut


def client(content: bytes, kind: str) -> Anthropic:
    answer = httpx2.Response(200, content=content, headers={"content-type": kind})
    transport = httpx2.MockTransport(lambda _request: answer)
    return Anthropic(
        api_key="k",
        base_url="http://torana.test",
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )


ASKED: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5,
    "messages": [{"role": "user", "content": "hi"}],
}


def whole(reply: ChatReply) -> dict[str, Any]:
    body = ANTHROPIC.write_reply(reply, FRAME).body
    message = client(body, "application/json").messages.create(**ASKED)
    found: dict[str, Any] = message.to_dict()
    return found


def stream_of(events: Iterable[Event]) -> bytes:
    writer = ANTHROPIC.writer(FRAME)
    return b"".join(map(writer.write, events)) + writer.end()


def streamed(events: Iterable[Event]) -> dict[str, Any]:
    opened = client(stream_of(events), "text/event-stream").messages.stream(**ASKED)
    with opened as stream:
        found: dict[str, Any] = stream.get_final_message().to_dict()
    return found


def _comparable(message: dict[str, Any]) -> dict[str, Any]:
    """Without what a stream can't tell through the SDK: it takes some figures from the start."""
    usage = dict(message["usage"])
    for name in ("cache_creation", "service_tier"):
        usage.pop(name, None)
    content = [
        {name: value for name, value in block.items() if value is not None}
        for block in message["content"]
    ]
    kept = {name: value for name, value in message.items() if value is not None}
    return {**kept, "content": content, "usage": usage}


@settings(max_examples=40, deadline=None)
@given(canonical.replies(REPLIES))
def test_the_sdk_gathers_from_a_stream_what_it_reads_from_json(reply):
    # Numbers that the SDK's own reader of JSON pieces can't hold are not its affair here.
    parts = tuple(
        msgspec.structs.replace(part, arguments='{"a":{"b":["é",1]}}')
        if isinstance(part, ToolCall)
        else part
        for part in reply.parts
    )
    reply = msgspec.structs.replace(reply, parts=parts)
    assert _comparable(streamed(events_of(reply))) == _comparable(whole(reply))


def test_the_sdks_own_events_tell_texts_thinking_and_pieces_of_arguments():
    reply = ChatReply(
        id="x",
        model="claude",
        parts=(
            Thinking("hm", "sig", "anthropic"),
            Text("said", (UrlCitation("https://e.com", "T"),)),
            ToolCall("t_1", "add", '{"a": 1}'),
        ),
        finish=Finish.TOOL_CALLS,
        usage=Usage(input_tokens=3, output_tokens=4),
    )
    seen = []
    body = stream_of(events_of(reply))
    with client(body, "text/event-stream").messages.stream(**ASKED) as stream:
        seen = [event.type for event in stream]
        final = stream.get_final_message()
    for kind in ("thinking", "signature", "text", "citation", "input_json", "message_stop"):
        assert kind in seen
    assert final.stop_reason == "tool_use"
    assert final.id == "msg_0123"
    assert [block.type for block in final.content] == ["thinking", "text", "tool_use"]


@pytest.mark.parametrize("arguments", ["", "{}", '{"n":12345678901234567890}'])
def test_the_sdk_reads_the_arguments_of_a_call(arguments):
    events: list[Event] = [
        Began("x", "claude"),
        PartBegan(0, ToolCall("t_1", "f", "")),
        *([ArgumentsGrew(0, arguments)] if arguments else []),
        PartEnded(0),
        Ended(Finish.TOOL_CALLS),
    ]
    (block,) = streamed(events)["content"]
    assert block["input"] == ({"n": 12345678901234567890} if "n" in arguments else {})


def test_the_sdk_raises_an_error_in_mid_stream():
    writer = ANTHROPIC.writer(FRAME)
    begun: list[Event] = [Began("x", "claude"), PartBegan(0, Text("")), TextGrew(0, "hal")]
    body = b"".join(map(writer.write, begun)) + writer.ping() + writer.error(UpstreamCut("Cut."))
    opened = client(body, "text/event-stream").messages.stream(**ASKED)
    with opened as stream, pytest.raises(APIStatusError) as caught:
        stream.get_final_message()
    assert caught.value.type == "api_error"
    assert caught.value.error_code == "upstream_cut"


def test_the_sdk_runs_a_tool_and_sends_back_what_this_dialect_reads():
    reply = ChatReply(
        id="x",
        model="claude",
        parts=(Thinking("hm", "enc", "openai", "rs_1"), ToolCall("t_1", "add", '{"a":1}')),
        finish=Finish.TOOL_CALLS,
    )
    body = ANTHROPIC.write_reply(reply, FRAME).body
    message = client(body, "application/json").messages.create(**ASKED)
    sent = {
        **ASKED,
        "messages": [
            *ASKED["messages"],
            {"role": "assistant", "content": message.to_dict()["content"]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t_1", "content": "2"}],
            },
        ],
    }
    call = ANTHROPIC.read_call(ANTHROPIC.decode_request(msgspec.json.encode(sent)))
    assert call.messages[1].parts == reply.parts
    assert call.unsaid == ()


def test_usage_told_at_the_end_is_what_the_sdk_has_in_the_end():
    usage = Usage(
        input_tokens=3,
        cached_tokens=20,
        cache_write_tokens=100,
        cache_write_1h_tokens=200,
        output_tokens=5,
        reasoning_tokens=7,
    )
    events: list[Event] = [
        Began("x", "claude"),
        PartBegan(0, Text("")),
        TextGrew(0, "hi"),
        PartEnded(0),
        UsageTold(usage),
        Ended(Finish.STOP),
    ]
    found = streamed(events)["usage"]
    assert found["input_tokens"] == 3
    assert found["cache_read_input_tokens"] == 20
    assert found["cache_creation_input_tokens"] == 300
    assert found["output_tokens"] == 12
    assert found["output_tokens_details"] == {"thinking_tokens": 7}
