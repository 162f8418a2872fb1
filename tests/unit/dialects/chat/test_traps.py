"""The traps that other gateways fell into, as far as OpenAI's chat is one of the two sides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    CacheMark,
    ChatReply,
    Finish,
    FunctionTool,
    HiddenThinking,
    Image,
    Inline,
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
    Signed,
    TextGrew,
    UsageTold,
    events_of,
    fold,
)
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame, Traits
from torana.dialects.openai_chat import OPENAI_CHAT
from torana.dialects.sse import FrameSplitter, data_of
from torana.errors import UpstreamCut, UpstreamError

HELLO = {"role": "user", "content": "hello"}


def read(*messages: Any, **fields: Any) -> Any:
    body = {"model": "m", "messages": list(messages), **fields}
    return OPENAI_CHAT.read_call(OPENAI_CHAT.decode_request(json.dumps(body).encode()))


def frame(*, include_usage: bool = True) -> ReplyFrame:
    body: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
    if include_usage:
        body["stream_options"] = {"include_usage": True}
    request = OPENAI_CHAT.decode_request(json.dumps(body).encode())
    return ReplyFrame(request=request, request_id="req_1", created=5)


def written(*events: Event, include_usage: bool = True) -> list[dict[str, Any]]:
    """The chunks of a stream but for [DONE]."""
    writer = OPENAI_CHAT.writer(frame(include_usage=include_usage))
    stream = b"".join(writer.write(event) for event in events) + writer.end()
    datas = [data_of(one) or b"" for one in FrameSplitter().feed(stream)]
    assert datas.pop() == b"[DONE]"
    return [json.loads(data) for data in datas]


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


# --- thinking ----------------------------------------------------------------------------------


def test_old_thinking_is_never_sent_again_as_visible_text():
    call = read(
        HELLO,
        {"role": "assistant", "content": "seen", "reasoning_content": "unseen thought"},
        HELLO,
    )
    sent = OPENAI_CHAT.write_call(call, Traits())
    assert b"unseen" not in bytes(sent.request.fields["messages"])
    assert sent.lost == ("thinking",)


def test_reasoning_is_not_dropped_and_its_signature_survives_the_stream():
    chunks = written(
        Began("p", "m"),
        PartBegan(0, Thinking("")),
        TextGrew(0, "Let me "),
        TextGrew(0, "see."),
        Signed(0, "sig==", "anthropic"),
        PartEnded(0),
        PartBegan(1, Text("")),
        TextGrew(1, "Done."),
        PartEnded(1),
        Ended(Finish.STOP),
    )
    said = deltas(chunks)
    assert [d["reasoning_content"] for d in said if "reasoning_content" in d] == ["Let me ", "see."]
    (details,) = [d["reasoning_details"] for d in said if "reasoning_details" in d]
    assert details == [
        {
            "index": 0,
            "type": "reasoning.text",
            "text": "Let me see.",
            "signature": "sig==",
            "format": "anthropic-claude-v1",
        }
    ]


def test_thinking_that_is_only_a_signature_and_redacted_thinking_are_kept():
    said = deltas(
        written(
            Began("p", "m"),
            PartBegan(0, Thinking("")),
            Signed(0, "only", "anthropic"),
            PartEnded(0),
            PartBegan(1, HiddenThinking("redacted", "anthropic")),
            PartEnded(1),
            Ended(Finish.STOP),
        )
    )
    details = [d["reasoning_details"][0] for d in said if "reasoning_details" in d]
    assert [(d["index"], d.get("signature"), d.get("data")) for d in details] == [
        (0, "only", None),
        (1, None, "redacted"),
    ]
    history = {"role": "assistant", "content": None, "reasoning_details": details}
    assert read(HELLO, history).messages[1].parts == (
        Thinking("", "only", "anthropic"),
        HiddenThinking("redacted", "anthropic"),
    )


# --- caching -----------------------------------------------------------------------------------


def test_cache_control_is_not_lost_on_calls_results_and_definitions():
    mark = {"type": "ephemeral"}
    function = {"name": "f", "arguments": "{}"}
    call = read(
        HELLO,
        {
            "role": "assistant",
            "tool_calls": [{"id": "a", "function": function, "cache_control": mark}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "x", "cache_control": mark},
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
    )
    assert call.messages[1].parts == (ToolCall("a", "f", "{}", cache=CacheMark()),)
    assert call.messages[2].parts == (ToolResult("a", (Text("x"),), cache=CacheMark()),)
    assert call.tools == (FunctionTool("f", cache=CacheMark()),)


# --- tools -------------------------------------------------------------------------------------


def test_parallel_calls_are_neither_merged_nor_misnumbered():
    chunks = written(
        Began("p", "m"),
        PartBegan(0, Text("")),
        TextGrew(0, "I look."),
        PartEnded(0),
        PartBegan(1, ToolCall("a", "f", "")),
        PartBegan(2, ToolCall("b", "f", "")),
        ArgumentsGrew(2, '{"y":'),
        ArgumentsGrew(1, '{"x":1}'),
        ArgumentsGrew(2, "2}"),
        PartEnded(1),
        PartEnded(2),
        Ended(Finish.TOOL_CALLS),
    )
    told = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert [(c["index"], c.get("id"), c["function"]["arguments"]) for c in told] == [
        (0, "a", ""),
        (1, "b", ""),
        (1, None, '{"y":'),
        (0, None, '{"x":1}'),
        (1, None, "2}"),
    ]
    assert {c["function"].get("name") for c in told if "id" in c} == {"f"}


def test_empty_arguments_are_an_empty_object():
    chunks = written(
        Began("p", "m"),
        PartBegan(0, ToolCall("a", "f", "")),
        PartEnded(0),
        Ended(Finish.TOOL_CALLS),
    )
    told = [call for delta in deltas(chunks) for call in delta.get("tool_calls", ())]
    assert "".join(call["function"]["arguments"] for call in told) == "{}"


def test_results_stay_in_their_order_and_next_to_their_calls():
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": id_, "type": "function", "function": function} for id_ in "abc"]
    call = read(
        HELLO,
        {"role": "assistant", "content": "I look.", "tool_calls": calls},
        *({"role": "tool", "tool_call_id": id_, "content": id_} for id_ in "abc"),
        {"role": "user", "content": "thanks"},
    )
    assert len(call.messages) == 3
    told = json.loads(bytes(OPENAI_CHAT.write_call(call, Traits()).request.fields["messages"]))
    assert [(m["role"], m.get("tool_call_id")) for m in told] == [
        ("user", None),
        ("assistant", None),
        ("tool", "a"),
        ("tool", "b"),
        ("tool", "c"),
        ("user", None),
    ]


# --- content -----------------------------------------------------------------------------------


def test_images_by_url_and_in_base64_are_told_apart():
    urls = ["https://e.com/a.png", "data:image/jpeg;base64,QUJD"]
    content = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    call = read({"role": "user", "content": content})
    assert call.messages[0].parts == (
        Image(Url("https://e.com/a.png")),
        Image(Inline("image/jpeg", "QUJD")),
    )
    told = json.loads(bytes(OPENAI_CHAT.write_call(call, Traits()).request.fields["messages"]))
    assert [part["image_url"]["url"] for part in told[0]["content"]] == urls


def test_instructions_in_the_middle_of_a_conversation_stay_there():
    call = read(
        {"role": "system", "content": "a"}, HELLO, {"role": "system", "content": "b"}, HELLO
    )
    assert [message.role for message in call.messages] == ["system", "user", "system", "user"]


def test_an_absent_limit_on_output_stays_absent():
    assert read(HELLO).max_output is None
    assert read(HELLO, max_tokens=0).max_output is None
    sent = OPENAI_CHAT.encode_upstream(
        OPENAI_CHAT.write_call(read(HELLO), Traits()).request,
        model="m",
        max_output_field="max_completion_tokens",
    )
    assert b"max_" not in sent


def test_more_stop_texts_than_openai_takes_are_cut_and_reported():
    sent = OPENAI_CHAT.write_call(read(HELLO, stop=list("abcdef")), Traits())
    assert json.loads(bytes(sent.request.fields["stop"])) == list("abcd")
    assert sent.lost == ("stop",)


def test_a_long_text_in_many_scripts_is_whole_in_the_stream():
    text = "नमस्ते 😀 \u2028\u0000\r\n\n\ndata: x" * 50
    chunks = written(
        Began("p", "m"),
        PartBegan(0, Text("")),
        *[TextGrew(0, character) for character in text],
        PartEnded(0),
        Ended(Finish.STOP),
    )
    assert "".join(delta.get("content") or "" for delta in deltas(chunks)) == text


# --- streams -----------------------------------------------------------------------------------


def test_the_first_delta_carries_the_role_and_the_last_is_empty_with_the_reason():
    chunks = written(Began("p", "m"), UsageTold(Usage(input_tokens=1)), Ended(Finish.LENGTH))
    assert deltas(chunks) == [{"role": "assistant", "content": None}, {}]
    assert [c["choices"][0]["finish_reason"] for c in chunks[:2]] == [None, "length"]


def test_usage_is_in_one_chunk_of_its_own_and_null_in_all_others():
    usage = Usage(input_tokens=1, output_tokens=2)
    chunks = written(
        Began("p", "m"),
        # A provider that tells its usage at once tells zeros first.
        UsageTold(Usage()),
        PartBegan(0, Text("")),
        TextGrew(0, "a"),
        PartEnded(0),
        UsageTold(usage),
        Ended(Finish.STOP),
    )
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 3)
    silent = written(Began("p", "m"), UsageTold(usage), Ended(Finish.STOP), include_usage=False)
    assert all("usage" not in chunk for chunk in silent)


def test_an_error_after_the_first_byte_has_all_four_keys_as_texts_or_null():
    event = OPENAI_CHAT.writer(frame()).error(UpstreamCut("Gone."))
    error = json.loads(data_of(event) or b"")["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert all(isinstance(value, str | None) for value in error.values())


def test_an_answer_of_status_200_with_an_error_in_it_is_an_error():
    with pytest.raises(UpstreamError):
        OPENAI_CHAT.read_reply(b'{"error":{"message":"no","code":500},"choices":[]}')


def test_a_stream_that_drops_without_a_reason_has_not_finished():
    reader = OPENAI_CHAT.reader()
    reader.read(b'{"choices":[{"delta":{"content":"a"}}]}')
    assert not reader.finished


def test_a_stream_that_never_ended_gets_no_finish_from_us():
    writer = OPENAI_CHAT.writer(frame())
    begun = writer.write(Began("p", "m"))
    assert b'"finish_reason":"' not in begun + writer.end()


def test_a_ping_is_a_comment():
    assert OPENAI_CHAT.writer(frame()).ping() == b": ping\n\n"


def test_the_whole_reply_of_the_frame_and_not_of_the_provider():
    reply = ChatReply(id="msg_theirs", model="theirs", parts=(Text("a"),))
    body = OPENAI_CHAT.write_reply(reply, frame()).body
    assert b"msg_theirs" not in body


def test_a_caller_of_the_old_functions_gets_a_function_call_whole_and_streamed():
    body = b'{"model":"m","messages":[],"functions":[{"name":"f"}],"stream":true}'
    asked = ReplyFrame(request=OPENAI_CHAT.decode_request(body), request_id="req_1")
    calls = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}"))
    reply = ChatReply(id="p", model="m", parts=calls, finish=Finish.TOOL_CALLS)
    answer = OPENAI_CHAT.write_reply(reply, asked)
    choice = json.loads(answer.body)["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "function_call": {"name": "f", "arguments": '{"x":1}'},
    }
    writer = OPENAI_CHAT.writer(asked)
    stream = b"".join(writer.write(event) for event in events_of(reply)) + writer.end()
    assert (answer.lost, writer.lost) == (("tool_calls",), ("tool_calls",))
    reader = OPENAI_CHAT.reader()
    events = [e for one in FrameSplitter().feed(stream) for e in reader.read(data_of(one) or b"")]
    (call,) = fold(events).parts
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("f", '{"x":1}')
    assert b'"finish_reason":"function_call"' in stream
