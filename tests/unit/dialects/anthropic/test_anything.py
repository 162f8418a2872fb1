"""Whatever a canonical value holds, what is written is legal, and nothing is lost without a name."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from anthropic.types import ContentBlockParam, Message, RawMessageStreamEvent, ToolUnionParam
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.support import canonical
from tests.support.canonical import Says
from tests.unit.dialects.anthropic.test_round_trips import FRAME
from torana.core.chat import ToolCall
from torana.core.events import Event, events_of, fold
from torana.dialects.anthropic import ANTHROPIC
from torana.dialects.anthropic.losses import CALL_LOSSES, REPLY_LOSSES
from torana.dialects.base import Traits
from torana.dialects.sse import FrameSplitter, data_of

SPOKEN = Says(audio=False, files=("anthropic",))
"""Messages of nothing but what can't be said are refused."""
TRAITS = st.builds(
    Traits,
    max_output=st.sampled_from([None, 1_500, 64_000]),
    structured_output=st.booleans(),
    adaptive_thinking=st.booleans(),
    system_messages=st.booleans(),
)
_block: TypeAdapter[Any] = TypeAdapter(ContentBlockParam)
_tool: TypeAdapter[Any] = TypeAdapter(ToolUnionParam)
_event: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    assert content, "a message says something"
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _check_turns(messages: list[dict[str, Any]]) -> None:
    assert messages[0]["role"] == "user"
    pending: list[str] = []
    for before, message in zip([{"role": None}, *messages], messages, strict=False):
        assert message["role"] != before["role"]
        blocks = _blocks(message)
        for block in blocks:
            _block.validate_python(block)
            assert block["type"] != "text" or block["text"].strip()
        results = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        assert results == pending
        assert [b["type"] for b in blocks[: len(results)]] == ["tool_result"] * len(results)
        pending = [b["id"] for b in blocks if b["type"] == "tool_use"]


@settings(max_examples=80, deadline=None)
@given(canonical.calls(SPOKEN), TRAITS)
def test_any_call_becomes_a_request_that_anthropic_takes(call, traits):
    written = ANTHROPIC.write_call(call, traits)
    assert set(written.lost) <= set(CALL_LOSSES)
    body = json.loads(ANTHROPIC.encode_upstream(written.request, model="claude"))
    _check_turns(body["messages"])
    for tool in body.get("tools", []):
        _tool.validate_python(tool)
    assert body["max_tokens"] <= (call.max_output or body["max_tokens"])
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] != "disabled":
        assert not body.keys() & {"temperature", "top_k"}
        assert body.get("tool_choice", {"type": "auto"})["type"] in {"auto", "none"}
    if thinking["type"] == "enabled":
        assert 1_024 <= thinking["budget_tokens"] < body["max_tokens"]
    assert not {"temperature", "top_p"} <= body.keys()
    assert body.get("temperature", 0) <= 1
    request = written.request
    assert ANTHROPIC.read_costs(request).unruled == ()
    assert ANTHROPIC.read_call(request).unsaid == ()
    # A call of a tool is there with its arguments, whatever else is lost.
    calls = [part for m in call.messages for part in m.parts if isinstance(part, ToolCall)]
    blocks = [b for m in body["messages"] for b in _blocks(m) if b["type"] == "tool_use"]
    assert [block["name"] for block in blocks] == [part.name for part in calls]


@settings(max_examples=80, deadline=None)
@given(canonical.replies())
def test_any_reply_becomes_an_answer_that_the_sdk_takes_and_its_stream_comes_to_the_same(reply):
    answer = ANTHROPIC.write_reply(reply, FRAME)
    assert set(answer.lost) <= set(REPLY_LOSSES)
    Message.model_validate_json(answer.body)
    writer = ANTHROPIC.writer(FRAME)
    body = b"".join(map(writer.write, events_of(reply))) + writer.end()
    assert set(writer.lost) == set(answer.lost)
    reader = ANTHROPIC.reader()
    events: list[Event] = []
    for frame in FrameSplitter().feed(body):
        data = data_of(frame) or b""
        _event.validate_json(data)
        events += reader.read(data)
    told = ANTHROPIC.read_reply(answer.body)
    # A stream tells another vendor's signature after its block has begun, so without the item's id.
    parts = tuple(
        msgspec.structs.replace(part, id=None) if hasattr(part, "signature") else part
        for part in told.parts
    )
    assert fold(events) == msgspec.structs.replace(told, parts=parts)
