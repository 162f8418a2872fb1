"""Traps of translation that other gateways fell into, on Anthropic's side; one test for each."""

from __future__ import annotations

import json
from typing import Any

import msgspec
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
    Refusal,
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
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    UsageTold,
    events_of,
    fold,
)
from torana.core.usage import Usage
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.anthropic.reader import MessageReader
from torana.dialects.base import ReplyFrame, Traits
from torana.dialects.sse import FrameSplitter, data_of
from torana.dialects.wire import WireRequest
from torana.errors import UpstreamGarbage, UpstreamOverloaded

HELLO = Message("user", (Text("hello"),))
ADD = FunctionTool("add", schema={"type": "object"})
REQUEST = WireRequest(
    model="m", stream=True, include_usage=True, max_output=1, choices=1, size=0, fields={}
)
FRAME = ReplyFrame(request=REQUEST, request_id="req_9", model="ours")


def written(*messages: Message, traits: Traits | None = None, **fields: Any) -> dict[str, Any]:
    call = ChatCall(model="m", messages=messages, **fields)
    found = ANTHROPIC.write_call(call, traits or Traits())
    body: dict[str, Any] = json.loads(ANTHROPIC.encode_upstream(found.request, model="m"))
    return {**body, "lost": found.lost}


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def event(kind: str, **members: Any) -> bytes:
    return json.dumps({"type": kind, **members}, ensure_ascii=False).encode()


def read(*datas: bytes) -> list[Event]:
    reader = ANTHROPIC.reader()
    found: list[Event] = []
    for data in datas:
        found += reader.read(data)
    return found


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[bytes]:
    return [
        event("content_block_start", index=index, content_block=start),
        *[event("content_block_delta", index=index, delta=delta) for delta in deltas],
        event("content_block_stop", index=index),
    ]


START = event(
    "message_start",
    message={"id": "msg_1", "model": "claude", "usage": {"input_tokens": 9, "output_tokens": 1}},
)
END = [
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
    event("message_stop"),
]


def reply_of(*datas: bytes) -> ChatReply:
    return fold(read(START, *datas, *END))


def frames(*events: Event) -> list[tuple[str, dict[str, Any]]]:
    writer = ANTHROPIC.writer(FRAME)
    body = b"".join(map(writer.write, events)) + writer.end()
    found = []
    for frame in FrameSplitter().feed(body):
        name = frame.partition(b"\n")[0].removeprefix(b"event: ").decode()
        data = json.loads(data_of(frame) or b"")
        assert data["type"] == name
        found.append((name, data))
    return found


# --- thinking ----------------------------------------------------------------------------------


def test_old_thinking_of_another_vendor_is_never_sent_again_as_visible_text():
    for thought in (Thinking("secret"), Thinking("secret", "s", "openai", "rs_1")):
        body = written(HELLO, assistant(thought, Text("said")), HELLO)
        assert "secret" not in json.dumps(body)
        assert body["lost"] == ("thinking",)


def test_reasoning_of_this_vendor_is_not_dropped_from_the_history():
    thought = Thinking("hm", "sig", "anthropic")
    body = written(HELLO, assistant(thought, Text("said")), HELLO)
    assert body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "hm",
        "signature": "sig",
    }
    assert body["lost"] == ()


def test_signatures_survive_streams_both_ways():
    begun = {"type": "thinking", "thinking": "", "signature": ""}
    grown = {"type": "thinking_delta", "thinking": "hm"}
    signed = {"type": "signature_delta", "signature": "sig"}
    assert reply_of(*block(0, begun, grown, signed)).parts == (Thinking("hm", "sig", "anthropic"),)
    deltas = [
        data["delta"]
        for name, data in frames(
            PartBegan(0, Thinking("")),
            TextGrew(0, "hm"),
            Signed(0, "sig", "anthropic"),
            PartEnded(0),
        )
        if name == "content_block_delta"
    ]
    assert deltas == [grown, signed]


def test_blocks_of_nothing_but_a_signature_and_redacted_ones_survive_streams():
    silent = {"type": "thinking", "thinking": "", "signature": ""}
    redacted = {"type": "redacted_thinking", "data": "xyz"}
    reply = reply_of(
        *block(0, silent, {"type": "signature_delta", "signature": "sig"}), *block(1, redacted)
    )
    assert reply.parts == (Thinking("", "sig", "anthropic"), HiddenThinking("xyz", "anthropic"))
    starts = [
        data["content_block"]["type"]
        for name, data in frames(
            PartBegan(0, Thinking("")),
            Signed(0, "sig", "anthropic"),
            PartEnded(0),
            PartBegan(1, HiddenThinking("xyz", "anthropic")),
            PartEnded(1),
        )
        if name == "content_block_start"
    ]
    assert starts == ["thinking", "redacted_thinking"]


