"""Events as a stream for a caller, where a round trip does not reach."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torana.core.chat import (
    ChatReply,
    Finish,
    Image,
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
    Fold,
    Lost,
    PartBegan,
    PartEnded,
    Signed,
    TextGrew,
    UsageTold,
    events_of,
)
from torana.core.usage import Usage
from torana.dialects.base import ReplyFrame
from torana.dialects.openai_responses import OPENAI_RESPONSES
from torana.dialects.openai_responses.requests import decode_request
from torana.dialects.openai_responses.response_object import LOST
from torana.dialects.sse import FrameSplitter, data_of
from torana.dialects.translated import TranslatedFold

FRAME = ReplyFrame(
    request=decode_request(b'{"model":"m","input":"hello"}'), request_id="req_1", stored=True
)
RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "model": "m",
    "created_at": 5,
    "status": "in_progress",
}
CREATED = {"type": "response.created", "response": RESPONSE}
USAGE = {"input_tokens": 3, "output_tokens": 2}


def completed(*output: Any, **fields: Any) -> dict[str, Any]:
    ended = {**RESPONSE, "status": "completed", "usage": USAGE, "output": list(output), **fields}
    return {"type": f"response.{ended['status']}", "response": ended}


def read(*frames: dict[str, Any]) -> ChatReply:
    reader, fold = OPENAI_RESPONSES.reader(), Fold()
    for frame in frames:
        for event in reader.read(json.dumps(frame).encode()):
            fold.add(event)
    assert reader.done
    return fold.reply()


def written(*events: Event) -> tuple[list[dict[str, Any]], Any]:
    writer = OPENAI_RESPONSES.writer(FRAME)
    stream = b"".join([writer.write(event) for event in events]) + writer.end()
    return [json.loads(data_of(frame) or b"") for frame in FrameSplitter().feed(stream)], writer


# --- writing -----------------------------------------------------------------------------------


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_the_whole_grammar_of_a_text():
    events, _ = written(
        Began("x", "m"),
        PartBegan(0, Text("")),
        TextGrew(0, "Hi"),
        PartEnded(0),
        UsageTold(Usage(input_tokens=1, output_tokens=1)),
        Ended(Finish.STOP),
    )
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    assert events[-1]["response"]["output"] == [events[-2]["item"]]


def test_the_whole_grammar_of_thinking_and_a_call():
    events, _ = written(
        Began("x", "m"),
        PartBegan(0, Thinking("")),
        TextGrew(0, "Hm."),
        Signed(0, "s", "anthropic"),
        PartEnded(0),
        PartBegan(1, ToolCall("c", "f", "")),
        ArgumentsGrew(1, '{"x":'),
        ArgumentsGrew(1, "1}"),
        PartEnded(1),
        Ended(Finish.TOOL_CALLS),
    )
    assert kinds(events)[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert events[-3]["arguments"] == '{"x":1}'
    assert events[-1]["response"]["usage"] is None


def test_parts_that_overlap_keep_their_places():
    events, _ = written(
        Began("x", "m"),
        PartBegan(0, Text("")),
        TextGrew(0, "a"),
        PartBegan(1, ToolCall("c1", "f", "")),
        PartBegan(2, ToolCall("c2", "f", "")),
        TextGrew(0, "b"),
        ArgumentsGrew(2, "[2]"),
        ArgumentsGrew(1, "[1]"),
        PartBegan(3, Text("")),
        PartEnded(2),
        PartEnded(0),
        TextGrew(3, "c"),
        PartEnded(1),
        PartEnded(3),
        Ended(Finish.TOOL_CALLS),
    )
    final = events[-1]["response"]["output"]
    done = {e["output_index"]: e["item"] for e in events if e["type"].endswith("item.done")}
    assert [done[index] for index in range(4)] == final
    assert [item["type"] for item in final] == [
        "message",
        "function_call",
        "function_call",
        "message",
    ]
    assert [item.get("arguments") for item in final] == [None, "[1]", "[2]", None]
    assert [item["content"][0]["text"] for item in (final[0], final[3])] == ["ab", "c"]


def test_texts_that_overlap_are_parts_of_one_message():
    events, _ = written(
        Began("x", "m"),
        PartBegan(0, Text("")),
        PartBegan(1, Text("")),
        TextGrew(1, "b"),
        PartEnded(1),
        TextGrew(0, "a"),
        PartEnded(0),
        Ended(Finish.STOP),
    )
    (item,) = events[-1]["response"]["output"]
    assert [part["text"] for part in item["content"]] == ["a", "b"]
    assert events[-2]["item"] == item


def test_an_answer_cannot_hold_a_picture_and_says_so():
    events, writer = written(
        Began("x", "m"),
        PartBegan(0, Image(Url("https://e.com"))),
        PartEnded(0),
        Lost("something"),
        Ended(Finish.STOP),
    )
    assert events[-1]["response"]["output"] == []
    assert writer.lost == ("something", "image")
    image = ChatReply(id="x", model="m", parts=(Image(Url("https://e.com")),), lost=("something",))
    assert OPENAI_RESPONSES.write_reply(image, FRAME).lost == ("something", "image")


def test_a_stored_answer_is_kept_once_it_has_ended():
    writer = OPENAI_RESPONSES.writer(FRAME)
    writer.write(Began("x", "m"))
    kept = writer.kept
    assert kept is None
    assert writer.write(Ended(Finish.STOP)) == b""
    kept = json.loads(writer.kept or b"")
    assert kept["status"] == "completed"
    assert json.loads(data_of(writer.end()) or b"")["response"] == kept
    unstored = OPENAI_RESPONSES.writer(ReplyFrame(request=FRAME.request, request_id="req_1"))
    unstored.write(Began("x", "m"))
    unstored.write(Ended(Finish.STOP))
    assert unstored.kept is None


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (Finish.STOP, "completed", None),
        (Finish.STOP_SEQUENCE, "completed", None),
        (Finish.TOOL_CALLS, "completed", None),
        (Finish.LENGTH, "incomplete", "max_output_tokens"),
        (Finish.CONTEXT, "incomplete", "max_output_tokens"),
        (Finish.PAUSE, "incomplete", "max_output_tokens"),
        (Finish.REFUSAL, "incomplete", "content_filter"),
    ],
)
def test_every_end_has_a_status(finish, status, reason):
    reply = ChatReply(id="x", model="m", parts=(Text("a"),), finish=finish)
    body = json.loads(OPENAI_RESPONSES.write_reply(reply, FRAME).body)
    assert body["status"] == status
    assert body["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert body["output"][0]["status"] == status


@pytest.mark.parametrize(
    ("tier", "told"), [("standard", "default"), ("flex", "flex"), ("batch", None)]
)
def test_the_tier_is_told_in_openais_words(tier, told):
    reply = ChatReply(id="x", model="m", service_tier=tier)
    assert json.loads(OPENAI_RESPONSES.write_reply(reply, FRAME).body)["service_tier"] == told


@pytest.mark.parametrize(
    ("fields", "lost"),
    [
        ({"service_tier": "batch"}, ("service_tier",)),
        ({"service_tier": "standard"}, ()),
        ({"finish": Finish.STOP_SEQUENCE, "stop_sequence": "END"}, ("stop_sequence",)),
        ({"finish": Finish.PAUSE}, ("pause",)),
        ({"parts": (ToolResult("c"),)}, ("tool_result",)),
    ],
)
def test_what_an_answer_cannot_say_is_named_in_json_and_in_a_stream(fields, lost):
    reply = ChatReply(id="x", model="m", **fields)
    assert OPENAI_RESPONSES.write_reply(reply, FRAME).lost == lost
    _, writer = written(*events_of(reply))
    assert writer.lost == lost
    assert set(lost) <= LOST.keys()


def test_the_answer_repeats_the_request_as_it_came():
    fields = {
        "instructions": "Be brief.",
        "temperature": 0.25,
        "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
        "tool_choice": {"type": "function", "name": "f"},
        "metadata": {"a": "b"},
        "text": {"format": {"type": "json_object"}},
        "truncation": None,
    }
    body = json.dumps({"model": "m", "input": "x", **fields}).encode()
    frame = ReplyFrame(request=decode_request(body), request_id="req_1", previous_id="resp_0")
    reply = ChatReply(id="x", model="theirs", created=7)
    found = json.loads(OPENAI_RESPONSES.write_reply(reply, frame).body)
    for name in ("instructions", "temperature", "tool_choice", "metadata", "text"):
        assert found[name] == fields[name]
    assert found["tools"][0] == {
        "type": "function",
        "name": "f",
        "parameters": None,
        "strict": None,
    }
    assert found["truncation"] == "disabled"
    assert found["parallel_tool_calls"] is True
    assert (found["previous_response_id"], found["store"]) == ("resp_0", False)
    assert (found["created_at"], found["model"]) == (7, "theirs")


def test_odd_tools_do_not_keep_an_answer_from_its_caller():
    request = decode_request(b'{"model":"m","input":"x","tools":[7]}')
    frame = ReplyFrame(request=request, request_id="req_1")
    body = OPENAI_RESPONSES.write_reply(ChatReply(id="x", model="m"), frame).body
    assert json.loads(body)["tools"] == []


def test_a_reader_and_a_writer_make_a_fold():
    folded = TranslatedFold(
        OPENAI_RESPONSES.reader(), OPENAI_RESPONSES.writer(FRAME), keeps_text=True
    )
    frames = [
        CREATED,
        {
            "type": "response.output_text.delta",
            "output_index": 0,
            "content_index": 0,
            "delta": "Hi",
        },
        completed(),
    ]
    out = b"".join(folded.pass_on(b"", json.dumps(frame).encode()) for frame in frames)
    assert b"response.output_text.done" in out
    assert b"response.completed" not in out
    assert (folded.done, folded.visible) == (True, "Hi")
    assert folded.usage == Usage(input_tokens=3, output_tokens=2)
    assert b"event: response.completed" in folded.end()
    assert folded.kept is not None
