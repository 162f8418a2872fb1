"""Legacy completions on one side and another dialect on the other."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import httpx2
import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canonical import replies
from tests.support.canonical_parts import TEXTS
from torana.core.chat import (
    CacheMark,
    ChatCall,
    ChatReply,
    Finish,
    FunctionTool,
    Image,
    Message,
    OutputFormat,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Url,
    UrlCitation,
)
from torana.core.events import events_of, fold
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame, Traits
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.openai_completions import OPENAI_COMPLETIONS
from torana.dialects.sse import FrameSplitter, data_of
from torana.dialects.translated import TranslatedFold
from torana.errors import InternalError, InvalidRequest, UpstreamError, UpstreamGarbage

USAGE = Usage(input_tokens=3, output_tokens=2)


def read(**fields: Any) -> ChatCall:
    body = json.dumps({"model": "m", "prompt": "hi", **fields}).encode()
    return OPENAI_COMPLETIONS.read_call(OPENAI_COMPLETIONS.decode_request(body))


def frame(*, include_usage: bool = True) -> ReplyFrame:
    body: dict[str, Any] = {"model": "asked", "prompt": "hi", "stream": True}
    if include_usage:
        body["stream_options"] = {"include_usage": True}
    request = OPENAI_COMPLETIONS.decode_request(json.dumps(body).encode())
    return ReplyFrame(request=request, request_id="req_7", created=5)


def stream_of(reply: ChatReply, *, include_usage: bool = True) -> bytes:
    writer = OPENAI_COMPLETIONS.writer(frame(include_usage=include_usage))
    return b"".join(writer.write(event) for event in events_of(reply)) + writer.end()


# --- calls -------------------------------------------------------------------------------------


def test_a_prompt_is_a_message_of_the_users():
    call = read(
        max_tokens=9,
        temperature=1,
        top_p=0.5,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=3,
        stop=["a"],
        logit_bias={"5": 1},
        user="u",
        n=2,
        echo=False,
        suffix="",
        best_of=1,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert call == ChatCall(
        model="m",
        messages=(Message("user", (Text("hi"),)),),
        max_output=9,
        choices=2,
        temperature=1.0,
        top_p=0.5,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=3,
        stop=("a",),
        logit_bias={"5": 1.0},
        end_user="u",
        stream=True,
        include_usage=True,
    )
    assert read(prompt=["hi"]).messages == call.messages


def test_an_absent_limit_stays_absent_and_an_unknown_field_is_named():
    call = read(unheard_of=1, min_p=0)
    assert (call.max_output, call.unsaid) == (None, ("unheard_of",))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1]]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"best_of": 2}, "best_of"),
        ({"logprobs": 0}, "logprobs"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_what_only_a_server_of_this_api_can_do_is_refused_by_name(fields, param):
    with pytest.raises(InvalidRequest) as caught:
        read(**fields)
    assert (caught.value.status, caught.value.param) == (400, param)


CALLS = st.builds(
    ChatCall,
    model=st.just("m"),
    messages=TEXTS.map(lambda text: (Message("user", (Text(text),)),)),
    max_output=st.none() | st.integers(1, 99),
    temperature=st.none() | st.just(0.5),
    top_p=st.none() | st.just(0.5),
    seed=st.none() | st.just(3),
    stop=st.lists(TEXTS, max_size=4).map(tuple),
    end_user=st.none() | st.just("u"),
    stream=st.booleans(),
)


@given(CALLS)
def test_a_call_is_read_as_it_was_written(call):
    written = OPENAI_COMPLETIONS.write_call(call, Traits())
    sent = OPENAI_COMPLETIONS.encode_upstream(written.request, model="m")
    again = OPENAI_COMPLETIONS.read_call(OPENAI_COMPLETIONS.decode_request(sent))
    assert again == msgspec.structs.replace(call, include_usage=call.stream)
    assert written.lost == ()
    assert OPENAI_COMPLETIONS.read_costs(written.request).unruled == ()


USER = Message("user", (Text("hi"),))


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ((USER, Message("assistant", (Text("x"),)), USER), {}, "messages"),
        ((Message("system", (Text("x"),)),), {}, "messages"),
        ((Message("user", (Image(Url("https://e.com")),)),), {}, "messages"),
        ((USER,), {"tools": (FunctionTool("f"),)}, "tools"),
        ((USER,), {"choices": 2}, "n"),
    ],
)
def test_what_is_no_single_prompt_is_refused(messages, fields, param):
    call = ChatCall(model="m", messages=messages, **fields)
    with pytest.raises(InvalidRequest) as caught:
        OPENAI_COMPLETIONS.write_call(call, Traits())
    assert caught.value.param == param


def test_what_a_prompt_cannot_say_is_named():
    cited = Text("a", (UrlCitation("https://e.com"),), CacheMark())
    call = ChatCall(
        model="m",
        messages=(Message("user", (cited, Text("b")), "ann"),),
        top_k=1,
        top_logprobs=0,
        format=OutputFormat(),
        reasoning=Reasoning(effort="low"),
        metadata={"a": "b"},
        service_tier="auto",
        cache_key="k",
        cache=CacheMark(),
        verbosity="low",
        parallel_tools=True,
        stop=("a", "b", "c", "d", "e"),
    )
    written = OPENAI_COMPLETIONS.write_call(call, Traits())
    assert set(written.lost) == {
        "messages[].name",
        "cache_control",
        "citations",
        "top_k",
        "logprobs",
        "response_format",
        "reasoning",
        "metadata",
        "service_tier",
        "prompt_cache_key",
        "verbosity",
        "parallel_tool_calls",
        "stop",
    }
    body = json.loads(OPENAI_COMPLETIONS.encode_upstream(written.request, model="m"))
    assert body == {"model": "m", "prompt": "ab", "stop": ["a", "b", "c", "d"]}


# --- replies -----------------------------------------------------------------------------------

REPLIES = st.builds(
    ChatReply,
    id=st.just("cmpl-7"),
    model=st.just("m"),
    created=st.just(5),
    parts=st.just(()) | TEXTS.map(lambda text: (Text(text),)),
    finish=st.sampled_from([Finish.STOP, Finish.LENGTH, Finish.REFUSAL]),
    usage=st.builds(Usage, input_tokens=st.integers(0, 9), reasoning_tokens=st.integers(0, 9)),
)


def read_stream(stream: bytes) -> ChatReply:
    reader = OPENAI_COMPLETIONS.reader()
    frames = FrameSplitter().feed(stream)
    events = [event for one in frames for event in reader.read(data_of(one) or b"")]
    return fold([*events, *reader.finish()])


@given(REPLIES)
def test_a_reply_is_read_as_it_was_written_whole_and_streamed(reply):
    answer = OPENAI_COMPLETIONS.write_reply(reply, frame())
    assert (answer.usage, answer.lost) == (reply.usage, ())
    assert OPENAI_COMPLETIONS.read_reply(answer.body) == reply
    assert read_stream(stream_of(reply)) == reply


@given(replies())
def test_every_reply_can_be_written_and_the_stream_loses_what_the_answer_loses(reply):
    answer = OPENAI_COMPLETIONS.write_reply(reply, frame())
    writer = OPENAI_COMPLETIONS.writer(frame())
    stream = b"".join(writer.write(event) for event in events_of(reply)) + writer.end()
    assert set(writer.lost) == set(answer.lost)
    whole, streamed = OPENAI_COMPLETIONS.read_reply(answer.body), read_stream(stream)
    assert (streamed.parts, streamed.finish) == (whole.parts, whole.finish)


def test_what_an_answer_cannot_say_is_named_and_a_refusal_is_its_text():
    reply = ChatReply(
        id="p",
        model="m",
        parts=(
            Thinking("secret"),
            Text("a", (UrlCitation("https://e.com"),)),
            Refusal("no"),
            ToolCall("c", "f", "{}"),
        ),
        finish=Finish.TOOL_CALLS,
        stop_sequence="x",
        service_tier="flex",
    )
    answer = OPENAI_COMPLETIONS.write_reply(reply, frame())
    body = json.loads(answer.body)
    assert body["choices"][0] == {
        "index": 0,
        "text": "ano",
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert set(answer.lost) == {
        "thinking",
        "citations",
        "tool_calls",
        "stop_sequence",
        "finish_reason",
        "service_tier",
    }


# --- the SDK -----------------------------------------------------------------------------------


class Answering(httpx2.BaseTransport):
    content, kind = b"", ""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": self.kind}
        return httpx2.Response(200, headers=headers, content=self.content, request=request)


SERVER = Answering()


@cache
def sdk() -> openai.OpenAI:
    http = httpx2.Client(transport=SERVER)
    return openai.OpenAI(api_key="k", base_url="http://server/v1", http_client=http, max_retries=0)


REPLY = ChatReply(id="p", model="m", parts=(Text("Hel😀\nlo"),), finish=Finish.LENGTH, usage=USAGE)


def test_the_sdk_reads_a_stream_and_an_answer_to_the_same():
    SERVER.content, SERVER.kind = stream_of(REPLY), "text/event-stream"
    chunks = list(sdk().completions.create(model="m", prompt="hi", stream=True))
    SERVER.content = OPENAI_COMPLETIONS.write_reply(REPLY, frame()).body
    SERVER.kind = "application/json"
    whole = sdk().completions.create(model="m", prompt="hi")
    assert {(c.id, c.object, c.created, c.model) for c in chunks} == {
        (whole.id, "text_completion", 5, "m")
    }
    assert "".join(c.choices[0].text for c in chunks[:-1]) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)


def test_the_sdk_raises_an_error_in_mid_stream():
    writer = OPENAI_COMPLETIONS.writer(frame())
    begun = b"".join(writer.write(event) for event in events_of(REPLY)[:3])
    SERVER.content, SERVER.kind = (
        begun + writer.error(InternalError("Broken.")),
        "text/event-stream",
    )
    with pytest.raises(openai.APIError, match="Broken"):
        list(sdk().completions.create(model="m", prompt="hi", stream=True))


def test_without_include_usage_no_chunk_speaks_of_usage():
    assert b"usage" not in stream_of(REPLY, include_usage=False)


def test_a_chat_server_answers_a_completion_chunk_by_chunk():
    call = read(stream=True, stop="x", max_tokens=9)
    written = OPENAI_CHAT.write_call(call, Traits())
    sent = json.loads(OPENAI_CHAT.encode_upstream(written.request, model="theirs"))
    assert (sent["messages"], sent["max_tokens"]) == ([{"role": "user", "content": "hi"}], 9)
    fold = TranslatedFold(
        OPENAI_CHAT.reader(), OPENAI_COMPLETIONS.writer(frame(include_usage=False)), keeps_text=True
    )
    passed = b""
    for data in (
        b'{"id":"c","model":"theirs","choices":[{"delta":{"role":"assistant","content":""}}]}',
        b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}',
        b'{"choices":[{"delta":{"content":"a"}}]}',
        b'{"choices":[{"delta":{"content":"b"}}]}',
        b'{"choices":[{"delta":{},"finish_reason":"length"}]}',
        b'{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
        b"[DONE]",
    ):
        passed += fold.pass_on(b"data: " + data + b"\n\n", data)
    assert (fold.done, fold.finished, fold.usage, fold.lost) == (True, True, USAGE, ("thinking",))
    datas = [data_of(one) or b"" for one in FrameSplitter().feed(passed + fold.end())]
    assert datas.pop() == b"[DONE]"
    choices = [json.loads(data)["choices"][0] for data in datas]
    assert [(c["text"], c["finish_reason"]) for c in choices] == [
        ("a", None),
        ("b", None),
        ("", "length"),
    ]


# --- upstreams ---------------------------------------------------------------------------------


def test_a_stream_that_drops_without_a_reason_has_not_finished():
    reader = OPENAI_COMPLETIONS.reader()
    reader.read(b'{"choices":[{"text":"a"}]}')
    assert (reader.finished, reader.finish()) == (False, [])


def test_the_end_waits_for_the_usage_and_probabilities_are_lost_by_name():
    reply = read_stream(
        b'data: {"id":"x","choices":[{"text":"a","logprobs":{"tokens":["a"]}}]}\n\n'
        b'data: {"choices":[{"text":"","finish_reason":"length"}]}\n\n'
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
        b"data: [DONE]\n\n"
    )
    assert reply == ChatReply(
        id="x",
        model="",
        parts=(Text("a"),),
        finish=Finish.LENGTH,
        usage=USAGE,
        lost=("logprobs",),
    )


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"choices":[{"text":7}]}', b'{"error":"x"}'])
def test_garbage_and_errors_in_mid_stream_are_errors(data):
    with pytest.raises(UpstreamGarbage):
        OPENAI_COMPLETIONS.reader().read(data)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"choices":[]}', b'{"error":"no"}'])
def test_what_is_no_completion_is_an_error_of_the_providers(body):
    with pytest.raises(UpstreamError):
        OPENAI_COMPLETIONS.read_reply(body)
