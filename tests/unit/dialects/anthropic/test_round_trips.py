"""What this dialect can say comes back as it was: calls, replies and streams."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import canonical
from tests.support.canonical import Says
from tests.support.canonical_says import CONVERSATION_UNITS
from torana.core.chat import (
    ChatCall,
    ChatReply,
    FunctionTool,
    OutputFormat,
    ToolCall,
    ToolChoice,
)
from torana.core.events import Event, Fold, events_of, fold
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.base import ReplyFrame, Traits
from torana.dialects.sse import FrameSplitter, data_of
from torana.dialects.wire import WireRequest

CALLS = Says(
    without=frozenset(
        {
            "frequency_penalty",
            "presence_penalty",
            "seed",
            "top_logprobs",
            "logit_bias",
            "metadata",
            "cache_key",
            "verbosity",
            "include_usage",
        }
    ),
    roles=("system",),
    max_systems=1,
    names=False,
    image_detail=(),
    files=("anthropic",),
    audio=False,
    refusals=False,
    thinking=("anthropic",),
    thinking_ids=False,
    hidden=("anthropic",),
    citation_spans=False,
    custom_tools=False,
    efforts=("low", "medium", "high", "xhigh", "max"),
    reasoning_modes=("off", "on", "adaptive"),
    summaries=(),
    allowed_tools=False,
    json_object=False,
    format_names=False,
    schemaless=False,
    temperature=1.0,
    tiers=("auto", "standard_only"),
)
"""What can be said to an Anthropic model."""

REPLIES = replace(
    CALLS,
    thinking=(None, "anthropic", "openai"),
    hidden=("anthropic", "openai"),
    reply_tiers=("default", "priority"),
    usage=CONVERSATION_UNITS - {"input_audio_tokens", "output_audio_tokens"},
    created=False,
)
"""What can be said to a caller."""

WHOLE_REPLIES = replace(REPLIES, thinking_ids=True)
"""In a stream the id of another vendor's item would come too late: with its signature."""

REQUEST = WireRequest(
    model="m",
    stream=False,
    include_usage=True,
    max_output=1,
    choices=1,
    size=0,
    fields={},
)
FRAME = ReplyFrame(request=REQUEST, request_id="req_0123")


CLOSED = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "où?"}},
    "required": ["city"],
    "additionalProperties": False,
}
"""A schema that a model can be held to as it is."""


def _traits(call: ChatCall) -> Traits:
    budget = call.reasoning is not None and call.reasoning.mode == "on"
    return Traits(adaptive_thinking=not budget, system_messages=True)


def _sayable(call: ChatCall) -> ChatCall:
    """The call without what Anthropic does not take together, with what it demands."""
    called = any(isinstance(part, ToolCall) for m in call.messages for part in m.parts)
    tools = call.tools
    if called and not tools:
        tools = (FunctionTool("t", schema={"type": "object"}),)
    reasoning = call.reasoning
    if reasoning is not None and reasoning.mode == "on":
        reasoning = None if called else msgspec.structs.replace(reasoning, effort=None)
    thinks = reasoning is not None and reasoning.mode != "off"
    choice = call.tool_choice
    if thinks and choice is not None and choice.mode in {"required", "named"}:
        choice = ToolChoice("auto")
    parallel = call.parallel_tools if tools else None
    if choice is not None and choice.mode == "none":
        parallel = None
    if parallel is not None and choice is None:
        choice = ToolChoice("auto")
    hot = call.temperature is not None
    form = None if call.format is None else OutputFormat(schema=CLOSED)
    tools = tuple(
        msgspec.structs.replace(tool, schema=CLOSED)
        if isinstance(tool, FunctionTool) and tool.strict
        else tool
        for tool in tools
    )
    return msgspec.structs.replace(
        call,
        tools=tools,
        tool_choice=choice,
        format=form,
        parallel_tools=parallel,
        reasoning=reasoning,
        temperature=None if thinks else call.temperature,
        top_k=None if thinks else call.top_k,
        top_p=None if thinks or hot else call.top_p,
        max_output=call.max_output or 4096,
        include_usage=True,
    )


@settings(max_examples=80, deadline=None)
@given(canonical.calls(CALLS).map(_sayable))
def test_a_call_that_can_be_said_comes_back_as_it_was(call):
    written = ANTHROPIC.write_call(call, _traits(call))
    assert (written.lost, written.instructed) == ((), False)
    assert ANTHROPIC.read_call(written.request) == call
    # Its bytes are a request like any other.
    body = ANTHROPIC.encode_upstream(written.request, model=call.model)
    assert written.request.size == len(body)
    decoded = ANTHROPIC.decode_request(body)
    assert ANTHROPIC.read_call(decoded) == call
    assert ANTHROPIC.read_costs(decoded).unruled == ()
    assert decoded.max_output == written.request.max_output
    assert decoded.stream == written.request.stream


def _as_told(reply: ChatReply) -> ChatReply:
    return msgspec.structs.replace(reply, id="msg_0123")


@settings(max_examples=80, deadline=None)
@given(canonical.replies(WHOLE_REPLIES))
def test_a_reply_that_can_be_said_comes_back_as_it_was(reply):
    answer = ANTHROPIC.write_reply(reply, FRAME)
    assert answer.lost == ()
    assert ANTHROPIC.read_reply(answer.body) == _as_told(reply)
    assert ANTHROPIC.decode_answer(answer.body).usage == reply.usage


def _read(body: bytes) -> list[Event]:
    reader = ANTHROPIC.reader()
    events: list[Event] = []
    for frame in FrameSplitter().feed(body):
        data = data_of(frame)
        assert data is not None
        events += reader.read(data)
    assert reader.done
    return [*events, *reader.finish()]


@settings(max_examples=80, deadline=None)
@given(canonical.replies(REPLIES))
def test_a_stream_that_can_be_said_comes_back_as_it_was(reply):
    writer = ANTHROPIC.writer(FRAME)
    body = b"".join(map(writer.write, events_of(reply))) + writer.end()
    assert writer.lost == ()
    assert fold(_read(body)) == _as_told(reply)


@settings(max_examples=80, deadline=None)
@given(canonical.replies(REPLIES), st.randoms(use_true_random=False))
def test_parts_that_overlap_are_written_one_after_another(reply, random):
    lanes: dict[int, list[Event]] = {}
    for event in (events := events_of(reply))[1:-1]:
        if hasattr(event, "index"):
            lanes.setdefault(event.index, []).append(event)
    mixed: list[Event] = [events[0]]
    # Parts begin in their order; what they grow by comes in any.
    begun: list[int] = []
    while lanes:
        following = [index for index in lanes if index not in begun][:1]
        index = random.choice([i for i in lanes if i in begun] + following)
        if index not in begun:
            begun.append(index)
        mixed.append(lanes[index].pop(0))
        if not lanes[index]:
            del lanes[index]
    mixed += [event for event in events[1:] if not hasattr(event, "index")]
    writer = ANTHROPIC.writer(FRAME)
    body = b"".join(map(writer.write, mixed)) + writer.end()
    folded = Fold()
    open_block = None
    for event in _read(body):
        folded.add(event)
        kind = type(event).__name__
        if kind == "PartBegan":
            assert open_block is None
            open_block = event.index  # type: ignore[union-attr]
        elif kind == "PartEnded":
            assert event.index == open_block  # type: ignore[union-attr]
            open_block = None
    assert folded.reply() == _as_told(reply)
