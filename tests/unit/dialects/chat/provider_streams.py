"""Chunks as chat servers send them, and the events that they are read as."""

from __future__ import annotations

import json
from typing import Any

from torana.core.chat import ChatReply
from torana.core.events import (
    ArgumentsGrew,
    Began,
    Ended,
    Event,
    PartBegan,
    PartEnded,
    TextGrew,
    fold,
)
from torana.core.usage import Usage
from torana.dialects.openai_chat.reader import ChatReader

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
COUNTED = Usage(input_tokens=3, output_tokens=2)
DONE = b"[DONE]"


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return json.dumps(
        {"id": "c1", "model": "theirs", "created": 7, "choices": [choice], **more}
    ).encode()


def usage_chunk(**usage: Any) -> bytes:
    return json.dumps({"id": "c1", "choices": [], "usage": usage or USAGE}).encode()


def events_of(*chunks: bytes) -> list[Event]:
    reader = ChatReader()
    events = [event for one in chunks for event in reader.read(one)]
    return [*events, *reader.finish()]


def reply_of(*chunks: bytes) -> ChatReply:
    events = events_of(*chunks)
    _check_order(events)
    return fold(events)


def _check_order(events: list[Event]) -> None:
    """What every stream of events keeps to."""
    assert isinstance(events[0], Began)
    assert isinstance(events[-1], Ended)
    opened: set[int] = set()
    begun = 0
    for event in events[1:-1]:
        if isinstance(event, PartBegan):
            assert event.index == begun
            begun += 1
            opened.add(event.index)
        elif isinstance(event, PartEnded):
            opened.remove(event.index)
        elif isinstance(event, (TextGrew, ArgumentsGrew)):
            assert event.index in opened
        else:
            assert not isinstance(event, (Began, Ended))
    assert not opened


def call(
    index: int | None, id_: str | None = None, name: str | None = None, text: str = ""
) -> dict[str, Any]:
    told: dict[str, Any] = {"function": {"arguments": text}}
    if index is not None:
        told["index"] = index
    if id_ is not None:
        told["id"] = id_
    if name is not None:
        told["function"]["name"] = name
        told["type"] = "function"
    return {"tool_calls": [told]}
