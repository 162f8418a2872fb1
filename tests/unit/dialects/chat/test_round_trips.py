"""What is written in OpenAI's chat is read again: calls, replies, and streams of replies."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canonical import Says, calls, replies
from tests.support.canonical_says import CONVERSATION_UNITS
from torana.core.chat import ChatReply, Finish, Text, UrlCitation
from torana.core.events import events_of, fold
from torana.dialects.base import ReplyFrame, StreamReader, StreamWriter, Traits
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.sse import FrameSplitter, data_of

CALLS = Says(
    cache=(),
    files=(),
    document_urls=False,
    document_texts=False,
    document_context=False,
    document_cited=False,
    titles=False,
    thinking=(),
    hidden=(),
    url_citations=False,
    document_citations=False,
    result_parts=(Text,),
    result_errors=False,
    call_order=False,
    reasoning_modes=(None,),
    visible=False,
    summaries=(),
    tiers=("auto", "default", "flex", "priority"),
    without=frozenset({"top_k", "cache", "include_usage"}),
)
REPLIES = Says(
    cache=(),
    document_citations=False,
    citation_spans=False,
    citation_tokens=False,
    call_order=False,
    max_texts=1,
    finishes=(Finish.STOP, Finish.LENGTH, Finish.TOOL_CALLS, Finish.REFUSAL),
    stop_sequence=False,
    usage=CONVERSATION_UNITS - {"cache_write_1h_tokens"},
)
TRAITS = Traits()


def frame(*, include_usage: bool = True, model: str | None = None) -> ReplyFrame:
    body = {"model": "asked", "messages": [], "stream": True}
    if include_usage:
        body["stream_options"] = {"include_usage": True}
    request = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    return ReplyFrame(request=request, request_id="req_7", model=model, created=5)


@given(calls(CALLS))
def test_a_call_is_read_as_it_was_written(call):
    written = OPENAI_CHAT.write_call(call, TRAITS)
    assert written.lost == ()
    sent = OPENAI_CHAT.encode_upstream(
        written.request, model=call.model, max_output_field="max_completion_tokens"
    )
    read = OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(sent))
    assert read == msgspec.structs.replace(call, include_usage=call.stream)


@given(calls(replace(CALLS, titles=True)))
def test_titles_of_documents_are_read_as_they_were_written(call):
    written = OPENAI_CHAT.write_call(call, TRAITS)
    assert written.lost == ()
    assert OPENAI_CHAT.read_call(written.request).messages == call.messages


@given(replies(REPLIES))
def test_a_reply_is_read_as_it_was_written(reply):
    answer = OPENAI_CHAT.write_reply(reply, frame())
    assert (answer.usage, answer.lost) == (reply.usage, ())
    assert OPENAI_CHAT.read_reply(answer.body) == msgspec.structs.replace(reply, id="chatcmpl-7")


def written_stream(reply: ChatReply, writer: StreamWriter) -> bytes:
    return b"".join([writer.write(event) for event in events_of(reply)]) + writer.end()


def read_stream(stream: bytes, reader: StreamReader) -> ChatReply:
    frames = FrameSplitter().feed(stream)
    assert b"".join(frames) == stream
    events = [event for one in frames for event in reader.read(data_of(one) or b"")]
    return fold([*events, *reader.finish()])


@given(replies(REPLIES))
def test_a_streamed_reply_is_read_as_it_was_written(reply):
    writer = OPENAI_CHAT.writer(frame())
    read = read_stream(written_stream(reply, writer), OPENAI_CHAT.reader())
    assert writer.lost == ()
    assert read == msgspec.structs.replace(reply, id="chatcmpl-7")


@given(replies(REPLIES))
def test_the_fold_of_a_stream_equals_the_json_answer(reply):
    read = read_stream(written_stream(reply, OPENAI_CHAT.writer(frame())), OPENAI_CHAT.reader())
    assert read == OPENAI_CHAT.read_reply(OPENAI_CHAT.write_reply(reply, frame()).body)


@given(replies(), st.booleans())
def test_every_reply_can_be_written_and_the_stream_loses_what_the_answer_loses(reply, told):
    answer = OPENAI_CHAT.write_reply(reply, frame())
    writer = OPENAI_CHAT.writer(frame(include_usage=told))
    stream = written_stream(reply, writer)
    assert set(writer.lost) == set(answer.lost)
    read = read_stream(stream, OPENAI_CHAT.reader())
    assert read.finish == OPENAI_CHAT.read_reply(answer.body).finish


@given(calls())
def test_every_call_can_be_written_and_what_was_written_can_be_read(call):
    written = OPENAI_CHAT.write_call(call, TRAITS)
    read = OPENAI_CHAT.read_call(written.request)
    again = OPENAI_CHAT.write_call(read, TRAITS)
    assert again.lost == ()
    first, second = written.request.fields["messages"], again.request.fields["messages"]
    assert bytes(first) == bytes(second)


@pytest.mark.parametrize("length", [4, 9])
def test_a_span_of_a_citation_is_read_as_it_was_written(length):
    cited = Text("0123456789", (UrlCitation("https://e.com", "T", 2, length),))
    reply = ChatReply(id="chatcmpl-7", model="m", created=5, parts=(cited,))
    body = OPENAI_CHAT.write_reply(reply, frame()).body
    assert OPENAI_CHAT.read_reply(body) == reply
    streamed = written_stream(reply, OPENAI_CHAT.writer(frame()))
    assert read_stream(streamed, OPENAI_CHAT.reader()) == reply
