"""What is written for callers, as the openai SDK reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from openai import APIStatusError, OpenAI
from openai.types.responses import Response
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support import canonical
from torana.core.chat import (
    ChatReply,
    Finish,
    HiddenThinking,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.core.events import events_of
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import UpstreamCut

BODY = {
    "model": "m",
    "input": "hello",
    "instructions": "Be brief.",
    "temperature": 0.5,
    "metadata": {"a": "b"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "tools": [{"type": "function", "name": "look_up"}],
}
FRAME = ReplyFrame(
    request=OPENAI_RESPONSES.decode_request(json.dumps(BODY).encode()),
    request_id="req_7",
    model="mine",
    created=1_790_000_000,
    previous_id="resp_6",
    stored=True,
)
USAGE = Usage(input_tokens=7, cached_tokens=2, output_tokens=3, reasoning_tokens=4)
REPLIES: dict[str, tuple[Part, ...]] = {
    "text": (Text("Hello, "), Text("world \U0001f600")),
    "nothing": (),
    "tool": (ToolCall("call_1", "look_up", '{"q":"x"}'),),
    "no arguments": (ToolCall("call_1", "look_up", "{}"),),
    "parallel tools": (
        Text("I look it up."),
        ToolCall("call_1", "look_up", '{"q":"x"}'),
        ToolCall("call_2", "look_up", '{"q":"y"}'),
        ToolCall("call_3", "say", "free text", custom=True),
    ),
    "thinking": (
        Thinking("Hm.", "c2ln", "anthropic"),
        HiddenThinking("ZGF0YQ", "anthropic"),
        Thinking("So.", "c2ln", "openai", "rs_5"),
        Thinking("Just words."),
        Text("Yes."),
        ToolCall("call_1", "look_up", "{}"),
        Text("And more."),
    ),
    "citations": (Text("As they say.", (UrlCitation("https://example.com/a", "A", 0, 2),)),),
    "refusal": (Refusal("No."),),
}


def reply_of(name: str) -> ChatReply:
    finish = Finish.TOOL_CALLS if "tool" in name or name == "no arguments" else Finish.STOP
    return ChatReply(id="x", model="theirs", parts=REPLIES[name], finish=finish, usage=USAGE)


def stream_of(reply: ChatReply, frame: ReplyFrame = FRAME) -> bytes:
    writer = OPENAI_RESPONSES.writer(frame)
    return b"".join([writer.write(event) for event in events_of(reply)]) + writer.end()


def client(body: bytes, content_type: str) -> OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    transport = httpx2.MockTransport(answer)
    return OpenAI(
        api_key="k", base_url="http://test/v1", http_client=httpx2.Client(transport=transport)
    )


def streamed(stream: bytes, **fields: Any) -> Response:
    caller = client(stream, "text/event-stream")
    with caller.responses.stream(model="m", input="hello", **fields) as events:
        return events.get_final_response()


@pytest.mark.parametrize("name", REPLIES)
def test_the_sdk_reads_an_answer_whose_types_are_all_valid(name):
    answer = OPENAI_RESPONSES.write_reply(reply_of(name), FRAME)
    Response.model_validate_json(answer.body, strict=False)
    read = client(answer.body, "application/json").responses.create(model="m", input="hello")
    assert read.id == "resp_7"
    assert read.model == "mine"
    assert read.previous_response_id == "resp_6"
    assert read.instructions == "Be brief."
    assert read.output_text == "".join(p.text for p in REPLIES[name] if isinstance(p, Text))
    assert read.usage is not None
    assert read.usage.input_tokens == 9
    assert read.usage.input_tokens_details.cached_tokens == 2
    assert read.usage.output_tokens_details.reasoning_tokens == 4


@pytest.mark.parametrize("name", REPLIES)
def test_the_sdk_gathers_a_stream_to_the_json_answer(name):
    reply = reply_of(name)
    whole = Response.model_validate_json(OPENAI_RESPONSES.write_reply(reply, FRAME).body)
    final = streamed(stream_of(reply))
    assert final.status == "completed"
    assert final.to_dict(mode="json", exclude_unset=False).keys() >= whole.to_dict().keys()
    assert comparable(final) == comparable(whole)


def comparable(response: Response) -> dict[str, Any]:
    """A response without what the SDK's helper adds to it (`parsed`, `parsed_arguments`)."""
    found: dict[str, Any] = json.loads(response.to_json())

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: cleaned(v) for k, v in value.items() if not k.startswith("parsed")}
        return [cleaned(v) for v in value] if isinstance(value, list) else value

    plain: dict[str, Any] = cleaned(found)
    return plain


