"""The openai SDK reads what is written here: answers, streams and its own accumulation of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings

from tests.support.canonical import Says, replies
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
from torana.core.events import events_of
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.errors import UpstreamCut

USAGE = Usage(input_tokens=3, cached_tokens=4, output_tokens=5, reasoning_tokens=6)


class Answering(httpx2.BaseTransport):
    """A server that gives one answer."""

    def __init__(self) -> None:
        self.content = b""
        self.kind = ""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": self.kind}
        return httpx2.Response(200, headers=headers, content=self.content, request=request)


SERVER = Answering()


@cache
def sdk() -> openai.OpenAI:
    http = httpx2.Client(transport=SERVER)
    return openai.OpenAI(api_key="k", base_url="http://server/v1", http_client=http, max_retries=0)


def client(content: bytes, kind: str) -> openai.OpenAI:
    SERVER.content, SERVER.kind = content, kind
    return sdk()


def frame(*, include_usage: bool = True) -> ReplyFrame:
    body: dict[str, Any] = {"model": "asked", "messages": [], "stream": True}
    if include_usage:
        body["stream_options"] = {"include_usage": True}
    request = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    return ReplyFrame(request=request, request_id="req_7", created=5)


def stream_of(reply: ChatReply, *, include_usage: bool = True) -> bytes:
    writer = OPENAI_CHAT.writer(frame(include_usage=include_usage))
    return b"".join([writer.write(event) for event in events_of(reply)]) + writer.end()


def accumulated(stream: bytes) -> dict[str, Any]:
    """What the SDK's own helper makes of a stream, cut short or not."""
    helper = client(stream, "text/event-stream").chat.completions.stream(
        model="m", messages=[], stream_options={"include_usage": True}
    )
    with helper as events:
        try:
            for _ in events:
                pass
        except (openai.LengthFinishReasonError, openai.ContentFilterFinishReasonError):
            pass  # How the helper tells that an answer is not whole.
        made: dict[str, Any] = events.current_completion_snapshot.to_dict()
        return made


def whole(reply: ChatReply) -> dict[str, Any]:
    body = OPENAI_CHAT.write_reply(reply, frame()).body
    answer = client(body, "application/json").chat.completions.create(model="m", messages=[])
    made: dict[str, Any] = answer.to_dict()
    return made


def chunks_of(stream: bytes) -> list[Any]:
    sdk = client(stream, "text/event-stream")
    return list(sdk.chat.completions.create(model="m", messages=[], stream=True))


