"""What is written is read back: calls, answers and streams, for all that Responses can say."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import canonical
from tests.support.canonical import Says
from torana.core.chat import (
    ChatCall,
    ChatReply,
    Document,
    FileRef,
    Finish,
    FunctionTool,
    HiddenThinking,
    Inline,
    Message,
    Part,
    Reasoning,
    Thinking,
    ToolResult,
    Url,
    UrlCitation,
)
from torana.core.events import Event, events_of, fold
from torana.dialects.base import ReplyFrame, Traits
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.sse import FrameSplitter, data_of
from torana.dialects.wire import encode_fields

REQUEST = decode_request(b'{"model":"m","input":"hello"}')
FRAME = ReplyFrame(request=REQUEST, request_id="req_1", created=0)
EXAMPLES = settings(max_examples=100, deadline=None)
CALLS = Says(
    without=frozenset(
        {
            "top_k",
            "frequency_penalty",
            "presence_penalty",
            "seed",
            "stop",
            "top_logprobs",
            "logit_bias",
            "cache",
            "include_usage",
        }
    ),
    names=False,
    cache=(),
    files=("openai",),
    document_context=False,
    document_cited=False,
    thinking=("openai",),
    hidden=("openai",),
    document_citations=False,
    citation_tokens=False,
    result_errors=False,
    reasoning_modes=(None,),
    tiers=("auto", "default", "flex", "priority"),
)
REPLIES = Says(
    names=False,
    cache=(),
    document_citations=False,
    citation_tokens=False,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.TOOL_CALLS, Finish.REFUSAL),
    stop_sequence=False,
    usage=frozenset(
        {
            "input_tokens",
            "cached_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
        }
    ),
)


# --- calls -------------------------------------------------------------------------------------


def part_as_said(part: Part) -> Part:
    """A part with what OpenAI must be told of it."""
    if isinstance(part, (Thinking, HiddenThinking)) and part.id is None:
        return msgspec.structs.replace(part, id="rs_1")
    if isinstance(part, Document):
        if isinstance(part.source, (Url, FileRef)):
            return msgspec.structs.replace(part, title=None)
        return part if part.title else msgspec.structs.replace(part, title="a.pdf")
    if isinstance(part, ToolResult):
        return msgspec.structs.replace(part, parts=tuple(map(part_as_said, part.parts)))
    return part


def call_as_said(call: ChatCall) -> ChatCall:
    """A call in the words of Responses: tools are strict or not, a summary is visible."""
    reasoning = call.reasoning
    if reasoning is not None:
        visible = True if reasoning.summary else None
        reasoning = Reasoning(effort=reasoning.effort, visible=visible, summary=reasoning.summary)
    return msgspec.structs.replace(
        call,
        messages=tuple(
            Message(message.role, tuple(map(part_as_said, message.parts)))
            for message in call.messages
        ),
        tools=tuple(
            msgspec.structs.replace(tool, strict=tool.strict is True)
            if isinstance(tool, FunctionTool)
            else tool
            for tool in call.tools
        ),
        reasoning=reasoning,
        include_usage=True,
    )


@EXAMPLES
@given(canonical.calls(CALLS))
def test_a_call_that_was_written_is_read_back(call):
    said = call_as_said(call)
    written = OPENAI_RESPONSES.write_call(said, Traits())
    assert written.lost == ()
    assert OPENAI_RESPONSES.read_call(written.request) == said


@EXAMPLES
@given(canonical.calls(CALLS))
def test_a_written_request_is_as_if_it_had_been_decoded(call):
    request = OPENAI_RESPONSES.write_call(call_as_said(call), Traits()).request
    body = encode_fields(request.fields)
    assert decode_request(body) == request
    assert OPENAI_RESPONSES.read_costs(request).unruled in {(), ("service_tier=priority",)}


@EXAMPLES
@given(canonical.calls())
def test_every_call_can_be_written_and_what_is_lost_has_a_name(call):
    from torana.dialects.openai_responses.writing import LOST

    written = OPENAI_RESPONSES.write_call(call, Traits())
    assert set(written.lost) <= set(LOST)
    back = OPENAI_RESPONSES.read_call(written.request)
    again = OPENAI_RESPONSES.write_call(back, Traits())
    assert set(again.lost) <= set(written.lost)
    assert OPENAI_RESPONSES.read_call(again.request) == back


# --- replies -----------------------------------------------------------------------------------


def reply_as_said(reply: ChatReply) -> ChatReply:
    return msgspec.structs.replace(reply, id="resp_1")


@EXAMPLES
@given(canonical.replies(REPLIES))
def test_a_reply_that_was_written_is_read_back(reply):
    answer = OPENAI_RESPONSES.write_reply(reply, FRAME)
    assert answer.lost == ()
    assert OPENAI_RESPONSES.read_reply(answer.body) == reply_as_said(reply)


def stream_of(events: list[Event], frame: ReplyFrame = FRAME) -> bytes:
    writer = OPENAI_RESPONSES.writer(frame)
    return b"".join([writer.write(event) for event in events]) + writer.end()


def datas(stream: bytes) -> list[bytes]:
    return [data or b"" for data in map(data_of, FrameSplitter().feed(stream))]


def read_stream(stream: bytes) -> ChatReply:
    reader = OPENAI_RESPONSES.reader()
    events = [event for data in datas(stream) for event in reader.read(data)]
    assert reader.done
    assert reader.finished
    assert reader.finish() == []
    return fold(events)


@st.composite
def cut(draw: st.DrawFn, reply: ChatReply) -> list[Event]:
    """The events of a reply, with its texts cut anywhere."""
    from torana.core.events import ArgumentsGrew, TextGrew

    events: list[Event] = []
    for event in events_of(reply):
        if isinstance(event, (TextGrew, ArgumentsGrew)) and len(event.text) > 1:
            at = draw(st.integers(1, len(event.text) - 1))
            events += [
                type(event)(event.index, event.text[:at]),
                type(event)(event.index, event.text[at:]),
            ]
        else:
            events.append(event)
    return events


@EXAMPLES
@given(st.data())
def test_a_stream_that_was_written_is_read_back(data):
    reply = data.draw(canonical.replies(REPLIES))
    stream = stream_of(data.draw(cut(reply)))
    assert read_stream(stream) == reply_as_said(reply)


@EXAMPLES
@given(st.data())
def test_the_stream_ends_with_the_json_answer(data):
    reply = data.draw(canonical.replies())
    stream = stream_of(data.draw(cut(reply)))
    last = json.loads(datas(stream)[-1])
    assert last["response"] == json.loads(OPENAI_RESPONSES.write_reply(reply, FRAME).body)


@EXAMPLES
@given(canonical.replies())
def test_every_reply_can_be_written_and_what_is_lost_has_a_name(reply):
    from torana.dialects.openai_responses.response_object import LOST

    answer = OPENAI_RESPONSES.write_reply(reply, FRAME)
    assert set(answer.lost) <= set(LOST)
    writer = OPENAI_RESPONSES.writer(FRAME)
    for event in events_of(reply):
        writer.write(event)
    assert set(writer.lost) == set(answer.lost)


@EXAMPLES
@given(canonical.replies(REPLIES))
def test_an_answer_comes_back_in_the_history_of_the_next_request(reply):
    answer = json.loads(OPENAI_RESPONSES.write_reply(reply, FRAME).body)
    body: dict[str, Any] = {
        "model": "m",
        "input": [*answer["output"], {"role": "user", "content": "go on"}],
    }
    call = OPENAI_RESPONSES.read_call(decode_request(json.dumps(body).encode()))
    (*said, asked) = call.messages
    assert asked.role == "user"
    parts = reply.parts
    assert [message.parts for message in said] == ([parts] if parts else [])
    assert call.unsaid == ()


@EXAMPLES
@given(canonical.replies(REPLIES))
def test_every_event_is_numbered_and_items_keep_their_ids(reply):
    events = [json.loads(data) for data in datas(stream_of(events_of(reply)))]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    ids: dict[int, str] = {}
    for event in events:
        if "output_index" in event:
            name = event.get("item_id") or event["item"]["id"]
            assert ids.setdefault(event["output_index"], name) == name
    final = events[-1]["response"]["output"]
    assert ids == {index: item["id"] for index, item in enumerate(final)}
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert sorted(done, key=lambda item: str(item["id"])) == sorted(
        final, key=lambda item: str(item["id"])
    )


def test_a_citation_of_the_whole_text_tells_its_characters():
    from torana.core.chat import Text

    cited = Text("hello", (UrlCitation("https://example.com"),))
    reply = ChatReply(id="x", model="m", parts=(cited,))
    body = json.loads(OPENAI_RESPONSES.write_reply(reply, FRAME).body)
    (mark,) = body["output"][0]["content"][0]["annotations"]
    assert (mark["start_index"], mark["end_index"], mark["title"]) == (0, 5, "")


def test_a_picture_of_bytes_is_a_data_url_both_ways():
    from torana.core.chat import Image

    image = Image(Inline("image/png", "AAAA"))
    call = ChatCall(model="m", messages=(Message("user", (image,)),))
    fields = OPENAI_RESPONSES.write_call(call, Traits()).request.fields
    (item,) = json.loads(bytes(fields["input"]))
    assert item["content"] == [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
