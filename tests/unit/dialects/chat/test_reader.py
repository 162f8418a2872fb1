"""Providers' chat streams as events: what servers send, tidy ones and sloppy ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.dialects.chat.provider_streams import (
    COUNTED,
    DONE,
    USAGE,
    call,
    chunk,
    events_of,
    reply_of,
    usage_chunk,
)
from torana.core.chat import (
    Finish,
    HiddenThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    UrlCitation,
)
from torana.core.events import (
    Began,
    Ended,
    Lost,
    PartBegan,
    PartEnded,
    TextGrew,
    UsageTold,
    fold,
)
from torana.dialects.openai_chat.reader import ChatReader
from torana.errors import UpstreamError, UpstreamGarbage

# --- beginnings and ends -----------------------------------------------------------------------


def test_a_plain_stream_is_read_and_its_end_comes_after_the_usage():
    events = events_of(
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        usage_chunk(),
        DONE,
    )
    assert events == [
        Began("c1", "theirs", 7),
        PartBegan(0, Text("")),
        TextGrew(0, "Hel"),
        TextGrew(0, "lo"),
        UsageTold(COUNTED),
        PartEnded(0),
        Ended(Finish.STOP),
    ]


def test_a_first_chunk_without_role_and_without_choices_begins_nothing_twice():
    azure = b'{"id":"","model":"","choices":[],"prompt_filter_results":[]}'
    events = events_of(azure, chunk({"content": "a"}), chunk({"content": "b"}, "stop"), DONE)
    assert events[0] == Began("c1", "theirs", 7)
    assert fold(events).parts == (Text("ab"),)


def test_the_end_waits_for_the_usage_and_comes_once():
    reader = ChatReader()
    assert not any(isinstance(e, Ended) for e in reader.read(chunk({"content": "a"}, "stop")))
    assert (reader.finished, reader.done) == (True, False)
    assert isinstance(reader.read(usage_chunk())[-1], Ended)
    assert (reader.read(DONE), reader.done, reader.finish()) == ([], True, [])


def test_without_a_usage_chunk_the_end_comes_with_done_or_at_a_good_end_of_the_bytes():
    for last in ([DONE], []):
        events = events_of(chunk({"content": "a"}, "length"), *last)
        assert events[-1] == Ended(Finish.LENGTH)


def test_usage_in_the_last_chunk_or_in_every_chunk_is_told_and_the_last_counts():
    reply = reply_of(
        chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
        chunk({}, "stop", usage=USAGE),
        DONE,
    )
    assert reply.usage == COUNTED


def test_a_missing_finish_reason_when_the_upstream_drops_is_no_end():
    reader = ChatReader()
    reader.read(chunk({"content": "a"}))
    reader.read(usage_chunk())
    assert (reader.finished, reader.done, reader.finish()) == (False, False, [])


def test_done_without_a_reason_is_an_end():
    assert reply_of(chunk({"content": "a"}), DONE).finish is Finish.STOP


def test_nothing_but_done_is_an_empty_reply():
    assert reply_of(DONE).parts == ()


@pytest.mark.parametrize(
    ("delta", "reason", "finish"),
    [
        ({"content": "a"}, "stop", Finish.STOP),
        ({"content": "a"}, "content_filter", Finish.REFUSAL),
        ({"refusal": "no"}, "stop", Finish.REFUSAL),
        (call(0, "a", "f"), "stop", Finish.TOOL_CALLS),
        (call(0, "a", "f"), "tool_calls", Finish.TOOL_CALLS),
        ({"content": "a"}, "future", Finish.STOP),
    ],
)
def test_why_a_stream_has_ended(delta, reason, finish):
    assert reply_of(chunk(delta), chunk({}, reason), DONE).finish is finish


def test_the_tier_is_told_at_the_end():
    assert (
        reply_of(chunk({"content": "a"}, "stop", service_tier="flex"), DONE).service_tier == "flex"
    )


# --- texts -------------------------------------------------------------------------------------


def test_thinking_text_and_refusal_are_parts_of_their_own_in_order():
    reply = reply_of(
        chunk({"role": "assistant", "reasoning_content": "h"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk({"refusal": "no"}),
        chunk({}, "stop"),
        DONE,
    )
    assert reply.parts == (Thinking("hm"), Text("ab"), Refusal("no"))


def test_text_after_calls_opens_a_new_part():
    reply = reply_of(
        chunk({"content": "a"}),
        chunk(call(0, "i", "f", "{}")),
        chunk({"content": "b"}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert reply.parts == (Text("a"), ToolCall("i", "f", "{}"), Text("b"))


def test_pieces_of_reasoning_details_are_thinking_and_their_text_is_not_read_twice():
    def details(text: str, **detail: Any) -> bytes:
        told = {"index": 0, "type": "reasoning.text", "text": text, **detail}
        return chunk({"reasoning": text, "reasoning_details": [told]})

    anthropic = "anthropic-claude-v1"
    reply = reply_of(
        details("ab"),
        details("cd"),
        details("", signature="s", format=anthropic),
        chunk(
            {
                "reasoning_details": [
                    {"index": 1, "type": "reasoning.encrypted", "data": "d", "format": anthropic}
                ]
            }
        ),
        chunk({"content": "x"}, "stop"),
        DONE,
    )
    assert reply.parts == (
        Thinking("abcd", "s", "anthropic"),
        HiddenThinking("d", "anthropic"),
        Text("x"),
    )


def test_a_signature_of_a_vendor_that_nothing_can_go_back_to_is_lost_by_name():
    detail = {"type": "reasoning.text", "text": "a", "signature": "s", "format": "google-gemini-v1"}
    reply = reply_of(chunk({"reasoning_details": [detail]}), chunk({"content": "x"}, "stop"), DONE)
    assert (reply.parts, reply.lost) == ((Thinking("a"), Text("x")), ("reasoning_details",))


def test_citations_are_of_the_text_that_is_open():
    def cite(start: int, end: int) -> bytes:
        inner = {"url": "https://e.com", "title": "T", "start_index": start, "end_index": end}
        return chunk({"annotations": [{"type": "url_citation", "url_citation": inner}]})

    reply = reply_of(
        chunk({"content": "abc"}),
        cite(1, 2),
        cite(0, 3),
        chunk(call(0, "i", "f")),
        cite(0, 1),
        chunk({}, "stop"),
        DONE,
    )
    assert reply.parts[0] == Text(
        "abc", (UrlCitation("https://e.com", "T", 1, 2), UrlCitation("https://e.com", "T"))
    )
    assert reply.lost == ("annotations",)


def test_what_no_event_holds_is_told_once_by_name():
    events = events_of(
        *[chunk({"content": "a", "audio": {"data": "x"}}) for _ in range(3)],
        json.dumps(
            {"choices": [{"delta": {}, "logprobs": {"content": []}, "finish_reason": "stop"}]}
        ).encode(),
        DONE,
    )
    assert [event for event in events if isinstance(event, Lost)] == [
        Lost("audio"),
        Lost("logprobs"),
    ]


def test_of_several_choices_the_first_is_read():
    other = b'{"choices":[{"index":1,"delta":{"content":"no"},"finish_reason":"stop"}]}'
    reply = reply_of(chunk({"content": "a"}), other, chunk({"content": "b"}, "stop"), DONE)
    assert reply.parts == (Text("ab"),)


# --- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [{"message": "no", "code": 529}, "words", {}])
def test_an_error_in_mid_stream_is_an_error_and_its_words_stay_here(error):
    reader = ChatReader()
    reader.read(chunk({"content": "a"}))
    with pytest.raises(UpstreamError, match="in the middle") as caught:
        reader.read(json.dumps({"error": error}).encode())
    assert caught.value.billable
    assert not reader.finished


@pytest.mark.parametrize("data", [b"{", b"[]", b"null", b'{"choices":1}', b"\xff", b"[" * 100_000])
def test_garbage_in_mid_stream_is_an_error(data):
    with pytest.raises(UpstreamGarbage):
        ChatReader().read(data)


def test_a_character_that_is_cut_in_two_escapes_is_replaced_and_the_stream_goes_on():
    reply = reply_of(
        rb'{"choices":[{"delta":{"content":"a\ud83d"}}]}',
        rb'{"choices":[{"delta":{"content":"\ude00b"},"finish_reason":"stop"}]}',
        DONE,
    )
    assert reply.parts == (Text("a\ufffd\ufffdb"),)
