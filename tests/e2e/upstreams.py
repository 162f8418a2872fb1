"""What providers of the other dialects answer, as scripts for the fake upstream."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tests.contract.fake_upstream import ANSWER, FakeUpstream, Script, Turn

MESSAGE_USAGE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": 5,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "output_tokens": 7,
}
RESPONSE_USAGE = {
    "input_tokens": 16,
    "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 23,
}
_numbers = itertools.count(1)


def claude(upstream: FakeUpstream, script: Script) -> str:
    """A model of the provider `anthropic` that nobody else uses."""
    return upstream.model(script, exactly=f"claude-test-{next(_numbers)}")


def message(text: str = ANSWER, **more: Any) -> dict[str, Any]:
    """A whole message of Anthropic's."""
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": "claude-fake",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": MESSAGE_USAGE,
        **more,
    }


def answer_messages(turn: Turn) -> None:
    """What a healthy server of Anthropic's does."""
    if not turn.wants_stream:
        turn.reply(message())
        return
    turn.begin_stream()
    for event in message_events():
        named_event(turn, event)
    turn.write(b"0\r\n\r\n")


def message_events(pieces: Iterable[str] = (ANSWER,)) -> list[dict[str, Any]]:
    """The events of a message of one text."""
    begun = message(content=[], stop_reason=None, usage=MESSAGE_USAGE | {"output_tokens": 1})
    return [
        {"type": "message_start", "message": begun},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": ""},
        },
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": piece},
            }
            for piece in pieces
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]


def response(response_id: str = "resp_fake", **more: Any) -> dict[str, Any]:
    """A whole response of OpenAI's."""
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": "gpt-fake",
        "output": [
            {
                "id": "msg_fake",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": ANSWER, "annotations": []}],
            }
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": RESPONSE_USAGE,
        **more,
    }


def named_event(turn: Turn, event: Mapping[str, Any]) -> None:
    """Send an event with its `event:` line."""
    frame = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    turn.write(b"%x\r\n%b\r\n" % (len(frame), frame))


def named_events(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream whose frames have an `event:` line that says the same as the data."""
    found = []
    for frame in body.decode().split("\n\n"):
        lines = [line for line in frame.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        name, data = lines
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}", frame
        found.append(event)
    return found