# --- caching -----------------------------------------------------------------------------------


def test_cache_marks_are_not_lost_on_calls_results_and_definitions_of_tools():
    mark = CacheMark("1h")
    body = written(
        Message("system", (Text("be brief", cache=mark),)),
        HELLO,
        assistant(ToolCall("a", "add", "{}", cache=mark)),
        Message("user", (ToolResult("a", (Text("3", cache=mark),), cache=mark),)),
        tools=(FunctionTool("add", cache=mark),),
    )
    control = {"type": "ephemeral", "ttl": "1h"}
    result = body["messages"][2]["content"][0]
    bearers = [
        body["system"][0],
        body["messages"][1]["content"][0],
        result,
        result["content"][0],
        body["tools"][0],
    ]
    assert [bearer["cache_control"] for bearer in bearers] == [control] * 5


# --- tools -------------------------------------------------------------------------------------


def test_parallel_calls_that_interleave_are_neither_merged_nor_misnumbered():
    found = frames(
        PartBegan(0, Text("")),
        TextGrew(0, "let me see"),
        PartBegan(1, ToolCall("a", "add", "")),
        PartEnded(0),
        PartBegan(2, ToolCall("b", "sub", "")),
        ArgumentsGrew(2, '{"b":'),
        ArgumentsGrew(1, '{"a":'),
        ArgumentsGrew(2, "2}"),
        ArgumentsGrew(1, "1}"),
        PartEnded(2),
        PartEnded(1),
        Ended(Finish.TOOL_CALLS),
    )
    arguments: dict[int, str] = {}
    names: dict[int, str] = {}
    current = None
    for name, data in found:
        if name == "content_block_start":
            assert current is None
            current = data["index"]
            assert current == len(names)
            names[current] = data["content_block"].get("name", "text")
        elif name == "content_block_delta":
            assert data["index"] == current
            arguments[current] = arguments.get(current, "") + data["delta"].get("partial_json", "")
        elif name == "content_block_stop":
            assert data["index"] == current
            current = None
    assert names == {0: "text", 1: "add", 2: "sub"}
    assert arguments == {0: "", 1: '{"a":1}', 2: '{"b":2}'}


def test_a_call_waits_no_longer_than_the_one_before_it():
    writer = ANTHROPIC.writer(FRAME)
    writer.write(PartBegan(0, ToolCall("a", "add", "")))
    assert writer.write(PartBegan(1, ToolCall("b", "sub", ""))) == b""
    assert writer.write(ArgumentsGrew(1, "{")) == b""
    assert b"partial_json" in writer.write(ArgumentsGrew(0, "{}"))
    late = writer.write(PartEnded(0))
    assert late.count(b"content_block_stop") == 2  # Its name and its type.
    assert b'"name":"sub"' in late
    assert b'"partial_json":"}"' in writer.write(ArgumentsGrew(1, "}"))


def test_empty_arguments_are_an_empty_object_on_every_way():
    call = ToolCall("a", "add", "")
    body = written(HELLO, assistant(call), Message("user", (ToolResult("a"),)), tools=(ADD,))
    assert body["messages"][1]["content"][0]["input"] == {}
    reply = ChatReply(id="x", model="m", parts=(call,), finish=Finish.TOOL_CALLS)
    assert json.loads(ANTHROPIC.write_reply(reply, FRAME).body)["content"][0]["input"] == {}
    start = {"type": "tool_use", "id": "a", "name": "add", "input": {}}
    empty = {"type": "input_json_delta", "partial_json": ""}
    for deltas in ([], [empty]):
        assert reply_of(*block(0, start, *deltas)).parts == (ToolCall("a", "add", "{}"),)


def test_arguments_that_come_whole_at_the_start_of_a_block_are_read():
    start = {"type": "tool_use", "id": "a", "name": "add", "input": {"a": 1}}
    (part,) = reply_of(*block(0, start)).parts
    assert isinstance(part, ToolCall)
    assert json.loads(part.arguments) == {"a": 1}


def test_results_are_first_in_one_message_and_in_the_order_of_their_calls():
    body = written(
        HELLO,
        assistant(*[ToolCall(name, "add", "{}") for name in "abc"]),
        Message("user", (Text("wait"),)),
        Message("user", (ToolResult("c"),)),
        Message("system", (Text("be quick"),)),
        Message("user", (ToolResult("a"), ToolResult("b"))),
        tools=(ADD,),
        traits=Traits(system_messages=True),
    )
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "user",
        "system",
    ]
    content = body["messages"][2]["content"]
    assert [b.get("tool_use_id") for b in content] == ["a", "b", "c", None]