@pytest.mark.parametrize("name", REPLIES)
def test_every_event_is_of_the_sdks_types(name):
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    for frame in FrameSplitter().feed(stream_of(reply_of(name))):
        data = data_of(frame) or b""
        event = adapter.validate_json(data)
        assert event.type == json.loads(data)["type"]
        assert frame.startswith(b"event: " + event.type.encode() + b"\n")


@pytest.mark.parametrize("name", REPLIES)
def test_the_text_that_the_sdk_has_seen_grow_is_the_text_of_the_answer(name):
    caller = client(stream_of(reply_of(name)), "text/event-stream")
    seen: dict[int, list[str]] = {}
    arguments: dict[int, list[str]] = {}
    with caller.responses.stream(model="m", input="hello") as events:
        for event in events:
            if event.type == "response.output_text.delta":
                seen.setdefault(event.output_index, []).append(event.delta)
            elif event.type == "response.function_call_arguments.delta":
                arguments.setdefault(event.output_index, []).append(event.delta)
        final = events.get_final_response()
    for index, item in enumerate(final.output):
        if item.type == "message":
            said = "".join(part.text for part in item.content if part.type == "output_text")
            assert "".join(seen.get(index, [])) == said
        elif item.type == "function_call":
            assert "".join(arguments[index]) == item.arguments


def test_an_answer_that_was_cut_at_its_limit_is_incomplete_in_the_sdk():
    reply = ChatReply(id="x", model="m", parts=(Text("Hel"),), finish=Finish.LENGTH, usage=USAGE)
    events = list(events_in(stream_of(reply)))
    assert events[-1]["type"] == "response.incomplete"
    last = Response.model_validate(events[-1]["response"])
    assert last.status == "incomplete"
    assert last.incomplete_details is not None
    assert last.incomplete_details.reason == "max_output_tokens"


def events_in(stream: bytes) -> Iterator[dict[str, Any]]:
    for frame in FrameSplitter().feed(stream):
        yield json.loads(data_of(frame) or b"")


def test_the_sdk_sees_an_error_in_mid_stream_and_no_finish():
    writer = OPENAI_RESPONSES.writer(FRAME)
    events = events_of(reply_of("text"))
    begun = b"".join([writer.write(event) for event in events[:3]])
    stream = begun + writer.error(UpstreamCut("The provider's answer ended in the middle."))
    caller = client(stream, "text/event-stream")
    with caller.responses.stream(model="m", input="hello") as read:
        seen = list(read)
        assert seen[-1].type == "error"
        assert seen[-1].code == "upstream_cut"
        assert seen[-1].sequence_number == len(seen) - 1
        with pytest.raises(RuntimeError, match="completed"):
            read.get_final_response()


def test_the_sdk_skips_pings():
    writer = OPENAI_RESPONSES.writer(FRAME)
    frames = [writer.write(event) for event in events_of(reply_of("text"))]
    stream = writer.ping().join(frames) + writer.ping() + writer.end()
    assert streamed(stream).output_text == "Hello, world \U0001f600"


@settings(deadline=None, max_examples=50)
@given(canonical.replies())
def test_any_reply_gives_a_stream_that_the_sdk_accepts(reply):
    # The SDK's helper wants a response that has been completed.
    finish = reply.finish if reply.finish is Finish.TOOL_CALLS else Finish.STOP
    reply = msgspec.structs.replace(reply, finish=finish)
    final = streamed(stream_of(reply))
    assert final.output_text == "".join(p.text for p in reply.parts if isinstance(p, Text))


def test_the_sdk_reads_our_errors():
    def answer(request: httpx2.Request) -> httpx2.Response:
        from torana.dialects.openai_errors import encode_error
        from torana.errors import InvalidRequest

        error = InvalidRequest("No.", param="input")
        return httpx2.Response(400, json=encode_error(error))

    transport = httpx2.MockTransport(answer)
    caller = OpenAI(
        api_key="k", base_url="http://t/v1", http_client=httpx2.Client(transport=transport)
    )
    with pytest.raises(APIStatusError) as caught:
        caller.responses.create(model="m", input="x")
    assert caught.value.param == "input"