def comparable(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without what only one of the two forms has."""
    message = answer["choices"][0]["message"]
    said = {key: value for key, value in message.items() if value is not None and key != "parsed"}
    for call in said.get("tool_calls", ()):
        call.pop("index", None)
        call.get("function", {}).pop("parsed_arguments", None)
    for annotation in said.get("annotations", ()):
        annotation.pop("index", None)
    return {
        "id": answer["id"],
        "model": answer["model"],
        "created": answer["created"],
        "usage": answer["usage"],
        "finish": answer["choices"][0]["finish_reason"],
        "message": said,
    }


def reply(*parts: Any, finish: Finish = Finish.STOP, **more: Any) -> ChatReply:
    return ChatReply(id="p", model="m", created=5, parts=parts, finish=finish, usage=USAGE, **more)


REPLIES = {
    "text": reply(Text("Hel\nlo \U0001f600 नमस्ते" * 20)),
    "nothing": reply(),
    "a tool": reply(ToolCall("c1", "f", '{"a": 1}'), finish=Finish.TOOL_CALLS),
    "a tool without arguments": reply(ToolCall("c1", "f", "{}"), finish=Finish.TOOL_CALLS),
    "parallel tools": reply(
        Text("I look."),
        ToolCall("c1", "f", '{"a":1}'),
        ToolCall("c2", "g", "{}"),
        ToolCall("c3", "f", '{"b":[2]}'),
        finish=Finish.TOOL_CALLS,
    ),
    "thinking": reply(
        Thinking("Hm.", "sig==", "anthropic"),
        HiddenThinking("secret", "anthropic"),
        Thinking("So", "enc", "openai", "rs_1"),
        Thinking("mere text"),
        Text("Done."),
    ),
    "a refusal": reply(Refusal("I won't."), finish=Finish.REFUSAL),
    "a filter": reply(Text("I"), finish=Finish.REFUSAL),
    "length": reply(Text("cut"), finish=Finish.LENGTH),
    "citations": reply(
        Text("a😀b", (UrlCitation("https://e.com/1", "One", 1, 2), UrlCitation("https://e.com/2"))),
        Text("cd", (UrlCitation("https://e.com/3"),)),
    ),
    "a tier": reply(Text("fast"), service_tier="priority"),
}


@pytest.fixture(params=REPLIES)
def written(request: pytest.FixtureRequest) -> ChatReply:
    return REPLIES[request.param]


def test_the_sdk_accumulates_a_stream_to_what_the_json_answer_says(written):
    assert comparable(accumulated(stream_of(written))) == comparable(whole(written))


def test_the_sdk_reads_every_chunk_and_each_has_the_same_head(written):
    chunks = chunks_of(stream_of(written))
    assert {(c.id, c.created, c.model, c.object) for c in chunks} == {
        ("chatcmpl-7", 5, "m", "chat.completion.chunk")
    }
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].delta.role for c in chunks[1:-1]].count("assistant") == 0
    assert (chunks[-1].choices, [c.usage for c in chunks[:-1]]) == ([], [None] * (len(chunks) - 1))
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens == 7
    assert [c.choices[0].finish_reason is not None for c in chunks[:-1]] == [
        *[False] * (len(chunks) - 2),
        True,
    ]


SAID = Says(
    cache=(),
    document_citations=False,
    citation_spans=False,
    citation_tokens=False,
    call_order=False,
    custom_tools=False,  # The SDK's helper knows functions only.
    finishes=(Finish.STOP, Finish.LENGTH, Finish.TOOL_CALLS, Finish.REFUSAL),
    stop_sequence=False,
)


@given(replies(SAID))
@settings(max_examples=25, deadline=None)
def test_the_sdk_accumulates_every_stream_to_what_its_json_answer_says(written):
    assert comparable(accumulated(stream_of(written))) == comparable(whole(written))


def test_the_last_chunk_tells_the_tier_and_a_custom_tool_is_told_as_in_a_message():
    call = ToolCall("c1", "sql", "select 1", custom=True)
    chunks = chunks_of(stream_of(reply(call, finish=Finish.TOOL_CALLS, service_tier="flex")))
    assert [c.service_tier for c in chunks if c.service_tier] == ["flex"]
    told = [call.to_dict() for c in chunks[1:-2] for call in c.choices[0].delta.tool_calls]
    assert told == [
        {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sql", "input": ""}},
        {"index": 0, "custom": {"input": "select 1"}},
    ]


def test_without_include_usage_no_chunk_speaks_of_usage():
    stream = stream_of(REPLIES["text"], include_usage=False)
    assert b'"usage"' not in stream
    assert stream.endswith(b"data: [DONE]\n\n")


def test_the_sdk_raises_an_error_in_mid_stream_and_nothing_fakes_a_finish():
    writer = OPENAI_CHAT.writer(frame())
    events = events_of(REPLIES["text"])
    begun = b"".join(writer.write(event) for event in events[:3])
    stream = begun + writer.error(UpstreamCut("The provider hung up."))
    assert b"[DONE]" not in stream
    with pytest.raises(openai.APIError, match="hung up"):
        chunks_of(stream)


def test_what_the_sdk_accumulated_comes_back_as_the_assistants_turn_with_its_signatures():
    """The round trip of thinking: reply, the caller's history, and the next request."""
    message = accumulated(stream_of(REPLIES["thinking"]))["choices"][0]["message"]
    history = [{"role": "user", "content": "q"}, message, {"role": "user", "content": "go on"}]
    body = json.dumps({"model": "m", "messages": history}).encode()
    call = OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(body))
    assert call.messages[1].parts == REPLIES["thinking"].parts