def test_an_instruction_never_comes_between_a_call_and_its_result():
    for traits in (Traits(system_messages=True), Traits()):
        body = written(
            HELLO,
            assistant(ToolCall("a", "add", "{}")),
            Message("system", (Text("be quick"),)),
            Message("user", (ToolResult("a"),)),
            tools=(ADD,),
            traits=traits,
        )
        after = body["messages"][2]
        assert after["role"] == "user"
        assert after["content"][0]["type"] == "tool_result"
        assert "be quick" in json.dumps(body["messages"][2:])


# --- contents ----------------------------------------------------------------------------------


def test_images_by_address_and_by_data_have_their_own_sources():
    body = written(
        Message("user", (Image(Url("https://e.com/a.png")), Image(Inline("image/png", "AA=="))))
    )
    assert [b["source"] for b in body["messages"][0]["content"]] == [
        {"type": "url", "url": "https://e.com/a.png"},
        {"type": "base64", "media_type": "image/png", "data": "AA=="},
    ]


def test_instructions_in_the_middle_of_a_conversation_stay_where_they_are():
    messages = (HELLO, assistant(Text("a")), Message("developer", (Text("in French"),)), HELLO)
    newer = written(*messages, traits=Traits(system_messages=True))
    assert newer["messages"][2] == {"role": "system", "content": "in French"}
    assert newer["lost"] == ()
    older = written(*messages)
    assert older["messages"][2]["content"] == [
        {"type": "text", "text": "<system>\nin French\n</system>"},
        {"type": "text", "text": "hello"},
    ]
    assert "system" not in older
    assert older["lost"] == ("system",)


def test_an_absent_limit_is_filled_in_because_anthropic_demands_one():
    assert written(HELLO)["max_tokens"] > 0


def test_characters_of_many_bytes_survive_a_stream_that_is_cut_at_any_byte():
    text = "naïve \U0001f600 日本"
    body = b"".join(
        b"event: x\ndata: %b\n\n" % data
        for data in [
            START,
            *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": text}),
            *END,
        ]
    )
    splitter = FrameSplitter()
    datas = [data_of(f) for n in range(len(body)) for f in splitter.feed(body[n : n + 1])]
    assert fold(read(*[data for data in datas if data])).parts == (Text(text),)


# --- usage and ends ----------------------------------------------------------------------------


def test_the_usage_that_message_start_does_not_know_is_told_at_the_end():
    usage = Usage(input_tokens=3, cached_tokens=4, output_tokens=5, reasoning_tokens=6)
    found = frames(Began("x", "gpt"), UsageTold(usage), Ended(Finish.STOP))
    start = found[0][1]["message"]
    assert start["id"] == "msg_9"
    assert start["model"] == "ours"
    assert start["content"] == []
    assert start["stop_reason"] is None
    for name in (
        "input_tokens",
        "output_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
    ):
        assert start["usage"][name] == 0
    told = found[-2][1]["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (
        3,
        4,
        11,
    )


def test_the_usage_of_a_stream_is_merged_and_a_zero_is_a_zero():
    reply = reply_of()
    assert reply.usage == Usage(input_tokens=9, output_tokens=5)
    end = {"stop_reason": "end_turn"}
    zero = event("message_delta", delta=end, usage={"input_tokens": 0, "output_tokens": 0})
    told = [e for e in read(START, zero) if isinstance(e, UsageTold)]
    assert told[-1].usage == Usage()


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("stop_sequence", Finish.STOP_SEQUENCE),
        ("tool_use", Finish.TOOL_CALLS),
        ("pause_turn", Finish.PAUSE),
        ("refusal", Finish.REFUSAL),
        ("model_context_window_exceeded", Finish.CONTEXT),
    ],
)
def test_every_reason_to_stop_has_its_counterpart(reason, finish):
    body = {"type": "message", "content": [], "stop_reason": reason}
    assert ANTHROPIC.read_reply(json.dumps(body).encode()).finish is finish
    stop = event("message_delta", delta={"stop_reason": reason, "stop_sequence": "E"}, usage={})
    assert read(START, stop, event("message_stop"))[-1] == Ended(finish, "E")
    told = frames(Ended(finish, "E"))[-2][1]["delta"]
    assert told == {"stop_reason": reason, "stop_sequence": "E"}


def test_a_reason_to_stop_that_is_new_ends_the_reply_and_is_named():
    body = {"type": "message", "content": [], "stop_reason": "tired"}
    reply = ANTHROPIC.read_reply(json.dumps(body).encode())
    assert (reply.finish, reply.lost) == (Finish.STOP, ("stop_reason=tired",))


