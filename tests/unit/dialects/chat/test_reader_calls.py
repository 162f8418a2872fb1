"""Calls of tools in providers' chat streams: what servers send, tidy ones and sloppy ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.chat.provider_streams import (
    DONE,
    call,
    chunk,
    reply_of,
    usage_chunk,
)
from torana.core.chat import (
    Text,
    ToolCall,
)

# --- calls of tools ----------------------------------------------------------------------------


def test_parallel_calls_may_come_interleaved():
    reply = reply_of(
        chunk(call(0, "a", "f")),
        chunk(call(1, "b", "g")),
        chunk(call(0, text='{"x"')),
        chunk(call(1, text='{"y"')),
        chunk(call(0, text=":1}")),
        chunk(call(1, text=":2}")),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert reply.parts == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'))


def test_several_calls_may_come_in_one_chunk():
    both = {
        "tool_calls": [call(0, "a", "f", "{}")["tool_calls"][0], call(1, "b", "f")["tool_calls"][0]]
    }
    reply = reply_of(chunk(both, "tool_calls"), DONE)
    assert reply.parts == (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))


def test_ids_and_names_may_be_repeated_with_every_fragment():
    reply = reply_of(
        chunk(call(0, "a", "f", "{")), chunk(call(0, "a", "f", "}")), chunk({}, "stop"), DONE
    )
    assert reply.parts == (ToolCall("a", "f", "{}"),)


def test_arguments_may_come_before_the_name_and_the_id():
    reply = reply_of(
        chunk(call(0, text='{"a"')), chunk(call(0, "i", "f", ":1}")), chunk({}, "tool_calls"), DONE
    )
    assert reply.parts == (ToolCall("i", "f", '{"a":1}'),)


def test_calls_without_ids_get_the_same_ones_for_the_same_stream():
    chunks = [
        chunk(call(0, None, "f", "{}")),
        chunk(call(1, None, "f", "{}")),
        chunk({}, "stop"),
        DONE,
    ]
    reply = reply_of(*chunks)
    assert reply == reply_of(*chunks)
    ids = [part.id for part in reply.parts if isinstance(part, ToolCall)]
    assert ids == ["call_c1_0", "call_c1_1"]


def test_calls_without_an_index_are_told_apart_by_their_ids_or_their_names():
    by_id = reply_of(
        chunk(call(None, "a", "f", "{")),
        chunk(call(None, None, None, "}")),
        chunk(call(None, "b", "f", "{}")),
        chunk({}, "stop"),
        DONE,
    )
    assert by_id.parts == (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    by_name = reply_of(
        chunk(call(None, None, "f", '{"a":1}')),
        chunk(call(None, None, "f", '{"a":2}')),
        chunk({}, "stop"),
        DONE,
    )
    assert [p.arguments for p in by_name.parts if isinstance(p, ToolCall)] == ['{"a":1}', '{"a":2}']


def test_calls_that_all_have_the_index_zero_are_told_apart_by_their_ids():
    reply = reply_of(
        chunk(call(0, "a", "f", "{")),
        chunk(call(0, text="}")),
        chunk(call(0, "b", "g", '{"y"')),
        chunk(call(0, text=":2}")),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert reply.parts == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"y":2}'))


def test_a_new_id_without_a_name_is_still_the_same_call():
    reply = reply_of(
        chunk(call(0, "a", "f", "{")), chunk(call(0, "random", None, "}")), chunk({}, "stop"), DONE
    )
    assert reply.parts == (ToolCall("a", "f", "{}"),)


def test_no_arguments_are_an_empty_object_and_a_call_without_name_is_lost():
    reply = reply_of(
        chunk(call(0, "a", "f")), chunk(call(1, "b", None, "{}")), chunk({}, "stop"), DONE
    )
    assert (reply.parts, reply.lost) == ((ToolCall("a", "f", "{}"),), ("tool_calls",))


def test_the_old_function_call_and_custom_tools_are_calls():
    old = reply_of(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"a":1}'}}),
        chunk({}, "function_call"),
        DONE,
    )
    assert old.parts == (ToolCall("call_c1_0", "f", '{"a":1}'),)
    custom = reply_of(
        chunk({"tool_calls": [{"index": 0, "id": "a", "custom": {"name": "c", "input": ""}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": "free"}}]}),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert custom.parts == (ToolCall("a", "c", "free", custom=True),)


PIECES = st.sampled_from(
    [
        {"content": "a"},
        {"content": ""},
        {"reasoning_content": "t"},
        {"refusal": "r"},
        {"reasoning_details": [{"index": 0, "type": "reasoning.text", "text": "x"}]},
        {
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "x",
                    "signature": "s",
                    "format": "openai-responses-v1",
                }
            ]
        },
        {"role": "assistant"},
        {"annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}]},
        call(0, "a", "f", "{"),
        call(0, None, None, "}"),
        call(1, "b", "g", "{}"),
        call(1, None, None, ""),
        call(None, "c", "h", "{}"),
        call(None, None, "i", ""),
        call(2, None, None, "x"),
        {"function_call": {"name": "f", "arguments": "{}"}},
    ]
)


@given(st.lists(PIECES, max_size=12), st.booleans(), st.booleans())
def test_whatever_comes_the_events_are_in_order_and_no_text_is_lost(pieces, told, done):
    last = [usage_chunk()] if told else []
    reply = reply_of(
        *[chunk(one) for one in pieces], chunk({}, "stop"), *last, *([DONE] if done else [])
    )
    text = "".join(part.text for part in reply.parts if isinstance(part, Text))
    assert text == "".join(str(one.get("content", "")) for one in pieces)