def test_the_words_of_a_refusal_are_read():
    details = {"type": "refusal", "category": None, "explanation": "I must not."}
    body = {
        "type": "message",
        "content": [],
        "stop_reason": "refusal",
        "stop_details": details,
    }
    reply = ANTHROPIC.read_reply(json.dumps(body).encode())
    assert (reply.parts, reply.finish) == ((Refusal("I must not."),), Finish.REFUSAL)
    delta = {"stop_reason": "refusal", "stop_details": details}
    streamed = fold(read(START, event("message_delta", delta=delta), event("message_stop")))
    assert (streamed.parts, streamed.finish) == (reply.parts, reply.finish)
    answer = json.loads(ANTHROPIC.write_reply(reply, FRAME).body)
    assert answer["content"] == [{"type": "text", "text": "I must not."}]
    assert answer["stop_reason"] == "refusal"


def test_a_refusal_that_openai_ends_like_any_answer_is_told_as_one():
    reply = ChatReply(id="x", model="m", parts=(Refusal("I won't."),), finish=Finish.STOP)
    assert json.loads(ANTHROPIC.write_reply(reply, FRAME).body)["stop_reason"] == "refusal"
    found = frames(*events_of(reply))
    assert found[-2][1]["delta"]["stop_reason"] == "refusal"
    cut = msgspec.structs.replace(reply, finish=Finish.LENGTH)
    assert json.loads(ANTHROPIC.write_reply(cut, FRAME).body)["stop_reason"] == "max_tokens"


def test_a_stream_that_drops_before_its_reason_is_not_finished():
    reader = MessageReader()
    for data in (START, *block(0, {"type": "text", "text": ""})):
        reader.read(data)
    assert (reader.finished, reader.done) == (False, False)
    reader.read(END[0])
    assert (reader.finished, reader.done) == (True, False)
    assert reader.finish() == [Ended(Finish.STOP)]
    assert reader.finish() == []


def test_a_part_without_its_end_is_ended_with_the_stream():
    open_block = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    assert read(START, open_block, *END)[-2:] == [PartEnded(0), Ended(Finish.STOP)]
    found = frames(PartBegan(0, ToolCall("a", "f", "")), PartBegan(1, Text("")), TextGrew(1, "x"))
    assert [name for name, _ in found].count("content_block_stop") == 2
    assert found[-1][0] == "message_stop"


def test_an_event_of_a_part_that_never_began_is_dropped():
    assert [name for name, _ in frames(TextGrew(0, "x"), PartEnded(0))] == [
        "message_delta",
        "message_stop",
    ]


# --- what has no place -------------------------------------------------------------------------


def test_tools_that_the_provider_ran_are_named_in_replies_and_streams():
    search = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    found = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    text = {"type": "text", "text": "said"}
    names = (
        "content[].type=server_tool_use",
        "content[].type=web_search_tool_result",
    )
    body = {"type": "message", "content": [search, found, text]}
    reply = ANTHROPIC.read_reply(json.dumps(body).encode())
    assert (reply.parts, reply.lost) == ((Text("said"),), names)
    pieces = {"type": "input_json_delta", "partial_json": "{}"}
    streamed = reply_of(*block(0, search, pieces), *block(1, found), *block(2, text))
    assert (streamed.parts, streamed.lost) == ((Text("said"),), names)


def test_a_container_and_unknown_events_and_deltas_are_named():
    body = {"type": "message", "content": [], "container": {"id": "c"}}
    assert ANTHROPIC.read_reply(json.dumps(body).encode()).lost == ("container",)
    odd = block(0, {"type": "text", "text": "", "odd": 1}, {"type": "new_delta"})
    reply = reply_of(event("something_new"), event("ping"), *odd)
    assert reply.lost == ("event=something_new", "content[].odd", "delta=new_delta")
    writer = ANTHROPIC.writer(FRAME)
    writer.write(Lost("container"))
    assert writer.lost == ("container",)


@pytest.mark.parametrize("data", [b"", b"[]", b'{"type":7}', b"\xff", b"[" * 100_000])
def test_what_is_no_event_is_garbage(data):
    with pytest.raises(UpstreamGarbage):
        read(data)


def test_a_block_that_is_malformed_is_garbage():
    with pytest.raises(UpstreamGarbage):
        read(event("content_block_start", index=0, content_block={"type": "text", "text": 7}))


def test_an_error_event_is_raised():
    error = event("error", error={"type": "overloaded_error", "message": "x"})
    with pytest.raises(UpstreamOverloaded):
        read(error)
    with pytest.raises(UpstreamGarbage):
        read(START, error)
